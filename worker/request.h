/* What a request asks for: its options, judged and sorted (RFC 7252 sections 5.4 and 5.10, and
 * the RFCs that added to table 4). */
#ifndef HOLDFAST_WORKER_REQUEST_H
#define HOLDFAST_WORKER_REQUEST_H

#include "worker/message.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Consecutive options of the message with one number. */
struct request_span {
    const struct message_option *first;
    size_t count;
};

/* Single options are NULL where the request has none. Who reads one also judges its value. */
struct request {
    const struct message *message;
    struct request_span path;         /* Uri-Path, a segment each */
    struct request_span queries;      /* Uri-Query, an argument each */
    struct request_span if_match;     /* an ETag each; empty: any representation */
    struct request_span etags;        /* of representations that the client has */
    struct request_span request_tags; /* RFC 9175 section 3: all of them name the body */
    const struct message_option *if_none_match;
    const struct message_option *accept;
    const struct message_option *content_format;
    const struct message_option *observe; /* RFC 7641 section 2 */
    const struct message_option *block1;  /* RFC 7959 section 2.1 */
    const struct message_option *block2;
    const struct message_option *size1; /* RFC 7959 section 4 */
    const struct message_option *size2;
    const struct message_option *hop_limit;   /* 1 to 255 (RFC 8768) */
    const struct message_option *echo;        /* worker/echo_value.h */
    const struct message_option *no_response; /* RFC 7967 */
};

enum request_outcome {
    REQUEST_OK,
    REQUEST_BAD_OPTION,    /* a critical option that we do not recognize: *culprit */
    REQUEST_BAD_HOP_LIMIT, /* out of its range */
    REQUEST_PROXY,         /* meant for a forward-proxy, which we are not */
};

/* `message` is a request, and outlives `request`. */
enum request_outcome request_judge(struct request *request, const struct message *message,
                                   uint16_t *culprit);

/* Whether the Uri-Path options begin with `path`, "/a/b" with at least one segment; `rest` then are
 * the segments behind it. */
bool request_path_begins(const struct request *request, const char *path,
                         struct request_span *rest);

/* Whether one of the span's options is these octets. */
bool request_span_has(const struct request_span *span, const uint8_t *octets, size_t length);

/* Whether the client has no interest in responses of this code's class (RFC 7967). */
bool request_declines(const struct request *request, uint8_t code);

/* Whether a query is "name=..."; `value` is then a view of what follows. */
bool request_query_value(const struct message_option *query, const char *name, const char **value,
                         size_t *value_length);

#endif
