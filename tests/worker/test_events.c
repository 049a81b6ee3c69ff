#include "tests/worker/ask.h"
#include "tests/worker/named_session.h"
#include "worker/events.h"

#include <cbor.h>
#include <criterion/criterion.h>
#include <string.h>

static union named_session sensor = {.session = {.id = 1, .own_cid = {2, {0x07, 0x20}}}};
static const struct resource resource = {.path = "/events", .changes = true};

static void post(const struct ask *ask, struct answer *answer)
{
    struct coap_peer peer = {.session_id = 1, .session = &sensor.session};
    struct resource_call call = {
        .peer = &peer, .resource = &resource, .now.unix_ms = 1700000000000, .slot = 3};
    named_session_set(&sensor, "sensor-7", 8);
    ask_handler(ask, &call, events_post, answer);
    cr_assert(answer->fits);
}

static cbor_item_t *value_of(cbor_item_t *map, const char *key)
{
    for (size_t i = 0; i < cbor_map_size(map); i++) {
        struct cbor_pair *pair = &cbor_map_handle(map)[i];
        if (cbor_string_length(pair->key) == strlen(key) &&
            memcmp(cbor_string_handle(pair->key), key, strlen(key)) == 0)
            return pair->value;
    }
    return NULL;
}

static void expect_octets(cbor_item_t *map, const char *key, const void *octets, size_t length)
{
    cbor_item_t *item = value_of(map, key);
    cr_assert_not_null(item, "%s", key);
    cr_assert_eq(cbor_bytestring_length(item), length, "%s", key);
    cr_assert_arr_eq(cbor_bytestring_handle(item), octets, length, "%s", key);
}

static void expect_number(cbor_item_t *map, const char *key, uint64_t number)
{
    cbor_item_t *item = value_of(map, key);
    cr_assert_not_null(item, "%s", key);
    cr_expect_eq(cbor_get_int(item), number, "%s", key);
}

Test(events, a_post_is_an_event)
{
    static const struct ask rows[] = {
        {.code = CODE_POST, .id = 7, .uri = "/events", .payload = "21.5"},
        {.code = CODE_POST,
         .id = 8,
         .uri = "/events",
         .has_format = true,
         .format = 60,
         .payload = "\xa0"},
        {.code = CODE_POST, .id = 9, .uri = "/events", .payload = "\0\xff\n", .payload_length = 3},
        {.code = CODE_POST, .id = 10, .uri = "/events"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct answer answer;
        struct cbor_load_result result;
        const char *payload = rows[i].payload ? rows[i].payload : "";
        post(&rows[i], &answer);
        cr_expect_eq(answer.reply.code, CODE_CHANGED);
        cr_expect_eq(answer.payload_length, 0);
        size_t length = writer_length(&answer.reply.event);
        cbor_item_t *map = cbor_load(answer.event, length, &result);
        cr_assert_not_null(map);
        cr_expect_eq(result.read, length);
        expect_number(map, "version", 1);
        expect_number(map, "time", 1700000000000);
        expect_octets(map, "identity", "sensor-7", 8);
        expect_octets(map, "cid", "\x07\x20", 2);
        expect_number(map, "message_id", rows[i].id);
        expect_number(map, "slot", 3);
        if (rows[i].has_format)
            expect_number(map, "format", rows[i].format);
        else
            cr_expect_null(value_of(map, "format"));
        expect_octets(map, "payload", payload,
                      rows[i].payload_length ? rows[i].payload_length : strlen(payload));
        cbor_decref(&map);
    }
}

Test(events, what_it_refuses_leaves_no_event)
{
    static const uint8_t payload[EVENT_PAYLOAD_MAX];
    static const struct {
        struct ask ask;
        uint8_t code;
        const char *diagnostic;
    } rows[] = {
        {{.uri = "/events?a=b", .payload = "x"}, CODE_BAD_REQUEST, "no query here"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct answer answer;
        post(&rows[i].ask, &answer);
        cr_expect_eq(answer.reply.code, rows[i].code);
        cr_expect_str_eq(answer.payload, rows[i].diagnostic);
        cr_expect_eq(writer_length(&answer.reply.event), 0);
    }
    struct answer answer;
    post(&(struct ask){.uri = "/events", .payload = payload, .payload_length = EVENT_PAYLOAD_MAX},
         &answer);
    cr_expect_eq(answer.reply.code, CODE_CHANGED);
}
