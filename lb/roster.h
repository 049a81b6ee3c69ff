/* The workers as the store lists them, for all threads of an lb. Thread 0 keeps the store, asks and
 * publishes; every thread takes the newest list over when it comes round. While the store does not
 * answer, the last list stays: who lives is decided by PINGs all the same. */
#ifndef HOLDFAST_LB_ROSTER_H
#define HOLDFAST_LB_ROSTER_H

#include "shared/limits.h"
#include "shared/metrics.h"
#include "shared/status.h"
#include "shared/store.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct roster_list {
    struct store_member members[WORKERS_MAX]; /* as membership_update wants them */
    size_t count;
};

struct roster {
    /* Thread 0's */
    struct store *store;
    struct metrics *metrics; /* rows as in lb/metrics.h */
    bool asked;
    bool is_away;    /* the last question was not answered with a list */
    uint64_t due_ms; /* of the next question, unless one is open */
    uint64_t asked_ms;
    /* All threads' */
    pthread_mutex_t lock;
    atomic_uint_fast64_t version; /* of `list`: 0 before the first; changed under the lock */
    struct roster_list list;
};

/* STATUS_SYSTEM: no lock to be had. Not to be moved; freed after the store, whose answers come
 * here. */
MUST_USE enum status roster_init(struct roster *roster, struct store *store,
                                 struct metrics *metrics);
void roster_free(struct roster *roster);

/* --- of thread 0 --- */

/* Asks for the list if that is due. The answer comes by store_run. */
void roster_run(struct roster *roster, uint64_t now_ms);
/* UINT64_MAX: not before the store's answer. */
uint64_t roster_next_ms(const struct roster *roster);
/* Something has happened that the store may know more of: the next question comes sooner. */
void roster_hurry(struct roster *roster);

/* --- of any thread --- */

/* True if there has been an answer since the list of *version; *list and *version are its then.
 * Begin with version 0. */
bool roster_take(struct roster *roster, uint64_t *version, struct roster_list *list);

/* --- pure --- */

/* The usable ones of what a store listed, at most WORKERS_MAX: with an id, and an address that can
 * be sent to. Of two entries with one address the later boot counts, for it has the address now.
 * Returns how many were left out. */
size_t roster_clean(struct roster_list *list, const struct store_member *listed, size_t count);

#endif
