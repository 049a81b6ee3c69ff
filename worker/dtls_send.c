#include "worker/dtls_endpoint.h"

#define PROBE_SIZE_MAX 64

static void sequences_leased(void *owner, const struct store_answer *answer)
{
    struct dtls *dtls = owner;
    struct session *session =
        session_by_cid(&dtls->sessions, answer->subject.bytes, answer->subject.length);
    if (!session)
        return;
    session->lease = SESSION_LEASE_HELD;
    switch (answer->outcome) {
    case STORE_UNAVAILABLE:
    case STORE_EXISTS:
        return; /* asked again with the next record */
    case STORE_STALE:
    case STORE_NOT_FOUND:
        dtls_lose_session(dtls, &answer->subject);
        return;
    case STORE_OK:
        break;
    }
    uint64_t end = session->send_next + session->lease_left;
    if (answer->first < end) {
        /* The store has gone back in time, and leases what was leased before. */
        dtls_give_up(dtls, session);
    } else if (answer->first == end) {
        session->lease_left += (uint32_t)answer->count;
    } else {
        session->send_next = answer->first;
        session->lease_left = (uint32_t)answer->count;
    }
}

static void lease_when_low(struct dtls *dtls, struct session *session)
{
    if (session->lease != SESSION_LEASE_HELD || session->lease_left > SEQUENCE_LEASE / 4 ||
        store_trouble(dtls->options.store))
        return;
    const struct store_waiter waiter = {sequences_leased, dtls, session->own_cid, 0};
    if (store_lease_sequences(dtls->options.store, session->fence, &waiter) == STATUS_OK)
        session->lease = SESSION_LEASE_ASKED;
}

/* DESIGN.md section 7, invariant 1: a number is taken from the lease before it seals, and is never
 * given back. False: nothing was sealed. */
static bool seal(struct dtls *dtls, struct session *session, uint8_t type, const uint8_t *content,
                 size_t length, size_t *record_length)
{
    lease_when_low(dtls, session);
    if (session->lease_left == 0) {
        dtls_count(dtls, WORKER_DROPPED_NO_LEASE);
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
    struct record_keys keys;
    session_keys(session, SESSION_WRITE, &keys);
    enum status status = protect_seal(&dtls->protector, session_suite(session), &keys, &header,
                                      content, length, &writer);
    keys_wipe(&keys, sizeof(keys));
    if (status != STATUS_OK)
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
    dtls_count(dtls, WORKER_RECORDS_SENT);
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
    session->path_credit -= (uint16_t)octets;
    return true;
}

void dtls_send_alert(struct dtls *dtls, struct session *session, enum alert_level level,
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
        dtls_count(dtls, WORKER_DROPPED_NO_CREDIT);
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
    dtls_count(dtls, WORKER_PATHS_HELD);
    if (!path_hold(&dtls->holds, session->id, dtls->now_ms, data, length))
        dtls_count(dtls, WORKER_DROPPED_NO_CREDIT);
    probe_path(dtls, session);
}

void dtls_path_answered(struct dtls *dtls, struct session *session)
{
    if (!session->ping_sent)
        return;
    session->ping_sent = false;
    session->path_proven = true;
    dtls_note_change(dtls, session);
    const struct path_held *held;
    while ((held = path_hold_take(&dtls->holds, session->id, dtls->now_ms)))
        transmit(dtls, session, RECORD_TYPE_APPLICATION_DATA, held->data, held->length);
}
