#include "worker/resource.h"

#include <string.h>

bool resource_is_visible(const struct resource_call *call, const struct resource *resource)
{
    return (resource->plain || call->peer->session_id != 0) &&
           (!resource->plugtest || call->plugtest);
}

void resource_fail(struct resource_reply *reply, uint8_t code, const char *diagnostic)
{
    struct writer payload = reply->payload;
    struct writer event = reply->event;
    payload.at = payload.start;
    payload.failed = false;
    event.at = event.start;
    event.failed = false;
    writer_bytes(&payload, diagnostic, strlen(diagnostic));
    *reply = (struct resource_reply){.code = code, .payload = payload, .event = event};
}

bool resource_conditions_hold(const struct request *request, const struct resource_state *state)
{
    /* "If the target resource does exist, then the condition is not fulfilled." (RFC 7252 section
     * 5.10.8.2, If-None-Match) */
    if (request->if_none_match && state->exists)
        return false;
    if (request->if_match.count == 0)
        return true;
    /* "An If-Match option with an empty value matches any existing representation", and "If there
     * is one or more If-Match options, but none of the options match, then the condition is not
     * fulfilled." (RFC 7252 section 5.10.8.1) */
    return state->exists &&
           (request_span_has(&request->if_match, NULL, 0) ||
            (state->etag_length > 0 &&
             request_span_has(&request->if_match, state->etag, state->etag_length)));
}

void resource_set_etag(struct resource_reply *reply, struct octets etag)
{
    reply->etag_length = (uint8_t)etag.length;
    memcpy(reply->etag, etag.bytes, etag.length);
}

void resource_validate(const struct request *request, struct resource_reply *reply)
{
    uint8_t method = request->message->code;
    if (reply->code != CODE_CONTENT || (method != CODE_GET && method != CODE_FETCH) ||
        reply->etag_length == 0 ||
        !request_span_has(&request->etags, reply->etag, reply->etag_length))
        return;
    /* "A server can issue a 2.03 Valid response [...] in place of a 2.05 Content response if one of
     * the ETags given is the entity-tag for the current representation" (RFC 7252
     * section 5.10.6.2). "the response MUST include an ETag Option and MUST NOT include a payload."
     * (section 5.9.1.3)
     */
    reply->code = CODE_VALID;
    reply->has_format = false;
    reply->payload.at = reply->payload.start;
}

static const struct resource *find(struct resource_call *call)
{
    for (size_t i = 0; i < call->resource_count; i++) {
        const struct resource *resource = &call->resources[i];
        if (request_path_begins(call->request, resource->path, &call->rest) &&
            (resource->prefix || call->rest.count == 0))
            return resource_is_visible(call, resource) ? resource : NULL;
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

/* "if the condition given is not fulfilled, then the server MUST NOT perform the requested method.
 * Instead, the server MUST respond with the 4.12 (Precondition Failed) Response Code." (RFC 7252
 * section 5.10.8) Judged last: "If the request would, without the conditional request options,
 * result in anything other than a 2.xx or 4.12 response code, then any conditional request options
 * MAY be ignored." */
static bool conditions_hold(const struct resource_call *call)
{
    const struct request *request = call->request;
    struct resource_state state = {.exists = true};
    if (call->resource->judges_conditions ||
        (request->if_match.count == 0 && !request->if_none_match))
        return true;
    if (call->resource->state)
        call->resource->state(call, &state);
    return resource_conditions_hold(request, &state);
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
    if (!conditions_hold(call)) {
        resource_fail(reply, CODE_PRECONDITION_FAILED, "");
        return NULL;
    }
    return resource->handlers[method];
}
