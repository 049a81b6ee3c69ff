#include <criterion/criterion.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store_contract.h"
#include "store_folder.h"

static void begin(struct store_contract *contract)
{
    contract->state = store_folder_new();
    (void)snprintf(contract->url, sizeof contract->url, "lmdb:%s/store", (char *)contract->state);
}

static void end(struct store_contract *contract)
{
    store_folder_free(contract->state);
}

static const struct store_contract_engine engine = {
    .name = "lmdb", .is_shared = true, .has_fake_clock = true, .begin = begin, .end = end};

#define TEST(name)                                \
    Test(store_lmdb, name)                        \
    {                                             \
        struct store_contract contract;           \
        store_contract_begin(&contract, &engine); \
        store_contract_##name(&contract);         \
        store_contract_end(&contract);            \
    }
STORE_CONTRACT(TEST)
STORE_CONTRACT_RELATIONS(TEST)
STORE_CONTRACT_TOPICS(TEST)

/* A test of this engine alone, with a contract begun and ended around it. */
#define LMDB_TEST(name)                                \
    static void name(struct store_contract *contract); \
    Test(store_lmdb, name)                             \
    {                                                  \
        struct store_contract contract;                \
        store_contract_begin(&contract, &engine);      \
        name(&contract);                               \
        store_contract_end(&contract);                 \
    }                                                  \
    static void name(struct store_contract *contract)

static struct store *reopen(struct store_contract *contract, struct store *store)
{
    contract_close(contract, store);
    return contract_open(contract);
}

LMDB_TEST(everything_survives_a_reopening)
{
    struct address here = {.port = 1};
    struct store_member member = contract_member(4, 1);
    struct store *store = contract_open(contract);
    uint64_t fence = contract_create(contract, store, "abc", "keys", "mark", &here)->fence;
    (void)contract_exchange(contract, store, "abc", fence, 3, "reply", "event");
    (void)contract_put_identity(contract, store, "sensor", "sealed");
    uint64_t free_from = contract_lease(contract, store, "abc", fence)->first + SEQUENCE_LEASE;
    cr_assert_eq(contract_nonces(contract, store, 2)->first, 0u);
    (void)contract_join(contract, store, &member);

    store = reopen(contract, store);
    cr_assert(seen_value_is(contract_fetch_identity(contract, store, "sensor"), "sealed"));
    cr_assert(seen_value_is(contract_find(contract, store, &here), "abc"));
    cr_assert_eq(contract_nonces(contract, store, 2)->first, NONCE_LEASE);
    cr_assert_eq(contract_list(contract, store)->member_count, 1u);
    const struct seen_answer *answer = contract_claim(contract, store, "abc");
    cr_assert(seen_value_is(answer, "keys"));
    cr_assert(seen_mark_is(answer, "mark"));
    cr_assert_eq(answer->exchange_count, 1u);
    cr_assert_geq(answer->first, free_from);
    cr_assert_gt(answer->fence, fence);
}

LMDB_TEST(times_pass_while_nobody_has_it_open)
{
    struct store *store = contract_open(contract);
    (void)contract_create(contract, store, "abc", "keys", "mark", NULL);
    contract_pass(contract, CONTRACT_SESSION_TTL_S * 1000 / 2);
    store = reopen(contract, store);
    cr_assert_eq(contract_claim(contract, store, "abc")->outcome, STORE_OK);
    contract_pass(contract, CONTRACT_SESSION_TTL_S * 1000 + 1);
    store = reopen(contract, store);
    cr_assert_eq(contract_claim(contract, store, "abc")->outcome, STORE_NOT_FOUND);
}

/* The monotonic clock starts again with the host; what is stored must neither be lost nor live on
 * for as long as the host ran before. */
LMDB_TEST(host_clock_starts_again)
{
    struct store_member member = contract_member(1, 1);
    struct store *store = contract_open(contract);
    contract_pass(contract, UINT64_C(10) * 3600 * 1000);
    (void)contract_create(contract, store, "abc", "keys", "mark", NULL);
    (void)contract_join(contract, store, &member);
    contract_pass(contract, 1001); /* upkeep notes the time */
    (void)contract_list(contract, store);
    uint64_t fence = contract_create(contract, store, "new", "keys", "mark", NULL)->fence;
    contract->now_ms = 5;
    store = reopen(contract, store);
    cr_assert_eq(contract_list(contract, store)->member_count, 0u);
    cr_assert_eq(contract_mark(contract, store, "new", fence, "m")->outcome, STORE_OK);
    contract_pass(contract, CONTRACT_SESSION_TTL_S * 1000 + 1);
    cr_assert_eq(contract_claim(contract, store, "new")->outcome, STORE_NOT_FOUND);
}

LMDB_TEST(expired_sessions_leave_nothing)
{
    struct address here = {.port = 1};
    struct store *store = contract_open(contract);
    for (uint64_t i = 0; i < 3000; i++) {
        char cid[16];
        (void)snprintf(cid, sizeof cid, "%05u", (unsigned)i);
        const struct store_session session = {contract_octets("keys"), contract_octets(""),
                                              i == 0 ? &here : NULL};
        struct store_waiter waiter = contract_waiter(contract, cid);
        contract_asked(contract, store_create_session(store, &session, &waiter));
        const struct store_exchange exchange = {.slot = 1, .value = contract_octets("reply")};
        waiter = contract_waiter(contract, cid);
        contract_asked(contract,
                       store_save_exchange(store, 1, &exchange, contract_octets(""), &waiter));
    }
    contract_settle(contract);
    cr_assert_eq(store_folder_count(contract->state, "sessions"), 3000u);
    cr_assert_eq(store_folder_count(contract->state, "exchanges"), 3000u);
    cr_assert_eq(store_folder_count(contract->state, "addresses"), 1u);
    /* A sweep forgets what a turn may; those after it follow at once, here a second apart. */
    int sweeps = 2 * (3000 / STORE_TURN_QUESTIONS_MAX + 1);
    for (int second = 0; second < sweeps; second++) {
        contract_pass(contract, 1000);
        (void)store_run(store, contract->now_ms);
    }
    cr_assert_eq(store_folder_count(contract->state, "sessions"), 0u);
    cr_assert_eq(store_folder_count(contract->state, "exchanges"), 0u);
    cr_assert_eq(store_folder_count(contract->state, "addresses"), 0u);
    cr_assert_eq(contract_counted(contract, METRIC_STORE_EXPIRED), 3000u);
}

LMDB_TEST(exchanges_are_swept)
{
    struct store *store = contract_open(contract);
    uint64_t fence = contract_create(contract, store, "abc", "keys", "", NULL)->fence;
    for (uint8_t slot = 0; slot < COAP_EXCHANGES_PER_PEER_MAX; slot++)
        (void)contract_exchange(contract, store, "abc", fence, slot, "reply", "");
    for (int second = 0; second < COAP_EXCHANGE_LIFETIME_MS / 900; second++) {
        contract_pass(contract, 900);
        (void)contract_mark(contract, store, "abc", fence, "m");
    }
    cr_assert_eq(store_folder_count(contract->state, "sessions"), 1u);
    contract_pass(contract, 1000);
    (void)contract_mark(contract, store, "abc", fence, "m");
    contract_pass(contract, 1000);
    (void)store_run(store, contract->now_ms);
    cr_assert_eq(store_folder_count(contract->state, "exchanges"), 0u);
}

/* --- values that are not ours --- */

LMDB_TEST(values_of_a_future_format)
{
    struct address here = {.port = 1};
    struct store *store = contract_open(contract);
    uint64_t fence = contract_create(contract, store, "abc", "keys", "mark", &here)->fence;
    (void)contract_exchange(contract, store, "abc", fence, 1, "reply", "");
    (void)contract_put_identity(contract, store, "sensor", "sealed");
    (void)contract_nonces(contract, store, 1);
    struct store_member member = contract_member(1, 1);
    (void)contract_join(contract, store, &member);
    static const char *const databases[] = {"sessions", "identities", "leases", "members"};
    for (size_t i = 0; i < 4; i++)
        store_folder_alter(contract->state, databases[i], STORE_FOLDER_FUTURE);

    uint64_t before = contract_counted(contract, METRIC_STORE_FORMAT);
    cr_assert_eq(contract_claim(contract, store, "abc")->outcome, STORE_NOT_FOUND);
    cr_assert_eq(contract_lease(contract, store, "abc", fence)->outcome, STORE_NOT_FOUND);
    cr_assert_eq(contract_find(contract, store, &here)->outcome, STORE_NOT_FOUND);
    cr_assert_eq(contract_create(contract, store, "abc", "k", "m", NULL)->outcome, STORE_EXISTS);
    cr_assert_eq(contract_fetch_identity(contract, store, "sensor")->outcome, STORE_NOT_FOUND);
    cr_assert_eq(contract_nonces(contract, store, 1)->outcome, STORE_UNAVAILABLE);
    cr_assert_eq(contract_list(contract, store)->member_count, 0u);
    struct store_member other = contract_member(1, 2);
    cr_assert_eq(contract_join(contract, store, &other)->outcome, STORE_EXISTS);
    cr_assert_eq(contract_counted(contract, METRIC_STORE_FORMAT), before + 8);
    contract_pass(contract, 100000); /* nor does a sweep touch them */
    (void)store_run(store, contract->now_ms);
    cr_assert_eq(store_folder_count(contract->state, "sessions"), 1u);
}

/* Cut to every length that is too short, by an octet at a time. */
LMDB_TEST(truncated_values)
{
    struct address here = {.port = 1};
    struct store *store = contract_open(contract);
    uint64_t fence = contract_create(contract, store, "abc", "keys", "mark", &here)->fence;
    (void)contract_exchange(contract, store, "abc", fence, 1, "", "");
    (void)contract_nonces(contract, store, 1);
    struct store_member member = contract_member(1, 1);
    (void)contract_join(contract, store, &member);
    for (int i = 0; i < 120; i++) {
        static const char *const databases[] = {"sessions", "exchanges", "leases", "members"};
        for (size_t at = 0; at < 4; at++)
            store_folder_alter(contract->state, databases[at], STORE_FOLDER_CUT);
        cr_assert_eq(contract_claim(contract, store, "abc")->outcome, STORE_NOT_FOUND);
        cr_assert_eq(contract_find(contract, store, &here)->outcome, STORE_NOT_FOUND);
        cr_assert_eq(contract_nonces(contract, store, 1)->outcome, STORE_UNAVAILABLE);
        cr_assert_eq(contract_list(contract, store)->member_count, 0u);
        contract_pass(contract, 1000);
        (void)store_run(store, contract->now_ms);
    }
    cr_assert_gt(contract_counted(contract, METRIC_STORE_FORMAT), 400u);
}

LMDB_TEST(a_cut_exchange_is_left_out)
{
    struct store *store = contract_open(contract);
    uint64_t fence = contract_create(contract, store, "abc", "keys", "mark", NULL)->fence;
    (void)contract_exchange(contract, store, "abc", fence, 1, "", "");
    store_folder_alter(contract->state, "exchanges", STORE_FOLDER_CUT);
    (void)contract_exchange(contract, store, "abc", fence, 2, "whole", "");
    const struct seen_answer *answer = contract_claim(contract, store, "abc");
    cr_assert_eq(answer->outcome, STORE_OK);
    cr_assert_eq(answer->exchange_count, 1u);
    cr_assert_eq(answer->exchanges[0].slot, 2);
}

/* --- opening --- */

static enum status try_open(const struct store_contract *contract, const char *url, char why[512])
{
    const struct store_options options = {
        .url = url, .io = contract->io, .session_ttl_s = 1, .member_ttl_ms = 1};
    struct store *store = NULL;
    why[0] = '\0';
    enum status status = store_open(&store, &options, why, 512);
    store_free(store);
    return status;
}

LMDB_TEST(urls)
{
    static const char *const malformed[] = {"lmdb:", "lmdb:?size=8M"};
    static const char *const options[] = {"size=1M",
                                          "size=",
                                          "size=-8M",
                                          "size=8X",
                                          "size=99999G",
                                          "sync=",
                                          "sync=some",
                                          "SYNC=os",
                                          "size= 8M",
                                          "x=y",
                                          "size=18446744073709551616"};
    char why[512];
    char url[512];
    for (size_t i = 0; i < sizeof malformed / sizeof malformed[0]; i++)
        cr_assert_eq(try_open(contract, malformed[i], why), STATUS_MALFORMED, "%s", malformed[i]);
    for (size_t i = 0; i < sizeof options / sizeof options[0]; i++) {
        (void)snprintf(url, sizeof url, "%s?%s", contract->url, options[i]);
        cr_assert_eq(try_open(contract, url, why), STATUS_MALFORMED, "%s", url);
        cr_assert_not_null(strstr(why, "want sync=os, sync=always or size="), "%s", why);
    }
    (void)snprintf(url, sizeof url, "%s?size=8M&sync=always", contract->url);
    cr_assert_eq(try_open(contract, url, why), STATUS_OK, "%s", why);
}

LMDB_TEST(modes_of_folder_and_files)
{
    char path[512];
    struct stat found;
    (void)snprintf(contract->url, sizeof contract->url, "lmdb:%s/a/b",
                   (const char *)contract->state);
    (void)contract_open(contract);
    static const struct {
        const char *name;
        mode_t mode;
    } expected[] = {{"a", 0700},
                    {"a/b", 0700},
                    {"a/b/data.mdb", 0600},
                    {"a/b/lock.mdb", 0600},
                    {"a/b/host", 0600}};
    for (size_t i = 0; i < sizeof expected / sizeof expected[0]; i++) {
        (void)snprintf(path, sizeof path, "%s/%s", (const char *)contract->state, expected[i].name);
        cr_assert_eq(stat(path, &found), 0, "%s", path);
        cr_assert_eq(found.st_mode & 07777, expected[i].mode, "%s", path);
    }
}

LMDB_TEST(folders_that_cannot_be)
{
    char why[512];
    char path[512];
    char url[640];
    (void)snprintf(path, sizeof path, "%s/file", (const char *)contract->state);
    FILE *file = fopen(path, "w");
    cr_assert_not_null(file);
    (void)fclose(file);
    (void)snprintf(url, sizeof url, "lmdb:%s", path);
    cr_assert_eq(try_open(contract, url, why), STATUS_SYSTEM);
    cr_assert_not_null(strstr(why, "Not a directory"), "%s", why);
    (void)snprintf(url, sizeof url, "lmdb:%s/below", path);
    cr_assert_eq(try_open(contract, url, why), STATUS_SYSTEM);
    cr_assert_not_null(strstr(why, "Not a directory"), "%s", why);
    cr_assert_eq(try_open(contract, "lmdb:/proc/holdfast", why), STATUS_SYSTEM);
    cr_assert_not_null(strstr(why, "cannot make /proc/holdfast"), "%s", why);
}

LMDB_TEST(a_file_that_is_no_store)
{
    char why[512];
    char path[512];
    contract_close(contract, contract_open(contract));
    (void)snprintf(path, sizeof path, "%s/store/data.mdb", (const char *)contract->state);
    FILE *file = fopen(path, "w");
    cr_assert_not_null(file);
    for (int i = 0; i < 10000; i++)
        (void)fputs("not a store ", file);
    (void)fclose(file);
    cr_assert_eq(try_open(contract, contract->url, why), STATUS_SYSTEM);
    cr_assert_not_null(strstr(why, "data.mdb"), "%s", why);
}

LMDB_TEST(a_store_of_a_future_version)
{
    char why[512];
    struct store *store = contract_open(contract);
    (void)contract_list(contract, store);
    contract_close(contract, store);
    store_folder_alter(contract->state, "meta", STORE_FOLDER_FUTURE);
    cr_assert_eq(try_open(contract, contract->url, why), STATUS_SYSTEM);
    cr_assert_not_null(strstr(why, "another version"), "%s", why);
}

/* --- the host went down --- */

LMDB_TEST(what_was_not_on_disk_is_set_aside)
{
    struct store *store = contract_open(contract);
    (void)contract_create(contract, store, "abc", "keys", "mark", NULL);
    contract_close(contract, store);
    store_folder_mark(contract->state, "00000000-0000-0000-0000-000000000000");
    store = contract_open(contract);
    cr_assert_eq(contract_claim(contract, store, "abc")->outcome, STORE_NOT_FOUND);
    cr_assert(store_folder_has(contract->state, "data.mdb.unsynced"));
    cr_assert_eq(contract_create(contract, store, "abc", "keys", "mark", NULL)->outcome, STORE_OK);
    store = reopen(contract, store);
    cr_assert_eq(contract_claim(contract, store, "abc")->outcome, STORE_OK);
}

LMDB_TEST(the_last_to_leave_leaves_it_on_disk)
{
    char marked[64];
    struct store *first = contract_open(contract);
    struct store *second = contract_open(contract);
    store_folder_marked(contract->state, marked);
    cr_assert_neq(marked[0], '\0');
    contract_close(contract, first);
    store_folder_marked(contract->state, marked);
    cr_assert_neq(marked[0], '\0');
    contract_close(contract, second);
    store_folder_marked(contract->state, marked);
    cr_assert_eq(marked[0], '\0');
}

LMDB_TEST(who_waits_for_the_disk_needs_no_mark)
{
    char marked[64];
    strncat(contract->url, "?sync=always", sizeof contract->url - strlen(contract->url) - 1);
    struct store *store = contract_open(contract);
    (void)contract_create(contract, store, "abc", "keys", "mark", NULL);
    store_folder_marked(contract->state, marked);
    cr_assert_eq(marked[0], '\0');
}
