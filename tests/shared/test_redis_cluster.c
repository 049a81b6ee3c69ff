/* Three masters on loopback; the store's questions are spread over them. */
#include "shared/redis_cluster.h"

#include <criterion/criterion.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/shared/redis_fixture.h"

#define NODES 3
#define GIVE_UP_MS 15000

static void begin(struct store_contract *contract)
{
    static struct redis_server nodes[NODES];
    char hosts[NODES][32];
    memset(nodes, 0, sizeof nodes);
    for (int i = 0; i < NODES; i++) {
        const char *arguments[] = {"--cluster-enabled",
                                   "yes",
                                   "--cluster-node-timeout",
                                   "1000",
                                   "--cluster-require-full-coverage",
                                   "no"};
        memcpy(nodes[i].arguments, arguments, sizeof arguments);
        redis_server_start(&nodes[i]);
        (void)snprintf(hosts[i], sizeof hosts[i], "127.0.0.1:%u", nodes[i].port);
    }
    ASK(&nodes[0], "--cluster", "create", hosts[0], hosts[1], hosts[2], "--cluster-yes");
    for (int i = 0; i < NODES; i++) {
        for (int waited_ms = 0; !strstr(ASK(&nodes[i], "cluster", "info"), "cluster_state:ok");
             waited_ms += 20) {
            cr_assert_lt(waited_ms, GIVE_UP_MS);
            poll(NULL, 0, 20);
        }
    }
    /* Starting them has taken longer than a question may: bring the loop's clock up to date. */
    cr_assert_eq(io_turn(contract->io, 0), STATUS_OK);
    contract->state = nodes;
    (void)snprintf(contract->url, sizeof contract->url, "redis+cluster://%s,%s", hosts[1],
                   hosts[2]);
}

static void end(struct store_contract *contract)
{
    struct redis_server *nodes = contract->state;
    for (int i = 0; i < NODES; i++)
        redis_server_remove(&nodes[i]);
}

static const struct store_contract_engine engine = {
    .name = "redis cluster", .is_shared = true, .begin = begin, .end = end};

static struct redis_server *set_up_cluster(struct fixture *fixture)
{
    store_contract_begin(&fixture->contract, &engine);
    fixture->store = contract_open(&fixture->contract);
    wait_for(fixture, NULL);
    return fixture->contract.state;
}

#define TEST(name)                                \
    Test(redis_cluster, name)                     \
    {                                             \
        struct store_contract contract;           \
        store_contract_begin(&contract, &engine); \
        store_contract_##name(&contract);         \
        store_contract_end(&contract);            \
    }
TEST(exchanges_come_back_with_a_claim)
TEST(address_goes_to_the_newer_session)
TEST(order_of_a_subject)
TEST(each_question_one_answer)
TEST(list_is_in_order_of_id)
STORE_CONTRACT_RELATIONS(TEST)
TEST(topic_modes)
TEST(removed_topic_is_gone)
TEST(topics_in_order_of_name)
TEST(changes_in_order_of_number)
TEST(order_of_a_topic)

static void spell(char cid[16], int number)
{
    (void)snprintf(cid, 16, "s%d", number);
}

Test(redis_cluster, sessions_are_spread)
{
    struct fixture fixture;
    char cid[16];
    struct redis_server *nodes = set_up_cluster(&fixture);
    struct store_contract *contract = &fixture.contract;
    for (int i = 0; i < 300; i++) {
        const struct store_session session = {contract_octets("keys"), contract_octets(""), NULL};
        spell(cid, i);
        struct store_waiter waiter = contract_waiter(contract, cid);
        contract_asked(contract, store_create_session(fixture.store, &session, &waiter));
    }
    contract_settle(contract);
    for (int i = 0; i < NODES; i++)
        cr_assert_gt(atoi(ASK(&nodes[i], "dbsize")), 30);
    for (int i = 0; i < 300; i++) {
        spell(cid, i);
        struct store_waiter waiter = contract_waiter(contract, cid);
        contract_asked(contract,
                       store_save_mark(fixture.store, 1, contract_octets("mark"), &waiter));
    }
    contract_settle(contract);
    for (int i = 0; i < 300; i += 7) {
        spell(cid, i);
        const struct seen_answer *answer = contract_claim(contract, fixture.store, cid);
        cr_assert_eq(answer->outcome, STORE_OK);
        cr_assert(seen_mark_is(answer, "mark"));
    }
    cr_assert_null(store_trouble(fixture.store));
    tear_down(&fixture);
}

/* A copy of one line. */
static void line(char *to, size_t size, const char *text)
{
    (void)snprintf(to, size, "%.*s", (int)strcspn(text, "\r\n"), text);
}

struct move {
    struct redis_server *from;
    struct redis_server *to;
    char from_id[64];
    char to_id[64];
    char slot[16];
};

/* The slot of this session is on its way, with the session; nobody has been told where it ends. */
static void start_move(struct redis_server *nodes, const char *cid, struct move *move)
{
    char pattern[32], keys[2][64];
    static const char types[] = "sx";
    memset(move, 0, sizeof *move);
    for (int i = 0; i < NODES; i++) {
        (void)snprintf(pattern, sizeof pattern, "hf:{*}:s%s", cid);
        if (ASK(&nodes[i], "keys", pattern)[0] == 'h')
            move->from = &nodes[i];
        else
            move->to = &nodes[i];
    }
    cr_assert_not_null(move->from);
    for (int i = 0; i < 2; i++) {
        (void)snprintf(pattern, sizeof pattern, "hf:{*}:%c%s", types[i], cid);
        line(keys[i], sizeof keys[i], ASK(move->from, "keys", pattern));
    }
    line(move->slot, sizeof move->slot, ASK(move->from, "cluster", "keyslot", keys[0]));
    line(move->from_id, sizeof move->from_id, ASK(move->from, "cluster", "myid"));
    line(move->to_id, sizeof move->to_id, ASK(move->to, "cluster", "myid"));
    ASK(move->to, "cluster", "setslot", move->slot, "importing", move->from_id);
    ASK(move->from, "cluster", "setslot", move->slot, "migrating", move->to_id);
    char port[8];
    (void)snprintf(port, sizeof port, "%u", move->to->port);
    const char *answer =
        ASK(move->from, "migrate", "127.0.0.1", port, "", "0", "1000", "KEYS", keys[0], keys[1]);
    cr_assert_eq(strncmp(answer, "OK", 2), 0, "%s", answer);
}

Test(redis_cluster, slot_that_moves_under_way)
{
    struct fixture fixture;
    struct move move;
    struct redis_server *nodes = set_up_cluster(&fixture);
    struct store_contract *contract = &fixture.contract;
    struct store *store = fixture.store;
    cr_assert_eq(try_create(&fixture, "abc"), STORE_OK);
    cr_assert_eq(contract_exchange(contract, store, "abc", 1, 3, "reply", "")->outcome, STORE_OK);
    start_move(nodes, "abc", &move);

    /* ASK: there is the key, here the slot. */
    cr_assert_eq(contract_lease(contract, store, "abc", 1)->outcome, STORE_OK);
    const struct seen_answer *answer = contract_claim(contract, store, "abc");
    cr_assert_eq(answer->outcome, STORE_OK);
    cr_assert_eq(answer->exchange_count, 1u);
    uint64_t fence = answer->fence;
    cr_assert_eq(contract_mark(contract, store, "abc", fence, "moving")->outcome, STORE_OK);

    /* MOVED. */
    for (int i = 0; i < NODES; i++)
        ASK(&nodes[i], "cluster", "setslot", move.slot, "node", move.to_id);
    answer = contract_claim(contract, store, "abc");
    cr_assert_eq(answer->outcome, STORE_OK);
    cr_assert(seen_mark_is(answer, "moving"));
    cr_assert_gt(answer->fence, fence);
    cr_assert_null(store_trouble(store));
    tear_down(&fixture);
}

Test(redis_cluster, node_that_dies)
{
    struct fixture fixture;
    char cid[16];
    struct redis_server *nodes = set_up_cluster(&fixture);
    for (int i = 0; i < 30; i++) {
        spell(cid, i);
        cr_assert_eq(try_create(&fixture, cid), STORE_OK);
    }
    redis_server_kill(&nodes[0]);
    wait_for(&fixture, "redis: ");
    /* The slots of the others are served as before. */
    int served = 0, unavailable = 0;
    for (int i = 100; i < 130; i++) {
        spell(cid, i);
        switch (try_create(&fixture, cid)) {
        case STORE_OK:
            served++;
            break;
        case STORE_UNAVAILABLE:
            unavailable++;
            break;
        default:
            cr_assert_fail("neither");
        }
    }
    cr_assert_gt(served, 5);
    cr_assert_gt(unavailable, 2);
    redis_server_start(&nodes[0]);
    wait_for(&fixture, NULL);
    tear_down(&fixture);
}
