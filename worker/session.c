#include "worker/session.h"

#include "worker/facts.h"

#include <string.h>

struct cid_key {
    const uint8_t *bytes;
    size_t length;
};

static bool cid_match(const void *object, const void *key)
{
    const struct session *session = object;
    const struct cid_key *cid = key;
    return session->own_cid.length == cid->length &&
           memcmp(session->own_cid.bytes, cid->bytes, cid->length) == 0;
}

static uint64_t cid_hash(const void *context, const void *object)
{
    const struct session *session = object;
    return hash_bytes(context, session->own_cid.bytes, session->own_cid.length);
}

static bool address_match(const void *object, const void *key)
{
    const struct session *session = object;
    return address_equal(&session->path.address, key);
}

static uint64_t address_hash(const void *context, const void *object)
{
    const struct session *session = object;
    return hash_bytes(context, &session->path.address, sizeof(session->path.address));
}

enum status sessions_init(struct sessions *sessions, size_t sessions_max,
                          const struct hash_key *hash_key)
{
    *sessions = (struct sessions){.hash_key = *hash_key, .next_id = 1};
    sessions->sessions_max = sessions_max;
    enum status status =
        table_init(&sessions->by_cid, sessions_max, cid_match, cid_hash, &sessions->hash_key);
    if (status == STATUS_OK)
        status = table_init(&sessions->by_address, sessions_max, address_match, address_hash,
                            &sessions->hash_key);
    if (status != STATUS_OK)
        sessions_free(sessions);
    return status;
}

void sessions_free(struct sessions *sessions)
{
    while (sessions->oldest)
        session_remove(sessions, sessions->oldest);
    table_free(&sessions->by_cid);
    table_free(&sessions->by_address);
    for (size_t i = 0; i < SESSION_POOLS; i++)
        pool_free(&sessions->pools[i]);
}

static void list_append(struct sessions *sessions, struct session *session)
{
    session->older = sessions->newest;
    session->newer = NULL;
    if (sessions->newest)
        sessions->newest->newer = session;
    else
        sessions->oldest = session;
    sessions->newest = session;
}

static void list_unlink(struct sessions *sessions, struct session *session)
{
    if (session->older)
        session->older->newer = session->newer;
    else
        sessions->oldest = session->newer;
    if (session->newer)
        session->newer->older = session->older;
    else
        sessions->newest = session->older;
}

/* Of one direction, in `rest`. */
static size_t keys_length(const struct suite *suite)
{
    return (size_t)suite->key_length + suite->iv_length;
}

size_t session_size(const struct suite *suite, size_t identity_length)
{
    size_t size = offsetof(struct session, rest) + 2 * keys_length(suite) + 1 + identity_length;
    return (size + SESSION_SIZE_STEP - 1) / SESSION_SIZE_STEP * SESSION_SIZE_STEP;
}

static struct pool *pool_of(struct sessions *sessions, const struct suite *suite,
                            size_t identity_length)
{
    return &sessions->pools[session_size(suite, identity_length) / SESSION_SIZE_STEP];
}

static enum status take_object(struct sessions *sessions, const struct session_origin *origin,
                               struct session **session)
{
    const struct suite *suite = &suites[origin->suite];
    struct pool *pool = pool_of(sessions, suite, origin->identity_length);
    enum status status = STATUS_OK;
    if (!pool->slabs)
        status =
            pool_init(pool, session_size(suite, origin->identity_length), sessions->sessions_max);
    if (status != STATUS_OK)
        return status;
    *session = pool_get(pool);
    return *session ? STATUS_OK : STATUS_FULL;
}

static void put_object(struct sessions *sessions, struct session *session)
{
    size_t identity_length;
    (void)session_identity(session, &identity_length);
    /* Wipes the keys. */
    pool_put(pool_of(sessions, session_suite(session), identity_length), session);
}

static void write_rest(struct session *session, const struct session_origin *origin)
{
    const struct suite *suite = session_suite(session);
    struct writer writer = writer_over(session->rest, SESSION_REST_MAX);
    writer_bytes(&writer, origin->keys->read.key, suite->key_length);
    writer_bytes(&writer, origin->keys->read.iv, suite->iv_length);
    writer_bytes(&writer, origin->keys->write.key, suite->key_length);
    writer_bytes(&writer, origin->keys->write.iv, suite->iv_length);
    writer_u8(&writer, (uint8_t)origin->identity_length);
    writer_bytes(&writer, origin->identity, origin->identity_length);
}

void session_keys(const struct session *session, enum session_direction direction,
                  struct record_keys *keys)
{
    const struct suite *suite = session_suite(session);
    const uint8_t *at = session->rest + (direction == SESSION_WRITE ? keys_length(suite) : 0);
    memcpy(keys->key, at, suite->key_length);
    memcpy(keys->iv, at + suite->key_length, suite->iv_length);
}

enum status session_add(struct sessions *sessions, const struct session_origin *origin,
                        uint32_t now_s, struct session **added)
{
    const struct cid *own_cid = origin->own_cid;
    struct session *session;
    if (origin->identity_length > IDENTITY_LENGTH_MAX)
        return STATUS_TOO_LONG;
    if (session_by_cid(sessions, own_cid->bytes, own_cid->length))
        return STATUS_EXISTS;
    enum status status = take_object(sessions, origin, &session);
    if (status != STATUS_OK)
        return status;

    session->own_cid = *own_cid;
    session->suite = origin->suite;
    write_rest(session, origin);
    status = table_insert(&sessions->by_cid, cid_hash(&sessions->hash_key, session), session);
    if (status != STATUS_OK) {
        put_object(sessions, session);
        return status;
    }
    session->id = sessions->next_id++;
    session->last_used_s = now_s;
    list_append(sessions, session);
    *added = session;
    return STATUS_OK;
}

void session_remove(struct sessions *sessions, struct session *session)
{
    session_leave_address(sessions, session);
    table_remove(&sessions->by_cid, cid_hash(&sessions->hash_key, session), session);
    list_unlink(sessions, session);
    put_object(sessions, session);
}

struct session *session_by_cid(struct sessions *sessions, const uint8_t *cid, size_t length)
{
    const struct cid_key key = {cid, length};
    return table_find(&sessions->by_cid, hash_bytes(&sessions->hash_key, cid, length), &key);
}

struct session *session_by_address(struct sessions *sessions, const struct address *address)
{
    uint64_t hash = hash_bytes(&sessions->hash_key, address, sizeof(*address));
    return table_find(&sessions->by_address, hash, address);
}

void session_leave_address(struct sessions *sessions, struct session *session)
{
    if (!session->by_address)
        return;
    table_remove(&sessions->by_address, address_hash(&sessions->hash_key, session), session);
    session->by_address = false;
}

enum status session_claim_address(struct sessions *sessions, struct session *session)
{
    if (session_by_address(sessions, &session->path.address))
        return STATUS_EXISTS;
    enum status status =
        table_insert(&sessions->by_address, address_hash(&sessions->hash_key, session), session);
    session->by_address = status == STATUS_OK;
    return status;
}

void session_touch(struct sessions *sessions, struct session *session, uint32_t now_s)
{
    session->last_used_s = now_s;
    if (sessions->newest == session)
        return;
    list_unlink(sessions, session);
    list_append(sessions, session);
}

void session_describe(const struct session *session, struct session_facts *facts)
{
    const uint8_t *identity = session_identity(session, &facts->identity_length);
    memcpy(facts->identity, identity, facts->identity_length);
    facts->cipher_suite = session_suite(session)->name;
    facts->own_cid = session->uses_cid ? session->own_cid : (struct cid){.length = 0};
    facts->peer_cid = session->peer_cid;
    facts->address = session->path.address;
    facts->previous_address = session->previous_address;
    facts->address_changes = session->address_changes;
}

size_t sessions_memory(const struct sessions *sessions)
{
    size_t octets = table_memory(&sessions->by_cid) + table_memory(&sessions->by_address);
    for (size_t i = 0; i < SESSION_POOLS; i++)
        octets += sessions->pools[i].allocated * sessions->pools[i].object_size;
    return octets;
}
