#include "worker/worker_core.h"

#include "worker/message.h"
#include "worker/metrics.h"

/* --- datagrams of DTLS --- */

static uint32_t lb_name(void *owner, uint8_t lb)
{
    const struct worker *worker = owner;
    return uplink_lb_name(worker->uplink, lb);
}

static uint8_t find_lb(void *owner, uint32_t name)
{
    struct worker *worker = owner;
    return uplink_find_lb(worker->uplink, name);
}

static void send_datagram(void *owner, const struct path *path, const uint8_t *datagram,
                          size_t length)
{
    struct worker *worker = owner;
    uplink_send(worker->uplink, path, datagram, length);
}

/* --- what records hold --- */

/* Of a message that was not one of a change that goes to the store. Safe methods ask for none (RFC
 * 7252 section 5.1), a ping for nothing. A repeated or refused POST is another matter: who accepted
 * its record again after EXCHANGE_LIFETIME would carry it out. */
static enum dtls_effect effect_of(const uint8_t *message, size_t length)
{
    return message_is_safe(message, length) ? DTLS_CHANGED_NOTHING : DTLS_MAY_HAVE_CHANGED;
}

static enum dtls_effect receive_content(void *owner, struct session *session, uint64_t now_ms,
                                        const uint8_t *message, size_t length)
{
    struct worker *worker = owner;
    const struct coap_peer peer = {
        .session_id = session->id,
        .session = session,
        .path = session->path,
    };
    struct writer reply = writer_over(worker->reply, sizeof(worker->reply));
    struct coap_commit commit;
    switch (coap_receive(worker->coap, &peer, worker_coap_now(now_ms), message, length, &reply,
                         &commit)) {
    case COAP_REPLY:
        dtls_send(&worker->dtls, session, worker->reply, writer_length(&reply));
        return effect_of(message, length);
    case COAP_RESET:
        if (session->ping_sent && commit.message_id == session->ping_id)
            dtls_path_answered(&worker->dtls, session);
        return DTLS_MAY_HAVE_CHANGED;
    case COAP_COMMIT:
        return worker_save_exchange(worker, session, &commit);
    case COAP_REGISTER:
        relation_save(&worker->relations, session, &commit);
        return DTLS_MAY_HAVE_CHANGED;
    case COAP_DROPPED:
        return effect_of(message, length);
    case COAP_SILENCE:
        break;
    }
    return DTLS_MAY_HAVE_CHANGED;
}

static size_t write_probe(void *owner, struct session *session, uint8_t *space, size_t size)
{
    (void)owner;
    struct writer writer = writer_over(space, size);
    if (!session->ping_sent)
        session->ping_id = session->next_message_id++;
    coap_write_ping(&writer, session->ping_id);
    return writer_ok(&writer) ? writer_length(&writer) : 0;
}

/* --- sessions that come and go --- */

/* An exchange that is unusable is as good as one that was never stored. */
static void restore_session(void *owner, struct session *session,
                            const struct store_answer *claimed)
{
    struct worker *worker = owner;
    struct coap_now now = worker_coap_now(io_now_ms(worker->options.io));
    for (size_t i = 0; i < claimed->exchange_count; i++) {
        if (coap_restore(worker->coap, session->id, now, claimed->exchanges[i].value) != STATUS_OK)
            metrics_add(worker->options.metrics, 0, WORKER_STORED_FORMAT, 1);
    }
    relations_restore(&worker->relations, session, claimed, now);
}

/* Its peer is to be told of changes, or may tell of them, however long it is silent. */
static bool is_obliged(void *owner, const struct session *session)
{
    const struct worker *worker = owner;
    return coap_has_observer(worker->coap, &(struct coap_peer){.session_id = session->id}) ||
           observation_has(&worker->client.observations, session->id);
}

/* Perhaps by mistake, if the load balancers bring it here. A peer without CID is brought to
 * whomever it was lost to. */
static void note_lost(void *owner, const struct session *session)
{
    struct worker *worker = owner;
    if (worker->stage == WORKER_SERVING && session->uses_cid && is_obliged(worker, session) &&
        heirs_route(&worker->heirs, &session->own_cid) == worker_id(worker))
        heirs_miss(&worker->heirs, &session->own_cid);
}

static void note_missed(void *owner, const struct cid *cid)
{
    struct worker *worker = owner;
    if (worker->stage == WORKER_SERVING)
        heirs_miss(&worker->heirs, cid);
}

static void forget_session(void *owner, const struct session *session)
{
    struct worker *worker = owner;
    client_forget(&worker->client, session->id);
    coap_forget(worker->coap, session->id);
}

static void session_claimed(void *owner, const struct cid *cid, enum store_outcome outcome)
{
    struct worker *worker = owner;
    if (!api_claimed(&worker->api, cid, outcome))
        heirs_claimed(&worker->heirs, outcome);
}

static void session_checked(void *owner, const struct cid *cid, enum store_outcome outcome)
{
    struct worker *worker = owner;
    heirs_checked(&worker->heirs, cid, outcome);
}

/* --- beginning --- */

enum status worker_start_dtls(struct worker *worker, uint16_t id)
{
    const struct worker_options *options = &worker->options;
    const struct dtls_options dtls = {
        .cluster_key = options->cluster_key,
        .store = options->store,
        .identities = options->identities,
        .vault = &worker->vault,
        .metrics = options->metrics,
        .worker_id = id,
        .cid_length = options->cid_length,
        .cid_config_id = options->cid_config_id,
        .sessions_max = SESSIONS_MAX_DEFAULT,
        .handshakes_max = HANDSHAKES_MAX_DEFAULT,
        .session_idle_s = options->session_idle_s,
        .backlog_octets = BACKLOG_OCTETS,
        .mark_later_ms = MARK_LATER_MS,
        .lbs = {lb_name, find_lb, worker},
        .send = send_datagram,
        .receive = receive_content,
        .probe = write_probe,
        .ended = forget_session,
        .adopted = restore_session,
        .obliged = is_obliged,
        .claimed = session_claimed,
        .checked = session_checked,
        .lost = note_lost,
        .missed = note_missed,
        .owner = worker,
    };
    enum status status = dtls_init(&worker->dtls, &dtls, io_now_ms(options->io));
    worker->has_dtls = status == STATUS_OK;
    return status;
}
