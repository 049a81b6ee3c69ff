#include "shared/metrics.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

enum { OK, FAILED, SESSIONS, ROWS };
static const struct metric rows[ROWS] = {
    [OK] = {"t_handshakes_total", "result=\"ok\"", "Handshakes by result", METRIC_COUNTER},
    [FAILED] = {"t_handshakes_total", "result=\"failed\"", NULL, METRIC_COUNTER},
    [SESSIONS] = {"t_sessions", NULL, "Sessions in memory", METRIC_GAUGE},
};

Test(metrics, threads_are_summed)
{
    struct metrics metrics;
    cr_assert_eq(metrics_init(&metrics, rows, ROWS, 3), STATUS_OK);
    metrics_add(&metrics, 0, OK, 5);
    metrics_add(&metrics, 2, OK, 7);
    metrics_add(&metrics, 2, OK, 1);
    metrics_set(&metrics, 1, SESSIONS, 40);
    metrics_set(&metrics, 1, SESSIONS, 4);
    cr_assert_eq(metrics_get(&metrics, OK), 13);
    cr_assert_eq(metrics_get(&metrics, FAILED), 0);
    cr_assert_eq(metrics_get(&metrics, SESSIONS), 4);
    metrics_free(&metrics);
}

Test(metrics, more_threads_than_the_bound_are_refused)
{
    struct metrics metrics;
    cr_assert_eq(metrics_init(&metrics, rows, ROWS, LB_THREADS_MAX + 1), STATUS_TOO_LONG);
    cr_assert_eq(metrics_init(&metrics, rows, ROWS, LB_THREADS_MAX), STATUS_OK);
    metrics_free(&metrics);
}

Test(metrics, written_as_prometheus_reads_it)
{
    struct metrics metrics;
    cr_assert_eq(metrics_init(&metrics, rows, ROWS, 1), STATUS_OK);
    metrics_add(&metrics, 0, FAILED, UINT64_MAX);
    metrics_set(&metrics, 0, SESSIONS, 2);
    struct text text = {0};
    metrics_write(&metrics, &text);
    cr_assert_not(text.failed);
    cr_assert_str_eq(text.bytes, "# HELP t_handshakes_total Handshakes by result\n"
                                 "# TYPE t_handshakes_total counter\n"
                                 "t_handshakes_total{result=\"ok\"} 0\n"
                                 "t_handshakes_total{result=\"failed\"} 18446744073709551615\n"
                                 "# HELP t_sessions Sessions in memory\n"
                                 "# TYPE t_sessions gauge\n"
                                 "t_sessions 2\n");
    cr_assert_eq(text.length, strlen(text.bytes));

    struct text merged = {0};
    const char *once[] = {text.bytes};
    cr_assert_eq(metrics_merge(once, 1, &merged), STATUS_OK);
    cr_assert_str_eq(merged.bytes, text.bytes, "merging what we write changes nothing");
    free(merged.bytes);
    free(text.bytes);
    metrics_free(&metrics);
}

Test(metrics, text_grows)
{
    struct text text = {0};
    for (int i = 0; i < 1000; i++)
        text_add(&text, "%04d", i);
    text_append(&text, "", 0);
    cr_assert_eq(text.length, 4000);
    cr_assert_eq(strlen(text.bytes), 4000);
    cr_assert_arr_eq(text.bytes + 4 * 42, "0042", 4);
    cr_assert_str_eq(text.bytes + 4 * 999, "0999");
    free(text.bytes);
}
