/* Bodies on their way in blocks: requests that arrive (Block1, RFC 7959 section 2.5) until they are
 * whole, and replies that leave (Block2) until the last block has been asked for, where running the
 * handler again would do its work twice.
 *
 * A transfer belongs to a DTLS session whatever its address, or for plain CoAP to an address, and
 * to one request (block_request_key). It lives in the memory of this worker alone: if that dies,
 * the next block finds nothing and gets 4.08, so that no body is ever put together from two.
 *
 * Bounded in number (transfers_max; COAP_BODIES_PER_PEER_MAX of one peer), in size (COAP_BODY_MAX
 * each; chunks_max chunks in all) and in time (COAP_BODY_IDLE_MS after the newest block,
 * COAP_BODY_LIFETIME_MS after the first). Where there is no room the oldest goes, which counts as
 * abandoned. Memory: chunks_max times BODY_CHUNK_SIZE + 8 octets, transfers_max times 120 for the
 * transfer and 56 for its peer, and 11 to 21 of slots; pools grow as they are used and are kept. */
#ifndef HOLDFAST_WORKER_BODY_H
#define HOLDFAST_WORKER_BODY_H

#include "shared/cursor.h"
#include "shared/hash.h"
#include "shared/limits.h"
#include "shared/octets.h"
#include "shared/pool.h"
#include "shared/status.h"
#include "shared/table.h"
#include "worker/block.h"
#include "worker/exchange.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BODY_CHUNK_SIZE 1016

enum body_kind { BODY_REQUEST, BODY_REPLY };

/* Why a transfer ended without its last block. */
enum body_loss {
    BODY_LOST_TIME,      /* its time is over */
    BODY_LOST_ROOM,      /* it was the oldest, and room was needed */
    BODY_LOST_RESTARTED, /* the peer began anew */
    BODY_LOST_PEER,      /* its session is gone */
    BODY_LOSSES
};

struct body;
struct body_peer;

struct bodies {
    struct table peers;
    struct pool peer_pool;
    struct pool body_pool;
    struct pool chunk_pool;
    struct body *oldest, *newest; /* by last use */
    uint64_t lost[BODY_LOSSES];
    struct hash_key hash_key;
};

MUST_USE enum status bodies_init(struct bodies *bodies, size_t transfers_max, size_t chunks_max,
                                 struct hash_key hash_key);
void bodies_free(struct bodies *bodies);

/* One block of a request's body. */
struct body_part {
    struct exchange_endpoint endpoint;
    uint64_t request; /* block_request_key */
    struct block block;
    struct octets payload;
    size_t announced; /* Size1; 0: none */
    size_t limit;     /* octets that this resource takes: at most COAP_BODY_MAX */
};

enum body_outcome {
    BODY_CONTINUE,   /* taken, and there is more to come: 2.31 */
    BODY_WHOLE,      /* that was the last one */
    BODY_MISSIZED,   /* not as long as its option says: 4.00 */
    BODY_INCOMPLETE, /* not the one that comes next, or its forerunners are not here: 4.08 */
    BODY_TOO_LARGE,  /* the body is, or is going to be, over the limit: 4.13 */
    BODY_NO_ROOM,    /* 5.03 */
};

/* Takes a block. BODY_WHOLE: the body is written to `whole`, and the transfer forgotten. After
 * whatever is neither that nor BODY_CONTINUE, the transfer is forgotten too: the client begins
 * anew. */
enum body_outcome body_take(struct bodies *bodies, const struct body_part *part, uint64_t now_ms,
                            struct writer *whole);

/* What goes with each block of a reply. */
struct body_head {
    uint8_t code;
    bool has_format;
    uint16_t format;
    uint8_t etag_length; /* 0: none */
    uint8_t etag[MESSAGE_ETAG_MAX];
};

/* Keeps a reply in place of what was kept for the same request; false: no room. */
bool body_keep(struct bodies *bodies, const struct exchange_endpoint *endpoint, uint64_t request,
               const struct body_head *head, struct octets reply, uint64_t now_ms);

/* The kept reply; NULL: none. Its head, and all of its octets written to `whole`. */
const struct body_head *body_find(struct bodies *bodies, const struct exchange_endpoint *endpoint,
                                  uint64_t request, uint64_t now_ms, struct writer *whole);

/* The peer has the last block: the reply is forgotten. */
void body_drop(struct bodies *bodies, const struct exchange_endpoint *endpoint, uint64_t request);

/* Forgets all of one peer. */
void body_forget(struct bodies *bodies, const struct exchange_endpoint *endpoint);

/* When there is one to let go of; UINT64_MAX: never. */
uint64_t body_next_ms(const struct bodies *bodies);
void body_expire(struct bodies *bodies, uint64_t now_ms);

size_t body_count(const struct bodies *bodies);

#endif
