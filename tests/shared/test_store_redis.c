#include <criterion/criterion.h>

#include "tests/shared/redis_fixture.h"

#define TEST(name)                                              \
    Test(store_redis, name)                                     \
    {                                                           \
        struct store_contract contract;                         \
        store_contract_begin(&contract, &redis_fixture_engine); \
        store_contract_##name(&contract);                       \
        store_contract_end(&contract);                          \
    }
STORE_CONTRACT(TEST)
STORE_CONTRACT_RELATIONS(TEST)
STORE_CONTRACT_TOPICS(TEST)
