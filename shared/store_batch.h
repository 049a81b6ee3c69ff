/* The asking half of an engine that carries out what was asked in store_run itself: takes the
 * questions (copied, checked, bounded), gives them back in order, and keeps the answers until the
 * engine has committed. An engine's struct begins with struct store_batch, its table of functions
 * with STORE_BATCH_ENGINE, and its run is
 *
 *     while ((question = store_batch_next(batch, &answer)))
 *         ... carry it out, fill in the answer ...
 *     if (it was not committed)
 *         store_batch_discard(batch);
 *     return store_batch_answer(batch);
 *
 * Memory: up to STORE_QUESTIONS_MAX questions in slabs that are kept, of 700 octets each, or 3 KiB
 * with an exchange, a relation or a topic; of these STORE_LONG_QUESTIONS_MAX of 18 KiB, for the
 * events that are so long; STORE_TURN_BYTES and 256 answers of 200 octets once.
 */
#ifndef HOLDFAST_SHARED_STORE_BATCH_H
#define HOLDFAST_SHARED_STORE_BATCH_H

#include "shared/cursor.h"
#include "shared/pool.h"
#include "shared/store.h"
#include "shared/store_metrics.h"

enum store_question_kind {
    STORE_FETCH_IDENTITY,
    STORE_PUT_IDENTITY,
    STORE_CREATE_SESSION,
    STORE_CLAIM_SESSION,
    STORE_FIND_SESSION,
    STORE_LEASE_SEQUENCES,
    STORE_SAVE_MARK,
    STORE_SAVE_EXCHANGE,
    STORE_SAVE_RELATION,
    STORE_REMOVE_SESSION,
    STORE_LIST_OBLIGED,
    STORE_LEASE_NONCES,
    STORE_JOIN,
    STORE_BEAT,
    STORE_LEAVE,
    STORE_LIST_MEMBERS,
    STORE_PUT_TOPIC,
    STORE_GET_TOPIC,
    STORE_REMOVE_TOPIC,
    STORE_LIST_TOPICS,
    STORE_LIST_CHANGES,
};

/* What is not said to be of a kind is zero there. */
struct store_question {
    enum store_question_kind kind;
    struct store_waiter waiter; /* waiter.subject: the session's CID */
    uint64_t fence;             /* lease_sequences, save_*, remove_session */
    uint16_t worker_id;         /* claim_session */
    uint8_t cid_config;         /* lease_nonces */
    uint8_t slot;               /* save_exchange, save_relation */
    uint8_t page;               /* list_obliged */
    enum store_topic_mode mode; /* put_topic */
    uint64_t from;              /* list_obliged; list_changes: after */
    bool has_address;           /* create_session, find_session */
    struct address address;
    struct store_member member; /* join, beat, leave */
    struct octets first;        /* identity; sealed session; mark; exchange; relation; topic */
    struct octets second;       /* put_identity: sealed; create: mark; save_exchange,
                                   save_relation: event; put_topic: value */
    struct octets third;        /* save_exchange: mark */
    struct store_question *next;
    uint8_t bytes[]; /* of first, second and third */
};

/* Octets of the largest list. */
#define STORE_LIST_SIZE_MAX ((size_t)STORE_LIST_MAX * (8 + 1 + STORE_TOPIC_NAME_MAX))

struct store_batch_slot;

struct store_batch {
    struct store store; /* first */
    struct store_counts counts;
    struct pool questions;
    struct pool long_questions;  /* with an exchange, an event or a topic's value */
    struct pool event_questions; /* with an event that does not fit those */
    struct store_question *head; /* in the order in which they were asked */
    struct store_question **tail;
    struct store_question *current; /* being carried out */
    size_t unanswered;
    size_t writes; /* of those that are not carried out yet */
    struct store_batch_slot *slots;
    size_t slot_count;
    uint8_t *bytes; /* what the answers point to */
    size_t bytes_used;
};

/* STATUS_NO_MEMORY: everything is freed again. */
MUST_USE enum status store_batch_init(struct store_batch *batch, const struct store_engine *engine,
                                      const struct store_counts *counts);
/* What is unanswered is dropped. */
void store_batch_free(struct store_batch *batch);

static inline bool store_batch_is_empty(const struct store_batch *batch)
{
    return !batch->head;
}
static inline bool store_batch_has_writes(const struct store_batch *batch)
{
    return batch->writes > 0;
}
/* The next question, valid until the next call, and the place for its answer: outcome STORE_OK and
 * nothing else yet. NULL: none is left, or no room is left for answers in this turn; the rest waits
 * for the next one. */
const struct store_question *store_batch_next(struct store_batch *batch,
                                              struct store_answer **answer);
/* A copy that is valid while answers are given, or zeroed room, aligned to 8. There is room for the
 * largest answer. */
struct octets store_batch_keep(struct store_batch *batch, struct octets octets);
void *store_batch_room(struct store_batch *batch, size_t size);
/* A list as the answer's value: room for STORE_LIST_SIZE_MAX octets; ended when it is written. */
struct writer store_batch_list(struct store_batch *batch);
struct octets store_batch_end_list(struct store_batch *batch, const struct writer *list);
/* It was not committed: each answer becomes STORE_UNAVAILABLE. */
void store_batch_discard(struct store_batch *batch);
/* Gives the answers. Returns how many. What they ask is for the next turn. */
size_t store_batch_answer(struct store_batch *batch);
/* store_next_ms: at once if anything is to be carried out, else `idle_ms`. */
static inline uint64_t store_batch_next_ms(const struct store_batch *batch, uint64_t idle_ms)
{
    return store_batch_is_empty(batch) ? idle_ms : 0;
}

/* A copy of the question joins the queue. STATUS_FULL. */
MUST_USE enum status store_batch_take(struct store *store, const struct store_question *asked,
                                      const struct store_waiter *waiter);

/* --- store_batch_ask.c --- */

enum status store_batch_fetch_identity(struct store *store, struct octets identity,
                                       const struct store_waiter *waiter);
enum status store_batch_put_identity(struct store *store, struct octets identity,
                                     struct octets sealed, const struct store_waiter *waiter);
enum status store_batch_create_session(struct store *store, const struct store_session *session,
                                       const struct store_waiter *waiter);
enum status store_batch_claim_session(struct store *store, uint16_t worker_id,
                                      const struct store_waiter *waiter);
enum status store_batch_find_session(struct store *store, const struct address *address,
                                     const struct store_waiter *waiter);
enum status store_batch_lease_sequences(struct store *store, uint64_t fence,
                                        const struct store_waiter *waiter);
enum status store_batch_save_mark(struct store *store, uint64_t fence, struct octets mark,
                                  const struct store_waiter *waiter);
enum status store_batch_save_exchange(struct store *store, uint64_t fence,
                                      const struct store_exchange *exchange, struct octets event,
                                      const struct store_waiter *waiter);
enum status store_batch_save_relation(struct store *store, uint64_t fence,
                                      const struct store_relation *relation, struct octets event,
                                      const struct store_waiter *waiter);
enum status store_batch_remove_session(struct store *store, uint64_t fence,
                                       const struct store_waiter *waiter);
enum status store_batch_list_obliged(struct store *store, uint8_t page, uint64_t from,
                                     const struct store_waiter *waiter);
enum status store_batch_lease_nonces(struct store *store, uint8_t cid_config,
                                     const struct store_waiter *waiter);
enum status store_batch_join(struct store *store, const struct store_member *member,
                             const struct store_waiter *waiter);
enum status store_batch_beat(struct store *store, const struct store_member *member,
                             const struct store_waiter *waiter);
enum status store_batch_leave(struct store *store, const struct store_member *member,
                              const struct store_waiter *waiter);
enum status store_batch_list_members(struct store *store, const struct store_waiter *waiter);

enum status store_batch_put_topic(struct store *store, struct octets name,
                                  enum store_topic_mode mode, struct octets value,
                                  const struct store_waiter *waiter);
enum status store_batch_get_topic(struct store *store, struct octets name,
                                  const struct store_waiter *waiter);
enum status store_batch_remove_topic(struct store *store, struct octets name,
                                     const struct store_waiter *waiter);
enum status store_batch_list_topics(struct store *store, struct octets after,
                                    const struct store_waiter *waiter);
enum status store_batch_list_changes(struct store *store, uint64_t after,
                                     const struct store_waiter *waiter);

/* The asking functions of a struct store_engine. */
#define STORE_BATCH_ENGINE                                                                    \
    .fetch_identity = store_batch_fetch_identity, .put_identity = store_batch_put_identity,   \
    .create_session = store_batch_create_session, .claim_session = store_batch_claim_session, \
    .find_session = store_batch_find_session, .lease_sequences = store_batch_lease_sequences, \
    .save_mark = store_batch_save_mark, .save_exchange = store_batch_save_exchange,           \
    .save_relation = store_batch_save_relation, .remove_session = store_batch_remove_session, \
    .list_obliged = store_batch_list_obliged, .lease_nonces = store_batch_lease_nonces,       \
    .join = store_batch_join, .beat = store_batch_beat, .leave = store_batch_leave,           \
    .list_members = store_batch_list_members, .put_topic = store_batch_put_topic,             \
    .get_topic = store_batch_get_topic, .remove_topic = store_batch_remove_topic,             \
    .list_topics = store_batch_list_topics, .list_changes = store_batch_list_changes

#endif
