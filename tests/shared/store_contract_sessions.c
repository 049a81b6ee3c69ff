#include <criterion/criterion.h>
#include <string.h>

#include "store_contract.h"

static struct address address_of(uint16_t port)
{
    struct address address = {.port = port};
    memset(address.ip, 0xab, sizeof address.ip);
    return address;
}

/* A second handle where the engine has them, else the same one. */
static struct store *other_handle(struct store_contract *contract, struct store *store)
{
    return contract->engine->is_shared ? contract_open(contract) : store;
}

void store_contract_create_gives_a_first_block(struct store_contract *contract)
{
    struct store *store = contract_open(contract);
    const struct seen_answer *answer = contract_create(contract, store, "abc", "keys", "m", NULL);
    cr_assert_eq(answer->outcome, STORE_OK);
    cr_assert_eq(answer->first, SEQUENCE_HANDSHAKE_RESERVED);
    cr_assert_eq(answer->count, SEQUENCE_LEASE);
    uint64_t fence = answer->fence;
    answer = contract_lease(contract, store, "abc", fence);
    cr_assert_eq(answer->outcome, STORE_OK);
    cr_assert_eq(answer->first, SEQUENCE_HANDSHAKE_RESERVED + SEQUENCE_LEASE);
    cr_assert_eq(answer->count, SEQUENCE_LEASE);
}

void store_contract_create_of_a_taken_cid(struct store_contract *contract)
{
    struct store *store = contract_open(contract);
    uint64_t fence = contract_create(contract, store, "abc", "keys", "m", NULL)->fence;
    cr_assert_eq(contract_create(contract, other_handle(contract, store), "abc", "other", "o", NULL)
                     ->outcome,
                 STORE_EXISTS);
    cr_assert_eq(contract_lease(contract, store, "abc", fence)->outcome, STORE_OK);
    cr_assert(seen_value_is(contract_claim(contract, store, "abc"), "keys"));
}

void store_contract_claim_gives_what_was_stored(struct store_contract *contract)
{
    struct store *store = contract_open(contract);
    uint64_t fence = contract_create(contract, store, "abc", "keys", "mark", NULL)->fence;
    const struct seen_answer *answer =
        contract_claim(contract, other_handle(contract, store), "abc");
    cr_assert_eq(answer->outcome, STORE_OK);
    cr_assert(seen_value_is(answer, "keys"));
    cr_assert(seen_mark_is(answer, "mark"));
    cr_assert_gt(answer->fence, fence);
    cr_assert_geq(answer->first, SEQUENCE_HANDSHAKE_RESERVED + SEQUENCE_LEASE);
    cr_assert_eq(answer->count, SEQUENCE_LEASE);
    cr_assert_eq(answer->exchange_count, 0u);
}

void store_contract_claim_makes_the_former_owner_stale(struct store_contract *contract)
{
    struct store *store = contract_open(contract);
    struct store *other = other_handle(contract, store);
    uint64_t old = contract_create(contract, store, "abc", "keys", "mark", NULL)->fence;
    uint64_t fence = contract_claim(contract, other, "abc")->fence;

    cr_assert_eq(contract_lease(contract, store, "abc", old)->outcome, STORE_STALE);
    cr_assert_eq(contract_mark(contract, store, "abc", old, "zombie")->outcome, STORE_STALE);
    cr_assert_eq(contract_exchange(contract, store, "abc", old, 0, "zombie", "event")->outcome,
                 STORE_STALE);
    cr_assert_eq(contract_remove(contract, store, "abc", old)->outcome, STORE_STALE);
    cr_assert_eq(contract_counted(contract, METRIC_STORE_STALE), 4u);

    cr_assert_eq(contract_lease(contract, other, "abc", fence)->outcome, STORE_OK);
    const struct seen_answer *answer = contract_claim(contract, other, "abc");
    cr_assert(seen_mark_is(answer, "mark"));
    cr_assert_eq(answer->exchange_count, 0u);
    cr_assert_eq(contract_counted(contract, METRIC_STORE_EVENTS), 0u);
}

void store_contract_claim_of_an_unknown_session(struct store_contract *contract)
{
    struct store *store = contract_open(contract);
    cr_assert_eq(contract_claim(contract, store, "nobody")->outcome, STORE_NOT_FOUND);
    cr_assert_eq(contract_lease(contract, store, "nobody", 1)->outcome, STORE_NOT_FOUND);
    cr_assert_eq(contract_mark(contract, store, "nobody", 1, "m")->outcome, STORE_NOT_FOUND);
    cr_assert_eq(contract_exchange(contract, store, "nobody", 1, 0, "x", "")->outcome,
                 STORE_NOT_FOUND);
    cr_assert_eq(contract_remove(contract, store, "nobody", 1)->outcome, STORE_NOT_FOUND);
    cr_assert_eq(contract_create(contract, store, "nobody", "keys", "m", NULL)->outcome, STORE_OK);
}

void store_contract_claims_raise_the_fence(struct store_contract *contract)
{
    struct store *store = contract_open(contract);
    struct store *other = other_handle(contract, store);
    uint64_t fence = contract_create(contract, store, "abc", "keys", "mark", NULL)->fence;
    for (int i = 0; i < 20; i++) {
        const struct seen_answer *answer = contract_claim(contract, i % 2 ? store : other, "abc");
        cr_assert_eq(answer->outcome, STORE_OK);
        cr_assert_gt(answer->fence, fence);
        fence = answer->fence;
    }
}

void store_contract_blocks_never_overlap(struct store_contract *contract)
{
    struct store *store = contract_open(contract);
    struct store *other = other_handle(contract, store);
    const struct seen_answer *answer = contract_create(contract, store, "abc", "keys", "", NULL);
    uint64_t free_from = answer->first + answer->count;
    for (int claims = 0; claims < 10; claims++) {
        struct store *owner = claims % 2 ? store : other;
        answer = contract_claim(contract, owner, "abc");
        uint64_t fence = answer->fence;
        for (int leases = 0; leases < 4; leases++) {
            cr_assert_eq(answer->outcome, STORE_OK);
            cr_assert_geq(answer->first, free_from);
            cr_assert_eq(answer->count, SEQUENCE_LEASE);
            free_from = answer->first + answer->count;
            answer = contract_lease(contract, owner, "abc", fence);
        }
        free_from = answer->first + answer->count;
    }
}

void store_contract_fence_from_nowhere_is_stale(struct store_contract *contract)
{
    struct store *store = contract_open(contract);
    uint64_t fence = contract_create(contract, store, "abc", "keys", "mark", NULL)->fence;
    cr_assert_eq(contract_lease(contract, store, "abc", fence + 1)->outcome, STORE_STALE);
    cr_assert_eq(contract_mark(contract, store, "abc", 0, "m")->outcome, STORE_STALE);
    cr_assert_eq(contract_remove(contract, store, "abc", UINT64_MAX)->outcome, STORE_STALE);
    cr_assert_eq(contract_lease(contract, store, "abc", fence)->outcome, STORE_OK);
}

void store_contract_marks_are_replaced(struct store_contract *contract)
{
    struct store *store = contract_open(contract);
    uint64_t fence = contract_create(contract, store, "abc", "keys", "a long mark", NULL)->fence;
    cr_assert_eq(contract_mark(contract, store, "abc", fence, "one")->outcome, STORE_OK);
    cr_assert_eq(contract_mark(contract, store, "abc", fence, "another")->outcome, STORE_OK);
    const struct seen_answer *answer = contract_claim(contract, store, "abc");
    cr_assert(seen_mark_is(answer, "another"));
    cr_assert(seen_value_is(answer, "keys"));
}

/* `length` octets from 1 up, zeros included. */
static struct octets pattern(uint8_t *bytes, size_t length)
{
    for (size_t i = 0; i < length; i++)
        bytes[i] = (uint8_t)(length + i);
    return (struct octets){bytes, length};
}

void store_contract_largest_values_fit(struct store_contract *contract)
{
    uint8_t sealed[STORE_SEALED_MAX];
    uint8_t mark[STORE_MARK_MAX];
    uint8_t value[STORE_EXCHANGE_MAX];
    uint8_t event[STORE_EVENT_MAX];
    struct store *store = contract_open(contract);
    struct store_waiter waiter = contract_waiter(contract, "a CID of 20 octets..");
    const struct address address = address_of(5684);
    const struct store_session session = {pattern(sealed, sizeof sealed),
                                          pattern(mark, sizeof mark), &address};
    contract->seen_count = 0;
    contract_asked(contract, store_create_session(store, &session, &waiter));
    contract_settle(contract);
    cr_assert_eq(contract->seen[0].outcome, STORE_OK);
    uint64_t fence = contract->seen[0].fence;

    for (uint8_t slot = 0; slot < COAP_EXCHANGES_PER_PEER_MAX; slot++) {
        const struct store_exchange exchange = {slot, pattern(value, sizeof value),
                                                pattern(mark, sizeof mark)};
        waiter = contract_waiter(contract, "a CID of 20 octets..");
        contract_asked(contract, store_save_exchange(store, fence, &exchange,
                                                     pattern(event, sizeof event), &waiter));
    }
    contract_settle(contract);

    const struct seen_answer *answer = contract_claim(contract, store, "a CID of 20 octets..");
    cr_assert_eq(answer->outcome, STORE_OK);
    cr_assert_eq(answer->value_length, sizeof sealed);
    cr_assert_eq(memcmp(answer->value, sealed, sizeof sealed), 0);
    cr_assert_eq(answer->mark_length, sizeof mark);
    cr_assert_eq(memcmp(answer->mark, mark, sizeof mark), 0);
    cr_assert_eq(answer->exchange_count, (size_t)COAP_EXCHANGES_PER_PEER_MAX);
    for (size_t i = 0; i < answer->exchange_count; i++) {
        cr_assert_eq(answer->exchanges[i].length, sizeof value);
        cr_assert_eq(memcmp(answer->exchanges[i].bytes, value, sizeof value), 0);
    }
}

void store_contract_empty_values_stay_empty(struct store_contract *contract)
{
    struct store *store = contract_open(contract);
    uint64_t fence = contract_create(contract, store, "a", "", "", NULL)->fence;
    cr_assert_eq(contract_exchange(contract, store, "a", fence, 3, "", "")->outcome, STORE_OK);
    const struct seen_answer *answer = contract_claim(contract, store, "a");
    cr_assert_eq(answer->outcome, STORE_OK);
    cr_assert_eq(answer->value_length, 0u);
    cr_assert_eq(answer->mark_length, 0u);
    cr_assert_eq(answer->exchange_count, 1u);
    cr_assert_eq(answer->exchanges[0].slot, 3);
    cr_assert_eq(answer->exchanges[0].length, 0u);
}

/* Whether a claim brings exactly these texts, NULL for an empty slot. */
static void check_exchanges(const struct seen_answer *answer, const char *const *texts)
{
    size_t found = 0;
    for (uint8_t slot = 0; slot < COAP_EXCHANGES_PER_PEER_MAX; slot++) {
        if (!texts[slot])
            continue;
        size_t at = 0;
        while (at < answer->exchange_count && answer->exchanges[at].slot != slot)
            at++;
        cr_assert_lt(at, answer->exchange_count, "nothing in slot %u", slot);
        cr_assert_eq(answer->exchanges[at].length, strlen(texts[slot]));
        cr_assert_eq(memcmp(answer->exchanges[at].bytes, texts[slot], strlen(texts[slot])), 0);
        found++;
    }
    cr_assert_eq(answer->exchange_count, found);
}

void store_contract_exchanges_come_back_with_a_claim(struct store_contract *contract)
{
    struct store *store = contract_open(contract);
    uint64_t fence = contract_create(contract, store, "abc", "keys", "", NULL)->fence;
    uint64_t next = contract_create(contract, store, "abd", "keys", "", NULL)->fence;
    cr_assert_eq(contract_exchange(contract, store, "abc", fence, 0, "first", "")->outcome,
                 STORE_OK);
    cr_assert_eq(contract_exchange(contract, store, "abc", fence, 15, "last", "e")->outcome,
                 STORE_OK);
    cr_assert_eq(contract_exchange(contract, store, "abd", next, 1, "not its own", "")->outcome,
                 STORE_OK);
    const char *expected[COAP_EXCHANGES_PER_PEER_MAX] = {[0] = "first", [15] = "last"};
    check_exchanges(contract_claim(contract, other_handle(contract, store), "abc"), expected);
}

void store_contract_slots_are_overwritten(struct store_contract *contract)
{
    struct store *store = contract_open(contract);
    uint64_t fence = contract_create(contract, store, "abc", "keys", "", NULL)->fence;
    static const char *const texts[] = {"zero", "one", "two", "three"};
    for (uint8_t i = 0; i < 3 * COAP_EXCHANGES_PER_PEER_MAX; i++)
        cr_assert_eq(contract_exchange(contract, store, "abc", fence,
                                       i % COAP_EXCHANGES_PER_PEER_MAX, texts[i % 3], "")
                         ->outcome,
                     STORE_OK);
    const char *expected[COAP_EXCHANGES_PER_PEER_MAX];
    for (uint8_t i = 0; i < COAP_EXCHANGES_PER_PEER_MAX; i++)
        expected[i] = texts[(i + 2 * COAP_EXCHANGES_PER_PEER_MAX) % 3];
    check_exchanges(contract_claim(contract, store, "abc"), expected);
}

/* 247 seconds can be skipped, but not waited for. */
void store_contract_exchanges_expire(struct store_contract *contract)
{
    if (!contract->engine->has_fake_clock)
        return;
    struct store *store = contract_open(contract);
    uint64_t fence = contract_create(contract, store, "abc", "keys", "", NULL)->fence;
    (void)contract_exchange(contract, store, "abc", fence, 0, "early", "");
    for (uint64_t passed_ms = 0; passed_ms < COAP_EXCHANGE_LIFETIME_MS - 500; passed_ms += 500) {
        contract_pass(contract, 500);
        cr_assert_eq(contract_mark(contract, store, "abc", fence, "m")->outcome, STORE_OK);
    }
    (void)contract_exchange(contract, store, "abc", fence, 1, "late", "");
    const char *both[COAP_EXCHANGES_PER_PEER_MAX] = {"early", "late"};
    const struct seen_answer *answer = contract_claim(contract, store, "abc");
    check_exchanges(answer, both);
    contract_pass(contract, 600);
    const char *one[COAP_EXCHANGES_PER_PEER_MAX] = {NULL, "late"};
    check_exchanges(contract_claim(contract, store, "abc"), one);
}

void store_contract_events_are_counted(struct store_contract *contract)
{
    struct store *store = contract_open(contract);
    uint64_t fence = contract_create(contract, store, "abc", "keys", "", NULL)->fence;
    (void)contract_exchange(contract, store, "abc", fence, 0, "silent", "");
    (void)contract_exchange(contract, store, "abc", fence, 1, "001:a loud one", "an event");
    (void)contract_exchange(contract, store, "abc", fence, 1, "002:b loud one", "an event");
    cr_assert_eq(contract_counted(contract, METRIC_STORE_EVENTS), 2u);
}

/* Its asker did not hear of the first time, and asks again: perhaps with another slot. */
void store_contract_an_exchange_has_one_event(struct store_contract *contract)
{
    struct store *store = contract_open(contract);
    uint64_t fence = contract_create(contract, store, "abc", "keys", "", NULL)->fence;
    uint64_t other = contract_create(contract, store, "abd", "keys", "", NULL)->fence;
    const char *const same[] = {"001aa first", "001aa again", "002aa with another number"};
    for (uint8_t i = 0; i < 3; i++)
        cr_assert_eq(
            contract_exchange(contract, store, "abc", fence, i / 2, same[i], "event")->outcome,
            STORE_OK);
    cr_assert_eq(contract_counted(contract, METRIC_STORE_EVENTS), 1u);
    cr_assert_eq(contract_exchange(contract, store, "abc", fence, 2, "001ab", "event")->outcome,
                 STORE_OK);
    cr_assert_eq(contract_exchange(contract, store, "abd", other, 0, "001aa", "event")->outcome,
                 STORE_OK);
    cr_assert_eq(contract_exchange(contract, store, "abd", other, 1, "01aa", "event")->outcome,
                 STORE_OK);
    cr_assert_eq(contract_exchange(contract, store, "abd", other, 2, "01aa", "event")->outcome,
                 STORE_OK);
    cr_assert_eq(contract_counted(contract, METRIC_STORE_EVENTS), 5u);
    const char *expected[COAP_EXCHANGES_PER_PEER_MAX] = {"001aa again", "002aa with another number",
                                                         "001ab"};
    check_exchanges(contract_claim(contract, store, "abc"), expected);
}

void store_contract_an_exchange_takes_the_mark_along(struct store_contract *contract)
{
    struct store *store = contract_open(contract);
    uint64_t fence = contract_create(contract, store, "abc", "keys", "old", NULL)->fence;
    const char *const marks[] = {"", "new", "", "one that has outgrown its room"};
    const char *const found[] = {"old", "new", "new", "one that has outgrown its room"};
    for (uint8_t i = 0; i < 4; i++) {
        const struct store_exchange exchange = {i, contract_octets("a value"),
                                                contract_octets(marks[i])};
        struct store_waiter waiter = contract_waiter(contract, "abc");
        contract_asked(contract, store_save_exchange(store, fence, &exchange,
                                                     contract_octets("event"), &waiter));
        contract_settle(contract);
        const struct seen_answer *answer = contract_claim(contract, store, "abc");
        cr_assert_eq(answer->outcome, STORE_OK);
        cr_assert_eq(answer->mark_length, strlen(found[i]));
        cr_assert_eq(memcmp(answer->mark, found[i], strlen(found[i])), 0);
        cr_assert(seen_value_is(answer, "keys"));
        fence = answer->fence;
    }
    const struct store_exchange stale = {0, contract_octets("x"), contract_octets("stale")};
    struct store_waiter waiter = contract_waiter(contract, "abc");
    contract_asked(contract,
                   store_save_exchange(store, fence - 1, &stale, contract_octets(""), &waiter));
    contract_settle(contract);
    cr_assert_eq(contract_claim(contract, store, "abc")->mark_length, strlen(found[3]));
}

void store_contract_session_is_found_by_address(struct store_contract *contract)
{
    struct store *store = contract_open(contract);
    const struct address here = address_of(1);
    const struct address there = address_of(2);
    cr_assert_eq(contract_create(contract, store, "abc", "keys", "", &here)->outcome, STORE_OK);
    cr_assert_eq(contract_find(contract, store, &there)->outcome, STORE_NOT_FOUND);
    const struct seen_answer *answer =
        contract_find(contract, other_handle(contract, store), &here);
    cr_assert_eq(answer->outcome, STORE_OK);
    cr_assert(seen_value_is(answer, "abc"));
}

void store_contract_address_goes_to_the_newer_session(struct store_contract *contract)
{
    struct store *store = contract_open(contract);
    const struct address here = address_of(1);
    uint64_t old = contract_create(contract, store, "old", "keys", "", &here)->fence;
    uint64_t new = contract_create(contract, store, "new", "keys", "", &here)->fence;
    cr_assert(seen_value_is(contract_find(contract, store, &here), "new"));
    cr_assert_eq(contract_remove(contract, store, "old", old)->outcome, STORE_OK);
    cr_assert(seen_value_is(contract_find(contract, store, &here), "new"));
    cr_assert_eq(contract_remove(contract, store, "new", new)->outcome, STORE_OK);
    cr_assert_eq(contract_find(contract, store, &here)->outcome, STORE_NOT_FOUND);
}

void store_contract_removed_session_is_gone(struct store_contract *contract)
{
    struct store *store = contract_open(contract);
    const struct address here = address_of(1);
    uint64_t fence = contract_create(contract, store, "abc", "keys", "", &here)->fence;
    cr_assert_eq(contract_remove(contract, store, "abc", fence)->outcome, STORE_OK);
    cr_assert_eq(contract_remove(contract, store, "abc", fence)->outcome, STORE_NOT_FOUND);
    cr_assert_eq(contract_claim(contract, store, "abc")->outcome, STORE_NOT_FOUND);
    cr_assert_eq(contract_lease(contract, store, "abc", fence)->outcome, STORE_NOT_FOUND);
    cr_assert_eq(contract_find(contract, store, &here)->outcome, STORE_NOT_FOUND);
}

void store_contract_remove_by_a_stale_owner(struct store_contract *contract)
{
    struct store *store = contract_open(contract);
    uint64_t old = contract_create(contract, store, "abc", "keys", "", NULL)->fence;
    uint64_t fence = contract_claim(contract, store, "abc")->fence;
    cr_assert_eq(contract_remove(contract, store, "abc", old)->outcome, STORE_STALE);
    cr_assert_eq(contract_mark(contract, store, "abc", fence, "lives")->outcome, STORE_OK);
}

void store_contract_remove_and_create_again(struct store_contract *contract)
{
    struct store *store = contract_open(contract);
    uint64_t fence = contract_create(contract, store, "abc", "keys", "", NULL)->fence;
    (void)contract_exchange(contract, store, "abc", fence, 2, "of the first life", "");
    cr_assert_eq(contract_remove(contract, store, "abc", fence)->outcome, STORE_OK);
    cr_assert_eq(contract_create(contract, store, "abc", "new keys", "", NULL)->outcome, STORE_OK);
    const struct seen_answer *answer = contract_claim(contract, store, "abc");
    cr_assert(seen_value_is(answer, "new keys"));
    cr_assert_eq(answer->exchange_count, 0u);
}

void store_contract_sessions_expire(struct store_contract *contract)
{
    struct store *store = contract_open(contract);
    const struct address here = address_of(1);
    uint64_t fence = contract_create(contract, store, "abc", "keys", "", &here)->fence;
    contract_pass(contract, CONTRACT_SESSION_TTL_S * 1000 + 50);
    cr_assert_eq(contract_find(contract, store, &here)->outcome, STORE_NOT_FOUND);
    cr_assert_eq(contract_lease(contract, store, "abc", fence)->outcome, STORE_NOT_FOUND);
    cr_assert_eq(contract_claim(contract, store, "abc")->outcome, STORE_NOT_FOUND);
    cr_assert_eq(contract_create(contract, store, "abc", "again", "", &here)->outcome, STORE_OK);
    cr_assert(seen_value_is(contract_find(contract, store, &here), "abc"));
}

void store_contract_leases_and_marks_renew(struct store_contract *contract)
{
    struct store *store = contract_open(contract);
    uint64_t ttl_ms = CONTRACT_SESSION_TTL_S * UINT64_C(1000);
    const struct address here = address_of(1);
    uint64_t fence = contract_create(contract, store, "abc", "keys", "", &here)->fence;
    contract_pass(contract, ttl_ms * 7 / 10);
    cr_assert_eq(contract_lease(contract, store, "abc", fence)->outcome, STORE_OK);
    contract_pass(contract, ttl_ms * 7 / 10);
    cr_assert_eq(contract_mark(contract, store, "abc", fence, "m")->outcome, STORE_OK);
    contract_pass(contract, ttl_ms * 7 / 10);
    cr_assert(seen_value_is(contract_find(contract, store, &here), "abc"));
    cr_assert_eq(contract_claim(contract, store, "abc")->outcome, STORE_OK);
    contract_pass(contract, ttl_ms * 7 / 10);
    cr_assert_eq(contract_claim(contract, store, "abc")->outcome, STORE_OK);
}

void store_contract_cids_of_other_lengths_are_others(struct store_contract *contract)
{
    struct store *store = contract_open(contract);
    uint64_t fence = contract_create(contract, store, "ab", "two", "", NULL)->fence;
    uint64_t longer = contract_create(contract, store, "abc", "three", "", NULL)->fence;
    cr_assert_eq(contract_create(contract, store, "a", "one", "", NULL)->outcome, STORE_OK);
    (void)contract_exchange(contract, store, "ab", fence, 1, "of two", "");
    (void)contract_exchange(contract, store, "abc", longer, 2, "of three", "");
    const char *of_two[COAP_EXCHANGES_PER_PEER_MAX] = {[1] = "of two"};
    const char *of_three[COAP_EXCHANGES_PER_PEER_MAX] = {[2] = "of three"};
    const char *none[COAP_EXCHANGES_PER_PEER_MAX] = {0};
    check_exchanges(contract_claim(contract, store, "a"), none);
    check_exchanges(contract_claim(contract, store, "abc"), of_three);
    const struct seen_answer *answer = contract_claim(contract, store, "ab");
    check_exchanges(answer, of_two);
    cr_assert_eq(contract_remove(contract, store, "ab", answer->fence)->outcome, STORE_OK);
    answer = contract_claim(contract, store, "abc");
    cr_assert(seen_value_is(answer, "three"));
    check_exchanges(answer, of_three);
}
