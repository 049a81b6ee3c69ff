/* CoAP (RFC 7252) over whatever carried the message here: a DTLS session or plain UDP. Bytes and
 * `now` come in; what answers a message at once goes out with it, all else (separate replies,
 * repetitions, what we start) through `send`. No I/O, no clock.
 *
 * Output commit (DESIGN.md section 7, invariant 2): a reply that tells a device of a change waits
 * until the store has the change. coap_receive then gives COAP_COMMIT and what to save, and
 * coap_committed gives the reply. Meanwhile, repetitions of the request get silence.
 *
 * What else is part of the endpoint (resources that answer later, observers, requests of ours) uses
 * worker/coap_endpoint.h. */
#ifndef HOLDFAST_WORKER_COAP_H
#define HOLDFAST_WORKER_COAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shared/cursor.h"
#include "shared/hash.h"
#include "shared/limits.h"
#include "shared/metrics.h"
#include "shared/octets.h"
#include "shared/status.h"
#include "worker/coap_peer.h"

/* Two clocks: one for what stays here, one for what other workers and readers of the log see. */
struct coap_now {
    uint64_t ms;      /* since any point; never goes back */
    uint64_t unix_ms; /* wall clock: since 1970, UTC */
};

enum coap_outcome {
    COAP_REPLY,   /* `reply` holds what to send to the peer */
    COAP_SILENCE, /* dealt with, nothing to send */
    COAP_RESET,   /* RST or empty ACK for commit->message_id, which is no transmission's: a ping was
                     answered */
    COAP_COMMIT,  /* `commit` says what to save; the reply comes from coap_committed */
    COAP_REGISTER, /* likewise, but of a relation; the reply comes through `send` after
                      coap_registered */
    COAP_DROPPED,  /* not a message we may answer; counted by reason */
};

/* For store_save_exchange, or store_save_relation. The octets are valid until the next call. */
struct coap_commit {
    uint16_t message_id; /* names the exchange to coap_committed */
    uint64_t ticket;     /* names the registration to coap_registered */
    uint8_t slot;        /* less than COAP_EXCHANGES_PER_PEER_MAX, OBSERVERS_PER_PEER_MAX */
    struct octets value; /* worker/exchange_value.h, at most STORE_EXCHANGE_MAX less 48; of a
                            relation worker/relation_value.h */
    struct octets event; /* worker/event.h, at most STORE_EVENT_MAX; length 0: none */
};

enum coap_saved {
    COAP_STORED,
    COAP_NOT_STORED, /* STORE_UNAVAILABLE, or not even asked: it may or may not be done */
};

struct coap; /* the worker's CoAP endpoint: exchanges remembered, resources, counters */

/* One message to the peer. It must not call into struct coap. */
typedef void coap_send_fn(void *owner, const struct coap_peer *peer, const uint8_t *message,
                          size_t length);

/* A confirmable message to the peer has not been answered in time, and is about to be repeated. It
 * must not call into struct coap. */
typedef void coap_unanswered_fn(void *owner, const struct coap_peer *peer);

struct coap_timing {
    uint32_t ack_timeout_ms; /* RFC 7252 section 4.8, ACK_TIMEOUT; from 1 on */
    uint32_t separate_ms;    /* a confirmable request unanswered for so long gets an empty ACK; less
                                than the peer's ACK_TIMEOUT, so that it does not repeat it */
    uint8_t max_retransmit;  /* RFC 7252 section 4.8, MAX_RETRANSMIT */
    uint16_t random_percent; /* RFC 7252 section 4.8, ACK_RANDOM_FACTOR in per cent; from 100 on */
};
#define COAP_TIMING_DEFAULT                                         \
    {                                                               \
        COAP_ACK_TIMEOUT_MS, COAP_SEPARATE_MS, COAP_MAX_RETRANSMIT, \
            COAP_ACK_RANDOM_PERCENT                                 \
    }

/* The relation in this slot of the session is over: it is to leave the store. */
typedef void coap_unsave_fn(void *owner, const struct coap_peer *peer, uint8_t slot);

/* Confirmable notifications to each observer (RFC 7641 section 4.5). */
struct coap_observe {
    uint32_t confirm_s;    /* at least one in so many s, 1 to OBSERVE_CONFIRM_S_MAX */
    uint8_t confirm_every; /* and each so many; 0: however many */
};
#define COAP_OBSERVE_DEFAULT         \
    {                                \
        OBSERVE_CONFIRM_S_DEFAULT, 0 \
    }

struct resource;

struct coap_options {
    const struct resource *resources; /* NULL: those of worker/resources.c */
    size_t resource_count;
    uint16_t worker_id;
    bool plugtest; /* resources for conformance tests are there too */
    struct hash_key hash_key;
    struct hash_key echo_key; /* of the whole cluster: worker/echo_value.h */
    uint64_t seed;            /* of random timeouts and the first message id of plain CoAP */
    size_t exchanges_max;     /* COAP_EXCHANGES_MAX */
    uint32_t request_rate;    /* requests a second of one peer; 0: no bound */
    struct coap_timing timing;
    struct coap_observe observe;
    struct metrics *metrics; /* rows as in worker/metrics.h */
    coap_send_fn *send;
    coap_unanswered_fn *unanswered; /* NULL: nobody wants to know */
    coap_unsave_fn *unsave;
    void *owner; /* given to all of these */
};
MUST_USE enum status coap_new(struct coap **coap, const struct coap_options *options);
void coap_free(struct coap *coap);

/* A turn of the loop begins, before anything of the store's answers is told to the endpoint's
 * parts: coap_clock() of this turn. */
void coap_turn(struct coap *coap, struct coap_now now);
struct coap_now coap_clock(const struct coap *coap);

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
 * the 5.03 was lost. The store may have done what it did not confirm: it knows the exchange then,
 * and logs no second event for it (shared/store.h). */
enum coap_outcome coap_committed(struct coap *coap, uint64_t session_id, uint16_t message_id,
                                 enum coap_saved saved, uint64_t now_ms, struct writer *reply);

/* Remembers what store_claim_session gave back of a session, before its first message is received:
 * repetitions of what another worker answered get the same octets. Any order. An exchange whose
 * lifetime is over is ignored, STATUS_OK. STATUS_MALFORMED, STATUS_UNSUPPORTED (a version that is
 * not ours), STATUS_FULL. */
MUST_USE enum status coap_restore(struct coap *coap, uint64_t session_id, struct coap_now now,
                                  struct octets value);

/* What became of a COAP_REGISTER of a session that is still here; else coap_forget is enough. The
 * request is served then: with Observe in its reply, or, if it is not stored, without. */
void coap_registered(struct coap *coap, uint64_t ticket, enum coap_saved saved);

/* Remembers an observer that store_claim_session gave back, of role RELATION_OBSERVER: it is told
 * what has changed since. STATUS_MALFORMED, STATUS_FULL. */
struct relation_value;
MUST_USE enum status coap_restore_observer(struct coap *coap, const struct coap_peer *peer,
                                           uint8_t slot, const struct relation_value *value,
                                           struct coap_now now);
/* Whether the peer observes anything; whether it does so in this slot. */
bool coap_has_observer(const struct coap *coap, const struct coap_peer *peer);
bool coap_has_observer_in(const struct coap *coap, const struct coap_peer *peer, uint8_t slot);

/* An empty confirmable message, which a peer answers with RST (RFC 7252 section 4.3): the path
 * check. The message id comes from the caller, who keeps it with the session. */
void coap_write_ping(struct writer *message, uint16_t message_id);

/* The session is gone: forgets what was remembered for it and cancels what is under way to it;
 * nothing more is sent there. */
void coap_forget(struct coap *coap, uint64_t session_id);

/* When coap_run must be called at the latest (UINT64_MAX: no need), and letting run out what has
 * run out: exchanges are forgotten, messages are sent again, requests get their empty ACK. */
uint64_t coap_next_ms(const struct coap *coap);
void coap_run(struct coap *coap, struct coap_now now);

#endif
