#include "bench/wire.h"

#include "bench/clock.h"

#include <errno.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define EVENTS_MAX 256
#define BUFFER_SIZE 262144 /* octets that a socket's queue may hold */

enum status wire_init(struct wire *wire, const struct address *server, wire_receive_fn *receive,
                      void *owner)
{
    *wire = (struct wire){.server = *server, .receive = receive, .owner = owner};
    wire->epoll = epoll_create1(EPOLL_CLOEXEC);
    return wire->epoll >= 0 ? STATUS_OK : STATUS_SYSTEM;
}

static void close_all(struct wire *wire)
{
    for (size_t i = 0; i < wire->closing_count; i++)
        close(wire->closing[i]);
    wire->closing_count = 0;
}

void wire_free(struct wire *wire)
{
    close_all(wire);
    if (wire->epoll >= 0)
        close(wire->epoll);
    wire->epoll = -1;
}

static bool bind_to(int opened, int family, const struct address *at)
{
    struct sockaddr_storage own;
    socklen_t length = address_to_sockaddr(at, family, &own);
    return bind(opened, (struct sockaddr *)&own, length) == 0;
}

enum status wire_open_at(struct wire *wire, uint32_t tag, const struct address *at, int *made)
{
    int family = address_is_v4(&wire->server) ? AF_INET : AF_INET6;
    int size = BUFFER_SIZE;
    struct sockaddr_storage to;
    socklen_t length = address_to_sockaddr(&wire->server, family, &to);
    int opened = socket(family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (opened < 0)
        return STATUS_SYSTEM;
    struct epoll_event event = {.events = EPOLLIN, .data.u64 = (uint64_t)tag << 32};
    event.data.u64 |= (uint32_t)opened;
    /* The kernel gives what it allows: a smaller buffer is no failure. */
    (void)setsockopt(opened, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
    if ((at && !bind_to(opened, family, at)) ||
        connect(opened, (struct sockaddr *)&to, length) != 0 ||
        epoll_ctl(wire->epoll, EPOLL_CTL_ADD, opened, &event) != 0) {
        int error = errno;
        close(opened);
        errno = error;
        return STATUS_SYSTEM;
    }
    *made = opened;
    return STATUS_OK;
}

enum status wire_open(struct wire *wire, uint32_t tag, int *made)
{
    return wire_open_at(wire, tag, NULL, made);
}

/* Not at once: an event of this turn may still name its number, which a new socket would get. */
void wire_close(struct wire *wire, int socket)
{
    (void)epoll_ctl(wire->epoll, EPOLL_CTL_DEL, socket, NULL);
    if (wire->closing_count == WIRE_CLOSE_MAX) {
        wire_flush(wire);
        close_all(wire);
    }
    wire->closing[wire->closing_count++] = socket;
}

uint8_t *wire_space(struct wire *wire)
{
    if (wire->gathered == WIRE_SEND_MAX)
        wire_flush(wire);
    return wire->sending[wire->gathered].bytes;
}

void wire_send(struct wire *wire, int socket, size_t length)
{
    wire->sending[wire->gathered].socket = socket;
    wire->sending[wire->gathered++].length = length;
    wire->datagrams_sent++;
    wire->octets_sent += length;
}

/* What the kernel takes of `count` datagrams of one socket. An error that an earlier datagram has
 * met is told instead of sending this one: then it is tried once more. */
static void send_run(struct wire *wire, int socket, struct mmsghdr *messages, size_t count)
{
    bool told = false;
    for (size_t at = 0; at < count;) {
        int sent = sendmmsg(socket, messages + at, (unsigned)(count - at), 0);
        if (sent > 0) {
            at += (size_t)sent;
            told = false;
        } else if (sent < 0 && errno == ECONNREFUSED && !told) {
            wire->refused++;
            told = true;
        } else if (sent < 0 && errno != EINTR) {
            wire->unsent++;
            at++;
            told = false;
        }
    }
}

void wire_flush(struct wire *wire)
{
    struct mmsghdr messages[WIRE_SEND_MAX];
    struct iovec vectors[WIRE_SEND_MAX];
    for (size_t i = 0; i < wire->gathered; i++) {
        vectors[i] = (struct iovec){wire->sending[i].bytes, wire->sending[i].length};
        messages[i] = (struct mmsghdr){.msg_hdr = {.msg_iov = &vectors[i], .msg_iovlen = 1}};
    }
    for (size_t start = 0, end; start < wire->gathered; start = end) {
        int socket = wire->sending[start].socket;
        for (end = start + 1; end < wire->gathered && wire->sending[end].socket == socket;)
            end++;
        send_run(wire, socket, messages + start, end - start);
    }
    wire->gathered = 0;
}

static void receive_from(struct wire *wire, int socket, uint32_t tag)
{
    struct mmsghdr messages[WIRE_RECEIVE_MAX];
    struct iovec vectors[WIRE_RECEIVE_MAX];
    for (size_t i = 0; i < WIRE_RECEIVE_MAX; i++) {
        vectors[i] = (struct iovec){wire->received[i], sizeof(wire->received[i])};
        messages[i] = (struct mmsghdr){.msg_hdr = {.msg_iov = &vectors[i], .msg_iovlen = 1}};
    }
    int count = recvmmsg(socket, messages, WIRE_RECEIVE_MAX, MSG_DONTWAIT, NULL);
    if (count < 0 && errno == ECONNREFUSED)
        wire->refused++;
    for (int i = 0; i < count; i++) {
        wire->datagrams_received++;
        wire->octets_received += messages[i].msg_len;
        wire->receive(wire->owner, tag, wire->received[i], messages[i].msg_len);
    }
}

enum status wire_wait(struct wire *wire, uint64_t until_ns)
{
    struct epoll_event events[EVENTS_MAX];
    wire_flush(wire);
    close_all(wire);
    uint64_t now_ns = clock_now_ns();
    uint64_t wait_ns = until_ns > now_ns ? until_ns - now_ns : 0;
    struct timespec wait = {.tv_sec = (time_t)(wait_ns / 1000000000),
                            .tv_nsec = (long)(wait_ns % 1000000000)};
    int count = epoll_pwait2(wire->epoll, events, EVENTS_MAX, &wait, NULL);
    if (count < 0 && errno != EINTR)
        return STATUS_SYSTEM;
    for (int i = 0; i < count; i++)
        receive_from(wire, (int)(uint32_t)events[i].data.u64, (uint32_t)(events[i].data.u64 >> 32));
    if (wire->closing_count > 0) { /* whose addresses may be wanted again */
        wire_flush(wire);
        close_all(wire);
    }
    return STATUS_OK;
}
