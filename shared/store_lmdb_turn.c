/* The environment and its transactions. A write transaction waits while another process holds the
 * lock, so each is one short turn; a process that dies in one lets the lock go (robust mutex), and
 * nothing of it stays. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/statvfs.h>

#include "shared/log.h"
#include "shared/store_lmdb.h"

/* A transaction copies the pages that it changes before the old ones come free. So long as this
 * share of the map is free, what needs no more room (leases, removals, expiry) still gets through.
 */
#define RESERVE_SHARE 32
#define RESERVE_PAGES_MIN 256 /* but no more than a quarter of a small map */
/* Pages that a question may copy or fill: a leaf and its branches in a few databases, the most of
 * which it shares with the others of its turn. A turn is so short that they are there. */
#define QUESTION_PAGES_MAX 8
#define TURN_MIN 4
/* The log may take this share; beyond it the oldest events go. */
#define LOG_SHARE 2
#define DISK_FULL_SIZE 1048576 /* octets free, or fewer */

static const char *const names[LMDB_DATABASES_COUNT] = {
    [LMDB_META] = "meta",
    [LMDB_IDENTITIES] = "identities",
    [LMDB_SESSIONS] = "sessions",
    [LMDB_ADDRESSES] = "addresses",
    [LMDB_EXCHANGES] = "exchanges",
    [LMDB_RELATIONS] = "relations",
    [LMDB_TOPICS] = "topics",
    [LMDB_CHANGES] = "changes",
    [LMDB_TOMBSTONES] = "tombstones",
    [LMDB_MEMBERS] = "members",
    [LMDB_LEASES] = "leases",
    [LMDB_LOG] = "log",
};

/* --- trouble --- */

static void set_trouble(struct store_lmdb *lmdb, const char *reason)
{
    char trouble[sizeof lmdb->trouble];
    (void)snprintf(trouble, sizeof trouble, "lmdb: %s", reason);
    if (strcmp(trouble, lmdb->trouble) == 0)
        return;
    memcpy(lmdb->trouble, trouble, sizeof trouble);
    log_line(LOG_ERROR, "store", "the store cannot be relied on", "engine=lmdb reason=\"%s\"",
             reason);
}

/* LMDB says EIO where the kernel wrote only a part, as it does at the end of a disk. */
static bool is_disk_full(const struct store_lmdb *lmdb)
{
    struct statvfs disk;
    return statvfs(lmdb->folder.path, &disk) == 0 && disk.f_bavail * disk.f_frsize < DISK_FULL_SIZE;
}

static const char *reason_of(const struct store_lmdb *lmdb, int result)
{
    switch (result) {
    case MDB_MAP_FULL:
        return "map full";
    case ENOSPC:
        return "disk full";
    case EIO:
        return is_disk_full(lmdb) ? "disk full" : mdb_strerror(result);
    case MDB_INCOMPATIBLE:
        return "written by another version of Holdfast";
    default:
        return mdb_strerror(result);
    }
}

void lmdb_end_trouble(struct store_lmdb *lmdb)
{
    if (lmdb->is_crowded) {
        set_trouble(lmdb, reason_of(lmdb, MDB_MAP_FULL));
    } else if (lmdb->trouble[0] != '\0') {
        lmdb->trouble[0] = '\0';
        log_line(LOG_INFO, "store", "the store can be relied on again", "engine=lmdb");
    }
}

/* After these nothing more can be done with the environment as it is. */
static bool is_fatal(int result)
{
    return result == MDB_PANIC || result == MDB_CORRUPTED || result == MDB_PAGE_NOTFOUND ||
           result == MDB_INVALID || result == MDB_VERSION_MISMATCH;
}

/* --- the environment --- */

/* Every store but a new one has a clock; its format is that of the whole. */
static int check_format(struct store_lmdb *lmdb, MDB_txn *txn)
{
    MDB_val key = lmdb_val(lmdb_clock_key);
    MDB_val value;
    int result = mdb_get(txn, lmdb->databases[LMDB_META], &key, &value);
    if (result != MDB_SUCCESS)
        return result == MDB_NOTFOUND ? MDB_SUCCESS : result;
    struct cursor cursor = cursor_over(value.mv_data, value.mv_size);
    return cursor_u8(&cursor) == STORE_FORMAT ? MDB_SUCCESS : MDB_INCOMPATIBLE;
}

static int open_databases(struct store_lmdb *lmdb)
{
    MDB_txn *txn = NULL;
    int result = mdb_txn_begin(lmdb->env, NULL, 0, &txn);
    if (result == MDB_MAP_RESIZED && (result = mdb_env_set_mapsize(lmdb->env, 0)) == MDB_SUCCESS)
        result = mdb_txn_begin(lmdb->env, NULL, 0, &txn);
    if (result != MDB_SUCCESS)
        return result;
    for (size_t i = 0; i < LMDB_DATABASES_COUNT && result == MDB_SUCCESS; i++)
        result = mdb_dbi_open(txn, names[i], MDB_CREATE, &lmdb->databases[i]);
    if (result == MDB_SUCCESS)
        result = check_format(lmdb, txn);
    if (result == MDB_SUCCESS)
        return mdb_txn_commit(txn);
    mdb_txn_abort(txn);
    return result;
}

static int open_environment(struct store_lmdb *lmdb)
{
    /* A reader's slot is the process's, not the thread's: the loop may run on another thread. */
    unsigned int flags = MDB_NOTLS | (lmdb->waits ? 0 : MDB_NOSYNC);
    int result = mdb_env_create(&lmdb->env);
    if (result != MDB_SUCCESS)
        return result;
    result = mdb_env_set_mapsize(lmdb->env, lmdb->map_size);
    if (result == MDB_SUCCESS)
        result = mdb_env_set_maxdbs(lmdb->env, LMDB_DATABASES_COUNT);
    if (result == MDB_SUCCESS)
        result = mdb_env_open(lmdb->env, lmdb->folder.path, flags, 0600);
    int dead = 0;
    if (result == MDB_SUCCESS)
        result = mdb_reader_check(lmdb->env, &dead);
    if (result == MDB_SUCCESS)
        result = open_databases(lmdb);
    if (result != MDB_SUCCESS)
        lmdb_environment_close(lmdb);
    return result;
}

enum status lmdb_environment_open(struct store_lmdb *lmdb, char *why, size_t why_size)
{
    int result = open_environment(lmdb);
    if (result == MDB_SUCCESS)
        return STATUS_OK;
    (void)snprintf(why, why_size, "cannot open %s/data.mdb: %s", lmdb->folder.path,
                   reason_of(lmdb, result));
    return STATUS_SYSTEM;
}

void lmdb_environment_close(struct store_lmdb *lmdb)
{
    if (lmdb->reader)
        mdb_txn_abort(lmdb->reader);
    if (lmdb->env)
        mdb_env_close(lmdb->env);
    lmdb->reader = NULL;
    lmdb->env = NULL;
}

/* --- transactions --- */

static int begin_read(struct store_lmdb *lmdb)
{
    if (lmdb->reader) {
        int result = mdb_txn_renew(lmdb->reader);
        if (result == MDB_SUCCESS)
            return result;
        /* Its slot is gone, or the map is another one: a new one will do. */
        mdb_txn_abort(lmdb->reader);
        lmdb->reader = NULL;
    }
    return mdb_txn_begin(lmdb->env, NULL, MDB_RDONLY, &lmdb->reader);
}

static int begin(struct store_lmdb *lmdb, bool writes)
{
    if (writes)
        return mdb_txn_begin(lmdb->env, NULL, 0, &lmdb->txn);
    int result = begin_read(lmdb);
    if (result == MDB_SUCCESS)
        lmdb->txn = lmdb->reader;
    return result;
}

bool lmdb_begin(struct store_lmdb *lmdb, bool writes)
{
    lmdb->txn = NULL;
    lmdb->log_next = 0;
    lmdb->log_added = 0;
    lmdb->log_dropped = 0;
    lmdb->failure = lmdb->env ? MDB_SUCCESS : open_environment(lmdb);
    if (lmdb->failure != MDB_SUCCESS)
        return false;
    int result = begin(lmdb, writes);
    /* Another process has made the map larger. */
    if (result == MDB_MAP_RESIZED && (result = mdb_env_set_mapsize(lmdb->env, 0)) == MDB_SUCCESS)
        result = begin(lmdb, writes);
    return lmdb_check(lmdb, result);
}

bool lmdb_end(struct store_lmdb *lmdb, bool writes)
{
    if (lmdb->txn && !writes)
        mdb_txn_reset(lmdb->txn);
    else if (lmdb->txn && lmdb->failure == MDB_SUCCESS)
        (void)lmdb_check(lmdb, mdb_txn_commit(lmdb->txn));
    else if (lmdb->txn)
        mdb_txn_abort(lmdb->txn);
    lmdb->txn = NULL;

    if (lmdb->failure != MDB_SUCCESS) {
        set_trouble(lmdb, reason_of(lmdb, lmdb->failure));
        if (lmdb->failure == MDB_MAP_FULL)
            lmdb->is_crowded = true;
        if (is_fatal(lmdb->failure))
            lmdb_environment_close(lmdb);
        return false;
    }
    store_count(&lmdb->batch.counts, METRIC_STORE_EVENTS, lmdb->log_added);
    store_count(&lmdb->batch.counts, METRIC_STORE_EVENTS_DROPPED, lmdb->log_dropped);
    return true;
}

/* --- room --- */

struct room {
    uint64_t free;   /* pages that nothing lies in */
    uint64_t usable; /* of these, by the next transaction: the last one's snapshot is kept */
};

/* The free list names pages by the transaction that freed them: number -> how many, which. */
static struct room count_free_pages(struct store_lmdb *lmdb, uint64_t last_transaction)
{
    struct room room = {0};
    MDB_cursor *cursor = NULL;
    if (!lmdb_check(lmdb, mdb_cursor_open(lmdb->txn, 0, &cursor)))
        return room;
    struct octets key = {0};
    struct octets value;
    for (bool more = lmdb_move(lmdb, cursor, MDB_FIRST, &key, &value); more;
         more = lmdb_move(lmdb, cursor, MDB_NEXT, &key, &value)) {
        size_t pages = 0;
        size_t transaction = 0;
        if (value.length < sizeof pages || key.length != sizeof transaction)
            continue;
        memcpy(&pages, value.bytes, sizeof pages);
        memcpy(&transaction, key.bytes, sizeof transaction);
        room.free += pages;
        if (transaction < last_transaction)
            room.usable += pages;
    }
    mdb_cursor_close(cursor);
    return room;
}

static void measure_map(struct store_lmdb *lmdb)
{
    MDB_envinfo info;
    MDB_stat stat;
    if (!lmdb_check(lmdb, mdb_env_info(lmdb->env, &info)) ||
        !lmdb_check(lmdb, mdb_env_stat(lmdb->env, &stat)))
        return;
    uint64_t pages = info.me_mapsize / stat.ms_psize;
    uint64_t reserve = pages / RESERVE_SHARE;
    if (reserve < RESERVE_PAGES_MIN)
        reserve = RESERVE_PAGES_MIN < pages / 4 ? RESERVE_PAGES_MIN : pages / 4;
    uint64_t used = info.me_last_pgno + 1;
    uint64_t untouched = pages > used ? pages - used : 0;
    struct room room = {0};
    if (untouched < 2 * reserve + (uint64_t)STORE_TURN_QUESTIONS_MAX * QUESTION_PAGES_MAX)
        room = count_free_pages(lmdb, info.me_last_txnid);
    room.free += untouched;
    room.usable += untouched;

    lmdb->log_pages_max = pages / LOG_SHARE;
    lmdb->is_crowded = room.free < (lmdb->is_crowded ? reserve + reserve / 2 : reserve);
    lmdb->measured_for = room.usable > reserve ? (room.usable - reserve) / QUESTION_PAGES_MAX : 0;
    uint64_t turn_max = room.usable / QUESTION_PAGES_MAX;
    lmdb->turn_max = turn_max < TURN_MIN                   ? TURN_MIN
                     : turn_max < STORE_TURN_QUESTIONS_MAX ? turn_max
                                                           : STORE_TURN_QUESTIONS_MAX;
}

void lmdb_measure(struct store_lmdb *lmdb)
{
    lmdb->unmeasured = 0;
    /* Another process may have been given a larger map. */
    if (lmdb->env && lmdb->is_crowded)
        (void)mdb_env_set_mapsize(lmdb->env, 0);
    if (lmdb_begin(lmdb, false))
        measure_map(lmdb);
    if (lmdb_end(lmdb, false) && lmdb->is_crowded)
        set_trouble(lmdb, reason_of(lmdb, MDB_MAP_FULL));
}
