/* Datagrams that a handshake wants to send, kept in order until somebody may send them. */
#ifndef HOLDFAST_WORKER_FLIGHT_H
#define HOLDFAST_WORKER_FLIGHT_H

#include "shared/cursor.h"
#include "shared/limits.h"
#include "shared/status.h"

#include <stddef.h>
#include <stdint.h>

struct flight {
    size_t length;
    uint8_t bytes[HANDSHAKE_FLIGHT_MAX]; /* length 2 ‖ datagram, one after the other */
};

/* STATUS_FULL: does not fit. */
MUST_USE static inline enum status flight_add(struct flight *flight, const void *datagram,
                                              size_t length)
{
    struct writer writer =
        writer_over(flight->bytes + flight->length, sizeof(flight->bytes) - flight->length);
    if (length > UINT16_MAX)
        return STATUS_FULL;
    writer_u16(&writer, (uint16_t)length);
    writer_bytes(&writer, datagram, length);
    if (!writer_ok(&writer))
        return STATUS_FULL;
    flight->length += writer_length(&writer);
    return STATUS_OK;
}

/* Walks the datagrams: cursor over the flight's bytes; NULL at the end. */
static inline const uint8_t *flight_next(struct cursor *cursor, size_t *length)
{
    if (cursor_left(cursor) == 0)
        return NULL;
    *length = cursor_u16(cursor);
    return cursor_bytes(cursor, *length);
}

#endif
