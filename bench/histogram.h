/* Durations by size, in buckets whose width grows with them: 64 for each power of two, so that a
 * percentile is at most 1.6 % above the truth. Memory: 8 octets a bucket, 17.5 KiB, whatever is
 * counted. Zeroed memory is an empty one. */
#ifndef HOLDFAST_BENCH_HISTOGRAM_H
#define HOLDFAST_BENCH_HISTOGRAM_H

#include <stdint.h>

#define HISTOGRAM_SUB_BITS 6
#define HISTOGRAM_VALUE_MAX ((UINT64_C(1) << 40) - 1) /* µs: 12 days; longer counts as this */
#define HISTOGRAM_BUCKETS ((40 - HISTOGRAM_SUB_BITS + 1) << HISTOGRAM_SUB_BITS)

struct histogram {
    uint64_t count;
    uint64_t max_us;
    uint64_t buckets[HISTOGRAM_BUCKETS];
};

void histogram_add(struct histogram *histogram, uint64_t value_us);

/* The value that `per_million` of a million values do not exceed (999000: p99.9), as the upper end
 * of its bucket and no more than max_us; 0 for an empty one. */
uint64_t histogram_percentile(const struct histogram *histogram, uint32_t per_million);

#endif
