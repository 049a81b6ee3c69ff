#include "worker/metrics.h"

const struct metric worker_metrics[WORKER_METRICS_COUNT] = {
#define WORKER_METRIC_ROW(id, name, label, help, kind) {name, label, help, kind},
    WORKER_METRICS(WORKER_METRIC_ROW)
#undef WORKER_METRIC_ROW
};
