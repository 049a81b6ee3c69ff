#include "shared/http.h"

#include "shared/limits.h"

#include <errno.h>
#include <microhttpd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

struct http {
    struct MHD_Daemon *daemon;
    struct io *io;
    int epoll; /* the daemon's; -1: not watched */
    struct address local;
    http_handle_fn *handle;
    void *owner;
};

/* Frees the body in any case. */
static enum MHD_Result send_reply(struct MHD_Connection *connection, struct http_reply *reply,
                                  const char *allow)
{
    if (reply->body.failed) {
        free(reply->body.bytes);
        return MHD_NO; /* out of memory: the connection is closed */
    }
    struct MHD_Response *response = MHD_create_response_from_buffer(
        reply->body.length, reply->body.bytes, MHD_RESPMEM_MUST_FREE);
    if (!response) {
        free(reply->body.bytes);
        return MHD_NO;
    }
    enum MHD_Result result =
        MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, reply->content_type);
    if (result == MHD_YES && allow)
        result = MHD_add_response_header(response, MHD_HTTP_HEADER_ALLOW, allow);
    if (result == MHD_YES)
        result = MHD_queue_response(connection, (unsigned)reply->status, response);
    MHD_destroy_response(response);
    return result;
}

static enum MHD_Result answer(void *context, struct MHD_Connection *connection, const char *path,
                              const char *method, const char *version, const char *upload,
                              size_t *upload_size, void **request)
{
    (void)version;
    (void)upload;
    struct http *http = context;
    /* The library calls first with the headers alone, then for each part of a body, then for the
     * answer. A body is read past, so that the connection stays in step. */
    static int seen;
    if (!*request) {
        *request = &seen;
        return MHD_YES;
    }
    if (*upload_size > 0) {
        *upload_size = 0;
        return MHD_YES;
    }

    struct http_reply reply = {.status = MHD_HTTP_OK, .content_type = "text/plain"};
    const char *allow = NULL;
    if (strcmp(method, MHD_HTTP_METHOD_GET) != 0) {
        reply.status = MHD_HTTP_METHOD_NOT_ALLOWED;
        allow = MHD_HTTP_METHOD_GET; /* RFC 9110 section 15.5.6: a 405 says what is allowed */
        text_add(&reply.body, "only GET here\n");
    } else if (strcmp(path, "/healthz") == 0) {
        text_add(&reply.body, "ok\n");
    } else if (!http->handle(http->owner, path, &reply)) {
        free(reply.body.bytes);
        reply = (struct http_reply){.status = MHD_HTTP_NOT_FOUND, .content_type = "text/plain"};
        text_add(&reply.body, "no such path\n");
    }
    return send_reply(connection, &reply, allow);
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

    http->daemon =
        MHD_start_daemon(MHD_USE_EPOLL | MHD_USE_ERROR_LOG, 0, NULL, NULL, answer, http,
                         MHD_OPTION_EXTERNAL_LOGGER, drop_log, NULL, MHD_OPTION_LISTEN_SOCKET,
                         listener, MHD_OPTION_CONNECTION_LIMIT, (unsigned)HTTP_CONNECTIONS_MAX,
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

void http_stop(struct http *http)
{
    if (!http)
        return;
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
    return MHD_get_timeout(http->daemon, &timeout) == MHD_YES ? timeout : UINT64_MAX;
}

void http_run(struct http *http)
{
    (void)MHD_run(http->daemon);
}
