#include <criterion/criterion.h>
#include <string.h>

#include "store_contract.h"

void store_contract_identities(struct store_contract *contract)
{
    struct store *store = contract_open(contract);
    struct store *other = contract->engine->is_shared ? contract_open(contract) : store;
    cr_assert_eq(contract_put_identity(contract, store, "sensor-1", "sealed 1")->outcome, STORE_OK);
    cr_assert_eq(contract_put_identity(contract, store, "sensor-10", "sealed 10")->outcome,
                 STORE_OK);
    const struct seen_answer *answer = contract_fetch_identity(contract, other, "sensor-1");
    cr_assert_eq(answer->outcome, STORE_OK);
    cr_assert(seen_value_is(answer, "sealed 1"));
    cr_assert(seen_value_is(contract_fetch_identity(contract, other, "sensor-10"), "sealed 10"));
}

void store_contract_identity_is_replaced(struct store_contract *contract)
{
    struct store *store = contract_open(contract);
    (void)contract_put_identity(contract, store, "sensor", "a long sealed value");
    (void)contract_put_identity(contract, store, "sensor", "short");
    cr_assert(seen_value_is(contract_fetch_identity(contract, store, "sensor"), "short"));
}

void store_contract_unknown_identities(struct store_contract *contract)
{
    struct store *store = contract_open(contract);
    (void)contract_put_identity(contract, store, "sensor", "sealed");
    const struct seen_answer *answer = contract_fetch_identity(contract, store, "sensors");
    cr_assert_eq(answer->outcome, STORE_NOT_FOUND);
    cr_assert_eq(answer->value_length, 0u);
    cr_assert_eq(contract_fetch_identity(contract, store, "senso")->outcome, STORE_NOT_FOUND);
    cr_assert_eq(contract_fetch_identity(contract, store, "")->outcome, STORE_NOT_FOUND);
}

void store_contract_values_that_are_too_long(struct store_contract *contract)
{
    static const uint8_t bytes[4096] = {1};
    struct store *store = contract_open(contract);
    struct store_waiter waiter = contract_waiter(contract, "abc");
    const struct octets sealed = {bytes, STORE_SEALED_MAX + 1};
    const struct octets mark = {bytes, STORE_MARK_MAX + 1};
    const struct octets identity = {bytes, IDENTITY_LENGTH_MAX + 1};
    const struct octets event = {bytes, STORE_EVENT_MAX + 1};
    const struct octets fits = {bytes, 1};
    const struct store_exchange long_exchange = {.value = {bytes, STORE_EXCHANGE_MAX + 1}};
    const struct store_exchange exchange = {.value = fits};
    const struct store_exchange marked = {.value = fits, .mark = mark};
    const struct store_session long_sealed = {sealed, fits, NULL};
    const struct store_session long_mark = {fits, mark, NULL};

    CONTRACT_REFUSED(STATUS_TOO_LONG, store_create_session(store, &long_sealed, &waiter));
    CONTRACT_REFUSED(STATUS_TOO_LONG, store_create_session(store, &long_mark, &waiter));
    CONTRACT_REFUSED(STATUS_TOO_LONG, store_save_mark(store, 1, mark, &waiter));
    CONTRACT_REFUSED(STATUS_TOO_LONG, store_save_exchange(store, 1, &long_exchange, fits, &waiter));
    CONTRACT_REFUSED(STATUS_TOO_LONG, store_save_exchange(store, 1, &exchange, event, &waiter));
    CONTRACT_REFUSED(STATUS_TOO_LONG, store_save_exchange(store, 1, &marked, fits, &waiter));
    CONTRACT_REFUSED(STATUS_TOO_LONG, store_put_identity(store, identity, fits, &waiter));
    CONTRACT_REFUSED(STATUS_TOO_LONG, store_put_identity(store, fits, sealed, &waiter));
    CONTRACT_REFUSED(STATUS_TOO_LONG, store_fetch_identity(store, identity, &waiter));
    contract_settle(contract);
}

void store_contract_questions_that_cannot_be(struct store_contract *contract)
{
    struct store *store = contract_open(contract);
    struct store_waiter nobody = contract_waiter(contract, "");
    struct store_waiter waiter = contract_waiter(contract, "abc");
    const struct store_session session = {contract_octets("keys"), contract_octets("m"), NULL};
    const struct store_exchange exchange = {.slot = COAP_EXCHANGES_PER_PEER_MAX,
                                            .value = contract_octets("x")};
    CONTRACT_REFUSED(STATUS_MALFORMED, store_create_session(store, &session, &nobody));
    CONTRACT_REFUSED(STATUS_MALFORMED, store_claim_session(store, 1, &nobody));
    CONTRACT_REFUSED(STATUS_MALFORMED,
                     store_save_exchange(store, 1, &exchange, contract_octets(""), &waiter));
    CONTRACT_REFUSED(STATUS_MALFORMED, store_put_identity(store, contract_octets(""),
                                                          contract_octets("key"), &nobody));
    CONTRACT_REFUSED(STATUS_UNSUPPORTED, store_lease_nonces(store, CID_CONFIGS_MAX, &nobody));
    contract_settle(contract);
}

void store_contract_nonce_blocks_never_overlap(struct store_contract *contract)
{
    struct store *store = contract_open(contract);
    struct store *other = contract->engine->is_shared ? contract_open(contract) : store;
    uint64_t free_from[2] = {0, 0};
    for (int i = 0; i < 20; i++) {
        uint8_t config = (uint8_t)(i / 2 % 2);
        const struct seen_answer *answer = contract_nonces(contract, i % 2 ? store : other, config);
        cr_assert_eq(answer->outcome, STORE_OK);
        cr_assert_eq(answer->count, NONCE_LEASE);
        if (i < 4 && i % 2 == 0 && contract->engine->is_shared)
            cr_assert_eq(answer->first, 0u, "a new store's counters start at 0");
        cr_assert_geq(answer->first, free_from[config]);
        free_from[config] = answer->first + answer->count;
    }
}

void store_contract_order_of_a_subject(struct store_contract *contract)
{
    static const char *const marks[] = {"zero", "one", "two", "three", "four"};
    const struct store_session session = {contract_octets("keys"), contract_octets(""), NULL};
    struct store *store = contract_open(contract);
    uint64_t fence = contract_create(contract, store, "other", "keys", "", NULL)->fence;
    contract->seen_count = 0;
    /* The session is created, marked and claimed in one breath; its first fence is every one's. */
    struct store_waiter waiter = contract_waiter(contract, "abc");
    contract_asked(contract, store_create_session(store, &session, &waiter));
    for (size_t i = 0; i < 5; i++) {
        waiter = contract_waiter(contract, "abc");
        contract_asked(contract, store_save_mark(store, fence, contract_octets(marks[i]), &waiter));
        waiter = contract_waiter(contract, "other");
        contract_asked(contract, store_lease_sequences(store, fence, &waiter));
    }
    waiter = contract_waiter(contract, "abc");
    contract_asked(contract, store_claim_session(store, 3, &waiter));
    waiter = contract_waiter(contract, "abc");
    contract_asked(contract, store_remove_session(store, fence, &waiter));
    contract_settle(contract);

    uint64_t last_tag = 0;
    uint64_t last_first = 0;
    cr_assert_eq(contract->seen_count, 13u);
    for (size_t i = 0; i < contract->seen_count; i++) {
        const struct seen_answer *answer = &contract->seen[i];
        if (answer->subject.length == strlen("other")) {
            cr_assert_gt(answer->first, last_first);
            last_first = answer->first;
            continue;
        }
        cr_assert_gt(answer->tag, last_tag);
        last_tag = answer->tag;
        if (answer->mark_length > 0)
            cr_assert(seen_mark_is(answer, "four"));
    }
    const struct seen_answer *last = &contract->seen[contract->seen_count - 1];
    cr_assert_eq(last->outcome, STORE_STALE);
}

void store_contract_each_question_one_answer(struct store_contract *contract)
{
    struct store *store = contract_open(contract);
    uint64_t fence = contract_create(contract, store, "abc", "keys", "", NULL)->fence;
    for (int i = 0; i < 5000; i++) {
        struct store_waiter waiter = contract_waiter(contract, i % 3 ? "abc" : "absent");
        contract_asked(contract, i % 2 ? store_lease_sequences(store, fence, &waiter)
                                       : store_claim_session(store, 1, &waiter));
        if (i % 700 == 0)
            (void)store_run(store, contract->now_ms);
    }
    contract_settle(contract);
    cr_assert_eq(contract_counted(contract, METRIC_STORE_PENDING), 0u);
}

void store_contract_too_many_questions(struct store_contract *contract)
{
    struct store *store = contract_open(contract);
    for (size_t i = 0; i < STORE_QUESTIONS_MAX; i++) {
        struct store_waiter waiter = contract_waiter(contract, "absent");
        contract_asked(contract, store_lease_sequences(store, 1, &waiter));
    }
    struct store_waiter waiter = contract_waiter(contract, "absent");
    CONTRACT_REFUSED(STATUS_FULL, store_lease_sequences(store, 1, &waiter));
    CONTRACT_REFUSED(STATUS_FULL, store_list_members(store, &waiter));
    cr_assert_eq(contract_counted(contract, METRIC_STORE_REFUSED), 2u);
    contract_settle(contract);
    cr_assert_eq(contract_claim(contract, store, "absent")->outcome, STORE_NOT_FOUND);
}

struct asker {
    struct store_contract *contract;
    struct store *store;
    size_t left;
};

/* Asks again from within the answer; that answer must not come before this one is over. */
static void ask_again(void *owner, const struct store_answer *answer)
{
    struct asker *asker = owner;
    cr_assert_not(asker->contract->in_call);
    cr_assert_eq(answer->outcome, STORE_NOT_FOUND);
    asker->contract->answered++;
    if (asker->left == 0)
        return;
    asker->left--;
    struct store_waiter waiter = {.answer = ask_again, .owner = asker, .subject = answer->subject};
    asker->contract->in_call = true;
    contract_asked(asker->contract, store_claim_session(asker->store, 1, &waiter));
}

void store_contract_answers_may_ask(struct store_contract *contract)
{
    struct asker asker = {.contract = contract, .store = contract_open(contract), .left = 50};
    struct store_waiter waiter = contract_waiter(contract, "absent");
    waiter.answer = ask_again;
    waiter.owner = &asker;
    contract_asked(contract, store_claim_session(asker.store, 1, &waiter));
    contract_settle(contract);
    cr_assert_eq(asker.left, 0u);
}

void store_contract_nobody_wants_to_know(struct store_contract *contract)
{
    struct store *store = contract_open(contract);
    uint64_t fence = contract_create(contract, store, "abc", "keys", "old", NULL)->fence;
    struct store_waiter waiter = {.subject = contract->seen[0].subject};
    cr_assert_eq(store_save_mark(store, fence, contract_octets("new"), &waiter), STATUS_OK);
    cr_assert(seen_mark_is(contract_claim(contract, store, "abc"), "new"));
}

void store_contract_commands_are_counted(struct store_contract *contract)
{
    struct store *store = contract_open(contract);
    (void)contract_put_identity(contract, store, "sensor", "key");
    (void)contract_fetch_identity(contract, store, "sensor");
    (void)contract_fetch_identity(contract, store, "other");
    (void)contract_list(contract, store);
    cr_assert_eq(contract_counted(contract, METRIC_STORE_READS), 3u);
    cr_assert_eq(contract_counted(contract, METRIC_STORE_WRITES), 1u);
    cr_assert_null(store_trouble(store), "%s", store_trouble(store));
}
