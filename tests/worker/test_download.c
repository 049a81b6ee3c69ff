#include "worker/download.h"

#include <criterion/criterion.h>
#include <string.h>

static uint8_t sent[5000];
static uint8_t got[4096];
static uint8_t bytes[COAP_MESSAGE_SIZE_MAX];

struct part {
    const char *name;
    uint8_t code;
    struct block block; /* szx 8: no Block2 */
    size_t length;
    const char *etag;
    enum download_outcome outcome;
};

static enum download_outcome take(struct download *download, const struct part *part)
{
    struct writer writer = writer_over(bytes, sizeof bytes);
    struct message_builder builder;
    struct message response;
    message_begin(&builder, &writer, MESSAGE_ACK, part->code, 1, NULL, 0);
    if (part->etag)
        message_add_option(&builder, OPTION_ETAG, (const uint8_t *)part->etag, strlen(part->etag));
    if (part->block.szx < 8)
        message_add_number(&builder, OPTION_BLOCK2, block_value(&part->block));
    size_t offset = part->block.szx <= BLOCK_SZX_MAX ? block_offset(&part->block) : 0;
    message_add_payload(&builder, sent + offset % 4096, part->length);
    cr_assert_eq(message_parse(&response, bytes, writer_length(&writer)), MESSAGE_OK);
    return download_take(download, &response);
}

static void begin(struct download *download)
{
    for (size_t i = 0; i < sizeof sent; i++)
        sent[i] = (uint8_t)(i * 3 + i / 253);
    download_begin(download, got, sizeof got);
}

static void expect_body(const struct download *download, size_t length)
{
    cr_assert_eq(writer_length(&download->body), length);
    cr_expect_eq(memcmp(got, sent, length), 0);
}

static void expect_next(const struct download *download, uint32_t number, uint8_t szx)
{
    struct block block = download_next(download);
    cr_expect_eq(block.number, number);
    cr_expect_eq(block.szx, szx);
    /* "In a request, the client MUST set the M bit of a Block2 Option to zero" (RFC 7959 section
     * 2.4) */
    cr_expect_not(block.more);
}

Test(download, puts_blocks_together)
{
    struct download download;
    begin(&download);
    const struct part first = {.code = CODE_CONTENT, .block = {0, true, 2}, .length = 64};
    const struct part second = {.code = CODE_CONTENT, .block = {1, true, 2}, .length = 64};
    const struct part last = {.code = CODE_CONTENT, .block = {2, false, 2}, .length = 1};
    cr_assert_eq(take(&download, &first), DOWNLOAD_MORE);
    expect_next(&download, 1, 2);
    cr_assert_eq(take(&download, &second), DOWNLOAD_MORE);
    expect_next(&download, 2, 2);
    cr_assert_eq(take(&download, &last), DOWNLOAD_WHOLE);
    expect_body(&download, 129);
}

Test(download, takes_what_comes_in_one)
{
    struct download download;
    begin(&download);
    const struct part whole = {.code = CODE_CONTENT, .block = {.szx = 8}, .length = 1000};
    cr_assert_eq(take(&download, &whole), DOWNLOAD_WHOLE);
    expect_body(&download, 1000);
}

/* After the first of several blocks of 64, with ETag "a". */
Test(download, understands_each_response)
{
    static const struct part rows[] = {
        {"the next", CODE_CONTENT, {1, true, 2}, 64, "a", DOWNLOAD_MORE},
        {"the next, in smaller blocks", CODE_CONTENT, {4, true, 0}, 16, "a", DOWNLOAD_MORE},
        {"one left out", CODE_CONTENT, {2, true, 2}, 64, "a", DOWNLOAD_BROKEN},
        {"the first again", CODE_CONTENT, {0, true, 2}, 64, "a", DOWNLOAD_BROKEN},
        {"overlapping", CODE_CONTENT, {1, true, 1}, 32, "a", DOWNLOAD_BROKEN},
        {"too short", CODE_CONTENT, {1, true, 2}, 63, "a", DOWNLOAD_BROKEN},
        {"too long", CODE_CONTENT, {1, false, 2}, 65, "a", DOWNLOAD_BROKEN},
        {"the reserved size", CODE_CONTENT, {1, false, 7}, 1, "a", DOWNLOAD_BROKEN},
        {"it has changed", CODE_CONTENT, {1, true, 2}, 64, "b", DOWNLOAD_MORE},
        {"it has no ETag any more", CODE_CONTENT, {1, true, 2}, 64, NULL, DOWNLOAD_MORE},
        {"an error", CODE_INCOMPLETE, {.szx = 8}, 5, NULL, DOWNLOAD_WHOLE},
        {"all of it after all", CODE_CONTENT, {.szx = 8}, 200, "a", DOWNLOAD_WHOLE},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct download download;
        begin(&download);
        const struct part first = {
            .code = CODE_CONTENT, .block = {0, true, 2}, .length = 64, .etag = "a"};
        cr_assert_eq(take(&download, &first), DOWNLOAD_MORE);
        cr_expect_eq(take(&download, &rows[i]), rows[i].outcome, "%s", rows[i].name);
        if (rows[i].outcome == DOWNLOAD_WHOLE)
            expect_body(&download, rows[i].length);
    }
}

Test(download, begins_anew_when_the_body_changes)
{
    struct download download;
    begin(&download);
    struct part first = {.code = CODE_CONTENT, .block = {0, true, 2}, .length = 64, .etag = "a"};
    struct part second = {.code = CODE_CONTENT, .block = {1, false, 2}, .length = 9, .etag = "b"};
    for (int i = 0; i < DOWNLOAD_RESTARTS_MAX; i++) {
        cr_assert_eq(take(&download, &first), DOWNLOAD_MORE);
        cr_assert_eq(take(&download, &second), DOWNLOAD_MORE);
        expect_next(&download, 0, 2);
    }
    cr_assert_eq(take(&download, &first), DOWNLOAD_MORE);
    cr_expect_eq(take(&download, &second), DOWNLOAD_BROKEN, "not without end");
    begin(&download);
    cr_assert_eq(take(&download, &first), DOWNLOAD_MORE);
    cr_assert_eq(take(&download, &second), DOWNLOAD_MORE);
    first.etag = "b";
    cr_assert_eq(take(&download, &first), DOWNLOAD_MORE);
    cr_expect_eq(take(&download, &second), DOWNLOAD_WHOLE);
    expect_body(&download, 73);
}

Test(download, is_bounded_by_its_space)
{
    struct download download;
    begin(&download);
    for (uint32_t i = 0; i < 4; i++) {
        const struct part part = {.code = CODE_CONTENT, .block = {i, true, 6}, .length = 1024};
        cr_assert_eq(take(&download, &part), DOWNLOAD_MORE);
    }
    const struct part last = {.code = CODE_CONTENT, .block = {4, false, 6}, .length = 1};
    cr_expect_eq(take(&download, &last), DOWNLOAD_TOO_LARGE);
}
