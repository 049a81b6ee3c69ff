/* An established DTLS session: keys, numbers, CIDs and the peer's address, and the tables that find
 * it. Memory of one session: one object of a pool, of session_size(suite, identity's length) octets
 * (208 with TLS_PSK_WITH_AES_128_CCM_8 and an identity of 8), and a slot of 8 octets in each of two
 * tables at a load between 3/8 and 3/4, which while a table grows takes half as much again. */
#ifndef HOLDFAST_WORKER_SESSION_H
#define HOLDFAST_WORKER_SESSION_H

#include "shared/cid.h"
#include "shared/hash.h"
#include "shared/pool.h"
#include "shared/protect.h"
#include "shared/replay.h"
#include "shared/status.h"
#include "shared/suite.h"
#include "shared/table.h"
#include "worker/path.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SESSION_SIZE_MAX 160 /* octets of struct session itself */
#define SESSION_EPOCH 1      /* DTLS 1.2 without renegotiation knows epochs 0 and 1 only */

/* What a session is told of its lease (DESIGN.md section 7, invariant 1). */
enum session_lease {
    SESSION_LEASE_HELD,
    SESSION_LEASE_ASKED, /* the store has been asked for the next block */
};

/* Of both directions, as we see them. */
struct session_keys {
    struct record_keys read;
    struct record_keys write;
};
enum session_direction { SESSION_READ, SESSION_WRITE };

struct session {
    struct session *older; /* by last use; the list's head is the oldest */
    struct session *newer;
    uint64_t id;        /* unique in this worker, never reused */
    uint64_t send_next; /* next sequence number of the lease */
    struct replay replay;
    uint32_t lease_left;      /* numbers from send_next on that are ours */
    uint32_t last_used_s;     /* worker's clock, seconds */
    uint32_t fence;           /* the store's; every write carries it */
    uint32_t mark_at;         /* where it is noted, if it is dirty */
    uint16_t address_changes; /* stops at 65,535 */
    uint16_t path_credit;     /* octets that may go to an unproven address; stops there too */
    uint16_t nonce_prefix;
    uint16_t ping_id;         /* message id of the path check under way */
    uint16_t next_message_id; /* of messages that we start */
    uint16_t rtt_ms;          /* smoothed; 0: not known */
    struct path path;
    struct address previous_address;
    struct cid own_cid; /* names the session everywhere, even where the peer sends none */
    struct cid peer_cid;
    uint8_t suite : 4;    /* index into suites[] */
    uint8_t lease : 2;    /* enum session_lease */
    bool moved : 1;       /* the newest record came from another address than the one before */
    bool restless : 1;    /* so did the one before: no address lasts long enough to be proven */
    uint8_t doubted_s;    /* low octet of the second in which the store was last asked whose the
                             address is */
    bool uses_cid : 1;    /* the peer puts own_cid on its records */
    bool path_proven : 1; /* the address has answered */
    bool ping_sent : 1;
    bool by_address : 1; /* found through its address: the last to authenticate there */
    bool dirty : 1;      /* its mark is to be saved */
    bool hasty : 1;      /* and soon, rather than later */
    bool saving : 1;     /* its mark is on its way to the store */
    bool heard : 1;      /* has received application data: the handshake's object is gone */
    uint8_t rest[]; /* read key ‖ read IV ‖ write key ‖ write IV, as long as the suite wants them,
                       ‖ identity's length ‖ identity. Only of a session that session_add has
                       made. */
};
_Static_assert(sizeof(struct session) <= SESSION_SIZE_MAX, "all sessions are to fit in memory");

/* Objects of a pool are equal; each pool has sessions of one size, 8 octets more than the last. */
#define SESSION_SIZE_STEP 8
#define SESSION_REST_MAX (2 * (SUITE_KEY_MAX + SUITE_IV_MAX) + 1 + IDENTITY_LENGTH_MAX)
#define SESSION_POOLS ((SESSION_SIZE_MAX + SESSION_REST_MAX) / SESSION_SIZE_STEP + 1)

struct sessions {
    struct pool pools[SESSION_POOLS]; /* by size / SESSION_SIZE_STEP; made when first used */
    size_t sessions_max;
    struct table by_cid;
    struct table by_address;
    struct hash_key hash_key;
    struct session *oldest;
    struct session *newest;
    uint64_t next_id;
};

/* STATUS_NO_MEMORY. */
MUST_USE enum status sessions_init(struct sessions *sessions, size_t sessions_max,
                                   const struct hash_key *hash_key);
/* Wipes and frees every session. */
void sessions_free(struct sessions *sessions);

/* What a session begins with and keeps as it is. All of it is copied. */
struct session_origin {
    const struct cid *own_cid;
    const uint8_t *identity;
    size_t identity_length;
    uint8_t suite; /* index into suites[] */
    const struct session_keys *keys;
};
/* A new session, in no address's name yet. STATUS_TOO_LONG (the identity), STATUS_FULL,
 * STATUS_EXISTS, STATUS_NO_MEMORY. */
MUST_USE enum status session_add(struct sessions *sessions, const struct session_origin *origin,
                                 uint32_t now_s, struct session **session);
/* Octets of the pool's object. */
size_t session_size(const struct suite *suite, size_t identity_length);
/* The keys of one direction; the caller wipes them after use. */
void session_keys(const struct session *session, enum session_direction direction,
                  struct record_keys *keys);
/* Takes it out of the tables, wipes its keys. */
void session_remove(struct sessions *sessions, struct session *session);

struct session *session_by_cid(struct sessions *sessions, const uint8_t *cid, size_t length);
struct session *session_by_address(struct sessions *sessions, const struct address *address);

/* The session at `address` gives way to another that has just authenticated there: it is no longer
 * found by that address. Only for sessions that have a CID. */
void session_leave_address(struct sessions *sessions, struct session *session);
/* Found by its path's address from now on; nobody else may be. */
MUST_USE enum status session_claim_address(struct sessions *sessions, struct session *session);

/* Moves it to the young end of the list. */
void session_touch(struct sessions *sessions, struct session *session, uint32_t now_s);

static inline const struct suite *session_suite(const struct session *session)
{
    return &suites[session->suite];
}

static inline const uint8_t *session_identity(const struct session *session, size_t *length)
{
    const struct suite *suite = session_suite(session);
    const uint8_t *identity = session->rest + 2 * ((size_t)suite->key_length + suite->iv_length);
    *length = identity[0];
    return identity + 1;
}

/* Octets of heap of all sessions and their tables. */
size_t sessions_memory(const struct sessions *sessions);

#endif
