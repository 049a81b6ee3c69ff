/* Topics in two orders: by name, an array that is searched by halves, and by the number of their
 * latest change, a list of those that are there and one of tombstones. */
#include <stdlib.h>
#include <string.h>

#include "shared/io.h"
#include "shared/store_memory.h"
#include "shared/store_topic.h"

#define TOPICS_AND_TOMBSTONES_MAX (TOPICS_MAX + STORE_TOMBSTONES_MAX)

static int compare(const struct memory_topic *topic, struct octets name)
{
    size_t length = topic->name_length < name.length ? topic->name_length : name.length;
    int order = length > 0 ? memcmp(topic->name, name.bytes, length) : 0;
    return order != 0 ? order : (topic->name_length > length) - (name.length > length);
}

/* Where the name is, or would be; the first that is not below it. */
static size_t place_of(const struct memory_topics *topics, struct octets name)
{
    size_t from = 0;
    size_t to = topics->count;
    while (from < to) {
        size_t middle = from + (to - from) / 2;
        if (compare(topics->by_name[middle], name) < 0)
            from = middle + 1;
        else
            to = middle;
    }
    return from;
}

static bool is_at(const struct memory_topics *topics, size_t place, struct octets name)
{
    return place < topics->count && compare(topics->by_name[place], name) == 0;
}

static void insert(struct memory_topics *topics, size_t place, struct memory_topic *topic)
{
    memmove(topics->by_name + place + 1, topics->by_name + place,
            (topics->count - place) * sizeof(struct memory_topic *));
    topics->by_name[place] = topic;
    topics->count++;
}

static void take_out(struct memory_topics *topics, size_t place)
{
    topics->count--;
    memmove(topics->by_name + place, topics->by_name + place + 1,
            (topics->count - place) * sizeof(struct memory_topic *));
}

/* --- changes --- */

static struct memory_changes *kind_of(struct memory_topics *topics,
                                      const struct memory_topic *topic)
{
    return topic->is_gone ? &topics->gone : &topics->there;
}

static void unlink_topic(struct memory_topics *topics, struct memory_topic *topic)
{
    struct memory_changes *changes = kind_of(topics, topic);
    *(topic->older ? &topic->older->newer : &changes->oldest) = topic->newer;
    *(topic->newer ? &topic->newer->older : &changes->newest) = topic->older;
    changes->count--;
}

/* The newest of its kind, and of all. */
static void link_topic(struct memory_topics *topics, struct memory_topic *topic)
{
    struct memory_changes *changes = kind_of(topics, topic);
    topic->number = ++topics->number;
    topic->older = changes->newest;
    topic->newer = NULL;
    *(changes->newest ? &changes->newest->newer : &changes->oldest) = topic;
    changes->newest = topic;
    changes->count++;
}

static void forget_oldest_tombstone(struct memory_topics *topics)
{
    struct memory_topic *topic = topics->gone.oldest;
    take_out(topics, place_of(topics, (struct octets){topic->name, topic->name_length}));
    unlink_topic(topics, topic);
    topics->lost = topic->number;
    pool_put(&topics->pool, topic);
}

/* The oldest after a number; from the newest backwards, since readers are seldom far behind. */
static const struct memory_topic *find_after(const struct memory_changes *changes, uint64_t after)
{
    const struct memory_topic *found = NULL;
    for (const struct memory_topic *topic = changes->newest; topic && topic->number > after;
         topic = topic->older)
        found = topic;
    return found;
}

/* --- questions --- */

static struct memory_topic *add_topic(struct memory_topics *topics, size_t place,
                                      struct octets name)
{
    struct memory_topic *topic = pool_get(&topics->pool);
    if (!topic)
        return NULL;
    topic->name_length = (uint8_t)name.length;
    memcpy(topic->name, name.bytes, name.length);
    insert(topics, place, topic);
    return topic;
}

void store_memory_put_topic(struct store_memory *memory, const struct store_question *question,
                            struct store_answer *answer)
{
    struct memory_topics *topics = &memory->topics;
    size_t place = place_of(topics, question->first);
    struct memory_topic *topic =
        is_at(topics, place, question->first) ? topics->by_name[place] : NULL;
    bool is_there = topic && !topic->is_gone;
    answer->outcome = store_topic_check(question->mode, is_there);
    if (answer->outcome != STORE_OK)
        return;
    answer->is_full = !is_there && topics->there.count >= TOPICS_MAX;
    if (topic && !answer->is_full)
        unlink_topic(topics, topic);
    else if (!answer->is_full)
        topic = add_topic(topics, place, question->first);
    if (!topic || answer->is_full) {
        answer->outcome = STORE_UNAVAILABLE;
        return;
    }
    topic->is_gone = false;
    topic->length = (uint16_t)question->second.length;
    if (question->second.length > 0)
        memcpy(topic->value, question->second.bytes, question->second.length);
    link_topic(topics, topic);
    answer->first = topic->number;
}

/* The topic, or NULL and the outcome. */
static struct memory_topic *find(struct store_memory *memory, const struct store_question *question,
                                 struct store_answer *answer)
{
    struct memory_topics *topics = &memory->topics;
    size_t place = place_of(topics, question->first);
    if (is_at(topics, place, question->first) && !topics->by_name[place]->is_gone)
        return topics->by_name[place];
    answer->outcome = STORE_NOT_FOUND;
    return NULL;
}

void store_memory_get_topic(struct store_memory *memory, const struct store_question *question,
                            struct store_answer *answer)
{
    const struct memory_topic *topic = find(memory, question, answer);
    if (!topic)
        return;
    answer->first = topic->number;
    answer->value = store_batch_keep(&memory->batch, (struct octets){topic->value, topic->length});
}

void store_memory_remove_topic(struct store_memory *memory, const struct store_question *question,
                               struct store_answer *answer)
{
    struct memory_topics *topics = &memory->topics;
    struct memory_topic *topic = find(memory, question, answer);
    if (!topic)
        return;
    unlink_topic(topics, topic);
    topic->is_gone = true;
    topic->length = 0;
    link_topic(topics, topic);
    answer->first = topic->number;
    if (topics->gone.count > STORE_TOMBSTONES_MAX)
        forget_oldest_tombstone(topics);
}

static void write_name(struct writer *list, const struct memory_topic *topic)
{
    writer_u8(list, topic->name_length);
    writer_bytes(list, topic->name, topic->name_length);
}

void store_memory_list_topics(struct store_memory *memory, const struct store_question *question,
                              struct store_answer *answer)
{
    const struct memory_topics *topics = &memory->topics;
    struct writer list = store_batch_list(&memory->batch);
    size_t place = place_of(topics, question->first);
    if (is_at(topics, place, question->first))
        place++;
    for (; place < topics->count && answer->count < STORE_LIST_MAX; place++) {
        if (topics->by_name[place]->is_gone)
            continue;
        write_name(&list, topics->by_name[place]);
        answer->count++;
    }
    answer->value = store_batch_end_list(&memory->batch, &list);
}

void store_memory_list_changes(struct store_memory *memory, const struct store_question *question,
                               struct store_answer *answer)
{
    const struct memory_topics *topics = &memory->topics;
    struct writer list = store_batch_list(&memory->batch);
    const struct memory_topic *there = find_after(&topics->there, question->from);
    const struct memory_topic *gone = find_after(&topics->gone, question->from);
    for (; (there || gone) && answer->count < STORE_LIST_MAX; answer->count++) {
        bool is_gone = gone && (!there || gone->number < there->number);
        const struct memory_topic **next = is_gone ? &gone : &there;
        writer_u64(&list, (*next)->number);
        write_name(&list, *next);
        *next = (*next)->newer;
    }
    answer->first = topics->number;
    answer->has_gap = store_topic_has_gap(question->from, topics->lost, topics->number);
    answer->value = store_batch_end_list(&memory->batch, &list);
}

/* --- life --- */

enum status store_memory_init_topics(struct store_memory *memory)
{
    struct memory_topics *topics = &memory->topics;
    topics->number = io_unix_ms();
    topics->by_name = malloc(TOPICS_AND_TOMBSTONES_MAX * sizeof(struct memory_topic *));
    if (!topics->by_name)
        return STATUS_NO_MEMORY;
    return pool_init(&topics->pool, sizeof(struct memory_topic), TOPICS_AND_TOMBSTONES_MAX);
}

void store_memory_free_topics(struct store_memory *memory)
{
    pool_free(&memory->topics.pool);
    free(memory->topics.by_name);
}
