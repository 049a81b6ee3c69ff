#include "shared/store_lmdb.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shared/store_engines.h"

#define SCHEME "lmdb:"
#define MEBIBYTE (UINT64_C(1) << 20)
#define MAP_SIZE_DEFAULT (1024 * MEBIBYTE)
#define MAP_SIZE_MIN (4 * MEBIBYTE)
#define MAP_SIZE_MAX (MEBIBYTE << 20)

static struct store_lmdb *lmdb_of(struct store *store)
{
    return (struct store_lmdb *)store; /* the first member of its first member */
}

/* --- identities and nonces --- */

static void fetch_identity(struct store_lmdb *lmdb, const struct store_question *question,
                           struct store_answer *answer)
{
    struct cursor body;
    answer->outcome = STORE_NOT_FOUND;
    if (question->first.length == 0 || /* which LMDB takes for no key */
        !lmdb_get_body(lmdb, LMDB_IDENTITIES, question->first, &body))
        return;
    size_t length = cursor_left(&body);
    if (length > STORE_SEALED_MAX) {
        store_count(&lmdb->batch.counts, METRIC_STORE_FORMAT, 1);
        return;
    }
    answer->outcome = STORE_OK;
    answer->value =
        store_batch_keep(&lmdb->batch, (struct octets){cursor_bytes(&body, length), length});
}

static void put_identity(struct store_lmdb *lmdb, const struct store_question *question,
                         struct store_answer *answer)
{
    if (lmdb->is_crowded && !lmdb_has(lmdb, LMDB_IDENTITIES, question->first)) {
        answer->outcome = STORE_UNAVAILABLE;
        return;
    }
    uint8_t bytes[1 + STORE_SEALED_MAX];
    struct writer writer = writer_over(bytes, sizeof bytes);
    writer_u8(&writer, STORE_FORMAT);
    writer_bytes(&writer, question->second.bytes, question->second.length);
    lmdb_put(lmdb, LMDB_IDENTITIES, question->first, &writer);
}

/* A counter that cannot be read is never started again from 0. */
static void lease_nonces(struct store_lmdb *lmdb, const struct store_question *question,
                         struct store_answer *answer)
{
    const struct octets key = {&question->cid_config, 1};
    struct octets value;
    uint64_t next = 0;
    if (lmdb_get(lmdb, LMDB_LEASES, key, &value)) {
        struct cursor body;
        bool is_ours = lmdb_body(lmdb, value, &body);
        next = cursor_u64(&body);
        if (!is_ours || !cursor_ok(&body) || cursor_left(&body) > 0) {
            answer->outcome = STORE_UNAVAILABLE;
            return;
        }
    }
    answer->first = next;
    answer->count = NONCE_LEASE;
    uint8_t bytes[1 + 8];
    struct writer writer = writer_over(bytes, sizeof bytes);
    writer_u8(&writer, STORE_FORMAT);
    writer_u64(&writer, next + NONCE_LEASE);
    lmdb_put(lmdb, LMDB_LEASES, key, &writer);
}

/* --- the engine --- */

static void carry_out(struct store_lmdb *lmdb, const struct store_question *question,
                      struct store_answer *answer)
{
    switch (question->kind) {
    case STORE_FETCH_IDENTITY:
        fetch_identity(lmdb, question, answer);
        break;
    case STORE_PUT_IDENTITY:
        put_identity(lmdb, question, answer);
        break;
    case STORE_CREATE_SESSION:
        lmdb_create_session(lmdb, question, answer);
        break;
    case STORE_CLAIM_SESSION:
        lmdb_claim_session(lmdb, question, answer);
        break;
    case STORE_FIND_SESSION:
        lmdb_find_session(lmdb, question, answer);
        break;
    case STORE_LEASE_SEQUENCES:
        lmdb_lease_sequences(lmdb, question, answer);
        break;
    case STORE_SAVE_MARK:
        lmdb_save_mark(lmdb, question, answer);
        break;
    case STORE_SAVE_EXCHANGE:
        lmdb_save_exchange(lmdb, question, answer);
        break;
    case STORE_REMOVE_SESSION:
        lmdb_remove_session(lmdb, question, answer);
        break;
    case STORE_LEASE_NONCES:
        lease_nonces(lmdb, question, answer);
        break;
    case STORE_JOIN:
        lmdb_join(lmdb, question, answer);
        break;
    case STORE_BEAT:
        lmdb_beat(lmdb, question, answer);
        break;
    case STORE_LEAVE:
        lmdb_leave(lmdb, question, answer);
        break;
    case STORE_LIST_MEMBERS:
        lmdb_list_members(lmdb, answer);
        break;
    case STORE_SAVE_RELATION:
        lmdb_save_relation(lmdb, question, answer);
        break;
    case STORE_LIST_OBLIGED:
        lmdb_list_obliged(lmdb, question, answer);
        break;
    case STORE_PUT_TOPIC:
        lmdb_put_topic(lmdb, question, answer);
        break;
    case STORE_GET_TOPIC:
        lmdb_get_topic(lmdb, question, answer);
        break;
    case STORE_REMOVE_TOPIC:
        lmdb_remove_topic(lmdb, question, answer);
        break;
    case STORE_LIST_TOPICS:
        lmdb_list_topics(lmdb, question, answer);
        break;
    case STORE_LIST_CHANGES:
        lmdb_list_changes(lmdb, question, answer);
        break;
    }
}

/* How many questions it counts for: a long event fills pages of its own. */
static size_t weight_of(const struct store_question *question)
{
    return question->second.length > STORE_EVENT_MAX ? 2 : 1;
}

static size_t run(struct store *store, uint64_t now_ms)
{
    struct store_lmdb *lmdb = lmdb_of(store);
    struct store_batch *batch = &lmdb->batch;
    if (now_ms >= lmdb->upkeep_ms)
        lmdb_upkeep(lmdb, now_ms);
    if (store_batch_is_empty(batch))
        return 0;

    struct store_answer *answer = NULL;
    const struct store_question *question = NULL;
    bool writes = store_batch_has_writes(batch);
    if (writes && lmdb->unmeasured >= lmdb->measured_for)
        lmdb_measure(lmdb);
    size_t left = writes ? lmdb->turn_max : STORE_TURN_QUESTIONS_MAX;
    /* Without a clock nobody knows what has expired; upkeep tries again. */
    bool begun = lmdb->clock_is_set && lmdb_begin(lmdb, writes);
    lmdb->now_ms = now_ms + lmdb->clock_offset_ms;
    while (left > 0 && (question = store_batch_next(batch, &answer))) {
        size_t weight = weight_of(question);
        left -= weight < left ? weight : left;
        lmdb->unmeasured += writes ? weight : 0;
        if (begun && lmdb->failure == MDB_SUCCESS)
            carry_out(lmdb, question, answer);
    }
    if (!lmdb->clock_is_set || !lmdb_end(lmdb, writes))
        store_batch_discard(batch);
    return store_batch_answer(batch);
}

static uint64_t next_ms(const struct store *store)
{
    return store_batch_next_ms((const struct store_batch *)store,
                               ((const struct store_lmdb *)store)->upkeep_ms);
}

static const char *trouble(const struct store *store)
{
    const struct store_lmdb *lmdb = (const struct store_lmdb *)store;
    return lmdb->trouble[0] == '\0' ? NULL : lmdb->trouble;
}

static void lmdb_free(struct store *store)
{
    struct store_lmdb *lmdb = lmdb_of(store);
    lmdb_environment_close(lmdb);
    lmdb_folder_close(&lmdb->folder);
    store_batch_free(&lmdb->batch);
    free(lmdb);
}

static const struct store_engine engine = {
    .name = "lmdb",
    STORE_BATCH_ENGINE,
    .run = run,
    .next_ms = next_ms,
    .trouble = trouble,
    .free = lmdb_free,
};

/* --- opening --- */

struct location {
    char path[PATH_MAX];
    size_t map_size;
    bool waits;
};

/* "512M", "4G", or octets. */
static bool parse_size(const char *text, size_t *size)
{
    char *end = NULL;
    errno = 0;
    unsigned long long number = strtoull(text, &end, 10);
    if (text[0] < '0' || text[0] > '9' || errno != 0)
        return false;
    uint64_t unit = 1;
    if (*end == 'M' || *end == 'G')
        unit = *end++ == 'M' ? MEBIBYTE : 1024 * MEBIBYTE;
    if (*end != '\0' || number > MAP_SIZE_MAX / unit)
        return false;
    *size = number * unit;
    return *size >= MAP_SIZE_MIN;
}

static bool parse_option(char *option, struct location *location)
{
    if (strcmp(option, "sync=os") == 0)
        location->waits = false;
    else if (strcmp(option, "sync=always") == 0)
        location->waits = true;
    else if (strncmp(option, "size=", 5) == 0)
        return parse_size(option + 5, &location->map_size);
    else
        return false;
    return true;
}

/* lmdb:DIR[?OPTION[&OPTION]] */
static enum status parse_url(const char *url, struct location *location, char *why, size_t why_size)
{
    *location = (struct location){.map_size = MAP_SIZE_DEFAULT};
    if ((size_t)snprintf(location->path, sizeof location->path, "%s", url + strlen(SCHEME)) >=
        sizeof location->path) {
        (void)snprintf(why, why_size, "the folder's name is too long");
        return STATUS_MALFORMED;
    }
    char *options = location->path + strcspn(location->path, "?");
    if (*options != '\0')
        *options++ = '\0';
    if (location->path[0] == '\0') {
        (void)snprintf(why, why_size, "no folder is named; want lmdb:DIR");
        return STATUS_MALFORMED;
    }
    for (char *rest = NULL, *option = strtok_r(options, "&", &rest); option;
         option = strtok_r(NULL, "&", &rest)) {
        if (parse_option(option, location))
            continue;
        (void)snprintf(why, why_size,
                       "\"%.40s\" is no option; want sync=os, sync=always or size=, from 4M to "
                       "1024G",
                       option);
        return STATUS_MALFORMED;
    }
    return STATUS_OK;
}

static enum status open_at(struct store_lmdb *lmdb, const struct location *location, char *why,
                           size_t why_size)
{
    lmdb->map_size = location->map_size;
    lmdb->waits = location->waits;
    enum status status =
        lmdb_folder_open(&lmdb->folder, location->path, location->waits, why, why_size);
    if (status == STATUS_OK)
        status = lmdb_environment_open(lmdb, why, why_size);
    return status;
}

enum status store_lmdb_open(struct store **store, const struct store_options *options, char *why,
                            size_t why_size)
{
    const struct store_counts counts = store_counts_from(options);
    struct location location;
    struct store_lmdb *lmdb = NULL;
    char reason[PATH_MAX + 128] = "";
    enum status status = parse_url(options->url, &location, reason, sizeof reason);
    if (status != STATUS_OK)
        goto failed;
    status = STATUS_NO_MEMORY;
    (void)snprintf(reason, sizeof reason, "%s", status_text(status));
    lmdb = calloc(1, sizeof *lmdb);
    if (!lmdb)
        goto failed;
    lmdb->folder.marker = -1;
    status = store_batch_init(&lmdb->batch, &engine, &counts);
    if (status != STATUS_OK)
        goto failed;
    lmdb->session_ttl_ms = options->session_ttl_s * UINT64_C(1000);
    lmdb->member_ttl_ms = options->member_ttl_ms;
    lmdb->turn_max = STORE_TURN_QUESTIONS_MAX; /* until it has been measured */
    status = open_at(lmdb, &location, reason, sizeof reason);
    if (status != STATUS_OK)
        goto failed;
    *store = &lmdb->batch.store;
    return STATUS_OK;

failed:
    (void)snprintf(why, why_size, "store \"%s\": %s", options->url, reason);
    if (lmdb)
        lmdb_free(&lmdb->batch.store);
    return status;
}
