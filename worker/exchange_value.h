/* An exchange as the store holds it: how a worker's heir learns what a session has already been
 * answered (DESIGN.md section 7, invariants 2 and 5).
 *
 *   version 1 ‖ serial 2 ‖ message id 2 ‖ expiry 8 (ms since 1970) ‖ reply, network order
 *
 * The reply is what goes to whoever repeats the message: empty for a non-confirmable one. The
 * expiry is of the wall clock, the only one that workers share; they are taken to agree within a
 * few seconds. */
#ifndef HOLDFAST_WORKER_EXCHANGE_VALUE_H
#define HOLDFAST_WORKER_EXCHANGE_VALUE_H

#include "shared/cursor.h"
#include "shared/limits.h"
#include "shared/octets.h"
#include "shared/status.h"
#include "shared/store.h"

#include <stdint.h>

#define EXCHANGE_VALUE_VERSION 1
#define EXCHANGE_VALUE_HEADER 13
#define EXCHANGE_VALUE_MAX (EXCHANGE_VALUE_HEADER + COAP_MESSAGE_SIZE_MAX)
_Static_assert(STORE_EXCHANGE_NAME_AT == 1 + 2 && STORE_EXCHANGE_NAME_LENGTH == 2,
               "the message id is its name in the store");
_Static_assert(EXCHANGE_VALUE_MAX + 48 <= STORE_EXCHANGE_MAX, "sealed, it fits its slot");

struct exchange_value {
    uint16_t serial; /* counts the session's changes, round and round; which is newer: the order */
    uint16_t message_id;
    uint64_t expires_unix_ms;
    struct octets reply; /* a view */
};

void exchange_value_write(struct writer *writer, const struct exchange_value *value);

/* STATUS_MALFORMED: truncated, too long, or a reply that answers no such message;
 * STATUS_UNSUPPORTED: of a version that is not ours. */
MUST_USE enum status exchange_value_read(struct exchange_value *value, struct octets octets);

#endif
