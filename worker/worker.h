/* A worker: the uplink to the load balancers, the DTLS endpoint, the CoAP endpoint, the store and
 * its entry in the membership, joined on one loop.
 *
 *   JOINING --an id is ours--> SERVING --worker_drain--> DRAINING --all is saved--> STOPPED
 *      └───────────── another process has the id ──────────────> LOST
 */
#ifndef HOLDFAST_WORKER_WORKER_H
#define HOLDFAST_WORKER_WORKER_H

#include <stdbool.h>
#include <stdint.h>

#include "shared/http.h"
#include "shared/io.h"
#include "shared/keys.h"
#include "shared/metrics.h"
#include "shared/status.h"
#include "shared/store.h"
#include "worker/coap.h"
#include "worker/identities.h"
#include "worker/permission.h"

struct worker;

enum worker_stage {
    WORKER_JOINING,
    WORKER_SERVING,
    WORKER_DRAINING,
    WORKER_STOPPED, /* may end */
    WORKER_LOST,    /* has to end: the id is another's */
};

struct worker_options {
    struct io *io;
    struct store *store;                 /* freed before the worker: it answers into it */
    const struct identities *identities; /* of this process; outlives the worker */
    struct metrics *metrics;
    const struct cluster_key *cluster_key;
    struct address link;      /* bound */
    struct address advertise; /* what load balancers are told; port 0: that of the link. All zeros:
                                 the link itself, which must be concrete then */
    struct address http;
    struct http *operators; /* whose API it serves; outlives the worker */
    size_t frame_size;
    uint16_t id; /* 0: the lowest that is free */
    uint8_t cid_length;
    uint8_t cid_config_id;
    uint8_t store_key_id;
    uint32_t session_idle_s;
    bool plugtest; /* conformance resources are there */
    struct coap_timing timing;
    uint32_t request_rate; /* CoAP requests a second of one peer; 0: no bound */
    struct coap_observe observe;
    const struct permissions *publishers; /* of topics below /ps; outlive the worker's start */
    const struct permissions *subscribers;
};

/* STATUS_SYSTEM: the link's address cannot be bound, errno says why; STATUS_UNSUPPORTED: no lb
 * could reach it; STATUS_NO_MEMORY, STATUS_CRYPTO. */
MUST_USE enum status worker_new(struct worker **worker, const struct worker_options *options);
void worker_free(struct worker *worker);

enum worker_stage worker_stage(const struct worker *worker);
uint16_t worker_id(const struct worker *worker); /* 0: not joined yet */
struct address worker_link_address(const struct worker *worker); /* as load balancers are told */
/* For /readyz: why a device would not be served now; NULL: it would. */
const char *worker_trouble(const struct worker *worker);

/* Load balancers send its sessions elsewhere from now on; what changed is saved; then it stops. */
void worker_drain(struct worker *worker);

/* After each turn of the loop, and no later than worker_next_ms. */
void worker_run(struct worker *worker, uint64_t now_ms);
uint64_t worker_next_ms(const struct worker *worker);

#endif
