#include "worker/plugtest.h"

#include "shared/hash.h"
#include "worker/coap_endpoint.h"

#include <stdlib.h>
#include <string.h>

/* What there is at the beginning; NULL: nothing, until somebody creates it. */
static const struct definition {
    const char *path;
    const char *text;
} definitions[PLUGTEST_VALUES] = {
    [PLUGTEST_TEST] = {"/test", "what /test holds"},
    [PLUGTEST_VALIDATE] = {"/validate", "what /validate holds"},
    [PLUGTEST_CREATE1] = {"/create1", NULL},
    [PLUGTEST_LOCATION] = {"/location1/location2/location3", NULL},
    [PLUGTEST_LARGE_UPDATE] = {"/large-update", "small, before it is updated"},
    [PLUGTEST_LARGE_CREATED] = {"/large-create", NULL},
    [PLUGTEST_OBS] = {"/obs", "tick 0\n"},
    [PLUGTEST_OBS_NON] = {"/obs-non", "tick 0\n"},
    [PLUGTEST_OBS_LARGE] = {"/obs-large", "tick 0\n"},
    [PLUGTEST_OBS_PUMPING] = {"/obs-pumping", "tick 0\n"},
};

static void set(struct plugtest_value *value, uint16_t format, struct octets octets)
{
    value->exists = true;
    value->format = format;
    value->length = octets.length;
    if (octets.length > 0)
        memcpy(value->bytes, octets.bytes, octets.length);
}

enum status plugtest_new(struct plugtest **plugtest)
{
    struct plugtest *made = calloc(1, sizeof *made);
    if (!made)
        return STATUS_NO_MEMORY;
    for (size_t i = 0; i < PLUGTEST_VALUES; i++) {
        const char *text = definitions[i].text;
        if (text)
            set(&made->values[i], FORMAT_TEXT,
                (struct octets){(const uint8_t *)text, strlen(text)});
    }
    *plugtest = made;
    return STATUS_OK;
}

void plugtest_free(struct plugtest *plugtest)
{
    free(plugtest);
}

void plugtest_run(struct plugtest *plugtest, struct coap *coap, struct coap_now now)
{
    if (plugtest->tick_ms <= now.ms) {
        plugtest->tick_ms = now.ms + PLUGTEST_TICK_MS;
        plugtest_tick(plugtest, coap);
    }
    plugtest_answer(plugtest, coap, now);
}

uint64_t plugtest_next_ms(const struct plugtest *plugtest)
{
    uint64_t answer_ms = plugtest_answer_ms(plugtest);
    return answer_ms < plugtest->tick_ms ? answer_ms : plugtest->tick_ms;
}

struct plugtest_value *plugtest_value_of(const struct resource_call *call)
{
    size_t name = 0;
    while (strcmp(definitions[name].path, call->resource->path) != 0)
        name++;
    return &call->coap->plugtest->values[name];
}

/* The same octets have the same ETag, in whatever process. */
static void tag(const struct plugtest_value *value, uint8_t etag[MESSAGE_ETAG_MAX])
{
    const struct hash_key key = {value->format, 0};
    struct writer writer = writer_over(etag, MESSAGE_ETAG_MAX);
    writer_u64(&writer, hash_bytes(&key, value->bytes, value->length));
}

void plugtest_state(const struct resource_call *call, struct resource_state *state)
{
    const struct plugtest_value *value = plugtest_value_of(call);
    state->exists = value->exists;
    state->etag_length = MESSAGE_ETAG_MAX;
    tag(value, state->etag);
}

enum resource_outcome plugtest_get(const struct resource_call *call, struct resource_reply *reply)
{
    const struct plugtest_value *value = plugtest_value_of(call);
    uint8_t etag[MESSAGE_ETAG_MAX];
    if (!value->exists) {
        resource_fail(reply, CODE_NOT_FOUND, "");
        return RESOURCE_DONE;
    }
    if (call->request->accept && message_option_number(call->request->accept) != value->format) {
        resource_fail(reply, CODE_NOT_ACCEPTABLE, "");
        return RESOURCE_DONE;
    }
    tag(value, etag);
    resource_set_etag(reply, (struct octets){etag, sizeof etag});
    reply->code = CODE_CONTENT;
    reply->has_format = true;
    reply->format = value->format;
    writer_bytes(&reply->payload, value->bytes, value->length);
    return RESOURCE_DONE;
}

/* False: longer than a value may be; the reply is 4.13. */
static bool take_body(const struct resource_call *call, struct plugtest_value *value,
                      struct resource_reply *reply)
{
    const struct message_option *format = call->request->content_format;
    if (call->body.length > PLUGTEST_VALUE_MAX) {
        resource_fail(reply, CODE_TOO_LARGE, "");
        return false;
    }
    set(value, format ? (uint16_t)message_option_number(format) : FORMAT_TEXT, call->body);
    return true;
}

enum resource_outcome plugtest_put(const struct resource_call *call, struct resource_reply *reply)
{
    struct plugtest_value *value = plugtest_value_of(call);
    bool existed = value->exists;
    if (take_body(call, value, reply))
        reply->code = existed ? CODE_CHANGED : CODE_CREATED;
    return RESOURCE_DONE;
}

/* "A 2.02 (Deleted) Response Code SHOULD be used on success or in case the resource did not exist
 * before the request." (RFC 7252 section 5.8.4) */
enum resource_outcome plugtest_delete(const struct resource_call *call,
                                      struct resource_reply *reply)
{
    plugtest_value_of(call)->exists = false;
    reply->code = CODE_DELETED;
    return RESOURCE_DONE;
}

static struct octets text(const char *octets)
{
    return (struct octets){(const uint8_t *)octets, strlen(octets)};
}

enum resource_outcome plugtest_create(const struct resource_call *call,
                                      struct resource_reply *reply)
{
    if (!take_body(call, &call->coap->plugtest->values[PLUGTEST_LOCATION], reply))
        return RESOURCE_DONE;
    reply->code = CODE_CREATED;
    reply->location_path_count = 3;
    reply->location_path[0] = text("location1");
    reply->location_path[1] = text("location2");
    reply->location_path[2] = text("location3");
    return RESOURCE_DONE;
}

enum resource_outcome plugtest_create_query(const struct resource_call *call,
                                            struct resource_reply *reply)
{
    (void)call;
    reply->code = CODE_CREATED;
    reply->location_query_count = 2;
    reply->location_query[0] = text("first=1");
    reply->location_query[1] = text("second=2");
    return RESOURCE_DONE;
}

static void write_content(struct resource_reply *reply, uint16_t format, const char *content)
{
    reply->code = CODE_CONTENT;
    reply->has_format = true;
    reply->format = format;
    writer_bytes(&reply->payload, content, strlen(content));
}

enum resource_outcome plugtest_query(const struct resource_call *call, struct resource_reply *reply)
{
    const struct request_span *queries = &call->request->queries;
    write_content(reply, FORMAT_TEXT, "query\n");
    for (size_t i = 0; i < queries->count; i++) {
        writer_bytes(&reply->payload, queries->first[i].value, queries->first[i].length);
        writer_u8(&reply->payload, '\n');
    }
    return RESOURCE_DONE;
}

enum resource_outcome plugtest_formats(const struct resource_call *call,
                                       struct resource_reply *reply)
{
    write_content(reply, call->format,
                  call->format == FORMAT_XML ? "<content>in XML</content>" : "content in text");
    return RESOURCE_DONE;
}

enum resource_outcome plugtest_path(const struct resource_call *call, struct resource_reply *reply)
{
    write_content(reply, call->format, "</path/sub1>,</path/sub2>,</path/sub3>");
    return RESOURCE_DONE;
}

enum resource_outcome plugtest_below(const struct resource_call *call, struct resource_reply *reply)
{
    static const char *const subs[] = {"sub1", "sub2", "sub3"};
    for (size_t i = 0; call->rest.count == 1 && i < sizeof subs / sizeof *subs; i++) {
        if (!request_span_has(&call->rest, (const uint8_t *)subs[i], strlen(subs[i])))
            continue;
        write_content(reply, FORMAT_TEXT, "/path/");
        writer_bytes(&reply->payload, subs[i], strlen(subs[i]));
        return RESOURCE_DONE;
    }
    resource_fail(reply, CODE_NOT_FOUND, "");
    return RESOURCE_DONE;
}

enum resource_outcome plugtest_text(const struct resource_call *call, struct resource_reply *reply)
{
    write_content(reply, FORMAT_TEXT, call->resource->path);
    return RESOURCE_DONE;
}
