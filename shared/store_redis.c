#include "shared/store_redis.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shared/io.h"
#include "shared/keys.h"
#include "shared/redis_slot.h"

/* --- the servers: one, one that sentinels name, or many --- */

static enum redis_route route_of(const struct redis_link *link)
{
    if (redis_link_is_ready(link))
        return REDIS_ROUTE_READY;
    return redis_link_fault(link) == REDIS_FAULT_NONE ? REDIS_ROUTE_WAIT : REDIS_ROUTE_DOWN;
}

enum redis_route store_redis_route(struct store_redis *store, uint16_t slot,
                                   struct redis_link **link)
{
    enum redis_fault fault;
    switch (store->url.kind) {
    case REDIS_SINGLE:
        *link = store->link;
        return route_of(store->link);
    case REDIS_SENTINEL:
        *link = redis_sentinel_master(store->sentinel);
        if (*link)
            return route_of(*link);
        (void)redis_sentinel_trouble(store->sentinel, &fault);
        return fault == REDIS_FAULT_NONE ? REDIS_ROUTE_WAIT : REDIS_ROUTE_DOWN;
    case REDIS_CLUSTER:
        break;
    }
    return redis_cluster_route(store->cluster, slot, link);
}

const struct redis_link *store_redis_trouble(const struct store_redis *store,
                                             enum redis_fault *fault)
{
    switch (store->url.kind) {
    case REDIS_SINGLE:
        *fault = redis_link_fault(store->link);
        return store->link;
    case REDIS_SENTINEL:
        return redis_sentinel_trouble(store->sentinel, fault);
    case REDIS_CLUSTER:
        break;
    }
    return redis_cluster_trouble(store->cluster, fault);
}

static void run_servers(struct store_redis *store)
{
    switch (store->url.kind) {
    case REDIS_SINGLE:
        redis_link_run(store->link, store->now_ms);
        return;
    case REDIS_SENTINEL:
        redis_sentinel_run(store->sentinel, store->now_ms);
        return;
    case REDIS_CLUSTER:
        redis_cluster_run(store->cluster, store->now_ms);
        return;
    }
}

static void flush_servers(struct store_redis *store)
{
    switch (store->url.kind) {
    case REDIS_SINGLE:
        redis_link_flush(store->link);
        return;
    case REDIS_SENTINEL:
        redis_sentinel_flush(store->sentinel);
        return;
    case REDIS_CLUSTER:
        redis_cluster_flush(store->cluster);
        return;
    }
}

static uint64_t servers_next_ms(const struct store_redis *store)
{
    switch (store->url.kind) {
    case REDIS_SINGLE:
        return redis_link_next_ms(store->link);
    case REDIS_SENTINEL:
        return redis_sentinel_next_ms(store->sentinel);
    case REDIS_CLUSTER:
        break;
    }
    return redis_cluster_next_ms(store->cluster);
}

static enum status make_servers(struct store_redis *store, struct io *io)
{
    const struct redis_link_options options = {
        .io = io, .url = &store->url, .tls = store->tls, .role = REDIS_ROLE_SERVER};
    switch (store->url.kind) {
    case REDIS_SINGLE:
        return redis_link_new(&store->link, &options, &store->url.hosts[0]);
    case REDIS_SENTINEL:
        return redis_sentinel_new(&store->sentinel, &options);
    case REDIS_CLUSTER:
        break;
    }
    return redis_cluster_new(&store->cluster, &options);
}

/* --- sending --- */

static void hold(struct store_redis *store, struct redis_question *question, uint64_t until_ms)
{
    store_redis_push(&store->queue, question);
    if (until_ms < store->wake_ms)
        store->wake_ms = until_ms;
}

/* Sends, holds or answers it. */
static void dispatch(struct store_redis *store, struct redis_question *question)
{
    if (question->deadline_ms == 0)
        question->deadline_ms = store->now_ms + REDIS_COMMAND_MS;
    if (store->now_ms >= question->deadline_ms) {
        store_redis_fail(store, question);
        return;
    }
    if (store->now_ms < question->not_before_ms) {
        hold(store, question, question->not_before_ms);
        return;
    }
    struct redis_link *link;
    switch (store_redis_route(store, question->slot, &link)) {
    case REDIS_ROUTE_READY:
        /* Refused where as much is under way as may be: the next answer makes room. */
        if (redis_link_send(link, &question->call, (const char *)question->bytes,
                            question->length) != STATUS_OK)
            hold(store, question, question->deadline_ms);
        return;
    case REDIS_ROUTE_WAIT:
        hold(store, question, question->deadline_ms);
        return;
    case REDIS_ROUTE_DOWN:
        store_redis_fail(store, question);
        return;
    }
}

/* Up to REDIS_MARKS_MAX marks into one question. */
static void carry(struct store_redis *store, struct redis_queue *marks)
{
    while (marks->head) {
        struct redis_question *first = marks->head, *last = first;
        for (size_t count = 1; count < REDIS_MARKS_MAX && last->next; count++)
            last = last->next;
        marks->head = last->next;
        last->next = NULL;
        struct redis_question *carrier = store_redis_carry(store, first);
        if (carrier) {
            dispatch(store, carrier);
            continue;
        }
        while (first) {
            struct redis_question *next = first->next;
            store_redis_fail(store, first);
            first = next;
        }
    }
}

/* All that is in the queue now; what answers put there is for the next run. Marks wait to the end,
 * so that those of one turn share a call: on a server all of them, in a cluster those of a tag. */
static void dispatch_all(struct store_redis *store)
{
    struct redis_question *question = store->queue.head;
    store->queue = (struct redis_queue){0};
    store->has_news = false;
    store->wake_ms = UINT64_MAX;
    while (question) {
        struct redis_question *next = question->next;
        if (question->kind == QUESTION_MARK)
            store_redis_push(&store->marks[store->cluster ? question->tag : 0], question);
        else
            dispatch(store, question);
        question = next;
    }
    for (size_t tag = 0; tag < (store->cluster ? REDIS_TAGS : 1); tag++)
        carry(store, &store->marks[tag]);
}

static size_t run(struct store *base, uint64_t now_ms)
{
    struct store_redis *store = store_redis_of(base);
    store->now_ms = now_ms;
    store->answered = 0;
    run_servers(store);
    dispatch_all(store);
    flush_servers(store);
    store_redis_report(store);
    return store->answered;
}

static uint64_t next_ms(const struct store *base)
{
    const struct store_redis *store = (const struct store_redis *)base;
    if (store->has_news)
        return 0;
    uint64_t servers_ms = servers_next_ms(store);
    uint64_t next = servers_ms < store->wake_ms ? servers_ms : store->wake_ms;
    if (store->fault != REDIS_FAULT_NONE && !store->is_probing && store->probe_ms < next)
        next = store->probe_ms;
    return next;
}

static const char *trouble(const struct store *base)
{
    const struct store_redis *store = (const struct store_redis *)base;
    return store->trouble[0] ? store->trouble : NULL;
}

/* --- life --- */

static bool subject_match(const void *object, const void *key)
{
    const struct redis_question *question = object;
    return question->order == *(const uint64_t *)key;
}

static uint64_t subject_hash(const void *context, const void *object)
{
    (void)context;
    return ((const struct redis_question *)object)->order;
}

static void free_store(struct store *base)
{
    struct store_redis *store = store_redis_of(base);
    store->is_closing = true;
    redis_link_free(store->link);
    redis_sentinel_free(store->sentinel);
    redis_cluster_free(store->cluster);
    while (store->queue.head) {
        struct redis_question *next = store->queue.head->next;
        store_redis_drop(store->queue.head);
        store->queue.head = next;
    }
    table_free(&store->subjects);
    redis_tls_free(store->tls);
    keys_wipe(&store->url, sizeof store->url);
    free(store);
}

static const struct store_engine engine = {
    .name = "redis",
    .fetch_identity = store_redis_fetch_identity,
    .put_identity = store_redis_put_identity,
    .create_session = store_redis_create,
    .claim_session = store_redis_claim,
    .find_session = store_redis_find,
    .lease_sequences = store_redis_lease_sequences,
    .save_mark = store_redis_save_mark,
    .save_exchange = store_redis_save_exchange,
    .save_relation = store_redis_save_relation,
    .remove_session = store_redis_remove,
    .list_obliged = store_redis_list_obliged,
    .lease_nonces = store_redis_lease_nonces,
    .join = store_redis_join,
    .beat = store_redis_beat,
    .leave = store_redis_leave,
    .list_members = store_redis_list_members,
    .put_topic = store_redis_put_topic,
    .get_topic = store_redis_get_topic,
    .remove_topic = store_redis_remove_topic,
    .list_topics = store_redis_list_topics,
    .list_changes = store_redis_list_changes,
    .run = run,
    .next_ms = next_ms,
    .trouble = trouble,
    .free = free_store,
};

static void spell_numbers(struct store_redis *store, const struct store_options *options)
{
    const struct {
        char *text;
        uint64_t number;
    } rows[] = {
        {store->texts.ttl_ms, (uint64_t)options->session_ttl_s * 1000},
        {store->texts.member_ttl_ms, options->member_ttl_ms},
        {store->texts.lease, SEQUENCE_LEASE},
        {store->texts.reserved, SEQUENCE_HANDSHAKE_RESERVED},
        {store->texts.exchange_ms, COAP_EXCHANGE_LIFETIME_MS},
        {store->texts.events, STORE_LOG_EVENTS_MAX / REDIS_TAGS},
        {store->texts.name_at, STORE_EXCHANGE_NAME_AT},
        {store->texts.name_length, STORE_EXCHANGE_NAME_LENGTH},
        {store->texts.workers, WORKERS_MAX},
        {store->texts.topics, TOPICS_MAX},
        {store->texts.tombstones, STORE_TOMBSTONES_MAX},
        {store->texts.listed, STORE_LIST_MAX},
        {store->texts.obliged, STORE_OBLIGED_MAX / 4 * 3}, /* SSCAN gives some more */
        {store->texts.nonces, NONCE_LEASE},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        (void)snprintf(rows[i].text, REDIS_NUMBER_TEXT, "%" PRIu64, rows[i].number);
}

/* The parts that can fail, in the order in which free_store lets go of them. */
static enum status prepare(struct store_redis *store, const struct store_options *options,
                           char *why, size_t why_size)
{
    uint8_t seed[16];
    enum status status = redis_url_parse(&store->url, options->url, why, why_size);
    if (status == STATUS_OK)
        status = redis_url_read_passwords(&store->url, why, why_size);
    if (status == STATUS_OK && store->url.tls)
        status = redis_tls_new(&store->tls, &store->url, why, why_size);
    if (status != STATUS_OK)
        return status;

    (void)snprintf(why, why_size, "out of memory");
    status = keys_random(seed, sizeof seed);
    store->hash_key = hash_key_from(seed);
    if (status == STATUS_OK)
        status = redis_script_ids_init(&store->scripts);
    if (status == STATUS_OK)
        status =
            table_init(&store->subjects, STORE_QUESTIONS_MAX, subject_match, subject_hash, NULL);
    return status == STATUS_OK ? make_servers(store, options->io) : status;
}

enum status store_redis_open(struct store **store, const struct store_options *options, char *why,
                             size_t why_size)
{
    struct store_redis *made = calloc(1, sizeof *made);
    if (!made) {
        (void)snprintf(why, why_size, "out of memory");
        return STATUS_NO_MEMORY;
    }
    made->store.engine = &engine;
    made->counts = store_counts_from(options);
    made->wake_ms = UINT64_MAX;
    enum status status = prepare(made, options, why, why_size);
    if (status != STATUS_OK) {
        free_store(&made->store);
        return status == STATUS_MALFORMED ? STATUS_MALFORMED : STATUS_SYSTEM;
    }
    spell_numbers(made, options);
    store_redis_report(made);
    *store = &made->store;
    return STATUS_OK;
}
