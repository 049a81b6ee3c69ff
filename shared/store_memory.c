/* The engine that forgets with its process: for tests, for the cluster simulation, and for one
 * worker that is alone. Nothing is sealed twice though: sequence numbers go with their sessions,
 * and CID nonces, whose key lives on, continue from the clock at start (as long as fewer than 1,000
 * a second were used before), as do the numbers of changes. Events are counted and dropped. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shared/io.h"
#include "shared/keys.h"
#include "shared/store_engines.h"
#include "shared/store_memory.h"

struct identity {
    uint16_t length;
    uint16_t sealed_length;
    uint8_t bytes[IDENTITY_LENGTH_MAX];
    uint8_t sealed[STORE_SEALED_MAX];
};

static struct store_memory *memory_of(struct store *store)
{
    return (struct store_memory *)store; /* the first member of its first member */
}

/* --- identities --- */

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

static struct identity *find_identity(const struct store_memory *memory, struct octets identity)
{
    return table_find(&memory->by_identity,
                      hash_bytes(&memory->hash_key, identity.bytes, identity.length), &identity);
}

static void fetch_identity(struct store_memory *memory, const struct store_question *question,
                           struct store_answer *answer)
{
    const struct identity *identity = find_identity(memory, question->first);
    if (identity)
        answer->value = store_batch_keep(
            &memory->batch, (struct octets){identity->sealed, identity->sealed_length});
    else
        answer->outcome = STORE_NOT_FOUND;
}

static struct identity *add_identity(struct store_memory *memory, struct octets name)
{
    struct identity *identity = pool_get(&memory->identities);
    if (!identity)
        return NULL;
    identity->length = (uint16_t)name.length;
    memcpy(identity->bytes, name.bytes, name.length);
    if (table_insert(&memory->by_identity, identity_hash(&memory->hash_key, identity), identity) !=
        STATUS_OK) {
        pool_put(&memory->identities, identity);
        return NULL;
    }
    return identity;
}

static void put_identity(struct store_memory *memory, const struct store_question *question,
                         struct store_answer *answer)
{
    struct identity *identity = find_identity(memory, question->first);
    if (!identity)
        identity = add_identity(memory, question->first);
    if (!identity) {
        answer->outcome = STORE_UNAVAILABLE;
        return;
    }
    identity->sealed_length = (uint16_t)question->second.length;
    if (question->second.length > 0)
        memcpy(identity->sealed, question->second.bytes, question->second.length);
}

/* --- leases and members --- */

static void lease_nonces(struct store_memory *memory, const struct store_question *question,
                         struct store_answer *answer)
{
    uint64_t *next = &memory->next_nonce[question->cid_config];
    answer->first = *next;
    answer->count = NONCE_LEASE;
    *next += NONCE_LEASE;
}

static void join(struct store_memory *memory, const struct store_question *question,
                 struct store_answer *answer)
{
    const struct store_member_entry *entry = NULL;
    answer->outcome = store_members_join(&memory->members, &question->member, memory->now_ms,
                                         memory->member_ttl_ms, &entry);
    if (answer->outcome != STORE_OK)
        return;
    struct store_member *joined = store_batch_room(&memory->batch, sizeof *joined);
    *joined = entry->member;
    answer->members = joined;
    answer->member_count = 1;
}

static void beat(struct store_memory *memory, const struct store_question *question,
                 struct store_answer *answer)
{
    const struct store_member_entry *entry = NULL;
    answer->outcome = store_members_beat(&memory->members, &question->member, memory->now_ms,
                                         memory->member_ttl_ms, &entry);
}

static void list_members(struct store_memory *memory, struct store_answer *answer)
{
    struct store_member *list = store_batch_room(&memory->batch, WORKERS_MAX * sizeof *list);
    answer->member_count = store_members_list(&memory->members, memory->now_ms, list);
    answer->members = list;
}

/* --- the engine --- */

static void carry_out(struct store_memory *memory, const struct store_question *question,
                      struct store_answer *answer)
{
    switch (question->kind) {
    case STORE_FETCH_IDENTITY:
        fetch_identity(memory, question, answer);
        break;
    case STORE_PUT_IDENTITY:
        put_identity(memory, question, answer);
        break;
    case STORE_CREATE_SESSION:
        store_memory_create(memory, question, answer);
        break;
    case STORE_CLAIM_SESSION:
        store_memory_claim(memory, question, answer);
        break;
    case STORE_FIND_SESSION:
        store_memory_find(memory, question, answer);
        break;
    case STORE_LEASE_SEQUENCES:
        store_memory_lease(memory, question, answer);
        break;
    case STORE_SAVE_MARK:
        store_memory_save_mark(memory, question, answer);
        break;
    case STORE_SAVE_EXCHANGE:
        store_memory_save_exchange(memory, question, answer);
        break;
    case STORE_SAVE_RELATION:
        store_memory_save_relation(memory, question, answer);
        break;
    case STORE_REMOVE_SESSION:
        store_memory_remove(memory, question, answer);
        break;
    case STORE_LIST_OBLIGED:
        store_memory_list_obliged(memory, question, answer);
        break;
    case STORE_LEASE_NONCES:
        lease_nonces(memory, question, answer);
        break;
    case STORE_JOIN:
        join(memory, question, answer);
        break;
    case STORE_BEAT:
        beat(memory, question, answer);
        break;
    case STORE_LEAVE:
        answer->outcome = store_members_leave(&memory->members, &question->member, memory->now_ms);
        break;
    case STORE_LIST_MEMBERS:
        list_members(memory, answer);
        break;
    case STORE_PUT_TOPIC:
        store_memory_put_topic(memory, question, answer);
        break;
    case STORE_GET_TOPIC:
        store_memory_get_topic(memory, question, answer);
        break;
    case STORE_REMOVE_TOPIC:
        store_memory_remove_topic(memory, question, answer);
        break;
    case STORE_LIST_TOPICS:
        store_memory_list_topics(memory, question, answer);
        break;
    case STORE_LIST_CHANGES:
        store_memory_list_changes(memory, question, answer);
        break;
    }
}

static size_t run(struct store *store, uint64_t now_ms)
{
    struct store_memory *memory = memory_of(store);
    struct store_answer *answer = NULL;
    memory->now_ms = now_ms;
    store_memory_expire(memory);
    for (const struct store_question *question;
         (question = store_batch_next(&memory->batch, &answer));)
        carry_out(memory, question, answer);
    return store_batch_answer(&memory->batch);
}

static uint64_t next_ms(const struct store *store)
{
    return store_batch_next_ms((const struct store_batch *)store, UINT64_MAX);
}

static const char *trouble(const struct store *store)
{
    (void)store;
    return NULL;
}

static void memory_free(struct store *store)
{
    struct store_memory *memory = memory_of(store);
    store_memory_free_topics(memory);
    store_memory_free_sessions(memory);
    table_free(&memory->by_identity);
    pool_free(&memory->identities);
    store_batch_free(&memory->batch);
    free(memory);
}

static const struct store_engine engine = {
    .name = "memory",
    STORE_BATCH_ENGINE,
    .run = run,
    .next_ms = next_ms,
    .trouble = trouble,
    .free = memory_free,
};

enum status store_memory_open(struct store **store, const struct store_options *options, char *why,
                              size_t why_size)
{
    if (strcmp(options->url, "memory:") != 0) {
        (void)snprintf(why, why_size, "store \"%s\": nothing follows memory:", options->url);
        return STATUS_MALFORMED;
    }
    const struct store_counts counts = store_counts_from(options);
    struct store_memory *memory = calloc(1, sizeof *memory);
    enum status status = STATUS_NO_MEMORY;
    if (memory)
        status = store_batch_init(&memory->batch, &engine, &counts);
    if (status != STATUS_OK) {
        free(memory);
        goto failed;
    }
    memory->session_ttl_ms = options->session_ttl_s * UINT64_C(1000);
    memory->member_ttl_ms = options->member_ttl_ms;
    uint64_t unix_ms = io_unix_ms();
    for (size_t i = 0; i < CID_CONFIGS_MAX; i++)
        memory->next_nonce[i] = unix_ms;
    status = keys_random(&memory->hash_key, sizeof memory->hash_key);
    if (status == STATUS_OK)
        status = pool_init(&memory->identities, sizeof(struct identity), IDENTITIES_MAX);
    if (status == STATUS_OK)
        status = table_init(&memory->by_identity, IDENTITIES_MAX, identity_match, identity_hash,
                            &memory->hash_key);
    if (status == STATUS_OK)
        status = store_memory_init_sessions(memory);
    if (status == STATUS_OK)
        status = store_memory_init_topics(memory);
    if (status == STATUS_OK) {
        *store = &memory->batch.store;
        return STATUS_OK;
    }
    memory_free(&memory->batch.store);
failed:
    (void)snprintf(why, why_size, "store \"%s\": %s", options->url, status_text(status));
    return status;
}
