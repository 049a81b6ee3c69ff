#include <criterion/criterion.h>

#include "bench/server.h"

#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

static struct server_usage usage;

static void look(size_t times)
{
    uint64_t pids[2] = {(uint64_t)getpid(), (uint64_t)getpid()};
    cr_assert_eq(server_usage_read(pids, times, &usage), STATUS_OK);
}

Test(server, counts_time)
{
    struct timespec used;
    look(1);
    uint64_t before = usage.cpu_us;
    do
        clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
    while (used.tv_sec == 0 && used.tv_nsec < 100000000);
    look(1);
    cr_assert_geq(usage.cpu_us - before, 50000);
    cr_assert_leq(usage.cpu_us - before, 200000);
}

Test(server, counts_memory)
{
    size_t size = 32 << 20;
    look(1);
    uint64_t before = usage.resident;
    char *memory = malloc(size);
    cr_assert_not_null(memory);
    memset(memory, 1, size);
    look(1);
    cr_assert_geq(usage.resident, before + size - (1 << 20));
    cr_assert_geq(usage.resident_peak, usage.resident);
    free(memory);
}

Test(server, adds_up)
{
    look(1);
    uint64_t one = usage.resident;
    look(2);
    cr_assert_geq(usage.resident, 2 * one - (1 << 20));
    look(0);
    cr_assert_eq(usage.resident, 0);
}

/* "(a) b (c" */
Test(server, names_hold_anything)
{
    cr_assert_eq(prctl(PR_SET_NAME, "1 ) 2 ( 3"), 0);
    look(1);
    cr_assert_lt(usage.cpu_us, 60000000);
}

Test(server, who_is_not_there)
{
    const uint64_t nobody = UINT64_MAX;
    cr_assert_eq(server_usage_read(&nobody, 1, &usage), STATUS_NOT_FOUND);
}
