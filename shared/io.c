#include "shared/io.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>

#include "shared/io_backend.h"
#include "shared/log.h"

static uint64_t clock_ms(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

uint64_t io_clock_ms(void)
{
    return clock_ms(CLOCK_MONOTONIC);
}

uint64_t io_unix_ms(void)
{
    return clock_ms(CLOCK_REALTIME);
}

uint64_t io_now_ms(const struct io *io)
{
    return io->now_ms;
}

struct io_counters io_counters(const struct io *io)
{
    return io->counters;
}

const char *io_backend_name(const struct io *io)
{
    return io->calls->name;
}

static enum status start(struct io *io, const struct io_backend_calls *calls)
{
    io->calls = calls;
    return calls->start(io);
}

/* Containers often refuse io_uring (seccomp, io_uring_disabled); older kernels lack a part of it.
 */
static enum status start_any(struct io *io)
{
    static atomic_flag told = ATOMIC_FLAG_INIT; /* one line, however many loops there are */

    if (start(io, &io_uring_calls) == STATUS_OK)
        return STATUS_OK;
    if (!atomic_flag_test_and_set(&told))
        log_line(LOG_WARN, "io", "io_uring refused, using mmsg", "error=%s",
                 strerrorname_np(errno));
    return start(io, &io_mmsg_calls);
}

enum status io_new(struct io **io, enum io_backend backend)
{
    struct io *fresh = calloc(1, sizeof *fresh);
    if (!fresh) {
        errno = ENOMEM;
        return STATUS_SYSTEM;
    }
    fresh->now_ms = io_clock_ms();

    enum status status = STATUS_SYSTEM;
    switch (backend) {
    case IO_AUTO:
        status = start_any(fresh);
        break;
    case IO_URING:
        status = start(fresh, &io_uring_calls);
        break;
    case IO_MMSG:
        status = start(fresh, &io_mmsg_calls);
        break;
    }
    if (status != STATUS_OK) {
        int error = errno;
        free(fresh);
        errno = error;
        return status;
    }
    *io = fresh;
    return STATUS_OK;
}

void io_free(struct io *io)
{
    if (!io)
        return;
    io->calls->stop(io);
    for (size_t i = 0; i < io->socket_count; i++) {
        io->calls->close(io->sockets[i]);
        io_socket_free(io->sockets[i]);
    }
    free(io);
}

void io_flush(struct io *io)
{
    io->calls->flush(io);
}

static struct io_watch *find_watch(struct io *io, int descriptor)
{
    for (size_t i = 0; i < io->watches_used; i++) {
        struct io_watch *watch = &io->watches[i];
        if (watch->state == IO_WATCH_ON && watch->descriptor == descriptor)
            return watch;
    }
    return NULL;
}

static struct io_watch *free_watch(struct io *io)
{
    for (size_t i = 0; i < IO_WATCHES_MAX; i++) {
        if (io->watches[i].state != IO_WATCH_FREE)
            continue;
        if (i >= io->watches_used)
            io->watches_used = i + 1;
        return &io->watches[i];
    }
    return NULL;
}

enum status io_watch(struct io *io, int descriptor, uint32_t events, io_ready_fn *ready,
                     void *owner)
{
    /* io_uring would only tell with the first completion. */
    if (fcntl(descriptor, F_GETFD) < 0)
        return STATUS_SYSTEM;
    struct io_watch *watch = find_watch(io, descriptor);
    if (watch) {
        watch->events = events;
        watch->ready &= events | EPOLLERR | EPOLLHUP;
        watch->callback = ready;
        watch->owner = owner;
        return io->calls->watch(io, watch);
    }

    if (io->watch_count == IO_SOCKETS_MAX)
        return STATUS_FULL;
    watch = free_watch(io);
    if (!watch)
        return STATUS_FULL;
    *watch = (struct io_watch){
        .token = {.kind = IO_TOKEN_WATCH, .owner = watch},
        .descriptor = descriptor,
        .events = events,
        .callback = ready,
        .owner = owner,
    };
    enum status status = io->calls->watch(io, watch);
    if (status == STATUS_OK) {
        watch->state = IO_WATCH_ON;
        io->watch_count++;
    }
    return status;
}

void io_unwatch(struct io *io, int descriptor)
{
    struct io_watch *watch = find_watch(io, descriptor);
    if (!watch)
        return;
    watch->ready = 0;
    watch->state = IO_WATCH_FREE; /* the backend may need it for longer */
    io->watch_count--;
    io->calls->unwatch(io, watch);
}

static void serve_socket(struct io_socket *socket)
{
    struct io *io = socket->io;
    if (socket->errors_pending)
        io_take_errors(socket);
    size_t count = io->calls->receive(socket);
    if (count > 0) {
        io->counters.datagrams_received += count;
        socket->receive(socket->owner, socket, io->datagrams, count);
        io->calls->release(socket);
    }
}

static void serve_watch(struct io_watch *watch)
{
    uint32_t ready = watch->ready;
    watch->ready = 0;
    if (ready != 0)
        watch->callback(watch->owner, watch->descriptor, ready);
}

/* Something was found beside the wait, in freeing slots: this turn must not block. */
static bool has_work(const struct io *io)
{
    for (size_t i = 0; i < io->socket_count; i++) {
        if (io->sockets[i]->errors_pending || io->calls->has_received(io->sockets[i]))
            return true;
    }
    for (size_t i = 0; i < io->watches_used; i++) {
        if (io->watches[i].ready != 0)
            return true;
    }
    return false;
}

/* What wakes a thread that is SCHED_BATCH (sched(7)) does not interrupt who is at work on the same
 * processor. Of an lb and a worker that share one, each would else interrupt the other with each
 * frame, in the middle of a batch. Who has chosen another policy for us keeps it. */
static void share_processor(struct io *io)
{
    const struct sched_param none = {0};
    io->has_turned = true;
    if (sched_getscheduler(0) == SCHED_OTHER)
        (void)sched_setscheduler(0, SCHED_BATCH, &none);
}

enum status io_turn(struct io *io, uint64_t deadline_ms)
{
    if (!io->has_turned)
        share_processor(io);
    io->now_ms = io_clock_ms();
    enum status status = io->calls->wait(io, has_work(io) ? 0 : deadline_ms);
    if (status != STATUS_OK)
        return status;
    io->now_ms = io_clock_ms();
    io->counters.turns++;

    for (size_t i = 0; i < io->socket_count; i++)
        serve_socket(io->sockets[i]);
    for (size_t i = 0; i < io->watches_used; i++)
        serve_watch(&io->watches[i]);
    io->calls->flush(io);
    return STATUS_OK;
}
