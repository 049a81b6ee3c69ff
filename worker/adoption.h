/* Sessions that this worker does not hold but the store may: their datagrams are held, bounded,
 * while the session is claimed in one atomic step; then they are received as if they had just come.
 * A session is claimed by its CID; one whose peer sends none is found by its address first. */
#ifndef HOLDFAST_WORKER_ADOPTION_H
#define HOLDFAST_WORKER_ADOPTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shared/cid.h"
#include "shared/hash.h"
#include "shared/metrics.h"
#include "shared/pool.h"
#include "shared/store.h"
#include "shared/table.h"
#include "worker/path.h"

/* Is the session here by now? */
typedef bool adoption_holds_fn(void *owner, const struct cid *cid);
/* The store has given the session to this worker: makes it. Anything but STATUS_OK: it cannot be
 * served; what was held is dropped. */
typedef enum status adoption_adopt_fn(void *owner, const struct cid *cid,
                                      const struct store_answer *claimed);
/* A datagram that was held, to be received again. */
typedef void adoption_receive_fn(void *owner, const struct path *path, uint8_t *datagram,
                                 size_t length);

/* What came of adoption_claim; after `adopt`. */
typedef void adoption_claimed_fn(void *owner, const struct cid *cid, enum store_outcome outcome);

/* A claim, for whatever reason, was not answered or has come to nothing, and may have been carried
 * out: then the session is nobody's. */
typedef void adoption_missed_fn(void *owner, const struct cid *cid);

struct adoptions_options {
    struct store *store;
    struct hash_key hash_key;
    uint16_t worker_id;
    size_t adoptions_max;
    struct metrics *metrics;
    adoption_holds_fn *holds;
    adoption_adopt_fn *adopt;
    adoption_receive_fn *receive;
    adoption_claimed_fn *claimed;
    adoption_missed_fn *missed;
    void *owner;
};

struct adoptions {
    struct adoptions_options options;
    struct pool pool;
    struct table by_name;
};

MUST_USE enum status adoptions_init(struct adoptions *adoptions,
                                    const struct adoptions_options *options);
void adoptions_free(struct adoptions *adoptions);

/* Holds a copy and asks the store unless it has been asked already. What does not fit is dropped,
 * counted. */
void adoption_hold_by_cid(struct adoptions *adoptions, const struct cid *cid,
                          const struct path *path, const uint8_t *datagram, size_t length);
void adoption_hold_by_address(struct adoptions *adoptions, const struct path *path,
                              const uint8_t *datagram, size_t length);

/* Claims the session though no datagram of it has come. STATUS_EXISTS: this has been said already;
 * STATUS_FULL: it cannot be now. */
MUST_USE enum status adoption_claim(struct adoptions *adoptions, const struct cid *cid);

#endif
