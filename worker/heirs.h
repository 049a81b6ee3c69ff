/* Heirs: which sessions with Observe relations this worker has to hold though their peers are
 * silent. Devices and observers speak when they like, but what is owed to them has to be sent, and
 * re-registered, by somebody: by the worker that load balancers would bring their next record to.
 *
 *   members ──change, seen twice──> a search through the obliged pages ──> claims, gifts
 *
 * A search goes through all sessions that have a relation. One that routes here and is not held is
 * claimed, without a datagram; one that is held and routes elsewhere is given away: its new owner
 * searches as well. Asks the store; `now` comes in.
 *
 * A worker that has been stopped, or cut off from the store, may hold copies of sessions that
 * others have had since, and have given back: its peer drops what it seals, and nothing tells it
 * so. Its next search claims what it holds, too.
 *
 * A session routes as lb/route.c says of a CID: to the worker that the CID names while it serves,
 * else by rendezvous hashing. Where its peer uses no CID, load balancers go by its address instead:
 * what it answers may then bring it to another worker, which is as good. */
#ifndef HOLDFAST_WORKER_HEIRS_H
#define HOLDFAST_WORKER_HEIRS_H

#include "shared/cid.h"
#include "shared/hash.h"
#include "shared/metrics.h"
#include "shared/status.h"
#include "shared/store.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct heirs_options {
    struct store *store;
    struct cid_config *configs; /* CID_CONFIGS_MAX; a CID of another config is left alone */
    struct hash_key hash_key;   /* KEY_HASH_SEED: the load balancers' */
    uint16_t worker_id;
    struct metrics *metrics;
    /* Does any lb talk to this worker? If none does, it could only take sessions out of the hands
     * of one that can serve them. */
    bool (*is_reached)(void *owner);
    bool (*holds)(void *owner, const struct cid *cid);
    /* heirs_claimed is told what came of it, once. STATUS_EXISTS: it is under way already;
     * STATUS_FULL: not taken, to be asked again. */
    enum status (*claim)(void *owner, const struct cid *cid);
    /* The session is another's: what changed is saved, and it is forgotten. */
    void (*give)(void *owner, const struct cid *cid);
    void *owner;
};

struct heirs_members {
    uint16_t ids[WORKERS_MAX]; /* that serve, ascending */
    struct boot_id boots[WORKERS_MAX];
    struct address https[WORKERS_MAX];
    size_t count;
    bool lists_us; /* in whatever state */
};

struct heirs {
    struct heirs_options options;
    struct heirs_members members; /* as of the newest list */
    uint8_t agreed;               /* lists in a row that say the same */
    bool has_trouble;             /* the store has not answered since the last search */
    bool asks_members;
    bool has_doubt;     /* what is held may have been another's since */
    uint64_t listed_ms; /* when the last list came */
    uint64_t members_due_ms;
    bool is_wanted;      /* a search is to begin ... */
    uint64_t wanted_ms;  /* ... then, at the earliest */
    uint64_t stirred_ms; /* when heirs_stir last had an effect */
    bool is_searching;
    bool claims_held;
    bool has_failed; /* something of this search has to be tried again */
    bool asks_page;
    uint16_t page;     /* STORE_OBLIGED_PAGES: all have been seen */
    uint64_t from;     /* within the page */
    struct cid *queue; /* STORE_OBLIGED_MAX: to be claimed; owned */
    size_t queued;
    size_t claiming;
    uint64_t now_ms;
};

/* Not to be moved afterwards; free the store first. STATUS_NO_MEMORY. */
MUST_USE enum status heirs_init(struct heirs *heirs, const struct heirs_options *options,
                                uint64_t now_ms);
void heirs_free(struct heirs *heirs);

/* The claim of a session has been answered, and the session adopted if it was STORE_OK. */
void heirs_claimed(struct heirs *heirs, enum store_outcome outcome);
/* A session with relations was lost to another worker, which may not have been meant to have it: a
 * search follows, at most once in HEIRS_STIR_MS. */
void heirs_stir(struct heirs *heirs);

/* The worker that this session routes to; 0: none, or it cannot be told. */
uint16_t heirs_route(const struct heirs *heirs, const struct cid *cid);
/* Where that worker's operators are answered; NULL: it is not listed. */
const struct address *heirs_http(const struct heirs *heirs, uint16_t worker_id);

void heirs_run(struct heirs *heirs, uint64_t now_ms);
/* When heirs_run is due; UINT64_MAX: not before the store's next answer. */
uint64_t heirs_next_ms(const struct heirs *heirs);

#endif
