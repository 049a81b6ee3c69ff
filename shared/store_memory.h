/* Inside the memory engine: what store_memory.c and its sessions share.
 * Heap, beside store_batch's: 610 octets a session, 456 an identity, 1,400 an exchange, 536 a
 * relation, 1,408 a topic, and the tables; up to SESSIONS_MAX_DEFAULT, IDENTITIES_MAX,
 * COAP_EXCHANGES_MAX, STORE_RELATIONS_MAX, TOPICS_MAX and STORE_TOMBSTONES_MAX of them. */
#ifndef HOLDFAST_SHARED_STORE_MEMORY_H
#define HOLDFAST_SHARED_STORE_MEMORY_H

#include "shared/hash.h"
#include "shared/store_batch.h"
#include "shared/store_members.h"
#include "shared/store_record.h"
#include "shared/table.h"

struct memory_relation {
    struct memory_relation *next; /* of the session */
    uint8_t slot;
    uint16_t length;
    uint8_t bytes[STORE_RELATION_MAX];
};

struct memory_session {
    struct cid cid;
    struct store_record record;
    struct memory_session *older;
    struct memory_session *newer;
    struct memory_exchange *exchanges[COAP_EXCHANGES_PER_PEER_MAX]; /* by slot */
    struct memory_relation *relations;                              /* in no order */
    uint64_t obliged_since; /* a number that rises; orders a page */
    struct memory_session *obliged_before;
    struct memory_session *obliged_after;
};

struct memory_exchange {
    struct memory_session *session;
    struct memory_exchange *older;
    struct memory_exchange *newer;
    uint64_t expires_ms;
    uint16_t length;
    uint8_t slot;
    uint8_t bytes[STORE_EXCHANGE_MAX];
};

/* Sessions with relations, in the order in which they got their first one. */
struct memory_page {
    struct memory_session *first;
    struct memory_session *last;
};

struct memory_topic {
    uint64_t number;            /* of its latest change */
    struct memory_topic *older; /* of its kind */
    struct memory_topic *newer;
    bool is_gone; /* a tombstone */
    uint8_t name_length;
    uint16_t length;
    uint8_t name[STORE_TOPIC_NAME_MAX];
    uint8_t value[STORE_TOPIC_MAX];
};

/* In the order of their numbers. */
struct memory_changes {
    struct memory_topic *oldest;
    struct memory_topic *newest;
    size_t count;
};

struct memory_topics {
    struct pool pool;
    struct memory_topic **by_name; /* TOPICS_MAX + STORE_TOMBSTONES_MAX, sorted */
    size_t count;                  /* with tombstones */
    struct memory_changes there;
    struct memory_changes gone;
    uint64_t number; /* the newest of all */
    uint64_t lost;   /* of the newest tombstone that is forgotten */
};

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
    struct pool relations;
    struct memory_page pages[STORE_OBLIGED_PAGES];
    uint64_t obliged_newest;
    struct memory_topics topics;
    struct store_members members;
};

/* --- store_memory_session.c --- */

MUST_USE enum status store_memory_init_sessions(struct store_memory *memory);
void store_memory_free_sessions(struct store_memory *memory);
/* The session whose owner asks, or NULL and the outcome. */
struct memory_session *store_memory_find_owned(struct store_memory *memory,
                                               const struct store_question *question,
                                               struct store_answer *answer);
/* Its TTL begins again. */
void store_memory_renew(struct store_memory *memory, struct memory_session *session);
/* An event, for which there is no log. */
void store_memory_drop_event(struct store_memory *memory, struct octets event);
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

/* --- store_memory_relation.c --- */

void store_memory_save_relation(struct store_memory *memory, const struct store_question *question,
                                struct store_answer *answer);
void store_memory_list_obliged(struct store_memory *memory, const struct store_question *question,
                               struct store_answer *answer);
/* Of a claim. */
void store_memory_keep_relations(struct store_memory *memory, const struct memory_session *session,
                                 struct store_answer *answer);
void store_memory_forget_relations(struct store_memory *memory, struct memory_session *session);

/* --- store_memory_topic.c --- */

MUST_USE enum status store_memory_init_topics(struct store_memory *memory);
void store_memory_free_topics(struct store_memory *memory);
void store_memory_put_topic(struct store_memory *memory, const struct store_question *question,
                            struct store_answer *answer);
void store_memory_get_topic(struct store_memory *memory, const struct store_question *question,
                            struct store_answer *answer);
void store_memory_remove_topic(struct store_memory *memory, const struct store_question *question,
                               struct store_answer *answer);
void store_memory_list_topics(struct store_memory *memory, const struct store_question *question,
                              struct store_answer *answer);
void store_memory_list_changes(struct store_memory *memory, const struct store_question *question,
                               struct store_answer *answer);

#endif
