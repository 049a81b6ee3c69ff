#include "worker/hello.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#define SPACE 1024

static uint8_t space[SPACE];

/* A handshake record of epoch 0 that holds one fragment of a message. */
static struct record record_of(uint8_t type, uint32_t length, uint32_t offset, const void *fragment,
                               uint32_t fragment_length)
{
    struct writer writer = writer_over(space, sizeof(space));
    writer_u8(&writer, type);
    writer_number(&writer, length, 3);
    writer_u16(&writer, 0);
    writer_number(&writer, offset, 3);
    writer_number(&writer, fragment_length, 3);
    writer_bytes(&writer, fragment, fragment_length);
    cr_assert(writer_ok(&writer));
    return (struct record){
        .form = RECORD_PLAINTEXT,
        .type = RECORD_TYPE_HANDSHAKE,
        .version = RECORD_VERSION_DTLS12,
        .payload = space,
        .payload_length = writer_length(&writer),
    };
}

/* --- ClientHello --- */

static size_t write_hello(uint8_t body[SPACE], uint8_t session_id_length, uint8_t cookie_length)
{
    struct writer writer = writer_over(body, SPACE);
    writer_u16(&writer, RECORD_VERSION_DTLS12);
    for (uint8_t i = 0; i < HELLO_RANDOM_SIZE; i++)
        writer_u8(&writer, i);
    writer_u8(&writer, session_id_length);
    (void)writer_space(&writer, session_id_length);
    writer_u8(&writer, cookie_length);
    (void)writer_space(&writer, cookie_length);
    writer_bytes(&writer, "\0\2\xc0\xa8\1\0", 6);
    return writer_length(&writer);
}

Test(hello, random_and_cookie)
{
    static const uint8_t lengths[] = {0, 1, 32, 255};
    for (size_t i = 0; i < 4; i++) {
        for (size_t j = 0; j < 3; j++) {
            uint8_t body[SPACE] = {0};
            uint32_t length = (uint32_t)write_hello(body, lengths[j], lengths[i]);
            struct record record = record_of(1, length, 0, body, length);
            struct hello hello;
            cr_expect(hello_is(&record));
            cr_assert_eq(hello_parse(&record, &hello), STATUS_OK);
            cr_expect_eq(hello.cookie_length, lengths[i]);
            cr_expect_eq(hello.random[0], 0);
            cr_expect_eq(hello.random[31], 31);
        }
    }
}

Test(hello, is_a_client_hello_of_epoch_0)
{
    struct record record = record_of(1, 0, 0, "", 0);
    cr_expect(hello_is(&record));
    record.epoch = 1;
    cr_expect(!hello_is(&record));
    record.epoch = 0;
    record.type = RECORD_TYPE_APPLICATION_DATA;
    cr_expect(!hello_is(&record));
    record.type = RECORD_TYPE_HANDSHAKE;
    record.form = RECORD_CID;
    cr_expect(!hello_is(&record));
    record = record_of(2, 0, 0, "", 0);
    cr_expect(!hello_is(&record));
    record.payload_length = 0;
    cr_expect(!hello_is(&record));
}

Test(hello, cut_anywhere_it_is_malformed)
{
    uint8_t body[SPACE] = {0};
    struct hello hello;
    uint32_t length = (uint32_t)write_hello(body, 5, 20);
    uint32_t needed = 2 + HELLO_RANDOM_SIZE + 1 + 5 + 1 + 20;
    for (uint32_t cut = 0; cut < length; cut++) {
        struct record record = record_of(1, cut, 0, body, cut);
        cr_expect_eq(hello_parse(&record, &hello), cut < needed ? STATUS_MALFORMED : STATUS_OK,
                     "after %u", cut);
        record = record_of(1, length, 0, body, length);
        record.payload_length = cut + 12; /* the record ends before the message */
        uint8_t *copy = malloc(record.payload_length);
        cr_assert_not_null(copy);
        memcpy(copy, record.payload, record.payload_length);
        record.payload = copy;
        cr_expect_eq(hello_parse(&record, &hello), STATUS_MALFORMED);
        free(copy);
    }
}

Test(hello, in_fragments_it_is_not_supported)
{
    uint8_t body[SPACE] = {0};
    struct hello hello;
    uint32_t length = (uint32_t)write_hello(body, 0, 20);
    struct record record = record_of(1, length, 0, body, length - 1);
    cr_expect_eq(hello_parse(&record, &hello), STATUS_UNSUPPORTED);
    record = record_of(1, length, 1, body + 1, length - 1);
    cr_expect_eq(hello_parse(&record, &hello), STATUS_UNSUPPORTED);
    record = record_of(1, length, 0xffffff, body, length);
    cr_expect_eq(hello_parse(&record, &hello), STATUS_MALFORMED, "past its end");
}

/* --- the identity --- */

static size_t write_identity(uint8_t body[SPACE], uint16_t length)
{
    struct writer writer = writer_over(body, SPACE);
    writer_u16(&writer, length);
    for (uint16_t i = 0; i < length; i++)
        writer_u8(&writer, (uint8_t)('a' + i % 26));
    return writer_length(&writer);
}

static void expect_identity(const struct hello_identity *identity, uint16_t length)
{
    uint8_t expected[SPACE];
    size_t size = write_identity(expected, length);
    cr_expect_eq(identity->have, size);
    cr_expect_eq(memcmp(identity->bytes, expected, size), 0);
}

Test(hello, an_identity_of_each_length)
{
    for (uint16_t length = 0; length <= IDENTITY_LENGTH_MAX + 2; length++) {
        uint8_t body[SPACE];
        uint32_t size = (uint32_t)write_identity(body, length);
        struct hello_identity identity = {0};
        struct record record = record_of(16, size, 0, body, size);
        enum hello_identity_outcome outcome = hello_peek_identity(&identity, &record);
        if (length > IDENTITY_LENGTH_MAX) {
            cr_expect_eq(outcome, HELLO_IDENTITY_TOO_LONG, "%u", length);
            continue;
        }
        cr_assert_eq(outcome, HELLO_IDENTITY_WHOLE, "%u", length);
        expect_identity(&identity, length);
    }
}

Test(hello, an_identity_in_fragments_of_each_size)
{
    uint8_t body[SPACE];
    const uint32_t size = (uint32_t)write_identity(body, 40);
    for (uint32_t step = 1; step < size; step++) {
        struct hello_identity identity = {0};
        enum hello_identity_outcome outcome = HELLO_IDENTITY_PARTIAL;
        for (uint32_t at = 0; at < size; at += step) {
            uint32_t left = size - at < step ? size - at : step;
            cr_assert_eq(outcome, HELLO_IDENTITY_PARTIAL);
            struct record record = record_of(16, size, at, body + at, left);
            outcome = hello_peek_identity(&identity, &record);
        }
        cr_expect_eq(outcome, HELLO_IDENTITY_WHOLE);
        expect_identity(&identity, 40);
    }
}

Test(hello, gaps_overlaps_and_repetitions_of_fragments)
{
    uint8_t body[SPACE];
    const uint32_t size = (uint32_t)write_identity(body, 40);
    static const uint32_t parts[][2] = {{10, 20}, {0, 12}, {0, 12}, {20, 22},
                                        {10, 20}, {1, 3},  {30, 12}};
    static const enum hello_identity_outcome outcomes[] = {
        HELLO_IDENTITY_PARTIAL, HELLO_IDENTITY_PARTIAL, HELLO_IDENTITY_PARTIAL,
        HELLO_IDENTITY_PARTIAL, HELLO_IDENTITY_PARTIAL, HELLO_IDENTITY_PARTIAL,
        HELLO_IDENTITY_WHOLE};
    struct hello_identity identity = {0};
    for (size_t i = 0; i < 7; i++) {
        struct record record = record_of(16, size, parts[i][0], body + parts[i][0], parts[i][1]);
        cr_expect_eq(hello_peek_identity(&identity, &record), outcomes[i], "part %zu", i);
    }
    expect_identity(&identity, 40);
}

Test(hello, what_is_no_key_exchange)
{
    uint8_t body[SPACE];
    const uint32_t size = (uint32_t)write_identity(body, 8);
    struct hello_identity identity = {0};
    struct record record = record_of(20, size, 0, body, size);
    cr_expect_eq(hello_peek_identity(&identity, &record), HELLO_NO_KEY_EXCHANGE);
    record = record_of(16, size, 0, body, size);
    record.payload_length--;
    cr_expect_eq(hello_peek_identity(&identity, &record), HELLO_NO_KEY_EXCHANGE, "cut");
    record.payload_length++;
    record.epoch = 1;
    cr_expect_eq(hello_peek_identity(&identity, &record), HELLO_NO_KEY_EXCHANGE, "sealed");
    record.epoch = 0;
    record.type = RECORD_TYPE_ALERT;
    cr_expect_eq(hello_peek_identity(&identity, &record), HELLO_NO_KEY_EXCHANGE);
    cr_expect_eq(identity.have, 0);
}

Test(hello, knows_a_finished)
{
    static const uint8_t finished[] = {20, 0, 0, 12};
    static const uint8_t hello[] = {1, 0, 0, 12};
    cr_expect(hello_is_finished(finished, 4));
    cr_expect(!hello_is_finished(hello, 4));
    cr_expect(!hello_is_finished(finished, 0));
}
