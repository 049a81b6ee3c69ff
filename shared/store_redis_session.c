/* What is asked about a session: each one a script on the session's own slot. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shared/store_redis.h"

#define FENCE_SIZE 8

static bool is_cid(const struct cid *cid)
{
    return cid->length > 0 && cid->length <= CID_LENGTH_MAX;
}

static void write_fence(uint8_t bytes[FENCE_SIZE], uint64_t fence)
{
    struct writer writer = writer_over(bytes, FENCE_SIZE);
    writer_u64(&writer, fence);
}

static void add_lease(struct store_redis *store)
{
    redis_command_text(&store->command, store->texts.ttl_ms);
    redis_command_text(&store->command, store->texts.lease);
    redis_command_text(&store->command, store->texts.reserved);
}

static struct redis_question *set_address(struct store_redis *store, const uint8_t *address,
                                          const struct cid *cid)
{
    struct redis_key key = store_redis_plain_key(store, 'a', address, ADDRESS_WIRE_SIZE);
    store_redis_begin(store, "SET");
    store_redis_add(store, &key);
    redis_command_add(&store->command, cid->bytes, cid->length);
    redis_command_text(&store->command, "PX");
    redis_command_text(&store->command, store->texts.ttl_ms);
    return store_redis_make(store, QUESTION_ADDRESS_SET, NULL, &key, REDIS_SCRIPTS);
}

enum status store_redis_create(struct store *base, const struct store_session *session,
                               const struct store_waiter *waiter)
{
    struct store_redis *store = store_redis_of(base);
    if (session->sealed.length > STORE_SEALED_MAX || session->mark.length > STORE_MARK_MAX)
        return STATUS_TOO_LONG;
    if (!is_cid(&waiter->subject))
        return STATUS_MALFORMED;

    uint8_t address[ADDRESS_WIRE_SIZE];
    struct redis_question *then = NULL;
    if (session->address) {
        struct writer writer = writer_over(address, sizeof address);
        address_write(&writer, session->address);
        then = set_address(store, address, &waiter->subject);
        if (!then)
            return STATUS_NO_MEMORY;
    }
    struct redis_key key = store_redis_session_key(store, 's', &waiter->subject);
    store_redis_begin_script(store, REDIS_CREATE, "1");
    store_redis_add(store, &key);
    add_lease(store);
    redis_command_add(&store->command, session->sealed.bytes, session->sealed.length);
    redis_command_add(&store->command, session->mark.bytes, session->mark.length);
    redis_command_add(&store->command, address, session->address ? sizeof address : 0);
    struct redis_question *question =
        store_redis_make(store, QUESTION_CREATE, waiter, &key, REDIS_CREATE);
    if (!question) {
        free(then);
        return STATUS_NO_MEMORY;
    }
    question->then = then;
    return store_redis_take(store, question, &key);
}

enum status store_redis_claim(struct store *base, uint16_t worker_id,
                              const struct store_waiter *waiter)
{
    struct store_redis *store = store_redis_of(base);
    if (!is_cid(&waiter->subject))
        return STATUS_MALFORMED;
    const uint8_t owner[2] = {(uint8_t)(worker_id >> 8), (uint8_t)worker_id};
    struct redis_key key = store_redis_session_key(store, 's', &waiter->subject);
    struct redis_key exchanges = store_redis_session_key(store, 'x', &waiter->subject);
    store_redis_begin_script(store, REDIS_CLAIM, "2");
    store_redis_add(store, &key);
    store_redis_add(store, &exchanges);
    add_lease(store);
    redis_command_add(&store->command, owner, sizeof owner);
    struct redis_question *question =
        store_redis_make(store, QUESTION_CLAIM, waiter, &key, REDIS_CLAIM);
    return store_redis_take(store, question, &key);
}

enum status store_redis_lease_sequences(struct store *base, uint64_t fence,
                                        const struct store_waiter *waiter)
{
    struct store_redis *store = store_redis_of(base);
    if (!is_cid(&waiter->subject))
        return STATUS_MALFORMED;
    uint8_t bytes[FENCE_SIZE];
    write_fence(bytes, fence);
    struct redis_key key = store_redis_session_key(store, 's', &waiter->subject);
    store_redis_begin_script(store, REDIS_LEASE, "1");
    store_redis_add(store, &key);
    add_lease(store);
    redis_command_add(&store->command, bytes, sizeof bytes);
    struct redis_question *question =
        store_redis_make(store, QUESTION_LEASE, waiter, &key, REDIS_LEASE);
    return store_redis_take(store, question, &key);
}

enum status store_redis_save_exchange(struct store *base, uint64_t fence,
                                      const struct store_exchange *exchange, struct octets event,
                                      const struct store_waiter *waiter)
{
    struct store_redis *store = store_redis_of(base);
    if (exchange->slot >= COAP_EXCHANGES_PER_PEER_MAX || !is_cid(&waiter->subject))
        return STATUS_MALFORMED;
    if (exchange->value.length > STORE_EXCHANGE_MAX || event.length > STORE_EVENT_MAX ||
        exchange->mark.length > STORE_MARK_MAX)
        return STATUS_TOO_LONG;
    uint8_t bytes[FENCE_SIZE];
    char slot[4];
    write_fence(bytes, fence);
    (void)snprintf(slot, sizeof slot, "%u", exchange->slot);
    struct redis_key key = store_redis_session_key(store, 's', &waiter->subject);
    struct redis_key exchanges = store_redis_session_key(store, 'x', &waiter->subject);
    struct redis_key log = store_redis_session_key(store, 'l', &waiter->subject);
    struct redis_command *command = &store->command;
    store_redis_begin_script(store, REDIS_EXCHANGE, "3");
    store_redis_add(store, &key);
    store_redis_add(store, &exchanges);
    store_redis_add(store, &log);
    redis_command_text(command, store->texts.ttl_ms);
    redis_command_add(command, bytes, sizeof bytes);
    redis_command_text(command, slot);
    redis_command_add(command, exchange->value.bytes, exchange->value.length);
    redis_command_text(command, store->texts.exchange_ms);
    redis_command_add(command, event.bytes, event.length);
    redis_command_text(command, store->texts.events);
    redis_command_add(command, exchange->mark.bytes, exchange->mark.length);
    redis_command_text(command, store->texts.name_at);
    redis_command_text(command, store->texts.name_length);
    struct redis_question *question =
        store_redis_make(store, QUESTION_EXCHANGE, waiter, &key, REDIS_EXCHANGE);
    if (question)
        question->has_event = event.length > 0;
    return store_redis_take(store, question, &key);
}
_Static_assert(COAP_EXCHANGES_PER_PEER_MAX <= 256, "a slot is an octet of a claim's answer");

enum status store_redis_save_relation(struct store *base, uint64_t fence,
                                      const struct store_relation *relation, struct octets event,
                                      const struct store_waiter *waiter)
{
    struct store_redis *store = store_redis_of(base);
    if (relation->slot >= RELATIONS_PER_SESSION_MAX || !is_cid(&waiter->subject))
        return STATUS_MALFORMED;
    if (relation->value.length > STORE_RELATION_MAX || event.length > STORE_LONG_EVENT_MAX)
        return STATUS_TOO_LONG;
    uint8_t bytes[FENCE_SIZE];
    char slot[4];
    write_fence(bytes, fence);
    (void)snprintf(slot, sizeof slot, "%u", relation->slot);
    struct redis_key key = store_redis_session_key(store, 's', &waiter->subject);
    struct redis_key obliged = store_redis_obliged_key(store, store_redis_tag(&waiter->subject));
    struct redis_key log = store_redis_session_key(store, 'l', &waiter->subject);
    struct redis_command *command = &store->command;
    store_redis_begin_script(store, REDIS_RELATION, "3");
    store_redis_add(store, &key);
    store_redis_add(store, &obliged);
    store_redis_add(store, &log);
    redis_command_text(command, store->texts.ttl_ms);
    redis_command_add(command, bytes, sizeof bytes);
    redis_command_text(command, slot);
    redis_command_add(command, relation->value.bytes, relation->value.length);
    redis_command_add(command, waiter->subject.bytes, waiter->subject.length);
    redis_command_add(command, event.bytes, event.length);
    redis_command_text(command, store->texts.events);
    struct redis_question *question =
        store_redis_make(store, QUESTION_RELATION, waiter, &key, REDIS_RELATION);
    if (question) {
        question->has_event = event.length > 0;
        question->has_long_event = event.length > STORE_EVENT_MAX;
    }
    return store_redis_take(store, question, &key);
}
_Static_assert(RELATIONS_PER_SESSION_MAX <= 256, "a slot is an octet");
_Static_assert(RELATIONS_PER_SESSION_MAX *(1 + 2 + STORE_RELATION_MAX) <= UINT16_MAX,
               "a claim's answer gives the length of all in 2 octets");

enum status store_redis_list_obliged(struct store *base, uint8_t page, uint64_t from,
                                     const struct store_waiter *waiter)
{
    struct store_redis *store = store_redis_of(base);
    char cursor[REDIS_NUMBER_TEXT];
    (void)snprintf(cursor, sizeof cursor, "%" PRIu64, from);
    struct redis_key key = store_redis_obliged_key(store, page);
    store_redis_begin_script(store, REDIS_OBLIGED, "1");
    store_redis_add(store, &key);
    redis_command_text(&store->command, cursor);
    redis_command_text(&store->command, store->texts.obliged);
    struct redis_question *question =
        store_redis_make(store, QUESTION_OBLIGED, waiter, &key, REDIS_OBLIGED);
    return store_redis_take(store, question, NULL);
}

struct redis_question *store_redis_drop_obliged(struct store_redis *store, const struct cid *cid)
{
    struct redis_key key = store_redis_obliged_key(store, store_redis_tag(cid));
    store_redis_begin(store, "SREM");
    store_redis_add(store, &key);
    redis_command_add(&store->command, cid->bytes, cid->length);
    return store_redis_make(store, QUESTION_OBLIGED_DROP, NULL, &key, REDIS_SCRIPTS);
}

enum status store_redis_remove(struct store *base, uint64_t fence,
                               const struct store_waiter *waiter)
{
    struct store_redis *store = store_redis_of(base);
    if (!is_cid(&waiter->subject))
        return STATUS_MALFORMED;
    uint8_t bytes[FENCE_SIZE];
    write_fence(bytes, fence);
    struct redis_key key = store_redis_session_key(store, 's', &waiter->subject);
    struct redis_key exchanges = store_redis_session_key(store, 'x', &waiter->subject);
    store_redis_begin_script(store, REDIS_REMOVE, "2");
    store_redis_add(store, &key);
    store_redis_add(store, &exchanges);
    redis_command_add(&store->command, bytes, sizeof bytes);
    struct redis_question *question =
        store_redis_make(store, QUESTION_REMOVE, waiter, &key, REDIS_REMOVE);
    return store_redis_take(store, question, &key);
}

/* --- addresses, which live in slots of their own --- */

struct redis_question *store_redis_drop_address(struct store_redis *store, struct octets address,
                                                const struct cid *cid)
{
    struct redis_key key = store_redis_plain_key(store, 'a', address.bytes, address.length);
    store_redis_begin_script(store, REDIS_ADDRESS_DROP, "1");
    store_redis_add(store, &key);
    redis_command_add(&store->command, cid->bytes, cid->length);
    return store_redis_make(store, QUESTION_ADDRESS_DROP, NULL, &key, REDIS_ADDRESS_DROP);
}

struct redis_question *store_redis_keep_address(struct store_redis *store, struct octets address,
                                                const struct cid *cid)
{
    struct redis_key key = store_redis_plain_key(store, 'a', address.bytes, address.length);
    store_redis_begin_script(store, REDIS_ADDRESS_KEEP, "1");
    store_redis_add(store, &key);
    redis_command_add(&store->command, cid->bytes, cid->length);
    redis_command_text(&store->command, store->texts.ttl_ms);
    return store_redis_make(store, QUESTION_ADDRESS_KEEP, NULL, &key, REDIS_ADDRESS_KEEP);
}

/* --- marks: those of one turn and slot share a call --- */

enum status store_redis_save_mark(struct store *base, uint64_t fence, struct octets mark,
                                  const struct store_waiter *waiter)
{
    struct store_redis *store = store_redis_of(base);
    if (mark.length > STORE_MARK_MAX)
        return STATUS_TOO_LONG;
    if (!is_cid(&waiter->subject))
        return STATUS_MALFORMED;
    struct redis_key key = store_redis_session_key(store, 's', &waiter->subject);
    /* The command is the carrier's; here are its parts. */
    store->command.count = 0;
    store_redis_add(store, &key);
    redis_command_add(&store->command, mark.bytes, mark.length);
    struct redis_question *question =
        store_redis_make(store, QUESTION_MARK, waiter, &key, REDIS_MARKS);
    if (!question)
        return STATUS_NO_MEMORY;
    struct writer writer = writer_over(question->bytes, redis_command_size(&store->command));
    question->key = (struct octets){question->bytes, key.length};
    question->mark = (struct octets){question->bytes + key.length, mark.length};
    writer_bytes(&writer, key.bytes, key.length);
    writer_bytes(&writer, mark.bytes, mark.length);
    question->fence = fence;
    question->tag = store_redis_tag(&waiter->subject);
    return store_redis_take(store, question, &key);
}

struct redis_question *store_redis_carry(struct store_redis *store, struct redis_question *marks)
{
    uint8_t fences[REDIS_MARKS_MAX][FENCE_SIZE];
    char number[8];
    size_t count = 0;
    for (const struct redis_question *mark = marks; mark; mark = mark->next)
        count++;
    (void)snprintf(number, sizeof number, "%zu", count);
    store_redis_begin_script(store, REDIS_MARKS, number);
    for (const struct redis_question *mark = marks; mark; mark = mark->next)
        redis_command_add(&store->command, mark->key.bytes, mark->key.length);
    redis_command_text(&store->command, store->texts.ttl_ms);
    size_t at = 0;
    for (const struct redis_question *mark = marks; mark; mark = mark->next) {
        write_fence(fences[at], mark->fence);
        redis_command_add(&store->command, fences[at], FENCE_SIZE);
        redis_command_add(&store->command, mark->mark.bytes, mark->mark.length);
        at++;
    }
    struct redis_key first = {.length = marks->key.length};
    memcpy(first.bytes, marks->key.bytes, marks->key.length);
    struct redis_question *carrier =
        store_redis_make(store, QUESTION_MARKS, NULL, &first, REDIS_MARKS);
    if (carrier)
        carrier->carried = marks;
    return carrier;
}
