/* Everything that is derived from the cluster key, by HKDF-SHA256 (RFC 5869), each under a label
 * of its own. The cluster key is 32 octets, in a file as 64 hex digits. */
#ifndef HOLDFAST_SHARED_KEYS_H
#define HOLDFAST_SHARED_KEYS_H

#include <stddef.h>
#include <stdint.h>

#include "shared/limits.h"
#include "shared/status.h"

#define CLUSTER_KEY_SIZE 32
#define KEY_LENGTH_MAX 32   /* octets of a derived key */
#define KEY_CONTEXT_MAX 128 /* octets; the longest is an identity */

_Static_assert(KEY_CONTEXT_MAX >= IDENTITY_LENGTH_MAX, "an identity is a context");

struct cluster_key {
    uint8_t bytes[CLUSTER_KEY_SIZE];
};

enum key_use {
    KEY_CID,         /* 16 octets, context: config id (1 octet) */
    KEY_FRAME,       /* 16 octets, context: the sender's boot id */
    KEY_COOKIE,      /* 32 octets, no context */
    KEY_STORE_SEAL,  /* 32 octets, context: key id */
    KEY_UNKNOWN_PSK, /* 32 octets, context: the identity nobody knows */
    KEY_ECHO,        /* 16 octets, no context: values of the Echo option */
    KEY_HASH_SEED,   /* 16 octets, no context: rendezvous hashing, the same on each lb */
};

/* HKDF: no salt, info is label ‖ 0 ‖ context. STATUS_TOO_LONG: past KEY_LENGTH_MAX or
 * KEY_CONTEXT_MAX. STATUS_CRYPTO is the library's refusal. */
MUST_USE enum status keys_derive(const struct cluster_key *key, enum key_use use,
                                 const void *context, size_t context_length, uint8_t *out,
                                 size_t out_length);

/* One line of 64 hex digits, with or without its end. STATUS_SYSTEM: cannot be read, errno says why; STATUS_MALFORMED. */
MUST_USE enum status keys_read_file(struct cluster_key *key, const char *path);

/* length octets from the system's generator. */
MUST_USE enum status keys_random(void *out, size_t length);

/* Zeroes in a way that the compiler keeps. */
void keys_wipe(void *secret, size_t length);

#endif
