/* What handshakes.c (finding, beginning and ending handshakes) gives to handshake.c (their states).
 * Nobody else includes this. */
#ifndef HOLDFAST_WORKER_HANDSHAKES_H
#define HOLDFAST_WORKER_HANDSHAKES_H

#include "worker/handshake.h"
#include "worker/metrics.h"

void handshakes_count(struct handshakes *handshakes, enum worker_metric metric);

/* Counts the result, and releases. */
void handshake_end(struct handshakes *handshakes, struct handshake *handshake,
                   enum worker_metric result);
void handshake_drop_held(struct handshake *handshake);
/* It is done, and the first to give way to a handshake that begins. */
void handshake_retain(struct handshakes *handshakes, struct handshake *handshake);

/* The datagrams of a struct flight's octets. */
void handshake_send_flight(struct handshakes *handshakes, const struct path *path,
                           const uint8_t *bytes, size_t length);
/* What wolfSSL has just written. */
void handshake_send_output(struct handshakes *handshakes, const struct path *path);
/* The sooner of the flight's timer and the handshake's end. */
void handshake_set_timer(struct handshakes *handshakes, struct handshake *handshake);

#endif
