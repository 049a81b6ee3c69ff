/* What is asked that is not about a session: identities, addresses, leases, membership. */
#include <stdio.h>
#include <string.h>

#include "shared/store_redis.h"

enum status store_redis_fetch_identity(struct store *base, struct octets identity,
                                       const struct store_waiter *waiter)
{
    struct store_redis *store = store_redis_of(base);
    if (identity.length > IDENTITY_LENGTH_MAX)
        return STATUS_TOO_LONG;
    struct redis_key key = store_redis_plain_key(store, 'i', identity.bytes, identity.length);
    store_redis_begin(store, "GET");
    store_redis_add(store, &key);
    struct redis_question *question =
        store_redis_make(store, QUESTION_FETCH_IDENTITY, waiter, &key, REDIS_SCRIPTS);
    return store_redis_take(store, question, &key);
}

enum status store_redis_put_identity(struct store *base, struct octets identity,
                                     struct octets sealed, const struct store_waiter *waiter)
{
    struct store_redis *store = store_redis_of(base);
    if (identity.length == 0)
        return STATUS_MALFORMED;
    if (identity.length > IDENTITY_LENGTH_MAX || sealed.length > STORE_SEALED_MAX)
        return STATUS_TOO_LONG;
    struct redis_key key = store_redis_plain_key(store, 'i', identity.bytes, identity.length);
    store_redis_begin(store, "SET");
    store_redis_add(store, &key);
    redis_command_add(&store->command, sealed.bytes, sealed.length);
    struct redis_question *question =
        store_redis_make(store, QUESTION_PUT_IDENTITY, waiter, &key, REDIS_SCRIPTS);
    return store_redis_take(store, question, &key);
}

enum status store_redis_find(struct store *base, const struct address *address,
                             const struct store_waiter *waiter)
{
    struct store_redis *store = store_redis_of(base);
    uint8_t wire[ADDRESS_WIRE_SIZE];
    struct writer writer = writer_over(wire, sizeof wire);
    address_write(&writer, address);
    struct redis_key key = store_redis_plain_key(store, 'a', wire, sizeof wire);
    store_redis_begin(store, "GET");
    store_redis_add(store, &key);
    struct redis_question *question =
        store_redis_make(store, QUESTION_FIND, waiter, &key, REDIS_SCRIPTS);
    return store_redis_take(store, question, NULL);
}

enum status store_redis_lease_nonces(struct store *base, uint8_t cid_config,
                                     const struct store_waiter *waiter)
{
    struct store_redis *store = store_redis_of(base);
    if (cid_config >= CID_CONFIGS_MAX)
        return STATUS_UNSUPPORTED;
    char name[] = "nonce0";
    name[sizeof name - 2] = (char)('0' + cid_config);
    struct redis_key key = store_redis_common_key(store, name);
    store_redis_begin(store, "INCRBY");
    store_redis_add(store, &key);
    redis_command_text(&store->command, store->texts.nonces);
    struct redis_question *question =
        store_redis_make(store, QUESTION_NONCES, waiter, &key, REDIS_SCRIPTS);
    return store_redis_take(store, question, NULL);
}
_Static_assert(CID_CONFIGS_MAX <= 10, "a config is one digit of its key");

/* --- membership --- */

#define ENTRY_SIZE (1 + 2 * ADDRESS_WIRE_SIZE) /* without the boot */

static void write_entry(uint8_t entry[ENTRY_SIZE], const struct store_member *member)
{
    struct writer writer = writer_over(entry, ENTRY_SIZE);
    writer_u8(&writer, member->state);
    address_write(&writer, &member->link);
    address_write(&writer, &member->http);
}

/* All are about one key, and in the order in which they were asked. */
static enum status ask_members(struct store_redis *store, enum redis_question_kind kind,
                               enum redis_script script, const struct store_member *member,
                               const struct store_waiter *waiter)
{
    char id[8];
    uint8_t entry[ENTRY_SIZE];
    struct redis_key key = store_redis_common_key(store, "members");
    struct redis_command *command = &store->command;
    store_redis_begin_script(store, script, "1");
    store_redis_add(store, &key);
    if (member) {
        if (script != REDIS_LEAVE)
            redis_command_text(command, store->texts.member_ttl_ms);
        (void)snprintf(id, sizeof id, "%u", member->worker_id);
        redis_command_text(command, id);
        redis_command_add(command, member->boot.bytes, sizeof member->boot.bytes);
        write_entry(entry, member);
        if (script != REDIS_LEAVE)
            redis_command_add(command, entry, sizeof entry);
        if (script == REDIS_JOIN)
            redis_command_text(command, store->texts.workers);
    }
    struct redis_question *question = store_redis_make(store, kind, waiter, &key, script);
    if (question && member)
        question->member = *member;
    return store_redis_take(store, question, &key);
}

enum status store_redis_join(struct store *store, const struct store_member *member,
                             const struct store_waiter *waiter)
{
    return ask_members(store_redis_of(store), QUESTION_JOIN, REDIS_JOIN, member, waiter);
}

enum status store_redis_beat(struct store *store, const struct store_member *member,
                             const struct store_waiter *waiter)
{
    return ask_members(store_redis_of(store), QUESTION_BEAT, REDIS_BEAT, member, waiter);
}

enum status store_redis_leave(struct store *store, const struct store_member *member,
                              const struct store_waiter *waiter)
{
    return ask_members(store_redis_of(store), QUESTION_LEAVE, REDIS_LEAVE, member, waiter);
}

enum status store_redis_list_members(struct store *store, const struct store_waiter *waiter)
{
    return ask_members(store_redis_of(store), QUESTION_MEMBERS, REDIS_MEMBERS, NULL, waiter);
}
