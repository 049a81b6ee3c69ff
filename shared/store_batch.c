#include "shared/store_batch.h"

#include <stdlib.h>
#include <string.h>

#define PLAIN_BYTES_MAX \
    (STORE_SEALED_MAX + \
     (IDENTITY_LENGTH_MAX > STORE_MARK_MAX ? IDENTITY_LENGTH_MAX : STORE_MARK_MAX))
#define EXCHANGE_BYTES_MAX (STORE_EXCHANGE_MAX + STORE_EVENT_MAX)

/* Each piece of an answer begins at a multiple of 8. */
#define KEPT(size) (((size_t)(size) + 7) / 8 * 8)
#define CLAIM_SIZE_MAX                               \
    (KEPT(STORE_SEALED_MAX) + KEPT(STORE_MARK_MAX) + \
     COAP_EXCHANGES_PER_PEER_MAX * (sizeof(struct store_exchange) + KEPT(STORE_EXCHANGE_MAX)))
#define LIST_SIZE_MAX KEPT(WORKERS_MAX * sizeof(struct store_member))
#define ANSWER_SIZE_MAX ((size_t)(CLAIM_SIZE_MAX > LIST_SIZE_MAX ? CLAIM_SIZE_MAX : LIST_SIZE_MAX))
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
        status = pool_init(&batch->exchanges, sizeof(struct store_question) + EXCHANGE_BYTES_MAX,
                           STORE_QUESTIONS_MAX);
    if (status != STATUS_OK)
        store_batch_free(batch);
    return status;
}

void store_batch_free(struct store_batch *batch)
{
    pool_free(&batch->exchanges);
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
    case STORE_LIST_MEMBERS:
        return false;
    case STORE_PUT_IDENTITY:
    case STORE_CREATE_SESSION:
    case STORE_CLAIM_SESSION:
    case STORE_LEASE_SEQUENCES:
    case STORE_SAVE_MARK:
    case STORE_SAVE_EXCHANGE:
    case STORE_REMOVE_SESSION:
    case STORE_LEASE_NONCES:
    case STORE_JOIN:
    case STORE_BEAT:
    case STORE_LEAVE:
        return true;
    }
    return true;
}

static struct pool *pool_of(struct store_batch *batch, enum store_question_kind kind)
{
    return kind == STORE_SAVE_EXCHANGE ? &batch->exchanges : &batch->questions;
}

static struct octets copy(uint8_t *to, struct octets octets)
{
    if (octets.length > 0)
        memcpy(to, octets.bytes, octets.length);
    return (struct octets){to, octets.length};
}

/* A copy of the question joins the queue. */
static enum status take(struct store *store, const struct store_question *asked,
                        const struct store_waiter *waiter)
{
    struct store_batch *batch = (struct store_batch *)store;
    struct pool *pool = pool_of(batch, asked->kind);
    struct store_question *question =
        batch->unanswered < STORE_QUESTIONS_MAX ? pool_get(pool) : NULL;
    if (!question) {
        store_count(&batch->counts, METRIC_STORE_REFUSED, 1);
        return STATUS_FULL;
    }
    *question = *asked;
    question->waiter = *waiter;
    question->first = copy(question->bytes, asked->first);
    question->second = copy(question->bytes + asked->first.length, asked->second);
    *batch->tail = question;
    batch->tail = &question->next;
    batch->unanswered++;
    batch->writes += is_write(asked->kind);
    store_gauge(&batch->counts, METRIC_STORE_PENDING, batch->unanswered);
    return STATUS_OK;
}

/* About a session, which a CID has to name. */
static enum status take_for_session(struct store *store, const struct store_question *asked,
                                    const struct store_waiter *waiter)
{
    if (waiter->subject.length == 0 || waiter->subject.length > CID_LENGTH_MAX)
        return STATUS_MALFORMED;
    return take(store, asked, waiter);
}

enum status store_batch_fetch_identity(struct store *store, struct octets identity,
                                       const struct store_waiter *waiter)
{
    if (identity.length > IDENTITY_LENGTH_MAX)
        return STATUS_TOO_LONG;
    return take(store, &(struct store_question){.kind = STORE_FETCH_IDENTITY, .first = identity},
                waiter);
}

enum status store_batch_put_identity(struct store *store, struct octets identity,
                                     struct octets sealed, const struct store_waiter *waiter)
{
    if (identity.length == 0)
        return STATUS_MALFORMED;
    if (identity.length > IDENTITY_LENGTH_MAX || sealed.length > STORE_SEALED_MAX)
        return STATUS_TOO_LONG;
    return take(
        store,
        &(struct store_question){.kind = STORE_PUT_IDENTITY, .first = identity, .second = sealed},
        waiter);
}

enum status store_batch_create_session(struct store *store, const struct store_session *session,
                                       const struct store_waiter *waiter)
{
    if (session->sealed.length > STORE_SEALED_MAX || session->mark.length > STORE_MARK_MAX)
        return STATUS_TOO_LONG;
    struct store_question asked = {
        .kind = STORE_CREATE_SESSION, .first = session->sealed, .second = session->mark};
    if (session->address) {
        asked.has_address = true;
        asked.address = *session->address;
    }
    return take_for_session(store, &asked, waiter);
}

enum status store_batch_claim_session(struct store *store, uint16_t worker_id,
                                      const struct store_waiter *waiter)
{
    return take_for_session(
        store, &(struct store_question){.kind = STORE_CLAIM_SESSION, .worker_id = worker_id},
        waiter);
}

enum status store_batch_find_session(struct store *store, const struct address *address,
                                     const struct store_waiter *waiter)
{
    return take(store,
                &(struct store_question){
                    .kind = STORE_FIND_SESSION, .has_address = true, .address = *address},
                waiter);
}

enum status store_batch_lease_sequences(struct store *store, uint64_t fence,
                                        const struct store_waiter *waiter)
{
    return take_for_session(
        store, &(struct store_question){.kind = STORE_LEASE_SEQUENCES, .fence = fence}, waiter);
}

enum status store_batch_save_mark(struct store *store, uint64_t fence, struct octets mark,
                                  const struct store_waiter *waiter)
{
    if (mark.length > STORE_MARK_MAX)
        return STATUS_TOO_LONG;
    return take_for_session(
        store, &(struct store_question){.kind = STORE_SAVE_MARK, .fence = fence, .first = mark},
        waiter);
}

enum status store_batch_save_exchange(struct store *store, uint64_t fence,
                                      const struct store_exchange *exchange, struct octets event,
                                      const struct store_waiter *waiter)
{
    if (exchange->slot >= COAP_EXCHANGES_PER_PEER_MAX)
        return STATUS_MALFORMED;
    if (exchange->value.length > STORE_EXCHANGE_MAX || event.length > STORE_EVENT_MAX)
        return STATUS_TOO_LONG;
    return take_for_session(store,
                            &(struct store_question){.kind = STORE_SAVE_EXCHANGE,
                                                     .fence = fence,
                                                     .slot = exchange->slot,
                                                     .first = exchange->value,
                                                     .second = event},
                            waiter);
}

enum status store_batch_remove_session(struct store *store, uint64_t fence,
                                       const struct store_waiter *waiter)
{
    return take_for_session(
        store, &(struct store_question){.kind = STORE_REMOVE_SESSION, .fence = fence}, waiter);
}

enum status store_batch_lease_nonces(struct store *store, uint8_t cid_config,
                                     const struct store_waiter *waiter)
{
    if (cid_config >= CID_CONFIGS_MAX)
        return STATUS_UNSUPPORTED;
    return take(store,
                &(struct store_question){.kind = STORE_LEASE_NONCES, .cid_config = cid_config},
                waiter);
}

static enum status take_member(struct store *store, enum store_question_kind kind,
                               const struct store_member *member, const struct store_waiter *waiter)
{
    return take(store, &(struct store_question){.kind = kind, .member = *member}, waiter);
}

enum status store_batch_join(struct store *store, const struct store_member *member,
                             const struct store_waiter *waiter)
{
    return take_member(store, STORE_JOIN, member, waiter);
}

enum status store_batch_beat(struct store *store, const struct store_member *member,
                             const struct store_waiter *waiter)
{
    return take_member(store, STORE_BEAT, member, waiter);
}

enum status store_batch_leave(struct store *store, const struct store_member *member,
                              const struct store_waiter *waiter)
{
    return take_member(store, STORE_LEAVE, member, waiter);
}

enum status store_batch_list_members(struct store *store, const struct store_waiter *waiter)
{
    return take(store, &(struct store_question){.kind = STORE_LIST_MEMBERS}, waiter);
}

/* --- carrying out --- */

static void forget_current(struct store_batch *batch)
{
    if (batch->current)
        pool_put(pool_of(batch, batch->current->kind), batch->current);
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
