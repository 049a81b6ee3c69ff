#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

#include "tests/shared/redis_server.h"
#include "tests/shared/store_contract.h"

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

static const struct store_contract_engine engine = {
    .name = "redis", .is_shared = true, .begin = begin, .end = end};

#define TEST(name)                                \
    Test(store_redis, name)                       \
    {                                             \
        struct store_contract contract;           \
        store_contract_begin(&contract, &engine); \
        store_contract_##name(&contract);         \
        store_contract_end(&contract);            \
    }
STORE_CONTRACT(TEST)
