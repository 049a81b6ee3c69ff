/* What Redis itself holds of topics and relations, and what the store does when it is not ours. */
#include <criterion/criterion.h>
#include <string.h>

#include "tests/shared/redis_fixture.h"

static const struct seen_answer *put(struct fixture *fixture, const char *name, const char *value)
{
    struct store_contract *contract = &fixture->contract;
    struct store_waiter waiter = contract_waiter(contract, "");
    return contract_settled(contract, "",
                            store_put_topic(fixture->store, contract_octets(name),
                                            STORE_TOPIC_EITHER, contract_octets(value), &waiter));
}

static const struct seen_answer *get(struct fixture *fixture, const char *name)
{
    struct store_waiter waiter = contract_waiter(&fixture->contract, "");
    return contract_settled(&fixture->contract, "",
                            store_get_topic(fixture->store, contract_octets(name), &waiter));
}

static const struct seen_answer *drop(struct fixture *fixture, const char *name)
{
    struct store_waiter waiter = contract_waiter(&fixture->contract, "");
    return contract_settled(&fixture->contract, "",
                            store_remove_topic(fixture->store, contract_octets(name), &waiter));
}

static const struct seen_answer *relate(struct fixture *fixture, const char *cid, uint64_t fence,
                                        const char *value, const char *event)
{
    struct store_contract *contract = &fixture->contract;
    const struct store_relation relation = {4, contract_octets(value)};
    struct store_waiter waiter = contract_waiter(contract, cid);
    return contract_settled(
        contract, cid,
        store_save_relation(fixture->store, fence, &relation, contract_octets(event), &waiter));
}

Test(store_redis_topic, keys_share_a_slot)
{
    struct fixture fixture;
    set_up(&fixture);
    (void)put(&fixture, "a", "1");
    (void)put(&fixture, "b", "1");
    (void)drop(&fixture, "b");
    const char *keys = ASK(fixture.server, "--raw", "keys", "*");
    size_t count = 0;
    for (const char *line = keys; *line; line += strcspn(line, "\n") + 1, count++)
        cr_assert_eq(strncmp(line, "hf:{t}:", 7), 0, "%s", line);
    cr_assert_eq(count, 5u);
    tear_down(&fixture);
}

Test(store_redis_topic, scripts_are_loaded_again)
{
    struct fixture fixture;
    set_up(&fixture);
    cr_assert_eq(try_create(&fixture, "abc"), STORE_OK);
    ASK(fixture.server, "script", "flush");
    uint64_t number = put(&fixture, "a", "1")->first;
    ASK(fixture.server, "script", "flush");
    cr_assert_gt(drop(&fixture, "a")->first, number);
    ASK(fixture.server, "script", "flush");
    cr_assert_eq(relate(&fixture, "abc", 1, "observes", "")->outcome, STORE_OK);
    cr_assert_null(store_trouble(fixture.store));
    tear_down(&fixture);
}

Test(store_redis_topic, events_of_relations_are_in_the_log)
{
    struct fixture fixture;
    set_up(&fixture);
    cr_assert_eq(try_create(&fixture, "abc"), STORE_OK);
    cr_assert_eq(relate(&fixture, "abc", 1, "observes", "the first")->outcome, STORE_OK);
    cr_assert_eq(relate(&fixture, "abc", 1, "OBSERVES", "in place")->outcome, STORE_OK);
    cr_assert_eq(relate(&fixture, "abc", 9, "observes", "stale")->outcome, STORE_STALE);
    const char *log = ASK(fixture.server, "xrange", key_of(&fixture, 'l', "og"), "-", "+");
    cr_assert_not_null(strstr(log, "the first"));
    cr_assert_not_null(strstr(log, "in place"));
    cr_assert_null(strstr(log, "stale"));
    tear_down(&fixture);
}

Test(store_redis_topic, the_longest_event_is_in_the_log)
{
    static char event[STORE_LONG_EVENT_MAX + 1];
    struct fixture fixture;
    set_up(&fixture);
    for (size_t i = 0; i < STORE_LONG_EVENT_MAX; i++)
        event[i] = (char)('a' + i % 23);
    cr_assert_eq(try_create(&fixture, "abc"), STORE_OK);
    cr_assert_eq(relate(&fixture, "abc", 1, "observes", event)->outcome, STORE_OK);
    const char *log = ASK(fixture.server, "xrange", key_of(&fixture, 'l', "og"), "-", "+");
    cr_assert_not_null(strstr(log, event));
    tear_down(&fixture);
}

/* A session that has run out is on its page until somebody claims it in vain. */
Test(store_redis_topic, pages_forget_what_has_run_out)
{
    struct fixture fixture;
    set_up(&fixture);
    cr_assert_eq(try_create(&fixture, "abc"), STORE_OK);
    cr_assert_eq(relate(&fixture, "abc", 1, "observes", "")->outcome, STORE_OK);
    cr_assert_neq(ASK(fixture.server, "--raw", "keys", "hf:{*}:o")[0], '\0');
    ASK(fixture.server, "del", key_of(&fixture, 's', "abc"));
    cr_assert_eq(try_claim(&fixture, "abc"), STORE_NOT_FOUND);
    contract_pass(&fixture.contract, 50);
    cr_assert_eq(ASK(fixture.server, "--raw", "keys", "hf:{*}:o")[0], '\n');
    tear_down(&fixture);
}

Test(store_redis_topic, topics_that_are_not_ours)
{
    struct fixture fixture;
    set_up(&fixture);
    struct store_contract *contract = &fixture.contract;
    (void)put(&fixture, "a", "1");
    ASK(fixture.server, "hset", "hf:{t}:topics", "future",
        "\x02"
        "2345678 value");
    ASK(fixture.server, "hset", "hf:{t}:topics", "short",
        "\x01"
        "234");
    cr_assert_eq(get(&fixture, "future")->outcome, STORE_NOT_FOUND);
    cr_assert_eq(get(&fixture, "short")->outcome, STORE_NOT_FOUND);
    cr_assert_eq(put(&fixture, "future", "x")->outcome, STORE_NOT_FOUND);
    cr_assert_eq(drop(&fixture, "short")->outcome, STORE_NOT_FOUND);
    cr_assert_eq(contract_counted(contract, METRIC_STORE_FORMAT), 4u);
    cr_assert_not_null(strstr(ASK(fixture.server, "hget", "hf:{t}:topics", "future"), "value"));
    cr_assert(seen_value_is(get(&fixture, "a"), "1"));
    cr_assert_null(store_trouble(fixture.store));
    tear_down(&fixture);
}

/* Cut short at each length, a session with relations is refused or has lost what was cut off, and
 * nothing else happens. */
Test(store_redis_topic, relations_that_are_cut_short)
{
    struct fixture fixture;
    char key[64];
    set_up(&fixture);
    struct store_contract *contract = &fixture.contract;
    cr_assert_eq(try_create(&fixture, "abc"), STORE_OK);
    cr_assert_eq(relate(&fixture, "abc", 1, "observes", "")->outcome, STORE_OK);
    (void)snprintf(key, sizeof key, "%s", key_of(&fixture, 's', "abc"));
    /* 30, mark 4, sealed length 2, keys 4, slot 1, length 2, observes 8 */
    for (int cut = 1; cut < 51 - 30; cut++) {
        ASK(fixture.server, "eval",
            "redis.call('SET', KEYS[1], string.sub(redis.call('GET', KEYS[1]), 1, -2))", "1", key);
        const struct seen_answer *answer = contract_claim(contract, fixture.store, "abc");
        bool is_whole = cut == 11; /* the relation is off to its last octet */
        cr_assert_eq(answer->outcome, is_whole ? STORE_OK : STORE_NOT_FOUND, "%d", cut);
        cr_assert_eq(answer->relation_count, 0u);
    }
    cr_assert_null(store_trouble(fixture.store));
    tear_down(&fixture);
}
