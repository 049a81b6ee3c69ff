/* Rendezvous hashing (Thaler and Ravishankar, 1998): of the workers on offer the one whose keyed
 * hash with some octets is highest. Whoever offers the same workers comes to the same one, lb or
 * worker; a worker that comes or goes moves its own share only. */
#ifndef HOLDFAST_SHARED_RENDEZVOUS_H
#define HOLDFAST_SHARED_RENDEZVOUS_H

#include "shared/hash.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct rendezvous {
    const struct hash_key *key; /* KEY_HASH_SEED of the cluster key; outlives this */
    uint64_t hash;              /* of the octets */
    bool has_best;
    uint16_t best; /* the worker chosen so far, if has_best */
    uint64_t best_weight;
};

/* Nobody on offer yet. Octets in wire form, so that byte order decides nothing. */
void rendezvous_begin(struct rendezvous *rendezvous, const struct hash_key *key, const void *octets,
                      size_t length);
/* True: this worker is the best one so far. In ascending order of ids, which breaks ties. */
bool rendezvous_offer(struct rendezvous *rendezvous, uint16_t worker_id);

#endif
