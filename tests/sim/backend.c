#include "tests/sim/backend.h"

#include "shared/cursor.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

void *backend_append(void *array, size_t *count, size_t size)
{
    uint8_t *grown = realloc(array, (*count + 1) * size);
    assert(grown);
    memset(grown + *count * size, 0, size);
    (*count)++;
    return grown;
}

void backend_free(struct backend *backend)
{
    for (size_t i = 0; i < backend->session_count; i++) {
        struct stored_session *session = &backend->sessions[i];
        octets_free(&session->sealed);
        octets_free(&session->mark);
        for (size_t slot = 0; slot < COAP_EXCHANGES_PER_PEER_MAX; slot++)
            octets_free(&session->exchanges[slot]);
        for (size_t slot = 0; slot < RELATIONS_PER_SESSION_MAX; slot++)
            octets_free(&session->relations[slot]);
    }
    for (size_t i = 0; i < backend->identity_count; i++) {
        octets_free(&backend->identities[i].identity);
        octets_free(&backend->identities[i].sealed);
    }
    for (size_t i = 0; i < backend->log_count; i++)
        octets_free(&backend->log[i].payload);
    free(backend->sessions);
    free(backend->identities);
    free(backend->log);
    backend_free_topics(backend);
}

/* --- identities --- */

static struct stored_identity *find_identity(struct backend *backend, struct octets identity)
{
    for (size_t i = 0; i < backend->identity_count; i++) {
        struct stored_identity *stored = &backend->identities[i];
        if (stored->identity.length == identity.length &&
            memcmp(stored->identity.bytes, identity.bytes, identity.length) == 0)
            return stored;
    }
    return NULL;
}

static void fetch_identity(struct backend *backend, struct question *question)
{
    const struct stored_identity *stored = find_identity(backend, question->first);
    if (stored)
        question->answer.value = octets_copy(stored->sealed);
    else
        question->answer.outcome = STORE_NOT_FOUND;
}

static void put_identity(struct backend *backend, struct question *question)
{
    struct stored_identity *stored = find_identity(backend, question->first);
    if (!stored) {
        backend->identities =
            backend_append(backend->identities, &backend->identity_count, sizeof(*stored));
        stored = &backend->identities[backend->identity_count - 1];
        stored->identity = octets_copy(question->first);
    }
    octets_free(&stored->sealed);
    stored->sealed = octets_copy(question->second);
}

/* --- sessions --- */

struct stored_session *backend_find(struct backend *backend, const struct cid *cid)
{
    for (size_t i = 0; i < backend->session_count; i++) {
        struct stored_session *session = &backend->sessions[i];
        if (!session->is_gone && cid_equal(&session->cid, cid))
            return session;
    }
    return NULL;
}

struct stored_session *backend_find_address(struct backend *backend, const struct address *address)
{
    for (size_t i = 0; i < backend->session_count; i++) {
        struct stored_session *session = &backend->sessions[i];
        if (!session->is_gone && session->has_address && address_equal(&session->address, address))
            return session;
    }
    return NULL;
}

static void lease(struct stored_session *session, struct store_answer *answer)
{
    answer->first = session->sequence_next;
    answer->count = SEQUENCE_LEASE;
    session->sequence_next += SEQUENCE_LEASE;
}

static void create_session(struct backend *backend, struct question *question)
{
    const struct cid *cid = &question->waiter.subject;
    if (backend_find(backend, cid)) {
        question->answer.outcome = STORE_EXISTS;
        return;
    }
    struct stored_session *former =
        question->has_address ? backend_find_address(backend, &question->address) : NULL;
    if (former)
        former->has_address = false;
    backend->sessions =
        backend_append(backend->sessions, &backend->session_count, sizeof(*backend->sessions));
    struct stored_session *session = &backend->sessions[backend->session_count - 1];
    *session = (struct stored_session){
        .cid = *cid,
        .sealed = octets_copy(question->first),
        .mark = octets_copy(question->second),
        .fence = 1,
        .owner = question->asker,
        .sequence_next = SEQUENCE_HANDSHAKE_RESERVED,
        .has_address = question->has_address,
        .address = question->address,
    };
    question->answer.fence = session->fence;
    lease(session, &question->answer);
}

static void give_exchanges(const struct stored_session *session, struct question *question)
{
    for (uint8_t slot = 0; slot < COAP_EXCHANGES_PER_PEER_MAX; slot++) {
        if (session->exchanges[slot].length > 0)
            question->exchanges[question->answer.exchange_count++] = (struct store_exchange){
                .slot = slot, .value = octets_copy(session->exchanges[slot])};
    }
    question->answer.exchanges = question->exchanges;
}

static void give_relations(const struct stored_session *session, struct question *question)
{
    for (uint8_t slot = 0; slot < RELATIONS_PER_SESSION_MAX; slot++) {
        if (session->relations[slot].length > 0)
            question->relations[question->answer.relation_count++] = (struct store_relation){
                .slot = slot, .value = octets_copy(session->relations[slot])};
    }
    question->answer.relations = question->relations;
}

static void claim_session(struct backend *backend, struct question *question)
{
    struct stored_session *session = backend_find(backend, &question->waiter.subject);
    if (!session) {
        question->answer.outcome = STORE_NOT_FOUND;
        return;
    }
    session->owner = question->asker;
    if (backend->broken != RULE_FENCE)
        session->fence++;
    if (backend->broken == RULE_LEASE)
        session->sequence_next -= SEQUENCE_LEASE;
    lease(session, &question->answer);
    question->answer.fence = session->fence;
    question->answer.value = octets_copy(session->sealed);
    question->answer.mark = octets_copy(session->mark);
    if (backend->broken != RULE_EXCHANGE)
        give_exchanges(session, question);
    if (backend->broken != RULE_HEIR)
        give_relations(session, question);
}

static void find_session(struct backend *backend, struct question *question)
{
    const struct stored_session *session = backend_find_address(backend, &question->address);
    if (session)
        question->answer.value =
            octets_copy((struct octets){session->cid.bytes, session->cid.length});
    else
        question->answer.outcome = STORE_NOT_FOUND;
}

/* The session that the asker may write to; NULL, and the outcome. */
static struct stored_session *find_owned(struct backend *backend, struct question *question)
{
    struct stored_session *session = backend_find(backend, &question->waiter.subject);
    if (!session)
        question->answer.outcome = STORE_NOT_FOUND;
    else if (session->fence != question->fence && backend->broken != RULE_STALE)
        question->answer.outcome = STORE_STALE;
    else
        return session;
    return NULL;
}

static void replace(struct octets *kept, struct octets with)
{
    octets_free(kept);
    *kept = octets_copy(with);
}

static void log_event(struct backend *backend, struct octets event)
{
    if (event.length == 0)
        return;
    backend->log = backend_append(backend->log, &backend->log_count, sizeof(*backend->log));
    struct logged *logged = &backend->log[backend->log_count - 1];
    bool is_event = backend_read_event(event, logged);
    assert(is_event);
    logged->payload = octets_copy(logged->payload);
}

/* The same message: it was stored, and its asker has not heard of that. */
static bool is_stored_already(const struct stored_session *session, struct octets value)
{
    for (size_t slot = 0; slot < COAP_EXCHANGES_PER_PEER_MAX; slot++) {
        const struct octets *other = &session->exchanges[slot];
        if (other->length > 4 && value.length > 4 && other->bytes[3] == value.bytes[3] &&
            other->bytes[4] == value.bytes[4])
            return true;
    }
    return false;
}

static void save_exchange(struct backend *backend, struct stored_session *session,
                          const struct question *question)
{
    assert(question->slot < COAP_EXCHANGES_PER_PEER_MAX);
    bool is_known = is_stored_already(session, question->first);
    if (backend->broken != RULE_ATOMIC)
        replace(&session->exchanges[question->slot], question->first);
    if (question->third.length > 0 && backend->broken != RULE_MARK)
        replace(&session->mark, question->third);
    if (!is_known)
        log_event(backend, question->second);
}

static void save_relation(struct backend *backend, struct stored_session *session,
                          const struct question *question)
{
    assert(question->slot < RELATIONS_PER_SESSION_MAX);
    bool is_removal = question->first.length == 0;
    if (backend->broken != RULE_RELATION && !(backend->broken == RULE_REMOVAL && is_removal))
        replace(&session->relations[question->slot], question->first);
    log_event(backend, question->second);
}

static void write_session(struct backend *backend, struct question *question)
{
    struct stored_session *session = find_owned(backend, question);
    if (!session)
        return;
    switch (question->kind) {
    case STORE_LEASE_SEQUENCES:
        lease(session, &question->answer);
        break;
    case STORE_SAVE_MARK:
        if (backend->broken != RULE_MARK)
            replace(&session->mark, question->first);
        break;
    case STORE_SAVE_EXCHANGE:
        save_exchange(backend, session, question);
        break;
    case STORE_SAVE_RELATION:
        save_relation(backend, session, question);
        break;
    default:
        session->is_gone = true;
        break;
    }
}

static bool is_obliged(const struct stored_session *session)
{
    for (size_t slot = 0; slot < RELATIONS_PER_SESSION_MAX; slot++)
        if (session->relations[slot].length > 0)
            return !session->is_gone;
    return false;
}

static void list_obliged(const struct backend *backend, struct question *question)
{
    uint8_t *list = malloc(backend->session_count * (1 + CID_LENGTH_MAX) + 1);
    assert(list);
    struct writer writer = writer_over(list, backend->session_count * (1 + CID_LENGTH_MAX));
    for (size_t i = 0; i < backend->session_count; i++) {
        const struct cid *cid = &backend->sessions[i].cid;
        if (backend->broken == RULE_OBLIGED || !is_obliged(&backend->sessions[i]) ||
            store_obliged_page(cid) != question->page)
            continue;
        writer_u8(&writer, cid->length);
        writer_bytes(&writer, cid->bytes, cid->length);
        question->answer.count++;
    }
    question->answer.value = (struct octets){list, writer_length(&writer)};
}

/* --- leases and members --- */

static void join(struct backend *backend, struct question *question)
{
    const struct store_member_entry *entry = NULL;
    question->answer.outcome = store_members_join(&backend->members, &question->member,
                                                  backend->now_ms, MEMBER_TTL_MS, &entry);
    if (question->answer.outcome != STORE_OK)
        return;
    question->members = malloc(sizeof(*question->members));
    assert(question->members);
    *question->members = entry->member;
    question->answer.member_count = 1;
    question->answer.members = question->members;
}

static void list_members(struct backend *backend, struct question *question)
{
    question->members = calloc(WORKERS_MAX, sizeof(*question->members));
    assert(question->members);
    question->answer.member_count =
        store_members_list(&backend->members, backend->now_ms, question->members);
    question->answer.members = question->members;
}

void backend_carry_out(struct backend *backend, struct question *question)
{
    const struct store_member_entry *entry = NULL;
    question->answer.outcome = STORE_OK;
    switch (question->kind) {
    case STORE_FETCH_IDENTITY:
        fetch_identity(backend, question);
        break;
    case STORE_PUT_IDENTITY:
        put_identity(backend, question);
        break;
    case STORE_CREATE_SESSION:
        create_session(backend, question);
        break;
    case STORE_CLAIM_SESSION:
        claim_session(backend, question);
        break;
    case STORE_FIND_SESSION:
        find_session(backend, question);
        break;
    case STORE_LEASE_SEQUENCES:
    case STORE_SAVE_MARK:
    case STORE_SAVE_EXCHANGE:
    case STORE_SAVE_RELATION:
    case STORE_REMOVE_SESSION:
        write_session(backend, question);
        break;
    case STORE_LEASE_NONCES:
        question->answer.first = backend->nonce_next[question->cid_config];
        question->answer.count = NONCE_LEASE;
        backend->nonce_next[question->cid_config] += NONCE_LEASE;
        break;
    case STORE_JOIN:
        join(backend, question);
        break;
    case STORE_BEAT:
        question->answer.outcome = store_members_beat(&backend->members, &question->member,
                                                      backend->now_ms, MEMBER_TTL_MS, &entry);
        break;
    case STORE_LEAVE:
        question->answer.outcome =
            store_members_leave(&backend->members, &question->member, backend->now_ms);
        break;
    case STORE_LIST_MEMBERS:
        list_members(backend, question);
        break;
    case STORE_LIST_OBLIGED:
        list_obliged(backend, question);
        break;
    case STORE_PUT_TOPIC:
    case STORE_GET_TOPIC:
    case STORE_REMOVE_TOPIC:
    case STORE_LIST_TOPICS:
    case STORE_LIST_CHANGES:
        backend_carry_out_topic(backend, question);
        break;
    }
}

/* --- events: CBOR (RFC 8949) of the few kinds that worker/event.h names --- */

enum { MAJOR_NUMBER, MAJOR_NEGATIVE, MAJOR_OCTETS, MAJOR_TEXT, MAJOR_ARRAY, MAJOR_MAP };

/* An item's major type, and its number or its octets. */
static unsigned read_item(struct cursor *cursor, uint64_t *number, struct octets *octets)
{
    uint8_t first = cursor_u8(cursor);
    unsigned major = first >> 5, least = first & 0x1f;
    *number = least < 24 ? least : cursor_number(cursor, (size_t)1 << (least & 3));
    *octets = (struct octets){0};
    if (major == MAJOR_OCTETS || major == MAJOR_TEXT)
        *octets = (struct octets){cursor_bytes(cursor, (size_t)*number), (size_t)*number};
    return major;
}

static bool is_named(struct octets key, const char *name)
{
    return key.length == strlen(name) && memcmp(key.bytes, name, key.length) == 0;
}

bool backend_read_event(struct octets event, struct logged *logged)
{
    struct cursor cursor = cursor_over(event.bytes, event.length);
    struct octets key, value;
    uint64_t number, pairs;
    *logged = (struct logged){0};
    if (read_item(&cursor, &pairs, &value) != MAJOR_MAP)
        return false;
    for (uint64_t i = 0; i < pairs && cursor_ok(&cursor); i++) {
        bool is_text = read_item(&cursor, &number, &key) == MAJOR_TEXT;
        (void)read_item(&cursor, &number, &value);
        if (!is_text || !cursor_ok(&cursor))
            return false;
        if (is_named(key, "message_id"))
            logged->message_id = (uint16_t)number;
        else if (is_named(key, "payload"))
            logged->payload = value;
        else if (is_named(key, "cid") && value.length <= CID_LENGTH_MAX) {
            memcpy(logged->cid.bytes, value.bytes, value.length);
            logged->cid.length = (uint8_t)value.length;
        }
    }
    return cursor_ok(&cursor) && cursor_left(&cursor) == 0;
}
