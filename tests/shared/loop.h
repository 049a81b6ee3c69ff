/* What the tests of the I/O loop share. Each runs on both backends; where the kernel refuses
 * io_uring that half is skipped. Sockets talk over loopback on ephemeral ports. No test depends on
 * how long something takes: LOOP_GIVE_UP_MS only ends one that failed. */
#ifndef HOLDFAST_TESTS_SHARED_LOOP_H
#define HOLDFAST_TESTS_SHARED_LOOP_H

#include <stddef.h>
#include <stdint.h>

#include "shared/io.h"

#define LOOP_GIVE_UP_MS 10000
#define LOOP_KEPT_MAX 600

#define ON_BOTH_BACKENDS(suite, name)          \
    static void name(enum io_backend backend); \
    Test(suite, name##_mmsg)                   \
    {                                          \
        name(IO_MMSG);                         \
    }                                          \
    Test(suite, name##_uring)                  \
    {                                          \
        loop_skip_where_refused();             \
        name(IO_URING);                        \
    }                                          \
    static void name(enum io_backend backend)

void loop_skip_where_refused(void);
struct io *loop_start(enum io_backend backend);

/* What a socket's callbacks saw; the first LOOP_KEPT_MAX datagrams, then over again. */
struct seen {
    size_t count;
    size_t batches;
    size_t octets;
    size_t truncated;
    struct address from[LOOP_KEPT_MAX];
    size_t length[LOOP_KEPT_MAX];
    uint8_t first[LOOP_KEPT_MAX]; /* octet */
    size_t error_count;
    struct address error_peer;
    int error;
};
/* Callbacks whose owner is a struct seen. */
void loop_keep(void *owner, struct io_socket *socket, struct io_datagram *datagrams, size_t count);
void loop_keep_error(void *owner, struct io_socket *socket, const struct address *peer, int error);

struct address loop_address(const char *text);
struct io_socket *loop_listen(struct io *io, const char *bind, struct seen *seen);

/* Turns until *value is `wanted` or more. */
void loop_turn_until(struct io *io, const size_t *value, size_t wanted);

/* A plain socket of the system's, bound to loopback; reads give up after LOOP_GIVE_UP_MS. */
int loop_plain_socket(int family, struct address *local);
void loop_plain_send(int descriptor, int family, const struct address *to, const void *data,
                     size_t length);

/* An address that refuses: its socket is connected, to itself, and so takes nothing from others. It
 * stays open, lest someone else gets the port. */
struct address loop_refusing_address(int family);

#endif
