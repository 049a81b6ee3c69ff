#include "lb/roster.h"

#include <criterion/criterion.h>

#include "lb/metrics.h"
#include "shared/log.h"
#include "tests/lb/datagrams.h"

/* --- a store of memory that can be away --- */

static struct store *inner;
static struct store away_or_inner;
static bool is_away, is_full;
static size_t questions;
static struct store_waiter unanswered;
static struct metrics metrics;
static struct roster roster;
static uint64_t now_ms;

static enum status ask_list(struct store *store, const struct store_waiter *waiter)
{
    (void)store;
    if (is_full)
        return STATUS_FULL;
    questions++;
    if (!is_away)
        return store_list_members(inner, waiter);
    unanswered = *waiter;
    return STATUS_OK;
}

static size_t run_store(struct store *store, uint64_t at_ms)
{
    (void)store;
    struct store_waiter waiter = unanswered;
    unanswered = (struct store_waiter){0};
    if (waiter.answer)
        waiter.answer(waiter.owner, &(struct store_answer){.outcome = STORE_UNAVAILABLE});
    return store_run(inner, at_ms);
}

static const char *tell_trouble(const struct store *store)
{
    (void)store;
    return is_away ? "away" : NULL;
}

static const struct store_engine engine = {
    .name = "shaky", .list_members = ask_list, .run = run_store, .trouble = tell_trouble};

static void set_up(void)
{
    char why[256];
    const struct store_options options = {
        .url = "memory:", .session_ttl_s = SESSION_TTL_S, .member_ttl_ms = MEMBER_TTL_MS};
    log_set_level(LOG_ERROR);
    cr_assert_eq(store_open(&inner, &options, why, sizeof(why)), STATUS_OK, "%s", why);
    away_or_inner.engine = &engine;
    cr_assert_eq(metrics_init(&metrics, lb_metrics, LB_METRICS_COUNT, 1), STATUS_OK);
    cr_assert_eq(roster_init(&roster, &away_or_inner, &metrics), STATUS_OK);
    now_ms = 1000000;
}

static void tear_down(void)
{
    store_free(inner);
    roster_free(&roster);
    metrics_free(&metrics);
}

TestSuite(roster, .init = set_up, .fini = tear_down);

static struct store_member entry(uint16_t id, uint32_t address, uint8_t boot)
{
    return (struct store_member){.worker_id = id,
                                 .state = STORE_SERVING,
                                 .boot = {.bytes = {[5] = boot}},
                                 .link = source_v4(address, 7000)};
}

static void enter(uint16_t id)
{
    const struct store_member member = entry(id, id, 1);
    const struct store_waiter nobody = {0};
    cr_assert_eq(store_join(inner, &member, &nobody), STATUS_OK);
    (void)store_run(inner, now_ms);
}

static void run_for(uint64_t ms)
{
    for (uint64_t until_ms = now_ms + ms; now_ms < until_ms; now_ms += 10) {
        roster_run(&roster, now_ms);
        (void)store_run(&away_or_inner, now_ms);
    }
}

/* --- tests --- */

Test(roster, publishes_who_is_there_to_each_thread_once)
{
    struct roster_list list;
    uint64_t versions[2] = {0};
    cr_assert_not(roster_take(&roster, &versions[0], &list), "nothing is known yet");
    cr_assert_eq(roster_next_ms(&roster), 0, "the first question is due at once");
    enter(7);
    enter(3);
    run_for(10);
    for (size_t i = 0; i < 2; i++) {
        cr_assert(roster_take(&roster, &versions[i], &list));
        cr_assert_eq(list.count, 2);
        cr_assert_eq(list.members[0].worker_id, 3);
        cr_assert_eq(list.members[1].worker_id, 7);
        cr_assert_not(roster_take(&roster, &versions[i], &list));
    }
    run_for(MEMBER_TTL_MS + ROSTER_INTERVAL_MS);
    cr_assert(roster_take(&roster, &versions[0], &list));
    cr_assert_eq(list.count, 0, "they have run out");
}

Test(roster, asks_four_times_a_second_and_sooner_when_hurried)
{
    run_for(4 * ROSTER_INTERVAL_MS);
    cr_assert_eq(questions, 4);
    run_for(10);
    cr_assert_eq(questions, 5);
    uint64_t due_ms = roster_next_ms(&roster);
    roster_hurry(&roster);
    cr_assert_lt(roster_next_ms(&roster), due_ms);
    run_for(ROSTER_INTERVAL_MIN_MS + 10);
    cr_assert_eq(questions, 6);

    /* Workers that die without end are no reason to ask without end. */
    for (int i = 0; i < 100; i++) {
        roster_hurry(&roster);
        run_for(10);
    }
    cr_assert_leq(questions, 6 + 1000 / ROSTER_INTERVAL_MIN_MS);
}

Test(roster, keeps_the_last_list_while_the_store_is_away)
{
    struct roster_list list;
    uint64_t version = 0;
    enter(1);
    run_for(10);
    cr_assert(roster_take(&roster, &version, &list));
    is_away = true;
    run_for(2 * MEMBER_TTL_MS);
    cr_assert_not(roster_take(&roster, &version, &list));
    cr_assert_eq(list.count, 1);
    cr_assert_geq(metrics_get(&metrics, LB_LISTS_FAILED), 20);
    is_full = true;
    run_for(1000);
    is_full = is_away = false;
    run_for(ROSTER_INTERVAL_MS + 10);
    cr_assert(roster_take(&roster, &version, &list));
    cr_assert_eq(list.count, 0);
    cr_assert_geq(metrics_get(&metrics, LB_LISTS_OK), 2);
}

Test(roster, one_question_at_a_time)
{
    is_away = true;
    roster_run(&roster, now_ms);
    roster_run(&roster, now_ms + 10000);
    cr_assert_eq(questions, 1);
    cr_assert_eq(roster_next_ms(&roster), UINT64_MAX);
    roster_hurry(&roster);
    cr_assert_eq(roster_next_ms(&roster), UINT64_MAX);
}

Test(roster, leaves_out_what_cannot_be_used)
{
    struct roster_list list;
    struct store_member members[] = {
        entry(0, 1, 1),  /* no id */
        entry(1, 1, 1),  /* good */
        entry(2, 2, 1),  /* no port */
        entry(3, 3, 1),  /* no address */
        entry(4, 4, 1),  /* the later boot of 6 has its address */
        entry(5, 5, 1),  /* good: 5 is listed twice, the first counts */
        entry(5, 55, 1), /* not */
        entry(6, 4, 2),  /* good */
        entry(7, 8, 3),  /* good: the later boot */
        entry(8, 8, 2),  /* not */
    };
    members[2].link.port = 0;
    members[3].link = (struct address){.ip = {[10] = 0xff, [11] = 0xff}, .port = 7000};
    static const uint16_t good[] = {1, 5, 6, 7};
    cr_assert_eq(roster_clean(&list, members, 10), 6);
    cr_assert_eq(list.count, 4);
    for (size_t i = 0; i < 4; i++)
        cr_assert_eq(list.members[i].worker_id, good[i]);
    cr_assert_eq(roster_clean(&list, members, 0), 0);
    cr_assert_eq(list.count, 0);
}

Test(roster, list_is_bounded)
{
    static struct store_member members[WORKERS_MAX + 10];
    static struct roster_list list;
    for (uint16_t i = 0; i < WORKERS_MAX + 10; i++)
        members[i] = entry((uint16_t)(i + 1), i + 1u, 1);
    cr_assert_eq(roster_clean(&list, members, WORKERS_MAX + 10), 10);
    cr_assert_eq(list.count, WORKERS_MAX);
}
