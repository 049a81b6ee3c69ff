#include "worker/dtls_endpoint.h"

#include <string.h>

static void mark_saved(void *owner, const struct store_answer *answer);

/* --- going --- */

static void count_sessions(struct dtls *dtls)
{
    metrics_set(dtls->options.metrics, 0, WORKER_SESSIONS, dtls->sessions.by_cid.count);
}

void dtls_drop_session(struct dtls *dtls, struct session *session)
{
    struct handshake *handshake =
        handshake_by_cid(&dtls->handshakes, session->own_cid.bytes, session->own_cid.length);
    handshake_release(&dtls->handshakes, handshake);
    mark_forget(&dtls->marks, session);
    dtls->options.ended(dtls->options.owner, session);
    session_remove(&dtls->sessions, session);
    count_sessions(dtls);
}

bool dtls_put_away(struct dtls *dtls, struct session *session)
{
    if (session->dirty && !mark_save(&dtls->marks, dtls->options.store, session, mark_saved, dtls))
        return false;
    dtls_drop_session(dtls, session);
    return true;
}

/* If the store does not take it now, the session's TTL ends it there. */
static void remove_stored(struct dtls *dtls, const struct session *session)
{
    const struct store_waiter waiter = {.subject = session->own_cid};
    (void)!store_remove_session(dtls->options.store, session->fence, &waiter);
}

void dtls_end_session(struct dtls *dtls, struct session *session)
{
    remove_stored(dtls, session);
    dtls_drop_session(dtls, session);
}

void dtls_give_up(struct dtls *dtls, struct session *session)
{
    dtls_count(dtls, WORKER_SESSIONS_LOST);
    dtls_drop_session(dtls, session);
}

void dtls_lose_session(struct dtls *dtls, const struct cid *cid)
{
    struct session *session = session_by_cid(&dtls->sessions, cid->bytes, cid->length);
    if (!session)
        return;
    if (dtls->options.lost)
        dtls->options.lost(dtls->options.owner, session);
    dtls_give_up(dtls, session);
}

/* Only what says that the address is another session's ends this one, in the store too: nobody
 * could ever find it, and whoever held it for its relations would be in the way of the one that
 * followed it. That one is adopted when its peer repeats the record. */
static void address_answered(void *owner, const struct store_answer *answer)
{
    struct dtls *dtls = owner;
    const struct cid *cid = &answer->subject;
    struct session *session = session_by_cid(&dtls->sessions, cid->bytes, cid->length);
    struct cid holder = {.length = (uint8_t)answer->value.length};
    if (!session || answer->outcome != STORE_OK || answer->value.length > CID_LENGTH_MAX)
        return;
    memcpy(holder.bytes, answer->value.bytes, holder.length);
    if (cid_equal(&holder, cid))
        return;
    remove_stored(dtls, session);
    dtls_give_up(dtls, session);
}

void dtls_doubt_session(struct dtls *dtls, struct session *session)
{
    const struct store_waiter waiter = {address_answered, dtls, session->own_cid, 0};
    uint8_t now_s = (uint8_t)(dtls->now_ms / 1000);
    if (now_s == session->doubted_s)
        return;
    if (store_find_session(dtls->options.store, &session->path.address, &waiter) == STATUS_OK)
        session->doubted_s = now_s;
}

/* --- coming from a handshake --- */

static void take_result(struct session *session, const struct handshake *handshake)
{
    const struct tls_result *result = &handshake->result;
    session->own_cid = handshake->own_cid;
    session->suite = result->suite;
    session->uses_cid = result->uses_cid;
    session->peer_cid = result->peer_cid;
    session->nonce_prefix = result->nonce_prefix;
    session->replay = handshake->replay;
    session->path = handshake->path;
    session->path_proven = true; /* it returned the cookie */
    /* RFC 7252 section 4.4 wants a start that differs from session to session. The CID's end is
     * encrypted, and what is stored at once starts where we do. */
    const struct cid *cid = &session->own_cid;
    session->next_message_id =
        (uint16_t)(cid->bytes[cid->length - 2] << 8 | cid->bytes[cid->length - 1]);
}

static void take_lease(struct session *session, const struct store_answer *answer)
{
    session->fence = (uint32_t)answer->fence;
    session->send_next = answer->first;
    session->lease_left = (uint32_t)answer->count;
    session->lease = SESSION_LEASE_HELD;
}

/* The mark may not know of the ids used last, nor of an heir that has been and gone before its own
 * was saved: but fences differ. */
static uint16_t heir_message_id(uint16_t stored, uint32_t fence)
{
    return (uint16_t)(stored + COAP_MESSAGE_ID_LEAP * (1 + fence % COAP_MESSAGE_ID_HEIRS));
}

static struct session_keys keys_of(const struct tls_result *result)
{
    return (struct session_keys){.read = result->read, .write = result->write};
}

enum status dtls_describe(void *owner, const struct handshake *handshake,
                          struct store_session *described)
{
    struct dtls *dtls = owner;
    struct session session = {0};
    struct session_keys keys = keys_of(&handshake->result);
    struct writer sealed = writer_over(dtls->sealed, sizeof(dtls->sealed));
    struct writer mark = writer_over(dtls->mark, sizeof(dtls->mark));
    take_result(&session, handshake);
    session_record_write_mark(&session, path_lb_name(&dtls->options.lbs, session.path.lb), &mark);
    enum status status =
        session_record_seal(dtls->options.vault, &session, &keys, handshake->identity.bytes + 2,
                            handshake->identity.have - 2u, &sealed);
    *described = (struct store_session){
        .sealed = {dtls->sealed, writer_length(&sealed)},
        .mark = {dtls->mark, writer_length(&mark)},
        .address = session.uses_cid ? NULL : &handshake->path.address,
    };
    keys_wipe(&keys, sizeof(keys));
    return status;
}

/* The device that was at this address before, as far as that can be told: a peer without CID,
 * which has no other name, or the same identity, which has started anew. */
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
        dtls_end_session(dtls, old);
}

enum status dtls_establish(void *owner, struct handshake *handshake,
                           const struct store_answer *created, uint64_t now_ms)
{
    struct dtls *dtls = owner;
    struct session *session;
    struct session_keys keys = keys_of(&handshake->result);
    const struct session_origin origin = {
        .own_cid = &handshake->own_cid,
        .identity = handshake->identity.bytes + 2,
        .identity_length = handshake->identity.have - 2u,
        .suite = handshake->result.suite,
        .keys = &keys,
    };
    replace_predecessor(dtls, handshake);
    enum status status = session_add(&dtls->sessions, &origin, (uint32_t)(now_ms / 1000), &session);
    keys_wipe(&keys, sizeof(keys));
    if (status != STATUS_OK)
        return status;
    take_result(session, handshake);
    take_lease(session, created);
    dtls_claim_address(dtls, session);
    if (!session->by_address && !session->uses_cid) {
        session_remove(&dtls->sessions, session); /* nobody could ever find it */
        return STATUS_EXISTS;
    }
    count_sessions(dtls);
    return STATUS_OK;
}

/* --- coming from the store --- */

static enum status refuse_record(struct dtls *dtls, enum session_record_outcome outcome)
{
    static const enum worker_metric reasons[SESSION_RECORD_OUTCOMES] = {
        [SESSION_RECORD_TRUNCATED] = WORKER_STORED_TRUNCATED,
        [SESSION_RECORD_UNKNOWN_FORMAT] = WORKER_STORED_FORMAT,
        [SESSION_RECORD_UNKNOWN_KEY] = WORKER_STORED_KEY,
        [SESSION_RECORD_BAD_TAG] = WORKER_STORED_BAD_TAG,
        [SESSION_RECORD_NONSENSE] = WORKER_STORED_NONSENSE,
    };
    dtls_count(dtls, reasons[outcome]);
    return STATUS_UNSUPPORTED;
}

/* What session_add has made keeps its links, id, keys and identity. */
static void take_record(struct session *session, const struct session *stored)
{
    session->uses_cid = stored->uses_cid;
    session->peer_cid = stored->peer_cid;
    session->nonce_prefix = stored->nonce_prefix;
    session->replay = stored->replay;
    session->path = stored->path;
    session->path_proven = stored->path_proven;
    session->previous_address = stored->previous_address;
    session->address_changes = stored->address_changes;
    session->heard = true; /* its handshake is another worker's, if anybody's */
}

/* Another worker has had it since, as the fence tells: what we hold of it is not how it was left.
 */
static bool has_been_away(const struct session *session, const struct store_answer *claimed)
{
    return claimed->fence > UINT64_C(1) + session->fence &&
           claimed->first >= session->send_next + session->lease_left;
}

/* Ours already, and ours again: the fence has risen. */
static enum status adopt_again(struct dtls *dtls, struct session *session,
                               const struct store_answer *claimed)
{
    if (claimed->first < session->send_next + session->lease_left) {
        /* The store has gone back in time, and leases what was leased before. */
        dtls_give_up(dtls, session);
        return STATUS_UNSUPPORTED;
    }
    take_lease(session, claimed);
    return STATUS_OK;
}

/* Another has authenticated at its address since: nobody could ever find it. */
static void contest_answered(void *owner, const struct store_answer *answer)
{
    struct dtls *dtls = owner;
    const struct store_waiter waiter = {.subject = answer->subject};
    const struct cid *cid = &answer->subject;
    bool is_holder = answer->value.length == cid->length &&
                     memcmp(answer->value.bytes, cid->bytes, cid->length) == 0;
    if (answer->outcome == STORE_OK && !is_holder)
        (void)!store_remove_session(dtls->options.store, answer->tag, &waiter);
}

/* A claimed session without CID, whose address another here has: which of them is the older one,
 * the store knows. */
static void settle_address(struct dtls *dtls, const struct session *claimed)
{
    const struct address *address = &claimed->path.address;
    const struct store_waiter waiter = {contest_answered, dtls, claimed->own_cid, claimed->fence};
    struct session *holder = session_by_address(&dtls->sessions, address);
    if (!holder || holder->uses_cid) {
        remove_stored(dtls, claimed);
        return;
    }
    dtls_doubt_session(dtls, holder);
    (void)!store_find_session(dtls->options.store, address, &waiter);
}

enum status dtls_adopt(void *owner, const struct cid *cid, const struct store_answer *claimed)
{
    struct dtls *dtls = owner;
    struct session_record record;
    struct session *session = session_by_cid(&dtls->sessions, cid->bytes, cid->length);
    if (session && !has_been_away(session, claimed))
        return adopt_again(dtls, session, claimed);
    if (session)
        dtls_give_up(dtls, session);
    uint8_t plain[STORE_SEALED_MAX];
    enum status status = STATUS_OK;
    enum session_record_outcome outcome = session_record_read(
        dtls->options.vault, cid, claimed->value, claimed->mark, plain, &record);
    if (outcome != SESSION_RECORD_READ)
        status = refuse_record(dtls, outcome);
    const struct session_origin origin = {
        .own_cid = cid,
        .identity = record.identity,
        .identity_length = record.identity_length,
        .suite = record.session.suite,
        .keys = &record.keys,
    };
    if (status == STATUS_OK)
        status = session_add(&dtls->sessions, &origin, (uint32_t)(dtls->now_ms / 1000), &session);
    if (status == STATUS_OK) {
        take_record(session, &record.session);
        take_lease(session, claimed);
        session->next_message_id = heir_message_id(record.session.next_message_id, session->fence);
        session->path.lb = path_lb_find(&dtls->options.lbs, record.lb_name);
        dtls_claim_address(dtls, session);
        if (!session->by_address && !session->uses_cid) {
            settle_address(dtls, session);
            session_remove(&dtls->sessions, session);
            status = STATUS_EXISTS;
        }
    }
    if (status == STATUS_OK) {
        cid_source_learn(&dtls->cids, cid);
        dtls_count(dtls, WORKER_SESSIONS_ADOPTED);
        count_sessions(dtls);
        dtls->options.adopted(dtls->options.owner, session, claimed);
    }
    keys_wipe(plain, sizeof(plain));
    keys_wipe(&record, sizeof(record));
    return status;
}

/* --- without a record --- */

enum status dtls_claim(struct dtls *dtls, const struct cid *cid)
{
    return adoption_claim(&dtls->adoptions, cid);
}

bool dtls_holds(struct dtls *dtls, const struct cid *cid)
{
    return session_by_cid(&dtls->sessions, cid->bytes, cid->length) != NULL;
}

/* --- marks --- */

/* A refusal of what was asked before a claim of ours says nothing of what we hold since. */
static enum store_outcome outcome_of(const struct session *session,
                                     const struct store_answer *answer)
{
    bool is_outdated = session && answer->tag < session->fence;
    return is_outdated && answer->outcome == STORE_STALE ? STORE_UNAVAILABLE : answer->outcome;
}

static void mark_saved(void *owner, const struct store_answer *answer)
{
    struct dtls *dtls = owner;
    struct session *session =
        session_by_cid(&dtls->sessions, answer->subject.bytes, answer->subject.length);
    mark_answered(&dtls->marks, session);
    switch (outcome_of(session, answer)) {
    case STORE_OK:
    case STORE_EXISTS:
        break;
    case STORE_STALE:
    case STORE_NOT_FOUND:
        dtls_lose_session(dtls, &answer->subject);
        break;
    case STORE_UNAVAILABLE:
        if (session)
            mark_note(&dtls->marks, session, MARK_SOON, dtls->now_ms);
        break;
    }
}

static void check_answered(void *owner, const struct store_answer *answer)
{
    struct dtls *dtls = owner;
    const struct cid *cid = &answer->subject;
    enum store_outcome outcome =
        outcome_of(session_by_cid(&dtls->sessions, cid->bytes, cid->length), answer);
    mark_saved(owner, answer);
    dtls->options.checked(dtls->options.owner, cid, outcome);
}

enum status dtls_check(struct dtls *dtls, const struct cid *cid)
{
    struct session *session = session_by_cid(&dtls->sessions, cid->bytes, cid->length);
    if (!session)
        return STATUS_EXISTS;
    return mark_save(&dtls->marks, dtls->options.store, session, check_answered, dtls)
               ? STATUS_OK
               : STATUS_FULL;
}

static void save_marks(struct dtls *dtls, bool all)
{
    marks_save(&dtls->marks, dtls->options.store, dtls->now_ms, all, mark_saved, dtls);
}

void dtls_note_change(struct dtls *dtls, struct session *session)
{
    mark_note(&dtls->marks, session, MARK_SOON, dtls->now_ms);
}

struct octets dtls_carry_mark(struct dtls *dtls, struct session *session,
                              uint8_t space[STORE_MARK_MAX])
{
    struct writer writer = writer_over(space, STORE_MARK_MAX);
    mark_write(&dtls->marks, session, &writer);
    mark_forget(&dtls->marks, session);
    return (struct octets){space, writer_length(&writer)};
}

void dtls_save(struct dtls *dtls)
{
    save_marks(dtls, true);
}

bool dtls_is_saved(const struct dtls *dtls)
{
    return dtls->marks.count == 0 && dtls->marks.saving == 0;
}

/* --- memory holds hot sessions only --- */

/* The oldest session is the first to have been silent for too long. */
static uint64_t oldest_idle_ms(const struct dtls *dtls)
{
    const struct session *oldest = dtls->sessions.oldest;
    if (!oldest)
        return UINT64_MAX;
    return ((uint64_t)oldest->last_used_s + dtls->options.session_idle_s + 1) * 1000;
}

void dtls_run_store(struct dtls *dtls)
{
    save_marks(dtls, false);
    bool could_come_back = store_trouble(dtls->options.store) == NULL;
    while (oldest_idle_ms(dtls) <= dtls->now_ms) {
        struct session *oldest = dtls->sessions.oldest;
        if (!could_come_back || oldest->dirty || oldest->saving ||
            dtls->options.obliged(dtls->options.owner, oldest)) {
            /* With its last mark unsaved it would come back with an old window. */
            session_touch(&dtls->sessions, oldest, (uint32_t)(dtls->now_ms / 1000));
            continue;
        }
        dtls_count(dtls, WORKER_SESSIONS_EVICTED);
        dtls_drop_session(dtls, oldest);
    }
}

uint64_t dtls_store_next_ms(const struct dtls *dtls)
{
    uint64_t idle_ms = oldest_idle_ms(dtls);
    uint64_t marks_ms = marks_due_ms(&dtls->marks);
    return idle_ms < marks_ms ? idle_ms : marks_ms;
}
