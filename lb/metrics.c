#include "lb/metrics.h"

const struct metric lb_metrics[LB_METRICS_COUNT] = {
#define LB_METRIC_ROW(id, name, label, help, kind) {name, label, help, kind},
    LB_METRICS(LB_METRIC_ROW)
#undef LB_METRIC_ROW
};
