#include "bench/histogram.h"

#include <stddef.h>

#define SUB_COUNT (UINT64_C(1) << HISTOGRAM_SUB_BITS)

/* Values up to 2 * SUB_COUNT - 1 have buckets of their own. Above, a value is shifted until its
 * highest bit is that of SUB_COUNT, and each shift has SUB_COUNT buckets. */
static size_t bucket_of(uint64_t value_us)
{
    if (value_us < 2 * SUB_COUNT)
        return value_us;
    unsigned shift = 63 - HISTOGRAM_SUB_BITS - (unsigned)__builtin_clzll(value_us);
    return ((size_t)shift << HISTOGRAM_SUB_BITS) + (size_t)(value_us >> shift);
}

static uint64_t upper_end(size_t bucket)
{
    if (bucket < 2 * SUB_COUNT)
        return bucket;
    unsigned shift = (unsigned)(bucket >> HISTOGRAM_SUB_BITS) - 1;
    uint64_t sub = bucket - ((uint64_t)shift << HISTOGRAM_SUB_BITS);
    return ((sub + 1) << shift) - 1;
}

void histogram_add(struct histogram *histogram, uint64_t value_us)
{
    if (value_us > HISTOGRAM_VALUE_MAX)
        value_us = HISTOGRAM_VALUE_MAX;
    histogram->buckets[bucket_of(value_us)]++;
    histogram->count++;
    if (value_us > histogram->max_us)
        histogram->max_us = value_us;
}

uint64_t histogram_percentile(const struct histogram *histogram, uint32_t per_million)
{
    /* Rounded up: the p99 of 10 values is the greatest of them. Split, so as not to overflow. */
    uint64_t wanted = histogram->count / 1000000 * per_million +
                      (histogram->count % 1000000 * per_million + 999999) / 1000000;
    uint64_t seen = 0;
    for (size_t i = 0; i < HISTOGRAM_BUCKETS && wanted > 0; i++) {
        seen += histogram->buckets[i];
        if (seen < wanted)
            continue;
        uint64_t end = upper_end(i);
        return end < histogram->max_us ? end : histogram->max_us;
    }
    return 0;
}
