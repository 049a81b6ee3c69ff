#include "worker/mark.h"

#include <criterion/criterion.h>
#include <string.h>

#include "worker/session_record.h"

enum { SESSIONS = 200 };

static struct {
    struct store store;
    size_t room; /* questions that it takes */
    struct store_waiter waiters[SESSIONS];
    uint64_t fences[SESSIONS];
    size_t mark_lengths[SESSIONS];
    uint8_t names[SESSIONS]; /* the last octets of the marks: of the lb's name */
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

static void begin(void)
{
    fake.store.engine = &engine;
    fake.room = SESSIONS;
    for (uint8_t i = 0; i < SESSIONS; i++) {
        sessions[i].own_cid = (struct cid){.length = 8, .bytes = {i}};
        sessions[i].fence = 100u + i;
        sessions[i].path.lb = i % 3;
    }
    marks_init(&marks, &lbs);
}

static void save(uint64_t now_ms, bool all)
{
    marks_save(&marks, &fake.store, now_ms, all, hear, &fake);
}

Test(mark, nothing_is_due_at_first)
{
    begin();
    cr_expect_eq(marks.due_ms, UINT64_MAX);
    save(1000, true);
    cr_expect_eq(fake.count, 0);
    marks_free(&marks);
}

Test(mark, the_first_change_says_when_all_are_due)
{
    begin();
    mark_note(&marks, &sessions[0], 1000);
    mark_note(&marks, &sessions[1], 1000 + MARK_INTERVAL_MS - 1);
    mark_note(&marks, &sessions[0], 1000 + MARK_INTERVAL_MS - 1);
    cr_expect_eq(marks.due_ms, 1000 + MARK_INTERVAL_MS);
    cr_expect_eq(marks.count, 2, "each session once");
    save(marks.due_ms - 1, false);
    cr_expect_eq(fake.count, 0);
    save(marks.due_ms, false);
    cr_expect_eq(fake.count, 2);
    cr_expect_eq(marks.count, 0);
    cr_expect_eq(marks.due_ms, UINT64_MAX);
    cr_expect_not(sessions[0].dirty);
    marks_free(&marks);
}

Test(mark, each_question_carries_its_sessions_name_and_fence)
{
    begin();
    for (size_t i = 0; i < SESSIONS; i++)
        mark_note(&marks, &sessions[i], 5);
    save(5, true);
    cr_assert_eq(fake.count, SESSIONS, "all, and before they are due");
    for (size_t i = 0; i < SESSIONS; i++) {
        cr_expect_eq(fake.fences[i], 100u + fake.waiters[i].subject.bytes[0]);
        cr_expect_eq(fake.waiters[i].owner, &fake);
        cr_expect_eq(fake.mark_lengths[i], SESSION_MARK_SIZE);
        cr_expect_eq(fake.names[i], 100u + fake.waiters[i].subject.bytes[0] % 3);
    }
    marks_free(&marks);
}

Test(mark, what_a_full_store_does_not_take_stays_noted)
{
    begin();
    for (size_t i = 0; i < 10; i++)
        mark_note(&marks, &sessions[i], 0);
    fake.room = 4;
    save(MARK_INTERVAL_MS, false);
    cr_expect_eq(fake.count, 4);
    cr_expect_eq(marks.count, 6);
    cr_expect_eq(marks.due_ms, 2 * MARK_INTERVAL_MS, "not at once: it would be refused again");
    fake.room = SESSIONS;
    save(2 * MARK_INTERVAL_MS, false);
    cr_expect_eq(fake.count, 10);
    cr_expect_eq(marks.count, 0);
    bool saved[10] = {false};
    for (size_t i = 0; i < 10; i++)
        saved[fake.waiters[i].subject.bytes[0]] = true;
    for (size_t i = 0; i < 10; i++)
        cr_expect(saved[i], "%zu", i);
    marks_free(&marks);
}

Test(mark, a_session_that_goes_is_not_saved)
{
    begin();
    for (size_t i = 0; i < 3; i++)
        mark_note(&marks, &sessions[i], 0);
    mark_forget(&marks, &sessions[0]);
    mark_forget(&marks, &sessions[0]);
    mark_forget(&marks, &sessions[7]);
    cr_expect_not(sessions[0].dirty);
    cr_expect_eq(marks.count, 2);
    save(MARK_INTERVAL_MS, false);
    cr_expect_eq(fake.count, 2);
    for (size_t i = 0; i < 2; i++)
        cr_expect_neq(fake.waiters[i].subject.bytes[0], 0);
    marks_free(&marks);
}

Test(mark, after_the_last_has_gone_nothing_is_asked)
{
    begin();
    mark_note(&marks, &sessions[0], 0);
    mark_forget(&marks, &sessions[0]);
    save(MARK_INTERVAL_MS, false);
    cr_expect_eq(fake.count, 0);
    cr_expect_eq(marks.due_ms, UINT64_MAX);
    mark_note(&marks, &sessions[1], 500);
    cr_expect_eq(marks.due_ms, 500 + MARK_INTERVAL_MS);
    marks_free(&marks);
}

Test(mark, what_is_asked_is_not_saved_before_the_answer)
{
    begin();
    mark_note(&marks, &sessions[0], 0);
    mark_note(&marks, &sessions[1], 0);
    save(0, true);
    cr_expect_eq(marks.saving, 2);
    cr_expect(sessions[0].saving);
    mark_note(&marks, &sessions[0], 1);
    cr_expect_eq(marks.count, 1, "it moves on meanwhile");
    mark_answered(&marks, &sessions[0]);
    mark_answered(&marks, NULL);
    cr_expect_eq(marks.saving, 0);
    cr_expect_not(sessions[0].saving);
    cr_expect(sessions[0].dirty);
    marks_free(&marks);
}
