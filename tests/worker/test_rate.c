#include "worker/rate.h"

#include "shared/limits.h"

#include <criterion/criterion.h>

static const struct hash_key key = {1, 2};
static const struct address nowhere;

static size_t ask(struct rate *rate, uint64_t session_id, uint64_t now_ms, size_t times)
{
    size_t granted = 0;
    for (size_t i = 0; i < times; i++)
        granted += rate_ask(rate, session_id, &nowhere, now_ms) == RATE_GRANTED;
    return granted;
}

Test(rate, grants_a_second_s_worth_and_then_at_the_rate)
{
    static const struct {
        uint64_t now_ms;
        size_t granted; /* of 100 */
    } rows[] = {
        {1000, 10},
        {1000, 0},
        {1099, 0},
        {1100, 1},
        {1150, 0},
        {1200, 1},
        {1700, 5},
        {2700, 10},
        {60000, 10},
        {60050, 0},
        /* The clock's low half comes round. */
        {0xffffffff, 10},
        {0x100000000 + 99, 1},
        {0x100000000 + 5000, 10},
    };
    struct rate rate;
    cr_assert_eq(rate_init(&rate, 10, &key), STATUS_OK);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        cr_expect_eq(ask(&rate, 7, rows[i].now_ms, 100), rows[i].granted, "row %zu", i);
    rate_free(&rate);
}

Test(rate, each_peer_has_its_own)
{
    struct rate rate;
    struct address a = {.port = 1}, b = {.port = 2};
    cr_assert_eq(rate_init(&rate, 1, &key), STATUS_OK);
    cr_expect_eq(rate_ask(&rate, 0, &a, 1000), RATE_GRANTED);
    cr_expect_eq(rate_ask(&rate, 0, &a, 1000), RATE_REFUSED);
    cr_expect_eq(rate_ask(&rate, 0, &b, 1000), RATE_GRANTED);
    cr_expect_eq(rate_ask(&rate, 9, &a, 1000), RATE_GRANTED, "a session, wherever it is");
    cr_expect_eq(rate_ask(&rate, 9, &b, 1000), RATE_REFUSED);
    cr_expect_eq(rate_ask(&rate, 8, &b, 1000), RATE_GRANTED);
    rate_free(&rate);
}

Test(rate, no_bound_takes_no_memory)
{
    struct rate rate;
    cr_assert_eq(rate_init(&rate, 0, &key), STATUS_OK);
    cr_expect_null(rate.sets);
    cr_expect_eq(ask(&rate, 7, 1000, 1000), 1000);
    rate_free(&rate);
}

/* One who floods keeps its empty bucket while others come and go: it is never a set's least recent.
 */
Test(rate, the_least_recent_of_a_set_goes)
{
    struct rate rate;
    uint64_t now_ms = 1000;
    size_t granted = 0;
    cr_assert_eq(rate_init(&rate, 1, &key), STATUS_OK);
    for (uint64_t other = 100; other < 100 + 10 * RATE_BUCKETS; other++) {
        cr_assert_eq(ask(&rate, other, now_ms, 1), 1);
        if (other % 64 == 0)
            granted += ask(&rate, 7, ++now_ms, 1);
    }
    cr_expect_leq(granted, 1 + now_ms / 1000, "%zu in %zu ms", granted, (size_t)now_ms);
    rate_free(&rate);
}

Test(rate, the_highest_there_is)
{
    struct rate rate;
    cr_assert_eq(rate_init(&rate, RATE_MAX, &key), STATUS_OK);
    cr_expect_eq(ask(&rate, 7, 1000, RATE_MAX + 10), RATE_MAX);
    cr_expect_eq(ask(&rate, 7, 1999, RATE_MAX + 10), RATE_MAX / 1000 * 999);
    rate_free(&rate);
}
