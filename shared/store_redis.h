/* The Redis engine's own types; for store_redis*.c only. What a call asks becomes a question: a
 * command in RESP, ready to be sent to whichever server has its slot, as often as it takes.
 *
 *   asked -> [waits for its subject's earlier questions] -> queue -> sent on a link -> answered
 *
 * One question of a subject is under way at a time. So their order holds whatever happens to the
 * first one: a script that must be loaded, a slot that moves, a connection that breaks.
 *
 * Heap: a question is one block of its size, 0.5 to 4 KiB, STORE_QUESTIONS_MAX at most; hiredis has
 * REDIS_WINDOW_MAX of them in its buffers. */
#ifndef HOLDFAST_SHARED_STORE_REDIS_H
#define HOLDFAST_SHARED_STORE_REDIS_H

#include "shared/hash.h"
#include "shared/log.h"
#include "shared/redis_cluster.h"
#include "shared/redis_command.h"
#include "shared/redis_link.h"
#include "shared/redis_script.h"
#include "shared/redis_sentinel.h"
#include "shared/redis_tls.h"
#include "shared/redis_url.h"
#include "shared/store.h"
#include "shared/store_engines.h"
#include "shared/table.h"

struct redisReply;

enum redis_question_kind {
    QUESTION_FETCH_IDENTITY,
    QUESTION_PUT_IDENTITY,
    QUESTION_CREATE,
    QUESTION_CLAIM,
    QUESTION_FIND,
    QUESTION_LEASE,
    QUESTION_MARK, /* is not sent, but carried by a QUESTION_MARKS */
    QUESTION_EXCHANGE,
    QUESTION_RELATION,
    QUESTION_OBLIGED,
    QUESTION_REMOVE,
    QUESTION_NONCES,
    QUESTION_JOIN,
    QUESTION_BEAT,
    QUESTION_LEAVE,
    QUESTION_MEMBERS,
    QUESTION_PUT_TOPIC,
    QUESTION_GET_TOPIC,
    QUESTION_REMOVE_TOPIC,
    QUESTION_TOPICS,
    QUESTION_CHANGES,
    /* Ours: */
    QUESTION_MARKS,
    QUESTION_ADDRESS_SET,  /* follows a create */
    QUESTION_ADDRESS_DROP, /* follows a remove */
    QUESTION_ADDRESS_KEEP,
    QUESTION_OBLIGED_DROP, /* follows a remove, or a claim of nothing */
    QUESTION_PROBE,        /* a write, to learn whether a fault is over */
};

struct redis_question {
    struct redis_call call; /* first: a call is its question */
    struct redis_question *next;
    enum redis_question_kind kind;
    struct store_waiter waiter;
    uint64_t order;                  /* hash of the subject; 0: none */
    struct redis_question *follower; /* the next of the same subject */
    struct redis_question *last;     /* of the followers; of the first question only */
    struct redis_question *then;     /* a second step; owned */
    struct redis_question *carried;  /* QUESTION_MARKS: in the order of its keys; owned */
    uint64_t deadline_ms;            /* 0: not looked at yet */
    uint64_t not_before_ms;
    uint64_t fence; /* second step of a create: its answer */
    uint64_t first;
    uint16_t slot;
    uint8_t tag; /* QUESTION_MARK */
    uint8_t attempts;
    uint8_t script; /* enum redis_script; REDIS_SCRIPTS: none */
    bool has_event;
    bool has_long_event;
    struct store_member member; /* QUESTION_JOIN */
    uint64_t after;             /* QUESTION_CHANGES */
    struct octets key;          /* QUESTION_MARK: in bytes */
    struct octets mark;
    size_t length; /* of the command */
    uint8_t bytes[];
};

struct redis_queue {
    struct redis_question *head;
    struct redis_question *tail;
};

#define REDIS_NUMBER_TEXT 24
#define REDIS_TROUBLE_MAX 256

struct store_redis {
    struct store store; /* first */
    struct store_counts counts;
    struct redis_url url;
    struct redis_tls *tls;
    struct redis_script_ids scripts;
    /* One of them, by url.kind: */
    struct redis_link *link;
    struct redis_sentinel *sentinel;
    struct redis_cluster *cluster;
    struct hash_key hash_key;
    struct table subjects;                /* order -> the question that is under way */
    struct redis_queue queue;             /* to be sent */
    struct redis_queue marks[REDIS_TAGS]; /* of this run; without a cluster all in the first */
    bool is_closing;                      /* nobody is told anything any more */
    bool has_news;                        /* the queue holds what no run has seen */
    size_t unanswered;                    /* of those that count */
    size_t long_unanswered;               /* of these, with a long event */
    size_t answered;                      /* in this run */
    uint64_t now_ms;                      /* of the last run */
    uint64_t wake_ms;                     /* what the queue waits for */
    struct redis_command command;         /* being built */
    struct {
        char ttl_ms[REDIS_NUMBER_TEXT];
        char member_ttl_ms[REDIS_NUMBER_TEXT];
        char lease[REDIS_NUMBER_TEXT];
        char reserved[REDIS_NUMBER_TEXT];
        char exchange_ms[REDIS_NUMBER_TEXT];
        char events[REDIS_NUMBER_TEXT];
        char name_at[REDIS_NUMBER_TEXT];
        char name_length[REDIS_NUMBER_TEXT];
        char workers[REDIS_NUMBER_TEXT];
        char topics[REDIS_NUMBER_TEXT];
        char tombstones[REDIS_NUMBER_TEXT];
        char listed[REDIS_NUMBER_TEXT];
        char obliged[REDIS_NUMBER_TEXT];
        char nonces[REDIS_NUMBER_TEXT];
    } texts;
    /* What a server said to a command, until one succeeds there. */
    enum redis_fault fault;
    const struct redis_link *fault_link; /* compared only */
    char fault_detail[128];
    uint64_t probe_ms;
    bool is_probing;
    char trouble[REDIS_TROUBLE_MAX]; /* empty: none */
    char reported[REDIS_TROUBLE_MAX];
    struct log_limit log_limit;
    /* Of the answer that is being given. */
    struct store_exchange exchanges[COAP_EXCHANGES_PER_PEER_MAX];
    struct store_relation relations[RELATIONS_PER_SESSION_MAX];
    struct store_member members[WORKERS_MAX];
};

static inline struct store_redis *store_redis_of(struct store *store)
{
    return (struct store_redis *)store;
}

/* --- store_redis_ask.c --- */

enum status store_redis_fetch_identity(struct store *store, struct octets identity,
                                       const struct store_waiter *waiter);
enum status store_redis_put_identity(struct store *store, struct octets identity,
                                     struct octets sealed, const struct store_waiter *waiter);
enum status store_redis_find(struct store *store, const struct address *address,
                             const struct store_waiter *waiter);
enum status store_redis_lease_nonces(struct store *store, uint8_t cid_config,
                                     const struct store_waiter *waiter);
enum status store_redis_join(struct store *store, const struct store_member *member,
                             const struct store_waiter *waiter);
enum status store_redis_beat(struct store *store, const struct store_member *member,
                             const struct store_waiter *waiter);
enum status store_redis_leave(struct store *store, const struct store_member *member,
                              const struct store_waiter *waiter);
enum status store_redis_list_members(struct store *store, const struct store_waiter *waiter);

/* --- store_redis_topic.c --- */

enum status store_redis_put_topic(struct store *store, struct octets name,
                                  enum store_topic_mode mode, struct octets value,
                                  const struct store_waiter *waiter);
enum status store_redis_get_topic(struct store *store, struct octets name,
                                  const struct store_waiter *waiter);
enum status store_redis_remove_topic(struct store *store, struct octets name,
                                     const struct store_waiter *waiter);
enum status store_redis_list_topics(struct store *store, struct octets after,
                                    const struct store_waiter *waiter);
enum status store_redis_list_changes(struct store *store, uint64_t after,
                                     const struct store_waiter *waiter);
/* An answer to one of these, behind its word; for QUESTION_GET_TOPIC the stored value. False: it is
 * none. */
bool store_redis_read_topic(const struct redis_question *question, struct cursor *cursor,
                            struct store_answer *answer);

/* --- store_redis_session.c --- */

enum status store_redis_create(struct store *store, const struct store_session *session,
                               const struct store_waiter *waiter);
enum status store_redis_claim(struct store *store, uint16_t worker_id,
                              const struct store_waiter *waiter);
enum status store_redis_lease_sequences(struct store *store, uint64_t fence,
                                        const struct store_waiter *waiter);
enum status store_redis_save_mark(struct store *store, uint64_t fence, struct octets mark,
                                  const struct store_waiter *waiter);
enum status store_redis_save_exchange(struct store *store, uint64_t fence,
                                      const struct store_exchange *exchange, struct octets event,
                                      const struct store_waiter *waiter);
enum status store_redis_save_relation(struct store *store, uint64_t fence,
                                      const struct store_relation *relation, struct octets event,
                                      const struct store_waiter *waiter);
enum status store_redis_list_obliged(struct store *store, uint8_t page, uint64_t from,
                                     const struct store_waiter *waiter);
enum status store_redis_remove(struct store *store, uint64_t fence,
                               const struct store_waiter *waiter);
/* A question that carries these marks, all of one slot; takes them over. NULL: no memory, and they
 * are still the caller's. */
struct redis_question *store_redis_carry(struct store_redis *store, struct redis_question *marks);
/* NULL: no memory. */
struct redis_question *store_redis_drop_address(struct store_redis *store, struct octets address,
                                                const struct cid *cid);
struct redis_question *store_redis_keep_address(struct store_redis *store, struct octets address,
                                                const struct cid *cid);

struct redis_question *store_redis_drop_obliged(struct store_redis *store, const struct cid *cid);

/* --- store_redis_question.c --- */

/* A key that is being built. */
struct redis_key {
    uint8_t bytes[REDIS_PREFIX_MAX + 8 + ADDRESS_WIRE_SIZE + IDENTITY_LENGTH_MAX];
    size_t length;
};
struct redis_key store_redis_session_key(const struct store_redis *store, char type,
                                         const struct cid *cid);
struct redis_key store_redis_obliged_key(const struct store_redis *store, uint8_t page);
/* Without a tag: type 'a' or 'i', then the octets. */
struct redis_key store_redis_plain_key(const struct store_redis *store, char type,
                                       const void *bytes, size_t length);
struct redis_key store_redis_common_key(const struct store_redis *store, const char *name);
struct redis_key store_redis_topic_key(const struct store_redis *store, const char *name);
struct redis_key store_redis_probe_key(const struct store_redis *store, uint8_t tag);
uint8_t store_redis_tag(const struct cid *cid);

/* Begins store->command with EVALSHA, or any word. */
void store_redis_begin(struct store_redis *store, const char *word);
void store_redis_begin_script(struct store_redis *store, enum redis_script script,
                              const char *key_count);
static inline void store_redis_add(struct store_redis *store, const struct redis_key *key)
{
    redis_command_add(&store->command, key->bytes, key->length);
}
/* A question of store->command. script: REDIS_SCRIPTS for none. NULL: no memory. */
struct redis_question *store_redis_make(struct store_redis *store, enum redis_question_kind kind,
                                        const struct store_waiter *waiter,
                                        const struct redis_key *key, enum redis_script script);
void store_redis_discard(struct redis_question *question); /* with all that it owns */
/* And with all that waits for it; when the store is freed. */
void store_redis_drop(struct redis_question *question);

/* Takes the question (NULL: it could not be made). Its subject, for the order, is `key`; NULL: no
 * order. STATUS_FULL, STATUS_NO_MEMORY: it is discarded. */
enum status store_redis_take(struct store_redis *store, struct redis_question *question,
                             const struct redis_key *key);
/* An own question, which nobody counts and waits for. NULL is allowed. */
void store_redis_enqueue(struct store_redis *store, struct redis_question *question);
/* `question` gives way to its second step. */
void store_redis_step(struct store_redis *store, struct redis_question *question);
/* Fills in the subject, counts, tells the waiter, frees the question. */
void store_redis_answer(struct store_redis *store, struct redis_question *question,
                        struct store_answer *answer);
void store_redis_fail(struct store_redis *store, struct redis_question *question);
bool store_redis_is_write(enum redis_question_kind kind);
void store_redis_push(struct redis_queue *queue, struct redis_question *question);

/* --- store_redis_answer.c --- */

/* The redis_call's answer function. */
void store_redis_on_reply(struct redis_call *call, struct redis_link *link,
                          const struct redisReply *reply);

/* --- store_redis_fault.c --- */

/* An error reply: sends the question elsewhere, or again, or answers it. */
void store_redis_on_error(struct store_redis *store, struct redis_question *question,
                          struct redis_link *link, const char *text, size_t length);
void store_redis_on_success(struct store_redis *store, const struct redis_question *question,
                            const struct redis_link *link);
/* Probes, and tells what changed. */
void store_redis_report(struct store_redis *store);

/* --- store_redis.c --- */

enum redis_route store_redis_route(struct store_redis *store, uint16_t slot,
                                   struct redis_link **link);
/* The link that is not well, or the one and only; NULL: `fault` is of all together. */
const struct redis_link *store_redis_trouble(const struct store_redis *store,
                                             enum redis_fault *fault);

#endif
