#include "shared/option_value.h"

#include "shared/limits.h"
#include "shared/log.h"

#include <stdio.h>
#include <string.h>

static void choices_text(const char *const *choices, char *out, size_t size)
{
    size_t at = 0;
    out[0] = '\0';
    for (size_t i = 0; choices[i]; i++) {
        const char *between = i == 0 ? "" : choices[i + 1] ? ", " : " or ";
        int printed = snprintf(out + at, size - at, "%s%s", between, choices[i]);
        if (printed < 0 || (size_t)printed >= size - at)
            return;
        at += (size_t)printed;
    }
}

static enum status set_flag(const struct option_row *row, const char *value, char *why, size_t size)
{
    static const char *const words[] = {"no", "yes", "false", "true", "0", "1"};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (strcmp(value, words[i]) == 0) {
            *(bool *)row->target = i % 2 == 1;
            return STATUS_OK;
        }
    }
    (void)snprintf(why, size, "want yes or no");
    return STATUS_MALFORMED;
}

static enum status set_number(const struct option_row *row, const char *value, char *why,
                              size_t size)
{
    (void)snprintf(why, size, "want a number from %llu to %llu", (unsigned long long)row->min,
                   (unsigned long long)row->max);
    uint64_t number = 0;
    for (const char *at = value; *at; at++) {
        if (*at < '0' || *at > '9')
            return STATUS_MALFORMED;
        if (__builtin_mul_overflow(number, 10, &number) ||
            __builtin_add_overflow(number, (uint64_t)(*at - '0'), &number))
            return STATUS_TOO_LONG;
    }
    if (number < row->min || number > row->max)
        return STATUS_TOO_LONG;
    *(uint64_t *)row->target = number;
    return STATUS_OK;
}

static enum status set_address(const struct option_row *row, const char *value, char *why,
                               size_t size)
{
    struct address address;
    if (address_parse(&address, value) != STATUS_OK) {
        (void)snprintf(why, size, "want an IP address and a port: 127.0.0.1:5684 or [::1]:5684");
        return STATUS_MALFORMED;
    }
    *(struct address *)row->target = address;
    return STATUS_OK;
}

static enum status set_choice(const struct option_row *row, const char *value, char *why,
                              size_t size)
{
    for (int i = 0; row->choices[i]; i++) {
        if (strcmp(value, row->choices[i]) == 0) {
            *(int *)row->target = i;
            return STATUS_OK;
        }
    }
    char names[256];
    choices_text(row->choices, names, sizeof names);
    (void)snprintf(why, size, "want %s", names);
    return STATUS_NOT_FOUND;
}

enum status option_set(const struct option_table *table, const struct option_row *row,
                       const char *label, const char *value)
{
    if (value[0] == '\0') {
        option_complain(table, label, "the value is missing; want %s",
                        row->argument ? row->argument : "yes or no");
        return STATUS_MALFORMED;
    }
    char why[512] = "";
    enum status status = STATUS_OK;
    switch (row->kind) {
    case OPTION_FLAG:
        status = set_flag(row, value, why, sizeof why);
        break;
    case OPTION_TEXT:
        *(const char **)row->target = value;
        break;
    case OPTION_NUMBER:
        status = set_number(row, value, why, sizeof why);
        break;
    case OPTION_ADDRESS:
        status = set_address(row, value, why, sizeof why);
        break;
    case OPTION_CHOICE:
        status = set_choice(row, value, why, sizeof why);
        break;
    case OPTION_CUSTOM:
        status = row->parse(row->target, value, why, sizeof why);
        break;
    }
    if (status == STATUS_OK)
        return STATUS_OK;

    /* A custom value may be a secret: it is not shown again. */
    char shown[96] = "the value";
    if (row->kind != OPTION_CUSTOM)
        log_quote(shown, sizeof shown, value, strlen(value));
    if (why[0] == '\0')
        (void)snprintf(why, sizeof why, "want %s", row->argument);
    option_complain(table, label, "%s cannot be used; %s", shown, why);
    return status;
}

/* -1: no hex digit. */
static int digit_value(char digit)
{
    if (digit >= '0' && digit <= '9')
        return digit - '0';
    if (digit >= 'a' && digit <= 'f')
        return digit - 'a' + 10;
    if (digit >= 'A' && digit <= 'F')
        return digit - 'A' + 10;
    return -1;
}

enum status option_parse_hex(const char *text, size_t length, uint8_t *out, size_t size,
                             size_t *out_length)
{
    if (length == 0 || length % 2 != 0)
        return STATUS_MALFORMED;
    for (size_t i = 0; i < length; i++) {
        if (digit_value(text[i]) < 0)
            return STATUS_MALFORMED;
    }
    if (length / 2 > size)
        return STATUS_TOO_LONG;
    for (size_t i = 0; i < length / 2; i++)
        out[i] = (uint8_t)(digit_value(text[2 * i]) << 4 | digit_value(text[2 * i + 1]));
    *out_length = length / 2;
    return STATUS_OK;
}

enum status option_parse_psk(const char *text, size_t length, const char **identity,
                             size_t *identity_length, uint8_t *key, size_t key_size,
                             size_t *key_length)
{
    const char *colon = memrchr(text, ':', length);
    if (!colon || colon == text)
        return STATUS_MALFORMED;
    size_t before = (size_t)(colon - text);
    enum status status =
        option_parse_hex(colon + 1, length - before - 1, key, key_size, key_length);
    if (status != STATUS_OK)
        return status;
    if (before > IDENTITY_LENGTH_MAX)
        return STATUS_TOO_LONG;
    *identity = text;
    *identity_length = before;
    return STATUS_OK;
}
