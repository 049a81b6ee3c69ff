/* What is asked about topics: all their keys are in one slot. */
#include <inttypes.h>
#include <stdio.h>

#include "shared/store_redis.h"
#include "shared/store_topic.h"

#define TOPIC_VERSION 1

/* Questions about one name are in order: its subject is no key, but is like none either. */
static struct redis_key subject_of(const struct store_redis *store, struct octets name)
{
    return store_redis_plain_key(store, 't', name.bytes, name.length);
}

static enum status check(struct octets name, struct octets value)
{
    if (name.length > STORE_TOPIC_NAME_MAX || value.length > STORE_TOPIC_MAX)
        return STATUS_TOO_LONG;
    return name.length == 0 ? STATUS_MALFORMED : STATUS_OK;
}

/* The keys of a change are copied into the question by store_redis_make, so they may be locals. */
struct change_keys {
    struct redis_key topics;
    struct redis_key changes;
    struct redis_key names;
    struct redis_key gone;
    struct redis_key state;
};

static void begin_change(struct store_redis *store, enum redis_script script,
                         struct change_keys *keys)
{
    keys->topics = store_redis_topic_key(store, "topics");
    keys->changes = store_redis_topic_key(store, "changes");
    keys->names = store_redis_topic_key(store, "names");
    keys->gone = store_redis_topic_key(store, "gone");
    keys->state = store_redis_topic_key(store, "state");
    store_redis_begin_script(store, script, "5");
    store_redis_add(store, &keys->topics);
    store_redis_add(store, &keys->changes);
    store_redis_add(store, &keys->names);
    store_redis_add(store, &keys->gone);
    store_redis_add(store, &keys->state);
}

static const char *mode_text(enum store_topic_mode mode)
{
    switch (mode) {
    case STORE_TOPIC_CREATE:
        return "c";
    case STORE_TOPIC_UPDATE:
        return "u";
    case STORE_TOPIC_EITHER:
        break;
    }
    return "e";
}

enum status store_redis_put_topic(struct store *base, struct octets name,
                                  enum store_topic_mode mode, struct octets value,
                                  const struct store_waiter *waiter)
{
    struct store_redis *store = store_redis_of(base);
    enum status status = check(name, value);
    if (status != STATUS_OK)
        return status;
    struct change_keys keys;
    struct redis_key subject = subject_of(store, name);
    begin_change(store, REDIS_TOPIC_PUT, &keys);
    redis_command_text(&store->command, mode_text(mode));
    redis_command_add(&store->command, name.bytes, name.length);
    redis_command_add(&store->command, value.bytes, value.length);
    redis_command_text(&store->command, store->texts.topics);
    struct redis_question *question =
        store_redis_make(store, QUESTION_PUT_TOPIC, waiter, &keys.topics, REDIS_TOPIC_PUT);
    return store_redis_take(store, question, &subject);
}

enum status store_redis_get_topic(struct store *base, struct octets name,
                                  const struct store_waiter *waiter)
{
    struct store_redis *store = store_redis_of(base);
    enum status status = check(name, (struct octets){0});
    if (status != STATUS_OK)
        return status;
    struct redis_key key = store_redis_topic_key(store, "topics");
    struct redis_key subject = subject_of(store, name);
    store_redis_begin(store, "HGET");
    store_redis_add(store, &key);
    redis_command_add(&store->command, name.bytes, name.length);
    struct redis_question *question =
        store_redis_make(store, QUESTION_GET_TOPIC, waiter, &key, REDIS_SCRIPTS);
    return store_redis_take(store, question, &subject);
}

enum status store_redis_remove_topic(struct store *base, struct octets name,
                                     const struct store_waiter *waiter)
{
    struct store_redis *store = store_redis_of(base);
    enum status status = check(name, (struct octets){0});
    if (status != STATUS_OK)
        return status;
    struct change_keys keys;
    struct redis_key subject = subject_of(store, name);
    begin_change(store, REDIS_TOPIC_REMOVE, &keys);
    redis_command_add(&store->command, name.bytes, name.length);
    redis_command_text(&store->command, store->texts.tombstones);
    struct redis_question *question =
        store_redis_make(store, QUESTION_REMOVE_TOPIC, waiter, &keys.topics, REDIS_TOPIC_REMOVE);
    return store_redis_take(store, question, &subject);
}

enum status store_redis_list_topics(struct store *base, struct octets after,
                                    const struct store_waiter *waiter)
{
    struct store_redis *store = store_redis_of(base);
    if (after.length > STORE_TOPIC_NAME_MAX)
        return STATUS_TOO_LONG;
    struct redis_key key = store_redis_topic_key(store, "names");
    store_redis_begin_script(store, REDIS_TOPICS, "1");
    store_redis_add(store, &key);
    redis_command_add(&store->command, after.bytes, after.length);
    redis_command_text(&store->command, store->texts.listed);
    struct redis_question *question =
        store_redis_make(store, QUESTION_TOPICS, waiter, &key, REDIS_TOPICS);
    return store_redis_take(store, question, NULL);
}

enum status store_redis_list_changes(struct store *base, uint64_t after,
                                     const struct store_waiter *waiter)
{
    struct store_redis *store = store_redis_of(base);
    char text[REDIS_NUMBER_TEXT];
    (void)snprintf(text, sizeof text, "%" PRIu64, after);
    struct redis_key changes = store_redis_topic_key(store, "changes");
    struct redis_key state = store_redis_topic_key(store, "state");
    store_redis_begin_script(store, REDIS_CHANGES, "2");
    store_redis_add(store, &changes);
    store_redis_add(store, &state);
    redis_command_text(&store->command, text);
    redis_command_text(&store->command, store->texts.listed);
    struct redis_question *question =
        store_redis_make(store, QUESTION_CHANGES, waiter, &changes, REDIS_CHANGES);
    if (question)
        question->after = after;
    return store_redis_take(store, question, NULL);
}

/* --- answers --- */

/* The rest is a list; `is_numbered`: a number stands before each name. */
static bool read_list(struct cursor *cursor, bool is_numbered, struct store_answer *answer)
{
    answer->value = (struct octets){cursor->at, cursor_left(cursor)};
    for (; cursor_left(cursor) > 0; answer->count++) {
        if (is_numbered)
            (void)cursor_u64(cursor);
        (void)cursor_bytes(cursor, cursor_u8(cursor));
    }
    return cursor_ok(cursor) && answer->count <= STORE_LIST_MAX;
}

bool store_redis_read_topic(const struct redis_question *question, struct cursor *cursor,
                            struct store_answer *answer)
{
    uint64_t lost;
    switch (question->kind) {
    case QUESTION_GET_TOPIC:
        if (cursor_u8(cursor) != TOPIC_VERSION)
            return false;
        answer->first = cursor_u64(cursor);
        answer->value = (struct octets){cursor->at, cursor_left(cursor)};
        return cursor_ok(cursor) && answer->value.length <= STORE_TOPIC_MAX;
    case QUESTION_TOPICS:
        return read_list(cursor, false, answer);
    case QUESTION_CHANGES:
        answer->first = cursor_u64(cursor);
        lost = cursor_u64(cursor);
        answer->has_gap = store_topic_has_gap(question->after, lost, answer->first);
        return read_list(cursor, true, answer);
    default: /* changes */
        answer->first = cursor_u64(cursor);
        return cursor_ok(cursor);
    }
}
