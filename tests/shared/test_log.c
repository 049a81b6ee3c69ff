#include "shared/log.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

/* Each test is a process of its own, so stderr may be turned into a pipe. */
static int captured[2];

static void capture_stderr(void)
{
    cr_assert_eq(pipe2(captured, O_NONBLOCK), 0);
    cr_assert_geq(dup2(captured[1], STDERR_FILENO), 0);
}

static const char *captured_text(void)
{
    static char text[4096];
    ssize_t length = read(captured[0], text, sizeof text - 1);
    text[length > 0 ? length : 0] = '\0';
    return text;
}

static const char *quote(const char *text, size_t length)
{
    static char out[64];
    return log_quote(out, sizeof out, text, length);
}

Test(log, level_names_parse)
{
    enum log_level level = LOG_INFO;
    cr_assert_eq(log_level_parse(&level, "debug"), STATUS_OK);
    cr_assert_eq(level, LOG_DEBUG);
    cr_assert_eq(log_level_parse(&level, "error"), STATUS_OK);
    cr_assert_eq(level, LOG_ERROR);
    cr_assert_eq(log_level_parse(&level, "loud"), STATUS_MALFORMED);
    cr_assert_eq(log_level_parse(&level, ""), STATUS_MALFORMED);
    cr_assert_eq(level, LOG_ERROR, "a refused name changes nothing");
}

Test(log, threshold_holds_back_what_is_less_urgent, .init = capture_stderr)
{
    cr_assert(log_enabled(LOG_INFO), "info is the default");
    cr_assert_not(log_enabled(LOG_DEBUG));
    log_line(LOG_DEBUG, "test", "hidden", "n=%d", 1);
    log_set_level(LOG_WARN);
    log_line(LOG_INFO, "test", "hidden", "n=%d", 2);
    log_line(LOG_WARN, "test", "shown", "n=%d", 3);
    cr_assert_str_eq(captured_text(), "warn test shown n=3\n");
}

Test(log, line_has_level_module_message_and_fields, .init = capture_stderr)
{
    errno = EPIPE;
    log_line(LOG_INFO, "up", "ready", "coaps=%s workers=%u", "[::]:5684", 2u);
    cr_assert_eq(errno, EPIPE, "logging leaves errno alone");
    cr_assert_str_eq(captured_text(), "info up ready coaps=[::]:5684 workers=2\n");
    const char *no_fields = "";
    log_line(LOG_ERROR, "up", "failed", no_fields, 0);
    cr_assert_str_eq(captured_text(), "error up failed\n");
}

Test(log, control_characters_cannot_forge_a_second_line, .init = capture_stderr)
{
    log_line(LOG_INFO, "test", "raw", "value=%s", "a\nerror up\x1b[2J\x7f");
    cr_assert_str_eq(captured_text(), "info test raw value=a?error up?[2J?\n");
}

Test(log, long_line_is_cut_at_1024_octets, .init = capture_stderr)
{
    char long_value[3000];
    memset(long_value, 'x', sizeof long_value - 1);
    long_value[sizeof long_value - 1] = '\0';
    log_line(LOG_INFO, "test", "long", "value=%s", long_value);
    const char *text = captured_text();
    cr_assert_eq(strlen(text), 1024);
    cr_assert_eq(text[1023], '\n');

    log_line(LOG_INFO, "test", long_value, "value=%s", long_value);
    cr_assert_eq(strlen(captured_text()), 1024);
}

Test(log, quote_leaves_plain_words_alone)
{
    cr_assert_str_eq(quote("sensor-1:a/b", 12), "sensor-1:a/b");
}

Test(log, quote_escapes_what_would_confuse)
{
    cr_assert_str_eq(quote("", 0), "\"\"");
    cr_assert_str_eq(quote("a b", 3), "\"a b\"");
    cr_assert_str_eq(quote("a=b", 3), "\"a=b\"");
    cr_assert_str_eq(quote("say \"hi\"\\", 9), "\"say \\\"hi\\\"\\\\\"");
    cr_assert_str_eq(quote("\n\r\t\0\x1b\xff", 6), "\"\\n\\r\\t\\x00\\x1b\\xff\"");
}

Test(log, quote_stays_inside_its_space)
{
    const char text[] = "ab \xff\xff\xff";
    for (size_t size = 1; size <= 20; size++) {
        char out[24];
        memset(out, '#', sizeof out);
        log_quote(out, size, text, sizeof text - 1);
        size_t length = strlen(out);
        cr_assert_lt(length, size);
        for (size_t i = size; i < sizeof out; i++)
            cr_assert_eq(out[i], '#', "size %zu wrote past its end", size);
        if (length > 0)
            cr_assert_eq(out[length - 1], '"', "size %zu lost its closing quote", size);
    }
    char word[4];
    cr_assert_str_eq(log_quote(word, sizeof word, "abcdef", 6), "abc");
    cr_assert_str_eq(log_quote(word, 0, "abcdef", 6), "");
}

Test(log, limit_passes_a_burst_each_second_and_counts_the_rest)
{
    struct log_limit limit = {0};
    uint64_t suppressed = 0;
    for (int i = 0; i < 3; i++)
        cr_assert(log_allow(&limit, 5000, 3, &suppressed));
    cr_assert_not(log_allow(&limit, 5001, 3, &suppressed));
    cr_assert_not(log_allow(&limit, 5999, 3, &suppressed));
    cr_assert_eq(suppressed, 0, "told with the next line that passes");
    cr_assert(log_allow(&limit, 6000, 3, &suppressed));
    cr_assert_eq(suppressed, 2);
    suppressed = 0;
    cr_assert(log_allow(&limit, 6001, 3, &suppressed));
    cr_assert_eq(suppressed, 0, "told once");
}
