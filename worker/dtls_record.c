#include "worker/dtls_endpoint.h"

#include <string.h>

/* --- the peer's address --- */

/* The address is this session's unless a peer without CID lives there, which can be found by its
 * address only. One that has a CID gives way: RFC 9146 section 6. */
void dtls_claim_address(struct dtls *dtls, struct session *session)
{
    struct session *other = session_by_address(&dtls->sessions, &session->path.address);
    if (other && !other->uses_cid)
        return;
    if (other)
        session_leave_address(&dtls->sessions, other);
    (void)!session_claim_address(&dtls->sessions, session);
}

/* RFC 9146 section 6: the address follows only a record that has been verified and is newer, in
 * epoch and sequence number, than the newest before it. Its third condition, that the new address
 * is able to receive, is what path_credit and the probe are for. */
static void follow_peer(struct dtls *dtls, struct session *session, const struct path *path)
{
    if (address_equal(&session->path.address, &path->address)) {
        bool is_through_another_lb = memcmp(&session->path, path, sizeof(*path)) != 0;
        session->path = *path;
        session->moved = session->restless = false;
        if (is_through_another_lb)
            dtls_note_change(dtls, session);
        return;
    }
    if (!session->uses_cid)
        return; /* cannot be: it was found by its address */
    session_leave_address(&dtls->sessions, session);
    session->previous_address = session->path.address;
    session->path = *path;
    if (session->address_changes < UINT16_MAX)
        session->address_changes++;
    session->path_proven = false;
    session->ping_sent = false;
    session->restless = session->moved;
    session->moved = true;
    session->path_credit = 0;
    dtls_note_change(dtls, session);
    dtls_claim_address(dtls, session);
    dtls_count(dtls, WORKER_ADDRESS_CHANGES);
}

static void credit_path(struct session *session, const struct path *path, size_t octets)
{
    if (session->path_proven || !address_equal(&session->path.address, &path->address))
        return;
    uint64_t credit = session->path_credit + AMPLIFICATION_FACTOR * (uint64_t)octets;
    session->path_credit = credit > UINT16_MAX ? UINT16_MAX : (uint16_t)credit;
}

/* --- receiving: records of sessions --- */

static enum dtls_effect receive_alert(struct dtls *dtls, struct session *session,
                                      const uint8_t *content, size_t length)
{
    switch (alert_read(content, length)) {
    case ALERT_CLOSES:
        /* RFC 5246 section 7.2.1: "The other party MUST respond with a close_notify alert". */
        dtls_send_alert(dtls, session, ALERT_WARNING, ALERT_CLOSE_NOTIFY);
        dtls_end_session(dtls, session);
        return DTLS_SAVED_WITH_CHANGE;
    case ALERT_ENDS:
        dtls_end_session(dtls, session);
        return DTLS_SAVED_WITH_CHANGE;
    case ALERT_IGNORED:
        break;
    case ALERT_NONSENSE:
        dtls_count(dtls, WORKER_DROPPED_MALFORMED);
        break;
    }
    return DTLS_MAY_HAVE_CHANGED;
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
    dtls_count(dtls, WORKER_DROPPED_RENEGOTIATION);
    dtls_send_alert(dtls, session, ALERT_WARNING, ALERT_NO_RENEGOTIATION);
}

/* The session may be gone afterwards: then there is nothing to save. */
static enum dtls_effect receive_content(struct dtls *dtls, struct session *session, uint8_t type,
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
        return dtls->options.receive(dtls->options.owner, session, dtls->now_ms, content, length);
    case RECORD_TYPE_ALERT:
        return receive_alert(dtls, session, content, length);
    case RECORD_TYPE_HANDSHAKE:
        receive_handshake(dtls, session, content, length);
        return DTLS_MAY_HAVE_CHANGED;
    default:
        dtls_count(dtls, WORKER_DROPPED_CONTENT_TYPE);
        return DTLS_MAY_HAVE_CHANGED;
    }
}

static void note_effect(struct dtls *dtls, struct session *session, enum dtls_effect effect)
{
    switch (effect) {
    case DTLS_CHANGED_NOTHING:
        mark_note(&dtls->marks, session, MARK_LATER, dtls->now_ms);
        break;
    case DTLS_MAY_HAVE_CHANGED:
        mark_note(&dtls->marks, session, MARK_SOON, dtls->now_ms);
        break;
    case DTLS_SAVED_WITH_CHANGE:
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
        dtls_count(dtls, WORKER_DROPPED_REPLAYED);
        return false;
    case REPLAY_ANCIENT:
        dtls_count(dtls, WORKER_DROPPED_ANCIENT);
        return false;
    }
    return false;
}

static enum status open_record(struct dtls *dtls, const struct session *session,
                               const struct record *record, uint8_t **content, size_t *length,
                               uint8_t *type)
{
    struct record_keys keys;
    session_keys(session, SESSION_READ, &keys);
    enum status status = protect_open(&dtls->protector, session_suite(session), &keys, record,
                                      content, length, type);
    keys_wipe(&keys, sizeof(keys));
    return status;
}

/* Opens a copy, and leaves the record as it came. */
static bool is_authentic(struct dtls *dtls, const struct session *session,
                         const struct record *record)
{
    uint8_t copy[DATAGRAM_SIZE_MAX];
    size_t length = record->header_length + record->payload_length;
    memcpy(copy, record->start, length);
    struct cursor cursor = cursor_over(copy, length);
    struct record copied;
    uint8_t *content;
    uint8_t type;
    bool is_ours = record_next(&cursor, RECORD_CID_SELF_DESCRIBED, &copied) == STATUS_OK &&
                   open_record(dtls, session, &copied, &content, &length, &type) == STATUS_OK;
    keys_wipe(copy, sizeof(copy));
    return is_ours;
}

bool dtls_may_have_moved(struct dtls *dtls, const struct session *session,
                         const struct record *record)
{
    /* What is not in the store yet is not in anybody else's hands either. */
    if (session->hasty || session->saving || !session->heard || record->epoch != SESSION_EPOCH ||
        record->version != RECORD_VERSION_DTLS12)
        return false;
    if (record->sequence <= session->replay.newest + 1 ||
        session->last_used_s >= (uint32_t)(dtls->now_ms / 1000))
        return false;
    return !store_trouble(dtls->options.store) && is_authentic(dtls, session, record);
}

void dtls_receive_record(struct dtls *dtls, struct session *session, const struct path *path,
                         const struct record *record)
{
    size_t record_length = record->header_length + record->payload_length;
    if (record->version != RECORD_VERSION_DTLS12) {
        dtls_count(dtls, WORKER_DROPPED_VERSION);
        return;
    }
    if (record->epoch != SESSION_EPOCH) {
        dtls_count(dtls, WORKER_DROPPED_EPOCH);
        return;
    }
    enum replay_outcome freshness = replay_check(&session->replay, record->sequence);
    if (!is_fresh(dtls, freshness)) {
        if (!session->uses_cid)
            dtls_doubt_session(dtls, session); /* another session's numbers begin anew */
        return;
    }

    uint8_t *content;
    size_t length;
    uint8_t type;
    enum status status = open_record(dtls, session, record, &content, &length, &type);
    if (status == STATUS_MALFORMED || status == STATUS_BAD_TAG) {
        dtls_count(dtls,
                   status == STATUS_MALFORMED ? WORKER_DROPPED_MALFORMED : WORKER_DROPPED_BAD_TAG);
        if (!session->uses_cid)
            dtls_doubt_session(dtls, session);
        return;
    }
    /* The numbers that are left out may have gone to another worker, which owns the session then, and
     * whose answers make the peer drop ours. The store tells at the next write. */
    if (session->heard && record->sequence > session->replay.newest + 1)
        mark_note(&dtls->marks, session, MARK_SOON, dtls->now_ms);
    replay_accept(&session->replay, record->sequence);
    session_touch(&dtls->sessions, session, (uint32_t)(dtls->now_ms / 1000));
    if (freshness == REPLAY_NEWEST)
        follow_peer(dtls, session, path);
    credit_path(session, path, record_length);
    if (status != STATUS_OK) {
        /* RFC 9146 section 4 and RFC 8446 section 5.4: no non-zero octet in the plaintext: "MUST
         * terminate the connection with an "unexpected_message" alert". */
        dtls_count(dtls, WORKER_DROPPED_CONTENT_TYPE);
        dtls_send_alert(dtls, session, ALERT_FATAL, ALERT_UNEXPECTED_MESSAGE);
        dtls_end_session(dtls, session);
        return;
    }
    dtls_count(dtls, WORKER_RECORDS_RECEIVED);
    enum dtls_effect effect = receive_content(dtls, session, type, content, length);
    note_effect(dtls, session, effect);
}
