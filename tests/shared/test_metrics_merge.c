#include "shared/metrics.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

static void expect(const char *const *texts, size_t count, const char *wanted)
{
    struct text merged = {0};
    cr_assert_eq(metrics_merge(texts, count, &merged), STATUS_OK);
    cr_assert_str_eq(merged.bytes ? merged.bytes : "", wanted);
    free(merged.bytes);
}

Test(metrics_merge, same_series_are_added_and_order_is_kept)
{
    const char *texts[] = {
        "# HELP lb_total Datagrams\n# TYPE lb_total counter\n"
        "lb_total{direction=\"in\"} 10\nlb_total{direction=\"out\"} 20\n",
        "# HELP sessions Sessions\n# TYPE sessions gauge\nsessions 3\n"
        "# HELP lb_total Datagrams\n# TYPE lb_total counter\n"
        "lb_total{direction=\"lost\"} 1\nlb_total{direction=\"out\"} 2\n",
        "# HELP sessions Sessions\n# TYPE sessions gauge\nsessions 4\n",
    };
    expect(texts, 3,
           "# HELP lb_total Datagrams\n# TYPE lb_total counter\n"
           "lb_total{direction=\"in\"} 10\nlb_total{direction=\"out\"} 22\n"
           "lb_total{direction=\"lost\"} 1\n"
           "# HELP sessions Sessions\n# TYPE sessions gauge\nsessions 7\n");
}

Test(metrics_merge, labels_may_hold_what_looks_like_syntax)
{
    const char *texts[] = {"a{x=\"} 1 # \\\" \\\\\",y=\"\"} 1\n",
                           "a{x=\"} 1 # \\\" \\\\\",y=\"\"} 2"};
    expect(texts, 2, "a{x=\"} 1 # \\\" \\\\\",y=\"\"} 3\n");
}

Test(metrics_merge, numbers_of_every_form)
{
    const char *texts[] = {
        "big 9007199254740993\nhalf 0.5\nmixed 1\nover 18446744073709551615\nstamped 1 "
        "1700000000\n",
        "big 9007199254740993\nhalf 0.25\nmixed -0.5\nover 1\nstamped\t2\t1700000001 \n",
    };
    expect(texts, 2,
           "big 18014398509481986\nhalf 0.75\nmixed 0.5\nover 1.8446744073709552e+19\n"
           "stamped 3\n");
}

Test(metrics_merge, nothing_and_comments)
{
    expect(NULL, 0, "");
    const char *texts[] = {"", "\n\n  \n# a comment\n#\n# HELP a\n"};
    expect(texts, 2, "# HELP a \n");
}

Test(metrics_merge, what_is_not_in_the_format_is_refused)
{
    static const char *const malformed[] = {
        "a",
        "a x",
        "a 1 2 3",
        "a 1 x",
        "1a 1",
        "a{ 1",
        "a{x} 1",
        "a{x=1} 1",
        "a{x=\"1} 1",
        "a{x=\"1\\",
        "a{x=\"1\"y=\"2\"} 1",
        "a{=\"1\"} 1",
        "{x=\"1\"} 1",
        "<html>",
        "# TYPE 1 counter",
        "a 1111111111111111111111111111111111111111111111111111111111111111111111",
    };
    for (size_t i = 0; i < sizeof malformed / sizeof malformed[0]; i++) {
        struct text merged = {0};
        const char *texts[] = {"good 1\n", malformed[i]};
        cr_assert_eq(metrics_merge(texts, 2, &merged), STATUS_MALFORMED, "%s", malformed[i]);
        cr_assert_eq(merged.length, 0);
        free(merged.bytes);
    }
}
