#include "worker/response.h"

static void add_all(struct message_builder *builder, uint16_t number, const struct octets *values,
                    size_t count)
{
    for (size_t i = 0; i < count; i++)
        message_add_option(builder, number, values[i].bytes, values[i].length);
}

/* "the instances MUST appear in order of their Option Numbers and a delta encoding is used between
 * them" (RFC 7252 section 3.1) */
static void add_options(struct message_builder *builder, const struct resource_reply *reply)
{
    if (reply->etag_length > 0)
        message_add_option(builder, OPTION_ETAG, reply->etag, reply->etag_length);
    if (reply->has_observe)
        message_add_number(builder, OPTION_OBSERVE, reply->observe);
    add_all(builder, OPTION_LOCATION_PATH, reply->location_path, reply->location_path_count);
    if (reply->has_format)
        message_add_number(builder, OPTION_CONTENT_FORMAT, reply->format);
    if (reply->has_max_age)
        message_add_number(builder, OPTION_MAX_AGE, reply->max_age_s);
    else if (reply->code == CODE_UNAVAILABLE)
        message_add_number(builder, OPTION_MAX_AGE, COAP_RETRY_AFTER_S);
    add_all(builder, OPTION_LOCATION_QUERY, reply->location_query, reply->location_query_count);
    if (reply->echo.length > 0)
        message_add_option(builder, OPTION_ECHO, reply->echo.bytes, reply->echo.length);
}

static bool write(struct writer *writer, const struct response_envelope *envelope,
                  const struct message *request, const struct resource_reply *reply)
{
    struct message_builder builder;
    message_begin(&builder, writer, envelope->type, reply->code, envelope->message_id,
                  request->token, request->token_length);
    add_options(&builder, reply);
    message_add_payload(&builder, reply->payload.start, writer_length(&reply->payload));
    return writer_ok(&reply->payload) && writer_ok(&reply->event) && writer_ok(writer);
}

/* "large amplification factors SHOULD NOT be provided in the response if the request is not
 * authenticated" (RFC 7252 section 11.3): counted as the victim's link would, with headers. */
static bool amplifies(size_t received, size_t sent)
{
    return sent + COAP_PLAIN_OVERHEAD > AMPLIFICATION_FACTOR * (received + COAP_PLAIN_OVERHEAD);
}

void response_write(struct writer *writer, const struct response_envelope *envelope,
                    const struct message *request, struct resource_reply *reply,
                    const struct octets *echo)
{
    const struct writer before = *writer;
    if (!write(writer, envelope, request, reply)) {
        *writer = before;
        resource_fail(reply, CODE_INTERNAL_ERROR, "");
        write(writer, envelope, request, reply);
    }
    if (echo && amplifies(request->length, writer_length(writer) - writer_length(&before))) {
        /* "A CoAP server SHOULD mitigate potential amplification attacks by responding to
         * unauthenticated clients with 4.01 Unauthorized including an Echo option" (RFC 9175
         * section 2.6). "it MUST be sent as a piggybacked or Non-confirmable response, never as a
         * separate one" (section 2.4, item 3). */
        *writer = before;
        resource_fail(reply, CODE_UNAUTHORIZED, "");
        reply->echo = *echo;
        write(writer, envelope, request, reply);
    }
}

/* 5.03 is "like HTTP 503 "Service Unavailable" but using the Max-Age Option in place of the
 * "Retry-After" header field to indicate the number of seconds after which to retry." (RFC 7252
 * section 5.9.3.4) */
void response_write_unavailable(struct writer *writer, const struct message *response)
{
    struct message_builder builder;
    message_begin(&builder, writer, response->type, CODE_UNAVAILABLE, response->id, response->token,
                  response->token_length);
    message_add_number(&builder, OPTION_MAX_AGE, COAP_RETRY_AFTER_S);
}
