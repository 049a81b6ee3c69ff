#include "lb/membership.h"
#include "tests/lb/datagrams.h"

#include <criterion/criterion.h>

static const struct hash_key key = {1, 2};

static struct boot_id boot(uint8_t number)
{
    return (struct boot_id){.bytes = {[5] = number}};
}

static struct address address_of(uint16_t id)
{
    return source_v4(id, 7000);
}

static struct membership *new_membership(uint16_t workers)
{
    static struct membership membership;
    membership_init(&membership, &key);
    for (uint16_t id = 1; id <= workers; id++) {
        struct address address = address_of(id);
        cr_assert_eq(membership_add(&membership, id, &address), STATUS_OK);
    }
    return &membership;
}

static enum pong_outcome pong(struct membership *membership, uint16_t id, uint8_t boot_number,
                              uint8_t state, uint64_t stamp, uint64_t now_ms)
{
    struct address from = address_of(id);
    struct boot_id from_boot = boot(boot_number);
    struct frame_health health = {
        .stamp = stamp, .worker_id = id, .state = state, .sessions = 10u * id};
    struct member *member;
    enum pong_outcome outcome =
        membership_pong(membership, &from, &from_boot, &health, now_ms, &member);
    cr_assert_eq(member, membership_find(membership, id));
    return outcome;
}

/* A round of PINGs that nobody has answered yet; how many died of it. */
static size_t ping_all(struct membership *membership, uint64_t now_ms)
{
    size_t died = 0;
    struct boot_id to;
    cr_assert_leq(membership_ping_ms(membership), now_ms);
    membership_round(membership, now_ms);
    for (size_t i = 0; i < membership->count; i++)
        died += membership_ping(membership, &membership->members[i], &to) == PING_SENT_DIED;
    return died;
}

static void serve_all(struct membership *membership, uint64_t now_ms)
{
    for (size_t i = 0; i < membership->count; i++)
        pong(membership, membership->members[i].id, 1, FRAME_STATE_SERVING, now_ms, now_ms);
}

Test(membership, add_and_find)
{
    struct membership *membership = new_membership(0);
    static const uint16_t order[] = {7, 3, 65535, 0, 9};
    for (size_t i = 0; i < 5; i++) {
        struct address address = address_of(order[i]);
        cr_assert_eq(membership_add(membership, order[i], &address), STATUS_OK);
    }
    for (size_t i = 0; i < 5; i++) {
        struct address address = address_of(order[i]);
        struct member *member = membership_find(membership, order[i]);
        cr_assert_not_null(member);
        cr_assert_eq(member->id, order[i]);
        cr_assert(address_equal(&member->address, &address));
        cr_assert_eq(member->state, MEMBER_DEAD);
        cr_assert(i == 0 || membership->members[i - 1].id < membership->members[i].id);
    }
    cr_assert_null(membership_find(membership, 8));
    cr_assert_null(membership_find(membership, UINT64_MAX));
    cr_assert_null(membership_find(membership, 65536 + 7));

    struct address taken = address_of(3), fresh = address_of(100);
    cr_assert_eq(membership_add(membership, 100, &taken), STATUS_EXISTS);
    cr_assert_eq(membership_add(membership, 3, &fresh), STATUS_EXISTS);
    cr_assert_eq(membership->count, 5);
}

Test(membership, bounded)
{
    struct membership *membership = new_membership(WORKERS_MAX);
    struct address address = address_of(WORKERS_MAX + 1);
    cr_assert_eq(membership_add(membership, WORKERS_MAX + 1, &address), STATUS_FULL);
}

Test(membership, alive_after_the_first_pong_only)
{
    struct membership *membership = new_membership(2);
    struct member *first = membership_find(membership, 1);
    cr_assert_eq(membership_ping_ms(membership), 0);
    cr_assert_eq(ping_all(membership, 1000), 0);
    cr_assert_eq(membership_ping_ms(membership), 1000 + PING_INTERVAL_MS);
    cr_assert_eq(membership->alive, 0);
    cr_assert_null(membership_choose(membership, "x", 1));

    cr_assert_eq(pong(membership, 1, 1, FRAME_STATE_SERVING, 1000, 1001), PONG_STATE_CHANGED);
    cr_assert_eq(first->state, MEMBER_SERVING);
    cr_assert_eq(first->sessions, 10);
    cr_assert_eq(membership->alive, 1);
    cr_assert_eq(membership_choose(membership, "x", 1), first);
    cr_assert_eq(pong(membership, 1, 1, FRAME_STATE_SERVING, 1000, 1002), PONG_KEPT);
    cr_assert_eq(membership->alive, 1);
}

Test(membership, dead_after_three_missed_pings)
{
    struct membership *membership = new_membership(1);
    struct member *member = membership_find(membership, 1);
    uint64_t now_ms = 5000;
    ping_all(membership, now_ms);
    pong(membership, 1, 1, FRAME_STATE_SERVING, now_ms, now_ms + 1);

    /* This one is answered late, which is no miss that lasts. */
    ping_all(membership, now_ms += 100);
    ping_all(membership, now_ms += 100);
    cr_assert_eq(member->pings_missed, 1);
    pong(membership, 1, 1, FRAME_STATE_SERVING, now_ms - 100, now_ms + 1);
    cr_assert_eq(member->pings_missed, 0);

    /* PINGs 1, 2, 3 without an answer: it is dead when the fourth is due. */
    for (size_t i = 0; i < PINGS_MISSED_MAX; i++) {
        cr_assert_eq(ping_all(membership, now_ms += 100), 0);
        cr_assert_eq(member->state, MEMBER_SERVING);
    }
    cr_assert_eq(ping_all(membership, now_ms += 100), 1);
    cr_assert_eq(member->state, MEMBER_DEAD);
    cr_assert_eq(membership->alive, 0);
    for (size_t i = 0; i < 300; i++)
        cr_assert_eq(ping_all(membership, now_ms += 100), 0);

    /* And back, by its next answer. */
    cr_assert_eq(pong(membership, 1, 1, FRAME_STATE_SERVING, now_ms, now_ms), PONG_STATE_CHANGED);
    cr_assert_eq(membership->alive, 1);
    cr_assert_eq(ping_all(membership, now_ms += 100), 0);
    cr_assert_eq(member->pings_missed, 0);
}

/* The loop stood still for a minute: that is one missed PING at most. */
Test(membership, own_silence_kills_nobody)
{
    struct membership *membership = new_membership(1);
    ping_all(membership, 1000);
    pong(membership, 1, 1, FRAME_STATE_SERVING, 1000, 1000);
    ping_all(membership, 1100);
    cr_assert_eq(ping_all(membership, 61100), 0);
    cr_assert_eq(membership_ping_ms(membership), 61100 + PING_INTERVAL_MS);
    cr_assert_eq(membership_find(membership, 1)->state, MEMBER_SERVING);
}

Test(membership, refused_is_dead_at_once)
{
    struct membership *membership = new_membership(2);
    struct address first = address_of(1), nobody = address_of(9);
    serve_all(membership, 0);
    cr_assert_null(membership_refused(membership, &nobody));
    cr_assert_eq(membership_refused(membership, &first), membership_find(membership, 1));
    cr_assert_eq(membership_find(membership, 1)->state, MEMBER_DEAD);
    cr_assert_eq(membership_find(membership, 2)->state, MEMBER_SERVING);
    cr_assert_null(membership_refused(membership, &first));
    cr_assert_eq(membership->alive, 1);
}

Test(membership, pongs_without_effect)
{
    struct membership *membership = new_membership(2);
    struct address first = address_of(1), nobody = address_of(9);
    struct boot_id from = boot(5), before = boot(4);
    struct frame_health health = {.stamp = 1000, .worker_id = 1, .state = FRAME_STATE_SERVING};
    struct member *member;

    cr_assert_eq(membership_pong(membership, &nobody, &from, &health, 1000, &member),
                 PONG_UNKNOWN_SOURCE);
    cr_assert_null(member);
    health.worker_id = 2;
    cr_assert_eq(membership_pong(membership, &first, &from, &health, 1000, &member), PONG_WRONG_ID);
    cr_assert_eq(member, membership_find(membership, 1));
    health.worker_id = 1;
    health.state = 0;
    cr_assert_eq(membership_pong(membership, &first, &from, &health, 1000, &member),
                 PONG_BAD_STATE);
    health.state = 3;
    cr_assert_eq(membership_pong(membership, &first, &from, &health, 1000, &member),
                 PONG_BAD_STATE);
    health.state = FRAME_STATE_SERVING;
    cr_assert_eq(membership_pong(membership, &first, &from, &health, 999, &member), PONG_STALE);
    cr_assert_eq(membership_pong(membership, &first, &from, &health, 1400, &member), PONG_STALE);
    cr_assert_eq(membership->alive, 0);
    cr_assert_eq(membership_pong(membership, &first, &from, &health, 1399, &member),
                 PONG_STATE_CHANGED);
    cr_assert_eq(membership_pong(membership, &first, &before, &health, 1100, &member),
                 PONG_OLD_BOOT);
    cr_assert_eq(boot_id_compare(&member->boot, &from), 0);
    cr_assert_eq(membership->alive, 1);
}

Test(membership, restart)
{
    struct membership *membership = new_membership(1);
    struct member *member = membership_find(membership, 1);
    struct boot_id to, none = {0}, second = boot(2);
    cr_assert_eq(pong(membership, 1, 1, FRAME_STATE_SERVING, 0, 0), PONG_STATE_CHANGED);
    cr_assert_eq(pong(membership, 1, 2, FRAME_STATE_SERVING, 0, 0), PONG_RESTARTED);
    cr_assert_eq(boot_id_compare(&member->boot, &second), 0);

    /* A PING names the boot while it answers; then it may be another one. */
    membership_ping(membership, member, &to);
    cr_assert_eq(boot_id_compare(&to, &second), 0);
    membership_ping(membership, member, &to);
    cr_assert_eq(boot_id_compare(&to, &none), 0);

    /* The host's clock was set back while the worker was away. */
    struct address address = address_of(1);
    membership_refused(membership, &address);
    cr_assert_eq(pong(membership, 1, 1, FRAME_STATE_SERVING, 0, 0), PONG_RESTARTED);
    cr_assert_eq(member->state, MEMBER_SERVING);
}

Test(membership, draining_counts_as_alive_and_gets_nothing_new)
{
    struct membership *membership = new_membership(2);
    serve_all(membership, 0);
    cr_assert_eq(pong(membership, 1, 1, FRAME_STATE_DRAINING, 0, 0), PONG_STATE_CHANGED);
    cr_assert_eq(membership->alive, 2);
    for (uint32_t i = 0; i < 1000; i++)
        cr_assert_eq(membership_choose(membership, &i, sizeof(i))->id, 2);
    /* Unless nobody else is left. */
    struct address second = address_of(2);
    membership_refused(membership, &second);
    cr_assert_eq(membership_choose(membership, "x", 1)->id, 1);
}

#define KEYS 20000

Test(membership, removing_one_of_eight_moves_its_share_only)
{
    static uint16_t before[KEYS];
    struct membership *membership = new_membership(8);
    size_t share[9] = {0};
    serve_all(membership, 0);
    for (uint32_t i = 0; i < KEYS; i++) {
        before[i] = membership_choose(membership, &i, sizeof(i))->id;
        share[before[i]]++;
    }
    for (uint16_t id = 1; id <= 8; id++) /* 2500 each; 5 standard deviations are 234 */
        cr_assert(share[id] > 2260 && share[id] < 2740, "worker %u: %zu", id, share[id]);

    struct address gone = address_of(5);
    membership_refused(membership, &gone);
    size_t inherited[9] = {0};
    for (uint32_t i = 0; i < KEYS; i++) {
        uint16_t now = membership_choose(membership, &i, sizeof(i))->id;
        cr_assert(now != 5 && (before[i] == 5 || now == before[i]));
        inherited[now] += before[i] == 5;
    }
    for (uint16_t id = 1; id <= 8; id++) /* its share is spread over all others */
        cr_assert(id == 5 ? inherited[id] == 0 : inherited[id] > 200);

    pong(membership, 5, 2, FRAME_STATE_SERVING, 0, 0);
    for (uint32_t i = 0; i < KEYS; i++)
        cr_assert_eq(membership_choose(membership, &i, sizeof(i))->id, before[i]);
}

Test(membership, each_lb_comes_to_the_same)
{
    static struct membership other;
    struct membership *membership = new_membership(8);
    static const uint16_t order[] = {8, 2, 5, 1, 7, 3, 6, 4};
    membership_init(&other, &key);
    for (size_t i = 0; i < 8; i++) {
        struct address address = address_of(order[i]);
        cr_assert_eq(membership_add(&other, order[i], &address), STATUS_OK);
    }
    serve_all(membership, 0);
    serve_all(&other, 500);
    for (uint32_t i = 0; i < KEYS; i++)
        cr_assert_eq(membership_choose(membership, &i, sizeof(i))->id,
                     membership_choose(&other, &i, sizeof(i))->id);
}

/* A known answer: lbs of different versions, and on other machines, must agree as well. */
Test(membership, known_answers)
{
    static const uint16_t expected[] = {2, 2, 7, 3, 8, 6, 6, 3, 3, 5, 2, 3, 4, 8, 8, 6};
    struct membership *membership = new_membership(8);
    serve_all(membership, 0);
    for (uint8_t i = 0; i < sizeof(expected) / sizeof(expected[0]); i++)
        cr_assert_eq(membership_choose(membership, &i, 1)->id, expected[i], "key %u: %u", i,
                     membership_choose(membership, &i, 1)->id);
}

/* --- the store's list --- */

struct changes {
    size_t counts[MEMBER_REFUSED + 1];
};

static void on_change(void *owner, enum member_change change, const struct member *member)
{
    struct changes *changes = owner;
    cr_assert_not_null(member);
    changes->counts[change]++;
}

/* `count` workers from 1 on, each serving its boot 1 at its usual address. */
static struct store_member *listed(size_t count)
{
    static struct store_member members[WORKERS_MAX];
    for (size_t i = 0; i < count; i++) {
        uint16_t id = (uint16_t)(i + 1);
        members[i] = (struct store_member){
            .worker_id = id, .state = STORE_SERVING, .boot = boot(1), .link = address_of(id)};
    }
    return members;
}

static struct changes update(struct membership *membership, const struct store_member *members,
                             size_t count)
{
    struct changes changes = {0};
    membership_update(membership, members, count, on_change, &changes);
    for (size_t i = 1; i < membership->count; i++)
        cr_assert_lt(membership->members[i - 1].id, membership->members[i].id);
    size_t alive = 0;
    for (size_t i = 0; i < membership->count; i++)
        alive += membership->members[i].state != MEMBER_DEAD;
    cr_assert_eq(membership->alive, alive);
    return changes;
}

Test(membership, list_adds_and_is_no_sign_of_life)
{
    struct membership *membership = new_membership(0);
    struct changes changes = update(membership, listed(3), 3);
    cr_assert_eq(changes.counts[MEMBER_ADDED], 3);
    cr_assert_eq(membership->count, 3);
    cr_assert_eq(membership->alive, 0);
    serve_all(membership, 0);
    changes = update(membership, listed(3), 3);
    for (size_t i = 0; i <= MEMBER_REFUSED; i++)
        cr_assert_eq(changes.counts[i], 0, "the same list changes nothing");
    cr_assert_eq(membership->alive, 3);
}

Test(membership, who_is_listed_no_more_goes_when_it_is_dead)
{
    struct membership *membership = new_membership(3);
    serve_all(membership, 0);
    struct changes changes = update(membership, listed(0), 0);
    cr_assert_eq(changes.counts[MEMBER_REMOVED], 0, "a store that forgot them stops no traffic");
    cr_assert_eq(membership->alive, 3);

    struct address second = address_of(2);
    cr_assert_eq(membership->deaths, 0);
    membership_refused(membership, &second);
    cr_assert_eq(membership->deaths, 1);
    changes = update(membership, listed(1), 1);
    cr_assert_eq(changes.counts[MEMBER_REMOVED], 1);
    cr_assert_null(membership_find(membership, 2));
    cr_assert_eq(membership->alive, 2);
    cr_assert_not_null(membership_find(membership, 3));
}

/* serve_all, wherever the list has put them. */
static void serve_where_they_are(struct membership *membership)
{
    for (size_t i = 0; i < membership->count; i++) {
        struct member *member;
        struct address from = membership->members[i].address;
        struct boot_id from_boot = boot(2);
        struct frame_health health = {.worker_id = membership->members[i].id,
                                      .state = FRAME_STATE_SERVING};
        (void)membership_pong(membership, &from, &from_boot, &health, 0, &member);
        cr_assert_eq(membership->members[i].state, MEMBER_SERVING);
    }
}

Test(membership, listed_elsewhere_begins_anew_there)
{
    struct membership *membership = new_membership(3);
    serve_all(membership, 0);
    struct store_member *members = listed(3);
    members[1].link = address_of(20);
    members[1].boot = boot(2);
    struct changes changes = update(membership, members, 3);
    cr_assert_eq(changes.counts[MEMBER_REMOVED], 1);
    cr_assert_eq(changes.counts[MEMBER_ADDED], 1);
    struct member *moved = membership_find(membership, 2);
    cr_assert(address_equal(&moved->address, &members[1].link));
    cr_assert_eq(moved->state, MEMBER_DEAD);
    cr_assert_eq(moved->boot.bytes[5], 0);

    /* Two that changed places, and one that took the address of one who is gone. */
    serve_where_they_are(membership);
    members[0].link = address_of(3);
    members[2].link = address_of(1);
    changes = update(membership, members, 3);
    cr_assert_eq(changes.counts[MEMBER_ADDED], 2);
    cr_assert(address_equal(&membership_find(membership, 1)->address, &members[0].link));
    cr_assert(address_equal(&membership_find(membership, 3)->address, &members[2].link));
    serve_where_they_are(membership);
    struct store_member heir = {
        .worker_id = 9, .state = STORE_SERVING, .boot = boot(3), .link = address_of(20)};
    update(membership, &heir, 1);
    cr_assert_null(membership_find(membership, 2), "its address is another's");
    cr_assert_not_null(membership_find(membership, 9));
}

Test(membership, list_holds_back_the_boot_that_it_means)
{
    struct membership *membership = new_membership(2);
    struct member *member = membership_find(membership, 1);
    struct store_member *members = listed(2);
    serve_all(membership, 0);
    members[0].state = STORE_DRAINING;
    struct changes changes = update(membership, members, 2);
    cr_assert_eq(changes.counts[MEMBER_HELD_BACK], 1);
    cr_assert_eq(member->state, MEMBER_DRAINING);
    cr_assert_eq(membership->alive, 2);
    cr_assert_eq(membership->deaths, 0);
    /* Its PONGs are behind, and change nothing. */
    cr_assert_eq(pong(membership, 1, 1, FRAME_STATE_SERVING, 0, 0), PONG_KEPT);
    cr_assert_eq(member->state, MEMBER_DRAINING);
    for (uint32_t i = 0; i < 100; i++)
        cr_assert_eq(membership_choose(membership, &i, sizeof(i))->id, 2);

    /* The next boot at its address is another matter; the list is behind now. */
    cr_assert_eq(pong(membership, 1, 2, FRAME_STATE_SERVING, 0, 0), PONG_RESTARTED);
    cr_assert_eq(member->state, MEMBER_SERVING);
    update(membership, members, 2);
    cr_assert_eq(member->state, MEMBER_SERVING);

    /* One that answers before it is ready waits for its word. */
    members[0].state = STORE_JOINING;
    members[0].boot = boot(2);
    update(membership, members, 2);
    cr_assert_eq(member->state, MEMBER_DRAINING);
    members[0].state = STORE_SERVING;
    changes = update(membership, members, 2);
    cr_assert_eq(changes.counts[MEMBER_RELEASED], 1);
    cr_assert_eq(member->state, MEMBER_SERVING);

    /* PONG first, list later: draining it is, from the first word on. */
    cr_assert_eq(pong(membership, 1, 2, FRAME_STATE_DRAINING, 0, 0), PONG_STATE_CHANGED);
    update(membership, members, 2);
    cr_assert_eq(member->state, MEMBER_DRAINING);
}

Test(membership, list_finds_no_room_while_others_live)
{
    struct membership *membership = new_membership(WORKERS_MAX);
    serve_all(membership, 0);
    struct store_member newcomer = {
        .worker_id = 5000, .state = STORE_SERVING, .boot = boot(1), .link = address_of(5000)};
    struct changes changes = update(membership, &newcomer, 1);
    cr_assert_eq(changes.counts[MEMBER_REFUSED], 1);
    cr_assert_eq(changes.counts[MEMBER_ADDED], 0);
    struct address first = address_of(1);
    membership_refused(membership, &first);
    changes = update(membership, &newcomer, 1);
    cr_assert_eq(changes.counts[MEMBER_ADDED], 1);
    cr_assert_eq(membership->count, WORKERS_MAX);
}
