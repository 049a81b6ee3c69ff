/* Requests: what came before, what may be served, whose handler, and the reply (coap_endpoint.h).
 */
#include "worker/coap_observe.h"

#include <assert.h>
#include <stdio.h>

/* A request in work, and where its answer is put together. */
struct serving {
    struct request request;
    struct resource_reply reply;
    struct exchange *exchange; /* where it is remembered; NULL: nowhere */
    bool changes;              /* a 2.xx tells of a change */
    bool observing;            /* a 2.xx tells of a registration */
    bool proven;               /* coap_is_proven */
};

enum verdict {
    VERDICT_SERVE,
    VERDICT_ANSWER, /* the reply is an error */
    VERDICT_REJECT, /* no reply at all */
};

static enum verdict judge(struct serving *serving, const struct message *message)
{
    char diagnostic[16];
    uint16_t culprit = 0;
    switch (request_judge(&serving->request, message, &culprit)) {
    case REQUEST_OK:
        break;
    case REQUEST_PROXY:
        /* "An endpoint receiving a request with a Proxy-Uri Option that is unable or unwilling to
         * act as a forward-proxy for the request MUST cause the return of a 5.05 (Proxying Not
         * Supported) response." (RFC 7252 section 5.10.2) */
        resource_fail(&serving->reply, CODE_PROXYING_NOT_SUPPORTED, "");
        return VERDICT_ANSWER;
    case REQUEST_BAD_HOP_LIMIT:
        /* "CoAP requests received with a Hop-Limit option set to '0' or greater than '255' MUST be
         * rejected by a CoAP server/proxy using 4.00 (Bad Request)." (RFC 8768 section 3) */
        resource_fail(&serving->reply, CODE_BAD_REQUEST, "Hop-Limit");
        return VERDICT_ANSWER;
    case REQUEST_BAD_OPTION:
        /* "Unrecognized options of class "critical" that occur in a Confirmable request MUST cause
         * the return of a 4.02 (Bad Option) response.  This response SHOULD include a diagnostic
         * payload describing the unrecognized option(s)"; in a non-confirmable message they "MUST
         * cause the message to be rejected" (RFC 7252 section 5.4.1), which section 4.3 lets us do
         * in silence. */
        if (message->type != MESSAGE_CON)
            return VERDICT_REJECT;
        snprintf(diagnostic, sizeof diagnostic, "option %u", (unsigned)culprit);
        resource_fail(&serving->reply, CODE_BAD_OPTION, diagnostic);
        return VERDICT_ANSWER;
    }
    if (message->length > COAP_MESSAGE_SIZE_MAX) {
        resource_fail(&serving->reply, CODE_TOO_LARGE, "");
        serving->reply.suggests_block1 = true;
        return VERDICT_ANSWER;
    }
    const struct request *request = &serving->request;
    if ((request->block1 && block_is_reserved(request->block1)) ||
        (request->block2 && block_is_reserved(request->block2))) {
        resource_fail(&serving->reply, CODE_BAD_REQUEST, "reserved block size");
        return VERDICT_ANSWER;
    }
    return VERDICT_SERVE;
}

/* "A server might relax the requirement to answer all retransmissions of an idempotent request
 * with the same response [...], so that it does not have to maintain state for Message IDs."
 * (RFC 7252 section 4.5) We do so for the safe methods only: a repeated DELETE would be told 4.04
 * of what it deleted. */
static bool is_remembered(const struct message *message)
{
    struct block block;
    if (message->code != CODE_GET && message->code != CODE_FETCH)
        return true;
    if (!block_may_be_in(message))
        return false;
    /* A block that comes again is not the next one. */
    return block_read(&block, message, OPTION_BLOCK1) == BLOCK_FOUND ||
           (message->code == CODE_FETCH &&
            block_read(&block, message, OPTION_BLOCK2) == BLOCK_FOUND && block.number > 0);
}

enum coap_outcome coap_repeat(struct coap *coap, const struct message *message,
                              const struct exchange *exchange, struct writer *reply)
{
    coap_count(coap, WORKER_COAP_DUPLICATES);
    if (message->type != MESSAGE_CON || exchange->state != EXCHANGE_ANSWERED)
        return COAP_SILENCE;
    exchange_write(exchange, reply);
    return COAP_REPLY;
}

/* There is no room to remember the request in. */
static void refuse(struct coap *coap, struct resource_reply *reply)
{
    resource_fail(reply, CODE_UNAVAILABLE, "");
    coap_count(coap, WORKER_COAP_REFUSED);
}

enum progress {
    PROGRESS_ANSWERED,
    PROGRESS_DEFERRED,
    PROGRESS_REGISTERING, /* the commit is what to save first */
    PROGRESS_REPEATED,    /* serving->exchange knows it already */
};

/* Remembers a request for this resource, before it has any effect. One that may be answered later
 * is remembered whatever its method, until it is answered: its repetitions must not ask again. */
static enum progress remember(struct coap *coap, struct serving *serving,
                              const struct resource_call *call, bool defers)
{
    const struct message *message = serving->request.message;
    struct exchanges *exchanges = coap_exchanges(coap, call->peer);
    const struct exchange_endpoint endpoint = coap_exchange_endpoint(call->peer);
    if (!is_remembered(message) && !defers)
        return PROGRESS_ANSWERED;
    if (!is_remembered(message))
        serving->exchange = exchange_find(exchanges, &endpoint, message->id, call->now.ms);
    if (serving->exchange)
        return PROGRESS_REPEATED;
    if (!defers || coap_can_defer(coap))
        serving->exchange = exchange_open(exchanges, &endpoint, message->id, call->now.ms);
    if (!serving->exchange)
        refuse(coap, &serving->reply);
    return PROGRESS_ANSWERED;
}

/* Whether the peer may ask for one more thing. If not, Max-Age says "the number of seconds after
 * which to retry" (RFC 8516 section 3). Nothing is remembered of such a request. */
static bool is_in_time(struct coap *coap, const struct coap_peer *peer,
                       struct resource_reply *reply)
{
    switch (rate_ask(&coap->rate, peer->session_id, &peer->path.address, coap->now.ms)) {
    case RATE_GRANTED:
        return true;
    case RATE_REFUSED:
        break;
    }
    resource_fail(reply, CODE_TOO_MANY_REQUESTS, "");
    reply->has_max_age = true;
    reply->max_age_s = 1;
    coap_count(coap, WORKER_COAP_TOO_MANY);
    return false;
}

static struct resource_call call_for(struct coap *coap, const struct coap_peer *peer,
                                     const struct request *request)
{
    return (struct resource_call){
        .coap = coap,
        .request = request,
        .peer = peer,
        .resources = coap->options.resources,
        .resource_count = coap->options.resource_count,
        .plugtest = coap->options.plugtest,
        .is_rendering = peer->session_id == COAP_RENDERING_SESSION,
        .worker_id = coap->options.worker_id,
        .now = coap->now,
        .body = {request->message->payload, request->message->payload_length},
    };
}

enum resource_outcome coap_ask(struct coap *coap, const struct coap_peer *peer,
                               const struct message *message, uint64_t ticket,
                               struct resource_reply *reply)
{
    struct request request;
    uint16_t culprit;
    (void)request_judge(&request, message, &culprit);
    struct resource_call call = call_for(coap, peer, &request);
    call.ticket = ticket;
    resource_handler *handler = resource_select(&call, reply);
    return handler ? handler(&call, reply) : RESOURCE_DONE;
}

/* Whether the request goes on once the store has the registration. */
static bool register_or_not(struct serving *serving, const struct resource_call *call,
                            struct coap_commit *commit)
{
    switch (coap_interest_of(call)) {
    case COAP_INTEREST_NONE:
        return false;
    case COAP_INTEREST_DEREGISTER:
        coap_deregister(call);
        return false;
    case COAP_INTEREST_REGISTER:
        break;
    }
    serving->observing = coap_register(call);
    if (!serving->observing || call->peer->session_id == 0)
        return false;
    coap_defer(call->coap, call->peer, call->request, call->ticket, true, serving->exchange);
    coap_register_commit(call, commit);
    return true;
}

/* Runs the request's handler, if it has one and, where it may have an effect, if it can be
 * remembered. Errors before the handler have no effect and need no memory: they come out the same
 * again. */
static enum progress run(struct coap *coap, struct serving *serving, const struct coap_peer *peer,
                         struct coap_commit *commit)
{
    const struct message *message = serving->request.message;
    struct resource_call call = call_for(coap, peer, &serving->request);
    resource_handler *handler = resource_select(&call, &serving->reply);
    if (!handler)
        return PROGRESS_ANSWERED;
    enum progress progress =
        remember(coap, serving, &call,
                 call.resource->defers || coap_interest_of(&call) == COAP_INTEREST_REGISTER);
    if (progress == PROGRESS_REPEATED || serving->reply.code != CODE_EMPTY)
        return progress;
    if (serving->exchange)
        call.slot = exchange_slot(serving->exchange);
    if (!coap_gather(coap, &call, serving->proven, &serving->reply))
        return PROGRESS_ANSWERED;
    if (serving->request.block2 && coap_resume(coap, &call, &serving->reply))
        return PROGRESS_ANSWERED;
    serving->changes = call.resource->changes;
    call.ticket = ++coap->last_ticket;
    if (register_or_not(serving, &call, commit))
        return PROGRESS_REGISTERING;
    switch (handler(&call, &serving->reply)) {
    case RESOURCE_DONE:
        resource_validate(&serving->request, &serving->reply);
        if (serving->observing)
            coap_observe_reply(coap, peer, message, &serving->reply);
        break;
    case RESOURCE_LATER:
        assert(call.resource->defers);
        coap_defer(coap, peer, &serving->request, call.ticket, serving->observing,
                   serving->exchange);
        return PROGRESS_DEFERRED;
    }
    if (serving->exchange && !is_remembered(message)) {
        exchange_drop(coap_exchanges(coap, peer), serving->exchange);
        serving->exchange = NULL;
    }
    return PROGRESS_ANSWERED;
}

/* Keeps `response` back until the store has the change, and says what it is to save: the response
 * goes with it, so that whoever owns the session by then can repeat it. False: no room to keep it.
 */
static bool hold(struct coap *coap, const struct serving *serving, struct exchange *exchange,
                 const struct octets *response, struct coap_now now, struct coap_commit *commit)
{
    const struct message *message = serving->request.message;
    if (!exchange_store(&coap->secured, exchange, response->bytes, response->length))
        return false;
    exchange_hold(exchange);
    exchange->declined = request_declines(&serving->request, serving->reply.code);
    uint8_t empty[MESSAGE_HEADER_SIZE];
    struct writer ack = writer_over(empty, sizeof empty);
    message_write_empty(&ack, MESSAGE_ACK, message->id);
    const struct octets repeated =
        exchange->declined ? (struct octets){empty, sizeof empty} : *response;
    const struct exchange_value value = {
        .serial = exchange->serial,
        .message_id = message->id,
        .expires_unix_ms = now.unix_ms + COAP_EXCHANGE_LIFETIME_MS,
        .reply = {repeated.bytes, message->type == MESSAGE_CON ? repeated.length : 0},
    };
    struct writer writer = writer_over(coap->value, sizeof coap->value);
    exchange_value_write(&writer, &value);
    *commit = (struct coap_commit){
        .message_id = message->id,
        .slot = exchange_slot(exchange),
        .value = {coap->value, writer_length(&writer)},
        .event = {coap->event, writer_length(&serving->reply.event)},
    };
    return true;
}

bool coap_address_is_proven(struct coap *coap, const struct coap_peer *peer,
                            const struct request *request)
{
    const struct message_option *echo = request->echo;
    const struct address *address = &peer->path.address;
    if (echo && echo_value_is_fresh((struct octets){echo->value, echo->length},
                                    &coap->options.echo_key, address, coap->now.unix_ms)) {
        proven_add(&coap->proven, address, coap->now.ms);
        return true;
    }
    return proven_has(&coap->proven, address, coap->now.ms);
}

void coap_challenge(struct coap *coap, const struct coap_peer *peer, struct resource_reply *reply)
{
    echo_value_make(coap->echo, &coap->options.echo_key, &peer->path.address, coap->now.unix_ms);
    resource_fail(reply, CODE_UNAUTHORIZED, "");
    reply->echo = (struct octets){coap->echo, sizeof coap->echo};
}

void coap_write_challenge(struct coap *coap, const struct coap_peer *peer,
                          const struct response_envelope *envelope, const struct message *request,
                          struct resource_reply *reply, struct writer *writer)
{
    uint8_t value[ECHO_VALUE_SIZE];
    const struct octets echo = {value, sizeof value};
    echo_value_make(value, &coap->options.echo_key, &peer->path.address, coap->now.unix_ms);
    response_write(writer, envelope, request, reply, &echo);
    if (reply->echo.length > 0)
        coap_count(coap, WORKER_COAP_CHALLENGES);
}

/* Takes a response back that the client does not want: "The server MAY decide to suppress the
 * response by not transmitting it back to the client according to the value of the No-Response
 * option in the request." (RFC 7967, abstract) A confirmable request is acknowledged all the same.
 */
static void decline(const struct writer *before, const struct message *request,
                    struct writer *reply)
{
    *reply = *before;
    if (request->type == MESSAGE_CON)
        message_write_empty(reply, MESSAGE_ACK, request->id);
}

/* Writes the response and, where the request is remembered, stores or holds it. */
static enum coap_outcome respond(struct coap *coap, const struct coap_peer *peer,
                                 struct serving *serving, struct coap_now now, struct writer *reply,
                                 struct coap_commit *commit)
{
    const struct message *message = serving->request.message;
    const bool proven = serving->proven;
    const struct response_envelope envelope = coap_envelope(coap, peer, proven, message, false);
    struct exchange *exchange = serving->exchange;
    const struct writer before = *reply;
    coap_write_response(coap, peer, proven, &envelope, message, &serving->reply, reply);
    if (exchange && serving->changes && MESSAGE_CODE_CLASS(serving->reply.code) == 2) {
        const struct octets held = {before.at, (size_t)(reply->at - before.at)};
        *reply = before;
        if (hold(coap, serving, exchange, &held, now, commit))
            return COAP_COMMIT;
        exchange_drop(&coap->secured, exchange);
        exchange = NULL;
        refuse(coap, &serving->reply);
        coap_write_response(coap, peer, proven, &envelope, message, &serving->reply, reply);
    }
    if (request_declines(&serving->request, serving->reply.code))
        decline(&before, message, reply);
    const struct octets response = {before.at, (size_t)(reply->at - before.at)};
    if (exchange && message->type == MESSAGE_CON)
        exchange_store(coap_exchanges(coap, peer), exchange, response.bytes, response.length);
    return response.length > 0 ? COAP_REPLY : COAP_SILENCE;
}

enum coap_outcome coap_serve(struct coap *coap, const struct coap_peer *peer, struct coap_now now,
                             const struct message *message, struct writer *reply,
                             struct coap_commit *commit)
{
    struct serving serving;
    serving.exchange = NULL;
    if (is_remembered(message)) {
        const struct exchange_endpoint endpoint = coap_exchange_endpoint(peer);
        const struct exchange *known =
            exchange_find(coap_exchanges(coap, peer), &endpoint, message->id, now.ms);
        if (known)
            return coap_repeat(coap, message, known, reply);
    }
    serving.changes = false;
    serving.observing = false;
    coap_begin_reply(coap, &serving.reply);
    enum progress progress = PROGRESS_ANSWERED;
    enum verdict verdict = judge(&serving, message);
    serving.proven = coap_is_proven(coap, peer, &serving.request);
    switch (verdict) {
    case VERDICT_SERVE:
        if (is_in_time(coap, peer, &serving.reply))
            progress = run(coap, &serving, peer, commit);
        break;
    case VERDICT_ANSWER:
        break;
    case VERDICT_REJECT:
        coap_count(coap, WORKER_COAP_DROPPED_OPTION);
        return COAP_DROPPED;
    }
    enum coap_outcome outcome = COAP_SILENCE;
    switch (progress) {
    case PROGRESS_ANSWERED:
        outcome = respond(coap, peer, &serving, now, reply, commit);
        if (serving.observing)
            coap_observe_replied(coap, peer, message, serving.reply.code);
        break;
    case PROGRESS_DEFERRED:
        break;
    case PROGRESS_REGISTERING:
        outcome = COAP_REGISTER;
        break;
    case PROGRESS_REPEATED:
        return coap_repeat(coap, message, serving.exchange, reply);
    }
    metrics_set(coap->options.metrics, 0, WORKER_COAP_EXCHANGES_EVICTED,
                coap->secured.evicted + coap->plain.evicted + coap->heard.evicted);
    coap_count(coap, WORKER_COAP_REQUESTS);
    return outcome;
}
