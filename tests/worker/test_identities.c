#include "worker/identities.h"

#include <criterion/criterion.h>
#include <string.h>

static const struct hash_key hash_key = {1, 2};
static const struct cluster_key cluster = {.bytes = {7}};
static struct identities identities;
static struct psk psk;

static struct octets text(const char *string)
{
    return (struct octets){(const uint8_t *)string, strlen(string)};
}

static void open_identities(size_t most)
{
    cr_assert_eq(identities_init(&identities, most, &hash_key), STATUS_OK);
}

Test(identities, a_key_is_found_by_the_whole_identity)
{
    open_identities(8);
    cr_expect_eq(identities_add(&identities, text("device-1"), text("one")), STATUS_OK);
    cr_expect_eq(identities_add(&identities, text("device-10"), text("ten")), STATUS_OK);
    cr_assert_eq(identities_find(&identities, text("device-1"), &psk), STATUS_OK);
    cr_expect_eq(psk.length, 3);
    cr_expect_arr_eq(psk.bytes, "one", 3);
    cr_assert_eq(identities_find(&identities, text("device-10"), &psk), STATUS_OK);
    cr_expect_arr_eq(psk.bytes, "ten", 3);
    cr_expect_eq(identities_find(&identities, text("device-"), &psk), STATUS_NOT_FOUND);
    cr_expect_eq(identities_find(&identities, text(""), &psk), STATUS_NOT_FOUND);
    cr_expect_arr_eq(psk.bytes, "ten", 3, "what is not found changes nothing");
    identities_free(&identities);
}

Test(identities, an_identity_may_hold_any_octet)
{
    static const uint8_t zeros[] = {0, 'a', 0}, shorter[] = {0, 'a'};
    open_identities(8);
    cr_expect_eq(identities_add(&identities, (struct octets){zeros, 3}, text("k")), STATUS_OK);
    cr_expect_eq(identities_find(&identities, (struct octets){zeros, 3}, &psk), STATUS_OK);
    cr_expect_eq(identities_find(&identities, (struct octets){shorter, 2}, &psk), STATUS_NOT_FOUND);
    identities_free(&identities);
}

Test(identities, an_identity_has_one_key)
{
    open_identities(8);
    cr_expect_eq(identities_add(&identities, text("a"), text("first")), STATUS_OK);
    cr_expect_eq(identities_add(&identities, text("a"), text("second")), STATUS_EXISTS);
    cr_assert_eq(identities_find(&identities, text("a"), &psk), STATUS_OK);
    cr_expect_eq(psk.length, 5);
    cr_expect_arr_eq(psk.bytes, "first", 5);
    identities_free(&identities);
}

Test(identities, lengths_are_bounded)
{
    uint8_t octets[IDENTITY_LENGTH_MAX + 1];
    memset(octets, 'x', sizeof(octets));
    const struct octets longest = {octets, IDENTITY_LENGTH_MAX};
    const struct octets key = {octets, PSK_LENGTH_MAX};
    const struct octets long_name = {octets, IDENTITY_LENGTH_MAX + 1};
    const struct octets long_key = {octets, PSK_LENGTH_MAX + 1};
    open_identities(8);
    cr_expect_eq(identities_add(&identities, long_name, key), STATUS_TOO_LONG);
    cr_expect_eq(identities_add(&identities, text("a"), long_key), STATUS_TOO_LONG);
    cr_expect_eq(identities_add(&identities, longest, key), STATUS_OK);
    cr_assert_eq(identities_find(&identities, longest, &psk), STATUS_OK);
    cr_expect_eq(psk.length, PSK_LENGTH_MAX);
    cr_expect_eq(identities_find(&identities, text("a"), &psk), STATUS_NOT_FOUND);
    identities_free(&identities);
}

Test(identities, there_are_only_so_many)
{
    char name[24];
    open_identities(3);
    for (int i = 0; i < 5; i++) {
        snprintf(name, sizeof(name), "device-%d", i);
        cr_expect_eq(identities_add(&identities, text(name), text("key")),
                     i < 3 ? STATUS_OK : STATUS_FULL);
    }
    cr_expect_eq(identities_find(&identities, text("device-2"), &psk), STATUS_OK);
    cr_expect_eq(identities_find(&identities, text("device-3"), &psk), STATUS_NOT_FOUND);
    identities_free(&identities);
}

/* --- as the store keeps a key --- */

static struct vault vault;
static uint8_t sealed[STORE_SEALED_MAX];

static size_t seal(struct octets identity, const char *key)
{
    struct psk given = {.length = strlen(key)};
    memcpy(given.bytes, key, given.length);
    struct writer writer = writer_over(sealed, sizeof(sealed));
    cr_assert_eq(vault_init(&vault, &cluster, 0), STATUS_OK);
    cr_assert_eq(identity_seal(&vault, identity, &given, &writer), STATUS_OK);
    return writer_length(&writer);
}

Test(identities, a_sealed_key_opens_for_its_identity_only)
{
    size_t length = seal(text("a"), "secret");
    cr_expect_eq(length, VAULT_OVERHEAD + 6);
    const struct octets value = {sealed, length};
    cr_assert_eq(identity_open(&vault, text("a"), value, &psk), VAULT_OPENED);
    cr_expect_eq(psk.length, 6);
    cr_expect_arr_eq(psk.bytes, "secret", 6);
    cr_expect_eq(identity_open(&vault, text("b"), value, &psk), VAULT_BAD_TAG);
    vault_free(&vault);
}

Test(identities, the_longest_identity_and_key_can_be_sealed)
{
    uint8_t octets[IDENTITY_LENGTH_MAX];
    char key[PSK_LENGTH_MAX + 1] = {0};
    memset(octets, 0xff, sizeof(octets));
    memset(key, 'k', PSK_LENGTH_MAX);
    const struct octets identity = {octets, sizeof(octets)};
    size_t length = seal(identity, key);
    cr_expect_leq(length, STORE_SEALED_MAX);
    cr_assert_eq(identity_open(&vault, identity, (struct octets){sealed, length}, &psk),
                 VAULT_OPENED);
    cr_expect_eq(psk.length, PSK_LENGTH_MAX);
    vault_free(&vault);
}

Test(identities, a_stored_key_that_is_too_long_is_refused)
{
    uint8_t key[PSK_LENGTH_MAX + 1] = {0};
    struct writer writer = writer_over(sealed, sizeof(sealed));
    cr_assert_eq(vault_init(&vault, &cluster, 0), STATUS_OK);
    cr_assert_eq(
        vault_seal(&vault, VAULT_IDENTITY, text("a"), (struct octets){key, sizeof(key)}, &writer),
        STATUS_OK);
    cr_expect_eq(
        identity_open(&vault, text("a"), (struct octets){sealed, writer_length(&writer)}, &psk),
        VAULT_TRUNCATED);
    vault_free(&vault);
}
