#include "worker/dtls.h"

#include "shared/record.h"
#include "worker/alert.h"
#include "worker/metrics.h"

#include <string.h>

/* A record of ours beside its datagram: what the peer of an unproven address is charged with. */
#define PROBE_SIZE_MAX 64

static void count(struct dtls *dtls, enum worker_metric metric)
{
    metrics_add(dtls->options.metrics, 0, metric, 1);
}

static void end_session(struct dtls *dtls, struct session *session)
{
    struct handshake *handshake =
        handshake_by_cid(&dtls->handshakes, session->own_cid.bytes, session->own_cid.length);
    handshake_release(&dtls->handshakes, handshake);
    store_remove_session(dtls->options.store, &session->own_cid);
    dtls->options.ended(dtls->options.owner, session);
    session_remove(&dtls->sessions, session);
    metrics_set(dtls->options.metrics, 0, WORKER_SESSIONS, dtls->sessions.by_cid.count);
}

/* --- sending --- */

static void sequences_leased(void *owner, const struct store_answer *answer)
{
    struct dtls *dtls = owner;
    struct session *session =
        session_by_cid(&dtls->sessions, answer->subject.bytes, answer->subject.length);
    if (!session)
        return;
    session->lease = SESSION_LEASE_HELD;
    if (answer->outcome != STORE_OK)
        return; /* asked again with the next record */
    if (answer->first == session->send_next + session->lease_left) {
        session->lease_left += (uint32_t)answer->count;
    } else {
        session->send_next = answer->first;
        session->lease_left = (uint32_t)answer->count;
    }
}

static void lease_when_low(struct dtls *dtls, struct session *session)
{
    if (session->lease != SESSION_LEASE_HELD || session->lease_left > SEQUENCE_LEASE / 4)
        return;
    const struct store_waiter waiter = {sequences_leased, dtls, session->own_cid};
    if (store_lease_sequences(dtls->options.store, &waiter) == STATUS_OK)
        session->lease = SESSION_LEASE_ASKED;
}

/* DESIGN.md section 7, invariant 1: a number is taken from the lease before it seals, and is never
 * given back. False: nothing was sealed. */
static bool seal(struct dtls *dtls, struct session *session, uint8_t type, const uint8_t *content,
                 size_t length, size_t *record_length)
{
    lease_when_low(dtls, session);
    if (session->lease_left == 0) {
        count(dtls, WORKER_DROPPED_NO_LEASE);
        return false;
    }
    const struct record_header header = {
        .type = type,
        .epoch = SESSION_EPOCH,
        .sequence = session->send_next++,
        .nonce_prefix = session->nonce_prefix,
        .cid = session->peer_cid.bytes,
        .cid_length = session->uses_cid ? session->peer_cid.length : 0,
    };
    session->lease_left--;
    struct writer writer = writer_over(dtls->record, sizeof(dtls->record));
    if (protect_seal(&dtls->protector, session_suite(session), &session->write, &header, content,
                     length, &writer) != STATUS_OK)
        return false;
    *record_length = writer_length(&writer);
    return true;
}

static void transmit(struct dtls *dtls, struct session *session, uint8_t type,
                     const uint8_t *content, size_t length)
{
    size_t record_length;
    if (!seal(dtls, session, type, content, length, &record_length))
        return;
    count(dtls, WORKER_RECORDS_SENT);
    dtls->options.send(dtls->options.owner, &session->path, dtls->record, record_length);
}

/* Takes the octets from what an unproven address may still be sent. */
static bool charge_path(struct session *session, size_t content_length)
{
    size_t octets =
        content_length +
        protect_overhead(session_suite(session), session->uses_cid ? session->peer_cid.length : 0);
    if (session->path_proven)
        return true;
    if (octets > session->path_credit)
        return false;
    session->path_credit -= (uint32_t)octets;
    return true;
}

static void send_alert(struct dtls *dtls, struct session *session, enum alert_level level,
                       enum alert_description description)
{
    const uint8_t alert[ALERT_SIZE] = {(uint8_t)level, (uint8_t)description};
    if (charge_path(session, sizeof(alert)))
        transmit(dtls, session, RECORD_TYPE_ALERT, alert, sizeof(alert));
}

/* RFC 9146 section 6 leaves the check of the new address to the application: an answer to a message
 * of ours from there shows that it is not somebody else's. Probes get lost like anything else, so
 * each reply that has to wait sends one, as far as the credit goes. */
static void probe_path(struct dtls *dtls, struct session *session)
{
    uint8_t probe[PROBE_SIZE_MAX];
    size_t length = dtls->options.probe(dtls->options.owner, session, probe, sizeof(probe));
    if (length == 0 || !charge_path(session, length)) {
        count(dtls, WORKER_DROPPED_NO_CREDIT);
        return;
    }
    session->ping_sent = true;
    transmit(dtls, session, RECORD_TYPE_APPLICATION_DATA, probe, length);
}

void dtls_send(struct dtls *dtls, struct session *session, const uint8_t *data, size_t length)
{
    if (charge_path(session, length)) {
        transmit(dtls, session, RECORD_TYPE_APPLICATION_DATA, data, length);
        return;
    }
    count(dtls, WORKER_PATHS_HELD);
    path_hold(&dtls->holds, session->id, dtls->now_ms, data, length);
    probe_path(dtls, session);
}

void dtls_path_answered(struct dtls *dtls, struct session *session)
{
    if (!session->ping_sent)
        return;
    session->ping_sent = false;
    session->path_proven = true;
    const struct path_held *held;
    while ((held = path_hold_take(&dtls->holds, session->id, dtls->now_ms)))
        transmit(dtls, session, RECORD_TYPE_APPLICATION_DATA, held->data, held->length);
}

/* --- the peer's address --- */

/* The address is this session's unless a peer without CID lives there, which can be found by its
 * address only. One that has a CID gives way: RFC 9146 section 6. */
static void claim_address(struct dtls *dtls, struct session *session)
{
    struct session *other = session_by_address(&dtls->sessions, &session->path.address);
    if (other && !other->uses_cid)
        return;
    if (other)
        session_leave_address(&dtls->sessions, other);
    (void)!session_claim_address(&dtls->sessions, session);
}

/* RFC 9146 section 6: "the peer address is only replaced [...] if the received datagram has been
 * verified and is newer in terms of both epoch and sequence number than the newest received". */
static void follow_peer(struct dtls *dtls, struct session *session, const struct path *path)
{
    if (address_equal(&session->path.address, &path->address)) {
        session->path = *path; /* perhaps through another lb */
        return;
    }
    if (!session->uses_cid)
        return; /* cannot be: it was found by its address */
    session_leave_address(&dtls->sessions, session);
    session->previous_address = session->path.address;
    session->path = *path;
    session->address_changes++;
    session->path_proven = false;
    session->ping_sent = false;
    session->path_credit = 0;
    claim_address(dtls, session);
    count(dtls, WORKER_ADDRESS_CHANGES);
}

static void credit_path(struct session *session, const struct path *path, size_t octets)
{
    if (session->path_proven || !address_equal(&session->path.address, &path->address))
        return;
    uint64_t credit = session->path_credit + AMPLIFICATION_FACTOR * (uint64_t)octets;
    session->path_credit = credit > UINT32_MAX ? UINT32_MAX : (uint32_t)credit;
}

/* --- receiving: records of sessions --- */

static void receive_alert(struct dtls *dtls, struct session *session, const uint8_t *content,
                          size_t length)
{
    switch (alert_read(content, length)) {
    case ALERT_CLOSES:
        /* RFC 5246 section 7.2.1: "The other party MUST respond with a close_notify alert". */
        send_alert(dtls, session, ALERT_WARNING, ALERT_CLOSE_NOTIFY);
        end_session(dtls, session);
        break;
    case ALERT_ENDS:
        end_session(dtls, session);
        break;
    case ALERT_IGNORED:
        break;
    case ALERT_NONSENSE:
        count(dtls, WORKER_DROPPED_MALFORMED);
        break;
    }
}

/* Authentic handshake content: the repeated Finished of a client that lost our last flight, or an
 * attempt to renegotiate. */
static void receive_handshake(struct dtls *dtls, struct session *session, const uint8_t *content,
                              size_t length)
{
    struct handshake *retained =
        handshake_by_cid(&dtls->handshakes, session->own_cid.bytes, session->own_cid.length);
    if (retained && hello_is_finished(content, length)) {
        handshake_finished_again(&dtls->handshakes, retained, dtls->now_ms);
        return;
    }
    count(dtls, WORKER_DROPPED_RENEGOTIATION);
    send_alert(dtls, session, ALERT_WARNING, ALERT_NO_RENEGOTIATION);
}

static void receive_content(struct dtls *dtls, struct session *session, uint8_t type,
                            const uint8_t *content, size_t length)
{
    switch (type) {
    case RECORD_TYPE_APPLICATION_DATA:
        if (!session->heard) {
            session->heard = true;
            handshake_release(&dtls->handshakes,
                              handshake_by_cid(&dtls->handshakes, session->own_cid.bytes,
                                               session->own_cid.length));
        }
        dtls->options.receive(dtls->options.owner, session, dtls->now_ms, content, length);
        break;
    case RECORD_TYPE_ALERT:
        receive_alert(dtls, session, content, length);
        break;
    case RECORD_TYPE_HANDSHAKE:
        receive_handshake(dtls, session, content, length);
        break;
    default:
        count(dtls, WORKER_DROPPED_CONTENT_TYPE);
        break;
    }
}

static bool is_fresh(struct dtls *dtls, enum replay_outcome outcome)
{
    switch (outcome) {
    case REPLAY_NEWEST:
    case REPLAY_FRESH:
        return true;
    case REPLAY_SEEN:
        count(dtls, WORKER_DROPPED_REPLAYED);
        return false;
    case REPLAY_ANCIENT:
        count(dtls, WORKER_DROPPED_ANCIENT);
        return false;
    }
    return false;
}

static void receive_record(struct dtls *dtls, struct session *session, const struct path *path,
                           const struct record *record)
{
    size_t record_length = record->header_length + record->payload_length;
    if (record->version != RECORD_VERSION_DTLS12) {
        count(dtls, WORKER_DROPPED_VERSION);
        return;
    }
    if (record->epoch != SESSION_EPOCH) {
        count(dtls, WORKER_DROPPED_EPOCH);
        return;
    }
    enum replay_outcome freshness = replay_check(&session->replay, record->sequence);
    if (!is_fresh(dtls, freshness))
        return;

    uint8_t *content;
    size_t length;
    uint8_t type;
    enum status status = protect_open(&dtls->protector, session_suite(session), &session->read,
                                      record, &content, &length, &type);
    if (status == STATUS_MALFORMED || status == STATUS_BAD_TAG) {
        count(dtls, status == STATUS_MALFORMED ? WORKER_DROPPED_MALFORMED : WORKER_DROPPED_BAD_TAG);
        return;
    }
    replay_accept(&session->replay, record->sequence);
    session_touch(&dtls->sessions, session, (uint32_t)(dtls->now_ms / 1000));
    if (freshness == REPLAY_NEWEST)
        follow_peer(dtls, session, path);
    credit_path(session, path, record_length);
    if (status != STATUS_OK) {
        /* RFC 9146 section 4 and RFC 8446 section 5.4: no non-zero octet in the plaintext: "MUST
         * terminate the connection with an "unexpected_message" alert". */
        count(dtls, WORKER_DROPPED_CONTENT_TYPE);
        send_alert(dtls, session, ALERT_FATAL, ALERT_UNEXPECTED_MESSAGE);
        end_session(dtls, session);
        return;
    }
    count(dtls, WORKER_RECORDS_RECEIVED);
    receive_content(dtls, session, type, content, length);
}

/* --- receiving: whose record is it? --- */

enum owner { OWNER_SESSION, OWNER_HANDSHAKE, OWNER_GREETER, OWNER_NOBODY };

struct ownership {
    enum owner owner;
    struct session *session;
    struct handshake *handshake;
    enum worker_metric reason; /* OWNER_NOBODY */
};

static struct ownership nobody(enum worker_metric reason)
{
    return (struct ownership){.owner = OWNER_NOBODY, .reason = reason};
}

static struct ownership owner_by_cid(struct dtls *dtls, const struct record *record)
{
    struct session *session = session_by_cid(&dtls->sessions, record->cid, record->cid_length);
    if (session && session->uses_cid)
        return (struct ownership){.owner = OWNER_SESSION, .session = session};
    struct handshake *handshake =
        handshake_by_cid(&dtls->handshakes, record->cid, record->cid_length);
    if (handshake && handshake->state != HANDSHAKE_RETAINED)
        return (struct ownership){.owner = OWNER_HANDSHAKE, .handshake = handshake};

    const struct cid_config *config = &dtls->cids.config;
    if (record->cid[0] >> 5 != config->id)
        return nobody(WORKER_DROPPED_CID_CONFIG);
    size_t length = 1u + config->worker_id_length + config->nonce_length;
    return nobody(record->cid_length == length ? WORKER_DROPPED_NO_SESSION
                                               : WORKER_DROPPED_CID_LENGTH);
}

/* Without a CID a record belongs to who is known by its address. Both may be: a session, and the
 * handshake that is about to follow it. */
static struct ownership owner_by_address(struct dtls *dtls, const struct path *path,
                                         const struct record *record)
{
    struct handshake *handshake = handshake_by_address(&dtls->handshakes, &path->address);
    if (handshake && handshake->state == HANDSHAKE_RETAINED)
        handshake = NULL;
    if (record->epoch == 0) {
        if (handshake)
            return (struct ownership){.owner = OWNER_HANDSHAKE, .handshake = handshake};
        return nobody(record->type == RECORD_TYPE_APPLICATION_DATA ? WORKER_DROPPED_EPOCH
                                                                   : WORKER_DROPPED_NO_SESSION);
    }
    struct session *session = session_by_address(&dtls->sessions, &path->address);
    if (session && session->uses_cid)
        session = NULL; /* RFC 9146 section 3: once negotiated, each record carries it */
    if (handshake && (!session || record->type == RECORD_TYPE_HANDSHAKE))
        return (struct ownership){.owner = OWNER_HANDSHAKE, .handshake = handshake};
    if (session)
        return (struct ownership){.owner = OWNER_SESSION, .session = session};
    return nobody(WORKER_DROPPED_NO_SESSION);
}

static struct ownership find_owner(struct dtls *dtls, const struct path *path,
                                   const struct record *record)
{
    switch (record->form) {
    case RECORD_CID:
        return owner_by_cid(dtls, record);
    case RECORD_PLAINTEXT:
        if (hello_is(record))
            return (struct ownership){.owner = OWNER_GREETER};
        return owner_by_address(dtls, path, record);
    case RECORD_UNIFIED:
        return nobody(WORKER_DROPPED_VERSION); /* DTLS 1.3 */
    }
    return nobody(WORKER_DROPPED_MALFORMED);
}

void dtls_receive(struct dtls *dtls, uint64_t now_ms, const struct path *path, uint8_t *datagram,
                  size_t length)
{
    dtls->now_ms = now_ms;
    if (length > DATAGRAM_SIZE_MAX) {
        count(dtls, WORKER_DROPPED_OVERSIZED);
        return;
    }
    struct cursor cursor = cursor_over(datagram, length);
    while (cursor_left(&cursor) > 0) {
        struct record record;
        enum status status = record_next(&cursor, RECORD_CID_SELF_DESCRIBED, &record);
        if (status != STATUS_OK) {
            count(dtls,
                  status == STATUS_UNSUPPORTED ? WORKER_DROPPED_VERSION : WORKER_DROPPED_MALFORMED);
            return;
        }
        struct ownership ownership = find_owner(dtls, path, &record);
        size_t rest = (size_t)(datagram + length - record.start);
        switch (ownership.owner) {
        case OWNER_SESSION:
            receive_record(dtls, ownership.session, path, &record);
            break;
        case OWNER_HANDSHAKE:
            /* A flight: what follows in the datagram is this handshake's too. */
            handshake_receive(&dtls->handshakes, ownership.handshake, now_ms, path, record.start,
                              rest);
            return;
        case OWNER_GREETER:
            handshakes_greet(&dtls->handshakes, now_ms, path, &record, record.start, rest);
            return;
        case OWNER_NOBODY:
            count(dtls, ownership.reason);
            break;
        }
    }
}

/* --- beginning and end --- */

/* The device that was at this address before, as far as that can be told: a peer without CID, which
 * has no other name, or the same identity, which has started anew. */
static void replace_predecessor(struct dtls *dtls, const struct handshake *handshake)
{
    struct session *old = session_by_address(&dtls->sessions, &handshake->path.address);
    if (!old)
        return;
    size_t length;
    const uint8_t *identity = session_identity(old, &length);
    bool same = length == handshake->identity.have - 2u &&
                memcmp(identity, handshake->identity.bytes + 2, length) == 0;
    if (same || !old->uses_cid)
        end_session(dtls, old);
}

static enum status establish(void *owner, struct handshake *handshake,
                             const struct store_answer *lease, uint64_t now_ms)
{
    struct dtls *dtls = owner;
    struct session *session;
    replace_predecessor(dtls, handshake);
    enum status status =
        session_add(&dtls->sessions, &handshake->own_cid, handshake->identity.bytes + 2,
                    handshake->identity.have - 2u, (uint32_t)(now_ms / 1000), &session);
    if (status != STATUS_OK)
        return status;
    const struct tls_result *result = &handshake->result;
    session->suite = result->suite;
    session->read = result->read;
    session->write = result->write;
    session->uses_cid = result->uses_cid;
    session->peer_cid = result->peer_cid;
    session->nonce_prefix = result->nonce_prefix;
    session->replay = handshake->replay;
    session->send_next = lease->first;
    session->lease_left = (uint32_t)lease->count;
    session->lease = SESSION_LEASE_HELD;
    session->path = handshake->path;
    session->path_proven = true; /* it returned the cookie */
    uint16_t message_id;
    status = keys_random(&message_id, sizeof(message_id)); /* RFC 7252 section 4.4 */
    session->next_message_id = message_id;
    if (status == STATUS_OK)
        claim_address(dtls, session);
    if (status == STATUS_OK && !session->by_address && !session->uses_cid)
        status = STATUS_EXISTS; /* nobody could ever find it */
    if (status != STATUS_OK)
        session_remove(&dtls->sessions, session);
    metrics_set(dtls->options.metrics, 0, WORKER_SESSIONS, dtls->sessions.by_cid.count);
    return status;
}

enum status dtls_init(struct dtls *dtls, const struct dtls_options *options, uint64_t now_ms)
{
    memset(dtls, 0, sizeof(*dtls));
    dtls->options = *options;
    uint8_t seed[16];
    enum status status = keys_random(seed, sizeof(seed));
    if (status != STATUS_OK)
        return status;
    dtls->hash_key = hash_key_from(seed);
    const struct handshakes_options handshakes = {
        .cluster_key = options->cluster_key,
        .hash_key = dtls->hash_key,
        .handshakes_max = options->handshakes_max,
        .store = options->store,
        .cids = &dtls->cids,
        .metrics = options->metrics,
        .send = options->send,
        .established = establish,
        .send_owner = options->owner,
        .owner = dtls,
    };
    status = protector_init(&dtls->protector);
    if (status == STATUS_OK)
        status = cid_source_init(&dtls->cids, options->store, options->cluster_key,
                                 options->cid_config_id, options->cid_length, options->worker_id);
    if (status == STATUS_OK)
        status = sessions_init(&dtls->sessions, options->sessions_max, &dtls->hash_key);
    if (status == STATUS_OK)
        status = handshakes_init(&dtls->handshakes, &handshakes, now_ms);
    if (status != STATUS_OK)
        dtls_free(dtls);
    return status;
}

void dtls_free(struct dtls *dtls)
{
    handshakes_free(&dtls->handshakes);
    sessions_free(&dtls->sessions);
    cid_source_free(&dtls->cids);
    protector_free(&dtls->protector);
    keys_wipe(&dtls->holds, sizeof(dtls->holds));
}

/* The oldest session is the first to have been silent for SESSION_TTL_S. */
static uint64_t oldest_ends_ms(const struct dtls *dtls)
{
    const struct session *oldest = dtls->sessions.oldest;
    return oldest ? ((uint64_t)oldest->last_used_s + SESSION_TTL_S) * 1000 : UINT64_MAX;
}

uint64_t dtls_next_ms(const struct dtls *dtls)
{
    uint64_t handshakes_ms = handshakes_next_ms(&dtls->handshakes);
    uint64_t sessions_ms = oldest_ends_ms(dtls);
    return handshakes_ms < sessions_ms ? handshakes_ms : sessions_ms;
}

void dtls_run(struct dtls *dtls, uint64_t now_ms)
{
    dtls->now_ms = now_ms;
    dtls->handshakes.now_ms = now_ms;
    while (store_run(dtls->options.store) > 0)
        ; /* an answer may ask the next question */
    handshakes_expire(&dtls->handshakes, now_ms);
    while (oldest_ends_ms(dtls) <= now_ms)
        end_session(dtls, dtls->sessions.oldest);
}
