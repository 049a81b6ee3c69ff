#include <criterion/criterion.h>

#include "bench/clock.h"
#include "bench/wire.h"

#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static struct wire wire;
static int server;

static struct {
    size_t count;
    uint32_t tag;
    size_t length;
    uint8_t first;
} seen;

static void see(void *owner, uint32_t tag, uint8_t *datagram, size_t length)
{
    cr_assert_eq(owner, &seen);
    seen.count++;
    seen.tag = tag;
    seen.length = length;
    seen.first = datagram[0];
}

static void start(void)
{
    struct sockaddr_storage own;
    struct address address;
    cr_assert_eq(address_parse(&address, "[::1]:0"), STATUS_OK);
    int size = 1 << 20; /* as much as the system allows: all that a test sends waits there */
    server = socket(AF_INET6, SOCK_DGRAM, 0);
    cr_assert_eq(setsockopt(server, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size)), 0);
    socklen_t length = address_to_sockaddr(&address, AF_INET6, &own);
    cr_assert_eq(bind(server, (struct sockaddr *)&own, length), 0);
    length = sizeof(own);
    cr_assert_eq(getsockname(server, (struct sockaddr *)&own, &length), 0);
    cr_assert_eq(address_from_sockaddr(&address, (struct sockaddr *)&own, length), STATUS_OK);
    cr_assert_eq(wire_init(&wire, &address, see, &seen), STATUS_OK);
}

static void stop(void)
{
    wire_free(&wire);
    close(server);
}

static void send_octet(int from, uint8_t octet)
{
    wire_space(&wire)[0] = octet;
    wire_send(&wire, from, 1);
}

/* Sends back what the server has got. */
static uint8_t reflect(void)
{
    struct sockaddr_storage from;
    socklen_t length = sizeof(from);
    uint8_t octet;
    cr_assert_eq(recvfrom(server, &octet, 1, 0, (struct sockaddr *)&from, &length), 1);
    cr_assert_eq(sendto(server, &octet, 1, 0, (struct sockaddr *)&from, length), 1);
    return octet;
}

static void wait_for(size_t count)
{
    while (seen.count < count)
        cr_assert_eq(wire_wait(&wire, clock_now_ns() + 1000000000), STATUS_OK);
}

Test(wire, each_socket_has_its_tag, .init = start, .fini = stop)
{
    int a, b;
    cr_assert_eq(wire_open(&wire, 7, &a), STATUS_OK);
    cr_assert_eq(wire_open(&wire, UINT32_MAX, &b), STATUS_OK);
    send_octet(a, 1);
    send_octet(b, 2);
    wire_flush(&wire);
    cr_assert_eq(reflect(), 1);
    wait_for(1);
    cr_assert_eq(seen.tag, 7);
    cr_assert_eq(seen.length, 1);
    cr_assert_eq(seen.first, 1);
    cr_assert_eq(reflect(), 2);
    wait_for(2);
    cr_assert_eq(seen.tag, UINT32_MAX);
    cr_assert_eq(wire.octets_sent, 2);
    cr_assert_eq(wire.octets_received, 2);
    wire_close(&wire, a);
    wire_close(&wire, b);
}

Test(wire, more_than_are_gathered, .init = start, .fini = stop)
{
    int socket;
    cr_assert_eq(wire_open(&wire, 0, &socket), STATUS_OK);
    for (unsigned i = 0; i < 2 * WIRE_SEND_MAX + 1; i++)
        send_octet(socket, (uint8_t)i);
    wire_flush(&wire);
    for (unsigned i = 0; i < 2 * WIRE_SEND_MAX + 1; i++)
        cr_assert_eq(reflect(), (uint8_t)i);
    wait_for(2 * WIRE_SEND_MAX + 1);
    wire_close(&wire, socket);
}

/* What was gathered leaves even though its socket is closed in the same turn; what comes to it does
 * not arrive. */
Test(wire, closing, .init = start, .fini = stop)
{
    for (unsigned i = 0; i < WIRE_CLOSE_MAX + 10; i++) {
        int socket;
        cr_assert_eq(wire_open(&wire, i, &socket), STATUS_OK);
        send_octet(socket, (uint8_t)i);
        wire_close(&wire, socket);
    }
    cr_assert_eq(wire_wait(&wire, 0), STATUS_OK);
    for (unsigned i = 0; i < WIRE_CLOSE_MAX + 10; i++)
        (void)reflect();
    cr_assert_eq(wire_wait(&wire, 0), STATUS_OK);
    cr_assert_eq(seen.count, 0);
}

Test(wire, nobody_listens, .init = start, .fini = stop)
{
    int socket;
    cr_assert_eq(wire_open(&wire, 0, &socket), STATUS_OK);
    close(server);
    for (int i = 0; i < 3; i++) {
        send_octet(socket, 1);
        cr_assert_eq(wire_wait(&wire, clock_now_ns() + 20000000), STATUS_OK);
    }
    cr_assert_gt(wire.refused, 0);
    cr_assert_eq(wire.unsent, 0);
    server = dup(0);
    wire_close(&wire, socket);
}

/* Of a family of addresses that one machine has many of. */
Test(wire, an_address_is_taken_and_free_again)
{
    struct address to, own, other;
    struct sockaddr_storage name;
    socklen_t length = sizeof(name);
    int a, b;
    cr_assert_eq(address_parse(&to, "127.0.0.1:9"), STATUS_OK);
    cr_assert_eq(address_parse(&own, "127.77.3.1:0"), STATUS_OK);
    cr_assert_eq(wire_init(&wire, &to, see, &seen), STATUS_OK);
    cr_assert_eq(wire_open_at(&wire, 1, &own, &a), STATUS_OK);
    cr_assert_eq(getsockname(a, (struct sockaddr *)&name, &length), 0);
    cr_assert_eq(address_from_sockaddr(&other, (struct sockaddr *)&name, length), STATUS_OK);
    cr_assert_neq(other.port, 0);
    own.port = other.port;
    cr_assert(address_equal(&own, &other));
    cr_assert_eq(wire_open_at(&wire, 2, &own, &b), STATUS_SYSTEM, "somebody has it");
    wire_close(&wire, a);
    cr_assert_eq(wire_wait(&wire, 0), STATUS_OK);
    cr_assert_eq(wire_open_at(&wire, 2, &own, &b), STATUS_OK);
    wire_close(&wire, b);
    wire_free(&wire);
}
