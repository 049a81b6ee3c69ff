/* What a load balancer counts. One table, from which the enum and the rows come. */
#ifndef HOLDFAST_LB_METRICS_H
#define HOLDFAST_LB_METRICS_H

#include "shared/metrics.h"
#include "shared/store_metrics.h"

/* X(ENUM, name, label or NULL, help, kind) */
#define LB_METRICS(X)                                                                              \
    X(DATAGRAMS_IN, "holdfast_lb_datagrams_total", "direction=\"in\"",                             \
      "Datagrams from and to clients", METRIC_COUNTER)                                             \
    X(DATAGRAMS_OUT, "holdfast_lb_datagrams_total", "direction=\"out\"", NULL, METRIC_COUNTER)     \
    X(DROPPED_MALFORMED, "holdfast_lb_datagrams_dropped_total", "reason=\"malformed\"",            \
      "Datagrams that went nowhere, by reason", METRIC_COUNTER)                                    \
    X(DROPPED_VERSION, "holdfast_lb_datagrams_dropped_total", "reason=\"version\"", NULL,          \
      METRIC_COUNTER)                                                                              \
    X(DROPPED_OVERSIZED, "holdfast_lb_datagrams_dropped_total", "reason=\"oversized\"", NULL,      \
      METRIC_COUNTER)                                                                              \
    X(DROPPED_CID_CONFIG, "holdfast_lb_datagrams_dropped_total", "reason=\"cid_config\"", NULL,    \
      METRIC_COUNTER)                                                                              \
    X(DROPPED_CID_LENGTH, "holdfast_lb_datagrams_dropped_total", "reason=\"cid_length\"", NULL,    \
      METRIC_COUNTER)                                                                              \
    X(DROPPED_CID_UNROUTABLE, "holdfast_lb_datagrams_dropped_total", "reason=\"cid_unroutable\"",  \
      NULL, METRIC_COUNTER)                                                                        \
    X(DROPPED_ADMISSION, "holdfast_lb_datagrams_dropped_total", "reason=\"admission\"", NULL,      \
      METRIC_COUNTER)                                                                              \
    X(DROPPED_NO_WORKER, "holdfast_lb_datagrams_dropped_total", "reason=\"no_worker\"", NULL,      \
      METRIC_COUNTER)                                                                              \
    X(DROPPED_NO_LISTENER, "holdfast_lb_datagrams_dropped_total", "reason=\"no_listener\"", NULL,  \
      METRIC_COUNTER)                                                                              \
    X(DROPPED_UNSEALED, "holdfast_lb_datagrams_dropped_total", "reason=\"unsealed\"", NULL,        \
      METRIC_COUNTER)                                                                              \
    X(ROUTED_CID, "holdfast_lb_routes_total", "kind=\"cid\"", "Datagrams routed, by what decided", \
      METRIC_COUNTER)                                                                              \
    X(ROUTED_CID_REHASHED, "holdfast_lb_routes_total", "kind=\"cid_rehashed\"", NULL,              \
      METRIC_COUNTER)                                                                              \
    X(ROUTED_FLOW, "holdfast_lb_routes_total", "kind=\"flow\"", NULL, METRIC_COUNTER)              \
    X(ROUTED_HASHED, "holdfast_lb_routes_total", "kind=\"hashed\"", NULL, METRIC_COUNTER)          \
    X(ROUTED_OSCORE, "holdfast_lb_routes_total", "kind=\"oscore\"", NULL, METRIC_COUNTER)          \
    X(FRAMES_IN, "holdfast_lb_frames_total", "direction=\"in\"",                                   \
      "Frames from and to workers, PINGs and PONGs included", METRIC_COUNTER)                      \
    X(FRAMES_OUT, "holdfast_lb_frames_total", "direction=\"out\"", NULL, METRIC_COUNTER)           \
    X(FRAMES_MALFORMED, "holdfast_lb_frames_dropped_total", "reason=\"malformed\"",                \
      "Frames from workers that had no effect, by reason", METRIC_COUNTER)                         \
    X(FRAMES_VERSION, "holdfast_lb_frames_dropped_total", "reason=\"version\"", NULL,              \
      METRIC_COUNTER)                                                                              \
    X(FRAMES_BAD_TAG, "holdfast_lb_frames_dropped_total", "reason=\"bad_tag\"", NULL,              \
      METRIC_COUNTER)                                                                              \
    X(FRAMES_REPLAYED, "holdfast_lb_frames_dropped_total", "reason=\"replayed\"", NULL,            \
      METRIC_COUNTER)                                                                              \
    X(FRAMES_OLD_BOOT, "holdfast_lb_frames_dropped_total", "reason=\"old_boot\"", NULL,            \
      METRIC_COUNTER)                                                                              \
    X(FRAMES_NOT_FOR_US, "holdfast_lb_frames_dropped_total", "reason=\"not_for_us\"", NULL,        \
      METRIC_COUNTER)                                                                              \
    X(FRAMES_UNEXPECTED, "holdfast_lb_frames_dropped_total", "reason=\"unexpected\"", NULL,        \
      METRIC_COUNTER)                                                                              \
    X(PONGS_UNKNOWN_SOURCE, "holdfast_lb_pongs_dropped_total", "reason=\"unknown_source\"",        \
      "PONGs that had no effect, by reason", METRIC_COUNTER)                                       \
    X(PONGS_WRONG_ID, "holdfast_lb_pongs_dropped_total", "reason=\"wrong_id\"", NULL,              \
      METRIC_COUNTER)                                                                              \
    X(PONGS_STALE, "holdfast_lb_pongs_dropped_total", "reason=\"stale\"", NULL, METRIC_COUNTER)    \
    X(PONGS_OLD_BOOT, "holdfast_lb_pongs_dropped_total", "reason=\"old_boot\"", NULL,              \
      METRIC_COUNTER)                                                                              \
    X(PONGS_BAD_STATE, "holdfast_lb_pongs_dropped_total", "reason=\"bad_state\"", NULL,            \
      METRIC_COUNTER)                                                                              \
    X(FLOWS, "holdfast_lb_flows", NULL, "Flow entries of peers without a Connection ID",           \
      METRIC_GAUGE)                                                                                \
    X(FLOWS_EVICTED, "holdfast_lb_flows_evicted_total", NULL,                                      \
      "Flow entries forgotten early for want of room", METRIC_COUNTER)                             \
    X(PREFIXES_EVICTED, "holdfast_lb_admission_prefixes_evicted_total", NULL,                      \
      "Source networks whose handshake rate was forgotten for want of room", METRIC_COUNTER)       \
    X(WORKERS_ALIVE, "holdfast_lb_workers_alive", NULL, "Workers that answer, draining or not",    \
      METRIC_GAUGE)                                                                                \
    X(LISTS_OK, "holdfast_lb_lists_total", "result=\"ok\"",                                        \
      "Lists of the workers that the store was asked for", METRIC_COUNTER)                         \
    X(LISTS_FAILED, "holdfast_lb_lists_total", "result=\"unavailable\"", NULL, METRIC_COUNTER)     \
    X(LISTED_UNUSABLE, "holdfast_lb_listed_unusable_total", NULL,                                  \
      "Entries of such lists that were left out: no id, no address, one address twice",            \
      METRIC_COUNTER)                                                                              \
    X(SEND_FAILURES, "holdfast_lb_send_failures_total", NULL,                                      \
      "Datagrams and frames that the kernel did not take", METRIC_COUNTER)                         \
    X(RECEIVE_OVERFLOWS, "holdfast_lb_receive_overflows_total", NULL,                              \
      "Datagrams and frames that the kernel dropped from full socket buffers", METRIC_COUNTER)     \
    STORE_METRICS(X)

enum lb_metric {
#define LB_METRIC_ENUM(id, name, label, help, kind) LB_##id,
    LB_METRICS(LB_METRIC_ENUM)
#undef LB_METRIC_ENUM
        LB_METRICS_COUNT
};

extern const struct metric lb_metrics[LB_METRICS_COUNT];

#endif
