#include <string.h>

#include "shared/store_lmdb.h"

#define KEY_SIZE 2
#define ENTRY_SIZE (1 + 8 + 1 + FRAME_BOOT_ID_SIZE + 2 * ADDRESS_WIRE_SIZE)

static struct octets member_key(uint16_t worker_id, uint8_t key[KEY_SIZE])
{
    struct writer writer = writer_over(key, KEY_SIZE);
    writer_u16(&writer, worker_id);
    return (struct octets){key, KEY_SIZE};
}

static void put(struct store_lmdb *lmdb, const struct store_member_entry *entry)
{
    const struct store_member *member = &entry->member;
    uint8_t key[KEY_SIZE];
    uint8_t bytes[ENTRY_SIZE];
    struct writer writer = writer_over(bytes, sizeof bytes);
    writer_u8(&writer, STORE_FORMAT);
    writer_u64(&writer, entry->expires_ms);
    writer_u8(&writer, member->state);
    writer_bytes(&writer, member->boot.bytes, sizeof member->boot.bytes);
    address_write(&writer, &member->link);
    address_write(&writer, &member->http);
    lmdb_put(lmdb, LMDB_MEMBERS, member_key(member->worker_id, key), &writer);
}

static struct store_member_entry read_entry(struct store_lmdb *lmdb, struct octets key,
                                            struct octets value)
{
    struct store_member_entry entry = {0};
    struct cursor id = cursor_over(key.bytes, key.length);
    struct cursor body;
    entry.member.worker_id = cursor_u16(&id);
    if (!lmdb_body(lmdb, value, &body)) {
        entry.opaque = true;
        return entry;
    }
    entry.expires_ms = cursor_u64(&body);
    entry.member.state = cursor_u8(&body);
    const uint8_t *boot = cursor_bytes(&body, sizeof entry.member.boot.bytes);
    if (boot)
        memcpy(entry.member.boot.bytes, boot, sizeof entry.member.boot.bytes);
    entry.member.link = address_read(&body);
    entry.member.http = address_read(&body);
    entry.opaque = !cursor_ok(&body) || cursor_left(&body) > 0;
    if (entry.opaque)
        store_count(&lmdb->batch.counts, METRIC_STORE_FORMAT, 1);
    return entry;
}

/* All that have not run out, into lmdb->members; `forgets`: the others are deleted. */
static void load(struct store_lmdb *lmdb, bool forgets)
{
    lmdb->members.count = 0;
    MDB_cursor *cursor = lmdb_cursor(lmdb, LMDB_MEMBERS);
    if (!cursor)
        return;
    struct octets key = {0};
    struct octets value;
    for (bool more = lmdb_move(lmdb, cursor, MDB_FIRST, &key, &value); more;
         more = lmdb_move(lmdb, cursor, MDB_NEXT, &key, &value)) {
        struct store_member_entry entry = read_entry(lmdb, key, value);
        if (entry.opaque || lmdb->now_ms < entry.expires_ms)
            (void)store_members_put(&lmdb->members, &entry);
        else if (forgets)
            (void)lmdb_check(lmdb, mdb_cursor_del(cursor, 0));
    }
    mdb_cursor_close(cursor);
}

void lmdb_join(struct store_lmdb *lmdb, const struct store_question *question,
               struct store_answer *answer)
{
    const struct store_member_entry *entry = NULL;
    load(lmdb, true);
    answer->outcome = store_members_join(&lmdb->members, &question->member, lmdb->now_ms,
                                         lmdb->member_ttl_ms, &entry);
    if (answer->outcome != STORE_OK)
        return;
    put(lmdb, entry);
    struct store_member *joined = store_batch_room(&lmdb->batch, sizeof *joined);
    *joined = entry->member;
    answer->members = joined;
    answer->member_count = 1;
}

void lmdb_beat(struct store_lmdb *lmdb, const struct store_question *question,
               struct store_answer *answer)
{
    const struct store_member_entry *entry = NULL;
    load(lmdb, false);
    answer->outcome = store_members_beat(&lmdb->members, &question->member, lmdb->now_ms,
                                         lmdb->member_ttl_ms, &entry);
    if (answer->outcome == STORE_OK)
        put(lmdb, entry);
}

void lmdb_leave(struct store_lmdb *lmdb, const struct store_question *question,
                struct store_answer *answer)
{
    uint8_t key[KEY_SIZE];
    load(lmdb, false);
    answer->outcome = store_members_leave(&lmdb->members, &question->member, lmdb->now_ms);
    if (answer->outcome == STORE_OK)
        lmdb_delete(lmdb, LMDB_MEMBERS, member_key(question->member.worker_id, key));
}

void lmdb_list_members(struct store_lmdb *lmdb, struct store_answer *answer)
{
    struct store_member *list = store_batch_room(&lmdb->batch, WORKERS_MAX * sizeof *list);
    load(lmdb, false);
    answer->member_count = store_members_list(&lmdb->members, lmdb->now_ms, list);
    answer->members = list;
}
