/* A publish-subscribe broker after draft-ietf-core-coap-pubsub, in a simple form: the collection of
 * topics is /ps, and a topic's resource and its topic-data resource are one, /ps/NAME. Topics and
 * their last data are in the store, so that every worker serves all of them.
 *
 *   GET /ps           links to the topics; ?after=NAME goes on behind it
 *   POST /ps          creates: topic properties as a CBOR map (worker/topic.h)
 *   PUT /ps/NAME      publishes, and creates what is not there
 *   GET /ps/NAME      reads, and subscribes by Observe
 *   DELETE /ps/NAME   removes the topic; its observers are told 4.04
 *
 * A publication is answered once the store has it, and told to this worker's observers in the same
 * moment; other workers ask the store every PS_POLL_MS, as long as anybody observes anything there.
 *
 * Memory: a pool of at most PS_REQUESTS_MAX requests that wait for the store, about 1.2 KB each. */
#ifndef HOLDFAST_WORKER_PS_H
#define HOLDFAST_WORKER_PS_H

#include "shared/status.h"
#include "shared/store.h"
#include "worker/permission.h"
#include "worker/resource.h"

#include <stdint.h>

struct ps;

struct ps_options {
    struct coap *coap; /* outlives it */
    struct store *store;
    struct permissions publishers;  /* create, publish, remove */
    struct permissions subscribers; /* read, subscribe */
};

/* STATUS_NO_MEMORY. */
MUST_USE enum status ps_new(struct ps **ps, const struct ps_options *options);
/* The store is gone by then, and answers nothing any more. */
void ps_free(struct ps *ps);

void ps_run(struct ps *ps, uint64_t now_ms);
/* UINT64_MAX: no need. */
uint64_t ps_next_ms(const struct ps *ps);

/* Handlers; the endpoint's `ps` is theirs. */
resource_handler ps_list, ps_create, ps_read, ps_publish, ps_remove;

#endif
