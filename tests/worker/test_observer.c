#include "tests/worker/observer_bench.h"

#include <criterion/criterion.h>
#include <string.h>

static struct observer_bench *bench;

static void open_bench(void)
{
    bench = observer_bench_open(3600, 0);
}

static void close_bench(void)
{
    observer_bench_close(bench);
}

TestSuite(observer, .init = open_bench, .fini = close_bench);

static struct octets octets_of(const char *text)
{
    return (struct octets){(const uint8_t *)text, strlen(text)};
}

static void cancel(uint64_t id, const char *token)
{
    const struct coap_peer peer = observer_bench_peer(bench, id);
    observer_cancel(&bench->observers, &peer, octets_of(token), OBSERVER_DEREGISTERED,
                    observer_bench_now(bench));
}

static struct observer *add(uint64_t id, const char *token, const char *target)
{
    const struct coap_peer peer = observer_bench_peer(bench, id);
    const struct subject_key key = observer_bench_key(target);
    return observer_add(&bench->observers, &peer, octets_of(token), &key,
                        observer_bench_now(bench));
}

static void joined(uint64_t id, const char *token)
{
    const struct coap_peer peer = observer_bench_peer(bench, id);
    observer_joined(&bench->observers, &peer, octets_of(token), observer_bench_now(bench));
}

Test(observer, is_told_of_a_change_with_its_token_and_a_greater_number)
{
    uint32_t first = observer_bench_join(bench, 1, "tok", "/a");
    observer_bench_change(bench, "/a", "second");
    const struct observer_bench_sent *sent = observer_bench_take(bench, 1);
    cr_expect_eq(sent->session_id, 1);
    cr_expect_eq(sent->type, MESSAGE_NON);
    cr_expect_eq(sent->code, CODE_CONTENT);
    cr_expect_str_eq(sent->token, "tok");
    cr_expect_str_eq(sent->payload, "second");
    cr_expect(sent->has_number);
    cr_expect(subject_number_follows(sent->number, first));
    observer_bench_change(bench, "/b", "nobody observes it");
    observer_bench_take(bench, 0);
}

/* "a notification to a client that has not registered yet" is none: its reply has the state. */
Test(observer, is_told_only_once_its_registration_was_answered)
{
    struct observer *observer = add(1, "t", "/a");
    cr_assert_not_null(observer);
    observer_number(&bench->observers, observer, bench->version);
    observer_bench_change(bench, "/a", "second");
    observer_bench_take(bench, 0);
    joined(1, "t");
    cr_expect_str_eq(observer_bench_take(bench, 1)->payload, "second");
    joined(1, "t");
    joined(1, "another");
    observer_bench_take(bench, 0);
}

/* "the server MUST NOT add a new entry but MUST replace or update the existing one" (RFC 7641
 * section 4.1) */
Test(observer, a_token_has_one_entry)
{
    observer_bench_join(bench, 1, "t", "/a");
    observer_bench_join(bench, 1, "t", "/a");
    cr_expect_eq(observers_count(&bench->observers), 1);
    observer_bench_join(bench, 1, "t", "/b");
    cr_expect_eq(observers_count(&bench->observers), 1);
    observer_bench_change(bench, "/a", "of a");
    observer_bench_take(bench, 0);
    observer_bench_change(bench, "/b", "of b");
    cr_expect_str_eq(observer_bench_take(bench, 1)->payload, "of b");
    cr_expect_eq(bench->observers.subjects.pool.in_use, 1, "the subject of before is gone");
}

Test(observer, tokens_are_compared_whole_and_per_peer)
{
    observer_bench_join(bench, 1, "", "/a");
    observer_bench_join(bench, 1, "t", "/a");
    observer_bench_join(bench, 1, "tt", "/a");
    observer_bench_join(bench, 1, "12345678", "/a");
    observer_bench_join(bench, 2, "t", "/a");
    cr_expect_eq(observers_count(&bench->observers), 5);
    cancel(1, "t");
    cr_expect_null(observer_bench_find(bench, 1, "t"));
    cr_expect_not_null(observer_bench_find(bench, 1, ""));
    cr_expect_not_null(observer_bench_find(bench, 1, "tt"));
    cr_expect_not_null(observer_bench_find(bench, 2, "t"));
}

/* "If the Observe Option in a GET request is set to 1 (deregister), then the server MUST remove any
 * existing entry with a matching endpoint/token pair from the list of observers" (RFC 7641 section
 * 4.1) */
Test(observer, deregisters)
{
    observer_bench_join(bench, 1, "t", "/a");
    uint8_t slot = (uint8_t)observer_bench_find(bench, 1, "t")->slot;
    cancel(1, "another");
    cancel(2, "t");
    cr_expect_eq(observers_count(&bench->observers), 1);
    cancel(1, "t");
    cr_expect_eq(observers_count(&bench->observers), 0);
    cr_expect_eq(bench->ended_id, 1);
    cr_expect_eq(bench->ended_slot, slot);
    cr_expect_eq(observer_bench_count(bench, WORKER_OBSERVERS_ENDED_DEREGISTERED), 1);
    cr_expect_eq(bench->observers.subjects.pool.in_use, 0);
    cr_expect_eq(bench->observers.peer_pool.in_use, 0);
    observer_bench_change(bench, "/a", "nobody");
    observer_bench_take(bench, 0);
}

Test(observer, a_peer_has_so_many_and_each_a_slot_of_its_own)
{
    char token[] = "a";
    uint32_t slots = 0;
    for (unsigned i = 0; i < OBSERVERS_PER_PEER_MAX; i++, token[0]++) {
        struct observer *observer = add(1, token, "/a");
        cr_assert_not_null(observer);
        slots |= UINT32_C(1) << observer->slot;
    }
    cr_expect_eq(slots, (UINT32_C(1) << OBSERVERS_PER_PEER_MAX) - 1);
    cr_expect_null(add(1, token, "/a"));
    cr_expect_eq(observer_bench_count(bench, WORKER_OBSERVERS_REFUSED), 1);
    cr_expect_not_null(add(2, token, "/a"));
    unsigned slot = observer_bench_find(bench, 1, "c")->slot;
    cancel(1, "c");
    cr_expect_eq(add(1, token, "/a")->slot, slot, "used again");
}

Test(observer, what_finds_no_room_leaves_nothing_behind)
{
    char target[] = "/0";
    for (; target[1] < '8'; target[1]++)
        cr_assert_not_null(add(1, target, target));
    cr_expect_null(add(2, "t", "/8"), "subjects are used up");
    cr_expect_eq(bench->observers.peer_pool.in_use, 1);
    for (uint64_t id = 2; id < OBSERVER_BENCH_PEERS; id++) {
        add(id, "t", "/0");
        add(id, "u", "/0");
    }
    cr_expect_eq(observers_count(&bench->observers), 1024);
    cr_expect_eq(observer_bench_count(bench, WORKER_OBSERVERS), 1024);
}

Test(observer, plain_peers_are_told_apart_by_their_addresses)
{
    struct coap_peer peers[OBSERVERS_PLAIN_MAX + 1];
    const struct subject_key key = observer_bench_key("/a");
    for (size_t i = 0; i < OBSERVERS_PLAIN_MAX + 1; i++) {
        peers[i] = observer_bench_peer(bench, 0);
        peers[i].path.address.port = (uint16_t)(i + 1);
    }
    for (size_t i = 0; i < 2; i++)
        cr_assert_not_null(observer_add(&bench->observers, &peers[i], octets_of("t"), &key,
                                        observer_bench_now(bench)));
    cr_expect_eq(observers_count(&bench->observers), 2);
    observer_cancel(&bench->observers, &peers[0], octets_of("t"), OBSERVER_DEREGISTERED,
                    observer_bench_now(bench));
    cr_expect_null(observer_find(&bench->observers, &peers[0], octets_of("t")));
    cr_expect_not_null(observer_find(&bench->observers, &peers[1], octets_of("t")));
    cr_expect_eq(bench->ended_count, 0, "they are in no store");
}

Test(observer, forgotten_ones_stay_in_the_store)
{
    const struct coap_peer peer = observer_bench_peer(bench, 1);
    observer_bench_join(bench, 1, "t", "/a");
    observer_bench_join(bench, 1, "u", "/b");
    observer_bench_join(bench, 2, "t", "/a");
    cr_expect(observers_has_peer(&bench->observers, &peer));
    observers_forget(&bench->observers, &peer);
    cr_expect_not(observers_has_peer(&bench->observers, &peer));
    cr_expect_eq(observers_count(&bench->observers), 1);
    cr_expect_eq(bench->ended_count, 0);
    observers_forget(&bench->observers, &peer);
    observer_bench_change(bench, "/a", "second");
    cr_expect_eq(observer_bench_take(bench, 1)->session_id, 2);
}

static struct relation_value describe(uint64_t id, const char *token)
{
    struct relation_value value;
    observer_describe(observer_bench_find(bench, id, token), observer_bench_now(bench), &value);
    return value;
}

static enum status restore(uint64_t id, uint8_t slot, const struct relation_value *value)
{
    const struct coap_peer peer = observer_bench_peer(bench, id);
    enum status status =
        observer_restore(&bench->observers, &peer, slot, value, observer_bench_now(bench));
    observer_bench_pass(bench, 10);
    return status;
}

Test(observer, an_heir_knows_it_and_tells_it_confirmably_what_has_changed_since)
{
    uint32_t first = observer_bench_join(bench, 1, "t", "/a?q");
    const struct relation_value value = describe(1, "t");
    uint8_t target[8];
    struct relation_value kept = value;
    memcpy(target, value.target.bytes, value.target.length);
    kept.target.bytes = target;
    cr_expect_eq(value.number, first);
    cr_expect_eq(value.role, RELATION_OBSERVER);
    const struct coap_peer peer = observer_bench_peer(bench, 1);
    observers_forget(&bench->observers, &peer);
    bench->version += 5;
    bench->text = "changed while nobody was there";
    cr_expect_eq(restore(1, 3, &kept), STATUS_OK);
    const struct observer_bench_sent *sent = observer_bench_take(bench, 1);
    cr_expect_eq(sent->type, MESSAGE_CON);
    cr_expect_eq(sent->slot, 3);
    cr_expect_str_eq(sent->token, "t");
    cr_expect_str_eq(sent->payload, "changed while nobody was there");
    cr_expect(subject_number_follows(sent->number, first));
    observer_bench_confirmed(bench, sent, OBSERVER_ACKNOWLEDGED);
    observer_bench_change(bench, "/a", "later");
    sent = observer_bench_take(bench, 1);
    cr_expect_eq(sent->type, MESSAGE_NON);
    cr_expect_str_eq(sent->payload, "later");
}

Test(observer, an_heir_says_nothing_of_what_is_as_it_was)
{
    observer_bench_join(bench, 1, "t", "/a");
    struct relation_value value = describe(1, "t");
    value.target = octets_of("/a");
    const struct coap_peer peer = observer_bench_peer(bench, 1);
    observers_forget(&bench->observers, &peer);
    cr_expect_eq(restore(1, 0, &value), STATUS_OK);
    observer_bench_take(bench, 0);
    observer_bench_change(bench, "/a", "second");
    cr_expect_eq(observer_bench_take(bench, 1)->type, MESSAGE_CON, "does it live?");
}

/* Nothing is owed to it, and it has to confirm some time all the same. */
Test(observer, an_heir_finds_out_who_is_there_though_nothing_changes)
{
    observer_bench_join(bench, 1, "t", "/a");
    struct relation_value value = describe(1, "t");
    value.target = octets_of("/a");
    const struct coap_peer peer = observer_bench_peer(bench, 1);
    observers_forget(&bench->observers, &peer);
    cr_expect_eq(restore(1, 0, &value), STATUS_OK);
    observer_bench_pass(bench, UINT64_C(3601) * 1000);
    const struct observer_bench_sent sent = *observer_bench_take(bench, 1);
    cr_expect_eq(sent.type, MESSAGE_CON);
    observer_bench_confirmed(bench, &sent, OBSERVER_UNANSWERED);
    cr_expect_eq(observers_count(&bench->observers), 0);
    cr_expect_eq(bench->ended_count, 1);
}

/* Two that the dead worker left at different states of one resource. */
Test(observer, an_heir_tells_whom_it_has_to)
{
    struct relation_value value = {
        .role = RELATION_OBSERVER,
        .token_length = 1,
        .token = "t",
        .has_number = true,
        .number = 100,
        .block_exponent = RELATION_BLOCK_NONE,
        .target = octets_of("/a"),
    };
    bench->renders_later = true;
    cr_expect_eq(restore(1, 0, &value), STATUS_OK);
    value.number = 99;
    cr_expect_eq(restore(2, 0, &value), STATUS_OK);
    observer_bench_take(bench, 0);
    observer_bench_render(bench); /* version 100 */
    cr_expect_eq(observer_bench_take(bench, 1)->session_id, 2);
}

Test(observer, what_cannot_be_restored_is_refused)
{
    struct relation_value value = {
        .role = RELATION_OBSERVER,
        .token_length = 1,
        .token = "t",
        .block_exponent = RELATION_BLOCK_NONE,
        .target = octets_of("/a"),
    };
    cr_expect_eq(restore(1, OBSERVERS_PER_PEER_MAX, &value), STATUS_FULL);
    cr_expect_eq(bench->observers.peer_pool.in_use, 0);
    cr_expect_eq(bench->observers.subjects.pool.in_use, 0);
    cr_expect_eq(restore(1, 0, &value), STATUS_OK);
    cr_expect_eq(restore(1, 1, &value), STATUS_FULL, "the token has an entry");
    value.token[0] = 'u';
    cr_expect_eq(restore(1, 0, &value), STATUS_FULL, "the slot is taken");
}

/* The number of the reply is of the state that the reply has; those who know less are told. */
Test(observer, a_registration_that_meets_a_newer_state_makes_it_known)
{
    observer_bench_join(bench, 1, "t", "/a");
    bench->version++;
    bench->text = "second";
    uint32_t number = observer_bench_join(bench, 2, "t", "/a");
    cr_expect_eq(number, bench->version & RELATION_NUMBER_MAX);
    observer_bench_pass(bench, 10);
    cr_assert_geq(bench->sent_count, 1);
    bool is_told = false;
    for (size_t i = 0; i < bench->sent_count; i++)
        is_told |= bench->sent[i].session_id == 1;
    cr_expect(is_told);
}

Test(observer, one_relation_takes_no_more_than_it_may)
{
    size_t slots = 8 * 8 / 3; /* octets of table at the least load of 3/8 */
    cr_expect_leq(sizeof(struct observer) + sizeof(struct observer_peer) + slots, 128);
    cr_expect_eq(OBSERVER_SIZE_MAX, 128);
}
