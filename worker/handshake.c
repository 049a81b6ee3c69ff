#include "worker/handshakes.h"

#include <stdlib.h>
#include <string.h>

typedef void action_fn(struct handshakes *handshakes, struct handshake *handshake,
                       const struct handshake_datagram *datagram,
                       const struct store_answer *answer);

static bool hold(struct handshake *handshake, const struct handshake_datagram *datagram)
{
    if (handshake->held_count == HANDSHAKE_HELD_MAX)
        return false;
    struct handshake_datagram *held = &handshake->held[handshake->held_count];
    held->bytes = malloc(datagram->length);
    if (!held->bytes)
        return false;
    memcpy(held->bytes, datagram->bytes, datagram->length);
    held->length = datagram->length;
    handshake->held_count++;
    return true;
}

static struct octets identity_of(const struct handshake *handshake)
{
    return (struct octets){handshake->identity.bytes + 2, handshake->identity.have - 2u};
}

static void psk_answered(void *owner, const struct store_answer *answer);
static void session_stored(void *owner, const struct store_answer *answer);

static enum hello_identity_outcome peek_identity(struct handshake *handshake,
                                                 const struct handshake_datagram *datagram)
{
    enum hello_identity_outcome outcome = HELLO_NO_KEY_EXCHANGE;
    struct cursor cursor = cursor_over(datagram->bytes, datagram->length);
    struct record record;
    while (outcome == HELLO_NO_KEY_EXCHANGE &&
           record_next(&cursor, RECORD_CID_SELF_DESCRIBED, &record) == STATUS_OK)
        outcome = hello_peek_identity(&handshake->identity, &record);
    return outcome;
}

/* RFC 4279 section 2 lets a server hide that it does not know an identity, by going on as if it did
 * and the key were wrong: the Finished then fails as it does with a wrong key. */
static enum status make_unknown_psk(struct handshakes *handshakes, struct handshake *handshake)
{
    struct octets identity = identity_of(handshake);
    handshake->psk.length = 32;
    handshake->psk_known = true;
    return keys_derive(&handshakes->cluster_key, KEY_UNKNOWN_PSK, identity.bytes, identity.length,
                       handshake->psk.bytes, handshake->psk.length);
}

/* Marks the client's authentic epoch 1 records of the datagram that completed the handshake, so
 * that none of them counts as new when it comes again. */
static void mark_seen(struct handshakes *handshakes, struct handshake *handshake,
                      const struct handshake_datagram *datagram)
{
    memcpy(handshakes->scratch, datagram->bytes, datagram->length);
    const struct tls_result *result = &handshake->result;
    struct cursor cursor = cursor_over(handshakes->scratch, datagram->length);
    struct record record;
    while (record_next(&cursor, RECORD_CID_SELF_DESCRIBED, &record) == STATUS_OK) {
        uint8_t *content;
        size_t length;
        uint8_t type;
        enum replay_outcome freshness = replay_check(&handshake->replay, record.sequence);
        if (record.epoch == 1 && record.form != RECORD_UNIFIED &&
            (freshness == REPLAY_NEWEST || freshness == REPLAY_FRESH) &&
            protect_open(&handshakes->protector, &suites[result->suite], &result->read, &record,
                         &content, &length, &type) == STATUS_OK)
            replay_accept(&handshake->replay, record.sequence);
    }
}

static enum status store_session(struct handshakes *handshakes, struct handshake *handshake)
{
    struct store_session session;
    enum status status =
        handshakes->options.describe(handshakes->options.owner, handshake, &session);
    if (status != STATUS_OK)
        return status;
    const struct store_waiter waiter = {session_stored, handshakes, handshake->own_cid, 0};
    return store_create_session(handshakes->options.store, &session, &waiter);
}

static void complete(struct handshakes *handshakes, struct handshake *handshake,
                     const struct handshake_datagram *datagram)
{
    keys_wipe(&handshake->psk, sizeof(handshake->psk));
    const struct flight *flight = &handshakes->tls.flight;
    handshake->last_flight.bytes = malloc(flight->length);
    enum status status = handshake->last_flight.bytes
                             ? tls_result(&handshakes->tls, handshake->tls, &handshake->result)
                             : STATUS_NO_MEMORY;
    if (status == STATUS_OK) {
        memcpy(handshake->last_flight.bytes, flight->bytes, flight->length);
        handshake->last_flight.length = (uint16_t)flight->length;
        mark_seen(handshakes, handshake, datagram);
        status = store_session(handshakes, handshake);
    }
    if (status != STATUS_OK) {
        handshake_end(handshakes, handshake, WORKER_HANDSHAKES_FAILED);
        return;
    }
    handshake->state = HANDSHAKE_STORING;
    handshake_set_timer(handshakes, handshake);
}

/* False: the handshake is gone. */
static bool feed(struct handshakes *handshakes, struct handshake *handshake,
                 const struct handshake_datagram *datagram)
{
    switch (tls_feed(&handshakes->tls, handshake->tls, datagram->bytes, datagram->length)) {
    case TLS_WAITING:
        /* wolfSSL answers a repeated flight with one, and so may the client, whose key is wrong:
         * without a bound the two go on at the speed of the network. The timer repeats it too. */
        if (handshakes->tls.flight.length > 0 && handshake->repeats < HANDSHAKE_REPEATS_MAX) {
            handshake->repeats++;
            handshake_send_output(handshakes, &handshake->path);
            handshake_set_timer(handshakes, handshake);
        }
        return true;
    case TLS_DONE:
        complete(handshakes, handshake, datagram);
        return false;
    case TLS_FAILED:
        break;
    }
    handshake_send_output(handshakes, &handshake->path);
    handshake_end(handshakes, handshake, WORKER_HANDSHAKES_FAILED);
    return false;
}

static void talk(struct handshakes *handshakes, struct handshake *handshake,
                 const struct handshake_datagram *datagram, const struct store_answer *answer)
{
    (void)answer;
    enum hello_identity_outcome outcome =
        handshake->psk_known ? HELLO_NO_KEY_EXCHANGE : peek_identity(handshake, datagram);
    if (outcome == HELLO_IDENTITY_WHOLE) {
        const struct store_waiter waiter = {psk_answered, handshakes, handshake->own_cid, 0};
        /* A question that does not fit now is asked with the client's next try. */
        if (!hold(handshake, datagram))
            return;
        if (store_fetch_identity(handshakes->options.store, identity_of(handshake), &waiter) !=
            STATUS_OK) {
            handshake_drop_held(handshake);
            return;
        }
        handshake->state = HANDSHAKE_LOOKING_UP;
        handshake_set_timer(handshakes, handshake);
        return;
    }
    (void)feed(handshakes, handshake, datagram);
}

static void hold_more(struct handshakes *handshakes, struct handshake *handshake,
                      const struct handshake_datagram *datagram, const struct store_answer *answer)
{
    (void)handshakes;
    (void)answer;
    (void)hold(handshake, datagram); /* one too many is lost, as in a network */
}

/* A stored key that does not open is as good as none; the identity may still be one of ours. */
static enum status find_psk(struct handshakes *handshakes, struct handshake *handshake,
                            const struct store_answer *answer)
{
    static const enum worker_metric refusals[VAULT_OUTCOMES] = {
        [VAULT_TRUNCATED] = WORKER_STORED_TRUNCATED,
        [VAULT_UNKNOWN_FORMAT] = WORKER_STORED_FORMAT,
        [VAULT_UNKNOWN_KEY] = WORKER_STORED_KEY,
        [VAULT_BAD_TAG] = WORKER_STORED_BAD_TAG,
    };
    const struct octets identity = identity_of(handshake);
    if (answer->outcome == STORE_OK) {
        enum vault_outcome outcome =
            identity_open(handshakes->options.vault, identity, answer->value, &handshake->psk);
        handshake->psk_known = outcome == VAULT_OPENED;
        if (outcome != VAULT_OPENED)
            handshakes_count(handshakes, refusals[outcome]);
    }
    if (!handshake->psk_known)
        handshake->psk_known =
            identities_find(handshakes->options.identities, identity, &handshake->psk) == STATUS_OK;
    return handshake->psk_known ? STATUS_OK : make_unknown_psk(handshakes, handshake);
}

static void resume(struct handshakes *handshakes, struct handshake *handshake,
                   const struct handshake_datagram *datagram, const struct store_answer *answer)
{
    (void)datagram;
    enum status status = STATUS_SYSTEM; /* without the store nobody is admitted */
    if (answer->outcome == STORE_OK || answer->outcome == STORE_NOT_FOUND)
        status = find_psk(handshakes, handshake, answer);
    if (status != STATUS_OK) {
        handshake_end(handshakes, handshake, WORKER_HANDSHAKES_REFUSED);
        return;
    }
    handshake->state = HANDSHAKE_TALKING;
    handshake_set_timer(handshakes, handshake);

    struct handshake_datagram held[HANDSHAKE_HELD_MAX];
    size_t held_count = handshake->held_count;
    memcpy(held, handshake->held, held_count * sizeof(held[0]));
    handshake->held_count = 0;
    bool goes_on = true;
    for (size_t i = 0; i < held_count; i++) {
        goes_on = goes_on && feed(handshakes, handshake, &held[i]);
        free(held[i].bytes);
    }
}

/* What nobody will ever use. If the store does not take it now, its TTL ends it. */
static void remove_stored(struct handshakes *handshakes, const struct store_answer *created)
{
    const struct store_waiter waiter = {.subject = created->subject};
    (void)!store_remove_session(handshakes->options.store, created->fence, &waiter);
}

static void establish(struct handshakes *handshakes, struct handshake *handshake,
                      const struct handshake_datagram *datagram, const struct store_answer *answer)
{
    (void)datagram;
    enum status status = answer->outcome == STORE_OK ? STATUS_OK : STATUS_SYSTEM;
    if (status == STATUS_OK)
        status = handshakes->options.established(handshakes->options.owner, handshake, answer,
                                                 handshakes->now_ms);
    if (status != STATUS_OK) {
        if (answer->outcome == STORE_OK)
            remove_stored(handshakes, answer);
        handshake_end(handshakes, handshake, WORKER_HANDSHAKES_REFUSED);
        return;
    }
    handshakes_count(handshakes, WORKER_HANDSHAKES_OK);
    keys_wipe(&handshake->result, sizeof(handshake->result));
    handshake_retain(handshakes, handshake);
    handshake->repeats = 0;
    handshake->ends_ms = handshakes->now_ms + HANDSHAKE_LIFETIME_MS;
    handshake_set_timer(handshakes, handshake);
    handshake_send_flight(handshakes, &handshake->path, handshake->last_flight.bytes,
                          handshake->last_flight.length);
}

static void repeat(struct handshakes *handshakes, struct handshake *handshake,
                   const struct handshake_datagram *datagram, const struct store_answer *answer)
{
    (void)datagram;
    (void)answer;
    /* Each repetition takes a sequence number of those set aside; the object goes before they end.
     */
    if (handshake->repeats == SEQUENCE_HANDSHAKE_RESERVED / 2) {
        handshake_release(handshakes, handshake);
        return;
    }
    handshake->repeats++;
    tls_repeat(&handshakes->tls, handshake->tls);
    handshake_send_output(handshakes, &handshake->path);
}

static void time_out(struct handshakes *handshakes, struct handshake *handshake,
                     const struct handshake_datagram *datagram, const struct store_answer *answer)
{
    (void)datagram;
    (void)answer;
    if (handshakes->now_ms >= handshake->ends_ms) {
        handshake_end(handshakes, handshake, WORKER_HANDSHAKES_TIMED_OUT);
        return;
    }
    if (handshake->state == HANDSHAKE_TALKING) {
        if (tls_timeout(&handshakes->tls, handshake->tls) == TLS_FAILED) {
            handshake_end(handshakes, handshake, WORKER_HANDSHAKES_TIMED_OUT);
            return;
        }
        handshake_send_output(handshakes, &handshake->path);
    }
    handshake_set_timer(handshakes, handshake);
}

static void retire(struct handshakes *handshakes, struct handshake *handshake,
                   const struct handshake_datagram *datagram, const struct store_answer *answer)
{
    (void)datagram;
    (void)answer;
    handshake_release(handshakes, handshake);
}

/* NULL: the event has no meaning in that state and changes nothing: a late answer of the store, a
 * client that repeats itself while the session is being stored, plain text once it is. */
static action_fn *const actions[HANDSHAKE_STATES][HANDSHAKE_EVENTS] = {
    [HANDSHAKE_TALKING] = {[HANDSHAKE_DATAGRAM] = talk, [HANDSHAKE_TIMER] = time_out},
    [HANDSHAKE_LOOKING_UP] =
        {[HANDSHAKE_DATAGRAM] = hold_more, [HANDSHAKE_PSK] = resume, [HANDSHAKE_TIMER] = time_out},
    [HANDSHAKE_STORING] = {[HANDSHAKE_STORED] = establish, [HANDSHAKE_TIMER] = time_out},
    [HANDSHAKE_RETAINED] = {[HANDSHAKE_FINISHED_AGAIN] = repeat, [HANDSHAKE_TIMER] = retire},
};

static void happen(struct handshakes *handshakes, struct handshake *handshake,
                   enum handshake_event event, const struct handshake_datagram *datagram,
                   const struct store_answer *answer)
{
    action_fn *action = actions[handshake->state][event];
    if (action)
        action(handshakes, handshake, datagram, answer);
}

void handshake_receive(struct handshakes *handshakes, struct handshake *handshake, uint64_t now_ms,
                       const struct path *path, const uint8_t *bytes, size_t length)
{
    if (length > DATAGRAM_SIZE_MAX)
        return;
    handshakes->now_ms = now_ms;
    /* The lb may be another one; another address, not authenticated, is not to be answered. */
    if (address_equal(&path->address, &handshake->path.address))
        handshake->path = *path;
    const struct handshake_datagram datagram = {(uint16_t)length, (uint8_t *)bytes};
    happen(handshakes, handshake, HANDSHAKE_DATAGRAM, &datagram, NULL);
}

void handshake_finished_again(struct handshakes *handshakes, struct handshake *handshake,
                              uint64_t now_ms)
{
    handshakes->now_ms = now_ms;
    happen(handshakes, handshake, HANDSHAKE_FINISHED_AGAIN, NULL, NULL);
}

static void answered(struct handshakes *handshakes, enum handshake_event event,
                     const struct store_answer *answer)
{
    struct handshake *handshake =
        handshake_by_cid(handshakes, answer->subject.bytes, answer->subject.length);
    if (handshake)
        happen(handshakes, handshake, event, NULL, answer);
}

static void psk_answered(void *owner, const struct store_answer *answer)
{
    answered(owner, HANDSHAKE_PSK, answer);
}

/* Stored, but the handshake has ended meanwhile: nobody will ever use that session. */
static void session_stored(void *owner, const struct store_answer *answer)
{
    struct handshakes *handshakes = owner;
    if (answer->outcome == STORE_OK &&
        !handshake_by_cid(handshakes, answer->subject.bytes, answer->subject.length))
        remove_stored(handshakes, answer);
    answered(handshakes, HANDSHAKE_STORED, answer);
}

uint64_t handshakes_next_ms(const struct handshakes *handshakes)
{
    return wheel_next_ms(&handshakes->wheel);
}

void handshakes_expire(struct handshakes *handshakes, uint64_t now_ms)
{
    handshakes->now_ms = now_ms;
    for (struct timer *timer; (timer = wheel_expire(&handshakes->wheel, now_ms));)
        happen(handshakes, (struct handshake *)timer, HANDSHAKE_TIMER, NULL, NULL);
}
