#include "shared/hash.h"

#include <criterion/criterion.h>

/* The key of the published vectors: 00 01 .. 0f. */
static struct hash_key vector_key(void)
{
    uint8_t bytes[16];
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t)i;
    return hash_key_from(bytes);
}

/* Aumasson and Bernstein, appendix A: the message 00 01 .. 0e. */
Test(hash, gives_the_answer_of_the_paper)
{
    struct hash_key key = vector_key();
    uint8_t message[15];
    for (size_t i = 0; i < sizeof message; i++)
        message[i] = (uint8_t)i;
    cr_assert_eq(key.k0, UINT64_C(0x0706050403020100));
    cr_assert_eq(key.k1, UINT64_C(0x0f0e0d0c0b0a0908));
    cr_assert_eq(hash_bytes(&key, message, sizeof message), UINT64_C(0xa129ca6149be45e5));
}

/* The authors' reference vectors (vectors_sip64): messages 00 01 .. of 0 to 8 octets and of 63. */
Test(hash, gives_the_reference_answers)
{
    static const uint64_t want[] = {
        UINT64_C(0x726fdb47dd0e0e31), UINT64_C(0x74f839c593dc67fd), UINT64_C(0x0d6c8009d9a94f5a),
        UINT64_C(0x85676696d7fb7e2d), UINT64_C(0xcf2794e0277187b7), UINT64_C(0x18765564cd99a68d),
        UINT64_C(0xcbc9466e58fee3ce), UINT64_C(0xab0200f58b01d137), UINT64_C(0x93f5f5799a932462),
    };
    struct hash_key key = vector_key();
    uint8_t message[63];
    for (size_t i = 0; i < sizeof message; i++)
        message[i] = (uint8_t)i;
    for (size_t length = 0; length < sizeof want / sizeof *want; length++)
        cr_assert_eq(hash_bytes(&key, message, length), want[length], "length %zu", length);
    cr_assert_eq(hash_bytes(&key, message, 63), UINT64_C(0x958a324ceb064572));
}

Test(hash, does_not_depend_on_alignment)
{
    struct hash_key key = vector_key();
    uint8_t space[32] = "xthe same octets, moved by one";
    uint64_t moved = hash_bytes(&key, space + 1, 20);
    uint8_t aligned[20];
    for (size_t i = 0; i < sizeof aligned; i++)
        aligned[i] = space[1 + i];
    cr_assert_eq(hash_bytes(&key, aligned, sizeof aligned), moved);
}

Test(hash, depends_on_both_words_of_the_key)
{
    struct hash_key key = vector_key();
    uint64_t first = hash_bytes(&key, "x", 1);
    key.k0 ^= 1;
    cr_assert_neq(hash_bytes(&key, "x", 1), first);
    key.k0 ^= 1;
    key.k1 ^= UINT64_C(1) << 63;
    cr_assert_neq(hash_bytes(&key, "x", 1), first);
}
