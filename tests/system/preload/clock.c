/* Preloaded into a program, moves its clocks while it runs, and nobody else's: the file that
 * CLOCK_FILE names holds one octet, which says how they go from now on. The kernel's waits, which
 * know nothing of this, end when they would have. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define JUMP_S 3600

static const volatile char *said;

__attribute__((constructor)) static void begin(void)
{
    const char *path = getenv("CLOCK_FILE");
    int file = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    void *mapped = file < 0 ? MAP_FAILED : mmap(NULL, 1, PROT_READ, MAP_SHARED, file, 0);
    if (mapped == MAP_FAILED) {
        perror("CLOCK_FILE");
        _exit(1);
    }
    (void)close(file);
    said = mapped;
}

static time_t jump_of(clockid_t clock)
{
    char mode = said ? *said : 't'; /* others' constructors may ask before ours has run */
    switch (clock) {
    case CLOCK_REALTIME:
    case CLOCK_REALTIME_COARSE:
        return mode == 'w' || mode == 'b' ? JUMP_S : 0; /* the wall clock, or both */
    case CLOCK_MONOTONIC:
    case CLOCK_MONOTONIC_COARSE:
    case CLOCK_MONOTONIC_RAW:
    case CLOCK_BOOTTIME:
        return mode == 'b' ? JUMP_S : 0;
    default: /* of processor time */
        return 0;
    }
}

int clock_gettime(clockid_t clock, struct timespec *now)
{
    if (syscall(SYS_clock_gettime, clock, now) != 0)
        return -1;
    now->tv_sec += jump_of(clock);
    return 0;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone)
{
    struct timespec wall;
    (void)zone;
    if (clock_gettime(CLOCK_REALTIME, &wall) != 0)
        return -1;
    *now = (struct timeval){wall.tv_sec, wall.tv_nsec / 1000};
    return 0;
}

time_t time(time_t *now)
{
    struct timespec wall;
    if (clock_gettime(CLOCK_REALTIME, &wall) != 0)
        return -1;
    if (now)
        *now = wall.tv_sec;
    return wall.tv_sec;
}
