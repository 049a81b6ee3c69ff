#include "worker/store_memory.h"

#include "shared/keys.h"
#include "shared/pool.h"
#include "shared/record.h"
#include "shared/table.h"

#include <stdlib.h>
#include <string.h>

struct identity {
    size_t length;
    size_t psk_length;
    uint8_t psk[PSK_LENGTH_MAX];
    uint8_t bytes[IDENTITY_LENGTH_MAX];
};

struct lease {
    struct cid cid;
    uint64_t next_sequence;
};

enum question_kind { QUESTION_PSK, QUESTION_CREATE, QUESTION_SEQUENCES, QUESTION_NONCES };

struct question {
    enum question_kind kind;
    struct store_waiter waiter;
    size_t key_length;
    uint8_t key[IDENTITY_LENGTH_MAX]; /* an identity or a CID */
    struct question *next;
};

struct store_memory {
    struct store store;
    struct hash_key hash_key;
    struct pool identities;
    struct pool leases;
    struct pool questions;
    struct table by_identity;
    struct table by_cid;
    struct question *first; /* in the order in which they were asked */
    struct question **last;
    uint64_t next_nonce;
};

struct octets {
    const uint8_t *bytes;
    size_t length;
};

static struct store_memory *memory_of(struct store *store)
{
    return (struct store_memory *)store; /* its first member */
}

static bool identity_match(const void *object, const void *key)
{
    const struct identity *identity = object;
    const struct octets *octets = key;
    return identity->length == octets->length &&
           memcmp(identity->bytes, octets->bytes, octets->length) == 0;
}

static uint64_t identity_hash(const void *context, const void *object)
{
    const struct identity *identity = object;
    return hash_bytes(context, identity->bytes, identity->length);
}

static bool lease_match(const void *object, const void *key)
{
    const struct lease *lease = object;
    const struct octets *octets = key;
    return lease->cid.length == octets->length &&
           memcmp(lease->cid.bytes, octets->bytes, octets->length) == 0;
}

static uint64_t lease_hash(const void *context, const void *object)
{
    const struct lease *lease = object;
    return hash_bytes(context, lease->cid.bytes, lease->cid.length);
}

static struct lease *find_lease(const struct store_memory *memory, const uint8_t *cid,
                                size_t length)
{
    const struct octets key = {cid, length};
    return table_find(&memory->by_cid, hash_bytes(&memory->hash_key, cid, length), &key);
}

static struct identity *find_identity(const struct store_memory *memory, const uint8_t *identity,
                                      size_t length)
{
    const struct octets key = {identity, length};
    return table_find(&memory->by_identity, hash_bytes(&memory->hash_key, identity, length), &key);
}

static enum status ask(struct store_memory *memory, enum question_kind kind, const uint8_t *key,
                       size_t length, const struct store_waiter *waiter)
{
    if (length > IDENTITY_LENGTH_MAX)
        return STATUS_TOO_LONG;
    struct question *question = pool_get(&memory->questions);
    if (!question)
        return STATUS_FULL;
    question->kind = kind;
    question->waiter = *waiter;
    question->key_length = length;
    if (length > 0)
        memcpy(question->key, key, length);
    *memory->last = question;
    memory->last = &question->next;
    return STATUS_OK;
}

static enum status fetch_psk(struct store *store, const uint8_t *identity, size_t length,
                             const struct store_waiter *waiter)
{
    return ask(memory_of(store), QUESTION_PSK, identity, length, waiter);
}

static enum status create_session(struct store *store, const struct store_waiter *waiter)
{
    const struct cid *cid = &waiter->subject;
    return ask(memory_of(store), QUESTION_CREATE, cid->bytes, cid->length, waiter);
}

static enum status lease_sequences(struct store *store, const struct store_waiter *waiter)
{
    const struct cid *cid = &waiter->subject;
    return ask(memory_of(store), QUESTION_SEQUENCES, cid->bytes, cid->length, waiter);
}

static void remove_session(struct store *store, const struct cid *cid)
{
    struct store_memory *memory = memory_of(store);
    struct lease *lease = find_lease(memory, cid->bytes, cid->length);
    if (!lease)
        return;
    table_remove(&memory->by_cid, lease_hash(&memory->hash_key, lease), lease);
    pool_put(&memory->leases, lease);
}

static enum status lease_nonces(struct store *store, uint8_t cid_config, uint16_t worker_id,
                                const struct store_waiter *waiter)
{
    (void)cid_config; /* one counter for all configs and workers of this process: never repeats */
    (void)worker_id;
    return ask(memory_of(store), QUESTION_NONCES, NULL, 0, waiter);
}

static void answer_psk(struct store_memory *memory, const struct question *question,
                       struct store_answer *answer)
{
    const struct identity *identity = find_identity(memory, question->key, question->key_length);
    answer->outcome = identity ? STORE_OK : STORE_NOT_FOUND;
    if (identity) {
        answer->psk = identity->psk;
        answer->psk_length = identity->psk_length;
    }
}

static void take_block(struct lease *lease, struct store_answer *answer)
{
    answer->outcome = STORE_OK;
    answer->first = lease->next_sequence;
    answer->count = SEQUENCE_LEASE;
    if (answer->first + answer->count > RECORD_SEQUENCE_MAX)
        answer->outcome = STORE_UNAVAILABLE; /* 2^48 records: the session has to end */
    else
        lease->next_sequence += SEQUENCE_LEASE;
}

static void answer_create(struct store_memory *memory, const struct question *question,
                          struct store_answer *answer)
{
    answer->outcome = STORE_UNAVAILABLE;
    if (find_lease(memory, question->key, question->key_length))
        return;
    struct lease *lease = pool_get(&memory->leases);
    if (!lease)
        return;
    lease->cid.length = (uint8_t)question->key_length;
    memcpy(lease->cid.bytes, question->key, question->key_length);
    lease->next_sequence = SEQUENCE_HANDSHAKE_RESERVED;
    uint64_t hash = lease_hash(&memory->hash_key, lease);
    if (table_insert(&memory->by_cid, hash, lease) == STATUS_OK)
        take_block(lease, answer);
    else
        pool_put(&memory->leases, lease);
}

static void answer_sequences(struct store_memory *memory, const struct question *question,
                             struct store_answer *answer)
{
    struct lease *lease = find_lease(memory, question->key, question->key_length);
    answer->outcome = STORE_NOT_FOUND;
    if (lease)
        take_block(lease, answer);
}

static size_t run(struct store *store)
{
    struct store_memory *memory = memory_of(store);
    size_t answered = 0;
    /* Only what was asked before: an answer that asks again is answered in the next turn. */
    struct question *question = memory->first;
    memory->first = NULL;
    memory->last = &memory->first;
    while (question) {
        struct store_answer answer = {.subject = question->waiter.subject};
        switch (question->kind) {
        case QUESTION_PSK:
            answer_psk(memory, question, &answer);
            break;
        case QUESTION_CREATE:
            answer_create(memory, question, &answer);
            break;
        case QUESTION_SEQUENCES:
            answer_sequences(memory, question, &answer);
            break;
        case QUESTION_NONCES:
            answer.outcome = STORE_OK;
            answer.first = memory->next_nonce;
            answer.count = NONCE_LEASE;
            memory->next_nonce += NONCE_LEASE;
            break;
        }
        question->waiter.answer(question->waiter.owner, &answer);
        struct question *next = question->next;
        pool_put(&memory->questions, question);
        question = next;
        answered++;
    }
    return answered;
}

static void memory_free(struct store *store)
{
    struct store_memory *memory = memory_of(store);
    size_t cursor = 0;
    for (struct identity *identity; (identity = table_next(&memory->by_identity, &cursor));)
        keys_wipe(identity, sizeof(*identity));
    table_free(&memory->by_identity);
    table_free(&memory->by_cid);
    pool_free(&memory->identities);
    pool_free(&memory->leases);
    pool_free(&memory->questions);
    free(memory);
}

static const struct store_engine engine = {
    .name = "memory",
    .fetch_psk = fetch_psk,
    .create_session = create_session,
    .lease_sequences = lease_sequences,
    .remove_session = remove_session,
    .lease_nonces = lease_nonces,
    .run = run,
    .free = memory_free,
};

enum status store_memory_new(struct store **store, const struct store_memory_options *options)
{
    struct store_memory *memory = calloc(1, sizeof(*memory));
    if (!memory)
        return STATUS_NO_MEMORY;
    memory->store.engine = &engine;
    memory->hash_key = options->hash_key;
    memory->next_nonce = options->first_nonce;
    memory->last = &memory->first;
    enum status status =
        pool_init(&memory->identities, sizeof(struct identity), options->identities_max);
    if (status == STATUS_OK)
        status = pool_init(&memory->leases, sizeof(struct lease), options->sessions_max);
    if (status == STATUS_OK)
        status = pool_init(&memory->questions, sizeof(struct question), STORE_QUESTIONS_MAX);
    if (status == STATUS_OK)
        status = table_init(&memory->by_identity, options->identities_max, identity_match,
                            identity_hash, &memory->hash_key);
    if (status == STATUS_OK)
        status = table_init(&memory->by_cid, options->sessions_max, lease_match, lease_hash,
                            &memory->hash_key);
    if (status != STATUS_OK) {
        memory_free(&memory->store);
        return status;
    }
    *store = &memory->store;
    return STATUS_OK;
}

enum status store_memory_add_psk(struct store *store, const uint8_t *identity,
                                 size_t identity_length, const uint8_t *psk, size_t psk_length)
{
    struct store_memory *memory = memory_of(store);
    if (identity_length > IDENTITY_LENGTH_MAX || psk_length > PSK_LENGTH_MAX)
        return STATUS_TOO_LONG;
    if (find_identity(memory, identity, identity_length))
        return STATUS_EXISTS;
    struct identity *added = pool_get(&memory->identities);
    if (!added)
        return STATUS_FULL;
    added->length = identity_length;
    added->psk_length = psk_length;
    memcpy(added->bytes, identity, identity_length);
    memcpy(added->psk, psk, psk_length);
    enum status status =
        table_insert(&memory->by_identity, identity_hash(&memory->hash_key, added), added);
    if (status != STATUS_OK)
        pool_put(&memory->identities, added);
    return status;
}
