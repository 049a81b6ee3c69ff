/* How many handshakes a source network may begin: a token bucket for each prefix (address_prefix),
 * spent by datagrams with a ClientHello only, so that a flood from one network leaves established
 * sessions and other networks alone. What passes still meets the workers' cookie exchange.
 * Bounded: the prefix not heard for longest is forgotten, and begins with a full bucket when it
 * comes back. Memory: a pool object of 56 octets and 11 to 21 octets of table a prefix. */
#ifndef HOLDFAST_LB_ADMISSION_H
#define HOLDFAST_LB_ADMISSION_H

#include "lb/recency.h"
#include "shared/address.h"
#include "shared/hash.h"
#include "shared/pool.h"
#include "shared/status.h"
#include "shared/table.h"

#include <stddef.h>
#include <stdint.h>

struct admission {
    struct table table;
    struct pool pool;
    struct recency recency;
    struct hash_key key;
    uint32_t rate;  /* tokens per second; 0: everything is admitted */
    uint32_t burst; /* tokens of a full bucket, at least 1 */
    uint64_t evicted;
};

enum admission_outcome { ADMISSION_GRANTED, ADMISSION_REFUSED };

/* key: of this process only, random. admission is not to be moved afterwards. */
MUST_USE enum status admission_init(struct admission *admission, size_t prefixes_max, uint32_t rate,
                                    uint32_t burst, const struct hash_key *key);
void admission_free(struct admission *admission);

/* Spends one token of the source's network, if it has one. Without memory for a new network:
 * refused. */
enum admission_outcome admission_ask(struct admission *admission, const struct address *source,
                                     uint64_t now_ms);

#endif
