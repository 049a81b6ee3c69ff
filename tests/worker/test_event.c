#include "worker/event.h"

#include "shared/limits.h"

#include <cbor.h>
#include <criterion/criterion.h>
#include <string.h>

static size_t write_event(const struct event *event, uint8_t *space)
{
    struct writer writer = writer_over(space, STORE_LONG_EVENT_MAX);
    event_write(&writer, event);
    cr_assert(writer_ok(&writer));
    return writer_length(&writer);
}

Test(event, octet_by_octet)
{
    static const uint8_t identity[] = {'a', 0xff};
    static const uint8_t cid[] = {0x07, 0x20};
    static const char expected[] = "\xa9\x67version\x01"
                                   "\x64time\x1b\x00\x00\x01\x8b\xcf\xe5\x68\x00"
                                   "\x64path\x67/events"
                                   "\x68identity\x42"
                                   "a\xff"
                                   "\x63"
                                   "cid\x42\x07\x20"
                                   "\x6amessage_id\x19\x12\x34"
                                   "\x64slot\x0f"
                                   "\x66"
                                   "format\x18\x3c"
                                   "\x67payload\x43\x01\x02\x03";
    static uint8_t space[STORE_LONG_EVENT_MAX];
    struct event event = {
        .unix_ms = 1700000000000,
        .path = "/events",
        .identity = {identity, sizeof identity},
        .cid = {cid, sizeof cid},
        .payload = {(const uint8_t *)"\x01\x02\x03", 3},
        .message_id = 0x1234,
        .format = 60,
        .has_format = true,
        .slot = 15,
    };
    size_t length = write_event(&event, space);
    cr_assert_eq(length, sizeof expected - 1);
    cr_assert_arr_eq(space, expected, length);
}

/* Read back by libcbor: one whole map, at the very bounds. */
static void check_longest(size_t payload_length, size_t length_max)
{
    static const uint8_t octets[COAP_BODY_MAX];
    static uint8_t space[STORE_LONG_EVENT_MAX];
    char path[256];
    memset(path, 'p', sizeof path - 1);
    path[sizeof path - 1] = '\0';
    struct event event = {
        .unix_ms = UINT64_MAX,
        .path = path,
        .identity = {octets, IDENTITY_LENGTH_MAX},
        .cid = {octets, CID_LENGTH_MAX},
        .payload = {octets, payload_length},
        .message_id = UINT16_MAX,
        .format = UINT16_MAX,
        .has_format = true,
        .has_observe = true,
        .observe = 0xffffff,
        .slot = UINT8_MAX,
    };
    for (int format = 0; format < 2; format++) {
        event.has_format = format;
        size_t length = write_event(&event, space);
        cr_expect_leq(length, length_max);
        struct cbor_load_result result;
        cbor_item_t *map = cbor_load(space, length, &result);
        cr_assert_not_null(map);
        cr_expect_eq(result.read, length);
        cr_expect(cbor_isa_map(map) && cbor_map_is_definite(map));
        cr_expect_eq(cbor_map_size(map), format ? 10 : 9);
        const struct cbor_pair *last = &cbor_map_handle(map)[cbor_map_size(map) - 1];
        cr_expect_eq(cbor_bytestring_length(last->value), payload_length);
        cbor_decref(&map);
    }
}

Test(event, the_longest_fits_the_log)
{
    check_longest(EVENT_PAYLOAD_MAX, STORE_EVENT_MAX);
    check_longest(COAP_BODY_MAX, STORE_LONG_EVENT_MAX);
}

Test(event, no_room_fails_the_writer)
{
    static uint8_t space[STORE_LONG_EVENT_MAX];
    struct event event = {.path = "/events", .payload = {(const uint8_t *)"xyz", 3}};
    size_t length = write_event(&event, space);
    for (size_t size = 0; size < length; size++) {
        struct writer writer = writer_over(space, size);
        event_write(&writer, &event);
        cr_expect_not(writer_ok(&writer), "%zu", size);
    }
}
