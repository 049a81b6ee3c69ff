#include "worker/upload.h"

#include <criterion/criterion.h>
#include <string.h>

static uint8_t body[5000];
static uint8_t space[64];

/* A response with a Block1, or without one for szx 8. */
static enum upload_outcome take(struct upload *upload, uint8_t code, struct block block)
{
    struct writer writer = writer_over(space, sizeof space);
    struct message_builder builder;
    struct message response;
    message_begin(&builder, &writer, MESSAGE_ACK, code, 1, NULL, 0);
    if (block.szx < 8)
        message_add_number(&builder, OPTION_BLOCK1, block_value(&block));
    cr_assert_eq(message_parse(&response, space, writer_length(&writer)), MESSAGE_OK);
    return upload_take(upload, &response);
}

static void expect_next(const struct upload *upload, struct block expected, size_t length)
{
    struct block block;
    struct octets part = upload_next(upload, &block);
    cr_expect_eq(block.number, expected.number);
    cr_expect_eq(block.more, expected.more);
    cr_expect_eq(block.szx, expected.szx);
    cr_expect_eq(part.length, length);
    cr_expect_eq(part.bytes, body + block_offset(&expected));
}

static const struct block none = {.szx = 8};

Test(upload, sends_block_after_block)
{
    struct upload upload;
    upload_begin(&upload, (struct octets){body, 2100}, 6);
    expect_next(&upload, (struct block){0, true, 6}, 1024);
    cr_expect_eq(take(&upload, CODE_CONTINUE, (struct block){0, true, 6}), UPLOAD_MORE);
    expect_next(&upload, (struct block){1, true, 6}, 1024);
    cr_expect_eq(take(&upload, CODE_CONTINUE, (struct block){1, true, 6}), UPLOAD_MORE);
    expect_next(&upload, (struct block){2, false, 6}, 52);
    cr_expect_eq(take(&upload, CODE_CHANGED, (struct block){2, false, 6}), UPLOAD_DONE);
}

/* "Note that any reduction in the block size may mean that the second request starts with a block
 * number larger than one" (RFC 7959 section 2.5) */
Test(upload, heeds_a_smaller_size)
{
    struct upload upload;
    upload_begin(&upload, (struct octets){body, 200}, 3);
    cr_expect_eq(take(&upload, CODE_CONTINUE, (struct block){0, true, 1}), UPLOAD_MORE);
    expect_next(&upload, (struct block){4, true, 1}, 32);
    cr_expect_eq(take(&upload, CODE_CONTINUE, (struct block){4, true, 6}), UPLOAD_MORE);
    expect_next(&upload, (struct block){5, true, 1}, 32);
    cr_expect_eq(take(&upload, CODE_CONTINUE, (struct block){10, true, 0}), UPLOAD_MORE,
                 "numbered by its own size");
    expect_next(&upload, (struct block){12, false, 0}, 8);
}

/* After the first of three blocks. */
Test(upload, understands_each_response)
{
    static const struct {
        const char *name;
        uint8_t code;
        struct block block;
        enum upload_outcome outcome;
        uint32_t next; /* of UPLOAD_MORE */
    } rows[] = {
        {"taken by itself", CODE_CHANGED, {1, false, 2}, UPLOAD_MORE, 2},
        {"done early", CODE_CHANGED, {.szx = 8}, UPLOAD_DONE, 0},
        {"2.31 for another", CODE_CONTINUE, {7, true, 2}, UPLOAD_BROKEN, 0},
        {"2.31 without Block1", CODE_CONTINUE, {.szx = 8}, UPLOAD_BROKEN, 0},
        {"the reserved size", CODE_CONTINUE, {1, true, 7}, UPLOAD_BROKEN, 0},
        {"forgotten: once more", CODE_INCOMPLETE, {.szx = 8}, UPLOAD_MORE, 0},
        {"too large", CODE_TOO_LARGE, {.szx = 8}, UPLOAD_DONE, 0},
        {"too large, of that size", CODE_TOO_LARGE, {1, true, 2}, UPLOAD_DONE, 0},
        {"too large, smaller ones are not", CODE_TOO_LARGE, {0, true, 1}, UPLOAD_MORE, 0},
        {"another error", CODE_NOT_FOUND, {1, true, 2}, UPLOAD_DONE, 0},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct upload upload;
        upload_begin(&upload, (struct octets){body, 180}, 2);
        cr_assert_eq(take(&upload, CODE_CONTINUE, (struct block){0, true, 2}), UPLOAD_MORE);
        cr_expect_eq(take(&upload, rows[i].code, rows[i].block), rows[i].outcome, "%s",
                     rows[i].name);
        struct block block;
        upload_next(&upload, &block);
        if (rows[i].outcome == UPLOAD_MORE)
            cr_expect_eq(block.number, rows[i].next, "%s", rows[i].name);
    }
}

Test(upload, begins_anew_once_only)
{
    struct upload upload;
    upload_begin(&upload, (struct octets){body, 100}, 2);
    cr_expect_eq(take(&upload, CODE_INCOMPLETE, none), UPLOAD_DONE, "nothing came before");
    cr_assert_eq(take(&upload, CODE_CONTINUE, (struct block){0, true, 2}), UPLOAD_MORE);
    cr_expect_eq(take(&upload, CODE_INCOMPLETE, none), UPLOAD_MORE);
    cr_assert_eq(take(&upload, CODE_CONTINUE, (struct block){0, true, 2}), UPLOAD_MORE);
    cr_expect_eq(take(&upload, CODE_INCOMPLETE, none), UPLOAD_DONE);
}

Test(upload, does_not_go_on_behind_its_end)
{
    struct upload upload;
    upload_begin(&upload, (struct octets){body, 64}, 2);
    expect_next(&upload, (struct block){0, false, 2}, 64);
    cr_expect_eq(take(&upload, CODE_CONTINUE, (struct block){0, true, 2}), UPLOAD_BROKEN);
}
