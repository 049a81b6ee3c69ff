/* What store_open chooses from. Each opens as store_open says; `url` is the whole URL, of the
 * engine's scheme. */
#ifndef HOLDFAST_SHARED_STORE_ENGINES_H
#define HOLDFAST_SHARED_STORE_ENGINES_H

#include "shared/store.h"
#include "shared/store_metrics.h"

typedef enum status store_open_fn(struct store **store, const struct store_options *options,
                                  char *why, size_t why_size);

MUST_USE enum status store_memory_open(struct store **store, const struct store_options *options,
                                       char *why, size_t why_size);
MUST_USE enum status store_lmdb_open(struct store **store, const struct store_options *options,
                                     char *why, size_t why_size);
MUST_USE enum status store_redis_open(struct store **store, const struct store_options *options,
                                      char *why, size_t why_size);

static inline struct store_counts store_counts_from(const struct store_options *options)
{
    return (struct store_counts){.metrics = options->metrics,
                                 .thread = options->metrics_thread,
                                 .row = options->metrics_row};
}

#endif
