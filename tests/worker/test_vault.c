#include "worker/vault.h"

#include <criterion/criterion.h>
#include <string.h>

static const struct cluster_key cluster = {.bytes = {1, 2, 3}};
static const struct cluster_key other_cluster = {.bytes = {1, 2, 4}};
static const struct octets name = {(const uint8_t *)"name", 4};
static const uint8_t plain[] = "what nobody else is to read";

static struct vault vault;
static uint8_t sealed[VAULT_OVERHEAD + sizeof(plain)];
static uint8_t space[sizeof(plain)];
static size_t opened_length;

static void open_vault(struct vault *opened, const struct cluster_key *key, uint8_t key_id)
{
    cr_assert_eq(vault_init(opened, key, key_id), STATUS_OK);
}

static void seal_under(uint8_t key_id)
{
    open_vault(&vault, &cluster, key_id);
    struct writer writer = writer_over(sealed, sizeof(sealed));
    cr_assert_eq(
        vault_seal(&vault, VAULT_SESSION, name, (struct octets){plain, sizeof(plain)}, &writer),
        STATUS_OK);
    cr_assert_eq(writer_length(&writer), sizeof(sealed));
}

static enum vault_outcome open_as(struct vault *by, enum vault_kind kind, struct octets called,
                                  size_t length)
{
    return vault_open(by, kind, called, (struct octets){sealed, length}, space, sizeof(space),
                      &opened_length);
}

static enum vault_outcome open_sealed(struct vault *by)
{
    return open_as(by, VAULT_SESSION, name, sizeof(sealed));
}

static void expect_plain(void)
{
    cr_expect_eq(opened_length, sizeof(plain));
    cr_expect_arr_eq(space, plain, sizeof(plain));
}

Test(vault, what_was_sealed_opens)
{
    seal_under(0);
    cr_expect_eq(open_sealed(&vault), VAULT_OPENED);
    expect_plain();
    vault_free(&vault);
}

Test(vault, nothing_can_be_sealed_too)
{
    open_vault(&vault, &cluster, 0);
    struct writer writer = writer_over(sealed, sizeof(sealed));
    cr_assert_eq(vault_seal(&vault, VAULT_SESSION, name, (struct octets){plain, 0}, &writer),
                 STATUS_OK);
    cr_expect_eq(writer_length(&writer), VAULT_OVERHEAD);
    opened_length = 9;
    cr_expect_eq(open_as(&vault, VAULT_SESSION, name, VAULT_OVERHEAD), VAULT_OPENED);
    cr_expect_eq(opened_length, 0);
    vault_free(&vault);
}

Test(vault, another_worker_of_the_cluster_opens_it)
{
    struct vault other;
    seal_under(0);
    open_vault(&other, &cluster, 0);
    cr_expect_eq(open_sealed(&other), VAULT_OPENED);
    expect_plain();
    vault_free(&other);
    vault_free(&vault);
}

Test(vault, no_octet_can_be_changed)
{
    seal_under(1);
    for (size_t i = 0; i < sizeof(sealed); i++) {
        for (unsigned bit = 0; bit < 8; bit++) {
            sealed[i] ^= (uint8_t)(1u << bit);
            enum vault_outcome outcome = open_sealed(&vault);
            if (i == 0)
                cr_expect_eq(outcome, VAULT_UNKNOWN_FORMAT);
            else if (i == 1 && bit > 0)
                cr_expect_eq(outcome, VAULT_UNKNOWN_KEY);
            else
                cr_expect_eq(outcome, VAULT_BAD_TAG, "octet %zu", i);
            sealed[i] ^= (uint8_t)(1u << bit);
        }
    }
    cr_expect_eq(open_sealed(&vault), VAULT_OPENED, "and now as it was");
    vault_free(&vault);
}

Test(vault, every_shorter_length_is_refused)
{
    seal_under(0);
    for (size_t length = 0; length < VAULT_OVERHEAD; length++)
        cr_expect_eq(open_as(&vault, VAULT_SESSION, name, length), VAULT_TRUNCATED, "%zu", length);
    for (size_t length = VAULT_OVERHEAD; length < sizeof(sealed); length++)
        cr_expect_eq(open_as(&vault, VAULT_SESSION, name, length), VAULT_BAD_TAG, "%zu", length);
    vault_free(&vault);
}

Test(vault, more_than_there_is_room_for_is_refused)
{
    seal_under(0);
    cr_expect_eq(vault_open(&vault, VAULT_SESSION, name, (struct octets){sealed, sizeof(sealed)},
                            space, sizeof(space) - 1, &opened_length),
                 VAULT_TRUNCATED);
    struct writer writer = writer_over(sealed, sizeof(sealed) - 1);
    cr_expect_eq(
        vault_seal(&vault, VAULT_SESSION, name, (struct octets){plain, sizeof(plain)}, &writer),
        STATUS_TOO_LONG);
    vault_free(&vault);
}

Test(vault, a_value_opens_under_its_own_name_only)
{
    static const char *const others[] = {"nama", "nam", "name1", ""};
    seal_under(0);
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        const struct octets other = {(const uint8_t *)others[i], strlen(others[i])};
        cr_expect_eq(open_as(&vault, VAULT_SESSION, other, sizeof(sealed)), VAULT_BAD_TAG);
    }
    cr_expect_eq(open_as(&vault, VAULT_IDENTITY, name, sizeof(sealed)), VAULT_BAD_TAG,
                 "nor as another kind of the same name");
    vault_free(&vault);
}

Test(vault, a_name_that_is_too_long_seals_and_opens_nothing)
{
    uint8_t octets[300] = {0};
    const struct octets long_name = {octets, sizeof(octets)};
    seal_under(0);
    cr_expect_eq(open_as(&vault, VAULT_SESSION, long_name, sizeof(sealed)), VAULT_BAD_TAG);
    struct writer writer = writer_over(sealed, sizeof(sealed));
    cr_expect_eq(vault_seal(&vault, VAULT_SESSION, long_name, (struct octets){plain, sizeof(plain)},
                            &writer),
                 STATUS_TOO_LONG);
    vault_free(&vault);
}

Test(vault, another_cluster_opens_nothing)
{
    struct vault other;
    seal_under(0);
    open_vault(&other, &other_cluster, 0);
    cr_expect_eq(open_sealed(&other), VAULT_BAD_TAG);
    vault_free(&other);
    vault_free(&vault);
}

Test(vault, after_a_rotation_older_values_open_and_newer_ones_do_not)
{
    struct vault older, newer;
    seal_under(3);
    open_vault(&older, &cluster, 2);
    open_vault(&newer, &cluster, 200);
    cr_expect_eq(open_sealed(&newer), VAULT_OPENED);
    expect_plain();
    cr_expect_eq(open_sealed(&older), VAULT_UNKNOWN_KEY);
    sealed[1] = 2;
    cr_expect_eq(open_sealed(&newer), VAULT_BAD_TAG, "each id has a key of its own");
    sealed[1] = 3;
    cr_expect_eq(open_sealed(&newer), VAULT_OPENED, "to and fro between keys");
    vault_free(&newer);
    vault_free(&older);
    vault_free(&vault);
}

Test(vault, nonces_differ)
{
    enum { VALUES = 1000 };
    static uint8_t nonces[VALUES][VAULT_NONCE_SIZE];
    for (size_t i = 0; i < VALUES; i++) {
        if (i == 0)
            open_vault(&vault, &cluster, 0);
        struct writer writer = writer_over(sealed, sizeof(sealed));
        cr_assert_eq(
            vault_seal(&vault, VAULT_SESSION, name, (struct octets){plain, sizeof(plain)}, &writer),
            STATUS_OK);
        memcpy(nonces[i], sealed + 2, VAULT_NONCE_SIZE);
        for (size_t j = 0; j < i; j++)
            cr_assert_neq(memcmp(nonces[i], nonces[j], VAULT_NONCE_SIZE), 0);
    }
    vault_free(&vault);
}
