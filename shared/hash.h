/* SipHash-2-4 (Aumasson and Bernstein, 2012): a keyed hash for tables whose keys an attacker
 * chooses, and for rendezvous hashing, where each lb must come to the same answer. */
#ifndef HOLDFAST_SHARED_HASH_H
#define HOLDFAST_SHARED_HASH_H

#include <stddef.h>
#include <stdint.h>

struct hash_key {
    uint64_t k0;
    uint64_t k1;
};

struct hash_key hash_key_from(const uint8_t bytes[16]);
uint64_t hash_bytes(const struct hash_key *key, const void *bytes, size_t length);

#endif
