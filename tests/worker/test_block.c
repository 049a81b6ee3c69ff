#include "tests/worker/ask.h"
#include "worker/block.h"

#include "shared/hash.h"

#include <criterion/criterion.h>

static uint8_t bytes[DATAGRAM_SIZE_MAX];
static struct message message;

static void write(const struct ask *ask)
{
    cr_assert_eq(message_parse(&message, bytes, ask_write(ask, bytes, sizeof bytes)), MESSAGE_OK);
}

/* "NUM: Block Number [...] M: More Flag [...] SZX: Block Size" (RFC 7959 section 2.2) */
Test(block, reads_its_option)
{
    static const struct {
        const char *name;
        uint16_t length;
        uint8_t value[4];
        enum block_outcome outcome;
        struct block block;
    } rows[] = {
        {"no octets: block 0 of 16", 0, {0}, BLOCK_FOUND, {0, false, 0}},
        {"2/1/128", 1, {0x2b}, BLOCK_FOUND, {2, true, 3}},
        {"15/0/1024", 1, {0xf6}, BLOCK_FOUND, {15, false, 6}},
        {"16/1/16", 2, {0x01, 0x08}, BLOCK_FOUND, {16, true, 0}},
        {"leading zeros", 3, {0, 0, 0x13}, BLOCK_FOUND, {1, false, 3}},
        {"the highest number", 3, {0xff, 0xff, 0xfe}, BLOCK_FOUND, {0xfffff, true, 6}},
        {"the reserved size", 1, {0x07}, BLOCK_RESERVED, {0}},
        {"the reserved size, more", 2, {0x10, 0x0f}, BLOCK_RESERVED, {0}},
        {"four octets", 4, {0, 0, 0, 0x06}, BLOCK_RESERVED, {0}},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct ask ask = {.options = {{OPTION_BLOCK2, rows[i].length, rows[i].value}}};
        struct block block = {0};
        write(&ask);
        cr_expect_eq(block_read(&block, &message, OPTION_BLOCK1), BLOCK_NONE, "%s", rows[i].name);
        cr_expect_eq(block_read(&block, &message, OPTION_BLOCK2), rows[i].outcome, "%s",
                     rows[i].name);
        cr_expect_eq(block.number, rows[i].block.number, "%s", rows[i].name);
        cr_expect_eq(block.more, rows[i].block.more, "%s", rows[i].name);
        cr_expect_eq(block.szx, rows[i].block.szx, "%s", rows[i].name);
    }
}

Test(block, gives_the_value_that_it_reads)
{
    static const uint32_t values[] = {0, 8, 0x2b, 0xf6, 0x108, 0xfffffe};
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        const struct block block = {values[i] >> 4, values[i] >> 3 & 1, values[i] & 7};
        cr_expect_eq(block_value(&block), values[i]);
    }
}

Test(block, cuts_a_body)
{
    static uint8_t body[100];
    static const struct {
        const char *name;
        struct block asked;
        size_t length;
        bool there, more;
        size_t offset, part;
    } rows[] = {
        {"an empty body", {0, false, 2}, 0, true, false, 0, 0},
        {"behind an empty body", {1, false, 2}, 0, false, false, 0, 0},
        {"the first", {0, false, 2}, 100, true, true, 0, 64},
        {"the last", {1, false, 2}, 100, true, false, 64, 36},
        {"behind the last", {2, false, 2}, 100, false, false, 0, 0},
        {"a full last one", {5, false, 0}, 96, true, false, 80, 16},
        {"where the body ends", {6, false, 0}, 96, false, false, 0, 0},
        {"all in one", {0, false, 6}, 100, true, false, 0, 100},
        /* "the server MUST ignore it on reception" (RFC 7959 section 2.4) */
        {"M is of no account", {1, true, 2}, 100, true, false, 64, 36},
        {"the highest number", {0xfffff, false, 6}, 100, false, false, 0, 0},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct block block = rows[i].asked;
        struct octets part = {0};
        bool there = block_slice(&block, (struct octets){body, rows[i].length}, &part);
        cr_expect_eq(there, rows[i].there, "%s", rows[i].name);
        if (!there || !rows[i].there)
            continue;
        cr_expect_eq(block.more, rows[i].more, "%s", rows[i].name);
        cr_expect_eq(part.length, rows[i].part, "%s", rows[i].name);
        if (part.length > 0)
            cr_expect_eq(part.bytes, body + rows[i].offset, "%s", rows[i].name);
    }
}

/* "all options except elective NoCacheKey and except Block1/2" (RFC 9175 section 3.3) */
Test(block, tells_requests_apart_by_what_stays_the_same)
{
    static const struct hash_key key = {1, 2};
    static const uint8_t octets[8] = {1, 2, 3, 4, 5, 6, 7, 8};
    const struct ask base = {
        .code = CODE_POST, .id = 1, .token = "t", .uri = "/a?b=c", .payload = "x"};
    const struct {
        const char *name;
        struct ask ask;
        bool same;
    } rows[] = {
        {"itself", base, true},
        {"other id, token, payload, type",
         {.type = MESSAGE_NON, .code = CODE_POST, .id = 9, .uri = "/a?b=c", .payload = "yy"},
         true},
        {"Block1, Block2",
         {.code = CODE_POST,
          .uri = "/a?b=c",
          .options = {{OPTION_BLOCK1, 1, octets}, {OPTION_BLOCK2, 1, octets}}},
         true},
        {"Size1, Size2: elective and NoCacheKey",
         {.code = CODE_POST,
          .uri = "/a?b=c",
          .options = {{OPTION_SIZE1, 1, octets}, {OPTION_SIZE2, 0, octets}}},
         true},
        {"other method", {.code = CODE_PUT, .uri = "/a?b=c"}, false},
        {"other path", {.code = CODE_POST, .uri = "/b?b=c"}, false},
        {"other query", {.code = CODE_POST, .uri = "/a?b=d"}, false},
        {"a path split elsewhere", {.code = CODE_POST, .uri = "/a/?b=c"}, false},
        {"other format",
         {.code = CODE_POST, .uri = "/a?b=c", .has_format = true, .format = 50},
         false},
        {"a Request-Tag",
         {.code = CODE_POST, .uri = "/a?b=c", .options = {{OPTION_REQUEST_TAG, 1, octets}}},
         false},
        /* "The absence of a Request-Tag option is viewed as a value distinct from all values with a
         * single Request-Tag option set" (RFC 9175 section 3.4) */
        {"an empty Request-Tag",
         {.code = CODE_POST, .uri = "/a?b=c", .options = {{OPTION_REQUEST_TAG, 0, octets}}},
         false},
    };
    write(&base);
    uint64_t request = block_request_key(&key, &message);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        write(&rows[i].ask);
        cr_expect_eq(block_request_key(&key, &message) == request, rows[i].same, "%s",
                     rows[i].name);
    }
}
