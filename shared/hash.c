#include "shared/hash.h"

#include <endian.h>
#include <string.h>

/* SipHash reads its key and its message as little-endian words. */
static uint64_t word_at(const uint8_t *bytes)
{
    uint64_t word;
    memcpy(&word, bytes, sizeof word);
    return le64toh(word);
}

static uint64_t rotate_left(uint64_t word, unsigned bits)
{
    return word << bits | word >> (64 - bits);
}

static void sip_rounds(uint64_t v[4], unsigned rounds)
{
    for (unsigned i = 0; i < rounds; i++) {
        v[0] += v[1];
        v[2] += v[3];
        v[1] = rotate_left(v[1], 13) ^ v[0];
        v[3] = rotate_left(v[3], 16) ^ v[2];
        v[0] = rotate_left(v[0], 32);
        v[2] += v[1];
        v[0] += v[3];
        v[1] = rotate_left(v[1], 17) ^ v[2];
        v[3] = rotate_left(v[3], 21) ^ v[0];
        v[2] = rotate_left(v[2], 32);
    }
}

static void compress(uint64_t v[4], uint64_t word)
{
    v[3] ^= word;
    sip_rounds(v, 2);
    v[0] ^= word;
}

struct hash_key hash_key_from(const uint8_t bytes[16])
{
    return (struct hash_key){.k0 = word_at(bytes), .k1 = word_at(bytes + 8)};
}

uint64_t hash_bytes(const struct hash_key *key, const void *bytes, size_t length)
{
    /* The paper's initial state: "somepseudorandomlygeneratedbytes". */
    uint64_t v[4] = {
        key->k0 ^ UINT64_C(0x736f6d6570736575),
        key->k1 ^ UINT64_C(0x646f72616e646f6d),
        key->k0 ^ UINT64_C(0x6c7967656e657261),
        key->k1 ^ UINT64_C(0x7465646279746573),
    };
    const uint8_t *message = bytes;
    size_t whole = length - length % 8;
    for (size_t at = 0; at < whole; at += 8)
        compress(v, word_at(message + at));

    uint8_t last[8] = {0};
    if (length > whole)
        memcpy(last, message + whole, length - whole);
    last[7] = (uint8_t)length;
    compress(v, word_at(last));

    v[2] ^= 0xff;
    sip_rounds(v, 4);
    return v[0] ^ v[1] ^ v[2] ^ v[3];
}
