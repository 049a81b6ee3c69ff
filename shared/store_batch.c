#include "shared/store_batch.h"

#include <stdlib.h>
#include <string.h>

#define PLAIN_BYTES_MAX \
    (STORE_SEALED_MAX + \
     (IDENTITY_LENGTH_MAX > STORE_MARK_MAX ? IDENTITY_LENGTH_MAX : STORE_MARK_MAX))
#define LONG_BYTES_MAX (STORE_EXCHANGE_MAX + STORE_EVENT_MAX + STORE_MARK_MAX)
#define EVENT_BYTES_MAX (STORE_RELATION_MAX + STORE_LONG_EVENT_MAX)
_Static_assert(STORE_RELATION_MAX <= STORE_EXCHANGE_MAX &&
                   STORE_TOPIC_NAME_MAX + STORE_TOPIC_MAX <= LONG_BYTES_MAX &&
                   STORE_TOPIC_NAME_MAX <= PLAIN_BYTES_MAX,
               "a relation, a topic and a name fit their questions");
_Static_assert(STORE_RELATION_MAX + STORE_EVENT_MAX <= LONG_BYTES_MAX,
               "a short event of a relation needs no other question");

/* Each piece of an answer begins at a multiple of 8. */
#define KEPT(size) (((size_t)(size) + 7) / 8 * 8)
#define CLAIM_SIZE_MAX                                                                          \
    (KEPT(STORE_SEALED_MAX) + KEPT(STORE_MARK_MAX) +                                            \
     COAP_EXCHANGES_PER_PEER_MAX * (sizeof(struct store_exchange) + KEPT(STORE_EXCHANGE_MAX)) + \
     RELATIONS_PER_SESSION_MAX * (sizeof(struct store_relation) + KEPT(STORE_RELATION_MAX)))
#define ANSWER_SIZE_MAX STORE_LIST_SIZE_MAX
_Static_assert(CLAIM_SIZE_MAX <= ANSWER_SIZE_MAX, "a list of changes is the largest answer");
_Static_assert(STORE_OBLIGED_MAX *(1 + CID_LENGTH_MAX) <= ANSWER_SIZE_MAX, "so it is");
_Static_assert(WORKERS_MAX * sizeof(struct store_member) <= ANSWER_SIZE_MAX, "so it is");
_Static_assert(STORE_TURN_BYTES >= 16 * ANSWER_SIZE_MAX, "a turn holds several of any answer");

struct store_batch_slot {
    struct store_answer answer;
    store_answer_fn *tell;
    void *owner;
    bool is_write;
};

enum status store_batch_init(struct store_batch *batch, const struct store_engine *engine,
                             const struct store_counts *counts)
{
    batch->store.engine = engine;
    batch->counts = *counts;
    batch->tail = &batch->head;
    batch->bytes = malloc(STORE_TURN_BYTES);
    batch->slots = calloc(STORE_TURN_QUESTIONS_MAX, sizeof *batch->slots);
    enum status status = batch->bytes && batch->slots ? STATUS_OK : STATUS_NO_MEMORY;
    if (status == STATUS_OK)
        status = pool_init(&batch->questions, sizeof(struct store_question) + PLAIN_BYTES_MAX,
                           STORE_QUESTIONS_MAX);
    if (status == STATUS_OK)
        status = pool_init(&batch->long_questions, sizeof(struct store_question) + LONG_BYTES_MAX,
                           STORE_QUESTIONS_MAX);
    if (status == STATUS_OK)
        status = pool_init(&batch->event_questions, sizeof(struct store_question) + EVENT_BYTES_MAX,
                           STORE_LONG_QUESTIONS_MAX);
    if (status != STATUS_OK)
        store_batch_free(batch);
    return status;
}

void store_batch_free(struct store_batch *batch)
{
    pool_free(&batch->event_questions);
    pool_free(&batch->long_questions);
    pool_free(&batch->questions);
    free(batch->slots);
    free(batch->bytes);
    batch->slots = NULL;
    batch->bytes = NULL;
}

/* --- asking --- */

static bool is_write(enum store_question_kind kind)
{
    switch (kind) {
    case STORE_FETCH_IDENTITY:
    case STORE_FIND_SESSION:
    case STORE_LIST_OBLIGED:
    case STORE_LIST_MEMBERS:
    case STORE_GET_TOPIC:
    case STORE_LIST_TOPICS:
    case STORE_LIST_CHANGES:
        return false;
    case STORE_PUT_IDENTITY:
    case STORE_CREATE_SESSION:
    case STORE_CLAIM_SESSION:
    case STORE_LEASE_SEQUENCES:
    case STORE_SAVE_MARK:
    case STORE_SAVE_EXCHANGE:
    case STORE_SAVE_RELATION:
    case STORE_REMOVE_SESSION:
    case STORE_LEASE_NONCES:
    case STORE_JOIN:
    case STORE_BEAT:
    case STORE_LEAVE:
    case STORE_PUT_TOPIC:
    case STORE_REMOVE_TOPIC:
        return true;
    }
    return true;
}

static struct pool *pool_of(struct store_batch *batch, const struct store_question *question)
{
    enum store_question_kind kind = question->kind;
    if (question->second.length > STORE_EVENT_MAX)
        return &batch->event_questions;
    bool is_long =
        kind == STORE_SAVE_EXCHANGE || kind == STORE_SAVE_RELATION || kind == STORE_PUT_TOPIC;
    return is_long ? &batch->long_questions : &batch->questions;
}

static struct octets copy(uint8_t *to, struct octets octets)
{
    if (octets.length > 0)
        memcpy(to, octets.bytes, octets.length);
    return (struct octets){to, octets.length};
}

enum status store_batch_take(struct store *store, const struct store_question *asked,
                             const struct store_waiter *waiter)
{
    struct store_batch *batch = (struct store_batch *)store;
    struct pool *pool = pool_of(batch, asked);
    struct store_question *question =
        batch->unanswered < STORE_QUESTIONS_MAX ? pool_get(pool) : NULL;
    if (!question) {
        store_count(&batch->counts, METRIC_STORE_REFUSED, 1);
        return STATUS_FULL;
    }
    *question = *asked;
    question->waiter = *waiter;
    question->first = copy(question->bytes, asked->first);
    uint8_t *rest = question->bytes + asked->first.length;
    question->second = copy(rest, asked->second);
    question->third = copy(rest + asked->second.length, asked->third);
    *batch->tail = question;
    batch->tail = &question->next;
    batch->unanswered++;
    batch->writes += is_write(asked->kind);
    store_gauge(&batch->counts, METRIC_STORE_PENDING, batch->unanswered);
    return STATUS_OK;
}

/* --- carrying out --- */

static void forget_current(struct store_batch *batch)
{
    if (batch->current)
        pool_put(pool_of(batch, batch->current), batch->current);
    batch->current = NULL;
}

const struct store_question *store_batch_next(struct store_batch *batch,
                                              struct store_answer **answer)
{
    forget_current(batch);
    struct store_question *question = batch->head;
    if (!question || batch->slot_count == STORE_TURN_QUESTIONS_MAX ||
        STORE_TURN_BYTES - batch->bytes_used < ANSWER_SIZE_MAX)
        return NULL;
    batch->head = question->next;
    if (!batch->head)
        batch->tail = &batch->head;
    batch->writes -= is_write(question->kind);
    batch->current = question;
    struct store_batch_slot *slot = &batch->slots[batch->slot_count++];
    *slot = (struct store_batch_slot){
        .answer = {.outcome = STORE_OK,
                   .subject = question->waiter.subject,
                   .tag = question->waiter.tag},
        .tell = question->waiter.answer,
        .owner = question->waiter.owner,
        .is_write = is_write(question->kind),
    };
    *answer = &slot->answer;
    return question;
}

void *store_batch_room(struct store_batch *batch, size_t size)
{
    uint8_t *room = batch->bytes + batch->bytes_used;
    batch->bytes_used += KEPT(size);
    if (size > 0)
        memset(room, 0, size);
    return room;
}

struct octets store_batch_keep(struct store_batch *batch, struct octets octets)
{
    return copy(store_batch_room(batch, octets.length), octets);
}

struct writer store_batch_list(struct store_batch *batch)
{
    return writer_over(batch->bytes + batch->bytes_used, STORE_LIST_SIZE_MAX);
}

struct octets store_batch_end_list(struct store_batch *batch, const struct writer *list)
{
    batch->bytes_used += KEPT(writer_length(list));
    return (struct octets){list->start, writer_length(list)};
}

void store_batch_discard(struct store_batch *batch)
{
    for (size_t i = 0; i < batch->slot_count; i++) {
        struct store_answer *answer = &batch->slots[i].answer;
        *answer = (struct store_answer){
            .outcome = STORE_UNAVAILABLE, .subject = answer->subject, .tag = answer->tag};
    }
}

size_t store_batch_answer(struct store_batch *batch)
{
    forget_current(batch);
    size_t count = batch->slot_count;
    for (size_t i = 0; i < count; i++) {
        const struct store_batch_slot *slot = &batch->slots[i];
        store_count(&batch->counts, slot->is_write ? METRIC_STORE_WRITES : METRIC_STORE_READS, 1);
        if (slot->answer.outcome == STORE_UNAVAILABLE)
            store_count(&batch->counts, METRIC_STORE_UNAVAILABLE, 1);
        if (slot->answer.outcome == STORE_STALE)
            store_count(&batch->counts, METRIC_STORE_STALE, 1);
        store_count(&batch->counts, METRIC_STORE_TOPICS_FULL, slot->answer.is_full);
        store_count(&batch->counts, METRIC_STORE_GAPS, slot->answer.has_gap);
        batch->unanswered--; /* before the answer: it may ask the next question */
        if (slot->tell)
            slot->tell(slot->owner, &slot->answer);
    }
    batch->slot_count = 0;
    batch->bytes_used = 0;
    if (count > 0)
        store_gauge(&batch->counts, METRIC_STORE_PENDING, batch->unanswered);
    return count;
}
