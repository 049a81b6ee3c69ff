/* A worker: the link to the load balancers, the DTLS endpoint, the CoAP endpoint and the store,
 * joined on one loop. */
#ifndef HOLDFAST_WORKER_WORKER_H
#define HOLDFAST_WORKER_WORKER_H

#include "shared/io.h"
#include "shared/keys.h"
#include "shared/metrics.h"
#include "shared/status.h"
#include "worker/store.h"

#include <stdbool.h>
#include <stdint.h>

struct worker;

struct worker_options {
    struct io *io;
    struct store *store; /* outlives the worker */
    struct metrics *metrics;
    const struct cluster_key *cluster_key;
    struct address link;
    size_t frame_size;
    uint16_t id;
    uint8_t cid_length;
    uint8_t cid_config_id;
};

/* STATUS_SYSTEM: the link's address cannot be bound, errno says why; STATUS_UNSUPPORTED: a CID of
 * this length cannot hold the id; STATUS_NO_MEMORY, STATUS_CRYPTO. */
MUST_USE enum status worker_new(struct worker **worker, const struct worker_options *options);
void worker_free(struct worker *worker);
struct address worker_link_address(const struct worker *worker);

/* Would a device be served now? */
bool worker_is_ready(const struct worker *worker);

/* After each turn of the loop, and no later than worker_next_ms. */
void worker_run(struct worker *worker, uint64_t now_ms);
uint64_t worker_next_ms(const struct worker *worker);

#endif
