#include "shared/rendezvous.h"

#include "shared/cursor.h"

void rendezvous_begin(struct rendezvous *rendezvous, const struct hash_key *key, const void *octets,
                      size_t length)
{
    *rendezvous = (struct rendezvous){.key = key, .hash = hash_bytes(key, octets, length)};
}

/* Octets, not numbers, go into it: all must come to the same, whatever their byte order. */
static uint64_t weigh(const struct rendezvous *rendezvous, uint16_t worker_id)
{
    uint8_t octets[2 + 8];
    struct writer writer = writer_over(octets, sizeof(octets));
    writer_u16(&writer, worker_id);
    writer_u64(&writer, rendezvous->hash);
    return hash_bytes(rendezvous->key, octets, sizeof(octets));
}

bool rendezvous_offer(struct rendezvous *rendezvous, uint16_t worker_id)
{
    uint64_t weight = weigh(rendezvous, worker_id);
    if (rendezvous->has_best && weight <= rendezvous->best_weight)
        return false;
    rendezvous->has_best = true;
    rendezvous->best = worker_id;
    rendezvous->best_weight = weight;
    return true;
}
