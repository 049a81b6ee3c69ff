/* The I/O loop: one thread, UDP sockets in batches, watched descriptors, one clock. Two backends
 * behind this seam: io_uring (multishot receive into provided buffers, batch submission) and mmsg
 * (epoll, recvmmsg, sendmmsg). Protocol code sees neither.
 *
 * Any thread may make a loop and open its sockets; the first io_turn or io_flush ties it to the
 * calling thread, which becomes SCHED_BATCH with its first turn if it was SCHED_OTHER. It is freed by that thread, or by another one after that thread has ended (its
 * ports then may come free a moment later).
 * Callbacks may send, watch and unwatch, but not turn, open or free. Nothing allocates once
 * io_udp_open has returned. Heap of a socket: 2 * IO_BATCH_MAX * (datagram_size_max + 150),
 * touched only as far as datagrams fill it. */
#ifndef HOLDFAST_SHARED_IO_H
#define HOLDFAST_SHARED_IO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shared/address.h"
#include "shared/limits.h"
#include "shared/status.h"

enum io_backend {
    IO_AUTO, /* io_uring, or mmsg with one log line where the kernel refuses io_uring */
    IO_URING,
    IO_MMSG,
};

struct io;
struct io_socket; /* owned by its io */

struct io_datagram {
    struct address from;
    uint8_t *data; /* writable, valid until the callback returns */
    size_t length;
    bool truncated; /* longer than the socket's buffers; `length` is what was kept */
};

/* Up to IO_BATCH_MAX datagrams that one turn of the loop found on the socket. */
typedef void io_receive_fn(void *owner, struct io_socket *socket, struct io_datagram *datagrams,
                           size_t count);
/* ECONNREFUSED and the like that the kernel reports for a destination (IP_RECVERR); `peer` is
 * where the datagram had been sent to. May be NULL at io_udp_open. */
typedef void io_error_fn(void *owner, struct io_socket *socket, const struct address *peer,
                         int error);
/* A watched descriptor is readable and/or writable (EPOLLIN, EPOLLOUT, EPOLLERR, EPOLLHUP). Told
 * in each turn for as long as it is. */
typedef void io_ready_fn(void *owner, int descriptor, uint32_t events);

struct io_udp_options {
    const struct address *bind; /* [::] takes IPv4 too; 0.0.0.0 is IPv4 only; port 0: ephemeral */
    size_t datagram_size_max;   /* receive buffer of one datagram: DATAGRAM_SIZE_MAX or
                                   FRAME_SIZE_MAX + 512 */
    bool reuse_port;            /* SO_REUSEPORT: several sockets on one address */
    bool steers;                /* of two sockets on one address, this is the second, and gets the
                                   datagrams that begin with `steered`; the first gets all others.
                                   Where the kernel cannot do that, it spreads them over both. */
    uint8_t steered;            /* an octet */
    size_t buffer_octets;       /* SO_RCVBUF and SO_SNDBUF wanted; 0: 4 MiB. Best effort. */
    io_receive_fn *receive;
    io_error_fn *error;
    void *owner;
};

/* STATUS_SYSTEM: errno says why (IO_URING asked for where it is refused, no memory). */
MUST_USE enum status io_new(struct io **io, enum io_backend backend);
void io_free(struct io *io);                      /* closes the sockets; drops what was queued */
const char *io_backend_name(const struct io *io); /* "uring", "mmsg": what auto chose */

/* STATUS_SYSTEM: bind refused, errno says why. STATUS_FULL: IO_SOCKETS_MAX. */
MUST_USE enum status io_udp_open(struct io *io, const struct io_udp_options *options,
                                 struct io_socket **socket);
struct address io_local_address(const struct io_socket *socket);

/* Queues a copy of the datagram; it leaves with the flush at the end of the turn at the latest, or
 * with io_flush. When the queue of this turn is full it is flushed at once. A datagram that the
 * kernel does not take (EAGAIN, ENETUNREACH...) is dropped and counted: UDP may. */
void io_send(struct io_socket *socket, const struct address *to, const uint8_t *data,
             size_t length);
/* Zero-copy variant: room for one datagram of up to `size` octets in the send queue (NULL when
 * size exceeds the socket's datagram_size_max, or the kernel gives no room back), committed with
 * the true length. One reservation a socket: reserving again gives the same room, and so does
 * io_send use it. */
uint8_t *io_send_reserve(struct io_socket *socket, size_t size);
void io_send_commit(struct io_socket *socket, const struct address *to, size_t length);
void io_flush(struct io *io);

/* events: EPOLLIN, EPOLLOUT. Watching a watched descriptor again changes its events. */
MUST_USE enum status io_watch(struct io *io, int descriptor, uint32_t events, io_ready_fn *ready,
                              void *owner);
/* Before the descriptor is closed. No event reaches the callback from here on, nor the one of a
 * later watch on the same number. */
void io_unwatch(struct io *io, int descriptor);

/* One turn: waits until something is there or until `deadline_ms` on the io_now_ms clock
 * (UINT64_MAX: no deadline), hands it over, flushes what was queued. STATUS_SYSTEM only for what
 * cannot be recovered from; a signal (EINTR) ends the turn normally. */
MUST_USE enum status io_turn(struct io *io, uint64_t deadline_ms);

/* CLOCK_MONOTONIC in ms, read once a turn: after the wait. */
uint64_t io_now_ms(const struct io *io);
/* CLOCK_REALTIME in ms, read now. */
uint64_t io_unix_ms(void);

struct io_counters {
    uint64_t turns;
    uint64_t datagrams_received;
    uint64_t datagrams_sent;
    uint64_t send_failures;
    uint64_t receive_overflows; /* SO_RXQ_OVFL: what the kernel dropped before us */
    uint64_t receive_rearmed;   /* io_uring: multishot ended by the kernel and armed again */
};
struct io_counters io_counters(const struct io *io);

#endif
