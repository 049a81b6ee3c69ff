/* The store that all workers and lbs of a run share, as shared/store.h promises it: what it holds,
 * and how a question is carried out, one at a time. When it happens and whether the answer arrives
 * is store_link.h's. Written apart from the engines of shared/, so that it shares no mistake with
 * them; the rules of membership alone are theirs (shared/store_members.h). */
#ifndef HOLDFAST_TESTS_SIM_BACKEND_H
#define HOLDFAST_TESTS_SIM_BACKEND_H

#include "shared/store_members.h"
#include "tests/sim/question.h"
#include "tests/sim/rule.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct stored_session {
    struct cid cid;
    struct octets sealed;
    struct octets mark;
    struct octets exchanges[COAP_EXCHANGES_PER_PEER_MAX];
    struct octets relations[RELATIONS_PER_SESSION_MAX];
    uint64_t fence;
    uint64_t owner; /* the life that was given this fence */
    uint64_t sequence_next;
    bool has_address;
    struct address address;
    bool is_gone;
};

struct stored_identity {
    struct octets identity;
    struct octets sealed;
};

struct logged {
    struct cid cid;
    uint16_t message_id;
    struct octets payload;
};

struct stored_topic {
    struct octets name;
    struct octets value;
    uint64_t number;
    bool is_gone;
};

struct backend {
    enum rule broken;
    uint64_t now_ms;
    struct store_members members;
    uint64_t nonce_next[CID_CONFIGS_MAX];
    struct stored_session *sessions;
    size_t session_count;
    struct stored_identity *identities;
    size_t identity_count;
    struct logged *log;
    size_t log_count;
    struct stored_topic *topics; /* removed ones too, all of them */
    size_t topic_count;
    uint64_t change_newest;
};

void backend_free(struct backend *backend);

/* Fills in question->answer. */
void backend_carry_out(struct backend *backend, struct question *question);

struct stored_session *backend_find(struct backend *backend, const struct cid *cid);
struct stored_session *backend_find_address(struct backend *backend, const struct address *address);

/* What a save_exchange's event says. False: it is none. */
bool backend_read_event(struct octets event, struct logged *logged);

/* One more at the end of an array, zeroed. */
void *backend_append(void *array, size_t *count, size_t size);

/* --- backend_topic.c --- */

void backend_free_topics(struct backend *backend);
/* Of the kinds that are about topics. */
void backend_carry_out_topic(struct backend *backend, struct question *question);

#endif
