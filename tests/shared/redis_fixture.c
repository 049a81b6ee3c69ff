#include "tests/shared/redis_fixture.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RECOVERY_MS 10000

static void begin(struct store_contract *contract)
{
    struct redis_server *server = calloc(1, sizeof *server);
    redis_server_start(server);
    contract->state = server;
    (void)snprintf(contract->url, sizeof contract->url, "redis://127.0.0.1:%u", server->port);
}

static void end(struct store_contract *contract)
{
    redis_server_remove(contract->state);
    free(contract->state);
}

const struct store_contract_engine redis_fixture_engine = {
    .name = "redis", .is_shared = true, .begin = begin, .end = end};

void set_up(struct fixture *fixture)
{
    store_contract_begin(&fixture->contract, &redis_fixture_engine);
    fixture->server = fixture->contract.state;
    fixture->store = contract_open(&fixture->contract);
}

void set_up_at(struct fixture *fixture, const char *before, const char *behind)
{
    store_contract_begin(&fixture->contract, &redis_fixture_engine);
    fixture->server = fixture->contract.state;
    (void)snprintf(fixture->contract.url, sizeof fixture->contract.url, "redis://%s127.0.0.1:%u%s",
                   before, fixture->server->port, behind);
    fixture->store = contract_open(&fixture->contract);
}

void tear_down(struct fixture *fixture)
{
    store_contract_end(&fixture->contract);
}

void wait_for(struct fixture *fixture, const char *words)
{
    struct store_contract *contract = &fixture->contract;
    uint64_t give_up_ms = io_now_ms(contract->io) + RECOVERY_MS;
    for (;;) {
        const char *trouble = store_trouble(fixture->store);
        if (words ? trouble && strstr(trouble, words) : !trouble)
            return;
        cr_assert_lt(io_now_ms(contract->io), give_up_ms, "trouble is %s, want %s",
                     trouble ? trouble : "none", words ? words : "none");
        contract_pass(contract, 5);
    }
}

enum store_outcome try_create(struct fixture *fixture, const char *cid)
{
    return contract_create(&fixture->contract, fixture->store, cid, "keys", "mark", NULL)->outcome;
}

enum store_outcome try_claim(struct fixture *fixture, const char *cid)
{
    return contract_claim(&fixture->contract, fixture->store, cid)->outcome;
}

const char *key_of(struct fixture *fixture, char type, const char *cid)
{
    static char key[64];
    char pattern[32];
    (void)snprintf(pattern, sizeof pattern, "hf:{*}:%c%s", type, cid);
    (void)snprintf(key, sizeof key, "%s", ASK(fixture->server, "keys", pattern));
    key[strcspn(key, "\r\n")] = '\0';
    cr_assert_neq(key[0], '\0');
    return key;
}
