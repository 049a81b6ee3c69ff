/* The store behind lb and worker, as one asynchronous interface; engines fill struct store_engine:
 * memory (forgets with its process), LMDB (one node, several processes), Redis.
 *
 * A call queues a question and returns at once. Its answer comes through the waiter from store_run,
 * never from within the call; each question that was taken gets exactly one answer,
 * STORE_UNAVAILABLE if need be. STATUS_FULL: STORE_QUESTIONS_MAX are unanswered, and this one was
 * not taken; nor is one whose subject or values cannot be (STATUS_MALFORMED, STATUS_TOO_LONG,
 * STATUS_UNSUPPORTED). What a call is given is copied. Answers name their subject; the caller looks
 * it up again, since it may be gone.
 *
 * Order: questions about one subject are carried out in the order in which they were asked.
 * Commit: STORE_OK for a write means that it survives what the engine promises to survive.
 *
 * Values are octets to the engine; what they mean, and their sealing, is the caller's
 * (worker/vault.h, worker/session_record.h). */
#ifndef HOLDFAST_SHARED_STORE_H
#define HOLDFAST_SHARED_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shared/address.h"
#include "shared/cid.h"
#include "shared/frame.h"
#include "shared/limits.h"
#include "shared/metrics.h"
#include "shared/octets.h"
#include "shared/status.h"

struct store;
struct io;

enum store_outcome {
    STORE_OK,
    STORE_NOT_FOUND, /* no such subject, or its TTL has run out */
    STORE_EXISTS,    /* a CID, or a worker id, that is taken */
    STORE_STALE,     /* the session has another owner now: the fence is too low; nothing was done */
    STORE_UNAVAILABLE, /* not reached, full, read-only, or timed out: it may or may not be done */
};

/* A worker's entry in the membership. */
enum store_member_state { STORE_JOINING = 1, STORE_SERVING = 2, STORE_DRAINING = 3 };
struct store_member {
    uint16_t worker_id;
    uint8_t state;
    struct boot_id boot;
    struct address link;
    struct address http;
};

/* A remembered (message id, reply) of a session: COAP_EXCHANGES_PER_PEER_MAX slots, a ring. The
 * octets of its value from STORE_EXCHANGE_NAME_AT on name the message; a shorter one has no name. */
#define STORE_EXCHANGE_NAME_AT 3
#define STORE_EXCHANGE_NAME_LENGTH 2
struct store_exchange {
    uint8_t slot;
    struct octets value; /* at most STORE_EXCHANGE_MAX */
    struct octets mark;  /* save: the session's from now on, in the same step; length 0: stays */
};

/* One of a session's Observe relations (RFC 7641), in either role: RELATIONS_PER_SESSION_MAX slots,
 * which the caller hands out. */
struct store_relation {
    uint8_t slot;
    struct octets value; /* at most STORE_RELATION_MAX; length 0: the slot is emptied */
};

enum store_topic_mode {
    STORE_TOPIC_CREATE, /* STORE_EXISTS if it is there */
    STORE_TOPIC_UPDATE, /* STORE_NOT_FOUND if it is not */
    STORE_TOPIC_EITHER,
};

struct store_answer {
    enum store_outcome outcome;
    struct cid subject; /* the waiter's */
    uint64_t tag;       /* the waiter's */
    /* Valid during the call only, and only where the question says so. */
    struct octets value; /* identity: its sealed key; claim: the sealed session; get_topic: the
                            topic's; lists: their entries */
    struct octets mark;  /* claim */
    uint64_t fence;      /* create, claim: the owner's; every write must carry it */
    uint64_t first;      /* create, claim, leases: a block of numbers ... */
    uint64_t count;      /* ... first to first + count - 1, leased to nobody else, ever */
    const struct store_exchange *exchanges; /* claim */
    size_t exchange_count;
    const struct store_relation *relations; /* claim: those that are not empty, in no order */
    size_t relation_count;
    const struct store_member *members; /* list_members; join: one, with the id that was given */
    size_t member_count;
    bool is_full; /* put_topic, with STORE_UNAVAILABLE: TOPICS_MAX others are there */
    bool has_gap; /* list_changes: removals may be missing */
};
typedef void store_answer_fn(void *owner, const struct store_answer *answer);

struct store_waiter {
    store_answer_fn *answer; /* NULL: nobody wants to know */
    void *owner;
    struct cid subject; /* the session that a question is about; else any name of the caller's */
    uint64_t tag;       /* the caller's */
};

/* A session as it is written: */
struct store_session {
    struct octets sealed; /* keys, CIDs, identity: never changes; at most STORE_SEALED_MAX */
    struct octets mark;   /* replay window, address: changes; at most STORE_MARK_MAX */
    const struct address *address; /* not NULL: found by it as well (a peer without CID) */
};

struct store_engine {
    const char *name;
    enum status (*fetch_identity)(struct store *store, struct octets identity,
                                  const struct store_waiter *waiter);
    enum status (*put_identity)(struct store *store, struct octets identity, struct octets sealed,
                                const struct store_waiter *waiter);
    enum status (*create_session)(struct store *store, const struct store_session *session,
                                  const struct store_waiter *waiter);
    enum status (*claim_session)(struct store *store, uint16_t worker_id,
                                 const struct store_waiter *waiter);
    enum status (*find_session)(struct store *store, const struct address *address,
                                const struct store_waiter *waiter);
    enum status (*lease_sequences)(struct store *store, uint64_t fence,
                                   const struct store_waiter *waiter);
    enum status (*save_mark)(struct store *store, uint64_t fence, struct octets mark,
                             const struct store_waiter *waiter);
    enum status (*save_exchange)(struct store *store, uint64_t fence,
                                 const struct store_exchange *exchange, struct octets event,
                                 const struct store_waiter *waiter);
    enum status (*save_relation)(struct store *store, uint64_t fence,
                                 const struct store_relation *relation, struct octets event,
                                 const struct store_waiter *waiter);
    enum status (*remove_session)(struct store *store, uint64_t fence,
                                  const struct store_waiter *waiter);
    enum status (*list_obliged)(struct store *store, uint8_t page, uint64_t from,
                                const struct store_waiter *waiter);
    enum status (*lease_nonces)(struct store *store, uint8_t cid_config,
                                const struct store_waiter *waiter);
    enum status (*join)(struct store *store, const struct store_member *member,
                        const struct store_waiter *waiter);
    enum status (*beat)(struct store *store, const struct store_member *member,
                        const struct store_waiter *waiter);
    enum status (*leave)(struct store *store, const struct store_member *member,
                         const struct store_waiter *waiter);
    enum status (*list_members)(struct store *store, const struct store_waiter *waiter);
    enum status (*put_topic)(struct store *store, struct octets name, enum store_topic_mode mode,
                             struct octets value, const struct store_waiter *waiter);
    enum status (*get_topic)(struct store *store, struct octets name,
                             const struct store_waiter *waiter);
    enum status (*remove_topic)(struct store *store, struct octets name,
                                const struct store_waiter *waiter);
    enum status (*list_topics)(struct store *store, struct octets after,
                               const struct store_waiter *waiter);
    enum status (*list_changes)(struct store *store, uint64_t after,
                                const struct store_waiter *waiter);
    size_t (*run)(struct store *store, uint64_t now_ms);
    uint64_t (*next_ms)(const struct store *store);
    const char *(*trouble)(const struct store *store);
    void (*free)(struct store *store);
};

struct store {
    const struct store_engine *engine;
};

struct store_options {
    const char *url; /* memory:, lmdb:DIR, redis://..., rediss://..., redis+sentinel://... */
    struct io *io;   /* the loop that descriptors are watched on */
    struct metrics *metrics; /* what holds the rows of shared/store_metrics.h, or NULL */
    size_t metrics_row;      /* index of the first of them */
    size_t metrics_thread;   /* whose array: that of the thread that calls store_run */
    uint32_t session_ttl_s;
    uint32_t member_ttl_ms; /* an entry that is not renewed within this is gone */
};
/* Opens by the URL's scheme. A Redis that is not there is no error: the store connects when it can.
 * On failure `why` says what is wrong and what would be right: STATUS_MALFORMED for the URL,
 * STATUS_SYSTEM for what cannot be opened. */
MUST_USE enum status store_open(struct store **store, const struct store_options *options,
                                char *why, size_t why_size);

/* --- identities --- */

/* The sealed key of an identity, in answer->value. */
MUST_USE static inline enum status store_fetch_identity(struct store *store, struct octets identity,
                                                        const struct store_waiter *waiter)
{
    return store->engine->fetch_identity(store, identity, waiter);
}
/* Replaces. */
MUST_USE static inline enum status store_put_identity(struct store *store, struct octets identity,
                                                      struct octets sealed,
                                                      const struct store_waiter *waiter)
{
    return store->engine->put_identity(store, identity, sealed, waiter);
}

/* --- sessions: waiter->subject is the CID --- */

/* Answer: fence, first, count: a block of SEQUENCE_LEASE numbers that begins at
 * SEQUENCE_HANDSHAKE_RESERVED. STORE_EXISTS. The address, if one is given, is the session's from
 * now on, whosever it was. */
MUST_USE static inline enum status store_create_session(struct store *store,
                                                        const struct store_session *session,
                                                        const struct store_waiter *waiter)
{
    return store->engine->create_session(store, session, waiter);
}
/* Takes the session over, in one atomic step: raises the fence, gives the new owner a fresh block
 * of numbers and all that is stored: value, mark, exchanges, relations. Who held it learns it by
 * STORE_STALE. */
MUST_USE static inline enum status store_claim_session(struct store *store, uint16_t worker_id,
                                                       const struct store_waiter *waiter)
{
    return store->engine->claim_session(store, worker_id, waiter);
}
/* The CID of the session at an address, in answer->value. To be claimed next. */
MUST_USE static inline enum status store_find_session(struct store *store,
                                                      const struct address *address,
                                                      const struct store_waiter *waiter)
{
    return store->engine->find_session(store, address, waiter);
}
/* The next block of SEQUENCE_LEASE numbers. STORE_NOT_FOUND, STORE_STALE; STORE_UNAVAILABLE also
 * when 2^48 are used up. Renews the TTL. */
MUST_USE static inline enum status store_lease_sequences(struct store *store, uint64_t fence,
                                                         const struct store_waiter *waiter)
{
    return store->engine->lease_sequences(store, fence, waiter);
}
/* Replaces the mark, renews the TTL. Engines put those of one turn into one write. */
MUST_USE static inline enum status store_save_mark(struct store *store, uint64_t fence,
                                                   struct octets mark,
                                                   const struct store_waiter *waiter)
{
    return store->engine->save_mark(store, fence, mark, waiter);
}
/* Puts an exchange into its slot for COAP_EXCHANGE_LIFETIME_MS, with the session's mark, and, if
 * event.length > 0, the event at the end of the log, in one atomic step. If a slot of the session
 * holds an exchange of the same name, that was saved before and not confirmed, and the log has its
 * event: it gets no other. At most STORE_EVENT_MAX octets. */
MUST_USE static inline enum status store_save_exchange(struct store *store, uint64_t fence,
                                                       const struct store_exchange *exchange,
                                                       struct octets event,
                                                       const struct store_waiter *waiter)
{
    return store->engine->save_exchange(store, fence, exchange, event, waiter);
}
/* Puts a relation into its slot, or empties it, and, if event.length > 0, the event at the end of
 * the log, in one atomic step. At most STORE_LONG_EVENT_MAX octets; STATUS_FULL also when
 * STORE_LONG_QUESTIONS_MAX with more than STORE_EVENT_MAX are unanswered. Renews the TTL; relations
 * live as long as their session. */
MUST_USE static inline enum status store_save_relation(struct store *store, uint64_t fence,
                                                       const struct store_relation *relation,
                                                       struct octets event,
                                                       const struct store_waiter *waiter)
{
    return store->engine->save_relation(store, fence, relation, event, waiter);
}
/* With its exchanges and relations. STORE_STALE: it lives on with its new owner. */
MUST_USE static inline enum status store_remove_session(struct store *store, uint64_t fence,
                                                        const struct store_waiter *waiter)
{
    return store->engine->remove_session(store, fence, waiter);
}

/* The page, of STORE_OBLIGED_PAGES, that a session is listed on. */
uint8_t store_obliged_page(const struct cid *cid);
/* The sessions of a page that have a relation: value is (length 1 ‖ CID)..., count how many; more
 * than STORE_OBLIGED_MAX come in parts. from: 0, then what the last answer's `first` was, until
 * that is 0. A session may come twice, and so may one that has just ended: its claim says so. */
MUST_USE static inline enum status store_list_obliged(struct store *store, uint8_t page,
                                                      uint64_t from,
                                                      const struct store_waiter *waiter)
{
    return store->engine->list_obliged(store, page, from, waiter);
}

/* --- leases and membership --- */

/* A block of NONCE_LEASE nonces of this config, from a counter that starts at 0 with the store. */
MUST_USE static inline enum status store_lease_nonces(struct store *store, uint8_t cid_config,
                                                      const struct store_waiter *waiter)
{
    return store->engine->lease_nonces(store, cid_config, waiter);
}
/* Enters a worker; worker_id 0: the one that this boot has already, else the lowest free one.
 * STORE_EXISTS: another boot holds the id and has not left or run out; or, for 0, none up to
 * WORKERS_MAX is free. STORE_UNAVAILABLE also when WORKERS_MAX others have joined. */
MUST_USE static inline enum status store_join(struct store *store,
                                              const struct store_member *member,
                                              const struct store_waiter *waiter)
{
    return store->engine->join(store, member, waiter);
}
/* Renews and rewrites the entry of this boot. STORE_STALE: another boot has the id now;
 * STORE_NOT_FOUND: it had run out: join again. */
MUST_USE static inline enum status store_beat(struct store *store,
                                              const struct store_member *member,
                                              const struct store_waiter *waiter)
{
    return store->engine->beat(store, member, waiter);
}
MUST_USE static inline enum status store_leave(struct store *store,
                                               const struct store_member *member,
                                               const struct store_waiter *waiter)
{
    return store->engine->leave(store, member, waiter);
}
/* All entries that have not run out, in order of worker id. */
MUST_USE static inline enum status store_list_members(struct store *store,
                                                      const struct store_waiter *waiter)
{
    return store->engine->list_members(store, waiter);
}

/* --- topics: names and values that are no session's, and are kept until they are removed ---
 *
 * Each change (put or removal) of any topic takes a number, in one step with the change: higher
 * than all before it, not always by 1, and below 2^53. Questions about one name are one subject.
 * Names: 1 to STORE_TOPIC_NAME_MAX octets; in order means that of their octets. */

/* first: the change's number. STORE_EXISTS, STORE_NOT_FOUND: as `mode` says. */
MUST_USE static inline enum status store_put_topic(struct store *store, struct octets name,
                                                   enum store_topic_mode mode, struct octets value,
                                                   const struct store_waiter *waiter)
{
    return store->engine->put_topic(store, name, mode, value, waiter);
}
/* value, and first: the number of its latest change. */
MUST_USE static inline enum status store_get_topic(struct store *store, struct octets name,
                                                   const struct store_waiter *waiter)
{
    return store->engine->get_topic(store, name, waiter);
}
/* first: the removal's number. */
MUST_USE static inline enum status store_remove_topic(struct store *store, struct octets name,
                                                      const struct store_waiter *waiter)
{
    return store->engine->remove_topic(store, name, waiter);
}
/* The names behind `after` (length 0: from the start) in order: value is (length 1 ‖ name)...,
 * count how many; fewer than STORE_LIST_MAX: there are no more. */
MUST_USE static inline enum status store_list_topics(struct store *store, struct octets after,
                                                     const struct store_waiter *waiter)
{
    return store->engine->list_topics(store, after, waiter);
}
/* The topics whose latest change has a number above `after`, removed ones as well, ascending: value
 * is (number 8 ‖ length 1 ‖ name)..., count how many, at most STORE_LIST_MAX; first: the newest
 * number of all. has_gap: of the removals since `after` some are forgotten (the newest
 * STORE_TOMBSTONES_MAX are not), or `after` is a number that this store has not reached, as when it
 * was emptied; the reader must look up all that it holds. UINT64_MAX asks for `first` only. */
MUST_USE static inline enum status store_list_changes(struct store *store, uint64_t after,
                                                      const struct store_waiter *waiter)
{
    return store->engine->list_changes(store, after, waiter);
}

/* --- turns --- */

/* Carries out what was asked, commits, gives the answers that are there. Returns how many. An
 * answer may ask, but neither run nor free the store. now_ms: CLOCK_MONOTONIC, as of io_now_ms. */
static inline size_t store_run(struct store *store, uint64_t now_ms)
{
    return store->engine->run(store, now_ms);
}
/* When store_run must be called though no descriptor woke the loop; UINT64_MAX: no need. */
static inline uint64_t store_next_ms(const struct store *store)
{
    return store->engine->next_ms(store);
}
/* Why the store cannot be relied on now, for /readyz: "redis: connection refused"; NULL: it can. */
static inline const char *store_trouble(const struct store *store)
{
    return store->engine->trouble(store);
}
/* What is unanswered is dropped without an answer, done or not: who wants to know runs it first. */
static inline void store_free(struct store *store)
{
    if (store)
        store->engine->free(store);
}

#endif
