#include <string.h>

#include "shared/store_lmdb.h"

enum found {
    ABSENT, /* or expired */
    PRESENT,
    UNREADABLE, /* of another format, or damaged: not ours to serve, nor to replace */
};

static struct octets cid_of(const struct store_question *question)
{
    return (struct octets){question->waiter.subject.bytes, question->waiter.subject.length};
}

static enum found find(struct store_lmdb *lmdb, struct octets cid, struct store_record *record)
{
    struct octets value;
    if (!lmdb_get(lmdb, LMDB_SESSIONS, cid, &value))
        return ABSENT;
    if (store_record_read(record, value) != STATUS_OK) {
        store_count(&lmdb->batch.counts, METRIC_STORE_FORMAT, 1);
        return UNREADABLE;
    }
    if (lmdb->now_ms < record->expires_ms)
        return PRESENT;
    lmdb_forget_session(lmdb, cid, record);
    store_count(&lmdb->batch.counts, METRIC_STORE_EXPIRED, 1);
    return ABSENT;
}

/* Writes it, renewed. */
static void put(struct store_lmdb *lmdb, struct octets cid, struct store_record *record)
{
    uint8_t bytes[STORE_RECORD_SIZE_MAX];
    struct writer writer = writer_over(bytes, sizeof bytes);
    record->expires_ms = lmdb->now_ms + lmdb->session_ttl_ms;
    store_record_write(&writer, record);
    lmdb_put(lmdb, LMDB_SESSIONS, cid, &writer);
}

static struct octets address_key(const struct address *address, uint8_t key[ADDRESS_WIRE_SIZE])
{
    struct writer writer = writer_over(key, ADDRESS_WIRE_SIZE);
    address_write(&writer, address);
    return (struct octets){key, ADDRESS_WIRE_SIZE};
}

/* The CID that an address stands for. */
static bool get_address(struct store_lmdb *lmdb, const struct address *address, struct cid *cid)
{
    uint8_t key[ADDRESS_WIRE_SIZE];
    struct cursor body;
    if (!lmdb_get_body(lmdb, LMDB_ADDRESSES, address_key(address, key), &body))
        return false;
    size_t length = cursor_left(&body);
    if (length == 0 || length > CID_LENGTH_MAX) {
        store_count(&lmdb->batch.counts, METRIC_STORE_FORMAT, 1);
        return false;
    }
    cid->length = (uint8_t)length;
    memcpy(cid->bytes, cursor_bytes(&body, length), length);
    return true;
}

static void put_address(struct store_lmdb *lmdb, const struct address *address, struct octets cid)
{
    uint8_t key[ADDRESS_WIRE_SIZE];
    uint8_t bytes[1 + CID_LENGTH_MAX];
    struct writer writer = writer_over(bytes, sizeof bytes);
    writer_u8(&writer, STORE_FORMAT);
    writer_bytes(&writer, cid.bytes, cid.length);
    lmdb_put(lmdb, LMDB_ADDRESSES, address_key(address, key), &writer);
}

static struct octets exchange_key(struct octets cid, uint8_t slot,
                                  uint8_t key[LMDB_EXCHANGE_KEY_MAX])
{
    struct writer writer = writer_over(key, LMDB_EXCHANGE_KEY_MAX);
    writer_u8(&writer, (uint8_t)cid.length);
    writer_bytes(&writer, cid.bytes, cid.length);
    writer_u8(&writer, slot);
    return (struct octets){key, writer_length(&writer)};
}

/* --- exchanges of a session --- */

void lmdb_forget_session(struct store_lmdb *lmdb, struct octets cid,
                         const struct store_record *record)
{
    struct cid named;
    if (record->has_address && get_address(lmdb, &record->address, &named) &&
        named.length == cid.length && memcmp(named.bytes, cid.bytes, cid.length) == 0) {
        uint8_t key[ADDRESS_WIRE_SIZE];
        lmdb_delete(lmdb, LMDB_ADDRESSES, address_key(&record->address, key));
    }
    uint8_t first[LMDB_EXCHANGE_KEY_MAX];
    struct octets from = exchange_key(cid, 0, first);
    MDB_cursor *cursor = lmdb_cursor(lmdb, LMDB_EXCHANGES);
    struct octets key;
    struct octets value;
    bool started = false;
    while (cursor && lmdb_next_slot(lmdb, cursor, from, &started, &key, &value))
        (void)lmdb_check(lmdb, mdb_cursor_del(cursor, 0));
    if (cursor)
        mdb_cursor_close(cursor);
    struct cid whole = {.length = (uint8_t)cid.length};
    memcpy(whole.bytes, cid.bytes, cid.length);
    lmdb_forget_relations(lmdb, &whole);
    lmdb_delete(lmdb, LMDB_SESSIONS, cid);
}

/* What a key and value say; false: it has run out, or cannot be read. */
static bool read_exchange(struct store_lmdb *lmdb, struct octets key, struct octets value,
                          struct store_exchange *exchange)
{
    struct cursor body;
    if (!lmdb_body(lmdb, value, &body))
        return false;
    uint64_t expires_ms = cursor_u64(&body);
    size_t length = cursor_left(&body);
    *exchange = (struct store_exchange){.slot = key.bytes[key.length - 1],
                                        .value = {cursor_bytes(&body, length), length}};
    if (!cursor_ok(&body) || length > STORE_EXCHANGE_MAX ||
        exchange->slot >= COAP_EXCHANGES_PER_PEER_MAX) {
        store_count(&lmdb->batch.counts, METRIC_STORE_FORMAT, 1);
        return false;
    }
    return expires_ms > lmdb->now_ms;
}

static void keep_exchanges(struct store_lmdb *lmdb, struct octets cid, struct store_answer *answer)
{
    uint8_t first[LMDB_EXCHANGE_KEY_MAX];
    struct octets from = exchange_key(cid, 0, first);
    struct store_exchange *kept =
        store_batch_room(&lmdb->batch, COAP_EXCHANGES_PER_PEER_MAX * sizeof *kept);
    answer->exchanges = kept;
    MDB_cursor *cursor = lmdb_cursor(lmdb, LMDB_EXCHANGES);
    struct octets key;
    struct octets value;
    bool started = false;
    while (cursor && lmdb_next_slot(lmdb, cursor, from, &started, &key, &value)) {
        struct store_exchange exchange;
        if (!read_exchange(lmdb, key, value, &exchange))
            continue;
        exchange.value = store_batch_keep(&lmdb->batch, exchange.value);
        kept[answer->exchange_count++] = exchange;
    }
    if (cursor)
        mdb_cursor_close(cursor);
}

static bool is_saved_already(struct store_lmdb *lmdb, struct octets cid, struct octets value)
{
    uint8_t first[LMDB_EXCHANGE_KEY_MAX];
    struct octets from = exchange_key(cid, 0, first);
    MDB_cursor *cursor = lmdb_cursor(lmdb, LMDB_EXCHANGES);
    struct octets key;
    struct octets other;
    bool started = false;
    bool is_known = false;
    while (cursor && !is_known && lmdb_next_slot(lmdb, cursor, from, &started, &key, &other)) {
        struct store_exchange exchange;
        is_known = read_exchange(lmdb, key, other, &exchange) &&
                   store_exchange_is_same(value, exchange.value);
    }
    if (cursor)
        mdb_cursor_close(cursor);
    return is_known;
}

/* --- questions --- */

void lmdb_create_session(struct store_lmdb *lmdb, const struct store_question *question,
                         struct store_answer *answer)
{
    struct store_record record;
    struct octets cid = cid_of(question);
    if (find(lmdb, cid, &record) != ABSENT) {
        answer->outcome = STORE_EXISTS;
        return;
    }
    if (lmdb->is_crowded) {
        answer->outcome = STORE_UNAVAILABLE;
        return;
    }
    store_record_init(&record, question->first, question->second,
                      question->has_address ? &question->address : NULL);
    answer->fence = record.fence;
    answer->outcome = store_record_lease(&record, &answer->first, &answer->count);
    put(lmdb, cid, &record);
    if (question->has_address)
        put_address(lmdb, &question->address, cid);
}

void lmdb_claim_session(struct store_lmdb *lmdb, const struct store_question *question,
                        struct store_answer *answer)
{
    struct store_record record;
    struct octets cid = cid_of(question);
    answer->outcome = STORE_NOT_FOUND;
    if (find(lmdb, cid, &record) != PRESENT)
        return;
    answer->outcome =
        store_record_claim(&record, question->worker_id, &answer->first, &answer->count);
    if (answer->outcome != STORE_OK)
        return;
    answer->fence = record.fence;
    answer->value =
        store_batch_keep(&lmdb->batch, (struct octets){record.sealed, record.sealed_length});
    answer->mark = store_batch_keep(&lmdb->batch, (struct octets){record.mark, record.mark_length});
    keep_exchanges(lmdb, cid, answer);
    lmdb_keep_relations(lmdb, &question->waiter.subject, answer);
    put(lmdb, cid, &record);
}

/* In a turn that only reads: what has expired stays where it is. */
void lmdb_find_session(struct store_lmdb *lmdb, const struct store_question *question,
                       struct store_answer *answer)
{
    struct cid cid;
    struct octets value;
    struct store_record record;
    answer->outcome = STORE_NOT_FOUND;
    if (!get_address(lmdb, &question->address, &cid) ||
        !lmdb_get(lmdb, LMDB_SESSIONS, (struct octets){cid.bytes, cid.length}, &value))
        return;
    if (store_record_read(&record, value) != STATUS_OK) {
        store_count(&lmdb->batch.counts, METRIC_STORE_FORMAT, 1);
        return;
    }
    if (record.expires_ms <= lmdb->now_ms)
        return;
    answer->outcome = STORE_OK;
    answer->value = store_batch_keep(&lmdb->batch, (struct octets){cid.bytes, cid.length});
}

/* The session if who asks owns it; else false and the outcome. */
static bool find_owned(struct store_lmdb *lmdb, const struct store_question *question,
                       struct store_record *record, struct store_answer *answer)
{
    enum found found = find(lmdb, cid_of(question), record);
    answer->outcome =
        found == PRESENT ? store_record_check(record, question->fence) : STORE_NOT_FOUND;
    return answer->outcome == STORE_OK;
}

void lmdb_lease_sequences(struct store_lmdb *lmdb, const struct store_question *question,
                          struct store_answer *answer)
{
    struct store_record record;
    if (!find_owned(lmdb, question, &record, answer))
        return;
    answer->outcome = store_record_lease(&record, &answer->first, &answer->count);
    put(lmdb, cid_of(question), &record);
}

void lmdb_save_mark(struct store_lmdb *lmdb, const struct store_question *question,
                    struct store_answer *answer)
{
    struct store_record record;
    if (!find_owned(lmdb, question, &record, answer))
        return;
    store_record_set_mark(&record, question->first);
    put(lmdb, cid_of(question), &record);
}

void lmdb_save_exchange(struct store_lmdb *lmdb, const struct store_question *question,
                        struct store_answer *answer)
{
    struct store_record record;
    if (!find_owned(lmdb, question, &record, answer))
        return;
    if (lmdb->is_crowded) {
        answer->outcome = STORE_UNAVAILABLE;
        return;
    }
    bool is_known =
        question->second.length > 0 && is_saved_already(lmdb, cid_of(question), question->first);
    uint8_t key[LMDB_EXCHANGE_KEY_MAX];
    uint8_t bytes[1 + 8 + STORE_EXCHANGE_MAX];
    struct writer writer = writer_over(bytes, sizeof bytes);
    writer_u8(&writer, STORE_FORMAT);
    writer_u64(&writer, lmdb->now_ms + COAP_EXCHANGE_LIFETIME_MS);
    writer_bytes(&writer, question->first.bytes, question->first.length);
    lmdb_put(lmdb, LMDB_EXCHANGES, exchange_key(cid_of(question), question->slot, key), &writer);
    if (question->third.length > 0) {
        store_record_set_mark(&record, question->third);
        put(lmdb, cid_of(question), &record);
    }
    if (question->second.length > 0 && !is_known)
        lmdb_log_append(lmdb, question->second);
}

/* A relation that is emptied needs no room. */
bool lmdb_renew_owned(struct store_lmdb *lmdb, const struct store_question *question,
                      struct store_answer *answer)
{
    struct store_record record;
    if (!find_owned(lmdb, question, &record, answer))
        return false;
    if (lmdb->is_crowded && question->first.length + question->second.length > 0) {
        answer->outcome = STORE_UNAVAILABLE;
        return false;
    }
    put(lmdb, cid_of(question), &record);
    return true;
}

void lmdb_remove_session(struct store_lmdb *lmdb, const struct store_question *question,
                         struct store_answer *answer)
{
    struct store_record record;
    if (find_owned(lmdb, question, &record, answer))
        lmdb_forget_session(lmdb, cid_of(question), &record);
}
