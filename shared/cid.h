/* Routable Connection IDs: draft-ietf-quic-load-balancers, sections 3 to 5, on DTLS (RFC 9146).
 * first octet (3 bits config id, 5 bits length of the rest) ‖ encrypted(worker id ‖ nonce). */
#ifndef HOLDFAST_SHARED_CID_H
#define HOLDFAST_SHARED_CID_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <wolfssl/options.h>
#include <wolfssl/wolfcrypt/aes.h>

#include "shared/limits.h"
#include "shared/status.h"

#define CID_KEY_SIZE 16
#define CID_CONFIG_UNROUTABLE 7

struct cid {
    uint8_t length; /* 0 to CID_LENGTH_MAX */
    uint8_t bytes[CID_LENGTH_MAX];
};

/* One config: how CIDs with this config id are made. Holds two AES key schedules; wiped by
 * cid_config_free. */
struct cid_config {
    uint8_t id;               /* 0 to 6 */
    uint8_t worker_id_length; /* octets, 1 to 15 */
    uint8_t nonce_length;     /* octets, 4 to 18; the sum is 5 to 19 */
    bool in_use;
    uint8_t left_mask[16]; /* what of an AES block belongs to each half of the text */
    uint8_t right_mask[16];
    Aes encrypt;
    Aes decrypt; /* for the single-block case only */
};

enum cid_outcome {
    CID_ROUTABLE,
    CID_UNROUTABLE,     /* config id 7 */
    CID_UNKNOWN_CONFIG, /* no such config here */
    CID_WRONG_LENGTH,   /* its length is not the config's */
};

/* STATUS_UNSUPPORTED for lengths or an id out of range. */
MUST_USE enum status cid_config_init(struct cid_config *config, uint8_t id,
                                     uint8_t worker_id_length, uint8_t nonce_length,
                                     const uint8_t key[CID_KEY_SIZE]);
void cid_config_free(struct cid_config *config);

/* worker_id and nonce: octets of the config's lengths. Deterministic; never fails on a valid
 * config (STATUS_CRYPTO is the library's). */
MUST_USE enum status cid_encode(struct cid_config *config, const uint8_t *worker_id,
                                const uint8_t *nonce, struct cid *cid);

/* Octets of a whole CID, told by its first one: 1 to 32. */
static inline size_t cid_length_from_first(uint8_t first)
{
    return 1u + (first & 0x1f);
}

/* configs: CID_CONFIGS_MAX entries indexed by config id. worker_id and nonce: room for
 * CID_LENGTH_MAX octets each; their lengths are the config's; written for CID_ROUTABLE only. */
enum cid_outcome cid_decode(struct cid_config *configs, const uint8_t *bytes, size_t length,
                            uint8_t *worker_id, uint8_t *nonce);

/* Worker ids of 1 to 8 octets as a number, network order. */
uint64_t cid_worker_number(const uint8_t *worker_id, size_t length);

bool cid_equal(const struct cid *a, const struct cid *b);

#endif
