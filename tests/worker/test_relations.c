/* Relations that end, between a DTLS endpoint that has the session, an endpoint of CoAP that has,
 * or has not, the observer, and a store that can break. */
#include "worker/relations.h"

#include <criterion/criterion.h>
#include <string.h>

#include "tests/worker/coap_bench.h"
#include "tests/worker/endpoint.h"
#include "tests/worker/peer.h"
#include "worker/relation_value.h"

static struct endpoint first, second;
static struct peer peer;
static struct coap_bench bench;
static struct relations relations;
static struct session *session;
static struct cid cid;

static void open_all(void)
{
    endpoint_open(&first, &(struct endpoint_options){.worker_id = 1});
    endpoint_open(&second, &(struct endpoint_options){.worker_id = 2, .store = first.store});
    peer_open(&peer, &(struct peer_options){.cid = true});
    cr_assert(peer_connect(&peer, &first));
    cr_assert(peer_converses(&peer, &first));
    endpoint_run(&first, MARK_INTERVAL_MS);
    session = first.receiver;
    cid = session->own_cid;
    coap_bench_open(&bench, 64);
    relations = (struct relations){
        .store = first.store, .coap = bench.coap, .dtls = first.dtls, .metrics = &bench.metrics};
    relations_run(&relations, first.now_ms);
}

static void close_all(void)
{
    coap_bench_close(&bench);
    peer_close(&peer);
    endpoint_close(&second);
    endpoint_close(&first);
}

TestSuite(relations, .init = open_all, .fini = close_all);

/* As its registration was saved. */
static void write_value(struct writer *writer)
{
    const struct relation_value value = {
        .role = RELATION_OBSERVER,
        .token = {'t'},
        .token_length = 1,
        .block_exponent = RELATION_BLOCK_NONE,
        .target = {(const uint8_t *)"/ps/room", 8},
    };
    relation_value_write(writer, &value);
}

static void store_one(uint8_t slot)
{
    uint8_t space[STORE_RELATION_MAX];
    struct writer writer = writer_over(space, sizeof(space));
    write_value(&writer);
    const struct store_relation relation = {.slot = slot, .value = {space, writer_length(&writer)}};
    cr_assert_eq(store_save_relation(first.store, session->fence, &relation,
                                     (struct octets){.length = 0},
                                     &(struct store_waiter){.subject = cid}),
                 STATUS_OK);
    endpoint_run(&first, 0);
}

static void restore_one(uint8_t slot)
{
    uint8_t space[STORE_RELATION_MAX];
    struct writer writer = writer_over(space, sizeof(space));
    write_value(&writer);
    const struct coap_peer who = {session->id, session, session->path};
    struct relation_value value;
    cr_assert_eq(relation_value_read(&value, (struct octets){space, writer_length(&writer)}),
                 STATUS_OK);
    cr_assert_eq(
        coap_restore_observer(bench.coap, &who, slot, &value, coap_bench_now(first.now_ms)),
        STATUS_OK);
}

static void pass(uint64_t ms)
{
    endpoint_run(&first, ms);
    relations_run(&relations, first.now_ms);
    endpoint_run(&first, 0);
}

/* What an heir would be given. */
static size_t stored(void)
{
    size_t before = second.relations;
    cr_assert_eq(dtls_claim(second.dtls, &cid), STATUS_OK);
    endpoint_run(&second, 0);
    cr_assert_eq(second.claim_outcome, STORE_OK);
    return second.relations - before;
}

Test(relations, what_is_over_leaves_the_store)
{
    store_one(3);
    relation_remove(&relations, session, 3);
    pass(1);
    cr_expect_eq(relations.removed_count, 0);
    cr_expect_eq(relations_next_ms(&relations), UINT64_MAX);
    cr_expect_eq(stored(), 0);
}

/* Otherwise an heir, or this worker itself, would find it there after any time. */
Test(relations, what_the_store_did_not_confirm_is_taken_out_again)
{
    store_one(3);
    endpoint_break_store(&first, &(struct endpoint_breakage){.relations = true});
    relation_remove(&relations, session, 3);
    pass(1);
    cr_expect_eq(relations.removed_count, 1);
    pass(RELATION_RETRY_MS);
    cr_expect_eq(relations.removed_count, 1, "and again");
    endpoint_break_store(&first, &(struct endpoint_breakage){.relations = true, .trouble = "gone"});
    pass(RELATION_RETRY_MS);
    cr_expect_gt(relations_next_ms(&relations), first.now_ms, "it is waited for");
    endpoint_break_store(&first, &(struct endpoint_breakage){0});
    pass(RELATION_RETRY_MS);
    cr_expect_eq(relations.removed_count, 0);
    cr_expect_eq(stored(), 0);
}

Test(relations, what_the_store_has_no_room_to_be_asked_is_taken_out_later)
{
    store_one(3);
    endpoint_break_store(&first, &(struct endpoint_breakage){.full = true});
    relation_remove(&relations, session, 3);
    cr_expect_eq(relations.removed_count, 1);
    endpoint_break_store(&first, &(struct endpoint_breakage){0});
    pass(RELATION_RETRY_MS);
    cr_expect_eq(stored(), 0);
}

Test(relations, a_slot_that_is_another_s_by_then_is_left_alone)
{
    store_one(3);
    endpoint_break_store(&first, &(struct endpoint_breakage){.relations = true});
    relation_remove(&relations, session, 3);
    pass(1);
    endpoint_break_store(&first, &(struct endpoint_breakage){0});
    restore_one(3);
    pass(RELATION_RETRY_MS);
    cr_expect_eq(relations.removed_count, 0);
    cr_expect_eq(stored(), 1);
}

Test(relations, what_goes_with_its_session_is_its_heir_s)
{
    store_one(3);
    endpoint_break_store(&first, &(struct endpoint_breakage){.relations = true});
    relation_remove(&relations, session, 3);
    pass(1);
    endpoint_break_store(&first, &(struct endpoint_breakage){0});
    dtls_lose_session(first.dtls, &cid);
    pass(RELATION_RETRY_MS);
    cr_expect_eq(relations.removed_count, 0);
    cr_expect_eq(stored(), 1);
}

Test(relations, who_learns_from_it_that_the_session_is_another_s_forgets_it)
{
    store_one(3);
    cr_expect_eq(stored(), 1);
    relation_remove(&relations, session, 3);
    pass(1);
    cr_expect_not(dtls_holds(first.dtls, &cid));
    cr_expect_eq(relations.removed_count, 0);
}

/* It was written with the fence of before, and came behind the claim, which has read the relation.
 */
Test(relations, what_ends_while_its_session_is_claimed_again_ends_all_the_same)
{
    store_one(3);
    cr_assert_eq(dtls_claim(first.dtls, &cid), STATUS_OK);
    relation_remove(&relations, session, 3);
    pass(1);
    cr_expect_eq(first.claim_outcome, STORE_OK);
    cr_assert(dtls_holds(first.dtls, &cid));
    cr_expect_eq(first.lost, 0);
    cr_expect_eq(relations.removed_count, 1);
    pass(RELATION_RETRY_MS);
    cr_expect_eq(relations.removed_count, 0);
    cr_expect_eq(stored(), 0);
}

Test(relations, what_waits_for_that_is_bounded)
{
    endpoint_break_store(&first, &(struct endpoint_breakage){.relations = true});
    for (size_t i = 0; i < RELATIONS_REMOVED_MAX + 5; i++)
        relation_remove(&relations, session, (uint8_t)(i % OBSERVERS_PER_PEER_MAX));
    pass(1);
    cr_expect_eq(relations.removed_count, RELATIONS_REMOVED_MAX);
    endpoint_break_store(&first, &(struct endpoint_breakage){0});
    pass(RELATION_RETRY_MS);
    cr_expect_eq(relations.removed_count, 0);
}
