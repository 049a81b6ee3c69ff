/* The client role of the CoAP endpoint: requests to devices (worker/errand.h) and observations of
 * their resources (worker/observation.h), joined to the message layer as one party. */
#ifndef HOLDFAST_WORKER_CLIENT_H
#define HOLDFAST_WORKER_CLIENT_H

#include "worker/errand.h"
#include "worker/observation.h"

struct client {
    struct errands errands;
    struct observations observations;
};

struct client_options {
    struct coap *coap; /* outlives the client */
    struct store *store;
    struct hash_key hash_key;
    uint64_t seed;
    void (*lose)(void *owner, const struct cid *cid); /* as of struct observations_options */
    void *owner;
};

/* Not to be moved afterwards; free the store first. STATUS_NO_MEMORY. */
MUST_USE enum status client_init(struct client *client, const struct client_options *options,
                                 uint64_t now_ms);
void client_free(struct client *client);

/* The session leaves this worker: whoever waits is told. Before coap_forget. */
void client_forget(struct client *client, uint64_t session_id);

uint64_t client_next_ms(const struct client *client);
void client_run(struct client *client, uint64_t now_ms);

#endif
