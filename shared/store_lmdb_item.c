#include <string.h>

#include "shared/store_lmdb.h"

bool lmdb_check(struct store_lmdb *lmdb, int result)
{
    if (result != MDB_SUCCESS && result != MDB_NOTFOUND && lmdb->failure == MDB_SUCCESS)
        lmdb->failure = result;
    return lmdb->failure == MDB_SUCCESS;
}

bool lmdb_get(struct store_lmdb *lmdb, enum lmdb_database database, struct octets key,
              struct octets *value)
{
    if (lmdb->failure != MDB_SUCCESS)
        return false;
    MDB_val found_key = lmdb_val(key);
    MDB_val found;
    int result = mdb_get(lmdb->txn, lmdb->databases[database], &found_key, &found);
    if (!lmdb_check(lmdb, result) || result == MDB_NOTFOUND)
        return false;
    *value = lmdb_octets(found);
    return true;
}

bool lmdb_body(struct store_lmdb *lmdb, struct octets value, struct cursor *body)
{
    *body = cursor_over(value.bytes, value.length);
    if (cursor_u8(body) == STORE_FORMAT)
        return true;
    store_count(&lmdb->batch.counts, METRIC_STORE_FORMAT, 1);
    return false;
}

bool lmdb_get_body(struct store_lmdb *lmdb, enum lmdb_database database, struct octets key,
                   struct cursor *body)
{
    struct octets value;
    return lmdb_get(lmdb, database, key, &value) && lmdb_body(lmdb, value, body);
}

bool lmdb_has(struct store_lmdb *lmdb, enum lmdb_database database, struct octets key)
{
    struct octets value;
    return lmdb_get(lmdb, database, key, &value);
}

void lmdb_put(struct store_lmdb *lmdb, enum lmdb_database database, struct octets key,
              const struct writer *value)
{
    if (lmdb->failure != MDB_SUCCESS)
        return;
    MDB_val put_key = lmdb_val(key);
    MDB_val put = {.mv_data = value->start, .mv_size = writer_length(value)};
    (void)lmdb_check(lmdb, mdb_put(lmdb->txn, lmdb->databases[database], &put_key, &put, 0));
}

void lmdb_delete(struct store_lmdb *lmdb, enum lmdb_database database, struct octets key)
{
    if (lmdb->failure != MDB_SUCCESS)
        return;
    MDB_val deleted = lmdb_val(key);
    (void)lmdb_check(lmdb, mdb_del(lmdb->txn, lmdb->databases[database], &deleted, NULL));
}

MDB_cursor *lmdb_cursor(struct store_lmdb *lmdb, enum lmdb_database database)
{
    MDB_cursor *cursor = NULL;
    if (lmdb->failure != MDB_SUCCESS ||
        !lmdb_check(lmdb, mdb_cursor_open(lmdb->txn, lmdb->databases[database], &cursor)))
        return NULL;
    return cursor;
}

bool lmdb_move(struct store_lmdb *lmdb, MDB_cursor *cursor, MDB_cursor_op move, struct octets *key,
               struct octets *value)
{
    if (lmdb->failure != MDB_SUCCESS)
        return false;
    MDB_val found_key = lmdb_val(*key);
    MDB_val found;
    int result = mdb_cursor_get(cursor, &found_key, &found, move);
    if (!lmdb_check(lmdb, result) || result == MDB_NOTFOUND)
        return false;
    *key = lmdb_octets(found_key);
    *value = lmdb_octets(found);
    return true;
}

bool lmdb_next_slot(struct store_lmdb *lmdb, MDB_cursor *cursor, struct octets first, bool *started,
                    struct octets *key, struct octets *value)
{
    if (!*started)
        *key = first;
    bool moved = lmdb_move(lmdb, cursor, *started ? MDB_NEXT : MDB_SET_RANGE, key, value);
    *started = true;
    /* The CID's length stands before it, so no other session's key begins like this one. */
    return moved && key->length == first.length &&
           memcmp(key->bytes, first.bytes, first.length - 1) == 0;
}
