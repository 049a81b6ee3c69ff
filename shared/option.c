#include "shared/option.h"

#include "shared/limits.h"
#include "shared/option_value.h"
#include "version.h"

#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#define LINE_SIZE 1024
#define NAME_SIZE 64 /* of an option, with its prefix */
#define HELP_COLUMNS 100
#define HELP_USAGE_SIZE 96

static const struct option_row builtin_rows[] = {
    {.name = "config",
     .argument = "FILE",
     .help = "read more options from FILE: lines `name = value`, # comments"},
    {.name = "help", .help = "show this help"},
    {.name = "version", .help = "show the version"},
};
#define BUILTINS (sizeof builtin_rows / sizeof builtin_rows[0])

/* What is being parsed, and how far it has come. */
struct parse {
    const struct option_table *table;
    bool *given; /* rows that a stronger level has set */
    bool operand_given;
    const char *config_path;
    const char *config_label; /* who named it: "--config", "HOLDFAST_CONFIG" */
};

/* Strings that targets may point into, reachable until the process ends. */
struct kept_string {
    struct kept_string *next;
    char text[];
};
static struct kept_string *kept_strings;

static const char *keep_part(const char *text, size_t length)
{
    struct kept_string *kept = malloc(sizeof *kept + length + 1);
    if (!kept)
        return NULL;
    memcpy(kept->text, text, length);
    kept->text[length] = '\0';
    kept->next = kept_strings;
    kept_strings = kept;
    return kept->text;
}

static const char *keep(const char *text)
{
    return keep_part(text, strlen(text));
}

void option_complain(const struct option_table *table, const char *option, const char *format, ...)
{
    char what[LINE_SIZE - 256]; /* leaves room for program and option */
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(what, sizeof what, format, arguments);
    va_end(arguments);
    char line[LINE_SIZE];
    (void)snprintf(line, sizeof line, "%s: %s: %s", table->program, option, what);

    /* One line, whatever the arguments hold. */
    for (char *at = line; *at; at++) {
        if ((unsigned char)*at < 0x20 || *at == 0x7f)
            *at = '?';
    }
    (void)fprintf(stderr, "%s\n", line);
}

static const struct option_row *row_named(const struct option_table *table, const char *name,
                                          size_t length)
{
    for (size_t i = 0; i < table->count; i++) {
        const char *row_name = table->rows[i].name;
        if (strlen(row_name) == length && memcmp(row_name, name, length) == 0)
            return &table->rows[i];
    }
    return NULL;
}

static const struct option_row *builtin_named(const char *name, size_t length)
{
    const struct option_table builtins = {.rows = builtin_rows, .count = BUILTINS};
    return row_named(&builtins, name, length);
}

/* "--name ARGUMENT"; returns its width. */
static size_t usage_text(const struct option_row *row, char *out, size_t size)
{
    int printed = snprintf(out, size, "--%s%s%s", row->name, row->argument ? " " : "",
                           row->argument ? row->argument : "");
    return printed > 0 ? (size_t)printed : 0;
}

/* The text broken at blanks so that it stays right of `column`. */
static void print_wrapped(const char *text, size_t column)
{
    size_t at = column;
    while (*text) {
        size_t word = strcspn(text, " ");
        if (at > column && at + 1 + word > HELP_COLUMNS) {
            (void)printf("\n%*s", (int)column, "");
            at = column;
        } else if (at > column) {
            (void)putchar(' ');
            at++;
        }
        (void)printf("%.*s", (int)word, text);
        at += word;
        text += word;
        text += strspn(text, " ");
    }
    (void)putchar('\n');
}

static void print_row(const struct option_row *row, size_t column)
{
    char usage[HELP_USAGE_SIZE];
    usage_text(row, usage, sizeof usage);
    (void)printf("  %-*s  ", (int)(column - 4), usage);
    print_wrapped(row->help, column);
}

static void print_help(const struct option_table *table)
{
    char usage[HELP_USAGE_SIZE];
    size_t widest = 0;
    for (size_t i = 0; i < table->count + BUILTINS; i++) {
        const struct option_row *row =
            i < table->count ? &table->rows[i] : &builtin_rows[i - table->count];
        size_t width = usage_text(row, usage, sizeof usage);
        widest = width > widest ? width : widest;
    }
    (void)printf("Usage: %s %s%s[OPTION]...\n", table->program,
                 table->operand ? table->operand : "", table->operand ? " " : "");
    print_wrapped(table->summary, 0);
    (void)putchar('\n');
    for (size_t i = 0; i < table->count; i++)
        print_row(&table->rows[i], widest + 4);
    for (size_t i = 0; i < BUILTINS; i++)
        print_row(&builtin_rows[i], widest + 4);
    (void)putchar('\n');
    print_wrapped("An option may also be an environment variable (--log: HOLDFAST_LOG) or a line "
                  "`log = debug` of the --config file; the command line comes first, then the "
                  "environment, then the file.",
                  0);
}

/* Does what argv[*at] says and steps over it and over its value. */
static enum option_outcome take_argument(struct parse *parse, int argc, char *const *argv, int *at)
{
    const struct option_table *table = parse->table;
    const char *argument = argv[*at];
    int position = (*at)++;
    if (argument[0] != '-' && table->operand && !parse->operand_given) {
        *table->operand_target = argument;
        parse->operand_given = true;
        return OPTION_RUN;
    }
    if (argument[0] != '-') {
        /* Not shown: it may be a key that a stray blank tore off its identity. */
        char label[NAME_SIZE];
        (void)snprintf(label, sizeof label, "argument %d", position);
        option_complain(table, label, "belongs to no option; want --name value, see --help");
        return OPTION_UNUSABLE;
    }

    size_t name_length = strcspn(argument, "=");
    const char *value = argument[name_length] == '=' ? argument + name_length + 1 : NULL;
    char label[NAME_SIZE];
    (void)snprintf(label, sizeof label, "%.*s", (int)name_length, argument);
    const struct option_row *row = NULL;
    const struct option_row *builtin = NULL;
    if (name_length > 2 && argument[1] == '-') {
        row = row_named(table, argument + 2, name_length - 2);
        builtin = builtin_named(argument + 2, name_length - 2);
    }
    if (!row && !builtin) {
        option_complain(table, label, "there is no such option; --help lists them");
        return OPTION_UNUSABLE;
    }
    const struct option_row *known = row ? row : builtin;

    if (!known->argument) {
        if (!row && value) {
            option_complain(table, label, "takes no value; want --%s alone", known->name);
            return OPTION_UNUSABLE;
        }
        if (!value)
            value = "yes";
    } else if (!value) {
        /* A value that begins with two dashes is given with `=`. */
        if (*at >= argc || strncmp(argv[*at], "--", 2) == 0)
            value = "";
        else
            value = argv[(*at)++];
    }

    if (row) {
        parse->given[row - table->rows] = true;
        return option_set(table, row, label, value) == STATUS_OK ? OPTION_RUN : OPTION_UNUSABLE;
    }
    if (strcmp(builtin->name, "help") == 0) {
        print_help(table);
        return OPTION_DONE;
    }
    if (strcmp(builtin->name, "version") == 0) {
        (void)printf("%s %s\n", table->program, HOLDFAST_VERSION);
        return OPTION_DONE;
    }
    if (value[0] == '\0') {
        option_complain(table, label, "the value is missing; want FILE");
        return OPTION_UNUSABLE;
    }
    parse->config_path = value;
    parse->config_label = "--config";
    return OPTION_RUN;
}

/* "psk-file" becomes "HOLDFAST_PSK_FILE". */
static void environment_name(const char *name, char out[NAME_SIZE])
{
    (void)snprintf(out, NAME_SIZE, "HOLDFAST_%s", name);
    for (char *at = out; *at; at++)
        *at = (char)(*at == '-' ? '_' : toupper((unsigned char)*at));
}

/* Repeatable options are split at blanks. */
static enum status take_words(const struct parse *parse, const struct option_row *row,
                              const char *label, const char *value)
{
    static const char blanks[] = " \t\n";
    enum status status = STATUS_OK;
    for (value += strspn(value, blanks); *value && status == STATUS_OK;
         value += strspn(value, blanks)) {
        size_t length = strcspn(value, blanks);
        const char *word = keep_part(value, length);
        if (!word) {
            option_complain(parse->table, label, "out of memory");
            return STATUS_NO_MEMORY;
        }
        status = option_set(parse->table, row, label, word);
        value += length;
    }
    return status;
}

/* An empty variable counts as unset: container tools cannot always leave one out. */
static enum status take_environment(struct parse *parse)
{
    const struct option_table *table = parse->table;
    char name[NAME_SIZE];
    for (size_t i = 0; i < table->count; i++) {
        environment_name(table->rows[i].name, name);
        const char *value = getenv(name);
        if (parse->given[i] || !value || value[0] == '\0')
            continue;
        parse->given[i] = true;
        enum status status = table->rows[i].kind == OPTION_CUSTOM
                                 ? take_words(parse, &table->rows[i], name, value)
                                 : option_set(table, &table->rows[i], name, value);
        if (status != STATUS_OK)
            return status;
    }
    const char *config = getenv("HOLDFAST_CONFIG");
    if (!parse->config_path && config && config[0]) {
        parse->config_path = config;
        parse->config_label = "HOLDFAST_CONFIG";
    }
    return STATUS_OK;
}

/* Without the blanks at its ends; cut in place. */
static char *trim(char *text)
{
    while (isspace((unsigned char)*text))
        text++;
    size_t length = strlen(text);
    while (length > 0 && isspace((unsigned char)text[length - 1]))
        length--;
    text[length] = '\0';
    return text;
}

/* `name = value`; a # at the start or after a blank begins a comment. */
static enum status take_line(const struct parse *parse, const char *place, char *line)
{
    for (char *hash = strchr(line, '#'); hash; hash = strchr(hash + 1, '#')) {
        if (hash == line || isspace((unsigned char)hash[-1])) {
            *hash = '\0';
            break;
        }
    }
    char *name = trim(line);
    if (*name == '\0')
        return STATUS_OK;
    char *equals = strchr(name, '=');
    if (!equals) {
        option_complain(parse->table, place, "the line has no `=`; want name = value");
        return STATUS_MALFORMED;
    }
    *equals = '\0';
    name = trim(name);
    const struct option_row *row = row_named(parse->table, name, strlen(name));
    if (!row) {
        option_complain(parse->table, place, "there is no option of this name; --help lists them");
        return STATUS_NOT_FOUND;
    }
    if (parse->given[row - parse->table->rows])
        return STATUS_OK;

    const char *value = keep(trim(equals + 1));
    char label[LINE_SIZE];
    (void)snprintf(label, sizeof label, "%s: %s", place, row->name);
    if (!value) {
        option_complain(parse->table, label, "out of memory");
        return STATUS_NO_MEMORY;
    }
    return option_set(parse->table, row, label, value);
}

static enum status take_file(const struct parse *parse)
{
    FILE *file = fopen(parse->config_path, "re");
    if (!file) {
        option_complain(parse->table, parse->config_label, "cannot read %s: %s", parse->config_path,
                        strerror(errno));
        return STATUS_SYSTEM;
    }
    enum status status = STATUS_OK;
    char line[CONFIG_LINE_MAX + 2]; /* with line feed and NUL */
    for (unsigned number = 1; status == STATUS_OK && fgets(line, sizeof line, file); number++) {
        char place[LINE_SIZE / 2];
        (void)snprintf(place, sizeof place, "%s:%u", parse->config_path, number);
        if (!strchr(line, '\n') && !feof(file)) {
            option_complain(parse->table, place, "the line is not text of at most %d octets",
                            CONFIG_LINE_MAX);
            status = STATUS_TOO_LONG;
        } else {
            status = take_line(parse, place, line);
        }
    }
    if (status == STATUS_OK && ferror(file)) {
        option_complain(parse->table, parse->config_label, "cannot read %s: %s", parse->config_path,
                        strerror(errno));
        status = STATUS_SYSTEM;
    }
    (void)fclose(file);
    return status;
}

enum option_outcome option_parse(const struct option_table *table, int argc, char *const *argv)
{
    bool given[OPTIONS_MAX] = {false};
    struct parse parse = {.table = table, .given = given};
    if (table->count > OPTIONS_MAX) {
        option_complain(table, "options", "the table has more than %d rows", OPTIONS_MAX);
        return OPTION_UNUSABLE;
    }

    for (int at = 1; at < argc;) {
        enum option_outcome outcome = take_argument(&parse, argc, argv, &at);
        if (outcome != OPTION_RUN)
            return outcome;
    }
    if (table->operand && !parse.operand_given) {
        option_complain(table, table->operand, "it is missing; see --help");
        return OPTION_UNUSABLE;
    }
    if (take_environment(&parse) != STATUS_OK)
        return OPTION_UNUSABLE;
    if (parse.config_path && take_file(&parse) != STATUS_OK)
        return OPTION_UNUSABLE;
    return OPTION_RUN;
}
