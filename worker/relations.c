#include "worker/relations.h"

#include "worker/client.h"
#include "worker/coap_peer.h"
#include "worker/dtls.h"
#include "worker/metrics.h"
#include "worker/relation_value.h"

static void relation_saved(void *owner, const struct store_answer *answer)
{
    struct relations *relations = owner;
    const struct cid *cid = &answer->subject;
    enum coap_saved saved = COAP_NOT_STORED;
    relations->saving--;
    switch (answer->outcome) {
    case STORE_STALE:
    case STORE_NOT_FOUND:
        dtls_lose_session(relations->dtls, cid);
        return;
    case STORE_OK:
        saved = COAP_STORED;
        break;
    case STORE_EXISTS:
    case STORE_UNAVAILABLE:
        break;
    }
    coap_registered(relations->coap, answer->tag, saved);
}

void relation_save(struct relations *relations, struct session *session,
                   const struct coap_commit *commit)
{
    const struct store_waiter waiter = {relation_saved, relations, session->own_cid,
                                        commit->ticket};
    const struct store_relation relation = {.slot = commit->slot, .value = commit->value};
    if (store_save_relation(relations->store, session->fence, &relation,
                            (struct octets){.length = 0}, &waiter) == STATUS_OK)
        relations->saving++;
    else
        coap_registered(relations->coap, commit->ticket, COAP_NOT_STORED);
}

/* One that stays in the store all the same is told by an heir once more, and ends then. */
static void relation_removed(void *owner, const struct store_answer *answer)
{
    struct relations *relations = owner;
    switch (answer->outcome) {
    case STORE_STALE:
    case STORE_NOT_FOUND:
        dtls_lose_session(relations->dtls, &answer->subject);
        break;
    case STORE_OK:
    case STORE_EXISTS:
    case STORE_UNAVAILABLE:
        break;
    }
}

void relation_remove(struct relations *relations, const struct session *session, uint8_t slot)
{
    const struct store_waiter waiter = {relation_removed, relations, session->own_cid, 0};
    const struct store_relation relation = {.slot = slot};
    (void)!store_save_relation(relations->store, session->fence, &relation,
                               (struct octets){.length = 0}, &waiter);
}

static enum status restore(struct relations *relations, struct session *session,
                           const struct store_relation *relation, struct coap_now now)
{
    const struct coap_peer peer = {session->id, session, session->path};
    struct relation_value value;
    enum status status = relation_value_read(&value, relation->value);
    if (status != STATUS_OK)
        return status;
    switch (value.role) {
    case RELATION_OBSERVER:
        return coap_restore_observer(relations->coap, &peer, relation->slot, &value, now);
    case RELATION_OBSERVATION:
        return observation_restore(&relations->client->observations, &peer, relation->slot, &value);
    }
    return STATUS_UNSUPPORTED;
}

void relations_restore(struct relations *relations, struct session *session,
                       const struct store_answer *claimed, struct coap_now now)
{
    for (size_t i = 0; i < claimed->relation_count; i++) {
        if (restore(relations, session, &claimed->relations[i], now) != STATUS_OK)
            metrics_add(relations->metrics, 0, WORKER_STORED_FORMAT, 1);
    }
}
