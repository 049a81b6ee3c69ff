#include "tests/worker/endpoint.h"

#include "worker/store_memory.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

const uint8_t endpoint_psk[16] = "sixteen octets!";
const uint8_t endpoint_psk2[16] = "another secret.";

/* --- a store that can break --- */

struct broken_question {
    struct store_waiter waiter;
    struct broken_question *next;
};

struct breaking_store {
    struct store store;
    struct store *memory;
    struct endpoint_breakage breakage;
    struct broken_question *questions; /* answered "unavailable" in the next turn */
    struct cid *stored;                /* created and not removed */
    size_t stored_count;
    size_t stored_size;
    size_t sequence_leases;
};

static struct breaking_store *breaking(struct store *store)
{
    return (struct breaking_store *)store; /* its first member */
}

static enum status refuse(struct breaking_store *store, const struct store_waiter *waiter)
{
    struct broken_question *question = calloc(1, sizeof(*question));
    assert(question);
    *question = (struct broken_question){*waiter, store->questions};
    store->questions = question;
    return STATUS_OK;
}

static enum status fetch_psk(struct store *store, const uint8_t *identity, size_t length,
                             const struct store_waiter *waiter)
{
    struct breaking_store *self = breaking(store);
    if (self->breakage.full)
        return STATUS_FULL;
    return self->breakage.psk ? refuse(self, waiter)
                              : store_fetch_psk(self->memory, identity, length, waiter);
}

static enum status create_session(struct store *store, const struct store_waiter *waiter)
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
    return store_create_session(self->memory, waiter);
}

static enum status lease_sequences(struct store *store, const struct store_waiter *waiter)
{
    struct breaking_store *self = breaking(store);
    if (self->breakage.full)
        return STATUS_FULL;
    if (self->breakage.sequences)
        return refuse(self, waiter);
    self->sequence_leases++;
    return store_lease_sequences(self->memory, waiter);
}

static void remove_session(struct store *store, const struct cid *cid)
{
    struct breaking_store *self = breaking(store);
    for (size_t i = 0; i < self->stored_count; i++) {
        if (cid_equal(&self->stored[i], cid))
            self->stored[i--] = self->stored[--self->stored_count];
    }
    store_remove_session(self->memory, cid);
}

static enum status lease_nonces(struct store *store, uint8_t cid_config, uint16_t worker_id,
                                const struct store_waiter *waiter)
{
    struct breaking_store *self = breaking(store);
    if (self->breakage.full)
        return STATUS_FULL;
    return self->breakage.nonces ? refuse(self, waiter)
                                 : store_lease_nonces(self->memory, cid_config, worker_id, waiter);
}

static size_t run(struct store *store)
{
    struct breaking_store *self = breaking(store);
    if (self->breakage.silent)
        return 0;
    size_t answered = store_run(self->memory);
    struct broken_question *question = self->questions;
    self->questions = NULL;
    while (question) {
        const struct store_answer answer = {.outcome = STORE_UNAVAILABLE,
                                            .subject = question->waiter.subject};
        question->waiter.answer(question->waiter.owner, &answer);
        struct broken_question *next = question->next;
        free(question);
        question = next;
        answered++;
    }
    return answered;
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

static const struct store_engine engine = {
    .name = "breaking",
    .fetch_psk = fetch_psk,
    .create_session = create_session,
    .lease_sequences = lease_sequences,
    .remove_session = remove_session,
    .lease_nonces = lease_nonces,
    .run = run,
    .free = breaking_free,
};

static struct store *breaking_new(size_t sessions_max)
{
    struct breaking_store *self = calloc(1, sizeof(*self));
    assert(self);
    self->store.engine = &engine;
    const struct store_memory_options options = {
        .hash_key = {3, 4},
        .sessions_max = sessions_max,
        .identities_max = 8,
        .first_nonce = 1,
    };
    enum status status = store_memory_new(&self->memory, &options);
    assert(status == STATUS_OK);
    status = store_memory_add_psk(self->memory, (const uint8_t *)ENDPOINT_IDENTITY,
                                  strlen(ENDPOINT_IDENTITY), endpoint_psk, sizeof(endpoint_psk));
    assert(status == STATUS_OK);
    status = store_memory_add_psk(self->memory, (const uint8_t *)ENDPOINT_IDENTITY2,
                                  strlen(ENDPOINT_IDENTITY2), endpoint_psk2, sizeof(endpoint_psk2));
    assert(status == STATUS_OK);
    return &self->store;
}

void endpoint_break_store(struct endpoint *endpoint, const struct endpoint_breakage *breakage)
{
    breaking(endpoint->store)->breakage = *breakage;
}

size_t endpoint_stored(const struct endpoint *endpoint)
{
    return breaking(endpoint->store)->stored_count;
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

static void keep_received(void *owner, struct session *session, uint64_t now_ms,
                          const uint8_t *data, size_t length)
{
    struct endpoint *endpoint = owner;
    assert(now_ms == endpoint->now_ms);
    endpoint->receiver = session;
    datagrams_add(&endpoint->received, &session->path, data, length);
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

void endpoint_open(struct endpoint *endpoint, const struct endpoint_options *options)
{
    *endpoint = (struct endpoint){.now_ms = 1000000};
    size_t sessions_max = options->sessions_max ? options->sessions_max : 64;
    memset(endpoint->cluster_key.bytes, 0x5c, sizeof(endpoint->cluster_key.bytes));
    endpoint->store = breaking_new(2 * sessions_max);
    enum status status = metrics_init(&endpoint->metrics, worker_metrics, WORKER_METRICS_COUNT, 1);
    assert(status == STATUS_OK);
    const struct dtls_options dtls_options = {
        .cluster_key = &endpoint->cluster_key,
        .store = endpoint->store,
        .metrics = &endpoint->metrics,
        .worker_id = 0x0102,
        .cid_length = options->cid_length ? options->cid_length : CID_LENGTH_DEFAULT,
        .cid_config_id = 1,
        .sessions_max = sessions_max,
        .handshakes_max = options->handshakes_max ? options->handshakes_max : 64,
        .send = keep_sent,
        .receive = keep_received,
        .probe = write_probe,
        .ended = count_ended,
        .owner = endpoint,
    };
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
    store_free(endpoint->store);
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
