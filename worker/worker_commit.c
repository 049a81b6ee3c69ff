#include "worker/worker_core.h"

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

enum dtls_effect worker_save_exchange(struct worker *worker, struct session *session,
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
