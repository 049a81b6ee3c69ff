/* Adoptions alone, in front of a store whose answers the test gives by hand, in any order. */
#include "worker/adoption.h"

#include <criterion/criterion.h>
#include <string.h>

#include "tests/worker/datagrams.h"
#include "worker/metrics.h"

enum { QUESTIONS_MAX = 64, ADOPTIONS = 8 };
enum kind { CLAIM, FIND };

struct question {
    enum kind kind;
    struct store_waiter waiter;
    uint16_t worker_id;
    struct address address;
};

static struct store store;
static struct question asked[QUESTIONS_MAX];
static size_t asked_count;
static bool store_is_full;

static struct adoptions adoptions;
static struct metrics metrics;
static struct datagrams received;
static size_t adopted;
static enum status adopt_status;
static bool holds_again; /* what is received is held again */
static bool is_held;     /* the session is here by now */
static size_t missed;
static size_t told;
static enum store_outcome told_outcome;
static struct cid told_cid;
static size_t adopted_when_told;

static enum status ask(const struct question *question)
{
    if (store_is_full)
        return STATUS_FULL;
    cr_assert_lt(asked_count, QUESTIONS_MAX);
    asked[asked_count++] = *question;
    return STATUS_OK;
}

static enum status claim_session(struct store *of, uint16_t worker_id,
                                 const struct store_waiter *waiter)
{
    (void)of;
    return ask(&(struct question){.kind = CLAIM, .waiter = *waiter, .worker_id = worker_id});
}

static enum status find_session(struct store *of, const struct address *address,
                                const struct store_waiter *waiter)
{
    (void)of;
    return ask(&(struct question){.kind = FIND, .waiter = *waiter, .address = *address});
}

static const struct store_engine engine = {
    .name = "by hand",
    .claim_session = claim_session,
    .find_session = find_session,
};

static struct cid cid_of(uint8_t number)
{
    return (struct cid){.length = 8, .bytes = {0x27, number, 3, 4, 5, 6, 7, 8}};
}

static struct path path_of(uint8_t number)
{
    return (struct path){.address = {.ip = {[15] = number}, .port = 1000}, .lb = 4, .listener = 2};
}

static enum status adopt(void *owner, const struct cid *cid, const struct store_answer *claimed)
{
    cr_assert_eq(owner, &adoptions);
    cr_assert(cid_equal(cid, &claimed->subject));
    adopted++;
    return adopt_status;
}

static void receive(void *owner, const struct path *path, uint8_t *datagram, size_t length)
{
    cr_assert_eq(owner, &adoptions);
    datagrams_add(&received, path, datagram, length);
    const struct cid cid = cid_of(datagram[0]);
    if (holds_again)
        adoption_hold_by_cid(&adoptions, &cid, path, datagram, length);
}

static void claimed(void *owner, const struct cid *cid, enum store_outcome outcome)
{
    cr_assert_eq(owner, &adoptions);
    told++;
    told_cid = *cid;
    told_outcome = outcome;
    adopted_when_told = adopted;
}

static bool holds(void *owner, const struct cid *cid)
{
    cr_assert_eq(owner, &adoptions);
    (void)cid;
    return is_held;
}

static void miss(void *owner, const struct cid *cid)
{
    cr_assert_eq(owner, &adoptions);
    (void)cid;
    missed++;
}

static void begin(void)
{
    store.engine = &engine;
    adopt_status = STATUS_OK;
    cr_assert_eq(metrics_init(&metrics, worker_metrics, WORKER_METRICS_COUNT, 1), STATUS_OK);
    const struct adoptions_options options = {
        .store = &store,
        .hash_key = {5, 6},
        .worker_id = 77,
        .adoptions_max = ADOPTIONS,
        .metrics = &metrics,
        .holds = holds,
        .adopt = adopt,
        .receive = receive,
        .claimed = claimed,
        .missed = miss,
        .owner = &adoptions,
    };
    cr_assert_eq(adoptions_init(&adoptions, &options), STATUS_OK);
}

static void end(void)
{
    adoptions_free(&adoptions);
    metrics_free(&metrics);
    datagrams_clear(&received);
}

static void hold_by_cid(uint8_t number, const char *text)
{
    const struct cid cid = cid_of(number);
    const struct path path = path_of(number);
    adoption_hold_by_cid(&adoptions, &cid, &path, (const uint8_t *)text, strlen(text));
}

static void hold_by_address(uint8_t number, const char *text)
{
    const struct path path = path_of(number);
    adoption_hold_by_address(&adoptions, &path, (const uint8_t *)text, strlen(text));
}

static void answer(size_t index, enum store_outcome outcome, struct octets value)
{
    const struct store_waiter *waiter = &asked[index].waiter;
    const struct store_answer given = {
        .outcome = outcome, .subject = waiter->subject, .tag = waiter->tag, .value = value};
    cr_assert_lt(index, asked_count);
    waiter->answer(waiter->owner, &given);
}

static void answer_claim(size_t index, enum store_outcome outcome)
{
    cr_assert_eq(asked[index].kind, CLAIM);
    answer(index, outcome, (struct octets){0});
}

static void answer_find(size_t index, const struct cid *cid)
{
    cr_assert_eq(asked[index].kind, FIND);
    answer(index, cid ? STORE_OK : STORE_NOT_FOUND,
           cid ? (struct octets){cid->bytes, cid->length} : (struct octets){0});
}

static uint64_t counted(enum worker_metric metric)
{
    return metrics_get(&metrics, metric);
}

static void expect_received(size_t index, uint8_t number, const char *text)
{
    const struct path path = path_of(number);
    cr_assert_lt(index, received.count);
    const struct datagram *datagram = &received.items[index];
    cr_expect_eq(datagram->length, strlen(text));
    cr_expect_eq(memcmp(datagram->bytes, text, strlen(text)), 0);
    cr_expect(address_equal(&datagram->path.address, &path.address));
    cr_expect_eq(datagram->path.lb, path.lb);
    cr_expect_eq(datagram->path.listener, path.listener);
}

Test(adoption, one_claim_and_then_what_was_held_in_its_order)
{
    begin();
    hold_by_cid(1, "first");
    hold_by_cid(1, "second");
    cr_assert_eq(asked_count, 1);
    cr_expect_eq(asked[0].worker_id, 77);
    cr_expect_eq(received.count, 0);
    answer_claim(0, STORE_OK);
    cr_expect_eq(adopted, 1);
    cr_expect_eq(received.count, 2);
    expect_received(0, 1, "first");
    expect_received(1, 1, "second");
    cr_expect_eq(counted(WORKER_RECORDS_HELD), 2);
    cr_expect_eq(adoptions.pool.in_use, 0);
    end();
}

Test(adoption, only_so_many_are_held_for_one_session)
{
    begin();
    for (int i = 0; i < ADOPTION_HELD_MAX + 5; i++)
        hold_by_cid(1, "wait");
    hold_by_cid(2, "another");
    cr_expect_eq(counted(WORKER_RECORDS_HELD), ADOPTION_HELD_MAX + 1);
    cr_expect_eq(counted(WORKER_DROPPED_CLAIMS_FULL), 5);
    answer_claim(0, STORE_OK);
    cr_expect_eq(received.count, ADOPTION_HELD_MAX);
    end();
}

Test(adoption, only_so_many_sessions_are_claimed_at_once)
{
    begin();
    for (uint8_t i = 0; i < ADOPTIONS; i++) {
        if (i % 2)
            hold_by_cid(i, "wait");
        else
            hold_by_address(i, "wait");
    }
    hold_by_cid(100, "too many");
    hold_by_address(101, "too many");
    cr_expect_eq(asked_count, ADOPTIONS);
    cr_expect_eq(counted(WORKER_DROPPED_CLAIMS_FULL), 2);
    answer_find(0, NULL);
    hold_by_cid(100, "now");
    cr_expect_eq(asked_count, ADOPTIONS + 1);
    cr_expect_eq(counted(WORKER_DROPPED_CLAIMS_FULL), 2);
    end();
}

Test(adoption, what_is_too_long_for_a_datagram_is_not_held)
{
    static const uint8_t octets[DATAGRAM_SIZE_MAX + 1];
    const struct cid cid = cid_of(1);
    const struct path path = path_of(1);
    begin();
    adoption_hold_by_cid(&adoptions, &cid, &path, octets, sizeof(octets));
    cr_expect_eq(counted(WORKER_DROPPED_CLAIMS_FULL), 1);
    adoption_hold_by_cid(&adoptions, &cid, &path, octets, DATAGRAM_SIZE_MAX);
    answer_claim(0, STORE_OK);
    cr_expect_eq(received.count, 1);
    end();
}

Test(adoption, a_full_store_drops_at_once)
{
    begin();
    store_is_full = true;
    hold_by_cid(1, "wait");
    hold_by_address(2, "wait");
    cr_expect_eq(counted(WORKER_DROPPED_CLAIMS_FULL), 2);
    cr_expect_eq(adoptions.pool.in_use, 0);
    store_is_full = false;
    hold_by_cid(1, "wait");
    cr_expect_eq(asked_count, 1, "it asks anew");
    end();
}

Test(adoption, what_the_store_refuses_is_dropped_by_reason)
{
    static const enum store_outcome refusals[] = {STORE_EXISTS, STORE_STALE, STORE_UNAVAILABLE};
    begin();
    hold_by_cid(1, "a");
    hold_by_cid(1, "b");
    answer_claim(0, STORE_NOT_FOUND);
    cr_expect_eq(counted(WORKER_DROPPED_NO_SESSION), 2);
    for (size_t i = 0; i < sizeof(refusals) / sizeof(refusals[0]); i++) {
        hold_by_cid(1, "c");
        answer_claim(1 + i, refusals[i]);
        cr_expect_eq(counted(WORKER_DROPPED_STORE), 1 + i);
    }
    cr_expect_eq(missed, 1, "what was not answered may have been done");
    cr_expect_eq(adopted, 0);
    cr_expect_eq(received.count, 0);
    cr_expect_eq(adoptions.pool.in_use, 0);
    end();
}

Test(adoption, what_cannot_be_adopted_yet_is_missed)
{
    begin();
    adopt_status = STATUS_EXISTS;
    hold_by_cid(1, "a");
    answer_claim(0, STORE_OK);
    cr_expect_eq(missed, 1);
    adopt_status = STATUS_UNSUPPORTED;
    hold_by_cid(1, "a");
    answer_claim(1, STORE_OK);
    cr_expect_eq(missed, 1, "it would be so again");
    end();
}

Test(adoption, a_session_that_cannot_be_served_takes_its_datagrams_along)
{
    begin();
    adopt_status = STATUS_UNSUPPORTED;
    hold_by_cid(1, "a");
    answer_claim(0, STORE_OK);
    cr_expect_eq(adopted, 1);
    cr_expect_eq(received.count, 0);
    cr_expect_eq(counted(WORKER_DROPPED_STORE), 1);
    end();
}

Test(adoption, an_address_is_found_first_and_claimed_then)
{
    const struct cid cid = cid_of(9);
    const struct path path = path_of(1);
    begin();
    hold_by_address(1, "first");
    hold_by_address(1, "second");
    cr_assert_eq(asked_count, 1);
    cr_expect(address_equal(&asked[0].address, &path.address));
    answer_find(0, &cid);
    cr_assert_eq(asked_count, 2);
    cr_expect(cid_equal(&asked[1].waiter.subject, &cid));
    cr_expect_eq(received.count, 0);
    answer_claim(1, STORE_OK);
    cr_expect_eq(received.count, 2);
    expect_received(0, 1, "first");
    expect_received(1, 1, "second");
    cr_expect_eq(adoptions.pool.in_use, 0);
    end();
}

/* One more claim would raise the fence, and what was written meanwhile would be refused. */
Test(adoption, what_an_address_has_may_be_here_by_then)
{
    const struct cid cid = cid_of(9);
    begin();
    hold_by_address(1, "first");
    answer_find(0, &cid);
    hold_by_address(1, "second");
    answer_claim(1, STORE_OK);
    is_held = true;
    answer_find(2, &cid);
    cr_expect_eq(asked_count, 3, "nothing is claimed");
    cr_expect_eq(adopted, 1);
    cr_expect_eq(received.count, 2);
    expect_received(1, 1, "second");
    cr_expect_eq(adoptions.pool.in_use, 0);
    end();
}

Test(adoption, nobody_lives_at_an_address)
{
    begin();
    hold_by_address(1, "a");
    answer_find(0, NULL);
    cr_expect_eq(counted(WORKER_DROPPED_NO_SESSION), 1);
    cr_expect_eq(asked_count, 1);
    cr_expect_eq(adoptions.pool.in_use, 0);
    end();
}

Test(adoption, addresses_differ_by_port)
{
    struct path path = path_of(1);
    begin();
    adoption_hold_by_address(&adoptions, &path, (const uint8_t *)"a", 1);
    path.address.port++;
    adoption_hold_by_address(&adoptions, &path, (const uint8_t *)"b", 1);
    cr_expect_eq(asked_count, 2);
    end();
}

/* Found while the same session is being claimed: what fits joins, the rest is counted. */
Test(adoption, what_was_held_for_an_address_joins_a_claim_under_way)
{
    const struct cid cid = cid_of(1);
    begin();
    hold_by_address(1, "second");
    hold_by_address(1, "one too many");
    hold_by_cid(1, "first");
    cr_assert_eq(asked_count, 2);
    answer_find(0, &cid);
    cr_expect_eq(asked_count, 2, "not claimed twice");
    cr_expect_eq(counted(WORKER_DROPPED_CLAIMS_FULL), 1);
    answer_claim(1, STORE_OK);
    cr_expect_eq(adopted, 1);
    cr_expect_eq(received.count, 2);
    expect_received(0, 1, "first");
    expect_received(1, 1, "second");
    cr_expect_eq(adoptions.pool.in_use, 0);
    end();
}

Test(adoption, two_addresses_of_one_session_claim_it_once)
{
    const struct cid cid = cid_of(9);
    begin();
    hold_by_address(1, "a");
    hold_by_address(2, "b");
    answer_find(0, &cid);
    answer_find(1, &cid);
    cr_assert_eq(asked_count, 3);
    answer_claim(2, STORE_OK);
    cr_expect_eq(received.count, 2);
    end();
}

/* What a store with a fault might say. */
Test(adoption, a_name_that_is_none_is_not_claimed)
{
    uint8_t octets[CID_LENGTH_MAX + 1] = {0};
    begin();
    hold_by_address(1, "a");
    answer(0, STORE_OK, (struct octets){octets, sizeof(octets)});
    cr_expect_eq(asked_count, 1);
    cr_expect_eq(counted(WORKER_DROPPED_STORE), 1);
    cr_expect_eq(adoptions.pool.in_use, 0);
    /* The session is said to be called as its address is called here. */
    hold_by_address(2, "b");
    hold_by_address(2, "c");
    const struct cid itself = asked[1].waiter.subject;
    answer_find(1, &itself);
    cr_expect_eq(adoptions.pool.in_use, 0);
    cr_expect_eq(received.count, 0);
    end();
}

Test(adoption, what_is_held_again_waits_for_an_answer_of_its_own)
{
    begin();
    holds_again = true;
    hold_by_cid('x', "x");
    for (size_t turn = 0; turn < 10; turn++) {
        cr_assert_eq(asked_count, turn + 1, "one question for each answer");
        answer_claim(turn, STORE_OK);
        cr_assert_eq(received.count, turn + 1);
    }
    cr_expect_eq(adoptions.pool.in_use, 1);
    end();
}

/* The session may be wanted by now, though what was held for it is gone. */
Test(adoption, an_answer_that_comes_twice_harms_nothing)
{
    const struct cid cid = cid_of(3);
    begin();
    hold_by_cid(1, "a");
    answer_claim(0, STORE_OK);
    answer_claim(0, STORE_OK);
    cr_expect_eq(received.count, 1);
    answer_claim(0, STORE_UNAVAILABLE);
    cr_expect_eq(counted(WORKER_DROPPED_STORE), 0);
    hold_by_address(2, "b");
    answer_find(1, NULL);
    answer_find(1, &cid);
    cr_expect_eq(asked_count, 2);
    cr_expect_eq(adoptions.pool.in_use, 0);
    end();
}

/* LeakSanitizer looks at what is left. */
Test(adoption, freed_with_datagrams_held)
{
    const struct cid cid = cid_of(3);
    begin();
    hold_by_cid(1, "a");
    hold_by_cid(1, "b");
    hold_by_address(2, "c");
    hold_by_address(3, "d");
    answer_find(2, &cid);
    cr_expect_eq(adoptions.pool.in_use, 3);
    end();
}

/* --- without a datagram --- */

Test(adoption, a_claim_needs_no_datagram)
{
    const struct cid cid = cid_of(1);
    begin();
    cr_assert_eq(adoption_claim(&adoptions, &cid), STATUS_OK);
    cr_assert_eq(asked_count, 1);
    cr_assert(cid_equal(&asked[0].waiter.subject, &cid));
    cr_assert_eq(told, 0);
    cr_expect_eq(adoption_claim(&adoptions, &cid), STATUS_EXISTS, "once is enough");
    answer_claim(0, STORE_OK);
    cr_expect_eq(adopted, 1);
    cr_expect_eq(told, 1);
    cr_expect_eq(told_outcome, STORE_OK);
    cr_expect(cid_equal(&told_cid, &cid));
    cr_expect_eq(adopted_when_told, 1, "it is there when that is told");
    end();
}

Test(adoption, a_claim_and_a_datagram_are_one_question)
{
    const struct cid cid = cid_of(1), other = cid_of(2);
    begin();
    cr_assert_eq(adoption_claim(&adoptions, &cid), STATUS_OK);
    hold_by_cid(1, "\x01 first");
    hold_by_cid(2, "\x02 second");
    cr_assert_eq(adoption_claim(&adoptions, &other), STATUS_OK);
    cr_assert_eq(asked_count, 2);
    answer_claim(0, STORE_OK);
    cr_expect_eq(told, 1);
    cr_expect_eq(received.count, 1);
    answer_claim(1, STORE_NOT_FOUND);
    cr_expect_eq(told, 2);
    cr_expect_eq(told_outcome, STORE_NOT_FOUND);
    cr_expect_eq(received.count, 1);
    end();
}

Test(adoption, a_claim_that_is_not_taken_is_not_told_of)
{
    const struct cid cid = cid_of(1);
    begin();
    store_is_full = true;
    cr_expect_eq(adoption_claim(&adoptions, &cid), STATUS_FULL);
    store_is_full = false;
    for (uint8_t i = 0; i < ADOPTIONS; i++)
        hold_by_cid((uint8_t)(100 + i), "x");
    cr_expect_eq(adoption_claim(&adoptions, &cid), STATUS_FULL);
    for (size_t i = 0; i < ADOPTIONS; i++)
        answer_claim(i, STORE_NOT_FOUND);
    cr_expect_eq(told, 0);
    cr_expect_eq(adoption_claim(&adoptions, &cid), STATUS_OK);
    answer_claim(ADOPTIONS, STORE_UNAVAILABLE);
    cr_expect_eq(told, 1);
    cr_expect_eq(told_outcome, STORE_UNAVAILABLE);
    end();
}
