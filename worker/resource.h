/* Resources: a table of paths, what each serves, and choosing the handler of a request. */
#ifndef HOLDFAST_WORKER_RESOURCE_H
#define HOLDFAST_WORKER_RESOURCE_H

#include "shared/cursor.h"
#include "worker/coap.h"
#include "worker/request.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RESOURCE_METHODS 8 /* codes 0.01 to 0.07 */
#define RESOURCE_FORMATS_MAX 4

struct resource;

/* The request, as a handler sees it. */
struct resource_call {
    const struct request *request;
    const struct coap_peer *peer;
    const struct resource *resources; /* the whole table */
    size_t resource_count;
    uint16_t worker_id;
    uint64_t unix_ms;                /* wall clock */
    const struct resource *resource; /* the chosen row of the table */
    uint16_t format;                 /* which of its `produces` to write */
    uint8_t slot;                    /* of the request's exchange, if the handler changes state */
};

/* What the handler answers. Writing past an end makes it 5.00. */
struct resource_reply {
    uint8_t code;
    bool has_format;
    uint16_t format;
    struct writer payload;
    struct writer event; /* of a resource that changes state: what to put into the event log */
};

typedef void resource_handler(const struct resource_call *call, struct resource_reply *reply);

struct resource_formats {
    uint16_t values[RESOURCE_FORMATS_MAX];
    size_t count;
};

struct resource {
    const char *path; /* "/tstun" */
    const char *type; /* rt of RFC 6690, space-separated; NULL: none */
    bool plain;       /* exists for plain CoAP too */
    bool unlisted;    /* not in /.well-known/core */
    bool changes; /* 2.xx to other than GET and FETCH tells of a change: it waits for the store */
    resource_handler *handlers[RESOURCE_METHODS]; /* by method code; NULL: not allowed */
    struct resource_formats
        produces; /* the first is the default; none: the handler judges Accept */
    struct resource_formats consumes; /* payloads; none: any */
};

bool resource_is_visible(const struct resource *resource, const struct coap_peer *peer);

/* The handler of call->request among call->resources, call->resource and call->format; NULL:
 * `reply` is the error. */
resource_handler *resource_select(struct resource_call *call, struct resource_reply *reply);

/* An error with a diagnostic payload (RFC 7252 section 5.5.2). What was written is discarded. */
void resource_fail(struct resource_reply *reply, uint8_t code, const char *diagnostic);

#endif
