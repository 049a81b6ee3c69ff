#include "worker/response.h"

static bool write(struct writer *writer, const struct message *request,
                  const struct resource_reply *reply)
{
    /* A piggybacked response for a confirmable request (RFC 7252 section 5.2.1), a non-confirmable
     * one for a non-confirmable request (section 5.2.3).
     *
     * "The same Message ID MUST NOT be reused (in communicating with the same endpoint) within the
     * EXCHANGE_LIFETIME" (section 4.4): a response of its own takes the request's id over. Each
     * request gets at most one, so where the client keeps to the rule, we do, without a counter for
     * each endpoint that would have to follow it from worker to worker. */
    enum message_type type = request->type == MESSAGE_CON ? MESSAGE_ACK : MESSAGE_NON;
    struct message_builder builder;
    message_begin(&builder, writer, type, reply->code, request->id, request->token,
                  request->token_length);
    if (reply->has_format)
        message_add_number(&builder, OPTION_CONTENT_FORMAT, reply->format);
    if (reply->code == CODE_UNAVAILABLE)
        message_add_number(&builder, OPTION_MAX_AGE, COAP_RETRY_AFTER_S);
    message_add_payload(&builder, reply->payload.start, writer_length(&reply->payload));
    return writer_ok(&reply->payload) && writer_ok(&reply->event) && writer_ok(writer);
}

/* "large amplification factors SHOULD NOT be provided in the response if the request is not
 * authenticated" (RFC 7252 section 11.3): counted as the victim's link would, with headers. */
static bool amplifies(const struct coap_peer *peer, size_t received, size_t sent)
{
    return peer->session_id == 0 &&
           sent + COAP_PLAIN_OVERHEAD > AMPLIFICATION_FACTOR * (received + COAP_PLAIN_OVERHEAD);
}

void response_write(struct writer *writer, const struct coap_peer *peer,
                    const struct message *request, struct resource_reply *reply)
{
    const struct writer before = *writer;
    if (!write(writer, request, reply)) {
        *writer = before;
        resource_fail(reply, CODE_INTERNAL_ERROR, "");
        write(writer, request, reply);
    }
    if (amplifies(peer, request->length, writer_length(writer) - writer_length(&before))) {
        *writer = before;
        resource_fail(reply, CODE_UNAUTHORIZED, "too large without DTLS");
        write(writer, request, reply);
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
