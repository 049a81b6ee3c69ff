#include "bench/expectation.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct unit {
    const char *name;
    double ms;
} time_units[] = {{"", 1}, {"us", 0.001}, {"ms", 1}, {"s", 1000}};

/* 0: no unit of this kind. */
static double unit_factor(enum measure_kind kind, const char *unit)
{
    if (kind != MEASURE_TIME)
        return *unit == '\0' ? 1 : 0;
    for (size_t i = 0; i < sizeof(time_units) / sizeof(time_units[0]); i++) {
        if (strcmp(unit, time_units[i].name) == 0)
            return time_units[i].ms;
    }
    return 0;
}

enum status expectation_parse(struct expectation *expectation, const char *text, char *why,
                              size_t why_size)
{
    size_t length = strcspn(text, "=");
    enum measure_id id = result_find(text, length);
    if (text[length] != '=' || id == RESULT_MEASURES) {
        (void)snprintf(why, why_size, "want KEY=VALUE, KEY as the report names it: p99=50ms");
        return STATUS_NOT_FOUND;
    }
    const char *value = text + length + 1;
    char *end;
    double number = strtod(value, &end);
    double factor = unit_factor(measures[id].kind, end);
    /* strtod also takes blanks, signs, hex, "inf" and "nan", which nobody means. */
    if (!isdigit((unsigned char)*value) || strchr(value, 'x') || !isfinite(number) || factor == 0) {
        (void)snprintf(why, why_size, "want %s=NUMBER%s", measures[id].name,
                       measures[id].kind == MEASURE_TIME ? ", with us, ms or s" : "");
        return STATUS_MALFORMED;
    }
    *expectation = (struct expectation){.measure = id, .bound = number * factor};
    return STATUS_OK;
}

bool expectation_is_met(const struct expectation *expectation, const struct result *result)
{
    enum measure_id id = expectation->measure;
    if (!result->known[id])
        return false;
    return measures[id].at_least ? result->value[id] >= expectation->bound
                                 : result->value[id] <= expectation->bound;
}
