#include "worker/worker_core.h"

#include "worker/message.h"

#include <string.h>

/* --- plain CoAP, in datagrams --- */

void worker_receive_plain(struct worker *worker, const struct path *path, const uint8_t *message,
                          size_t length)
{
    const struct coap_peer peer = {.path = *path};
    struct writer reply = writer_over(worker->reply, sizeof(worker->reply));
    struct coap_commit commit;
    switch (coap_receive(worker->coap, &peer, worker_coap_now(io_now_ms(worker->options.io)),
                         message, length, &reply, &commit)) {
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

/* --- what CoAP asks for --- */

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

/* Silence may mean that the session has another owner by now, and that its peer drops what a copy
 * seals, whose numbers are old. The store tells at the next write. */
static void doubt_ownership(void *owner, const struct coap_peer *peer)
{
    struct worker *worker = owner;
    if (peer->session)
        dtls_note_change(&worker->dtls, peer->session);
}

static void unsave_relation(void *owner, const struct coap_peer *peer, uint8_t slot)
{
    struct worker *worker = owner;
    relation_remove(&worker->relations, peer->session, slot);
}

/* --- beginning --- */

enum status worker_start_coap(struct worker *worker, uint16_t id)
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
        .unanswered = doubt_ownership,
        .unsave = unsave_relation,
        .owner = worker,
    };
    return coap_new(&worker->coap, &options);
}

enum status worker_start_ps(struct worker *worker)
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
