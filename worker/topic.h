/* Topics of the publish-subscribe broker (worker/ps.h): their names, what the store holds of one,
 * and its properties on the wire (draft-ietf-core-coap-pubsub).
 *
 *   value: version 1 ‖ flags 1 ‖ format 2 ‖ data, network order */
#ifndef HOLDFAST_WORKER_TOPIC_H
#define HOLDFAST_WORKER_TOPIC_H

#include "shared/cursor.h"
#include "shared/limits.h"
#include "shared/octets.h"
#include "shared/status.h"
#include "worker/request.h"

#include <stdbool.h>
#include <stdint.h>

#define TOPIC_VALUE_VERSION 1
#define TOPIC_VALUE_HEADER 4
#define TOPIC_SEGMENTS_MAX 3

_Static_assert(TOPIC_VALUE_HEADER + TOPIC_DATA_MAX <= STORE_TOPIC_MAX, "the store takes it");

/* One that has no data yet is "half created": it can be published to, not read. */
struct topic_value {
    bool has_data;
    bool has_format;
    uint16_t format;    /* Content-Format of the data, for good; 0 unless has_format */
    struct octets data; /* a view, at most TOPIC_DATA_MAX */
};

void topic_value_write(struct writer *writer, const struct topic_value *value);
/* STATUS_MALFORMED; STATUS_UNSUPPORTED: of a version that is not ours. */
MUST_USE enum status topic_value_read(struct topic_value *value, struct octets octets);

/* A name is 1 to TOPIC_SEGMENTS_MAX segments of printable UTF-8, none empty, with slashes between
 * them, STORE_TOPIC_NAME_MAX octets in all. */
bool topic_name_is_valid(struct octets name);
/* The name that the path segments spell; false: none. */
bool topic_name_write(struct writer *writer, const struct request_span *segments);
/* Its segments, views; returns how many. The name is valid. */
size_t topic_name_split(struct octets name, struct octets segments[TOPIC_SEGMENTS_MAX]);

/* What a client asks for when it creates a topic. */
struct topic_properties {
    struct octets name;
    bool has_format;
    uint16_t format;
    bool has_data;
    struct octets data; /* "initialize" */
};
/* A CBOR map from topic-name 0, resource-type 2 and, optional, topic-content-format 3 and
 * initialize
 * 8. STATUS_MALFORMED: no such map, or a property is missing or wrong; STATUS_UNSUPPORTED: one that
 * we do not know or do not let clients choose. */
MUST_USE enum status topic_properties_read(struct topic_properties *properties,
                                           struct octets octets);
/* The same with topic-data 1, which is `path`. */
void topic_properties_write(struct writer *writer, const struct topic_properties *properties,
                            struct octets path);

#endif
