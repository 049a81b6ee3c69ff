#include <string.h>

#include "shared/store_memory.h"

/* --- tables --- */

static bool cid_match(const void *object, const void *key)
{
    return cid_equal(&((const struct memory_session *)object)->cid, key);
}

static uint64_t cid_hash(const void *context, const void *object)
{
    const struct cid *cid = &((const struct memory_session *)object)->cid;
    return hash_bytes(context, cid->bytes, cid->length);
}

static bool address_match(const void *object, const void *key)
{
    return address_equal(&((const struct memory_session *)object)->record.address, key);
}

static uint64_t address_hash(const void *context, const void *object)
{
    const struct address *address = &((const struct memory_session *)object)->record.address;
    return hash_bytes(context, address, sizeof *address);
}

static struct memory_session *find_by_cid(const struct store_memory *memory, const struct cid *cid)
{
    return table_find(&memory->by_cid, hash_bytes(&memory->hash_key, cid->bytes, cid->length), cid);
}

static struct memory_session *find_by_address(const struct store_memory *memory,
                                              const struct address *address)
{
    return table_find(&memory->by_address, hash_bytes(&memory->hash_key, address, sizeof *address),
                      address);
}

/* --- ages --- */

static void unlink_session(struct memory_sessions *ages, struct memory_session *session)
{
    *(session->older ? &session->older->newer : &ages->oldest) = session->newer;
    *(session->newer ? &session->newer->older : &ages->newest) = session->older;
}

static void link_session(struct memory_sessions *ages, struct memory_session *session)
{
    session->older = ages->newest;
    session->newer = NULL;
    *(ages->newest ? &ages->newest->newer : &ages->oldest) = session;
    ages->newest = session;
}

void store_memory_renew(struct store_memory *memory, struct memory_session *session)
{
    unlink_session(&memory->session_ages, session);
    link_session(&memory->session_ages, session);
    session->record.expires_ms = memory->now_ms + memory->session_ttl_ms;
}

static void unlink_exchange(struct memory_exchanges *ages, struct memory_exchange *exchange)
{
    *(exchange->older ? &exchange->older->newer : &ages->oldest) = exchange->newer;
    *(exchange->newer ? &exchange->newer->older : &ages->newest) = exchange->older;
}

static void link_exchange(struct memory_exchanges *ages, struct memory_exchange *exchange)
{
    exchange->older = ages->newest;
    exchange->newer = NULL;
    *(ages->newest ? &ages->newest->newer : &ages->oldest) = exchange;
    ages->newest = exchange;
}

/* --- forgetting --- */

static void forget_exchange(struct store_memory *memory, struct memory_exchange *exchange)
{
    unlink_exchange(&memory->exchange_ages, exchange);
    exchange->session->exchanges[exchange->slot] = NULL;
    pool_put(&memory->exchanges, exchange);
}

static void forget_address(struct store_memory *memory, struct memory_session *session)
{
    if (session->record.has_address)
        (void)table_remove(&memory->by_address, address_hash(&memory->hash_key, session), session);
    session->record.has_address = false;
}

static void forget_session(struct store_memory *memory, struct memory_session *session)
{
    for (size_t slot = 0; slot < COAP_EXCHANGES_PER_PEER_MAX; slot++)
        if (session->exchanges[slot])
            forget_exchange(memory, session->exchanges[slot]);
    store_memory_forget_relations(memory, session);
    forget_address(memory, session);
    (void)table_remove(&memory->by_cid, cid_hash(&memory->hash_key, session), session);
    unlink_session(&memory->session_ages, session);
    pool_put(&memory->sessions, session);
}

void store_memory_expire(struct store_memory *memory)
{
    struct memory_exchange *exchange = NULL;
    while ((exchange = memory->exchange_ages.oldest) && exchange->expires_ms <= memory->now_ms)
        forget_exchange(memory, exchange);
    struct memory_session *session = NULL;
    while ((session = memory->session_ages.oldest) &&
           session->record.expires_ms <= memory->now_ms) {
        forget_session(memory, session);
        store_count(&memory->batch.counts, METRIC_STORE_EXPIRED, 1);
    }
}

/* --- questions --- */

void store_memory_create(struct store_memory *memory, const struct store_question *question,
                         struct store_answer *answer)
{
    const struct cid *cid = &question->waiter.subject;
    if (find_by_cid(memory, cid)) {
        answer->outcome = STORE_EXISTS;
        return;
    }
    answer->outcome = STORE_UNAVAILABLE;
    struct memory_session *session = pool_get(&memory->sessions);
    if (!session)
        return;
    session->cid = *cid;
    store_record_init(&session->record, question->first, question->second,
                      question->has_address ? &question->address : NULL);
    if (table_insert(&memory->by_cid, cid_hash(&memory->hash_key, session), session) != STATUS_OK) {
        pool_put(&memory->sessions, session);
        return;
    }
    link_session(&memory->session_ages, session);
    session->record.expires_ms = memory->now_ms + memory->session_ttl_ms;
    if (question->has_address) {
        session->record.has_address = false; /* until the table has it */
        struct memory_session *former = find_by_address(memory, &question->address);
        if (former)
            forget_address(memory, former);
        if (table_insert(&memory->by_address, address_hash(&memory->hash_key, session), session) !=
            STATUS_OK) {
            forget_session(memory, session);
            return;
        }
        session->record.has_address = true;
    }
    answer->fence = session->record.fence;
    answer->outcome = store_record_lease(&session->record, &answer->first, &answer->count);
}

static void keep_exchanges(struct store_memory *memory, const struct memory_session *session,
                           struct store_answer *answer)
{
    struct store_exchange *kept =
        store_batch_room(&memory->batch, COAP_EXCHANGES_PER_PEER_MAX * sizeof *kept);
    for (uint8_t slot = 0; slot < COAP_EXCHANGES_PER_PEER_MAX; slot++) {
        const struct memory_exchange *exchange = session->exchanges[slot];
        if (!exchange)
            continue;
        kept[answer->exchange_count++] = (struct store_exchange){
            .slot = slot,
            .value = store_batch_keep(&memory->batch,
                                      (struct octets){exchange->bytes, exchange->length})};
    }
    answer->exchanges = kept;
}

void store_memory_claim(struct store_memory *memory, const struct store_question *question,
                        struct store_answer *answer)
{
    struct memory_session *session = find_by_cid(memory, &question->waiter.subject);
    if (!session) {
        answer->outcome = STORE_NOT_FOUND;
        return;
    }
    struct store_record *record = &session->record;
    answer->outcome =
        store_record_claim(record, question->worker_id, &answer->first, &answer->count);
    if (answer->outcome != STORE_OK)
        return;
    store_memory_renew(memory, session);
    answer->fence = record->fence;
    answer->value =
        store_batch_keep(&memory->batch, (struct octets){record->sealed, record->sealed_length});
    answer->mark =
        store_batch_keep(&memory->batch, (struct octets){record->mark, record->mark_length});
    keep_exchanges(memory, session, answer);
    store_memory_keep_relations(memory, session, answer);
}

void store_memory_find(struct store_memory *memory, const struct store_question *question,
                       struct store_answer *answer)
{
    const struct memory_session *session = find_by_address(memory, &question->address);
    if (session)
        answer->value = store_batch_keep(&memory->batch,
                                         (struct octets){session->cid.bytes, session->cid.length});
    else
        answer->outcome = STORE_NOT_FOUND;
}

struct memory_session *store_memory_find_owned(struct store_memory *memory,
                                               const struct store_question *question,
                                               struct store_answer *answer)
{
    struct memory_session *session = find_by_cid(memory, &question->waiter.subject);
    answer->outcome =
        session ? store_record_check(&session->record, question->fence) : STORE_NOT_FOUND;
    return answer->outcome == STORE_OK ? session : NULL;
}

void store_memory_lease(struct store_memory *memory, const struct store_question *question,
                        struct store_answer *answer)
{
    struct memory_session *session = store_memory_find_owned(memory, question, answer);
    if (!session)
        return;
    answer->outcome = store_record_lease(&session->record, &answer->first, &answer->count);
    store_memory_renew(memory, session);
}

void store_memory_save_mark(struct store_memory *memory, const struct store_question *question,
                            struct store_answer *answer)
{
    struct memory_session *session = store_memory_find_owned(memory, question, answer);
    if (!session)
        return;
    store_record_set_mark(&session->record, question->first);
    store_memory_renew(memory, session);
}

void store_memory_drop_event(struct store_memory *memory, struct octets event)
{
    store_count(&memory->batch.counts, METRIC_STORE_EVENTS, event.length > 0);
    store_count(&memory->batch.counts, METRIC_STORE_EVENTS_DROPPED, event.length > 0);
}

static bool is_saved_already(const struct memory_session *session, struct octets value)
{
    for (size_t slot = 0; slot < COAP_EXCHANGES_PER_PEER_MAX; slot++) {
        const struct memory_exchange *exchange = session->exchanges[slot];
        if (exchange &&
            store_exchange_is_same(value, (struct octets){exchange->bytes, exchange->length}))
            return true;
    }
    return false;
}

void store_memory_save_exchange(struct store_memory *memory, const struct store_question *question,
                                struct store_answer *answer)
{
    struct memory_session *session = store_memory_find_owned(memory, question, answer);
    if (!session)
        return;
    bool is_known = is_saved_already(session, question->first);
    if (session->exchanges[question->slot])
        forget_exchange(memory, session->exchanges[question->slot]);
    if (memory->exchanges.in_use == COAP_EXCHANGES_MAX) {
        forget_exchange(memory, memory->exchange_ages.oldest);
        store_count(&memory->batch.counts, METRIC_STORE_EXCHANGES_EVICTED, 1);
    }
    struct memory_exchange *exchange = pool_get(&memory->exchanges);
    if (!exchange) {
        answer->outcome = STORE_UNAVAILABLE;
        return;
    }
    exchange->session = session;
    exchange->slot = question->slot;
    exchange->length = (uint16_t)question->first.length;
    if (question->first.length > 0)
        memcpy(exchange->bytes, question->first.bytes, question->first.length);
    exchange->expires_ms = memory->now_ms + COAP_EXCHANGE_LIFETIME_MS;
    link_exchange(&memory->exchange_ages, exchange);
    session->exchanges[question->slot] = exchange;
    if (question->third.length > 0)
        store_record_set_mark(&session->record, question->third);
    if (!is_known)
        store_memory_drop_event(memory, question->second);
}

void store_memory_remove(struct store_memory *memory, const struct store_question *question,
                         struct store_answer *answer)
{
    struct memory_session *session = store_memory_find_owned(memory, question, answer);
    if (session)
        forget_session(memory, session);
}

/* --- life --- */

enum status store_memory_init_sessions(struct store_memory *memory)
{
    enum status status =
        pool_init(&memory->sessions, sizeof(struct memory_session), SESSIONS_MAX_DEFAULT);
    if (status == STATUS_OK)
        status = pool_init(&memory->exchanges, sizeof(struct memory_exchange), COAP_EXCHANGES_MAX);
    if (status == STATUS_OK)
        status = pool_init(&memory->relations, sizeof(struct memory_relation), STORE_RELATIONS_MAX);
    if (status == STATUS_OK)
        status = table_init(&memory->by_cid, SESSIONS_MAX_DEFAULT, cid_match, cid_hash,
                            &memory->hash_key);
    if (status == STATUS_OK)
        status = table_init(&memory->by_address, SESSIONS_MAX_DEFAULT, address_match, address_hash,
                            &memory->hash_key);
    return status;
}

void store_memory_free_sessions(struct store_memory *memory)
{
    table_free(&memory->by_address);
    table_free(&memory->by_cid);
    pool_free(&memory->relations);
    pool_free(&memory->exchanges);
    pool_free(&memory->sessions);
}
