/* A master, its replica and three sentinels on loopback. */
#include "shared/redis_sentinel.h"

#include <criterion/criterion.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

#include "tests/shared/redis_fixture.h"

#define SENTINELS 3
#define GIVE_UP_MS 15000

static struct redis_server master, replica, sentinels[SENTINELS];
static char master_port[8];
static char config[512];

static void wait_until(const struct redis_server *server, const char *const *question,
                       const char *words)
{
    for (int waited_ms = 0; !strstr(redis_server_ask(server, question), words); waited_ms += 20) {
        cr_assert_lt(waited_ms, GIVE_UP_MS, "%s: no %s", question[0], words);
        poll(NULL, 0, 20);
    }
}

static void begin(struct store_contract *contract)
{
    master.arguments[0] = "--repl-diskless-sync-delay";
    master.arguments[1] = "0";
    redis_server_start(&master);
    (void)snprintf(master_port, sizeof master_port, "%u", master.port);
    const char *arguments[] = {"--replicaof", "127.0.0.1", master_port,
                               "--repl-diskless-sync-delay", "0"};
    memcpy(replica.arguments, arguments, sizeof arguments);
    redis_server_start(&replica);
    wait_until(&master, (const char *const[]){"info", "replication", NULL}, "state=online");

    (void)snprintf(config, sizeof config,
                   "sentinel monitor mymaster 127.0.0.1 %s 2\n"
                   "sentinel down-after-milliseconds mymaster 500\n"
                   "sentinel failover-timeout mymaster 3000\n",
                   master_port);
    for (int i = 0; i < SENTINELS; i++) {
        sentinels[i].sentinel = config;
        redis_server_start(&sentinels[i]);
    }
    /* Starting them has taken longer than a question may: bring the loop's clock up to date. */
    cr_assert_eq(io_turn(contract->io, 0), STATUS_OK);
    contract->state = &master;
    /* The first one named is not there. */
    (void)snprintf(contract->url, sizeof contract->url,
                   "redis+sentinel://127.0.0.1:1,127.0.0.1:%u,127.0.0.1:%u/mymaster",
                   sentinels[0].port, sentinels[1].port);
}

static void end(struct store_contract *contract)
{
    (void)contract;
    for (int i = 0; i < SENTINELS; i++)
        redis_server_remove(&sentinels[i]);
    redis_server_remove(&replica);
    redis_server_remove(&master);
}

static const struct store_contract_engine engine = {
    .name = "redis sentinel", .is_shared = true, .begin = begin, .end = end};

Test(redis_sentinel, master_that_is_replaced)
{
    struct fixture fixture;
    store_contract_begin(&fixture.contract, &engine);
    fixture.store = contract_open(&fixture.contract);
    wait_for(&fixture, NULL);
    struct store_contract *contract = &fixture.contract;
    cr_assert_eq(contract_put_identity(contract, fixture.store, "sensor", "sealed")->outcome,
                 STORE_OK);
    const struct octets name = contract_octets("t");
    struct store_waiter waiter = contract_waiter(contract, "");
    const struct seen_answer *put = contract_settled(
        contract, "",
        store_put_topic(fixture.store, name, STORE_TOPIC_CREATE, contract_octets("1"), &waiter));
    cr_assert_eq(put->outcome, STORE_OK);
    uint64_t number = put->first;
    wait_until(&sentinels[0], (const char *const[]){"sentinel", "master", "mymaster", NULL},
               "num-other-sentinels\n2");
    wait_until(&sentinels[0], (const char *const[]){"sentinel", "master", "mymaster", NULL},
               "num-slaves\n1");

    redis_server_kill(&master);
    wait_for(&fixture, "redis: ");
    wait_for(&fixture, NULL);
    const struct seen_answer *answer = contract_fetch_identity(contract, fixture.store, "sensor");
    cr_assert_eq(answer->outcome, STORE_OK);
    cr_assert(seen_value_is(answer, "sealed"));
    cr_assert_eq(try_create(&fixture, "abc"), STORE_OK);
    cr_assert_not_null(strstr(ASK(&replica, "role"), "master"));

    /* Relations are kept there, and numbers rise whether or not the last one had come through. */
    const struct store_relation relation = {1, contract_octets("observes")};
    waiter = contract_waiter(contract, "abc");
    answer = contract_settled(
        contract, "abc",
        store_save_relation(fixture.store, 1, &relation, contract_octets("event"), &waiter));
    cr_assert_eq(answer->outcome, STORE_OK);
    cr_assert_eq(contract_claim(contract, fixture.store, "abc")->relation_count, 1u);
    waiter = contract_waiter(contract, "");
    answer = contract_settled(
        contract, "",
        store_put_topic(fixture.store, name, STORE_TOPIC_EITHER, contract_octets("2"), &waiter));
    cr_assert_eq(answer->outcome, STORE_OK);
    cr_assert_gt(answer->first, number);
    store_contract_end(&fixture.contract);
}

static void begin_bare(struct store_contract *contract)
{
    (void)contract; /* the test starts what it needs */
}

static const struct store_contract_engine bare = {.name = "sentinel", .begin = begin_bare};

Test(redis_sentinel, name_that_nobody_knows)
{
    struct fixture fixture;
    struct redis_server *one = &sentinels[0];
    one->sentinel = "sentinel monitor other 127.0.0.1 1 1\n";
    redis_server_start(one);
    store_contract_begin(&fixture.contract, &bare);
    (void)snprintf(fixture.contract.url, sizeof fixture.contract.url,
                   "redis+sentinel://127.0.0.1:%u/mymaster", one->port);
    fixture.store = contract_open(&fixture.contract);
    wait_for(&fixture, "no sentinel names a master");
    cr_assert_eq(try_create(&fixture, "abc"), STORE_UNAVAILABLE);
    store_contract_end(&fixture.contract);
    redis_server_remove(one);
}
