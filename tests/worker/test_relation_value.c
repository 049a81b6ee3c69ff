#include "worker/relation_value.h"

#include <criterion/criterion.h>
#include <string.h>

static const uint8_t written[] = "\x01\x02\x03\x02\xab\xcd\x00\x32\x06\x12\x34\x56"
                                 "\x00\x00\x01\x8b\xcf\xe5\x68\x00"
                                 "\x00\x00\x01\x8b\xcf\xe6\x52\x60/t?u=%20";

static struct relation_value value_of_written(void)
{
    return (struct relation_value){
        .role = RELATION_OBSERVATION,
        .token_length = 2,
        .token = {0xab, 0xcd},
        .has_format = true,
        .has_number = true,
        .format = 50,
        .block_exponent = 6,
        .number = 0x123456,
        .heard_unix_ms = 1700000000000,
        .expires_unix_ms = 1700000060000,
        .target = {(const uint8_t *)"/t?u=%20", 8},
    };
}

static enum status read_octets(struct relation_value *value, const uint8_t *bytes, size_t length)
{
    return relation_value_read(value, (struct octets){bytes, length});
}

Test(relation_value, reads_what_was_written)
{
    const struct relation_value value = value_of_written();
    uint8_t space[RELATION_VALUE_MAX];
    struct relation_value read;
    struct writer writer = writer_over(space, sizeof space);
    relation_value_write(&writer, &value);
    cr_assert(writer_ok(&writer));
    cr_assert_eq(writer_length(&writer), sizeof written - 1);
    cr_assert_arr_eq(space, written, sizeof written - 1);

    cr_assert_eq(read_octets(&read, space, writer_length(&writer)), STATUS_OK);
    cr_expect_eq(read.role, value.role);
    cr_expect_eq(read.token_length, value.token_length);
    cr_expect_arr_eq(read.token, value.token, sizeof value.token);
    cr_expect_eq(read.has_format, value.has_format);
    cr_expect_eq(read.has_number, value.has_number);
    cr_expect_eq(read.format, value.format);
    cr_expect_eq(read.block_exponent, value.block_exponent);
    cr_expect_eq(read.number, value.number);
    cr_expect_eq(read.heard_unix_ms, value.heard_unix_ms);
    cr_expect_eq(read.expires_unix_ms, value.expires_unix_ms);
    cr_expect_eq(read.target.length, value.target.length);
    cr_expect_arr_eq(read.target.bytes, value.target.bytes, value.target.length);
}

/* All that is cut short is refused, but for what only lost the end of its target. */
Test(relation_value, every_cut_is_noticed)
{
    for (size_t length = 0; length < sizeof written - 1; length++) {
        struct relation_value read = {.number = 77};
        enum status status = read_octets(&read, written, length);
        bool whole = length > RELATION_VALUE_HEADER + 2;
        cr_expect_eq(status, whole ? STATUS_OK : STATUS_MALFORMED, "%zu", length);
        cr_expect(whole || read.number == 77, "%zu: nothing is told of it", length);
    }
}

Test(relation_value, other_versions_are_not_ours)
{
    uint8_t space[sizeof written - 1];
    struct relation_value read;
    memcpy(space, written, sizeof space);
    for (unsigned version = 0; version < 256; version++) {
        space[0] = (uint8_t)version;
        cr_expect_eq(read_octets(&read, space, sizeof space),
                     version == RELATION_VALUE_VERSION ? STATUS_OK : STATUS_UNSUPPORTED);
    }
}

Test(relation_value, nonsense_is_refused)
{
    static const struct {
        const char *what;
        size_t at;
        uint8_t octet;
    } wrong[] = {
        {"no role", 1, 0},
        {"a role that is none", 1, 3},
        {"a flag that is none", 2, 7},
        {"a format without its flag", 2, 2},
        {"a number without its flag", 2, 1},
        {"a token of 9 octets", 3, 9},
        {"a block size that is none", 8, 8},
        {"a target that is no path", 28, 'x'},
        {"a blank in a target", 29, ' '},
        {"a control character", 29, 0x7f},
        {"beyond ASCII", 30, 0xc3},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        uint8_t space[sizeof written - 1];
        struct relation_value read;
        memcpy(space, written, sizeof space);
        space[wrong[i].at] = wrong[i].octet;
        cr_expect_eq(read_octets(&read, space, sizeof space), STATUS_MALFORMED, "%s",
                     wrong[i].what);
    }
}

Test(relation_value, the_longest_fits_and_one_octet_more_does_not)
{
    uint8_t target[RELATION_TARGET_MAX + 1], space[RELATION_VALUE_MAX + 1];
    struct relation_value read, value = value_of_written();
    memset(target, '/', sizeof target);
    value.token_length = MESSAGE_TOKEN_LENGTH_MAX;
    value.target = (struct octets){target, RELATION_TARGET_MAX};
    struct writer writer = writer_over(space, sizeof space);
    relation_value_write(&writer, &value);
    cr_assert_eq(writer_length(&writer), RELATION_VALUE_MAX);
    cr_expect_eq(read_octets(&read, space, writer_length(&writer)), STATUS_OK);

    value.target.length++;
    writer = writer_over(space, sizeof space);
    relation_value_write(&writer, &value);
    cr_assert(writer_ok(&writer));
    cr_expect_eq(read_octets(&read, space, writer_length(&writer)), STATUS_MALFORMED);
}

Test(relation_value, no_room_fails_the_writer)
{
    uint8_t space[sizeof written - 2];
    const struct relation_value value = value_of_written();
    struct writer writer = writer_over(space, sizeof space);
    relation_value_write(&writer, &value);
    cr_expect_not(writer_ok(&writer));
}
