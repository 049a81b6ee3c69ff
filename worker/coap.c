#include "worker/coap.h"

#include "worker/core_link.h"
#include "worker/echo.h"
#include "worker/exchange.h"
#include "worker/message.h"
#include "worker/metrics.h"
#include "worker/represent.h"
#include "worker/request.h"
#include "worker/resource.h"
#include "worker/tstun.h"
#include "worker/whoami.h"

#include <stdio.h>
#include <stdlib.h>

static const struct resource resources[] = {
    {.path = "/tstun",
     .type = "tstun",
     .plain = true,
     .handlers = {[CODE_GET] = tstun_get},
     .produces = REPRESENT_FORMATS},
    {.path = "/whoami",
     .type = "whoami",
     .handlers = {[CODE_GET] = whoami_get},
     .produces = REPRESENT_FORMATS},
    {.path = "/echo", .type = "echo", .plain = true, .handlers = {[CODE_POST] = echo_post}},
    {.path = "/.well-known/core",
     .plain = true,
     .unlisted = true,
     .handlers = {[CODE_GET] = core_link_get},
     .produces = {{FORMAT_LINK}, 1}},
};

struct coap {
    /* Apart, so that no flood from addresses that anybody can write makes us forget what an
     * authenticated peer has sent. */
    struct exchanges secured;
    struct exchanges plain;
    uint16_t worker_id;
    struct metrics *metrics;
};

enum status coap_new(struct coap **coap, const struct coap_options *options)
{
    enum status status = STATUS_NO_MEMORY;
    struct coap *made = calloc(1, sizeof *made);
    if (!made)
        goto out;
    made->worker_id = options->worker_id;
    made->metrics = options->metrics;
    size_t plain_max = options->exchanges_max / COAP_EXCHANGES_PLAIN_SHARE;
    status = exchanges_init(&made->plain, plain_max, options->hash_key);
    if (status != STATUS_OK)
        goto out;
    status = exchanges_init(&made->secured, options->exchanges_max - plain_max, options->hash_key);
out:
    if (status == STATUS_OK)
        *coap = made;
    else
        coap_free(made);
    return status;
}

void coap_free(struct coap *coap)
{
    if (!coap)
        return;
    exchanges_free(&coap->secured);
    exchanges_free(&coap->plain);
    free(coap);
}

static void count(struct coap *coap, enum worker_metric metric)
{
    metrics_add(coap->metrics, 0, metric, 1);
}

/* A request in work, and where its answer is put together. */
struct serving {
    struct request request;
    struct resource_reply reply;
    uint8_t payload[COAP_MESSAGE_SIZE_MAX];
};

static bool write_response(struct writer *writer, const struct message *request,
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
    message_add_payload(&builder, reply->payload.start, writer_length(&reply->payload));
    return writer_ok(&reply->payload) && writer_ok(writer);
}

/* "large amplification factors SHOULD NOT be provided in the response if the request is not
 * authenticated" (RFC 7252 section 11.3): counted as the victim's link would, with headers. */
static bool amplifies(const struct coap_peer *peer, size_t received, size_t sent)
{
    return peer->session_id == 0 &&
           sent + COAP_PLAIN_OVERHEAD > AMPLIFICATION_FACTOR * (received + COAP_PLAIN_OVERHEAD);
}

static void finish(const struct coap_peer *peer, const struct message *request,
                   struct resource_reply *reply, struct writer *writer)
{
    const struct writer before = *writer;
    if (!write_response(writer, request, reply)) {
        *writer = before;
        resource_fail(reply, CODE_INTERNAL_ERROR, "");
        write_response(writer, request, reply);
    }
    if (amplifies(peer, request->length, writer_length(writer) - writer_length(&before))) {
        *writer = before;
        resource_fail(reply, CODE_UNAUTHORIZED, "too large without DTLS");
        write_response(writer, request, reply);
    }
}

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
        return VERDICT_ANSWER;
    }
    return VERDICT_SERVE;
}

/* "A server might relax the requirement to answer all retransmissions of an idempotent request
 * with the same response [...], so that it does not have to maintain state for Message IDs."
 * (RFC 7252 section 4.5) We do so for the safe methods only: a repeated DELETE would be told 4.04
 * of what it deleted. */
static bool is_remembered(uint8_t method)
{
    return method != CODE_GET && method != CODE_FETCH;
}

/* "The recipient SHOULD acknowledge each duplicate copy of a Confirmable message using the same
 * Acknowledgement or Reset message but SHOULD process any request or response in the message only
 * once." and for non-confirmable ones "the recipient SHOULD silently ignore any duplicated
 * Non-confirmable message" (RFC 7252 section 4.5) */
static enum coap_outcome repeat(const struct message *message, const struct exchange *exchange,
                                struct writer *reply)
{
    if (message->type != MESSAGE_CON || exchange->reply_length == 0)
        return COAP_SILENCE;
    exchange_write(exchange, reply);
    return COAP_REPLY;
}

/* Runs the request's handler, if it has one and, where it may have an effect, if it can be
 * remembered: then *exchange is where. Errors before the handler have no effect and need no memory:
 * they come out the same again. */
static void run(struct coap *coap, struct exchanges *exchanges, struct serving *serving,
                const struct coap_peer *peer, uint64_t now_ms, struct exchange **exchange)
{
    const struct message *message = serving->request.message;
    const struct exchange_endpoint endpoint = {peer->session_id, peer->address};
    struct resource_call call = {
        .request = &serving->request,
        .peer = peer,
        .resources = resources,
        .resource_count = sizeof resources / sizeof *resources,
        .worker_id = coap->worker_id,
    };
    resource_handler *handler = resource_select(&call, &serving->reply);
    if (!handler)
        return;
    if (is_remembered(message->code)) {
        *exchange = exchange_open(exchanges, &endpoint, message->id, now_ms);
        if (!*exchange) {
            resource_fail(&serving->reply, CODE_UNAVAILABLE, "");
            return;
        }
    }
    handler(&call, &serving->reply);
}

static enum coap_outcome serve(struct coap *coap, const struct coap_peer *peer, uint64_t now_ms,
                               const struct message *message, struct writer *reply)
{
    struct exchanges *exchanges = peer->session_id ? &coap->secured : &coap->plain;
    const struct exchange_endpoint endpoint = {peer->session_id, peer->address};
    struct exchange *exchange = NULL;
    if (is_remembered(message->code))
        exchange = exchange_find(exchanges, &endpoint, message->id, now_ms);
    if (exchange) {
        count(coap, WORKER_COAP_DUPLICATES);
        return repeat(message, exchange, reply);
    }

    struct serving serving;
    serving.reply =
        (struct resource_reply){.payload = writer_over(serving.payload, sizeof serving.payload)};
    switch (judge(&serving, message)) {
    case VERDICT_SERVE:
        run(coap, exchanges, &serving, peer, now_ms, &exchange);
        break;
    case VERDICT_ANSWER:
        break;
    case VERDICT_REJECT:
        count(coap, WORKER_COAP_DROPPED_OPTION);
        return COAP_DROPPED;
    }
    const uint8_t *start = reply->at;
    finish(peer, message, &serving.reply, reply);
    if (exchange && message->type == MESSAGE_CON)
        exchange_store(exchanges, exchange, start, (size_t)(reply->at - start));
    metrics_set(coap->metrics, 0, WORKER_COAP_EXCHANGES_EVICTED,
                coap->secured.evicted + coap->plain.evicted);
    count(coap, WORKER_COAP_REQUESTS);
    return COAP_REPLY;
}

enum kind { KIND_EMPTY, KIND_REQUEST, KIND_RESPONSE, KIND_RESERVED, KINDS };

static enum kind kind_of(uint8_t code)
{
    static const enum kind kinds[8] = {
        KIND_REQUEST,  KIND_RESERVED, KIND_RESPONSE, KIND_RESPONSE,
        KIND_RESPONSE, KIND_RESPONSE, KIND_RESERVED, KIND_RESERVED,
    };
    return code == CODE_EMPTY ? KIND_EMPTY : kinds[MESSAGE_CODE_CLASS(code)];
}

enum treatment {
    TREAT_SERVE,   /* a request */
    TREAT_PONG,    /* CoAP ping: RST */
    TREAT_SETTLED, /* what an empty message of ours was answered with */
    TREAT_REJECT,  /* RST, counted */
    TREAT_IGNORE,  /* silence, counted */
};

/* RFC 7252 section 4.3, table 1, and what sections 4.2 and 4.3 say of all that is not in it: a
 * confirmable message is rejected by a Reset, "Rejecting a Non-confirmable message MAY involve
 * sending a matching Reset message", and "recipients of Acknowledgement and Reset messages MUST NOT
 * respond with either Acknowledgement or Reset messages". We have no requests under way, so that
 * each response is one nobody asked for. */
static const enum treatment treatments[KINDS][4] = {
    /*                 CON           NON           ACK            RST */
    [KIND_EMPTY] = {TREAT_PONG, TREAT_IGNORE, TREAT_SETTLED, TREAT_SETTLED},
    [KIND_REQUEST] = {TREAT_SERVE, TREAT_SERVE, TREAT_IGNORE, TREAT_IGNORE},
    [KIND_RESPONSE] = {TREAT_REJECT, TREAT_IGNORE, TREAT_IGNORE, TREAT_IGNORE},
    [KIND_RESERVED] = {TREAT_REJECT, TREAT_IGNORE, TREAT_IGNORE, TREAT_IGNORE},
};

/* What does not parse. "Messages with unknown version numbers MUST be silently ignored." (RFC 7252
 * section 3); a confirmable message with a format error is rejected (section 4.2). */
static const struct error {
    enum worker_metric metric;
    bool rejected;
} errors[MESSAGE_OUTCOMES] = {
    [MESSAGE_SHORT_HEADER] = {WORKER_COAP_DROPPED_MALFORMED, false},
    [MESSAGE_BAD_VERSION] = {WORKER_COAP_DROPPED_VERSION, false},
    [MESSAGE_BAD_TOKEN_LENGTH] = {WORKER_COAP_DROPPED_TOKEN, true},
    [MESSAGE_SHORT_TOKEN] = {WORKER_COAP_DROPPED_MALFORMED, true},
    [MESSAGE_BAD_OPTION] = {WORKER_COAP_DROPPED_MALFORMED, true},
    [MESSAGE_TOO_MANY_OPTIONS] = {WORKER_COAP_DROPPED_MALFORMED, true},
    [MESSAGE_BARE_MARKER] = {WORKER_COAP_DROPPED_MALFORMED, true},
    [MESSAGE_NOT_EMPTY] = {WORKER_COAP_DROPPED_MALFORMED, true},
};

/* "The Reset message MUST echo the Message ID of the Confirmable message and MUST be Empty." (RFC
 * 7252 section 4.2) */
static enum coap_outcome reset(const struct message *message, struct writer *reply)
{
    message_write_empty(reply, MESSAGE_RST, message->id);
    return COAP_REPLY;
}

enum coap_outcome coap_receive(struct coap *coap, const struct coap_peer *peer, uint64_t now_ms,
                               const uint8_t *bytes, size_t length, struct writer *reply,
                               uint16_t *message_id)
{
    struct message message;
    enum message_outcome outcome = message_parse(&message, bytes, length);
    if (outcome != MESSAGE_OK) {
        count(coap, errors[outcome].metric);
        bool rejected = errors[outcome].rejected && message.type == MESSAGE_CON;
        return rejected ? reset(&message, reply) : COAP_DROPPED;
    }
    switch (treatments[kind_of(message.code)][message.type]) {
    case TREAT_SERVE:
        return serve(coap, peer, now_ms, &message, reply);
    case TREAT_PONG:
        /* "Provoking a Reset message (e.g., by sending an Empty Confirmable message) is also useful
         * as an inexpensive check of the liveness of an endpoint" (RFC 7252 section 4.3) */
        return reset(&message, reply);
    case TREAT_SETTLED:
        *message_id = message.id;
        return COAP_RESET;
    case TREAT_REJECT:
        count(coap, WORKER_COAP_DROPPED_UNEXPECTED);
        return reset(&message, reply);
    case TREAT_IGNORE:
        break;
    }
    count(coap, WORKER_COAP_DROPPED_UNEXPECTED);
    return COAP_DROPPED;
}

void coap_write_ping(struct writer *message, uint16_t message_id)
{
    message_write_empty(message, MESSAGE_CON, message_id);
}

void coap_forget(struct coap *coap, uint64_t session_id)
{
    const struct exchange_endpoint endpoint = {.session_id = session_id};
    exchange_forget(&coap->secured, &endpoint);
}

uint64_t coap_next_ms(const struct coap *coap)
{
    uint64_t secured = exchange_next_ms(&coap->secured);
    uint64_t plain = exchange_next_ms(&coap->plain);
    return secured < plain ? secured : plain;
}

void coap_expire(struct coap *coap, uint64_t now_ms)
{
    exchange_expire(&coap->secured, now_ms);
    exchange_expire(&coap->plain, now_ms);
}
