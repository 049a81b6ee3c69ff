#include "worker/message.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

/* In a block of exactly its size, so that a read past its end is seen. */
static enum message_outcome parse(struct message *message, const uint8_t *bytes, size_t length,
                                  uint8_t **copy)
{
    *copy = malloc(length ? length : 1);
    if (length > 0)
        memcpy(*copy, bytes, length);
    return message_parse(message, *copy, length);
}

#define BYTES(...) (const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__})

Test(message, tells_the_format_errors_apart)
{
    const struct {
        const char *name;
        const uint8_t *bytes;
        size_t length;
        enum message_outcome outcome;
    } rows[] = {
        {"nothing", NULL, 0, MESSAGE_SHORT_HEADER},
        {"3 octets", BYTES(0x40, 0x01, 0x12), MESSAGE_SHORT_HEADER},
        {"version 0", BYTES(0x00, 0x01, 0x12, 0x34), MESSAGE_BAD_VERSION},
        {"version 2", BYTES(0x80, 0x01, 0x12, 0x34), MESSAGE_BAD_VERSION},
        {"version 3, as of DTLS 1.3 headers", BYTES(0xc0, 0x01, 0x12, 0x34), MESSAGE_BAD_VERSION},
        {"version before token length", BYTES(0x8f, 0x01, 0x12, 0x34), MESSAGE_BAD_VERSION},
        {"token of 8, 7 there", BYTES(0x48, 0x01, 0x12, 0x34, 1, 2, 3, 4, 5, 6, 7),
         MESSAGE_SHORT_TOKEN},
        {"token of 8", BYTES(0x48, 0x01, 0x12, 0x34, 1, 2, 3, 4, 5, 6, 7, 8), MESSAGE_OK},
        {"value cut off", BYTES(0x40, 0x01, 0x12, 0x34, 0xb2, 'a'), MESSAGE_BAD_OPTION},
        {"no extended delta", BYTES(0x40, 0x01, 0x12, 0x34, 0xd0), MESSAGE_BAD_OPTION},
        {"half an extended delta", BYTES(0x40, 0x01, 0x12, 0x34, 0xe0, 0), MESSAGE_BAD_OPTION},
        {"no extended length", BYTES(0x40, 0x01, 0x12, 0x34, 0xbd), MESSAGE_BAD_OPTION},
        {"half an extended length", BYTES(0x40, 0x01, 0x12, 0x34, 0xbe, 0), MESSAGE_BAD_OPTION},
        {"extended length past the end", BYTES(0x40, 0x01, 0x12, 0x34, 0xbd, 0, 'a'),
         MESSAGE_BAD_OPTION},
        {"two octets of length past the end", BYTES(0x40, 0x01, 0x12, 0x34, 0xbe, 0xff, 0xff, 'a'),
         MESSAGE_BAD_OPTION},
        {"delta 15, not the marker", BYTES(0x40, 0x01, 0x12, 0x34, 0xf0, 'a'), MESSAGE_BAD_OPTION},
        {"length 15", BYTES(0x40, 0x01, 0x12, 0x34, 0xbf, 'a', 'b'), MESSAGE_BAD_OPTION},
        {"number 65535", BYTES(0x40, 0x01, 0x12, 0x34, 0xe0, 0xfe, 0xf2), MESSAGE_OK},
        {"number 65536", BYTES(0x40, 0x01, 0x12, 0x34, 0xe0, 0xfe, 0xf3), MESSAGE_BAD_OPTION},
        {"number 65548", BYTES(0x40, 0x01, 0x12, 0x34, 0xe0, 0xfe, 0xff), MESSAGE_BAD_OPTION},
        {"number 65804", BYTES(0x40, 0x01, 0x12, 0x34, 0xe0, 0xff, 0xff), MESSAGE_BAD_OPTION},
        {"number 65536 in two steps", BYTES(0x40, 0x01, 0x12, 0x34, 0xe0, 0xfe, 0xf2, 0x10),
         MESSAGE_BAD_OPTION},
        {"marker alone", BYTES(0x40, 0x01, 0x12, 0x34, 0xff), MESSAGE_BARE_MARKER},
        {"marker after an option", BYTES(0x40, 0x01, 0x12, 0x34, 0xb1, 'a', 0xff),
         MESSAGE_BARE_MARKER},
        {"empty", BYTES(0x40, 0x00, 0x12, 0x34), MESSAGE_OK},
        {"empty, with a token", BYTES(0x41, 0x00, 0x12, 0x34, 1), MESSAGE_NOT_EMPTY},
        {"empty, its token missing", BYTES(0x41, 0x00, 0x12, 0x34), MESSAGE_NOT_EMPTY},
        {"empty, with an option", BYTES(0x40, 0x00, 0x12, 0x34, 0xb1, 'a'), MESSAGE_NOT_EMPTY},
        {"empty, with a payload", BYTES(0x40, 0x00, 0x12, 0x34, 0xff, 'a'), MESSAGE_NOT_EMPTY},
        {"reserved class", BYTES(0x40, 0xe1, 0x12, 0x34), MESSAGE_OK},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct message message;
        uint8_t *copy;
        cr_expect_eq(parse(&message, rows[i].bytes, rows[i].length, &copy), rows[i].outcome, "%s",
                     rows[i].name);
        free(copy);
    }
}

Test(message, refuses_token_lengths_9_to_15)
{
    for (uint8_t length = 9; length <= 15; length++) {
        uint8_t bytes[4 + 15] = {(uint8_t)(0x40 | length), 0x01, 0xab, 0xcd};
        struct message message;
        cr_expect_eq(message_parse(&message, bytes, sizeof bytes), MESSAGE_BAD_TOKEN_LENGTH);
        cr_expect_eq(message.type, MESSAGE_CON);
        cr_expect_eq(message.id, 0xabcd, "the Reset needs it");
    }
}

Test(message, every_truncation_is_refused_or_shorter)
{
    static const uint8_t whole[] = {0x44, 0x02, 0x12, 0x34, 't', 'o',  'k',  'n',
                                    0xb4, 'e',  'c',  'h',  'o', 0x10, 0x46, 'r',
                                    'l',  'e',  'n',  '=',  '3', 0xff, 'h',  'i'};
    for (size_t length = 0; length < sizeof whole; length++) {
        struct message message;
        uint8_t *copy;
        enum message_outcome outcome = parse(&message, whole, length, &copy);
        cr_expect(outcome != MESSAGE_OK || message.option_count < 4 || message.payload_length < 2,
                  "%zu octets", length);
        free(copy);
    }
}

Test(message, shows_header_token_options_and_payload)
{
    static const uint8_t bytes[] = {
        0x52, 0x02, 0x12, 0x34, 0xca, 0xfe, /* NON POST, token of 2 */
        0x31, 'h',                          /* 3 */
        0x83, 'a',  'b',  'c',              /* 11 */
        0x00,                               /* 11, empty */
        0x11, 60,                           /* 12 */
        0xd1, 0x00, 'q',                    /* 25 */
        0xe1, 0x06, 0x5d, 'r',              /* 25 + 269 + 1629 = 1923 */
        0xff, 'p',  'a',  'y',
    };
    static const struct message_option options[] = {
        {3, 1, bytes + 7},   {11, 3, bytes + 9},  {11, 0, bytes + 13},
        {12, 1, bytes + 14}, {25, 1, bytes + 17}, {1923, 1, bytes + 21},
    };
    struct message message;
    cr_assert_eq(message_parse(&message, bytes, sizeof bytes), MESSAGE_OK);
    cr_assert_eq(message.type, MESSAGE_NON);
    cr_assert_eq(message.code, CODE_POST);
    cr_assert_eq(message.id, 0x1234);
    cr_assert_eq(message.token_length, 2);
    cr_assert_eq(message.token, bytes + 4);
    cr_assert_eq(message.length, sizeof bytes);
    cr_assert_eq(message.payload, bytes + 23);
    cr_assert_eq(message.payload_length, 3);
    cr_assert_eq(message.option_count, sizeof options / sizeof *options);
    for (size_t i = 0; i < message.option_count; i++) {
        cr_expect_eq(message.options[i].number, options[i].number, "option %zu", i);
        cr_expect_eq(message.options[i].length, options[i].length, "option %zu", i);
        cr_expect_eq(message.options[i].value, options[i].value, "option %zu", i);
    }
}

Test(message, bounds_the_number_of_options)
{
    uint8_t bytes[4 + COAP_OPTIONS_MAX + 1] = {0x40, 0x01, 0, 1};
    struct message message;
    cr_assert_eq(message_parse(&message, bytes, sizeof bytes - 1), MESSAGE_OK);
    cr_assert_eq(message.option_count, COAP_OPTIONS_MAX);
    cr_assert_eq(message_parse(&message, bytes, sizeof bytes), MESSAGE_TOO_MANY_OPTIONS);
}

Test(message, reads_numbers_with_leading_zeros)
{
    const struct {
        const uint8_t *bytes;
        size_t length;
        uint32_t number;
    } rows[] = {
        {NULL, 0, 0},
        {BYTES(0), 0},
        {BYTES(60), 60},
        {BYTES(0, 60), 60},
        {BYTES(1, 2), 0x102},
        {BYTES(0, 0, 1, 2), 0x102},
        {BYTES(0xff, 0xff, 0xff, 0xff), 0xffffffff},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct message_option option = {1, (uint16_t)rows[i].length, rows[i].bytes};
        cr_expect_eq(message_option_number(&option), rows[i].number, "row %zu", i);
    }
}

Test(message, builds_what_the_rfc_shows)
{
    uint8_t space[64];
    struct writer writer = writer_over(space, sizeof space);
    struct message_builder builder;
    message_begin(&builder, &writer, MESSAGE_ACK, CODE_CONTENT, 0x7d34, (const uint8_t *)"\x20", 1);
    message_add_number(&builder, OPTION_CONTENT_FORMAT, 0);
    message_add_number(&builder, 14, 0x12345);
    message_add_number(&builder, 65000, 256);
    message_add_payload(&builder, (const uint8_t *)"22.3 C", 6);
    static const uint8_t expected[] = {0x61, 0x45, 0x7d, 0x34, 0x20, 0xc0, 0x23, 0x01,
                                       0x23, 0x45, 0xe2, 0xfc, 0xcd, 0x01, 0x00, 0xff,
                                       '2',  '2',  '.',  '3',  ' ',  'C'};
    cr_assert(writer_ok(&writer));
    cr_assert_eq(writer_length(&writer), sizeof expected);
    cr_assert_arr_eq(space, expected, sizeof expected);
}

Test(message, has_no_marker_without_payload)
{
    uint8_t space[8];
    struct writer writer = writer_over(space, sizeof space);
    struct message_builder builder;
    message_begin(&builder, &writer, MESSAGE_NON, CODE_CHANGED, 1, NULL, 0);
    message_add_payload(&builder, NULL, 0);
    cr_assert_eq(writer_length(&writer), 4);
}

Test(message, writes_empty_messages)
{
    uint8_t space[8];
    struct writer writer = writer_over(space, sizeof space);
    message_write_empty(&writer, MESSAGE_RST, 0xbeef);
    message_write_empty(&writer, MESSAGE_CON, 0x0001);
    static const uint8_t expected[] = {0x70, 0x00, 0xbe, 0xef, 0x40, 0x00, 0x00, 0x01};
    cr_assert_arr_eq(space, expected, sizeof expected);
}

Test(message, want_of_space_sticks)
{
    uint8_t space[24];
    for (size_t size = 0; size <= 16; size++) {
        struct writer writer = writer_over(space, size);
        struct message_builder builder;
        memset(space, 0xaa, sizeof space);
        message_begin(&builder, &writer, MESSAGE_ACK, CODE_CONTENT, 1, (const uint8_t *)"ab", 2);
        message_add_option(&builder, OPTION_URI_QUERY, (const uint8_t *)"abcd", 4);
        message_add_payload(&builder, (const uint8_t *)"xy", 2);
        cr_expect_eq(writer_ok(&writer), size >= 15, "%zu octets", size);
        cr_expect_eq(space[size], 0xaa, "%zu octets", size);
    }
}

#define SAFE(bytes) message_is_safe((const uint8_t *)(bytes), sizeof(bytes) - 1)

Test(message, what_may_be_taken_twice)
{
    cr_expect(SAFE("\x40\x00\x12\x34"), "ping");
    cr_expect(SAFE("\x40\x01\x12\x34\xb1/"), "GET");
    cr_expect(SAFE("\x50\x05\x12\x34"), "FETCH");
    cr_expect_not(SAFE("\x40\x02\x12\x34"), "POST");
    cr_expect_not(SAFE("\x40\x03\x12\x34"), "PUT");
    cr_expect_not(SAFE("\x40\x04\x12\x34"), "DELETE");
    cr_expect_not(SAFE("\x40\x01\x12\x34\x60"), "GET that registers");
    cr_expect_not(SAFE("\x40\x01\x12\x34\x61\x01\x51/"), "GET that deregisters");
    cr_expect_not(SAFE("\x60\x45\x12\x34"), "a response");
    cr_expect_not(SAFE("\x40\x01\x12\x34\xff"), "what does not parse");
}
