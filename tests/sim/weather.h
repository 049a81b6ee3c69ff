/* What networks and the store's connections do to what travels on them, and the faults of a run:
 * drawn from the seed, over at calm_ms. */
#ifndef HOLDFAST_TESTS_SIM_WEATHER_H
#define HOLDFAST_TESTS_SIM_WEATHER_H

#include "shared/address.h"
#include "tests/sim/limits.h"
#include "tests/sim/step.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct sim;
struct device;
struct balancer;
struct node;

/* X(ENUM, name) */
#define FAULTS(X)                                                                       \
    X(CRASH, "crash")                   /* a worker's state is lost; it starts again */ \
    X(DRAIN, "drain")                   /* SIGTERM: a planned restart */                \
    X(PAUSE, "pause")                   /* SIGSTOP, SIGCONT: it wakes up as a zombie */ \
    X(WORKER_STORE, "worker-store cut") /* a partition */                               \
    X(LB_STORE, "lb-store cut")         /* likewise */                                  \
    X(LB_WORKER, "lb-worker cut")       /* likewise */                                  \
    X(STORE, "store outage")            /* nobody reaches it */                         \
    X(DOUBT, "store answers lost")      /* of some questions, done or not */            \
    X(LB_RESTART, "lb restart")         /* its flows and its membership are lost */     \
    X(REBIND, "rebinding")              /* a device with a CID has a new address */     \
    X(DEVICE_RESTART, "device restart") /* its session is lost */

enum fault_kind {
#define FAULT_ENUM(id, name) FAULT_##id,
    FAULTS(FAULT_ENUM)
#undef FAULT_ENUM
        FAULTS_COUNT
};

struct fault {
    enum fault_kind kind;
    size_t who; /* worker, lb or device */
    size_t other;
    uint64_t begins_ms;
    uint64_t ends_ms;
    bool is_over;
};

struct weather {
    /* Between devices and lbs; chances in 1 of 1,000. */
    unsigned loss;
    unsigned duplicate;
    unsigned replay; /* a copy comes up to some seconds later */
    uint64_t delay_most_ms;
    bool sprays; /* a device's datagrams go to any lb; else to one for each address */
    /* Between lbs and workers. */
    unsigned link_loss;
    uint64_t link_delay_most_ms;
    bool refuses; /* the host of a dead worker says so */
    /* Towards the store. */
    uint64_t store_delay_most_ms;
    unsigned store_doubt;
    uint64_t store_arrives_ms[SIM_STORE_CLIENTS]; /* the last question: they stay in order */
    uint64_t answer_arrives_ms[SIM_STORE_CLIENTS];
    unsigned store_cuts[SIM_STORE_CLIENTS]; /* faults that cut it now */
    uint64_t store_cut_since_ms[SIM_STORE_CLIENTS];
    unsigned link_cuts[SIM_LBS][SIM_NODES];

    struct fault faults[SIM_FAULTS_MAX];
    size_t fault_count;
};

/* Draws it all and plans the faults. `faulty`: false for a perfect network. */
void weather_init(struct sim *sim, bool faulty);
/* STEP_FAULT */
void weather_step(struct sim *sim, const struct step *step);
/* Every fault is over, and networks are good. */
void weather_clear(struct sim *sim);

/* --- ways --- */

void weather_to_lb(struct sim *sim, const struct device *device, const void *bytes, size_t length);
void weather_to_device(struct sim *sim, const struct address *to, const void *bytes, size_t length);
/* A frame between an lb and a worker: when it arrives; UINT64_MAX: never. */
uint64_t weather_link_way(struct sim *sim, size_t lb, size_t node);
/* When what leaves now towards, or from, the store arrives; not before what left earlier. */
uint64_t weather_store_way(struct sim *sim, uint64_t *last_ms);
bool weather_store_is_cut(const struct sim *sim, size_t client);
/* For how long; 0: it is not. */
uint64_t weather_store_cut_ms(const struct sim *sim, size_t client);

#endif
