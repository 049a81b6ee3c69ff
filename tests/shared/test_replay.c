#include "shared/replay.h"

#include <criterion/criterion.h>

static enum replay_outcome take(struct replay *replay, uint64_t number)
{
    enum replay_outcome outcome = replay_check(replay, number);
    if (outcome == REPLAY_NEWEST || outcome == REPLAY_FRESH)
        replay_accept(replay, number);
    return outcome;
}

Test(replay, an_empty_window_takes_any_number)
{
    const uint64_t numbers[] = {0, 1, 63, 64, UINT64_MAX};
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        struct replay replay = {0};
        cr_assert_eq(take(&replay, numbers[i]), REPLAY_NEWEST);
        cr_assert_eq(take(&replay, numbers[i]), REPLAY_SEEN);
        cr_assert_eq(replay.newest, numbers[i]);
        cr_assert_eq(replay.seen, 1, "nothing but the one number is marked");
    }
}

Test(replay, looking_changes_nothing)
{
    struct replay replay = {0};
    cr_assert_eq(replay_check(&replay, 5), REPLAY_NEWEST);
    cr_assert_eq(replay_check(&replay, 5), REPLAY_NEWEST);
    cr_assert_eq(replay.seen, 0);
}

Test(replay, numbers_inside_the_window_are_taken_once_in_any_order)
{
    struct replay replay = {0};
    cr_assert_eq(take(&replay, 100), REPLAY_NEWEST);
    cr_assert_eq(take(&replay, 98), REPLAY_FRESH);
    cr_assert_eq(take(&replay, 99), REPLAY_FRESH);
    cr_assert_eq(take(&replay, 98), REPLAY_SEEN);
    cr_assert_eq(take(&replay, 99), REPLAY_SEEN);
    cr_assert_eq(take(&replay, 101), REPLAY_NEWEST);
    for (uint64_t number = 98; number <= 101; number++)
        cr_assert_eq(take(&replay, number), REPLAY_SEEN);
}

Test(replay, the_left_edge_is_exact)
{
    struct replay replay = {0};
    cr_assert_eq(take(&replay, 1000), REPLAY_NEWEST);
    cr_assert_eq(take(&replay, 1000 - REPLAY_WINDOW_BITS + 1), REPLAY_FRESH);
    cr_assert_eq(take(&replay, 1000 - REPLAY_WINDOW_BITS), REPLAY_ANCIENT);
    cr_assert_eq(take(&replay, 0), REPLAY_ANCIENT);
}

Test(replay, a_jump_keeps_what_is_still_inside_the_window)
{
    struct replay replay = {0};
    cr_assert_eq(take(&replay, 10), REPLAY_NEWEST);
    cr_assert_eq(take(&replay, 10 + REPLAY_WINDOW_BITS - 1), REPLAY_NEWEST);
    cr_assert_eq(take(&replay, 10), REPLAY_SEEN);
    cr_assert_eq(take(&replay, 10 + REPLAY_WINDOW_BITS), REPLAY_NEWEST);
    cr_assert_eq(take(&replay, 10), REPLAY_ANCIENT);
    cr_assert_eq(take(&replay, 11), REPLAY_FRESH);
    cr_assert_eq(take(&replay, UINT64_MAX), REPLAY_NEWEST);
    cr_assert_eq(replay.seen, 1);
    cr_assert_eq(take(&replay, UINT64_MAX - 1), REPLAY_FRESH);
}

/* Against a plain list of what was taken. */
Test(replay, agrees_with_a_list_on_a_long_random_run)
{
    enum { RANGE = 2000 };
    static bool taken[RANGE];
    struct replay replay = {0};
    uint64_t newest = 0;
    bool any = false;
    uint32_t random = 12345;
    for (int i = 0; i < 20000; i++) {
        random = random * 1664525u + 1013904223u;
        uint64_t middle = (uint64_t)i * RANGE / 20000;
        uint64_t number = middle + (random >> 16) % 100;
        if (number >= RANGE)
            continue;
        enum replay_outcome want = REPLAY_FRESH;
        if (!any || number > newest)
            want = REPLAY_NEWEST;
        else if (newest - number >= REPLAY_WINDOW_BITS)
            want = REPLAY_ANCIENT;
        else if (taken[number])
            want = REPLAY_SEEN;
        cr_assert_eq(take(&replay, number), want, "step %d", i);
        taken[number] = taken[number] || want != REPLAY_ANCIENT;
        newest = want == REPLAY_NEWEST ? number : newest;
        any = true;
    }
}
