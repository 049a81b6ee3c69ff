/* What the user tells a run by files: when it begins, and when something was broken. */
#include "bench/device.h"

#include <sys/stat.h>
#include <time.h>

#define FILE_CHECK_US 5000

/* True once in FILE_CHECK_US: to look at a file each turn would be a call of the system each. */
static bool is_check_due(struct fleet *fleet)
{
    if (fleet->now_us - fleet->file_checked_us < FILE_CHECK_US)
        return false;
    fleet->file_checked_us = fleet->now_us;
    return true;
}

bool fleet_may_begin(struct fleet *fleet)
{
    const char *path = fleet->plan->begin_path;
    struct stat status;
    return !path || (is_check_due(fleet) && stat(path, &status) == 0);
}

void fleet_mark(struct fleet *fleet, uint64_t at_us)
{
    if (fleet->tally.marked)
        return;
    fleet->tally.marked = true;
    fleet->tally.mark_us = at_us > fleet->run_start_us ? at_us - fleet->run_start_us : 0;
    fleet->mark_us = at_us;
}

/* The file's own time is the moment, however late we look: there is at most FILE_CHECK_US and a
 * tick of the kernel between the two. */
void fleet_check_mark(struct fleet *fleet)
{
    struct stat status;
    struct timespec now;
    if (!fleet->plan->mark_path || fleet->tally.marked || fleet->phase != FLEET_RUN ||
        !is_check_due(fleet))
        return;
    if (stat(fleet->plan->mark_path, &status) != 0)
        return;
    (void)clock_gettime(CLOCK_REALTIME, &now);
    int64_t age_us = (now.tv_sec - status.st_mtim.tv_sec) * INT64_C(1000000) +
                     (now.tv_nsec - status.st_mtim.tv_nsec) / 1000;
    fleet_mark(fleet, fleet->now_us - (age_us > 0 ? (uint64_t)age_us : 0));
}

uint64_t fleet_file_us(const struct fleet *fleet)
{
    const struct plan *plan = fleet->plan;
    bool waits = (fleet->phase == FLEET_RUN && plan->mark_path && !fleet->tally.marked) ||
                 (fleet->phase == FLEET_START && plan->begin_path);
    return waits ? fleet->file_checked_us + FILE_CHECK_US : UINT64_MAX;
}
