#include "shared/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define LINE_SIZE 1024

static const char *const level_names[] = {
    [LOG_ERROR] = "error", [LOG_WARN] = "warn", [LOG_INFO] = "info", [LOG_DEBUG] = "debug"};
#define LEVELS (sizeof level_names / sizeof level_names[0])

/* Set once at start, read by every thread. */
static enum log_level threshold = LOG_INFO;

enum status log_level_parse(enum log_level *level, const char *text)
{
    for (size_t i = 0; i < LEVELS; i++) {
        if (strcmp(text, level_names[i]) == 0) {
            *level = (enum log_level)i;
            return STATUS_OK;
        }
    }
    return STATUS_MALFORMED;
}

void log_set_level(enum log_level level)
{
    __atomic_store_n(&threshold, level, __ATOMIC_RELAXED);
}

bool log_enabled(enum log_level level)
{
    return level <= __atomic_load_n(&threshold, __ATOMIC_RELAXED);
}

/* What a printf wrote, or would have written, as octets that really stand in `room`. */
static size_t printed(int result, size_t room)
{
    if (result < 0 || room == 0)
        return 0;
    return (size_t)result < room ? (size_t)result : room - 1;
}

void log_line(enum log_level level, const char *module, const char *message, const char *fields,
              ...)
{
    if (!log_enabled(level))
        return;

    int saved_errno = errno;
    char line[LINE_SIZE + 1];          /* the NUL is not written */
    const size_t room = LINE_SIZE - 1; /* the line feed keeps its place */
    size_t length = printed(snprintf(line, room + 1, "%s %s %s%s", level_names[level], module,
                                     message, fields[0] ? " " : ""),
                            room + 1);
    va_list arguments;
    va_start(arguments, fields);
    length +=
        printed(vsnprintf(line + length, room + 1 - length, fields, arguments), room + 1 - length);
    va_end(arguments);

    /* Whatever a caller forgot to quote, an event stays one line and harmless on a terminal. */
    for (size_t i = 0; i < length; i++) {
        if ((unsigned char)line[i] < 0x20 || line[i] == 0x7f)
            line[i] = '?';
    }
    line[length++] = '\n';

    ssize_t written;
    do
        written = write(STDERR_FILENO, line, length);
    while (written < 0 && errno == EINTR);
    errno = saved_errno;
}

static bool is_plain(unsigned char octet)
{
    return octet > 0x20 && octet < 0x7f && octet != '"' && octet != '\\' && octet != '=';
}

/* One octet as it stands between quotes: 1, 2 or 4 characters. Returns how many. */
static size_t escape(char out[5], unsigned char octet)
{
    static const char digits[] = "0123456789abcdef";
    char letter = octet == '\n' ? 'n' : octet == '\r' ? 'r' : octet == '\t' ? 't' : '\0';
    if (octet == '"' || octet == '\\')
        letter = (char)octet;
    if (letter) {
        out[0] = '\\';
        out[1] = letter;
        return 2;
    }
    if (octet >= 0x20 && octet < 0x7f) {
        out[0] = (char)octet;
        return 1;
    }
    out[0] = '\\';
    out[1] = 'x';
    out[2] = digits[octet >> 4];
    out[3] = digits[octet & 15];
    return 4;
}

const char *log_quote(char *out, size_t size, const void *text, size_t length)
{
    const unsigned char *octets = text;
    if (size == 0)
        return "";

    bool plain = length > 0;
    for (size_t i = 0; plain && i < length; i++)
        plain = is_plain(octets[i]);
    if (plain) {
        size_t kept = length < size ? length : size - 1;
        memcpy(out, octets, kept);
        out[kept] = '\0';
        return out;
    }

    if (size < sizeof "\"\"") {
        out[0] = '\0';
        return out;
    }
    size_t at = 0;
    out[at++] = '"';
    for (size_t i = 0; i < length; i++) {
        char escaped[5];
        size_t wanted = escape(escaped, octets[i]);
        if (at + wanted + sizeof "\"" > size)
            break; /* cut between octets, never inside an escape */
        memcpy(out + at, escaped, wanted);
        at += wanted;
    }
    out[at++] = '"';
    out[at] = '\0';
    return out;
}

bool log_allow(struct log_limit *limit, uint64_t now_ms, uint32_t burst, uint64_t *suppressed)
{
    uint64_t second = now_ms / 1000;
    if (limit->second != second) {
        limit->second = second;
        limit->used = 0;
    }
    if (limit->used >= burst) {
        limit->suppressed++;
        return false;
    }
    limit->used++;
    *suppressed += limit->suppressed;
    limit->suppressed = 0;
    return true;
}
