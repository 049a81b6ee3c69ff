#include "worker/metrics.h"

#include <criterion/criterion.h>
#include <string.h>

Test(metrics, rows_of_a_family_stand_together_and_only_the_first_helps)
{
    for (size_t i = 0; i < WORKER_METRICS_COUNT; i++) {
        const struct metric *row = &worker_metrics[i];
        bool first = i == 0 || strcmp(row[-1].name, row->name) != 0;
        cr_expect_eq(strncmp(row->name, "holdfast_", 9), 0, "%s", row->name);
        cr_expect_eq(row->help != NULL, first, "%s", row->name);
        for (size_t j = 0; first && j < i; j++)
            cr_expect_str_neq(worker_metrics[j].name, row->name);
        for (size_t j = i + 1; j < WORKER_METRICS_COUNT; j++)
            cr_expect(strcmp(worker_metrics[j].name, row->name) != 0 ||
                          (row->label && strcmp(worker_metrics[j].label, row->label) != 0),
                      "%s", row->name);
    }
}
