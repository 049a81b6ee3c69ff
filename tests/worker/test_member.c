#include "worker/member.h"

#include <criterion/criterion.h>
#include <string.h>

#define LOST_ANSWERS_MAX 8

/* --- a store of memory whose answers, or whose deeds, may go missing --- */

enum mood {
    MOOD_GOOD,
    MOOD_AWAY, /* does nothing, and says so */
    MOOD_DEAF, /* does it, and cannot say so */
    MOOD_FULL, /* takes no question */
};

struct shaky {
    struct store store;
    struct store *inner;
    enum mood mood;
    struct store_waiter failed[LOST_ANSWERS_MAX];
    size_t failed_count;
    size_t questions;
};

static struct shaky shaky;
static uint64_t now_ms;

/* The waiter to hand on; a question that is not to be answered is kept. */
static const struct store_waiter *pass(const struct store_waiter *waiter)
{
    static const struct store_waiter nobody;
    shaky.questions++;
    if (shaky.mood == MOOD_GOOD)
        return waiter;
    cr_assert_lt(shaky.failed_count, LOST_ANSWERS_MAX);
    shaky.failed[shaky.failed_count++] = *waiter;
    return &nobody;
}

#define PASS_ON(CALL)                                      \
    do {                                                   \
        if (shaky.mood == MOOD_FULL)                       \
            return STATUS_FULL;                            \
        const struct store_waiter *passed = pass(waiter);  \
        return shaky.mood == MOOD_AWAY ? STATUS_OK : CALL; \
    } while (0)

static enum status shaky_join(struct store *store, const struct store_member *member,
                              const struct store_waiter *waiter)
{
    (void)store;
    PASS_ON(store_join(shaky.inner, member, passed));
}

static enum status shaky_beat(struct store *store, const struct store_member *member,
                              const struct store_waiter *waiter)
{
    (void)store;
    PASS_ON(store_beat(shaky.inner, member, passed));
}

static enum status shaky_leave(struct store *store, const struct store_member *member,
                               const struct store_waiter *waiter)
{
    (void)store;
    PASS_ON(store_leave(shaky.inner, member, passed));
}

static enum status shaky_list(struct store *store, const struct store_waiter *waiter)
{
    (void)store;
    PASS_ON(store_list_members(shaky.inner, passed));
}

static size_t shaky_run(struct store *store, uint64_t at_ms)
{
    (void)store;
    size_t answered = store_run(shaky.inner, at_ms);
    size_t count = shaky.failed_count;
    shaky.failed_count = 0;
    for (size_t i = 0; i < count; i++) {
        const struct store_answer answer = {.outcome = STORE_UNAVAILABLE};
        shaky.failed[i].answer(shaky.failed[i].owner, &answer);
    }
    return answered + count;
}

static const struct store_engine shaky_engine = {
    .name = "shaky",
    .join = shaky_join,
    .beat = shaky_beat,
    .leave = shaky_leave,
    .list_members = shaky_list,
    .run = shaky_run,
};

static void set_up(void)
{
    char why[256];
    const struct store_options options = {
        .url = "memory:", .session_ttl_s = SESSION_TTL_S, .member_ttl_ms = MEMBER_TTL_MS};
    shaky = (struct shaky){.store.engine = &shaky_engine};
    now_ms = 1000000;
    cr_assert_eq(store_open(&shaky.inner, &options, why, sizeof(why)), STATUS_OK, "%s", why);
}

static void tear_down(void)
{
    store_free(shaky.inner);
}

TestSuite(member, .init = set_up, .fini = tear_down);

/* --- workers --- */

struct process {
    struct worker_member member;
    uint16_t joined; /* what the callback said */
    size_t joins;
    size_t losses;
};

static void on_joined(void *owner, uint16_t worker_id)
{
    struct process *process = owner;
    process->joined = worker_id;
    process->joins++;
}

static void on_lost(void *owner, uint16_t worker_id)
{
    struct process *process = owner;
    cr_assert_eq(worker_id, process->joined);
    process->losses++;
}

/* Each start is a boot of its own. */
static void start(struct process *process, uint16_t worker_id, const char *link)
{
    static uint8_t boots;
    struct member_options options = {
        .store = &shaky.store,
        .entry = {.worker_id = worker_id, .boot.bytes = {[11] = ++boots}},
        .joined = on_joined,
        .lost = on_lost,
        .owner = process,
    };
    *process = (struct process){0};
    cr_assert_eq(address_parse(&options.entry.link, link), STATUS_OK);
    cr_assert_eq(member_init(&process->member, &options), STATUS_OK);
}

/* What the loop does until nothing is due at this moment. */
static void settle(struct process *process)
{
    do {
        member_run(&process->member, now_ms);
        (void)store_run(&shaky.store, now_ms);
    } while (member_next_ms(&process->member) <= now_ms);
}

/* The loop, for so long. */
static void run_for(struct process *process, uint64_t ms)
{
    for (uint64_t until_ms = now_ms + ms; now_ms < until_ms; now_ms += 10)
        settle(process);
    settle(process);
}

/* --- what the store lists --- */

struct listing {
    struct store_member members[WORKERS_MAX];
    size_t count;
};

static void keep_listing(void *owner, const struct store_answer *answer)
{
    struct listing *listing = owner;
    cr_assert_eq(answer->outcome, STORE_OK);
    listing->count = answer->member_count;
    memcpy(listing->members, answer->members, listing->count * sizeof(listing->members[0]));
}

static const struct listing *list(void)
{
    static struct listing listing;
    const struct store_waiter waiter = {.answer = keep_listing, .owner = &listing};
    cr_assert_eq(store_list_members(shaky.inner, &waiter), STATUS_OK);
    (void)store_run(shaky.inner, now_ms);
    return &listing;
}

/* The state that is listed of this id; 0: it is not listed. */
static uint8_t state_of(uint16_t worker_id)
{
    const struct listing *listing = list();
    for (size_t i = 0; i < listing->count; i++) {
        if (listing->members[i].worker_id == worker_id)
            return listing->members[i].state;
    }
    return 0;
}

/* --- tests --- */

Test(member, joins_serves_drains_and_leaves)
{
    struct process a;
    start(&a, 7, "127.0.0.1:7001");
    cr_assert_eq(member_id(&a.member), 0);
    cr_assert_str_eq(member_trouble(&a.member), "joining the cluster");
    settle(&a);
    cr_assert_eq(a.joined, 7);
    cr_assert_eq(member_id(&a.member), 7);
    cr_assert_eq(state_of(7), STORE_JOINING);
    cr_assert_not(member_is_serving(&a.member));

    member_serve(&a.member);
    settle(&a);
    cr_assert_eq(state_of(7), STORE_SERVING);
    cr_assert(member_is_serving(&a.member));
    cr_assert(address_equal(&list()->members[0].link, &a.member.entry.link));

    member_drain(&a.member);
    cr_assert_not(member_is_serving(&a.member));
    settle(&a);
    cr_assert_eq(state_of(7), STORE_DRAINING);
    member_serve(&a.member);
    settle(&a);
    cr_assert_eq(state_of(7), STORE_DRAINING, "there is no way back");
    run_for(&a, 2 * MEMBER_TTL_MS);
    cr_assert_eq(state_of(7), STORE_DRAINING, "draining may take its time");

    member_leave(&a.member);
    cr_assert_not(member_is_gone(&a.member));
    settle(&a);
    cr_assert(member_is_gone(&a.member));
    cr_assert_eq(list()->count, 0);
    cr_assert_eq(member_next_ms(&a.member), UINT64_MAX);
    member_drain(&a.member);
    member_leave(&a.member);
    run_for(&a, MEMBER_TTL_MS);
    cr_assert_eq(list()->count, 0, "what has left stays out");
    cr_assert_eq(a.joins, 1);
    cr_assert_eq(a.losses, 0);
}

Test(member, link_address_must_be_one_to_send_to)
{
    static const char *const links[] = {"0.0.0.0:5690", "[::]:5690", "127.0.0.1:0", "[::1]:0"};
    struct worker_member member;
    for (size_t i = 0; i < sizeof(links) / sizeof(links[0]); i++) {
        struct member_options options = {.store = &shaky.store, .entry = {.worker_id = 1}};
        cr_assert_eq(address_parse(&options.entry.link, links[i]), STATUS_OK);
        cr_assert_eq(member_init(&member, &options), STATUS_UNSUPPORTED, "%s", links[i]);
    }
}

Test(member, auto_takes_the_lowest_free_id)
{
    struct process workers[3];
    start(&workers[0], 0, "127.0.0.1:7001");
    start(&workers[1], 0, "127.0.0.1:7002");
    start(&workers[2], 0, "127.0.0.1:7003");
    settle(&workers[0]);
    settle(&workers[1]);
    cr_assert_eq(workers[0].joined, 1);
    cr_assert_eq(workers[1].joined, 2);
    member_leave(&workers[0].member);
    settle(&workers[0]);
    settle(&workers[2]);
    cr_assert_eq(workers[2].joined, 1);
}

Test(member, auto_keeps_to_its_id_when_the_answer_was_lost)
{
    struct process a;
    start(&a, 0, "127.0.0.1:7001");
    shaky.mood = MOOD_DEAF;
    run_for(&a, MEMBER_BEAT_MS / 2);
    cr_assert_eq(list()->count, 1, "it is there and does not know");
    cr_assert_eq(a.joins, 0);
    shaky.mood = MOOD_GOOD;
    run_for(&a, MEMBER_BEAT_MS);
    cr_assert_eq(a.joined, 1);
    cr_assert_eq(list()->count, 1);
}

Test(member, beats_in_time_and_no_more_often)
{
    struct process a;
    start(&a, 1, "127.0.0.1:7001");
    member_serve(&a.member);
    settle(&a);
    cr_assert_eq(state_of(1), STORE_SERVING, "one that is ready at once joins as such");
    size_t before = shaky.questions;
    for (int i = 0; i < 20; i++) {
        run_for(&a, MEMBER_BEAT_MS);
        cr_assert_eq(state_of(1), STORE_SERVING);
    }
    cr_assert_leq(shaky.questions - before, 21);
    cr_assert_geq(shaky.questions - before, 19);
}

Test(member, comes_back_under_its_id_when_its_entry_ran_out)
{
    struct process a, b;
    start(&a, 0, "127.0.0.1:7001");
    member_serve(&a.member);
    settle(&a);
    now_ms += 60000; /* the process stood still */
    cr_assert_eq(list()->count, 0);
    settle(&a);
    cr_assert_eq(state_of(1), STORE_SERVING);
    cr_assert_eq(a.joins, 1, "its Connection IDs go on");
    cr_assert_eq(a.losses, 0);

    start(&b, 0, "127.0.0.1:7002");
    settle(&b);
    cr_assert_eq(b.joined, 2);
}

Test(member, has_lost_an_id_that_another_took_meanwhile)
{
    struct process a, b;
    start(&a, 0, "127.0.0.1:7001");
    member_serve(&a.member);
    settle(&a);
    now_ms += 60000;
    start(&b, 0, "127.0.0.1:7002");
    member_serve(&b.member);
    settle(&b);
    cr_assert_eq(b.joined, 1);

    settle(&a);
    cr_assert_eq(a.losses, 1);
    cr_assert_not(member_is_serving(&a.member));
    cr_assert(member_is_gone(&a.member));
    cr_assert_str_eq(member_trouble(&a.member), "another process holds this worker's id");
    member_leave(&a.member);
    run_for(&a, 2000);
    cr_assert_eq(a.losses, 1, "said once");
    cr_assert_eq(list()->count, 1, "and what it does touches nobody");
    cr_assert(address_equal(&list()->members[0].link, &b.member.entry.link));
    run_for(&b, 2000);
    cr_assert_eq(b.losses, 0);
}

/* Between running out and joining again another one may come as well. */
Test(member, has_lost_an_id_that_is_taken_when_it_joins_again)
{
    struct process a, b;
    start(&a, 3, "127.0.0.1:7001");
    settle(&a);
    now_ms += 60000;
    member_run(&a.member, now_ms); /* a beat */
    (void)store_run(&shaky.store, now_ms);
    start(&b, 3, "127.0.0.1:7002");
    settle(&b);
    cr_assert_eq(b.joined, 3);
    settle(&a);
    cr_assert_eq(a.losses, 1);
}

Test(member, waits_for_an_id_until_its_holder_leaves)
{
    struct process a, b;
    start(&a, 3, "127.0.0.1:7001");
    start(&b, 3, "127.0.0.1:7002");
    settle(&a);
    for (int i = 0; i < 10; i++) {
        run_for(&b, MEMBER_BEAT_MS);
        settle(&a);
    }
    cr_assert_eq(b.joins, 0);
    cr_assert_eq(b.losses, 0, "it never had it");
    cr_assert_str_eq(member_trouble(&b.member),
                     "waiting for a worker id that another process holds");
    member_leave(&a.member);
    settle(&a);
    run_for(&b, MEMBER_BEAT_MS);
    cr_assert_eq(b.joined, 3);
}

Test(member, waits_for_an_id_until_its_holder_runs_out)
{
    struct process a, b;
    start(&a, 3, "127.0.0.1:7001");
    start(&b, 3, "127.0.0.1:7002");
    settle(&a);
    run_for(&b, MEMBER_TTL_MS - 100);
    cr_assert_eq(b.joins, 0);
    run_for(&b, MEMBER_BEAT_MS + 100);
    cr_assert_eq(b.joined, 3);
}

Test(member, takes_over_at_once_from_a_predecessor_at_its_address)
{
    struct process a, b;
    start(&a, 3, "127.0.0.1:7001");
    settle(&a);
    start(&b, 3, "127.0.0.1:7001");
    settle(&b);
    cr_assert_eq(b.joined, 3);
    cr_assert_eq(list()->count, 1);

    /* The port alone does not make it the same. */
    struct process c;
    start(&c, 3, "127.0.0.2:7001");
    settle(&c);
    cr_assert_eq(c.joins, 0);
}

Test(member, predecessor_at_its_address_is_left_alone_under_another_id)
{
    struct process a, b;
    start(&a, 3, "127.0.0.1:7001");
    settle(&a);
    start(&b, 4, "127.0.0.1:7001");
    settle(&b);
    cr_assert_eq(b.joined, 4);
    cr_assert_eq(list()->count, 2, "it runs out by itself");
}

Test(member, store_that_is_away_changes_nothing_for_who_serves)
{
    struct process a;
    start(&a, 3, "127.0.0.1:7001");
    member_serve(&a.member);
    settle(&a);
    shaky.mood = MOOD_AWAY;
    run_for(&a, 10 * MEMBER_TTL_MS);
    cr_assert(member_is_serving(&a.member));
    cr_assert_eq(list()->count, 0);
    shaky.mood = MOOD_GOOD;
    run_for(&a, MEMBER_BEAT_MS);
    cr_assert_eq(state_of(3), STORE_SERVING);
    cr_assert_eq(a.joins, 1);
    cr_assert_eq(a.losses, 0);
}

Test(member, joins_when_the_store_comes_and_tries_in_peace)
{
    struct process a;
    start(&a, 0, "127.0.0.1:7001");
    shaky.mood = MOOD_AWAY;
    run_for(&a, 20 * MEMBER_BEAT_MS);
    cr_assert_leq(shaky.questions, 22);
    shaky.mood = MOOD_FULL;
    run_for(&a, 20 * MEMBER_BEAT_MS);
    cr_assert_eq(a.joins, 0);
    shaky.mood = MOOD_GOOD;
    run_for(&a, MEMBER_BEAT_MS);
    cr_assert_eq(a.joined, 1);
}

Test(member, change_of_state_overtakes_no_beat_and_waits_for_none)
{
    struct process a;
    start(&a, 3, "127.0.0.1:7001");
    member_serve(&a.member);
    settle(&a);
    now_ms += MEMBER_BEAT_MS;
    member_run(&a.member, now_ms); /* a beat is under way */
    member_drain(&a.member);
    settle(&a);
    cr_assert_eq(state_of(3), STORE_DRAINING);
}

Test(member, leaves_before_and_while_it_joins)
{
    struct process a, b, c;
    start(&a, 0, "127.0.0.1:7001");
    member_leave(&a.member);
    settle(&a);
    cr_assert(member_is_gone(&a.member));
    cr_assert_eq(shaky.questions, 0, "nobody knows of it");

    start(&b, 0, "127.0.0.1:7002");
    member_run(&b.member, now_ms);
    member_leave(&b.member);
    settle(&b);
    cr_assert(member_is_gone(&b.member));
    cr_assert_eq(b.joins, 0, "nothing begins any more");
    cr_assert_eq(list()->count, 0);

    start(&c, 5, "127.0.0.1:7003");
    shaky.mood = MOOD_AWAY;
    run_for(&c, 2000);
    member_leave(&c.member);
    run_for(&c, 2000);
    cr_assert_not(member_is_gone(&c.member), "how long it tries is not its to say");
    shaky.mood = MOOD_GOOD;
    run_for(&c, MEMBER_BEAT_MS);
    cr_assert(member_is_gone(&c.member));
}
