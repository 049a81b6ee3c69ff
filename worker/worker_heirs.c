#include "worker/worker_core.h"

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

enum status worker_claim_session(void *owner, const struct cid *cid)
{
    struct worker *worker = owner;
    return dtls_claim(&worker->dtls, cid);
}

static enum status check_session(void *owner, const struct cid *cid)
{
    struct worker *worker = owner;
    return dtls_check(&worker->dtls, cid);
}

enum status worker_start_heirs(struct worker *worker, uint16_t id)
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
        .claim = worker_claim_session,
        .check = check_session,
        .owner = worker,
    };
    if (status == STATUS_OK)
        status = heirs_init(&worker->heirs, &options, io_now_ms(worker->options.io));
    return status;
}
