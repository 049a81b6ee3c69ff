#include "bench/server.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define STAT_SIZE 1024
#define STATUS_SIZE 4096
#define CPU_FIELD 14 /* utime of proc(5), counted from 1; stime follows */

/* NUL-terminated; what does not fit is cut off. */
static enum status read_file(const char *format, uint64_t pid, char *text, size_t size)
{
    char path[64];
    (void)snprintf(path, sizeof(path), format, (unsigned long long)pid);
    FILE *file = fopen(path, "re");
    if (!file)
        return STATUS_NOT_FOUND;
    size_t length = fread(text, 1, size - 1, file);
    text[length] = '\0';
    (void)fclose(file);
    return length > 0 ? STATUS_OK : STATUS_NOT_FOUND;
}

/* Utime and stime; the second field is the program's name, which may hold anything. */
static uint64_t cpu_of(const char *stat)
{
    char *at = strrchr(stat, ')');
    for (int field = 2; at && field < CPU_FIELD; field++)
        at = strchr(at + 1, ' ');
    if (!at)
        return 0;
    uint64_t ticks = strtoull(at, &at, 10);
    ticks += strtoull(at, NULL, 10);
    return ticks * 1000000 / (uint64_t)sysconf(_SC_CLK_TCK);
}

/* "VmRSS:     1234 kB" */
static uint64_t memory_of(const char *status, const char *name)
{
    const char *line = strstr(status, name);
    return line ? strtoull(line + strlen(name), NULL, 10) * 1024 : 0;
}

enum status server_usage_read(const uint64_t *pids, size_t count, struct server_usage *usage)
{
    struct server_usage sum = {0};
    for (size_t i = 0; i < count; i++) {
        char stat[STAT_SIZE];
        char status[STATUS_SIZE];
        if (read_file("/proc/%llu/stat", pids[i], stat, sizeof(stat)) != STATUS_OK ||
            read_file("/proc/%llu/status", pids[i], status, sizeof(status)) != STATUS_OK)
            return STATUS_NOT_FOUND;
        sum.cpu_us += cpu_of(stat);
        sum.resident += memory_of(status, "VmRSS:");
        sum.resident_peak += memory_of(status, "VmHWM:");
    }
    *usage = sum;
    return STATUS_OK;
}
