/* The store behind the workers, as one asynchronous interface; engines fill struct store_engine.
 * A call queues work and returns at once; its answer comes through the given function from
 * store_run, never from within the call. STATUS_FULL: STORE_QUESTIONS_MAX are unanswered, and this
 * one will not be. Answers name their subject; the caller looks it up again, since it may be gone
 * by then. */
#ifndef HOLDFAST_WORKER_STORE_H
#define HOLDFAST_WORKER_STORE_H

#include "shared/cid.h"
#include "shared/limits.h"
#include "shared/status.h"

#include <stddef.h>
#include <stdint.h>

struct store;

enum store_outcome {
    STORE_OK,
    STORE_NOT_FOUND,   /* no such identity, no such session */
    STORE_UNAVAILABLE, /* the engine cannot be reached or is full: nothing was stored */
};

struct store_answer {
    enum store_outcome outcome;
    struct cid subject; /* the waiter's */
    const uint8_t *psk; /* store_fetch_psk: valid during the call only, wiped after it */
    size_t psk_length;
    uint64_t first; /* leases: the first number of the block */
    uint64_t count; /* leases: how many numbers */
};
typedef void store_answer_fn(void *owner, const struct store_answer *answer);

/* Who is to be told, and of which session or handshake. */
struct store_waiter {
    store_answer_fn *answer;
    void *owner;
    struct cid subject; /* length 0 for what concerns the whole worker */
};

struct store_engine {
    const char *name;
    enum status (*fetch_psk)(struct store *store, const uint8_t *identity, size_t length,
                             const struct store_waiter *waiter);
    enum status (*create_session)(struct store *store, const struct store_waiter *waiter);
    enum status (*lease_sequences)(struct store *store, const struct store_waiter *waiter);
    void (*remove_session)(struct store *store, const struct cid *cid);
    enum status (*lease_nonces)(struct store *store, uint8_t cid_config, uint16_t worker_id,
                                const struct store_waiter *waiter);
    size_t (*run)(struct store *store);
    void (*free)(struct store *store);
};

struct store {
    const struct store_engine *engine;
};

/* The pre-shared key of an identity. STORE_NOT_FOUND: nobody knows it. */
MUST_USE static inline enum status store_fetch_psk(struct store *store, const uint8_t *identity,
                                                   size_t length, const struct store_waiter *waiter)
{
    return store->engine->fetch_psk(store, identity, length, waiter);
}

/* The subject exists as a session from the answer on and holds a first block of SEQUENCE_LEASE
 * numbers, which starts above SEQUENCE_HANDSHAKE_RESERVED. */
MUST_USE static inline enum status store_create_session(struct store *store,
                                                        const struct store_waiter *waiter)
{
    return store->engine->create_session(store, waiter);
}

/* The subject's next block of sequence numbers: an atomic increment, so that no number is leased
 * twice. */
MUST_USE static inline enum status store_lease_sequences(struct store *store,
                                                         const struct store_waiter *waiter)
{
    return store->engine->lease_sequences(store, waiter);
}

static inline void store_remove_session(struct store *store, const struct cid *cid)
{
    store->engine->remove_session(store, cid);
}

/* A block of CID nonces for this worker under this config's key: never the same block twice. */
MUST_USE static inline enum status store_lease_nonces(struct store *store, uint8_t cid_config,
                                                      uint16_t worker_id,
                                                      const struct store_waiter *waiter)
{
    return store->engine->lease_nonces(store, cid_config, worker_id, waiter);
}

/* Gives the answers that are there. Returns how many. */
static inline size_t store_run(struct store *store)
{
    return store->engine->run(store);
}

static inline void store_free(struct store *store)
{
    if (store)
        store->engine->free(store);
}

#endif
