/* Where a worker's Connection IDs come from: nonces in blocks that the store leases, so that no
 * nonce is used twice under a key (draft-ietf-quic-load-balancers section 5.4.1: a counter). */
#ifndef HOLDFAST_WORKER_CID_SOURCE_H
#define HOLDFAST_WORKER_CID_SOURCE_H

#include "shared/cid.h"
#include "shared/keys.h"
#include "shared/status.h"
#include "shared/store.h"

#include <stdbool.h>
#include <stdint.h>

struct cid_source {
    struct cid_config configs[CID_CONFIGS_MAX]; /* by config id, as cid_decode wants them */
    struct cid_config *config;                  /* of new CIDs */
    struct store *store;
    uint16_t worker_id;
    uint64_t next;        /* nonce */
    uint64_t left;        /* nonces of this block */
    uint64_t spare_first; /* the next block, when it is there already */
    uint64_t spare_left;
    uint64_t seen;        /* the highest that cid_source_learn was told */
    bool asked;
};

/* cid_length: CID_LENGTH_MIN to CID_LENGTH_MAX. STATUS_UNSUPPORTED for another length, or a worker
 * id that a CID of this length cannot hold. Asks the store for the first block. */
MUST_USE enum status cid_source_init(struct cid_source *source, struct store *store,
                                     const struct cluster_key *key, uint8_t config_id,
                                     uint8_t cid_length, uint16_t worker_id);
void cid_source_free(struct cid_source *source);

/* Is it likely that a worker of this cluster made it, as far as a store tells whose nonces begin at
 * 0? False says that its nonce lies far beyond all that is known to have been leased: it is forged,
 * in all but about one of 2^(8 * nonce length) / leased cases, or others have leased many blocks
 * since. A CID of another config or length is not judged: true. */
bool cid_source_could_be(struct cid_source *source, const uint8_t *cid, size_t length);

/* This one is a worker's: what others have leased goes at least so far. */
void cid_source_learn(struct cid_source *source, const struct cid *cid);

/* Is there a leased nonce? */
static inline bool cid_source_has(const struct cid_source *source)
{
    return source->left + source->spare_left > 0;
}

/* STATUS_EXHAUSTED: no leased nonce is left; the store has been asked. */
MUST_USE enum status cid_source_next(struct cid_source *source, struct cid *cid);

#endif
