/* Replies that waited for the store, and what a session's last owner has stored of them
 * (coap_endpoint.h). */
#include "worker/coap_endpoint.h"

#include <assert.h>

/* What is left of a reply that nobody wants: that a confirmable request has come. */
static void settle_declined(struct coap *coap, struct exchange *exchange,
                            const struct message *response, struct writer *reply)
{
    uint8_t empty[MESSAGE_HEADER_SIZE];
    struct writer ack = writer_over(empty, sizeof empty);
    exchange_settle(&coap->secured, exchange, false);
    if (response->type != MESSAGE_ACK)
        return;
    message_write_empty(&ack, MESSAGE_ACK, response->id);
    exchange_store(&coap->secured, exchange, empty, sizeof empty);
    writer_bytes(reply, empty, sizeof empty);
}

enum coap_outcome coap_committed(struct coap *coap, uint64_t session_id, uint16_t message_id,
                                 enum coap_saved saved, uint64_t now_ms, struct writer *reply)
{
    const struct exchange_endpoint endpoint = {.session_id = session_id};
    struct exchange *exchange = exchange_find(&coap->secured, &endpoint, message_id, now_ms);
    if (!exchange || exchange->state != EXCHANGE_PENDING)
        return COAP_SILENCE;
    struct writer held = writer_over(coap->value, sizeof coap->value);
    struct message response;
    const size_t before = writer_length(reply);
    exchange_write(exchange, &held);
    enum message_outcome parsed = message_parse(&response, coap->value, writer_length(&held));
    assert(parsed == MESSAGE_OK);
    (void)parsed;
    switch (saved) {
    case COAP_STORED:
        coap_count(coap, WORKER_COAP_CHANGES_STORED);
        if (exchange->declined) {
            settle_declined(coap, exchange, &response, reply);
            break;
        }
        writer_bytes(reply, coap->value, response.length);
        exchange_settle(&coap->secured, exchange, response.type == MESSAGE_ACK);
        break;
    case COAP_NOT_STORED:
        response_write_unavailable(reply, &response);
        exchange_drop(&coap->secured, exchange);
        coap_count(coap, WORKER_COAP_CHANGES_NOT_STORED);
        break;
    }
    return writer_length(reply) > before ? COAP_REPLY : COAP_SILENCE;
}

enum status coap_restore(struct coap *coap, uint64_t session_id, struct coap_now now,
                         struct octets value)
{
    const struct exchange_endpoint endpoint = {.session_id = session_id};
    struct exchange_value read;
    enum status status = exchange_value_read(&read, value);
    if (status != STATUS_OK || read.expires_unix_ms <= now.unix_ms)
        return status;
    /* More than a lifetime: it was written by a clock ahead of ours. */
    uint64_t left_ms = read.expires_unix_ms - now.unix_ms;
    if (left_ms > COAP_EXCHANGE_LIFETIME_MS)
        left_ms = COAP_EXCHANGE_LIFETIME_MS;
    return exchange_restore(&coap->secured, &endpoint, &read, now.ms, now.ms + left_ms);
}
