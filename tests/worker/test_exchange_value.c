#include "worker/exchange_value.h"

#include <criterion/criterion.h>
#include <string.h>

static const uint8_t written[] = "\x01\xff\xfe\x12\x34\x00\x00\x01\x8b\xcf\xe5\x68\x00"
                                 "\x61\x44\x12\x34t";

Test(exchange_value, reads_what_was_written)
{
    const struct exchange_value value = {
        .serial = 0xfffe,
        .message_id = 0x1234,
        .expires_unix_ms = 1700000000000,
        .reply = {(const uint8_t *)"\x61\x44\x12\x34t", 5},
    };
    uint8_t space[EXCHANGE_VALUE_MAX];
    struct exchange_value read;
    struct writer writer = writer_over(space, sizeof space);
    exchange_value_write(&writer, &value);
    cr_assert(writer_ok(&writer));
    cr_assert_eq(writer_length(&writer), sizeof written - 1);
    cr_assert_arr_eq(space, written, sizeof written - 1);
    cr_assert_eq(exchange_value_read(&read, (struct octets){space, writer_length(&writer)}),
                 STATUS_OK);
    cr_expect_eq(read.serial, value.serial);
    cr_expect_eq(read.message_id, value.message_id);
    cr_expect_eq(read.expires_unix_ms, value.expires_unix_ms);
    cr_expect_eq(read.reply.length, value.reply.length);
    cr_expect_arr_eq(read.reply.bytes, value.reply.bytes, value.reply.length);
}

/* All that is cut short is refused, but for what is a whole value without reply. */
Test(exchange_value, every_cut_is_noticed)
{
    for (size_t length = 0; length < sizeof written - 1; length++) {
        struct exchange_value read = {.serial = 77};
        enum status status = exchange_value_read(&read, (struct octets){written, length});
        bool whole = length == EXCHANGE_VALUE_HEADER;
        cr_expect_eq(status, whole ? STATUS_OK : STATUS_MALFORMED, "%zu", length);
        cr_expect(whole || read.serial == 77, "%zu: nothing is told of it", length);
    }
}

Test(exchange_value, other_versions_are_not_ours)
{
    uint8_t space[sizeof written - 1];
    struct exchange_value read;
    memcpy(space, written, sizeof space);
    for (unsigned version = 0; version < 256; version++) {
        space[0] = (uint8_t)version;
        cr_expect_eq(exchange_value_read(&read, (struct octets){space, sizeof space}),
                     version == EXCHANGE_VALUE_VERSION ? STATUS_OK : STATUS_UNSUPPORTED);
    }
}

Test(exchange_value, no_room_fails_the_writer)
{
    uint8_t space[EXCHANGE_VALUE_HEADER];
    struct exchange_value value = {.reply = {(const uint8_t *)"x", 1}};
    struct writer writer = writer_over(space, sizeof space);
    exchange_value_write(&writer, &value);
    cr_expect_not(writer_ok(&writer));
}
