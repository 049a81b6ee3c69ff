#include <criterion/criterion.h>

#include "bench/expectation.h"

static struct expectation expectation;
static char why[128];

static enum status parse(const char *text)
{
    why[0] = '\0';
    return expectation_parse(&expectation, text, why, sizeof(why));
}

Test(expectation, units_of_time)
{
    static const struct {
        const char *text;
        double ms;
    } cases[] = {{"p99=50ms", 50}, {"p99=50", 50},           {"p99=800us", 0.8},
                 {"p99=2s", 2000}, {"p99=1.5ms", 1.5},       {"p99_ms=7", 7},
                 {"max_gap=3", 3}, {"recovery_p99=1s", 1000}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        cr_assert_eq(parse(cases[i].text), STATUS_OK, "%s", cases[i].text);
        cr_assert_float_eq(expectation.bound, cases[i].ms, 1e-9, "%s", cases[i].text);
    }
}

Test(expectation, what_is_none)
{
    static const char *const cases[] = {
        "",        "p99",     "p99=",    "=5",      "p98=5",     "p99=fast", "p99=5h",   "lost=1ms",
        "lost=-1", "lost= 1", "p99=nan", "p99=inf", "rate=0x10", "lost=1 ",  "p99=5ms ", "lost==1",
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        cr_assert_neq(parse(cases[i]), STATUS_OK, "%s", cases[i]);
        cr_assert_neq(why[0], '\0', "%s", cases[i]);
    }
}

Test(expectation, at_most_and_at_least)
{
    struct result result = {0};
    cr_assert_eq(parse("lost=1"), STATUS_OK);
    cr_assert_not(expectation_is_met(&expectation, &result), "not known");
    result.known[RESULT_LOST] = true;
    cr_assert(expectation_is_met(&expectation, &result));
    result.value[RESULT_LOST] = 1;
    cr_assert(expectation_is_met(&expectation, &result));
    result.value[RESULT_LOST] = 2;
    cr_assert_not(expectation_is_met(&expectation, &result));

    cr_assert_eq(parse("rate=100"), STATUS_OK);
    result.known[RESULT_RATE] = true;
    result.value[RESULT_RATE] = 99;
    cr_assert_not(expectation_is_met(&expectation, &result));
    result.value[RESULT_RATE] = 100;
    cr_assert(expectation_is_met(&expectation, &result));
}
