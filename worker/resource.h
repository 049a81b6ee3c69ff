/* Resources: a table of paths, what each serves, and choosing the handler of a request. */
#ifndef HOLDFAST_WORKER_RESOURCE_H
#define HOLDFAST_WORKER_RESOURCE_H

#include "shared/cursor.h"
#include "shared/octets.h"
#include "worker/block.h"
#include "worker/coap.h"
#include "worker/request.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RESOURCE_METHODS 8 /* codes 0.01 to 0.07 */
#define RESOURCE_FORMATS_MAX 4
#define RESOURCE_LOCATION_MAX 4 /* segments, and arguments, of the place of what was created */

struct resource;

/* The request, as a handler sees it; valid during the call. */
struct resource_call {
    struct coap *coap;
    const struct request *request;
    const struct coap_peer *peer;
    const struct resource *resources; /* the whole table */
    size_t resource_count;
    bool plugtest; /* rows with `plugtest` are there */
    bool
        is_rendering; /* for all observers, each of whom has been served before; the peer is none */
    uint16_t worker_id;
    struct coap_now now;
    const struct resource *resource; /* the chosen row of the table */
    struct request_span rest;        /* of the path, behind a `prefix` */
    struct octets body;              /* the whole payload; length 0: none */
    uint64_t ticket;                 /* names the request to coap_answer; never reused */
    uint16_t format;                 /* which of its `produces` to write */
    uint8_t slot;                    /* of the request's exchange, if the handler changes state */
};

/* Of what a request addresses, for conditional requests (RFC 7252 section 5.10.8). */
struct resource_state {
    bool exists;
    uint8_t etag_length; /* 0: none */
    uint8_t etag[MESSAGE_ETAG_MAX];
};

/* What the handler answers, as response.c turns it into options. Writing past an end makes it 5.00.
 * What `location` views show must last until the response is written. */
struct resource_reply {
    uint8_t code;
    bool has_format, has_max_age, has_observe;
    bool varies; /* the same GET, again, is answered otherwise: blocks are those of this answer */
    uint16_t format;
    uint32_t max_age_s;  /* without: 60 s (RFC 7252 section 5.10.5) */
    uint32_t observe;    /* RFC 7641 section 4.4 */
    uint64_t version;    /* of an observable resource that defers: a number of its state that every
                            worker knows, higher for a later state; 0: none */
    uint8_t etag_length; /* 0: none */
    uint8_t etag[MESSAGE_ETAG_MAX];
    uint8_t location_path_count, location_query_count; /* of 2.01 (RFC 7252 section 5.10.7) */
    struct octets location_path[RESOURCE_LOCATION_MAX];
    struct octets location_query[RESOURCE_LOCATION_MAX];
    struct octets echo;          /* length 0: none (RFC 9175) */
    bool suggests_block1;        /* a 4.13 that asks for the body in blocks */
    bool has_block1, has_block2; /* set by response_write */
    struct block block1, block2; /* RFC 7959 */
    bool has_size2;
    uint32_t size2; /* octets of the whole body */
    uint32_t size1; /* of a 4.13: how many octets would not have been too many; 0: not said */
    struct writer payload;
    struct writer event; /* of a resource that changes state: what to put into the event log */
};

/* An empty one. Views and arrays are left as they are: their counts and lengths are 0. */
static inline void resource_begin_reply(struct resource_reply *reply, struct writer payload,
                                        struct writer event)
{
    reply->code = CODE_EMPTY;
    reply->has_format = reply->has_max_age = reply->has_observe = reply->varies = false;
    reply->suggests_block1 = reply->has_block1 = reply->has_block2 = reply->has_size2 = false;
    reply->size1 = 0;
    reply->etag_length = reply->location_path_count = reply->location_query_count = 0;
    reply->echo.length = 0;
    reply->version = 0;
    reply->payload = payload;
    reply->event = event;
}

enum resource_outcome {
    RESOURCE_DONE,  /* `reply` is complete */
    RESOURCE_LATER, /* of a row that `defers`: the answer comes by coap_answer(call->ticket), not
                       from within the handler; `reply` does not count, and what the answer needs
                       of `call` was copied */
};
typedef enum resource_outcome resource_handler(const struct resource_call *call,
                                               struct resource_reply *reply);
typedef void resource_state_fn(const struct resource_call *call, struct resource_state *state);

struct resource_formats {
    uint16_t values[RESOURCE_FORMATS_MAX];
    size_t count;
};

struct resource {
    const char *path; /* "/tstun" */
    const char *type; /* rt of RFC 6690, space-separated; NULL: none */
    const char *interface; /* if of RFC 6690, likewise */
    uint32_t size;         /* sz of RFC 6690, octets; 0: none */
    bool prefix;      /* also all paths below this one: call->rest */
    bool plain;       /* exists for plain CoAP too */
    bool unlisted;    /* not in /.well-known/core */
    bool plugtest;    /* of the conformance set: not there unless asked for */
    bool observable;  /* a GET may ask to observe it (RFC 7641) */
    bool changes; /* 2.xx to other than GET and FETCH tells of a change: it waits for the store */
    bool defers;  /* its handlers may give RESOURCE_LATER, and see to the store themselves; not with
                     `changes` */
    resource_handler *handlers[RESOURCE_METHODS]; /* by method code; NULL: not allowed */
    struct resource_formats
        produces; /* the first is the default; none: the handler judges Accept */
    struct resource_formats consumes; /* payloads; none: any */
    size_t body_max;                  /* octets of a request's body; more: 4.13; 0: COAP_BODY_MAX */
    resource_state_fn *state;         /* NULL: what is addressed exists and has no ETag */
    bool judges_conditions; /* the handler calls resource_conditions_hold, once it knows */
};

/* Whether the row is there for call->peer. */
bool resource_is_visible(const struct resource_call *call, const struct resource *resource);

/* The handler of call->request among call->resources, call->resource, call->rest and call->format;
 * NULL: `reply` is the error. */
resource_handler *resource_select(struct resource_call *call, struct resource_reply *reply);

/* Whether the request's If-Match and If-None-Match allow what it asks for. */
bool resource_conditions_hold(const struct request *request, const struct resource_state *state);

/* Turns a 2.05 that the client has, by one of the request's ETags, into 2.03. */
void resource_validate(const struct request *request, struct resource_reply *reply);

void resource_set_etag(struct resource_reply *reply, struct octets etag); /* 1 to 8 octets */

/* An error with a diagnostic payload (RFC 7252 section 5.5.2). What was written is discarded. */
void resource_fail(struct resource_reply *reply, uint8_t code, const char *diagnostic);

#endif
