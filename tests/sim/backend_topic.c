#include "tests/sim/backend.h"

#include "shared/cursor.h"
#include "shared/store_topic.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

void backend_free_topics(struct backend *backend)
{
    for (size_t i = 0; i < backend->topic_count; i++) {
        octets_free(&backend->topics[i].name);
        octets_free(&backend->topics[i].value);
    }
    free(backend->topics);
}

static int compare(struct octets one, struct octets other)
{
    size_t length = one.length < other.length ? one.length : other.length;
    int order = length > 0 ? memcmp(one.bytes, other.bytes, length) : 0;
    return order != 0 ? order : (one.length > length) - (other.length > length);
}

static struct stored_topic *find(const struct backend *backend, struct octets name)
{
    for (size_t i = 0; i < backend->topic_count; i++)
        if (compare(backend->topics[i].name, name) == 0)
            return &backend->topics[i];
    return NULL;
}

static void change(struct backend *backend, struct stored_topic *topic, struct octets value,
                   struct question *question)
{
    octets_free(&topic->value);
    topic->value = octets_copy(value);
    topic->number = ++backend->change_newest;
    question->answer.first = topic->number;
}

static void put(struct backend *backend, struct question *question)
{
    struct stored_topic *topic = find(backend, question->first);
    question->answer.outcome = store_topic_check(question->mode, topic && !topic->is_gone);
    if (question->answer.outcome != STORE_OK)
        return;
    if (!topic) {
        backend->topics = backend_append(backend->topics, &backend->topic_count, sizeof(*topic));
        topic = &backend->topics[backend->topic_count - 1];
        topic->name = octets_copy(question->first);
    }
    topic->is_gone = false;
    change(backend, topic, question->second, question);
}

static void get_or_remove(struct backend *backend, struct question *question)
{
    struct stored_topic *topic = find(backend, question->first);
    if (!topic || topic->is_gone) {
        question->answer.outcome = STORE_NOT_FOUND;
    } else if (question->kind == STORE_GET_TOPIC) {
        question->answer.value = octets_copy(topic->value);
        question->answer.first =
            backend->broken == RULE_NUMBER ? backend->change_newest : topic->number;
    } else {
        topic->is_gone = true;
        change(backend, topic, (struct octets){0}, question);
    }
}

static bool is_listed(const struct question *question, const struct stored_topic *topic)
{
    return question->kind == STORE_LIST_CHANGES
               ? topic->number > question->from
               : !topic->is_gone && compare(topic->name, question->first) > 0;
}

static bool is_before(const struct question *question, const struct stored_topic *one,
                      const struct stored_topic *other)
{
    return question->kind == STORE_LIST_CHANGES ? one->number < other->number
                                                : compare(one->name, other->name) < 0;
}

/* The least that is listed and behind `last`. */
static const struct stored_topic *next_of(const struct backend *backend,
                                          const struct question *question,
                                          const struct stored_topic *last)
{
    const struct stored_topic *next = NULL;
    for (size_t i = 0; i < backend->topic_count; i++) {
        const struct stored_topic *topic = &backend->topics[i];
        if (is_listed(question, topic) && (!last || is_before(question, last, topic)) &&
            (!next || is_before(question, topic, next)))
            next = topic;
    }
    return next;
}

static void list(const struct backend *backend, struct question *question)
{
    uint8_t *bytes = malloc(STORE_LIST_SIZE_MAX);
    assert(bytes);
    struct writer writer = writer_over(bytes, STORE_LIST_SIZE_MAX);
    const struct stored_topic *topic = NULL;
    while (question->answer.count < STORE_LIST_MAX && (topic = next_of(backend, question, topic))) {
        if (question->kind == STORE_LIST_CHANGES)
            writer_u64(&writer, topic->number);
        writer_u8(&writer, (uint8_t)topic->name.length);
        writer_bytes(&writer, topic->name.bytes, topic->name.length);
        question->answer.count++;
    }
    question->answer.value = (struct octets){bytes, writer_length(&writer)};
    if (question->kind != STORE_LIST_CHANGES)
        return;
    question->answer.first = backend->change_newest;
    question->answer.has_gap = store_topic_has_gap(question->from, 0, backend->change_newest);
}

void backend_carry_out_topic(struct backend *backend, struct question *question)
{
    switch (question->kind) {
    case STORE_PUT_TOPIC:
        put(backend, question);
        break;
    case STORE_LIST_TOPICS:
    case STORE_LIST_CHANGES:
        list(backend, question);
        break;
    default:
        get_or_remove(backend, question);
        break;
    }
}
