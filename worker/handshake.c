#include "worker/handshake.h"

#include "worker/metrics.h"

#include <stdlib.h>
#include <string.h>

typedef void action_fn(struct handshakes *handshakes, struct handshake *handshake,
                       const struct handshake_datagram *datagram,
                       const struct store_answer *answer);

static void count(struct handshakes *handshakes, enum worker_metric metric)
{
    metrics_add(handshakes->options.metrics, 0, metric, 1);
}

/* --- finding --- */

static bool cid_match(const void *object, const void *key)
{
    const struct handshake *handshake = object;
    const struct octets *cid = key;
    return handshake->own_cid.length == cid->length &&
           memcmp(handshake->own_cid.bytes, cid->bytes, cid->length) == 0;
}

static uint64_t cid_hash(const void *context, const void *object)
{
    const struct handshake *handshake = object;
    return hash_bytes(context, handshake->own_cid.bytes, handshake->own_cid.length);
}

static bool address_match(const void *object, const void *key)
{
    const struct handshake *handshake = object;
    return address_equal(&handshake->path.address, key);
}

static uint64_t address_hash(const void *context, const void *object)
{
    const struct handshake *handshake = object;
    return hash_bytes(context, &handshake->path.address, sizeof(handshake->path.address));
}

struct handshake *handshake_by_cid(struct handshakes *handshakes, const uint8_t *cid, size_t length)
{
    const struct octets key = {cid, length};
    return table_find(&handshakes->by_cid, hash_bytes(&handshakes->options.hash_key, cid, length),
                      &key);
}

struct handshake *handshake_by_address(struct handshakes *handshakes, const struct address *address)
{
    uint64_t hash = hash_bytes(&handshakes->options.hash_key, address, sizeof(*address));
    return table_find(&handshakes->by_address, hash, address);
}

/* --- beginning and end --- */

enum status handshakes_init(struct handshakes *handshakes, const struct handshakes_options *options,
                            uint64_t now_ms)
{
    *handshakes = (struct handshakes){.options = *options, .cluster_key = *options->cluster_key};
    const struct hash_key *hash_key = &handshakes->options.hash_key;
    size_t most = options->handshakes_max;
    wheel_init(&handshakes->wheel, now_ms);
    enum status status = tls_context_init(&handshakes->tls, options->cluster_key);
    if (status == STATUS_OK)
        status = protector_init(&handshakes->protector);
    if (status == STATUS_OK)
        status = pool_init(&handshakes->pool, sizeof(struct handshake), most);
    if (status == STATUS_OK)
        status = table_init(&handshakes->by_cid, most, cid_match, cid_hash, hash_key);
    if (status == STATUS_OK)
        status = table_init(&handshakes->by_address, most, address_match, address_hash, hash_key);
    if (status != STATUS_OK)
        handshakes_free(handshakes);
    return status;
}

static void drop_held(struct handshake *handshake)
{
    for (size_t i = 0; i < handshake->held_count; i++)
        free(handshake->held[i].bytes);
    handshake->held_count = 0;
}

static void retain(struct handshakes *handshakes, struct handshake *handshake)
{
    handshake->state = HANDSHAKE_RETAINED;
    handshake->older = handshakes->newest_retained;
    if (handshake->older)
        handshake->older->newer = handshake;
    else
        handshakes->oldest_retained = handshake;
    handshakes->newest_retained = handshake;
}

static void stop_retaining(struct handshakes *handshakes, struct handshake *handshake)
{
    if (handshake->state != HANDSHAKE_RETAINED)
        return;
    if (handshake->older)
        handshake->older->newer = handshake->newer;
    else
        handshakes->oldest_retained = handshake->newer;
    if (handshake->newer)
        handshake->newer->older = handshake->older;
    else
        handshakes->newest_retained = handshake->older;
}

void handshake_release(struct handshakes *handshakes, struct handshake *handshake)
{
    if (!handshake)
        return;
    stop_retaining(handshakes, handshake);
    wheel_cancel(&handshakes->wheel, &handshake->timer);
    table_remove(&handshakes->by_cid, cid_hash(&handshakes->options.hash_key, handshake),
                 handshake);
    table_remove(&handshakes->by_address, address_hash(&handshakes->options.hash_key, handshake),
                 handshake);
    drop_held(handshake);
    free(handshake->last_flight.bytes);
    tls_free(handshake->tls);
    pool_put(&handshakes->pool, handshake); /* wipes the keys */
    metrics_set(handshakes->options.metrics, 0, WORKER_HANDSHAKES_OPEN, handshakes->pool.in_use);
}

void handshakes_free(struct handshakes *handshakes)
{
    for (;;) {
        size_t cursor = 0;
        struct handshake *handshake = table_next(&handshakes->by_cid, &cursor);
        if (!handshake)
            break;
        handshake_release(handshakes, handshake);
    }
    table_free(&handshakes->by_cid);
    table_free(&handshakes->by_address);
    pool_free(&handshakes->pool);
    protector_free(&handshakes->protector);
    tls_context_free(&handshakes->tls);
    keys_wipe(&handshakes->cluster_key, sizeof(handshakes->cluster_key));
}

static void end(struct handshakes *handshakes, struct handshake *handshake,
                enum worker_metric result)
{
    count(handshakes, result);
    handshake_release(handshakes, handshake);
}

static void send_flight(struct handshakes *handshakes, const struct path *path,
                        const uint8_t *bytes, size_t length)
{
    struct cursor cursor = cursor_over(bytes, length);
    size_t datagram_length;
    for (const uint8_t *datagram; (datagram = flight_next(&cursor, &datagram_length));)
        handshakes->options.send(handshakes->options.send_owner, path, datagram, datagram_length);
}

static void send_output(struct handshakes *handshakes, const struct path *path)
{
    send_flight(handshakes, path, handshakes->tls.flight.bytes, handshakes->tls.flight.length);
}

/* The sooner of the flight's timer and the handshake's end. */
static void set_timer(struct handshakes *handshakes, struct handshake *handshake)
{
    uint64_t deadline_ms = handshake->ends_ms;
    if (handshake->state == HANDSHAKE_TALKING) {
        uint64_t repeat_ms = handshakes->now_ms + tls_timeout_ms(handshake->tls);
        deadline_ms = repeat_ms < deadline_ms ? repeat_ms : deadline_ms;
    }
    wheel_set(&handshakes->wheel, &handshake->timer, deadline_ms);
}

/* --- the ClientHello --- */

static bool admit(void *owner, struct cid *own_cid)
{
    struct handshakes *handshakes = owner;
    if (store_trouble(handshakes->options.store))
        return false;
    /* Silent clients that are done do not keep others out: the chance to repeat a last flight is
     * given up for a handshake that can begin. */
    if (handshakes->pool.in_use == handshakes->options.handshakes_max)
        handshake_release(handshakes, handshakes->oldest_retained);
    struct handshake *handshake = pool_get(&handshakes->pool);
    if (!handshake)
        return false;
    if (cid_source_next(handshakes->options.cids, &handshake->own_cid) != STATUS_OK) {
        pool_put(&handshakes->pool, handshake);
        return false;
    }
    *own_cid = handshake->own_cid;
    handshakes->greeted = handshake;
    return true;
}

static size_t give_psk(void *owner, const uint8_t *identity, size_t length, uint8_t *psk,
                       size_t size)
{
    struct handshake *handshake = owner;
    const uint8_t *seen = handshake->identity.bytes + 2;
    /* wolfSSL hands the identity over as a string, which ends at its first zero octet. */
    bool same = handshake->psk_known && length <= handshake->identity.have - 2u &&
                memcmp(identity, seen, length) == 0;
    if (!same || handshake->psk.length > size)
        return 0;
    memcpy(psk, handshake->psk.bytes, handshake->psk.length);
    return handshake->psk.length;
}

static void begin(struct handshakes *handshakes, struct handshake *handshake, struct tls *tls,
                  const struct path *path, const struct hello *hello)
{
    handshake_release(handshakes, handshake_by_address(handshakes, &path->address));
    handshake->tls = tls;
    tls->psk = give_psk;
    tls->psk_owner = handshake;
    handshake->state = HANDSHAKE_TALKING;
    handshake->path = *path;
    memcpy(handshake->client_random, hello->random, HELLO_RANDOM_SIZE);
    handshake->ends_ms = handshakes->now_ms + HANDSHAKE_LIFETIME_MS;
    const struct hash_key *key = &handshakes->options.hash_key;
    enum status status = table_insert(&handshakes->by_cid, cid_hash(key, handshake), handshake);
    if (status == STATUS_OK)
        status = table_insert(&handshakes->by_address, address_hash(key, handshake), handshake);
    if (status != STATUS_OK) {
        end(handshakes, handshake, WORKER_HANDSHAKES_REFUSED);
        return;
    }
    metrics_set(handshakes->options.metrics, 0, WORKER_HANDSHAKES_OPEN, handshakes->pool.in_use);
    set_timer(handshakes, handshake);
    send_output(handshakes, path);
}

static void greet(struct handshakes *handshakes, const struct path *path, const struct hello *hello,
                  const uint8_t *datagram, size_t length)
{
    struct tls *tls = NULL;
    handshakes->greeted = NULL;
    enum tls_greeting greeting =
        tls_greet(&handshakes->tls, &path->address, datagram, length, admit, handshakes, &tls);
    struct handshake *handshake = handshakes->greeted;
    handshakes->greeted = NULL;
    switch (greeting) {
    case TLS_GREETED:
        begin(handshakes, handshake, tls, path, hello);
        return;
    case TLS_ASKED_FOR_COOKIE:
        if (handshakes->tls.flight.length > 0)
            count(handshakes, WORKER_COOKIES_SENT);
        send_output(handshakes, path);
        break;
    case TLS_TURNED_AWAY:
        count(handshakes, handshake ? WORKER_HANDSHAKES_FAILED : WORKER_HANDSHAKES_REFUSED);
        send_output(handshakes, path);
        break;
    case TLS_NO_MEMORY:
        count(handshakes, WORKER_HANDSHAKES_REFUSED);
        break;
    }
    pool_put(&handshakes->pool, handshake);
}

void handshakes_greet(struct handshakes *handshakes, uint64_t now_ms, const struct path *path,
                      const struct record *first, const uint8_t *datagram, size_t length)
{
    handshakes->now_ms = now_ms;
    struct hello hello;
    if (hello_parse(first, &hello) != STATUS_OK) {
        count(handshakes, WORKER_DROPPED_MALFORMED);
        return;
    }
    /* The ClientHello that began the handshake at this address, again: its answer was lost. One
     * with another random is from a client that has started anew. */
    struct handshake *known = handshake_by_address(handshakes, &path->address);
    if (known && hello.cookie_length > 0 &&
        memcmp(known->client_random, hello.random, HELLO_RANDOM_SIZE) == 0)
        handshake_receive(handshakes, known, now_ms, path, datagram, length);
    else
        greet(handshakes, path, &hello, datagram, length);
}

/* --- states and events --- */

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

/* RFC 4279 section 2: the server may answer an unknown identity as if it knew it, "so as not to
 * reveal" which exist: the Finished then fails as it does with a wrong key. */
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
        end(handshakes, handshake, WORKER_HANDSHAKES_FAILED);
        return;
    }
    handshake->state = HANDSHAKE_STORING;
    set_timer(handshakes, handshake);
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
            send_output(handshakes, &handshake->path);
            set_timer(handshakes, handshake);
        }
        return true;
    case TLS_DONE:
        complete(handshakes, handshake, datagram);
        return false;
    case TLS_FAILED:
        break;
    }
    send_output(handshakes, &handshake->path);
    end(handshakes, handshake, WORKER_HANDSHAKES_FAILED);
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
            drop_held(handshake);
            return;
        }
        handshake->state = HANDSHAKE_LOOKING_UP;
        set_timer(handshakes, handshake);
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
            count(handshakes, refusals[outcome]);
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
        end(handshakes, handshake, WORKER_HANDSHAKES_REFUSED);
        return;
    }
    handshake->state = HANDSHAKE_TALKING;
    set_timer(handshakes, handshake);

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
        end(handshakes, handshake, WORKER_HANDSHAKES_REFUSED);
        return;
    }
    count(handshakes, WORKER_HANDSHAKES_OK);
    keys_wipe(&handshake->result, sizeof(handshake->result));
    retain(handshakes, handshake);
    handshake->repeats = 0;
    handshake->ends_ms = handshakes->now_ms + HANDSHAKE_LIFETIME_MS;
    set_timer(handshakes, handshake);
    send_flight(handshakes, &handshake->path, handshake->last_flight.bytes,
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
    send_output(handshakes, &handshake->path);
}

static void time_out(struct handshakes *handshakes, struct handshake *handshake,
                     const struct handshake_datagram *datagram, const struct store_answer *answer)
{
    (void)datagram;
    (void)answer;
    if (handshakes->now_ms >= handshake->ends_ms) {
        end(handshakes, handshake, WORKER_HANDSHAKES_TIMED_OUT);
        return;
    }
    if (handshake->state == HANDSHAKE_TALKING) {
        if (tls_timeout(&handshakes->tls, handshake->tls) == TLS_FAILED) {
            end(handshakes, handshake, WORKER_HANDSHAKES_TIMED_OUT);
            return;
        }
        send_output(handshakes, &handshake->path);
    }
    set_timer(handshakes, handshake);
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
