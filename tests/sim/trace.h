/* What a run has done, one line a step: the last ones are kept for who asks after a failure. */
#ifndef HOLDFAST_TESTS_SIM_TRACE_H
#define HOLDFAST_TESTS_SIM_TRACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TRACE_LINES 48
#define TRACE_WIDTH 200

struct trace {
    bool prints;          /* each line, as it comes */
    uint64_t fingerprint; /* of all lines: two runs of one seed have the same */
    size_t count;
    char lines[TRACE_LINES][TRACE_WIDTH];
};

void trace_init(struct trace *trace, bool prints);
void trace_line(struct trace *trace, uint64_t now_ms, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void trace_print_last(const struct trace *trace);

#endif
