/* What a request asks for: its options, judged and sorted (RFC 7252 sections 5.4 and 5.10). */
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

struct request {
    const struct message *message;
    struct request_span path;            /* Uri-Path, a segment each */
    struct request_span queries;         /* Uri-Query, an argument each */
    const struct message_option *accept; /* NULL: none */
    const struct message_option *content_format;
};

enum request_outcome {
    REQUEST_OK,
    REQUEST_BAD_OPTION, /* a critical option that we do not recognize: *culprit */
    REQUEST_PROXY,      /* meant for a forward-proxy, which we are not */
};

/* `message` is a request, and outlives `request`. */
enum request_outcome request_judge(struct request *request, const struct message *message,
                                   uint16_t *culprit);

/* Whether the Uri-Path options spell `path`, "/a/b" with at least one segment. */
bool request_path_is(const struct request *request, const char *path);

/* Whether a query is "name=..."; `value` is then a view of what follows. */
bool request_query_value(const struct message_option *query, const char *name, const char **value,
                         size_t *value_length);

#endif
