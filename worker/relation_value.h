/* An Observe relation (RFC 7641) as the store holds it, under its session: how a worker's heir
 * learns whom it owes notifications, and which notifications it may expect.
 *
 *   version 1 ‖ role 1 ‖ flags 1 ‖ token length 1 ‖ token ‖ format 2 ‖ block size exponent 1 ‖
 *   number 3 ‖ heard 8 ‖ expires 8 ‖ target, network order
 *
 * Times are of the wall clock, in ms since 1970, the only clock that workers share; they are taken
 * to agree within a few seconds. */
#ifndef HOLDFAST_WORKER_RELATION_VALUE_H
#define HOLDFAST_WORKER_RELATION_VALUE_H

#include "shared/cursor.h"
#include "shared/octets.h"
#include "shared/status.h"
#include "worker/message.h"

#include <stdbool.h>
#include <stdint.h>

#define RELATION_VALUE_VERSION 1
#define RELATION_VALUE_HEADER 26 /* octets beside token and target */
#define RELATION_TARGET_MAX 255  /* octets */
#define RELATION_VALUE_MAX (RELATION_VALUE_HEADER + MESSAGE_TOKEN_LENGTH_MAX + RELATION_TARGET_MAX)
#define RELATION_NUMBER_MAX 0xffffff /* RFC 7641 section 3.4: 24 bits */
#define RELATION_BLOCK_NONE 7        /* the exponent that RFC 7959 section 2.2 reserves */

enum relation_role {
    RELATION_OBSERVER = 1,    /* the peer observes one of our resources */
    RELATION_OBSERVATION = 2, /* we observe one of the peer's */
};

struct relation_value {
    enum relation_role role;
    uint8_t token_length;
    uint8_t token[MESSAGE_TOKEN_LENGTH_MAX]; /* the client's, whichever side that is */
    bool has_format;
    bool has_number;          /* there has been a notification */
    uint16_t format;          /* Accept of the registration; 0 unless has_format */
    uint8_t block_exponent;   /* Block2 of the registration, or RELATION_BLOCK_NONE */
    uint32_t number;          /* Observe value of the newest notification */
    uint64_t heard_unix_ms;   /* observer: its last sign of life (registration, an ACK);
                                 observation: when the newest notification came */
    uint64_t expires_unix_ms; /* observation: end of what Max-Age gave it; 0: a notification newer
                                 than `number` has been acknowledged and is not in the log, so the
                                 device is to be asked again at once; observer: 0 */
    struct octets target;     /* a view: path and query as in a URI, "/a/b?c=d", percent-encoded */
};

void relation_value_write(struct writer *writer, const struct relation_value *value);

/* STATUS_MALFORMED: truncated, too long, or no relation; STATUS_UNSUPPORTED: of a version that is
 * not ours. */
MUST_USE enum status relation_value_read(struct relation_value *value, struct octets octets);

#endif
