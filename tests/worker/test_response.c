#include "tests/worker/ask.h"
#include "worker/response.h"

#include <criterion/criterion.h>
#include <string.h>

#define OCTETS(text) text, sizeof(text) - 1

struct response {
    uint8_t bytes[COAP_MESSAGE_SIZE_MAX];
    size_t length;
    uint8_t code;
};

/* What `reply` with this payload becomes. */
static void respond(const struct ask *ask, bool proven, struct resource_reply reply,
                    const char *payload, size_t payload_length, struct response *response)
{
    static const struct octets echo = {(const uint8_t *)"123456789012", 12};
    uint8_t request[DATAGRAM_SIZE_MAX];
    uint8_t space[COAP_MESSAGE_SIZE_MAX];
    struct message message;
    struct writer writer = writer_over(response->bytes, sizeof response->bytes);
    size_t length = ask_write(ask, request, sizeof request);
    cr_assert_eq(message_parse(&message, request, length), MESSAGE_OK);
    reply.payload = writer_over(space, sizeof space);
    writer_bytes(&reply.payload, payload, payload_length);
    const struct response_envelope envelope = {
        message.type == MESSAGE_CON ? MESSAGE_ACK : MESSAGE_NON, message.id, 0};
    response_write(&writer, &envelope, &message, &reply, proven ? NULL : &echo);
    cr_assert(writer_ok(&writer));
    response->length = writer_length(&writer);
    response->code = reply.code;
}

Test(response, octet_by_octet)
{
    static const struct {
        const char *name;
        struct ask ask;
        struct resource_reply reply;
        const char *payload;
        const char *bytes;
        size_t length;
    } rows[] = {
        {"confirmable",
         {.id = 0x1234, .token = "tk"},
         {.code = CODE_CHANGED},
         "",
         OCTETS("\x62\x44\x12\x34tk")},
        {"non-confirmable",
         {.type = MESSAGE_NON, .id = 0x1234},
         {.code = CODE_CHANGED},
         "hi",
         OCTETS("\x50\x44\x12\x34\xffhi")},
        {"with a format",
         {.id = 1},
         {.code = CODE_CONTENT, .has_format = true, .format = 60},
         "hi",
         OCTETS("\x60\x45\x00\x01\xc1\x3c\xffhi")},
        {"with every option a response can have, by number",
         {.id = 1},
         {.code = CODE_CREATED,
          .etag_length = 2,
          .etag = "et",
          .has_observe = true,
          .observe = 256,
          .location_path_count = 2,
          .location_path = {{(const uint8_t *)"a", 1}, {(const uint8_t *)"bc", 2}},
          .has_format = true,
          .has_max_age = true,
          .location_query_count = 1,
          .location_query = {{(const uint8_t *)"d=1", 3}},
          .echo = {(const uint8_t *)"echo", 4}},
         "hi",
         OCTETS("\x60\x41\x00\x01\x42"
                "et\x22\x01\x00\x21"
                "a\x02"
                "bc\x40\x20\x63"
                "d=1\xd4\xdb"
                "echo\xffhi")},
        {"a Max-Age of its own counts",
         {.id = 1},
         {.code = CODE_UNAVAILABLE, .has_max_age = true, .max_age_s = 60},
         "",
         OCTETS("\x60\xa3\x00\x01\xd1\x01\x3c")},
        {"unavailable says for how long",
         {.id = 1},
         {.code = CODE_UNAVAILABLE},
         "",
         OCTETS("\x60\xa3\x00\x01\xd1\x01\x05")},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct response response;
        respond(&rows[i].ask, true, rows[i].reply, rows[i].payload, strlen(rows[i].payload),
                &response);
        cr_expect_eq(response.length, rows[i].length, "%s", rows[i].name);
        cr_expect_arr_eq(response.bytes, rows[i].bytes, rows[i].length, "%s", rows[i].name);
    }
}

Test(response, what_does_not_fit_is_an_error)
{
    static const char payload[COAP_MESSAGE_SIZE_MAX];
    static const uint8_t segment[255];
    const struct ask ask = {.id = 1};
    const struct octets place = {segment, sizeof segment};
    /* 4 of header, 258 for the option, 1 of marker. */
    const struct resource_reply reply = {
        .code = CODE_CREATED, .location_path_count = 1, .location_path = {place}};
    struct resource_reply overflown = {.code = CODE_CHANGED, .event = {.failed = true}};
    struct response response;
    respond(&ask, true, reply, payload, COAP_MESSAGE_SIZE_MAX - 262, &response);
    cr_expect_eq(response.code, CODE_CREATED);
    respond(&ask, true, reply, payload, COAP_MESSAGE_SIZE_MAX - 261, &response);
    cr_expect_eq(response.code, CODE_INTERNAL_ERROR, "no room for the options");
    respond(&ask, true, overflown, "", 0, &response);
    cr_expect_eq(response.code, CODE_INTERNAL_ERROR, "an event that is cut short");
    cr_expect_eq(response.length, 4);
}

/* "A server MUST use the block size indicated or a smaller size." (RFC 7959 section 2.4) */
Test(response, of_a_long_payload_is_a_block)
{
    static const char payload[COAP_MESSAGE_SIZE_MAX] = "x";
    static const struct {
        const char *name;
        struct ask ask;
        uint8_t reply_code;
        size_t payload_length;
        uint8_t code;
        const char *head; /* up to the payload */
        size_t head_length, part;
    } rows[] = {
        {"1024 octets go whole",
         {.id = 1},
         CODE_CONTENT,
         1024,
         CODE_CONTENT,
         OCTETS("\x60\x45\0\1\xff"),
         1024},
        {"a small block, all in it",
         {.id = 1, .options = {{OPTION_BLOCK2, 0, NULL}}},
         CODE_CONTENT,
         16,
         CODE_CONTENT,
         OCTETS("\x60\x45\0\1\xd0\x0a\xff"),
         16},
        {"nothing to cut",
         {.id = 1, .options = {{OPTION_BLOCK2, 0, NULL}}},
         CODE_CHANGED,
         0,
         CODE_CHANGED,
         OCTETS("\x60\x44\0\1"),
         0},
        {"an error is never cut",
         {.id = 1, .options = {{OPTION_BLOCK2, 0, NULL}}},
         CODE_NOT_FOUND,
         20,
         CODE_NOT_FOUND,
         OCTETS("\x60\x84\0\1\xff"),
         20},
        {"behind the end",
         {.id = 1, .options = {{OPTION_BLOCK2, 1, (const uint8_t *)"\x10"}}},
         CODE_CONTENT,
         16,
         CODE_BAD_REQUEST,
         OCTETS("\x60\x80\0\1\xff"),
         sizeof "the body ends before this block" - 1},
    };
    struct response response;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        respond(&rows[i].ask, true, (struct resource_reply){.code = rows[i].reply_code}, payload,
                rows[i].payload_length, &response);
        cr_expect_eq(response.code, rows[i].code, "%s", rows[i].name);
        cr_expect_eq(response.length, rows[i].head_length + rows[i].part, "%s", rows[i].name);
        cr_expect_arr_eq(response.bytes, rows[i].head, rows[i].head_length, "%s", rows[i].name);
    }
    /* ETag, 8 octets; Block2 0/1/1024; Size2. */
    respond(&rows[0].ask, true, (struct resource_reply){.code = CODE_CONTENT}, payload, 1025,
            &response);
    cr_expect_eq(response.length, 4 + 9 + 3 + 3 + 1 + 1024);
    cr_expect_arr_eq(response.bytes + 4 + 9, "\xd1\x06\x0e\x52\x04\x01\xff", 7);
}

Test(response, amplifies_for_proven_addresses_only)
{
    static const char payload[512];
    const struct ask ask = {.id = 1};
    const struct resource_reply reply = {.code = CODE_CONTENT};
    struct response response;
    respond(&ask, true, reply, payload, sizeof payload, &response);
    cr_expect_eq(response.code, CODE_CONTENT);
    respond(&ask, false, reply, payload, sizeof payload, &response);
    cr_expect_eq(response.code, CODE_UNAUTHORIZED);
    static const char challenge[] = "\x60\x81\x00\x01\xdc\xef"
                                    "123456789012";
    cr_expect_eq(response.length, sizeof challenge - 1);
    cr_expect_arr_eq(response.bytes, challenge, sizeof challenge - 1);
}

Test(response, takes_back_what_was_not_sent)
{
    static const struct {
        const char *held;
        size_t held_length;
        const char *bytes;
        size_t length;
    } rows[] = {
        {OCTETS("\x62\x44\x12\x34tk"), OCTETS("\x62\xa3\x12\x34tk\xd1\x01\x05")},
        {OCTETS("\x50\x45\x00\x07\xc0\xffhi"), OCTETS("\x50\xa3\x00\x07\xd1\x01\x05")},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct message held;
        uint8_t space[32];
        struct writer writer = writer_over(space, sizeof space);
        cr_assert_eq(message_parse(&held, (const uint8_t *)rows[i].held, rows[i].held_length),
                     MESSAGE_OK);
        response_write_unavailable(&writer, &held);
        cr_expect_eq(writer_length(&writer), rows[i].length);
        cr_expect_arr_eq(space, rows[i].bytes, rows[i].length);
    }
}
