/* The operators' HTTP side on the I/O loop: libmicrohttpd with an external epoll descriptor, on the
 * loop's own thread. /healthz, /readyz and /metrics, and what a part adds: pages that are there at
 * once, and an API whose answers may come later. */
#ifndef HOLDFAST_SHARED_HTTP_H
#define HOLDFAST_SHARED_HTTP_H

#include <stdbool.h>
#include <stddef.h>

#include "shared/address.h"
#include "shared/io.h"
#include "shared/metrics.h"
#include "shared/octets.h"
#include "shared/status.h"

struct http;

struct http_reply {
    int status;               /* 200 */
    const char *content_type; /* static; NULL: none */
    const char *allow;        /* static, of a 405; NULL: none */
    struct text location;     /* taken over; empty: none */
    struct text body;         /* taken over */
};

/* GET only; path as sent, without the query. False: not mine (404). */
typedef bool http_handle_fn(void *owner, const char *path, struct http_reply *reply);

enum http_method { HTTP_GET, HTTP_POST, HTTP_PUT, HTTP_PATCH, HTTP_DELETE, HTTP_METHODS };

/* Names a request whose answer comes later; valid until http_answer or http_stop. */
struct http_pending;

/* Valid during the call. Header fields that are not there are NULL. */
struct http_request {
    enum http_method method;
    const char *target; /* path and query as sent, escapes and all */
    const char *content_type;
    const char *accept;
    struct octets body; /* at most HTTP_REQUEST_MAX; longer: 413, and nobody is asked */
    struct http_pending *pending;
};
enum http_outcome {
    HTTP_DONE,  /* `reply` is the answer */
    HTTP_LATER, /* http_answer will be called for request->pending, once, and not from within */
};
typedef enum http_outcome http_serve_fn(void *owner, const struct http_request *request,
                                        struct http_reply *reply);

/* Answers /healthz itself (200 "ok"); all else goes to `handle`. Any other method: 405.
 * STATUS_SYSTEM: cannot bind, errno says why. */
MUST_USE enum status http_start(struct http **http, struct io *io, const struct address *bind,
                                http_handle_fn *handle, void *owner);
/* Whatever has not been answered gets 503. */
void http_stop(struct http *http);
/* From now on requests with any method of enum http_method for what is under `prefix` ("/api/", a
 * static string) go to `serve`. */
void http_serve(struct http *http, const char *prefix, http_serve_fn *serve, void *owner);
/* Takes the reply over. Its client may have gone: then nothing is sent. */
void http_answer(struct http *http, struct http_pending *pending, struct http_reply *reply);
struct address http_local_address(const struct http *http);
/* Milliseconds after which http_run must be called though nothing is readable; UINT64_MAX: none. */
uint64_t http_timeout_ms(const struct http *http);
void http_run(struct http *http);

/* GET of http://address/path, at most timeout_ms; for the launcher and for probes. body grows.
 * *status is the answer's. STATUS_SYSTEM: no answer. */
MUST_USE enum status http_get(const struct address *address, const char *path, long timeout_ms,
                              int *status, struct text *body);

#endif
