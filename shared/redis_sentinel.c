#include "shared/redis_sentinel.h"

#include <stdlib.h>
#include <string.h>

#include <hiredis/hiredis.h>

#include "shared/redis_command.h"

struct redis_sentinel {
    struct redis_link_options options;
    struct redis_link *master;
    struct redis_link *asked; /* the sentinel in use */
    size_t which;             /* of the URL's hosts it is */
    size_t refusals;          /* of sentinels in a row */
    bool is_asking;
    bool is_to_move; /* to the next sentinel, when no callback is on the stack */
    bool has_named;  /* what was named last: */
    struct redis_host named;
    struct redis_call call;
    uint64_t ask_ms;  /* not before */
    uint64_t rest_ms; /* `asked` is closed, and not run before */
    uint64_t now_ms;
    char command[REDIS_TEXT_MAX + 128];
    size_t length;
};

enum status redis_sentinel_new(struct redis_sentinel **sentinel,
                               const struct redis_link_options *options)
{
    struct redis_sentinel *made = calloc(1, sizeof *made);
    struct redis_command *command = calloc(1, sizeof *command);
    if (!made || !command)
        goto fail;
    made->options = *options;
    struct redis_link_options link_options = *options;
    link_options.role = REDIS_ROLE_SENTINEL;
    if (redis_link_new(&made->asked, &link_options, &options->url->hosts[0]) != STATUS_OK)
        goto fail;
    redis_command_text(command, "SENTINEL");
    redis_command_text(command, "get-master-addr-by-name");
    redis_command_text(command, options->url->master);
    struct writer writer = writer_over(made->command, sizeof made->command);
    redis_command_write(command, &writer);
    made->length = writer_length(&writer);
    free(command);
    *sentinel = made;
    return STATUS_OK;

fail:
    free(command);
    free(made);
    return STATUS_NO_MEMORY;
}

void redis_sentinel_free(struct redis_sentinel *sentinel)
{
    if (!sentinel)
        return;
    redis_link_free(sentinel->asked);
    redis_link_free(sentinel->master);
    free(sentinel);
}

struct redis_link *redis_sentinel_master(const struct redis_sentinel *sentinel)
{
    return sentinel->master;
}

/* The answer: an array of host and port, or nil from one that does not know the name. */
static void take_master(struct redis_call *call, struct redis_link *link, const redisReply *reply)
{
    (void)link;
    struct redis_sentinel *sentinel = call->owner;
    sentinel->is_asking = false;
    sentinel->is_to_move = true; /* unless it is of use */
    if (!reply || reply->type != REDIS_REPLY_ARRAY || reply->elements != 2 ||
        reply->element[0]->type != REDIS_REPLY_STRING ||
        reply->element[1]->type != REDIS_REPLY_STRING)
        return;
    char text[REDIS_HOST_TEXT_MAX];
    const redisReply *name = reply->element[0], *port = reply->element[1];
    if (name->len + 1 + port->len >= sizeof text)
        return;
    struct writer writer = writer_over(text, sizeof text);
    writer_bytes(&writer, name->str, name->len);
    writer_u8(&writer, ':');
    writer_bytes(&writer, port->str, port->len);
    if (redis_host_parse(&sentinel->named, text, writer_length(&writer)) != STATUS_OK)
        return;
    sentinel->has_named = true;
    sentinel->is_to_move = false;
    sentinel->refusals = 0;
    sentinel->ask_ms = sentinel->now_ms + REDIS_REFRESH_MS;
}

static void follow(struct redis_sentinel *sentinel)
{
    if (!sentinel->has_named)
        return;
    sentinel->has_named = false;
    struct redis_link_options options = sentinel->options;
    options.role = REDIS_ROLE_MASTER;
    if (!sentinel->master) {
        if (redis_link_new(&sentinel->master, &options, &sentinel->named) != STATUS_OK)
            sentinel->master = NULL;
    } else if (!redis_host_equal(redis_link_host(sentinel->master), &sentinel->named)) {
        redis_link_point(sentinel->master, &sentinel->named);
    }
}

static void move(struct redis_sentinel *sentinel)
{
    const struct redis_url *url = sentinel->options.url;
    sentinel->is_to_move = false;
    sentinel->refusals++;
    sentinel->which = (sentinel->which + 1) % url->host_count;
    /* When each of them has been tried in vain, there is time. */
    if (sentinel->which == 0 || url->host_count == 1)
        sentinel->rest_ms = sentinel->now_ms + REDIS_REFRESH_MS;
    redis_link_point(sentinel->asked, &url->hosts[sentinel->which]);
}

static bool is_looking(const struct redis_sentinel *sentinel)
{
    return !sentinel->master || !redis_link_is_ready(sentinel->master);
}

void redis_sentinel_run(struct redis_sentinel *sentinel, uint64_t now_ms)
{
    sentinel->now_ms = now_ms;
    if (sentinel->master)
        redis_link_run(sentinel->master, now_ms);
    if (now_ms < sentinel->rest_ms)
        return;
    redis_link_run(sentinel->asked, now_ms);
    follow(sentinel);
    if (!is_looking(sentinel))
        return;
    if (redis_link_fault(sentinel->asked) != REDIS_FAULT_NONE)
        sentinel->is_to_move = true;
    if (sentinel->is_to_move && !sentinel->is_asking) {
        move(sentinel);
        return;
    }
    if (sentinel->is_asking || now_ms < sentinel->ask_ms || !redis_link_is_ready(sentinel->asked))
        return;
    sentinel->call.answer = take_master;
    sentinel->call.owner = sentinel;
    sentinel->is_asking = redis_link_send(sentinel->asked, &sentinel->call, sentinel->command,
                                          sentinel->length) == STATUS_OK;
    redis_link_flush(sentinel->asked);
}

void redis_sentinel_flush(struct redis_sentinel *sentinel)
{
    if (sentinel->master)
        redis_link_flush(sentinel->master);
}

uint64_t redis_sentinel_next_ms(const struct redis_sentinel *sentinel)
{
    uint64_t next = sentinel->master ? redis_link_next_ms(sentinel->master) : UINT64_MAX;
    uint64_t asked = redis_link_next_ms(sentinel->asked);
    if (is_looking(sentinel) && !sentinel->is_asking && sentinel->ask_ms < asked)
        asked = sentinel->ask_ms;
    if (asked < sentinel->rest_ms)
        asked = sentinel->rest_ms;
    return asked < next ? asked : next;
}

const struct redis_link *redis_sentinel_trouble(const struct redis_sentinel *sentinel,
                                                enum redis_fault *fault)
{
    *fault = REDIS_FAULT_NONE;
    if (sentinel->master && (redis_link_is_ready(sentinel->master) ||
                             redis_link_fault(sentinel->master) != REDIS_FAULT_NONE)) {
        *fault = redis_link_fault(sentinel->master);
        return sentinel->master;
    }
    if (sentinel->refusals >= sentinel->options.url->host_count)
        *fault = REDIS_FAULT_NO_MASTER;
    return NULL;
}
