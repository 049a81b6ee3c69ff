/* Observe relations between the CoAP endpoint and the store: a registration is saved before it is
 * answered, one that is over is taken out, and an adopted session brings its own along. */
#ifndef HOLDFAST_WORKER_RELATIONS_H
#define HOLDFAST_WORKER_RELATIONS_H

#include "shared/metrics.h"
#include "shared/store.h"
#include "worker/coap.h"

#include <stddef.h>

struct client;
struct dtls;
struct session;

struct relations {
    struct store *store;
    struct coap *coap;
    struct dtls *dtls;
    struct client *client; /* whose are those in the other role */
    struct metrics *metrics;
    size_t saving; /* registrations whose replies wait for the store */
};

/* Saves what a COAP_REGISTER of this session says; coap_registered is told. */
void relation_save(struct relations *relations, struct session *session,
                   const struct coap_commit *commit);
/* Empties the slot. */
void relation_remove(struct relations *relations, const struct session *session, uint8_t slot);
/* Gives the endpoint what was claimed with the session. What is unusable is counted. */
void relations_restore(struct relations *relations, struct session *session,
                       const struct store_answer *claimed, struct coap_now now);

#endif
