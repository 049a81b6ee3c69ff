#include "tests/worker/ask.h"
#include "tests/worker/coap_bench.h"
#include "worker/plugtest.h"

#include <criterion/criterion.h>
#include <string.h>

static struct coap_bench bench;

static void open_bench(void)
{
    coap_bench_open_as(&bench, (struct coap_options){.exchanges_max = 1024, .plugtest = true});
}

static void close_bench(void)
{
    coap_bench_close(&bench);
}

TestSuite(plugtest, .init = open_bench, .fini = close_bench);

/* What the session gets for it, at once. */
static struct message answer_to(const struct ask *ask)
{
    static uint16_t id;
    struct ask asked = *ask;
    struct message answer;
    asked.id = ++id;
    cr_assert_eq(coap_bench_ask(&bench, &bench.secured, 1000, &asked), COAP_REPLY);
    cr_assert_eq(message_parse(&answer, bench.reply, bench.reply_length), MESSAGE_OK);
    cr_assert_eq(answer.id, id);
    return answer;
}

static void expect(const char *name, const struct message *answer, uint8_t code,
                   const char *payload)
{
    cr_expect_eq(answer->code, code, "%s: %u.%02u", name, MESSAGE_CODE_CLASS(answer->code),
                 MESSAGE_CODE_DETAIL(answer->code));
    if (payload)
        cr_expect(
            answer->payload_length == strlen(payload) &&
                (*payload == '\0' || memcmp(answer->payload, payload, answer->payload_length) == 0),
            "%s: %.*s", name, (int)answer->payload_length, (const char *)answer->payload);
}

Test(plugtest, one_request_after_another)
{
    static const struct {
        const char *name;
        struct ask ask;
        uint8_t code;
        const char *payload; /* NULL: whatever */
    } rows[] = {
        {"CORE_01", {.uri = "/test"}, CODE_CONTENT, "what /test holds"},
        {"CORE_02", {.uri = "/test", .code = CODE_DELETE}, CODE_DELETED, ""},
        {"CORE_02, and gone", {.uri = "/test"}, CODE_NOT_FOUND, NULL},
        {"CORE_02, again", {.uri = "/test", .code = CODE_DELETE}, CODE_DELETED, ""},
        {"CORE_03", {.uri = "/test", .code = CODE_PUT, .payload = "one"}, CODE_CREATED, ""},
        {"CORE_03, there", {.uri = "/test"}, CODE_CONTENT, "one"},
        {"CORE_07", {.uri = "/test", .code = CODE_PUT, .payload = "two"}, CODE_CHANGED, ""},
        {"CORE_13", {.uri = "/seg1/seg2/seg3"}, CODE_CONTENT, "/seg1/seg2/seg3"},
        {"CORE_13, less", {.uri = "/seg1/seg2"}, CODE_NOT_FOUND, NULL},
        {"CORE_14",
         {.uri = "/query?first=1&second=2&third=3"},
         CODE_CONTENT,
         "query\nfirst=1\nsecond=2\nthird=3\n"},
        {"CORE_20", {.uri = "/multi-format"}, CODE_CONTENT, "content in text"},
        {"CORE_20, text",
         {.uri = "/multi-format", .has_accept = true, .accept = FORMAT_TEXT},
         CODE_CONTENT,
         "content in text"},
        {"CORE_20, XML",
         {.uri = "/multi-format", .has_accept = true, .accept = FORMAT_XML},
         CODE_CONTENT,
         "<content>in XML</content>"},
        {"CORE_20, JSON",
         {.uri = "/multi-format", .has_accept = true, .accept = FORMAT_JSON},
         CODE_NOT_ACCEPTABLE,
         NULL},
        {"CORE_23, not yet", {.uri = "/create1"}, CODE_NOT_FOUND, NULL},
        {"CORE_23, created",
         {.uri = "/create1",
          .code = CODE_PUT,
          .payload = "new",
          .options = {{OPTION_IF_NONE_MATCH, 0, NULL}}},
         CODE_CREATED,
         ""},
        {"CORE_23, there",
         {.uri = "/create1",
          .code = CODE_PUT,
          .payload = "newer",
          .options = {{OPTION_IF_NONE_MATCH, 0, NULL}}},
         CODE_PRECONDITION_FAILED,
         NULL},
        {"CORE_23, as it was", {.uri = "/create1"}, CODE_CONTENT, "new"},
        {"LINK_09", {.uri = "/path"}, CODE_CONTENT, "</path/sub1>,</path/sub2>,</path/sub3>"},
        {"LINK_09, below", {.uri = "/path/sub1"}, CODE_CONTENT, "/path/sub1"},
        {"LINK_09, not there", {.uri = "/path/sub4"}, CODE_NOT_FOUND, NULL},
        {"LINK_09, further below", {.uri = "/path/sub1/sub1"}, CODE_NOT_FOUND, NULL},
        {"LINK_02",
         {.uri = "/.well-known/core?rt=Type1"},
         CODE_CONTENT,
         "</test>;rt=\"Type1\",</link1>;rt=\"Type1 Type2\";if=\"If1\","
         "</link3>;rt=\"Type1 Type3\";if=\"foo\""},
        {"LINK_05",
         {.uri = "/.well-known/core?if=If*"},
         CODE_CONTENT,
         "</link1>;rt=\"Type1 Type2\";if=\"If1\",</link2>;rt=\"Type2 Type3\";if=\"If2\""},
        {"LINK_06",
         {.uri = "/.well-known/core?sz=*"},
         CODE_CONTENT,
         "</large>;sz=\"1792\",</large-update>;sz=\"8192\",</large-separate>;sz=\"1792\","
         "</obs-large>;sz=\"1792\";obs"},
        {"LINK_08", {.uri = "/.well-known/core?href=/link*"}, CODE_CONTENT, NULL},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct message answer = answer_to(&rows[i].ask);
        expect(rows[i].name, &answer, rows[i].code, rows[i].payload);
    }
}

Test(plugtest, says_where_it_created_something)
{
    static const char *const path[] = {"location1", "location2", "location3"};
    static const char *const query[] = {"first=1", "second=2"};
    struct message answer =
        answer_to(&(struct ask){.uri = "/test", .code = CODE_POST, .payload = "x"});
    cr_assert_eq(answer.code, CODE_CREATED);
    cr_assert_eq(answer.option_count, 3);
    for (size_t i = 0; i < 3; i++) {
        cr_expect_eq(answer.options[i].number, OPTION_LOCATION_PATH);
        cr_expect_eq(answer.options[i].length, 9);
        cr_expect_arr_eq(answer.options[i].value, path[i], 9);
    }
    answer = answer_to(&(struct ask){.uri = "/location1/location2/location3"});
    expect("what was created", &answer, CODE_CONTENT, "x");
    answer = answer_to(&(struct ask){.uri = "/location-query", .code = CODE_POST});
    cr_assert_eq(answer.code, CODE_CREATED);
    cr_assert_eq(answer.option_count, 2);
    for (size_t i = 0; i < 2; i++) {
        cr_expect_eq(answer.options[i].number, OPTION_LOCATION_QUERY);
        cr_expect_arr_eq(answer.options[i].value, query[i], strlen(query[i]));
    }
}

/* TD_COAP_CORE_21 and 22 */
Test(plugtest, an_etag_is_of_the_content)
{
    uint8_t etag[MESSAGE_ETAG_MAX];
    struct ask get = {.uri = "/validate"};
    struct ask put = {.uri = "/validate", .code = CODE_PUT, .payload = "another"};
    struct message answer = answer_to(&get);
    cr_assert_eq(answer.code, CODE_CONTENT);
    cr_assert_eq(answer.options[0].number, OPTION_ETAG);
    cr_assert_eq(answer.options[0].length, sizeof etag);
    memcpy(etag, answer.options[0].value, sizeof etag);

    get.options[0] = (struct message_option){OPTION_ETAG, sizeof etag, etag};
    answer = answer_to(&get);
    expect("valid", &answer, CODE_VALID, "");
    put.options[0] = (struct message_option){OPTION_IF_MATCH, sizeof etag, etag};
    answer = answer_to(&put);
    expect("as it was", &answer, CODE_CHANGED, "");
    answer = answer_to(&put);
    expect("not any more", &answer, CODE_PRECONDITION_FAILED, "");
    answer = answer_to(&get);
    expect("no longer valid", &answer, CODE_CONTENT, "another");
}

Test(plugtest, is_not_there_unless_asked_for)
{
    static const char *const uris[] = {"/test", "/separate", "/large", "/link1", "/path/sub1"};
    struct coap_bench other;
    coap_bench_open(&other, 64);
    for (size_t i = 0; i < sizeof uris / sizeof *uris; i++) {
        const struct ask ask = {.uri = uris[i]};
        cr_assert_eq(coap_bench_ask(&other, &other.secured, 0, &ask), COAP_REPLY);
        cr_expect_eq(coap_bench_code(&other), CODE_NOT_FOUND, "%s", uris[i]);
    }
    coap_bench_close(&other);
}

/* TD_COAP_CORE_09 and 17 */
Test(plugtest, what_takes_a_while_is_separate)
{
    const struct ask asks[] = {
        {.id = 1, .token = "c", .uri = "/separate"},
        {.type = MESSAGE_NON, .id = 2, .token = "n", .uri = "/separate"},
    };
    struct message message;
    for (size_t i = 0; i < 2; i++)
        cr_assert_eq(coap_bench_ask(&bench, &bench.secured, 1000, &asks[i]), COAP_SILENCE);
    cr_assert_leq(coap_next_ms(bench.coap), 1000 + COAP_SEPARATE_MS);
    coap_bench_run(&bench, 1000 + COAP_SEPARATE_MS);
    coap_bench_take(&bench, &message);
    cr_expect_eq(message.type, MESSAGE_ACK);
    cr_expect_eq(message.code, CODE_EMPTY);
    cr_expect_eq(message.id, 1);
    cr_assert_leq(coap_next_ms(bench.coap), 1000 + PLUGTEST_SEPARATE_MS);
    coap_bench_run(&bench, 1000 + PLUGTEST_SEPARATE_MS);
    cr_assert_eq(bench.sent_count, 2);
    for (size_t i = 0; i < 2; i++) {
        cr_assert_eq(message_parse(&message, bench.sent[i].bytes, bench.sent[i].length),
                     MESSAGE_OK);
        cr_expect_eq(message.type, i == 0 ? MESSAGE_CON : MESSAGE_NON);
        cr_expect_eq(message.token[0], asks[i].token[0]);
        expect("separate", &message, CODE_CONTENT, "what took a while");
    }
}

/* Each of a peer of its own: one alone may have COAP_EXCHANGES_PER_PEER_MAX. */
Test(plugtest, no_more_than_so_many_wait)
{
    const struct ask ask = {.type = MESSAGE_NON, .uri = "/separate"};
    struct coap_peer peer = bench.plain;
    for (size_t i = 0; i < PLUGTEST_WAITS_MAX; i++) {
        peer.path.address.port++;
        cr_assert_eq(coap_bench_ask(&bench, &peer, 1000 + i, &ask), COAP_SILENCE);
    }
    peer.path.address.port++;
    cr_assert_eq(coap_bench_ask(&bench, &peer, 1100, &ask), COAP_REPLY);
    cr_expect_eq(coap_bench_code(&bench), CODE_UNAVAILABLE);
    for (size_t i = 0; i < PLUGTEST_WAITS_MAX; i++) {
        coap_bench_run(&bench, 1000 + PLUGTEST_SEPARATE_MS + i);
        cr_assert_geq(bench.sent_count, 1);
        bench.sent_count = 0;
    }
    cr_expect_eq(coap_bench_ask(&bench, &peer, 4000, &ask), COAP_SILENCE, "there is room again");
}

/* The one notification since the last, to an observer over plain CoAP. */
static struct message notification(void)
{
    struct message message;
    coap_bench_take(&bench, &message);
    return message;
}

static void answer_confirmable(const struct message *message)
{
    uint8_t ack[] = {0x60, 0, (uint8_t)(message->id >> 8), (uint8_t)message->id};
    if (message->type == MESSAGE_CON)
        coap_bench_receive(&bench, &bench.plain, 1000, ack, sizeof ack);
}

/* TD_COAP_OBS_07, 08 and 09, and what stands for a server that begins anew in TD_COAP_OBS_04 */
Test(plugtest, tells_observers_of_what_is_written)
{
    static const struct {
        const char *name;
        struct ask ask;
        uint8_t told; /* 0: nothing */
    } rows[] = {
        {"PUT", {.uri = "/obs", .code = CODE_PUT, .payload = "put"}, CODE_CONTENT},
        {"another format",
         {.uri = "/obs", .code = CODE_PUT, .payload = "<x/>", .has_format = true, .format = 41},
         CODE_NOT_ACCEPTABLE},
        {"DELETE", {.uri = "/obs", .code = CODE_DELETE}, CODE_NOT_FOUND},
        {"forgotten", {.uri = "/obs-reset", .code = CODE_POST}, 0},
    };
    coap_bench_run(&bench, 1000);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const struct ask restore = {.uri = "/obs", .code = CODE_PUT, .payload = "before"};
        const struct ask observe = {.id = (uint16_t)(100 + i),
                                    .token = "o",
                                    .uri = "/obs",
                                    .options = {{OPTION_OBSERVE, 0, NULL}}};
        struct message message = answer_to(&restore);
        bench.sent_count = 0;
        cr_assert_eq(coap_bench_ask(&bench, &bench.plain, 1000, &observe), COAP_REPLY);
        cr_assert_eq(message_parse(&message, bench.reply, bench.reply_length), MESSAGE_OK);
        cr_assert_eq(message.code, CODE_CONTENT, "%s", rows[i].name);
        message = answer_to(&rows[i].ask);
        cr_expect_eq(MESSAGE_CODE_CLASS(message.code), 2, "%s", rows[i].name);
        coap_bench_run(&bench, 1001);
        cr_assert_eq(bench.sent_count, rows[i].told ? 1 : 0, "%s", rows[i].name);
        if (rows[i].told) {
            message = notification();
            cr_expect_eq(message.code, rows[i].told, "%s", rows[i].name);
            answer_confirmable(&message);
        }
        const struct ask forget = {.uri = "/obs-reset", .code = CODE_POST};
        (void)answer_to(&forget);
        bench.sent_count = 0;
    }
}
