#include "tests/worker/ask.h"
#include "worker/resource.h"

#include <criterion/criterion.h>
#include <string.h>

static void handle_get(const struct resource_call *call, struct resource_reply *reply)
{
    (void)call;
    reply->code = CODE_CONTENT;
}

static void handle_put(const struct resource_call *call, struct resource_reply *reply)
{
    (void)call;
    reply->code = CODE_CHANGED;
}

static const struct resource table[] = {
    {.path = "/open", .plain = true, .handlers = {[CODE_GET] = handle_get}},
    {.path = "/shut",
     .handlers = {[CODE_GET] = handle_get, [CODE_PUT] = handle_put},
     .produces = {{FORMAT_JSON, FORMAT_CBOR}, 2},
     .consumes = {{FORMAT_CBOR}, 1}},
};

#define ANY 0xffff

Test(resource, selects_the_handler_or_says_why_not)
{
    static const struct {
        const char *name;
        bool plain;
        struct ask ask;
        resource_handler *handler;
        uint16_t format;
        uint8_t code;
    } rows[] = {
        {"plain", true, {.uri = "/open"}, handle_get, ANY, 0},
        {"without formats any Accept is the handler's",
         true,
         {.uri = "/open", .has_accept = true, .accept = 40},
         handle_get,
         ANY,
         0},
        {"over DTLS all is there", false, {.uri = "/open"}, handle_get, ANY, 0},
        {"hidden from plain CoAP", true, {.uri = "/shut"}, NULL, ANY, CODE_NOT_FOUND},
        {"hidden before its methods",
         true,
         {.uri = "/shut", .code = CODE_POST},
         NULL,
         ANY,
         CODE_NOT_FOUND},
        {"nowhere", false, {.uri = "/nowhere"}, NULL, ANY, CODE_NOT_FOUND},
        {"the root", false, {.uri = NULL}, NULL, ANY, CODE_NOT_FOUND},
        {"default format", false, {.uri = "/shut"}, handle_get, FORMAT_JSON, 0},
        {"asked for",
         false,
         {.uri = "/shut", .has_accept = true, .accept = FORMAT_CBOR},
         handle_get,
         FORMAT_CBOR,
         0},
        {"cannot be had",
         false,
         {.uri = "/shut", .has_accept = true, .accept = FORMAT_TEXT},
         NULL,
         ANY,
         CODE_NOT_ACCEPTABLE},
        {"method without handler",
         false,
         {.uri = "/shut", .code = CODE_DELETE},
         NULL,
         ANY,
         CODE_METHOD_NOT_ALLOWED},
        {"method that nobody knows",
         false,
         {.uri = "/shut", .code = 31},
         NULL,
         ANY,
         CODE_METHOD_NOT_ALLOWED},
        {"payload that can be read",
         false,
         {.uri = "/shut", .code = CODE_PUT, .has_format = true, .format = FORMAT_CBOR},
         handle_put,
         ANY,
         0},
        {"payload that cannot",
         false,
         {.uri = "/shut", .code = CODE_PUT, .has_format = true, .format = FORMAT_JSON},
         NULL,
         ANY,
         CODE_UNSUPPORTED_FORMAT},
        {"payload of no format",
         false,
         {.uri = "/shut", .code = CODE_PUT, .payload = "x"},
         handle_put,
         ANY,
         0},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        uint8_t bytes[256], payload[64];
        struct message message;
        struct request request;
        uint16_t culprit;
        struct coap_peer peer = {.session_id = rows[i].plain ? 0 : 9};
        struct resource_reply reply = {.payload = writer_over(payload, sizeof payload)};
        struct resource_call call = {
            .request = &request, .peer = &peer, .resources = table, .resource_count = 2};
        size_t length = ask_write(&rows[i].ask, bytes, sizeof bytes);
        cr_assert_eq(message_parse(&message, bytes, length), MESSAGE_OK);
        cr_assert_eq(request_judge(&request, &message, &culprit), REQUEST_OK);
        cr_expect_eq(resource_select(&call, &reply), rows[i].handler, "%s", rows[i].name);
        cr_expect_eq(reply.code, rows[i].code, "%s", rows[i].name);
        if (rows[i].format != ANY)
            cr_expect_eq(call.format, rows[i].format, "%s", rows[i].name);
    }
}

Test(resource, a_failure_replaces_what_was_written)
{
    uint8_t space[8];
    struct resource_reply reply = {
        .code = CODE_CONTENT, .has_format = true, .payload = writer_over(space, sizeof space)};
    writer_bytes(&reply.payload, "too long for it", 15);
    resource_fail(&reply, CODE_BAD_REQUEST, "why");
    cr_assert_eq(reply.code, CODE_BAD_REQUEST);
    cr_assert_not(reply.has_format);
    cr_assert(writer_ok(&reply.payload));
    cr_assert_eq(writer_length(&reply.payload), 3);
    cr_assert_arr_eq(space, "why", 3);
}
