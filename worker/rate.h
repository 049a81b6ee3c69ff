/* How many requests a peer may make: a token bucket for each, whoever the others are (RFC 8516 says
 * what becomes of the rest). Memory: 1 MiB while there is a bound, none without: RATE_BUCKETS
 * buckets of 16 octets, in sets of 4. A peer is known by a keyed hash of 64 bits; one that a set
 * has no room for takes the place of the set's least recent, who then begins with a full bucket. */
#ifndef HOLDFAST_WORKER_RATE_H
#define HOLDFAST_WORKER_RATE_H

#include "shared/address.h"
#include "shared/hash.h"
#include "shared/status.h"

#include <stdint.h>

#define RATE_BUCKETS 65536
#define RATE_SET 4

struct rate_bucket {
    uint64_t peer;      /* hash; an unused bucket is a full one of nobody */
    uint32_t level;     /* thousandths of a token, as of filled_ms */
    uint32_t filled_ms; /* low half */
};

struct rate {
    struct rate_bucket (*sets)[RATE_SET]; /* NULL: no bound */
    struct hash_key key;
    uint32_t per_s;
};

enum rate_outcome { RATE_GRANTED, RATE_REFUSED };

/* per_s: tokens a second, and of a full bucket, at most RATE_MAX; 0: no bound. key: of this process
 * only, random. */
MUST_USE enum status rate_init(struct rate *rate, uint32_t per_s, const struct hash_key *key);
void rate_free(struct rate *rate);

/* Spends a token of the session, or of the address if session_id is 0. Refused: there is one again
 * within a second. */
enum rate_outcome rate_ask(struct rate *rate, uint64_t session_id, const struct address *address,
                           uint64_t now_ms);

#endif
