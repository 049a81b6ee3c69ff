#include <string.h>

#include "shared/store_lmdb.h"
#include "shared/store_topic.h"

#define NUMBER_SIZE 8

static const struct octets state_key = {(const uint8_t *)"topics", 6};

enum kind { TOPIC_GONE = 0, TOPIC_THERE = 1 };

struct topic {
    uint64_t number; /* of its latest change */
    uint8_t kind;
    struct octets value; /* valid until the next change of the database */
};

struct state {
    uint64_t newest; /* of all changes */
    uint64_t lost;   /* of the newest tombstone that is forgotten */
};

enum found { ABSENT, PRESENT, UNREADABLE };

/* --- items --- */

static struct octets number_key(uint64_t number, uint8_t key[NUMBER_SIZE])
{
    struct writer writer = writer_over(key, NUMBER_SIZE);
    writer_u64(&writer, number);
    return (struct octets){key, NUMBER_SIZE};
}

static enum found find(struct store_lmdb *lmdb, struct octets name, struct topic *topic)
{
    struct octets value;
    struct cursor body;
    *topic = (struct topic){0};
    if (!lmdb_get(lmdb, LMDB_TOPICS, name, &value))
        return ABSENT;
    if (!lmdb_body(lmdb, value, &body))
        return UNREADABLE;
    topic->number = cursor_u64(&body);
    topic->kind = cursor_u8(&body);
    topic->value.length = cursor_left(&body);
    topic->value.bytes = cursor_bytes(&body, topic->value.length);
    if (cursor_ok(&body) && topic->kind <= TOPIC_THERE && topic->value.length <= STORE_TOPIC_MAX)
        return PRESENT;
    store_count(&lmdb->batch.counts, METRIC_STORE_FORMAT, 1);
    return UNREADABLE;
}

/* False: it cannot be read, and is not begun again. */
static bool read_state(struct store_lmdb *lmdb, struct state *state)
{
    struct octets value;
    struct cursor body;
    *state = (struct state){0};
    if (!lmdb_get(lmdb, LMDB_META, state_key, &value))
        return true;
    bool is_ours = lmdb_body(lmdb, value, &body);
    state->newest = cursor_u64(&body);
    state->lost = cursor_u64(&body);
    return is_ours && cursor_ok(&body) && cursor_left(&body) == 0;
}

static void write_state(struct store_lmdb *lmdb, const struct state *state)
{
    uint8_t bytes[1 + 2 * NUMBER_SIZE];
    struct writer writer = writer_over(bytes, sizeof bytes);
    writer_u8(&writer, STORE_FORMAT);
    writer_u64(&writer, state->newest);
    writer_u64(&writer, state->lost);
    lmdb_put(lmdb, LMDB_META, state_key, &writer);
}

static void put_name(struct store_lmdb *lmdb, enum lmdb_database database, uint64_t number,
                     struct octets name)
{
    uint8_t key[NUMBER_SIZE];
    uint8_t bytes[1 + STORE_TOPIC_NAME_MAX];
    struct writer writer = writer_over(bytes, sizeof bytes);
    writer_u8(&writer, STORE_FORMAT);
    writer_bytes(&writer, name.bytes, name.length);
    lmdb_put(lmdb, database, number_key(number, key), &writer);
}

static void put_topic(struct store_lmdb *lmdb, struct octets name, enum kind kind, uint64_t number,
                      struct octets value)
{
    uint8_t bytes[1 + NUMBER_SIZE + 1 + STORE_TOPIC_MAX];
    struct writer writer = writer_over(bytes, sizeof bytes);
    writer_u8(&writer, STORE_FORMAT);
    writer_u64(&writer, number);
    writer_u8(&writer, (uint8_t)kind);
    writer_bytes(&writer, value.bytes, value.length);
    lmdb_put(lmdb, LMDB_TOPICS, name, &writer);
}

static size_t count_of(struct store_lmdb *lmdb, enum lmdb_database database)
{
    MDB_stat stat = {0};
    if (lmdb->failure == MDB_SUCCESS)
        (void)lmdb_check(lmdb, mdb_stat(lmdb->txn, lmdb->databases[database], &stat));
    return stat.ms_entries;
}

/* --- changes --- */

/* The change of a topic that was `former`. Its number is the time, or the next if that is taken: so
 * it rises even over a store that was lost. */
static uint64_t change(struct store_lmdb *lmdb, struct octets name, const struct topic *former,
                       enum kind kind, struct octets value, struct state *state)
{
    uint8_t key[NUMBER_SIZE];
    uint64_t number = state->newest + 1 > lmdb->now_ms ? state->newest + 1 : lmdb->now_ms;
    if (former->number > 0)
        lmdb_delete(lmdb, LMDB_CHANGES, number_key(former->number, key));
    if (former->number > 0 && former->kind == TOPIC_GONE)
        lmdb_delete(lmdb, LMDB_TOMBSTONES, number_key(former->number, key));
    if (kind == TOPIC_GONE) /* only what is deleted lets pages grow together */
        lmdb_delete(lmdb, LMDB_TOPICS, name);
    put_name(lmdb, LMDB_CHANGES, number, name);
    put_topic(lmdb, name, kind, number, value);
    state->newest = number;
    return number;
}

static void forget_oldest_tombstone(struct store_lmdb *lmdb, struct state *state)
{
    struct octets key = {0};
    struct octets value;
    struct cursor name;
    uint8_t bytes[STORE_TOPIC_NAME_MAX];
    uint8_t number[NUMBER_SIZE];
    MDB_cursor *cursor = lmdb_cursor(lmdb, LMDB_TOMBSTONES);
    if (!cursor)
        return;
    if (lmdb_move(lmdb, cursor, MDB_FIRST, &key, &value)) {
        struct cursor oldest = cursor_over(key.bytes, key.length);
        state->lost = cursor_u64(&oldest);
        size_t length = lmdb_body(lmdb, value, &name) ? cursor_left(&name) : 0;
        if (length > 0 && length <= sizeof bytes)
            memcpy(bytes, cursor_bytes(&name, length), length);
        (void)lmdb_check(lmdb, mdb_cursor_del(cursor, 0));
        if (length > 0 && length <= sizeof bytes)
            lmdb_delete(lmdb, LMDB_TOPICS, (struct octets){bytes, length});
        lmdb_delete(lmdb, LMDB_CHANGES, number_key(state->lost, number));
    }
    mdb_cursor_close(cursor);
}

/* --- questions --- */

void lmdb_put_topic(struct store_lmdb *lmdb, const struct store_question *question,
                    struct store_answer *answer)
{
    struct state state;
    struct topic topic;
    enum found found = find(lmdb, question->first, &topic);
    bool is_there = topic.kind == TOPIC_THERE;
    answer->outcome = STORE_UNAVAILABLE;
    if (found == UNREADABLE || !read_state(lmdb, &state) || lmdb->is_crowded)
        return;
    answer->outcome = store_topic_check(question->mode, is_there);
    if (answer->outcome != STORE_OK)
        return;
    answer->is_full =
        !is_there && count_of(lmdb, LMDB_TOPICS) - count_of(lmdb, LMDB_TOMBSTONES) >= TOPICS_MAX;
    if (answer->is_full) {
        answer->outcome = STORE_UNAVAILABLE;
        return;
    }
    answer->first = change(lmdb, question->first, &topic, TOPIC_THERE, question->second, &state);
    write_state(lmdb, &state);
}

void lmdb_get_topic(struct store_lmdb *lmdb, const struct store_question *question,
                    struct store_answer *answer)
{
    struct topic topic;
    answer->outcome = STORE_NOT_FOUND;
    if (find(lmdb, question->first, &topic) != PRESENT || topic.kind != TOPIC_THERE)
        return;
    answer->outcome = STORE_OK;
    answer->first = topic.number;
    answer->value = store_batch_keep(&lmdb->batch, topic.value);
}

void lmdb_remove_topic(struct store_lmdb *lmdb, const struct store_question *question,
                       struct store_answer *answer)
{
    struct state state;
    struct topic topic;
    answer->outcome = STORE_NOT_FOUND;
    if (find(lmdb, question->first, &topic) != PRESENT || topic.kind != TOPIC_THERE)
        return;
    answer->outcome = STORE_UNAVAILABLE;
    if (!read_state(lmdb, &state))
        return;
    answer->outcome = STORE_OK;
    answer->first = change(lmdb, question->first, &topic, TOPIC_GONE, (struct octets){0}, &state);
    put_name(lmdb, LMDB_TOMBSTONES, answer->first, question->first);
    if (count_of(lmdb, LMDB_TOMBSTONES) > STORE_TOMBSTONES_MAX)
        forget_oldest_tombstone(lmdb, &state);
    write_state(lmdb, &state);
}

static void list_name(struct writer *list, struct octets name)
{
    writer_u8(list, (uint8_t)name.length);
    writer_bytes(list, name.bytes, name.length);
}

void lmdb_list_topics(struct store_lmdb *lmdb, const struct store_question *question,
                      struct store_answer *answer)
{
    const struct octets after = question->first;
    struct octets key = after;
    struct octets value;
    struct writer list = store_batch_list(&lmdb->batch);
    MDB_cursor *cursor = lmdb_cursor(lmdb, LMDB_TOPICS);
    MDB_cursor_op move = after.length > 0 ? MDB_SET_RANGE : MDB_FIRST;
    for (bool more = cursor && lmdb_move(lmdb, cursor, move, &key, &value);
         more && answer->count < STORE_LIST_MAX;
         more = lmdb_move(lmdb, cursor, MDB_NEXT, &key, &value)) {
        struct cursor body;
        bool is_after = key.length != after.length ||
                        (after.length > 0 && memcmp(key.bytes, after.bytes, after.length) != 0);
        if (!is_after || key.length > STORE_TOPIC_NAME_MAX || !lmdb_body(lmdb, value, &body))
            continue;
        (void)cursor_u64(&body);
        if (cursor_u8(&body) != TOPIC_THERE)
            continue;
        list_name(&list, key);
        answer->count++;
    }
    if (cursor)
        mdb_cursor_close(cursor);
    answer->value = store_batch_end_list(&lmdb->batch, &list);
}

void lmdb_list_changes(struct store_lmdb *lmdb, const struct store_question *question,
                       struct store_answer *answer)
{
    uint8_t start[NUMBER_SIZE];
    struct octets value;
    struct state state;
    if (!read_state(lmdb, &state)) {
        answer->outcome = STORE_UNAVAILABLE;
        return;
    }
    answer->first = state.newest;
    answer->has_gap = store_topic_has_gap(question->from, state.lost, state.newest);
    if (question->from >= state.newest)
        return;
    struct octets key = number_key(question->from + 1, start);
    struct writer list = store_batch_list(&lmdb->batch);
    MDB_cursor *cursor = lmdb_cursor(lmdb, LMDB_CHANGES);
    for (bool more = cursor && lmdb_move(lmdb, cursor, MDB_SET_RANGE, &key, &value);
         more && answer->count < STORE_LIST_MAX;
         more = lmdb_move(lmdb, cursor, MDB_NEXT, &key, &value)) {
        struct cursor number = cursor_over(key.bytes, key.length);
        struct cursor body;
        if (!lmdb_body(lmdb, value, &body))
            continue;
        size_t length = cursor_left(&body);
        if (key.length != NUMBER_SIZE || length > STORE_TOPIC_NAME_MAX) {
            store_count(&lmdb->batch.counts, METRIC_STORE_FORMAT, 1);
            continue;
        }
        writer_u64(&list, cursor_u64(&number));
        list_name(&list, (struct octets){cursor_bytes(&body, length), length});
        answer->count++;
    }
    if (cursor)
        mdb_cursor_close(cursor);
    answer->value = store_batch_end_list(&lmdb->batch, &list);
}
