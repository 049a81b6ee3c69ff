/* What frame.c and frame_opener.c share of a frame's form; no one else includes it. */
#ifndef HOLDFAST_SHARED_FRAME_WIRE_H
#define HOLDFAST_SHARED_FRAME_WIRE_H

#include "shared/frame.h"

#include <stdint.h>

#define FRAME_KEY_SIZE   16
#define FRAME_NONCE_SIZE 12

struct frame_nonce {
    uint8_t bytes[FRAME_NONCE_SIZE];
};

struct frame_nonce frame_nonce_of(uint64_t counter);

/* The key schedule of one sender's boot. Allocates nothing; the caller wipes it by wc_AesFree. */
MUST_USE enum status frame_key_set(Aes *aes, const struct cluster_key *key,
                                   const struct boot_id *sender);

#endif
