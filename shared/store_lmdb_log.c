#include "shared/store_lmdb.h"

/* For each that is added: a log that is too large shrinks, also where a long event comes and those
 * that go are short. */
#define DROPPED_AT_ONCE_MAX 4
#define SHORT_EVENT 64 /* octets; there is none so short */

static bool is_too_large(struct store_lmdb *lmdb)
{
    MDB_stat stat;
    if (lmdb->failure != MDB_SUCCESS ||
        !lmdb_check(lmdb, mdb_stat(lmdb->txn, lmdb->databases[LMDB_LOG], &stat)))
        return false;
    return stat.ms_entries > STORE_LOG_EVENTS_MAX ||
           stat.ms_branch_pages + stat.ms_leaf_pages + stat.ms_overflow_pages > lmdb->log_pages_max;
}

static bool drop_oldest(struct store_lmdb *lmdb, MDB_cursor *cursor)
{
    struct octets key = {0};
    struct octets value;
    if (!lmdb_move(lmdb, cursor, MDB_FIRST, &key, &value) ||
        !lmdb_check(lmdb, mdb_cursor_del(cursor, 0)))
        return false;
    lmdb->log_dropped++;
    return true;
}

/* One above the newest, which is never dropped. */
static uint64_t next_number(struct store_lmdb *lmdb, MDB_cursor *cursor)
{
    struct octets key = {0};
    struct octets value;
    if (!lmdb_move(lmdb, cursor, MDB_LAST, &key, &value))
        return 1;
    struct cursor number = cursor_over(key.bytes, key.length);
    return cursor_u64(&number) + 1;
}

void lmdb_log_append(struct store_lmdb *lmdb, struct octets event)
{
    MDB_cursor *cursor = lmdb_cursor(lmdb, LMDB_LOG);
    if (!cursor)
        return;
    if (lmdb->log_next == 0)
        lmdb->log_next = next_number(lmdb, cursor);

    uint8_t key[8];
    struct writer number = writer_over(key, sizeof key);
    writer_u64(&number, lmdb->log_next++);
    MDB_val put_key = {.mv_data = key, .mv_size = sizeof key};
    MDB_val room = {.mv_size = 1 + 8 + event.length};
    if (lmdb->failure == MDB_SUCCESS &&
        lmdb_check(lmdb, mdb_cursor_put(cursor, &put_key, &room, MDB_APPEND | MDB_RESERVE))) {
        struct writer writer = writer_over(room.mv_data, room.mv_size);
        writer_u8(&writer, STORE_FORMAT);
        writer_u64(&writer, lmdb->now_ms);
        writer_bytes(&writer, event.bytes, event.length);
        lmdb->log_added++;
    }

    size_t drops = DROPPED_AT_ONCE_MAX + event.length / SHORT_EVENT;
    for (; drops > 0 && is_too_large(lmdb); drops--)
        if (!drop_oldest(lmdb, cursor))
            break;
    mdb_cursor_close(cursor);
}
