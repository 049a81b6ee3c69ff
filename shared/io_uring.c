/* The io_uring backend. Each socket has one multishot recvmsg in flight (io_inbox.h). Sends are
 * queued from the socket's slots; a slot is the kernel's until its completion. Nothing is called
 * back from reaping: completions only mark, so that slots may be reaped for in the midst of a
 * callback.
 *
 * Watches use one-shot polls that are armed again with the next wait: an owner that leaves
 * something unread is told again, as by epoll. A multishot poll would only tell of news. */
#include <errno.h>
#include <liburing.h>
#include <stdlib.h>
#include <sys/epoll.h>

#include "shared/io_backend.h"
#include "shared/io_inbox.h"

#define SUBMISSIONS_MAX 1024
/* Room for what a turn may complete: more is kept by the kernel, at a price. */
#define COMPLETIONS_MAX 8192
/* Rounds of submitting and reaping for a free slot; UDP sends complete at once. */
#define ROOM_ROUNDS_MAX 8

struct uring {
    struct io_uring ring;
    bool enabled; /* the ring belongs to the thread that enabled it */
    int failure;  /* an errno that no retry will mend */
    struct io_token ignored;
};

struct io_uring *io_uring_of(struct io *io)
{
    struct uring *uring = io->backend;
    return &uring->ring;
}

/* Linux 6.0 brought SINGLE_ISSUER together with multishot recvmsg, so a kernel that refuses the
 * flag could not receive either. DEFER_TASKRUN is 6.1's. */
static int set_up_ring(struct io_uring *ring)
{
    static const unsigned modes[] = {
        IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_COOP_TASKRUN | IORING_SETUP_DEFER_TASKRUN,
        IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_COOP_TASKRUN,
    };
    int result = 0;
    for (size_t i = 0; i < sizeof modes / sizeof *modes; i++) {
        /* Disabled at first: it ties itself to the thread of the first turn, not to this one. */
        struct io_uring_params params = {
            .flags = modes[i] | IORING_SETUP_R_DISABLED | IORING_SETUP_SUBMIT_ALL |
                     IORING_SETUP_CLAMP | IORING_SETUP_CQSIZE,
            .cq_entries = COMPLETIONS_MAX,
        };
        result = io_uring_queue_init_params(SUBMISSIONS_MAX, ring, &params);
        if (result != -EINVAL)
            break;
    }
    return result;
}

static enum status uring_start(struct io *io)
{
    struct uring *uring = calloc(1, sizeof *uring);
    if (!uring) {
        errno = ENOMEM;
        return STATUS_SYSTEM;
    }
    int result = set_up_ring(&uring->ring);
    if (result < 0) {
        free(uring);
        errno = -result;
        return STATUS_SYSTEM;
    }
    uring->ignored.kind = IO_TOKEN_IGNORED;
    io->backend = uring;
    return STATUS_OK;
}

/* All requests end before their memory goes. Called by another thread after the ring's own has
 * ended, the kernel refuses this, but then it has done the same at the end of that thread. */
static void uring_stop(struct io *io)
{
    struct uring *uring = io->backend;
    struct io_uring_sync_cancel_reg all = {
        .flags = IORING_ASYNC_CANCEL_ANY | IORING_ASYNC_CANCEL_ALL,
        .timeout = {.tv_sec = -1, .tv_nsec = -1},
    };
    (void)io_uring_register_sync_cancel(&uring->ring, &all);
    if (uring->enabled)
        (void)io_uring_get_events(&uring->ring);
    io_uring_queue_exit(&uring->ring);
    free(uring);
}

static void enable(struct uring *uring)
{
    if (uring->enabled)
        return;
    int result = io_uring_enable_rings(&uring->ring);
    if (result < 0)
        uring->failure = -result;
    uring->enabled = true;
}

static void submit(struct uring *uring)
{
    enable(uring);
    int result = io_uring_submit(&uring->ring);
    /* EAGAIN, EBUSY: the kernel is short of memory or of room for completions; what is queued
     * stays queued. EEXIST: a second thread. */
    if (result < 0 && result != -EAGAIN && result != -EBUSY && result != -EINTR)
        uring->failure = -result;
}

/* NULL: no room even after submitting. */
static struct io_uring_sqe *next_submission(struct uring *uring, struct io_token *token)
{
    struct io_uring_sqe *submission = io_uring_get_sqe(&uring->ring);
    if (!submission) {
        submit(uring);
        submission = io_uring_get_sqe(&uring->ring);
    }
    /* The prep functions leave user_data alone. */
    if (submission)
        io_uring_sqe_set_data(submission, token);
    return submission;
}

static void uring_send(struct io_slot *slot)
{
    struct uring *uring = slot->socket->io->backend;
    struct io_uring_sqe *submission = next_submission(uring, &slot->token);
    if (!submission) {
        slot->socket->io->counters.send_failures++;
        io_slot_free(slot);
        return;
    }
    /* Without MSG_DONTWAIT a full send buffer would keep the datagram, and its slot, waiting. */
    io_uring_prep_sendmsg(submission, slot->socket->descriptor, &slot->message, MSG_DONTWAIT);
}

static void reap_send(struct io_slot *slot, int result)
{
    if (result < 0 && io_send_failed(slot, -result)) {
        uring_send(slot);
        return;
    }
    if (result >= 0)
        slot->socket->io->counters.datagrams_sent++;
    io_slot_free(slot);
}

static void reap_receive(struct io_socket *socket, const struct io_uring_cqe *completion)
{
    struct uring *uring = socket->io->backend;
    int error = inbox_take(socket, completion->res, completion->flags);
    switch (error) {
    case 0:
    case ENOBUFS: /* all buffers were full */
    case ENOMEM:
    case EINTR:
    case EAGAIN:
        break;
    case EINVAL:
    case EOPNOTSUPP:
    case EBADF: /* armed again it would end the same way, for ever */
        uring->failure = error;
        break;
    default:
        socket->errors_pending = true;
        break;
    }
}

static void reap_watch(struct io_watch *watch, int result)
{
    watch->armed = false;
    watch->cancelled = false;
    switch (watch->state) {
    case IO_WATCH_ON:
        if (result >= 0)
            watch->ready |= (uint32_t)result & (watch->events | EPOLLERR | EPOLLHUP);
        else
            watch->ready |= EPOLLERR; /* not a descriptor that can be polled */
        break;
    case IO_WATCH_CLOSING:
        watch->state = IO_WATCH_FREE;
        break;
    case IO_WATCH_FREE:
        break; /* holds no poll */
    }
}

static void reap(struct uring *uring)
{
    struct io_uring_cqe *completion;
    unsigned head;
    unsigned count = 0;
    io_uring_for_each_cqe(&uring->ring, head, completion)
    {
        const struct io_token *token = io_uring_cqe_get_data(completion);
        switch (token->kind) {
        case IO_TOKEN_RECEIVE:
            reap_receive(token->owner, completion);
            break;
        case IO_TOKEN_SEND:
            reap_send(token->owner, completion->res);
            break;
        case IO_TOKEN_WATCH:
            reap_watch(token->owner, completion->res);
            break;
        case IO_TOKEN_IGNORED:
            break;
        }
        count++;
    }
    io_uring_cq_advance(&uring->ring, count);
}

static void uring_flush(struct io *io)
{
    struct uring *uring = io->backend;
    if (io_uring_sq_ready(&uring->ring) == 0)
        return;
    submit(uring);
    reap(uring); /* the sends have completed: left there, they would end the next wait at once */
}

static void uring_make_room(struct io_socket *socket)
{
    struct uring *uring = socket->io->backend;
    for (int round = 0; round < ROOM_ROUNDS_MAX && socket->free_count == 0; round++) {
        submit(uring);
        (void)io_uring_get_events(&uring->ring);
        reap(uring);
    }
}

/* Watches are armed, changed and cancelled by arm_watch, with the next wait. */
static enum status uring_watch(struct io *io, struct io_watch *watch)
{
    (void)io;
    (void)watch;
    return STATUS_OK;
}

static void uring_unwatch(struct io *io, struct io_watch *watch)
{
    (void)io;
    if (watch->armed)
        watch->state = IO_WATCH_CLOSING;
}

static void arm_watch(struct uring *uring, struct io_watch *watch)
{
    struct io_uring_sqe *submission;
    if (watch->state == IO_WATCH_ON && !watch->armed) {
        submission = next_submission(uring, &watch->token);
        if (!submission)
            return;
        io_uring_prep_poll_add(submission, watch->descriptor, watch->events);
        watch->armed = true;
        watch->armed_events = watch->events;
    } else if (watch->state == IO_WATCH_ON && watch->armed_events != watch->events) {
        /* Where the poll has completed already this fails, and the poll is armed anew. */
        submission = next_submission(uring, &uring->ignored);
        if (!submission)
            return;
        io_uring_prep_poll_update(submission, (uintptr_t)&watch->token, 0, watch->events,
                                  IORING_POLL_UPDATE_EVENTS);
        watch->armed_events = watch->events;
    } else if (watch->state == IO_WATCH_CLOSING && !watch->cancelled) {
        submission = next_submission(uring, &uring->ignored);
        if (!submission)
            return;
        io_uring_prep_poll_remove(submission, (uintptr_t)&watch->token);
        watch->cancelled = true;
    }
}

static void arm_socket(struct uring *uring, struct io_socket *socket)
{
    if (!inbox_wants_arming(socket))
        return;
    struct io_uring_sqe *submission = next_submission(uring, &socket->token);
    if (submission)
        inbox_arm(socket, submission);
}

/* The kernel takes no more than some 32 datagrams off a socket before it returns. Where it stopped
 * at that, more rounds fill the batch, which the owner can pack the better the larger it is. */
static void fill_batches(struct io *io)
{
    struct uring *uring = io->backend;
    bool more;
    do {
        more = false;
        for (size_t i = 0; i < io->socket_count; i++)
            more |= inbox_had_burst(io->sockets[i]);
        if (more) {
            (void)io_uring_get_events(&uring->ring);
            reap(uring);
        }
    } while (more);
}

static enum status uring_wait(struct io *io, uint64_t deadline_ms)
{
    struct uring *uring = io->backend;
    enable(uring);
    for (size_t i = 0; i < io->socket_count; i++)
        arm_socket(uring, io->sockets[i]);
    for (size_t i = 0; i < io->watches_used; i++)
        arm_watch(uring, &io->watches[i]);

    /* Not in one call with the wait: that returns the number of submissions, and a signal in the
     * wait would go unnoticed. Mostly there are none: uring_flush was here before, and a receive
     * goes on for as long as there are buffers. With get_events, since a submission that completes
     * at once (a poll of what is ready) must not keep receives from being run. */
    bool block = deadline_ms > io->now_ms;
    int result = 0;
    if (!block || io_uring_sq_ready(&uring->ring) > 0)
        result = io_uring_submit_and_get_events(&uring->ring);
    if (block && result >= 0 && io_uring_cq_ready(&uring->ring) == 0) {
        uint64_t wait_ms = deadline_ms - io->now_ms;
        struct __kernel_timespec wait = {
            .tv_sec = (int64_t)(wait_ms / 1000),
            .tv_nsec = (int64_t)(wait_ms % 1000) * 1000000,
        };
        struct io_uring_cqe *first;
        result = io_uring_wait_cqes(&uring->ring, &first, 1,
                                    deadline_ms == UINT64_MAX ? NULL : &wait, NULL);
    }
    if (result < 0 && result != -ETIME && result != -EINTR && result != -EAGAIN && result != -EBUSY)
        uring->failure = -result;
    reap(uring);
    fill_batches(io);
    if (uring->failure == 0)
        return STATUS_OK;
    errno = uring->failure;
    return STATUS_SYSTEM;
}

const struct io_backend_calls io_uring_calls = {
    .name = "uring",
    .start = uring_start,
    .stop = uring_stop,
    .open = inbox_open,
    .close = inbox_close,
    .send = uring_send,
    .make_room = uring_make_room,
    .flush = uring_flush,
    .watch = uring_watch,
    .unwatch = uring_unwatch,
    .wait = uring_wait,
    .receive = inbox_receive,
    .release = inbox_release,
    .has_received = inbox_has_received,
};
