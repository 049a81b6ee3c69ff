#include "worker/cid_source.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

static struct store *store;
static struct cid_source source;
static const struct cluster_key key = {.bytes = {1, 2, 3}};

static void open_source(uint8_t length, uint16_t worker_id)
{
    const struct store_options options = {
        .url = "memory:", .session_ttl_s = 1, .member_ttl_ms = 1000};
    char why[128];
    cr_assert_eq(store_open(&store, &options, why, sizeof(why)), STATUS_OK, "%s", why);
    cr_assert_eq(cid_source_init(&source, store, &key, 2, length, worker_id), STATUS_OK);
}

static void close_source(void)
{
    cid_source_free(&source);
    store_free(store);
}

static uint64_t decode(const struct cid *cid, uint64_t *nonce)
{
    static struct cid_config configs[CID_CONFIGS_MAX];
    uint8_t secret[CID_KEY_SIZE], worker_id[CID_LENGTH_MAX], nonce_octets[CID_LENGTH_MAX];
    const uint8_t config_id = 2;
    const struct cid_config *config = source.config;
    cr_assert_eq(keys_derive(&key, KEY_CID, &config_id, 1, secret, sizeof(secret)), STATUS_OK);
    cr_assert_eq(
        cid_config_init(&configs[2], 2, config->worker_id_length, config->nonce_length, secret),
        STATUS_OK);
    cr_assert_eq(cid_decode(configs, cid->bytes, cid->length, worker_id, nonce_octets),
                 CID_ROUTABLE);
    *nonce =
        cid_worker_number(nonce_octets + (config->nonce_length > 8 ? config->nonce_length - 8 : 0),
                          config->nonce_length > 8 ? 8 : config->nonce_length);
    cid_config_free(&configs[2]);
    return cid_worker_number(worker_id, config->worker_id_length);
}

Test(cid_source, names_its_worker_in_each_length)
{
    for (uint8_t length = CID_LENGTH_MIN; length <= CID_LENGTH_MAX; length++) {
        uint16_t worker_id = length == CID_LENGTH_MIN ? 0xfe : 0xabcd;
        struct cid cid;
        uint64_t nonce, before = 0;
        open_source(length, worker_id);
        store_run(store, 0);
        for (int i = 0; i < 40; i++) { /* past 2^32, which nonces of 4 octets do not hold */
            cr_assert_eq(cid_source_next(&source, &cid), STATUS_OK);
            cr_expect_eq(cid.length, length);
            cr_expect_eq(decode(&cid, &nonce), worker_id);
            uint64_t mask = source.config->nonce_length < 8
                                ? (UINT64_C(1) << 8 * source.config->nonce_length) - 1
                                : UINT64_MAX;
            cr_expect(i == 0 || nonce == ((before + 1) & mask));
            before = nonce;
        }
        close_source();
    }
}

Test(cid_source, what_no_cid_can_hold)
{
    open_source(CID_LENGTH_DEFAULT, 1);
    struct cid_source other;
    cr_expect_eq(cid_source_init(&other, store, &key, 1, CID_LENGTH_MIN - 1, 1),
                 STATUS_UNSUPPORTED);
    cr_expect_eq(cid_source_init(&other, store, &key, 1, CID_LENGTH_MAX + 1, 1),
                 STATUS_UNSUPPORTED);
    cr_expect_eq(cid_source_init(&other, store, &key, 1, CID_LENGTH_MIN, 256), STATUS_UNSUPPORTED);
    cr_expect_eq(cid_source_init(&other, store, &key, 7, CID_LENGTH_DEFAULT, 1),
                 STATUS_UNSUPPORTED);
    close_source();
}

Test(cid_source, nothing_before_the_store_has_answered)
{
    struct cid cid;
    open_source(CID_LENGTH_DEFAULT, 1);
    cr_expect_eq(cid_source_next(&source, &cid), STATUS_EXHAUSTED);
    cr_expect_eq(store_run(store, 0), 1, "asked once");
    cr_expect_eq(cid_source_next(&source, &cid), STATUS_OK);
    close_source();
}

static int compare_cids(const void *a, const void *b)
{
    return memcmp(a, b, sizeof(struct cid));
}

Test(cid_source, none_is_made_twice_over_several_leases)
{
    enum { MANY = 2 * NONCE_LEASE + NONCE_LEASE / 2 };
    struct cid *cids = calloc(MANY, sizeof(*cids));
    size_t answered = 0;
    cr_assert_not_null(cids);
    open_source(CID_LENGTH_DEFAULT, 1);
    answered += store_run(store, 0);
    for (size_t i = 0; i < MANY; i++) {
        cr_assert_eq(cid_source_next(&source, &cids[i]), STATUS_OK, "number %zu", i);
        if (i % 1000 == 0)
            answered += store_run(store, 0); /* in time: it is asked when half is used up */
    }
    cr_expect_eq(answered, 3);
    qsort(cids, MANY, sizeof(*cids), compare_cids);
    for (size_t i = 1; i < MANY; i++)
        cr_assert_neq(compare_cids(&cids[i - 1], &cids[i]), 0);
    free(cids);
    close_source();
}

/* --- a store that refuses --- */

static enum store_outcome outcome;
static enum status taken;
static struct store_waiter waiter;
static size_t asked;

static enum status take_question(struct store *of, uint8_t config,
                                 const struct store_waiter *asking)
{
    (void)of;
    cr_expect_eq(config, 2);
    asked++;
    waiter = *asking;
    return taken;
}

static const struct store_engine refusing = {.name = "refusing", .lease_nonces = take_question};

static void answer(uint64_t first, uint64_t count)
{
    const struct store_answer given = {.outcome = outcome, .first = first, .count = count};
    waiter.answer(waiter.owner, &given);
}

Test(cid_source, asks_again_when_refused)
{
    struct store refuser = {&refusing};
    struct cid cid;
    taken = STATUS_FULL;
    cr_assert_eq(cid_source_init(&source, &refuser, &key, 2, 8, 9), STATUS_OK);
    cr_expect_eq(cid_source_next(&source, &cid), STATUS_EXHAUSTED);
    cr_expect_eq(asked, 2);
    taken = STATUS_OK;
    cr_expect_eq(cid_source_next(&source, &cid), STATUS_EXHAUSTED);
    cr_expect_eq(cid_source_next(&source, &cid), STATUS_EXHAUSTED);
    cr_expect_eq(asked, 3, "one question at a time");
    outcome = STORE_UNAVAILABLE;
    answer(0, 0);
    cr_expect_eq(cid_source_next(&source, &cid), STATUS_EXHAUSTED);
    cr_expect_eq(asked, 4);
    outcome = STORE_OK;
    answer(50, 1);
    cr_expect_eq(cid_source_next(&source, &cid), STATUS_OK);
    cr_expect_eq(source.next, 51);
    cr_expect_eq(cid_source_next(&source, &cid), STATUS_EXHAUSTED, "it was the only one");
    cid_source_free(&source);
}

/* --- what could be a worker's --- */

static bool could_be(const struct cid *cid)
{
    return cid_source_could_be(&source, cid->bytes, cid->length);
}

/* Makes a CID with this nonce. */
static struct cid cid_with(uint64_t nonce)
{
    struct cid cid;
    struct cid_source maker = source;
    maker.next = nonce;
    maker.left = 1;
    maker.asked = true;
    cr_assert_eq(cid_source_next(&maker, &cid), STATUS_OK);
    return cid;
}

Test(cid_source, a_nonce_far_ahead_of_all_leases_is_not_credible)
{
    const uint64_t ahead = NONCE_LEASES_AHEAD * (uint64_t)NONCE_LEASE;
    open_source(8, 9);
    source.next = 1000;
    source.left = 24;
    struct cid near = cid_with(1024 + ahead), far = cid_with(1024 + ahead + 1);
    cr_expect(could_be(&near));
    cr_expect_not(could_be(&far));
    source.spare_first = 5000; /* the next block counts as well */
    source.spare_left = 1;
    near = cid_with(5001 + ahead);
    far = cid_with(5001 + ahead + 1);
    cr_expect(could_be(&near));
    cr_expect_not(could_be(&far));
    close_source();
}

Test(cid_source, a_real_cid_makes_those_about_it_credible)
{
    const uint64_t ahead = NONCE_LEASES_AHEAD * (uint64_t)NONCE_LEASE;
    open_source(8, 9);
    source.next = source.left = 0;
    const struct cid seen = cid_with(10 * ahead), older = cid_with(3 * ahead);
    const struct cid next = cid_with(11 * ahead), far = cid_with(11 * ahead + 1);
    cr_expect_not(could_be(&seen));
    cid_source_learn(&source, &seen);
    cid_source_learn(&source, &older); /* teaches nothing new */
    cr_expect(could_be(&seen));
    cr_expect(could_be(&next));
    cr_expect_not(could_be(&far));
    close_source();
}

Test(cid_source, cids_of_another_config_or_length_are_not_judged)
{
    open_source(8, 9);
    source.next = source.left = 0;
    struct cid cid = cid_with(UINT64_C(1) << 39);
    cr_expect_not(could_be(&cid));
    cid.bytes[0] ^= 0x20;
    cr_expect(could_be(&cid));
    cid_source_learn(&source, &cid);
    cr_expect_eq(source.seen, 0);
    cid.bytes[0] ^= 0x20;
    cid.length--;
    cr_expect(could_be(&cid));
    cid.length = 0;
    cr_expect(could_be(&cid));
    close_source();
}
