/* Heirs: which sessions with Observe relations this worker has to hold though their peers are
 * silent. Devices and observers speak when they like, but what is owed to them has to be sent, and
 * re-registered, by somebody: by the worker that load balancers would bring their next record to.
 *
 *   members ──change, seen twice──> a search through the obliged pages ──> claims, checks
 *   a session lost, a claim not answered ──after a while──> claims
 *
 * A search goes through all sessions that have a relation. One that routes here and is not held is
 * claimed, without a datagram. One that is held may be another's: a worker that holds a copy of
 * what others have had since learns it by nothing but a write, since its peer drops what that
 * seals. So the store is asked, and the copy goes if it is old. Asks the store; `now` comes in.
 *
 * What routes elsewhere and is ours all the same stays: the worker that it routes to may have
 * searched already, and nobody would have it. It is looked at again, less and less often.
 *
 * A session routes as lb/route.c says of a CID: to the worker that the CID names while it serves,
 * else by rendezvous hashing. Where its peer uses no CID, load balancers go by its address instead:
 * what it answers may then bring it to another worker, which is as good. */
#ifndef HOLDFAST_WORKER_HEIRS_H
#define HOLDFAST_WORKER_HEIRS_H

#include "shared/cid.h"
#include "shared/hash.h"
#include "shared/limits.h"
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
    /* Whether a session that is held is ours: heirs_checked is told, once; it is forgotten if not.
     * STATUS_FULL: likewise; STATUS_EXISTS: it is not held. */
    enum status (*check)(void *owner, const struct cid *cid);
    void *owner;
};

struct heirs_members {
    uint16_t ids[WORKERS_MAX]; /* that serve, ascending */
    struct boot_id boots[WORKERS_MAX];
    struct address https[WORKERS_MAX];
    size_t count;
};

struct heirs {
    struct heirs_options options;
    struct heirs_members members; /* as of the newest list */
    uint8_t agreed;               /* lists in a row that say the same */
    bool has_trouble;             /* the store has not answered since the last search */
    bool asks_members;
    uint64_t listed_ms; /* when the last list came */
    uint64_t members_due_ms;
    bool is_wanted;     /* a search is to begin ... */
    uint64_t wanted_ms; /* ... then, at the earliest */
    bool is_searching;
    bool has_failed;  /* something of this search has to be tried again */
    size_t elsewhere; /* what it has found that is ours and routes elsewhere */
    uint32_t look_ms; /* after it, if there is such */
    bool asks_page;
    uint16_t page;     /* STORE_OBLIGED_PAGES: all have been seen */
    uint64_t from;     /* within the page */
    struct cid *queue; /* STORE_OBLIGED_MAX: to be claimed or checked; owned */
    size_t queued;
    size_t asking;                       /* claims and checks that are not answered */
    struct cid missed[HEIRS_MISSED_MAX]; /* to be claimed, wherever they route */
    size_t missed_count;
    uint64_t missed_due_ms;  /* then */
    uint64_t missed_ms;      /* when some were claimed last ... */
    uint32_t missed_wait_ms; /* ... and for how long the next ones wait */
    uint64_t now_ms;
};

/* Not to be moved afterwards; free the store first. STATUS_NO_MEMORY. */
MUST_USE enum status heirs_init(struct heirs *heirs, const struct heirs_options *options,
                                uint64_t now_ms);
void heirs_free(struct heirs *heirs);

/* The claim of a session has been answered, and the session adopted if it was STORE_OK. */
void heirs_claimed(struct heirs *heirs, enum store_outcome outcome);
void heirs_checked(struct heirs *heirs, const struct cid *cid, enum store_outcome outcome);
/* Nobody may hold this session, which is to be held: a claim by whomever was not answered, or it
 * was lost to a worker that was not meant to have it. It is claimed if it is not held then, after
 * HEIRS_RETRY_MS at first, so that two who both believe in themselves do not fight. */
void heirs_miss(struct heirs *heirs, const struct cid *cid);

/* The worker that this session routes to; 0: none, or it cannot be told. */
uint16_t heirs_route(const struct heirs *heirs, const struct cid *cid);
/* Where that worker's operators are answered; NULL: it is not listed. */
const struct address *heirs_http(const struct heirs *heirs, uint16_t worker_id);

void heirs_run(struct heirs *heirs, uint64_t now_ms);
/* When heirs_run is due; UINT64_MAX: not before the store's next answer. */
uint64_t heirs_next_ms(const struct heirs *heirs);

#endif
