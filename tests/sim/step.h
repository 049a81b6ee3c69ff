/* What happens in a run, one step after the other: a queue by time, and in the order of asking
 * where the time is the same. */
#ifndef HOLDFAST_TESTS_SIM_STEP_H
#define HOLDFAST_TESTS_SIM_STEP_H

#include "shared/address.h"
#include "shared/frame.h"

#include <stddef.h>
#include <stdint.h>

enum step_kind {
    STEP_DEVICE_TURN,
    STEP_DEVICE_DATAGRAM, /* from an lb */
    STEP_LB_TURN,
    STEP_LB_DATAGRAM, /* from a device */
    STEP_LB_REPLY,    /* from a worker, for a device */
    STEP_LB_PONG,
    STEP_WORKER_START,
    STEP_WORKER_TURN,
    STEP_WORKER_DATAGRAM, /* from an lb */
    STEP_WORKER_PING,
    STEP_STORE_QUESTION, /* arrives at the store */
    STEP_STORE_ANSWER,   /* arrives at who asked */
    STEP_FAULT,          /* begins, or ends */
};

struct question;

struct step {
    uint64_t due_ms;
    uint64_t serial;
    enum step_kind kind;
    size_t to;              /* index of the device, lb, worker, fault or of who asks the store */
    size_t from;            /* likewise */
    struct address address; /* a client's; STEP_LB_PONG: the worker's */
    struct boot_id boot;    /* the sender's */
    struct boot_id to_boot;
    struct frame_health health;
    struct question *question; /* owned */
    size_t length;
    uint8_t *bytes; /* owned */
};

struct steps {
    struct step **heap;
    size_t count;
    size_t size;
    uint64_t serial;
};

/* `bytes` are copied. The step lives until step_free. */
struct step *steps_add(struct steps *steps, uint64_t due_ms, enum step_kind kind, size_t to,
                       const void *bytes, size_t length);
struct step *steps_take(struct steps *steps); /* NULL: none is left */
void step_free(struct step *step);
void steps_free(struct steps *steps);

#endif
