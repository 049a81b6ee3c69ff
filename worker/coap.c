#include "worker/coap.h"

#include "worker/core_link.h"
#include "worker/echo.h"
#include "worker/echo_value.h"
#include "worker/events.h"
#include "worker/exchange.h"
#include "worker/message.h"
#include "worker/metrics.h"
#include "worker/represent.h"
#include "worker/request.h"
#include "worker/resource.h"
#include "worker/response.h"
#include "worker/tstun.h"
#include "worker/whoami.h"

#include <assert.h>
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
    {.path = "/events", .type = "events", .changes = true, .handlers = {[CODE_POST] = events_post}},
    {.path = "/.well-known/core",
     .plain = true,
     .unlisted = true,
     .handlers = {[CODE_GET] = core_link_get},
     .produces = {{FORMAT_LINK}, 1}},
};
#define RESOURCES (sizeof resources / sizeof *resources)

struct coap {
    /* Apart, so that no flood from addresses that anybody can write makes us forget what an
     * authenticated peer has sent. */
    struct exchanges secured;
    struct exchanges plain;
    uint16_t worker_id;
    struct hash_key echo_key;
    struct metrics *metrics;
    /* What struct coap_commit shows. */
    uint8_t value[EXCHANGE_VALUE_MAX];
    uint8_t event[STORE_EVENT_MAX];
};

enum status coap_new(struct coap **coap, const struct coap_options *options)
{
    /* What changes state needs a session to save the exchange with. */
    for (size_t i = 0; i < RESOURCES; i++)
        assert(!(resources[i].plain && resources[i].changes));
    enum status status = STATUS_NO_MEMORY;
    struct coap *made = calloc(1, sizeof *made);
    if (!made)
        goto out;
    made->worker_id = options->worker_id;
    made->echo_key = options->echo_key;
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
    bool changes; /* a 2.xx tells of a change */
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
    if (message->type != MESSAGE_CON || exchange->state != EXCHANGE_ANSWERED)
        return COAP_SILENCE;
    exchange_write(exchange, reply);
    return COAP_REPLY;
}

/* There is no room to remember the request in. */
static void refuse(struct coap *coap, struct resource_reply *reply)
{
    resource_fail(reply, CODE_UNAVAILABLE, "");
    count(coap, WORKER_COAP_REFUSED);
}

/* Runs the request's handler, if it has one and, where it may have an effect, if it can be
 * remembered: then *exchange is where. Errors before the handler have no effect and need no memory:
 * they come out the same again. */
static void run(struct coap *coap, struct exchanges *exchanges, struct serving *serving,
                const struct coap_peer *peer, struct coap_now now, struct exchange **exchange)
{
    const struct message *message = serving->request.message;
    const struct exchange_endpoint endpoint = {peer->session_id, peer->address};
    struct resource_call call = {
        .request = &serving->request,
        .peer = peer,
        .resources = resources,
        .resource_count = RESOURCES,
        .worker_id = coap->worker_id,
        .unix_ms = now.unix_ms,
    };
    resource_handler *handler = resource_select(&call, &serving->reply);
    if (!handler)
        return;
    if (is_remembered(message->code)) {
        *exchange = exchange_open(exchanges, &endpoint, message->id, now.ms);
        if (!*exchange) {
            refuse(coap, &serving->reply);
            return;
        }
        call.slot = exchange_slot(*exchange);
        serving->changes = call.resource->changes;
    }
    handler(&call, &serving->reply);
    resource_validate(&serving->request, &serving->reply);
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
    const struct exchange_value value = {
        .serial = exchange->serial,
        .message_id = message->id,
        .expires_unix_ms = now.unix_ms + COAP_EXCHANGE_LIFETIME_MS,
        .reply = {response->bytes, message->type == MESSAGE_CON ? response->length : 0},
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

/* Whether the peer has shown that it gets what is sent to its address. */
static bool is_proven(const struct coap *coap, const struct coap_peer *peer,
                      const struct request *request, struct coap_now now)
{
    const struct message_option *echo = request->echo;
    return peer->session_id != 0 ||
           (echo && echo_value_is_fresh((struct octets){echo->value, echo->length}, &coap->echo_key,
                                        &peer->address, now.unix_ms));
}

/* Writes the response to a request whose options have been judged. */
static void write_response(struct coap *coap, const struct coap_peer *peer, struct serving *serving,
                           struct coap_now now, struct writer *reply)
{
    const struct message *message = serving->request.message;
    uint8_t value[ECHO_VALUE_SIZE];
    const struct octets echo = {value, sizeof value};
    if (is_proven(coap, peer, &serving->request, now)) {
        response_write(reply, message, &serving->reply, NULL);
        return;
    }
    echo_value_make(value, &coap->echo_key, &peer->address, now.unix_ms);
    response_write(reply, message, &serving->reply, &echo);
    if (serving->reply.echo.length > 0)
        count(coap, WORKER_COAP_CHALLENGES);
}

/* Writes the response and, where the request is remembered, stores or holds it. */
static enum coap_outcome respond(struct coap *coap, const struct coap_peer *peer,
                                 struct serving *serving, struct exchange *exchange,
                                 struct coap_now now, struct writer *reply,
                                 struct coap_commit *commit)
{
    const struct message *message = serving->request.message;
    const struct writer before = *reply;
    write_response(coap, peer, serving, now, reply);
    if (!exchange)
        return COAP_REPLY;
    const struct octets response = {before.at, (size_t)(reply->at - before.at)};
    if (serving->changes && MESSAGE_CODE_CLASS(serving->reply.code) == 2) {
        *reply = before;
        if (hold(coap, serving, exchange, &response, now, commit))
            return COAP_COMMIT;
        exchange_drop(&coap->secured, exchange);
        refuse(coap, &serving->reply);
        write_response(coap, peer, serving, now, reply);
    } else if (message->type == MESSAGE_CON) {
        exchange_store(peer->session_id ? &coap->secured : &coap->plain, exchange, response.bytes,
                       response.length);
    }
    return COAP_REPLY;
}

static enum coap_outcome serve(struct coap *coap, const struct coap_peer *peer, struct coap_now now,
                               const struct message *message, struct writer *reply,
                               struct coap_commit *commit)
{
    struct exchanges *exchanges = peer->session_id ? &coap->secured : &coap->plain;
    const struct exchange_endpoint endpoint = {peer->session_id, peer->address};
    struct exchange *exchange = NULL;
    if (is_remembered(message->code))
        exchange = exchange_find(exchanges, &endpoint, message->id, now.ms);
    if (exchange) {
        count(coap, WORKER_COAP_DUPLICATES);
        return repeat(message, exchange, reply);
    }

    struct serving serving;
    serving.changes = false;
    serving.reply =
        (struct resource_reply){.payload = writer_over(serving.payload, sizeof serving.payload),
                                .event = writer_over(coap->event, sizeof coap->event)};
    switch (judge(&serving, message)) {
    case VERDICT_SERVE:
        run(coap, exchanges, &serving, peer, now, &exchange);
        break;
    case VERDICT_ANSWER:
        break;
    case VERDICT_REJECT:
        count(coap, WORKER_COAP_DROPPED_OPTION);
        return COAP_DROPPED;
    }
    enum coap_outcome outcome = respond(coap, peer, &serving, exchange, now, reply, commit);
    metrics_set(coap->metrics, 0, WORKER_COAP_EXCHANGES_EVICTED,
                coap->secured.evicted + coap->plain.evicted);
    count(coap, WORKER_COAP_REQUESTS);
    return outcome;
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

enum coap_outcome coap_receive(struct coap *coap, const struct coap_peer *peer, struct coap_now now,
                               const uint8_t *bytes, size_t length, struct writer *reply,
                               struct coap_commit *commit)
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
        return serve(coap, peer, now, &message, reply, commit);
    case TREAT_PONG:
        /* "Provoking a Reset message (e.g., by sending an Empty Confirmable message) is also useful
         * as an inexpensive check of the liveness of an endpoint" (RFC 7252 section 4.3) */
        return reset(&message, reply);
    case TREAT_SETTLED:
        commit->message_id = message.id;
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

enum coap_outcome coap_committed(struct coap *coap, uint64_t session_id, uint16_t message_id,
                                 enum coap_saved saved, uint64_t now_ms, struct writer *reply)
{
    const struct exchange_endpoint endpoint = {.session_id = session_id};
    struct exchange *exchange = exchange_find(&coap->secured, &endpoint, message_id, now_ms);
    if (!exchange || exchange->state != EXCHANGE_PENDING)
        return COAP_SILENCE;
    struct writer held = writer_over(coap->value, sizeof coap->value);
    struct message response;
    exchange_write(exchange, &held);
    enum message_outcome parsed = message_parse(&response, coap->value, writer_length(&held));
    assert(parsed == MESSAGE_OK);
    (void)parsed;
    switch (saved) {
    case COAP_STORED:
        writer_bytes(reply, coap->value, response.length);
        exchange_settle(&coap->secured, exchange, response.type == MESSAGE_ACK);
        count(coap, WORKER_COAP_CHANGES_STORED);
        break;
    case COAP_NOT_STORED:
        response_write_unavailable(reply, &response);
        exchange_drop(&coap->secured, exchange);
        count(coap, WORKER_COAP_CHANGES_NOT_STORED);
        break;
    }
    return COAP_REPLY;
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
