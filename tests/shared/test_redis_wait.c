/* Answers that wait for replicas: the command, what is held, and a real pair of servers. */
#include "shared/redis_wait.h"

#include <criterion/criterion.h>
#include <hiredis/hiredis.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/shared/redis_fixture.h"

Test(redis_wait, the_command)
{
    char command[REDIS_WAIT_SIZE];
    struct redis_wait wait = {.replicas = 2, .ms = 1500};
    size_t length = redis_wait_command(&wait, command);
    cr_expect_str_eq(command, "*3\r\n$4\r\nWAIT\r\n$1\r\n2\r\n$4\r\n1500\r\n");
    cr_expect_eq(length, strlen(command));
}

/* --- what is held --- */

static const char *heard[4];
static size_t heard_count;

static void hear(struct redis_call *call, struct redis_link *link, const struct redisReply *reply)
{
    (void)call;
    (void)link;
    const redisReply *said = reply;
    static char words[4][64];
    if (said)
        (void)snprintf(words[heard_count], sizeof words[0], "%s", said->str);
    heard[heard_count] = said ? words[heard_count] : NULL;
    heard_count++;
}

static struct redisReply *reply_of(int type, const char *text)
{
    redisReader *reader = redisReaderCreate();
    char line[64];
    void *reply = NULL;
    (void)snprintf(line, sizeof line, "%c%s\r\n", type == REDIS_REPLY_ERROR ? '-' : '+', text);
    cr_assert_eq(redisReaderFeed(reader, line, strlen(line)), REDIS_OK);
    cr_assert_eq(redisReaderGetReply(reader, &reply), REDIS_OK);
    redisReaderFree(reader);
    return reply;
}

static void release_two(const redisReply *to_wait)
{
    struct redis_call calls[2] = {{.answer = hear}, {.answer = hear}};
    struct redis_wait wait = {.replicas = 2, .ms = 10, .is_out = true};
    heard_count = 0;
    redis_wait_hold(&wait, &calls[0], reply_of(REDIS_REPLY_STATUS, "done"));
    redis_wait_hold(&wait, &calls[1], reply_of(REDIS_REPLY_ERROR, "OOM no room"));
    cr_expect_eq(redis_wait_release(&wait, NULL, to_wait), 2);
    cr_assert_eq(heard_count, 2);
    cr_expect_null(wait.first);
    cr_expect_not(wait.is_out);
    cr_expect_eq(redis_wait_release(&wait, NULL, to_wait), 0, "once");
}

Test(redis_wait, enough_replicas)
{
    release_two(&(redisReply){.type = REDIS_REPLY_INTEGER, .integer = 2});
    cr_expect_str_eq(heard[0], "done");
    cr_expect_str_eq(heard[1], "OOM no room");
}

Test(redis_wait, too_few_replicas)
{
    release_two(&(redisReply){.type = REDIS_REPLY_INTEGER, .integer = 1});
    cr_expect_eq(strncmp(heard[0], "NOREPLICAS ", 11), 0);
    cr_expect_str_eq(heard[1], "OOM no room", "what was refused was not done");
}

Test(redis_wait, a_server_that_does_not_know_the_command)
{
    redisReply *error = reply_of(REDIS_REPLY_ERROR, "ERR unknown command");
    release_two(error);
    cr_expect_eq(strncmp(heard[0], "NOREPLICAS ", 11), 0);
    freeReplyObject(error);
}

Test(redis_wait, a_connection_that_is_lost_meanwhile)
{
    release_two(NULL);
    cr_expect_null(heard[0]);
    cr_expect_null(heard[1]);
}

/* --- two servers --- */

static struct redis_server replica;
static char primary_port[8];

static void wait_for_replica(const struct redis_server *primary)
{
    for (int waited_ms = 0; !strstr(ASK(primary, "info", "replication"), "state=online");
         waited_ms += 20) {
        cr_assert_lt(waited_ms, 15000);
        poll(NULL, 0, 20);
    }
}

static void begin(struct store_contract *contract)
{
    struct redis_server *primary = calloc(1, sizeof *primary);
    primary->arguments[0] = "--repl-diskless-sync-delay";
    primary->arguments[1] = "0";
    redis_server_start(primary);
    contract->state = primary;
    (void)snprintf(primary_port, sizeof primary_port, "%u", primary->port);
    const char *arguments[] = {"--replicaof", "127.0.0.1", primary_port};
    memcpy(replica.arguments, arguments, sizeof arguments);
    redis_server_start(&replica);
    wait_for_replica(primary);
    cr_assert_eq(io_turn(contract->io, 0), STATUS_OK);
    (void)snprintf(contract->url, sizeof contract->url, "redis://127.0.0.1:%u?wait=1&wait_ms=1000",
                   primary->port);
}

static void end(struct store_contract *contract)
{
    redis_server_remove(&replica);
    replica = (struct redis_server){0};
    redis_server_remove(contract->state);
    free(contract->state);
}

static const struct store_contract_engine engine = {
    .name = "redis with a replica", .is_shared = true, .begin = begin, .end = end};

static void open_pair(struct fixture *fixture)
{
    store_contract_begin(&fixture->contract, &engine);
    fixture->server = fixture->contract.state;
    fixture->store = contract_open(&fixture->contract);
    wait_for(fixture, NULL);
}

Test(redis_wait, what_is_confirmed_is_at_the_replica)
{
    struct fixture fixture;
    open_pair(&fixture);
    for (char i = 0; i < 20; i++) {
        char cid[3] = {'a', (char)('0' + i), '\0'};
        cr_assert_eq(try_create(&fixture, cid), STORE_OK);
        /* At once: nobody has waited. */
        cr_assert_not_null(strstr(ASK(&replica, "keys", "*:s*"), cid));
    }
    store_contract_end(&fixture.contract);
}

Test(redis_wait, a_replica_that_stands_still)
{
    struct fixture fixture;
    open_pair(&fixture);
    cr_assert_eq(try_create(&fixture, "abc"), STORE_OK);
    cr_assert_eq(kill(replica.pid, SIGSTOP), 0);
    cr_assert_eq(try_create(&fixture, "abd"), STORE_UNAVAILABLE);
    cr_assert_not_null(strstr(store_trouble(fixture.store), "too few replicas"));
    /* What is read needs no replica. */
    const struct address nowhere = {.port = 1};
    cr_assert_eq(contract_find(&fixture.contract, fixture.store, &nowhere)->outcome,
                 STORE_NOT_FOUND);
    cr_assert_eq(kill(replica.pid, SIGCONT), 0);
    wait_for(&fixture, NULL);
    cr_assert_eq(try_create(&fixture, "abe"), STORE_OK);
    store_contract_end(&fixture.contract);
}

/* As many questions as one connection takes, and more; the one behind the other. */
Test(redis_wait, many_at_once)
{
    struct fixture fixture;
    open_pair(&fixture);
    struct store_contract *contract = &fixture.contract;
    const struct store_session session = {contract_octets("keys"), contract_octets("m"), NULL};
    for (int i = 0; i < 3 * REDIS_WINDOW_MAX; i++) {
        char cid[16];
        (void)snprintf(cid, sizeof cid, "s%d", i);
        struct store_waiter waiter = contract_waiter(contract, cid);
        contract_asked(contract, store_create_session(fixture.store, &session, &waiter));
        contract_asked(contract, store_save_mark(fixture.store, 1, contract_octets("n"), &waiter));
    }
    contract_settle(contract);
    cr_assert_eq(contract_counted(contract, METRIC_STORE_UNAVAILABLE), 0u);
    store_contract_end(&fixture.contract);
}

Test(redis_wait, a_primary_that_dies_while_it_waits)
{
    struct fixture fixture;
    open_pair(&fixture);
    struct store_contract *contract = &fixture.contract;
    cr_assert_eq(kill(replica.pid, SIGSTOP), 0);
    const struct store_session session = {contract_octets("keys"), contract_octets("m"), NULL};
    struct store_waiter waiter = contract_waiter(contract, "abc");
    contract->seen_count = 0;
    contract_asked(contract, store_create_session(fixture.store, &session, &waiter));
    (void)store_run(fixture.store, io_now_ms(contract->io)); /* it is under way */
    redis_server_kill(fixture.server);
    contract_settle(contract);
    cr_assert_eq(contract->seen[0].outcome, STORE_UNAVAILABLE);
    cr_assert_eq(kill(replica.pid, SIGCONT), 0);
    redis_server_start(fixture.server);
    wait_for_replica(fixture.server);
    wait_for(&fixture, NULL);
    cr_assert_eq(try_create(&fixture, "abd"), STORE_OK);
    store_contract_end(&fixture.contract);
}
