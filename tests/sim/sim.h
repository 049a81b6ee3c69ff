/* A whole cluster in one process: what is in it, its clock, and what a run ends with. */
#ifndef HOLDFAST_TESTS_SIM_SIM_H
#define HOLDFAST_TESTS_SIM_SIM_H

#include "shared/keys.h"
#include "tests/sim/backend.h"
#include "tests/sim/balancer.h"
#include "tests/sim/device.h"
#include "tests/sim/draw.h"
#include "tests/sim/limits.h"
#include "tests/sim/node.h"
#include "tests/sim/oracle.h"
#include "tests/sim/step.h"
#include "tests/sim/store_link.h"
#include "tests/sim/trace.h"
#include "tests/sim/weather.h"

#define SIM_CID_CONFIG 1

struct sim_options {
    uint64_t seed;
    enum rule broken;
    bool trace;
    bool calm; /* no faults and a perfect network */
};

struct sim_result {
    enum invariant violated; /* INVARIANT_NONE: none was */
    char why[200];
    uint64_t fingerprint;
    size_t events; /* in the log */
    size_t answers;
    size_t claims;
    size_t handshakes;
    size_t states; /* that devices were told of */
    size_t late;   /* silent observers that had to ask for what they were owed */
    size_t twice;  /* records that were accepted by two workers */
};

struct sim {
    struct sim_options options;
    struct sim_result result;
    uint64_t now_ms;
    uint64_t lives; /* processes started so far */
    bool is_calm;
    bool has_deaf; /* a device hears nothing any more, from some time on */
    struct cluster_key key;
    struct steps steps;
    struct trace trace;
    struct draw net;
    struct draw faults;
    struct draw fate;          /* who goes deaf */
    struct draw people;        /* what devices do and when */
    struct coap_timing timing; /* of workers, as is observe */
    struct coap_observe observe;
    struct weather weather;
    struct backend backend;
    struct oracle oracle;
    struct balancer balancers[SIM_LBS];
    struct node nodes[SIM_NODES];
    struct device devices[SIM_DEVICES_MAX];
    size_t device_count;
};

struct sim_result sim_run(const struct sim_options *options);
/* Prints the last lines of the last run. */
void sim_print_last(void);

/* The first one counts: the run ends with it. */
void sim_violated(struct sim *sim, enum invariant invariant, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

uint64_t sim_unix_ms(const struct sim *sim);
/* "t0" and so on. */
void sim_topic_name(size_t topic, char name[3]);
struct address sim_node_address(size_t node);
size_t sim_node_at(const struct sim *sim, const struct address *address);
/* For the trace: the first octets, in hex. Valid until the next calls. */
const char *sim_name(const struct cid *cid);

#endif
