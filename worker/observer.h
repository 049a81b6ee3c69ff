/* Observers (RFC 7641 section 4): who wants to be told of which subject, and telling them.
 *
 *   GET ──observer_add──> joining ──observer_joined──> listed ──> gone: by GET, by RST, by timeout,
 *                                                                 or since the resource is
 *   change ──subject_changed──> options.render ──subject_rendered──> one by one: NON or CON
 *
 * At most one notification to a peer is outstanding (section 4.5.1): a confirmable one until its
 * outcome is known, a non-confirmable one for the peer's RTT, or OBSERVE_PACE_MS where no estimate
 * is there. What changes meanwhile is told once, in its newest state: when the outstanding one has
 * its outcome, or in the place of its next repetition (section 4.5.2).
 *
 * Protocol only: messages leave, and states are asked for, through the options.
 *
 * Memory of one relation: 56 octets, and for each peer 48 and a slot of 11 to 21 in a table: at
 * most OBSERVER_SIZE_MAX (128) where each peer has one. Subjects come on top (subject.h). */
#ifndef HOLDFAST_WORKER_OBSERVER_H
#define HOLDFAST_WORKER_OBSERVER_H

#include "shared/metrics.h"
#include "worker/coap.h"
#include "worker/coap_peer.h"
#include "worker/metrics.h"
#include "worker/subject.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define OBSERVER_SIZE_MAX 128
#define OBSERVER_GENERATION_BITS 5
#define OBSERVER_GENERATIONS (1u << OBSERVER_GENERATION_BITS)
#define OBSERVER_SLOT_MAX 22 /* octets of table for a peer, not growing */

struct observer_peer;

/* An entry of a subject's list: "the endpoint/token pair" (RFC 7641 section 4.1). */
struct observer {
    struct observer *next; /* among the subject's */
    struct observer **link;
    struct observer *peer_next; /* among the peer's: who has waited longest first */
    struct observer_peer *peer;
    struct subject *subject;
    uint8_t token[MESSAGE_TOKEN_LENGTH_MAX];
    uint16_t message_id; /* of the newest notification */
    uint8_t unconfirmed; /* notifications since the last confirmed one; stops at 255 */
    uint8_t token_length : 4;
    uint8_t joining : 3;       /* registrations whose replies are held */
    bool told : 1;             /* message_id is set */
    uint32_t confirmed_s : 17; /* low bits of when the peer last showed that it lives */
    uint32_t slot : 5;         /* in the store; of plain CoAP meaningless */
    uint32_t owed : 1;         /* has not been sent the newest state */
    uint32_t doubtful : 1;     /* the next notification has to be confirmable */
    uint32_t confirming : 1;   /* its confirmable notification is outstanding */
    uint32_t leaving : 1;      /* that one was the last */
    uint32_t generation : OBSERVER_GENERATION_BITS; /* of the state that it was told last */
    uint32_t listed : 1; /* its peer has been told so, and over DTLS the store */
};

struct observer_peer {
    struct timer timer; /* first: a timer of the wheel is its peer */
    struct observer *first;
    void *who;        /* struct session, or a struct coap_peer of plain CoAP */
    uint32_t free_ms; /* low bits of when the next notification may go */
    bool is_plain : 1;
    bool confirming : 1; /* a confirmable notification is outstanding */
    bool knows_rtt : 1;  /* free_ms was reckoned by it */
    bool waited : 1;     /* a change has had to wait for want of it, or for one that is old */
    uint8_t measured_s;  /* low bits of when it was measured last */
};

_Static_assert(sizeof(struct observer) + sizeof(struct observer_peer) + OBSERVER_SLOT_MAX <=
                   OBSERVER_SIZE_MAX,
               "as the header says");
_Static_assert(OBSERVE_CONFIRM_S_MAX < 1 << 17, "its age can be told");
_Static_assert(OBSERVERS_PER_PEER_MAX <= 32, "slots");

enum observer_end {
    OBSERVER_DEREGISTERED,
    OBSERVER_RESET,
    OBSERVER_TIMED_OUT,
    OBSERVER_GONE, /* the subject's last state is no success */
    OBSERVER_NOT_STORED,
    OBSERVER_ENDS
};

/* What became of a confirmable notification. */
enum observer_outcome {
    OBSERVER_ACKNOWLEDGED,
    OBSERVER_REJECTED, /* RST */
    OBSERVER_UNANSWERED,
    OBSERVER_OUTDATED, /* likewise, but the peer has acknowledged an older state meanwhile */
    OBSERVER_UNSENT,   /* taken back before it had an outcome */
};

struct observers_options {
    struct hash_key hash_key;
    size_t observers_max;
    size_t subjects_max;
    uint32_t confirm_s;    /* at least one confirmable notification in so many s, 1 to
                              OBSERVE_CONFIRM_S_MAX; changed or not */
    uint8_t confirm_every; /* and each so many notifications; 0: no matter how many */
    struct metrics *metrics;

    uint16_t (*message_id)(void *owner, const struct coap_peer *peer);
    uint32_t (*rtt_ms)(void *owner, const struct coap_peer *peer); /* 0: not known */
    /* A non-confirmable message to the peer. */
    void (*notify)(void *owner, const struct coap_peer *peer, const uint8_t *message,
                   size_t length);
    /* A confirmable one, to be repeated as RFC 7252 section 4.2 says; observer_confirmed is told
     * once, later, what became of it. False: no room, nothing was sent. */
    bool (*confirm)(void *owner, const struct coap_peer *peer, uint8_t slot, const uint8_t *message,
                    size_t length);
    /* From observer_repeats: this one goes in the place of that. False: no room for it. */
    bool (*renew)(void *owner, const struct coap_peer *peer, const uint8_t *message, size_t length);
    /* The entry has gone: no more of that, nor of replies to its registrations; observer_confirmed
     * and observer_replied are not told. */
    void (*unconfirm)(void *owner, const struct coap_peer *peer, uint8_t slot);
    /* Whether a reply to one of its registrations waits, or waits for its acknowledgement; the
     * message id of the newest. */
    bool (*is_replying)(void *owner, const struct coap_peer *peer, uint8_t slot,
                        uint16_t *message_id);
    /* Wants the present state of a subject: subject_rendered or subject_not_rendered is called,
     * once, now or later; until then the subject stays. */
    void (*render)(void *owner, struct subject *subject);
    /* The relation is over, and is to leave the store. */
    void (*ended)(void *owner, const struct coap_peer *peer, uint8_t slot);
    void *owner;
};

struct observers {
    struct observers_options options;
    struct subjects subjects;
    struct table peers;
    struct pool peer_pool;
    struct pool plain_pool;
    struct pool pool;
    struct wheel wheel;    /* of peers */
    struct wheel retries;  /* of subjects */
    struct subject *going; /* the last of a ring of subjects whose change goes round */
    uint64_t batch_ms;     /* when it goes on */
    struct coap_now now;   /* of the call under way */
    uint8_t message[COAP_MESSAGE_SIZE_MAX];
};

/* STATUS_NO_MEMORY. */
MUST_USE enum status observers_init(struct observers *observers,
                                    const struct observers_options *options, uint64_t now_ms);
void observers_free(struct observers *observers);

/* --- the list; tokens are of at most MESSAGE_TOKEN_LENGTH_MAX octets --- */

/* A registration whose reply is held until observer_joined: is told of changes from then on. An
 * entry of the peer with this token is moved here. NULL: no room; the reply must have no Observe.
 */
struct observer *observer_add(struct observers *observers, const struct coap_peer *peer,
                              struct octets token, const struct subject_key *key,
                              struct coap_now now);
/* The Observe value of the reply, whose state has this version (subject.h). */
uint32_t observer_number(struct observers *observers, struct observer *observer, uint64_t version);
/* The reply leaves, with Observe. Nothing if the entry is gone. */
void observer_joined(struct observers *observers, const struct coap_peer *peer, struct octets token,
                     struct coap_now now);
struct observer *observer_find(const struct observers *observers, const struct coap_peer *peer,
                               struct octets token);
/* Takes it off the list; nothing if there is none. */
void observer_cancel(struct observers *observers, const struct coap_peer *peer, struct octets token,
                     enum observer_end why, struct coap_now now);
/* What the store holds of the session's observers, one by one, when it has been adopted; its role
 * is RELATION_OBSERVER. What has changed since is told at once, confirmably. STATUS_FULL. */
MUST_USE enum status observer_restore(struct observers *observers, const struct coap_peer *peer,
                                      uint8_t slot, const struct relation_value *value,
                                      struct coap_now now);
/* What goes to the store. */
void observer_describe(const struct observer *observer, struct coap_now now,
                       struct relation_value *value);
/* The session leaves this worker's memory: so do its entries, and stay in the store. */
void observers_forget(struct observers *observers, const struct coap_peer *peer);
/* Whether the peer is told of anything. */
bool observers_has_peer(const struct observers *observers, const struct coap_peer *peer);
bool observers_has_slot(const struct observers *observers, const struct coap_peer *peer,
                        uint8_t slot);
size_t observers_count(const struct observers *observers);

/* --- what the peer says to a notification --- */

/* A Reset for a message of ours that was not confirmable. True: it was the newest notification of
 * an observer, who is off the list. */
bool observer_reset(struct observers *observers, const struct coap_peer *peer, uint16_t message_id,
                    struct coap_now now);
/* Its confirmable notification is about to be repeated. */
void observer_repeats(struct observers *observers, const struct coap_peer *peer, uint8_t slot,
                      struct coap_now now);
void observer_confirmed(struct observers *observers, const struct coap_peer *peer, uint8_t slot,
                        enum observer_outcome outcome, struct coap_now now);
/* What became of the reply to a registration, as a confirmable message of its own: that is a
 * notification, too (RFC 7641 section 4.2). */
void observer_replied(struct observers *observers, const struct coap_peer *peer, uint8_t slot,
                      uint16_t message_id, enum observer_outcome outcome, struct coap_now now);

/* --- changes --- */

/* The resource at this path has another state. */
void subject_changed(struct observers *observers, struct octets path, struct coap_now now);
/* Any resource below this path ("/ps") may have. */
void subjects_changed(struct observers *observers, struct octets path, struct coap_now now);
/* The answer to options.render: what follows the token, with `number` (subject_next_number) as its
 * Observe value. The number that the observers know already, of a resource that has versions, is no
 * change. A code that is no success has no number and is the last that the observers hear. */
void subject_rendered(struct observers *observers, struct subject *subject, uint8_t code,
                      uint32_t number, bool has_version, struct octets state, struct coap_now now);
/* It could not be had now; it will be asked for again. */
void subject_not_rendered(struct observers *observers, struct subject *subject,
                          struct coap_now now);

/* Takes all observers of the path off the list, without a word to them. */
void subject_abandon(struct observers *observers, struct octets path);

/* --- time --- */

void observers_run(struct observers *observers, struct coap_now now);
/* When observers_run must be called; UINT64_MAX: no need. */
uint64_t observers_next_ms(const struct observers *observers);

#endif
