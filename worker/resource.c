#include "worker/resource.h"

#include <string.h>

bool resource_is_visible(const struct resource *resource, const struct coap_peer *peer)
{
    return resource->plain || peer->session_id != 0;
}

void resource_fail(struct resource_reply *reply, uint8_t code, const char *diagnostic)
{
    reply->code = code;
    reply->has_format = false;
    reply->payload.at = reply->payload.start;
    reply->payload.failed = false;
    reply->event.at = reply->event.start;
    reply->event.failed = false;
    writer_bytes(&reply->payload, diagnostic, strlen(diagnostic));
}

static const struct resource *find(const struct resource_call *call)
{
    for (size_t i = 0; i < call->resource_count; i++) {
        const struct resource *resource = &call->resources[i];
        if (request_path_is(call->request, resource->path))
            return resource_is_visible(resource, call->peer) ? resource : NULL;
    }
    return NULL;
}

static bool has_format(const struct resource_formats *formats, uint32_t format)
{
    for (size_t i = 0; i < formats->count; i++) {
        if (formats->values[i] == format)
            return true;
    }
    return false;
}

resource_handler *resource_select(struct resource_call *call, struct resource_reply *reply)
{
    const struct request *request = call->request;
    const struct resource *resource = find(call);
    if (!resource) {
        resource_fail(reply, CODE_NOT_FOUND, "");
        return NULL;
    }
    /* "A request with an unrecognized or unsupported Method Code MUST generate a 4.05 (Method Not
     * Allowed) piggybacked response." (RFC 7252 section 5.8) */
    uint8_t method = request->message->code;
    if (method >= RESOURCE_METHODS || !resource->handlers[method]) {
        resource_fail(reply, CODE_METHOD_NOT_ALLOWED, "");
        return NULL;
    }
    /* "If the preferred Content-Format cannot be returned, then a 4.06 "Not Acceptable" MUST be
     * sent as a response, unless another error code takes precedence for this response." (RFC 7252
     * section 5.10.4) */
    if (resource->produces.count > 0) {
        call->format = resource->produces.values[0];
        if (request->accept) {
            uint32_t accept = message_option_number(request->accept);
            if (!has_format(&resource->produces, accept)) {
                resource_fail(reply, CODE_NOT_ACCEPTABLE, "");
                return NULL;
            }
            call->format = (uint16_t)accept;
        }
    }
    /* RFC 7252 section 5.9.2.10; an untyped payload is the handler's to understand. */
    if (resource->consumes.count > 0 && request->content_format &&
        !has_format(&resource->consumes, message_option_number(request->content_format))) {
        resource_fail(reply, CODE_UNSUPPORTED_FORMAT, "");
        return NULL;
    }
    call->resource = resource;
    return resource->handlers[method];
}
