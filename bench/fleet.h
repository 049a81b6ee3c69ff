/* A fleet of simulated devices on one thread. Each has a session (or none, at coap://), asks one
 * request at a time and repeats it as RFC 7252 section 4.2 says. A run has three phases: all
 * devices get a session; the workload runs; what is outstanding is answered or lost.
 *
 * Memory: sizeof(struct device), at most 320 octets, and a socket of the kernel's for each device;
 * 9 KB for each handshake in flight. */
#ifndef HOLDFAST_BENCH_FLEET_H
#define HOLDFAST_BENCH_FLEET_H

#include "bench/plan.h"
#include "bench/tally.h"
#include "shared/status.h"

#include <stddef.h>
#include <stdint.h>

enum fleet_phase {
    FLEET_START,
    FLEET_RUN,
    FLEET_DRAIN,
    FLEET_DONE,
    FLEET_FAILED, /* not all devices got a session in time, or too few sockets */
};

struct fleet;

/* `plan` must outlive it. STATUS_SYSTEM: errno says why; STATUS_NO_MEMORY; STATUS_CRYPTO. */
MUST_USE enum status fleet_new(struct fleet **fleet, const struct plan *plan);
void fleet_free(struct fleet *fleet);

/* Whatever is due, then waits for what comes next, no longer than until `until_us`. */
enum fleet_phase fleet_turn(struct fleet *fleet, uint64_t until_us);
/* From here on each device's next reply is waited for. `at_us` of the monotonic clock is not later
 * than now. Only the first mark of a run counts. */
void fleet_mark(struct fleet *fleet, uint64_t at_us);
/* Ends the run before its time. */
void fleet_stop(struct fleet *fleet);

const struct tally *fleet_tally(const struct fleet *fleet);
size_t fleet_established(const struct fleet *fleet);
/* Devices that observe, or are observed. */
size_t fleet_related(const struct fleet *fleet);

#endif
