/* What options of a request do to its answer as a whole: Echo, No-Response, and the rate. */
#include "tests/worker/ask.h"
#include "tests/worker/coap_bench.h"

#include <criterion/criterion.h>
#include <string.h>

#define OCTETS(text) text, sizeof(text) - 1

/* The Echo of a challenge, as an option of the next request. */
static struct message_option take_echo(const struct coap_bench *bench, uint8_t *space)
{
    struct message challenge;
    cr_assert_eq(message_parse(&challenge, bench->reply, bench->reply_length), MESSAGE_OK);
    cr_assert_eq(challenge.code, CODE_UNAUTHORIZED);
    cr_assert_eq(challenge.option_count, 1);
    cr_assert_eq(challenge.options[0].number, OPTION_ECHO);
    memcpy(space, challenge.options[0].value, challenge.options[0].length);
    return (struct message_option){OPTION_ECHO, challenge.options[0].length, space};
}

/* "Upon receiving a 4.01 Unauthorized response with the Echo option, the client SHOULD resend the
 * original request with the addition of an Echo option with the received Echo option value." (RFC
 * 9175 section 2.3) */
Test(coap_options, an_echo_proves_an_address)
{
    struct ask post = {.code = CODE_POST, .uri = "/echo?rlen=1024"};
    uint8_t value[MESSAGE_ECHO_MAX];
    struct coap_bench bench;
    coap_bench_open(&bench, 64);
    cr_assert_eq(coap_bench_ask(&bench, &bench.plain, 0, &post), COAP_REPLY);
    post.options[0] = take_echo(&bench, value);
    cr_expect_eq(coap_bench_count(&bench, WORKER_COAP_CHALLENGES), 1);

    struct coap_peer elsewhere = bench.plain;
    elsewhere.path.address.port++;
    post.id = 1;
    cr_assert_eq(coap_bench_ask(&bench, &elsewhere, 100, &post), COAP_REPLY);
    cr_expect_eq(coap_bench_code(&bench), CODE_UNAUTHORIZED, "it is of another address");

    post.id = 2;
    cr_assert_eq(coap_bench_ask(&bench, &bench.plain, 100, &post), COAP_REPLY);
    cr_expect_eq(coap_bench_code(&bench), CODE_CHANGED);
    cr_expect_gt(bench.reply_length, 1024);

    /* "This needs to be done only once per endpoint" (RFC 9175 section 2.4, item 3) */
    post = (struct ask){.code = CODE_POST, .id = 3, .uri = "/echo?rlen=1024"};
    cr_assert_eq(coap_bench_ask(&bench, &bench.plain, 200, &post), COAP_REPLY);
    cr_expect_eq(coap_bench_code(&bench), CODE_CHANGED);
    post.id = 4;
    cr_assert_eq(coap_bench_ask(&bench, &elsewhere, 200, &post), COAP_REPLY);
    cr_expect_eq(coap_bench_code(&bench), CODE_UNAUTHORIZED);

    post.id = 5;
    cr_assert_eq(coap_bench_ask(&bench, &bench.plain, 100 + 1000 * ECHO_LIFETIME_S, &post),
                 COAP_REPLY);
    cr_expect_eq(coap_bench_code(&bench), CODE_UNAUTHORIZED, "that was long ago");
    cr_expect_eq(coap_bench_count(&bench, WORKER_COAP_CHALLENGES), 4);
    coap_bench_close(&bench);
}

#define NO_RESPONSE(text)                                             \
    {                                                                 \
        OPTION_NO_RESPONSE, sizeof(text) - 1, (const uint8_t *)(text) \
    }

/* "The server MUST send back responses of the classes for which the client has not expressed any
 * disinterest." (RFC 7967 section 2.1) */
Test(coap_options, no_response_is_of_classes)
{
    static const struct {
        const char *name;
        struct ask ask;
        const char *reply;
        size_t length;
    } rows[] = {
        {"2.xx, and it is",
         {.id = 1, .token = "t", .uri = "/tstun", .options = {NO_RESPONSE("\x02")}},
         OCTETS("\x60\x00\x00\x01")},
        {"2.xx, and it is, non-confirmable",
         {.type = MESSAGE_NON, .id = 1, .uri = "/tstun", .options = {NO_RESPONSE("\x02")}},
         OCTETS("")},
        {"2.xx, but it is 4.04",
         {.id = 1, .token = "t", .uri = "/x", .options = {NO_RESPONSE("\x02")}},
         OCTETS("\x61\x84\x00\x01t")},
        {"4.xx, and it is",
         {.id = 1, .token = "t", .uri = "/x", .options = {NO_RESPONSE("\x08")}},
         OCTETS("\x60\x00\x00\x01")},
        {"all",
         {.id = 1, .token = "t", .uri = "/x", .options = {NO_RESPONSE("\x1a")}},
         OCTETS("\x60\x00\x00\x01")},
        {"none",
         {.id = 1, .token = "t", .uri = "/x", .options = {NO_RESPONSE("")}},
         OCTETS("\x61\x84\x00\x01t")},
        {"5.xx, and it is",
         {.id = 1,
          .uri = "/x",
          .options = {{OPTION_PROXY_URI, 1, (const uint8_t *)"x"}, NO_RESPONSE("\x10")}},
         OCTETS("\x60\x00\x00\x01")},
        {"what is remembered",
         {.code = CODE_POST, .id = 2, .uri = "/echo", .options = {NO_RESPONSE("\x02")}},
         OCTETS("\x60\x00\x00\x02")},
        {"what is remembered, again",
         {.code = CODE_POST, .id = 2, .uri = "/echo", .options = {NO_RESPONSE("\x02")}},
         OCTETS("\x60\x00\x00\x02")},
    };
    struct coap_bench bench;
    coap_bench_open(&bench, 64);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        cr_expect_eq(coap_bench_ask(&bench, &bench.secured, i, &rows[i].ask),
                     rows[i].length > 0 ? COAP_REPLY : COAP_SILENCE, "%s", rows[i].name);
        cr_expect_eq(bench.reply_length, rows[i].length, "%s", rows[i].name);
        cr_expect_arr_eq(bench.reply, rows[i].reply, rows[i].length, "%s", rows[i].name);
    }
    cr_expect_eq(coap_bench_count(&bench, WORKER_COAP_DUPLICATES), 1);
    coap_bench_close(&bench);
}

/* The store is asked all the same, and the acknowledgement waits for it. */
Test(coap_options, a_change_that_nobody_wants_to_hear_of)
{
    static const struct {
        enum message_type type;
        enum coap_saved saved;
        const char *reply, *again; /* NULL: the change is made once more */
        size_t length, again_length;
    } rows[] = {
        {MESSAGE_CON, COAP_STORED, "\x60\x00\x00\x07", "\x60\x00\x00\x07", 4, 4},
        {MESSAGE_NON, COAP_STORED, "", "", 0, 0},
        {MESSAGE_CON, COAP_NOT_STORED, "\x61\xa3\x00\x07t\xd1\x01\x05", NULL, 8, 0},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const struct ask report = {.type = rows[i].type,
                                   .code = CODE_POST,
                                   .id = 7,
                                   .token = "t",
                                   .uri = "/events",
                                   .payload = "21.5",
                                   .options = {NO_RESPONSE("\x02")}};
        struct coap_bench bench, heir;
        coap_bench_open(&bench, 64);
        coap_bench_open(&heir, 64);
        cr_assert_eq(coap_bench_ask(&bench, &bench.secured, 10, &report), COAP_COMMIT);
        cr_assert_eq(coap_restore(heir.coap, 1, coap_bench_now(12), bench.commit.value), STATUS_OK, "row %zu", i);
        cr_expect_eq(coap_bench_ask(&bench, &bench.secured, 13, &report), COAP_SILENCE);
        cr_expect_eq(coap_bench_commit(&bench, 7, rows[i].saved, 20),
                     rows[i].length > 0 ? COAP_REPLY : COAP_SILENCE, "row %zu", i);
        cr_expect_eq(bench.reply_length, rows[i].length, "row %zu", i);
        cr_expect_arr_eq(bench.reply, rows[i].reply, rows[i].length, "row %zu", i);
        enum coap_outcome again = rows[i].again_length > 0 ? COAP_REPLY : COAP_SILENCE;
        cr_expect_eq(coap_bench_ask(&bench, &bench.secured, 21, &report),
                     rows[i].again ? again : COAP_COMMIT, "row %zu", i);
        if (rows[i].again) {
            cr_expect_arr_eq(bench.reply, rows[i].again, rows[i].again_length, "row %zu", i);
            cr_expect_eq(coap_bench_ask(&heir, &heir.secured, 21, &report), again, "row %zu", i);
            cr_expect_arr_eq(heir.reply, rows[i].again, rows[i].again_length, "row %zu", i);
        }
        coap_bench_close(&heir);
        coap_bench_close(&bench);
    }
}

/* RFC 8516: 4.29, and Max-Age "to indicate the number of seconds after which to retry" */
Test(coap_options, who_asks_too_often_is_told_when_to_try_again)
{
    struct coap_bench bench;
    coap_bench_open_as(&bench, (struct coap_options){.exchanges_max = 64, .request_rate = 3});
    struct ask ask = {.token = "t", .uri = "/tstun"};
    struct ask post = {.code = CODE_POST, .id = 100, .uri = "/echo", .payload = "hi"};
    struct coap_peer other = bench.plain;
    cr_assert_eq(coap_bench_ask(&bench, &bench.secured, 1000, &post), COAP_REPLY);
    for (ask.id = 0; ask.id < 10; ask.id++) {
        static const char refusal[] = "\x61\x9d\x00\x00t\xd1\x01\x01";
        cr_assert_eq(coap_bench_ask(&bench, &bench.secured, 1000, &ask), COAP_REPLY);
        cr_expect_eq(coap_bench_code(&bench), ask.id < 2 ? CODE_CONTENT : CODE_TOO_MANY_REQUESTS);
        if (ask.id < 2)
            continue;
        cr_expect_eq(bench.reply_length, sizeof refusal - 1);
        cr_expect_arr_eq(bench.reply + 4, refusal + 4, sizeof refusal - 1 - 4);
    }
    cr_expect_eq(coap_bench_count(&bench, WORKER_COAP_TOO_MANY), 8);
    cr_assert_eq(coap_bench_ask(&bench, &bench.secured, 1000, &post), COAP_REPLY);
    cr_expect_eq(coap_bench_code(&bench), CODE_CHANGED, "a repetition gets what it got");
    cr_assert_eq(coap_bench_ask(&bench, &other, 1000, &ask), COAP_REPLY);
    cr_expect_eq(coap_bench_code(&bench), CODE_CONTENT, "the others are unharmed");
    post.id++;
    cr_assert_eq(coap_bench_ask(&bench, &bench.secured, 1000, &post), COAP_REPLY);
    cr_expect_eq(coap_bench_code(&bench), CODE_TOO_MANY_REQUESTS);
    cr_assert_eq(coap_bench_ask(&bench, &bench.secured, 2000, &post), COAP_REPLY);
    cr_expect_eq(coap_bench_code(&bench), CODE_CHANGED, "the refusal was not remembered");
    coap_bench_close(&bench);
}
