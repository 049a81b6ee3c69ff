/* What a run is to do: the options of holdfast-bench. */
#ifndef HOLDFAST_BENCH_PLAN_H
#define HOLDFAST_BENCH_PLAN_H

#include "bench/dial.h"
#include "bench/expectation.h"
#include "bench/question.h"
#include "bench/server.h"
#include "bench/workload.h"
#include "shared/address.h"
#include "shared/option.h"
#include "shared/suite.h"

#include <stdbool.h>
#include <stdint.h>

#define PLAN_EXPECTATIONS_MAX 32
#define PLAN_DEVICES_MAX 1000000

struct plan {
    struct address server;
    bool is_secure;             /* coaps:// */
    struct address observe_api; /* port 0: none */
    struct dial_credentials credentials;
    const struct suite *suite;
    uint64_t devices;
    uint64_t duration_s;
    enum workload workload;
    uint64_t rate;    /* requests per second; 0: a closed loop */
    uint64_t at_once; /* requests outstanding in a closed loop; 0: one of each device */
    uint64_t payload_length;
    uint64_t sockets; /* that devices share; 0: one for each */
    uint64_t rebind_every;
    uint64_t handshakes_in_flight;
    uint64_t ack_timeout_ms;
    uint64_t retransmits_max;
    uint64_t start_timeout_s;
    size_t server_count;
    uint64_t servers[SERVERS_MAX]; /* process ids, to be measured */
    const char *path;              /* NULL: the operation's own */
    const char *mark_path;         /* NULL: none */
    const char *begin_path;        /* NULL: none */
    const char *acknowledged_path; /* NULL: none */
    bool spreads;                  /* an address of its own for each device, in 127.0.0.0/8 */
    bool sleeps;                   /* likewise, and no socket while nothing is outstanding */
    bool puts;                     /* PUT where the workload would POST */
    bool json;
    size_t expectation_count;
    struct expectation expectations[PLAN_EXPECTATIONS_MAX];
};

enum option_outcome plan_parse(struct plan *plan, int argc, char *const *argv);

/* "holdfast-bench: OPTION: WHAT" on stderr. */
void plan_complain(const char *option, const char *what);

#endif
