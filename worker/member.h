/* A worker's entry in the membership (shared/store.h): who it is, where lbs reach it, whether it
 * serves. Asks the store and nothing else; `now` comes in.
 *
 *   member_init ──> joining ──member_serve──> serving ──member_drain──> draining
 *                      └───────────────┬─────────┴───────────────────────┘
 *                                member_leave ──> gone
 *
 * The entry runs out MEMBER_TTL_MS after its last beat and a beat is due each MEMBER_BEAT_MS, so a
 * worker whose entry ran out (the store was away, or the process stood still) enters again under
 * its old id, unless another process has taken that meanwhile: then it has lost it for good and has
 * to end, for an id is never held by two. A store that is away changes nothing else: who serves
 * goes on.
 *
 * A process that starts waits for an id that another one holds, until that one leaves or runs out.
 * One case needs no wait: an entry with this very link address is of a dead predecessor, since an
 * address is bound by one process at a time. So a worker that was killed and started again at its
 * address is back at once. */
#ifndef HOLDFAST_WORKER_MEMBER_H
#define HOLDFAST_WORKER_MEMBER_H

#include "shared/status.h"
#include "shared/store.h"

#include <stdbool.h>
#include <stdint.h>

/* The id is this process's from now on, and Connection IDs may be made from it. Called once. */
typedef void member_joined_fn(void *owner, uint16_t worker_id);
/* Another process holds the id: this one has to end. Called once, and nothing after it. */
typedef void member_lost_fn(void *owner, uint16_t worker_id);

struct member_options {
    struct store *store;
    /* worker_id 0: the lowest free one. The state is not looked at: it begins as joining. */
    struct store_member entry;
    member_joined_fn *joined;
    member_lost_fn *lost;
    void *owner;
};

enum member_stage {
    MEMBER_OUTSIDE, /* no entry, or none that is known of: to be entered */
    MEMBER_ENTERED,
    MEMBER_LEAVING, /* the entry is to be taken out */
    MEMBER_GONE,    /* it is out */
    MEMBER_LOST,    /* it is another process's */
};

enum member_question {
    MEMBER_ASKS_NOTHING,
    MEMBER_ASKS_JOIN,
    MEMBER_ASKS_LIST,       /* who holds the id */
    MEMBER_ASKS_EVICT,      /* the dead predecessor's leave */
    MEMBER_ASKS_JOIN_AGAIN, /* what ends a round of questions */
    MEMBER_ASKS_BEAT,
    MEMBER_ASKS_LEAVE,
};

struct worker_member {
    struct member_options options;
    struct store_member entry; /* as wanted: worker_id 0 until one is given */
    enum member_stage stage;
    enum member_question asked; /* unanswered; at most one is */
    enum member_question next;  /* to be asked at due_ms */
    uint64_t due_ms;
    uint64_t round_ms;               /* when this round of questions began */
    uint8_t told_state;              /* what the last join or beat said */
    bool has_joined;                 /* ever */
    bool is_held;                    /* by another process, when last asked */
    struct store_member predecessor; /* MEMBER_ASKS_EVICT */
};

/* Not to be moved afterwards; has to outlive the store's answers, so free the store first.
 * STATUS_UNSUPPORTED: no lb could reach the link address: port 0 or an unspecified IP. */
MUST_USE enum status member_init(struct worker_member *member,
                                 const struct member_options *options);

/* What the entry says from now on; the store is told with the next member_run. Backwards moves
 * have no effect: a worker that drains never serves again. */
void member_serve(struct worker_member *member);
void member_drain(struct worker_member *member);
/* The entry goes. Asked again until the store has answered: how long that is waited for is the
 * caller's; an entry that is left behind runs out. */
void member_leave(struct worker_member *member);

/* Asks what is due. Answers come by store_run. */
void member_run(struct worker_member *member, uint64_t now_ms);
/* When member_run is due; UINT64_MAX: not before the store's next answer. */
uint64_t member_next_ms(const struct worker_member *member);

/* The id, given or got; 0: not yet. */
static inline uint16_t member_id(const struct worker_member *member)
{
    return member->has_joined ? member->entry.worker_id : 0;
}
/* Joined once, serving, and nobody else's; also while the store is away. */
bool member_is_serving(const struct worker_member *member);
/* Nothing of this process is in the store any more. */
bool member_is_gone(const struct worker_member *member);
/* For /readyz: why the worker is no serving member, in a few words; NULL: it is one. */
const char *member_trouble(const struct worker_member *member);

#endif
