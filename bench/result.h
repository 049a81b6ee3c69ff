/* What a run came to, as a table of named numbers: the report, --json and --expect read it. */
#ifndef HOLDFAST_BENCH_RESULT_H
#define HOLDFAST_BENCH_RESULT_H

#include "bench/tally.h"
#include "shared/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum measure_kind {
    MEASURE_COUNT,
    MEASURE_PER_SECOND,
    MEASURE_TIME, /* ms */
    MEASURE_OCTETS,
};

struct measure {
    const char *name; /* of --expect; --json has `_ms` behind a time's */
    enum measure_kind kind;
    bool at_least; /* whether more is better */
    const char *meaning;
};

enum measure_id {
    RESULT_DEVICES,
    RESULT_ADDRESSES,
    RESULT_REQUESTS,
    RESULT_SERVED,
    RESULT_RATE,
    RESULT_P50,
    RESULT_P90,
    RESULT_P99,
    RESULT_P999,
    RESULT_MAX,
    RESULT_LOST,
    RESULT_REFUSED,
    RESULT_UNAVAILABLE,
    RESULT_WRONG,
    RESULT_BACKLOG,
    RESULT_RETRANSMISSIONS,
    RESULT_MAX_GAP,
    RESULT_REBINDS,
    RESULT_PINGS,
    RESULT_SESSIONS_ENDED,
    RESULT_BAD_RECORDS,
    RESULT_STRAYS,
    RESULT_UNSENT,
    RESULT_OCTETS_UP,
    RESULT_OCTETS_DOWN,
    RESULT_SERVER_CPU,
    RESULT_SERVER_MEMORY,
    RESULT_SERVER_MEMORY_PEAK,
    RESULT_RELATIONS,
    RESULT_RELATIONS_ENDED,
    RESULT_ASKED,
    RESULT_NOTIFICATIONS,
    RESULT_NOTIFICATION_RATE,
    RESULT_NOTIFICATION_P50,
    RESULT_NOTIFICATION_P99,
    RESULT_NOTIFICATION_MAX,
    RESULT_REORDERED,
    RESULT_REPEATED,
    RESULT_SKIPPED,
    RESULT_OBSERVED,
    RESULT_OBSERVE_REFUSED,
    RESULT_OBSERVE_P50,
    RESULT_OBSERVE_P99,
    RESULT_OBSERVE_MAX,
    RESULT_STORED,
    RESULT_UNSTORED,
    RESULT_HANDSHAKES,
    RESULT_HANDSHAKES_AFTER_START,
    RESULT_HANDSHAKES_FAILED,
    RESULT_HANDSHAKE_RETRANSMISSIONS,
    RESULT_HANDSHAKE_RATE,
    RESULT_HANDSHAKE_P50,
    RESULT_HANDSHAKE_P99,
    RESULT_HANDSHAKE_MAX,
    RESULT_HANDSHAKE_OCTETS_UP,
    RESULT_HANDSHAKE_OCTETS_DOWN,
    RESULT_START,
    RESULT_DURATION,
    RESULT_MARK,
    RESULT_RECOVERED,
    RESULT_UNRECOVERED,
    RESULT_RECOVERY_P50,
    RESULT_RECOVERY_P99,
    RESULT_RECOVERY_MAX,
    RESULT_AFFECTED,
    RESULT_AFFECTED_P50,
    RESULT_AFFECTED_P99,
    RESULT_AFFECTED_MAX,
    RESULT_MEASURES
};
extern const struct measure measures[RESULT_MEASURES];

struct result {
    double value[RESULT_MEASURES];
    bool known[RESULT_MEASURES]; /* a percentile of nothing is not */
};

void result_make(struct result *result, const struct tally *tally, uint64_t devices);
void result_print(const struct result *result, FILE *out);
/* One object on one line; what is not known is null. */
void result_print_json(const struct result *result, const char *workload, FILE *out);

/* RESULT_MEASURES: there is none of that name; a time's may have its `_ms`. */
enum measure_id result_find(const char *name, size_t length);

#endif
