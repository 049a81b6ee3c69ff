/* One connection to one Redis, on the loop: resolves, connects, TLS, greets (AUTH, SELECT, what its
 * role wants), then carries commands, pipelined, until something is wrong; and starts over after a
 * pause that doubles, with jitter. Nothing blocks.
 *
 * The loop only marks what is ready; all work, and so each callback, is in redis_link_run.
 * Allocates in hiredis: each reply, and the buffers of both directions. */
#ifndef HOLDFAST_SHARED_REDIS_LINK_H
#define HOLDFAST_SHARED_REDIS_LINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shared/redis_fault.h"
#include "shared/redis_url.h"
#include "shared/status.h"

struct io;
struct redis_link;
struct redis_tls;
struct redisReply;

/* A command that has been sent; embedded in its owner, untouched by it until its answer. */
struct redis_call {
    struct redis_call *next;
    uint64_t deadline_ms;
    /* Once for each call. NULL: the connection was lost; it may or may not have been carried out.
     * May send, but not free the link. */
    void (*answer)(struct redis_call *call, struct redis_link *link,
                   const struct redisReply *reply);
    void *owner;
    bool is_durable; /* the answer waits for replicas where the URL wants that (redis_wait.h) */
    void *held;      /* the link's */
};

enum redis_role {
    REDIS_ROLE_SERVER,   /* scripts are loaded in the greeting */
    REDIS_ROLE_MASTER,   /* and it must be a master: ROLE */
    REDIS_ROLE_SENTINEL, /* no scripts, no database, the sentinels' password */
};

struct redis_link_options {
    struct io *io;
    const struct redis_url *url; /* outlives the link */
    struct redis_tls *tls;       /* NULL: none; outlives the link */
    enum redis_role role;
};

MUST_USE enum status redis_link_new(struct redis_link **link,
                                    const struct redis_link_options *options,
                                    const struct redis_host *host);
/* Unanswered calls are answered with NULL. */
void redis_link_free(struct redis_link *link);

const struct redis_host *redis_link_host(const struct redis_link *link);
/* Another server from now on; at once, without a pause. No fault of the former one remains. */
void redis_link_point(struct redis_link *link, const struct redis_host *host);

bool redis_link_is_ready(const struct redis_link *link);
/* Why it is not ready. REDIS_FAULT_NONE: it is, or its first attempt is under way. */
enum redis_fault redis_link_fault(const struct redis_link *link);
/* More about the fault (the server's words, the certificate's failure), or "". */
const char *redis_link_detail(const struct redis_link *link);

/* Calls that were sent and are not answered. */
size_t redis_link_pending(const struct redis_link *link);
/* command: RESP, copied; leaves with redis_link_flush. call NULL: the answer is ignored.
 * STATUS_NOT_FOUND: not ready; STATUS_FULL: REDIS_WINDOW_MAX are pending. */
MUST_USE enum status redis_link_send(struct redis_link *link, struct redis_call *call,
                                     const char *command, size_t length);
/* As the owner of calls found out: wrong in a way that a new connection may mend. */
void redis_link_drop(struct redis_link *link, enum redis_fault fault);

/* Takes what has arrived, looks after deadlines, connects. */
void redis_link_run(struct redis_link *link, uint64_t now_ms);
void redis_link_flush(struct redis_link *link);
uint64_t redis_link_next_ms(const struct redis_link *link); /* UINT64_MAX: waits for the loop */

#endif
