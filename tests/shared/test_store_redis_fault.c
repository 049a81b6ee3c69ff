#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "tests/shared/redis_fixture.h"

Test(store_redis_fault, server_killed_and_started_again)
{
    struct fixture fixture;
    set_up(&fixture);
    cr_assert_eq(try_create(&fixture, "before"), STORE_OK);
    redis_server_kill(fixture.server);
    cr_assert_eq(try_claim(&fixture, "before"), STORE_UNAVAILABLE);
    wait_for(&fixture, "connection refused");
    cr_assert_eq(try_create(&fixture, "between"), STORE_UNAVAILABLE);
    redis_server_start(fixture.server);
    wait_for(&fixture, NULL);
    cr_assert_eq(try_claim(&fixture, "before"), STORE_NOT_FOUND, "it persists nothing");
    cr_assert_eq(try_create(&fixture, "after"), STORE_OK);
    tear_down(&fixture);
}

Test(store_redis_fault, server_that_comes_late)
{
    struct fixture fixture;
    store_contract_begin(&fixture.contract, &redis_fixture_engine);
    fixture.server = fixture.contract.state;
    redis_server_kill(fixture.server);
    fixture.store = contract_open(&fixture.contract);
    cr_assert_not_null(store_trouble(fixture.store));
    cr_assert_eq(try_create(&fixture, "early"), STORE_UNAVAILABLE);
    redis_server_start(fixture.server);
    wait_for(&fixture, NULL);
    cr_assert_eq(try_create(&fixture, "late"), STORE_OK);
    tear_down(&fixture);
}

Test(store_redis_fault, scripts_are_loaded_again)
{
    struct fixture fixture;
    set_up(&fixture);
    struct store_contract *contract = &fixture.contract;
    uint64_t fence = contract_create(contract, fixture.store, "abc", "keys", "", NULL)->fence;
    cr_assert_eq(strncmp(ASK(fixture.server, "script", "flush"), "OK", 2), 0);
    /* Both need it, and are in the order in which they were asked. */
    struct store_waiter waiter = contract_waiter(contract, "abc");
    contract->seen_count = 0;
    contract_asked(contract,
                   store_save_mark(fixture.store, fence, contract_octets("new"), &waiter));
    waiter = contract_waiter(contract, "abc");
    contract_asked(contract, store_claim_session(fixture.store, 2, &waiter));
    contract_settle(contract);
    cr_assert_eq(contract->seen[0].outcome, STORE_OK);
    cr_assert_eq(contract->seen[1].outcome, STORE_OK);
    cr_assert(seen_mark_is(&contract->seen[1], "new"));
    cr_assert_null(store_trouble(fixture.store));
    tear_down(&fixture);
}

Test(store_redis_fault, passwords)
{
    struct fixture fixture;
    set_up_at(&fixture, ":wrong@", "");
    ASK(fixture.server, "config", "set", "requirepass", "right");
    cr_assert_eq(try_create(&fixture, "abc"), STORE_UNAVAILABLE);
    wait_for(&fixture, "wrong user or password");
    cr_assert_null(strstr(store_trouble(fixture.store), ":wrong"));
    ASK(fixture.server, "-a", "right", "config", "set", "requirepass", "wrong");
    wait_for(&fixture, NULL);
    cr_assert_eq(try_create(&fixture, "abc"), STORE_OK);
    tear_down(&fixture);
}

Test(store_redis_fault, password_that_is_missing)
{
    struct fixture fixture;
    set_up(&fixture);
    ASK(fixture.server, "config", "set", "requirepass", "right");
    wait_for(&fixture, "a password is required");
    tear_down(&fixture);
}

Test(store_redis_fault, users)
{
    struct fixture fixture;
    set_up_at(&fixture, "worker:p%40ss@", "/3?prefix=site");
    wait_for(&fixture, "wrong user or password");
    ASK(fixture.server, "acl", "setuser", "worker", "on", ">p@ss", "~site:*", "+@all");
    wait_for(&fixture, NULL);
    cr_assert_eq(try_create(&fixture, "abc"), STORE_OK);
    cr_assert_not_null(strstr(ASK(fixture.server, "-n", "3", "keys", "*"), "site:{"));
    ASK(fixture.server, "acl", "setuser", "worker", "-evalsha");
    cr_assert_eq(try_create(&fixture, "abd"), STORE_UNAVAILABLE);
    wait_for(&fixture, "the user may not do what is needed");
    tear_down(&fixture);
}

Test(store_redis_fault, server_out_of_memory)
{
    struct fixture fixture;
    set_up(&fixture);
    cr_assert_eq(try_create(&fixture, "abc"), STORE_OK);
    ASK(fixture.server, "config", "set", "maxmemory", "1");
    cr_assert_eq(try_create(&fixture, "abd"), STORE_UNAVAILABLE);
    cr_assert_not_null(strstr(store_trouble(fixture.store), "out of memory"));
    /* Reads go on, and do not hide that writes do not. */
    const struct address nowhere = {.port = 1};
    cr_assert_eq(contract_find(&fixture.contract, fixture.store, &nowhere)->outcome,
                 STORE_NOT_FOUND);
    cr_assert_not_null(store_trouble(fixture.store));
    ASK(fixture.server, "config", "set", "maxmemory", "0");
    wait_for(&fixture, NULL);
    cr_assert_eq(try_create(&fixture, "abd"), STORE_OK);
    tear_down(&fixture);
}

Test(store_redis_fault, server_without_its_replicas)
{
    struct fixture fixture;
    set_up(&fixture);
    ASK(fixture.server, "config", "set", "min-replicas-to-write", "1");
    cr_assert_eq(try_create(&fixture, "abc"), STORE_UNAVAILABLE);
    cr_assert_not_null(strstr(store_trouble(fixture.store), "too few replicas"));
    ASK(fixture.server, "config", "set", "min-replicas-to-write", "0");
    wait_for(&fixture, NULL);
    tear_down(&fixture);
}

Test(store_redis_fault, server_that_becomes_a_replica)
{
    struct fixture fixture;
    set_up(&fixture);
    cr_assert_eq(try_create(&fixture, "abc"), STORE_OK);
    ASK(fixture.server, "replicaof", "127.0.0.1", "1");
    cr_assert_eq(try_create(&fixture, "abd"), STORE_UNAVAILABLE);
    wait_for(&fixture, "replica");
    ASK(fixture.server, "replicaof", "no", "one");
    wait_for(&fixture, NULL);
    cr_assert_eq(try_claim(&fixture, "abc"), STORE_OK);
    tear_down(&fixture);
}

Test(store_redis_fault, server_that_does_not_answer)
{
    struct fixture fixture;
    set_up(&fixture);
    cr_assert_eq(try_create(&fixture, "abc"), STORE_OK);
    uint64_t start_ms = io_now_ms(fixture.contract.io);
    ASK(fixture.server, "client", "pause", "3000");
    cr_assert_eq(try_claim(&fixture, "abc"), STORE_UNAVAILABLE);
    uint64_t waited_ms = io_now_ms(fixture.contract.io) - start_ms;
    cr_assert(waited_ms >= REDIS_COMMAND_MS && waited_ms < 2 * REDIS_COMMAND_MS, "%llu ms",
              (unsigned long long)waited_ms);
    wait_for(&fixture, "no answer");
    wait_for(&fixture, NULL);
    cr_assert_eq(try_create(&fixture, "later"), STORE_OK);
    tear_down(&fixture);
}

Test(store_redis_fault, records_that_are_not_ours)
{
    struct fixture fixture;
    set_up(&fixture);
    struct store_contract *contract = &fixture.contract;
    cr_assert_eq(try_create(&fixture, "later"), STORE_OK);
    ASK(fixture.server, "setrange", key_of(&fixture, 's', "later"), "0", "3");
    cr_assert_eq(try_claim(&fixture, "later"), STORE_NOT_FOUND);
    cr_assert_eq(contract_lease(contract, fixture.store, "later", 1)->outcome, STORE_NOT_FOUND);
    cr_assert_eq(contract_mark(contract, fixture.store, "later", 1, "m")->outcome, STORE_NOT_FOUND);

    cr_assert_eq(try_create(&fixture, "short"), STORE_OK);
    const char *key = key_of(&fixture, 's', "short");
    ASK(fixture.server, "eval",
        "redis.call('SET', KEYS[1], string.sub(redis.call('GET', KEYS[1]), 1, 32))", "1", key);
    cr_assert_eq(try_claim(&fixture, "short"), STORE_NOT_FOUND);
    cr_assert_eq(contract_counted(contract, METRIC_STORE_FORMAT), 4u);
    cr_assert_null(store_trouble(fixture.store));

    cr_assert_eq(try_create(&fixture, "type"), STORE_OK);
    key = key_of(&fixture, 's', "type");
    ASK(fixture.server, "del", key);
    ASK(fixture.server, "rpush", key, "x");
    cr_assert_eq(try_claim(&fixture, "type"), STORE_UNAVAILABLE);
    wait_for(&fixture, NULL);
    tear_down(&fixture);
}

Test(store_redis_fault, marks_of_one_turn_are_one_write)
{
    struct fixture fixture;
    set_up(&fixture);
    struct store_contract *contract = &fixture.contract;
    char cid[16];
    for (int i = 0; i < 100; i++) {
        (void)snprintf(cid, sizeof cid, "s%d", i);
        cr_assert_eq(try_create(&fixture, cid), STORE_OK);
    }
    uint64_t writes = contract_counted(contract, METRIC_STORE_WRITES);
    ASK(fixture.server, "config", "resetstat");
    for (int i = 0; i < 100; i++) {
        (void)snprintf(cid, sizeof cid, "s%d", i);
        struct store_waiter waiter = contract_waiter(contract, cid);
        contract_asked(contract, store_save_mark(fixture.store, 1,
                                                 contract_octets("longer than before"), &waiter));
    }
    contract_settle(contract);
    cr_assert_eq(contract_counted(contract, METRIC_STORE_WRITES), writes + 1);
    cr_assert_not_null(
        strstr(ASK(fixture.server, "info", "commandstats"), "cmdstat_evalsha:calls=1,"));
    for (int i = 0; i < 100; i++) {
        (void)snprintf(cid, sizeof cid, "s%d", i);
        const struct seen_answer *answer = contract_claim(contract, fixture.store, cid);
        cr_assert(seen_mark_is(answer, "longer than before"));
        cr_assert(seen_value_is(answer, "keys"));
    }
    tear_down(&fixture);
}

Test(store_redis_fault, events_are_in_the_log)
{
    struct fixture fixture;
    set_up(&fixture);
    struct store_contract *contract = &fixture.contract;
    cr_assert_eq(try_create(&fixture, "abc"), STORE_OK);
    cr_assert_eq(contract_exchange(contract, fixture.store, "abc", 1, 0, "x", "it said")->outcome,
                 STORE_OK);
    cr_assert_eq(contract_exchange(contract, fixture.store, "abc", 9, 0, "x", "stale")->outcome,
                 STORE_STALE);
    const char *key = key_of(&fixture, 'l', "og");
    const char *log = ASK(fixture.server, "xrange", key, "-", "+");
    cr_assert_not_null(strstr(log, "it said"));
    cr_assert_null(strstr(log, "stale"));
    tear_down(&fixture);
}

Test(store_redis_fault, names_and_unix_sockets)
{
    struct fixture fixture;
    store_contract_begin(&fixture.contract, &redis_fixture_engine);
    struct store_contract *contract = &fixture.contract;
    fixture.server = contract->state;
    (void)snprintf(contract->url, sizeof contract->url, "redis://localhost:%u",
                   fixture.server->port);
    fixture.store = contract_open(contract);
    cr_assert_eq(try_create(&fixture, "abc"), STORE_OK);

    redis_server_kill(fixture.server);
    fixture.server->arguments[0] = "--unixsocket";
    fixture.server->arguments[1] = "socket";
    redis_server_start(fixture.server);
    (void)snprintf(contract->url, sizeof contract->url, "redis+unix://%s/socket",
                   fixture.server->folder);
    fixture.store = contract_open(contract);
    wait_for(&fixture, NULL); /* the server makes its socket after its port */
    cr_assert_eq(try_create(&fixture, "abc"), STORE_OK);

    (void)snprintf(contract->url, sizeof contract->url, "redis://nowhere.invalid");
    fixture.store = contract_open(contract);
    wait_for(&fixture, "name does not resolve");
    cr_assert_eq(try_create(&fixture, "abc"), STORE_UNAVAILABLE);
    tear_down(&fixture);
}
