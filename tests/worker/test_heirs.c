/* Heirs in front of a store whose answers the test gives: who is a member, and which sessions have
 * relations. */
#include "worker/heirs.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "shared/cursor.h"
#include "shared/keys.h"
#include "shared/rendezvous.h"
#include "worker/metrics.h"

enum { US = 2, SESSIONS_MAX = 600, PAGE = 7 };

static const struct cluster_key cluster_key = {{1, 2, 3}};
static const struct hash_key hash_key = {4, 5};

static struct heirs heirs;
static struct metrics metrics;
static struct cid_config configs[CID_CONFIGS_MAX];
static struct store store;
static uint64_t now_ms;

/* What the store knows, and how it fares. */
static struct store_member members[WORKERS_MAX];
static size_t member_count;
static struct cid sessions[SESSIONS_MAX]; /* all on one page */
static size_t session_count;
static size_t part; /* sessions of one answer; 0: all */
static bool is_away;
static size_t pages_asked;

/* What this worker holds, claims and checks; and what another has taken since. */
static bool held[SESSIONS_MAX];
static bool taken[SESSIONS_MAX];
static bool claiming[SESSIONS_MAX];
static bool checking[SESSIONS_MAX];
static size_t claims, checks, open_claims, open_claims_most;
static bool is_reached, is_full, answers_at_once;

static struct {
    struct store_waiter waiter;
    bool is_page;
    uint8_t page;
    uint64_t from;
} asked[4];
static size_t asked_count;

static enum status list_members(struct store *of, const struct store_waiter *waiter)
{
    cr_assert_eq(of, &store);
    cr_assert_lt(asked_count, 4);
    asked[asked_count].waiter = *waiter;
    asked[asked_count++].is_page = false;
    return STATUS_OK;
}

static enum status list_obliged(struct store *of, uint8_t page, uint64_t from,
                                const struct store_waiter *waiter)
{
    cr_assert_eq(of, &store);
    cr_assert_lt(asked_count, 4);
    asked[asked_count].waiter = *waiter;
    asked[asked_count].is_page = true;
    asked[asked_count].page = page;
    asked[asked_count++].from = from;
    pages_asked++;
    return STATUS_OK;
}

static const struct store_engine engine = {
    .name = "by hand", .list_members = list_members, .list_obliged = list_obliged};

static size_t index_of(const struct cid *cid)
{
    for (size_t i = 0; i < session_count; i++) {
        if (cid_equal(&sessions[i], cid))
            return i;
    }
    cr_assert_fail("no such session");
    return 0;
}

static bool reached(void *owner)
{
    cr_assert_eq(owner, &heirs);
    return is_reached;
}

static bool holds(void *owner, const struct cid *cid)
{
    (void)owner;
    return held[index_of(cid)];
}

static enum status claim(void *owner, const struct cid *cid)
{
    (void)owner;
    size_t i = index_of(cid);
    if (is_full)
        return STATUS_FULL;
    if (claiming[i])
        return STATUS_EXISTS;
    cr_expect_not(held[i], "what is held is checked");
    claiming[i] = true;
    claims++;
    open_claims++;
    open_claims_most = open_claims > open_claims_most ? open_claims : open_claims_most;
    return STATUS_OK;
}

static enum status check(void *owner, const struct cid *cid)
{
    (void)owner;
    size_t i = index_of(cid);
    if (is_full)
        return STATUS_FULL;
    cr_assert(held[i]);
    checking[i] = true;
    checks++;
    open_claims++;
    open_claims_most = open_claims > open_claims_most ? open_claims : open_claims_most;
    return STATUS_OK;
}

static void answer_check(size_t i, enum store_outcome outcome)
{
    checking[i] = false;
    open_claims--;
    if (outcome == STORE_OK && taken[i])
        outcome = STORE_STALE;
    if (outcome == STORE_STALE || outcome == STORE_NOT_FOUND)
        held[i] = false;
    heirs_checked(&heirs, &sessions[i], outcome);
}

static void answer_claims(enum store_outcome outcome)
{
    for (size_t i = 0; i < session_count; i++) {
        if (checking[i])
            answer_check(i, outcome);
        if (!claiming[i])
            continue;
        claiming[i] = false;
        held[i] = outcome == STORE_OK;
        taken[i] = taken[i] && !held[i];
        open_claims--;
        if (outcome == STORE_UNAVAILABLE)
            heirs_miss(&heirs, &sessions[i]); /* as whoever claims says */
        heirs_claimed(&heirs, outcome);
    }
}

static void answer_all(void)
{
    while (asked_count > 0) {
        static uint8_t space[SESSIONS_MAX * (1 + CID_LENGTH_MAX)];
        struct store_answer answer = {.outcome = is_away ? STORE_UNAVAILABLE : STORE_OK};
        asked_count--;
        if (!asked[asked_count].is_page) {
            answer.members = members;
            answer.member_count = member_count;
        } else if (asked[asked_count].page == PAGE) {
            struct writer writer = writer_over(space, sizeof(space));
            size_t i = asked[asked_count].from;
            size_t end = part > 0 && i + part < session_count ? i + part : session_count;
            for (; i < end; i++) {
                writer_u8(&writer, sessions[i].length);
                writer_bytes(&writer, sessions[i].bytes, sessions[i].length);
            }
            answer.first = end < session_count ? end : 0;
            answer.value = (struct octets){space, writer_length(&writer)};
        }
        asked[asked_count].waiter.answer(asked[asked_count].waiter.owner, &answer);
    }
}

/* The loop turns for so long. */
static void run(uint64_t ms)
{
    for (uint64_t end_ms = now_ms + ms; now_ms < end_ms; now_ms++) {
        heirs_run(&heirs, now_ms);
        answer_all();
        if (answers_at_once)
            answer_claims(is_away ? STORE_UNAVAILABLE : STORE_OK);
    }
}

static void make_session(uint16_t worker)
{
    uint8_t id[2] = {(uint8_t)(worker >> 8), (uint8_t)worker};
    uint8_t nonce[5] = {0, 0, 0, (uint8_t)(session_count >> 8), (uint8_t)session_count};
    cr_assert_lt(session_count, SESSIONS_MAX);
    cr_assert_eq(cid_encode(&configs[3], id, nonce, &sessions[session_count]), STATUS_OK);
    session_count++;
}

static void set_members(size_t count)
{
    member_count = count;
    for (uint16_t i = 0; i < count; i++)
        members[i] = (struct store_member){.worker_id = (uint16_t)(i + 1),
                                           .state = STORE_SERVING,
                                           .boot = {.bytes = {[5] = 1}},
                                           .http = {.port = (uint16_t)(8000 + i)}};
}

static void begin(size_t workers)
{
    uint8_t secret[CID_KEY_SIZE];
    uint8_t id = 3;
    store.engine = &engine;
    now_ms = 1000;
    is_reached = answers_at_once = true;
    cr_assert_eq(keys_derive(&cluster_key, KEY_CID, &id, 1, secret, sizeof(secret)), STATUS_OK);
    cr_assert_eq(cid_config_init(&configs[id], id, 2, 5, secret), STATUS_OK);
    cr_assert_eq(metrics_init(&metrics, worker_metrics, WORKER_METRICS_COUNT, 1), STATUS_OK);
    set_members(workers);
    const struct heirs_options options = {
        .store = &store,
        .configs = configs,
        .hash_key = hash_key,
        .worker_id = US,
        .metrics = &metrics,
        .is_reached = reached,
        .holds = holds,
        .claim = claim,
        .check = check,
        .owner = &heirs,
    };
    cr_assert_eq(heirs_init(&heirs, &options, now_ms), STATUS_OK);
}

static void end(void)
{
    heirs_free(&heirs);
    metrics_free(&metrics);
    cid_config_free(&configs[3]);
}

static size_t held_count(void)
{
    size_t n = 0;
    for (size_t i = 0; i < session_count; i++)
        n += held[i];
    return n;
}

static uint16_t rendezvous_of(const struct cid *cid, uint16_t workers, uint16_t but)
{
    struct rendezvous rendezvous;
    rendezvous_begin(&rendezvous, &hash_key, cid->bytes, cid->length);
    for (uint16_t id = 1; id <= workers; id++) {
        if (id != but)
            (void)rendezvous_offer(&rendezvous, id);
    }
    return rendezvous.best;
}

Test(heirs, at_the_start_a_worker_takes_what_is_its_own)
{
    begin(3);
    for (uint16_t id = 1; id <= 3; id++)
        make_session(id);
    run(3 * HEIRS_MEMBERS_MS);
    cr_expect_not(held[0]);
    cr_expect(held[1]);
    cr_expect_not(held[2]);
    cr_expect_eq(claims, 1);
    cr_expect_eq(metrics_get(&metrics, WORKER_HEIRS_SEARCHES), 1);
    cr_expect_eq(metrics_get(&metrics, WORKER_HEIRS_CLAIMED), 1);
    cr_expect_eq(pages_asked, STORE_OBLIGED_PAGES);
    run(20 * HEIRS_MEMBERS_MS);
    cr_expect_eq(pages_asked, STORE_OBLIGED_PAGES, "while nothing changes nothing is searched");
    end();
}

/* Each session of the dead worker has exactly one heir, and lb/route.c would name the same. */
Test(heirs, what_a_dead_worker_leaves_is_shared)
{
    size_t shares = 0;
    begin(4);
    run(3 * HEIRS_MEMBERS_MS);
    for (size_t i = 0; i < 200; i++)
        make_session(4);
    set_members(3);
    run(4 * HEIRS_MEMBERS_MS);
    for (size_t i = 0; i < 200; i++) {
        uint16_t heir = rendezvous_of(&sessions[i], 3, 0);
        cr_expect_eq(heirs_route(&heirs, &sessions[i]), heir);
        cr_expect_eq(held[i], heir == US);
        shares += heir == US;
    }
    cr_expect(shares > 30 && shares < 110, "%zu", shares);
    end();
}

Test(heirs, who_comes_back_gets_its_own_again)
{
    begin(2);
    for (size_t i = 0; i < 50; i++)
        make_session(3);
    run(3 * HEIRS_MEMBERS_MS);
    size_t inherited = held_count();
    cr_expect_gt(inherited, 10);
    set_members(3);
    memset(taken, true, sizeof(taken)); /* it has searched already */
    run(4 * HEIRS_MEMBERS_MS);
    cr_expect_eq(held_count(), 0);
    cr_expect_eq(checks, inherited);
    cr_expect_eq(metrics_get(&metrics, WORKER_HEIRS_GIVEN), inherited);
    cr_expect_eq(claims, inherited, "what was given is not missed");
    end();
}

/* Whom it routes to may have searched before, and would not look again. */
Test(heirs, what_nobody_takes_stays)
{
    begin(2);
    for (size_t i = 0; i < 50; i++)
        make_session(3);
    run(3 * HEIRS_MEMBERS_MS);
    size_t inherited = held_count();
    set_members(3);
    run(4 * HEIRS_MEMBERS_MS);
    cr_expect_eq(held_count(), inherited);
    cr_expect_eq(checks, inherited);
    /* It takes them later, and that is found out, in ever longer intervals. */
    memset(taken, true, sizeof(taken));
    run(HEIRS_LOOK_MS + STORE_OBLIGED_PAGES);
    cr_expect_eq(held_count(), 0);
    cr_expect_eq(metrics_get(&metrics, WORKER_HEIRS_GIVEN), inherited);
    size_t searches = metrics_get(&metrics, WORKER_HEIRS_SEARCHES);
    run(10 * HEIRS_LOOK_MS);
    cr_expect_eq(metrics_get(&metrics, WORKER_HEIRS_SEARCHES), searches, "nothing is left");
    end();
}

Test(heirs, what_stays_is_looked_at_ever_less_often)
{
    begin(2);
    for (size_t i = 0; i < 10; i++)
        make_session(3);
    run(3 * HEIRS_MEMBERS_MS);
    set_members(3);
    run(4 * HEIRS_MEMBERS_MS);
    size_t searches = metrics_get(&metrics, WORKER_HEIRS_SEARCHES);
    run(6 * HEIRS_LOOK_MS); /* after 2, 4 and 8 s: the third is yet to come */
    cr_expect_eq(metrics_get(&metrics, WORKER_HEIRS_SEARCHES), searches + 2);
    run(600 * HEIRS_LOOK_MS);
    searches = metrics_get(&metrics, WORKER_HEIRS_SEARCHES);
    run(HEIRS_LOOK_MOST_MS + HEIRS_MEMBERS_MS);
    cr_expect_eq(metrics_get(&metrics, WORKER_HEIRS_SEARCHES), searches + 1);
    end();
}

/* A worker that was killed and is back at once has another boot and forgot what it held. */
Test(heirs, another_boot_is_a_change)
{
    begin(3);
    run(3 * HEIRS_MEMBERS_MS);
    make_session(2);
    members[2].boot.bytes[5] = 2;
    run(4 * HEIRS_MEMBERS_MS);
    cr_expect(held[0]);
    cr_expect_eq(metrics_get(&metrics, WORKER_HEIRS_SEARCHES), 2);
    end();
}

Test(heirs, who_drains_or_joins_is_no_heir)
{
    begin(3);
    members[0].state = STORE_JOINING;
    members[2].state = STORE_DRAINING;
    for (size_t i = 0; i < 20; i++)
        make_session((uint16_t)(1 + 2 * (i % 2)));
    run(3 * HEIRS_MEMBERS_MS);
    cr_expect_eq(held_count(), 20);
    cr_expect_null(heirs_http(&heirs, 1));
    cr_assert_not_null(heirs_http(&heirs, 2));
    cr_expect_eq(heirs_http(&heirs, 2)->port, 8001);
    /* This one drains: others take them, and until then it serves them. */
    members[0].state = STORE_SERVING;
    members[1].state = STORE_DRAINING;
    run(4 * HEIRS_MEMBERS_MS);
    cr_expect_eq(held_count(), 20);
    cr_expect_eq(checks, 0);
    cr_expect_eq(claims, 20);
    end();
}

Test(heirs, who_is_not_listed_keeps_what_it_has_and_takes_nothing)
{
    begin(3);
    for (uint16_t id = 1; id <= 3; id++)
        make_session(id);
    run(3 * HEIRS_MEMBERS_MS);
    cr_assert_eq(held_count(), 1);
    set_members(1);
    run(10 * HEIRS_MEMBERS_MS);
    cr_expect_eq(held_count(), 1);
    cr_expect_eq(checks, 0);
    member_count = 0;
    run(10 * HEIRS_MEMBERS_MS);
    cr_expect_eq(held_count(), 1);
    end();
}

Test(heirs, whom_no_lb_reaches_takes_nothing)
{
    begin(3);
    is_reached = false;
    make_session(US);
    run(10 * HEIRS_MEMBERS_MS);
    cr_expect_eq(claims, 0);
    is_reached = true;
    run(2 * HEIRS_MEMBERS_MS);
    cr_expect_eq(claims, 1);
    end();
}

/* After an outage members enter one by one: the first list is not the last word. */
Test(heirs, lists_after_an_outage_are_believed_late)
{
    begin(3);
    for (uint16_t id = 1; id <= 3; id++)
        make_session(id);
    run(3 * HEIRS_MEMBERS_MS);
    cr_assert_eq(held_count(), 1);
    is_away = true;
    run(4 * HEIRS_MEMBERS_MS);
    is_away = false;
    set_members(2);
    run(MEMBER_BEAT_MS);
    set_members(3);
    run(10 * HEIRS_MEMBERS_MS);
    cr_expect_eq(claims, 1);
    cr_expect_eq(checks, 1, "others may have had it meanwhile");
    cr_expect_eq(held_count(), 1);
    end();
}

Test(heirs, who_was_stopped_checks_what_it_holds)
{
    begin(3);
    make_session(US);
    make_session(US);
    make_session(3);
    run(3 * HEIRS_MEMBERS_MS);
    cr_assert_eq(claims, 2);
    now_ms += 2 * HEIRS_DOUBT_MS;
    taken[1] = true;
    run(2 * HEIRS_MEMBERS_MS);
    cr_expect_eq(checks, 2);
    cr_expect(held[0]);
    cr_expect_not(held[1]);
    run(20 * HEIRS_MEMBERS_MS);
    cr_expect(held[1], "it routes here, and is claimed back");
    cr_expect_eq(checks, 2, "once");
    cr_expect_eq(claims, 3);
    cr_expect_eq(metrics_get(&metrics, WORKER_HEIRS_GIVEN), 0);
    end();
}

/* A worker dies that had one of ours, by mistake: our copy of before must not be in the way. */
Test(heirs, a_search_checks_what_is_held)
{
    begin(3);
    make_session(US);
    run(3 * HEIRS_MEMBERS_MS);
    cr_assert(held[0]);
    taken[0] = true;
    set_members(2);
    run(4 * HEIRS_MEMBERS_MS + HEIRS_RETRY_MS);
    cr_expect(held[0]);
    cr_expect_not(taken[0]);
    cr_expect_eq(claims, 2);
    end();
}

Test(heirs, a_check_without_an_answer_is_made_again)
{
    begin(3);
    make_session(US);
    run(3 * HEIRS_MEMBERS_MS);
    now_ms += 2 * HEIRS_DOUBT_MS;
    answers_at_once = false;
    run(HEIRS_MEMBERS_MS);
    cr_assert_eq(checks, 1);
    answer_claims(STORE_UNAVAILABLE);
    answers_at_once = true;
    run(HEIRS_RETRY_MS + HEIRS_MEMBERS_MS);
    cr_expect_eq(checks, 2);
    cr_expect(held[0]);
    end();
}

Test(heirs, claims_are_bounded)
{
    begin(2);
    answers_at_once = false;
    for (size_t i = 0; i < SESSIONS_MAX; i++)
        make_session(US);
    run(3 * HEIRS_MEMBERS_MS);
    cr_expect_eq(open_claims, HEIRS_CLAIMS_MAX);
    answers_at_once = true;
    run(20);
    cr_expect_eq(held_count(), SESSIONS_MAX);
    cr_expect_eq(open_claims_most, HEIRS_CLAIMS_MAX);
    cr_expect_eq(claims, SESSIONS_MAX);
    end();
}

Test(heirs, a_page_may_come_in_parts)
{
    begin(2);
    part = 33;
    for (size_t i = 0; i < SESSIONS_MAX; i++)
        make_session(US);
    run(3 * HEIRS_MEMBERS_MS + 40);
    cr_expect_eq(held_count(), SESSIONS_MAX);
    cr_expect_eq(pages_asked, STORE_OBLIGED_PAGES - 1 + (SESSIONS_MAX + 32) / 33);
    end();
}

Test(heirs, what_could_not_be_claimed_is_tried_again)
{
    begin(2);
    make_session(US);
    answers_at_once = false;
    run(3 * HEIRS_MEMBERS_MS);
    cr_assert_eq(claims, 1);
    size_t pages = pages_asked;
    answer_claims(STORE_UNAVAILABLE);
    run(HEIRS_RETRY_MS / 2);
    cr_expect_eq(claims, 1);
    run(HEIRS_RETRY_MS + STORE_OBLIGED_PAGES);
    cr_expect_eq(claims, 2);
    cr_expect_eq(pages_asked, pages, "nothing is searched for it");
    answer_claims(STORE_NOT_FOUND); /* its session has ended meanwhile */
    run(10 * HEIRS_RETRY_MS);
    cr_expect_eq(claims, 2);
    end();
}

Test(heirs, a_full_table_is_waited_for)
{
    begin(2);
    make_session(US);
    is_full = true;
    run(4 * HEIRS_MEMBERS_MS);
    cr_expect_eq(claims, 0);
    is_full = false;
    run(1);
    cr_expect_eq(claims, 1);
    end();
}

/* What was begun under an old list does not count twice. */
Test(heirs, members_change_during_a_search)
{
    begin(2);
    for (size_t i = 0; i < 10; i++)
        make_session(US);
    answers_at_once = false;
    run(3 * HEIRS_MEMBERS_MS);
    cr_assert_eq(open_claims, 10);
    set_members(3);
    run(4 * HEIRS_MEMBERS_MS);
    cr_expect_eq(claims, 10);
    answer_claims(STORE_OK);
    run(HEIRS_MEMBERS_MS);
    cr_expect_eq(held_count(), 10);
    cr_expect_eq(heirs.asking, 0);
    cr_expect_not(heirs.is_searching);
    end();
}

/* Two that both believe in themselves do not fight: they wait ever longer. */
Test(heirs, what_was_lost_is_claimed_after_a_while)
{
    uint64_t waits_ms[8];
    begin(2);
    make_session(US);
    run(3 * HEIRS_MEMBERS_MS);
    cr_assert(held[0]);
    size_t pages = pages_asked;
    for (size_t i = 0; i < 8; i++) {
        uint64_t lost_ms = now_ms;
        held[0] = false;
        heirs_miss(&heirs, &sessions[0]);
        heirs_miss(&heirs, &sessions[0]);
        while (!held[0] && now_ms < lost_ms + 2 * HEIRS_RETRY_MOST_MS)
            run(1);
        waits_ms[i] = now_ms - lost_ms;
    }
    cr_expect_eq(claims, 9);
    cr_expect_eq(pages_asked, pages, "nothing is searched for it");
    cr_expect_geq(waits_ms[0], HEIRS_RETRY_MS);
    cr_expect_lt(waits_ms[0], 2 * HEIRS_RETRY_MS);
    cr_expect_geq(waits_ms[1], 2 * HEIRS_RETRY_MS);
    cr_expect_geq(waits_ms[7], HEIRS_RETRY_MOST_MS);
    /* That is over. */
    run(3 * HEIRS_RETRY_MOST_MS);
    held[0] = false;
    heirs_miss(&heirs, &sessions[0]);
    run(2 * HEIRS_RETRY_MS);
    cr_expect(held[0]);
    end();
}

Test(heirs, what_is_held_by_then_is_not_missed)
{
    begin(2);
    make_session(3); /* of another's: whoever misses it says why */
    run(3 * HEIRS_MEMBERS_MS);
    size_t before = claims;
    heirs_miss(&heirs, &sessions[0]);
    held[0] = true;
    run(2 * HEIRS_RETRY_MS);
    cr_expect_eq(claims, before);
    cr_expect_eq(heirs.missed_count, 0);
    held[0] = false;
    heirs_miss(&heirs, &sessions[0]);
    is_full = true;
    run(2 * HEIRS_RETRY_MS);
    cr_expect_eq(claims, before);
    is_full = false;
    is_reached = false;
    run(HEIRS_RETRY_MS);
    cr_expect_eq(claims, before);
    is_reached = true;
    run(HEIRS_MEMBERS_MS);
    cr_expect_eq(claims, before + 1);
    end();
}

/* What does not fit is searched for. */
Test(heirs, what_is_missed_is_bounded)
{
    begin(2);
    for (size_t i = 0; i < HEIRS_MISSED_MAX + 10; i++)
        make_session(US);
    run(3 * HEIRS_MEMBERS_MS);
    cr_assert_eq(held_count(), HEIRS_MISSED_MAX + 10);
    for (size_t i = 0; i < HEIRS_MISSED_MAX + 10; i++) {
        held[i] = false;
        heirs_miss(&heirs, &sessions[i]);
    }
    cr_expect_eq(heirs.missed_count, HEIRS_MISSED_MAX);
    run(2 * HEIRS_RETRY_MS);
    cr_expect_eq(held_count(), HEIRS_MISSED_MAX + 10);
    cr_expect_eq(metrics_get(&metrics, WORKER_HEIRS_SEARCHES), 2);
    end();
}

Test(heirs, what_is_no_cid_of_ours_is_left_alone)
{
    begin(2);
    sessions[session_count++] = (struct cid){.length = 8, .bytes = {0x27, 1}}; /* config 1 */
    run(4 * HEIRS_MEMBERS_MS);
    cr_expect_eq(heirs_route(&heirs, &sessions[0]), 0);
    cr_expect_eq(claims, 0);
    held[0] = true;
    set_members(3);
    run(4 * HEIRS_MEMBERS_MS);
    cr_expect_eq(checks, 0);
    end();
}
