/* What every store engine counts. A part that has a store puts these rows at the end of its own
 * table, X(...) STORE_METRICS(X), and gives the index of the first one, WORKER_STORE_READS, in
 * store_options. */
#ifndef HOLDFAST_SHARED_STORE_METRICS_H
#define HOLDFAST_SHARED_STORE_METRICS_H

#include "shared/metrics.h"

/* X(ENUM, name, label or NULL, help, kind) */
#define STORE_METRICS(X)                                                                          \
    X(STORE_READS, "holdfast_store_commands_total", "kind=\"read\"",                              \
      "Questions to the store that were answered", METRIC_COUNTER)                                \
    X(STORE_WRITES, "holdfast_store_commands_total", "kind=\"write\"", NULL, METRIC_COUNTER)      \
    X(STORE_UNAVAILABLE, "holdfast_store_errors_total", "reason=\"unavailable\"",                 \
      "Questions to the store that had no effect, and records that it refused, by reason",        \
      METRIC_COUNTER)                                                                             \
    X(STORE_STALE, "holdfast_store_errors_total", "reason=\"stale\"", NULL, METRIC_COUNTER)       \
    X(STORE_REFUSED, "holdfast_store_errors_total", "reason=\"full\"", NULL, METRIC_COUNTER)      \
    X(STORE_FORMAT, "holdfast_store_errors_total", "reason=\"format\"", NULL, METRIC_COUNTER)     \
    X(STORE_TOPICS_FULL, "holdfast_store_errors_total", "reason=\"topics full\"", NULL,            \
      METRIC_COUNTER)                                                                             \
    X(STORE_GAPS, "holdfast_store_gaps_total", NULL,                                              \
      "Lists of changed topics that may lack removals", METRIC_COUNTER)                           \
    X(STORE_EVENTS, "holdfast_store_events_total", NULL, "Events put into the log",               \
      METRIC_COUNTER)                                                                             \
    X(STORE_EVENTS_DROPPED, "holdfast_store_events_dropped_total", NULL,                          \
      "Events that the log let go for want of room", METRIC_COUNTER)                              \
    X(STORE_EXCHANGES_EVICTED, "holdfast_store_exchanges_evicted_total", NULL,                    \
      "Stored exchanges forgotten early for want of room", METRIC_COUNTER)                        \
    X(STORE_EXPIRED, "holdfast_store_expired_total", NULL, "Stored sessions that nobody renewed", \
      METRIC_COUNTER)                                                                             \
    X(STORE_PENDING, "holdfast_store_pending", NULL, "Questions to the store without an answer",  \
      METRIC_GAUGE)

enum store_metric {
#define STORE_METRIC_ENUM(id, name, label, help, kind) METRIC_##id,
    STORE_METRICS(STORE_METRIC_ENUM)
#undef STORE_METRIC_ENUM
        STORE_METRICS_COUNT
};

/* Where an engine counts: a thread's array, from a row on. metrics NULL: nowhere. */
struct store_counts {
    struct metrics *metrics;
    size_t thread;
    size_t row;
};

static inline void store_count(const struct store_counts *counts, enum store_metric metric,
                               uint64_t n)
{
    if (counts->metrics)
        metrics_add(counts->metrics, counts->thread, counts->row + metric, n);
}

static inline void store_gauge(const struct store_counts *counts, enum store_metric metric,
                               uint64_t value)
{
    if (counts->metrics)
        metrics_set(counts->metrics, counts->thread, counts->row + metric, value);
}

#endif
