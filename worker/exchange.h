/* Message deduplication (RFC 7252 sections 4.2, 4.3 and 4.5): which messages a peer has sent within
 * the last EXCHANGE_LIFETIME, and what the reply was.
 *
 * A reply that acknowledges a change is held until the change is in the store (DESIGN.md section 7,
 * invariant 2): pending. The exchanges of a session's changes are numbered; the number modulo
 * COAP_EXCHANGES_PER_PEER_MAX is the slot that the store keeps it in, so that a slot is written
 * again only when memory, too, has let go of what is in it.
 *
 * Bounded in all and per peer; where there is no room the oldest goes first, counted, unless it is
 * pending: then the new one is refused. Memory: a
 * pool of exchanges (120 octets each, replies up to EXCHANGE_INLINE_MAX octets inside), one of
 * peers (96) and one of chunks (128, EXCHANGE_CHUNK_SIZE of them payload) for what replies are
 * longer, each with about exchanges_max objects at most, and the slots of the peers' hash table:
 * when all is full 344 octets and 11 to 21 of slots for each of exchanges_max. Pools and slots grow
 * as they are used and are kept; nothing else is allocated. */
#ifndef HOLDFAST_WORKER_EXCHANGE_H
#define HOLDFAST_WORKER_EXCHANGE_H

#include "shared/address.h"
#include "shared/cursor.h"
#include "shared/hash.h"
#include "shared/limits.h"
#include "shared/pool.h"
#include "shared/status.h"
#include "shared/table.h"
#include "worker/exchange_value.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define EXCHANGE_INLINE_MAX 64
#define EXCHANGE_CHUNK_SIZE 120

/* The "source endpoint" of RFC 7252 section 4.4: a DTLS session, whatever address it has just
 * now; without one the address. */
struct exchange_endpoint {
    uint64_t session_id;    /* 0: plain CoAP */
    struct address address; /* counts when session_id is 0 */
};

struct exchange_chunk {
    struct exchange_chunk *next;
    uint8_t bytes[EXCHANGE_CHUNK_SIZE];
};

struct exchange_peer;

enum exchange_state {
    EXCHANGE_SILENT,   /* without reply: repetitions are ignored */
    EXCHANGE_PENDING,  /* the reply waits for the store; repetitions are ignored */
    EXCHANGE_ANSWERED, /* the reply answers repetitions too */
};

struct exchange {
    struct exchange *older, *newer; /* among all: in which order they came here */
    struct exchange *peer_newer;    /* among the peer's: by serial */
    struct exchange_peer *peer;
    struct exchange_chunk *chunks; /* what does not fit `bytes`, in order */
    uint64_t expires_ms;
    uint16_t message_id;
    uint16_t serial;       /* how many changes the peer had made before this message */
    uint16_t reply_length; /* 0 when it is EXCHANGE_SILENT */
    uint8_t state;         /* enum exchange_state */
    bool declined;         /* nobody wants the reply (RFC 7967) */
    uint8_t bytes[EXCHANGE_INLINE_MAX];
};

struct exchanges {
    struct table peers;
    struct pool peer_pool;
    struct pool exchange_pool;
    struct pool chunk_pool;
    struct exchange *oldest, *newest;
    uint64_t evicted; /* forgotten before their time for want of room */
    struct hash_key hash_key;
};

MUST_USE enum status exchanges_init(struct exchanges *exchanges, size_t exchanges_max,
                                    struct hash_key hash_key);
void exchanges_free(struct exchanges *exchanges);

/* The remembered exchange, or NULL. Expired ones are gone. */
struct exchange *exchange_find(struct exchanges *exchanges,
                               const struct exchange_endpoint *endpoint, uint16_t message_id,
                               uint64_t now_ms);

/* Remembers a message that exchange_find did not find, before it has any effect, so that no effect
 * is left without its memory. It is silent. `now_ms` never goes back. NULL: no memory, or what
 * would have to go is pending. */
struct exchange *exchange_open(struct exchanges *exchanges,
                               const struct exchange_endpoint *endpoint, uint16_t message_id,
                               uint64_t now_ms);

/* Stores the reply of an exchange without one; length at most COAP_MESSAGE_SIZE_MAX. Older
 * exchanges go to make room. False: no room, which the newest exchange always has unless a pending
 * one is in the way; its state stays what it is. */
bool exchange_store(struct exchanges *exchanges, struct exchange *exchange, const uint8_t *reply,
                    size_t length);

/* Where the store keeps this exchange if it is of a change. */
static inline uint8_t exchange_slot(const struct exchange *exchange)
{
    return exchange->serial % COAP_EXCHANGES_PER_PEER_MAX;
}

/* The exchange just stored is one of a change: pending from now on. */
void exchange_hold(struct exchange *exchange);
/* The reply is to come: pending from now on, though not of a change. */
void exchange_defer(struct exchange *exchange);
/* The store has it: answered, or silent if `repeatable` is false, which drops the reply. */
void exchange_settle(struct exchanges *exchanges, struct exchange *exchange, bool repeatable);
/* Forgets this one. */
void exchange_drop(struct exchanges *exchanges, struct exchange *exchange);

/* Remembers what the store kept for the endpoint, until expires_ms, in any order of serials; of two
 * with one message id the later change. STATUS_FULL: no room for it. */
MUST_USE enum status exchange_restore(struct exchanges *exchanges,
                                      const struct exchange_endpoint *endpoint,
                                      const struct exchange_value *value, uint64_t now_ms,
                                      uint64_t expires_ms);

/* Copies the stored reply out. */
void exchange_write(const struct exchange *exchange, struct writer *reply);

/* Forgets all of one peer. */
void exchange_forget(struct exchanges *exchanges, const struct exchange_endpoint *endpoint);

/* When there is one to let go of; UINT64_MAX: never. A restored one, which is not found any more
 * once it has expired, may stay until those that came before it go. */
uint64_t exchange_next_ms(const struct exchanges *exchanges);
void exchange_expire(struct exchanges *exchanges, uint64_t now_ms);

size_t exchange_count(const struct exchanges *exchanges);

#endif
