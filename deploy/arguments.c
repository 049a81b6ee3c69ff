#include "deploy/arguments.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

void arguments_add(struct arguments *arguments, const char *format, ...)
{
    char *text = NULL;
    va_list values;
    va_start(values, format);
    if (arguments->count == ARGUMENTS_MAX || vasprintf(&text, format, values) < 0)
        arguments->failed = true;
    else
        arguments->list[arguments->count++] = text;
    va_end(values);
}

void arguments_free(struct arguments *arguments)
{
    for (size_t i = 0; i < arguments->count; i++)
        free(arguments->list[i]);
    *arguments = (struct arguments){0};
}
