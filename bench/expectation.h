/* What the user expects of a run: KEY=VALUE, where KEY is a measure's name. */
#ifndef HOLDFAST_BENCH_EXPECTATION_H
#define HOLDFAST_BENCH_EXPECTATION_H

#include "bench/result.h"
#include "shared/status.h"

#include <stdbool.h>
#include <stddef.h>

struct expectation {
    enum measure_id measure;
    double bound; /* ms for times */
};

/* "p99=50ms", "p50=800us", "max=2s", "lost=0", "rate=20000". A time without a unit is ms. On
 * failure `why` says what would be right. */
MUST_USE enum status expectation_parse(struct expectation *expectation, const char *text, char *why,
                                       size_t why_size);

/* At least the bound where more is better (rate), at most otherwise. What is not known does not
 * meet any expectation. */
bool expectation_is_met(const struct expectation *expectation, const struct result *result);

#endif
