/* What takes more than one block (TD_COAP_BLOCK). */
#include "worker/coap_endpoint.h"
#include "worker/plugtest.h"

#include <stdio.h>
#include <string.h>

#define LINE_SIZE 64

/* Lines that tell their number, so that mixed blocks are seen. */
void plugtest_write_large(struct writer *writer)
{
    for (unsigned line = 1; line <= PLUGTEST_LARGE_SIZE / LINE_SIZE; line++) {
        char text[LINE_SIZE + 1];
        snprintf(text, sizeof text, "line %02u %-*s\n", line, LINE_SIZE - 9,
                 "of what takes more than one block to tell");
        writer_bytes(writer, text, LINE_SIZE);
    }
}

static void write_large(struct resource_reply *reply, uint8_t code)
{
    reply->code = code;
    reply->has_format = true;
    reply->format = FORMAT_TEXT;
    plugtest_write_large(&reply->payload);
}

enum resource_outcome plugtest_large(const struct resource_call *call, struct resource_reply *reply)
{
    (void)call;
    write_large(reply, CODE_CONTENT);
    return RESOURCE_DONE;
}

enum resource_outcome plugtest_large_post(const struct resource_call *call,
                                          struct resource_reply *reply)
{
    (void)call;
    write_large(reply, CODE_CHANGED);
    return RESOURCE_DONE;
}

/* The newest that was created is /large-create/1. */
enum resource_outcome plugtest_large_create(const struct resource_call *call,
                                            struct resource_reply *reply)
{
    if (plugtest_put(call, reply) != RESOURCE_DONE || MESSAGE_CODE_CLASS(reply->code) != 2)
        return RESOURCE_DONE;
    reply->code = CODE_CREATED;
    reply->location_path_count = 2;
    reply->location_path[0] = (struct octets){(const uint8_t *)"large-create", 12};
    reply->location_path[1] = (struct octets){(const uint8_t *)"1", 1};
    return RESOURCE_DONE;
}

static bool is_created(const struct resource_call *call)
{
    return call->rest.count == 1 && request_span_has(&call->rest, (const uint8_t *)"1", 1);
}

enum resource_outcome plugtest_large_created(const struct resource_call *call,
                                             struct resource_reply *reply)
{
    if (is_created(call))
        return plugtest_get(call, reply);
    resource_fail(reply, CODE_NOT_FOUND, "");
    return RESOURCE_DONE;
}

enum resource_outcome plugtest_large_remove(const struct resource_call *call,
                                            struct resource_reply *reply)
{
    if (is_created(call))
        return plugtest_delete(call, reply);
    resource_fail(reply, CODE_NOT_FOUND, "");
    return RESOURCE_DONE;
}
