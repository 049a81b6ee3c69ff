/* CoAP (RFC 7252) over whatever carried the message here: a DTLS session or plain UDP. Bytes and
 * `now` come in, at most one datagram goes out; no I/O, no clock. */
#ifndef HOLDFAST_WORKER_COAP_H
#define HOLDFAST_WORKER_COAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shared/address.h"
#include "shared/cursor.h"
#include "shared/hash.h"
#include "shared/limits.h"
#include "shared/metrics.h"
#include "shared/status.h"

struct session;

/* Who sent the message. */
struct coap_peer {
    uint64_t session_id;           /* unique in this worker, never reused; 0: plain CoAP */
    const struct session *session; /* NULL: plain CoAP */
    struct address address;        /* reflexive: as the lb saw it */
};

enum coap_outcome {
    COAP_REPLY,     /* `reply` holds what to send to the peer */
    COAP_SILENCE,   /* dealt with, nothing to send */
    COAP_RESET,     /* the peer's RST (or empty ACK) for message_id: a ping was answered */
    COAP_DROPPED,   /* not a message we may answer; counted by reason */
};

struct coap; /* the worker's CoAP endpoint: exchanges remembered, resources, counters */

struct coap_options {
    uint16_t worker_id;
    struct hash_key hash_key;
    size_t exchanges_max; /* COAP_EXCHANGES_MAX */
    struct metrics *metrics; /* rows as in worker/metrics.h */
};
MUST_USE enum status coap_new(struct coap **coap, const struct coap_options *options);
void coap_free(struct coap *coap);

/* One message. reply has room for COAP_MESSAGE_SIZE_MAX. *message_id is set for COAP_RESET. */
enum coap_outcome coap_receive(struct coap *coap, const struct coap_peer *peer, uint64_t now_ms,
                               const uint8_t *message, size_t length, struct writer *reply,
                               uint16_t *message_id);

/* An empty confirmable message, which a peer answers with RST (RFC 7252 section 4.3): the path
 * check. The message id comes from the caller, who keeps it with the session. */
void coap_write_ping(struct writer *message, uint16_t message_id);

/* The session is gone: forgets what was remembered for it. */
void coap_forget(struct coap *coap, uint64_t session_id);

/* When the next remembered exchange expires (UINT64_MAX: none), and letting those go. */
uint64_t coap_next_ms(const struct coap *coap);
void coap_expire(struct coap *coap, uint64_t now_ms);

#endif
