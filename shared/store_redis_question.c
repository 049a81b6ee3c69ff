/* Questions: their keys and commands, their order, their end. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shared/redis_slot.h"
#include "shared/store_redis.h"

/* --- keys --- */

static void key_add(struct redis_key *key, const void *bytes, size_t length)
{
    if (length == 0 || length > sizeof key->bytes - key->length)
        return;
    memcpy(key->bytes + key->length, bytes, length);
    key->length += length;
}

static void key_text(struct redis_key *key, const char *text)
{
    key_add(key, text, strlen(text));
}

uint8_t store_redis_tag(const struct cid *cid)
{
    return (uint8_t)(redis_crc16(cid->bytes, cid->length) % REDIS_TAGS);
}
_Static_assert(REDIS_TAGS == 256, "a tag is two hex digits");

static struct redis_key tagged(const struct store_redis *store, uint8_t tag, const char *rest)
{
    struct redis_key key = {.length = 0};
    char text[8];
    (void)snprintf(text, sizeof text, ":{%02x}:", tag);
    key_text(&key, store->url.prefix);
    key_text(&key, text);
    key_text(&key, rest);
    return key;
}

struct redis_key store_redis_session_key(const struct store_redis *store, char type,
                                         const struct cid *cid)
{
    uint8_t tag = store_redis_tag(cid);
    if (type == 'l')
        return tagged(store, tag, "log");
    struct redis_key key = tagged(store, tag, type == 's' ? "s" : "x");
    key_add(&key, cid->bytes, cid->length);
    return key;
}

struct redis_key store_redis_obliged_key(const struct store_redis *store, uint8_t page)
{
    return tagged(store, page, "o");
}
_Static_assert(STORE_OBLIGED_PAGES == REDIS_TAGS, "a page is a tag");

struct redis_key store_redis_plain_key(const struct store_redis *store, char type,
                                       const void *bytes, size_t length)
{
    struct redis_key key = {.length = 0};
    key_text(&key, store->url.prefix);
    const char colon[] = {':', type, '\0'};
    key_text(&key, colon);
    key_add(&key, bytes, length);
    return key;
}

static struct redis_key grouped(const struct store_redis *store, const char *group,
                                const char *name)
{
    struct redis_key key = {.length = 0};
    key_text(&key, store->url.prefix);
    key_text(&key, group);
    key_text(&key, name);
    return key;
}

struct redis_key store_redis_common_key(const struct store_redis *store, const char *name)
{
    return grouped(store, ":{m}:", name);
}

struct redis_key store_redis_topic_key(const struct store_redis *store, const char *name)
{
    return grouped(store, ":{t}:", name);
}

struct redis_key store_redis_probe_key(const struct store_redis *store, uint8_t tag)
{
    return tagged(store, tag, "probe");
}

/* --- making --- */

void store_redis_begin(struct store_redis *store, const char *word)
{
    store->command.count = 0;
    redis_command_text(&store->command, word);
}

void store_redis_begin_script(struct store_redis *store, enum redis_script script,
                              const char *key_count)
{
    store_redis_begin(store, "EVALSHA");
    redis_command_add(&store->command, store->scripts.sha[script], REDIS_SHA_LENGTH);
    redis_command_text(&store->command, key_count);
}

struct redis_question *store_redis_make(struct store_redis *store, enum redis_question_kind kind,
                                        const struct store_waiter *waiter,
                                        const struct redis_key *key, enum redis_script script)
{
    size_t size = redis_command_size(&store->command);
    struct redis_question *question = size > 0 ? malloc(sizeof *question + size) : NULL;
    if (!question)
        return NULL;
    *question = (struct redis_question){
        .call = {.answer = store_redis_on_reply,
                 .owner = store,
                 .is_durable = store_redis_is_write(kind)},
        .kind = kind,
        .slot = redis_slot_of(key->bytes, key->length),
        .script = (uint8_t)script,
    };
    if (waiter)
        question->waiter = *waiter;
    struct writer writer = writer_over(question->bytes, size);
    redis_command_write(&store->command, &writer);
    question->length = writer_length(&writer);
    return question;
}

void store_redis_discard(struct redis_question *question)
{
    struct redis_question *mark = question->carried;
    while (mark) {
        struct redis_question *next = mark->next;
        free(mark);
        mark = next;
    }
    free(question->then);
    free(question);
}

void store_redis_drop(struct redis_question *question)
{
    for (struct redis_question *mark = question->carried; mark;) {
        struct redis_question *next = mark->next;
        store_redis_drop(mark);
        mark = next;
    }
    question->carried = NULL;
    struct redis_question *follower = question->follower;
    store_redis_discard(question);
    while (follower) {
        struct redis_question *next = follower->follower;
        store_redis_discard(follower);
        follower = next;
    }
}

/* --- order --- */

void store_redis_push(struct redis_queue *queue, struct redis_question *question)
{
    question->next = NULL;
    if (queue->head)
        queue->tail->next = question;
    else
        queue->head = question;
    queue->tail = question;
}

void store_redis_enqueue(struct store_redis *store, struct redis_question *question)
{
    if (!question)
        return;
    store_redis_push(&store->queue, question);
    store->has_news = true;
}

enum status store_redis_take(struct store_redis *store, struct redis_question *question,
                             const struct redis_key *key)
{
    if (!question)
        return STATUS_NO_MEMORY;
    if (store->unanswered >= STORE_QUESTIONS_MAX ||
        (question->has_long_event && store->long_unanswered >= STORE_LONG_QUESTIONS_MAX)) {
        store_count(&store->counts, METRIC_STORE_REFUSED, 1);
        store_redis_discard(question);
        return STATUS_FULL;
    }
    if (key) {
        question->order = hash_bytes(&store->hash_key, key->bytes, key->length) | 1; /* not 0 */
        struct redis_question *first =
            table_find(&store->subjects, question->order, &question->order);
        if (first) {
            *(first->last ? &first->last->follower : &first->follower) = question;
            first->last = question;
        } else if (table_insert(&store->subjects, question->order, question) != STATUS_OK) {
            store_redis_discard(question);
            return STATUS_NO_MEMORY;
        } else {
            store_redis_enqueue(store, question);
        }
    } else {
        store_redis_enqueue(store, question);
    }
    store->unanswered++;
    store->long_unanswered += question->has_long_event;
    store_gauge(&store->counts, METRIC_STORE_PENDING, store->unanswered);
    return STATUS_OK;
}

/* The subject is the next question's, which takes over who follows. */
static void hand_over(struct store_redis *store, struct redis_question *question,
                      struct redis_question *next)
{
    if (question->order == 0)
        return;
    (void)table_remove(&store->subjects, question->order, question);
    if (!next)
        return;
    next->order = question->order;
    next->last = question->last == next ? NULL : question->last;
    /* There is room: one was just taken out. */
    if (table_insert(&store->subjects, next->order, next) != STATUS_OK)
        next->order = 0;
}

void store_redis_step(struct store_redis *store, struct redis_question *question)
{
    struct redis_question *then = question->then;
    question->then = NULL;
    then->waiter = question->waiter;
    then->follower = question->follower;
    hand_over(store, question, then);
    free(question);
    store_redis_enqueue(store, then);
}

/* --- the end --- */

bool store_redis_is_write(enum redis_question_kind kind)
{
    switch (kind) {
    case QUESTION_FETCH_IDENTITY:
    case QUESTION_FIND:
    case QUESTION_OBLIGED:
    case QUESTION_MEMBERS:
    case QUESTION_GET_TOPIC:
    case QUESTION_TOPICS:
    case QUESTION_CHANGES:
        return false;
    default:
        return true;
    }
}

/* A call asked it, or it is the second step of what a call asked. */
static bool is_asked_for(enum redis_question_kind kind)
{
    return kind < QUESTION_MARKS || kind == QUESTION_ADDRESS_SET || kind == QUESTION_ADDRESS_DROP;
}

/* Marks count as the one write that carries them. */
static void count(const struct store_redis *store, const struct redis_question *question,
                  const struct store_answer *answer)
{
    enum store_outcome outcome = answer->outcome;
    const struct store_counts *where = &store->counts;
    if (outcome == STORE_UNAVAILABLE && question->kind != QUESTION_MARKS)
        store_count(where, METRIC_STORE_UNAVAILABLE, 1);
    if (outcome == STORE_STALE)
        store_count(where, METRIC_STORE_STALE, 1);
    if (outcome == STORE_OK && question->has_event)
        store_count(where, METRIC_STORE_EVENTS, 1);
    store_count(where, METRIC_STORE_TOPICS_FULL, answer->is_full);
    store_count(where, METRIC_STORE_GAPS, answer->has_gap);
    if (question->kind == QUESTION_MARK)
        return;
    store_count(where,
                store_redis_is_write(question->kind) ? METRIC_STORE_WRITES : METRIC_STORE_READS, 1);
}

void store_redis_answer(struct store_redis *store, struct redis_question *question,
                        struct store_answer *answer)
{
    bool is_asked = is_asked_for(question->kind);
    if (is_asked || question->kind == QUESTION_MARKS)
        count(store, question, answer);
    struct redis_question *follower = question->follower;
    hand_over(store, question, follower);
    if (follower)
        store_redis_enqueue(store, follower);
    if (is_asked) {
        store->unanswered--;
        store->long_unanswered -= question->has_long_event;
        store->answered++;
        store_gauge(&store->counts, METRIC_STORE_PENDING, store->unanswered);
        answer->subject = question->waiter.subject;
        answer->tag = question->waiter.tag;
        if (question->waiter.answer)
            question->waiter.answer(question->waiter.owner, answer);
    }
    store_redis_discard(question);
}

void store_redis_fail(struct store_redis *store, struct redis_question *question)
{
    struct store_answer answer = {.outcome = STORE_UNAVAILABLE};
    struct redis_question *mark = question->carried;
    question->carried = NULL;
    while (mark) {
        struct redis_question *next = mark->next;
        struct store_answer unavailable = {.outcome = STORE_UNAVAILABLE};
        store_redis_answer(store, mark, &unavailable);
        mark = next;
    }
    if (question->kind == QUESTION_PROBE)
        store->is_probing = false;
    /* The session is gone; that its address still leads to it is found out by who claims it. */
    if (question->kind == QUESTION_ADDRESS_DROP)
        answer.outcome = STORE_OK;
    store_redis_answer(store, question, &answer);
}
