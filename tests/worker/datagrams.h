/* Datagrams on their way, in order: a network that a test holds in its hands. */
#ifndef HOLDFAST_TESTS_WORKER_DATAGRAMS_H
#define HOLDFAST_TESTS_WORKER_DATAGRAMS_H

#include "worker/path.h"

#include <stddef.h>
#include <stdint.h>

struct datagram {
    struct path path;
    size_t length;
    uint8_t *bytes; /* a block of exactly `length` octets */
};

/* Zeroed memory is an empty queue. */
struct datagrams {
    struct datagram *items;
    size_t count;
    size_t size;
};

void datagrams_add(struct datagrams *queue, const struct path *path, const void *bytes,
                   size_t length);
/* Drops number `index`; those after it move up. */
void datagrams_drop(struct datagrams *queue, size_t index);
/* The first, which is then the caller's to free; NULL bytes: there is none. */
struct datagram datagrams_take(struct datagrams *queue);
void datagrams_clear(struct datagrams *queue);
size_t datagrams_octets(const struct datagrams *queue);

#endif
