/* The operators' HTTP side on the I/O loop: libmicrohttpd with an external epoll descriptor, on the
 * loop's own thread. /healthz, /readyz and /metrics, and what a part adds. */
#ifndef HOLDFAST_SHARED_HTTP_H
#define HOLDFAST_SHARED_HTTP_H

#include <stdbool.h>
#include <stddef.h>

#include "shared/address.h"
#include "shared/io.h"
#include "shared/metrics.h"
#include "shared/status.h"

struct http;

struct http_reply {
    int status;               /* 200 */
    const char *content_type; /* static */
    struct text body;         /* taken over */
};

/* GET only; path as sent, without the query. False: not mine (404). */
typedef bool http_handle_fn(void *owner, const char *path, struct http_reply *reply);

/* Answers /healthz itself (200 "ok"); all else goes to `handle`. Any other method: 405.
 * STATUS_SYSTEM: cannot bind, errno says why. */
MUST_USE enum status http_start(struct http **http, struct io *io, const struct address *bind,
                                http_handle_fn *handle, void *owner);
void http_stop(struct http *http);
struct address http_local_address(const struct http *http);
/* Milliseconds after which http_run must be called though nothing is readable; UINT64_MAX: none. */
uint64_t http_timeout_ms(const struct http *http);
void http_run(struct http *http);

/* GET of http://address/path, at most timeout_ms; for the launcher and for probes. body grows.
 * *status is the answer's. STATUS_SYSTEM: no answer. */
MUST_USE enum status http_get(const struct address *address, const char *path, long timeout_ms,
                              int *status, struct text *body);

#endif
