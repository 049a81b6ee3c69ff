#include "worker/mark.h"

#include <criterion/criterion.h>
#include <string.h>

#include "worker/session_record.h"

enum { SESSIONS = 600, LATER_MS = 60000 };

static struct {
    struct store store;
    size_t room; /* questions that it takes */
    struct store_waiter waiters[SESSIONS];
    uint64_t fences[SESSIONS];
    size_t mark_lengths[SESSIONS];
    uint32_t names[SESSIONS]; /* the last octets of the marks: of the lb's name */
    size_t count;
} fake;
static struct session sessions[SESSIONS];
static struct marks marks;

static uint32_t lb_name(void *owner, uint8_t lb)
{
    (void)owner;
    return 100u + lb;
}

static const struct path_lbs lbs = {.name = lb_name};

static enum status save_mark(struct store *store, uint64_t fence, struct octets mark,
                             const struct store_waiter *waiter)
{
    (void)store;
    if (fake.count == fake.room)
        return STATUS_FULL;
    fake.waiters[fake.count] = *waiter;
    fake.fences[fake.count] = fence;
    fake.mark_lengths[fake.count] = mark.length;
    fake.names[fake.count] = mark.bytes[mark.length - 1];
    fake.count++;
    return STATUS_OK;
}

static const struct store_engine engine = {.name = "fake", .save_mark = save_mark};

static void hear(void *owner, const struct store_answer *answer)
{
    (void)owner;
    (void)answer;
}

static size_t number_of(const struct cid *cid)
{
    return cid->bytes[0] + 256u * cid->bytes[1];
}

static void begin(void)
{
    fake.store.engine = &engine;
    fake.room = SESSIONS;
    for (uint16_t i = 0; i < SESSIONS; i++) {
        sessions[i].own_cid = (struct cid){.length = 8, .bytes = {(uint8_t)i, (uint8_t)(i >> 8)}};
        sessions[i].fence = 100u + i;
        sessions[i].path.lb = i % 3;
    }
    marks_init(&marks, &lbs, LATER_MS);
}

static void save(uint64_t now_ms, bool all)
{
    marks_save(&marks, &fake.store, now_ms, all, hear, &fake);
}

static size_t noted(enum mark_lane lane)
{
    size_t count = 0;
    for (size_t i = 0; i < SESSIONS; i++)
        count += sessions[i].dirty && sessions[i].hasty == (lane == MARK_SOON);
    return count;
}

Test(mark, nothing_is_due_at_first)
{
    begin();
    cr_expect_eq(marks_due_ms(&marks), UINT64_MAX);
    save(1000, true);
    cr_expect_eq(fake.count, 0);
    marks_free(&marks);
}

Test(mark, the_first_change_says_when_all_are_due)
{
    begin();
    mark_note(&marks, &sessions[0], MARK_SOON, 1000);
    mark_note(&marks, &sessions[1], MARK_SOON, 1000 + MARK_INTERVAL_MS - 1);
    mark_note(&marks, &sessions[0], MARK_SOON, 1000 + MARK_INTERVAL_MS - 1);
    cr_expect_eq(marks_due_ms(&marks), 1000 + MARK_INTERVAL_MS);
    cr_expect_eq(marks.count, 2, "each session once");
    save(1000 + MARK_INTERVAL_MS - 1, false);
    cr_expect_eq(fake.count, 0);
    save(1000 + MARK_INTERVAL_MS, false);
    cr_expect_eq(fake.count, 2);
    cr_expect_eq(marks.count, 0);
    cr_expect_eq(marks_due_ms(&marks), UINT64_MAX);
    cr_expect_not(sessions[0].dirty);
    marks_free(&marks);
}

Test(mark, what_changed_nothing_waits_for_longer)
{
    begin();
    mark_note(&marks, &sessions[0], MARK_LATER, 1000);
    mark_note(&marks, &sessions[1], MARK_LATER, 1000 + LATER_MS / 2);
    mark_note(&marks, &sessions[2], MARK_SOON, 2000);
    cr_expect_eq(marks_due_ms(&marks), 2000 + MARK_INTERVAL_MS);
    save(2000 + MARK_INTERVAL_MS, false);
    cr_expect_eq(fake.count, 1, "each lane has a time of its own");
    cr_expect_eq(fake.waiters[0].subject.bytes[0], 2);
    mark_note(&marks, &sessions[0], MARK_LATER, 1000 + LATER_MS - 1);
    cr_expect_eq(marks_due_ms(&marks), 1000 + LATER_MS, "since it moved first");
    save(1000 + LATER_MS, false);
    cr_expect_eq(fake.count, 3, "the next ones fill the write");
    cr_expect_eq(marks_due_ms(&marks), UINT64_MAX);
    marks_free(&marks);
}

Test(mark, a_write_takes_so_many_of_those_that_wait)
{
    begin();
    _Static_assert(SESSIONS > 2 * MARKS_TOGETHER, "three writes");
    for (size_t i = 0; i < SESSIONS; i++)
        mark_note(&marks, &sessions[i], MARK_LATER, i < MARKS_TOGETHER + 1 ? 0 : 1000);
    save(LATER_MS, false);
    cr_expect_eq(fake.count, 2 * MARKS_TOGETHER, "as often as the first one is due");
    cr_expect_eq(marks_due_ms(&marks), 1000 + LATER_MS);
    marks_free(&marks);
}

Test(mark, who_changes_after_all_is_saved_soon)
{
    begin();
    for (size_t i = 0; i < 3; i++)
        mark_note(&marks, &sessions[i], MARK_LATER, 0);
    mark_note(&marks, &sessions[1], MARK_SOON, 500);
    mark_note(&marks, &sessions[1], MARK_LATER, 501);
    cr_expect_eq(marks.count, 3);
    cr_expect_eq(noted(MARK_SOON), 1);
    save(500 + MARK_INTERVAL_MS, false);
    cr_expect_eq(fake.count, 1);
    cr_expect_eq(fake.waiters[0].subject.bytes[0], 1);
    save(LATER_MS, false);
    cr_expect_eq(fake.count, 3);
    marks_free(&marks);
}

/* Against a model: who is noted where, however they come and go. */
Test(mark, lanes_keep_their_order_while_they_grow_and_lose)
{
    begin();
    fake.room = 0;
    uint64_t noted_ms[SESSIONS] = {0};
    uint32_t random = 1;
    for (uint64_t now_ms = 1; now_ms < 200000; now_ms++) {
        random = random * 1664525u + 1013904223u;
        struct session *session = &sessions[(random >> 8) % SESSIONS];
        enum mark_lane lane = random >> 31 ? MARK_SOON : MARK_LATER;
        if (random >> 28 & 1) {
            mark_forget(&marks, session);
            continue;
        }
        bool moves = !session->dirty || (lane == MARK_SOON && !session->hasty);
        mark_note(&marks, session, lane, now_ms);
        if (moves)
            noted_ms[session - sessions] = now_ms;
    }
    uint64_t oldest_ms = UINT64_MAX;
    size_t count = 0;
    for (size_t i = 0; i < SESSIONS; i++) {
        uint64_t due_ms = noted_ms[i] + (sessions[i].hasty ? MARK_INTERVAL_MS : LATER_MS);
        count += sessions[i].dirty;
        if (sessions[i].dirty && due_ms < oldest_ms)
            oldest_ms = due_ms;
    }
    cr_expect_eq(marks.count, count);
    /* When the first of its group was noted, who may have gone since. */
    cr_expect_leq(marks_due_ms(&marks), oldest_ms);
    fake.room = SESSIONS;
    save(1000000, true);
    cr_expect_eq(fake.count, count);
    cr_expect_eq(marks.count, 0);
    marks_free(&marks);
}

/* With and without others in between that go again: nobody waits for longer than it should. */
Test(mark, nobody_is_late_however_the_ring_turns)
{
    begin();
    uint64_t noted_ms[SESSIONS] = {0};
    uint32_t random = 7;
    unsigned writes = 0;
    for (uint64_t now_ms = 1; now_ms < 40 * LATER_MS; now_ms += 97) {
        random = random * 1664525u + 1013904223u;
        size_t i = (random >> 8) % SESSIONS;
        if (!sessions[i].dirty)
            noted_ms[i] = now_ms;
        mark_note(&marks, &sessions[i], MARK_LATER, now_ms);
        if (random >> 30 == 0)
            mark_forget(&marks, &sessions[(random >> 4) % SESSIONS]);
        fake.count = 0;
        save(now_ms, false);
        writes += fake.count > 0;
        for (i = 0; i < SESSIONS; i++)
            cr_assert(!sessions[i].dirty || noted_ms[i] + LATER_MS > now_ms, "%zu", i);
    }
    cr_expect_leq(writes, 40 * 3, "and nobody much too early: some 450 are noted in that time");
    marks_free(&marks);
}

Test(mark, a_fleet_asleep_takes_no_room)
{
    begin();
    for (size_t i = 0; i < SESSIONS; i++)
        mark_note(&marks, &sessions[i], MARK_LATER, 0);
    cr_expect_geq(marks.lanes[MARK_LATER].size, SESSIONS);
    save(LATER_MS, false);
    cr_expect_eq(fake.count, SESSIONS);
    cr_expect_null(marks.lanes[MARK_LATER].entries);
    mark_note(&marks, &sessions[3], MARK_LATER, LATER_MS);
    cr_expect_eq(marks_due_ms(&marks), 2 * LATER_MS);
    marks_free(&marks);
}

Test(mark, each_question_carries_its_sessions_name_and_fence)
{
    begin();
    for (size_t i = 0; i < SESSIONS; i++)
        mark_note(&marks, &sessions[i], i % 2 ? MARK_SOON : MARK_LATER, 5);
    save(5, true);
    cr_assert_eq(fake.count, SESSIONS, "all, and before they are due");
    for (size_t i = 0; i < SESSIONS; i++) {
        size_t which = number_of(&fake.waiters[i].subject);
        cr_expect_eq(fake.fences[i], 100u + which);
        cr_expect_eq(fake.waiters[i].owner, &fake);
        cr_expect_eq(fake.mark_lengths[i], SESSION_MARK_SIZE);
        cr_expect_eq(fake.names[i], 100u + which % 3);
    }
    marks_free(&marks);
}

Test(mark, what_a_full_store_does_not_take_stays_noted)
{
    begin();
    for (size_t i = 0; i < 10; i++)
        mark_note(&marks, &sessions[i], MARK_SOON, 0);
    fake.room = 4;
    save(MARK_INTERVAL_MS, false);
    cr_expect_eq(fake.count, 4);
    cr_expect_eq(marks.count, 6);
    cr_expect_eq(marks_due_ms(&marks), 2 * MARK_INTERVAL_MS,
                 "not at once: it would be refused again");
    fake.room = SESSIONS;
    save(2 * MARK_INTERVAL_MS, false);
    cr_expect_eq(fake.count, 10);
    cr_expect_eq(marks.count, 0);
    bool saved[10] = {false};
    for (size_t i = 0; i < 10; i++)
        saved[number_of(&fake.waiters[i].subject)] = true;
    for (size_t i = 0; i < 10; i++)
        cr_expect(saved[i], "%zu", i);
    marks_free(&marks);
}

Test(mark, a_session_that_goes_is_not_saved)
{
    begin();
    for (size_t i = 0; i < 3; i++)
        mark_note(&marks, &sessions[i], MARK_SOON, 0);
    mark_forget(&marks, &sessions[0]);
    mark_forget(&marks, &sessions[0]);
    mark_forget(&marks, &sessions[7]);
    cr_expect_not(sessions[0].dirty);
    cr_expect_eq(marks.count, 2);
    save(MARK_INTERVAL_MS, false);
    cr_expect_eq(fake.count, 2);
    for (size_t i = 0; i < 2; i++)
        cr_expect_neq(number_of(&fake.waiters[i].subject), 0);
    marks_free(&marks);
}

Test(mark, after_the_last_has_gone_nothing_is_asked)
{
    begin();
    mark_note(&marks, &sessions[0], MARK_SOON, 0);
    mark_forget(&marks, &sessions[0]);
    save(MARK_INTERVAL_MS, false);
    cr_expect_eq(fake.count, 0);
    cr_expect_eq(marks_due_ms(&marks), UINT64_MAX);
    mark_note(&marks, &sessions[1], MARK_SOON, 500);
    cr_expect_eq(marks_due_ms(&marks), 500 + MARK_INTERVAL_MS);
    marks_free(&marks);
}

Test(mark, one_can_be_saved_before_it_is_due)
{
    begin();
    mark_note(&marks, &sessions[0], MARK_LATER, 0);
    mark_note(&marks, &sessions[1], MARK_LATER, 0);
    cr_expect(mark_save(&marks, &fake.store, &sessions[1], hear, &fake));
    cr_expect_eq(fake.count, 1);
    cr_expect_eq(marks.saving, 1);
    cr_expect(sessions[1].saving);
    cr_expect_not(sessions[1].dirty);
    fake.room = 1;
    cr_expect_not(mark_save(&marks, &fake.store, &sessions[0], hear, &fake));
    cr_expect(sessions[0].dirty, "it stays noted");
    marks_free(&marks);
}

Test(mark, what_is_asked_is_not_saved_before_the_answer)
{
    begin();
    mark_note(&marks, &sessions[0], MARK_SOON, 0);
    mark_note(&marks, &sessions[1], MARK_SOON, 0);
    save(0, true);
    cr_expect_eq(marks.saving, 2);
    cr_expect(sessions[0].saving);
    mark_note(&marks, &sessions[0], MARK_SOON, 1);
    cr_expect_eq(marks.count, 1, "it moves on meanwhile");
    mark_answered(&marks, &sessions[0]);
    mark_answered(&marks, NULL);
    cr_expect_eq(marks.saving, 0);
    cr_expect_not(sessions[0].saving);
    cr_expect(sessions[0].dirty);
    marks_free(&marks);
}
