/* What the processes that are measured have used, as /proc tells: all their threads, the kernel's
 * work for them included. Processor time comes in ticks of 10 ms. */
#ifndef HOLDFAST_BENCH_SERVER_H
#define HOLDFAST_BENCH_SERVER_H

#include "shared/status.h"

#include <stddef.h>
#include <stdint.h>

#define SERVERS_MAX 16

struct server_usage {
    uint64_t cpu_us;
    uint64_t resident;      /* octets of memory */
    uint64_t resident_peak; /* the most so far */
};

/* The sum over the processes. STATUS_NOT_FOUND: one of them is not there, or not ours to look at.
 */
MUST_USE enum status server_usage_read(const uint64_t *pids, size_t count,
                                       struct server_usage *usage);

#endif
