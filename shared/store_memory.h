/* Inside the memory engine: what store_memory.c and its sessions share.
 * Heap, beside store_batch's: 570 octets a session, 456 an identity, 1,400 an exchange, and the
 * tables; up to SESSIONS_MAX_DEFAULT, IDENTITIES_MAX and COAP_EXCHANGES_MAX of them. */
#ifndef HOLDFAST_SHARED_STORE_MEMORY_H
#define HOLDFAST_SHARED_STORE_MEMORY_H

#include "shared/hash.h"
#include "shared/store_batch.h"
#include "shared/store_members.h"
#include "shared/table.h"

struct memory_session;
struct memory_exchange;

/* In the order in which they will expire: all of a kind have the same lifetime. */
struct memory_sessions {
    struct memory_session *oldest;
    struct memory_session *newest;
};
struct memory_exchanges {
    struct memory_exchange *oldest;
    struct memory_exchange *newest;
};

struct store_memory {
    struct store_batch batch; /* first */
    uint64_t now_ms;
    uint64_t session_ttl_ms;
    uint64_t member_ttl_ms;
    uint64_t next_nonce[CID_CONFIGS_MAX];
    struct hash_key hash_key;
    struct pool identities;
    struct table by_identity;
    struct pool sessions;
    struct table by_cid;
    struct table by_address;
    struct memory_sessions session_ages;
    struct pool exchanges;
    struct memory_exchanges exchange_ages;
    struct store_members members;
};

MUST_USE enum status store_memory_init_sessions(struct store_memory *memory);
void store_memory_free_sessions(struct store_memory *memory);
/* Forgets what has run out at memory->now_ms. */
void store_memory_expire(struct store_memory *memory);

void store_memory_create(struct store_memory *memory, const struct store_question *question,
                         struct store_answer *answer);
void store_memory_claim(struct store_memory *memory, const struct store_question *question,
                        struct store_answer *answer);
void store_memory_find(struct store_memory *memory, const struct store_question *question,
                       struct store_answer *answer);
void store_memory_lease(struct store_memory *memory, const struct store_question *question,
                        struct store_answer *answer);
void store_memory_save_mark(struct store_memory *memory, const struct store_question *question,
                            struct store_answer *answer);
void store_memory_save_exchange(struct store_memory *memory, const struct store_question *question,
                                struct store_answer *answer);
void store_memory_remove(struct store_memory *memory, const struct store_question *question,
                         struct store_answer *answer);

#endif
