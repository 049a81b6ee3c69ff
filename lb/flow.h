/* Which worker a peer without a Connection ID talks to: (listener, source address) -> worker id.
 * Bounded, least recently used goes first; idle entries go by themselves. An lb may lose any entry:
 * rendezvous hashing finds the same worker again while the membership is the same.
 * Memory: a pool object of 48 octets and 11 to 21 octets of table an entry, at most 18 MB of
 * FLOWS_MAX_DEFAULT. */
#ifndef HOLDFAST_LB_FLOW_H
#define HOLDFAST_LB_FLOW_H

#include "lb/recency.h"
#include "shared/address.h"
#include "shared/hash.h"
#include "shared/pool.h"
#include "shared/status.h"
#include "shared/table.h"

#include <stddef.h>
#include <stdint.h>

struct flow {
    struct recency_link recency; /* first: a link is its flow */
    uint64_t used_ms;
    struct address source;
    uint16_t worker;
    uint8_t listener; /* as in a frame's entry */
};

struct flows {
    struct table table;
    struct pool pool;
    struct recency recency;
    struct hash_key key;
    uint64_t idle_max_ms;
    uint64_t evicted; /* live entries that made room for others */
};

/* key: of this process only, random. flows is not to be moved afterwards. */
MUST_USE enum status flows_init(struct flows *flows, size_t flows_max, uint64_t idle_max_ms,
                                const struct hash_key *key);
void flows_free(struct flows *flows);

/* NULL: none, or idle for too long. Looking does not count as use. */
struct flow *flows_find(struct flows *flows, uint8_t listener, const struct address *source,
                        uint64_t now_ms);
void flows_touch(struct flows *flows, struct flow *flow, uint64_t now_ms);
/* Makes the entry, or moves the one there is to this worker. STATUS_NO_MEMORY: there is none, and
 * the datagram can go its way all the same. */
MUST_USE enum status flows_put(struct flows *flows, uint8_t listener, const struct address *source,
                               uint16_t worker, uint64_t now_ms);
/* Takes out at most `count` idle entries. */
void flows_expire(struct flows *flows, uint64_t now_ms, size_t count);

static inline size_t flows_count(const struct flows *flows)
{
    return flows->table.count;
}

#endif
