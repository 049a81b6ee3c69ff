/* Sealing of what goes to the store: AES-256-GCM under a key derived from the cluster key and a key
 * id (DESIGN.md section 7, invariant 6).
 *
 *   format version 1 ‖ key id 1 ‖ nonce 12 ‖ ciphertext ‖ tag 16
 *
 * The first two octets and the name under which the value is stored are additional data, so a value
 * that was copied to another name does not open. Nonces are random: 2^32 values under one key id
 * keep the chance of a repeated nonce below 2^-32 (NIST SP 800-38D section 8.3); then comes the
 * next id. */
#ifndef HOLDFAST_WORKER_VAULT_H
#define HOLDFAST_WORKER_VAULT_H

#include <stddef.h>
#include <stdint.h>

#include <wolfssl/options.h>
#include <wolfssl/wolfcrypt/aes.h>
#include <wolfssl/wolfcrypt/random.h>

#include "shared/cursor.h"
#include "shared/keys.h"
#include "shared/status.h"
#include "shared/store.h"

#define VAULT_FORMAT 1
#define VAULT_NONCE_SIZE 12
#define VAULT_TAG_SIZE 16
#define VAULT_OVERHEAD (1 + 1 + VAULT_NONCE_SIZE + VAULT_TAG_SIZE)

/* What a value is, so that none passes for another of the same name. */
enum vault_kind { VAULT_SESSION = 1, VAULT_IDENTITY = 2 };

struct vault {
    struct cluster_key cluster_key;
    uint8_t key_id; /* seals under this one, opens all up to it */
    Aes seal;
    Aes open;
    int open_key_id; /* whose schedule `open` holds; -1: none */
    WC_RNG rng;
};

enum vault_outcome {
    VAULT_OPENED,
    VAULT_TRUNCATED,
    VAULT_UNKNOWN_FORMAT, /* written by a later version */
    VAULT_UNKNOWN_KEY,
    VAULT_BAD_TAG, /* another cluster's, another name's, or tampered with */
    VAULT_OUTCOMES
};

MUST_USE enum status vault_init(struct vault *vault, const struct cluster_key *key, uint8_t key_id);
void vault_free(struct vault *vault);

/* Appends plain_length + VAULT_OVERHEAD octets. STATUS_TOO_LONG, STATUS_CRYPTO. */
MUST_USE enum status vault_seal(struct vault *vault, enum vault_kind kind, struct octets name,
                                struct octets plain, struct writer *sealed);
/* *length octets of plain text into `space` of at least sealed.length - VAULT_OVERHEAD. */
enum vault_outcome vault_open(struct vault *vault, enum vault_kind kind, struct octets name,
                              struct octets sealed, uint8_t *space, size_t size, size_t *length);

#endif
