#include "lb/admission.h"
#include "tests/lb/datagrams.h"

#include <criterion/criterion.h>

static const struct hash_key key = {5, 6};

static struct admission *new_admission(size_t prefixes, uint32_t rate, uint32_t burst)
{
    static struct admission admission;
    cr_assert_eq(admission_init(&admission, prefixes, rate, burst, &key), STATUS_OK);
    return &admission;
}

/* How many of `asked` come through. */
static size_t ask(struct admission *admission, struct address source, size_t asked, uint64_t now_ms)
{
    size_t granted = 0;
    for (size_t i = 0; i < asked; i++)
        granted += admission_ask(admission, &source, now_ms) == ADMISSION_GRANTED;
    return granted;
}

Test(admission, burst_then_rate)
{
    struct admission *admission = new_admission(10, 500, 1000);
    struct address source = source_v4(1, 1);
    cr_assert_eq(ask(admission, source, 5000, 0), 1000);
    cr_assert_eq(ask(admission, source, 10, 1), 0); /* half a token */
    cr_assert_eq(ask(admission, source, 10, 2), 1);
    cr_assert_eq(ask(admission, source, 5000, 1002), 500);
    cr_assert_eq(ask(admission, source, 5000, 2002), 500);
    cr_assert_eq(ask(admission, source, 5000, 3600000), 1000); /* full again, no more */
    admission_free(admission);
}

Test(admission, slow_rates_lose_nothing)
{
    struct admission *admission = new_admission(10, 1, 1);
    struct address source = source_v4(1, 1);
    size_t granted = 0;
    for (uint64_t now_ms = 0; now_ms < 10000; now_ms += 7)
        granted += ask(admission, source, 1, now_ms);
    cr_assert(granted == 10 || granted == 9, "%zu", granted);
    admission_free(admission);
}

Test(admission, extremes)
{
    struct admission *admission = new_admission(10, UINT32_MAX, UINT32_MAX);
    cr_assert_eq(ask(admission, source_v4(1, 1), 1000, 0), 1000);
    cr_assert_eq(ask(admission, source_v4(1, 1), 1000, UINT64_MAX / 2), 1000);
    admission_free(admission);

    admission = new_admission(10, 1, 0); /* a bucket holds one token at least */
    cr_assert_eq(ask(admission, source_v4(1, 1), 10, 0), 1);
    cr_assert_eq(ask(admission, source_v4(1, 1), 10, UINT64_MAX), 1);
    admission_free(admission);
}

Test(admission, rate_zero_is_off)
{
    struct admission *admission = new_admission(10, 0, 0);
    cr_assert_eq(ask(admission, source_v4(1, 1), 10000, 0), 10000);
    cr_assert_eq(admission->table.count, 0);
    admission_free(admission);
}

Test(admission, a_network_is_a_24_or_a_56)
{
    struct admission *admission = new_admission(10, 1, 4);
    cr_assert_eq(ask(admission, source_v4(0x000100, 1), 4, 0), 4);
    cr_assert_eq(ask(admission, source_v4(0x0001ff, 2), 4, 0), 0); /* same /24 */
    cr_assert_eq(ask(admission, source_v4(0x000200, 1), 4, 0), 4); /* the next */

    struct address v6 = source_v6(1, 1);
    cr_assert_eq(ask(admission, v6, 4, 0), 4);
    v6.ip[7] = 0xff;
    v6.ip[12] = 0xff;
    cr_assert_eq(ask(admission, v6, 4, 0), 0); /* same /56 */
    cr_assert_eq(ask(admission, source_v6(2, 1), 4, 0), 4);
    cr_assert_eq(admission->table.count, 4);
    admission_free(admission);
}

Test(admission, bounded)
{
    struct admission *admission = new_admission(100, 1, 1);
    for (uint32_t i = 0; i < 10000; i++)
        cr_assert_eq(ask(admission, source_v4(i << 8, 1), 1, 0), 1);
    cr_assert_eq(admission->table.count, 100);
    cr_assert_eq(admission->pool.in_use, 100);
    cr_assert_eq(admission->evicted, 9900);
    /* The last hundred are remembered, the first come back with a full bucket. */
    cr_assert_eq(ask(admission, source_v4(9999u << 8, 1), 1, 0), 0);
    cr_assert_eq(ask(admission, source_v4(9900u << 8, 1), 1, 0), 0);
    cr_assert_eq(ask(admission, source_v4(0, 1), 1, 0), 1);
    /* 9900 was heard of just now, so 9901 had to go. */
    cr_assert_eq(ask(admission, source_v4(9900u << 8, 1), 1, 0), 0);
    cr_assert_eq(ask(admission, source_v4(9901u << 8, 1), 1, 0), 1);
    admission_free(admission);
}
