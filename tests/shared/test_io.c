/* Each test runs on both backends; where the kernel refuses io_uring its half is skipped. Sockets
 * talk over loopback on ephemeral ports. No test depends on how long something takes: GIVE_UP_MS
 * only ends one that failed. */
#include <criterion/criterion.h>

#include <arpa/inet.h>
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <unistd.h>

#include "shared/io.h"

#define GIVE_UP_MS 10000
#define KEPT_MAX 600

#define ON_BOTH_BACKENDS(name)                 \
    static void name(enum io_backend backend); \
    Test(io, name##_mmsg)                      \
    {                                          \
        name(IO_MMSG);                         \
    }                                          \
    Test(io, name##_uring)                     \
    {                                          \
        skip_where_refused();                  \
        name(IO_URING);                        \
    }                                          \
    static void name(enum io_backend backend)

static void skip_where_refused(void)
{
    struct io *io;
    if (io_new(&io, IO_URING) != STATUS_OK)
        cr_skip_test("io_uring refused: %s", strerrorname_np(errno));
    io_free(io);
}

/* What a socket's callbacks saw. */
struct seen {
    size_t count;
    size_t batches;
    size_t octets;
    size_t truncated;
    struct address from[KEPT_MAX];
    size_t length[KEPT_MAX];
    uint8_t first[KEPT_MAX]; /* octet */
    size_t error_count;
    struct address error_peer;
    int error;
};

static void keep(void *owner, struct io_socket *socket, struct io_datagram *datagrams, size_t count)
{
    (void)socket;
    struct seen *seen = owner;
    cr_assert_gt(count, 0);
    cr_assert_leq(count, IO_BATCH_MAX);
    seen->batches++;
    for (size_t i = 0; i < count; i++) {
        size_t at = seen->count++ % KEPT_MAX;
        seen->from[at] = datagrams[i].from;
        seen->length[at] = datagrams[i].length;
        seen->first[at] = datagrams[i].length > 0 ? datagrams[i].data[0] : 0;
        seen->octets += datagrams[i].length;
        seen->truncated += datagrams[i].truncated;
        memset(datagrams[i].data, 0xee, datagrams[i].length); /* it is ours to write */
    }
}

static void keep_error(void *owner, struct io_socket *socket, const struct address *peer, int error)
{
    (void)socket;
    struct seen *seen = owner;
    seen->error_count++;
    seen->error_peer = *peer;
    seen->error = error;
}

static struct io *start(enum io_backend backend)
{
    struct io *io;
    cr_assert_eq(io_new(&io, backend), STATUS_OK);
    return io;
}

static struct address address_of(const char *text)
{
    struct address address;
    cr_assert_eq(address_parse(&address, text), STATUS_OK);
    return address;
}

static struct io_socket *listen_on(struct io *io, const char *bind, struct seen *seen)
{
    struct address address = address_of(bind);
    struct io_udp_options options = {
        .bind = &address,
        .datagram_size_max = DATAGRAM_SIZE_MAX,
        .receive = keep,
        .owner = seen,
    };
    struct io_socket *socket;
    cr_assert_eq(io_udp_open(io, &options, &socket), STATUS_OK);
    return socket;
}

/* Turns until *value is `wanted` or more. */
static void turn_until(struct io *io, const size_t *value, size_t wanted)
{
    uint64_t end_ms = io_now_ms(io) + GIVE_UP_MS;
    while (*value < wanted && io_now_ms(io) < end_ms)
        cr_assert_eq(io_turn(io, end_ms), STATUS_OK);
    cr_assert_geq(*value, wanted);
}

/* A plain socket of the system's, bound to loopback; reads give up after GIVE_UP_MS. */
static int plain_socket(int family, struct address *local)
{
    int descriptor = socket(family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    struct timeval patience = {.tv_sec = GIVE_UP_MS / 1000};
    setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    struct address bind_to = address_of(family == AF_INET ? "127.0.0.1:0" : "[::1]:0");
    struct sockaddr_storage name;
    socklen_t length = address_to_sockaddr(&bind_to, family, &name);
    cr_assert_eq(bind(descriptor, (struct sockaddr *)&name, length), 0);
    length = sizeof name;
    cr_assert_eq(getsockname(descriptor, (struct sockaddr *)&name, &length), 0);
    cr_assert_eq(address_from_sockaddr(local, (struct sockaddr *)&name, length), STATUS_OK);
    return descriptor;
}

static void plain_send(int descriptor, int family, const struct address *to, const void *data,
                       size_t length)
{
    struct sockaddr_storage name;
    socklen_t name_length = address_to_sockaddr(to, family, &name);
    cr_assert_eq(sendto(descriptor, data, length, 0, (struct sockaddr *)&name, name_length),
                 (ssize_t)length);
}

/* A loopback address with a port that nobody has: it was ours a moment ago. */
static struct address refusing_address(int family)
{
    struct address address;
    close(plain_socket(family, &address));
    return address;
}

ON_BOTH_BACKENDS(names_itself)
{
    struct io *io = start(backend);
    cr_assert_str_eq(io_backend_name(io), backend == IO_MMSG ? "mmsg" : "uring");
    io_free(io);
}

ON_BOTH_BACKENDS(ephemeral_port_is_told)
{
    struct seen seen = {0};
    struct io *io = start(backend);
    struct io_socket *socket = listen_on(io, "127.0.0.1:0", &seen);
    struct address local = io_local_address(socket);
    struct address loopback = address_of("127.0.0.1:0");
    cr_assert_neq(local.port, 0);
    local.port = 0;
    cr_assert(address_equal(&local, &loopback));
    io_free(io);
}

ON_BOTH_BACKENDS(taken_port_is_refused)
{
    struct seen seen = {0};
    struct io *io = start(backend);
    struct io_socket *first = listen_on(io, "127.0.0.1:0", &seen);
    struct address local = io_local_address(first);
    struct io_udp_options options = {
        .bind = &local, .datagram_size_max = DATAGRAM_SIZE_MAX, .receive = keep};
    struct io_socket *second;
    errno = 0;
    cr_assert_eq(io_udp_open(io, &options, &second), STATUS_SYSTEM);
    cr_assert_eq(errno, EADDRINUSE);
    io_free(io);
}

ON_BOTH_BACKENDS(free_gives_the_port_back_at_once)
{
    struct seen seen = {0};
    struct io *io = start(backend);
    struct address local = io_local_address(listen_on(io, "127.0.0.1:0", &seen));
    cr_assert_eq(io_turn(io, 0), STATUS_OK); /* the kernel holds the receive now */
    io_free(io);

    io = start(backend);
    char text[ADDRESS_TEXT_MAX];
    listen_on(io, address_format(&local, text), &seen);
    io_free(io);
}

ON_BOTH_BACKENDS(reuse_port_shares_an_address)
{
    struct seen seen = {0};
    struct io *io = start(backend);
    struct address local = address_of("127.0.0.1:0");
    struct io_udp_options options = {.bind = &local,
                                     .datagram_size_max = DATAGRAM_SIZE_MAX,
                                     .reuse_port = true,
                                     .receive = keep,
                                     .owner = &seen};
    struct io_socket *first;
    struct io_socket *second;
    cr_assert_eq(io_udp_open(io, &options, &first), STATUS_OK);
    local = io_local_address(first);
    cr_assert_eq(io_udp_open(io, &options, &second), STATUS_OK);
    io_free(io);
}

ON_BOTH_BACKENDS(sockets_are_bounded)
{
    struct seen seen = {0};
    struct io *io = start(backend);
    for (size_t i = 0; i < IO_SOCKETS_MAX; i++)
        listen_on(io, "127.0.0.1:0", &seen);
    struct address local = address_of("127.0.0.1:0");
    struct io_udp_options options = {
        .bind = &local, .datagram_size_max = DATAGRAM_SIZE_MAX, .receive = keep};
    struct io_socket *socket;
    cr_assert_eq(io_udp_open(io, &options, &socket), STATUS_FULL);
    cr_assert_eq(io_turn(io, 0), STATUS_OK);
    io_free(io);
}

static void exchange(enum io_backend backend, const char *bind, int peer_family)
{
    struct seen seen = {0};
    struct io *io = start(backend);
    struct io_socket *socket = listen_on(io, bind, &seen);
    struct address peer;
    int plain = plain_socket(peer_family, &peer);
    struct address to = address_of(peer_family == AF_INET ? "127.0.0.1:0" : "[::1]:0");
    to.port = io_local_address(socket).port;

    plain_send(plain, peer_family, &to, "there", 5);
    turn_until(io, &seen.count, 1);
    cr_assert_eq(seen.length[0], 5);
    cr_assert_eq(seen.first[0], 't');
    cr_assert(address_equal(&seen.from[0], &peer), "the peer as bound, IPv4 mapped");

    io_send(socket, &seen.from[0], (const uint8_t *)"back", 4);
    io_flush(io);
    char answer[16];
    cr_assert_eq(recv(plain, answer, sizeof answer, 0), 4);
    cr_assert_eq(memcmp(answer, "back", 4), 0);
    cr_assert_eq(io_turn(io, 0), STATUS_OK);
    struct io_counters counters = io_counters(io);
    cr_assert_eq(counters.datagrams_received, 1);
    cr_assert_eq(counters.datagrams_sent, 1);
    cr_assert_eq(counters.send_failures, 0);
    close(plain);
    io_free(io);
}

ON_BOTH_BACKENDS(ipv4)
{
    exchange(backend, "127.0.0.1:0", AF_INET);
}

ON_BOTH_BACKENDS(ipv4_wildcard)
{
    exchange(backend, "0.0.0.0:0", AF_INET);
}

ON_BOTH_BACKENDS(ipv6)
{
    exchange(backend, "[::1]:0", AF_INET6);
}

ON_BOTH_BACKENDS(dual_stack_with_ipv4_peer)
{
    exchange(backend, "[::]:0", AF_INET);
}

ON_BOTH_BACKENDS(dual_stack_with_ipv6_peer)
{
    exchange(backend, "[::]:0", AF_INET6);
}

/* What was sent between two turns leaves with the wait of the next one at the latest. */
ON_BOTH_BACKENDS(turn_sends_what_is_queued)
{
    struct seen seen = {0};
    struct io *io = start(backend);
    struct io_socket *socket = listen_on(io, "127.0.0.1:0", &seen);
    struct address local = io_local_address(socket);
    io_send(socket, &local, (const uint8_t *)"x", 1);
    turn_until(io, &seen.count, 1);
    cr_assert(address_equal(&seen.from[0], &local));
    io_free(io);
}

/* Many more than there are slots and buffers; all of one flush at once into one socket. */
ON_BOTH_BACKENDS(batches)
{
    enum { COUNT = 2 * IO_BATCH_MAX + 7 };
    struct seen seen = {0};
    struct seen none = {0};
    struct io *io = start(backend);
    struct io_socket *receiver = listen_on(io, "127.0.0.1:0", &seen);
    struct io_socket *sender = listen_on(io, "127.0.0.1:0", &none);
    struct address to = io_local_address(receiver);
    for (size_t i = 0; i < COUNT; i++) {
        uint8_t data[1 + 20];
        memset(data, (int)(i & 0xff), sizeof data);
        io_send(sender, &to, data, 1 + i % 20);
    }
    io_flush(io);
    turn_until(io, &seen.count, COUNT);
    for (size_t i = 0; i < COUNT; i++) {
        cr_assert_eq(seen.first[i], i & 0xff, "in order over loopback");
        cr_assert_eq(seen.length[i], 1 + i % 20);
    }
    cr_assert_eq(io_counters(io).datagrams_sent, COUNT);
    cr_assert_eq(none.count, 0);
    io_free(io);
}

ON_BOTH_BACKENDS(turn_hands_over_a_whole_batch_of_each_socket)
{
    struct seen seen[2] = {0};
    struct io *io = start(backend);
    struct io_socket *sockets[2];
    struct address peer;
    int plain = plain_socket(AF_INET, &peer);
    for (size_t s = 0; s < 2; s++) {
        sockets[s] = listen_on(io, "127.0.0.1:0", &seen[s]);
        struct address to = io_local_address(sockets[s]);
        for (size_t i = 0; i < IO_BATCH_MAX + 10; i++)
            plain_send(plain, AF_INET, &to, "x", 1);
    }
    cr_assert_eq(io_turn(io, UINT64_MAX), STATUS_OK);
    for (size_t s = 0; s < 2; s++) {
        cr_assert_eq(seen[s].batches, 1);
        cr_assert_eq(seen[s].count, IO_BATCH_MAX);
    }
    for (size_t s = 0; s < 2; s++)
        turn_until(io, &seen[s].count, IO_BATCH_MAX + 10);
    close(plain);
    io_free(io);
}

ON_BOTH_BACKENDS(lengths)
{
    static const size_t lengths[] = {0, 1, DATAGRAM_SIZE_MAX, DATAGRAM_SIZE_MAX + 1, 0, 0, 9000};
    enum { COUNT = sizeof lengths / sizeof *lengths };
    static const uint8_t zeros[9000];
    struct seen seen = {0};
    struct io *io = start(backend);
    struct io_socket *socket = listen_on(io, "127.0.0.1:0", &seen);
    struct address to = io_local_address(socket);
    struct address peer;
    int plain = plain_socket(AF_INET, &peer);
    for (size_t i = 0; i < COUNT; i++)
        plain_send(plain, AF_INET, &to, zeros, lengths[i]);
    turn_until(io, &seen.count, COUNT);
    for (size_t i = 0; i < COUNT; i++) {
        size_t kept = lengths[i] < DATAGRAM_SIZE_MAX ? lengths[i] : DATAGRAM_SIZE_MAX;
        cr_assert_eq(seen.length[i], kept);
    }
    cr_assert_eq(seen.truncated, 2);
    close(plain);
    io_free(io);
}

ON_BOTH_BACKENDS(frames_of_the_largest_size)
{
    struct seen seen = {0};
    struct io *io = start(backend);
    struct address local = address_of("127.0.0.1:0");
    struct io_udp_options options = {
        .bind = &local, .datagram_size_max = FRAME_SIZE_MAX + 512, .receive = keep, .owner = &seen};
    struct io_socket *socket;
    cr_assert_eq(io_udp_open(io, &options, &socket), STATUS_OK);
    local = io_local_address(socket);
    for (size_t i = 1; i <= 8; i++) {
        uint8_t *space = io_send_reserve(socket, FRAME_SIZE_MAX);
        cr_assert_not_null(space);
        memset(space, 'f', FRAME_SIZE_MAX);
        io_send_commit(socket, &local, FRAME_SIZE_MAX);
        turn_until(io, &seen.count, i);
        cr_assert_eq(seen.length[i - 1], FRAME_SIZE_MAX);
        cr_assert_eq(seen.first[i - 1], 'f');
    }
    io_free(io);
}

ON_BOTH_BACKENDS(reservation_survives_a_flush)
{
    struct seen seen = {0};
    struct seen other_seen = {0};
    struct io *io = start(backend);
    struct io_socket *socket = listen_on(io, "127.0.0.1:0", &seen);
    struct io_socket *other = listen_on(io, "127.0.0.1:0", &other_seen);
    struct address to = io_local_address(socket);
    cr_assert_null(io_send_reserve(socket, DATAGRAM_SIZE_MAX + 1));

    io_send(socket, &to, (const uint8_t *)"1", 1);
    uint8_t *space = io_send_reserve(socket, 3);
    memcpy(space, "2", 1);
    io_send(other, &to, (const uint8_t *)"3", 1);
    io_flush(io);
    turn_until(io, &seen.count, 2);
    io_send_commit(socket, &to, 1);
    turn_until(io, &seen.count, 3);
    cr_assert_eq(seen.first[2], '2');
    io_free(io);
}

ON_BOTH_BACKENDS(unsendable_datagrams_are_counted)
{
    static const uint8_t data[DATAGRAM_SIZE_MAX + 1];
    struct seen seen = {0};
    struct io *io = start(backend);
    struct io_socket *socket = listen_on(io, "127.0.0.1:0", &seen);
    struct address local = io_local_address(socket);
    struct address v6 = address_of("[::1]:9");
    struct address port_zero = address_of("127.0.0.1:0");
    io_send(socket, &local, data, sizeof data); /* too long for the socket */
    io_send(socket, &v6, data, 1);              /* not from an IPv4 socket */
    io_send(socket, &port_zero, data, 1);       /* EINVAL from the kernel */
    io_send(socket, &local, data, 1);
    turn_until(io, &seen.count, 1);
    cr_assert_eq(io_counters(io).send_failures, 3);
    cr_assert_eq(io_counters(io).datagrams_sent, 1);
    io_free(io);
}

/* Odd datagrams go to a port that refuses, even ones to one that listens. Each refusal leaves an
 * error on the socket that the next call trips over; no even datagram may be lost to that. */
static void refuse(enum io_backend backend, const char *bind, int family)
{
    enum { COUNT = 100 };
    struct seen seen = {0};
    struct seen receiver_seen = {0};
    struct io *io = start(backend);
    struct address bind_to = address_of(bind);
    struct io_udp_options options = {.bind = &bind_to,
                                     .datagram_size_max = DATAGRAM_SIZE_MAX,
                                     .receive = keep,
                                     .error = keep_error,
                                     .owner = &seen};
    struct io_socket *socket;
    cr_assert_eq(io_udp_open(io, &options, &socket), STATUS_OK);
    struct io_socket *receiver =
        listen_on(io, family == AF_INET ? "127.0.0.1:0" : "[::1]:0", &receiver_seen);
    struct address live = io_local_address(receiver);
    struct address dead = refusing_address(family);
    cr_assert_eq(io_turn(io, 0), STATUS_OK);

    for (size_t i = 0; i < COUNT; i++)
        io_send(socket, i % 2 ? &dead : &live, (const uint8_t *)"x", 1);
    turn_until(io, &receiver_seen.count, COUNT / 2);
    turn_until(io, &seen.error_count, 1);
    cr_assert_eq(seen.error, ECONNREFUSED);
    cr_assert(address_equal(&seen.error_peer, &dead));

    /* The socket still receives: what is sent to it now, with another error before it. */
    struct address to = live;
    to.port = io_local_address(socket).port;
    io_send(socket, &dead, (const uint8_t *)"x", 1);
    io_flush(io);
    io_send(receiver, &to, (const uint8_t *)"y", 1);
    turn_until(io, &seen.count, 1);
    cr_assert_eq(seen.first[0], 'y');
    io_free(io);
}

ON_BOTH_BACKENDS(refusals_of_ipv4_peers)
{
    refuse(backend, "127.0.0.1:0", AF_INET);
}

ON_BOTH_BACKENDS(refusals_of_ipv6_peers)
{
    refuse(backend, "[::1]:0", AF_INET6);
}

ON_BOTH_BACKENDS(refusals_of_ipv4_peers_on_a_dual_stack_socket)
{
    refuse(backend, "[::]:0", AF_INET);
}

/* An idle loop is woken by the refusal alone. */
ON_BOTH_BACKENDS(refusal_wakes_the_loop)
{
    struct seen seen = {0};
    struct io *io = start(backend);
    struct address bind_to = address_of("127.0.0.1:0");
    struct io_udp_options options = {.bind = &bind_to,
                                     .datagram_size_max = DATAGRAM_SIZE_MAX,
                                     .receive = keep,
                                     .error = keep_error,
                                     .owner = &seen};
    struct io_socket *socket;
    cr_assert_eq(io_udp_open(io, &options, &socket), STATUS_OK);
    struct address dead = refusing_address(AF_INET);
    for (size_t i = 1; i <= 5; i++) {
        io_send(socket, &dead, (const uint8_t *)"x", 1);
        turn_until(io, &seen.error_count, i);
    }
    /* And then it is idle again: no turn ends before its deadline. */
    for (int i = 0; i < 3; i++)
        cr_assert_eq(io_turn(io, 0), STATUS_OK);
    uint64_t deadline_ms = io_now_ms(io) + 20;
    cr_assert_eq(io_turn(io, deadline_ms), STATUS_OK);
    cr_assert_geq(io_now_ms(io), deadline_ms);
    cr_assert_eq(seen.error_count, 5);
    io_free(io);
}

ON_BOTH_BACKENDS(without_error_callback_refusals_do_not_show)
{
    struct seen seen = {0};
    struct io *io = start(backend);
    struct io_socket *socket = listen_on(io, "127.0.0.1:0", &seen);
    struct address local = io_local_address(socket);
    struct address dead = refusing_address(AF_INET);
    for (size_t i = 0; i < 10; i++) {
        io_send(socket, &dead, (const uint8_t *)"x", 1);
        io_send(socket, &local, (const uint8_t *)"x", 1);
    }
    turn_until(io, &seen.count, 10);
    cr_assert_eq(io_counters(io).send_failures, 0);
    io_free(io);
}

ON_BOTH_BACKENDS(overflows_are_counted)
{
    enum { COUNT = 500 };
    static const uint8_t data[1000];
    struct seen seen = {0};
    struct io *io = start(backend);
    struct address local = address_of("127.0.0.1:0");
    struct io_udp_options options = {.bind = &local,
                                     .datagram_size_max = DATAGRAM_SIZE_MAX,
                                     .buffer_octets = 20000,
                                     .receive = keep,
                                     .owner = &seen};
    struct io_socket *socket;
    cr_assert_eq(io_udp_open(io, &options, &socket), STATUS_OK);
    local = io_local_address(socket);
    struct address peer;
    int plain = plain_socket(AF_INET, &peer);
    for (size_t i = 0; i < COUNT; i++)
        plain_send(plain, AF_INET, &local, data, sizeof data);
    turn_until(io, &seen.count, 1);
    while (seen.count > 0) { /* until it is empty */
        seen.count = 0;
        cr_assert_eq(io_turn(io, 0), STATUS_OK);
    }
    /* The counter comes with a datagram that was queued after the loss. */
    plain_send(plain, AF_INET, &local, data, sizeof data);
    turn_until(io, &seen.count, 1);
    struct io_counters counters = io_counters(io);
    cr_assert_gt(counters.receive_overflows, 0);
    cr_assert_eq(counters.receive_overflows + counters.datagrams_received, COUNT + 1);
    close(plain);
    io_free(io);
}

/* An echo server and a client that keeps a window of datagrams under way, on one loop. */
struct echo_client {
    struct io_socket *socket;
    struct address server;
    size_t sent;
    size_t received;
    size_t wanted;
    uint8_t *got; /* [number]: how often it came back */
};

static void echo_send(struct echo_client *client)
{
    uint32_t number = (uint32_t)client->sent++;
    uint8_t *space = io_send_reserve(client->socket, 64);
    cr_assert_not_null(space);
    memset(space, 0, 64);
    memcpy(space, &number, sizeof number);
    io_send_commit(client->socket, &client->server, 8 + number % 57);
}

static void echo_client_receive(void *owner, struct io_socket *socket,
                                struct io_datagram *datagrams, size_t count)
{
    (void)socket;
    struct echo_client *client = owner;
    for (size_t i = 0; i < count; i++) {
        uint32_t number;
        memcpy(&number, datagrams[i].data, sizeof number);
        cr_assert_lt(number, client->wanted);
        cr_assert_eq(datagrams[i].length, 8 + number % 57);
        cr_assert_eq(client->got[number]++, 0);
        client->received++;
        if (client->sent < client->wanted)
            echo_send(client);
    }
}

static void echo_server_receive(void *owner, struct io_socket *socket,
                                struct io_datagram *datagrams, size_t count)
{
    (void)owner;
    for (size_t i = 0; i < count; i++)
        io_send(socket, &datagrams[i].from, datagrams[i].data, datagrams[i].length);
}

static void echo(enum io_backend backend, size_t window)
{
    enum { COUNT = 10000 };
    struct io *io = start(backend);
    struct echo_client client = {.wanted = COUNT, .got = calloc(COUNT, 1)};
    struct address bind_to = address_of("127.0.0.1:0");
    struct io_udp_options options = {
        .bind = &bind_to, .datagram_size_max = DATAGRAM_SIZE_MAX, .receive = echo_server_receive};
    struct io_socket *server;
    cr_assert_eq(io_udp_open(io, &options, &server), STATUS_OK);
    options.receive = echo_client_receive;
    options.owner = &client;
    cr_assert_eq(io_udp_open(io, &options, &client.socket), STATUS_OK);
    client.server = io_local_address(server);
    for (size_t i = 0; i < window; i++)
        echo_send(&client);
    turn_until(io, &client.received, COUNT);
    cr_assert_eq(io_counters(io).datagrams_sent, 2 * COUNT);
    cr_assert_eq(io_counters(io).datagrams_received, 2 * COUNT);
    cr_assert_eq(io_counters(io).send_failures, 0);
    free(client.got);
    io_free(io);
}

ON_BOTH_BACKENDS(echo_of_10000_with_a_window_of_1)
{
    echo(backend, 1);
}

ON_BOTH_BACKENDS(echo_of_10000_with_a_window_of_64)
{
    echo(backend, 64);
}

/* More than slots and buffers: sends from within the callback have to make room. */
ON_BOTH_BACKENDS(echo_of_10000_with_a_window_of_1000)
{
    echo(backend, 1000);
}

/* Each datagram makes the callback send more than there are slots. */
struct flood {
    struct address to;
    size_t received;
};

static void flood_receive(void *owner, struct io_socket *socket, struct io_datagram *datagrams,
                          size_t count)
{
    struct flood *flood = owner;
    for (size_t i = 0; i < count; i++) {
        uint8_t before = datagrams[i].data[0];
        for (size_t n = 0; n < 3 * IO_BATCH_MAX; n++)
            io_send(socket, &flood->to, (const uint8_t *)"z", 1);
        cr_assert_eq(datagrams[i].data[0], before, "valid until the callback returns");
    }
    flood->received += count;
}

ON_BOTH_BACKENDS(sends_from_a_callback_beyond_the_slots)
{
    struct seen seen = {0};
    struct io *io = start(backend);
    struct flood flood = {.to = io_local_address(listen_on(io, "127.0.0.1:0", &seen))};
    struct address bind_to = address_of("127.0.0.1:0");
    struct io_udp_options options = {.bind = &bind_to,
                                     .datagram_size_max = DATAGRAM_SIZE_MAX,
                                     .receive = flood_receive,
                                     .owner = &flood};
    struct io_socket *socket;
    cr_assert_eq(io_udp_open(io, &options, &socket), STATUS_OK);
    struct address local = io_local_address(socket);
    struct address peer;
    int plain = plain_socket(AF_INET, &peer);
    for (uint8_t i = 0; i < 4; i++)
        plain_send(plain, AF_INET, &local, &i, 1);
    turn_until(io, &flood.received, 4);
    turn_until(io, &seen.count, (size_t)4 * 3 * IO_BATCH_MAX);
    close(plain);
    io_free(io);
}

/* Watches */

struct watched {
    struct io *io;
    size_t calls;
    uint32_t events;
    int unwatch; /* this one from the callback, where not negative */
    int close_too;
    int replace_by; /* and watch this one, under the same owner as `successor` */
    struct watched *successor;
};

static void ready(void *owner, int descriptor, uint32_t events)
{
    (void)descriptor;
    struct watched *watched = owner;
    watched->calls++;
    watched->events = events;
}

static int event_descriptor(uint64_t value)
{
    int descriptor = eventfd((unsigned)value, EFD_CLOEXEC | EFD_NONBLOCK);
    cr_assert_geq(descriptor, 0);
    return descriptor;
}

ON_BOTH_BACKENDS(watches_a_pipe)
{
    struct watched watched = {0};
    struct io *io = start(backend);
    int ends[2];
    cr_assert_eq(pipe(ends), 0);
    cr_assert_eq(io_watch(io, ends[0], EPOLLIN, ready, &watched), STATUS_OK);
    for (int i = 0; i < 3; i++)
        cr_assert_eq(io_turn(io, 0), STATUS_OK);
    cr_assert_eq(watched.calls, 0);

    cr_assert_eq(write(ends[1], "x", 1), 1);
    turn_until(io, &watched.calls, 1);
    cr_assert_eq(watched.events, EPOLLIN);
    /* Told again as long as it is not read. */
    turn_until(io, &watched.calls, 5);
    char octet;
    cr_assert_eq(read(ends[0], &octet, 1), 1);
    for (int i = 0; i < 3; i++)
        cr_assert_eq(io_turn(io, 0), STATUS_OK);
    size_t calls = watched.calls;
    cr_assert_leq(calls, 6); /* one may have been found before the read */
    cr_assert_eq(io_turn(io, io_now_ms(io) + 5), STATUS_OK);
    cr_assert_eq(watched.calls, calls);

    close(ends[1]);
    turn_until(io, &watched.calls, calls + 1);
    cr_assert(watched.events & EPOLLHUP);
    io_unwatch(io, ends[0]);
    close(ends[0]);
    io_free(io);
}

ON_BOTH_BACKENDS(watches_for_writing)
{
    struct watched watched = {0};
    struct io *io = start(backend);
    int ends[2];
    cr_assert_eq(pipe(ends), 0);
    cr_assert_eq(io_watch(io, ends[1], EPOLLOUT, ready, &watched), STATUS_OK);
    turn_until(io, &watched.calls, 1);
    cr_assert_eq(watched.events, EPOLLOUT);
    io_unwatch(io, ends[1]);
    size_t calls = watched.calls;
    for (int i = 0; i < 3; i++)
        cr_assert_eq(io_turn(io, 0), STATUS_OK);
    cr_assert_eq(watched.calls, calls);
    close(ends[0]);
    close(ends[1]);
    io_free(io);
}

ON_BOTH_BACKENDS(watching_again_changes_the_events)
{
    struct watched first = {0};
    struct watched second = {0};
    struct io *io = start(backend);
    int descriptor = event_descriptor(0); /* writable, not readable */
    cr_assert_eq(io_watch(io, descriptor, EPOLLIN, ready, &first), STATUS_OK);
    cr_assert_eq(io_turn(io, 0), STATUS_OK); /* under way in the kernel */
    cr_assert_eq(io_watch(io, descriptor, EPOLLOUT, ready, &second), STATUS_OK);
    turn_until(io, &second.calls, 3);
    cr_assert_eq(second.events, EPOLLOUT);
    cr_assert_eq(first.calls, 0);
    cr_assert_eq(io_watch(io, descriptor, EPOLLIN, ready, &first), STATUS_OK);
    for (int i = 0; i < 3; i++)
        cr_assert_eq(io_turn(io, 0), STATUS_OK);
    cr_assert_eq(first.calls, 0);
    cr_assert_eq(write(descriptor, &(uint64_t){1}, 8), 8);
    turn_until(io, &first.calls, 1);
    io_unwatch(io, descriptor);
    close(descriptor);
    io_free(io);
}

ON_BOTH_BACKENDS(watches_are_bounded_and_come_free_again)
{
    struct watched watched = {0};
    struct io *io = start(backend);
    int descriptors[IO_SOCKETS_MAX + 1];
    for (size_t i = 0; i <= IO_SOCKETS_MAX; i++)
        descriptors[i] = event_descriptor(0);
    for (size_t round = 0; round < 5; round++) {
        for (size_t i = 0; i < IO_SOCKETS_MAX; i++)
            cr_assert_eq(io_watch(io, descriptors[i], EPOLLIN, ready, &watched), STATUS_OK);
        cr_assert_eq(io_watch(io, descriptors[IO_SOCKETS_MAX], EPOLLIN, ready, &watched),
                     STATUS_FULL);
        cr_assert_eq(io_turn(io, 0), STATUS_OK);
        for (size_t i = 0; i < IO_SOCKETS_MAX; i++)
            io_unwatch(io, descriptors[i]);
        cr_assert_eq(io_watch(io, descriptors[round], EPOLLIN, ready, &watched), STATUS_OK);
        cr_assert_eq(io_turn(io, 0), STATUS_OK);
        io_unwatch(io, descriptors[round]);
        cr_assert_eq(io_turn(io, 0), STATUS_OK);
    }
    cr_assert_eq(watched.calls, 0);
    for (size_t i = 0; i <= IO_SOCKETS_MAX; i++)
        close(descriptors[i]);
    io_free(io);
}

ON_BOTH_BACKENDS(refuses_a_descriptor_that_is_none)
{
    struct io *io = start(backend);
    int descriptor = event_descriptor(0);
    close(descriptor);
    cr_assert_eq(io_watch(io, descriptor, EPOLLIN, ready, NULL), STATUS_SYSTEM);
    cr_assert_eq(errno, EBADF);
    io_unwatch(io, descriptor); /* not watched: nothing happens */
    io_free(io);
}

/* Of two descriptors that are ready in one turn, the first callback unwatches and closes the
 * second and puts a new descriptor into its number: the old event must not reach the new owner. */
static void replace(void *owner, int descriptor, uint32_t events)
{
    struct watched *watched = owner;
    ready(owner, descriptor, events);
    if (watched->unwatch < 0)
        return;
    io_unwatch(watched->io, descriptor);
    io_unwatch(watched->io, watched->unwatch);
    close(watched->unwatch);
    int fresh = event_descriptor(0);
    cr_assert_eq(fresh, watched->unwatch, "the lowest free number");
    cr_assert_eq(io_watch(watched->io, fresh, EPOLLIN, ready, watched->successor), STATUS_OK);
    watched->successor->unwatch = fresh;
    watched->unwatch = -1;
}

ON_BOTH_BACKENDS(event_does_not_reach_the_next_owner_of_a_descriptor)
{
    struct io *io = start(backend);
    struct watched successor = {0};
    int a = event_descriptor(1);
    int b = event_descriptor(1);
    struct watched of_a = {.io = io, .unwatch = b, .successor = &successor};
    struct watched of_b = {.io = io, .unwatch = a, .successor = &successor};
    cr_assert_eq(io_watch(io, a, EPOLLIN, replace, &of_a), STATUS_OK);
    cr_assert_eq(io_watch(io, b, EPOLLIN, replace, &of_b), STATUS_OK);
    uint64_t end_ms = io_now_ms(io) + GIVE_UP_MS;
    while (of_a.calls + of_b.calls == 0 && io_now_ms(io) < end_ms)
        cr_assert_eq(io_turn(io, end_ms), STATUS_OK);
    cr_assert_eq(of_a.calls + of_b.calls, 1);
    for (int i = 0; i < 5; i++)
        cr_assert_eq(io_turn(io, 0), STATUS_OK);
    cr_assert_eq(of_a.calls + of_b.calls, 1);
    cr_assert_eq(successor.calls, 0);

    cr_assert_eq(write(successor.unwatch, &(uint64_t){1}, 8), 8);
    turn_until(io, &successor.calls, 1);
    io_unwatch(io, successor.unwatch);
    close(successor.unwatch);
    close(of_a.calls ? a : b);
    io_free(io);
}

/* A callback of a socket may watch, unwatch and send. */
struct mixed {
    struct io *io;
    int descriptor;
    struct watched watched;
    size_t received;
};

static void watch_on_receive(void *owner, struct io_socket *socket, struct io_datagram *datagrams,
                             size_t count)
{
    struct mixed *mixed = owner;
    mixed->received += count;
    if (datagrams[0].data[0] == 'w') {
        cr_assert_eq(io_watch(mixed->io, mixed->descriptor, EPOLLIN, ready, &mixed->watched),
                     STATUS_OK);
    } else {
        io_unwatch(mixed->io, mixed->descriptor);
    }
    io_send(socket, &datagrams[0].from, datagrams[0].data, 1);
}

ON_BOTH_BACKENDS(watches_from_a_receive_callback)
{
    struct io *io = start(backend);
    struct mixed mixed = {.io = io, .descriptor = event_descriptor(1)};
    struct address bind_to = address_of("127.0.0.1:0");
    struct io_udp_options options = {.bind = &bind_to,
                                     .datagram_size_max = DATAGRAM_SIZE_MAX,
                                     .receive = watch_on_receive,
                                     .owner = &mixed};
    struct io_socket *socket;
    cr_assert_eq(io_udp_open(io, &options, &socket), STATUS_OK);
    struct address local = io_local_address(socket);
    struct address peer;
    int plain = plain_socket(AF_INET, &peer);
    char octet;
    plain_send(plain, AF_INET, &local, "w", 1);
    turn_until(io, &mixed.watched.calls, 2);
    cr_assert_eq(recv(plain, &octet, 1, 0), 1);
    plain_send(plain, AF_INET, &local, "u", 1);
    turn_until(io, &mixed.received, 2);
    cr_assert_eq(recv(plain, &octet, 1, 0), 1);
    size_t calls = mixed.watched.calls;
    for (int i = 0; i < 3; i++)
        cr_assert_eq(io_turn(io, 0), STATUS_OK);
    cr_assert_eq(mixed.watched.calls, calls);
    close(plain);
    close(mixed.descriptor);
    io_free(io);
}

/* Turns */

ON_BOTH_BACKENDS(turn_ends_at_its_deadline)
{
    struct seen seen = {0};
    struct io *io = start(backend);
    listen_on(io, "127.0.0.1:0", &seen);
    for (uint64_t wait_ms = 0; wait_ms < 30; wait_ms += 7) {
        uint64_t deadline_ms = io_now_ms(io) + wait_ms;
        cr_assert_eq(io_turn(io, deadline_ms), STATUS_OK);
        cr_assert_geq(io_now_ms(io), deadline_ms);
    }
    cr_assert_eq(io_turn(io, 0), STATUS_OK);
    cr_assert_eq(io_counters(io).turns, 6);
    io_free(io);
}

static void on_alarm(int signal)
{
    (void)signal;
}

ON_BOTH_BACKENDS(signal_ends_a_turn_normally)
{
    struct seen seen = {0};
    struct io *io = start(backend);
    listen_on(io, "127.0.0.1:0", &seen);
    struct sigaction action = {.sa_handler = on_alarm};
    sigaction(SIGALRM, &action, NULL);
    struct itimerval soon = {.it_value = {.tv_usec = 20000}};
    setitimer(ITIMER_REAL, &soon, NULL);
    cr_assert_eq(io_turn(io, UINT64_MAX), STATUS_OK);
    io_free(io);
}

Test(io, free_of_null)
{
    io_free(NULL);
}

Test(io, unix_time)
{
    cr_assert_gt(io_unix_ms(), UINT64_C(1577836800000)); /* 2020 */
}

/* As the seccomp profiles of containers do. */
static void refuse_io_uring(void)
{
    struct sock_filter rules[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_io_uring_setup, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {.len = sizeof rules / sizeof *rules, .filter = rules};
    cr_assert_eq(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
    cr_assert_eq(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program), 0);
}

Test(io, auto_falls_back_with_one_line)
{
    int ends[2];
    cr_assert_eq(pipe(ends), 0);
    cr_assert_eq(dup2(ends[1], STDERR_FILENO), STDERR_FILENO);
    refuse_io_uring();
    for (int i = 0; i < 3; i++) {
        struct io *io = start(IO_AUTO);
        cr_assert_str_eq(io_backend_name(io), "mmsg");
        io_free(io);
    }
    char line[512];
    ssize_t length = read(ends[0], line, sizeof line - 1);
    cr_assert_gt(length, 0);
    line[length] = '\0';
    cr_assert_not_null(strstr(line, "io_uring refused"));
    cr_assert_not_null(strstr(line, "EPERM"));
    cr_assert_eq(strchr(line, '\n'), line + length - 1, "one line");
}

Test(io, uring_says_that_it_is_refused)
{
    struct io *io;
    refuse_io_uring();
    cr_assert_eq(io_new(&io, IO_URING), STATUS_SYSTEM);
    cr_assert_eq(errno, EPERM);
}
