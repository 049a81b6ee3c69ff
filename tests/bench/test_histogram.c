#include <criterion/criterion.h>

#include "bench/histogram.h"

#include <string.h>

static struct histogram histogram;

Test(histogram, empty)
{
    cr_assert_eq(histogram_percentile(&histogram, 500000), 0);
    cr_assert_eq(histogram_percentile(&histogram, 1000000), 0);
}

Test(histogram, small_values_are_exact)
{
    for (uint64_t value = 1; value <= 100; value++)
        histogram_add(&histogram, value);
    cr_assert_eq(histogram_percentile(&histogram, 500000), 50);
    cr_assert_eq(histogram_percentile(&histogram, 990000), 99);
    cr_assert_eq(histogram_percentile(&histogram, 999000), 100);
    cr_assert_eq(histogram_percentile(&histogram, 1000000), 100);
    cr_assert_eq(histogram_percentile(&histogram, 1), 1);
}

/* Both sides of each power of two, and what is between. */
Test(histogram, error_is_small_everywhere)
{
    for (unsigned bit = 0; bit < 40; bit++) {
        for (int offset = -1; offset <= 1; offset++) {
            uint64_t value = (UINT64_C(1) << bit) + (uint64_t)(int64_t)offset;
            if (value > HISTOGRAM_VALUE_MAX)
                continue;
            memset(&histogram, 0, sizeof(histogram));
            histogram_add(&histogram, value);
            histogram_add(&histogram, HISTOGRAM_VALUE_MAX);
            uint64_t told = histogram_percentile(&histogram, 500000);
            cr_assert_geq(told, value);
            cr_assert_leq(told - value, value / 63, "%lu told as %lu", value, told);
        }
    }
}

Test(histogram, never_above_the_maximum)
{
    histogram_add(&histogram, 1000001);
    cr_assert_eq(histogram_percentile(&histogram, 990000), 1000001);
}

Test(histogram, longer_than_the_last_bucket)
{
    histogram_add(&histogram, UINT64_MAX);
    cr_assert_eq(histogram.max_us, HISTOGRAM_VALUE_MAX);
    cr_assert_eq(histogram_percentile(&histogram, 500000), HISTOGRAM_VALUE_MAX);
}

Test(histogram, many)
{
    for (uint64_t i = 0; i < 3000000; i++)
        histogram_add(&histogram, i < 2970000 ? 10 : 20);
    cr_assert_eq(histogram_percentile(&histogram, 990000), 10);
    cr_assert_eq(histogram_percentile(&histogram, 990001), 20);
}
