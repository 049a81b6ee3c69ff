/* Pre-shared keys by identity: those given to this process, and those in the store, sealed. */
#ifndef HOLDFAST_WORKER_IDENTITIES_H
#define HOLDFAST_WORKER_IDENTITIES_H

#include <stddef.h>
#include <stdint.h>

#include "shared/hash.h"
#include "shared/limits.h"
#include "shared/pool.h"
#include "shared/status.h"
#include "shared/store.h"
#include "shared/table.h"
#include "worker/vault.h"

struct psk {
    size_t length;
    uint8_t bytes[PSK_LENGTH_MAX];
};

struct identities {
    struct hash_key hash_key;
    struct pool pool;
    struct table table;
};

/* STATUS_NO_MEMORY. */
MUST_USE enum status identities_init(struct identities *identities, size_t identities_max,
                                     const struct hash_key *hash_key);
void identities_free(struct identities *identities); /* wipes the keys */

/* STATUS_EXISTS, STATUS_TOO_LONG (IDENTITY_LENGTH_MAX, PSK_LENGTH_MAX), STATUS_FULL. */
MUST_USE enum status identities_add(struct identities *identities, struct octets identity,
                                    struct octets psk);
/* STATUS_NOT_FOUND: then the store is to be asked. */
MUST_USE enum status identities_find(const struct identities *identities, struct octets identity,
                                     struct psk *psk);

/* A key as the store keeps it: at most STORE_SEALED_MAX octets. */
MUST_USE enum status identity_seal(struct vault *vault, struct octets identity,
                                   const struct psk *psk, struct writer *sealed);
enum vault_outcome identity_open(struct vault *vault, struct octets identity, struct octets sealed,
                                 struct psk *psk);

#endif
