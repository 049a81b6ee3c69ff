/* Many UDP sockets, all connected to one server, on one epoll: more of them than shared/io has room
 * for, since each stands for a device behind a NAT binding of its own. What is sent is gathered and
 * leaves, by sendmmsg for each run of datagrams of one socket, when the wire is next waited on. A
 * datagram that the kernel does not take is lost, as in a network, and counted.
 * Memory: 260 KiB, and what the kernel takes for each socket. */
#ifndef HOLDFAST_BENCH_WIRE_H
#define HOLDFAST_BENCH_WIRE_H

#include "shared/address.h"
#include "shared/limits.h"
#include "shared/status.h"

#include <stddef.h>
#include <stdint.h>

#define WIRE_SEND_MAX 64    /* datagrams gathered */
#define WIRE_RECEIVE_MAX 32 /* taken from one socket at once */
#define WIRE_CLOSE_MAX 256

/* One datagram, which the callee may change. `tag` is that of wire_open. */
typedef void wire_receive_fn(void *owner, uint32_t tag, uint8_t *datagram, size_t length);

struct wire {
    int epoll;
    struct address server;
    wire_receive_fn *receive;
    void *owner;
    uint64_t datagrams_sent, octets_sent;
    uint64_t datagrams_received, octets_received; /* octets of UDP payload */
    uint64_t unsent;                              /* datagrams that the kernel did not take */
    uint64_t refused; /* times that the kernel told of a port where nobody listens */
    size_t gathered;
    struct {
        int socket;
        size_t length;
        uint8_t bytes[DATAGRAM_SIZE_MAX];
    } sending[WIRE_SEND_MAX];
    uint8_t received[WIRE_RECEIVE_MAX][DATAGRAM_SIZE_MAX];
    size_t closing_count;
    int closing[WIRE_CLOSE_MAX];
};

/* STATUS_SYSTEM: errno says why. */
MUST_USE enum status wire_init(struct wire *wire, const struct address *server,
                               wire_receive_fn *receive, void *owner);
/* Sockets that are still open are their owner's to close before. */
void wire_free(struct wire *wire);

/* A socket with a port of its own. STATUS_SYSTEM: errno says why. */
MUST_USE enum status wire_open(struct wire *wire, uint32_t tag, int *socket);
/* One with that address and port. */
MUST_USE enum status wire_open_at(struct wire *wire, uint32_t tag, const struct address *at,
                                  int *socket);
/* Nothing more comes of it, once wire_wait has returned. */
void wire_close(struct wire *wire, int socket);

/* Room for a datagram of at most DATAGRAM_SIZE_MAX octets; wire_send has it sent. */
uint8_t *wire_space(struct wire *wire);
void wire_send(struct wire *wire, int socket, size_t length);
void wire_flush(struct wire *wire);

/* Flushes, waits for datagrams until `until_ns` of CLOCK_MONOTONIC, or for a signal, and hands over
 * what there is. */
MUST_USE enum status wire_wait(struct wire *wire, uint64_t until_ns);

#endif
