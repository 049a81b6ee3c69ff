/* Private to io*.c: what io.c and the two backends share. io.c owns sockets, watches, the order of
 * a turn and all callbacks; a backend waits, moves datagrams, and never calls out. A turn:
 *
 *   flush -> wait (marks what is ready) -> each socket: errors, one batch -> each watch -> flush
 *
 * Since callbacks run after everything has been marked, and closing a watch clears its mark, an
 * event can never reach a later owner of the same descriptor. */
#ifndef HOLDFAST_SHARED_IO_BACKEND_H
#define HOLDFAST_SHARED_IO_BACKEND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "shared/io.h"
#include "shared/limits.h"
#include "shared/status.h"

/* What a completion or an event belongs to; each holder embeds its token. */
enum io_token_kind {
    IO_TOKEN_RECEIVE, /* owner: struct io_socket */
    IO_TOKEN_SEND,    /* owner: struct io_slot */
    IO_TOKEN_WATCH,   /* owner: struct io_watch */
    IO_TOKEN_IGNORED, /* owner: none; the answer to a cancellation */
};
struct io_token {
    enum io_token_kind kind;
    void *owner;
};

/* The largest socket address there is here, without sockaddr_storage's 128 octets. */
union io_name {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
};

/* One datagram on its way out; nothing in it moves until it has been sent. */
struct io_slot {
    struct io_token token;
    struct io_socket *socket;
    struct msghdr message; /* points to name and vector */
    union io_name name;
    struct iovec vector;
    uint8_t *data;    /* datagram_size_max octets */
    unsigned retries; /* after errors that belonged to earlier datagrams */
};
/* An error that an earlier datagram left on the socket is returned once, by the next call,
 * whatever that is. More in a row are this datagram's own. */
#define IO_SEND_RETRIES_MAX 3

/* SO_RXQ_OVFL's counter. */
#define IO_CONTROL_SIZE CMSG_SPACE(sizeof(uint32_t))

struct io_socket {
    struct io *io;
    struct io_token token;
    size_t index; /* in io->sockets */
    int descriptor;
    int family;
    struct address local;
    size_t datagram_size_max;
    io_receive_fn *receive;
    io_error_fn *error; /* NULL: the kernel is not asked for errors */
    void *owner;
    uint32_t overflows;    /* SO_RXQ_OVFL as last seen: it only grows, modulo 2^32 */
    bool errors_pending;   /* the error queue is to be read */
    struct io_slot *slots; /* IO_BATCH_MAX */
    uint8_t *send_data;
    struct io_slot *free_slots[IO_BATCH_MAX];
    size_t free_count;
    struct io_slot *reserved; /* by io_send_reserve, until io_send_commit */
    void *backend;
};

enum io_watch_state {
    IO_WATCH_FREE = 0,
    IO_WATCH_ON,
    IO_WATCH_CLOSING, /* unwatched, but the kernel still holds its token */
};
struct io_watch {
    struct io_token token;
    enum io_watch_state state;
    int descriptor;
    uint32_t events;
    uint32_t ready; /* what is to be handed over in this turn */
    io_ready_fn *callback;
    void *owner;
    /* io_uring's: */
    bool armed;            /* a poll is in flight, */
    uint32_t armed_events; /* for these events, */
    bool cancelled;        /* and has been asked to end */
};
/* Twice as many as may be watched, so that closing ones do not stand in the way. */
#define IO_WATCHES_MAX ((size_t)2 * IO_SOCKETS_MAX)

struct io_backend_calls {
    const char *name;
    enum status (*start)(struct io *io);
    void (*stop)(struct io *io); /* the kernel lets go of all memory; sockets are still there */
    enum status (*open)(struct io_socket *socket); /* makes socket->backend, begins to receive */
    void (*close)(struct io_socket *socket);       /* after stop: frees socket->backend */
    void (*send)(struct io_slot *slot);          /* takes the slot, io_slot_free when it is done */
    void (*make_room)(struct io_socket *socket); /* no slot is free: sends what is queued */
    void (*flush)(struct io *io);
    /* A new watch (not yet IO_WATCH_ON) or new events on one. */
    enum status (*watch)(struct io *io, struct io_watch *watch);
    void (*unwatch)(struct io *io, struct io_watch *watch);
    /* Sends what is queued, waits, marks sockets and watches. Does not block where deadline_ms is
     * not after io->now_ms. */
    enum status (*wait)(struct io *io, uint64_t deadline_ms);
    /* Fills io->datagrams with what is there for the socket; `release` takes the memory back. */
    size_t (*receive)(struct io_socket *socket);
    void (*release)(struct io_socket *socket);
    bool (*has_received)(const struct io_socket *socket); /* `receive` would give something now */
};
extern const struct io_backend_calls io_mmsg_calls;
extern const struct io_backend_calls io_uring_calls;

struct io {
    const struct io_backend_calls *calls;
    void *backend;
    uint64_t now_ms;
    bool has_turned;
    struct io_counters counters;
    struct io_socket *sockets[IO_SOCKETS_MAX];
    size_t socket_count;
    struct io_watch watches[IO_WATCHES_MAX];
    size_t watches_used;                        /* all from here on are free */
    size_t watch_count;                         /* IO_WATCH_ON */
    struct io_datagram datagrams[IO_BATCH_MAX]; /* the batch at hand */
};

/* CLOCK_MONOTONIC in ms, read now. */
uint64_t io_clock_ms(void);

/* io_socket.c */
void io_socket_free(struct io_socket *socket);
/* Calls socket->error for what its error queue holds. */
void io_take_errors(struct io_socket *socket);
/* Takes SO_RXQ_OVFL's counter off a message's control data. */
void io_count_overflows(struct io_socket *socket, const struct cmsghdr *control);
void io_slot_free(struct io_slot *slot);
/* The slot's datagram was refused. True: by an error that may be an earlier one's; send it again.
 * False: given up and counted. */
bool io_send_failed(struct io_slot *slot, int error);

#endif
