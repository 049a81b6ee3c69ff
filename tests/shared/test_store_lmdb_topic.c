/* What lies in the databases of topics and relations, and what the store does when it is not ours.
 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

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

#define LMDB_TEST(name)                                \
    static void name(struct store_contract *contract); \
    Test(store_lmdb_topic, name)                       \
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

static size_t in(const struct store_contract *contract, const char *database)
{
    return store_folder_count(contract->state, database);
}

static const struct seen_answer *put(struct store_contract *contract, struct store *store,
                                     const char *name, const char *value)
{
    struct store_waiter waiter = contract_waiter(contract, "");
    return contract_settled(contract, "",
                            store_put_topic(store, contract_octets(name), STORE_TOPIC_EITHER,
                                            contract_octets(value), &waiter));
}

static const struct seen_answer *get(struct store_contract *contract, struct store *store,
                                     const char *name)
{
    struct store_waiter waiter = contract_waiter(contract, "");
    return contract_settled(contract, "", store_get_topic(store, contract_octets(name), &waiter));
}

static const struct seen_answer *drop(struct store_contract *contract, struct store *store,
                                      const char *name)
{
    struct store_waiter waiter = contract_waiter(contract, "");
    return contract_settled(contract, "",
                            store_remove_topic(store, contract_octets(name), &waiter));
}

static const struct seen_answer *changes(struct store_contract *contract, struct store *store,
                                         uint64_t after)
{
    struct store_waiter waiter = contract_waiter(contract, "");
    return contract_settled(contract, "", store_list_changes(store, after, &waiter));
}

static const struct seen_answer *relate(struct store_contract *contract, struct store *store,
                                        uint64_t fence, uint8_t slot, const char *value,
                                        const char *event)
{
    const struct store_relation relation = {slot, contract_octets(value)};
    struct store_waiter waiter = contract_waiter(contract, "abc");
    return contract_settled(
        contract, "abc",
        store_save_relation(store, fence, &relation, contract_octets(event), &waiter));
}

LMDB_TEST(topics_and_relations_survive_a_reopening)
{
    struct store *store = contract_open(contract);
    uint64_t fence = contract_create(contract, store, "abc", "keys", "", NULL)->fence;
    (void)relate(contract, store, fence, 3, "observes", "");
    uint64_t first = put(contract, store, "a", "1")->first;
    (void)put(contract, store, "b", "1");
    uint64_t last = drop(contract, store, "b")->first;

    store = reopen(contract, store);
    cr_assert_eq(contract_claim(contract, store, "abc")->relation_count, 1u);
    const struct seen_answer *answer = get(contract, store, "a");
    cr_assert(seen_value_is(answer, "1"));
    cr_assert_eq(answer->first, first);
    answer = changes(contract, store, first);
    cr_assert_eq(answer->count, 1u);
    cr_assert_eq(answer->first, last);
    cr_assert_gt(put(contract, store, "a", "2")->first, last);
}

/* Databases keep nothing but what is there and its tombstones. */
LMDB_TEST(changes_leave_nothing_behind)
{
    struct store *store = contract_open(contract);
    for (int i = 0; i < 10; i++) {
        (void)put(contract, store, "a", "1");
        (void)put(contract, store, "b", "1");
        (void)drop(contract, store, "a");
    }
    cr_assert_eq(in(contract, "topics"), 2u);
    cr_assert_eq(in(contract, "changes"), 2u);
    cr_assert_eq(in(contract, "tombstones"), 1u);
    (void)put(contract, store, "a", "1");
    cr_assert_eq(in(contract, "tombstones"), 0u);
}

LMDB_TEST(relation_and_event_are_in_one_transaction)
{
    struct store *store = contract_open(contract);
    uint64_t fence = contract_create(contract, store, "abc", "keys", "", NULL)->fence;
    (void)relate(contract, store, fence, 0, "observes", "an event");
    (void)relate(contract, store, fence, 1, "observes", "");
    (void)relate(contract, store, fence + 1, 2, "stale", "a stale event");
    cr_assert_eq(in(contract, "relations"), 2u);
    cr_assert_eq(in(contract, "log"), 1u);
    (void)relate(contract, store, fence, 0, "", "the last event");
    cr_assert_eq(in(contract, "relations"), 1u);
    cr_assert_eq(in(contract, "log"), 2u);
}

LMDB_TEST(an_event_is_in_the_log_as_it_was_given)
{
    static char event[STORE_LONG_EVENT_MAX + 1];
    static uint8_t logged[1 + 8 + STORE_LONG_EVENT_MAX];
    static const size_t lengths[] = {1, STORE_EVENT_MAX, STORE_LONG_EVENT_MAX};
    struct store *store = contract_open(contract);
    uint64_t fence = contract_create(contract, store, "abc", "keys", "", NULL)->fence;
    for (size_t i = 0; i < STORE_LONG_EVENT_MAX; i++)
        event[i] = (char)('a' + i % 23);
    for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
        char kept = event[lengths[i]];
        event[lengths[i]] = '\0';
        cr_assert_eq(relate(contract, store, fence, 0, "observes", event)->outcome, STORE_OK);
        event[lengths[i]] = kept;
        cr_assert_eq(store_folder_last(contract->state, "log", logged, sizeof logged),
                     1 + 8 + lengths[i]);
        cr_assert_eq(memcmp(logged + 1 + 8, event, lengths[i]), 0);
    }
}

LMDB_TEST(relations_of_expired_sessions_are_swept)
{
    struct store *store = contract_open(contract);
    uint64_t fence = contract_create(contract, store, "abc", "keys", "", NULL)->fence;
    for (uint8_t slot = 0; slot < RELATIONS_PER_SESSION_MAX; slot++)
        (void)relate(contract, store, fence, slot, "observes", "");
    cr_assert_eq(in(contract, "relations"), (size_t)RELATIONS_PER_SESSION_MAX);
    for (int second = 0; second < 4; second++) {
        contract_pass(contract, 1000);
        (void)store_run(store, contract->now_ms);
    }
    cr_assert_eq(in(contract, "relations"), 0u);
}

LMDB_TEST(values_of_a_future_format)
{
    static const char *const databases[] = {"relations", "topics", "changes", "tombstones"};
    struct store *store = contract_open(contract);
    uint64_t fence = contract_create(contract, store, "abc", "keys", "", NULL)->fence;
    (void)relate(contract, store, fence, 0, "observes", "");
    (void)put(contract, store, "a", "1");
    (void)put(contract, store, "b", "1");
    (void)drop(contract, store, "b");
    for (size_t i = 0; i < 4; i++)
        store_folder_alter(contract->state, databases[i], STORE_FOLDER_FUTURE);
    const struct seen_answer *answer = contract_claim(contract, store, "abc");
    cr_assert_eq(answer->outcome, STORE_OK);
    cr_assert_eq(answer->relation_count, 0u);
    cr_assert_eq(get(contract, store, "a")->outcome, STORE_NOT_FOUND);
    cr_assert_eq(drop(contract, store, "a")->outcome, STORE_NOT_FOUND);
    cr_assert_eq(put(contract, store, "a", "2")->outcome, STORE_UNAVAILABLE, "not replaced");
    cr_assert_eq(put(contract, store, "b", "2")->outcome, STORE_UNAVAILABLE);
    cr_assert_eq(changes(contract, store, 0)->count, 0u);
    cr_assert_geq(contract_counted(contract, METRIC_STORE_FORMAT), 7u);
    cr_assert_eq(put(contract, store, "c", "1")->outcome, STORE_OK);
    cr_assert_null(store_trouble(store));
}

/* The counter is never started again. */
LMDB_TEST(a_counter_that_cannot_be_read)
{
    struct store *store = contract_open(contract);
    (void)put(contract, store, "a", "1");
    store_folder_alter(contract->state, "meta", STORE_FOLDER_FUTURE);
    cr_assert_eq(put(contract, store, "a", "2")->outcome, STORE_UNAVAILABLE);
    cr_assert_eq(drop(contract, store, "a")->outcome, STORE_UNAVAILABLE);
    cr_assert_eq(changes(contract, store, 0)->outcome, STORE_UNAVAILABLE);
    cr_assert(seen_value_is(get(contract, store, "a"), "1"));
}

LMDB_TEST(a_full_map_refuses_topics_and_relations)
{
    char name[32];
    uint8_t bytes[STORE_TOPIC_MAX] = {1};
    const struct octets value = {bytes, sizeof bytes};
    (void)snprintf(contract->url, sizeof contract->url, "lmdb:%s/store?size=4M",
                   (char *)contract->state);
    struct store *store = contract_open(contract);
    uint64_t fence = contract_create(contract, store, "abc", "keys", "", NULL)->fence;
    (void)relate(contract, store, fence, 0, "observes", "");
    int topics = 0;
    enum store_outcome outcome = STORE_OK;
    while (outcome == STORE_OK && topics < 10000) {
        (void)snprintf(name, sizeof name, "topic %d", topics++);
        struct store_waiter waiter = contract_waiter(contract, "");
        const struct seen_answer *answer = contract_settled(
            contract, "",
            store_put_topic(store, contract_octets(name), STORE_TOPIC_CREATE, value, &waiter));
        outcome = answer->outcome;
        cr_assert_not(answer->is_full);
    }
    cr_assert_eq(outcome, STORE_UNAVAILABLE);
    cr_assert_gt(topics, 500);
    cr_assert_str_eq(store_trouble(store), "lmdb: map full");
    cr_assert_eq(relate(contract, store, fence, 1, "observes", "")->outcome, STORE_UNAVAILABLE);
    cr_assert_eq(relate(contract, store, fence, 0, "", "")->outcome, STORE_OK);
    for (int i = 0; i < topics - 1; i++) {
        (void)snprintf(name, sizeof name, "topic %d", i);
        cr_assert_eq(drop(contract, store, name)->outcome, STORE_OK, "%s", name);
    }
    for (int second = 0; second < 10 && store_trouble(store); second++) {
        contract_pass(contract, 1000);
        (void)store_run(store, contract->now_ms);
    }
    cr_assert_null(store_trouble(store));
    cr_assert_eq(put(contract, store, "topic", "again")->outcome, STORE_OK);
}
