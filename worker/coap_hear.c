/* Responses: to whom of those who start messages they belong (coap_endpoint.h). */
#include "worker/coap_endpoint.h"

/* "The exact rules for matching a response to a request are as follows: 1. The source endpoint of
 * the response MUST be the same as the destination endpoint of the original request." (RFC 7252
 * section 5.3.2): parties know their tokens by peer. */
static enum coap_heard offer(struct coap *coap, const struct coap_peer *peer, struct coap_now now,
                             const struct message *response)
{
    enum coap_heard heard = COAP_HEARD_UNKNOWN;
    for (size_t i = 0; i < TRANSMISSION_KINDS && heard == COAP_HEARD_UNKNOWN; i++) {
        const struct coap_party *party = &coap->parties[i];
        if (party->hear)
            heard = party->hear(party->owner, peer, now, response);
    }
    coap_count(coap, heard == COAP_HEARD_UNKNOWN || heard == COAP_HEARD_REJECTED
                         ? WORKER_COAP_DROPPED_UNEXPECTED
                         : WORKER_COAP_RESPONSES);
    return heard;
}

/* A response in an ACK belongs to the request that is under way. One with another token
 * acknowledges nothing: the request is sent again. */
static enum coap_outcome hear_piggybacked(struct coap *coap, const struct coap_peer *peer,
                                          struct coap_now now, const struct message *response)
{
    const struct octets token = {response->token, response->token_length};
    switch (transmission_answered(&coap->transmissions, peer, response->id, TRANSMISSION_ACKED,
                                  &token, now.ms)) {
    case TRANSMISSION_UNMATCHED:
        coap_count(coap, WORKER_COAP_DROPPED_UNEXPECTED);
        return COAP_DROPPED;
    case TRANSMISSION_MATCHED:
        return COAP_SILENCE;
    case TRANSMISSION_RESPONDED:
        break;
    }
    switch (offer(coap, peer, now, response)) {
    case COAP_HEARD:
    case COAP_HEARD_LATER:
        return COAP_SILENCE;
    case COAP_HEARD_DROPPED:
    case COAP_HEARD_UNKNOWN:
    case COAP_HEARD_REJECTED:
        break;
    }
    return COAP_DROPPED;
}

/* "The Acknowledgement message MUST echo the Message ID of the Confirmable message and MUST carry a
 * response or be Empty" (RFC 7252 section 4.2); a non-confirmable message gets none. */
static void store_ack(struct coap *coap, const struct message *response, struct exchange *exchange,
                      struct writer *ack)
{
    if (response->type != MESSAGE_CON)
        return;
    message_write_empty(ack, MESSAGE_ACK, response->id);
    exchange_store(&coap->heard, exchange, ack->start, writer_length(ack));
}

enum coap_outcome coap_hear(struct coap *coap, const struct coap_peer *peer, struct coap_now now,
                            const struct message *response, struct writer *reply)
{
    if (response->type == MESSAGE_ACK)
        return hear_piggybacked(coap, peer, now, response);
    const struct exchange_endpoint endpoint = coap_exchange_endpoint(peer);
    struct exchange *exchange = exchange_find(&coap->heard, &endpoint, response->id, now.ms);
    if (exchange)
        return coap_repeat(coap, response, exchange, reply);
    exchange = exchange_open(&coap->heard, &endpoint, response->id, now.ms);
    if (!exchange) {
        coap_count(coap, WORKER_COAP_DROPPED_NO_ROOM);
        return COAP_DROPPED; /* a confirmable one comes again */
    }
    struct writer held = writer_over(coap->message, sizeof coap->message);
    switch (offer(coap, peer, now, response)) {
    case COAP_HEARD:
        store_ack(coap, response, exchange, reply);
        return response->type == MESSAGE_CON ? COAP_REPLY : COAP_SILENCE;
    case COAP_HEARD_LATER:
        store_ack(coap, response, exchange, &held);
        exchange_defer(exchange);
        return COAP_SILENCE;
    case COAP_HEARD_DROPPED:
        exchange_drop(&coap->heard, exchange);
        return COAP_DROPPED;
    case COAP_HEARD_UNKNOWN:
    case COAP_HEARD_REJECTED:
        break;
    }
    /* "the response is rejected (Sections 4.2 and 4.3)" (RFC 7252 section 5.3.2); a Reset for a
     * non-confirmable one too, since that ends an observation that nobody here knows of (RFC 7641
     * section 3.6). */
    exchange_drop(&coap->heard, exchange);
    message_write_empty(reply, MESSAGE_RST, response->id);
    return COAP_REPLY;
}

void coap_acknowledge(struct coap *coap, const struct coap_peer *peer, uint16_t message_id,
                      enum coap_saved saved)
{
    const struct exchange_endpoint endpoint = coap_exchange_endpoint(peer);
    struct exchange *exchange = exchange_find(&coap->heard, &endpoint, message_id, coap->now.ms);
    if (!exchange || exchange->state != EXCHANGE_PENDING)
        return;
    switch (saved) {
    case COAP_STORED:
        break;
    case COAP_NOT_STORED:
        exchange_drop(&coap->heard, exchange);
        return;
    }
    bool is_confirmable = exchange->reply_length > 0;
    struct writer ack = writer_over(coap->message, sizeof coap->message);
    exchange_settle(&coap->heard, exchange, is_confirmable);
    if (!is_confirmable)
        return;
    exchange_write(exchange, &ack);
    coap_send(coap, peer, &ack);
}
