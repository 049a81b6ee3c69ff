#include "shared/redis_link.h"

#include "shared/io.h"
#include "shared/keys.h"
#include "shared/redis_script.h"
#include "shared/redis_tls.h"
#include "shared/redis_wait.h"
#include "shared/resolver.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <hiredis/async.h>
#include <hiredis/hiredis.h>

#define READS_MAX 8      /* of hiredis's 16 KiB in one run */
#define READ_AGAIN_MIN 8 /* replies in one read that make a next one worth a system call */

enum state {
    PAUSED,     /* until retry_ms */
    RESOLVING,  /* resolver.descriptor is watched */
    CONNECTING, /* descriptor is watched */
    GREETING,   /* context is there */
    READY,      /* context is there */
};

struct redis_link {
    struct redis_link_options options;
    struct redis_host host;
    enum state state;
    enum redis_fault fault;
    char detail[160];
    struct resolver resolver;
    int descriptor; /* ours while CONNECTING, then the context's */
    redisAsyncContext *context;
    struct ssl_st *session; /* the context's; NULL: no TLS */
    uint32_t watched;       /* events of `descriptor`; 0: not watched */
    uint32_t events;        /* what the loop has marked */
    bool has_output;
    bool is_blocked; /* the socket takes no more; EPOLLOUT ends it */
    struct redis_call *first;
    struct redis_call *last;
    size_t pending;
    size_t replies;        /* ever */
    unsigned greetings;    /* unanswered */
    enum redis_fault drop; /* to be done when hiredis is not on the stack */
    uint64_t now_ms;
    uint64_t heard_ms;    /* the last reply */
    uint64_t deadline_ms; /* of the state */
    uint64_t retry_ms;
    uint64_t backoff_ms;
    struct redis_call ping;
    struct redis_wait wait;
    struct redis_call waiter; /* WAIT */
    bool is_pinging;
};

static void mark_ready(void *owner, int descriptor, uint32_t events)
{
    (void)descriptor;
    struct redis_link *link = owner;
    link->events |= events;
}

static enum status watch(struct redis_link *link, int descriptor, uint32_t events)
{
    if (link->watched == events)
        return STATUS_OK;
    enum status status = io_watch(link->options.io, descriptor, events, mark_ready, link);
    if (status == STATUS_OK)
        link->watched = events;
    return status;
}

static void unwatch(struct redis_link *link, int descriptor)
{
    if (link->watched)
        io_unwatch(link->options.io, descriptor);
    link->watched = 0;
    link->events = 0;
}

static void set_fault(struct redis_link *link, enum redis_fault fault, const char *detail,
                      size_t length)
{
    link->fault = fault;
    if (length >= sizeof link->detail)
        length = sizeof link->detail - 1;
    if (length > 0)
        memcpy(link->detail, detail, length);
    link->detail[length] = '\0';
}

/* Lets go of the connection in whatever state it is; calls are answered with NULL. Not with hiredis
 * on the stack. */
static void close_connection(struct redis_link *link)
{
    switch (link->state) {
    case PAUSED:
        break;
    case RESOLVING:
        unwatch(link, link->resolver.descriptor);
        break; /* the thread, if it is stuck, is the next attempt's too */
    case CONNECTING:
        unwatch(link, link->descriptor);
        (void)close(link->descriptor);
        break;
    case GREETING:
    case READY:
        link->state = PAUSED; /* what is called back from here finds it not ready */
        if (link->context)
            redisAsyncFree(link->context);
        link->pending -= redis_wait_release(&link->wait, link, NULL);
        link->wait.is_due = false;
        break;
    }
    link->state = PAUSED;
    link->context = NULL;
    link->session = NULL;
    link->has_output = link->is_blocked = link->is_pinging = false;
    link->drop = REDIS_FAULT_NONE;
}

/* Between half and one and a half of the pause: a thousand workers do not come back in step. */
static uint64_t jittered(uint64_t pause_ms)
{
    uint32_t random;
    if (keys_random(&random, sizeof random) != STATUS_OK)
        return pause_ms;
    return pause_ms / 2 + random % (pause_ms + 1);
}

static void fail(struct redis_link *link, enum redis_fault fault, const char *detail)
{
    set_fault(link, fault, detail, strlen(detail));
    close_connection(link);
    link->retry_ms = link->now_ms + jittered(link->backoff_ms);
    link->backoff_ms *= 2;
    if (link->backoff_ms > REDIS_BACKOFF_MAX_MS)
        link->backoff_ms = REDIS_BACKOFF_MAX_MS;
}

/* --- hiredis's side --- */

static void add_write(void *owner)
{
    ((struct redis_link *)owner)->has_output = true;
}
static void del_write(void *owner)
{
    ((struct redis_link *)owner)->has_output = false;
}
static void cleanup(void *owner)
{
    struct redis_link *link = owner;
    unwatch(link, link->descriptor); /* before hiredis closes it */
}

static void on_disconnect(const redisAsyncContext *context, int status)
{
    struct redis_link *link = context->data;
    link->context = NULL;
    if (status == REDIS_OK)
        return; /* ours: redisAsyncFree */
    const char *why = link->session ? redis_tls_why(link->session) : NULL;
    if (why)
        set_fault(link, REDIS_FAULT_TLS, why, strlen(why));
    else if (context->err == REDIS_ERR_PROTOCOL)
        set_fault(link, REDIS_FAULT_PROTOCOL, "", 0);
    else if (context->err == REDIS_ERR_OTHER) /* an error reply that nobody had asked for */
        set_fault(link, redis_fault_of(context->errstr, strlen(context->errstr)), context->errstr,
                  strlen(context->errstr));
    else
        set_fault(link, REDIS_FAULT_CLOSED, context->errstr, strlen(context->errstr));
    link->drop = link->fault;
}

static void on_reply(redisAsyncContext *context, void *reply, void *owner)
{
    (void)context;
    struct redis_link *link = owner;
    struct redis_call *call = link->first;
    link->first = call->next;
    if (reply) {
        link->heard_ms = link->now_ms;
        link->replies++;
    }
    if (reply && call->is_durable && link->wait.replicas > 0) {
        redis_wait_hold(&link->wait, call, reply);
        return;
    }
    link->pending--;
    call->answer(call, link, reply);
    if (reply)
        freeReplyObject(reply);
}

/* --- greeting --- */

static bool is_master(const redisReply *reply)
{
    return reply->type == REDIS_REPLY_ARRAY && reply->elements > 0 &&
           reply->element[0]->type == REDIS_REPLY_STRING &&
           strcmp(reply->element[0]->str, "master") == 0;
}

static void take_greeting(struct redis_link *link, const redisReply *reply)
{
    link->heard_ms = link->now_ms;
    if (reply->type == REDIS_REPLY_ERROR) {
        link->drop = redis_fault_of(reply->str, reply->len);
        /* The words of a server that refuses a password say no more than the fault does. */
        bool is_known = link->drop != REDIS_FAULT_OTHER && link->drop != REDIS_FAULT_NOPERM;
        set_fault(link, link->drop, reply->str, is_known ? 0 : reply->len);
        return;
    }
    if (reply->type == REDIS_REPLY_ARRAY && !is_master(reply)) { /* only ROLE answers with one */
        link->drop = REDIS_FAULT_NOT_MASTER;
        set_fault(link, link->drop, "", 0);
        return;
    }
    if (--link->greetings == 0) {
        link->state = READY;
        link->backoff_ms = REDIS_BACKOFF_MS;
        set_fault(link, REDIS_FAULT_NONE, "", 0);
    }
}

static void on_greeting(redisAsyncContext *context, void *reply, void *owner)
{
    (void)context;
    struct redis_link *link = owner;
    if (reply && link->drop == REDIS_FAULT_NONE)
        take_greeting(link, reply);
    if (reply)
        freeReplyObject(reply);
}

static void greet(struct redis_link *link, const char *const *words, int count)
{
    if (redisAsyncCommandArgv(link->context, on_greeting, link, count, (const char **)words,
                              NULL) == REDIS_OK)
        link->greetings++;
    else
        link->drop = REDIS_FAULT_RESOURCES;
}

static void send_greeting(struct redis_link *link)
{
    const struct redis_url *url = link->options.url;
    bool is_sentinel = link->options.role == REDIS_ROLE_SENTINEL;
    const char *password = is_sentinel ? url->sentinel_password : url->password;
    link->greetings = 0;
    if (password[0] && url->user[0] && !is_sentinel)
        greet(link, (const char *[]){"AUTH", url->user, password}, 3);
    else if (password[0])
        greet(link, (const char *[]){"AUTH", password}, 2);
    if (!is_sentinel && url->database > 0) {
        char number[12];
        (void)snprintf(number, sizeof number, "%u", url->database);
        greet(link, (const char *[]){"SELECT", number}, 2);
    }
    if (link->options.role == REDIS_ROLE_MASTER)
        greet(link, (const char *[]){"ROLE"}, 1);
    for (int script = 0; !is_sentinel && script < REDIS_SCRIPTS; script++)
        greet(link,
              (const char *[]){"SCRIPT", "LOAD", redis_script_text((enum redis_script)script)}, 3);
    greet(link, (const char *[]){"PING"}, 1);
}

/* A connected descriptor becomes hiredis's. */
static void begin_greeting(struct redis_link *link)
{
    redisOptions options = {.type = REDIS_CONN_USERFD, .options = REDIS_OPT_NONBLOCK};
    options.endpoint.fd = link->descriptor;
    redisAsyncContext *context = redisAsyncConnectWithOptions(&options);
    if (!context || context->err) {
        redisAsyncFree(context);
        fail(link, REDIS_FAULT_RESOURCES, "");
        return;
    }
    context->c.flags |= REDIS_CONNECTED;            /* or hiredis would connect it, to nowhere */
    context->c.flags |= REDIS_NO_AUTO_FREE_REPLIES; /* some are held */
    context->data = link;
    context->ev.data = link;
    context->ev.addWrite = add_write;
    context->ev.delWrite = del_write;
    context->ev.cleanup = cleanup;
    (void)redisAsyncSetDisconnectCallback(context, on_disconnect);
    link->context = context;
    link->state = GREETING;
    link->deadline_ms = link->now_ms + REDIS_CONNECT_MS;
    if (watch(link, link->descriptor, EPOLLIN) != STATUS_OK) {
        fail(link, REDIS_FAULT_RESOURCES, "");
        return;
    }
    if (link->options.tls &&
        redis_tls_start(link->options.tls, &context->c, &link->host, &link->session) != STATUS_OK) {
        fail(link, REDIS_FAULT_TLS, context->c.errstr);
        return;
    }
    send_greeting(link);
}

/* --- connecting --- */

static void refused(struct redis_link *link, int error)
{
    bool is_refusal = error == ECONNREFUSED || error == ENOENT;
    fail(link, is_refusal ? REDIS_FAULT_REFUSED : REDIS_FAULT_UNREACHABLE,
         is_refusal ? "" : strerror(error));
}

static void connect_to(struct redis_link *link, const struct sockaddr *address, socklen_t length)
{
    link->descriptor = socket(address->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (link->descriptor < 0) {
        fail(link, REDIS_FAULT_RESOURCES, strerror(errno));
        return;
    }
    if (address->sa_family != AF_UNIX) {
        const int on = 1;
        (void)setsockopt(link->descriptor, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        (void)setsockopt(link->descriptor, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
    }
    link->state = CONNECTING;
    link->deadline_ms = link->now_ms + REDIS_CONNECT_MS;
    if (connect(link->descriptor, address, length) < 0 && errno != EINPROGRESS)
        refused(link, errno);
    else if (watch(link, link->descriptor, EPOLLOUT) != STATUS_OK)
        fail(link, REDIS_FAULT_RESOURCES, "");
}

static void connect_to_address(struct redis_link *link, const struct address *address)
{
    struct sockaddr_storage name;
    int family = address_is_v4(address) ? AF_INET : AF_INET6;
    socklen_t length = address_to_sockaddr(address, family, &name);
    connect_to(link, (const struct sockaddr *)&name, length);
}

static void begin(struct redis_link *link)
{
    if (link->host.port == 0) {
        struct sockaddr_un name = {.sun_family = AF_UNIX};
        size_t length = strlen(link->host.name); /* redis_url.c has seen to it that it fits */
        memcpy(name.sun_path, link->host.name,
               length < sizeof name.sun_path ? length : sizeof name.sun_path - 1);
        connect_to(link, (const struct sockaddr *)&name, sizeof name);
        return;
    }
    struct address address;
    switch (resolver_start(&link->resolver, link->host.name, link->host.port, &address)) {
    case STATUS_OK:
        connect_to_address(link, &address);
        return;
    case STATUS_EXISTS:
        link->state = RESOLVING;
        link->deadline_ms = link->now_ms + REDIS_RESOLVE_MS;
        if (watch(link, link->resolver.descriptor, EPOLLIN) != STATUS_OK)
            fail(link, REDIS_FAULT_RESOURCES, "");
        return;
    default:
        fail(link, REDIS_FAULT_RESOURCES, strerror(errno));
    }
}

static void take_name(struct redis_link *link)
{
    struct address address;
    if (!link->events) {
        if (link->now_ms >= link->deadline_ms)
            fail(link, REDIS_FAULT_RESOLVE, link->host.name);
        return;
    }
    unwatch(link, link->resolver.descriptor);
    link->state = PAUSED;
    if (resolver_take(&link->resolver, &address) == STATUS_OK)
        connect_to_address(link, &address);
    else
        fail(link, REDIS_FAULT_RESOLVE, link->host.name);
}

static void take_connection(struct redis_link *link)
{
    if (!link->events) {
        if (link->now_ms >= link->deadline_ms)
            fail(link, REDIS_FAULT_CONNECT_TIMEOUT, "");
        return;
    }
    int error = 0;
    socklen_t length = sizeof error;
    link->events = 0;
    if (getsockopt(link->descriptor, SOL_SOCKET, SO_ERROR, &error, &length) < 0)
        error = errno;
    if (error)
        refused(link, error);
    else
        begin_greeting(link);
}

/* --- commands --- */

static void ignore_ping(struct redis_call *call, struct redis_link *link,
                        const struct redisReply *reply)
{
    (void)call;
    link->is_pinging = false;
    if (reply && reply->type == REDIS_REPLY_ERROR) /* BUSY, LOADING, MASTERDOWN, NOAUTH */
        redis_link_drop(link, redis_fault_of(reply->str, reply->len));
}

static enum status send_call(struct redis_link *link, struct redis_call *call, const char *command,
                             size_t length)
{
    if (link->state != READY || !link->context || link->drop != REDIS_FAULT_NONE)
        return STATUS_NOT_FOUND;
    if (redisAsyncFormattedCommand(link->context, call ? on_reply : NULL, link, command, length) !=
        REDIS_OK)
        return STATUS_NOT_FOUND;
    if (!call)
        return STATUS_OK;
    call->next = NULL;
    call->deadline_ms = link->now_ms + REDIS_COMMAND_MS;
    if (link->first)
        link->last->next = call;
    else
        link->first = call;
    link->last = call;
    link->pending++;
    return STATUS_OK;
}

enum status redis_link_send(struct redis_link *link, struct redis_call *call, const char *command,
                            size_t length)
{
    if (link->pending >= REDIS_WINDOW_MAX || (call && link->wait.is_out))
        return redis_link_is_ready(link) ? STATUS_FULL : STATUS_NOT_FOUND;
    enum status status = send_call(link, call, command, length);
    if (status == STATUS_OK && call && call->is_durable && link->wait.replicas > 0)
        link->wait.is_due = true;
    return status;
}

static void waited(struct redis_call *call, struct redis_link *link, const struct redisReply *reply)
{
    (void)call;
    link->pending -= redis_wait_release(&link->wait, link, reply);
}

static void send_wait(struct redis_link *link)
{
    char command[REDIS_WAIT_SIZE];
    if (!link->wait.is_due || link->wait.is_out)
        return;
    size_t length = redis_wait_command(&link->wait, command);
    link->waiter = (struct redis_call){.answer = waited};
    link->wait.is_due = false;
    link->wait.is_out = true;
    if (send_call(link, &link->waiter, command, length) != STATUS_OK)
        redis_link_drop(link, REDIS_FAULT_RESOURCES);
}

void redis_link_drop(struct redis_link *link, enum redis_fault fault)
{
    if (link->state < GREETING || link->drop != REDIS_FAULT_NONE)
        return;
    link->drop = fault;
    set_fault(link, fault, "", 0);
}

static void take_replies(struct redis_link *link)
{
    for (int i = 0; i < READS_MAX && link->context && link->drop == REDIS_FAULT_NONE; i++) {
        size_t before = link->replies;
        redisAsyncHandleRead(link->context);
        if (link->replies - before < READ_AGAIN_MIN)
            return;
    }
}

static void look_after(struct redis_link *link)
{
    static const char ping[] = "*1\r\n$4\r\nPING\r\n";
    if (link->state == GREETING) {
        if (link->now_ms >= link->deadline_ms)
            fail(link, REDIS_FAULT_CONNECT_TIMEOUT, "");
        return;
    }
    /* Not while replies flow: a process that was stopped finds them late, yet they are there. */
    if (link->first && link->now_ms >= link->first->deadline_ms && link->heard_ms != link->now_ms) {
        fail(link, REDIS_FAULT_TIMEOUT, "");
        return;
    }
    if (!link->first && link->now_ms >= link->heard_ms + REDIS_PING_MS) {
        link->ping.answer = ignore_ping;
        link->is_pinging = redis_link_send(link, &link->ping, ping, sizeof ping - 1) == STATUS_OK;
    }
}

static void drop_if_told(struct redis_link *link)
{
    if (link->drop == REDIS_FAULT_NONE)
        return;
    char detail[sizeof link->detail];
    memcpy(detail, link->detail, sizeof detail);
    fail(link, link->drop, detail);
}

void redis_link_run(struct redis_link *link, uint64_t now_ms)
{
    link->now_ms = now_ms;
    switch (link->state) {
    case PAUSED:
        if (now_ms >= link->retry_ms)
            begin(link);
        break;
    case RESOLVING:
        take_name(link);
        break;
    case CONNECTING:
        take_connection(link);
        break;
    case GREETING:
    case READY: {
        uint32_t events = link->events;
        link->events = 0;
        if (events & (EPOLLOUT | EPOLLERR | EPOLLHUP))
            link->is_blocked = false;
        if (events & (EPOLLIN | EPOLLERR | EPOLLHUP))
            take_replies(link);
        drop_if_told(link);
        if (link->context)
            look_after(link);
        break;
    }
    }
    redis_link_flush(link);
}

void redis_link_flush(struct redis_link *link)
{
    send_wait(link);
    if (link->context && link->has_output && !link->is_blocked && link->drop == REDIS_FAULT_NONE) {
        redisAsyncHandleWrite(link->context);
        if (link->context) {
            link->is_blocked = link->has_output;
            uint32_t events = link->is_blocked ? EPOLLIN | EPOLLOUT : EPOLLIN;
            if (watch(link, link->descriptor, events) != STATUS_OK)
                redis_link_drop(link, REDIS_FAULT_RESOURCES);
        }
    }
    drop_if_told(link);
}

uint64_t redis_link_next_ms(const struct redis_link *link)
{
    if (link->events || link->drop != REDIS_FAULT_NONE)
        return 0;
    switch (link->state) {
    case PAUSED:
        return link->retry_ms;
    case RESOLVING:
    case CONNECTING:
    case GREETING:
        return link->deadline_ms;
    case READY:
        break;
    }
    return link->first ? link->first->deadline_ms : link->heard_ms + REDIS_PING_MS;
}

/* --- life --- */

enum status redis_link_new(struct redis_link **link, const struct redis_link_options *options,
                           const struct redis_host *host)
{
    struct redis_link *made = calloc(1, sizeof *made);
    if (!made)
        return STATUS_NO_MEMORY;
    made->options = *options;
    made->host = *host;
    made->backoff_ms = REDIS_BACKOFF_MS;
    made->wait.replicas = options->role == REDIS_ROLE_SENTINEL ? 0 : options->url->wait_replicas;
    made->wait.ms = options->url->wait_ms;
    *link = made;
    return STATUS_OK;
}

void redis_link_free(struct redis_link *link)
{
    if (!link)
        return;
    close_connection(link);
    resolver_stop(&link->resolver);
    free(link);
}

void redis_link_point(struct redis_link *link, const struct redis_host *host)
{
    close_connection(link);
    resolver_stop(&link->resolver);
    link->host = *host;
    set_fault(link, REDIS_FAULT_NONE, "", 0); /* it was the other server's */
    link->retry_ms = 0;
    link->backoff_ms = REDIS_BACKOFF_MS;
}

const struct redis_host *redis_link_host(const struct redis_link *link)
{
    return &link->host;
}

bool redis_link_is_ready(const struct redis_link *link)
{
    return link->state == READY && link->drop == REDIS_FAULT_NONE;
}

enum redis_fault redis_link_fault(const struct redis_link *link)
{
    return link->fault;
}

const char *redis_link_detail(const struct redis_link *link)
{
    return link->detail;
}

size_t redis_link_pending(const struct redis_link *link)
{
    return link->pending;
}
