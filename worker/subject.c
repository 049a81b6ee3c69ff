#include "worker/subject.h"

#include <string.h>

struct state {
    uint8_t bytes[SUBJECT_STATE_MAX];
};

static uint64_t hash_subject(const void *context, const void *object)
{
    const struct subject *subject = object;
    return hash_bytes(context, subject->target, subject->path_length);
}

static bool match_path(const void *object, const void *key)
{
    const struct subject *subject = object;
    const struct octets *path = key;
    return subject->path_length == path->length &&
           memcmp(subject->target, path->bytes, path->length) == 0;
}

enum status subjects_init(struct subjects *subjects, size_t subjects_max, struct hash_key hash_key)
{
    *subjects = (struct subjects){.hash_key = hash_key};
    enum status status =
        table_init(&subjects->by_path, subjects_max, match_path, hash_subject, &subjects->hash_key);
    if (status == STATUS_OK)
        status = pool_init(&subjects->pool, sizeof(struct subject), subjects_max);
    if (status == STATUS_OK)
        status = pool_init(&subjects->states, sizeof(struct state), subjects_max);
    if (status != STATUS_OK)
        subjects_free(subjects);
    return status;
}

void subjects_free(struct subjects *subjects)
{
    pool_free(&subjects->states);
    pool_free(&subjects->pool);
    table_free(&subjects->by_path);
}

struct subject *subject_by_path(const struct subjects *subjects, struct octets path)
{
    return table_find(&subjects->by_path, hash_bytes(&subjects->hash_key, path.bytes, path.length),
                      &path);
}

static struct octets path_of(const struct subject_key *key)
{
    const uint8_t *query = memchr(key->target.bytes, '?', key->target.length);
    return (struct octets){key->target.bytes,
                           query ? (size_t)(query - key->target.bytes) : key->target.length};
}

static bool has_key(const struct subject *subject, const struct subject_key *key)
{
    return subject->target_length == key->target.length && subject->has_format == key->has_format &&
           subject->format == key->format && subject->block_exponent == key->block_exponent &&
           memcmp(subject->target, key->target.bytes, key->target.length) == 0;
}

struct subject *subject_find(const struct subjects *subjects, const struct subject_key *key)
{
    struct subject *subject = subject_by_path(subjects, path_of(key));
    while (subject && !has_key(subject, key))
        subject = subject->same_path;
    return subject;
}

struct subject *subject_get(struct subjects *subjects, const struct subject_key *key)
{
    if (key->target.length == 0 || key->target.length > RELATION_TARGET_MAX)
        return NULL;
    struct subject *subject = subject_find(subjects, key);
    if (subject)
        return subject;
    subject = pool_get(&subjects->pool);
    if (!subject)
        return NULL;
    const struct octets path = path_of(key);
    subject->target_length = (uint8_t)key->target.length;
    subject->path_length = (uint8_t)path.length;
    subject->has_format = key->has_format;
    subject->format = key->format;
    subject->block_exponent = key->block_exponent;
    memcpy(subject->target, key->target.bytes, key->target.length);
    struct subject *first = subject_by_path(subjects, path);
    if (first) {
        subject->same_path = first->same_path;
        first->same_path = subject;
    } else if (table_insert(&subjects->by_path, hash_subject(&subjects->hash_key, subject),
                            subject) != STATUS_OK) {
        pool_put(&subjects->pool, subject);
        return NULL;
    }
    return subject;
}

void subject_release(struct subjects *subjects, struct subject *subject)
{
    struct subject *first = subject_by_path(subjects, subject_path(subject));
    if (first != subject) {
        while (first->same_path != subject)
            first = first->same_path;
        first->same_path = subject->same_path;
    } else {
        uint64_t hash = hash_subject(&subjects->hash_key, subject);
        table_remove(&subjects->by_path, hash, subject);
        /* It has room for as many as before. */
        if (subject->same_path)
            (void)!table_insert(&subjects->by_path, hash, subject->same_path);
    }
    pool_put(&subjects->states, subject->state);
    pool_put(&subjects->pool, subject);
}

bool subject_set_state(struct subjects *subjects, struct subject *subject, uint8_t code,
                       struct octets state)
{
    if (!subject->state)
        subject->state = pool_get(&subjects->states);
    if (!subject->state || state.length > SUBJECT_STATE_MAX) {
        pool_put(&subjects->states, subject->state);
        subject->state = NULL;
        return false;
    }
    subject->code = code;
    subject->state_length = (uint16_t)state.length;
    if (state.length > 0)
        memcpy(subject->state, state.bytes, state.length);
    return true;
}

uint32_t subject_next_number(const struct subject *subject, uint64_t version, uint64_t unix_ms)
{
    uint32_t number = (uint32_t)(version ? version : unix_ms) & RELATION_NUMBER_MAX;
    if (!subject->has_number || subject_number_follows(number, subject->number))
        return number;
    /* One state, one number, whichever worker sends it. */
    if (version && number == subject->number)
        return number;
    return (subject->number + 1) & RELATION_NUMBER_MAX;
}
