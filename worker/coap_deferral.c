/* Requests that are answered later: the empty ACK meanwhile, and the reply (coap_endpoint.h). */
#include "worker/coap_observe.h"

bool coap_can_defer(const struct coap *coap)
{
    return deferral_has_room(&coap->deferrals);
}

void coap_defer(struct coap *coap, const struct coap_peer *peer, const struct request *request,
                uint64_t ticket, bool observing, struct exchange *exchange)
{
    const struct deferral_due due = {coap->now.ms + coap->options.timing.separate_ms,
                                     coap->now.ms + COAP_DEFERRED_MS};
    exchange_defer(exchange);
    /* Without memory nobody finds the ticket any more, and the client's next try, after this
     * exchange, is a new one. */
    struct deferral *deferral =
        deferral_open(&coap->deferrals, peer, request->message, ticket, &due);
    if (!deferral) {
        exchange_drop(coap_exchanges(coap, peer), exchange);
        return;
    }
    deferral->proven = coap_is_proven(coap, peer, request);
    deferral->observing = observing;
}

static struct exchange *find_exchange(struct coap *coap, const struct deferral *deferral,
                                      uint16_t message_id)
{
    const struct exchange_endpoint endpoint = coap_exchange_endpoint(&deferral->peer);
    return exchange_find(coap_exchanges(coap, &deferral->peer), &endpoint, message_id,
                         coap->now.ms);
}

/* What repetitions of the request get from now on; nothing if it was non-confirmable. */
static void remember(struct coap *coap, const struct deferral *deferral,
                     const struct message *request, const struct writer *answer)
{
    struct exchanges *exchanges = coap_exchanges(coap, &deferral->peer);
    struct exchange *exchange = find_exchange(coap, deferral, request->id);
    if (!exchange)
        return;
    if (request->type != MESSAGE_CON ||
        !exchange_store(exchanges, exchange, answer->start, writer_length(answer)))
        exchange_settle(exchanges, exchange, false);
}

/* "Once the server sends back an Empty Acknowledgement, it MUST NOT send back the response in
 * another Acknowledgement, even if the client retransmits another identical request.  If a
 * retransmitted request is received (perhaps because the original Acknowledgement was delayed),
 * another Empty Acknowledgement is sent, and any response MUST be sent as a separate response."
 * (RFC 7252 section 5.2.2) */
static void acknowledge(struct coap *coap, struct deferral *deferral)
{
    struct message request;
    struct writer writer = writer_over(coap->message, sizeof coap->message);
    deferral_request(deferral, &request);
    message_write_empty(&writer, MESSAGE_ACK, request.id);
    remember(coap, deferral, &request, &writer);
    deferral_acknowledge(&coap->deferrals, deferral);
    coap_send(coap, &deferral->peer, &writer);
}

/* A reply that the client does not want (RFC 7967): a confirmable request is acknowledged, no more.
 */
static void answer_declined(struct coap *coap, struct deferral *deferral,
                            const struct message *request)
{
    if (deferral->acknowledged) {
        deferral_close(&coap->deferrals, deferral);
        return;
    }
    struct writer writer = writer_over(coap->message, sizeof coap->message);
    if (request->type == MESSAGE_CON) {
        message_write_empty(&writer, MESSAGE_ACK, request->id);
        coap_send(coap, &deferral->peer, &writer);
    }
    remember(coap, deferral, request, &writer);
    deferral_close(&coap->deferrals, deferral);
}

bool coap_answer(struct coap *coap, uint64_t ticket, struct coap_now now,
                 struct resource_reply *reply)
{
    struct deferral *deferral = deferral_find(&coap->deferrals, ticket);
    if (!deferral)
        return false;
    coap->now = now;
    struct message message;
    struct request request;
    uint16_t culprit;
    deferral_request(deferral, &message);
    (void)request_judge(&request, &message, &culprit); /* as it was judged before */
    if (deferral->rendering) {
        coap_rendered(coap, &request, reply);
        deferral_close(&coap->deferrals, deferral);
        return true;
    }
    resource_validate(&request, reply);
    if (deferral->observing)
        coap_observe_reply(coap, &deferral->peer, &message, reply);
    const struct response_envelope envelope =
        coap_envelope(coap, &deferral->peer, deferral->proven, &message, deferral->acknowledged);
    struct writer writer = writer_over(coap->message, sizeof coap->message);
    if (request_declines(&request, reply->code)) {
        answer_declined(coap, deferral, &message);
        return true;
    }
    coap_write_response(coap, &deferral->peer, deferral->proven, &envelope, &message, reply,
                        &writer);
    if (deferral->acknowledged)
        coap_count(coap, WORKER_COAP_SEPARATE);
    else
        remember(coap, deferral, &message, &writer);
    uint64_t key = ticket;
    enum transmission_kind kind = reply->has_observe
                                      ? coap_observe_kind(coap, &deferral->peer, &message, &key)
                                      : TRANSMISSION_SEPARATE;
    if (envelope.type == MESSAGE_CON)
        transmission_send(&coap->transmissions, &deferral->peer, kind, key,
                          (struct octets){coap->message, writer_length(&writer)}, now.ms);
    else
        coap_send(coap, &deferral->peer, &writer);
    if (deferral->observing)
        coap_observe_replied(coap, &deferral->peer, &message, reply->code);
    deferral_close(&coap->deferrals, deferral);
    return true;
}

void coap_run_deferrals(struct coap *coap)
{
    struct deferral *deferral;
    while ((deferral = deferral_take(&coap->deferrals, coap->now.ms))) {
        if (coap->now.ms < deferral->expires_ms) {
            acknowledge(coap, deferral);
            continue;
        }
        struct resource_reply reply;
        coap_begin_reply(coap, &reply);
        resource_fail(&reply, CODE_UNAVAILABLE, "");
        coap_count(coap, WORKER_COAP_UNANSWERED);
        coap_answer(coap, deferral->ticket, coap->now, &reply);
    }
}
