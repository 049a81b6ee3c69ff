#include "worker/rate.h"

#include "shared/cursor.h"
#include "shared/limits.h"

#include <stdlib.h>

/* Tokens are counted in thousandths: a rate per second then adds whole numbers per millisecond. */
#define TOKEN 1000u

_Static_assert(RATE_MAX <= UINT32_MAX / TOKEN, "a full bucket is a number");
_Static_assert((RATE_BUCKETS / RATE_SET & (RATE_BUCKETS / RATE_SET - 1)) == 0,
               "a mask finds a set");

enum status rate_init(struct rate *rate, uint32_t per_s, const struct hash_key *key)
{
    *rate = (struct rate){.key = *key, .per_s = per_s};
    if (per_s == 0)
        return STATUS_OK;
    rate->sets = calloc(RATE_BUCKETS / RATE_SET, sizeof *rate->sets);
    return rate->sets ? STATUS_OK : STATUS_NO_MEMORY;
}

void rate_free(struct rate *rate)
{
    free(rate->sets);
    rate->sets = NULL;
}

static uint64_t hash_peer(const struct rate *rate, uint64_t session_id,
                          const struct address *address)
{
    uint8_t octets[8 + ADDRESS_WIRE_SIZE];
    struct writer writer = writer_over(octets, sizeof octets);
    writer_u64(&writer, session_id);
    if (session_id == 0)
        address_write(&writer, address);
    return hash_bytes(&rate->key, octets, writer_length(&writer));
}

/* The peer's bucket, filled up to now. */
static struct rate_bucket *find(struct rate *rate, uint64_t peer, uint32_t now_ms)
{
    struct rate_bucket *set = rate->sets[peer & (RATE_BUCKETS / RATE_SET - 1)];
    struct rate_bucket *oldest = &set[0];
    uint32_t full = rate->per_s * TOKEN;
    for (size_t i = 0; i < RATE_SET; i++) {
        struct rate_bucket *bucket = &set[i];
        uint32_t passed_ms = now_ms - bucket->filled_ms;
        if (bucket->peer == peer) {
            /* A bucket is full after a second. A silence of 49 days may pass for one of less. */
            uint64_t added = passed_ms < 1000 ? (uint64_t)passed_ms * rate->per_s : full;
            bucket->level = full - bucket->level > added ? bucket->level + (uint32_t)added : full;
            bucket->filled_ms = now_ms;
            return bucket;
        }
        if (passed_ms > now_ms - oldest->filled_ms)
            oldest = bucket;
    }
    *oldest = (struct rate_bucket){.peer = peer, .level = full, .filled_ms = now_ms};
    return oldest;
}

enum rate_outcome rate_ask(struct rate *rate, uint64_t session_id, const struct address *address,
                           uint64_t now_ms)
{
    if (!rate->sets)
        return RATE_GRANTED;
    struct rate_bucket *bucket = find(rate, hash_peer(rate, session_id, address), (uint32_t)now_ms);
    if (bucket->level < TOKEN)
        return RATE_REFUSED;
    bucket->level -= TOKEN;
    return RATE_GRANTED;
}
