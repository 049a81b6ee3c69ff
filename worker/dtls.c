#include "worker/dtls_endpoint.h"

#include <string.h>

enum owner { OWNER_SESSION, OWNER_HANDSHAKE, OWNER_GREETER, OWNER_STORE, OWNER_NOBODY };

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

/* That a nonce lies ahead of all that this worker knows may also say that others have made many
 * CIDs meanwhile. A few of those are asked for; the first that is real makes the others credible.
 */
static bool is_worth_a_claim(struct dtls *dtls, const struct record *record)
{
    if (cid_source_could_be(&dtls->cids, record->cid, record->cid_length))
        return true;
    if (dtls->now_ms - dtls->doubt_ms >= 1000) {
        dtls->doubt_ms = dtls->now_ms;
        dtls->doubt_claims = 0;
    }
    return dtls->doubt_claims++ < DOUBTFUL_CLAIMS_PER_S;
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

    const struct cid_config *config = dtls->cids.config;
    if (record->cid[0] >> 5 != config->id)
        return nobody(WORKER_DROPPED_CID_CONFIG);
    size_t length = 1u + config->worker_id_length + config->nonce_length;
    if (record->cid_length != length)
        return nobody(WORKER_DROPPED_CID_LENGTH);
    if (record->epoch != SESSION_EPOCH)
        return nobody(WORKER_DROPPED_EPOCH);
    if (session || handshake || !is_worth_a_claim(dtls, record))
        return nobody(WORKER_DROPPED_NO_SESSION);
    return (struct ownership){.owner = OWNER_STORE};
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
    /* Application data is not for a handshake under way: its client sends none before our last
     * flight. Whoever repeats an old ClientHello with its cookie begins one, and must not keep the
     * session at this address from being found in the store. */
    bool is_data = record->type == RECORD_TYPE_APPLICATION_DATA;
    if (handshake && (session ? record->type == RECORD_TYPE_HANDSHAKE : !is_data))
        return (struct ownership){.owner = OWNER_HANDSHAKE, .handshake = handshake};
    if (session)
        return (struct ownership){.owner = OWNER_SESSION, .session = session};
    if (record->epoch != SESSION_EPOCH)
        return nobody(WORKER_DROPPED_EPOCH);
    return (struct ownership){.owner = OWNER_STORE};
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

/* The rest of the datagram waits for the session of its first record. */
static void hold(struct dtls *dtls, const struct path *path, const struct record *record,
                 size_t rest)
{
    struct cid cid = {.length = (uint8_t)record->cid_length};
    if (record->form != RECORD_CID) {
        adoption_hold_by_address(&dtls->adoptions, path, record->start, rest);
        return;
    }
    memcpy(cid.bytes, record->cid, record->cid_length);
    adoption_hold_by_cid(&dtls->adoptions, &cid, path, record->start, rest);
}

/* Puts the rest of a datagram, which belongs to a handshake, behind those that wait. False: there
 * is no backlog, or it has waited. */
static bool defer(struct dtls *dtls, const struct path *path, const struct record *record,
                  size_t rest)
{
    if (dtls->options.backlog_octets == 0 || dtls->is_late)
        return false;
    if (backlog_put(&dtls->backlog, path, record->start, rest) != STATUS_OK)
        dtls_count(dtls, WORKER_DROPPED_BACKLOG);
    return true;
}

static void serve_backlog(struct dtls *dtls)
{
    struct path path;
    uint8_t *datagram;
    size_t length;
    dtls->is_late = true;
    for (size_t i = 0;
         i < BACKLOG_TURN && (datagram = backlog_take(&dtls->backlog, &path, &length)); i++)
        dtls_receive(dtls, dtls->now_ms, &path, datagram, length);
    dtls->is_late = false;
}

void dtls_receive(struct dtls *dtls, uint64_t now_ms, const struct path *path, uint8_t *datagram,
                  size_t length)
{
    dtls->now_ms = now_ms;
    if (length > DATAGRAM_SIZE_MAX) {
        dtls_count(dtls, WORKER_DROPPED_OVERSIZED);
        return;
    }
    struct cursor cursor = cursor_over(datagram, length);
    while (cursor_left(&cursor) > 0) {
        struct record record;
        enum status status = record_next(&cursor, RECORD_CID_SELF_DESCRIBED, &record);
        if (status != STATUS_OK) {
            dtls_count(dtls, status == STATUS_UNSUPPORTED ? WORKER_DROPPED_VERSION
                                                          : WORKER_DROPPED_MALFORMED);
            return;
        }
        struct ownership ownership = find_owner(dtls, path, &record);
        size_t rest = (size_t)(datagram + length - record.start);
        switch (ownership.owner) {
        case OWNER_SESSION:
            if (dtls_may_have_moved(dtls, ownership.session, &record) &&
                dtls_put_away(dtls, ownership.session)) {
                dtls_count(dtls, WORKER_SESSIONS_EVICTED);
                hold(dtls, path, &record, rest);
                return;
            }
            dtls_receive_record(dtls, ownership.session, path, &record);
            break;
        case OWNER_HANDSHAKE:
            if (defer(dtls, path, &record, rest))
                return;
            /* A flight: what follows in the datagram is this handshake's too. */
            handshake_receive(&dtls->handshakes, ownership.handshake, now_ms, path, record.start,
                              rest);
            return;
        case OWNER_GREETER:
            if (defer(dtls, path, &record, rest))
                return;
            handshakes_greet(&dtls->handshakes, now_ms, path, &record, record.start, rest);
            return;
        case OWNER_STORE:
            if (dtls->was_held) {
                /* Its session has come and gone again. */
                dtls_count(dtls, WORKER_DROPPED_NO_SESSION);
                break;
            }
            hold(dtls, path, &record, rest);
            return;
        case OWNER_NOBODY:
            dtls_count(dtls, ownership.reason);
            break;
        }
    }
}

/* --- beginning and end --- */

static void receive_held(void *owner, const struct path *path, uint8_t *datagram, size_t length)
{
    struct dtls *dtls = owner;
    dtls->was_held = true;
    dtls_receive(dtls, dtls->now_ms, path, datagram, length);
    dtls->was_held = false;
}

static void tell_claimed(void *owner, const struct cid *cid, enum store_outcome outcome)
{
    struct dtls *dtls = owner;
    dtls->options.claimed(dtls->options.owner, cid, outcome);
}

static bool holds(void *owner, const struct cid *cid)
{
    return dtls_holds(owner, cid);
}

static void tell_missed(void *owner, const struct cid *cid)
{
    struct dtls *dtls = owner;
    if (dtls->options.missed)
        dtls->options.missed(dtls->options.owner, cid);
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
        .identities = options->identities,
        .vault = options->vault,
        .describe = dtls_describe,
        .established = dtls_establish,
        .send_owner = options->owner,
        .owner = dtls,
    };
    const struct adoptions_options adoptions = {
        .store = options->store,
        .hash_key = dtls->hash_key,
        .worker_id = options->worker_id,
        .adoptions_max = ADOPTIONS_MAX,
        .metrics = options->metrics,
        .holds = holds,
        .adopt = dtls_adopt,
        .receive = receive_held,
        .claimed = tell_claimed,
        .missed = tell_missed,
        .owner = dtls,
    };
    /* A session that is let go of for its silence has its mark saved by then. */
    uint64_t later_ms = (uint64_t)options->session_idle_s * 1000 / 2;
    marks_init(&dtls->marks, &dtls->options.lbs,
               later_ms < options->mark_later_ms ? later_ms : options->mark_later_ms);
    status = protector_init(&dtls->protector);
    if (status == STATUS_OK)
        status = cid_source_init(&dtls->cids, options->store, options->cluster_key,
                                 options->cid_config_id, options->cid_length, options->worker_id);
    if (status == STATUS_OK)
        status = backlog_init(&dtls->backlog, options->backlog_octets);
    if (status == STATUS_OK)
        status = sessions_init(&dtls->sessions, options->sessions_max, &dtls->hash_key);
    if (status == STATUS_OK)
        status = adoptions_init(&dtls->adoptions, &adoptions);
    if (status == STATUS_OK)
        status = handshakes_init(&dtls->handshakes, &handshakes, now_ms);
    if (status != STATUS_OK)
        dtls_free(dtls);
    return status;
}

void dtls_free(struct dtls *dtls)
{
    handshakes_free(&dtls->handshakes);
    adoptions_free(&dtls->adoptions);
    marks_free(&dtls->marks);
    sessions_free(&dtls->sessions);
    backlog_free(&dtls->backlog);
    cid_source_free(&dtls->cids);
    protector_free(&dtls->protector);
    keys_wipe(&dtls->holds, sizeof(dtls->holds));
}

uint64_t dtls_next_ms(const struct dtls *dtls)
{
    if (dtls->backlog.count > 0)
        return dtls->now_ms;
    uint64_t next_ms = handshakes_next_ms(&dtls->handshakes);
    uint64_t sessions_ms = dtls_store_next_ms(dtls);
    uint64_t store_ms = store_next_ms(dtls->options.store);
    next_ms = sessions_ms < next_ms ? sessions_ms : next_ms;
    return store_ms < next_ms ? store_ms : next_ms;
}

void dtls_run(struct dtls *dtls, uint64_t now_ms)
{
    dtls->now_ms = now_ms;
    dtls->handshakes.now_ms = now_ms;
    serve_backlog(dtls);
    handshakes_expire(&dtls->handshakes, now_ms);
    dtls_run_store(dtls);
    while (store_run(dtls->options.store, now_ms) > 0)
        ; /* an answer may ask the next question */
}
