/* What is observed (RFC 7641 section 1.1): a resource in one representation, its newest state as
 * the octets that every notification of it ends with, and the list of its observers.
 *
 * Memory: SUBJECT_SIZE_MAX octets of pool for each subject, and while it has a state one of
 * SUBJECT_STATE_MAX; 11 to 21 of slots for each path. */
#ifndef HOLDFAST_WORKER_SUBJECT_H
#define HOLDFAST_WORKER_SUBJECT_H

#include "shared/hash.h"
#include "shared/limits.h"
#include "shared/octets.h"
#include "shared/pool.h"
#include "shared/status.h"
#include "shared/table.h"
#include "shared/wheel.h"
#include "worker/message.h"
#include "worker/relation_value.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SUBJECT_SIZE_MAX 392
/* Code, options and payload; a notification has a header and a token of its own. */
#define SUBJECT_STATE_MAX (COAP_MESSAGE_SIZE_MAX - MESSAGE_HEADER_SIZE - MESSAGE_TOKEN_LENGTH_MAX)

struct observer;

/* Two requests with equal keys get equal representations. */
struct subject_key {
    struct octets target; /* as in struct relation_value: path and query, at most
                             RELATION_TARGET_MAX octets */
    bool has_format;
    uint16_t format;        /* Accept; 0 unless has_format */
    uint8_t block_exponent; /* of Block2, or RELATION_BLOCK_NONE */
};

struct subject {
    struct timer retry;         /* first: a timer of the wheel is its subject */
    struct subject *same_path;  /* the next of one path, with another query or format */
    struct observer *observers; /* the newest first */
    struct observer *next_told; /* while a change goes round: who is next */
    size_t observer_count;
    size_t untold_count;        /* how many the change has yet to reach */
    struct subject *next_going; /* those whose change goes round, a ring */
    uint8_t *state;             /* the message behind its token; NULL: not known yet */
    uint64_t version;           /* the resource's own number of its state, or 0 */
    uint32_t number;            /* Observe value of the state, 24 bits */
    uint16_t state_length;
    uint8_t generation; /* of the state: how many there have been */
    uint8_t behind;     /* how many an observer may have missed; stops at 255 */
    uint16_t format;
    uint8_t code; /* of the state */
    uint8_t block_exponent;
    uint8_t path_length; /* of the target, up to its query */
    uint8_t target_length;
    bool has_format : 1;
    bool has_number : 1; /* `number` has been sent to somebody */
    bool rendering : 1;  /* the state is being asked for */
    bool changed : 1;    /* ... and has changed since */
    bool going : 1;      /* is in the ring */
    bool for_all : 1;    /* ... and all are owed the state, or only those who wait for it */
    uint8_t target[RELATION_TARGET_MAX];
};
_Static_assert(sizeof(struct subject) <= SUBJECT_SIZE_MAX, "as the header says");

struct subjects {
    struct table by_path; /* the first of each path */
    struct pool pool;
    struct pool states;
    struct hash_key hash_key;
};

/* STATUS_NO_MEMORY. */
MUST_USE enum status subjects_init(struct subjects *subjects, size_t subjects_max,
                                   struct hash_key hash_key);
void subjects_free(struct subjects *subjects);

/* The first subject of a path ("/ps/room"), the others by same_path; NULL: nobody observes it. */
struct subject *subject_by_path(const struct subjects *subjects, struct octets path);
struct subject *subject_find(const struct subjects *subjects, const struct subject_key *key);
/* The one of the key, or a new one. NULL: no room, or no key. */
struct subject *subject_get(struct subjects *subjects, const struct subject_key *key);
/* Without observers, not rendering and not going. */
void subject_release(struct subjects *subjects, struct subject *subject);

static inline struct subject_key subject_key_of(const struct subject *subject)
{
    return (struct subject_key){
        .target = {subject->target, subject->target_length},
        .has_format = subject->has_format,
        .format = subject->format,
        .block_exponent = subject->block_exponent,
    };
}
static inline struct octets subject_path(const struct subject *subject)
{
    return (struct octets){subject->target, subject->path_length};
}

/* The state from now on: what a notification carries behind its token, at most SUBJECT_STATE_MAX.
 * False: no room; there is no state then. */
bool subject_set_state(struct subjects *subjects, struct subject *subject, uint8_t code,
                       struct octets state);

/* The number that a state of this version (0: the resource has none) is sent with.
 *
 * "the 24 least significant bits of a strictly increasing sequence number. The sequence number MAY
 * start at any value and MUST NOT increase so fast that it increases by more than 2^23 within less
 * than 256 seconds" (RFC 7641 section 4.4). A version is a number that every worker knows; without
 * one the wall clock's ms, which gain 2^18 in that time. */
uint32_t subject_next_number(const struct subject *subject, uint64_t version, uint64_t unix_ms);

/* Whether a comes after b (RFC 7641 section 3.4). */
static inline bool subject_number_follows(uint32_t a, uint32_t b)
{
    return ((a - b) & RELATION_NUMBER_MAX) != 0 &&
           ((a - b) & RELATION_NUMBER_MAX) < (RELATION_NUMBER_MAX + 1u) / 2;
}

#endif
