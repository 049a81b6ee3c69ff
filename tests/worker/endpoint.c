#include "tests/worker/endpoint.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

const uint8_t endpoint_psk[16] = "sixteen octets!";
const uint8_t endpoint_psk2[16] = "another secret.";

/* --- a store that can break --- */

struct broken_question {
    struct store_waiter waiter;
    struct store_answer answer;
    struct broken_question *next;
};

struct breaking_store {
    struct store store;
    struct store *memory;
    struct endpoint_breakage breakage;
    struct broken_question *questions; /* answered here, in the next turn */
    struct cid *stored;                /* created and not removed */
    size_t stored_count;
    size_t stored_size;
    size_t sequence_leases;
    size_t marks;
};

static struct breaking_store *breaking(struct store *store)
{
    return (struct breaking_store *)store; /* its first member */
}

static enum status answer_here(struct breaking_store *store, const struct store_waiter *waiter,
                               const struct store_answer *answer)
{
    struct broken_question *question = calloc(1, sizeof(*question));
    assert(question);
    *question = (struct broken_question){*waiter, *answer, store->questions};
    question->answer.subject = waiter->subject;
    question->answer.tag = waiter->tag;
    store->questions = question;
    return STATUS_OK;
}

static enum status refuse(struct breaking_store *store, const struct store_waiter *waiter)
{
    return answer_here(store, waiter, &(struct store_answer){.outcome = STORE_UNAVAILABLE});
}

/* The first block of a session, once more. */
static enum status lease_again(struct breaking_store *store, const struct store_waiter *waiter)
{
    const struct store_answer answer = {
        .outcome = STORE_OK,
        .fence = 1,
        .first = SEQUENCE_HANDSHAKE_RESERVED,
        .count = SEQUENCE_LEASE,
    };
    return answer_here(store, waiter, &answer);
}

/* Everything that is not listed in struct endpoint_breakage goes to the memory store while it is
 * not full. */
#define PASS(self, broken, waiter, question) \
    ((self)->breakage.full ? STATUS_FULL : (broken) ? refuse((self), (waiter)) : (question))

static enum status fetch_identity(struct store *store, struct octets identity,
                                  const struct store_waiter *waiter)
{
    struct breaking_store *self = breaking(store);
    return PASS(self, self->breakage.psk, waiter,
                store_fetch_identity(self->memory, identity, waiter));
}

static enum status put_identity(struct store *store, struct octets identity, struct octets sealed,
                                const struct store_waiter *waiter)
{
    struct breaking_store *self = breaking(store);
    return PASS(self, false, waiter, store_put_identity(self->memory, identity, sealed, waiter));
}

static enum status create_session(struct store *store, const struct store_session *session,
                                  const struct store_waiter *waiter)
{
    struct breaking_store *self = breaking(store);
    if (self->breakage.full)
        return STATUS_FULL;
    if (self->breakage.create)
        return refuse(self, waiter);
    if (self->stored_count == self->stored_size) {
        self->stored_size = self->stored_size ? 2 * self->stored_size : 16;
        self->stored = realloc(self->stored, self->stored_size * sizeof(*self->stored));
        assert(self->stored);
    }
    self->stored[self->stored_count++] = waiter->subject;
    struct store_session kept = *session;
    if (self->breakage.tamper)
        self->breakage.tamper(&kept.sealed, &kept.mark);
    return store_create_session(self->memory, &kept, waiter);
}

static enum status claim_session(struct store *store, uint16_t worker_id,
                                 const struct store_waiter *waiter)
{
    struct breaking_store *self = breaking(store);
    if (self->breakage.rewind)
        return lease_again(self, waiter);
    return PASS(self, self->breakage.claims, waiter,
                store_claim_session(self->memory, worker_id, waiter));
}

static enum status find_session(struct store *store, const struct address *address,
                                const struct store_waiter *waiter)
{
    struct breaking_store *self = breaking(store);
    return PASS(self, self->breakage.claims, waiter,
                store_find_session(self->memory, address, waiter));
}

static enum status lease_sequences(struct store *store, uint64_t fence,
                                   const struct store_waiter *waiter)
{
    struct breaking_store *self = breaking(store);
    if (self->breakage.full)
        return STATUS_FULL;
    if (self->breakage.sequences)
        return refuse(self, waiter);
    if (self->breakage.rewind)
        return lease_again(self, waiter);
    self->sequence_leases++;
    return store_lease_sequences(self->memory, fence, waiter);
}

static enum status save_mark(struct store *store, uint64_t fence, struct octets mark,
                             const struct store_waiter *waiter)
{
    struct breaking_store *self = breaking(store);
    if (self->breakage.full)
        return STATUS_FULL;
    if (self->breakage.marks)
        return refuse(self, waiter);
    self->marks++;
    return store_save_mark(self->memory, fence, mark, waiter);
}

static enum status save_exchange(struct store *store, uint64_t fence,
                                 const struct store_exchange *exchange, struct octets event,
                                 const struct store_waiter *waiter)
{
    struct breaking_store *self = breaking(store);
    return PASS(self, false, waiter,
                store_save_exchange(self->memory, fence, exchange, event, waiter));
}

static enum status save_relation(struct store *store, uint64_t fence,
                                 const struct store_relation *relation, struct octets event,
                                 const struct store_waiter *waiter)
{
    struct breaking_store *self = breaking(store);
    return PASS(self, self->breakage.relations, waiter,
                store_save_relation(self->memory, fence, relation, event, waiter));
}

static enum status remove_session(struct store *store, uint64_t fence,
                                  const struct store_waiter *waiter)
{
    struct breaking_store *self = breaking(store);
    for (size_t i = 0; i < self->stored_count; i++) {
        if (cid_equal(&self->stored[i], &waiter->subject))
            self->stored[i--] = self->stored[--self->stored_count];
    }
    return store_remove_session(self->memory, fence, waiter);
}

static enum status lease_nonces(struct store *store, uint8_t cid_config,
                                const struct store_waiter *waiter)
{
    struct breaking_store *self = breaking(store);
    return PASS(self, self->breakage.nonces, waiter,
                store_lease_nonces(self->memory, cid_config, waiter));
}

static size_t run(struct store *store, uint64_t now_ms)
{
    struct breaking_store *self = breaking(store);
    if (self->breakage.silent)
        return 0;
    size_t answered = store_run(self->memory, now_ms);
    struct broken_question *question = self->questions;
    self->questions = NULL;
    while (question) {
        if (question->waiter.answer)
            question->waiter.answer(question->waiter.owner, &question->answer);
        struct broken_question *next = question->next;
        free(question);
        question = next;
        answered++;
    }
    return answered;
}

static uint64_t next_ms(const struct store *store)
{
    (void)store;
    return UINT64_MAX;
}

static const char *trouble(const struct store *store)
{
    return ((const struct breaking_store *)store)->breakage.trouble;
}

static void breaking_free(struct store *store)
{
    struct breaking_store *self = breaking(store);
    while (self->questions) {
        struct broken_question *next = self->questions->next;
        free(self->questions);
        self->questions = next;
    }
    store_free(self->memory);
    free(self->stored);
    free(self);
}

/* Membership is not the endpoint's. */
static const struct store_engine engine = {
    .name = "breaking",
    .fetch_identity = fetch_identity,
    .put_identity = put_identity,
    .create_session = create_session,
    .claim_session = claim_session,
    .find_session = find_session,
    .lease_sequences = lease_sequences,
    .save_mark = save_mark,
    .save_exchange = save_exchange,
    .save_relation = save_relation,
    .remove_session = remove_session,
    .lease_nonces = lease_nonces,
    .run = run,
    .next_ms = next_ms,
    .trouble = trouble,
    .free = breaking_free,
};

static struct store *breaking_new(void)
{
    struct breaking_store *self = calloc(1, sizeof(*self));
    char why[128];
    assert(self);
    self->store.engine = &engine;
    const struct store_options options = {
        .url = "memory:", .session_ttl_s = SESSION_TTL_S, .member_ttl_ms = MEMBER_TTL_MS};
    enum status status = store_open(&self->memory, &options, why, sizeof(why));
    assert(status == STATUS_OK);
    return &self->store;
}

static void know(struct identities *identities, const char *identity, const uint8_t psk[16])
{
    enum status status =
        identities_add(identities, (struct octets){(const uint8_t *)identity, strlen(identity)},
                       (struct octets){psk, 16});
    assert(status == STATUS_OK);
}

void endpoint_break_store(struct endpoint *endpoint, const struct endpoint_breakage *breakage)
{
    breaking(endpoint->store)->breakage = *breakage;
}

size_t endpoint_stored(const struct endpoint *endpoint)
{
    return breaking(endpoint->store)->stored_count;
}

size_t endpoint_marks(const struct endpoint *endpoint)
{
    return breaking(endpoint->store)->marks;
}

size_t endpoint_sequence_leases(const struct endpoint *endpoint)
{
    return breaking(endpoint->store)->sequence_leases;
}

/* --- the endpoint --- */

static void keep_sent(void *owner, const struct path *path, const uint8_t *bytes, size_t length)
{
    struct endpoint *endpoint = owner;
    datagrams_add(&endpoint->sent, path, bytes, length);
    if (endpoint->log)
        datagrams_add(endpoint->log, path, bytes, length);
}

static enum dtls_effect keep_received(void *owner, struct session *session, uint64_t now_ms,
                                      const uint8_t *data, size_t length)
{
    struct endpoint *endpoint = owner;
    assert(now_ms == endpoint->now_ms);
    endpoint->receiver = session;
    datagrams_add(&endpoint->received, &session->path, data, length);
    return endpoint->effect;
}

static size_t write_probe(void *owner, struct session *session, uint8_t *space, size_t size)
{
    struct endpoint *endpoint = owner;
    (void)session;
    assert(size >= strlen(ENDPOINT_PROBE));
    endpoint->probes++;
    memcpy(space, ENDPOINT_PROBE, strlen(ENDPOINT_PROBE));
    return strlen(ENDPOINT_PROBE);
}

static void count_ended(void *owner, const struct session *session)
{
    struct endpoint *endpoint = owner;
    if (endpoint->receiver == session)
        endpoint->receiver = NULL;
    endpoint->ended++;
}

static void count_adopted(void *owner, struct session *session, const struct store_answer *claimed)
{
    struct endpoint *endpoint = owner;
    (void)session;
    endpoint->exchanges += claimed->exchange_count;
    endpoint->relations += claimed->relation_count;
    endpoint->adopted++;
}

static bool is_obliged(void *owner, const struct session *session)
{
    const struct endpoint *endpoint = owner;
    (void)session;
    return endpoint->is_obliged;
}

static void keep_checked(void *owner, const struct cid *cid, enum store_outcome outcome)
{
    struct endpoint *endpoint = owner;
    (void)cid;
    endpoint->checked++;
    endpoint->check_outcome = outcome;
}

static void count_lost(void *owner, const struct session *session)
{
    struct endpoint *endpoint = owner;
    (void)session;
    endpoint->lost++;
}

static void count_missed(void *owner, const struct cid *cid)
{
    struct endpoint *endpoint = owner;
    (void)cid;
    endpoint->missed++;
}

static void keep_claimed(void *owner, const struct cid *cid, enum store_outcome outcome)
{
    struct endpoint *endpoint = owner;
    (void)cid;
    endpoint->claimed++;
    endpoint->claim_outcome = outcome;
}

/* The same in each endpoint, though each numbers its lbs itself. */
static uint32_t lb_name(void *owner, uint8_t lb)
{
    const struct endpoint *endpoint = owner;
    return 1000u + lb - endpoint->first_lb;
}

static uint8_t find_lb(void *owner, uint32_t name)
{
    const struct endpoint *endpoint = owner;
    return (uint8_t)(name - 1000u + endpoint->first_lb);
}

void endpoint_open(struct endpoint *endpoint, const struct endpoint_options *options)
{
    *endpoint = (struct endpoint){
        .now_ms = 1000000, .store = options->store, .first_lb = options->first_lb};
    size_t sessions_max = options->sessions_max ? options->sessions_max : 64;
    memset(endpoint->cluster_key.bytes, 0x5c, sizeof(endpoint->cluster_key.bytes));
    const struct hash_key hash_key = {3, 4};
    enum status status = STATUS_OK;
    if (!endpoint->store)
        endpoint->store = breaking_new();
    status = identities_init(&endpoint->identities, 8, &hash_key);
    assert(status == STATUS_OK);
    know(&endpoint->identities, ENDPOINT_IDENTITY, endpoint_psk);
    know(&endpoint->identities, ENDPOINT_IDENTITY2, endpoint_psk2);
    status = vault_init(&endpoint->vault, &endpoint->cluster_key, 0);
    assert(status == STATUS_OK);
    status = metrics_init(&endpoint->metrics, worker_metrics, WORKER_METRICS_COUNT, 1);
    assert(status == STATUS_OK);
    const struct dtls_options dtls_options = {
        .cluster_key = &endpoint->cluster_key,
        .store = endpoint->store,
        .identities = &endpoint->identities,
        .vault = &endpoint->vault,
        .metrics = &endpoint->metrics,
        .worker_id = options->worker_id ? options->worker_id : 0x0102,
        .cid_length = options->cid_length ? options->cid_length : CID_LENGTH_DEFAULT,
        .cid_config_id = 1,
        .sessions_max = sessions_max,
        .handshakes_max = options->handshakes_max ? options->handshakes_max : 64,
        .session_idle_s = options->session_idle_s ? options->session_idle_s : SESSION_TTL_S,
        .backlog_octets = options->backlog_octets,
        .mark_later_ms = MARK_LATER_MS,
        .lbs = {lb_name, find_lb, endpoint},
        .send = keep_sent,
        .receive = keep_received,
        .probe = write_probe,
        .ended = count_ended,
        .adopted = count_adopted,
        .obliged = is_obliged,
        .claimed = keep_claimed,
        .checked = keep_checked,
        .lost = count_lost,
        .missed = count_missed,
        .owner = endpoint,
    };
    endpoint->shares_store = options->store != NULL;
    endpoint->effect = DTLS_MAY_HAVE_CHANGED;
    endpoint->dtls = malloc(sizeof(*endpoint->dtls));
    assert(endpoint->dtls);
    status = dtls_init(endpoint->dtls, &dtls_options, endpoint->now_ms);
    assert(status == STATUS_OK);
    endpoint_run(endpoint, 0); /* the first CID nonces */
}

void endpoint_close(struct endpoint *endpoint)
{
    dtls_free(endpoint->dtls);
    free(endpoint->dtls);
    if (!endpoint->shares_store)
        store_free(endpoint->store);
    identities_free(&endpoint->identities);
    vault_free(&endpoint->vault);
    metrics_free(&endpoint->metrics);
    datagrams_clear(&endpoint->sent);
    datagrams_clear(&endpoint->received);
}

void endpoint_receive(struct endpoint *endpoint, const struct address *from, const void *bytes,
                      size_t length)
{
    const struct path path = {.address = *from, .lb = 1, .listener = 2};
    uint8_t *copy = malloc(length);
    assert(copy || length == 0);
    if (length > 0)
        memcpy(copy, bytes, length);
    dtls_receive(endpoint->dtls, endpoint->now_ms, &path, copy, length);
    free(copy);
}

void endpoint_run(struct endpoint *endpoint, uint64_t ms)
{
    endpoint->now_ms += ms;
    for (int turn = 0; turn < 3; turn++) /* an answer may ask the next question */
        dtls_run(endpoint->dtls, endpoint->now_ms);
}

uint64_t endpoint_count(const struct endpoint *endpoint, enum worker_metric metric)
{
    return metrics_get(&endpoint->metrics, metric);
}

uint64_t endpoint_dropped(const struct endpoint *endpoint)
{
    uint64_t dropped = 0;
    for (size_t i = WORKER_DROPPED_MALFORMED; i <= WORKER_DROPPED_NO_LEASE; i++)
        dropped += metrics_get(&endpoint->metrics, i);
    return dropped;
}

size_t endpoint_sessions(const struct endpoint *endpoint)
{
    return endpoint->dtls->sessions.by_cid.count;
}

size_t endpoint_handshakes(const struct endpoint *endpoint)
{
    return endpoint->dtls->handshakes.pool.in_use;
}

struct address endpoint_address(uint8_t host, uint16_t port)
{
    return (struct address){
        .ip = {[10] = 0xff, [11] = 0xff, [12] = 192, [13] = 0, [14] = 2, [15] = host},
        .port = port,
    };
}
