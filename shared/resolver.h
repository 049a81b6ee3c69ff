/* A host name to its first address without blocking the loop. Numeric addresses, which most
 * configurations have, are done at once; for a name, a thread of its own calls getaddrinfo(3). One
 * thread a resolver at most: while one is stuck in a name server that does not answer, the next
 * question waits for it. */
#ifndef HOLDFAST_SHARED_RESOLVER_H
#define HOLDFAST_SHARED_RESOLVER_H

#include <stdint.h>

#include "shared/address.h"
#include "shared/status.h"

struct resolver_job;

struct resolver {
    struct resolver_job *job; /* shared with the thread; NULL: none runs */
    int descriptor;           /* readable when the answer is there; valid while job is not NULL */
};

/* STATUS_OK: *address is there. STATUS_EXISTS: a thread is at it: wait for `descriptor`, then
 * resolver_take. STATUS_SYSTEM, STATUS_NO_MEMORY. */
MUST_USE enum status resolver_start(struct resolver *resolver, const char *name, uint16_t port,
                                    struct address *address);
/* STATUS_EXISTS: not yet. STATUS_NOT_FOUND: no such name. After any other than STATUS_EXISTS the
 * descriptor is closed: unwatch it before the call. */
MUST_USE enum status resolver_take(struct resolver *resolver, struct address *address);
/* Also in the midst of it: the thread ends by itself and cleans up. Unwatch before. */
void resolver_stop(struct resolver *resolver);

#endif
