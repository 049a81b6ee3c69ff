#include "shared/metrics.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum status metrics_init(struct metrics *metrics, const struct metric *rows, size_t count,
                         size_t threads)
{
    *metrics = (struct metrics){.rows = rows, .count = count, .threads = threads};
    if (threads > LB_THREADS_MAX)
        return STATUS_TOO_LONG;
    for (size_t thread = 0; thread < threads; thread++) {
        metrics->values[thread] = calloc(count, sizeof *metrics->values[thread]);
        if (!metrics->values[thread]) {
            metrics_free(metrics);
            return STATUS_NO_MEMORY;
        }
    }
    return STATUS_OK;
}

void metrics_free(struct metrics *metrics)
{
    for (size_t thread = 0; thread < LB_THREADS_MAX; thread++)
        free(metrics->values[thread]);
    *metrics = (struct metrics){0};
}

uint64_t metrics_get(const struct metrics *metrics, size_t row)
{
    uint64_t sum = 0;
    for (size_t thread = 0; thread < metrics->threads; thread++)
        sum += __atomic_load_n(&metrics->values[thread][row], __ATOMIC_RELAXED);
    return sum;
}

/* ---- text ---- */

/* Room for `more` octets and a NUL; false (and `failed`, which sticks) without memory. */
static _Bool reserve(struct text *text, size_t more)
{
    if (text->failed)
        return 0;
    size_t wanted = text->length + more + 1;
    if (wanted <= text->size)
        return 1;
    size_t size = text->size ? text->size : 256;
    while (size < wanted)
        size *= 2;
    char *bytes = realloc(text->bytes, size);
    if (!bytes) {
        text->failed = 1;
        return 0;
    }
    text->bytes = bytes;
    text->size = size;
    return 1;
}

void text_append(struct text *text, const void *bytes, size_t length)
{
    if (!reserve(text, length))
        return;
    if (length > 0)
        memcpy(text->bytes + text->length, bytes, length);
    text->length += length;
    text->bytes[text->length] = '\0';
}

void text_add(struct text *text, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    va_list again;
    va_copy(again, arguments);
    int length = vsnprintf(NULL, 0, format, arguments);
    va_end(arguments);
    if (length < 0) {
        text->failed = 1;
    } else if (reserve(text, (size_t)length)) {
        (void)vsnprintf(text->bytes + text->length, (size_t)length + 1, format, again);
        text->length += (size_t)length;
    }
    va_end(again);
}

/* ---- export ---- */

static const char *kind_text(enum metric_kind kind)
{
    switch (kind) {
    case METRIC_COUNTER:
        return "counter";
    case METRIC_GAUGE:
        return "gauge";
    }
    return "untyped";
}

void metrics_write(const struct metrics *metrics, struct text *text)
{
    const char *family = "";
    for (size_t row = 0; row < metrics->count; row++) {
        const struct metric *metric = &metrics->rows[row];
        if (strcmp(metric->name, family) != 0) {
            family = metric->name;
            text_add(text, "# HELP %s %s\n# TYPE %s %s\n", family, metric->help ? metric->help : "",
                     family, kind_text(metric->kind));
        }
        unsigned long long value = metrics_get(metrics, row);
        if (metric->label)
            text_add(text, "%s{%s} %llu\n", metric->name, metric->label, value);
        else
            text_add(text, "%s %llu\n", metric->name, value);
    }
}
