/* Datagrams of handshakes, which wait until those of sessions have been served: whoever has a
 * session does not wait for a storm of others that want one. First come, first served; when it is
 * full the newest is refused, and its client repeats it.
 * Memory: the octets given to backlog_init, allocated once and touched only as far as a storm fills
 * them; a datagram takes its length and 24 octets, rounded up to 8. */
#ifndef HOLDFAST_WORKER_BACKLOG_H
#define HOLDFAST_WORKER_BACKLOG_H

#include "shared/status.h"
#include "worker/path.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct backlog {
    uint8_t *ring;
    size_t size;
    size_t first; /* of the oldest datagram */
    size_t end;   /* behind the newest */
    size_t count;
};

/* size 0: holds nothing. STATUS_NO_MEMORY. */
MUST_USE enum status backlog_init(struct backlog *backlog, size_t size);
void backlog_free(struct backlog *backlog);

/* A copy of it. STATUS_FULL. */
MUST_USE enum status backlog_put(struct backlog *backlog, const struct path *path,
                                 const uint8_t *datagram, size_t length);
/* The oldest, which leaves; writable, and valid until the next put. NULL: there is none. */
uint8_t *backlog_take(struct backlog *backlog, struct path *path, size_t *length);

#endif
