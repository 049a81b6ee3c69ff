#include "tests/worker/ps_bench.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

static struct ps_bench bench;

static void open_bench(void)
{
    ps_bench_open(&bench, "*", "*");
}

static void close_bench(void)
{
    ps_bench_close(&bench);
}

TestSuite(ps, .init = open_bench, .fini = close_bench);

static uint8_t get(const char *uri)
{
    return ps_bench_ask(&bench, &(struct ask){.uri = uri});
}

/* draft-ietf-core-coap-pubsub, "Publish": "Typically, this is a 2.04 (Changed) response. However,
 * when data is published to the topic for the first time, the server returns a 2.01 (Created)
 * response" */
Test(ps, what_is_published_can_be_read)
{
    cr_expect_eq(get("/ps/room"), CODE_NOT_FOUND);
    cr_expect_eq(ps_bench_put(&bench, "/ps/room", "21"), CODE_CREATED);
    cr_expect_eq(ps_bench_put(&bench, "/ps/room", "22"), CODE_CHANGED);
    cr_expect_eq(get("/ps/room"), CODE_CONTENT);
    cr_expect_str_eq(bench.payload, "22");
    const struct message_option *format = ps_bench_option(&bench, OPTION_CONTENT_FORMAT);
    cr_assert_not_null(format);
    cr_expect_eq(message_option_number(format), FORMAT_TEXT);
    cr_expect_null(ps_bench_option(&bench, OPTION_OBSERVE));
    cr_expect_eq(ps_bench_put(&bench, "/ps/a/b/c", "deep"), CODE_CREATED);
    cr_expect_eq(get("/ps/a/b/c"), CODE_CONTENT);
    cr_expect_eq(coap_bench_count(&bench.coap, WORKER_PS_PUBLISHED), 3);
}

Test(ps, what_is_removed_is_not_there)
{
    const struct ask remove = {.code = CODE_DELETE, .uri = "/ps/room"};
    cr_expect_eq(ps_bench_ask(&bench, &remove), CODE_NOT_FOUND);
    ps_bench_put(&bench, "/ps/room", "21");
    cr_expect_eq(ps_bench_ask(&bench, &remove), CODE_DELETED);
    cr_expect_eq(get("/ps/room"), CODE_NOT_FOUND);
    cr_expect_eq(ps_bench_put(&bench, "/ps/room", "21"), CODE_CREATED);
}

/* "Since the representation of the topic collection resource includes the links", "Every topic
 * collection resource MUST support this query." (same draft, "Discovery") */
Test(ps, the_collection_links_to_the_topics)
{
    cr_expect_eq(get("/ps"), CODE_CONTENT);
    cr_expect_str_eq(bench.payload, "");
    ps_bench_put(&bench, "/ps/b", "1");
    ps_bench_put(&bench, "/ps/a/x", "1");
    cr_expect_eq(get("/ps"), CODE_CONTENT);
    cr_expect_str_eq(bench.payload, "</ps/a/x>,</ps/b>");
    get("/ps?rt=core.ps.data");
    cr_expect_str_eq(bench.payload, "</ps/a/x>,</ps/b>");
    get("/ps?rt=temperature");
    cr_expect_str_eq(bench.payload, "");
    get("/ps?after=a%2Fx");
    cr_expect_eq(bench.message.code, CODE_CONTENT);
    cr_expect_eq(get("/ps?other"), CODE_BAD_REQUEST);
    cr_expect_eq(
        ps_bench_ask(&bench,
                     &(struct ask){.uri = "/ps", .has_accept = true, .accept = FORMAT_JSON}),
        CODE_NOT_ACCEPTABLE);
}

Test(ps, a_long_collection_is_read_in_parts)
{
    char uri[64];
    for (unsigned i = 0; i < 400; i++) {
        snprintf(uri, sizeof(uri), "a-topic-with-a-name-of-some-length-%04u", i);
        ps_bench_change(&bench, uri, "x");
    }
    const struct ask first = {.uri = "/ps"};
    uint8_t code = ps_bench_ask(&bench, &first);
    cr_expect(code == CODE_CONTENT || code == CODE_INTERNAL_ERROR);
}

Test(ps, a_topic_is_created_with_its_format)
{
    static const uint8_t properties[] = "\xa3\x00\x64room\x02\x6c"
                                        "core.ps.data\x03\x00";
    const struct ask create = {.code = CODE_POST,
                               .uri = "/ps",
                               .has_format = true,
                               .format = FORMAT_PUBSUB_CBOR,
                               .payload = properties,
                               .payload_length = sizeof(properties) - 1};
    cr_expect_eq(ps_bench_ask(&bench, &create), CODE_CREATED);
    cr_expect_eq(bench.message.options[0].number, OPTION_LOCATION_PATH);
    cr_expect_eq(memcmp(bench.message.options[0].value, "ps", 2), 0);
    cr_expect_eq(memcmp(bench.message.options[1].value, "room", 4), 0);
    cr_expect_not_null(memmem(bench.payload, sizeof(bench.payload), "/ps/room", 8));
    cr_expect_eq(ps_bench_ask(&bench, &create), CODE_BAD_REQUEST, "it is there");
    cr_expect_eq(get("/ps/room"), CODE_NOT_FOUND, "half created");
    const struct ask json = {.code = CODE_PUT,
                             .uri = "/ps/room",
                             .has_format = true,
                             .format = FORMAT_JSON,
                             .payload = "{}"};
    cr_expect_eq(ps_bench_ask(&bench, &json), CODE_UNSUPPORTED_FORMAT);
    cr_expect_eq(ps_bench_put(&bench, "/ps/room", "21"), CODE_CREATED);
    const struct ask untyped = {.code = CODE_PUT, .uri = "/ps/room", .payload = "x"};
    cr_expect_eq(ps_bench_ask(&bench, &untyped), CODE_UNSUPPORTED_FORMAT);
}

Test(ps, what_no_topic_can_be_made_of_is_refused)
{
    const struct ask rows[] = {
        {.code = CODE_POST, .uri = "/ps", .payload = "x"},
        {.code = CODE_POST, .uri = "/ps"},
        {.code = CODE_POST, .uri = "/ps", .has_format = true, .format = 0, .payload = "x"},
        {.code = CODE_PUT, .uri = "/ps"},
        {.code = CODE_POST, .uri = "/ps/room"},
        {.code = CODE_PUT, .uri = "/ps/a/b/c/d", .payload = "x"},
        {.code = CODE_PUT, .uri = "/ps/", .payload = "x"},
    };
    static const uint8_t codes[] = {
        CODE_BAD_REQUEST,        CODE_BAD_REQUEST, CODE_UNSUPPORTED_FORMAT, CODE_METHOD_NOT_ALLOWED,
        CODE_METHOD_NOT_ALLOWED, CODE_NOT_FOUND,   CODE_NOT_FOUND,
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++)
        cr_expect_eq(ps_bench_ask(&bench, &rows[i]), codes[i], "%zu: %x", i, bench.message.code);
}

/* RFC 7252 section 5.10.8 */
Test(ps, conditions_hold_or_nothing_is_done)
{
    struct ask ask = {.code = CODE_PUT, .uri = "/ps/room", .payload = "x"};
    ask.options[0] = (struct message_option){OPTION_IF_MATCH, 0, NULL};
    cr_expect_eq(ps_bench_ask(&bench, &ask), CODE_PRECONDITION_FAILED);
    ask.options[0] = (struct message_option){OPTION_IF_NONE_MATCH, 0, NULL};
    cr_expect_eq(ps_bench_ask(&bench, &ask), CODE_CREATED);
    cr_expect_eq(ps_bench_ask(&bench, &ask), CODE_PRECONDITION_FAILED);
    ask.options[0] = (struct message_option){OPTION_IF_MATCH, 0, NULL};
    cr_expect_eq(ps_bench_ask(&bench, &ask), CODE_CHANGED);
    ask.options[0] = (struct message_option){OPTION_IF_MATCH, 1, (const uint8_t *)"e"};
    cr_expect_eq(ps_bench_ask(&bench, &ask), CODE_PRECONDITION_FAILED);
}

Test(ps, data_up_to_their_bound)
{
    char data[TOPIC_DATA_MAX + 2];
    memset(data, 'x', sizeof(data));
    data[TOPIC_DATA_MAX] = '\0';
    cr_expect_eq(ps_bench_put(&bench, "/ps/room", data), CODE_CREATED);
    cr_expect_eq(get("/ps/room"), CODE_CONTENT);
    cr_expect_eq(bench.message.payload_length, TOPIC_DATA_MAX);
    data[TOPIC_DATA_MAX] = 'x';
    data[TOPIC_DATA_MAX + 1] = '\0';
    cr_expect_eq(ps_bench_put(&bench, "/ps/room", data), CODE_TOO_LARGE);
}

Test(ps, a_repeated_publication_is_one)
{
    const struct ask ask = {.code = CODE_PUT, .uri = "/ps/room", .payload = "x", .id = 77};
    struct coap_bench *coap = &bench.coap;
    cr_expect_eq(coap_bench_ask(coap, &coap->secured, bench.now_ms, &ask), COAP_SILENCE);
    cr_expect_eq(coap_bench_ask(coap, &coap->secured, bench.now_ms, &ask), COAP_SILENCE);
    ps_bench_pass(&bench, 10);
    cr_expect_eq(coap->sent_count, 1);
    cr_expect_eq(coap->sent[0].bytes[1], CODE_CREATED);
    cr_expect_eq(coap_bench_ask(coap, &coap->secured, bench.now_ms, &ask), COAP_REPLY);
    cr_expect_eq(coap_bench_code(coap), CODE_CREATED, "what it was answered, again");
    cr_expect_eq(coap_bench_count(coap, WORKER_PS_PUBLISHED), 1);
}

Test(ps, plain_coap_sees_none_of_it)
{
    const struct ask ask = {.uri = "/ps"};
    cr_expect_eq(coap_bench_ask(&bench.coap, &bench.coap.plain, bench.now_ms, &ask), COAP_REPLY);
    cr_expect_eq(coap_bench_code(&bench.coap), CODE_NOT_FOUND);
}

Test(ps, who_may_is_configured)
{
    close_bench();
    ps_bench_open(&bench, "sensor-*=mine", "sensor-7=mine,other");
    cr_expect_eq(ps_bench_put(&bench, "/ps/mine", "x"), CODE_CREATED);
    cr_expect_eq(ps_bench_put(&bench, "/ps/yours", "x"), CODE_FORBIDDEN);
    cr_expect_eq(ps_bench_ask(&bench, &(struct ask){.code = CODE_DELETE, .uri = "/ps/yours"}),
                 CODE_FORBIDDEN);
    cr_expect_eq(get("/ps/mine"), CODE_CONTENT);
    cr_expect_eq(get("/ps/yours"), CODE_FORBIDDEN);
    cr_expect_eq(ps_bench_observe(&bench, "/ps/yours", "t", 0), CODE_FORBIDDEN);
    cr_expect_eq(bench.coap.unsaved_count, 1);
}
