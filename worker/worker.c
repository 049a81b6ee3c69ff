#include "worker/worker.h"

#include "shared/frame.h"
#include "shared/log.h"
#include "worker/api.h"
#include "worker/client.h"
#include "worker/coap.h"
#include "worker/dtls.h"
#include "worker/heirs.h"
#include "worker/member.h"
#include "worker/message.h"
#include "worker/metrics.h"
#include "worker/ps.h"
#include "worker/relations.h"
#include "worker/uplink.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

/* How long a draining worker goes on at the least, so that each lb has heard of it with a PONG and
 * what was under way has arrived; and at the most, since whoever stops it will not wait for ever.
 */
#define DRAIN_LEAST_MS (4 * PING_INTERVAL_MS)
#define DRAIN_MOST_MS 1200

struct worker {
    struct worker_options options;
    enum worker_stage stage;
    uint64_t drain_ms; /* when draining began */
    struct uplink *uplink;
    struct vault vault;
    struct worker_member member;
    struct coap *coap; /* from joining on, as is dtls */
    size_t commits;    /* replies that wait for the store */
    struct relations relations;
    struct ps *ps; /* with coap */
    bool has_dtls;
    struct heirs heirs; /* with has_dtls, as what follows */
    struct client client;
    struct api api;
    bool failed;        /* what an id needs could not be set up */
    struct dtls dtls;
    uint8_t reply[COAP_MESSAGE_SIZE_MAX];
};

/* --- upwards: link, DTLS, CoAP --- */

static struct coap_now coap_now_at(uint64_t now_ms)
{
    struct timespec wall;
    clock_gettime(CLOCK_REALTIME, &wall);
    return (struct coap_now){now_ms,
                             (uint64_t)wall.tv_sec * 1000 + (uint64_t)wall.tv_nsec / 1000000};
}

static void receive_plain(struct worker *worker, const struct path *path, const uint8_t *message,
                          size_t length)
{
    const struct coap_peer peer = {.path = *path};
    struct writer reply = writer_over(worker->reply, sizeof(worker->reply));
    struct coap_commit commit;
    switch (coap_receive(worker->coap, &peer, coap_now_at(io_now_ms(worker->options.io)), message,
                         length, &reply, &commit)) {
    case COAP_REPLY:
        uplink_send(worker->uplink, path, worker->reply, writer_length(&reply));
        break;
    case COAP_SILENCE:
    case COAP_RESET:
    case COAP_COMMIT: /* over DTLS only */
    case COAP_REGISTER:
    case COAP_DROPPED:
        break;
    }
}

static void receive_datagram(void *owner, const struct path *path, uint8_t *datagram, size_t length)
{
    struct worker *worker = owner;
    if (path->listener & FRAME_LISTENER_COAP)
        receive_plain(worker, path, datagram, length);
    else
        dtls_receive(&worker->dtls, io_now_ms(worker->options.io), path, datagram, length);
}

static void reply_committed(struct worker *worker, struct session *session, uint16_t message_id,
                            enum coap_saved saved)
{
    struct writer reply = writer_over(worker->reply, sizeof(worker->reply));
    if (coap_committed(worker->coap, session->id, message_id, saved, io_now_ms(worker->options.io),
                       &reply) == COAP_REPLY)
        dtls_send(&worker->dtls, session, worker->reply, writer_length(&reply));
}

/* DESIGN.md section 7, invariant 2: the reply leaves with this answer. */
static void exchange_saved(void *owner, const struct store_answer *answer)
{
    struct worker *worker = owner;
    const struct cid *cid = &answer->subject;
    struct session *session = session_by_cid(&worker->dtls.sessions, cid->bytes, cid->length);
    enum coap_saved saved = COAP_NOT_STORED;
    worker->commits--;
    switch (answer->outcome) {
    case STORE_STALE:
    case STORE_NOT_FOUND:
        dtls_lose_session(&worker->dtls, cid);
        return;
    case STORE_OK:
        saved = COAP_STORED;
        break;
    case STORE_EXISTS:
    case STORE_UNAVAILABLE:
        break;
    }
    if (session && saved == COAP_NOT_STORED)
        dtls_note_change(&worker->dtls, session); /* the mark that went along may be lost as well */
    if (session)
        reply_committed(worker, session, (uint16_t)answer->tag, saved);
}

static enum dtls_effect save_exchange(struct worker *worker, struct session *session,
                                      const struct coap_commit *commit)
{
    uint8_t mark[STORE_MARK_MAX];
    const struct store_waiter waiter = {exchange_saved, worker, session->own_cid,
                                        commit->message_id};
    const struct store_exchange exchange = {
        .slot = commit->slot,
        .value = commit->value,
        .mark = dtls_carry_mark(&worker->dtls, session, mark),
    };
    if (store_save_exchange(worker->options.store, session->fence, &exchange, commit->event,
                            &waiter) == STATUS_OK) {
        worker->commits++;
        return DTLS_SAVED_WITH_CHANGE;
    }
    reply_committed(worker, session, commit->message_id, COAP_NOT_STORED);
    return DTLS_MAY_HAVE_CHANGED;
}

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
    switch (
        coap_receive(worker->coap, &peer, coap_now_at(now_ms), message, length, &reply, &commit)) {
    case COAP_REPLY:
        dtls_send(&worker->dtls, session, worker->reply, writer_length(&reply));
        return effect_of(message, length);
    case COAP_RESET:
        if (session->ping_sent && commit.message_id == session->ping_id)
            dtls_path_answered(&worker->dtls, session);
        return DTLS_MAY_HAVE_CHANGED;
    case COAP_COMMIT:
        return save_exchange(worker, session, &commit);
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

/* --- downwards --- */

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

/* What CoAP sends of itself. Nothing of the peer's may come for long: the mark is told of the
 * message ids all the same, so that an heir reuses none. */
static void send_message(void *owner, const struct coap_peer *peer, const uint8_t *message,
                         size_t length)
{
    struct worker *worker = owner;
    if (!peer->session) {
        uplink_send(worker->uplink, &peer->path, message, length);
        return;
    }
    dtls_send(&worker->dtls, peer->session, message, length);
    if (peer->session->next_message_id % COAP_MESSAGE_ID_NOTE == 0)
        dtls_note_change(&worker->dtls, peer->session);
}

static void unsave_relation(void *owner, const struct coap_peer *peer, uint8_t slot)
{
    struct worker *worker = owner;
    relation_remove(&worker->relations, peer->session, slot);
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

static struct coap_peer peer_of(struct session *session)
{
    return (struct coap_peer){
        .session_id = session->id, .session = session, .path = session->path};
}

/* An exchange that is unusable is as good as one that was never stored. */
static void restore_session(void *owner, struct session *session,
                            const struct store_answer *claimed)
{
    struct worker *worker = owner;
    struct coap_now now = coap_now_at(io_now_ms(worker->options.io));
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

/* Lost to another worker, perhaps by mistake; or ended, and then the search finds nothing. */
static void stir_heirs(struct worker *worker, const struct session *session)
{
    if (worker->stage == WORKER_SERVING && is_obliged(worker, session) &&
        heirs_route(&worker->heirs, &session->own_cid) == worker_id(worker))
        heirs_stir(&worker->heirs);
}

static void forget_session(void *owner, const struct session *session)
{
    struct worker *worker = owner;
    stir_heirs(worker, session);
    client_forget(&worker->client, session->id);
    coap_forget(worker->coap, session->id);
}

/* --- heirs --- */

static void session_claimed(void *owner, const struct cid *cid, enum store_outcome outcome)
{
    struct worker *worker = owner;
    if (!api_claimed(&worker->api, cid, outcome))
        heirs_claimed(&worker->heirs, outcome);
}

static bool is_reached(void *owner)
{
    const struct worker *worker = owner;
    return uplink_is_reached(worker->uplink);
}

static bool holds_session(void *owner, const struct cid *cid)
{
    struct worker *worker = owner;
    return dtls_holds(&worker->dtls, cid);
}

static enum status claim_session(void *owner, const struct cid *cid)
{
    struct worker *worker = owner;
    return dtls_claim(&worker->dtls, cid);
}

static void give_session(void *owner, const struct cid *cid)
{
    struct worker *worker = owner;
    dtls_give(&worker->dtls, cid);
}

static enum status start_heirs(struct worker *worker, uint16_t id)
{
    uint8_t seed[16];
    enum status status =
        keys_derive(worker->options.cluster_key, KEY_HASH_SEED, NULL, 0, seed, sizeof(seed));
    const struct heirs_options options = {
        .store = worker->options.store,
        .configs = worker->dtls.cids.configs,
        .hash_key = hash_key_from(seed),
        .worker_id = id,
        .metrics = worker->options.metrics,
        .is_reached = is_reached,
        .holds = holds_session,
        .claim = claim_session,
        .give = give_session,
        .owner = worker,
    };
    if (status == STATUS_OK)
        status = heirs_init(&worker->heirs, &options, io_now_ms(worker->options.io));
    return status;
}

/* --- the client role --- */

static void lose_session(void *owner, const struct cid *cid)
{
    struct worker *worker = owner;
    dtls_lose_session(&worker->dtls, cid);
}

static bool find_session(void *owner, const struct cid *cid, struct coap_peer *peer)
{
    struct worker *worker = owner;
    struct session *session = session_by_cid(&worker->dtls.sessions, cid->bytes, cid->length);
    if (session)
        *peer = peer_of(session);
    return session != NULL;
}

static enum status start_client(struct worker *worker, uint16_t id)
{
    uint8_t seed[24];
    enum status status = keys_random(seed, sizeof(seed));
    struct client_options options = {
        .coap = worker->coap,
        .store = worker->options.store,
        .hash_key = hash_key_from(seed),
        .lose = lose_session,
        .owner = worker,
    };
    memcpy(&options.seed, seed + 16, sizeof(options.seed));
    if (status == STATUS_OK)
        status = client_init(&worker->client, &options, io_now_ms(worker->options.io));
    const struct api_options api = {
        .http = worker->options.operators,
        .client = &worker->client,
        .heirs = &worker->heirs,
        .metrics = worker->options.metrics,
        .worker_id = id,
        .find = find_session,
        .claim = claim_session,
        .owner = worker,
    };
    api_init(&worker->api, &api);
    if (status == STATUS_OK)
        http_serve(worker->options.operators, API_PREFIX, api_serve, &worker->api);
    return status;
}

/* --- an id, and what it takes to serve --- */

static enum status start_coap(struct worker *worker, uint16_t id)
{
    uint8_t seed[24];
    uint8_t echo[16];
    enum status status = keys_random(seed, sizeof(seed));
    if (status == STATUS_OK)
        status = keys_derive(worker->options.cluster_key, KEY_ECHO, NULL, 0, echo, sizeof(echo));
    if (status != STATUS_OK)
        return status;
    uint64_t random;
    memcpy(&random, seed + 16, sizeof(random));
    const struct coap_options options = {
        .worker_id = id,
        .plugtest = worker->options.plugtest,
        .hash_key = hash_key_from(seed),
        .echo_key = hash_key_from(echo),
        .seed = random,
        .exchanges_max = COAP_EXCHANGES_MAX,
        .request_rate = worker->options.request_rate,
        .timing = worker->options.timing,
        .observe = worker->options.observe,
        .metrics = worker->options.metrics,
        .send = send_message,
        .unsave = unsave_relation,
        .owner = worker,
    };
    return coap_new(&worker->coap, &options);
}

static enum status start_ps(struct worker *worker)
{
    const struct ps_options options = {
        .coap = worker->coap,
        .store = worker->options.store,
        .publishers = *worker->options.publishers,
        .subscribers = *worker->options.subscribers,
    };
    worker->relations = (struct relations){
        .store = worker->options.store,
        .coap = worker->coap,
        .dtls = &worker->dtls,
        .client = &worker->client,
        .metrics = worker->options.metrics,
    };
    return ps_new(&worker->ps, &options);
}

static enum status start_dtls(struct worker *worker, uint16_t id)
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
        .owner = worker,
    };
    enum status status = dtls_init(&worker->dtls, &dtls, io_now_ms(options->io));
    worker->has_dtls = status == STATUS_OK;
    return status;
}

static void joined(void *owner, uint16_t id)
{
    struct worker *worker = owner;
    enum status status = start_coap(worker, id);
    if (status == STATUS_OK)
        status = start_ps(worker);
    if (status == STATUS_OK)
        status = start_dtls(worker, id);
    if (status == STATUS_OK)
        status = start_heirs(worker, id);
    if (status == STATUS_OK)
        status = start_client(worker, id);
    if (status != STATUS_OK) {
        log_line(LOG_ERROR, "worker", "cannot serve", "id=%u error=%s", id, status_text(status));
        worker->failed = true;
        worker->stage = WORKER_LOST;
        return;
    }
    worker->stage = WORKER_SERVING;
    member_serve(&worker->member);
    log_line(LOG_INFO, "worker", "joined", "id=%u", id);
}

static void lost(void *owner, uint16_t id)
{
    struct worker *worker = owner;
    worker->stage = WORKER_LOST;
    log_line(LOG_ERROR, "worker", "another process has this worker's id", "id=%u", id);
}

/* --- beginning, turns, end --- */

static enum status new_uplink(struct worker *worker)
{
    const struct uplink_options options = {
        .io = worker->options.io,
        .bind = worker->options.link,
        .cluster_key = worker->options.cluster_key,
        .frame_size = worker->options.frame_size,
        .metrics = worker->options.metrics,
        .receive = receive_datagram,
        .owner = worker,
    };
    return uplink_new(&worker->uplink, &options);
}

/* Behind a wildcard, or where addresses are translated, nobody but the operator knows what the link
 * is called by those who are to reach it. */
static struct address advertised_link(const struct worker *worker)
{
    static const struct address none;
    struct address bound = uplink_local_address(worker->uplink);
    struct address link = worker->options.advertise;
    if (address_equal(&link, &none))
        return bound;
    if (link.port == 0)
        link.port = bound.port;
    return link;
}

/* A wildcard is at least where the link is. */
static struct address advertised_http(const struct worker *worker)
{
    static const uint8_t wildcard_v6[16], wildcard_v4[16] = {[10] = 0xff, [11] = 0xff};
    struct address http = worker->options.http;
    struct address link = advertised_link(worker);
    if (memcmp(http.ip, wildcard_v6, sizeof(http.ip)) == 0 ||
        memcmp(http.ip, wildcard_v4, sizeof(http.ip)) == 0)
        memcpy(http.ip, link.ip, sizeof(http.ip));
    return http;
}

static enum status start_member(struct worker *worker)
{
    const struct member_options options = {
        .store = worker->options.store,
        .entry =
            {
                .worker_id = worker->options.id,
                .boot = uplink_boot(worker->uplink),
                .link = advertised_link(worker),
                .http = advertised_http(worker),
            },
        .joined = joined,
        .lost = lost,
        .owner = worker,
    };
    return member_init(&worker->member, &options);
}

enum status worker_new(struct worker **created, const struct worker_options *options)
{
    struct worker *worker = calloc(1, sizeof(*worker));
    if (!worker)
        return STATUS_NO_MEMORY;
    worker->options = *options;
    enum status status = vault_init(&worker->vault, options->cluster_key, options->store_key_id);
    if (status == STATUS_OK)
        status = new_uplink(worker);
    if (status == STATUS_OK)
        status = start_member(worker);
    if (status != STATUS_OK) {
        worker_free(worker);
        return status;
    }
    *created = worker;
    return STATUS_OK;
}

void worker_free(struct worker *worker)
{
    if (!worker)
        return;
    if (worker->options.operators)
        http_serve(worker->options.operators, NULL, NULL, NULL);
    api_free(&worker->api);
    client_free(&worker->client);
    if (worker->has_dtls)
        dtls_free(&worker->dtls);
    heirs_free(&worker->heirs);
    ps_free(worker->ps);
    coap_free(worker->coap);
    uplink_free(worker->uplink);
    vault_free(&worker->vault);
    keys_wipe(worker, sizeof(*worker));
    free(worker);
}

enum worker_stage worker_stage(const struct worker *worker)
{
    return worker->stage;
}

uint16_t worker_id(const struct worker *worker)
{
    return member_id(&worker->member);
}

struct address worker_link_address(const struct worker *worker)
{
    return advertised_link(worker);
}

const char *worker_trouble(const struct worker *worker)
{
    const char *trouble = store_trouble(worker->options.store);
    if (!trouble)
        trouble = member_trouble(&worker->member);
    if (!trouble && worker->stage != WORKER_SERVING)
        trouble = "draining";
    if (!trouble && !cid_source_has(&worker->dtls.cids))
        trouble = "no lease of connection ids";
    return trouble;
}

void worker_drain(struct worker *worker)
{
    switch (worker->stage) {
    case WORKER_JOINING:
        worker->stage = WORKER_STOPPED;
        break;
    case WORKER_SERVING:
        worker->stage = WORKER_DRAINING;
        worker->drain_ms = io_now_ms(worker->options.io);
        member_drain(&worker->member);
        log_line(LOG_INFO, "worker", "draining", "id=%u sessions=%zu", worker_id(worker),
                 worker->dtls.sessions.by_cid.count);
        break;
    case WORKER_DRAINING:
    case WORKER_STOPPED:
    case WORKER_LOST:
        break;
    }
}

static void run_drain(struct worker *worker, uint64_t now_ms)
{
    uint64_t passed_ms = now_ms - worker->drain_ms;
    dtls_save(&worker->dtls);
    if (passed_ms >= DRAIN_LEAST_MS && dtls_is_saved(&worker->dtls) &&
        worker->commits + worker->relations.saving == 0)
        member_leave(&worker->member);
    if (passed_ms >= DRAIN_MOST_MS || member_is_gone(&worker->member))
        worker->stage = WORKER_STOPPED;
}

void worker_run(struct worker *worker, uint64_t now_ms)
{
    if (worker->stage == WORKER_DRAINING)
        run_drain(worker, now_ms);
    member_run(&worker->member, now_ms);
    if (!worker->has_dtls) {
        (void)store_run(worker->options.store, now_ms);
        return;
    }
    const struct coap_now now = coap_now_at(now_ms);
    coap_turn(worker->coap, now); /* the store answers from within dtls_run */
    dtls_run(&worker->dtls, now_ms);
    heirs_run(&worker->heirs, now_ms);
    ps_run(worker->ps, now_ms);
    client_run(&worker->client, now_ms);
    coap_run(worker->coap, now);
    uplink_set_health(worker->uplink, worker_id(worker),
                      worker->stage == WORKER_SERVING ? FRAME_STATE_SERVING : FRAME_STATE_DRAINING,
                      (uint32_t)worker->dtls.sessions.by_cid.count);
    uplink_flush(worker->uplink);
}

static uint64_t sooner(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

uint64_t worker_next_ms(const struct worker *worker)
{
    uint64_t next_ms =
        sooner(member_next_ms(&worker->member), store_next_ms(worker->options.store));
    if (worker->stage == WORKER_DRAINING)
        next_ms = sooner(next_ms, io_now_ms(worker->options.io) + PING_INTERVAL_MS / 2);
    if (!worker->has_dtls)
        return next_ms;
    next_ms = sooner(next_ms, heirs_next_ms(&worker->heirs));
    next_ms = sooner(next_ms, ps_next_ms(worker->ps));
    next_ms = sooner(next_ms, client_next_ms(&worker->client));
    return sooner(next_ms, sooner(dtls_next_ms(&worker->dtls), coap_next_ms(worker->coap)));
}
