/* CoAP (RFC 7252) over whatever carried the message here: a DTLS session or plain UDP. Bytes and
 * `now` come in, at most one datagram goes out; no I/O, no clock.
 *
 * Output commit (DESIGN.md section 7, invariant 2): a reply that tells a device of a change waits
 * until the store has the change. coap_receive then gives COAP_COMMIT and what to save, and
 * coap_committed gives the reply. Meanwhile, repetitions of the request get silence. */
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
#include "shared/octets.h"
#include "shared/status.h"

struct session;

/* Who sent the message. */
struct coap_peer {
    uint64_t session_id;           /* unique in this worker, never reused; 0: plain CoAP */
    const struct session *session; /* NULL: plain CoAP */
    struct address address;        /* reflexive: as the lb saw it */
};

/* Two clocks: one for what stays here, one for what other workers and readers of the log see. */
struct coap_now {
    uint64_t ms;      /* since any point; never goes back */
    uint64_t unix_ms; /* wall clock: since 1970, UTC */
};

enum coap_outcome {
    COAP_REPLY,   /* `reply` holds what to send to the peer */
    COAP_SILENCE, /* dealt with, nothing to send */
    COAP_RESET,   /* the peer's RST (or empty ACK) for commit->message_id: a ping was answered */
    COAP_COMMIT,  /* `commit` says what to save; the reply comes from coap_committed */
    COAP_DROPPED, /* not a message we may answer; counted by reason */
};

/* For store_save_exchange. The octets are valid until the next call. */
struct coap_commit {
    uint16_t message_id; /* names the exchange to coap_committed */
    uint8_t slot;        /* less than COAP_EXCHANGES_PER_PEER_MAX */
    struct octets value; /* worker/exchange_value.h; at most STORE_EXCHANGE_MAX less 48 */
    struct octets event; /* worker/event.h, at most STORE_EVENT_MAX; length 0: none */
};

enum coap_saved {
    COAP_STORED,
    COAP_NOT_STORED, /* STORE_UNAVAILABLE, or not even asked: it may or may not be done */
};

struct coap; /* the worker's CoAP endpoint: exchanges remembered, resources, counters */

struct coap_options {
    uint16_t worker_id;
    struct hash_key hash_key;
    struct hash_key echo_key; /* of the whole cluster: worker/echo_value.h */
    size_t exchanges_max;    /* COAP_EXCHANGES_MAX */
    struct metrics *metrics; /* rows as in worker/metrics.h */
};
MUST_USE enum status coap_new(struct coap **coap, const struct coap_options *options);
void coap_free(struct coap *coap);

/* One message. reply has room for COAP_MESSAGE_SIZE_MAX. *commit is set for COAP_COMMIT, which only
 * requests over DTLS come to, and its message_id for COAP_RESET. */
enum coap_outcome coap_receive(struct coap *coap, const struct coap_peer *peer, struct coap_now now,
                               const uint8_t *message, size_t length, struct writer *reply,
                               struct coap_commit *commit);

/* What became of a commit of this session; once for each COAP_COMMIT, unless the session is gone
 * (STORE_STALE, STORE_NOT_FOUND): then coap_forget is enough, and its owner answers what the client
 * repeats. COAP_REPLY, or COAP_SILENCE: nobody waits for it any more.
 *
 * Not stored: the reply is 5.03 with Max-Age (RFC 7252 section 5.9.3.4), and the exchange is
 * forgotten, so that the client's next try is a new one, even if it has the same message id because
 * the 5.03 was lost. Since the store may have done what it did not confirm, the log can then hold
 * one message twice; worker/event.h says how its reader tells. */
enum coap_outcome coap_committed(struct coap *coap, uint64_t session_id, uint16_t message_id,
                                 enum coap_saved saved, uint64_t now_ms, struct writer *reply);

/* Remembers what store_claim_session gave back of a session, before its first message is received:
 * repetitions of what another worker answered get the same octets. Any order. An exchange whose
 * lifetime is over is ignored, STATUS_OK. STATUS_MALFORMED, STATUS_UNSUPPORTED (a version that is
 * not ours), STATUS_FULL. */
MUST_USE enum status coap_restore(struct coap *coap, uint64_t session_id, struct coap_now now,
                                  struct octets value);

/* An empty confirmable message, which a peer answers with RST (RFC 7252 section 4.3): the path
 * check. The message id comes from the caller, who keeps it with the session. */
void coap_write_ping(struct writer *message, uint16_t message_id);

/* The session is gone: forgets what was remembered for it. */
void coap_forget(struct coap *coap, uint64_t session_id);

/* When the next remembered exchange expires (UINT64_MAX: none), and letting those go. */
uint64_t coap_next_ms(const struct coap *coap);
void coap_expire(struct coap *coap, uint64_t now_ms);

#endif
