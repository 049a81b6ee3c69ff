/* Options as one table: parsing, environment, configuration file and help come from it.
 * `--store URL`, `--store=URL`, HOLDFAST_STORE, and a line `store = URL` of --config FILE;
 * precedence in this order. An option given on a stronger level replaces all values of a weaker
 * one. In the environment, repeatable options separate values by spaces. */
#ifndef HOLDFAST_SHARED_OPTION_H
#define HOLDFAST_SHARED_OPTION_H

#include "shared/address.h"
#include "shared/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum option_kind {
    OPTION_FLAG,    /* bool *; in environment and file: yes/no, true/false, 1/0 */
    OPTION_TEXT,    /* const char ** */
    OPTION_NUMBER,  /* uint64_t *, between min and max */
    OPTION_ADDRESS, /* struct address * */
    OPTION_CHOICE,  /* int *; index into choices */
    OPTION_CUSTOM,  /* parse() is called once a value; the only repeatable kind */
};

struct option_row {
    const char *name;     /* "psk-file" */
    const char *argument; /* "FILE" in the help; NULL for a flag */
    const char *help;
    enum option_kind kind;
    void *target;
    uint64_t min, max;
    const char *const *choices; /* NULL-terminated */
    /* On failure writes what would be right into `why` ("want ID:HEX") and returns non-OK. */
    enum status (*parse)(void *target, const char *value, char *why, size_t why_size);
};

struct option_table {
    const char *program; /* "holdfast-lb" */
    const char *summary; /* one line for --help */
    const struct option_row *rows;
    size_t count;
    /* The one argument that belongs to no option and must be there ("HEX"); NULL: there is none. */
    const char *operand;
    const char **operand_target;
};

enum option_outcome {
    OPTION_RUN,      /* all parsed */
    OPTION_DONE,     /* --help or --version was printed: exit 0 */
    OPTION_UNUSABLE, /* one line on stderr was printed: exit 2 */
};

/* argv[0] is skipped. Strings of argv and of the environment are kept by reference; those of the
 * file live until the process ends. --help, --version and --config are known to every table. */
enum option_outcome option_parse(const struct option_table *table, int argc, char *const *argv);

/* The line "PROGRAM: OPTION: WHAT" of an unusable value that only shows later (a port taken). */
void option_complain(const struct option_table *table, const char *option, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Shared value parsers. */
/* "ID:HEX": the key is what follows the last colon. identity is not NUL-terminated. */
MUST_USE enum status option_parse_psk(const char *text, size_t length, const char **identity,
                                      size_t *identity_length, uint8_t *key, size_t key_size,
                                      size_t *key_length);
/* Hex of either case into at most size octets. */
MUST_USE enum status option_parse_hex(const char *text, size_t length, uint8_t *out, size_t size,
                                      size_t *out_length);

#endif
