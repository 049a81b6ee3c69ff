#include "tests/sim/trace.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void trace_init(struct trace *trace, bool prints)
{
    *trace = (struct trace){.prints = prints, .fingerprint = UINT64_C(0xcbf29ce484222325)};
}

void trace_line(struct trace *trace, uint64_t now_ms, const char *format, ...)
{
    char *line = trace->lines[trace->count++ % TRACE_LINES];
    int length = snprintf(line, TRACE_WIDTH, "%6llu.%03llu ", (unsigned long long)now_ms / 1000,
                          (unsigned long long)now_ms % 1000);
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(line + length, TRACE_WIDTH - (size_t)length, format, arguments);
    va_end(arguments);
    /* FNV-1a (Fowler, Noll, Vo) */
    for (const char *at = line; *at; at++)
        trace->fingerprint = (trace->fingerprint ^ (uint8_t)*at) * UINT64_C(0x100000001b3);
    if (trace->prints)
        puts(line);
}

void trace_print_last(const struct trace *trace)
{
    size_t kept = trace->count < TRACE_LINES ? trace->count : TRACE_LINES;
    for (size_t i = trace->count - kept; i < trace->count; i++)
        puts(trace->lines[i % TRACE_LINES]);
}
