/* One event of the log: the northbound record of something that a device said. A CBOR map (RFC
 * 8949) of definite length, in this order:
 *
 *   "version"    1; a reader leaves what it does not know
 *   "time"       when it was received, ms since 1970 by the worker's clock
 *   "path"       the resource that was asked, text
 *   "identity"   what the device authenticated as, byte string
 *   "cid"        the server's Connection ID, which names the session, byte string
 *   "message_id" of the request
 *   "slot"       of the session's exchanges that keeps the reply
 *   "format"     Content-Format of the payload; left out if the device gave none
 *   "observe"    of a notification: its Observe value (RFC 7641)
 *   "payload"    byte string
 *
 * What a device sends of itself has the path that it addressed; a notification that of the resource
 * which is observed, with its query, and for "slot" that of the relation.
 *
 * A message is in the log once: the store finds the exchange of one that it has logged and not
 * confirmed (shared/store.h). But a worker that did not hear whether an event is in the log answers
 * 5.03, and the log may hold it nevertheless; what a device sends again after a 5.03 is a message of
 * its own, with an id of its own: one that must not count twice carries a number of the device's in
 * its payload. */
#ifndef HOLDFAST_WORKER_EVENT_H
#define HOLDFAST_WORKER_EVENT_H

#include "shared/cursor.h"
#include "shared/octets.h"

#include <stdbool.h>
#include <stdint.h>

#define EVENT_VERSION 1

struct event {
    uint64_t unix_ms;
    const char *path;
    struct octets identity; /* at most IDENTITY_LENGTH_MAX */
    struct octets cid;
    struct octets payload; /* at most EVENT_PAYLOAD_MAX; of a notification COAP_BODY_MAX */
    uint16_t message_id;
    uint16_t format;
    bool has_format;
    bool has_observe;
    uint32_t observe;
    uint8_t slot;
};

/* At most STORE_EVENT_MAX octets, of a notification STORE_LONG_EVENT_MAX, for a path of up to 255. */
void event_write(struct writer *writer, const struct event *event);

#endif
