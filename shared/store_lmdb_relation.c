#include <string.h>

#include "shared/store_lmdb.h"

/* page 1 ‖ CID length 1 ‖ CID ‖ slot 1: a page, and a session's relations, stand together. */
#define KEY_MAX (1 + 1 + CID_LENGTH_MAX + 1)
/* Where a list goes on: what follows the page in a key, eight octets of it. CIDs are random in
 * their first octets, so that no more than a few share them. */
#define POSITION_SIZE 8

static struct octets relation_key(const struct cid *cid, uint8_t slot, uint8_t key[KEY_MAX])
{
    struct writer writer = writer_over(key, KEY_MAX);
    writer_u8(&writer, store_obliged_page(cid));
    writer_u8(&writer, cid->length);
    writer_bytes(&writer, cid->bytes, cid->length);
    writer_u8(&writer, slot);
    return (struct octets){key, writer_length(&writer)};
}

void lmdb_save_relation(struct store_lmdb *lmdb, const struct store_question *question,
                        struct store_answer *answer)
{
    if (!lmdb_renew_owned(lmdb, question, answer))
        return;
    uint8_t key[KEY_MAX];
    struct octets at = relation_key(&question->waiter.subject, question->slot, key);
    if (question->first.length > 0) {
        uint8_t bytes[1 + STORE_RELATION_MAX];
        struct writer writer = writer_over(bytes, sizeof bytes);
        writer_u8(&writer, STORE_FORMAT);
        writer_bytes(&writer, question->first.bytes, question->first.length);
        lmdb_put(lmdb, LMDB_RELATIONS, at, &writer);
    } else {
        lmdb_delete(lmdb, LMDB_RELATIONS, at);
    }
    if (question->second.length > 0)
        lmdb_log_append(lmdb, question->second);
}

void lmdb_keep_relations(struct store_lmdb *lmdb, const struct cid *cid,
                         struct store_answer *answer)
{
    uint8_t first[KEY_MAX];
    struct octets from = relation_key(cid, 0, first);
    struct store_relation *kept =
        store_batch_room(&lmdb->batch, RELATIONS_PER_SESSION_MAX * sizeof *kept);
    answer->relations = kept;
    MDB_cursor *cursor = lmdb_cursor(lmdb, LMDB_RELATIONS);
    struct octets key;
    struct octets value;
    bool started = false;
    while (cursor && lmdb_next_slot(lmdb, cursor, from, &started, &key, &value)) {
        struct cursor body;
        uint8_t slot = key.bytes[key.length - 1];
        if (!lmdb_body(lmdb, value, &body))
            continue;
        size_t length = cursor_left(&body);
        if (length == 0 || length > STORE_RELATION_MAX || slot >= RELATIONS_PER_SESSION_MAX) {
            store_count(&lmdb->batch.counts, METRIC_STORE_FORMAT, 1);
            continue;
        }
        kept[answer->relation_count++] = (struct store_relation){
            .slot = slot,
            .value = store_batch_keep(&lmdb->batch,
                                      (struct octets){cursor_bytes(&body, length), length})};
    }
    if (cursor)
        mdb_cursor_close(cursor);
}

void lmdb_forget_relations(struct store_lmdb *lmdb, const struct cid *cid)
{
    uint8_t first[KEY_MAX];
    struct octets from = relation_key(cid, 0, first);
    MDB_cursor *cursor = lmdb_cursor(lmdb, LMDB_RELATIONS);
    struct octets key;
    struct octets value;
    bool started = false;
    while (cursor && lmdb_next_slot(lmdb, cursor, from, &started, &key, &value))
        (void)lmdb_check(lmdb, mdb_cursor_del(cursor, 0));
    if (cursor)
        mdb_cursor_close(cursor);
}

/* --- pages --- */

static struct octets position_key(uint8_t page, uint64_t from, uint8_t key[1 + POSITION_SIZE])
{
    struct writer writer = writer_over(key, 1 + POSITION_SIZE);
    writer_u8(&writer, page);
    writer_u64(&writer, from);
    size_t length = key[1]; /* of the CID; a short one must not be passed over */
    if (length > POSITION_SIZE - 1)
        length = POSITION_SIZE - 1;
    return (struct octets){key, from == 0 ? 1 : 2 + length};
}

static uint64_t position_of(const struct cid *cid)
{
    uint8_t bytes[POSITION_SIZE] = {cid->length};
    memcpy(bytes + 1, cid->bytes,
           cid->length < POSITION_SIZE - 1 ? cid->length : POSITION_SIZE - 1);
    struct cursor cursor = cursor_over(bytes, sizeof bytes);
    return cursor_u64(&cursor);
}

/* Whose relation a key is of. False, and counted: it is none of ours. */
static bool read_key(struct store_lmdb *lmdb, struct octets key, struct cid *cid)
{
    struct cursor cursor = cursor_over(key.bytes, key.length);
    *cid = (struct cid){0};
    (void)cursor_u8(&cursor);
    uint8_t length = cursor_u8(&cursor);
    const uint8_t *bytes = cursor_bytes(&cursor, length);
    (void)cursor_u8(&cursor);
    if (!cursor_ok(&cursor) || cursor_left(&cursor) > 0 || length > CID_LENGTH_MAX) {
        store_count(&lmdb->batch.counts, METRIC_STORE_FORMAT, 1);
        return false;
    }
    cid->length = length;
    memcpy(cid->bytes, bytes, length);
    return true;
}

void lmdb_list_obliged(struct store_lmdb *lmdb, const struct store_question *question,
                       struct store_answer *answer)
{
    uint8_t start[1 + POSITION_SIZE];
    struct octets key = position_key(question->page, question->from, start);
    struct octets value;
    struct cid cid;
    struct cid last = {0};
    struct writer list = store_batch_list(&lmdb->batch);
    MDB_cursor *cursor = lmdb_cursor(lmdb, LMDB_RELATIONS);
    for (bool more = cursor && lmdb_move(lmdb, cursor, MDB_SET_RANGE, &key, &value);
         more && key.bytes[0] == question->page;
         more = lmdb_move(lmdb, cursor, MDB_NEXT, &key, &value)) {
        if (!read_key(lmdb, key, &cid) || cid_equal(&cid, &last))
            continue;
        if (answer->count == STORE_OBLIGED_MAX) {
            answer->first = position_of(&cid);
            answer->first += answer->first == question->from; /* it goes on, whatever they are */
            break;
        }
        writer_u8(&list, cid.length);
        writer_bytes(&list, cid.bytes, cid.length);
        answer->count++;
        last = cid;
    }
    if (cursor)
        mdb_cursor_close(cursor);
    answer->value = store_batch_end_list(&lmdb->batch, &list);
}
