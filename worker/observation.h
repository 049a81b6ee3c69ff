/* Observations: Observe relations (RFC 7641) in which the device is the server and we the client.
 *
 *   observation_begin ─> REGISTERING ──2.05 with Observe──> SAVING ──stored──> HELD ─┐
 *                             └─────────── error, silence ──────> gone <── 4.xx ─────┤
 *                                            LEAVING <── observation_cancel ─────────┘
 *
 * Of a notification in blocks (RFC 7959 section 2.6) the first one comes by itself: the rest is
 * fetched (observation_fetch.c), and the whole becomes one event.
 *
 * Each is stored with its session, as is the number of its newest notification, in one step with
 * the event that the notification becomes; only then is a confirmable one acknowledged. So it
 * outlives addresses and workers: the token's first octet is the relation's slot, and whoever has
 * claimed the session knows the token. When Max-Age is over and nothing has come, the device is
 * asked again with the same token.
 *
 * No I/O but questions to the store, no clock. Bounded: OBSERVATIONS_PER_SESSION_MAX of a session,
 * OBSERVATIONS_MAX of a worker; notifications of one session by OBSERVATION_RATE and _BURST: what
 * exceeds them is as if it had not come, so that a confirmable one comes again later. Memory: pools
 * of 128 octets for each and 184 for each observed session, 17 KB for an event; from the heap the
 * target, and 16.5 KB for each of OBSERVATION_FETCHES_MAX notifications in blocks. */
#ifndef HOLDFAST_WORKER_OBSERVATION_H
#define HOLDFAST_WORKER_OBSERVATION_H

#include "shared/hash.h"
#include "shared/octets.h"
#include "shared/pool.h"
#include "shared/status.h"
#include "shared/store.h"
#include "shared/table.h"
#include "shared/wheel.h"
#include "worker/coap_endpoint.h"
#include "worker/errand.h"
#include "worker/relation_value.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define OBSERVATION_SLOT_FIRST (RELATIONS_PER_SESSION_MAX - OBSERVATIONS_PER_SESSION_MAX)

enum observation_outcome {
    OBSERVATION_BEGUN,
    OBSERVATION_CANCELLED,
    OBSERVATION_REFUSED,        /* by the device: result->code */
    OBSERVATION_NOT_OBSERVABLE, /* it answers, but keeps no relation */
    OBSERVATION_TOO_LARGE,      /* for an event: COAP_BODY_MAX */
    OBSERVATION_UNREACHED, /* the device does not answer, or not so that it can be understood */
    OBSERVATION_NOT_STORED,
    OBSERVATION_GONE, /* the session has left this worker */
};
struct observation_result {
    enum observation_outcome outcome;
    uint8_t slot;
    uint8_t code;
};
typedef void observation_done_fn(void *owner, uint64_t tag,
                                 const struct observation_result *result);
/* Who wants to know; told once, never from within the call that it was given to. */
struct observation_waiter {
    observation_done_fn *done; /* NULL: nobody */
    void *owner;
    uint64_t tag;
};

enum observation_state {
    OBSERVATION_REGISTERING, /* not stored */
    OBSERVATION_SAVING,      /* registered; the store has been asked */
    OBSERVATION_HELD,
    OBSERVATION_LEAVING, /* the store has been asked to forget it */
};

struct observation_peer;
struct observation_fetch;

struct observation {
    struct timer timer; /* the first member: the wheel gives it back */
    struct observation_peer *peer;
    char *target; /* NUL-terminated; owned */
    struct observation_fetch *fetch; /* of the newest notification, which is in blocks; or NULL */
    struct observation_waiter waiter;
    uint64_t heard_ms; /* our clock: RFC 7641 section 3.4's T1 */
    uint64_t heard_unix_ms;
    uint64_t expires_unix_ms;
    uint32_t number; /* of the newest notification that was taken ... */
    uint32_t stored; /* ... and of the newest that is known to be stored */
    bool has_number, has_stored;
    bool has_format;
    bool is_renewing; /* the device has been asked again */
    bool is_due; /* the store has a note that something was acknowledged which is not in the log */
    uint8_t failures; /* of that, in a row */
    uint8_t state;
    uint8_t slot;
    uint16_t format;
    uint8_t token[ERRAND_TOKEN_SIZE];
};

struct observations_options {
    struct coap *coap;
    struct errands *errands;
    struct store *store;
    struct hash_key hash_key;
    uint64_t seed; /* of random delays */
    /* The store says that the session is another's. */
    void (*lose)(void *owner, const struct cid *cid);
    void *owner;
};

struct observations {
    struct observations_options options;
    struct table peers; /* by session */
    struct pool peer_pool;
    struct pool pool;
    struct pool saves;
    struct wheel wheel;
    uint64_t random;
    size_t fetches;
    uint32_t last_fetch;
    uint8_t event[STORE_LONG_EVENT_MAX]; /* on its way to the store */
};

/* Not to be moved afterwards; free the store first. STATUS_NO_MEMORY. */
MUST_USE enum status observations_init(struct observations *observations,
                                       const struct observations_options *options, uint64_t now_ms);
void observations_free(struct observations *observations); /* tells nobody */

struct observation_wish {
    struct octets target; /* valid by worker/target.h */
    bool has_format;
    uint16_t format; /* Accept */
};
/* STATUS_EXISTS: the same is observed, or about to be; STATUS_FULL, STATUS_NO_MEMORY: counted. */
MUST_USE enum status observation_begin(struct observations *observations,
                                       const struct coap_peer *peer,
                                       const struct observation_wish *wish,
                                       const struct observation_waiter *waiter);
/* Out of the store, then the device is told. STATUS_NOT_FOUND: nothing in that slot is held;
 * STATUS_FULL: the store takes no question now. */
MUST_USE enum status observation_cancel(struct observations *observations, uint64_t session_id,
                                        uint8_t slot, const struct observation_waiter *waiter);
/* What is in the slot; NULL: nothing. */
const struct observation *observation_find(const struct observations *observations,
                                           uint64_t session_id, uint8_t slot);
bool observation_has(const struct observations *observations, uint64_t session_id);

/* One that the claim of its session has brought, role RELATION_OBSERVATION. */
MUST_USE enum status observation_restore(struct observations *observations,
                                         const struct coap_peer *peer, uint8_t slot,
                                         const struct relation_value *value);
/* The session leaves this worker. Before errand_forget and coap_forget. */
void observation_forget(struct observations *observations, uint64_t session_id);

/* For struct coap_party. Of a response that no errand waits for. */
enum coap_heard observation_hear(struct observations *observations, const struct coap_peer *peer,
                                 const struct message *response);

uint64_t observation_next_ms(const struct observations *observations);
void observation_run(struct observations *observations, uint64_t now_ms);

#endif
