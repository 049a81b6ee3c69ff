/* Observe relations between the CoAP endpoint and the store: a registration is saved before it is
 * answered, one that is over is taken out, and an adopted session brings its own along.
 *
 * What the store did not confirm as taken out may be there still: it is taken out again after a
 * while, as long as the session is here and nothing else has its slot. Of those that are too many,
 * or whose session goes before, an heir tells their peers once more, and ends them then. */
#ifndef HOLDFAST_WORKER_RELATIONS_H
#define HOLDFAST_WORKER_RELATIONS_H

#include "shared/cid.h"
#include "shared/limits.h"
#include "shared/metrics.h"
#include "shared/store.h"
#include "worker/coap.h"

#include <stddef.h>

struct client;
struct dtls;
struct session;

struct relation_name {
    struct cid cid;
    uint8_t slot;
};

struct relations {
    struct store *store;
    struct coap *coap;
    struct dtls *dtls;
    struct client *client; /* whose are those in the other role */
    struct metrics *metrics;
    size_t saving; /* registrations whose replies wait for the store */
    struct relation_name removed[RELATIONS_REMOVED_MAX]; /* not confirmed */
    size_t removed_count;
    uint64_t removed_due_ms; /* when they are tried again */
    uint64_t now_ms;
};

/* Saves what a COAP_REGISTER of this session says; coap_registered is told. */
void relation_save(struct relations *relations, struct session *session,
                   const struct coap_commit *commit);
/* Empties the slot. */
void relation_remove(struct relations *relations, const struct session *session, uint8_t slot);
void relations_run(struct relations *relations, uint64_t now_ms);
/* When relations_run is due; UINT64_MAX: no need. */
uint64_t relations_next_ms(const struct relations *relations);
/* Gives the endpoint what was claimed with the session. What is unusable is counted. */
void relations_restore(struct relations *relations, struct session *session,
                       const struct store_answer *claimed, struct coap_now now);

#endif
