/* The store engine that forgets with its process: identities from the command line, leases in a
 * table. One worker each; every answer waits for the next store_run, as a real engine's would. */
#ifndef HOLDFAST_WORKER_STORE_MEMORY_H
#define HOLDFAST_WORKER_STORE_MEMORY_H

#include "shared/hash.h"
#include "worker/store.h"

struct store_memory_options {
    struct hash_key hash_key;
    size_t sessions_max;
    size_t identities_max;
    /* Where CID nonces start. The time in ms at the process's start keeps a restarted worker from
     * repeating nonces under a key that lives on, as long as it makes fewer than 1,000 sessions
     * a second on average. */
    uint64_t first_nonce;
};

/* STATUS_NO_MEMORY. */
MUST_USE enum status store_memory_new(struct store **store,
                                      const struct store_memory_options *options);
/* A known identity; the key is copied. STATUS_EXISTS, STATUS_TOO_LONG (IDENTITY_LENGTH_MAX,
 * PSK_LENGTH_MAX), STATUS_FULL. */
MUST_USE enum status store_memory_add_psk(struct store *store, const uint8_t *identity,
                                          size_t identity_length, const uint8_t *psk,
                                          size_t psk_length);

#endif
