/* What the files of the worker share: worker.c (beginning, drain, turns, end) and those that join
 * it with one part each: worker_coap.c, worker_dtls.c, worker_commit.c (replies that wait for the
 * store), worker_heirs.c, worker_client.c. Nobody else includes this. */
#ifndef HOLDFAST_WORKER_WORKER_CORE_H
#define HOLDFAST_WORKER_WORKER_CORE_H

#include "worker/api.h"
#include "worker/client.h"
#include "worker/coap.h"
#include "worker/dtls.h"
#include "worker/heirs.h"
#include "worker/member.h"
#include "worker/ps.h"
#include "worker/relations.h"
#include "worker/uplink.h"
#include "worker/worker.h"

#include <time.h>

struct worker {
    struct worker_options options;
    enum worker_stage stage;
    uint64_t drain_ms; /* when draining began */
    struct uplink *uplink;
    struct vault vault;
    struct worker_member member;
    struct coap *coap; /* from joining on, as is dtls */
    size_t commits;    /* replies that wait for the store */
    struct relations relations;
    struct ps *ps; /* with coap */
    bool has_dtls;
    struct heirs heirs; /* with has_dtls, as what follows */
    struct client client;
    struct api api;
    bool failed; /* what an id needs could not be set up */
    struct dtls dtls;
    uint8_t reply[COAP_MESSAGE_SIZE_MAX];
};

static inline struct coap_now worker_coap_now(uint64_t now_ms)
{
    struct timespec wall;
    clock_gettime(CLOCK_REALTIME, &wall);
    return (struct coap_now){now_ms,
                             (uint64_t)wall.tv_sec * 1000 + (uint64_t)wall.tv_nsec / 1000000};
}

/* Once the worker has an id, in this order. worker_free ends what has begun, whatever they say.
 * Errors: those of coap_new, ps_new, dtls_init, heirs_init, client_init. */
MUST_USE enum status worker_start_coap(struct worker *worker, uint16_t id);
MUST_USE enum status worker_start_ps(struct worker *worker);
MUST_USE enum status worker_start_dtls(struct worker *worker, uint16_t id);
MUST_USE enum status worker_start_heirs(struct worker *worker, uint16_t id);
MUST_USE enum status worker_start_client(struct worker *worker, uint16_t id);

/* worker_coap.c */

/* A datagram of plain CoAP; its reply is on its way afterwards. */
void worker_receive_plain(struct worker *worker, const struct path *path, const uint8_t *message,
                          size_t length);

/* worker_commit.c */

/* A change of this session's: its reply leaves once the store has the exchange, as 5.03 if it does
 * not take it. */
enum dtls_effect worker_save_exchange(struct worker *worker, struct session *session,
                                      const struct coap_commit *commit);

/* worker_heirs.c */

/* As dtls_claim; `owner` is the worker. */
enum status worker_claim_session(void *owner, const struct cid *cid);

#endif
