/* The backend for where io_uring is refused: epoll tells what is ready (level-triggered), recvmmsg
 * and sendmmsg move a batch with one call. */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "shared/io_backend.h"

struct mmsg {
    int epoll;
    struct epoll_event events[IO_SOCKETS_MAX + IO_WATCHES_MAX];
};

/* A socket's datagrams: what came in at once, and what is to go out at once. */
struct batch {
    bool readable;
    uint8_t *data; /* received: IO_BATCH_MAX times datagram_size_max */
    struct mmsghdr received[IO_BATCH_MAX];
    struct iovec vectors[IO_BATCH_MAX];
    union io_name names[IO_BATCH_MAX];
    _Alignas(struct cmsghdr) uint8_t controls[IO_BATCH_MAX][IO_CONTROL_SIZE];
    size_t queued;
    struct mmsghdr outgoing[IO_BATCH_MAX];
    struct io_slot *slots[IO_BATCH_MAX]; /* [i] is outgoing[i]'s */
};

static enum status mmsg_start(struct io *io)
{
    struct mmsg *mmsg = calloc(1, sizeof *mmsg);
    if (!mmsg) {
        errno = ENOMEM;
        return STATUS_SYSTEM;
    }
    mmsg->epoll = epoll_create1(EPOLL_CLOEXEC);
    if (mmsg->epoll < 0) {
        free(mmsg);
        return STATUS_SYSTEM;
    }
    io->backend = mmsg;
    return STATUS_OK;
}

static void mmsg_stop(struct io *io)
{
    struct mmsg *mmsg = io->backend;
    close(mmsg->epoll);
    free(mmsg);
}

static void mmsg_close(struct io_socket *socket)
{
    struct batch *batch = socket->backend;
    free(batch->data);
    free(batch);
}

static enum status mmsg_open(struct io_socket *socket)
{
    struct mmsg *mmsg = socket->io->backend;
    size_t size = socket->datagram_size_max;
    struct batch *batch = calloc(1, sizeof *batch);
    if (!batch)
        goto no_memory;
    batch->data = calloc(IO_BATCH_MAX, size);
    if (!batch->data)
        goto no_memory;
    for (size_t i = 0; i < IO_BATCH_MAX; i++) {
        batch->vectors[i].iov_base = batch->data + i * size;
        batch->vectors[i].iov_len = size;
        struct msghdr *message = &batch->received[i].msg_hdr;
        message->msg_name = &batch->names[i];
        message->msg_iov = &batch->vectors[i];
        message->msg_iovlen = 1;
        message->msg_control = batch->controls[i];
    }
    socket->backend = batch;

    struct epoll_event event = {.events = EPOLLIN, .data.ptr = &socket->token};
    if (epoll_ctl(mmsg->epoll, EPOLL_CTL_ADD, socket->descriptor, &event) != 0) {
        int error = errno;
        mmsg_close(socket);
        errno = error;
        return STATUS_SYSTEM;
    }
    return STATUS_OK;

no_memory:
    free(batch);
    errno = ENOMEM;
    return STATUS_SYSTEM;
}

static void flush_socket(struct io_socket *socket)
{
    struct batch *batch = socket->backend;
    size_t next = 0;
    while (next < batch->queued) {
        int sent = sendmmsg(socket->descriptor, batch->outgoing + next,
                            (unsigned)(batch->queued - next), 0);
        if (sent > 0) {
            next += (size_t)sent;
            socket->io->counters.datagrams_sent += (uint64_t)sent;
        } else if (errno != EINTR && !io_send_failed(batch->slots[next], errno)) {
            next++;
        }
    }
    for (size_t i = 0; i < batch->queued; i++)
        io_slot_free(batch->slots[i]);
    batch->queued = 0;
}

static void mmsg_flush(struct io *io)
{
    for (size_t i = 0; i < io->socket_count; i++)
        flush_socket(io->sockets[i]);
}

static void mmsg_send(struct io_slot *slot)
{
    struct batch *batch = slot->socket->backend;
    batch->slots[batch->queued] = slot;
    batch->outgoing[batch->queued].msg_hdr = slot->message;
    batch->queued++;
}

static enum status mmsg_watch(struct io *io, struct io_watch *watch)
{
    struct mmsg *mmsg = io->backend;
    struct epoll_event event = {.events = watch->events, .data.ptr = &watch->token};
    int action = watch->state == IO_WATCH_ON ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;
    if (epoll_ctl(mmsg->epoll, action, watch->descriptor, &event) != 0)
        return STATUS_SYSTEM;
    return STATUS_OK;
}

static void mmsg_unwatch(struct io *io, struct io_watch *watch)
{
    struct mmsg *mmsg = io->backend;
    /* Fails where the owner closed the descriptor first; then epoll has let go of it. */
    (void)epoll_ctl(mmsg->epoll, EPOLL_CTL_DEL, watch->descriptor, NULL);
}

static int timeout_ms(const struct io *io, uint64_t deadline_ms)
{
    if (deadline_ms == UINT64_MAX)
        return -1;
    if (deadline_ms <= io->now_ms)
        return 0;
    uint64_t wait_ms = deadline_ms - io->now_ms;
    return wait_ms > INT_MAX ? INT_MAX : (int)wait_ms;
}

static void mark(const struct epoll_event *event)
{
    const struct io_token *token = event->data.ptr;
    switch (token->kind) {
    case IO_TOKEN_RECEIVE: {
        struct io_socket *socket = token->owner;
        struct batch *batch = socket->backend;
        batch->readable |= (event->events & EPOLLIN) != 0;
        socket->errors_pending |= (event->events & EPOLLERR) != 0;
        break;
    }
    case IO_TOKEN_WATCH: {
        struct io_watch *watch = token->owner;
        watch->ready = event->events;
        break;
    }
    case IO_TOKEN_SEND:
    case IO_TOKEN_IGNORED:
        break; /* never given to epoll */
    }
}

static enum status mmsg_wait(struct io *io, uint64_t deadline_ms)
{
    struct mmsg *mmsg = io->backend;
    mmsg_flush(io);
    int size = sizeof mmsg->events / sizeof *mmsg->events;
    int count = epoll_wait(mmsg->epoll, mmsg->events, size, timeout_ms(io, deadline_ms));
    if (count < 0)
        return errno == EINTR ? STATUS_OK : STATUS_SYSTEM;
    for (int i = 0; i < count; i++)
        mark(&mmsg->events[i]);
    return STATUS_OK;
}

/* An error that a datagram sent earlier left on the socket comes once, before what is queued. */
static int receive_batch(struct io_socket *socket)
{
    struct batch *batch = socket->backend;
    int count;
    unsigned retries = 0;
    do {
        count = recvmmsg(socket->descriptor, batch->received, IO_BATCH_MAX, 0, NULL);
        if (count >= 0 || errno == EAGAIN)
            break;
        socket->errors_pending |= errno != EINTR;
    } while (retries++ < IO_SEND_RETRIES_MAX);
    return count;
}

static size_t mmsg_receive(struct io_socket *socket)
{
    struct batch *batch = socket->backend;
    if (!batch->readable)
        return 0;
    batch->readable = false;
    for (size_t i = 0; i < IO_BATCH_MAX; i++) {
        struct msghdr *message = &batch->received[i].msg_hdr;
        message->msg_namelen = sizeof batch->names[i];
        message->msg_controllen = sizeof batch->controls[i];
    }

    int count = receive_batch(socket);
    size_t taken = 0;
    for (int i = 0; i < count; i++) {
        struct msghdr *message = &batch->received[i].msg_hdr;
        struct cmsghdr *control = CMSG_FIRSTHDR(message);
        for (; control; control = CMSG_NXTHDR(message, control))
            io_count_overflows(socket, control);
        struct io_datagram *datagram = &socket->io->datagrams[taken];
        if (address_from_sockaddr(&datagram->from, message->msg_name, message->msg_namelen) !=
            STATUS_OK)
            continue; /* not from a UDP peer: cannot be */
        datagram->data = message->msg_iov->iov_base;
        datagram->length = batch->received[i].msg_len;
        datagram->truncated = (message->msg_flags & MSG_TRUNC) != 0;
        taken++;
    }
    return taken;
}

static void mmsg_release(struct io_socket *socket)
{
    (void)socket; /* the next receive uses the memory again */
}

static bool mmsg_has_received(const struct io_socket *socket)
{
    (void)socket; /* epoll tells again */
    return false;
}

const struct io_backend_calls io_mmsg_calls = {
    .name = "mmsg",
    .start = mmsg_start,
    .stop = mmsg_stop,
    .open = mmsg_open,
    .close = mmsg_close,
    .send = mmsg_send,
    .make_room = flush_socket,
    .flush = mmsg_flush,
    .watch = mmsg_watch,
    .unwatch = mmsg_unwatch,
    .wait = mmsg_wait,
    .receive = mmsg_receive,
    .release = mmsg_release,
    .has_received = mmsg_has_received,
};
