#include "shared/keys.h"
#include "tests/shared/hex.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct cluster_key key_of(uint8_t first)
{
    struct cluster_key key;
    for (size_t i = 0; i < sizeof key.bytes; i++)
        key.bytes[i] = (uint8_t)(first + i);
    return key;
}

struct known_answer {
    enum key_use use;
    const char *context;
    size_t length;
    const char *want;
};

Test(keys, gives_the_known_answers)
{
    /* For the key 00 01 .. 1f, worked out by RFC 5869 with another HMAC. */
    static const struct known_answer answers[] = {
        {KEY_CID, "00", 16, "19a897fb98eee2d5de4c8319226afc3f"},
        {KEY_FRAME, "018bcfe568000102030405ff", 16, "4aeedf159f3f94a98f165d5ac3d7fcc3"},
        {KEY_COOKIE, "", 32, "ddce5fc8969a2d01119be8837609d15bd3184eebc61c669195e17ca41c23cd76"},
        {KEY_STORE_SEAL, "01", 32,
         "012afa012ff4ef63ccdfd94b5c51a548dae8046228fb83531c8e7ce8c4a5f55d"},
        {KEY_UNKNOWN_PSK, "6e6f626f6479", 32,
         "bce595464164e3fabf21eceee926ff8e03ab12cd488fb58cd89a6d03679aca6f"},
        {KEY_HASH_SEED, "", 16, "f8d34e620c3315238d01c4721f7c754c"},
        {KEY_ECHO, "", 16, "ddd6c59c509f9579c54d97af78e31a2a"},
    };
    struct cluster_key key = key_of(0);
    for (size_t i = 0; i < sizeof answers / sizeof *answers; i++) {
        const struct known_answer *answer = &answers[i];
        uint8_t context[KEY_CONTEXT_MAX], want[KEY_LENGTH_MAX], out[KEY_LENGTH_MAX];
        size_t context_length = hex_decode(answer->context, context, sizeof context);
        cr_assert_eq(hex_decode(answer->want, want, sizeof want), answer->length);
        cr_assert_eq(keys_derive(&key, answer->use, context, context_length, out, answer->length),
                     STATUS_OK);
        cr_assert_arr_eq(out, want, answer->length, "row %zu", i);
    }
}

Test(keys, use_key_and_context_each_make_another_key)
{
    struct cluster_key key = key_of(0), other_key = key_of(1);
    uint8_t base[16], out[16];
    cr_assert_eq(keys_derive(&key, KEY_CID, "\1", 1, base, sizeof base), STATUS_OK);
    cr_assert_eq(keys_derive(&key, KEY_CID, "\2", 1, out, sizeof out), STATUS_OK);
    cr_assert_arr_neq(out, base, sizeof out);
    cr_assert_eq(keys_derive(&key, KEY_CID, "\1\0", 2, out, sizeof out), STATUS_OK);
    cr_assert_arr_neq(out, base, sizeof out);
    cr_assert_eq(keys_derive(&key, KEY_STORE_SEAL, "\1", 1, out, sizeof out), STATUS_OK);
    cr_assert_arr_neq(out, base, sizeof out);
    cr_assert_eq(keys_derive(&other_key, KEY_CID, "\1", 1, out, sizeof out), STATUS_OK);
    cr_assert_arr_neq(out, base, sizeof out);
}

Test(keys, bounds_are_kept)
{
    struct cluster_key key = key_of(0);
    uint8_t context[KEY_CONTEXT_MAX + 1] = {0}, out[KEY_LENGTH_MAX + 1];
    cr_assert_eq(keys_derive(&key, KEY_UNKNOWN_PSK, context, KEY_CONTEXT_MAX, out, KEY_LENGTH_MAX),
                 STATUS_OK);
    cr_assert_eq(keys_derive(&key, KEY_UNKNOWN_PSK, context, sizeof context, out, KEY_LENGTH_MAX),
                 STATUS_TOO_LONG);
    cr_assert_eq(keys_derive(&key, KEY_COOKIE, NULL, 0, out, sizeof out), STATUS_TOO_LONG);
    cr_assert_eq(keys_derive(&key, (enum key_use)99, NULL, 0, out, 16), STATUS_UNSUPPORTED);
}

/* What keys_read_file says of a file with this text. */
static enum status read_text(const char *text, struct cluster_key *key)
{
    char path[] = "/tmp/holdfast-test-keys-XXXXXX";
    int file = mkstemp(path);
    cr_assert_geq(file, 0);
    cr_assert_eq(write(file, text, strlen(text)), (ssize_t)strlen(text));
    close(file);
    enum status status = keys_read_file(key, path);
    unlink(path);
    return status;
}

#define DIGITS "000102030405060708090a0b0c0d0e0f101112131415161718191A1B1C1D1E1F"

Test(keys, a_file_of_one_line_is_read)
{
    static const char *const texts[] = {DIGITS, DIGITS "\n", DIGITS "\r\n"};
    struct cluster_key want = key_of(0);
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct cluster_key key;
        cr_assert_eq(read_text(texts[i], &key), STATUS_OK);
        cr_assert_arr_eq(key.bytes, want.bytes, sizeof key.bytes);
    }
}

Test(keys, any_other_file_is_malformed_and_changes_nothing)
{
    static const char *const texts[] = {
        "",
        "\n",
        "00",
        DIGITS "0",
        DIGITS " ",
        DIGITS "\n\n",
        DIGITS "\r",
        DIGITS "\r\n0",
        DIGITS DIGITS,
        " " DIGITS,
        "0x" DIGITS,
        "g00102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f",
        "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1\n",
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct cluster_key key = key_of(7), before = key;
        cr_assert_eq(read_text(texts[i], &key), STATUS_MALFORMED, "row %zu", i);
        cr_assert_arr_eq(key.bytes, before.bytes, sizeof key.bytes);
    }
}

Test(keys, a_file_that_cannot_be_read_says_why)
{
    struct cluster_key key;
    errno = 0;
    cr_assert_eq(keys_read_file(&key, "/nonexistent/key"), STATUS_SYSTEM);
    cr_assert_eq(errno, ENOENT);
    errno = 0;
    cr_assert_eq(keys_read_file(&key, "/"), STATUS_SYSTEM);
    cr_assert_eq(errno, EISDIR);
}

Test(keys, random_octets_fill_the_whole_space)
{
    /* Past 256 octets getrandom may return less than was asked for. */
    uint8_t a[1024] = {0}, b[1024] = {0};
    cr_assert_eq(keys_random(a, sizeof a), STATUS_OK);
    cr_assert_eq(keys_random(b, sizeof b), STATUS_OK);
    cr_assert_arr_neq(a, b, sizeof a);
    cr_assert_arr_neq(a + 1008, b + 1008, 16);
    cr_assert_eq(keys_random(a, 0), STATUS_OK);
}

Test(keys, wiping_leaves_zeros)
{
    uint8_t secret[8] = "secret!";
    keys_wipe(secret, 7);
    cr_assert_arr_eq(secret, ((uint8_t[8]){0}), sizeof secret);
}
