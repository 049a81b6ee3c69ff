/* Requests whose handler answers later: what their replies need, and when what is due. Memory: a
 * pool of at most deferrals_max objects of about 1.4 KB, and the slots of a hash table; they grow
 * as they are used and are kept. */
#ifndef HOLDFAST_WORKER_DEFERRAL_H
#define HOLDFAST_WORKER_DEFERRAL_H

#include "shared/limits.h"
#include "shared/pool.h"
#include "shared/status.h"
#include "shared/table.h"
#include "shared/wheel.h"
#include "worker/coap_peer.h"
#include "worker/message.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct deferral {
    struct timer timer; /* the first member: the wheel gives it back */
    uint64_t ticket;    /* names it; never reused */
    struct coap_peer peer;
    uint64_t expires_ms;
    size_t request_length; /* of the whole message */
    bool proven;           /* the peer has shown that it gets what is sent to its address */
    bool acknowledged;     /* the empty ACK has gone */
    bool observing;        /* a registration: the answer has Observe */
    bool rendering;        /* nobody's request: the answer is for observers */
    uint16_t length;       /* of `bytes` */
    uint8_t bytes[COAP_MESSAGE_SIZE_MAX]; /* the request less its payload */
};

struct deferrals {
    struct table by_ticket;
    struct pool pool;
    struct wheel wheel;
    struct hash_key hash_key;
};

MUST_USE enum status deferrals_init(struct deferrals *deferrals, size_t deferrals_max,
                                    struct hash_key hash_key);
void deferrals_free(struct deferrals *deferrals);

bool deferral_has_room(const struct deferrals *deferrals);
struct deferral_due {
    uint64_t acknowledged_ms; /* its empty ACK, if it is confirmable */
    uint64_t expires_ms;      /* its end */
};
/* NULL: no room. */
struct deferral *deferral_open(struct deferrals *deferrals, const struct coap_peer *peer,
                               const struct message *request, uint64_t ticket,
                               const struct deferral_due *due);
/* NULL: there is none (any more). */
struct deferral *deferral_find(const struct deferrals *deferrals, uint64_t ticket);
/* The request, a view; its payload is missing, its length is what it was. */
void deferral_request(const struct deferral *deferral, struct message *request);
void deferral_close(struct deferrals *deferrals, struct deferral *deferral);
/* Closes all of the session. */
void deferral_forget(struct deferrals *deferrals, uint64_t session_id);

uint64_t deferral_next_ms(const struct deferrals *deferrals);
/* One that is due: its empty ACK, then, at expires_ms, its end. NULL: no more. The caller either
 * acknowledges or closes it. */
struct deferral *deferral_take(struct deferrals *deferrals, uint64_t now_ms);
/* The empty ACK has gone. */
void deferral_acknowledge(struct deferrals *deferrals, struct deferral *deferral);

#endif
