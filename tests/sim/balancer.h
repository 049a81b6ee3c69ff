/* An lb of the cluster: the pure parts of lb/ as lb/relay.c and lb/trunk.c join them, with messages
 * for frames. Admission is left out; a frame's seal and window are what `boot` and `to_boot` say.
 */
#ifndef HOLDFAST_TESTS_SIM_BALANCER_H
#define HOLDFAST_TESTS_SIM_BALANCER_H

#include "lb/classify.h"
#include "lb/flow.h"
#include "lb/membership.h"
#include "lb/roster.h"
#include "tests/sim/step.h"

struct sim;

struct balancer {
    struct sim *sim;
    size_t index;
    uint64_t life;
    struct boot_id boot;
    struct membership membership;
    struct flows flows;
    struct cid_config configs[CID_CONFIGS_MAX];
    struct metrics metrics;
    struct store *store;
    struct roster roster;
    uint64_t roster_version;
    uint64_t deaths;
    uint64_t wake_ms; /* of the turn that is planned */
};

void balancer_start(struct balancer *balancer, struct sim *sim, size_t index);
void balancer_stop(struct balancer *balancer);
/* What it remembers is lost. */
void balancer_restart(struct balancer *balancer);
void balancer_step(struct balancer *balancer, struct step *step);

#endif
