#include "worker/relations.h"

#include "worker/client.h"
#include "worker/coap_peer.h"
#include "worker/dtls.h"
#include "worker/metrics.h"
#include "worker/relation_value.h"

#include <string.h>

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

static void remember_removed(struct relations *relations, const struct cid *cid, uint8_t slot)
{
    if (relations->removed_count == RELATIONS_REMOVED_MAX)
        return;
    if (relations->removed_count == 0)
        relations->removed_due_ms = relations->now_ms + RELATION_RETRY_MS;
    relations->removed[relations->removed_count++] =
        (struct relation_name){.cid = *cid, .slot = slot};
}

static struct session *find_session(struct relations *relations, const struct cid *cid)
{
    return session_by_cid(&relations->dtls->sessions, cid->bytes, cid->length);
}

/* A removal's tag: the fence that it was asked with, and the slot. A refusal of one that was asked
 * before a claim of ours says nothing of whose the session is: the relation has come back by it. */
static uint64_t tag_of(const struct session *session, uint8_t slot)
{
    return (uint64_t)session->fence << 8 | slot;
}

static void relation_removed(void *owner, const struct store_answer *answer)
{
    struct relations *relations = owner;
    const struct session *session = find_session(relations, &answer->subject);
    switch (answer->outcome) {
    case STORE_STALE:
    case STORE_NOT_FOUND:
        if (session && answer->tag >> 8 < session->fence)
            remember_removed(relations, &answer->subject, (uint8_t)answer->tag);
        else
            dtls_lose_session(relations->dtls, &answer->subject);
        break;
    case STORE_UNAVAILABLE:
        remember_removed(relations, &answer->subject, (uint8_t)answer->tag);
        break;
    case STORE_OK:
    case STORE_EXISTS:
        break;
    }
}

void relation_remove(struct relations *relations, const struct session *session, uint8_t slot)
{
    const struct store_waiter waiter = {relation_removed, relations, session->own_cid,
                                        tag_of(session, slot)};
    const struct store_relation relation = {.slot = slot};
    if (store_save_relation(relations->store, session->fence, &relation,
                            (struct octets){.length = 0}, &waiter) != STATUS_OK)
        remember_removed(relations, &session->own_cid, slot);
}

uint64_t relations_next_ms(const struct relations *relations)
{
    return relations->removed_count > 0 ? relations->removed_due_ms : UINT64_MAX;
}

/* Each once: what fails again is remembered again, behind them. */
void relations_run(struct relations *relations, uint64_t now_ms)
{
    relations->now_ms = now_ms;
    if (now_ms < relations_next_ms(relations))
        return;
    if (store_trouble(relations->store)) {
        relations->removed_due_ms = now_ms + RELATION_RETRY_MS;
        return;
    }
    struct relation_name due[RELATIONS_REMOVED_MAX];
    size_t count = relations->removed_count;
    memcpy(due, relations->removed, count * sizeof(due[0]));
    relations->removed_count = 0;
    for (size_t i = 0; i < count; i++) {
        const struct cid *cid = &due[i].cid;
        const struct session *session = find_session(relations, cid);
        const struct coap_peer peer = {.session_id = session ? session->id : 0};
        if (session && !coap_has_observer_in(relations->coap, &peer, due[i].slot))
            relation_remove(relations, session, due[i].slot);
    }
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
