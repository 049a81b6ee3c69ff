/* The argument vector of a program to be started. */
#ifndef HOLDFAST_DEPLOY_ARGUMENTS_H
#define HOLDFAST_DEPLOY_ARGUMENTS_H

#include "shared/limits.h"

#include <stdbool.h>
#include <stddef.h>

#define ARGUMENTS_MAX (2 * UP_WORKERS_MAX + 32)

struct arguments {
    char *list[ARGUMENTS_MAX + 1]; /* owned strings, then NULL */
    size_t count;
    bool failed; /* no memory, or more than ARGUMENTS_MAX; sticks */
};

/* Zeroed memory is an empty vector. */
void arguments_add(struct arguments *arguments, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void arguments_free(struct arguments *arguments);

#endif
