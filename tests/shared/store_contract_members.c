#include <criterion/criterion.h>
#include <string.h>

#include "store_contract.h"

static bool member_equal(const struct store_member *a, const struct store_member *b)
{
    return a->worker_id == b->worker_id && a->state == b->state &&
           boot_id_compare(&a->boot, &b->boot) == 0 && address_equal(&a->link, &b->link) &&
           address_equal(&a->http, &b->http);
}

/* Joins, and gives the id. */
static uint16_t join(struct store_contract *contract, struct store *store, uint16_t worker_id,
                     uint8_t boot)
{
    const struct store_member member = contract_member(worker_id, boot);
    const struct seen_answer *answer = contract_join(contract, store, &member);
    cr_assert_eq(answer->outcome, STORE_OK);
    cr_assert_eq(answer->member_count, 1u);
    return answer->members[0].worker_id;
}

void store_contract_join_with_an_id(struct store_contract *contract)
{
    struct store *store = contract_open(contract);
    struct store *other = contract->engine->is_shared ? contract_open(contract) : store;
    const struct store_member member = contract_member(300, 1);
    cr_assert_eq(contract_list(contract, store)->member_count, 0u);
    const struct seen_answer *answer = contract_join(contract, store, &member);
    cr_assert_eq(answer->outcome, STORE_OK);
    cr_assert_eq(answer->member_count, 1u);
    cr_assert(member_equal(&answer->members[0], &member));
    answer = contract_list(contract, other);
    cr_assert_eq(answer->outcome, STORE_OK);
    cr_assert_eq(answer->member_count, 1u);
    cr_assert(member_equal(&answer->members[0], &member));
}

void store_contract_join_for_the_lowest_free_id(struct store_contract *contract)
{
    struct store *store = contract_open(contract);
    cr_assert_eq(join(contract, store, 2, 1), 2);
    cr_assert_eq(join(contract, store, 0, 2), 1);
    cr_assert_eq(join(contract, store, 0, 3), 3);
    cr_assert_eq(join(contract, store, 0, 4), 4);
    const struct store_member leaver = contract_member(3, 3);
    cr_assert_eq(contract_leave(contract, store, &leaver)->outcome, STORE_OK);
    cr_assert_eq(join(contract, store, 0, 5), 3);
}

void store_contract_join_of_a_held_id(struct store_contract *contract)
{
    struct store *store = contract_open(contract);
    struct store *other = contract->engine->is_shared ? contract_open(contract) : store;
    const struct store_member second = contract_member(5, 2);
    (void)join(contract, store, 5, 1);
    cr_assert_eq(contract_join(contract, other, &second)->outcome, STORE_EXISTS);
    const struct store_member first = contract_member(5, 1);
    const struct seen_answer *answer = contract_list(contract, other);
    cr_assert_eq(answer->member_count, 1u);
    cr_assert(member_equal(&answer->members[0], &first));
}

/* An answer that was lost leaves a worker not knowing whether it has joined. */
void store_contract_join_again_by_the_same_boot(struct store_contract *contract)
{
    struct store *store = contract_open(contract);
    cr_assert_eq(join(contract, store, 0, 1), 1);
    cr_assert_eq(join(contract, store, 0, 2), 2);
    cr_assert_eq(join(contract, store, 0, 2), 2);
    cr_assert_eq(join(contract, store, 2, 2), 2);
    cr_assert_eq(contract_list(contract, store)->member_count, 2u);
}

void store_contract_join_when_all_ids_are_taken(struct store_contract *contract)
{
    struct store *store = contract_open(contract);
    for (uint16_t id = 1; id <= WORKERS_MAX; id++) {
        const struct store_member member = contract_member(id, (uint8_t)(id - 1));
        struct store_waiter waiter = contract_waiter(contract, "");
        contract_asked(contract, store_join(store, &member, &waiter));
    }
    contract_settle(contract);
    struct store_member late = contract_member(0, 0);
    late.boot.bytes[0] = 1;
    cr_assert_eq(contract_join(contract, store, &late)->outcome, STORE_EXISTS);
    cr_assert_eq(contract_list(contract, store)->member_count, (size_t)WORKERS_MAX);
}

void store_contract_beat_renews_and_rewrites(struct store_contract *contract)
{
    struct store *store = contract_open(contract);
    struct store_member member = contract_member(1, 1);
    member.state = STORE_JOINING;
    (void)contract_join(contract, store, &member);
    member.state = STORE_DRAINING;
    member.link.port++;
    for (int i = 0; i < 4; i++) {
        contract_pass(contract, CONTRACT_MEMBER_TTL_MS * 6 / 10);
        cr_assert_eq(contract_beat(contract, store, &member)->outcome, STORE_OK);
    }
    const struct seen_answer *answer = contract_list(contract, store);
    cr_assert_eq(answer->member_count, 1u);
    cr_assert(member_equal(&answer->members[0], &member));
}

void store_contract_beat_of_an_old_boot(struct store_contract *contract)
{
    struct store *store = contract_open(contract);
    const struct store_member old = contract_member(1, 1);
    const struct store_member new = contract_member(1, 2);
    (void)join(contract, store, 1, 1);
    contract_pass(contract, CONTRACT_MEMBER_TTL_MS + 50);
    (void)join(contract, store, 1, 2);
    cr_assert_eq(contract_beat(contract, store, &old)->outcome, STORE_STALE);
    const struct seen_answer *answer = contract_list(contract, store);
    cr_assert_eq(answer->member_count, 1u);
    cr_assert(member_equal(&answer->members[0], &new));
}

void store_contract_beat_of_one_that_ran_out(struct store_contract *contract)
{
    struct store *store = contract_open(contract);
    const struct store_member member = contract_member(1, 1);
    cr_assert_eq(contract_beat(contract, store, &member)->outcome, STORE_NOT_FOUND);
    (void)join(contract, store, 1, 1);
    contract_pass(contract, CONTRACT_MEMBER_TTL_MS + 50);
    cr_assert_eq(contract_list(contract, store)->member_count, 0u);
    cr_assert_eq(contract_beat(contract, store, &member)->outcome, STORE_NOT_FOUND);
    cr_assert_eq(contract_list(contract, store)->member_count, 0u);
    (void)join(contract, store, 1, 1);
    cr_assert_eq(contract_beat(contract, store, &member)->outcome, STORE_OK);
}

void store_contract_expired_id_can_be_taken(struct store_contract *contract)
{
    struct store *store = contract_open(contract);
    (void)join(contract, store, 1, 1);
    (void)join(contract, store, 9, 2);
    contract_pass(contract, CONTRACT_MEMBER_TTL_MS + 50);
    cr_assert_eq(join(contract, store, 9, 3), 9);
    cr_assert_eq(join(contract, store, 0, 4), 1);
    cr_assert_eq(contract_list(contract, store)->member_count, 2u);
}

void store_contract_leave_frees_the_id(struct store_contract *contract)
{
    struct store *store = contract_open(contract);
    const struct store_member member = contract_member(1, 1);
    (void)join(contract, store, 1, 1);
    cr_assert_eq(contract_leave(contract, store, &member)->outcome, STORE_OK);
    cr_assert_eq(contract_list(contract, store)->member_count, 0u);
    cr_assert_eq(contract_leave(contract, store, &member)->outcome, STORE_NOT_FOUND);
    cr_assert_eq(contract_beat(contract, store, &member)->outcome, STORE_NOT_FOUND);
    cr_assert_eq(join(contract, store, 1, 2), 1);
}

void store_contract_leave_of_an_old_boot(struct store_contract *contract)
{
    struct store *store = contract_open(contract);
    const struct store_member old = contract_member(1, 1);
    (void)join(contract, store, 1, 1);
    contract_pass(contract, CONTRACT_MEMBER_TTL_MS + 50);
    (void)join(contract, store, 1, 2);
    cr_assert_eq(contract_leave(contract, store, &old)->outcome, STORE_STALE);
    cr_assert_eq(contract_list(contract, store)->member_count, 1u);
}

void store_contract_list_is_in_order_of_id(struct store_contract *contract)
{
    static const uint16_t ids[] = {256, 3, 65535, 1, 10, 2};
    static const uint16_t sorted[] = {1, 2, 3, 10, 256, 65535};
    struct store *store = contract_open(contract);
    for (uint8_t i = 0; i < 6; i++)
        (void)join(contract, store, ids[i], i);
    const struct seen_answer *answer = contract_list(contract, store);
    cr_assert_eq(answer->member_count, 6u);
    for (size_t i = 0; i < 6; i++)
        cr_assert_eq(answer->members[i].worker_id, sorted[i]);
}
