#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "store_contract.h"

static void begin(struct store_contract *contract)
{
    (void)snprintf(contract->url, sizeof contract->url, "memory:");
}

static const struct store_contract_engine engine = {
    .name = "memory", .has_fake_clock = true, .begin = begin};

#define TEST(name)                                \
    Test(store_memory, name)                      \
    {                                             \
        struct store_contract contract;           \
        store_contract_begin(&contract, &engine); \
        store_contract_##name(&contract);         \
        store_contract_end(&contract);            \
    }
STORE_CONTRACT(TEST)
STORE_CONTRACT_RELATIONS(TEST)
STORE_CONTRACT_TOPICS(TEST)

Test(store_memory, nonces_continue_from_the_clock)
{
    struct store_contract contract;
    store_contract_begin(&contract, &engine);
    uint64_t before_ms = io_unix_ms();
    struct store *store = contract_open(&contract);
    for (uint8_t config = 0; config < CID_CONFIGS_MAX; config++)
        cr_assert_geq(contract_nonces(&contract, store, config)->first, before_ms);
    store_contract_end(&contract);
}

Test(store_memory, oldest_exchanges_make_room)
{
    struct store_contract contract;
    store_contract_begin(&contract, &engine);
    struct store *store = contract_open(&contract);
    size_t sessions = COAP_EXCHANGES_MAX / COAP_EXCHANGES_PER_PEER_MAX + 1;
    for (size_t i = 0; i < sessions; i++) {
        char cid[16];
        (void)snprintf(cid, sizeof cid, "session %zu", i);
        uint64_t fence = contract_create(&contract, store, cid, "keys", "", NULL)->fence;
        for (uint8_t slot = 0; slot < COAP_EXCHANGES_PER_PEER_MAX; slot++) {
            const struct store_exchange exchange = {.slot = slot, .value = contract_octets("reply")};
            struct store_waiter waiter = contract_waiter(&contract, cid);
            contract_asked(&contract, store_save_exchange(store, fence, &exchange,
                                                          contract_octets(""), &waiter));
        }
        contract_settle(&contract);
    }
    cr_assert_eq(contract_counted(&contract, METRIC_STORE_EXCHANGES_EVICTED),
                 (uint64_t)COAP_EXCHANGES_PER_PEER_MAX);
    cr_assert_eq(contract_claim(&contract, store, "session 0")->exchange_count, 0u);
    cr_assert_eq(contract_claim(&contract, store, "session 1")->exchange_count,
                 (size_t)COAP_EXCHANGES_PER_PEER_MAX);
    store_contract_end(&contract);
}

/* --- store_open --- */

static enum status open_url(const char *url, char why[256])
{
    const struct store_options options = {.url = url, .session_ttl_s = 1, .member_ttl_ms = 1};
    struct store *store = NULL;
    enum status status = store_open(&store, &options, why, 256);
    store_free(store);
    return status;
}

Test(store_memory, urls)
{
    char why[256] = "";
    cr_assert_eq(open_url("memory:", why), STATUS_OK);
    cr_assert_eq(open_url("memory:x", why), STATUS_MALFORMED);
    cr_assert_not_null(strstr(why, "memory:x"));
}

Test(store_memory, unknown_schemes)
{
    char why[256] = "";
    cr_assert_eq(open_url("", why), STATUS_MALFORMED);
    cr_assert_eq(open_url("memory", why), STATUS_MALFORMED);
    cr_assert_eq(open_url("etcd://user:secret@host", why), STATUS_MALFORMED);
    cr_assert_not_null(strstr(why, "store \"etcd\": no such scheme; want memory:"), "%s", why);
    cr_assert_null(strstr(why, "secret"));
}
