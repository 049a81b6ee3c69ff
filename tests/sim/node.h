/* A worker of the cluster: struct dtls, struct coap and struct worker_member, joined as
 * worker/worker.c and its siblings join them, with messages for frames. It can crash, be stopped for
 * a while, and has a clock of its own. */
#ifndef HOLDFAST_TESTS_SIM_NODE_H
#define HOLDFAST_TESTS_SIM_NODE_H

#include "tests/sim/limits.h"
#include "tests/sim/step.h"
#include "worker/coap.h"
#include "worker/dtls.h"
#include "worker/heirs.h"
#include "worker/member.h"
#include "worker/ps.h"
#include "worker/relations.h"

#include <stdbool.h>

struct sim;

enum node_stage {
    NODE_DOWN,
    NODE_JOINING,
    NODE_SERVING,
    NODE_DRAINING,
    NODE_LOST, /* another process has its id: to be ended */
};

struct node {
    struct sim *sim;
    size_t index;
    uint64_t life;
    enum node_stage stage;
    bool is_stopped;     /* by a signal */
    unsigned stops;      /* faults that stop it now */
    uint64_t offset_ms;  /* of its monotonic clock */
    int64_t wall_off_ms; /* of its wall clock */
    uint16_t given_id;   /* 0: the lowest free one */
    uint64_t wake_ms;
    uint64_t drain_ms;
    uint64_t resumed_ms; /* when it last went on after a stop */
    struct boot_id boot;
    struct boot_id lbs[SIM_LBS]; /* that it has heard of last */
    uint64_t lb_heard_ms[SIM_LBS];
    struct store *store;
    struct identities identities;
    struct vault vault;
    struct metrics metrics;
    struct worker_member member;
    struct coap *coap;
    struct dtls *dtls;
    struct heirs heirs; /* with dtls, as what follows */
    struct relations relations;
    struct ps *ps;
    struct step *backlog[SIM_BACKLOG_MAX];
    size_t backlog_count;
    uint8_t reply[COAP_MESSAGE_SIZE_MAX];
};

/* Once: the clocks and the id of all its lives. */
void node_init(struct node *node, struct sim *sim, size_t index);
void node_start(struct node *node);
/* Its state is lost; it starts again at `again_ms`. */
void node_crash(struct node *node, uint64_t again_ms);
void node_drain(struct node *node);
void node_pause(struct node *node, bool begins);
/* Takes the step over if it keeps it: true. */
bool node_step(struct node *node, struct step *step);
void node_free(struct node *node);

/* node_serve.c */
uint64_t node_clock_ms(const struct node *node); /* monotonic */
uint64_t node_unix_ms(const struct node *node);
/* It has an id: CoAP and DTLS begin. */
void node_serve(struct node *node, uint16_t id);
void node_stop_serving(struct node *node);

#endif
