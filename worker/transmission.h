/* Messages that we start (RFC 7252 sections 4.2 to 4.8): confirmable ones are repeated until the
 * peer acknowledges or resets them, one at a time to each peer; what comes after waits behind it.
 * Non-confirmable ones leave at once and are not remembered. Bytes, `now` and a seed come in,
 * datagrams go out through `send`, and `settled` is told what became of each confirmable message.
 * Before a message is repeated, `repeats` may put a newer one in its place (RFC 7641
 * section 4.5.2): the two are one message here, which is settled once.
 *
 * Bounded in all and per peer; what finds no room is refused, counted. Memory: pools of peers (112
 * octets each, only those with something under way), of messages up to TRANSMISSION_SHORT_MAX
 * octets (128) and of longer ones (1,304), and the slots of the peers' hash table. Pools and slots
 * grow as they are used and are kept; nothing else is allocated. */
#ifndef HOLDFAST_WORKER_TRANSMISSION_H
#define HOLDFAST_WORKER_TRANSMISSION_H

#include "shared/hash.h"
#include "shared/limits.h"
#include "shared/metrics.h"
#include "shared/octets.h"
#include "shared/pool.h"
#include "shared/status.h"
#include "shared/table.h"
#include "shared/wheel.h"
#include "worker/coap_peer.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TRANSMISSION_SHORT_MAX 104

/* What a message of ours is, and so who is told what became of it. */
enum transmission_kind {
    TRANSMISSION_SEPARATE,     /* the reply to a request that got an empty ACK */
    TRANSMISSION_REGISTERED,   /* likewise, to an observer's registration: with Observe */
    TRANSMISSION_NOTIFICATION, /* to an observer */
    TRANSMISSION_REQUEST,
    TRANSMISSION_KINDS
};

enum transmission_outcome {
    TRANSMISSION_ACKED,
    TRANSMISSION_RESET,
    TRANSMISSION_TIMED_OUT, /* repeated max_retransmit times, and nothing came */
    TRANSMISSION_OUTDATED,  /* likewise, but for the ACK of one that it was put in the place of */
    TRANSMISSION_CANCELLED, /* the session has gone */
};

struct transmission_report {
    enum transmission_kind kind;
    enum transmission_outcome outcome;
    uint64_t key;          /* as given to transmission_send */
    uint16_t message_id;   /* the newest */
    struct coap_peer peer; /* its session is valid during the call */
    uint64_t now_ms;
};

typedef void transmission_send_fn(void *owner, const struct coap_peer *peer, const uint8_t *message,
                                  size_t length);
/* The message is gone already, so that the next one to the peer may be sent from here, unless it is
 * CANCELLED. */
typedef void transmission_settled_fn(void *owner, const struct transmission_report *report);

/* The message under way to the peer is about to be repeated. What may be called back from here is
 * transmission_renew, and nothing else. */
typedef void transmission_repeats_fn(void *owner, const struct coap_peer *peer,
                                     enum transmission_kind kind, uint64_t key, uint64_t now_ms);

struct transmission_options {
    struct hash_key hash_key;
    uint64_t seed;
    size_t peers_max;        /* with something under way */
    size_t short_max;        /* messages up to TRANSMISSION_SHORT_MAX octets */
    size_t long_max;         /* longer ones */
    uint32_t ack_timeout_ms; /* ACK_TIMEOUT; from 1 on */
    uint8_t max_retransmit;  /* MAX_RETRANSMIT; at most COAP_MAX_RETRANSMIT_MAX */
    uint16_t random_percent; /* ACK_RANDOM_FACTOR in per cent; from 100 on */
    struct metrics *metrics;
    transmission_send_fn *send;
    transmission_settled_fn *settled;
    transmission_repeats_fn *repeats; /* NULL: nobody wants to know */
    void *owner;
};

struct transmissions {
    struct transmission_options options;
    struct table peers;
    struct pool peer_pool;
    struct pool short_pool;
    struct pool long_pool;
    struct wheel wheel;
    uint64_t random;
};

enum transmission_start {
    TRANSMISSION_SENT,
    TRANSMISSION_QUEUED,  /* confirmable; it leaves when those before it are settled */
    TRANSMISSION_REFUSED, /* no room; nothing will be reported */
};

MUST_USE enum status transmissions_init(struct transmissions *transmissions,
                                        const struct transmission_options *options);
void transmissions_free(struct transmissions *transmissions); /* reports nothing */

/* A whole message, CON or NON, at most COAP_MESSAGE_SIZE_MAX octets, copied; its message id is one
 * that the peer has not had from us (coap_message_id). `key` is the caller's. */
enum transmission_start transmission_send(struct transmissions *transmissions,
                                          const struct coap_peer *peer, enum transmission_kind kind,
                                          uint64_t key, struct octets message, uint64_t now_ms);

/* From `repeats`: this goes in the place of the message that it is about, with the same kind and
 * key and the same timeout and retransmission counter. A whole confirmable message that is no
 * request, with an id of its own, as in transmission_send; copied. A Reset of the older one still
 * counts, and its ACK keeps this one from timing out (TRANSMISSION_OUTDATED). False: no room,
 * counted as refused; the older one is repeated. */
MUST_USE bool transmission_renew(struct transmissions *transmissions, const struct coap_peer *peer,
                                 struct octets message);

enum transmission_match {
    TRANSMISSION_UNMATCHED, /* for no message under way */
    TRANSMISSION_MATCHED,   /* that is settled, unless this is the ACK of an older one */
    TRANSMISSION_RESPONDED, /* that is settled: a request, and what came is its response */
};

/* An ACK or RST of the peer. `token`: of the response in an ACK; NULL: it is empty. */
enum transmission_match transmission_answered(struct transmissions *transmissions,
                                              const struct coap_peer *peer, uint16_t message_id,
                                              enum transmission_outcome outcome,
                                              const struct octets *token, uint64_t now_ms);

/* Whether one with this key is under way or waits; the message id of the last one. */
bool transmission_find(const struct transmissions *transmissions, const struct coap_peer *peer,
                       enum transmission_kind kind, uint64_t key, uint16_t *message_id);

/* No more repetitions of this message, the first with this key, under way or waiting; nothing is
 * reported. For a request whose response has come before its ACK, an observer that has gone. False:
 * there is none. */
bool transmission_cancel(struct transmissions *transmissions, const struct coap_peer *peer,
                         enum transmission_kind kind, uint64_t key, uint64_t now_ms);

/* The session has gone: all its messages are reported CANCELLED. */
void transmission_forget(struct transmissions *transmissions, uint64_t session_id, uint64_t now_ms);

/* Messages of the peer that are not settled. */
size_t transmission_count(const struct transmissions *transmissions, const struct coap_peer *peer);

/* The round-trip time to the peer, smoothed, from messages that were not repeated; 0: not known, as
 * always over plain CoAP. It is kept in the session. */
uint32_t transmission_rtt_ms(const struct coap_peer *peer);

uint64_t transmission_next_ms(const struct transmissions *transmissions);
void transmission_run(struct transmissions *transmissions, uint64_t now_ms);

#endif
