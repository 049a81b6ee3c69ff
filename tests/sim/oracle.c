#include "tests/sim/oracle.h"

#include "shared/record.h"
#include "tests/sim/sim.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

/* A turn is due when the interval has passed, and begins within the same millisecond. */
#define TURN_MS 2

static void *append(void *array, size_t *count, size_t size)
{
    uint8_t *grown = realloc(array, (*count + 1) * size);
    assert(grown);
    memset(grown + *count * size, 0, size);
    (*count)++;
    return grown;
}

void oracle_init(struct oracle *oracle)
{
    *oracle = (struct oracle){0};
    enum status status = protector_init(&oracle->protector);
    assert(status == STATUS_OK);
}

void oracle_free(struct oracle *oracle)
{
    for (size_t i = 0; i < oracle->keyed_count; i++)
        free(oracle->keyed[i].sealed);
    for (size_t i = 0; i < oracle->history_count; i++) {
        free(oracle->histories[i].claimed);
        free(oracle->histories[i].accepted);
    }
    free(oracle->keyed);
    free(oracle->holdings);
    free(oracle->histories);
    free(oracle->changes);
    free(oracle->wishes);
    free(oracle->ended);
    free(oracle->told);
    protector_free(&oracle->protector);
}

static bool covers(const struct replay *window, uint64_t sequence)
{
    if (window->seen == 0 || sequence > window->newest)
        return false;
    uint64_t age = window->newest - sequence;
    return age >= REPLAY_WINDOW_BITS || (window->seen >> age & 1);
}

/* --- who owns a session, and what the store knows of it --- */

static struct history *history_of(struct oracle *oracle, const struct cid *cid)
{
    for (size_t i = oracle->history_count; i-- > 0;) {
        if (cid_equal(&oracle->histories[i].cid, cid))
            return &oracle->histories[i];
    }
    oracle->histories =
        append(oracle->histories, &oracle->history_count, sizeof(*oracle->histories));
    struct history *history = &oracle->histories[oracle->history_count - 1];
    history->cid = *cid;
    return history;
}

/* The window in a mark: format 1 octet, flags 1, newest 8, seen 8 (worker/session_record.c). */
static struct replay window_of(struct octets mark)
{
    struct cursor cursor = cursor_over(mark.bytes, mark.length);
    (void)cursor_u16(&cursor);
    struct replay window = {.newest = cursor_u64(&cursor)};
    window.seen = cursor_u64(&cursor);
    assert(cursor_ok(&cursor));
    return window;
}

static void note_owner(struct sim *sim, const struct question *question)
{
    struct history *history = history_of(&sim->oracle, &question->waiter.subject);
    history->fence = question->answer.fence;
    history->owner = question->asker;
    if (question->kind == STORE_CREATE_SESSION) {
        history->stored = window_of(question->second);
        return;
    }
    sim->result.claims++;
    history->claimed = append(history->claimed, &history->claimed_count, sizeof(*history->claimed));
    history->claimed[history->claimed_count - 1] =
        (struct claimed){history->fence, history->stored};
}

/* The last entry of the log is new. */
static void check_log(struct sim *sim)
{
    struct backend *backend = &sim->backend;
    const struct logged *last = &backend->log[backend->log_count - 1];
    for (size_t i = 0; i + 1 < backend->log_count; i++) {
        const struct logged *other = &backend->log[i];
        bool is_same = other->message_id == last->message_id && cid_equal(&other->cid, &last->cid);
        if (is_same)
            sim_violated(sim, INVARIANT_COMMIT, "message %u of %s is in the log twice",
                         last->message_id, sim_name(&last->cid));
    }
}

static void check_write(struct sim *sim, const struct question *question)
{
    struct history *history = history_of(&sim->oracle, &question->waiter.subject);
    if (question->fence != history->fence || question->asker != history->owner)
        sim_violated(sim, INVARIANT_OWNER,
                     "%s of %s by life %llu with fence %llu: it is life %llu's, fence %llu",
                     question_name(question), sim_name(&question->waiter.subject),
                     (unsigned long long)question->asker, (unsigned long long)question->fence,
                     (unsigned long long)history->owner, (unsigned long long)history->fence);
    if (question->kind == STORE_SAVE_MARK)
        history->stored = window_of(question->first);
    if (question->kind != STORE_SAVE_EXCHANGE)
        return;
    if (question->third.length == 0)
        sim_violated(sim, INVARIANT_MARK, "a change of %s is stored without its window",
                     sim_name(&question->waiter.subject));
    else
        history->stored = window_of(question->third);
    if (question->second.length > 0)
        check_log(sim);
}

void oracle_carried_out(struct sim *sim, const struct question *question)
{
    if (question->answer.outcome != STORE_OK)
        return;
    switch (question->kind) {
    case STORE_CREATE_SESSION:
    case STORE_CLAIM_SESSION:
        note_owner(sim, question);
        break;
    case STORE_LEASE_SEQUENCES:
    case STORE_SAVE_MARK:
    case STORE_SAVE_EXCHANGE:
    case STORE_SAVE_RELATION:
    case STORE_REMOVE_SESSION:
        check_write(sim, question);
        break;
    case STORE_PUT_TOPIC:
        oracle_published(sim, question);
        break;
    default:
        break;
    }
}

/* --- windows --- */

static struct holding *find_holding(struct oracle *oracle, uint64_t life, uint64_t session_id)
{
    for (size_t i = 0; i < oracle->holding_count; i++) {
        struct holding *holding = &oracle->holdings[i];
        if (holding->life == life && holding->session_id == session_id)
            return holding;
    }
    return NULL;
}

static struct holding *add_holding(struct oracle *oracle, uint64_t life,
                                   const struct session *session)
{
    oracle->holdings = append(oracle->holdings, &oracle->holding_count, sizeof(*oracle->holdings));
    struct holding *holding = &oracle->holdings[oracle->holding_count - 1];
    *holding = (struct holding){
        .life = life,
        .session_id = session->id,
        .cid = session->own_cid,
        .unsaved_since_ms = UINT64_MAX,
        .changed_since_ms = UINT64_MAX,
    };
    return holding;
}

/* A record is accepted under this fence. */
static void note_accepted(struct sim *sim, const struct session *session, uint64_t sequence)
{
    struct history *history = history_of(&sim->oracle, &session->own_cid);
    bool is_repeated = false;
    for (size_t i = history->accepted_count; i-- > 0;) {
        const struct accepted *accepted = &history->accepted[i];
        if (accepted->sequence != sequence)
            continue;
        is_repeated = true;
        if (accepted->fence == session->fence)
            sim_violated(sim, INVARIANT_REPLAY, "record %llu of %s counts twice under one fence",
                         (unsigned long long)sequence, sim_name(&session->own_cid));
    }
    for (size_t i = 0; is_repeated && i < history->claimed_count; i++) {
        const struct claimed *claimed = &history->claimed[i];
        if (claimed->fence == session->fence && covers(&claimed->stored, sequence))
            sim_violated(sim, INVARIANT_REPLAY,
                         "record %llu of %s counts again, though the store knew of it",
                         (unsigned long long)sequence, sim_name(&session->own_cid));
    }
    sim->result.twice += is_repeated;
    history->accepted =
        append(history->accepted, &history->accepted_count, sizeof(*history->accepted));
    history->accepted[history->accepted_count - 1] = (struct accepted){sequence, session->fence};
}

static void check_in_time(struct sim *sim, const struct node *node, const struct holding *holding,
                          uint64_t since_ms, uint64_t limit_ms)
{
    if (since_ms == UINT64_MAX)
        return;
    if (since_ms < node->resumed_ms)
        since_ms = node->resumed_ms;
    if (sim->now_ms > since_ms + limit_ms + TURN_MS)
        sim_violated(sim, INVARIANT_MARK, "worker %zu has not saved the window of %s for %llu ms",
                     node->index, sim_name(&holding->cid),
                     (unsigned long long)(sim->now_ms - since_ms));
}

static void look_at(struct sim *sim, const struct node *node, const struct session *session)
{
    struct holding *holding = find_holding(&sim->oracle, node->life, session->id);
    bool is_new = !holding; /* from a handshake: what it has accepted went into the first mark */
    if (is_new)
        holding = add_holding(&sim->oracle, node->life, session);
    holding->is_first_change = false;
    for (uint64_t age = 0; age < REPLAY_WINDOW_BITS && age <= session->replay.newest; age++) {
        uint64_t sequence = session->replay.newest - age;
        if (!(session->replay.seen >> age & 1) || covers(&holding->seen, sequence))
            continue;
        note_accepted(sim, session, sequence);
        if (is_new)
            continue;
        if (holding->unsaved_since_ms == UINT64_MAX)
            holding->unsaved_since_ms = sim->now_ms;
        if (holding->changed_since_ms == UINT64_MAX) {
            holding->changed_since_ms = sim->now_ms;
            holding->is_first_change = true;
        }
    }
    holding->seen = session->replay;
    check_in_time(sim, node, holding, holding->changed_since_ms, MARK_INTERVAL_MS);
    /* One that was to be saved later goes with its next change. */
    check_in_time(sim, node, holding, holding->unsaved_since_ms,
                  SIM_MARK_LATER_MS + MARK_INTERVAL_MS);
}

/* A GET, or a ping: the store need not know soon. */
void oracle_heard(struct sim *sim, const struct node *node, const struct session *session,
                  const uint8_t *message, size_t length)
{
    struct holding *holding = find_holding(&sim->oracle, node->life, session->id);
    bool is_get = length > 1 && message[1] == 0x01;
    bool is_ping = length == 4 && message[0] == 0x40 && message[1] == 0x00;
    if (holding && holding->is_first_change && (is_get || is_ping))
        holding->changed_since_ms = UINT64_MAX;
}

void oracle_look(struct sim *sim, const struct node *node)
{
    if (!node->dtls)
        return;
    for (const struct session *session = node->dtls->sessions.oldest; session;
         session = session->newer)
        look_at(sim, node, session);
}

void oracle_adopted(struct sim *sim, const struct node *node, const struct session *session)
{
    add_holding(&sim->oracle, node->life, session)->seen = session->replay;
}

static void remove_holding(struct oracle *oracle, struct holding *holding)
{
    *holding = oracle->holdings[--oracle->holding_count];
}

void oracle_left(struct sim *sim, const struct node *node, const struct session *session)
{
    struct holding *holding = find_holding(&sim->oracle, node->life, session->id);
    if (holding)
        remove_holding(&sim->oracle, holding);
}

void oracle_ended(struct sim *sim, uint64_t life)
{
    struct oracle *oracle = &sim->oracle;
    for (size_t i = oracle->holding_count; i-- > 0;) {
        if (oracle->holdings[i].life == life)
            remove_holding(oracle, &oracle->holdings[i]);
    }
}

void oracle_mark_asked(struct sim *sim, uint64_t life, const struct cid *cid)
{
    for (size_t i = 0; i < sim->oracle.holding_count; i++) {
        struct holding *holding = &sim->oracle.holdings[i];
        if (holding->life == life && cid_equal(&holding->cid, cid))
            holding->unsaved_since_ms = holding->changed_since_ms = UINT64_MAX;
    }
}

/* --- what is sealed --- */

void oracle_learn_keys(struct sim *sim, struct device *device)
{
    static const struct record_keys none;
    struct oracle *oracle = &sim->oracle;
    if (device->is_keyed || !device->is_open)
        return;
    const struct suite *suite = device->peer.options.suite;
    struct record_keys keys = {0};
    memcpy(keys.key, wolfSSL_GetServerWriteKey(device->peer.ssl), suite->key_length);
    memcpy(keys.iv, wolfSSL_GetServerWriteIV(device->peer.ssl), suite->iv_length);
    if (memcmp(&keys, &none, sizeof(keys)) == 0)
        return; /* not yet */
    device->is_keyed = true;
    oracle->keyed = append(oracle->keyed, &oracle->keyed_count, sizeof(*oracle->keyed));
    struct keyed *keyed = &oracle->keyed[oracle->keyed_count - 1];
    *keyed = (struct keyed){
        .device = device->index,
        .suite = suite,
        .keys = keys,
        .peer_cid_length = device->peer.options.cid ? device->peer.options.cid_length : 0,
    };
}

static bool opens(struct oracle *oracle, const struct keyed *keyed, const struct record *record)
{
    uint8_t copy[DATAGRAM_SIZE_MAX];
    uint8_t *content;
    size_t length;
    uint8_t type;
    struct cursor cursor = cursor_over(copy, record->header_length + record->payload_length);
    struct record copied;
    memcpy(copy, record->start, record->header_length + record->payload_length);
    return record_next(&cursor, keyed->peer_cid_length, &copied) == STATUS_OK &&
           protect_open(&oracle->protector, keyed->suite, &keyed->keys, &copied, &content, &length,
                        &type) == STATUS_OK;
}

static void note_sealed(struct sim *sim, const struct node *node, struct keyed *keyed,
                        const struct record *record)
{
    struct sealed sealed = {.sequence = record->sequence, .nonce = record->sequence};
    if (keyed->suite->explicit_length > 0) {
        struct cursor cursor = cursor_over(record->payload, record->payload_length);
        sealed.nonce = cursor_number(&cursor, keyed->suite->explicit_length);
    }
    for (size_t i = 0; i < keyed->sealed_count; i++) {
        if (keyed->sealed[i].sequence == sealed.sequence || keyed->sealed[i].nonce == sealed.nonce)
            sim_violated(sim, INVARIANT_NONCE,
                         "worker %zu sealed number %llu for device %zu a second time", node->index,
                         (unsigned long long)sealed.sequence, keyed->device);
    }
    if (keyed->sealed_count == keyed->sealed_size) {
        keyed->sealed_size = keyed->sealed_size ? 2 * keyed->sealed_size : 64;
        keyed->sealed = realloc(keyed->sealed, keyed->sealed_size * sizeof(*keyed->sealed));
        assert(keyed->sealed);
    }
    keyed->sealed[keyed->sealed_count++] = sealed;
}

/* The keys that it is sealed under; those of the device at this address are tried first. */
static struct keyed *find_keys(struct sim *sim, const struct address *to, const uint8_t *start,
                               size_t length, struct record *record)
{
    struct oracle *oracle = &sim->oracle;
    for (int pass = 0; pass < 2; pass++) {
        for (size_t i = oracle->keyed_count; i-- > 0;) {
            struct keyed *keyed = &oracle->keyed[i];
            bool is_there = address_equal(&sim->devices[keyed->device].peer.address, to);
            struct cursor cursor = cursor_over(start, length);
            if (is_there == (pass == 0) &&
                record_next(&cursor, keyed->peer_cid_length, record) == STATUS_OK &&
                opens(oracle, keyed, record))
                return keyed;
        }
    }
    return NULL;
}

void oracle_sealed(struct sim *sim, const struct node *node, const struct address *to,
                   const uint8_t *datagram, size_t length)
{
    struct cursor cursor = cursor_over(datagram, length);
    for (size_t i = 0; i < sim->device_count; i++)
        oracle_learn_keys(sim, &sim->devices[i]);
    while (cursor_left(&cursor) > 0) {
        const uint8_t *start = cursor.at;
        size_t left = cursor_left(&cursor);
        struct record record;
        if (left >= 5 && start[3] == 0 && start[4] == 0) { /* epoch 0 */
            enum status status = record_next(&cursor, 0, &record);
            assert(status == STATUS_OK);
            continue;
        }
        struct keyed *keyed = find_keys(sim, to, start, left, &record);
        if (!keyed) {
            sim_violated(sim, INVARIANT_NONCE, "worker %zu sealed a record that no device opens",
                         node->index);
            return;
        }
        note_sealed(sim, node, keyed, &record);
        (void)cursor_bytes(&cursor, record.header_length + record.payload_length);
    }
}

/* --- what devices saw --- */

static size_t count_logged(const struct sim *sim, const char *payload)
{
    size_t count = 0;
    for (size_t i = 0; i < sim->backend.log_count; i++) {
        const struct octets *logged = &sim->backend.log[i].payload;
        count += logged->length == strlen(payload) &&
                 memcmp(logged->bytes, payload, logged->length) == 0;
    }
    return count;
}

void oracle_acknowledged(struct sim *sim, uint16_t message_id, const char *payload)
{
    if (count_logged(sim, payload) == 0)
        sim_violated(sim, INVARIANT_COMMIT, "message %u, \"%s\", is acknowledged and not stored",
                     message_id, payload);
}

static const struct stored_session *stored_of(struct sim *sim, const struct device *device)
{
    struct cid cid = peer_server_cid(&device->peer);
    return device->has_cid ? backend_find(&sim->backend, &cid)
                           : backend_find_address(&sim->backend, &device->peer.address);
}

uint64_t oracle_fence(struct sim *sim, const struct device *device)
{
    const struct stored_session *stored = stored_of(sim, device);
    return stored ? stored->fence : 0;
}

void oracle_connected(struct sim *sim, struct device *device)
{
    if (oracle_fence(sim, device) == 0)
        sim_violated(sim, INVARIANT_SESSION,
                     "device %zu has a session that the store does not have", device->index);
}

/* --- who hears nothing --- */

/* Of one without CID any of its address: a handshake that it has given up may end later, and have
 * the address from then on. */
static bool is_of(struct sim *sim, const struct device *device,
                  const struct stored_session *session)
{
    if (device->has_cid)
        return stored_of(sim, device) == session;
    return address_equal(&session->address, &device->peer.address);
}

static bool is_listened_to(struct sim *sim, const struct stored_session *session)
{
    for (size_t i = 0; i < sim->device_count; i++) {
        const struct device *device = &sim->devices[i];
        if (device->is_open && device->peer.connected && !device_is_deaf(device) &&
            is_of(sim, device, session))
            return true;
    }
    return false;
}

static bool is_told(struct sim *sim, const struct stored_session *stored)
{
    for (size_t slot = 0; slot < RELATIONS_PER_SESSION_MAX; slot++) {
        if (stored->relations[slot].length > 0)
            return true;
    }
    for (size_t i = 0; i < SIM_NODES; i++) {
        struct dtls *dtls = sim->nodes[i].dtls;
        const struct session *held =
            dtls ? session_by_cid(&dtls->sessions, stored->cid.bytes, stored->cid.length) : NULL;
        if (held &&
            coap_has_observer(sim->nodes[i].coap, &(struct coap_peer){.session_id = held->id}))
            return true;
    }
    return false;
}

const struct stored_session *oracle_find_told(struct sim *sim)
{
    for (size_t i = 0; i < sim->backend.session_count; i++) {
        const struct stored_session *stored = &sim->backend.sessions[i];
        if (!stored->is_gone && is_told(sim, stored) && !is_listened_to(sim, stored))
            return stored;
    }
    return NULL;
}

/* --- the end --- */

void oracle_end(struct sim *sim)
{
    for (size_t i = 0; i < sim->device_count; i++) {
        const struct device *device = &sim->devices[i];
        if (device->calm_answers == 0 && !device_is_deaf(device))
            sim_violated(sim, INVARIANT_SESSION, "device %zu (%s, %s) had no answer for %llu ms", i,
                         device->has_cid ? "CID" : "no CID",
                         device->was_connected ? "connected" : "handshake",
                         (unsigned long long)(sim->now_ms - SIM_CALM_MS));
    }
    oracle_end_topics(sim);
    const struct stored_session *told = sim->has_deaf ? oracle_find_told(sim) : NULL;
    if (told)
        sim_violated(sim, INVARIANT_DEAF, "%s is told of something, and nobody is there",
                     sim_name(&told->cid));
}
