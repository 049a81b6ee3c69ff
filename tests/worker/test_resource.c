#include "tests/worker/ask.h"
#include "worker/resource.h"

#include <criterion/criterion.h>
#include <string.h>

static enum resource_outcome handle_get(const struct resource_call *call,
                                        struct resource_reply *reply)
{
    (void)call;
    reply->code = CODE_CONTENT;
    return RESOURCE_DONE;
}

static enum resource_outcome handle_put(const struct resource_call *call,
                                        struct resource_reply *reply)
{
    (void)call;
    reply->code = CODE_CHANGED;
    return RESOURCE_DONE;
}

static void state_of(const struct resource_call *call, struct resource_state *state)
{
    (void)call;
    *state = (struct resource_state){.exists = true, .etag_length = 2, .etag = "v1"};
}

static void state_of_none(const struct resource_call *call, struct resource_state *state)
{
    (void)call;
    state->exists = false;
}

static const struct resource table[] = {
    {.path = "/open", .plain = true, .handlers = {[CODE_GET] = handle_get}},
    {.path = "/tree", .plain = true, .prefix = true, .handlers = {[CODE_GET] = handle_get}},
    {.path = "/test", .plain = true, .plugtest = true, .handlers = {[CODE_GET] = handle_get}},
    {.path = "/shut",
     .handlers = {[CODE_GET] = handle_get, [CODE_PUT] = handle_put},
     .produces = {{FORMAT_JSON, FORMAT_CBOR}, 2},
     .consumes = {{FORMAT_CBOR}, 1}},
    {.path = "/tagged",
     .handlers = {[CODE_GET] = handle_get, [CODE_PUT] = handle_put},
     .state = state_of},
    {.path = "/gone", .handlers = {[CODE_PUT] = handle_put}, .state = state_of_none},
    {.path = "/later", .handlers = {[CODE_PUT] = handle_put}, .judges_conditions = true},
    {.path = "/parts",
     .handlers = {[CODE_FETCH] = handle_get, [CODE_PATCH] = handle_put, [CODE_IPATCH] = handle_put},
     .consumes = {{FORMAT_JSON}, 1}},
};

#define ANY 0xffff
#define TABLE (sizeof table / sizeof *table)

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
        /* RFC 8132 section 6 */
        {"FETCH", false, {.uri = "/parts", .code = CODE_FETCH}, handle_get, ANY, 0},
        {"PATCH", false, {.uri = "/parts", .code = CODE_PATCH}, handle_put, ANY, 0},
        {"iPATCH", false, {.uri = "/parts", .code = CODE_IPATCH}, handle_put, ANY, 0},
        {"PATCH in what is not read",
         false,
         {.uri = "/parts", .code = CODE_PATCH, .has_format = true, .format = FORMAT_CBOR},
         NULL,
         ANY,
         CODE_UNSUPPORTED_FORMAT},
        {"FETCH without handler",
         false,
         {.uri = "/shut", .code = CODE_FETCH},
         NULL,
         ANY,
         CODE_METHOD_NOT_ALLOWED},
        {"below a prefix", true, {.uri = "/tree/a/b"}, handle_get, ANY, 0},
        {"the prefix itself", true, {.uri = "/tree"}, handle_get, ANY, 0},
        {"below what is no prefix", true, {.uri = "/open/a"}, NULL, ANY, CODE_NOT_FOUND},
        {"of the conformance set", true, {.uri = "/test"}, NULL, ANY, CODE_NOT_FOUND},
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
            .request = &request, .peer = &peer, .resources = table, .resource_count = TABLE};
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

#define IF_MATCH(text)                                             \
    {                                                              \
        OPTION_IF_MATCH, sizeof(text) - 1, (const uint8_t *)(text) \
    }

/* "If the condition is not fulfilled, then the server MUST NOT perform the requested method." (RFC
 * 7252 section 5.10.8) */
Test(resource, judges_conditions_last)
{
    static const struct message_option none = {OPTION_IF_NONE_MATCH, 0, NULL};
    const struct {
        const char *name;
        struct ask ask;
        uint8_t code; /* 0: the handler runs */
    } rows[] = {
        {"its ETag", {.code = CODE_PUT, .uri = "/tagged", .options = {IF_MATCH("v1")}}, 0},
        {"any", {.code = CODE_PUT, .uri = "/tagged", .options = {IF_MATCH("")}}, 0},
        {"one of two",
         {.code = CODE_PUT, .uri = "/tagged", .options = {IF_MATCH("v0"), IF_MATCH("v1")}},
         0},
        {"another",
         {.code = CODE_PUT, .uri = "/tagged", .options = {IF_MATCH("v0")}},
         CODE_PRECONDITION_FAILED},
        {"a prefix",
         {.code = CODE_PUT, .uri = "/tagged", .options = {IF_MATCH("v")}},
         CODE_PRECONDITION_FAILED},
        {"a GET too", {.uri = "/tagged", .options = {IF_MATCH("v0")}}, CODE_PRECONDITION_FAILED},
        {"is there",
         {.code = CODE_PUT, .uri = "/tagged", .options = {none}},
         CODE_PRECONDITION_FAILED},
        {"is not there", {.code = CODE_PUT, .uri = "/gone", .options = {none}}, 0},
        {"any, but there is none",
         {.code = CODE_PUT, .uri = "/gone", .options = {IF_MATCH("")}},
         CODE_PRECONDITION_FAILED},
        {"without ETags, any", {.code = CODE_PUT, .uri = "/shut", .options = {IF_MATCH("")}}, 0},
        {"without ETags, one",
         {.code = CODE_PUT, .uri = "/shut", .options = {IF_MATCH("v1")}},
         CODE_PRECONDITION_FAILED},
        {"another error takes precedence",
         {.code = CODE_DELETE, .uri = "/tagged", .options = {IF_MATCH("v0")}},
         CODE_METHOD_NOT_ALLOWED},
        {"the handler's", {.code = CODE_PUT, .uri = "/later", .options = {none}}, 0},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        uint8_t bytes[256], payload[64];
        struct message message;
        struct request request;
        uint16_t culprit;
        struct coap_peer peer = {.session_id = 9};
        struct resource_reply reply = {.payload = writer_over(payload, sizeof payload)};
        struct resource_call call = {
            .request = &request, .peer = &peer, .resources = table, .resource_count = TABLE};
        size_t length = ask_write(&rows[i].ask, bytes, sizeof bytes);
        cr_assert_eq(message_parse(&message, bytes, length), MESSAGE_OK);
        cr_assert_eq(request_judge(&request, &message, &culprit), REQUEST_OK);
        cr_expect_eq(resource_select(&call, &reply) == NULL, rows[i].code != 0, "%s", rows[i].name);
        cr_expect_eq(reply.code, rows[i].code, "%s", rows[i].name);
    }
}

/* RFC 7252 sections 5.10.6.2 and 5.9.1.3 */
Test(resource, says_valid_for_an_etag_of_the_client)
{
    static const struct {
        const char *name;
        uint8_t method;
        const char *etags[2];
        uint8_t code, becomes;
    } rows[] = {
        {"the same", CODE_GET, {"v1"}, CODE_CONTENT, CODE_VALID},
        {"one of two", CODE_GET, {"v0", "v1"}, CODE_CONTENT, CODE_VALID},
        {"FETCH", CODE_FETCH, {"v1"}, CODE_CONTENT, CODE_VALID},
        {"another", CODE_GET, {"v0"}, CODE_CONTENT, CODE_CONTENT},
        {"none", CODE_GET, {NULL}, CODE_CONTENT, CODE_CONTENT},
        {"not a GET", CODE_PUT, {"v1"}, CODE_CONTENT, CODE_CONTENT},
        {"not 2.05", CODE_GET, {"v1"}, CODE_NOT_FOUND, CODE_NOT_FOUND},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        uint8_t bytes[256], payload[64];
        struct message message;
        struct request request;
        uint16_t culprit;
        struct ask ask = {.code = rows[i].method};
        for (size_t j = 0; j < 2 && rows[i].etags[j]; j++)
            ask.options[j] =
                (struct message_option){OPTION_ETAG, 2, (const uint8_t *)rows[i].etags[j]};
        size_t length = ask_write(&ask, bytes, sizeof bytes);
        cr_assert_eq(message_parse(&message, bytes, length), MESSAGE_OK);
        cr_assert_eq(request_judge(&request, &message, &culprit), REQUEST_OK);
        struct resource_reply reply = {.code = rows[i].code,
                                       .has_format = true,
                                       .payload = writer_over(payload, sizeof payload)};
        resource_set_etag(&reply, (struct octets){(const uint8_t *)"v1", 2});
        writer_bytes(&reply.payload, "hi", 2);
        resource_validate(&request, &reply);
        bool valid = rows[i].becomes == CODE_VALID;
        cr_expect_eq(reply.code, rows[i].becomes, "%s", rows[i].name);
        cr_expect_eq(reply.etag_length, 2, "%s", rows[i].name);
        cr_expect_eq(writer_length(&reply.payload), valid ? 0 : 2, "%s", rows[i].name);
        cr_expect_eq(reply.has_format, !valid, "%s", rows[i].name);
    }
}

Test(resource, the_conformance_set_is_there_when_asked_for)
{
    const struct coap_peer peer = {.session_id = 9};
    const struct resource *conformance = &table[2];
    struct resource_call call = {.peer = &peer, .plugtest = true};
    cr_assert(resource_is_visible(&call, conformance));
    call.plugtest = false;
    cr_assert_not(resource_is_visible(&call, conformance));
}
