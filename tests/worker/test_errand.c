/* Requests to a device that the test plays with message.h. */
#include "worker/errand.h"

#include <criterion/criterion.h>
#include <string.h>

#include "tests/worker/coap_bench.h"
#include "worker/block.h"
#include "worker/download.h"

static struct coap_bench bench;
static struct errands errands;
static uint64_t now_ms;

static size_t done;
static enum errand_outcome outcome;
static uint8_t code;
static uint8_t body[COAP_BODY_MAX];
static size_t body_length;
static bool has_observe;
static uint32_t observe;
static enum coap_heard verdict;

static enum coap_heard take(void *owner, uint64_t tag, const struct errand_result *result)
{
    cr_assert_eq(owner, &errands);
    cr_assert_eq(tag, 7);
    done++;
    outcome = result->outcome;
    code = result->response ? result->response->code : 0;
    body_length = result->body.length;
    if (body_length > 0)
        memcpy(body, result->body.bytes, body_length);
    has_observe = result->has_observe;
    observe = result->observe;
    return verdict;
}

static void settled(void *owner, const struct transmission_report *report)
{
    errand_settled(owner, report);
}

static enum coap_heard hear(void *owner, const struct coap_peer *peer, struct coap_now now,
                            const struct message *response)
{
    (void)now;
    return errand_hear(owner, peer, response);
}

static void begin(void)
{
    const struct coap_party party = {.owner = &errands, .settled = settled, .hear = hear};
    const struct hash_key key = {1, 2};
    done = 0;
    verdict = COAP_HEARD;
    now_ms = 1000;
    coap_bench_open(&bench, 1024);
    coap_turn(bench.coap, coap_bench_now(now_ms));
    cr_assert_eq(errands_init(&errands, bench.coap, &key, now_ms), STATUS_OK);
    coap_join(bench.coap, TRANSMISSION_REQUEST, &party);
}

static void end(void)
{
    errands_free(&errands);
    coap_bench_close(&bench);
}

static struct octets text(const char *of)
{
    return (struct octets){(const uint8_t *)of, strlen(of)};
}

static enum status ask(const struct errand_request *wanted)
{
    struct errand_request request = *wanted;
    request.method = request.method ? request.method : CODE_GET;
    request.done = take;
    request.owner = &errands;
    request.tag = 7;
    return errand_begin(&errands, &bench.secured, &request);
}

static const struct message_option *find(const struct message *message, uint16_t number)
{
    for (size_t i = 0; i < message->option_count; i++) {
        if (message->options[i].number == number)
            return &message->options[i];
    }
    return NULL;
}

/* An answer to the request: in its ACK, or with another type and message id of the device's. */
struct response {
    enum message_type type;
    uint16_t id; /* unless it is an ACK */
    uint8_t code;
    uint16_t number; /* one option; 0: none */
    uint32_t value;
    const struct octets *octets; /* of that option, if it is no number */
    struct octets payload;
};

static enum coap_outcome answer(const struct message *request, const struct response *response)
{
    uint8_t space[COAP_MESSAGE_SIZE_MAX];
    struct writer writer = writer_over(space, sizeof(space));
    struct message_builder builder;
    message_begin(&builder, &writer, response->type, response->code,
                  response->type == MESSAGE_ACK ? request->id : response->id, request->token,
                  request->token_length);
    if (response->octets)
        message_add_option(&builder, response->number, response->octets->bytes,
                           response->octets->length);
    else if (response->number)
        message_add_number(&builder, response->number, response->value);
    message_add_payload(&builder, response->payload.bytes, response->payload.length);
    cr_assert(writer_ok(&writer));
    return coap_bench_receive(&bench, &bench.secured, now_ms, space, writer_length(&writer));
}

static enum coap_outcome acknowledge(const struct message *request, enum message_type type)
{
    uint8_t space[4];
    struct writer writer = writer_over(space, sizeof(space));
    message_write_empty(&writer, type, request->id);
    return coap_bench_receive(&bench, &bench.secured, now_ms, space, sizeof(space));
}

static void pass(uint64_t ms)
{
    now_ms += ms;
    coap_bench_run(&bench, now_ms);
    errand_run(&errands, now_ms);
}

Test(errand, a_request_and_its_piggybacked_response)
{
    struct message request;
    begin();
    cr_assert_eq(
        ask(&(struct errand_request){.target = text("/a/b?c"), .has_accept = true, .accept = 50}),
        STATUS_OK);
    cr_assert_eq(coap_bench_take(&bench, &request)->session_id, 1);
    cr_expect_eq(request.type, MESSAGE_CON);
    cr_expect_eq(request.code, CODE_GET);
    cr_expect_eq(request.id, COAP_BENCH_MESSAGE_ID);
    cr_expect_eq(request.token_length, ERRAND_TOKEN_SIZE);
    cr_expect_geq(request.token[0], ERRAND_TOKEN_FIRST);
    cr_assert_eq(request.option_count, 4);
    cr_expect_eq(request.options[1].number, OPTION_URI_PATH);
    cr_expect_eq(request.options[1].value[0], 'b');
    cr_expect_eq(request.options[2].number, OPTION_URI_QUERY);
    cr_expect_eq(message_option_number(&request.options[3]), 50);
    cr_expect_eq(answer(&request, &(struct response){.type = MESSAGE_ACK,
                                                     .code = CODE_CONTENT,
                                                     .payload = text("20")}),
                 COAP_SILENCE);
    cr_assert_eq(done, 1);
    cr_expect_eq(outcome, ERRAND_ANSWERED);
    cr_expect_eq(code, CODE_CONTENT);
    cr_expect_eq(body_length, 2);
    pass(300000);
    cr_expect_eq(done, 1);
    cr_expect_eq(bench.sent_count, 0, "nothing is sent again");
    end();
}

/* RFC 7252 section 5.2.2: in a message of its own, which is acknowledged. */
Test(errand, a_separate_response_is_acknowledged)
{
    struct message request;
    begin();
    cr_assert_eq(ask(&(struct errand_request){.target = text("/a")}), STATUS_OK);
    coap_bench_take(&bench, &request);
    cr_expect_eq(acknowledge(&request, MESSAGE_ACK), COAP_SILENCE);
    pass(30000);
    cr_assert_eq(done, 0);
    cr_expect_eq(
        answer(&request, &(struct response){.type = MESSAGE_CON, .id = 77, .code = CODE_CONTENT}),
        COAP_REPLY);
    cr_expect_arr_eq(bench.reply, "\x60\x00\x00\x4d", 4);
    cr_expect_eq(done, 1);
    end();
}

/* The ACK may be lost, or come later (RFC 7252 section 5.2.2). */
Test(errand, a_response_ends_repetitions_even_if_the_ack_is_lost)
{
    struct message request;
    begin();
    cr_assert_eq(ask(&(struct errand_request){.target = text("/a")}), STATUS_OK);
    coap_bench_take(&bench, &request);
    cr_expect_eq(
        answer(&request, &(struct response){.type = MESSAGE_NON, .id = 78, .code = CODE_NOT_FOUND}),
        COAP_SILENCE);
    cr_expect_eq(done, 1);
    cr_expect_eq(code, CODE_NOT_FOUND);
    pass(60000);
    cr_expect_eq(bench.sent_count, 0);
    end();
}

Test(errand, what_never_comes)
{
    struct message request;
    begin();
    cr_assert_eq(ask(&(struct errand_request){.target = text("/a")}), STATUS_OK);
    coap_bench_take(&bench, &request);
    cr_expect_eq(acknowledge(&request, MESSAGE_ACK), COAP_SILENCE);
    pass(ERRAND_RESPONSE_MS - 1);
    cr_expect_eq(done, 0);
    pass(1);
    cr_assert_eq(done, 1);
    cr_expect_eq(outcome, ERRAND_TIMED_OUT);
    cr_expect_eq(
        answer(&request, &(struct response){.type = MESSAGE_CON, .id = 79, .code = CODE_CONTENT}),
        COAP_REPLY);
    cr_expect_eq(bench.reply[0] >> 4 & 3, MESSAGE_RST, "too late");

    /* And one that is not even acknowledged. */
    cr_assert_eq(ask(&(struct errand_request){.target = text("/a")}), STATUS_OK);
    for (int i = 0; i < 200 && done == 1; i++)
        pass(1000);
    cr_expect_eq(done, 2);
    cr_expect_eq(outcome, ERRAND_TIMED_OUT);
    cr_expect_eq(bench.sent_count, 5, "MAX_RETRANSMIT");
    end();
}

Test(errand, a_reset)
{
    struct message request;
    begin();
    cr_assert_eq(ask(&(struct errand_request){.target = text("/a")}), STATUS_OK);
    coap_bench_take(&bench, &request);
    cr_expect_eq(acknowledge(&request, MESSAGE_RST), COAP_SILENCE);
    cr_expect_eq(done, 1);
    cr_expect_eq(outcome, ERRAND_RESET);
    end();
}

/* RFC 7252 section 5.4.1: an unrecognized critical option in a confirmable response is rejected. */
Test(errand, a_critical_option_is_not_overlooked)
{
    struct message request;
    begin();
    cr_assert_eq(ask(&(struct errand_request){.target = text("/a")}), STATUS_OK);
    coap_bench_take(&bench, &request);
    cr_expect_eq(acknowledge(&request, MESSAGE_ACK), COAP_SILENCE);
    cr_expect_eq(
        answer(&request,
               &(struct response){
                   .type = MESSAGE_CON, .id = 80, .code = CODE_CONTENT, .number = 9, .value = 1}),
        COAP_REPLY);
    cr_expect_eq(bench.reply[0] >> 4 & 3, MESSAGE_RST);
    cr_expect_eq(done, 1);
    cr_expect_eq(outcome, ERRAND_REJECTED);
    end();
}

/* RFC 7252 section 5.3.2: the token has to match, and so has the endpoint. */
Test(errand, other_tokens_and_other_peers_do_not_answer)
{
    struct message request;
    uint8_t token[ERRAND_TOKEN_SIZE];
    begin();
    cr_assert_eq(ask(&(struct errand_request){.target = text("/a")}), STATUS_OK);
    coap_bench_take(&bench, &request);
    struct message forged = request;
    memcpy(token, request.token, sizeof(token));
    token[7] ^= 1;
    forged.token = token;
    cr_expect_eq(answer(&forged, &(struct response){.type = MESSAGE_ACK, .code = CODE_CONTENT}),
                 COAP_DROPPED);
    struct coap_peer honest = bench.secured;
    bench.secured = bench.plain;
    cr_expect_eq(
        answer(&request, &(struct response){.type = MESSAGE_NON, .id = 5, .code = CODE_CONTENT}),
        COAP_REPLY);
    bench.secured = honest;
    cr_expect_eq(done, 0);
    end();
}

/* RFC 7959 section 2.4, figure 2: each block is asked for with a message of its own. */
Test(errand, a_response_in_blocks)
{
    static const char part[65] = "0123456789012345678901234567890123456789012345678901234567890123";
    struct message request;
    begin();
    cr_assert_eq(ask(&(struct errand_request){.target = text("/a"), .has_observe = true}),
                 STATUS_OK);
    uint8_t token[ERRAND_TOKEN_SIZE] = {0};
    for (uint32_t i = 0; i < 3; i++) {
        const struct block block = {.number = i, .more = i < 2, .szx = 2};
        coap_bench_take(&bench, &request);
        if (i > 0) {
            struct block asked;
            cr_assert_eq(block_read(&asked, &request, OPTION_BLOCK2), BLOCK_FOUND);
            cr_expect_eq(asked.number, i);
            cr_expect_eq(asked.szx, 2);
            cr_expect_neq(memcmp(token, request.token, sizeof(token)), 0);
            cr_expect_null(find(&request, OPTION_OBSERVE));
        }
        memcpy(token, request.token, sizeof(token));
        cr_expect_eq(answer(&request, &(struct response){.type = MESSAGE_ACK,
                                                         .code = CODE_CONTENT,
                                                         .number = OPTION_BLOCK2,
                                                         .value = block_value(&block),
                                                         .payload = {(const uint8_t *)part, 64}}),
                     COAP_SILENCE);
    }
    cr_expect_eq(done, 1);
    cr_expect_eq(outcome, ERRAND_ANSWERED);
    cr_expect_eq(body_length, 192);
    end();
}

Test(errand, a_body_in_blocks)
{
    static uint8_t large[2500];
    struct message request;
    begin();
    cr_assert_eq(ask(&(struct errand_request){.method = CODE_PUT,
                                              .target = text("/a"),
                                              .has_format = true,
                                              .format = 42,
                                              .body = {large, sizeof(large)}}),
                 STATUS_OK);
    for (uint32_t i = 0; i < 3; i++) {
        struct block block;
        coap_bench_take(&bench, &request);
        cr_assert_eq(block_read(&block, &request, OPTION_BLOCK1), BLOCK_FOUND);
        cr_expect_eq(block.number, i);
        cr_expect_eq(block.more, i < 2);
        cr_expect_eq(request.payload_length, i < 2 ? 1024u : 452u);
        cr_expect_eq(find(&request, OPTION_SIZE1) != NULL, i == 0);
        cr_expect_not_null(find(&request, OPTION_CONTENT_FORMAT));
        answer(&request, &(struct response){.type = MESSAGE_ACK,
                                            .code = i < 2 ? CODE_CONTINUE : CODE_CHANGED,
                                            .number = OPTION_BLOCK1,
                                            .value = block_value(&block)});
    }
    cr_expect_eq(done, 1);
    cr_expect_eq(code, CODE_CHANGED);
    end();
}

/* RFC 9175 section 2.3: the request again, with the Echo option. Once. */
Test(errand, a_challenge_is_answered_once)
{
    static const struct octets challenge = {(const uint8_t *)"fresh", 5};
    struct message request;
    begin();
    cr_assert_eq(ask(&(struct errand_request){.target = text("/a")}), STATUS_OK);
    const struct response unauthorized = {.type = MESSAGE_ACK,
                                          .code = CODE_UNAUTHORIZED,
                                          .number = OPTION_ECHO,
                                          .octets = &challenge};
    coap_bench_take(&bench, &request);
    answer(&request, &unauthorized);
    cr_assert_eq(done, 0);
    coap_bench_take(&bench, &request);
    const struct message_option *echo = find(&request, OPTION_ECHO);
    cr_assert_not_null(echo);
    cr_expect_eq(echo->length, 5);
    cr_expect_arr_eq(echo->value, "fresh", 5);
    answer(&request, &unauthorized);
    cr_expect_eq(done, 1);
    cr_expect_eq(code, CODE_UNAUTHORIZED);
    end();
}

/* What came otherwise is gone on with: RFC 7959 section 2.6. */
Test(errand, the_rest_of_a_response)
{
    static uint8_t space[COAP_BODY_MAX];
    static const uint8_t part[64] = {'x'};
    struct message request;
    struct download begun;
    struct block block = {.number = 0, .more = true, .szx = 2};
    uint8_t option[] = {(uint8_t)block_value(&block)};
    struct message first = {.code = CODE_CONTENT, .payload = part, .payload_length = 64};
    first.options[0] = (struct message_option){
        .number = OPTION_BLOCK2, .value = option, .length = sizeof(option)};
    first.option_count = 1;
    begin();
    download_begin(&begun, space, sizeof(space));
    cr_assert_eq(download_take(&begun, &first), DOWNLOAD_MORE);
    cr_assert_eq(ask(&(struct errand_request){.target = text("/a"), .begun = &begun}), STATUS_OK);
    coap_bench_take(&bench, &request);
    cr_assert_eq(block_read(&block, &request, OPTION_BLOCK2), BLOCK_FOUND);
    cr_expect_eq(block.number, 1);
    cr_expect_eq(answer(&request, &(struct response){.type = MESSAGE_ACK,
                                                     .code = CODE_CONTENT,
                                                     .number = OPTION_BLOCK2,
                                                     .value = block_value(&block),
                                                     .payload = {part, 10}}),
                 COAP_SILENCE);
    cr_expect_eq(done, 1);
    cr_expect_eq(outcome, ERRAND_ANSWERED);
    cr_expect_eq(body_length, 74);
    cr_expect_arr_eq(body, part, 64);
    end();
}

Test(errand, the_first_block_may_be_all_that_is_wanted)
{
    static const uint8_t part[64] = {'x'};
    const struct block block = {.number = 0, .more = true, .szx = 2};
    struct message request;
    begin();
    cr_assert_eq(ask(&(struct errand_request){.target = text("/a"), .is_first_only = true}),
                 STATUS_OK);
    coap_bench_take(&bench, &request);
    answer(&request, &(struct response){.type = MESSAGE_ACK,
                                        .code = CODE_CONTENT,
                                        .number = OPTION_BLOCK2,
                                        .value = block_value(&block),
                                        .payload = {part, 64}});
    cr_expect_eq(done, 1);
    cr_expect_eq(outcome, ERRAND_ANSWERED);
    cr_expect_eq(body_length, 64);
    cr_expect_eq(bench.sent_count, 0);
    end();
}

Test(errand, a_cancelled_one_tells_nobody)
{
    struct message request;
    begin();
    cr_assert_eq(ask(&(struct errand_request){.target = text("/a")}), STATUS_OK);
    coap_bench_take(&bench, &request);
    cr_expect_not(errand_cancel(&errands, take, &errands, 8));
    cr_expect_not(errand_cancel(&errands, take, &bench, 7));
    cr_expect(errand_cancel(&errands, take, &errands, 7));
    cr_expect_not(errand_cancel(&errands, take, &errands, 7));
    pass(300000);
    cr_expect_eq(bench.sent_count, 0, "nothing is sent again");
    cr_expect_eq(done, 0);
    cr_expect_eq(
        answer(&request, &(struct response){.type = MESSAGE_NON, .id = 9, .code = CODE_CONTENT}),
        COAP_REPLY);
    cr_expect_eq(bench.reply[0] >> 4 & 3, MESSAGE_RST);
    end();
}

Test(errand, what_is_told_decides_about_the_ack)
{
    struct message request;
    begin();
    verdict = COAP_HEARD_LATER;
    cr_assert_eq(ask(&(struct errand_request){.target = text("/a")}), STATUS_OK);
    coap_bench_take(&bench, &request);
    cr_expect_eq(answer(&request, &(struct response){.type = MESSAGE_CON,
                                                     .id = 81,
                                                     .code = CODE_CONTENT,
                                                     .number = OPTION_OBSERVE,
                                                     .value = 12}),
                 COAP_SILENCE);
    cr_expect(has_observe);
    cr_expect_eq(observe, 12);
    coap_acknowledge(bench.coap, &bench.secured, 81, COAP_STORED);
    struct message ack;
    coap_bench_take(&bench, &ack);
    cr_expect_eq(ack.type, MESSAGE_ACK);
    cr_expect_eq(ack.id, 81);
    end();
}

Test(errand, bounded_for_each_device)
{
    begin();
    for (size_t i = 0; i < ERRANDS_PER_PEER_MAX; i++)
        cr_assert_eq(ask(&(struct errand_request){.target = text("/a")}), STATUS_OK, "%zu", i);
    cr_expect_eq(bench.sent_count, 1, "NSTART");
    cr_expect_eq(ask(&(struct errand_request){.target = text("/a")}), STATUS_FULL);
    cr_expect_eq(coap_bench_count(&bench, WORKER_ERRANDS_REFUSED), 1);
    /* The session goes: each is told so, once. */
    errand_forget(&errands, 1);
    coap_forget(bench.coap, 1);
    cr_expect_eq(done, ERRANDS_PER_PEER_MAX);
    cr_expect_eq(outcome, ERRAND_CANCELLED);
    cr_expect_eq(ask(&(struct errand_request){.target = text("/a")}), STATUS_OK);
    end();
}
