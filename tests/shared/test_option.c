#include "shared/option.h"
#include "version.h"

#include <criterion/criterion.h>
#include <criterion/redirect.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The options of an imaginary program, one of each kind. */
#define VALUES_MAX 8
struct values {
    size_t count;
    const char *texts[VALUES_MAX];
};

static bool quiet;
static const char *store;
static uint64_t workers;
static struct address http;
static int io_choice;
static struct values psks;
static const char *const io_names[] = {"auto", "uring", "mmsg", NULL};

static enum status add_psk(void *target, const char *value, char *why, size_t why_size)
{
    struct values *values = target;
    const char *identity;
    size_t identity_length;
    uint8_t key[64];
    size_t key_length;
    if (option_parse_psk(value, strlen(value), &identity, &identity_length, key, sizeof key,
                         &key_length) != STATUS_OK) {
        (void)snprintf(why, why_size, "want ID:HEX");
        return STATUS_MALFORMED;
    }
    if (values->count == VALUES_MAX)
        return STATUS_FULL;
    values->texts[values->count++] = value;
    return STATUS_OK;
}

static const struct option_row rows[] = {
    {"quiet", NULL, "say less", OPTION_FLAG, &quiet, 0, 0, NULL, NULL},
    {"store", "URL", "where state is kept", OPTION_TEXT, &store, 0, 0, NULL, NULL},
    {"workers", "N", "how many", OPTION_NUMBER, &workers, 1, 256, NULL, NULL},
    {"http", "ADDR:PORT", "operators' side", OPTION_ADDRESS, &http, 0, 0, NULL, NULL},
    {"io", "BACKEND", "I/O", OPTION_CHOICE, &io_choice, 0, 0, io_names, NULL},
    {"psk", "ID:HEX", "a key", OPTION_CUSTOM, &psks, 0, 0, NULL, add_psk},
};
static const struct option_table table = {.program = "holdfast-test",
                                          .summary = "Tests its options.",
                                          .rows = rows,
                                          .count = sizeof rows / sizeof rows[0]};

static enum option_outcome parse(const char *const *argv, size_t count)
{
    return option_parse(&table, (int)count, (char *const *)argv);
}
#define WORDS(...) ((const char *const[]){"x", __VA_ARGS__})
#define PARSE(...) parse(WORDS(__VA_ARGS__), sizeof WORDS(__VA_ARGS__) / sizeof(char *))

/* Reads what a test has printed so far to a redirected descriptor. */
static const char *drain(FILE *from)
{
    static char text[8192];
    size_t length = fread(text, 1, sizeof text - 1, from);
    text[length] = '\0';
    return text;
}

static const char *errors(void)
{
    (void)fflush(stderr);
    return drain(cr_get_redirected_stderr());
}

static const char *output(void)
{
    (void)fflush(stdout);
    return drain(cr_get_redirected_stdout());
}

/* A file with this content; the name is good until the next call. */
static const char *file_with(const void *content, size_t length)
{
    static char path[64];
    strcpy(path, "/tmp/holdfast-option-XXXXXX");
    int descriptor = mkstemp(path);
    cr_assert_geq(descriptor, 0);
    cr_assert_eq(write(descriptor, content, length), (ssize_t)length);
    close(descriptor);
    return path;
}

static const char *file_of(const char *content)
{
    return file_with(content, strlen(content));
}

static void redirect(void)
{
    cr_redirect_stderr();
    cr_redirect_stdout();
}

TestSuite(option, .init = redirect);

Test(option, each_kind_from_the_command_line)
{
    cr_assert_eq(PARSE("--quiet", "--store", "memory:", "--workers=12", "--http", "[::1]:80",
                       "--io=mmsg", "--psk", "a:b:00ff", "--psk=--c:11"),
                 OPTION_RUN);
    cr_assert(quiet);
    cr_assert_str_eq(store, "memory:");
    cr_assert_eq(workers, 12);
    cr_assert_eq(http.port, 80);
    cr_assert_eq(io_choice, 2);
    cr_assert_eq(psks.count, 2);
    cr_assert_str_eq(psks.texts[0], "a:b:00ff");
    cr_assert_str_eq(psks.texts[1], "--c:11");
    cr_assert_eq(PARSE("--quiet=no", "--workers", "1", "--workers", "2"), OPTION_RUN);
    cr_assert_not(quiet);
    cr_assert_eq(workers, 2, "the last one counts");
}

Test(option, nothing_given_changes_nothing)
{
    workers = 7;
    const char *const argv[] = {"x", NULL};
    cr_assert_eq(parse(argv, 1), OPTION_RUN);
    cr_assert_eq(parse(argv + 1, 0), OPTION_RUN);
    cr_assert_eq(workers, 7);
}

struct refusal {
    const char *arguments[2];
    const char *line;
};

Test(option, each_mistake_is_one_line_that_says_what_would_be_right)
{
    static const struct refusal refusals[] = {
        {{"--sotre", "x"}, "--sotre: there is no such option; --help lists them"},
        {{"--sotre=secret"}, "--sotre: there is no such option; --help lists them"},
        {{"-s"}, "-s: there is no such option; --help lists them"},
        {{"--"}, "--: there is no such option; --help lists them"},
        {{"-"}, "-: there is no such option; --help lists them"},
        {{"--=x"}, "--: there is no such option; --help lists them"},
        {{"--quiet", "00ff"}, "argument 2: belongs to no option; want --name value, see --help"},
        {{"--store"}, "--store: the value is missing; want URL"},
        {{"--store="}, "--store: the value is missing; want URL"},
        {{"--store", "--quiet"}, "--store: the value is missing; want URL"},
        {{"--workers", "0"}, "--workers: 0 cannot be used; want a number from 1 to 256"},
        {{"--workers", "257"}, "--workers: 257 cannot be used; want a number from 1 to 256"},
        {{"--workers", "-1"}, "--workers: -1 cannot be used; want a number from 1 to 256"},
        {{"--workers", "2x"}, "--workers: 2x cannot be used; want a number from 1 to 256"},
        {{"--workers", "18446744073709551617"},
         "--workers: 18446744073709551617 cannot be used; want a number from 1 to 256"},
        {{"--http", "localhost:80"},
         "--http: localhost:80 cannot be used; want an IP address and a port: 127.0.0.1:5684 or "
         "[::1]:5684"},
        {{"--io", "ur\ning"}, "--io: \"ur\\ning\" cannot be used; want auto, uring or mmsg"},
        {{"--quiet=maybe"}, "--quiet: maybe cannot be used; want yes or no"},
        {{"--psk", "dev:c0ffee0"}, "--psk: the value cannot be used; want ID:HEX"},
        {{"--help=yes"}, "--help: takes no value; want --help alone"},
        {{"--config"}, "--config: the value is missing; want FILE"},
    };
    for (size_t i = 0; i < sizeof refusals / sizeof refusals[0]; i++) {
        const char *const argv[] = {"x", refusals[i].arguments[0], refusals[i].arguments[1]};
        cr_assert_eq(parse(argv, argv[2] ? 3 : 2), OPTION_UNUSABLE, "%s", refusals[i].line);
        char wanted[512];
        snprintf(wanted, sizeof wanted, "holdfast-test: %s\n", refusals[i].line);
        cr_assert_str_eq(errors(), wanted);
    }
    cr_assert_str_empty(output());
}

Test(option, refused_values_change_nothing)
{
    workers = 7;
    io_choice = 1;
    cr_assert_eq(PARSE("--workers", "300"), OPTION_UNUSABLE);
    cr_assert_eq(PARSE("--io", "fast"), OPTION_UNUSABLE);
    cr_assert_eq(workers, 7);
    cr_assert_eq(io_choice, 1);
}

Test(option, long_or_wild_values_still_give_one_line)
{
    char wild[5000];
    for (size_t i = 0; i < sizeof wild - 1; i++)
        wild[i] = (char)(1 + i % 255);
    memcpy(wild, "--", 2);
    wild[sizeof wild - 1] = '\0';
    cr_assert_eq(PARSE(wild), OPTION_UNUSABLE);
    const char *line = errors();
    cr_assert_eq(strchr(line, '\n'), line + strlen(line) - 1);
    cr_assert_eq(PARSE("--io", wild + 2), OPTION_UNUSABLE);
    line = errors();
    cr_assert_eq(strchr(line, '\n'), line + strlen(line) - 1);
}

Test(option, environment_is_weaker_than_the_command_line)
{
    setenv("HOLDFAST_STORE", "from-environment", 1);
    setenv("HOLDFAST_WORKERS", "9", 1);
    setenv("HOLDFAST_PSK", "  a:00\t b:11 ", 1);
    setenv("HOLDFAST_QUIET", "1", 1);
    setenv("HOLDFAST_HTTP", "", 1);
    cr_assert_eq(PARSE("--store", "from-option"), OPTION_RUN);
    cr_assert_str_eq(store, "from-option");
    cr_assert_eq(workers, 9);
    cr_assert(quiet);
    cr_assert_eq(psks.count, 2);
    cr_assert_str_eq(psks.texts[0], "a:00");
    cr_assert_str_eq(psks.texts[1], "b:11");

    psks.count = 0;
    cr_assert_eq(PARSE("--psk", "c:22"), OPTION_RUN);
    cr_assert_eq(psks.count, 1, "a stronger level replaces all values");
    setenv("HOLDFAST_WORKERS", "many", 1);
    cr_assert_eq(PARSE("--quiet"), OPTION_UNUSABLE);
    cr_assert_str_eq(errors(), "holdfast-test: HOLDFAST_WORKERS: many cannot be used; want a "
                               "number from 1 to 256\n");
}

Test(option, file_is_weakest)
{
    const char *path = file_of("# a comment\n\n"
                               "store = from-file # and why\n"
                               "workers=3\n"
                               "  psk = a#1:00  \r\n"
                               "psk = b:11\n"
                               "quiet = yes");
    setenv("HOLDFAST_WORKERS", "4", 1);
    cr_assert_eq(PARSE("--config", path), OPTION_RUN);
    cr_assert_str_eq(store, "from-file");
    cr_assert_eq(workers, 4);
    cr_assert(quiet);
    cr_assert_eq(psks.count, 2);
    cr_assert_str_eq(psks.texts[0], "a#1:00");

    psks.count = 0;
    setenv("HOLDFAST_PSK", "c:22", 1);
    setenv("HOLDFAST_CONFIG", path, 1);
    cr_assert_eq(PARSE("--store", "from-option"), OPTION_RUN);
    cr_assert_str_eq(store, "from-option");
    cr_assert_eq(psks.count, 1, "a stronger level replaces all values");
    unlink(path);
}

Test(option, mistakes_in_the_file_name_file_and_line)
{
    static const struct {
        const char *content, *what;
    } mistakes[] = {
        {"store = x\nstroe = y\n", ":2: there is no option of this name; --help lists them\n"},
        {"config = other\n", ":1: there is no option of this name; --help lists them\n"},
        {"store\n", ":1: the line has no `=`; want name = value\n"},
        {"\nstore =  # nothing\n", ":2: store: the value is missing; want URL\n"},
        {"psk = dev:c0ffee0\n", ":1: psk: the value cannot be used; want ID:HEX\n"},
    };
    for (size_t i = 0; i < sizeof mistakes / sizeof mistakes[0]; i++) {
        const char *path = file_of(mistakes[i].content);
        cr_assert_eq(PARSE("--config", path), OPTION_UNUSABLE);
        char wanted[512];
        snprintf(wanted, sizeof wanted, "holdfast-test: %s%s", path, mistakes[i].what);
        cr_assert_str_eq(errors(), wanted);
        unlink(path);
    }
}

Test(option, file_that_is_no_text_or_not_there)
{
    static char long_line[6000];
    memset(long_line, 'x', sizeof long_line);
    const char *path = file_with(long_line, sizeof long_line);
    cr_assert_eq(PARSE("--config", path), OPTION_UNUSABLE);
    cr_assert(strstr(errors(), ":1: the line is not text of at most 4096 octets\n"));
    unlink(path);

    path = file_with("store = x\0\n", 11);
    cr_assert_eq(PARSE("--config", path), OPTION_UNUSABLE);
    unlink(path);
    (void)errors();

    cr_assert_eq(PARSE("--config", "/nonexistent/file"), OPTION_UNUSABLE);
    cr_assert_str_eq(errors(), "holdfast-test: --config: cannot read /nonexistent/file: No such "
                               "file or directory\n");
    cr_assert_eq(PARSE("--config", "/"), OPTION_UNUSABLE);
    cr_assert_str_eq(errors(), "holdfast-test: --config: cannot read /: Is a directory\n");
}

Test(option, help_lists_every_row_aligned)
{
    cr_assert_eq(PARSE("--help"), OPTION_DONE);
    const char *text = output();
    cr_assert(strstr(text, "Usage: holdfast-test [OPTION]...\nTests its options.\n\n"));
    cr_assert(strstr(text, "\n  --quiet           say less\n"), "%s", text);
    cr_assert(strstr(text, "\n  --http ADDR:PORT  operators' side\n"));
    cr_assert(strstr(text, "\n  --config FILE     read more"));
    cr_assert(strstr(text, "\n  --version         "));
    for (const char *line = text; *line; line = strchr(line, '\n') + 1)
        cr_assert_leq(strcspn(line, "\n"), 100);
    cr_assert_str_empty(errors());
}

Test(option, version_is_one_line)
{
    cr_assert_eq(PARSE("--version", "--nonsense"), OPTION_DONE);
    cr_assert_str_eq(output(), "holdfast-test " HOLDFAST_VERSION "\n");
}

Test(option, operand_stands_anywhere_and_must_be_there)
{
    const char *operand = NULL;
    struct option_table with_operand = table;
    with_operand.operand = "HEX";
    with_operand.operand_target = &operand;
    char *const *argv = (char *const *)WORDS("--quiet", "00ff", "--workers", "3");
    cr_assert_eq(option_parse(&with_operand, 5, argv), OPTION_RUN);
    cr_assert_str_eq(operand, "00ff");
    cr_assert_eq(workers, 3);
    cr_assert_eq(option_parse(&with_operand, 2, argv), OPTION_UNUSABLE);
    cr_assert_str_eq(errors(), "holdfast-test: HEX: it is missing; see --help\n");
    argv = (char *const *)WORDS("00ff", "11");
    cr_assert_eq(option_parse(&with_operand, 3, argv), OPTION_UNUSABLE);
    cr_assert_str_eq(errors(), "holdfast-test: argument 2: belongs to no option; want --name "
                               "value, see --help\n");
    argv = (char *const *)WORDS("--help");
    cr_assert_eq(option_parse(&with_operand, 2, argv), OPTION_DONE);
    cr_assert_str_neq(output(), "");
}

Test(option, hex_of_either_case)
{
    uint8_t out[4] = {0};
    size_t length = 0;
    cr_assert_eq(option_parse_hex("00aAfF7e", 8, out, sizeof out, &length), STATUS_OK);
    cr_assert_eq(length, 4);
    cr_assert_arr_eq(out, ((uint8_t[]){0x00, 0xaa, 0xff, 0x7e}), 4);
    cr_assert_eq(option_parse_hex("", 0, out, sizeof out, &length), STATUS_MALFORMED);
    cr_assert_eq(option_parse_hex("abc", 3, out, sizeof out, &length), STATUS_MALFORMED);
    cr_assert_eq(option_parse_hex("0g", 2, out, sizeof out, &length), STATUS_MALFORMED);
    cr_assert_eq(option_parse_hex("0x", 2, out, sizeof out, &length), STATUS_MALFORMED);
    cr_assert_eq(option_parse_hex("0011223344", 10, out, sizeof out, &length), STATUS_TOO_LONG);
    cr_assert_eq(length, 4);
}

Test(option, psk_key_follows_the_last_colon)
{
    const char *identity = NULL;
    size_t identity_length = 0;
    uint8_t key[16];
    size_t key_length = 0;
    const char *text = "urn:dev:1:0102";
    cr_assert_eq(option_parse_psk(text, strlen(text), &identity, &identity_length, key, sizeof key,
                                  &key_length),
                 STATUS_OK);
    cr_assert_eq(identity, text);
    cr_assert_eq(identity_length, strlen("urn:dev:1"));
    cr_assert_eq(key_length, 2);
    cr_assert_eq(key[1], 2);

    static const char *const malformed[] = {"", ":", ":00", "dev", "dev:", "dev:0", "dev:zz"};
    for (size_t i = 0; i < sizeof malformed / sizeof malformed[0]; i++) {
        cr_assert_eq(option_parse_psk(malformed[i], strlen(malformed[i]), &identity,
                                      &identity_length, key, sizeof key, &key_length),
                     STATUS_MALFORMED, "%s", malformed[i]);
    }
    char long_identity[140];
    memset(long_identity, 'i', sizeof long_identity);
    memcpy(long_identity + 129, ":00", 3);
    cr_assert_eq(option_parse_psk(long_identity, 132, &identity, &identity_length, key, sizeof key,
                                  &key_length),
                 STATUS_TOO_LONG);
    cr_assert_eq(option_parse_psk(long_identity + 1, 131, &identity, &identity_length, key,
                                  sizeof key, &key_length),
                 STATUS_OK);
    cr_assert_eq(option_parse_psk("d:00112233445566778899aabbccddeeff00", 36, &identity,
                                  &identity_length, key, sizeof key, &key_length),
                 STATUS_TOO_LONG);
}
