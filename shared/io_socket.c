#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <linux/errqueue.h> /* wants struct timespec of time.h */
#include <linux/filter.h>

#include "shared/io_backend.h"

#define BUFFER_OCTETS_DEFAULT (4u << 20)

struct address io_local_address(const struct io_socket *socket)
{
    return socket->local;
}

void io_socket_free(struct io_socket *socket)
{
    if (socket->descriptor >= 0)
        close(socket->descriptor);
    free(socket->send_data);
    free(socket->slots);
    free(socket);
}

static bool set_option(int descriptor, int level, int name, int value)
{
    return setsockopt(descriptor, level, name, &value, sizeof value) == 0;
}

/* Best effort: with CAP_NET_ADMIN past net.core.rmem_max, without it up to there. */
static void set_buffers(int descriptor, size_t octets)
{
    int value = octets > INT32_MAX / 2 ? INT32_MAX / 2 : (int)octets;
    if (!set_option(descriptor, SOL_SOCKET, SO_RCVBUFFORCE, value))
        (void)set_option(descriptor, SOL_SOCKET, SO_RCVBUF, value);
    if (!set_option(descriptor, SOL_SOCKET, SO_SNDBUFFORCE, value))
        (void)set_option(descriptor, SOL_SOCKET, SO_SNDBUF, value);
}

/* An IPv6 socket that takes IPv4 too reports errors of IPv4 peers by IP_RECVERR. */
static bool ask_for_errors(const struct io_socket *socket)
{
    if (socket->family == AF_INET6 &&
        !set_option(socket->descriptor, IPPROTO_IPV6, IPV6_RECVERR, 1))
        return false;
    return set_option(socket->descriptor, IPPROTO_IP, IP_RECVERR, 1);
}

/* A program of the kernel's for the group of sockets on this address: what it returns is the index
 * of the socket, in the order in which they were bound. */
static void steer(const struct io_socket *socket, uint8_t octet)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 0), /* of the payload */
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, octet, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, 1),
        BPF_STMT(BPF_RET | BPF_K, 0),
    };
    const struct sock_fprog program = {.len = sizeof(code) / sizeof(code[0]), .filter = code};
    (void)setsockopt(socket->descriptor, SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, &program,
                     sizeof(program));
}

static enum status bind_socket(struct io_socket *new, const struct io_udp_options *options)
{
    new->family = address_is_v4(options->bind) ? AF_INET : AF_INET6;
    new->descriptor = socket(new->family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (new->descriptor < 0)
        return STATUS_SYSTEM;
    if (new->family == AF_INET6 && !set_option(new->descriptor, IPPROTO_IPV6, IPV6_V6ONLY, 0))
        return STATUS_SYSTEM;
    if (options->reuse_port && !set_option(new->descriptor, SOL_SOCKET, SO_REUSEPORT, 1))
        return STATUS_SYSTEM;
    if (!set_option(new->descriptor, SOL_SOCKET, SO_RXQ_OVFL, 1))
        return STATUS_SYSTEM;
    if (new->error && !ask_for_errors(new))
        return STATUS_SYSTEM;
    size_t octets = options->buffer_octets > 0 ? options->buffer_octets : BUFFER_OCTETS_DEFAULT;
    set_buffers(new->descriptor, octets);

    struct sockaddr_storage name;
    socklen_t length = address_to_sockaddr(options->bind, new->family, &name);
    if (bind(new->descriptor, (struct sockaddr *)&name, length) != 0)
        return STATUS_SYSTEM;
    if (options->steers)
        steer(new, options->steered);
    length = sizeof name;
    if (getsockname(new->descriptor, (struct sockaddr *)&name, &length) != 0)
        return STATUS_SYSTEM;
    return address_from_sockaddr(&new->local, (struct sockaddr *)&name, length);
}

void io_slot_free(struct io_slot *slot)
{
    struct io_socket *socket = slot->socket;
    socket->free_slots[socket->free_count++] = slot;
}

static enum status make_slots(struct io_socket *socket)
{
    size_t stride = (socket->datagram_size_max + 15) & ~(size_t)15;
    socket->slots = calloc(IO_BATCH_MAX, sizeof *socket->slots);
    socket->send_data = calloc(IO_BATCH_MAX, stride);
    if (!socket->slots || !socket->send_data) {
        errno = ENOMEM;
        return STATUS_SYSTEM;
    }
    for (size_t i = 0; i < IO_BATCH_MAX; i++) {
        struct io_slot *slot = &socket->slots[i];
        slot->token = (struct io_token){.kind = IO_TOKEN_SEND, .owner = slot};
        slot->socket = socket;
        slot->data = socket->send_data + i * stride;
        slot->vector.iov_base = slot->data;
        slot->message.msg_name = &slot->name;
        slot->message.msg_iov = &slot->vector;
        slot->message.msg_iovlen = 1;
        io_slot_free(slot);
    }
    return STATUS_OK;
}

enum status io_udp_open(struct io *io, const struct io_udp_options *options,
                        struct io_socket **socket)
{
    if (io->socket_count == IO_SOCKETS_MAX)
        return STATUS_FULL;
    struct io_socket *new = calloc(1, sizeof *new);
    if (!new) {
        errno = ENOMEM;
        return STATUS_SYSTEM;
    }
    *new = (struct io_socket){
        .io = io,
        .token = {.kind = IO_TOKEN_RECEIVE, .owner = new},
        .index = io->socket_count,
        .descriptor = -1,
        .datagram_size_max = options->datagram_size_max,
        .receive = options->receive,
        .error = options->error,
        .owner = options->owner,
    };
    enum status status = bind_socket(new, options);
    if (status == STATUS_OK)
        status = make_slots(new);
    if (status == STATUS_OK)
        status = io->calls->open(new);
    if (status != STATUS_OK) {
        int error = errno;
        io_socket_free(new);
        errno = error;
        return status;
    }
    io->sockets[io->socket_count++] = new;
    *socket = new;
    return STATUS_OK;
}

uint8_t *io_send_reserve(struct io_socket *socket, size_t size)
{
    if (size > socket->datagram_size_max)
        return NULL;
    if (!socket->reserved) {
        if (socket->free_count == 0)
            socket->io->calls->make_room(socket);
        if (socket->free_count == 0)
            return NULL;
        socket->reserved = socket->free_slots[--socket->free_count];
    }
    return socket->reserved->data;
}

void io_send_commit(struct io_socket *socket, const struct address *to, size_t length)
{
    struct io_slot *slot = socket->reserved;
    struct sockaddr_storage name;
    socklen_t name_length = address_to_sockaddr(to, socket->family, &name);
    if (name_length == 0) { /* an IPv6 peer on an IPv4 socket; the reservation stays */
        socket->io->counters.send_failures++;
        return;
    }
    memcpy(&slot->name, &name, name_length);
    slot->message.msg_namelen = name_length;
    slot->vector.iov_len = length;
    slot->retries = 0;
    socket->reserved = NULL;
    socket->io->calls->send(slot);
}

void io_send(struct io_socket *socket, const struct address *to, const uint8_t *data, size_t length)
{
    uint8_t *space = io_send_reserve(socket, length);
    if (!space) {
        socket->io->counters.send_failures++;
        return;
    }
    if (length > 0)
        memcpy(space, data, length);
    io_send_commit(socket, to, length);
}

bool io_send_failed(struct io_slot *slot, int error)
{
    struct io_socket *socket = slot->socket;
    switch (error) {
    case EAGAIN:
    case ENOBUFS:
    case ENOMEM:
    case EPERM: /* a firewall's */
        break;
    default: /* may be what ICMP told of an earlier datagram */
        if (!socket->error)
            break;
        socket->errors_pending = true;
        if (slot->retries++ < IO_SEND_RETRIES_MAX)
            return true;
        break;
    }
    socket->io->counters.send_failures++;
    return false;
}

void io_count_overflows(struct io_socket *socket, const struct cmsghdr *control)
{
    if (control->cmsg_level != SOL_SOCKET || control->cmsg_type != SO_RXQ_OVFL)
        return;
    uint32_t overflows;
    memcpy(&overflows, CMSG_DATA(control), sizeof overflows);
    socket->io->counters.receive_overflows += overflows - socket->overflows;
    socket->overflows = overflows;
}

/* One error off the socket's error queue. False: it is empty. */
static bool take_error(struct io_socket *socket)
{
    union io_name name = {0};
    uint8_t payload[1]; /* of the datagram that failed; not needed */
    struct iovec vector = {.iov_base = payload, .iov_len = sizeof payload};
    _Alignas(struct cmsghdr) uint8_t space[256];
    struct msghdr message = {
        .msg_name = &name,
        .msg_namelen = sizeof name,
        .msg_iov = &vector,
        .msg_iovlen = 1,
        .msg_control = space,
        .msg_controllen = sizeof space,
    };
    if (recvmsg(socket->descriptor, &message, MSG_ERRQUEUE | MSG_DONTWAIT) < 0)
        return errno == EINTR;
    struct address peer;
    if (address_from_sockaddr(&peer, &name.any, message.msg_namelen) != STATUS_OK)
        return true;
    struct cmsghdr *control = CMSG_FIRSTHDR(&message);
    for (; control; control = CMSG_NXTHDR(&message, control)) {
        bool v4 = control->cmsg_level == IPPROTO_IP && control->cmsg_type == IP_RECVERR;
        bool v6 = control->cmsg_level == IPPROTO_IPV6 && control->cmsg_type == IPV6_RECVERR;
        if (!v4 && !v6)
            continue;
        struct sock_extended_err error;
        memcpy(&error, CMSG_DATA(control), sizeof error);
        if (socket->error)
            socket->error(socket->owner, socket, &peer, (int)error.ee_errno);
    }
    return true;
}

void io_take_errors(struct io_socket *socket)
{
    size_t taken = 0;
    while (taken < IO_BATCH_MAX && take_error(socket))
        taken++;
    socket->errors_pending = taken == IO_BATCH_MAX;
    /* Where the queue was too short for an error, the socket still holds its number: without this
     * it would look ready for ever. */
    int left;
    socklen_t length = sizeof left;
    (void)getsockopt(socket->descriptor, SOL_SOCKET, SO_ERROR, &left, &length);
}
