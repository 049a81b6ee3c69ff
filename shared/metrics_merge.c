#include "shared/cursor.h"
#include "shared/metrics.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define NUMBER_SIZE 64 /* characters of a value, with NUL */

/* Part of an input text. */
struct slice {
    const char *at;
    size_t length;
};

struct family {
    struct slice name;
    struct slice help; /* at: NULL until a line says it */
    struct slice type;
};

/* Whole numbers are added as such: a double would lose those above 2^53. */
struct value {
    uint64_t whole;
    double rest;
    _Bool has_rest;
};

struct series {
    size_t family;
    struct slice name; /* with its labels */
    struct value value;
};

struct merge {
    struct family *families;
    size_t family_count, family_room;
    struct series *series;
    size_t series_count, series_room;
};

static _Bool slice_equal(struct slice a, struct slice b)
{
    return a.length == b.length && memcmp(a.at, b.at, a.length) == 0;
}

static _Bool slice_is(struct slice slice, const char *word)
{
    return slice_equal(slice, (struct slice){word, strlen(word)});
}

/* ---- reading ---- */

static struct slice between(const uint8_t *from, const uint8_t *to)
{
    return (struct slice){(const char *)from, (size_t)(to - from)};
}

static _Bool next_is(const struct cursor *line, char wanted)
{
    return cursor_left(line) > 0 && *line->at == (uint8_t)wanted;
}

static _Bool take(struct cursor *line, char wanted)
{
    if (!next_is(line, wanted))
        return 0;
    (void)cursor_u8(line);
    return 1;
}

static void skip_blanks(struct cursor *line)
{
    while (next_is(line, ' ') || next_is(line, '\t'))
        (void)cursor_u8(line);
}

static struct slice take_word(struct cursor *line)
{
    const uint8_t *start = line->at;
    while (cursor_left(line) > 0 && !next_is(line, ' ') && !next_is(line, '\t'))
        (void)cursor_u8(line);
    return between(start, line->at);
}

/* [a-zA-Z_:][a-zA-Z0-9_:]*; fails the cursor when there is none. */
static struct slice take_name(struct cursor *line)
{
    const uint8_t *start = line->at;
    while (cursor_left(line) > 0) {
        uint8_t c = *line->at;
        _Bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c == ':';
        _Bool digit = c >= '0' && c <= '9';
        if (!letter && !(digit && line->at != start))
            break;
        (void)cursor_u8(line);
    }
    if (line->at == start)
        line->failed = 1;
    return between(start, line->at);
}

/* name="value", ...} behind the opening brace; backslashes escape inside the quotes. */
static void skip_labels(struct cursor *line)
{
    while (cursor_ok(line) && !take(line, '}')) {
        (void)take_name(line);
        if (!take(line, '=') || !take(line, '"')) {
            line->failed = 1;
            return;
        }
        while (cursor_ok(line) && !take(line, '"')) {
            if (cursor_u8(line) == '\\')
                (void)cursor_u8(line);
        }
        if (!take(line, ',') && !next_is(line, '}'))
            line->failed = 1;
    }
}

static _Bool parse_value(struct slice text, struct value *value)
{
    char number[NUMBER_SIZE];
    if (text.length == 0 || text.length >= sizeof number)
        return 0;
    memcpy(number, text.at, text.length);
    number[text.length] = '\0';

    char *end;
    *value = (struct value){0};
    if (strspn(number, "0123456789") == text.length) {
        errno = 0;
        value->whole = strtoull(number, &end, 10);
        if (errno == 0)
            return 1;
        value->whole = 0;
    }
    value->rest = strtod(number, &end);
    value->has_rest = 1;
    return *end == '\0';
}

/* ---- adding up ---- */

/* Room for one more of `size` octets; the array may move. NULL without memory. */
static void *grown(void *array, size_t count, size_t *room, size_t size)
{
    if (count < *room)
        return array;
    size_t wanted = *room ? *room * 2 : 64;
    void *moved = reallocarray(array, wanted, size);
    if (moved)
        *room = wanted;
    return moved;
}

static enum status family_named(struct merge *merge, struct slice name, size_t *index)
{
    /* Most lines belong to the family of the line before them, so look from the end. */
    for (size_t i = merge->family_count; i > 0; i--) {
        if (slice_equal(merge->families[i - 1].name, name)) {
            *index = i - 1;
            return STATUS_OK;
        }
    }
    struct family *families =
        grown(merge->families, merge->family_count, &merge->family_room, sizeof *merge->families);
    if (!families)
        return STATUS_NO_MEMORY;
    merge->families = families;
    *index = merge->family_count++;
    merge->families[*index] = (struct family){.name = name};
    return STATUS_OK;
}

static enum status add_sample(struct merge *merge, size_t family, struct slice name,
                              struct value value)
{
    for (size_t i = 0; i < merge->series_count; i++) {
        struct series *series = &merge->series[i];
        if (series->family != family || !slice_equal(series->name, name))
            continue;
        uint64_t sum;
        if (__builtin_add_overflow(series->value.whole, value.whole, &sum)) {
            series->value.rest += (double)value.whole;
            series->value.has_rest = 1;
        } else {
            series->value.whole = sum;
        }
        series->value.rest += value.rest;
        series->value.has_rest |= value.has_rest;
        return STATUS_OK;
    }
    struct series *series =
        grown(merge->series, merge->series_count, &merge->series_room, sizeof *merge->series);
    if (!series)
        return STATUS_NO_MEMORY;
    merge->series = series;
    merge->series[merge->series_count++] =
        (struct series){.family = family, .name = name, .value = value};
    return STATUS_OK;
}

/* "# HELP name text", "# TYPE name kind", or a comment. */
static enum status take_comment(struct merge *merge, struct cursor *line)
{
    skip_blanks(line);
    struct slice word = take_word(line);
    _Bool help = slice_is(word, "HELP");
    if (!help && !slice_is(word, "TYPE"))
        return STATUS_OK;

    skip_blanks(line);
    struct slice name = take_name(line);
    skip_blanks(line);
    if (!cursor_ok(line))
        return STATUS_MALFORMED;
    size_t index;
    enum status status = family_named(merge, name, &index);
    if (status != STATUS_OK)
        return status;
    struct slice *said = help ? &merge->families[index].help : &merge->families[index].type;
    if (!said->at)
        *said = between(line->at, line->end);
    return STATUS_OK;
}

static enum status take_line(struct merge *merge, struct cursor line)
{
    skip_blanks(&line);
    if (cursor_left(&line) == 0)
        return STATUS_OK;
    if (take(&line, '#'))
        return take_comment(merge, &line);

    const uint8_t *start = line.at;
    struct slice family = take_name(&line);
    if (take(&line, '{'))
        skip_labels(&line);
    struct slice name = between(start, line.at);
    skip_blanks(&line);
    struct slice number = take_word(&line);
    skip_blanks(&line);
    struct slice timestamp = take_word(&line);
    skip_blanks(&line);
    struct value value, ignored;
    if (!cursor_ok(&line) || cursor_left(&line) > 0 || !parse_value(number, &value) ||
        (timestamp.length > 0 && !parse_value(timestamp, &ignored)))
        return STATUS_MALFORMED;

    size_t index;
    enum status status = family_named(merge, family, &index);
    return status == STATUS_OK ? add_sample(merge, index, name, value) : status;
}

static enum status take_text(struct merge *merge, const char *text)
{
    struct cursor cursor = cursor_over(text, strlen(text));
    while (cursor_left(&cursor) > 0) {
        size_t left = cursor_left(&cursor);
        const uint8_t *feed = memchr(cursor.at, '\n', left);
        struct cursor line = cursor_sub(&cursor, feed ? (size_t)(feed - cursor.at) : left);
        (void)take(&cursor, '\n');
        enum status status = take_line(merge, line);
        if (status != STATUS_OK)
            return status;
    }
    return STATUS_OK;
}

/* ---- writing ---- */

static void write_family(const struct merge *merge, size_t index, struct text *text)
{
    const struct family *family = &merge->families[index];
    int name_length = (int)family->name.length;
    if (family->help.at)
        text_add(text, "# HELP %.*s %.*s\n", name_length, family->name.at, (int)family->help.length,
                 family->help.at);
    if (family->type.at)
        text_add(text, "# TYPE %.*s %.*s\n", name_length, family->name.at, (int)family->type.length,
                 family->type.at);
    for (size_t i = 0; i < merge->series_count; i++) {
        const struct series *series = &merge->series[i];
        if (series->family != index)
            continue;
        text_append(text, series->name.at, series->name.length);
        if (series->value.has_rest)
            text_add(text, " %.17g\n", (double)series->value.whole + series->value.rest);
        else
            text_add(text, " %llu\n", (unsigned long long)series->value.whole);
    }
}

enum status metrics_merge(const char *const *texts, size_t count, struct text *merged)
{
    struct merge merge = {0};
    enum status status = STATUS_OK;
    for (size_t i = 0; i < count && status == STATUS_OK; i++)
        status = take_text(&merge, texts[i]);
    for (size_t i = 0; i < merge.family_count && status == STATUS_OK; i++)
        write_family(&merge, i, merged);
    if (status == STATUS_OK && merged->failed)
        status = STATUS_NO_MEMORY;
    free(merge.series);
    free(merge.families);
    return status;
}
