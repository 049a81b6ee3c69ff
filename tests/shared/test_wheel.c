#include <criterion/criterion.h>

#include <stdlib.h>

#include "shared/wheel.h"

#define REACH_MS (UINT64_C(63) << 30)

Test(wheel, empty)
{
    struct wheel wheel;
    wheel_init(&wheel, 1000);
    cr_assert_eq(wheel_next_ms(&wheel), UINT64_MAX);
    cr_assert_null(wheel_expire(&wheel, 1000));
    cr_assert_null(wheel_expire(&wheel, UINT64_C(1) << 50));
    cr_assert_eq(wheel.count, 0);
}

Test(wheel, zeroed_timer_is_unset)
{
    struct wheel wheel;
    struct timer timer = {0};
    wheel_init(&wheel, 0);
    cr_assert_not(wheel_is_set(&timer));
    wheel_cancel(&wheel, &timer);
    cr_assert_eq(wheel.count, 0);
}

Test(wheel, expires_at_its_deadline_and_not_before)
{
    /* Each level, both sides of its borders. */
    static const uint64_t waits[] = {1,
                                     62,
                                     63,
                                     64,
                                     65,
                                     4095,
                                     4096,
                                     4097,
                                     262143,
                                     262144,
                                     262145,
                                     1 << 24,
                                     1 << 30,
                                     (1 << 30) + 1,
                                     UINT64_C(1) << 35,
                                     REACH_MS};
    for (size_t i = 0; i < sizeof waits / sizeof *waits; i++) {
        for (uint64_t start = 0; start < 130; start += 43) {
            struct wheel wheel;
            struct timer timer = {0};
            wheel_init(&wheel, start);
            wheel_set(&wheel, &timer, start + waits[i]);
            cr_assert_null(wheel_expire(&wheel, start + waits[i] - 1));
            cr_assert(wheel_is_set(&timer));
            cr_assert_eq(wheel_next_ms(&wheel), start + waits[i]);
            cr_assert_eq(wheel_expire(&wheel, start + waits[i]), &timer);
            cr_assert_not(wheel_is_set(&timer));
            cr_assert_null(wheel_expire(&wheel, start + waits[i]));
        }
    }
}

Test(wheel, past_deadline_is_due_at_once)
{
    struct wheel wheel;
    struct timer timer = {0};
    wheel_init(&wheel, 5000);
    wheel_set(&wheel, &timer, 10);
    cr_assert_eq(wheel_next_ms(&wheel), 5000);
    cr_assert_eq(wheel_expire(&wheel, 5000), &timer);
}

Test(wheel, clock_that_stands_or_goes_back_expires_nothing)
{
    struct wheel wheel;
    struct timer timer = {0};
    wheel_init(&wheel, 5000);
    wheel_set(&wheel, &timer, 5001);
    cr_assert_null(wheel_expire(&wheel, 5000));
    cr_assert_null(wheel_expire(&wheel, 100));
    cr_assert_eq(wheel_expire(&wheel, 5001), &timer);
}

Test(wheel, set_again_moves)
{
    struct wheel wheel;
    struct timer timer = {0};
    wheel_init(&wheel, 0);
    wheel_set(&wheel, &timer, 10);
    wheel_set(&wheel, &timer, 100000);
    cr_assert_eq(wheel.count, 1);
    cr_assert_null(wheel_expire(&wheel, 99999));
    cr_assert_eq(wheel_expire(&wheel, 100000), &timer);
}

Test(wheel, cancelled_does_not_expire)
{
    struct wheel wheel;
    struct timer timers[3] = {0};
    wheel_init(&wheel, 0);
    for (size_t i = 0; i < 3; i++)
        wheel_set(&wheel, &timers[i], 70);
    wheel_cancel(&wheel, &timers[1]);
    cr_assert_not(wheel_is_set(&timers[1]));
    struct timer *first = wheel_expire(&wheel, 70);
    struct timer *second = wheel_expire(&wheel, 70);
    cr_assert_neq(first, &timers[1]);
    cr_assert_neq(second, &timers[1]);
    cr_assert_neq(first, second);
    cr_assert_null(wheel_expire(&wheel, 70));
    cr_assert_eq(wheel_next_ms(&wheel), UINT64_MAX);
}

Test(wheel, wait_beyond_reach_is_clamped)
{
    struct wheel wheel;
    struct timer timer = {0};
    wheel_init(&wheel, 77);
    wheel_set(&wheel, &timer, UINT64_MAX);
    cr_assert_eq(timer.deadline_ms, 77 + REACH_MS);
    cr_assert_null(wheel_expire(&wheel, 76 + REACH_MS));
    cr_assert_eq(wheel_expire(&wheel, 77 + REACH_MS), &timer);
}

/* 2^36 ms are 2.2 years: the top level goes round at that uptime. */
Test(wheel, passes_the_turn_of_the_top_level)
{
    uint64_t turn = UINT64_C(1) << 36;
    for (uint64_t before = 1; before < UINT64_C(1) << 34; before = before * 5 + 3) {
        struct wheel wheel;
        struct timer timer = {0};
        wheel_init(&wheel, turn - before);
        wheel_set(&wheel, &timer, turn + 5);
        cr_assert_leq(wheel_next_ms(&wheel), turn + 5);
        cr_assert_null(wheel_expire(&wheel, turn + 4));
        cr_assert_eq(wheel_expire(&wheel, turn + 5), &timer);
    }
}

/* The owner may set and cancel any timer between the calls. */
Test(wheel, changes_while_expiring)
{
    struct wheel wheel;
    struct timer timers[4] = {0};
    wheel_init(&wheel, 0);
    wheel_set(&wheel, &timers[0], 10);
    wheel_set(&wheel, &timers[1], 20);
    wheel_set(&wheel, &timers[2], 30);
    cr_assert_eq(wheel_expire(&wheel, 100), &timers[0]);
    wheel_cancel(&wheel, &timers[1]);
    wheel_set(&wheel, &timers[3], 25);
    wheel_set(&wheel, &timers[0], 101);
    cr_assert_eq(wheel_expire(&wheel, 100), &timers[3]);
    cr_assert_eq(wheel_expire(&wheel, 100), &timers[2]);
    cr_assert_null(wheel_expire(&wheel, 100));
    cr_assert_eq(wheel_expire(&wheel, 101), &timers[0]);
    cr_assert_eq(wheel.count, 0);
}

#define TIMERS 300

struct model {
    struct wheel wheel;
    struct timer timers[TIMERS];
    uint64_t deadline_ms[TIMERS]; /* UINT64_MAX: not set */
    unsigned short seed[3];
};

/* All magnitudes alike, so that each level is used. */
static uint64_t random_wait(struct model *model)
{
    uint64_t bits = (uint64_t)nrand48(model->seed) % 38;
    uint64_t wide = (uint64_t)nrand48(model->seed) << 31 | (uint64_t)nrand48(model->seed);
    return wide & ((UINT64_C(1) << bits) - 1);
}

static void set_random(struct model *model, uint64_t now_ms)
{
    size_t i = (size_t)nrand48(model->seed) % TIMERS;
    uint64_t wait = random_wait(model);
    if (wait > REACH_MS)
        wait = REACH_MS;
    wheel_set(&model->wheel, &model->timers[i], now_ms + wait);
    model->deadline_ms[i] = now_ms + wait;
}

static uint64_t earliest(const struct model *model)
{
    uint64_t least = UINT64_MAX;
    for (size_t i = 0; i < TIMERS; i++) {
        if (model->deadline_ms[i] < least)
            least = model->deadline_ms[i];
    }
    return least;
}

static void expire_all(struct model *model, uint64_t now_ms)
{
    struct timer *due;
    uint64_t last = 0;
    while ((due = wheel_expire(&model->wheel, now_ms)) != NULL) {
        size_t i = (size_t)(due - model->timers);
        cr_assert_leq(model->deadline_ms[i], now_ms, "expired too early");
        cr_assert_geq(model->deadline_ms[i], last, "out of order");
        last = model->deadline_ms[i];
        model->deadline_ms[i] = UINT64_MAX;
    }
    cr_assert_gt(earliest(model), now_ms, "a due timer was left");
}

static void run_model(uint64_t now_ms, unsigned short seed)
{
    struct model *model = calloc(1, sizeof *model);
    model->seed[0] = seed;
    wheel_init(&model->wheel, now_ms);
    for (size_t i = 0; i < TIMERS; i++)
        model->deadline_ms[i] = UINT64_MAX;

    for (size_t step = 0; step < 20000; step++) {
        switch (nrand48(model->seed) % 4) {
        case 0:
        case 1:
            set_random(model, now_ms);
            break;
        case 2: {
            size_t i = (size_t)nrand48(model->seed) % TIMERS;
            wheel_cancel(&model->wheel, &model->timers[i]);
            model->deadline_ms[i] = UINT64_MAX;
            break;
        }
        case 3:
            /* As the loop does: to what wheel_next_ms tells, or a random way. */
            if (nrand48(model->seed) % 2 && wheel_next_ms(&model->wheel) != UINT64_MAX)
                now_ms = wheel_next_ms(&model->wheel);
            else
                now_ms += random_wait(model) >> 8;
            expire_all(model, now_ms);
            break;
        }
        cr_assert_leq(wheel_next_ms(&model->wheel), earliest(model));
        size_t set = 0;
        for (size_t i = 0; i < TIMERS; i++) {
            bool is_set = model->deadline_ms[i] != UINT64_MAX;
            cr_assert_eq(wheel_is_set(&model->timers[i]), is_set);
            set += is_set;
        }
        cr_assert_eq(model->wheel.count, set);
    }
    free(model);
}

Test(wheel, model_from_zero)
{
    run_model(0, 11);
}

Test(wheel, model_around_the_turn_of_the_top_level)
{
    run_model((UINT64_C(1) << 36) - 100000, 12);
}
