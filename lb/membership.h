/* The workers that an lb knows, and which of them live. Pure: frames that were opened elsewhere,
 * the store's list and `now` come in; what to send and what changed come out. DESIGN.md sections 4
 * and 5.
 *
 * A worker is dead until its first PONG, serving or draining as its last PONG said, and dead again
 * after PINGS_MISSED_MAX PINGs without an answer or a refusal by its host. Whoever lists the
 * workers says where they are and may hold one back that answers; it cannot make a dead one live.
 */
#ifndef HOLDFAST_LB_MEMBERSHIP_H
#define HOLDFAST_LB_MEMBERSHIP_H

#include "shared/address.h"
#include "shared/frame.h"
#include "shared/hash.h"
#include "shared/limits.h"
#include "shared/status.h"
#include "shared/store.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum member_state { MEMBER_DEAD, MEMBER_SERVING, MEMBER_DRAINING };

struct member {
    uint16_t id;
    enum member_state state;    /* what counts for routing */
    enum member_state answered; /* what its PINGs have shown */
    bool ping_open;             /* a PING was sent that no PONG has answered yet */
    uint8_t pings_missed;       /* in a row */
    struct address address;     /* of its link */
    struct boot_id boot;        /* from its last PONG; zero before the first */
    uint32_t sessions;          /* likewise: its load */
    bool is_held_back; /* the list says that this boot does not serve: it counts as draining */
    struct boot_id held_back_boot;
};

struct membership {
    struct member members[WORKERS_MAX]; /* ascending by id: order of arrival decides nothing */
    size_t count;
    size_t alive;        /* serving or draining */
    uint64_t deaths;     /* how often a member has become dead: a reason to ask for a new list */
    struct hash_key key; /* KEY_HASH_SEED: the same on each lb */
    uint64_t ping_next_ms;
};

/* Nobody known; the first PINGs are due at once. */
void membership_init(struct membership *membership, const struct hash_key *key);
/* STATUS_EXISTS: the id or the address is taken; STATUS_FULL: WORKERS_MAX. Members move: indices
 * and pointers got before are void. */
MUST_USE enum status membership_add(struct membership *membership, uint16_t id,
                                    const struct address *address);
/* NULL: no such worker. */
struct member *membership_find(struct membership *membership, uint64_t id);

enum member_change {
    MEMBER_ADDED,
    MEMBER_REMOVED, /* reported before it goes */
    MEMBER_HELD_BACK,
    MEMBER_RELEASED, /* held back no longer */
    MEMBER_REFUSED,  /* there is no room: it is not in the membership */
};
typedef void member_change_fn(void *owner, enum member_change change, const struct member *member);
/* Takes over what the store lists: ids ascending, ids and link addresses each once. Adds who is
 * new; who has moved begins anew at the new address. Who is not listed any more goes when it is
 * dead or its address is another's: a worker that lost its store serves on, and so does one whose
 * entry the store has lost. Members move, as for membership_add. */
void membership_update(struct membership *membership, const struct store_member *listed,
                       size_t count, member_change_fn *report, void *owner);

/* One round of PINGs is due when now reaches this. */
static inline uint64_t membership_ping_ms(const struct membership *membership)
{
    return membership->ping_next_ms;
}
/* Opens a round: sets when the next is due, from `now`, so that a loop that stood still does not
 * take its own silence for the workers'. */
void membership_round(struct membership *membership, uint64_t now_ms);

enum ping_outcome {
    PING_SENT,      /* send it */
    PING_SENT_DIED, /* send it; and with this round the worker has become dead */
};
/* Counts a PING to the member: call once for each in a round. `to` is the boot that the PING names:
 * zero where the last PING went unanswered, for the boot may be another by now. */
enum ping_outcome membership_ping(struct membership *membership, struct member *member,
                                  struct boot_id *to);

enum pong_outcome {
    PONG_KEPT,           /* taken; nothing that matters for routing changed */
    PONG_STATE_CHANGED,  /* taken: dead, serving, draining is not what it was */
    PONG_RESTARTED,      /* taken: another, later boot of the worker; its state may be new too */
    PONG_UNKNOWN_SOURCE, /* no worker has this address */
    PONG_WRONG_ID,       /* the worker at this address should be another one */
    PONG_STALE,          /* answers a PING that was given up long ago, or none of ours */
    PONG_OLD_BOOT,       /* from a boot before the one that lives */
    PONG_BAD_STATE,      /* neither serving nor draining */
};
/* health, boot: of a frame that authenticated and names our boot. *member is who it was, NULL for
 * PONG_UNKNOWN_SOURCE. The PING's stamp was its now_ms. */
enum pong_outcome membership_pong(struct membership *membership, const struct address *from,
                                  const struct boot_id *boot, const struct frame_health *health,
                                  uint64_t now_ms, struct member **member);

/* The host refused a datagram to this address. The member that it killed, or NULL if there is none
 * or it was dead before. */
struct member *membership_refused(struct membership *membership, const struct address *address);

/* By rendezvous hashing (shared/rendezvous.h): a serving worker; where none serves, a draining one;
 * NULL when none lives. The same on each lb. */
struct member *membership_choose(struct membership *membership, const void *octets, size_t length);

#endif
