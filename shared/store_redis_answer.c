/* What a server's reply means to who asked. Replies are input: they are read through a cursor, and
 * one that is not what the question calls for is refused. */
#include <stdlib.h>
#include <string.h>

#include <hiredis/hiredis.h>

#include "shared/store_redis.h"

#define MEMBER_SIZE (2 + FRAME_BOOT_ID_SIZE + 1 + 2 * ADDRESS_WIRE_SIZE)

/* Not what was asked for: another program's data under our key, or another version's. */
static void refuse(struct store_redis *store, struct redis_question *question)
{
    uint64_t left_out = 0;
    store_count(&store->counts, METRIC_STORE_FORMAT, 1);
    if (log_allow(&store->log_limit, store->now_ms, 2, &left_out))
        log_line(LOG_WARN, "redis", "record refused", "reason=format left_out=%llu",
                 (unsigned long long)left_out);
    struct store_answer answer = {.outcome = STORE_NOT_FOUND};
    store_redis_answer(store, question, &answer);
}

/* The beginning of a script's entry. False: it is none. */
static bool read_word(struct cursor *cursor, enum redis_word *word, struct octets *address)
{
    *address = (struct octets){0};
    *word = (enum redis_word)cursor_u8(cursor);
    if (*word == REDIS_WORD_OK) {
        address->length = cursor_u8(cursor);
        address->bytes = cursor_bytes(cursor, address->length);
    }
    bool is_address = address->length == 0 || address->length == ADDRESS_WIRE_SIZE;
    return cursor_ok(cursor) && is_address && *word != 0 && strchr("knesxv", *word);
}

static enum store_outcome outcome_of(enum redis_word word)
{
    switch (word) {
    case REDIS_WORD_OK:
        return STORE_OK;
    case REDIS_WORD_NOT_FOUND:
    case REDIS_WORD_UNREADABLE:
        return STORE_NOT_FOUND;
    case REDIS_WORD_EXISTS:
        return STORE_EXISTS;
    case REDIS_WORD_STALE:
        return STORE_STALE;
    case REDIS_WORD_EXHAUSTED:
        break;
    }
    return STORE_UNAVAILABLE;
}

static void take_create(struct store_redis *store, struct redis_question *question,
                        struct cursor *cursor, struct store_answer *answer)
{
    answer->fence = cursor_u64(cursor);
    answer->first = cursor_u64(cursor);
    answer->count = SEQUENCE_LEASE;
    if (!cursor_ok(cursor)) {
        refuse(store, question);
    } else if (question->then) {
        question->then->fence = answer->fence;
        question->then->first = answer->first;
        store_redis_step(store, question);
    } else {
        store_redis_answer(store, question, answer);
    }
}

/* As the session holds them. */
static bool read_relations(struct store_redis *store, struct cursor *cursor,
                           struct store_answer *answer)
{
    answer->relations = store->relations;
    while (cursor_left(cursor) > 0 && answer->relation_count < RELATIONS_PER_SESSION_MAX) {
        struct store_relation *relation = &store->relations[answer->relation_count++];
        relation->slot = cursor_u8(cursor);
        relation->value.length = cursor_u16(cursor);
        relation->value.bytes = cursor_bytes(cursor, relation->value.length);
        if (relation->slot >= RELATIONS_PER_SESSION_MAX || relation->value.length == 0 ||
            relation->value.length > STORE_RELATION_MAX)
            return false;
    }
    return cursor_ok(cursor) && cursor_left(cursor) == 0;
}

static void take_claim(struct store_redis *store, struct redis_question *question,
                       struct cursor *cursor, struct store_answer *answer)
{
    answer->fence = cursor_u64(cursor);
    answer->first = cursor_u64(cursor);
    answer->count = SEQUENCE_LEASE;
    answer->mark.length = cursor_u8(cursor);
    answer->mark.bytes = cursor_bytes(cursor, answer->mark.length);
    answer->value.length = cursor_u16(cursor);
    answer->value.bytes = cursor_bytes(cursor, answer->value.length);
    struct cursor relations = cursor_sub(cursor, cursor_u16(cursor));
    bool is_ours = read_relations(store, &relations, answer);
    answer->exchanges = store->exchanges;
    while (cursor_left(cursor) > 0 && answer->exchange_count < COAP_EXCHANGES_PER_PEER_MAX) {
        struct store_exchange *exchange = &store->exchanges[answer->exchange_count++];
        exchange->slot = cursor_u8(cursor);
        exchange->value.length = cursor_u16(cursor);
        exchange->value.bytes = cursor_bytes(cursor, exchange->value.length);
        if (exchange->slot >= COAP_EXCHANGES_PER_PEER_MAX ||
            exchange->value.length > STORE_EXCHANGE_MAX)
            cursor->failed = true;
    }
    if (!is_ours || !cursor_ok(cursor) || cursor_left(cursor) > 0 ||
        answer->mark.length > STORE_MARK_MAX || answer->value.length > STORE_SEALED_MAX)
        refuse(store, question);
    else
        store_redis_answer(store, question, answer);
}

/* A set gives more than it was asked for rather than leave one out. */
static void take_obliged(struct store_redis *store, struct redis_question *question,
                         struct cursor *cursor, struct store_answer *answer)
{
    answer->first = cursor_u64(cursor);
    answer->value = (struct octets){cursor->at, cursor_left(cursor)};
    bool is_ours = cursor_ok(cursor);
    for (; cursor_left(cursor) > 0; answer->count++) {
        uint8_t length = cursor_u8(cursor);
        is_ours = is_ours && length > 0 && length <= CID_LENGTH_MAX;
        (void)cursor_bytes(cursor, length);
    }
    if (is_ours && cursor_ok(cursor))
        store_redis_answer(store, question, answer);
    else
        refuse(store, question);
}

static void take_topic(struct store_redis *store, struct redis_question *question,
                       struct cursor *cursor, struct store_answer *answer)
{
    if (store_redis_read_topic(question, cursor, answer))
        store_redis_answer(store, question, answer);
    else
        refuse(store, question);
}

static int compare_members(const void *a, const void *b)
{
    const struct store_member *one = a, *other = b;
    return (one->worker_id > other->worker_id) - (one->worker_id < other->worker_id);
}

static void take_members(struct store_redis *store, struct redis_question *question,
                         struct cursor *cursor, struct store_answer *answer)
{
    while (cursor_left(cursor) >= MEMBER_SIZE && answer->member_count < WORKERS_MAX) {
        struct store_member *member = &store->members[answer->member_count++];
        member->worker_id = cursor_u16(cursor);
        const uint8_t *boot = cursor_bytes(cursor, sizeof member->boot.bytes);
        memcpy(member->boot.bytes, boot, sizeof member->boot.bytes);
        member->state = cursor_u8(cursor);
        member->link = address_read(cursor);
        member->http = address_read(cursor);
    }
    if (!cursor_ok(cursor) || cursor_left(cursor) > 0) {
        refuse(store, question);
        return;
    }
    qsort(store->members, answer->member_count, sizeof store->members[0], compare_members);
    answer->members = store->members;
    store_redis_answer(store, question, answer);
}

static void take_join(struct store_redis *store, struct redis_question *question,
                      struct cursor *cursor, struct store_answer *answer)
{
    store->members[0] = question->member;
    store->members[0].worker_id = cursor_u16(cursor);
    answer->members = store->members;
    answer->member_count = 1;
    if (cursor_ok(cursor))
        store_redis_answer(store, question, answer);
    else
        refuse(store, question);
}

static void take_marks(struct store_redis *store, struct redis_question *question,
                       struct cursor *cursor)
{
    struct redis_question *mark = question->carried;
    question->carried = NULL;
    while (mark) {
        struct redis_question *next = mark->next;
        enum redis_word word;
        struct octets address;
        struct store_answer answer = {.outcome = STORE_UNAVAILABLE};
        bool is_entry = read_word(cursor, &word, &address);
        if (is_entry)
            answer.outcome = outcome_of(word);
        if (is_entry && address.length > 0)
            store_redis_enqueue(store,
                                store_redis_keep_address(store, address, &mark->waiter.subject));
        if (!is_entry || word == REDIS_WORD_UNREADABLE)
            refuse(store, mark);
        else
            store_redis_answer(store, mark, &answer);
        mark = next;
    }
    struct store_answer done = {.outcome = STORE_OK};
    store_redis_answer(store, question, &done);
}

static void take_script(struct store_redis *store, struct redis_question *question,
                        struct cursor *cursor)
{
    enum redis_word word;
    struct octets address;
    struct store_answer answer = {0};
    if (!read_word(cursor, &word, &address) || word == REDIS_WORD_UNREADABLE) {
        refuse(store, question);
        return;
    }
    answer.outcome = outcome_of(word);
    bool was_obliged = question->kind == QUESTION_REMOVE && cursor_u8(cursor) > 0;
    bool is_in_vain = question->kind == QUESTION_CLAIM && word == REDIS_WORD_NOT_FOUND;
    if (was_obliged || is_in_vain)
        store_redis_enqueue(store, store_redis_drop_obliged(store, &question->waiter.subject));
    if (question->kind == QUESTION_REMOVE && address.length > 0) {
        question->then = store_redis_drop_address(store, address, &question->waiter.subject);
        if (question->then) {
            store_redis_step(store, question);
            return;
        }
    } else if (address.length > 0) {
        store_redis_enqueue(store,
                            store_redis_keep_address(store, address, &question->waiter.subject));
    }
    if (word != REDIS_WORD_OK) {
        /* That an address had gone to a newer session meanwhile is as it should be. */
        if (question->kind == QUESTION_ADDRESS_DROP)
            answer.outcome = STORE_OK;
        answer.is_full = question->kind == QUESTION_PUT_TOPIC && word == REDIS_WORD_EXHAUSTED;
        store_redis_answer(store, question, &answer);
        return;
    }
    switch (question->kind) {
    case QUESTION_CREATE:
        take_create(store, question, cursor, &answer);
        return;
    case QUESTION_CLAIM:
        take_claim(store, question, cursor, &answer);
        return;
    case QUESTION_MEMBERS:
        take_members(store, question, cursor, &answer);
        return;
    case QUESTION_JOIN:
        take_join(store, question, cursor, &answer);
        return;
    case QUESTION_OBLIGED:
        take_obliged(store, question, cursor, &answer);
        return;
    case QUESTION_PUT_TOPIC:
    case QUESTION_REMOVE_TOPIC:
    case QUESTION_TOPICS:
    case QUESTION_CHANGES:
        take_topic(store, question, cursor, &answer);
        return;
    case QUESTION_EXCHANGE:
        question->has_event = question->has_event && cursor_left(cursor) == 0;
        break;
    case QUESTION_LEASE:
        answer.first = cursor_u64(cursor);
        answer.count = SEQUENCE_LEASE;
        break;
    default: /* those that answer with a word only */
        break;
    }
    if (cursor_ok(cursor))
        store_redis_answer(store, question, &answer);
    else
        refuse(store, question);
}

/* GET: longer than `max` is nothing of ours. */
static void take_value(struct store_redis *store, struct redis_question *question,
                       const redisReply *reply, size_t max)
{
    struct store_answer answer = {.outcome = STORE_NOT_FOUND};
    if (reply->type == REDIS_REPLY_NIL) {
        store_redis_answer(store, question, &answer);
    } else if (reply->type != REDIS_REPLY_STRING || reply->len > max) {
        refuse(store, question);
    } else {
        answer.outcome = STORE_OK;
        answer.value = (struct octets){(const uint8_t *)reply->str, reply->len};
        store_redis_answer(store, question, &answer);
    }
}

static void take_nonces(struct store_redis *store, struct redis_question *question,
                        const redisReply *reply)
{
    if (reply->type != REDIS_REPLY_INTEGER || reply->integer < NONCE_LEASE) {
        refuse(store, question);
        return;
    }
    struct store_answer answer = {
        .outcome = STORE_OK, .first = (uint64_t)reply->integer - NONCE_LEASE, .count = NONCE_LEASE};
    store_redis_answer(store, question, &answer);
}

static void take_done(struct store_redis *store, struct redis_question *question,
                      const redisReply *reply)
{
    struct store_answer answer = {.outcome = STORE_OK};
    if (question->kind == QUESTION_ADDRESS_SET) {
        answer.fence = question->fence;
        answer.first = question->first;
        answer.count = SEQUENCE_LEASE;
    }
    if (question->kind == QUESTION_PROBE)
        store->is_probing = false;
    if (reply->type == REDIS_REPLY_STATUS || question->kind == QUESTION_OBLIGED_DROP)
        store_redis_answer(store, question, &answer);
    else
        refuse(store, question);
}

static void take_reply(struct store_redis *store, struct redis_question *question,
                       const redisReply *reply)
{
    if (question->script != REDIS_SCRIPTS) {
        bool is_string = reply->type == REDIS_REPLY_STRING;
        struct cursor cursor = cursor_over(reply->str, is_string ? reply->len : 0);
        if (question->kind == QUESTION_MARKS)
            take_marks(store, question, &cursor);
        else
            take_script(store, question, &cursor);
    } else if (question->kind == QUESTION_FETCH_IDENTITY) {
        take_value(store, question, reply, STORE_SEALED_MAX);
    } else if (question->kind == QUESTION_FIND) {
        take_value(store, question, reply, CID_LENGTH_MAX);
    } else if (question->kind == QUESTION_GET_TOPIC && reply->type == REDIS_REPLY_STRING) {
        struct store_answer answer = {.outcome = STORE_OK};
        struct cursor cursor = cursor_over(reply->str, reply->len);
        take_topic(store, question, &cursor, &answer);
    } else if (question->kind == QUESTION_GET_TOPIC) {
        take_value(store, question, reply, 0); /* there is none */
    } else if (question->kind == QUESTION_NONCES) {
        take_nonces(store, question, reply);
    } else {
        take_done(store, question, reply);
    }
}

void store_redis_on_reply(struct redis_call *call, struct redis_link *link,
                          const struct redisReply *reply)
{
    struct redis_question *question = (struct redis_question *)call;
    struct store_redis *store = call->owner;
    if (store->is_closing) {
        store_redis_drop(question);
    } else if (!reply) {
        store_redis_fail(store, question);
    } else if (reply->type == REDIS_REPLY_ERROR) {
        store_redis_on_error(store, question, link, reply->str, reply->len);
    } else {
        store_redis_on_success(store, question, link);
        take_reply(store, question, reply);
    }
}
