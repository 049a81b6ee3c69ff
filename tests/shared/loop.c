#include "tests/shared/loop.h"

#include <criterion/criterion.h>

#include <errno.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

void loop_skip_where_refused(void)
{
    struct io *io;
    if (io_new(&io, IO_URING) != STATUS_OK)
        cr_skip_test("io_uring refused: %s", strerrorname_np(errno));
    io_free(io);
}

void loop_keep(void *owner, struct io_socket *socket, struct io_datagram *datagrams, size_t count)
{
    (void)socket;
    struct seen *seen = owner;
    cr_assert_gt(count, 0);
    cr_assert_leq(count, IO_BATCH_MAX);
    seen->batches++;
    for (size_t i = 0; i < count; i++) {
        size_t at = seen->count++ % LOOP_KEPT_MAX;
        seen->from[at] = datagrams[i].from;
        seen->length[at] = datagrams[i].length;
        seen->first[at] = datagrams[i].length > 0 ? datagrams[i].data[0] : 0;
        seen->octets += datagrams[i].length;
        seen->truncated += datagrams[i].truncated;
        memset(datagrams[i].data, 0xee, datagrams[i].length); /* it is ours to write */
    }
}

void loop_keep_error(void *owner, struct io_socket *socket, const struct address *peer, int error)
{
    (void)socket;
    struct seen *seen = owner;
    seen->error_count++;
    seen->error_peer = *peer;
    seen->error = error;
}

struct io *loop_start(enum io_backend backend)
{
    struct io *io;
    cr_assert_eq(io_new(&io, backend), STATUS_OK);
    return io;
}

struct address loop_address(const char *text)
{
    struct address address;
    cr_assert_eq(address_parse(&address, text), STATUS_OK);
    return address;
}

struct io_socket *loop_listen(struct io *io, const char *bind, struct seen *seen)
{
    struct address address = loop_address(bind);
    struct io_udp_options options = {
        .bind = &address,
        .datagram_size_max = DATAGRAM_SIZE_MAX,
        .receive = loop_keep,
        .owner = seen,
    };
    struct io_socket *socket;
    cr_assert_eq(io_udp_open(io, &options, &socket), STATUS_OK);
    return socket;
}

void loop_turn_until(struct io *io, const size_t *value, size_t wanted)
{
    uint64_t end_ms = io_now_ms(io) + LOOP_GIVE_UP_MS;
    while (*value < wanted && io_now_ms(io) < end_ms)
        cr_assert_eq(io_turn(io, end_ms), STATUS_OK);
    cr_assert_geq(*value, wanted);
}

int loop_plain_socket(int family, struct address *local)
{
    int descriptor = socket(family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    struct timeval patience = {.tv_sec = LOOP_GIVE_UP_MS / 1000};
    setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    struct address bind_to = loop_address(family == AF_INET ? "127.0.0.1:0" : "[::1]:0");
    struct sockaddr_storage name;
    socklen_t length = address_to_sockaddr(&bind_to, family, &name);
    cr_assert_eq(bind(descriptor, (struct sockaddr *)&name, length), 0);
    length = sizeof name;
    cr_assert_eq(getsockname(descriptor, (struct sockaddr *)&name, &length), 0);
    cr_assert_eq(address_from_sockaddr(local, (struct sockaddr *)&name, length), STATUS_OK);
    return descriptor;
}

void loop_plain_send(int descriptor, int family, const struct address *to, const void *data,
                     size_t length)
{
    struct sockaddr_storage name;
    socklen_t name_length = address_to_sockaddr(to, family, &name);
    cr_assert_eq(sendto(descriptor, data, length, 0, (struct sockaddr *)&name, name_length),
                 (ssize_t)length);
}

struct address loop_refusing_address(int family)
{
    struct address address;
    int descriptor = loop_plain_socket(family, &address);
    struct sockaddr_storage name;
    socklen_t length = address_to_sockaddr(&address, family, &name);
    cr_assert_eq(connect(descriptor, (struct sockaddr *)&name, length), 0);
    return address;
}
