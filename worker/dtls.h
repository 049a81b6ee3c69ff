/* The worker's DTLS 1.2 endpoint: takes client datagrams as the lb delivers them, finds the session
 * or handshake of each record, opens it, keeps the peer's address, and hands content up; seals what
 * goes down. Bytes and `now` come in, datagrams leave through `send`; no I/O, no clock. */
#ifndef HOLDFAST_WORKER_DTLS_H
#define HOLDFAST_WORKER_DTLS_H

#include "shared/keys.h"
#include "shared/limits.h"
#include "shared/metrics.h"
#include "shared/status.h"
#include "shared/store.h"
#include "worker/adoption.h"
#include "worker/backlog.h"
#include "worker/cid_source.h"
#include "worker/handshake.h"
#include "worker/identities.h"
#include "worker/mark.h"
#include "worker/path_hold.h"
#include "worker/session.h"
#include "worker/vault.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef void dtls_send_fn(void *owner, const struct path *path, const uint8_t *datagram,
                          size_t length);
/* What a record did, and so how soon the mark that keeps it from counting again has to be saved. */
enum dtls_effect {
    DTLS_CHANGED_NOTHING,   /* it might as well come twice: later */
    DTLS_MAY_HAVE_CHANGED,  /* soon */
    DTLS_SAVED_WITH_CHANGE, /* it is on its way already: dtls_carry_mark */
};
/* Application data of a session, which must not end in the call; `data` is valid during it. */
typedef enum dtls_effect dtls_receive_fn(void *owner, struct session *session, uint64_t now_ms,
                                         const uint8_t *data, size_t length);
/* Wanted: a small message that the peer answers; dtls_path_answered is to be told of the answer.
 * While session->ping_sent, the one before is unanswered: the same message again, so that an answer
 * to either counts. Returns its length. */
typedef size_t dtls_probe_fn(void *owner, struct session *session, uint8_t *space, size_t size);
/* The session leaves this worker's memory with this call. */
typedef void dtls_ended_fn(void *owner, const struct session *session);
/* The session has come from the store: `claimed` has what its peer has been answered before, and
 * its relations. */
typedef void dtls_adopted_fn(void *owner, struct session *session,
                             const struct store_answer *claimed);
/* Is the session's peer owed what it will not ask for again? It stays in memory then. */
typedef bool dtls_obliged_fn(void *owner, const struct session *session);

/* What came of dtls_claim; the session is there if it is STORE_OK and its record can be used.
 * STORE_UNAVAILABLE: not now; its address may be another's here, which the store is asked about. */
typedef void dtls_claimed_fn(void *owner, const struct cid *cid, enum store_outcome outcome);
/* What came of dtls_check: STORE_OK, it is ours. STORE_STALE, STORE_NOT_FOUND: it has been
 * forgotten.
 */
typedef void dtls_checked_fn(void *owner, const struct cid *cid, enum store_outcome outcome);
/* Another worker has the session: it leaves this one's memory behind this call. */
typedef void dtls_lost_fn(void *owner, const struct session *session);
/* A claim, because of a record or of dtls_claim, has failed, but may have been carried out: then
 * nobody holds the session. */
typedef void dtls_missed_fn(void *owner, const struct cid *cid);

struct dtls_options {
    const struct cluster_key *cluster_key;
    struct store *store;
    const struct identities *identities;
    struct vault *vault;
    struct metrics *metrics;
    uint16_t worker_id;
    uint8_t cid_length;
    uint8_t cid_config_id;
    size_t sessions_max;
    size_t handshakes_max;
    uint32_t session_idle_s; /* one silent for so long is in the store only */
    size_t backlog_octets;   /* where handshakes wait for sessions; 0: they are served at once */
    uint32_t mark_later_ms;  /* for marks of records that changed nothing; at most half of that */
    struct path_lbs lbs;     /* for an heir, which has not heard from the peer */
    dtls_send_fn *send;
    dtls_receive_fn *receive;
    dtls_probe_fn *probe;
    dtls_ended_fn *ended;
    dtls_adopted_fn *adopted;
    dtls_claimed_fn *claimed; /* of dtls_claim */
    dtls_checked_fn *checked;
    dtls_lost_fn *lost;     /* NULL: nobody wants to know */
    dtls_missed_fn *missed; /* likewise */
    dtls_obliged_fn *obliged;
    void *owner;
};

struct dtls {
    struct dtls_options options;
    struct hash_key hash_key;
    struct sessions sessions;
    struct handshakes handshakes;
    struct cid_source cids;
    struct adoptions adoptions;
    struct marks marks;
    struct path_holds holds;
    struct backlog backlog;
    struct protector protector;
    uint64_t now_ms;                   /* of the call under way */
    uint64_t doubt_ms;                 /* when doubt_claims began to count */
    uint32_t doubt_claims;             /* of CIDs that are probably forged */
    bool is_late;                      /* the datagram at hand has been in the backlog */
    bool was_held;                     /* the datagram at hand has waited for its session once */
    uint8_t record[DATAGRAM_SIZE_MAX]; /* a sealed record on its way out */
    uint8_t sealed[STORE_SEALED_MAX];  /* a session on its way to the store */
    uint8_t mark[STORE_MARK_MAX];
};

/* Large: meant for the heap. STATUS_UNSUPPORTED: a CID length that cannot hold the worker id. */
MUST_USE enum status dtls_init(struct dtls *dtls, const struct dtls_options *options,
                               uint64_t now_ms);
void dtls_free(struct dtls *dtls);

/* One datagram from a client, overwritten while it is opened. With a backlog, what belongs to a
 * handshake is only put there: dtls_run serves it, so many of them each time. */
void dtls_receive(struct dtls *dtls, uint64_t now_ms, const struct path *path, uint8_t *datagram,
                  size_t length);

/* Application data to the session's peer. While its address has not answered yet, at most
 * AMPLIFICATION_FACTOR times the octets received go there: what exceeds that waits, bounded, while
 * a probe asks. */
void dtls_send(struct dtls *dtls, struct session *session, const uint8_t *data, size_t length);

/* The peer has answered the probe from its current address. */
void dtls_path_answered(struct dtls *dtls, struct session *session);

/* The store says that the session has another owner: forgets it, without a word to the peer. */
void dtls_lose_session(struct dtls *dtls, const struct cid *cid);

/* Takes a session over from the store though no record of it has come. STATUS_EXISTS: this is under
 * way; STATUS_FULL: it cannot be now. */
MUST_USE enum status dtls_claim(struct dtls *dtls, const struct cid *cid);
bool dtls_holds(struct dtls *dtls, const struct cid *cid);
/* Asks whether a session that is held is ours, by saving its mark. STATUS_EXISTS: it is not held;
 * STATUS_FULL: not now. */
MUST_USE enum status dtls_check(struct dtls *dtls, const struct cid *cid);

/* What its mark says has changed by other means than a record: it is to be saved soon. */
void dtls_note_change(struct dtls *dtls, struct session *session);
/* The mark as it is now, in `space`, for a write that takes it along with the change that the
 * record at hand made: it is not saved apart from that. Should the write fail: dtls_note_change. */
struct octets dtls_carry_mark(struct dtls *dtls, struct session *session,
                              uint8_t space[STORE_MARK_MAX]);

/* Asks the store to save what has changed, now rather than when it is due. */
void dtls_save(struct dtls *dtls);
/* Nothing that has changed is unsaved. */
bool dtls_is_saved(const struct dtls *dtls);

/* When dtls_run must be called at the latest; UINT64_MAX: no need. */
uint64_t dtls_next_ms(const struct dtls *dtls);
/* Takes the store's answers and lets run out what has run out. */
void dtls_run(struct dtls *dtls, uint64_t now_ms);

#endif
