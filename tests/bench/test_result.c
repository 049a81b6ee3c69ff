#include <criterion/criterion.h>

#include "bench/result.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

static struct tally tally;
static struct result result;

Test(result, every_measure_is_named_once)
{
    for (size_t i = 0; i < RESULT_MEASURES; i++) {
        cr_assert_not_null(measures[i].name, "measure %zu", i);
        cr_assert_eq(result_find(measures[i].name, strlen(measures[i].name)), i);
    }
}

Test(result, names)
{
    cr_assert_eq(result_find("p99", 3), RESULT_P99);
    cr_assert_eq(result_find("p99_ms", 6), RESULT_P99);
    cr_assert_eq(result_find("p999=", 4), RESULT_P999);
    cr_assert_eq(result_find("max_gap_ms", 10), RESULT_MAX_GAP);
    cr_assert_eq(result_find("lost_ms", 7), RESULT_MEASURES, "not a time");
    cr_assert_eq(result_find("", 0), RESULT_MEASURES);
    cr_assert_eq(result_find("p9", 2), RESULT_MEASURES);
}

Test(result, of_nothing)
{
    result_make(&result, &tally, 5);
    cr_assert(result.known[RESULT_DEVICES]);
    cr_assert_eq(result.value[RESULT_DEVICES], 5);
    cr_assert(result.known[RESULT_LOST]);
    cr_assert_not(result.known[RESULT_P99]);
    cr_assert_not(result.known[RESULT_RATE]);
    cr_assert_not(result.known[RESULT_OCTETS_UP]);
    cr_assert_not(result.known[RESULT_RECOVERED], "there was no mark");
}

Test(result, ratios)
{
    tally = (struct tally){.served = 20,
                           .served_in_run = 10,
                           .run_us = 2000000,
                           .octets_up = 800,
                           .max_gap_us = 1500,
                           .handshake_span_us = 500000,
                           .handshake_span_count = 40,
                           .marked = true,
                           .unrecovered = 3};
    histogram_add(&tally.recovery, 2000);
    result_make(&result, &tally, 4);
    cr_assert_float_eq(result.value[RESULT_RATE], 5, 1e-9);
    cr_assert_float_eq(result.value[RESULT_OCTETS_UP], 40, 1e-9);
    cr_assert_float_eq(result.value[RESULT_MAX_GAP], 1.5, 1e-9);
    cr_assert_float_eq(result.value[RESULT_HANDSHAKE_RATE], 80, 1e-9);
    cr_assert_float_eq(result.value[RESULT_RECOVERY_P99], 2, 1e-9);
    cr_assert_eq(result.value[RESULT_UNRECOVERED], 3);
    cr_assert_not(result.known[RESULT_AFFECTED_P50]);
}

Test(result, what_the_server_has_stored)
{
    tally = (struct tally){.served = 20, .observed = 4, .stored = 17};
    result_make(&result, &tally, 4);
    cr_assert_eq(result.value[RESULT_OBSERVED], 4);
    cr_assert_not(result.known[RESULT_STORED]);
    cr_assert_not(result.known[RESULT_UNSTORED]);
    tally.has_stored = true;
    result_make(&result, &tally, 4);
    cr_assert_eq(result.value[RESULT_STORED], 17);
    cr_assert_eq(result.value[RESULT_UNSTORED], 3);
    tally.stored = 21;
    result_make(&result, &tally, 4);
    cr_assert(result.known[RESULT_UNSTORED]);
    cr_assert_eq(result.value[RESULT_UNSTORED], 0);
}

Test(result, json_is_json)
{
    char *text;
    size_t size;
    FILE *out = open_memstream(&text, &size);
    result_make(&result, &tally, 7);
    result_print_json(&result, "echo", out);
    cr_assert_eq(fclose(out), 0);
    json_t *json = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
    cr_assert_not_null(json);
    cr_assert_str_eq(json_string_value(json_object_get(json, "workload")), "echo");
    cr_assert_eq(json_integer_value(json_object_get(json, "devices")), 7);
    cr_assert(json_is_null(json_object_get(json, "p99_ms")));
    cr_assert_eq(json_object_size(json), RESULT_MEASURES + 1);
    json_decref(json);
    free(text);
}

Test(result, report_leaves_out_what_is_not_known)
{
    char *text;
    size_t size;
    FILE *out = open_memstream(&text, &size);
    result_make(&result, &tally, 7);
    result_print(&result, out);
    cr_assert_eq(fclose(out), 0);
    cr_assert_not_null(strstr(text, "lost"));
    cr_assert_null(strstr(text, "p99"));
    free(text);
}
