#include "worker/api_reply.h"

#include <criterion/criterion.h>
#include <stdlib.h>

static struct http_reply reply;

static void begin(void)
{
    free(reply.body.bytes);
    free(reply.location.bytes);
    reply = (struct http_reply){.status = 200};
}

Test(api_reply, problems)
{
    begin();
    cr_expect_eq(api_reply_refuse(&reply, 400, "bad path", "want another"), HTTP_DONE);
    cr_expect_eq(reply.status, 400);
    cr_expect_str_eq(reply.content_type, "application/problem+json");
    cr_expect_str_eq(reply.body.bytes,
                     "{\"title\":\"bad path\",\"status\":400,\"detail\":\"want another\"}\n");
    begin();
    api_reply_problem(&reply, 502, "the device refuses", NULL, CODE_NOT_FOUND);
    cr_expect_str_eq(reply.body.bytes,
                     "{\"title\":\"the device refuses\",\"status\":502,\"coap_code\":\"4.04\"}\n");
    begin();
}

Test(api_reply, what_a_device_answers)
{
    const uint8_t hello[] = {'h', 'i'};
    struct message response = {.code = CODE_CONTENT};
    const struct errand_result result = {
        .outcome = ERRAND_ANSWERED, .response = &response, .body = {hello, sizeof(hello)}};
    begin();
    api_reply_errand(&reply, &result);
    cr_expect_eq(reply.status, 200);
    cr_expect_str_eq(reply.content_type, "application/octet-stream");
    cr_expect_str_eq(reply.body.bytes, "hi");
    begin();
    response.code = CODE_NOT_FOUND;
    api_reply_errand(&reply, &result);
    cr_expect_eq(reply.status, 404);
    cr_expect_str_eq(reply.content_type, "application/problem+json");
    begin();
}

Test(api_reply, errands_without_an_answer)
{
    static const struct {
        enum errand_outcome outcome;
        int status;
    } rows[] = {{ERRAND_TIMED_OUT, 504}, {ERRAND_RESET, 502},     {ERRAND_REJECTED, 502},
                {ERRAND_TOO_LARGE, 502}, {ERRAND_CANCELLED, 503}, {ERRAND_NO_ROOM, 503}};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        begin();
        api_reply_errand(&reply, &(struct errand_result){.outcome = rows[i].outcome});
        cr_expect_eq(reply.status, rows[i].status, "row %zu: %d", i, reply.status);
    }
    begin();
}

Test(api_reply, observations)
{
    static const struct {
        struct observation_result result;
        int status;
    } rows[] = {{{.outcome = OBSERVATION_CANCELLED}, 204},
                {{.outcome = OBSERVATION_REFUSED, .code = CODE_NOT_FOUND}, 404},
                {{.outcome = OBSERVATION_NOT_OBSERVABLE, .code = CODE_CONTENT}, 422},
                {{.outcome = OBSERVATION_TOO_LARGE}, 422},
                {{.outcome = OBSERVATION_UNREACHED}, 504},
                {{.outcome = OBSERVATION_NOT_STORED}, 503},
                {{.outcome = OBSERVATION_GONE}, 503}};
    const struct cid cid = {.length = 3, .bytes = {0x0a, 0xbc, 0xff}};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        begin();
        api_reply_observation(&reply, &cid, &rows[i].result);
        cr_expect_eq(reply.status, rows[i].status, "row %zu: %d", i, reply.status);
    }
    begin();
    const struct observation_result begun = {.outcome = OBSERVATION_BEGUN, .slot = 17};
    api_reply_observation(&reply, &cid, &begun);
    cr_expect_eq(reply.status, 201);
    cr_expect_str_eq(reply.location.bytes, "/api/v1/sessions/0abcff/observations/17");
    cr_expect_str_eq(reply.body.bytes, "{\"id\":17}\n");
    begin();
}

Test(api_reply, what_did_not_begin)
{
    begin();
    api_reply_not_begun(&reply, STATUS_EXISTS);
    cr_expect_eq(reply.status, 409);
    begin();
    api_reply_not_begun(&reply, STATUS_NOT_FOUND);
    cr_expect_eq(reply.status, 404);
    begin();
    api_reply_not_begun(&reply, STATUS_FULL);
    cr_expect_eq(reply.status, 503);
    begin();
}
