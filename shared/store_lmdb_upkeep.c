/* Once a second: the clock, what has expired, readers that died.
 *
 * The store's clock is CLOCK_MONOTONIC, which all processes of the host share, plus an offset that
 * is stored. The first process after the host's start chooses the offset, so that the clock goes on
 * from the time of day, and never back. Setting the time of day changes nothing in between. */
#include <string.h>

#include "shared/io.h"
#include "shared/store_lmdb.h"

#define UPKEEP_MS 1000
#define UPKEEP_AGAIN_MS 20      /* after a sweep that left something behind */
#define SESSIONS_SWEPT_MAX 1024 /* looked at each time */
#define EXCHANGES_SWEPT_MAX 4096
#define FORGET_MAX STORE_TURN_QUESTIONS_MAX /* of one sweep; less where room is short */
/* A clock that is so far behind has started again, though the host's boot cannot be told. */
#define CLOCK_BEHIND_MS 60000

/* --- the clock --- */

struct clock {
    uint8_t boot[HOST_BOOT_SIZE];
    uint64_t offset_ms;
    uint64_t newest_ms;
};

/* False: a new store, or a failure. */
static bool read_clock(struct store_lmdb *lmdb, struct clock *clock)
{
    struct octets value;
    struct cursor body;
    if (!lmdb_get(lmdb, LMDB_META, lmdb_clock_key, &value))
        return false;
    bool is_ours = lmdb_body(lmdb, value, &body);
    const uint8_t *boot = cursor_bytes(&body, sizeof clock->boot);
    clock->offset_ms = cursor_u64(&body);
    clock->newest_ms = cursor_u64(&body);
    if (!is_ours || !boot || !cursor_ok(&body) || cursor_left(&body) > 0)
        return lmdb_check(lmdb, MDB_INCOMPATIBLE);
    memcpy(clock->boot, boot, sizeof clock->boot);
    return true;
}

static void write_clock(struct store_lmdb *lmdb, const struct clock *clock)
{
    uint8_t bytes[1 + HOST_BOOT_SIZE + 8 + 8];
    struct writer writer = writer_over(bytes, sizeof bytes);
    writer_u8(&writer, STORE_FORMAT);
    writer_bytes(&writer, clock->boot, sizeof clock->boot);
    writer_u64(&writer, clock->offset_ms);
    writer_u64(&writer, clock->newest_ms);
    lmdb_put(lmdb, LMDB_META, lmdb_clock_key, &writer);
}

/* Sets lmdb->now_ms. Returns whether upkeep is due for the store as a whole, which another process
 * may have done. */
static bool tell_time(struct store_lmdb *lmdb, uint64_t monotonic_ms)
{
    struct clock clock = {0};
    bool is_new = !read_clock(lmdb, &clock);
    if (lmdb->failure != MDB_SUCCESS)
        return false;
    uint64_t now_ms = monotonic_ms + clock.offset_ms;
    is_new = is_new || memcmp(clock.boot, lmdb->folder.boot, sizeof clock.boot) != 0 ||
             now_ms + CLOCK_BEHIND_MS < clock.newest_ms;
    if (is_new) {
        uint64_t unix_ms = io_unix_ms();
        now_ms = unix_ms > clock.newest_ms ? unix_ms : clock.newest_ms;
        clock.offset_ms = now_ms - monotonic_ms;
        memcpy(clock.boot, lmdb->folder.boot, sizeof clock.boot);
    }
    lmdb->clock_offset_ms = clock.offset_ms;
    lmdb->clock_is_set = true;
    lmdb->now_ms = now_ms;
    /* In trouble each process writes, to see whether it is over. */
    if (!is_new && now_ms < clock.newest_ms + UPKEEP_MS && lmdb->trouble[0] == '\0' &&
        !lmdb->sweeps_again)
        return false;
    if (now_ms > clock.newest_ms)
        clock.newest_ms = now_ms;
    write_clock(lmdb, &clock);
    return true;
}

/* --- what has expired --- */

/* The cursor's next item from where the last sweep ended; false at the end, and then the next sweep
 * starts anew. */
static bool sweep_next(struct store_lmdb *lmdb, MDB_cursor *cursor, struct lmdb_position *position,
                       bool *started, struct octets *key, struct octets *value)
{
    *key = (struct octets){position->bytes, position->length};
    MDB_cursor_op move = position->length == 0 ? MDB_FIRST : MDB_SET_RANGE;
    if (!lmdb_move(lmdb, cursor, *started ? MDB_NEXT : move, key, value) ||
        key->length > sizeof position->bytes) {
        position->length = 0;
        return false;
    }
    *started = true;
    position->length = key->length;
    memcpy(position->bytes, key->bytes, key->length);
    return true;
}

/* Both give how many were forgotten, at most `max`. */
static size_t sweep_sessions(struct store_lmdb *lmdb, size_t max)
{
    size_t forgotten = 0;
    MDB_cursor *cursor = lmdb_cursor(lmdb, LMDB_SESSIONS);
    struct octets key;
    struct octets value;
    struct store_record record;
    bool started = false;
    for (int i = 0; cursor && i < SESSIONS_SWEPT_MAX && forgotten < max; i++) {
        if (!sweep_next(lmdb, cursor, &lmdb->swept_sessions, &started, &key, &value))
            break;
        if (store_record_read(&record, value) != STATUS_OK || lmdb->now_ms < record.expires_ms)
            continue;
        const struct octets cid = {lmdb->swept_sessions.bytes, lmdb->swept_sessions.length};
        lmdb_forget_session(lmdb, cid, &record);
        forgotten++;
    }
    if (cursor)
        mdb_cursor_close(cursor);
    return forgotten;
}

static size_t sweep_exchanges(struct store_lmdb *lmdb, size_t max)
{
    size_t forgotten = 0;
    MDB_cursor *cursor = lmdb_cursor(lmdb, LMDB_EXCHANGES);
    struct octets key;
    struct octets value;
    bool started = false;
    for (int i = 0; cursor && i < EXCHANGES_SWEPT_MAX && forgotten < max; i++) {
        if (!sweep_next(lmdb, cursor, &lmdb->swept_exchanges, &started, &key, &value))
            break;
        struct cursor body = cursor_over(value.bytes, value.length);
        bool is_ours = cursor_u8(&body) == STORE_FORMAT;
        uint64_t expires_ms = cursor_u64(&body);
        if (is_ours && cursor_ok(&body) && expires_ms <= lmdb->now_ms)
            forgotten += lmdb_check(lmdb, mdb_cursor_del(cursor, 0));
    }
    if (cursor)
        mdb_cursor_close(cursor);
    return forgotten;
}

void lmdb_upkeep(struct store_lmdb *lmdb, uint64_t now_ms)
{
    lmdb->upkeep_ms = now_ms + UPKEEP_MS;
    int dead = 0;
    if (lmdb->env)
        (void)mdb_reader_check(lmdb->env, &dead);
    lmdb_measure(lmdb);
    const struct lmdb_position sessions = lmdb->swept_sessions;
    const struct lmdb_position exchanges = lmdb->swept_exchanges;
    size_t expired = 0;
    bool is_cut = false;
    if (lmdb->forget_max == 0)
        lmdb->forget_max = FORGET_MAX;
    bool is_due = lmdb_begin(lmdb, true) && tell_time(lmdb, now_ms);
    if (is_due) {
        size_t max = lmdb->forget_max < lmdb->turn_max ? lmdb->forget_max : lmdb->turn_max;
        expired = sweep_sessions(lmdb, max);
        is_cut = expired + sweep_exchanges(lmdb, max - expired) == max;
    }
    if (!lmdb_end(lmdb, true)) {
        /* Forgetting takes room as well: a smaller bite next time. */
        lmdb->forget_max = lmdb->forget_max / 4 + 1;
        lmdb->swept_sessions = sessions;
        lmdb->swept_exchanges = exchanges;
    } else if (is_due) {
        lmdb->forget_max = lmdb->forget_max < FORGET_MAX / 2 ? 2 * lmdb->forget_max : FORGET_MAX;
        store_count(&lmdb->batch.counts, METRIC_STORE_EXPIRED, expired);
        lmdb->sweeps_again = is_cut;
        lmdb->upkeep_ms = now_ms + (is_cut ? UPKEEP_AGAIN_MS : UPKEEP_MS);
        lmdb_end_trouble(lmdb);
    }
}
