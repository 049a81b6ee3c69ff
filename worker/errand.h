/* Requests of ours to devices, until their responses are whole (RFC 7252 sections 5.2 and 5.3): the
 * device is the server here. Confirmable, each with a token that nobody can guess; a body that is
 * longer than one message leaves in blocks, and so may the response's come (RFC 7959); a challenge
 * by Echo is answered once (RFC 9175 section 2.3). One message of them is under way to a device at
 * a time: NSTART, kept by worker/transmission.h. No I/O, no clock.
 *
 * Bounded: ERRANDS_MAX in all, ERRANDS_PER_PEER_MAX of one device, and in time. Memory: a pool of
 * at most ERRANDS_MAX objects of about 600 octets, 11 to 21 of slots; and from the heap, for as
 * long as an errand lasts, its body and COAP_BODY_MAX octets for a response that comes in blocks.
 */
#ifndef HOLDFAST_WORKER_ERRAND_H
#define HOLDFAST_WORKER_ERRAND_H

#include "shared/hash.h"
#include "shared/octets.h"
#include "shared/pool.h"
#include "shared/status.h"
#include "shared/table.h"
#include "shared/wheel.h"
#include "worker/coap_endpoint.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ERRAND_TOKEN_SIZE 8
/* The first octet of a token is the slot of an observation, or from this on an errand's own. */
#define ERRAND_TOKEN_FIRST 0x80
_Static_assert(RELATIONS_PER_SESSION_MAX <= ERRAND_TOKEN_FIRST, "a slot is no errand's octet");

enum errand_outcome {
    ERRAND_ANSWERED,
    ERRAND_TIMED_OUT, /* nothing came, or nothing but an ACK */
    ERRAND_RESET,     /* the device cannot make sense of the message */
    ERRAND_CANCELLED, /* the session has left this worker */
    ERRAND_REJECTED, /* a critical option that we do not know, or blocks that do not fit together */
    ERRAND_TOO_LARGE, /* the response, over COAP_BODY_MAX */
    ERRAND_NO_ROOM,   /* for its next message, or for the response */
};

/* Valid during the call. */
struct errand_result {
    enum errand_outcome outcome;
    const struct coap_peer *peer;
    const struct message *response; /* ERRAND_ANSWERED: the last, whose options count */
    struct octets body;
    bool has_observe; /* of the first response */
    uint32_t observe;
    uint16_t message_id; /* likewise */
};
/* COAP_HEARD; or, if result->response is there, COAP_HEARD_LATER: its ACK waits for
 * coap_acknowledge. */
typedef enum coap_heard errand_done_fn(void *owner, uint64_t tag,
                                       const struct errand_result *result);

struct download;
struct errand_request {
    uint8_t method;
    struct octets target; /* worker/target.h: valid */
    const uint8_t *token; /* ERRAND_TOKEN_SIZE octets; NULL: one is drawn */
    bool has_observe, has_format, has_accept;
    uint8_t observe; /* RFC 7641 section 2 */
    uint16_t format, accept;
    struct octets body;   /* at most COAP_BODY_MAX */
    bool is_first_only;   /* of a response in blocks the first one is the answer */
    /* Where a response came otherwise, in blocks, what there is of it: the rest is asked for. It is
     * copied; its space stays the caller's, holds the result's body, and outlives the errand. */
    const struct download *begun;
    errand_done_fn *done; /* once, never from within errand_begin */
    void *owner;
    uint64_t tag;
};

struct errand;

struct errands {
    struct coap *coap;
    struct table by_token;
    struct pool pool;
    struct wheel wheel;
    struct hash_key hash_key;
    struct errand *first;
    uint8_t message[COAP_MESSAGE_SIZE_MAX];
};

/* Not to be moved afterwards. STATUS_NO_MEMORY. */
MUST_USE enum status errands_init(struct errands *errands, struct coap *coap,
                                  const struct hash_key *hash_key, uint64_t now_ms);
void errands_free(struct errands *errands); /* tells nobody */

/* STATUS_FULL: no room, counted; STATUS_NO_MEMORY; STATUS_TOO_LONG. */
MUST_USE enum status errand_begin(struct errands *errands, const struct coap_peer *peer,
                                  const struct errand_request *request);

/* Ends it, and tells nobody. False: there is none of this party and tag. */
bool errand_cancel(struct errands *errands, errand_done_fn *done, const void *owner, uint64_t tag);

/* For struct coap_party, kind TRANSMISSION_REQUEST. */
void errand_settled(struct errands *errands, const struct transmission_report *report);
enum coap_heard errand_hear(struct errands *errands, const struct coap_peer *peer,
                            const struct message *response);

/* The session leaves this worker: its errands are told so. Before coap_forget. */
void errand_forget(struct errands *errands, uint64_t session_id);

uint64_t errand_next_ms(const struct errands *errands);
void errand_run(struct errands *errands, uint64_t now_ms);

#endif
