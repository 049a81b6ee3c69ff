/* Prometheus text (exposition format 0.0.4). A part declares its metrics as one table, from which
 * counting and export come; each row is one series. Each thread counts in an array of its own,
 * plain adds; a scrape sums the arrays with relaxed loads. */
#ifndef HOLDFAST_SHARED_METRICS_H
#define HOLDFAST_SHARED_METRICS_H

#include "shared/limits.h"
#include "shared/status.h"

#include <stddef.h>
#include <stdint.h>

enum metric_kind { METRIC_COUNTER, METRIC_GAUGE };

/* Rows of one family stand together; the first one's kind and help count. */
struct metric {
    const char *name;  /* "holdfast_handshakes_total" */
    const char *label; /* "result=\"ok\"", or NULL */
    const char *help;
    enum metric_kind kind;
};

struct metrics {
    const struct metric *rows;
    size_t count;
    uint64_t *values[LB_THREADS_MAX]; /* [thread][row] */
    size_t threads;
};

MUST_USE enum status metrics_init(struct metrics *metrics, const struct metric *rows, size_t count,
                                  size_t threads);
void metrics_free(struct metrics *metrics);

static inline void metrics_add(struct metrics *metrics, size_t thread, size_t row, uint64_t n)
{
    uint64_t *value = &metrics->values[thread][row];
    __atomic_store_n(value, *value + n, __ATOMIC_RELAXED);
}
static inline void metrics_set(struct metrics *metrics, size_t thread, size_t row, uint64_t n)
{
    __atomic_store_n(&metrics->values[thread][row], n, __ATOMIC_RELAXED);
}
uint64_t metrics_get(const struct metrics *metrics, size_t row); /* summed over the threads */

/* A text that grows; free(text.bytes) is the caller's. A failed allocation sets `failed`. */
struct text {
    char *bytes;
    size_t length;
    size_t size;
    _Bool failed;
};
void text_add(struct text *text, const char *format, ...) __attribute__((format(printf, 2, 3)));
void text_append(struct text *text, const void *bytes, size_t length);
void metrics_write(const struct metrics *metrics, struct text *text);

/* Adds up the same series of several such texts (what `holdfast up` shows for its children);
 * families and series keep the order in which they first appear. Gauges are added up too, so only
 * those belong in such texts whose sum means something. Timestamps are dropped. STATUS_MALFORMED
 * for a text that is not in the format; `merged` is left alone then. */
MUST_USE enum status metrics_merge(const char *const *texts, size_t count, struct text *merged);

#endif
