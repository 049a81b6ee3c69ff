/* A command as Redis reads it (RESP: an array of bulk strings). */
#ifndef HOLDFAST_SHARED_REDIS_COMMAND_H
#define HOLDFAST_SHARED_REDIS_COMMAND_H

#include <stddef.h>
#include <stdint.h>

#include "shared/cursor.h"
#include "shared/limits.h"
#include "shared/store.h"

/* References its arguments. More than REDIS_ARGUMENTS_MAX: the command has failed, and its size is
 * 0. */
struct redis_command {
    size_t count;
    struct octets arguments[REDIS_ARGUMENTS_MAX];
};

void redis_command_add(struct redis_command *command, const void *bytes, size_t length);
void redis_command_text(struct redis_command *command, const char *text);
/* Upper bound of what redis_command_write writes. */
size_t redis_command_size(const struct redis_command *command);
void redis_command_write(const struct redis_command *command, struct writer *writer);

#endif
