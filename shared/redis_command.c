#include "shared/redis_command.h"

#include <stdio.h>
#include <string.h>

#define NUMBER_MAX 24 /* octets of "$<size_t>\r\n" */

void redis_command_add(struct redis_command *command, const void *bytes, size_t length)
{
    if (command->count < REDIS_ARGUMENTS_MAX)
        command->arguments[command->count] = (struct octets){.bytes = bytes, .length = length};
    command->count++;
}

void redis_command_text(struct redis_command *command, const char *text)
{
    redis_command_add(command, text, strlen(text));
}

size_t redis_command_size(const struct redis_command *command)
{
    if (command->count > REDIS_ARGUMENTS_MAX)
        return 0;
    size_t size = NUMBER_MAX;
    for (size_t i = 0; i < command->count; i++)
        size += NUMBER_MAX + command->arguments[i].length + 2;
    return size;
}

static void write_number(struct writer *writer, char type, size_t number)
{
    char text[NUMBER_MAX + 1];
    int length = snprintf(text, sizeof text, "%c%zu\r\n", type, number);
    writer_bytes(writer, text, (size_t)length);
}

void redis_command_write(const struct redis_command *command, struct writer *writer)
{
    write_number(writer, '*', command->count);
    for (size_t i = 0; i < command->count && i < REDIS_ARGUMENTS_MAX; i++) {
        write_number(writer, '$', command->arguments[i].length);
        writer_bytes(writer, command->arguments[i].bytes, command->arguments[i].length);
        writer_bytes(writer, "\r\n", 2);
    }
}
