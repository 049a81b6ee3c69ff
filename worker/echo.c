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
static bool wanted_length(const struct request *request, size_t *length)
{
    const char *digits;
    size_t count;
    *length = request->message->payload_length;
    if (request->queries.count == 0)
        return true;
    return request->queries.count == 1 &&
           request_query_value(request->queries.first, "rlen", &digits, &count) &&
           parse_length(digits, count, length);
}

void echo_post(const struct resource_call *call, struct resource_reply *reply)
{
    const struct request *request = call->request;
    const struct message *message = request->message;
    size_t length;
    if (!wanted_length(request, &length)) {
        resource_fail(reply, CODE_BAD_REQUEST, "want rlen=0.." TEXT_OF(ECHO_REPLY_MAX));
        return;
    }
    if (request->content_format) {
        reply->has_format = true;
        reply->format = (uint16_t)message_option_number(request->content_format);
    }
    /* The payload comes back as what it is, or not at all (RFC 7252 section 5.10.4). */
    if (request->accept &&
        (!reply->has_format || reply->format != message_option_number(request->accept))) {
        resource_fail(reply, CODE_NOT_ACCEPTABLE, "");
        return;
    }
    reply->code = CODE_CHANGED;
    if (message->payload_length == 0) {
        for (size_t i = 0; i < length; i++)
            writer_u8(&reply->payload, 'x');
        return;
    }
    while (length > 0) {
        size_t part = length < message->payload_length ? length : message->payload_length;
        writer_bytes(&reply->payload, message->payload, part);
        length -= part;
    }
}
