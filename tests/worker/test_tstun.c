#include "tests/worker/ask.h"
#include "worker/tstun.h"

#include <criterion/criterion.h>
#include <string.h>

static void ask_from(const char *address, uint16_t format, struct answer *answer)
{
    struct coap_peer peer = {0};
    struct resource_call call = {.peer = &peer, .format = format};
    struct ask ask = {.uri = "/tstun"};
    cr_assert_eq(address_parse(&peer.path.address, address), STATUS_OK);
    ask_handler(&ask, &call, tstun_get, answer);
    cr_assert(answer->fits);
    cr_assert_eq(answer->reply.code, CODE_CONTENT);
    cr_assert(answer->reply.has_format);
    cr_assert_eq(answer->reply.format, format);
}

Test(tstun, tells_the_address_in_each_format)
{
    static const struct {
        const char *address;
        uint16_t format;
        const char *payload;
        size_t length; /* 0: a string */
    } rows[] = {
        {"203.0.113.7:4711", FORMAT_TEXT, "203.0.113.7:4711", 0},
        {"[2001:db8::1]:4711", FORMAT_TEXT, "[2001:db8::1]:4711", 0},
        {"203.0.113.7:4711", FORMAT_JSON, "{\"ip\":\"203.0.113.7\",\"port\":4711,\"family\":4}", 0},
        {"[2001:db8::1]:65535", FORMAT_JSON, "{\"ip\":\"2001:db8::1\",\"port\":65535,\"family\":6}",
         0},
        {"203.0.113.7:4711", FORMAT_CBOR,
         "\xa3\x62ip\x6b"
         "203.0.113.7\x64port\x19\x12\x67\x66"
         "family\x04",
         32},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct answer answer;
        size_t length = rows[i].length ? rows[i].length : strlen(rows[i].payload);
        ask_from(rows[i].address, rows[i].format, &answer);
        cr_expect_eq(answer.payload_length, length, "row %zu: %zu", i, answer.payload_length);
        cr_expect_eq(memcmp(answer.payload, rows[i].payload, length), 0, "row %zu: %s", i,
                     answer.payload);
    }
}
