#include "worker/coap_observe.h"

#include <assert.h>
#include <stdlib.h>

/* --- what is under way from us --- */

static void send_message(void *owner, const struct coap_peer *peer, const uint8_t *message,
                         size_t length)
{
    struct coap *coap = owner;
    coap->options.send(coap->options.owner, peer, message, length);
}

static void repeats(void *owner, const struct coap_peer *peer, enum transmission_kind kind,
                    uint64_t key, uint64_t now_ms)
{
    struct coap *coap = owner;
    const struct coap_party *party = &coap->parties[kind];
    if (coap->options.unanswered)
        coap->options.unanswered(coap->options.owner, peer);
    if (party->repeats)
        party->repeats(party->owner, peer, key, now_ms);
}

static void settled(void *owner, const struct transmission_report *report)
{
    struct coap *coap = owner;
    const struct coap_party *party = &coap->parties[report->kind];
    if (party->settled)
        party->settled(party->owner, report);
}

void coap_join(struct coap *coap, enum transmission_kind kind, const struct coap_party *party)
{
    coap->parties[kind] = *party;
}

uint16_t coap_message_id(struct coap *coap, const struct coap_peer *peer)
{
    return peer->session ? peer->session->next_message_id++ : coap->next_message_id++;
}

/* --- beginning and end --- */

static enum status init_exchanges(struct coap *coap, size_t exchanges_max)
{
    const struct hash_key key = coap->options.hash_key;
    size_t share_max = exchanges_max / COAP_EXCHANGES_SHARE;
    enum status status = exchanges_init(&coap->plain, share_max, key);
    if (status == STATUS_OK)
        status = exchanges_init(&coap->heard, share_max, key);
    if (status == STATUS_OK)
        status = exchanges_init(&coap->secured, exchanges_max - 2 * share_max, key);
    return status;
}

static enum status init_bodies(struct coap *coap)
{
    const struct hash_key key = coap->options.hash_key;
    size_t transfers_max = COAP_BODIES_MAX / COAP_BODIES_SHARE;
    size_t chunks_max = COAP_BODY_CHUNKS_MAX / COAP_BODIES_SHARE;
    enum status status = bodies_init(&coap->plain_bodies, transfers_max, chunks_max, key);
    if (status == STATUS_OK)
        status = bodies_init(&coap->secured_bodies, COAP_BODIES_MAX - transfers_max,
                             COAP_BODY_CHUNKS_MAX - chunks_max, key);
    return status;
}

static enum status init_transmissions(struct coap *coap)
{
    const struct coap_options *options = &coap->options;
    const struct transmission_options transmissions = {
        .hash_key = options->hash_key,
        .seed = options->seed,
        .peers_max = COAP_TRANSMISSION_PEERS_MAX,
        .short_max = COAP_TRANSMISSIONS_MAX,
        .long_max = COAP_TRANSMISSIONS_LONG_MAX,
        .ack_timeout_ms = options->timing.ack_timeout_ms,
        .max_retransmit = options->timing.max_retransmit,
        .random_percent = options->timing.random_percent,
        .metrics = options->metrics,
        .send = send_message,
        .repeats = repeats,
        .settled = settled,
        .owner = coap,
    };
    return transmissions_init(&coap->transmissions, &transmissions);
}

static void take_options(struct coap *coap, const struct coap_options *options)
{
    coap->options = *options;
    if (!options->resources) {
        coap->options.resources = coap_resources;
        coap->options.resource_count = coap_resource_count;
    }
    /* What changes state needs a session to save the exchange with, at once. */
    for (size_t i = 0; i < coap->options.resource_count; i++) {
        const struct resource *resource = &coap->options.resources[i];
        assert(!resource->changes || !(resource->plain || resource->defers));
        (void)resource;
    }
}

enum status coap_new(struct coap **coap, const struct coap_options *options)
{
    struct coap *made = calloc(1, sizeof *made);
    if (!made)
        return STATUS_NO_MEMORY;
    take_options(made, options);
    made->proven.key = options->hash_key;
    made->next_message_id = (uint16_t)(options->seed >> 48);
    enum status status = init_exchanges(made, options->exchanges_max);
    if (status == STATUS_OK)
        status = init_bodies(made);
    if (status == STATUS_OK)
        status = init_transmissions(made);
    if (status == STATUS_OK)
        status = deferrals_init(&made->deferrals, COAP_DEFERRALS_MAX, options->hash_key);
    if (status == STATUS_OK)
        status = rate_init(&made->rate, options->request_rate, &options->hash_key);
    if (status == STATUS_OK && options->plugtest)
        status = plugtest_new(&made->plugtest);
    if (status == STATUS_OK)
        status = coap_observe_init(made);
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
    coap_observe_free(coap);
    plugtest_free(coap->plugtest);
    rate_free(&coap->rate);
    deferrals_free(&coap->deferrals);
    transmissions_free(&coap->transmissions);
    bodies_free(&coap->secured_bodies);
    bodies_free(&coap->plain_bodies);
    exchanges_free(&coap->secured);
    exchanges_free(&coap->heard);
    exchanges_free(&coap->plain);
    free(coap);
}

void coap_turn(struct coap *coap, struct coap_now now)
{
    coap->now = now;
}

struct coap_now coap_clock(const struct coap *coap)
{
    return coap->now;
}

/* --- a message --- */

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
    TREAT_HEAR,    /* a response */
    TREAT_PONG,    /* CoAP ping: RST */
    TREAT_SETTLED, /* what a message of ours was answered with, empty */
    TREAT_REJECT,  /* RST, counted */
    TREAT_IGNORE,  /* silence, counted */
};

/* RFC 7252 section 4.3, table 1, and what sections 4.2 and 4.3 say of all that is not in it: a
 * confirmable message is rejected by a Reset, "Rejecting a Non-confirmable message MAY involve
 * sending a matching Reset message", and "recipients of Acknowledgement and Reset messages MUST NOT
 * respond with either Acknowledgement or Reset messages". */
static const enum treatment treatments[KINDS][4] = {
    /*                 CON           NON           ACK            RST */
    [KIND_EMPTY] = {TREAT_PONG, TREAT_IGNORE, TREAT_SETTLED, TREAT_SETTLED},
    [KIND_REQUEST] = {TREAT_SERVE, TREAT_SERVE, TREAT_IGNORE, TREAT_IGNORE},
    [KIND_RESPONSE] = {TREAT_HEAR, TREAT_HEAR, TREAT_HEAR, TREAT_IGNORE},
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

static bool resets(const struct coap *coap, const struct coap_peer *peer, uint16_t message_id)
{
    for (size_t i = 0; i < TRANSMISSION_KINDS; i++) {
        const struct coap_party *party = &coap->parties[i];
        if (party->reset && party->reset(party->owner, peer, message_id))
            return true;
    }
    return false;
}

/* An empty ACK or RST: of a confirmable message of ours, or a Reset of a non-confirmable one, or of
 * the path check, whose id the session keeps. */
static enum coap_outcome settle(struct coap *coap, const struct coap_peer *peer, uint64_t now_ms,
                                const struct message *message, struct coap_commit *commit)
{
    bool is_reset = message->type == MESSAGE_RST;
    if (transmission_answered(&coap->transmissions, peer, message->id,
                              is_reset ? TRANSMISSION_RESET : TRANSMISSION_ACKED, NULL,
                              now_ms) != TRANSMISSION_UNMATCHED)
        return COAP_SILENCE;
    if (is_reset && resets(coap, peer, message->id))
        return COAP_SILENCE;
    commit->message_id = message->id;
    return COAP_RESET;
}

enum coap_outcome coap_receive(struct coap *coap, const struct coap_peer *peer, struct coap_now now,
                               const uint8_t *bytes, size_t length, struct writer *reply,
                               struct coap_commit *commit)
{
    struct message message;
    coap->now = now;
    enum message_outcome outcome = message_parse(&message, bytes, length);
    if (outcome != MESSAGE_OK) {
        coap_count(coap, errors[outcome].metric);
        bool rejected = errors[outcome].rejected && message.type == MESSAGE_CON;
        return rejected ? reset(&message, reply) : COAP_DROPPED;
    }
    switch (treatments[kind_of(message.code)][message.type]) {
    case TREAT_SERVE:
        return coap_serve(coap, peer, now, &message, reply, commit);
    case TREAT_HEAR:
        return coap_hear(coap, peer, now, &message, reply);
    case TREAT_PONG:
        /* "Provoking a Reset message (e.g., by sending an Empty Confirmable message) is also useful
         * as an inexpensive check of the liveness of an endpoint" (RFC 7252 section 4.3) */
        return reset(&message, reply);
    case TREAT_SETTLED:
        return settle(coap, peer, now.ms, &message, commit);
    case TREAT_REJECT:
        coap_count(coap, WORKER_COAP_DROPPED_UNEXPECTED);
        return reset(&message, reply);
    case TREAT_IGNORE:
        break;
    }
    coap_count(coap, WORKER_COAP_DROPPED_UNEXPECTED);
    return COAP_DROPPED;
}

void coap_write_ping(struct writer *message, uint16_t message_id)
{
    message_write_empty(message, MESSAGE_CON, message_id);
}

/* --- time --- */

void coap_forget(struct coap *coap, uint64_t session_id)
{
    const struct exchange_endpoint endpoint = {.session_id = session_id};
    exchange_forget(&coap->secured, &endpoint);
    exchange_forget(&coap->heard, &endpoint);
    observers_forget(&coap->observers, &(struct coap_peer){.session_id = session_id});
    body_forget(&coap->secured_bodies, &endpoint);
    coap_show_bodies(coap);
    deferral_forget(&coap->deferrals, session_id);
    transmission_forget(&coap->transmissions, session_id, coap->now.ms);
}

static uint64_t sooner(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

uint64_t coap_next_ms(const struct coap *coap)
{
    uint64_t next_ms = exchange_next_ms(&coap->secured);
    next_ms = sooner(next_ms, exchange_next_ms(&coap->plain));
    next_ms = sooner(next_ms, exchange_next_ms(&coap->heard));
    next_ms = sooner(next_ms, body_next_ms(&coap->secured_bodies));
    next_ms = sooner(next_ms, body_next_ms(&coap->plain_bodies));
    next_ms = sooner(next_ms, deferral_next_ms(&coap->deferrals));
    if (coap->plugtest)
        next_ms = sooner(next_ms, plugtest_next_ms(coap->plugtest));
    next_ms = sooner(next_ms, observers_next_ms(&coap->observers));
    return sooner(next_ms, transmission_next_ms(&coap->transmissions));
}

void coap_run(struct coap *coap, struct coap_now now)
{
    coap->now = now;
    exchange_expire(&coap->secured, now.ms);
    exchange_expire(&coap->plain, now.ms);
    exchange_expire(&coap->heard, now.ms);
    body_expire(&coap->secured_bodies, now.ms);
    body_expire(&coap->plain_bodies, now.ms);
    coap_show_bodies(coap);
    if (coap->plugtest)
        plugtest_run(coap->plugtest, coap, now);
    coap_run_deferrals(coap);
    transmission_run(&coap->transmissions, now.ms);
    observers_run(&coap->observers, now);
}
