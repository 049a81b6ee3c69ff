#include "worker/session.h"

#include "worker/facts.h"

#include <stdlib.h>
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
    enum status status = pool_init(&sessions->pool, sizeof(struct session), sessions_max);
    if (status == STATUS_OK)
        status =
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
    pool_free(&sessions->pool);
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

enum status session_add(struct sessions *sessions, const struct cid *own_cid,
                        const uint8_t *identity, size_t identity_length, uint32_t now_s,
                        struct session **added)
{
    if (identity_length > IDENTITY_LENGTH_MAX)
        return STATUS_TOO_LONG;
    if (session_by_cid(sessions, own_cid->bytes, own_cid->length))
        return STATUS_EXISTS;
    struct session *session = pool_get(&sessions->pool);
    if (!session)
        return STATUS_FULL;

    session->own_cid = *own_cid;
    session->identity = malloc(1 + identity_length);
    enum status status = session->identity ? STATUS_OK : STATUS_NO_MEMORY;
    if (status == STATUS_OK)
        status = table_insert(&sessions->by_cid, cid_hash(&sessions->hash_key, session), session);
    if (status != STATUS_OK) {
        free(session->identity);
        pool_put(&sessions->pool, session);
        return status;
    }
    session->identity[0] = (uint8_t)identity_length;
    if (identity_length > 0)
        memcpy(session->identity + 1, identity, identity_length);
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
    free(session->identity);
    pool_put(&sessions->pool, session); /* wipes the keys */
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
    return sessions->pool.allocated * sessions->pool.object_size + table_memory(&sessions->by_cid) +
           table_memory(&sessions->by_address);
}
