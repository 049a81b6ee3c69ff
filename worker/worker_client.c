#include "worker/worker_core.h"

#include <string.h>

static void lose_session(void *owner, const struct cid *cid)
{
    struct worker *worker = owner;
    dtls_lose_session(&worker->dtls, cid);
}

static struct coap_peer peer_of(struct session *session)
{
    return (struct coap_peer){.session_id = session->id, .session = session, .path = session->path};
}

static bool find_session(void *owner, const struct cid *cid, struct coap_peer *peer)
{
    struct worker *worker = owner;
    struct session *session = session_by_cid(&worker->dtls.sessions, cid->bytes, cid->length);
    if (session)
        *peer = peer_of(session);
    return session != NULL;
}

enum status worker_start_client(struct worker *worker, uint16_t id)
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
        .claim = worker_claim_session,
        .owner = worker,
    };
    api_init(&worker->api, &api);
    if (status == STATUS_OK)
        http_serve(worker->options.operators, API_PREFIX, api_serve, &worker->api);
    return status;
}
