#include "shared/cid.h"
#include "tests/shared/hex.h"

#include <criterion/criterion.h>
#include <string.h>

static const char draft_key[] = "8f95f09245765f80256934e50c66207f";

static struct cid_config config_of(uint8_t id, uint8_t worker_id_length, uint8_t nonce_length,
                                   const char *key_hex)
{
    struct cid_config config;
    uint8_t key[CID_KEY_SIZE];
    cr_assert_eq(hex_decode(key_hex, key, sizeof key), sizeof key);
    cr_assert_eq(cid_config_init(&config, id, worker_id_length, nonce_length, key), STATUS_OK);
    return config;
}

struct vector {
    uint8_t config_id;
    const char *key;
    const char *worker_id;
    const char *nonce;
    const char *cid;
};

/* draft-ietf-quic-load-balancers, appendix B.2, and the worked example of section 4.3.2 (the last):
 * odd and even halves, one AES block. */
static const struct vector vectors[] = {
    {0, draft_key, "ed793a", "ee080dbf", "0720b1d07b359d3c"},
    {1, draft_key, "ed793a51d49b8f5fab65", "ee080dbf48", "2fcc381bc74cb4fbad2823a3d1f8fed2"},
    {2, draft_key, "ed793a51d49b8f5f", "ee080dbf48c0d1e5", "504dd2d05a7b0de9b2b9907afb5ecf8cc3"},
    {0, "fdf726a9893ec05c0632d3956680baf0", "31441a", "9c69c275", "0767947d29be054a"},
};

Test(cid, gives_the_vectors_of_the_draft_in_both_directions)
{
    for (size_t i = 0; i < sizeof vectors / sizeof *vectors; i++) {
        const struct vector *vector = &vectors[i];
        uint8_t id[CID_LENGTH_MAX], nonce[CID_LENGTH_MAX], want[CID_LENGTH_MAX];
        size_t id_length = hex_decode(vector->worker_id, id, sizeof id);
        size_t nonce_length = hex_decode(vector->nonce, nonce, sizeof nonce);
        size_t want_length = hex_decode(vector->cid, want, sizeof want);
        struct cid_config configs[CID_CONFIGS_MAX] = {0};
        struct cid_config *config = &configs[vector->config_id];
        *config =
            config_of(vector->config_id, (uint8_t)id_length, (uint8_t)nonce_length, vector->key);

        struct cid cid;
        cr_assert_eq(cid_encode(config, id, nonce, &cid), STATUS_OK);
        cr_assert_eq(cid.length, want_length);
        cr_assert_arr_eq(cid.bytes, want, want_length, "vector %zu", i);
        cr_assert_eq(cid_length_from_first(cid.bytes[0]), want_length);

        uint8_t found_id[CID_LENGTH_MAX], found_nonce[CID_LENGTH_MAX];
        cr_assert_eq(cid_decode(configs, cid.bytes, cid.length, found_id, found_nonce),
                     CID_ROUTABLE);
        cr_assert_arr_eq(found_id, id, id_length);
        cr_assert_arr_eq(found_nonce, nonce, nonce_length);
        cid_config_free(config);
    }
}

static void go_round(struct cid_config *configs, struct cid_config *config)
{
    uint8_t id[CID_LENGTH_MAX], nonce[CID_LENGTH_MAX];
    uint8_t found_id[CID_LENGTH_MAX], found_nonce[CID_LENGTH_MAX];
    struct cid cid, last = {0};
    for (uint8_t turn = 0; turn < 8; turn++) {
        for (size_t i = 0; i < CID_LENGTH_MAX; i++) {
            id[i] = (uint8_t)(0xa5 + 7 * i);
            nonce[i] = (uint8_t)(i == 0 ? turn : 0xff - i);
        }
        cr_assert_eq(cid_encode(config, id, nonce, &cid), STATUS_OK);
        cr_assert_eq(cid.length, 1 + config->worker_id_length + config->nonce_length);
        cr_assert_not(cid_equal(&cid, &last), "another nonce is another CID");
        last = cid;
        cr_assert_eq(cid_decode(configs, cid.bytes, cid.length, found_id, found_nonce),
                     CID_ROUTABLE);
        cr_assert_arr_eq(found_id, id, config->worker_id_length);
        cr_assert_arr_eq(found_nonce, nonce, config->nonce_length);
    }
}

Test(cid, every_length_and_every_cut_between_id_and_nonce_goes_round)
{
    size_t configs_tried = 0;
    for (uint8_t length = CID_LENGTH_MIN; length <= CID_LENGTH_MAX; length++) {
        for (uint8_t id_length = 1; id_length <= 15; id_length++) {
            uint8_t nonce_length = (uint8_t)(length - 1 - id_length);
            if (length - 1 < id_length + CID_NONCE_LENGTH_MIN)
                continue;
            struct cid_config configs[CID_CONFIGS_MAX] = {0};
            uint8_t config_id = length % CID_CONFIGS_MAX;
            configs[config_id] = config_of(config_id, id_length, nonce_length, draft_key);
            go_round(configs, &configs[config_id]);
            cid_config_free(&configs[config_id]);
            configs_tried++;
        }
    }
    cr_assert_eq(configs_tried, 120);
}

/* Four passes over an odd number of octets: a single nibble of the text reaches all of the CID,
 * and the nibbles of the shared octet do not mix up. */
Test(cid, odd_halves_keep_both_nibbles_of_the_shared_octet)
{
    struct cid_config configs[CID_CONFIGS_MAX] = {0};
    configs[3] = config_of(3, 2, 5, draft_key);
    for (unsigned middle = 0; middle < 256; middle++) {
        /* The text is id 2 ‖ nonce 5: octet 3 of 7 is the nonce's second. */
        uint8_t id[] = {0, 1}, nonce[] = {0, (uint8_t)middle, 0, 0, 0};
        uint8_t found_id[CID_LENGTH_MAX], found_nonce[CID_LENGTH_MAX];
        struct cid cid;
        cr_assert_eq(cid_encode(&configs[3], id, nonce, &cid), STATUS_OK);
        cr_assert_eq(cid_decode(configs, cid.bytes, cid.length, found_id, found_nonce),
                     CID_ROUTABLE);
        cr_assert_arr_eq(found_nonce, nonce, sizeof nonce);
    }
    cid_config_free(&configs[3]);
}

Test(cid, two_configs_live_side_by_side)
{
    struct cid_config configs[CID_CONFIGS_MAX] = {0};
    configs[0] = config_of(0, 2, 5, draft_key);
    configs[1] = config_of(1, 2, 5, "fdf726a9893ec05c0632d3956680baf0");
    go_round(configs, &configs[0]);
    go_round(configs, &configs[1]);
    cid_config_free(&configs[0]);
    cid_config_free(&configs[1]);
}

Test(cid, a_cid_of_no_config_here_is_told_apart)
{
    struct cid_config configs[CID_CONFIGS_MAX] = {0};
    uint8_t id[CID_LENGTH_MAX] = {9}, nonce[CID_LENGTH_MAX] = {9};
    configs[0] = config_of(0, 2, 5, draft_key);
    uint8_t bytes[8] = {0};

    bytes[0] = 1 << 5 | 7;
    cr_assert_eq(cid_decode(configs, bytes, sizeof bytes, id, nonce), CID_UNKNOWN_CONFIG);
    bytes[0] = CID_CONFIG_UNROUTABLE << 5 | 7;
    cr_assert_eq(cid_decode(configs, bytes, sizeof bytes, id, nonce), CID_UNROUTABLE);
    cid_config_free(&configs[0]);
    bytes[0] = 0 << 5 | 7;
    cr_assert_eq(cid_decode(configs, bytes, sizeof bytes, id, nonce), CID_UNKNOWN_CONFIG,
                 "a config that was freed is gone");
    cr_assert_eq(id[0], 9, "written for a routable one only");
    cr_assert_eq(nonce[0], 9);
}

Test(cid, a_wrong_length_is_told_apart)
{
    struct cid_config configs[CID_CONFIGS_MAX] = {0};
    uint8_t id[CID_LENGTH_MAX], nonce[CID_LENGTH_MAX];
    configs[0] = config_of(0, 2, 5, draft_key);
    uint8_t bytes[32] = {7};
    for (size_t length = 0; length <= sizeof bytes; length++) {
        enum cid_outcome want = length == 8 ? CID_ROUTABLE : CID_WRONG_LENGTH;
        cr_assert_eq(cid_decode(configs, bytes, length, id, nonce), want, "length %zu", length);
    }
    for (uint8_t rest = 0; rest < 32; rest++) {
        bytes[0] = rest;
        enum cid_outcome want = rest == 7 ? CID_ROUTABLE : CID_WRONG_LENGTH;
        cr_assert_eq(cid_decode(configs, bytes, 8, id, nonce), want, "rest %u", rest);
    }
    cid_config_free(&configs[0]);
}

Test(cid, a_config_out_of_range_is_unsupported)
{
    static const uint8_t key[CID_KEY_SIZE] = {0};
    static const struct {
        uint8_t id, worker_id_length, nonce_length;
    } bad[] = {
        {7, 2, 5}, /* the unroutable config */
        {8, 2, 5}, /* three bits */
        {255, 2, 5}, {0, 0, 8},  {0, 16, 4}, {0, 2, 3},     {0, 2, 0},
        {0, 1, 19},  {0, 2, 18}, {0, 15, 5}, {0, 255, 255}, {0, 250, 10},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct cid_config config;
        cr_assert_eq(
            cid_config_init(&config, bad[i].id, bad[i].worker_id_length, bad[i].nonce_length, key),
            STATUS_UNSUPPORTED, "row %zu", i);
        cr_assert_not(config.in_use);
    }
}

Test(cid, freeing_a_config_leaves_no_key)
{
    struct cid_config config = config_of(0, 2, 5, draft_key);
    static const struct cid_config nothing;
    cid_config_free(&config);
    cr_assert_eq(memcmp(&config, &nothing, sizeof config), 0);
}

Test(cid, a_worker_id_is_a_number_in_network_order)
{
    static const uint8_t id[] = {1, 2, 3, 4, 5, 6, 7, 8};
    cr_assert_eq(cid_worker_number(id, 1), 1);
    cr_assert_eq(cid_worker_number(id, 2), 0x0102);
    cr_assert_eq(cid_worker_number(id, 8), UINT64_C(0x0102030405060708));
    cr_assert_eq(cid_worker_number(id, 0), 0);
}

Test(cid, equality_is_of_length_and_octets)
{
    struct cid a = {.length = 2, .bytes = {1, 2, 3}};
    struct cid same = {.length = 2, .bytes = {1, 2, 4}};
    struct cid longer = {.length = 3, .bytes = {1, 2, 3}};
    struct cid other = {.length = 2, .bytes = {1, 3}};
    cr_assert(cid_equal(&a, &same), "octets past the length do not count");
    cr_assert_not(cid_equal(&a, &longer));
    cr_assert_not(cid_equal(&a, &other));
}
