#include "worker/echo.h"

#define TEXT_OF(number) TEXT_OF_VALUE(number)
#define TEXT_OF_VALUE(number) #number

static bool parse_length(const char *digits, size_t count, size_t *length)
{
    size_t value = 0;
    for (size_t i = 0; i < count; i++) {
        if (digits[i] < '0' || digits[i] > '9')
            return false;
        value = value * 10 + (size_t)(digits[i] - '0');
        if (value > ECHO_REPLY_MAX)
            return false;
    }
    *length = value;
    return count > 0;
}

/* False for a query that is not rlen=N, once, in range. */
static bool wanted_length(const struct resource_call *call, size_t *length)
{
    const char *digits;
    size_t count;
    const struct request *request = call->request;
    *length = call->body.length;
    if (request->queries.count == 0)
        return true;
    return request->queries.count == 1 &&
           request_query_value(request->queries.first, "rlen", &digits, &count) &&
           parse_length(digits, count, length);
}

enum resource_outcome echo_post(const struct resource_call *call, struct resource_reply *reply)
{
    const struct request *request = call->request;
    const struct octets *body = &call->body;
    size_t length;
    if (!wanted_length(call, &length)) {
        resource_fail(reply, CODE_BAD_REQUEST, "want rlen=0.." TEXT_OF(ECHO_REPLY_MAX));
        return RESOURCE_DONE;
    }
    if (request->content_format) {
        reply->has_format = true;
        reply->format = (uint16_t)message_option_number(request->content_format);
    }
    /* The payload comes back as what it is, or not at all (RFC 7252 section 5.10.4). */
    if (request->accept &&
        (!reply->has_format || reply->format != message_option_number(request->accept))) {
        resource_fail(reply, CODE_NOT_ACCEPTABLE, "");
        return RESOURCE_DONE;
    }
    reply->code = CODE_CHANGED;
    if (body->length == 0) {
        for (size_t i = 0; i < length; i++)
            writer_u8(&reply->payload, 'x');
        return RESOURCE_DONE;
    }
    while (length > 0) {
        size_t part = length < body->length ? length : body->length;
        writer_bytes(&reply->payload, body->bytes, part);
        length -= part;
    }
    return RESOURCE_DONE;
}
