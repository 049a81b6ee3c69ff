/* What the files of the DTLS endpoint share: dtls.c (whose record is it, beginning and end),
 * dtls_record.c (what a session's record does), dtls_send.c (sealing, leases, the 3x limit) and
 * dtls_store.c (sessions to and from the store). Nobody else includes this. */
#ifndef HOLDFAST_WORKER_DTLS_ENDPOINT_H
#define HOLDFAST_WORKER_DTLS_ENDPOINT_H

#include "shared/record.h"
#include "worker/alert.h"
#include "worker/dtls.h"
#include "worker/metrics.h"
#include "worker/session_record.h"

static inline void dtls_count(struct dtls *dtls, enum worker_metric metric)
{
    metrics_add(dtls->options.metrics, 0, metric, 1);
}

/* dtls_record.c */

/* A record of an established session; the session may be gone afterwards. */
void dtls_receive_record(struct dtls *dtls, struct session *session, const struct path *path,
                         const struct record *record);
/* An authentic record, after a second of silence at least, that leaves numbers out: others of its
 * session may have gone to another worker, which owns the session then, and has answered with
 * newer numbers than ours: what we would seal, the peer would drop. The store knows. While the
 * store is away nobody could have claimed the session, or nobody could tell: false. */
bool dtls_may_have_moved(struct dtls *dtls, const struct session *session,
                         const struct record *record);
/* The session is the one found by its address from now on, unless a peer without CID lives there.
 */
void dtls_claim_address(struct dtls *dtls, struct session *session);

/* dtls_send.c */

void dtls_send_alert(struct dtls *dtls, struct session *session, enum alert_level level,
                     enum alert_description description);

/* dtls_store.c */

/* Out of memory and out of the store. */
void dtls_end_session(struct dtls *dtls, struct session *session);
/* Out of memory only. */
void dtls_drop_session(struct dtls *dtls, struct session *session);
/* Likewise, counted as lost: our copy is of no use any more, whosever the session is, and nobody is
 * to claim it again for that. */
void dtls_give_up(struct dtls *dtls, struct session *session);
/* Out of memory; what has changed is on its way to the store before anybody can ask for it again.
 * False: the store takes no more questions; it stays. */
bool dtls_put_away(struct dtls *dtls, struct session *session);
/* A record from the address of this session, whose peer has no CID, is old or not authentic: a
 * repetition, a forgery, or of the session that followed this one at another worker. Asks the
 * store, at most once in a second. */
void dtls_doubt_session(struct dtls *dtls, struct session *session);
/* For struct handshakes_options and struct adoptions_options; `owner` is the endpoint. */
enum status dtls_describe(void *owner, const struct handshake *handshake,
                          struct store_session *session);
enum status dtls_establish(void *owner, struct handshake *handshake,
                           const struct store_answer *created, uint64_t now_ms);
enum status dtls_adopt(void *owner, const struct cid *cid, const struct store_answer *claimed);
/* Saves marks that are due, lets idle sessions go. */
void dtls_run_store(struct dtls *dtls);
uint64_t dtls_store_next_ms(const struct dtls *dtls);

#endif
