#include "shared/protect.h"

#include "tests/shared/hex.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#define SPACE 4096

static struct protector protector;
static const struct record_keys keys = {
    .key = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20},
    .iv = {0xa0, 0xa1, 0xa2, 0xa3, 0xa4, 0xa5, 0xa6, 0xa7, 0xa8, 0xa9, 0xaa, 0xab},
};
static const uint8_t cid[32] = {0x27, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16};
static const size_t cid_lengths[] = {0, 1, 8, 20, 32};
#define CID_LENGTHS (sizeof(cid_lengths) / sizeof(cid_lengths[0]))

static void open_protector(void)
{
    cr_assert_eq(protector_init(&protector), STATUS_OK);
}

static void close_protector(void)
{
    protector_free(&protector);
}

TestSuite(protect, .init = open_protector, .fini = close_protector);

static struct record_header header_with(size_t cid_length)
{
    return (struct record_header){
        .type = RECORD_TYPE_APPLICATION_DATA,
        .epoch = 1,
        .sequence = 0x010203040506,
        .nonce_prefix = 1,
        .cid = cid,
        .cid_length = cid_length,
    };
}

static size_t seal(const struct suite *suite, const struct record_header *header,
                   const void *content, size_t length, uint8_t space[SPACE])
{
    struct writer writer = writer_over(space, SPACE);
    cr_assert_eq(protect_seal(&protector, suite, &keys, header, content, length, &writer),
                 STATUS_OK);
    cr_assert_eq(writer_length(&writer), length + protect_overhead(suite, header->cid_length));
    return writer_length(&writer);
}

/* On a copy of exactly its size, so that a sanitizer sees what lies outside. */
static enum status open_copy(const struct suite *suite, const uint8_t *bytes, size_t size,
                             size_t cid_length, uint8_t *content, size_t *length, uint8_t *type)
{
    uint8_t *copy = malloc(size);
    cr_assert_not_null(copy);
    memcpy(copy, bytes, size);
    struct cursor cursor = cursor_over(copy, size);
    struct record record;
    uint8_t *opened;
    enum status status = record_next(&cursor, cid_length, &record);
    if (status == STATUS_OK)
        status = protect_open(&protector, suite, &keys, &record, &opened, length, type);
    if (status == STATUS_OK && *length > 0)
        memcpy(content, opened, *length);
    free(copy);
    return status;
}

/* --- additional data --- */

static void expect_additional_data(const struct record_header *header, uint16_t version,
                                   size_t length, const char *hex)
{
    uint8_t expected[PROTECT_AAD_MAX], aad[PROTECT_AAD_MAX];
    size_t expected_length = hex_decode(hex, expected, sizeof(expected));
    cr_expect_eq(protect_additional_data(aad, header, version, length), expected_length);
    cr_expect_eq(memcmp(aad, expected, expected_length), 0, "%s", hex);
}

/* RFC 9146 section 5.3. */
Test(protect, additional_data_with_cid)
{
    struct record_header header = header_with(8);
    expect_additional_data(&header, RECORD_VERSION_DTLS12, 0x1234,
                           "ff ff ff ff ff ff ff ff" /* seq_num_placeholder */
                           "19"                      /* tls12_cid */
                           "08"                      /* cid_length */
                           "19"                      /* tls12_cid */
                           "fe fd"                   /* version */
                           "00 01"                   /* epoch */
                           "01 02 03 04 05 06"       /* sequence_number */
                           "27 01 02 03 04 05 06 07" /* cid */
                           "12 34");                 /* length_of_DTLSInnerPlaintext */
    header.cid_length = 1;
    header.type = RECORD_TYPE_ALERT; /* travels inside */
    header.epoch = 0xfffe;
    header.sequence = RECORD_SEQUENCE_MAX;
    expect_additional_data(&header, RECORD_VERSION_DTLS12, 1,
                           "ff ff ff ff ff ff ff ff 19 01 19 fe fd ff fe ff ff ff ff ff ff 27"
                           "00 01");
}

/* RFC 5246 section 6.2.3.3 and RFC 6347 section 4.1.2.1. */
Test(protect, additional_data_without_cid)
{
    struct record_header header = header_with(0);
    expect_additional_data(&header, RECORD_VERSION_DTLS12, 0x1234,
                           "00 01"             /* epoch */
                           "01 02 03 04 05 06" /* sequence_number */
                           "17"                /* type */
                           "fe fd"             /* version */
                           "12 34");           /* length */
    header.type = RECORD_TYPE_HANDSHAKE;
    expect_additional_data(&header, RECORD_VERSION_DTLS10, 0,
                           "00 01 01 02 03 04 05 06 16 fe ff 00 00");
}

/* --- sealing and opening --- */

Test(protect, what_is_sealed_opens)
{
    static const size_t lengths[] = {0, 1, 2, 15, 16, 17, 48, 1280, 2000};
    uint8_t content[2000], space[SPACE], opened[SPACE];
    for (size_t i = 0; i < sizeof(content); i++)
        content[i] = (uint8_t)(i * 3); /* some end in zero octets */
    for (size_t s = 0; s < suites_count; s++) {
        for (size_t c = 0; c < CID_LENGTHS; c++) {
            for (size_t l = 0; l < sizeof(lengths) / sizeof(lengths[0]); l++) {
                struct record_header header = header_with(cid_lengths[c]);
                size_t size = seal(&suites[s], &header, content, lengths[l], space);
                size_t length;
                uint8_t type;
                cr_expect_eq(space[0], cid_lengths[c] ? RECORD_TYPE_TLS12_CID : header.type);
                cr_assert_eq(
                    open_copy(&suites[s], space, size, cid_lengths[c], opened, &length, &type),
                    STATUS_OK, "%s, CID of %zu, %zu octets", suites[s].name, cid_lengths[c],
                    lengths[l]);
                cr_expect_eq(type, header.type);
                cr_assert_eq(length, lengths[l]);
                cr_expect_eq(memcmp(opened, content, length), 0);
            }
        }
    }
}

Test(protect, the_content_does_not_show)
{
    uint8_t content[64], space[SPACE];
    memset(content, 0x5a, sizeof(content));
    for (size_t s = 0; s < suites_count; s++) {
        struct record_header header = header_with(8);
        size_t size = seal(&suites[s], &header, content, sizeof(content), space);
        cr_expect_null(memmem(space, size, content, 8), "%s", suites[s].name);
    }
}

Test(protect, every_octet_is_authentic)
{
    uint8_t space[SPACE], opened[SPACE];
    for (size_t s = 0; s < suites_count; s++) {
        for (size_t c = 0; c < CID_LENGTHS; c++) {
            size_t cid_length = cid_lengths[c];
            struct record_header header = header_with(cid_length);
            size_t size = seal(&suites[s], &header, "content", 7, space);
            size_t lengths_at = 11 + cid_length;
            for (size_t at = 0; at < size; at++) {
                size_t length;
                uint8_t type;
                space[at] ^= 1;
                enum status status =
                    open_copy(&suites[s], space, size, cid_length, opened, &length, &type);
                /* Type, version and length are what the record is parsed by. */
                bool parsed_by = at < 3 || at == lengths_at || at == lengths_at + 1;
                if (parsed_by)
                    cr_expect_neq(status, STATUS_OK, "octet %zu", at);
                else
                    cr_expect_eq(status, STATUS_BAD_TAG, "%s, CID of %zu, octet %zu: %s",
                                 suites[s].name, cid_length, at, status_text(status));
                space[at] ^= 1;
            }
        }
    }
}

Test(protect, every_other_key_is_wrong)
{
    uint8_t space[SPACE];
    for (size_t s = 0; s < suites_count; s++) {
        const struct suite *suite = &suites[s];
        for (size_t i = 0; i < (size_t)suite->key_length + suite->iv_length; i++) {
            struct record_header header = header_with(8);
            size_t size = seal(suite, &header, "content", 7, space);
            struct record_keys wrong = keys;
            if (i < suite->key_length)
                wrong.key[i] ^= 0x10;
            else
                wrong.iv[i - suite->key_length] ^= 0x10;
            struct cursor cursor = cursor_over(space, size);
            struct record record;
            uint8_t *content;
            size_t length;
            uint8_t type;
            cr_assert_eq(record_next(&cursor, 8, &record), STATUS_OK);
            cr_expect_eq(protect_open(&protector, suite, &wrong, &record, &content, &length, &type),
                         STATUS_BAD_TAG, "%s, octet %zu", suite->name, i);
        }
    }
}

Test(protect, the_explicit_nonce_is_prefix_and_sequence_number)
{
    static const uint8_t nonce[] = {0x80, 1, 1, 2, 3, 4, 5, 6};
    uint8_t space[SPACE];
    for (size_t s = 0; s < suites_count; s++) {
        struct record_header header = header_with(8);
        header.nonce_prefix = 0x8001;
        (void)seal(&suites[s], &header, "content", 7, space);
        if (suites[s].explicit_length > 0)
            cr_expect_eq(memcmp(space + RECORD_HEADER_SIZE + 8, nonce, sizeof(nonce)), 0);
    }
}

/* RFC 9146 section 4: any number of zeros may follow the type. Sealed as content whose end is the
 * true type and zeros: the type that protect_seal adds is one more zero. */
Test(protect, zeros_behind_the_inner_type_are_padding)
{
    uint8_t space[SPACE], opened[SPACE];
    for (size_t padding = 0; padding < 40; padding++) {
        uint8_t inner[64] = {'t', 'e', 'x', 0, RECORD_TYPE_ALERT};
        struct record_header header = header_with(8);
        header.type = 0;
        size_t size = seal(&suites[0], &header, inner, 5 + padding, space);
        size_t length;
        uint8_t type;
        cr_assert_eq(open_copy(&suites[0], space, size, 8, opened, &length, &type), STATUS_OK);
        cr_expect_eq(type, RECORD_TYPE_ALERT);
        cr_expect_eq(length, 4, "the content's own zero is not padding");
        cr_expect_eq(memcmp(opened, "tex", 4), 0);
    }
}

Test(protect, an_inner_plaintext_of_zeros_has_no_type)
{
    static const uint8_t zeros[30] = {0};
    uint8_t space[SPACE], opened[SPACE];
    for (size_t length = 0; length < sizeof(zeros); length++) {
        struct record_header header = header_with(8);
        header.type = 0;
        size_t size = seal(&suites[0], &header, zeros, length, space);
        size_t got;
        uint8_t type;
        cr_expect_eq(open_copy(&suites[0], space, size, 8, opened, &got, &type),
                     STATUS_UNSUPPORTED);
    }
}

/* --- bounds --- */

Test(protect, too_short_for_its_suite)
{
    for (size_t s = 0; s < suites_count; s++) {
        for (size_t c = 0; c < 2; c++) {
            size_t cid_length = c ? 8 : 0;
            size_t least = (size_t)suites[s].explicit_length + suites[s].tag_length + (c ? 1 : 0);
            for (size_t payload = 0; payload <= least; payload++) {
                uint8_t space[RECORD_HEADER_SIZE + 8 + 64] = {
                    c ? RECORD_TYPE_TLS12_CID : RECORD_TYPE_APPLICATION_DATA, 0xfe, 0xfd, 0, 1};
                uint8_t opened[64];
                size_t length;
                uint8_t type;
                space[RECORD_HEADER_SIZE + cid_length - 1] = (uint8_t)payload;
                cr_expect_eq(open_copy(&suites[s], space, RECORD_HEADER_SIZE + cid_length + payload,
                                       cid_length, opened, &length, &type),
                             payload < least ? STATUS_MALFORMED : STATUS_BAD_TAG);
            }
        }
    }
}

Test(protect, what_does_not_fit_is_not_written)
{
    uint8_t space[128], content[64] = {0};
    for (size_t s = 0; s < suites_count; s++) {
        struct record_header header = header_with(8);
        size_t needed = sizeof(content) + protect_overhead(&suites[s], 8);
        for (size_t room = 0; room <= needed; room++) {
            uint8_t *exact = malloc(room);
            struct writer writer = writer_over(exact, room);
            cr_expect_eq(protect_seal(&protector, &suites[s], &keys, &header, content,
                                      sizeof(content), &writer),
                         room < needed ? STATUS_TOO_LONG : STATUS_OK);
            cr_expect_eq(writer_ok(&writer), room == needed);
            free(exact);
        }
    }
    struct record_header header = header_with(33);
    struct writer writer = writer_over(space, sizeof(space));
    cr_expect_eq(protect_seal(&protector, &suites[0], &keys, &header, content, 1, &writer),
                 STATUS_TOO_LONG, "a CID longer than our CIDs can say");
    header = header_with(0);
    cr_expect_eq(protect_seal(&protector, &suites[0], &keys, &header, content, 65530, &writer),
                 STATUS_TOO_LONG, "a length that its field does not hold");
}

Test(protect, the_last_sequence_number)
{
    uint8_t space[SPACE], opened[SPACE];
    size_t length;
    uint8_t type;
    struct record_header header = header_with(8);
    header.sequence = RECORD_SEQUENCE_MAX;
    size_t size = seal(&suites[0], &header, "end", 3, space);
    cr_expect_eq(open_copy(&suites[0], space, size, 8, opened, &length, &type), STATUS_OK);
    header.sequence++;
    struct writer writer = writer_over(space, sizeof(space));
    cr_expect_eq(protect_seal(&protector, &suites[0], &keys, &header, opened, 3, &writer),
                 STATUS_EXHAUSTED);
    cr_expect_eq(writer_length(&writer), 0);
}

/* Counters go up: from the epoch less one they may carry into it. */
Test(protect, prefix_is_apart)
{
    for (unsigned theirs = 0; theirs <= UINT16_MAX; theirs++) {
        uint16_t ours = protect_prefix_apart(1, (uint16_t)theirs);
        cr_assert_neq(ours, (uint16_t)theirs);
        cr_assert_neq(ours, (uint16_t)(theirs + 1));
        if (theirs > 1)
            cr_assert_eq(ours, 1);
    }
}
