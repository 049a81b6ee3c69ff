#include <criterion/criterion.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "shared/io.h"
#include "tests/shared/loop.h"

ON_BOTH_BACKENDS(io_socket, ephemeral_port_is_told)
{
    struct seen seen = {0};
    struct io *io = loop_start(backend);
    struct io_socket *socket = loop_listen(io, "127.0.0.1:0", &seen);
    struct address local = io_local_address(socket);
    struct address loopback = loop_address("127.0.0.1:0");
    cr_assert_neq(local.port, 0);
    local.port = 0;
    cr_assert(address_equal(&local, &loopback));
    io_free(io);
}

ON_BOTH_BACKENDS(io_socket, taken_port_is_refused)
{
    struct seen seen = {0};
    struct io *io = loop_start(backend);
    struct io_socket *first = loop_listen(io, "127.0.0.1:0", &seen);
    struct address local = io_local_address(first);
    struct io_udp_options options = {
        .bind = &local, .datagram_size_max = DATAGRAM_SIZE_MAX, .receive = loop_keep};
    struct io_socket *second;
    errno = 0;
    cr_assert_eq(io_udp_open(io, &options, &second), STATUS_SYSTEM);
    cr_assert_eq(errno, EADDRINUSE);
    io_free(io);
}

ON_BOTH_BACKENDS(io_socket, free_gives_the_port_back_at_once)
{
    struct seen seen = {0};
    struct io *io = loop_start(backend);
    struct address local = io_local_address(loop_listen(io, "127.0.0.1:0", &seen));
    cr_assert_eq(io_turn(io, 0), STATUS_OK); /* the kernel holds the receive now */
    io_free(io);

    io = loop_start(backend);
    char text[ADDRESS_TEXT_MAX];
    loop_listen(io, address_format(&local, text), &seen);
    io_free(io);
}

ON_BOTH_BACKENDS(io_socket, steering)
{
    struct seen seen[2] = {{0}};
    struct io *io = loop_start(backend);
    struct address local = loop_address("[::]:0"), from, to;
    struct io_socket *sockets[2];
    for (size_t i = 0; i < 2; i++) {
        const struct io_udp_options options = {.bind = &local,
                                               .datagram_size_max = DATAGRAM_SIZE_MAX,
                                               .reuse_port = true,
                                               .steers = i == 1,
                                               .steered = 22,
                                               .receive = loop_keep,
                                               .owner = &seen[i]};
        cr_assert_eq(io_udp_open(io, &options, &sockets[i]), STATUS_OK);
        local = io_local_address(sockets[i]);
    }
    for (int v6 = 0; v6 < 2; v6++) {
        int family = v6 ? AF_INET6 : AF_INET;
        int client = loop_plain_socket(family, &from);
        to = loop_address(v6 ? "[::1]:0" : "127.0.0.1:0");
        to.port = local.port;
        for (unsigned octet = 0; octet < 64; octet++) {
            const uint8_t datagram[] = {(uint8_t)octet, 1, 2};
            loop_plain_send(client, family, &to, datagram, sizeof(datagram));
        }
        loop_plain_send(client, family, &to, NULL, 0);
        close(client);
    }
    loop_turn_until(io, &seen[0].count, 2 * 64);
    loop_turn_until(io, &seen[1].count, 2);
    cr_expect_eq(seen[0].count, 2 * 64);
    cr_expect_eq(seen[1].count, 2);
    cr_expect_eq(seen[1].first[0], 22);
    cr_expect_eq(seen[1].first[1], 22);
    io_free(io);
}

ON_BOTH_BACKENDS(io_socket, reuse_port_shares_an_address)
{
    struct seen seen = {0};
    struct io *io = loop_start(backend);
    struct address local = loop_address("127.0.0.1:0");
    struct io_udp_options options = {.bind = &local,
                                     .datagram_size_max = DATAGRAM_SIZE_MAX,
                                     .reuse_port = true,
                                     .receive = loop_keep,
                                     .owner = &seen};
    struct io_socket *first;
    struct io_socket *second;
    cr_assert_eq(io_udp_open(io, &options, &first), STATUS_OK);
    local = io_local_address(first);
    cr_assert_eq(io_udp_open(io, &options, &second), STATUS_OK);
    io_free(io);
}

ON_BOTH_BACKENDS(io_socket, sockets_are_bounded)
{
    struct seen seen = {0};
    struct io *io = loop_start(backend);
    for (size_t i = 0; i < IO_SOCKETS_MAX; i++)
        loop_listen(io, "127.0.0.1:0", &seen);
    struct address local = loop_address("127.0.0.1:0");
    struct io_udp_options options = {
        .bind = &local, .datagram_size_max = DATAGRAM_SIZE_MAX, .receive = loop_keep};
    struct io_socket *socket;
    cr_assert_eq(io_udp_open(io, &options, &socket), STATUS_FULL);
    cr_assert_eq(io_turn(io, 0), STATUS_OK);
    io_free(io);
}

static void exchange(enum io_backend backend, const char *bind, int peer_family)
{
    struct seen seen = {0};
    struct io *io = loop_start(backend);
    struct io_socket *socket = loop_listen(io, bind, &seen);
    struct address peer;
    int plain = loop_plain_socket(peer_family, &peer);
    struct address to = loop_address(peer_family == AF_INET ? "127.0.0.1:0" : "[::1]:0");
    to.port = io_local_address(socket).port;

    loop_plain_send(plain, peer_family, &to, "there", 5);
    loop_turn_until(io, &seen.count, 1);
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

ON_BOTH_BACKENDS(io_socket, ipv4)
{
    exchange(backend, "127.0.0.1:0", AF_INET);
}

ON_BOTH_BACKENDS(io_socket, ipv4_wildcard)
{
    exchange(backend, "0.0.0.0:0", AF_INET);
}

ON_BOTH_BACKENDS(io_socket, ipv6)
{
    exchange(backend, "[::1]:0", AF_INET6);
}

ON_BOTH_BACKENDS(io_socket, dual_stack_with_ipv4_peer)
{
    exchange(backend, "[::]:0", AF_INET);
}

ON_BOTH_BACKENDS(io_socket, dual_stack_with_ipv6_peer)
{
    exchange(backend, "[::]:0", AF_INET6);
}

/* What was sent between two turns leaves with the wait of the next one at the latest. */
ON_BOTH_BACKENDS(io_socket, turn_sends_what_is_queued)
{
    struct seen seen = {0};
    struct io *io = loop_start(backend);
    struct io_socket *socket = loop_listen(io, "127.0.0.1:0", &seen);
    struct address local = io_local_address(socket);
    io_send(socket, &local, (const uint8_t *)"x", 1);
    loop_turn_until(io, &seen.count, 1);
    cr_assert(address_equal(&seen.from[0], &local));
    io_free(io);
}

/* Many more than there are slots and buffers; all of one flush at once into one socket. */
ON_BOTH_BACKENDS(io_socket, batches)
{
    enum { COUNT = 2 * IO_BATCH_MAX + 7 };
    struct seen seen = {0};
    struct seen none = {0};
    struct io *io = loop_start(backend);
    struct io_socket *receiver = loop_listen(io, "127.0.0.1:0", &seen);
    struct io_socket *sender = loop_listen(io, "127.0.0.1:0", &none);
    struct address to = io_local_address(receiver);
    for (size_t i = 0; i < COUNT; i++) {
        uint8_t data[1 + 20];
        memset(data, (int)(i & 0xff), sizeof data);
        io_send(sender, &to, data, 1 + i % 20);
    }
    io_flush(io);
    loop_turn_until(io, &seen.count, COUNT);
    for (size_t i = 0; i < COUNT; i++) {
        cr_assert_eq(seen.first[i], i & 0xff, "in order over loopback");
        cr_assert_eq(seen.length[i], 1 + i % 20);
    }
    cr_assert_eq(io_counters(io).datagrams_sent, COUNT);
    cr_assert_eq(none.count, 0);
    /* Its buffers used up, a multishot receive ends. */
    cr_assert_eq(io_counters(io).receive_rearmed > 0, backend == IO_URING);
    io_free(io);
}

ON_BOTH_BACKENDS(io_socket, turn_hands_over_a_whole_batch_of_each_socket)
{
    struct seen seen[2] = {0};
    struct io *io = loop_start(backend);
    struct io_socket *sockets[2];
    struct address peer;
    int plain = loop_plain_socket(AF_INET, &peer);
    for (size_t s = 0; s < 2; s++) {
        sockets[s] = loop_listen(io, "127.0.0.1:0", &seen[s]);
        struct address to = io_local_address(sockets[s]);
        for (size_t i = 0; i < IO_BATCH_MAX + 10; i++)
            loop_plain_send(plain, AF_INET, &to, "x", 1);
    }
    cr_assert_eq(io_turn(io, UINT64_MAX), STATUS_OK);
    for (size_t s = 0; s < 2; s++) {
        cr_assert_eq(seen[s].batches, 1);
        cr_assert_eq(seen[s].count, IO_BATCH_MAX);
    }
    for (size_t s = 0; s < 2; s++)
        loop_turn_until(io, &seen[s].count, IO_BATCH_MAX + 10);
    close(plain);
    io_free(io);
}

ON_BOTH_BACKENDS(io_socket, lengths)
{
    static const size_t lengths[] = {0, 1, DATAGRAM_SIZE_MAX, DATAGRAM_SIZE_MAX + 1, 0, 0, 9000};
    enum { COUNT = sizeof lengths / sizeof *lengths };
    static const uint8_t zeros[9000];
    struct seen seen = {0};
    struct io *io = loop_start(backend);
    struct io_socket *socket = loop_listen(io, "127.0.0.1:0", &seen);
    struct address to = io_local_address(socket);
    struct address peer;
    int plain = loop_plain_socket(AF_INET, &peer);
    for (size_t i = 0; i < COUNT; i++)
        loop_plain_send(plain, AF_INET, &to, zeros, lengths[i]);
    loop_turn_until(io, &seen.count, COUNT);
    for (size_t i = 0; i < COUNT; i++) {
        size_t kept = lengths[i] < DATAGRAM_SIZE_MAX ? lengths[i] : DATAGRAM_SIZE_MAX;
        cr_assert_eq(seen.length[i], kept);
    }
    cr_assert_eq(seen.truncated, 2);
    close(plain);
    io_free(io);
}

ON_BOTH_BACKENDS(io_socket, frames_of_the_largest_size)
{
    struct seen seen = {0};
    struct io *io = loop_start(backend);
    struct address local = loop_address("127.0.0.1:0");
    struct io_udp_options options = {.bind = &local,
                                     .datagram_size_max = FRAME_SIZE_MAX + 512,
                                     .receive = loop_keep,
                                     .owner = &seen};
    struct io_socket *socket;
    cr_assert_eq(io_udp_open(io, &options, &socket), STATUS_OK);
    local = io_local_address(socket);
    for (size_t i = 1; i <= 8; i++) {
        uint8_t *space = io_send_reserve(socket, FRAME_SIZE_MAX);
        cr_assert_not_null(space);
        memset(space, 'f', FRAME_SIZE_MAX);
        io_send_commit(socket, &local, FRAME_SIZE_MAX);
        loop_turn_until(io, &seen.count, i);
        cr_assert_eq(seen.length[i - 1], FRAME_SIZE_MAX);
        cr_assert_eq(seen.first[i - 1], 'f');
    }
    io_free(io);
}

ON_BOTH_BACKENDS(io_socket, reservation_survives_a_flush)
{
    struct seen seen = {0};
    struct seen other_seen = {0};
    struct io *io = loop_start(backend);
    struct io_socket *socket = loop_listen(io, "127.0.0.1:0", &seen);
    struct io_socket *other = loop_listen(io, "127.0.0.1:0", &other_seen);
    struct address to = io_local_address(socket);
    cr_assert_null(io_send_reserve(socket, DATAGRAM_SIZE_MAX + 1));

    io_send(socket, &to, (const uint8_t *)"1", 1);
    uint8_t *space = io_send_reserve(socket, 3);
    memcpy(space, "2", 1);
    io_send(other, &to, (const uint8_t *)"3", 1);
    io_flush(io);
    loop_turn_until(io, &seen.count, 2);
    io_send_commit(socket, &to, 1);
    loop_turn_until(io, &seen.count, 3);
    cr_assert_eq(seen.first[2], '2');
    io_free(io);
}

ON_BOTH_BACKENDS(io_socket, unsendable_datagrams_are_counted)
{
    static const uint8_t data[DATAGRAM_SIZE_MAX + 1];
    struct seen seen = {0};
    struct io *io = loop_start(backend);
    struct io_socket *socket = loop_listen(io, "127.0.0.1:0", &seen);
    struct address local = io_local_address(socket);
    struct address v6 = loop_address("[::1]:9");
    struct address port_zero = loop_address("127.0.0.1:0");
    io_send(socket, &local, data, sizeof data); /* too long for the socket */
    io_send(socket, &v6, data, 1);              /* not from an IPv4 socket */
    io_send(socket, &port_zero, data, 1);       /* EINVAL from the kernel */
    io_send(socket, &local, data, 1);
    loop_turn_until(io, &seen.count, 1);
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
    struct io *io = loop_start(backend);
    struct address bind_to = loop_address(bind);
    struct io_udp_options options = {.bind = &bind_to,
                                     .datagram_size_max = DATAGRAM_SIZE_MAX,
                                     .receive = loop_keep,
                                     .error = loop_keep_error,
                                     .owner = &seen};
    struct io_socket *socket;
    cr_assert_eq(io_udp_open(io, &options, &socket), STATUS_OK);
    struct io_socket *receiver =
        loop_listen(io, family == AF_INET ? "127.0.0.1:0" : "[::1]:0", &receiver_seen);
    struct address live = io_local_address(receiver);
    struct address dead = loop_refusing_address(family);
    cr_assert_eq(io_turn(io, 0), STATUS_OK);

    for (size_t i = 0; i < COUNT; i++)
        io_send(socket, i % 2 ? &dead : &live, (const uint8_t *)"x", 1);
    loop_turn_until(io, &receiver_seen.count, COUNT / 2);
    loop_turn_until(io, &seen.error_count, 1);
    cr_assert_eq(seen.error, ECONNREFUSED);
    cr_assert(address_equal(&seen.error_peer, &dead));

    /* The socket still receives: what is sent to it now, with another error before it. */
    struct address to = live;
    to.port = io_local_address(socket).port;
    io_send(socket, &dead, (const uint8_t *)"x", 1);
    io_flush(io);
    io_send(receiver, &to, (const uint8_t *)"y", 1);
    loop_turn_until(io, &seen.count, 1);
    cr_assert_eq(seen.first[0], 'y');
    io_free(io);
}

ON_BOTH_BACKENDS(io_socket, refusals_of_ipv4_peers)
{
    refuse(backend, "127.0.0.1:0", AF_INET);
}

ON_BOTH_BACKENDS(io_socket, refusals_of_ipv6_peers)
{
    refuse(backend, "[::1]:0", AF_INET6);
}

ON_BOTH_BACKENDS(io_socket, refusals_of_ipv4_peers_on_a_dual_stack_socket)
{
    refuse(backend, "[::]:0", AF_INET);
}

/* An idle loop is woken by the refusal alone. */
ON_BOTH_BACKENDS(io_socket, refusal_wakes_the_loop)
{
    struct seen seen = {0};
    struct io *io = loop_start(backend);
    struct address bind_to = loop_address("127.0.0.1:0");
    struct io_udp_options options = {.bind = &bind_to,
                                     .datagram_size_max = DATAGRAM_SIZE_MAX,
                                     .receive = loop_keep,
                                     .error = loop_keep_error,
                                     .owner = &seen};
    struct io_socket *socket;
    cr_assert_eq(io_udp_open(io, &options, &socket), STATUS_OK);
    struct address dead = loop_refusing_address(AF_INET);
    for (size_t i = 1; i <= 5; i++) {
        io_send(socket, &dead, (const uint8_t *)"x", 1);
        loop_turn_until(io, &seen.error_count, i);
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

ON_BOTH_BACKENDS(io_socket, without_error_callback_refusals_do_not_show)
{
    struct seen seen = {0};
    struct io *io = loop_start(backend);
    struct io_socket *socket = loop_listen(io, "127.0.0.1:0", &seen);
    struct address local = io_local_address(socket);
    struct address dead = loop_refusing_address(AF_INET);
    for (size_t i = 0; i < 10; i++) {
        io_send(socket, &dead, (const uint8_t *)"x", 1);
        io_send(socket, &local, (const uint8_t *)"x", 1);
    }
    loop_turn_until(io, &seen.count, 10);
    cr_assert_eq(io_counters(io).send_failures, 0);
    io_free(io);
}

ON_BOTH_BACKENDS(io_socket, overflows_are_counted)
{
    enum { COUNT = 500 };
    static const uint8_t data[1000];
    struct seen seen = {0};
    struct io *io = loop_start(backend);
    struct address local = loop_address("127.0.0.1:0");
    struct io_udp_options options = {.bind = &local,
                                     .datagram_size_max = DATAGRAM_SIZE_MAX,
                                     .buffer_octets = 20000,
                                     .receive = loop_keep,
                                     .owner = &seen};
    struct io_socket *socket;
    cr_assert_eq(io_udp_open(io, &options, &socket), STATUS_OK);
    local = io_local_address(socket);
    struct address peer;
    int plain = loop_plain_socket(AF_INET, &peer);
    for (size_t i = 0; i < COUNT; i++)
        loop_plain_send(plain, AF_INET, &local, data, sizeof data);
    loop_turn_until(io, &seen.count, 1);
    while (seen.count > 0) { /* until it is empty */
        seen.count = 0;
        cr_assert_eq(io_turn(io, 0), STATUS_OK);
    }
    /* The counter comes with a datagram that was queued after the loss. */
    loop_plain_send(plain, AF_INET, &local, data, sizeof data);
    loop_turn_until(io, &seen.count, 1);
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
    struct io *io = loop_start(backend);
    struct echo_client client = {.wanted = COUNT, .got = calloc(COUNT, 1)};
    struct address bind_to = loop_address("127.0.0.1:0");
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
    loop_turn_until(io, &client.received, COUNT);
    cr_assert_eq(io_counters(io).datagrams_sent, 2 * COUNT);
    cr_assert_eq(io_counters(io).datagrams_received, 2 * COUNT);
    cr_assert_eq(io_counters(io).send_failures, 0);
    free(client.got);
    io_free(io);
}

ON_BOTH_BACKENDS(io_socket, echo_of_10000_with_a_window_of_1)
{
    echo(backend, 1);
}

ON_BOTH_BACKENDS(io_socket, echo_of_10000_with_a_window_of_64)
{
    echo(backend, 64);
}

/* More than slots and buffers: sends from within the callback have to make room. */
ON_BOTH_BACKENDS(io_socket, echo_of_10000_with_a_window_of_1000)
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

ON_BOTH_BACKENDS(io_socket, sends_from_a_callback_beyond_the_slots)
{
    struct seen seen = {0};
    struct io *io = loop_start(backend);
    struct flood flood = {.to = io_local_address(loop_listen(io, "127.0.0.1:0", &seen))};
    struct address bind_to = loop_address("127.0.0.1:0");
    struct io_udp_options options = {.bind = &bind_to,
                                     .datagram_size_max = DATAGRAM_SIZE_MAX,
                                     .receive = flood_receive,
                                     .owner = &flood};
    struct io_socket *socket;
    cr_assert_eq(io_udp_open(io, &options, &socket), STATUS_OK);
    struct address local = io_local_address(socket);
    struct address peer;
    int plain = loop_plain_socket(AF_INET, &peer);
    for (uint8_t i = 0; i < 4; i++)
        loop_plain_send(plain, AF_INET, &local, &i, 1);
    loop_turn_until(io, &flood.received, 4);
    loop_turn_until(io, &seen.count, (size_t)4 * 3 * IO_BATCH_MAX);
    close(plain);
    io_free(io);
}
