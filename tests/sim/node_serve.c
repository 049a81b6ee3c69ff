/* What worker/worker_core.h and its files put around struct dtls and struct coap, function by
 * function. */
#include "tests/sim/sim.h"
#include "worker/message.h"
#include "worker/metrics.h"

#include <assert.h>
#include <stdlib.h>

#define NODE_SESSIONS_MAX 64
#define NODE_HANDSHAKES_MAX 32
#define NODE_EXCHANGES_MAX 1024

uint64_t node_clock_ms(const struct node *node)
{
    return node->sim->now_ms + node->offset_ms;
}

uint64_t node_unix_ms(const struct node *node)
{
    return sim_unix_ms(node->sim) + (uint64_t)node->wall_off_ms;
}

static struct coap_now coap_now_of(const struct node *node)
{
    return (struct coap_now){node_clock_ms(node), node_unix_ms(node)};
}

/* --- upwards --- */

static void reply_committed(struct node *node, struct session *session, uint16_t message_id,
                            enum coap_saved saved)
{
    struct writer reply = writer_over(node->reply, sizeof(node->reply));
    if (coap_committed(node->coap, session->id, message_id, saved, node_clock_ms(node), &reply) ==
        COAP_REPLY)
        dtls_send(node->dtls, session, node->reply, writer_length(&reply));
}

static void exchange_saved(void *owner, const struct store_answer *answer)
{
    struct node *node = owner;
    const struct cid *cid = &answer->subject;
    struct session *session = session_by_cid(&node->dtls->sessions, cid->bytes, cid->length);
    enum coap_saved saved = COAP_NOT_STORED;
    switch (answer->outcome) {
    case STORE_STALE:
    case STORE_NOT_FOUND:
        dtls_lose_session(node->dtls, cid);
        return;
    case STORE_OK:
        saved = COAP_STORED;
        break;
    case STORE_EXISTS:
    case STORE_UNAVAILABLE:
        break;
    }
    if (session && saved == COAP_NOT_STORED)
        dtls_note_change(node->dtls, session); /* the mark that went along may be lost as well */
    if (session)
        reply_committed(node, session, (uint16_t)answer->tag, saved);
}

static enum dtls_effect save_exchange(struct node *node, struct session *session,
                                      const struct coap_commit *commit)
{
    uint8_t mark[STORE_MARK_MAX];
    const struct store_waiter waiter = {exchange_saved, node, session->own_cid, commit->message_id};
    const struct store_exchange exchange = {
        .slot = commit->slot,
        .value = commit->value,
        .mark = dtls_carry_mark(node->dtls, session, mark),
    };
    if (store_save_exchange(node->store, session->fence, &exchange, commit->event, &waiter) ==
        STATUS_OK)
        return DTLS_SAVED_WITH_CHANGE;
    reply_committed(node, session, commit->message_id, COAP_NOT_STORED);
    return DTLS_MAY_HAVE_CHANGED;
}

static enum dtls_effect effect_of(const uint8_t *message, size_t length)
{
    return message_is_safe(message, length) ? DTLS_CHANGED_NOTHING : DTLS_MAY_HAVE_CHANGED;
}

static enum dtls_effect receive_content(void *owner, struct session *session, uint64_t now_ms,
                                        const uint8_t *message, size_t length)
{
    struct node *node = owner;
    (void)now_ms;
    oracle_look(node->sim, node);
    oracle_heard(node->sim, node, session, message, length);
    const struct coap_peer peer = {
        .session_id = session->id, .session = session, .path = session->path};
    struct writer reply = writer_over(node->reply, sizeof(node->reply));
    struct coap_commit commit;
    oracle_asked(node->sim, node, session, message, length);
    switch (coap_receive(node->coap, &peer, coap_now_of(node), message, length, &reply, &commit)) {
    case COAP_REPLY:
        dtls_send(node->dtls, session, node->reply, writer_length(&reply));
        return effect_of(message, length);
    case COAP_RESET:
        if (session->ping_sent && commit.message_id == session->ping_id)
            dtls_path_answered(node->dtls, session);
        return DTLS_MAY_HAVE_CHANGED;
    case COAP_COMMIT:
        return save_exchange(node, session, &commit);
    case COAP_REGISTER:
        relation_save(&node->relations, session, &commit);
        return DTLS_MAY_HAVE_CHANGED;
    case COAP_DROPPED:
        return effect_of(message, length);
    case COAP_SILENCE:
        break;
    }
    return DTLS_MAY_HAVE_CHANGED;
}

/* --- downwards --- */

static bool is_alive(const struct node *node, size_t lb)
{
    return node->lb_heard_ms[lb] > 0 &&
           node->sim->now_ms - node->lb_heard_ms[lb] < UPLINK_LB_SILENT_MS;
}

/* The lb that is meant while it lives, else any. */
static size_t lb_for(const struct node *node, size_t meant)
{
    if (meant < SIM_LBS && is_alive(node, meant))
        return meant;
    for (size_t i = 0; i < SIM_LBS; i++)
        if (is_alive(node, i))
            return i;
    return meant;
}

static void send_datagram(void *owner, const struct path *path, const uint8_t *datagram,
                          size_t length)
{
    struct node *node = owner;
    struct sim *sim = node->sim;
    oracle_sealed(sim, node, &path->address, datagram, length);
    size_t lb = lb_for(node, path->lb);
    if (lb >= SIM_LBS)
        return;
    uint64_t due_ms = weather_link_way(sim, lb, node->index);
    trace_line(&sim->trace, sim->now_ms, "worker %zu: %zu octets to port %u by lb %zu%s",
               node->index, length, path->address.port, lb, due_ms == UINT64_MAX ? " (lost)" : "");
    if (due_ms == UINT64_MAX)
        return;
    struct step *step = steps_add(&sim->steps, due_ms, STEP_LB_REPLY, lb, datagram, length);
    step->address = path->address;
    step->to_boot = node->lbs[lb];
}

/* Of the lb's place in the simulation, which all nodes know. */
static uint32_t lb_name(void *owner, uint8_t lb)
{
    (void)owner;
    return lb < SIM_LBS ? 1u + lb : 0;
}

static uint8_t find_lb(void *owner, uint32_t name)
{
    (void)owner;
    return name <= SIM_LBS ? (uint8_t)(name - 1) : PATH_LB_UNKNOWN;
}

static void send_message(void *owner, const struct coap_peer *peer, const uint8_t *message,
                         size_t length)
{
    struct node *node = owner;
    if (!peer->session)
        return;
    oracle_said(node->sim, node, peer->session, message, length);
    dtls_send(node->dtls, peer->session, message, length);
    if (peer->session->next_message_id % COAP_MESSAGE_ID_NOTE == 0)
        dtls_note_change(node->dtls, peer->session);
}

static void doubt_ownership(void *owner, const struct coap_peer *peer)
{
    struct node *node = owner;
    if (peer->session)
        dtls_note_change(node->dtls, peer->session);
}

static void unsave_relation(void *owner, const struct coap_peer *peer, uint8_t slot)
{
    struct node *node = owner;
    relation_remove(&node->relations, peer->session, slot);
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

static void restore_session(void *owner, struct session *session,
                            const struct store_answer *claimed)
{
    struct node *node = owner;
    oracle_adopted(node->sim, node, session);
    for (size_t i = 0; i < claimed->exchange_count; i++) {
        enum status status =
            coap_restore(node->coap, session->id, coap_now_of(node), claimed->exchanges[i].value);
        if (status != STATUS_OK)
            sim_violated(node->sim, INVARIANT_COMMIT, "an exchange could not be restored: %s",
                         status_text(status));
    }
    relations_restore(&node->relations, session, claimed, coap_now_of(node));
}

static bool is_obliged(void *owner, const struct session *session)
{
    const struct node *node = owner;
    return coap_has_observer(node->coap, &(struct coap_peer){.session_id = session->id});
}

static void note_lost(void *owner, const struct session *session)
{
    struct node *node = owner;
    if (node->stage == NODE_SERVING && session->uses_cid && is_obliged(node, session) &&
        heirs_route(&node->heirs, &session->own_cid) == member_id(&node->member))
        heirs_miss(&node->heirs, &session->own_cid);
}

static void note_missed(void *owner, const struct cid *cid)
{
    struct node *node = owner;
    trace_line(&node->sim->trace, node->sim->now_ms, "worker %zu: misses %s", node->index,
               sim_name(cid));
    if (node->stage == NODE_SERVING)
        heirs_miss(&node->heirs, cid);
}

static void forget_session(void *owner, const struct session *session)
{
    struct node *node = owner;
    oracle_look(node->sim, node);
    oracle_left(node->sim, node, session);
    coap_forget(node->coap, session->id);
    trace_line(&node->sim->trace, node->sim->now_ms, "worker %zu: lets go of %s", node->index,
               sim_name(&session->own_cid));
}

/* --- heirs --- */

static void session_claimed(void *owner, const struct cid *cid, enum store_outcome outcome)
{
    struct node *node = owner;
    trace_line(&node->sim->trace, node->sim->now_ms, "worker %zu: inherits %s outcome=%d",
               node->index, sim_name(cid), (int)outcome);
    heirs_claimed(&node->heirs, outcome);
}

static void session_checked(void *owner, const struct cid *cid, enum store_outcome outcome)
{
    struct node *node = owner;
    heirs_checked(&node->heirs, cid, outcome);
}

static bool is_reached(void *owner)
{
    const struct node *node = owner;
    for (size_t i = 0; i < SIM_LBS; i++)
        if (is_alive(node, i))
            return true;
    return false;
}

static bool holds_session(void *owner, const struct cid *cid)
{
    const struct node *node = owner;
    return dtls_holds(node->dtls, cid);
}

static enum status claim_session(void *owner, const struct cid *cid)
{
    struct node *node = owner;
    return dtls_claim(node->dtls, cid);
}

static enum status check_session(void *owner, const struct cid *cid)
{
    struct node *node = owner;
    return dtls_check(node->dtls, cid);
}

static void start_heirs(struct node *node, uint16_t id)
{
    uint8_t seed[16];
    enum status status = keys_derive(&node->sim->key, KEY_HASH_SEED, NULL, 0, seed, sizeof(seed));
    assert(status == STATUS_OK);
    const struct heirs_options options = {
        .store = node->store,
        .configs = node->dtls->cids.configs,
        .hash_key = hash_key_from(seed),
        .worker_id = id,
        .metrics = &node->metrics,
        .is_reached = is_reached,
        .holds = holds_session,
        .claim = claim_session,
        .check = check_session,
        .owner = node,
    };
    status = heirs_init(&node->heirs, &options, node_clock_ms(node));
    assert(status == STATUS_OK);
}

/* --- an id, and what it takes to serve --- */

static void start_coap(struct node *node, uint16_t id)
{
    const struct coap_options options = {
        .worker_id = id,
        .hash_key = {node->life, 2},
        .seed = node->life,
        .exchanges_max = NODE_EXCHANGES_MAX,
        .timing = node->sim->timing,
        .observe = node->sim->observe,
        .metrics = &node->metrics,
        .send = send_message,
        .unanswered = doubt_ownership,
        .unsave = unsave_relation,
        .owner = node,
    };
    enum status status = coap_new(&node->coap, &options);
    assert(status == STATUS_OK);
}

static void start_ps(struct node *node)
{
    struct ps_options options = {.coap = node->coap, .store = node->store};
    enum status status = permissions_parse(&options.publishers, "*");
    assert(status == STATUS_OK);
    options.subscribers = options.publishers;
    status = ps_new(&node->ps, &options);
    assert(status == STATUS_OK);
}

static void start_dtls(struct node *node, uint16_t id)
{
    const struct dtls_options options = {
        .cluster_key = &node->sim->key,
        .store = node->store,
        .identities = &node->identities,
        .vault = &node->vault,
        .metrics = &node->metrics,
        .worker_id = id,
        .cid_length = CID_LENGTH_DEFAULT,
        .cid_config_id = SIM_CID_CONFIG,
        .sessions_max = NODE_SESSIONS_MAX,
        .handshakes_max = NODE_HANDSHAKES_MAX,
        .session_idle_s = SESSION_IDLE_S_DEFAULT,
        .backlog_octets = BACKLOG_OCTETS,
        .mark_later_ms = SIM_MARK_LATER_MS,
        .lbs = {lb_name, find_lb, node},
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
        .owner = node,
    };
    node->dtls = calloc(1, sizeof(*node->dtls));
    assert(node->dtls);
    enum status status = dtls_init(node->dtls, &options, node_clock_ms(node));
    assert(status == STATUS_OK);
}

void node_serve(struct node *node, uint16_t id)
{
    start_coap(node, id);
    start_ps(node);
    start_dtls(node, id);
    node->relations = (struct relations){
        .store = node->store,
        .coap = node->coap,
        .dtls = node->dtls,
        .metrics = &node->metrics,
    };
    start_heirs(node, id);
}

void node_stop_serving(struct node *node)
{
    if (!node->dtls)
        return;
    dtls_free(node->dtls);
    free(node->dtls);
    heirs_free(&node->heirs);
    ps_free(node->ps);
    coap_free(node->coap);
    node->dtls = NULL;
    node->coap = NULL;
}
