/* One line an event on stderr: `level module message key=value ...`. Values with spaces, quotes or
 * control characters are quoted and escaped. No key material, ever. */
#ifndef HOLDFAST_SHARED_LOG_H
#define HOLDFAST_SHARED_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shared/status.h"

enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG };

MUST_USE enum status log_level_parse(enum log_level *level, const char *text);
void log_set_level(enum log_level level);
bool log_enabled(enum log_level level);

/* message: a constant phrase. fields: a printf format that spells "key=%s other=%u", or "". A
 * string that came from outside goes through log_quote. At most 1,024 octets; longer is cut. One
 * write(2) a line. */
void log_line(enum log_level level, const char *module, const char *message, const char *fields,
              ...) __attribute__((format(printf, 4, 5)));

/* Quotes and escapes into `out` where needed; always NUL-terminated. Returns `out`. */
const char *log_quote(char *out, size_t size, const void *text, size_t length);

/* For what an attacker can trigger: true at most `burst` times a second, and how many were left
 * out since the last true is added to *suppressed. Zeroed memory is a fresh one. */
struct log_limit {
    uint64_t second;
    uint32_t used;
    uint64_t suppressed;
};
bool log_allow(struct log_limit *limit, uint64_t now_ms, uint32_t burst, uint64_t *suppressed);

#endif
