/* The checks. What is watched is what leaves a worker, what the store carries out and what a device
 * hears; of a worker's inside only the replay windows are looked at. */
#ifndef HOLDFAST_TESTS_SIM_ORACLE_H
#define HOLDFAST_TESTS_SIM_ORACLE_H

#include "shared/protect.h"
#include "shared/replay.h"
#include "shared/suite.h"
#include "tests/sim/interest.h"
#include "tests/sim/question.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct sim;
struct node;
struct interest;
struct device;
struct session;

/* X(ENUM, name, what it says) */
#define INVARIANTS(X)                                                                            \
    X(NONE, "none", "nothing was violated")                                                      \
    X(NONCE, "nonce", "a number or an explicit nonce is sealed with once under a key")           \
    X(COMMIT, "commit", "what a device saw acknowledged is in the log, once")                    \
    X(OWNER, "owner", "who writes with a fence is whom the store gave it to, and the last one")  \
    X(REPLAY, "replay", "a record counts twice only if the store could not know of it")          \
    X(MARK, "mark", "a window that moves is on its way to the store in time")                    \
    X(REPLY, "reply", "a repeated change is answered with the same octets")                      \
    X(SESSION, "session", "a session that is in the store is served, without a handshake")       \
    X(OWED, "owed", "who observes a topic learns its newest state, however workers come and go") \
    X(ORDER, "order", "a state has the store's number, and what counts as newer is newer")       \
    X(CANCEL, "cancel", "what a worker was asked to end it tells nobody of")                     \
    X(DEAF, "deaf", "who hears nothing any more is off every list in the end")

enum invariant {
#define INVARIANT_ENUM(id, name, what) INVARIANT_##id,
    INVARIANTS(INVARIANT_ENUM)
#undef INVARIANT_ENUM
        INVARIANTS_COUNT
};

/* One end of a handshake: what a device's session seals its records with. */
struct keyed {
    size_t device;
    const struct suite *suite;
    struct record_keys keys;
    uint8_t peer_cid_length;
    struct sealed *sealed;
    size_t sealed_count;
    size_t sealed_size;
};
struct sealed {
    uint64_t sequence;
    uint64_t nonce; /* explicit */
};

/* A session in the memory of a worker. */
struct holding {
    uint64_t life;
    uint64_t session_id;
    struct cid cid;
    struct replay seen; /* as last looked at */
    /* Since when records are not on their way to the store; UINT64_MAX: all are. */
    uint64_t unsaved_since_ms;
    uint64_t changed_since_ms; /* of those that are not known to have changed nothing */
    bool is_first_change;      /* the last look has set changed_since_ms */
};

/* A session's history. */
struct accepted {
    uint64_t sequence;
    uint64_t fence;
};
struct claimed {
    uint64_t fence;
    struct replay stored; /* what the store knew when it gave it */
};
struct history {
    struct cid cid;
    uint64_t fence; /* the last that the store gave, and to whom */
    uint64_t owner;
    struct replay stored; /* as the store has confirmed it */
    struct claimed *claimed;
    size_t claimed_count;
    struct accepted *accepted;
    size_t accepted_count;
};

/* What a topic said, with the number that the store gave. */
struct change {
    size_t topic;
    uint64_t number;
    char payload[160];
    size_t length;
};
/* A relation that a worker has ended, by its own word: a reply without Observe. */
struct ended {
    uint64_t life;
    uint64_t session_id;
    uint8_t token[INTEREST_TOKEN_LENGTH];
};

/* The newest GET with Observe of this token that has come to a worker. */
struct wish {
    uint64_t life;
    uint64_t session_id;
    uint8_t token[INTEREST_TOKEN_LENGTH];
    bool registers;
    uint16_t message_id;
};

/* A confirmable state that has left a worker: what it repeats of that later tells nothing new. */
struct told {
    uint64_t life;
    uint64_t session_id;
    uint16_t message_id;
};

struct oracle {
    struct protector protector;
    struct keyed *keyed;
    size_t keyed_count;
    struct holding *holdings;
    size_t holding_count;
    struct history *histories;
    size_t history_count;
    struct change *changes;
    size_t change_count;
    struct wish *wishes;
    size_t wish_count;
    struct ended *ended;
    size_t ended_count;
    struct told *told;
    size_t told_count;
};

void oracle_init(struct oracle *oracle);
void oracle_free(struct oracle *oracle);

/* --- from the store --- */
void oracle_mark_asked(struct sim *sim, uint64_t life, const struct cid *cid);
void oracle_carried_out(struct sim *sim, const struct question *question);

/* --- from workers --- */
void oracle_sealed(struct sim *sim, const struct node *node, const struct address *to,
                   const uint8_t *datagram, size_t length);
/* What the record said that the last look found in the session's window. */
void oracle_heard(struct sim *sim, const struct node *node, const struct session *session,
                  const uint8_t *message, size_t length);
/* Compares each window with what it was. */
void oracle_look(struct sim *sim, const struct node *node);
void oracle_adopted(struct sim *sim, const struct node *node, const struct session *session);
void oracle_left(struct sim *sim, const struct node *node, const struct session *session);
void oracle_ended(struct sim *sim, uint64_t life);

/* --- from devices --- */
/* Its keys, before they are gone. */
void oracle_learn_keys(struct sim *sim, struct device *device);
void oracle_acknowledged(struct sim *sim, uint16_t message_id, const char *payload);
/* A client that calls its handshake done: its session is in the store. */
void oracle_connected(struct sim *sim, struct device *device);
void oracle_end(struct sim *sim);

/* --- topics: oracle_topic.c --- */

/* From the store: a put_topic was carried out. */
void oracle_published(struct sim *sim, const struct question *question);
/* From workers: CoAP messages in and out. */
void oracle_asked(struct sim *sim, const struct node *node, const struct session *session,
                  const uint8_t *bytes, size_t length);
void oracle_said(struct sim *sim, const struct node *node, const struct session *session,
                 const uint8_t *bytes, size_t length);
/* From devices: a state, with this number; which change it is. False: none. */
bool oracle_told(struct sim *sim, const struct device *device, const struct interest *interest,
                 uint32_t number, struct octets payload, size_t *at);
void oracle_confirmed(struct sim *sim, size_t topic, const char *payload);
size_t oracle_newest_change(const struct sim *sim, size_t topic);
/* Whoever knows less than the newest state of what it observes is owed it. */
void oracle_end_topics(struct sim *sim);
struct stored_session;
/* A session that nobody has any more, with somebody who tells it of something: a worker, or an heir
 * to come, since the store has its relation. NULL: there is none. */
const struct stored_session *oracle_find_told(struct sim *sim);
/* Of a device's session in the store; 0: it is not there. */
uint64_t oracle_fence(struct sim *sim, const struct device *device);

#endif
