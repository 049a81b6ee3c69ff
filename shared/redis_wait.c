#include "shared/redis_wait.h"

#include <stdio.h>
#include <string.h>

#include <hiredis/hiredis.h>

size_t redis_wait_command(const struct redis_wait *wait, char command[REDIS_WAIT_SIZE])
{
    char replicas[12], ms[12];
    (void)snprintf(replicas, sizeof replicas, "%u", wait->replicas);
    (void)snprintf(ms, sizeof ms, "%u", wait->ms);
    return (size_t)snprintf(command, REDIS_WAIT_SIZE,
                            "*3\r\n$4\r\nWAIT\r\n$%zu\r\n%s\r\n$%zu\r\n%s\r\n", strlen(replicas),
                            replicas, strlen(ms), ms);
}

void redis_wait_hold(struct redis_wait *wait, struct redis_call *call, struct redisReply *reply)
{
    call->held = reply;
    call->next = NULL;
    if (wait->first)
        wait->last->next = call;
    else
        wait->first = call;
    wait->last = call;
}

/* Done there, and perhaps nowhere else: as if the server had said so beforehand. */
static const redisReply *too_few(void)
{
    static char text[] = "NOREPLICAS not enough replicas have it in time";
    static const redisReply reply = {
        .type = REDIS_REPLY_ERROR, .str = text, .len = sizeof text - 1};
    return &reply;
}

size_t redis_wait_release(struct redis_wait *wait, struct redis_link *link,
                          const struct redisReply *reply)
{
    bool is_lost = !reply;
    bool is_enough =
        reply && reply->type == REDIS_REPLY_INTEGER && reply->integer >= (long long)wait->replicas;
    struct redis_call *call = wait->first;
    size_t count = 0;
    wait->first = wait->last = NULL; /* an answer may send */
    wait->is_out = false;
    for (; call; count++) {
        struct redis_call *next = call->next;
        redisReply *held = call->held; /* the call may be gone after its answer */
        bool is_refused = held->type == REDIS_REPLY_ERROR;
        call->held = NULL;
        call->answer(call, link, is_lost ? NULL : is_enough || is_refused ? held : too_few());
        freeReplyObject(held);
        call = next;
    }
    return count;
}
