/* Message deduplication (RFC 7252 sections 4.2, 4.3 and 4.5): which messages a peer has sent within
 * the last EXCHANGE_LIFETIME, and what the reply was.
 *
 * Bounded in all and per peer; where there is no room the oldest goes first, counted. Memory: a
 * pool of exchanges (120 octets each, replies up to EXCHANGE_INLINE_MAX octets inside), one of
 * peers (64) and one of chunks (128, EXCHANGE_CHUNK_SIZE of them payload) for what replies are
 * longer, each with about exchanges_max objects at most, and the slots of the peers' hash table:
 * when all is full 312 octets and 11 to 21 of slots for each of exchanges_max. Pools and slots grow
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

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define EXCHANGE_INLINE_MAX 68
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

struct exchange {
    struct exchange *older, *newer; /* among all */
    struct exchange *peer_newer;    /* among the peer's */
    struct exchange_peer *peer;
    struct exchange_chunk *chunks; /* what does not fit `bytes`, in order */
    uint64_t expires_ms;
    uint16_t message_id;
    uint16_t reply_length; /* 0: no reply (yet) */
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
 * is left without its memory. `now_ms` never goes back. NULL without memory. */
struct exchange *exchange_open(struct exchanges *exchanges,
                               const struct exchange_endpoint *endpoint, uint16_t message_id,
                               uint64_t now_ms);

/* Stores the reply of the newest exchange, just opened; length at most COAP_MESSAGE_SIZE_MAX. Older
 * exchanges go to make room. Without memory it is left without reply: duplicates are then ignored,
 * never processed. */
void exchange_store(struct exchanges *exchanges, struct exchange *exchange, const uint8_t *reply,
                    size_t length);

/* Copies the stored reply out. */
void exchange_write(const struct exchange *exchange, struct writer *reply);

/* Forgets all of one peer. */
void exchange_forget(struct exchanges *exchanges, const struct exchange_endpoint *endpoint);

/* When the next one expires; UINT64_MAX: none. */
uint64_t exchange_next_ms(const struct exchanges *exchanges);
void exchange_expire(struct exchanges *exchanges, uint64_t now_ms);

size_t exchange_count(const struct exchanges *exchanges);

#endif
