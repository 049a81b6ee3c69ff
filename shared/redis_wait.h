/* Answers that wait for replicas (WAIT; shared/redis_url.h: wait=N, wait_ms=M). Behind the commands
 * of one turn goes one WAIT, which a server answers with the number of replicas that have all that
 * was written on this connection. Until then the commands' replies are held, and no further command
 * is sent: the server would not look at it. So it is a group commit, of a round trip to the
 * replicas. */
#ifndef HOLDFAST_SHARED_REDIS_WAIT_H
#define HOLDFAST_SHARED_REDIS_WAIT_H

#include <stdbool.h>
#include <stddef.h>

#include "shared/redis_link.h"

struct redis_wait {
    unsigned replicas; /* wanted; 0: no answer waits */
    unsigned ms;
    struct redis_call *first; /* with their replies, in order */
    struct redis_call *last;
    bool is_due; /* something was sent that waits, and no WAIT behind it */
    bool is_out; /* WAIT was sent and is not answered */
};

/* The WAIT command in RESP. Returns its length. */
#define REDIS_WAIT_SIZE 64
size_t redis_wait_command(const struct redis_wait *wait, char command[REDIS_WAIT_SIZE]);
/* Keeps the reply, which is this one's to free. */
void redis_wait_hold(struct redis_wait *wait, struct redis_call *call, struct redisReply *reply);
/* Answers what is held, as the reply to WAIT says: as it was replied; if too few
 * replicas have it, with the error NOREPLICAS; NULL, because the connection was lost, with NULL.
 * What a server had refused stays refused. Returns how many. */
size_t redis_wait_release(struct redis_wait *wait, struct redis_link *link,
                          const struct redisReply *reply);

#endif
