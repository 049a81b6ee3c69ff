#include "shared/http.h"

#include "shared/limits.h"

#include <errno.h>
#include <microhttpd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

enum stage {
    STAGE_RECEIVING,
    STAGE_WAITING,  /* its connection is suspended until http_answer */
    STAGE_ANSWERED, /* `reply` is to be sent */
};

/* A request, from its first line to the end of its answer. */
struct http_pending {
    struct http_pending *next; /* while it waits */
    struct http_pending **link;
    struct MHD_Connection *connection;
    enum stage stage;
    bool has_begun; /* the handler has been called for it */
    bool is_too_long;
    struct http_reply reply;
    struct text body;
    char target[];
};

struct http {
    struct MHD_Daemon *daemon;
    struct io *io;
    int epoll; /* the daemon's; -1: not watched */
    struct address local;
    http_handle_fn *handle;
    void *owner;
    const char *prefix; /* of what `serve` answers; NULL: nothing */
    http_serve_fn *serve;
    void *serve_owner;
    struct http_pending *waiting;
    bool has_answers; /* that the library has not been run for */
};

static const char *const methods[HTTP_METHODS] = {
    [HTTP_GET] = MHD_HTTP_METHOD_GET,       [HTTP_POST] = MHD_HTTP_METHOD_POST,
    [HTTP_PUT] = MHD_HTTP_METHOD_PUT,       [HTTP_PATCH] = MHD_HTTP_METHOD_PATCH,
    [HTTP_DELETE] = MHD_HTTP_METHOD_DELETE,
};

static void free_reply(struct http_reply *reply)
{
    free(reply->location.bytes);
    free(reply->body.bytes);
    reply->location = (struct text){0};
    reply->body = (struct text){0};
}

static bool add_header(struct MHD_Response *response, const char *name, const char *value)
{
    return !value || MHD_add_response_header(response, name, value) == MHD_YES;
}

/* Frees what the reply owns in any case. */
static enum MHD_Result send_reply(struct MHD_Connection *connection, struct http_reply *reply)
{
    enum MHD_Result result = MHD_NO; /* out of memory: the connection is closed */
    struct MHD_Response *response = NULL;
    if (!reply->body.failed && !reply->location.failed)
        response = MHD_create_response_from_buffer(reply->body.length, reply->body.bytes,
                                                   MHD_RESPMEM_MUST_FREE);
    if (response) {
        reply->body = (struct text){0}; /* the response's now */
        if (add_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, reply->content_type) &&
            add_header(response, MHD_HTTP_HEADER_ALLOW, reply->allow) &&
            add_header(response, MHD_HTTP_HEADER_LOCATION, reply->location.bytes))
            result = MHD_queue_response(connection, (unsigned)reply->status, response);
        MHD_destroy_response(response);
    }
    free_reply(reply);
    return result;
}

static bool find_method(const char *text, enum http_method *method)
{
    for (size_t i = 0; i < HTTP_METHODS; i++) {
        if (strcmp(text, methods[i]) == 0) {
            *method = (enum http_method)i;
            return true;
        }
    }
    return false;
}

/* --- pages --- */

static void show_page(struct http *http, const char *path, const char *method,
                      struct http_reply *reply)
{
    if (strcmp(method, MHD_HTTP_METHOD_GET) != 0) {
        reply->status = MHD_HTTP_METHOD_NOT_ALLOWED;
        reply->allow =
            MHD_HTTP_METHOD_GET; /* RFC 9110 section 15.5.6: a 405 says what is allowed */
        text_add(&reply->body, "only GET here\n");
    } else if (strcmp(path, "/healthz") == 0) {
        text_add(&reply->body, "ok\n");
    } else if (!http->handle(http->owner, path, reply)) {
        free_reply(reply);
        *reply = (struct http_reply){.status = MHD_HTTP_NOT_FOUND, .content_type = "text/plain"};
        text_add(&reply->body, "no such path\n");
    }
}

/* --- the API --- */

static enum http_outcome serve(struct http *http, struct http_pending *pending, const char *method,
                               struct http_reply *reply)
{
    struct http_request request = {
        .target = pending->target,
        .content_type = MHD_lookup_connection_value(pending->connection, MHD_HEADER_KIND,
                                                    MHD_HTTP_HEADER_CONTENT_TYPE),
        .accept = MHD_lookup_connection_value(pending->connection, MHD_HEADER_KIND,
                                              MHD_HTTP_HEADER_ACCEPT),
        .body = {(const uint8_t *)pending->body.bytes, pending->body.length},
        .pending = pending,
    };
    if (!find_method(method, &request.method)) {
        reply->status = MHD_HTTP_NOT_IMPLEMENTED;
        text_add(&reply->body, "no such method\n");
        return HTTP_DONE;
    }
    if (pending->is_too_long) {
        reply->status = MHD_HTTP_CONTENT_TOO_LARGE;
        text_add(&reply->body, "at most %d octets\n", HTTP_REQUEST_MAX);
        return HTTP_DONE;
    }
    return http->serve(http->serve_owner, &request, reply);
}

static void wait_for_answer(struct http *http, struct http_pending *pending)
{
    pending->stage = STAGE_WAITING;
    pending->next = http->waiting;
    pending->link = &http->waiting;
    if (pending->next)
        pending->next->link = &pending->next;
    http->waiting = pending;
    MHD_suspend_connection(pending->connection);
}

void http_answer(struct http *http, struct http_pending *pending, struct http_reply *reply)
{
    *pending->link = pending->next;
    if (pending->next)
        pending->next->link = pending->link;
    pending->stage = STAGE_ANSWERED;
    pending->reply = *reply;
    http->has_answers = true;
    MHD_resume_connection(pending->connection);
}

void http_serve(struct http *http, const char *prefix, http_serve_fn *serve_fn, void *owner)
{
    http->prefix = prefix;
    http->serve = serve_fn;
    http->serve_owner = owner;
}

/* --- requests --- */

static bool is_under_prefix(const struct http *http, const char *path)
{
    return http->prefix && strncmp(path, http->prefix, strlen(http->prefix)) == 0;
}

/* One that is too long is read to its end, so that the connection stays in step. */
static void take_body(struct http_pending *pending, const char *part, size_t length)
{
    if (length > HTTP_REQUEST_MAX - pending->body.length)
        pending->is_too_long = true;
    if (!pending->is_too_long)
        text_append(&pending->body, part, length);
}

static enum MHD_Result answer(void *context, struct MHD_Connection *connection, const char *path,
                              const char *method, const char *version, const char *upload,
                              size_t *upload_size, void **request)
{
    (void)version;
    struct http *http = context;
    struct http_pending *pending = *request;
    if (!pending)
        return MHD_NO; /* there was no memory for it */
    /* The library calls first with the headers alone, then for each part of a body, then for the
     * answer. */
    if (!pending->has_begun) {
        pending->has_begun = true;
        pending->connection = connection;
        return MHD_YES;
    }
    bool is_served = is_under_prefix(http, path);
    if (*upload_size > 0) {
        if (is_served)
            take_body(pending, upload, *upload_size);
        *upload_size = 0;
        return MHD_YES;
    }
    if (pending->stage == STAGE_ANSWERED)
        return send_reply(connection, &pending->reply);
    struct http_reply reply = {.status = MHD_HTTP_OK, .content_type = "text/plain"};
    if (!is_served)
        show_page(http, path, method, &reply);
    else if (pending->body.failed)
        return MHD_NO;
    else if (serve(http, pending, method, &reply) == HTTP_LATER) {
        wait_for_answer(http, pending);
        return MHD_YES;
    }
    return send_reply(connection, &reply);
}

/* The first that is known of a request: its target as sent, which the library takes apart. */
static void *begin_request(void *context, const char *target, struct MHD_Connection *connection)
{
    (void)context;
    (void)connection;
    size_t length = strlen(target) + 1;
    struct http_pending *pending = calloc(1, sizeof *pending + length);
    if (pending)
        memcpy(pending->target, target, length);
    return pending;
}

static void end_request(void *context, struct MHD_Connection *connection, void **request,
                        enum MHD_RequestTerminationCode code)
{
    (void)context;
    (void)connection;
    (void)code;
    struct http_pending *pending = *request;
    if (!pending)
        return;
    free_reply(&pending->reply);
    free(pending->body.bytes);
    free(pending);
    *request = NULL;
}

/* The path as sent: the library's own decoding of %XX would make two paths of one. */
static size_t keep_escapes(void *context, struct MHD_Connection *connection, char *text)
{
    (void)context;
    (void)connection;
    return strlen(text);
}

/* What the library has to say about connections that break is no event of ours. */
static void drop_log(void *context, const char *format, va_list arguments)
{
    (void)context;
    (void)format;
    (void)arguments;
}

/* A listening socket of our own: the library's would hide why it could not be bound. */
static enum status listen_on(const struct address *bind_to, int *descriptor, struct address *local)
{
    struct sockaddr_storage to;
    int family = address_is_v4(bind_to) ? AF_INET : AF_INET6;
    socklen_t length = address_to_sockaddr(bind_to, family, &to);
    int one = 1;
    int socket_descriptor = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (socket_descriptor < 0)
        return STATUS_SYSTEM;
    if (setsockopt(socket_descriptor, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) < 0 ||
        bind(socket_descriptor, (struct sockaddr *)&to, length) < 0 ||
        listen(socket_descriptor, HTTP_CONNECTIONS_MAX) < 0)
        goto failed;

    length = sizeof to;
    if (getsockname(socket_descriptor, (struct sockaddr *)&to, &length) < 0)
        goto failed;
    if (address_from_sockaddr(local, (struct sockaddr *)&to, length) != STATUS_OK) {
        errno = EAFNOSUPPORT;
        goto failed;
    }
    *descriptor = socket_descriptor;
    return STATUS_OK;

failed:;
    int saved_errno = errno;
    (void)close(socket_descriptor);
    errno = saved_errno;
    return STATUS_SYSTEM;
}

static void ready(void *owner, int descriptor, uint32_t events)
{
    (void)descriptor;
    (void)events;
    http_run(owner);
}

enum status http_start(struct http **out, struct io *io, const struct address *bind_to,
                       http_handle_fn *handle, void *owner)
{
    enum status status = STATUS_NO_MEMORY;
    int listener = -1;
    struct http *http = calloc(1, sizeof *http);
    if (!http)
        return STATUS_NO_MEMORY;
    *http = (struct http){.io = io, .epoll = -1, .handle = handle, .owner = owner};
    status = listen_on(bind_to, &listener, &http->local);
    if (status != STATUS_OK)
        goto done;

    http->daemon = MHD_start_daemon(
        MHD_USE_EPOLL | MHD_USE_ERROR_LOG | MHD_ALLOW_SUSPEND_RESUME, 0, NULL, NULL, answer, http,
        MHD_OPTION_URI_LOG_CALLBACK, begin_request, NULL, MHD_OPTION_NOTIFY_COMPLETED, end_request,
        NULL, MHD_OPTION_EXTERNAL_LOGGER, drop_log, NULL, MHD_OPTION_LISTEN_SOCKET, listener,
        MHD_OPTION_CONNECTION_LIMIT, (unsigned)HTTP_CONNECTIONS_MAX,
        MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)HTTP_CONNECTION_MEMORY_MAX,
        MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)(HTTP_IDLE_MS / 1000),
        MHD_OPTION_UNESCAPE_CALLBACK, keep_escapes, NULL, MHD_OPTION_END);
    if (!http->daemon) {
        status = STATUS_SYSTEM;
        goto done;
    }
    listener = -1; /* the daemon's now */
    const union MHD_DaemonInfo *info = MHD_get_daemon_info(http->daemon, MHD_DAEMON_INFO_EPOLL_FD);
    if (!info) {
        errno = ENOTSUP;
        status = STATUS_SYSTEM;
        goto done;
    }
    status = io_watch(io, info->epoll_fd, EPOLLIN, ready, http);
    if (status == STATUS_OK)
        http->epoll = info->epoll_fd;

done:;
    int saved_errno = errno;
    if (listener >= 0)
        (void)close(listener);
    if (status == STATUS_OK)
        *out = http;
    else
        http_stop(http);
    errno = saved_errno;
    return status;
}

/* The library does not stop while connections are suspended. */
static void answer_waiting(struct http *http)
{
    while (http->waiting) {
        struct http_reply reply = {.status = MHD_HTTP_SERVICE_UNAVAILABLE,
                                   .content_type = "text/plain"};
        text_add(&reply.body, "stopping\n");
        http_answer(http, http->waiting, &reply);
    }
    http_run(http);
}

void http_stop(struct http *http)
{
    if (!http)
        return;
    if (http->daemon)
        answer_waiting(http);
    if (http->epoll >= 0)
        io_unwatch(http->io, http->epoll);
    if (http->daemon)
        MHD_stop_daemon(http->daemon);
    free(http);
}

struct address http_local_address(const struct http *http)
{
    return http->local;
}

uint64_t http_timeout_ms(const struct http *http)
{
    MHD_UNSIGNED_LONG_LONG timeout;
    if (http->has_answers)
        return 0;
    return MHD_get_timeout(http->daemon, &timeout) == MHD_YES ? timeout : UINT64_MAX;
}

void http_run(struct http *http)
{
    http->has_answers = false;
    (void)MHD_run(http->daemon);
}
