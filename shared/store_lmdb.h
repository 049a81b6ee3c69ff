/* Inside the LMDB engine: what its files share.
 *
 * Every value begins with its format, STORE_FORMAT; another one is refused and counted. Numbers are
 * in network order, so that keys sort by them.
 *
 *   database    key                          value, after the format
 *   meta        "clock"                      host's boot 40 ‖ offset 8 ‖ newest time 8
 *               "topics"                     newest number 8 ‖ newest that a lost tombstone had 8
 *   identities  identity                     sealed
 *   sessions    CID                          store_record.h
 *   addresses   address 18                   CID
 *   exchanges   CID length 1 ‖ CID ‖ slot 1  expiry 8 ‖ value
 *   relations   page 1 ‖ CID length 1 ‖ CID ‖ slot 1
 *                                            value
 *   topics      name                         number 8 ‖ 1, or 0: removed ‖ value
 *   changes     number 8                     name of the topic whose latest change it is
 *   tombstones  number 8                     name; those of `changes` that are removals
 *   members     worker id 2                  expiry 8 ‖ state 1 ‖ boot 12 ‖ link 18 ‖ http 18
 *   leases      CID config 1                 next nonce 8
 *   log         number 8                     time 8 ‖ event
 *
 * Times are on the store's own clock (store_lmdb_clock.c). */
#ifndef HOLDFAST_SHARED_STORE_LMDB_H
#define HOLDFAST_SHARED_STORE_LMDB_H

#include <lmdb.h>

#include "shared/store_batch.h"
#include "shared/store_lmdb_folder.h"
#include "shared/store_members.h"
#include "shared/store_record.h"

enum lmdb_database {
    LMDB_META,
    LMDB_IDENTITIES,
    LMDB_SESSIONS,
    LMDB_ADDRESSES,
    LMDB_EXCHANGES,
    LMDB_RELATIONS,
    LMDB_TOPICS,
    LMDB_CHANGES,
    LMDB_TOMBSTONES,
    LMDB_MEMBERS,
    LMDB_LEASES,
    LMDB_LOG,
    LMDB_DATABASES_COUNT
};

static const struct octets lmdb_clock_key = {(const uint8_t *)"clock", 5};

#define LMDB_EXCHANGE_KEY_MAX (1 + CID_LENGTH_MAX + 1)

struct lmdb_position { /* where a sweep goes on; length 0: from the start */
    size_t length;
    uint8_t bytes[LMDB_EXCHANGE_KEY_MAX];
};

struct store_lmdb {
    struct store_batch batch; /* first */
    struct lmdb_folder folder;
    size_t map_size;
    uint64_t session_ttl_ms;
    uint64_t member_ttl_ms;

    MDB_env *env;    /* NULL: to be opened again */
    MDB_txn *reader; /* reset between turns */
    MDB_txn *txn;    /* of this turn */
    MDB_dbi databases[LMDB_DATABASES_COUNT];
    int failure; /* what first went wrong in this turn, as LMDB or errno says it; sticks */

    bool waits; /* sync=always */
    bool clock_is_set;
    bool is_crowded;   /* nothing that needs more room is taken */
    bool sweeps_again; /* the last sweep left something behind */

    uint64_t clock_offset_ms; /* store's clock - CLOCK_MONOTONIC, modulo 2^64 */
    uint64_t now_ms;          /* of this turn, store's clock */
    uint64_t upkeep_ms;       /* when it is due, CLOCK_MONOTONIC */

    size_t unmeasured;   /* questions since room was measured, in turns that write */
    size_t measured_for; /* so many of them need not be asked for room again */
    size_t turn_max;     /* questions of a turn that writes */
    uint64_t log_pages_max;
    uint64_t log_next;  /* number of the next event; 0: to be looked up in this turn */
    uint64_t log_added; /* in this turn */
    uint64_t log_dropped;
    struct lmdb_position swept_sessions;
    struct lmdb_position swept_exchanges;
    size_t forget_max;            /* of a sweep */
    char trouble[160];            /* "": none */
    struct store_members members; /* those of a question, while it is carried out */
};

/* --- items of this turn's transaction; after a failure nothing is found and nothing done --- */

static inline struct octets lmdb_octets(MDB_val value)
{
    return (struct octets){value.mv_data, value.mv_size};
}
static inline MDB_val lmdb_val(struct octets octets)
{
    return (MDB_val){.mv_data = (void *)octets.bytes, .mv_size = octets.length};
}
/* Keeps the first failure. MDB_NOTFOUND is none. Returns whether there was none. */
bool lmdb_check(struct store_lmdb *lmdb, int result);
/* The value is valid until the next change. */
bool lmdb_get(struct store_lmdb *lmdb, enum lmdb_database database, struct octets key,
              struct octets *value);
/* As lmdb_get; `body` is what follows the format. False, and counted, for another format. */
bool lmdb_get_body(struct store_lmdb *lmdb, enum lmdb_database database, struct octets key,
                   struct cursor *body);
bool lmdb_has(struct store_lmdb *lmdb, enum lmdb_database database, struct octets key);
void lmdb_put(struct store_lmdb *lmdb, enum lmdb_database database, struct octets key,
              const struct writer *value);
void lmdb_delete(struct store_lmdb *lmdb, enum lmdb_database database, struct octets key);
/* NULL after a failure. To be closed within the turn. */
MDB_cursor *lmdb_cursor(struct store_lmdb *lmdb, enum lmdb_database database);
/* False at the end, or after a failure. `key` is where MDB_SET_RANGE begins. */
bool lmdb_move(struct store_lmdb *lmdb, MDB_cursor *cursor, MDB_cursor_op move, struct octets *key,
               struct octets *value);
/* Moves a cursor through the keys that differ from `first` in their last octet only, which is 0
 * there; started: false at first. */
bool lmdb_next_slot(struct store_lmdb *lmdb, MDB_cursor *cursor, struct octets first, bool *started,
                    struct octets *key, struct octets *value);
/* The rest of a value after its format; false, and counted, for another format. */
bool lmdb_body(struct store_lmdb *lmdb, struct octets value, struct cursor *body);

/* --- turns: store_lmdb_turn.c --- */

/* STATUS_SYSTEM: `why` says what failed. */
MUST_USE enum status lmdb_environment_open(struct store_lmdb *lmdb, char *why, size_t why_size);
void lmdb_environment_close(struct store_lmdb *lmdb);
/* False: lmdb->failure says why. */
bool lmdb_begin(struct store_lmdb *lmdb, bool writes);
/* Commits, or aborts what has failed and sets the trouble. False: nothing was done. */
bool lmdb_end(struct store_lmdb *lmdb, bool writes);
/* Something has been written: there is no trouble, unless the map is crowded. */
void lmdb_end_trouble(struct store_lmdb *lmdb);
/* Finds out how much room there is, and what it is enough for. */
void lmdb_measure(struct store_lmdb *lmdb);

/* --- upkeep: store_lmdb_upkeep.c --- */

/* Once a second, in a transaction of its own: the clock, what has expired, readers that died. */
void lmdb_upkeep(struct store_lmdb *lmdb, uint64_t now_ms);

/* --- questions: store_lmdb_session.c --- */

void lmdb_create_session(struct store_lmdb *lmdb, const struct store_question *question,
                         struct store_answer *answer);
void lmdb_claim_session(struct store_lmdb *lmdb, const struct store_question *question,
                        struct store_answer *answer);
void lmdb_find_session(struct store_lmdb *lmdb, const struct store_question *question,
                       struct store_answer *answer);
void lmdb_lease_sequences(struct store_lmdb *lmdb, const struct store_question *question,
                          struct store_answer *answer);
void lmdb_save_mark(struct store_lmdb *lmdb, const struct store_question *question,
                    struct store_answer *answer);
void lmdb_save_exchange(struct store_lmdb *lmdb, const struct store_question *question,
                        struct store_answer *answer);
void lmdb_remove_session(struct store_lmdb *lmdb, const struct store_question *question,
                         struct store_answer *answer);
/* Whether who asks owns the session, and there is room for what it writes beside it; then it is
 * renewed, else the outcome says why not. */
bool lmdb_renew_owned(struct store_lmdb *lmdb, const struct store_question *question,
                      struct store_answer *answer);
/* The session with its exchanges, its relations and its address. */
void lmdb_forget_session(struct store_lmdb *lmdb, struct octets cid,
                         const struct store_record *record);

/* --- questions: store_lmdb_relation.c --- */

void lmdb_save_relation(struct store_lmdb *lmdb, const struct store_question *question,
                        struct store_answer *answer);
void lmdb_list_obliged(struct store_lmdb *lmdb, const struct store_question *question,
                       struct store_answer *answer);
/* Of a claim. */
void lmdb_keep_relations(struct store_lmdb *lmdb, const struct cid *cid,
                         struct store_answer *answer);
void lmdb_forget_relations(struct store_lmdb *lmdb, const struct cid *cid);

/* --- questions: store_lmdb_topic.c --- */

void lmdb_put_topic(struct store_lmdb *lmdb, const struct store_question *question,
                    struct store_answer *answer);
void lmdb_get_topic(struct store_lmdb *lmdb, const struct store_question *question,
                    struct store_answer *answer);
void lmdb_remove_topic(struct store_lmdb *lmdb, const struct store_question *question,
                       struct store_answer *answer);
void lmdb_list_topics(struct store_lmdb *lmdb, const struct store_question *question,
                      struct store_answer *answer);
void lmdb_list_changes(struct store_lmdb *lmdb, const struct store_question *question,
                       struct store_answer *answer);

/* --- questions: store_lmdb_member.c --- */

void lmdb_join(struct store_lmdb *lmdb, const struct store_question *question,
               struct store_answer *answer);
void lmdb_beat(struct store_lmdb *lmdb, const struct store_question *question,
               struct store_answer *answer);
void lmdb_leave(struct store_lmdb *lmdb, const struct store_question *question,
                struct store_answer *answer);
void lmdb_list_members(struct store_lmdb *lmdb, struct store_answer *answer);

/* --- the log: store_lmdb_log.c --- */

void lmdb_log_append(struct store_lmdb *lmdb, struct octets event);

#endif
