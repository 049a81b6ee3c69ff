/* The asking half: what cannot be is refused at once, the rest is taken. */
#include "shared/store_batch.h"

/* About a session, which a CID has to name. */
static enum status take_for_session(struct store *store, const struct store_question *asked,
                                    const struct store_waiter *waiter)
{
    if (waiter->subject.length == 0 || waiter->subject.length > CID_LENGTH_MAX)
        return STATUS_MALFORMED;
    return store_batch_take(store, asked, waiter);
}

enum status store_batch_fetch_identity(struct store *store, struct octets identity,
                                       const struct store_waiter *waiter)
{
    if (identity.length > IDENTITY_LENGTH_MAX)
        return STATUS_TOO_LONG;
    return store_batch_take(
        store, &(struct store_question){.kind = STORE_FETCH_IDENTITY, .first = identity}, waiter);
}

enum status store_batch_put_identity(struct store *store, struct octets identity,
                                     struct octets sealed, const struct store_waiter *waiter)
{
    if (identity.length == 0)
        return STATUS_MALFORMED;
    if (identity.length > IDENTITY_LENGTH_MAX || sealed.length > STORE_SEALED_MAX)
        return STATUS_TOO_LONG;
    return store_batch_take(
        store,
        &(struct store_question){.kind = STORE_PUT_IDENTITY, .first = identity, .second = sealed},
        waiter);
}

enum status store_batch_create_session(struct store *store, const struct store_session *session,
                                       const struct store_waiter *waiter)
{
    if (session->sealed.length > STORE_SEALED_MAX || session->mark.length > STORE_MARK_MAX)
        return STATUS_TOO_LONG;
    struct store_question asked = {
        .kind = STORE_CREATE_SESSION, .first = session->sealed, .second = session->mark};
    if (session->address) {
        asked.has_address = true;
        asked.address = *session->address;
    }
    return take_for_session(store, &asked, waiter);
}

enum status store_batch_claim_session(struct store *store, uint16_t worker_id,
                                      const struct store_waiter *waiter)
{
    return take_for_session(
        store, &(struct store_question){.kind = STORE_CLAIM_SESSION, .worker_id = worker_id},
        waiter);
}

enum status store_batch_find_session(struct store *store, const struct address *address,
                                     const struct store_waiter *waiter)
{
    return store_batch_take(store,
                            &(struct store_question){.kind = STORE_FIND_SESSION,
                                                     .has_address = true,
                                                     .address = *address},
                            waiter);
}

enum status store_batch_lease_sequences(struct store *store, uint64_t fence,
                                        const struct store_waiter *waiter)
{
    return take_for_session(
        store, &(struct store_question){.kind = STORE_LEASE_SEQUENCES, .fence = fence}, waiter);
}

enum status store_batch_save_mark(struct store *store, uint64_t fence, struct octets mark,
                                  const struct store_waiter *waiter)
{
    if (mark.length > STORE_MARK_MAX)
        return STATUS_TOO_LONG;
    return take_for_session(
        store, &(struct store_question){.kind = STORE_SAVE_MARK, .fence = fence, .first = mark},
        waiter);
}

enum status store_batch_save_exchange(struct store *store, uint64_t fence,
                                      const struct store_exchange *exchange, struct octets event,
                                      const struct store_waiter *waiter)
{
    if (exchange->slot >= COAP_EXCHANGES_PER_PEER_MAX)
        return STATUS_MALFORMED;
    if (exchange->value.length > STORE_EXCHANGE_MAX || event.length > STORE_EVENT_MAX ||
        exchange->mark.length > STORE_MARK_MAX)
        return STATUS_TOO_LONG;
    return take_for_session(store,
                            &(struct store_question){.kind = STORE_SAVE_EXCHANGE,
                                                     .fence = fence,
                                                     .slot = exchange->slot,
                                                     .first = exchange->value,
                                                     .second = event,
                                                     .third = exchange->mark},
                            waiter);
}

enum status store_batch_save_relation(struct store *store, uint64_t fence,
                                      const struct store_relation *relation, struct octets event,
                                      const struct store_waiter *waiter)
{
    if (relation->slot >= RELATIONS_PER_SESSION_MAX)
        return STATUS_MALFORMED;
    if (relation->value.length > STORE_RELATION_MAX || event.length > STORE_LONG_EVENT_MAX)
        return STATUS_TOO_LONG;
    return take_for_session(store,
                            &(struct store_question){.kind = STORE_SAVE_RELATION,
                                                     .fence = fence,
                                                     .slot = relation->slot,
                                                     .first = relation->value,
                                                     .second = event},
                            waiter);
}

enum status store_batch_remove_session(struct store *store, uint64_t fence,
                                       const struct store_waiter *waiter)
{
    return take_for_session(
        store, &(struct store_question){.kind = STORE_REMOVE_SESSION, .fence = fence}, waiter);
}

enum status store_batch_list_obliged(struct store *store, uint8_t page, uint64_t from,
                                     const struct store_waiter *waiter)
{
    return store_batch_take(
        store, &(struct store_question){.kind = STORE_LIST_OBLIGED, .page = page, .from = from},
        waiter);
}

enum status store_batch_lease_nonces(struct store *store, uint8_t cid_config,
                                     const struct store_waiter *waiter)
{
    if (cid_config >= CID_CONFIGS_MAX)
        return STATUS_UNSUPPORTED;
    return store_batch_take(
        store, &(struct store_question){.kind = STORE_LEASE_NONCES, .cid_config = cid_config},
        waiter);
}

static enum status take_member(struct store *store, enum store_question_kind kind,
                               const struct store_member *member, const struct store_waiter *waiter)
{
    return store_batch_take(store, &(struct store_question){.kind = kind, .member = *member},
                            waiter);
}

enum status store_batch_join(struct store *store, const struct store_member *member,
                             const struct store_waiter *waiter)
{
    return take_member(store, STORE_JOIN, member, waiter);
}

enum status store_batch_beat(struct store *store, const struct store_member *member,
                             const struct store_waiter *waiter)
{
    return take_member(store, STORE_BEAT, member, waiter);
}

enum status store_batch_leave(struct store *store, const struct store_member *member,
                              const struct store_waiter *waiter)
{
    return take_member(store, STORE_LEAVE, member, waiter);
}

enum status store_batch_list_members(struct store *store, const struct store_waiter *waiter)
{
    return store_batch_take(store, &(struct store_question){.kind = STORE_LIST_MEMBERS}, waiter);
}

static enum status take_topic(struct store *store, const struct store_question *asked,
                              const struct store_waiter *waiter)
{
    if (asked->first.length > STORE_TOPIC_NAME_MAX || asked->second.length > STORE_TOPIC_MAX)
        return STATUS_TOO_LONG;
    return asked->first.length == 0 ? STATUS_MALFORMED : store_batch_take(store, asked, waiter);
}

enum status store_batch_put_topic(struct store *store, struct octets name,
                                  enum store_topic_mode mode, struct octets value,
                                  const struct store_waiter *waiter)
{
    return take_topic(store,
                      &(struct store_question){
                          .kind = STORE_PUT_TOPIC, .mode = mode, .first = name, .second = value},
                      waiter);
}

enum status store_batch_get_topic(struct store *store, struct octets name,
                                  const struct store_waiter *waiter)
{
    return take_topic(store, &(struct store_question){.kind = STORE_GET_TOPIC, .first = name},
                      waiter);
}

enum status store_batch_remove_topic(struct store *store, struct octets name,
                                     const struct store_waiter *waiter)
{
    return take_topic(store, &(struct store_question){.kind = STORE_REMOVE_TOPIC, .first = name},
                      waiter);
}

enum status store_batch_list_topics(struct store *store, struct octets after,
                                    const struct store_waiter *waiter)
{
    if (after.length > STORE_TOPIC_NAME_MAX)
        return STATUS_TOO_LONG;
    return store_batch_take(
        store, &(struct store_question){.kind = STORE_LIST_TOPICS, .first = after}, waiter);
}

enum status store_batch_list_changes(struct store *store, uint64_t after,
                                     const struct store_waiter *waiter)
{
    return store_batch_take(
        store, &(struct store_question){.kind = STORE_LIST_CHANGES, .from = after}, waiter);
}
