#include "shared/store_members.h"

#include <string.h>

/* The first entry whose id is not below `worker_id`; `count` if there is none. */
static size_t place_of(const struct store_members *members, uint16_t worker_id)
{
    size_t at = 0;
    while (at < members->count && members->entries[at].member.worker_id < worker_id)
        at++;
    return at;
}

static bool is_alive(const struct store_member_entry *entry, uint64_t now_ms)
{
    return entry->opaque || now_ms < entry->expires_ms;
}

static bool is_of_boot(const struct store_member_entry *entry, const struct boot_id *boot)
{
    return !entry->opaque && boot_id_compare(&entry->member.boot, boot) == 0;
}

/* The entry of an id, if it has not run out. */
static struct store_member_entry *find(struct store_members *members, uint16_t worker_id,
                                       uint64_t now_ms)
{
    size_t at = place_of(members, worker_id);
    if (at == members->count || members->entries[at].member.worker_id != worker_id ||
        !is_alive(&members->entries[at], now_ms))
        return NULL;
    return &members->entries[at];
}

static void take_out(struct store_members *members, size_t at)
{
    members->count--;
    memmove(&members->entries[at], &members->entries[at + 1],
            (members->count - at) * sizeof members->entries[0]);
}

/* The id that this boot has; else the lowest free one, 0 if there is none up to WORKERS_MAX. */
static uint16_t choose_id(struct store_members *members, const struct boot_id *boot,
                          uint64_t now_ms)
{
    uint16_t lowest = 1;
    for (size_t i = 0; i < members->count; i++) {
        const struct store_member_entry *entry = &members->entries[i];
        if (!is_alive(entry, now_ms))
            continue;
        if (is_of_boot(entry, boot))
            return entry->member.worker_id;
        if (entry->member.worker_id == lowest)
            lowest++;
    }
    return lowest <= WORKERS_MAX ? lowest : 0;
}

bool store_members_put(struct store_members *members, const struct store_member_entry *entry)
{
    size_t at = place_of(members, entry->member.worker_id);
    if (at == members->count || members->entries[at].member.worker_id != entry->member.worker_id) {
        if (members->count == WORKERS_MAX)
            return false;
        memmove(&members->entries[at + 1], &members->entries[at],
                (members->count - at) * sizeof members->entries[0]);
        members->count++;
    }
    members->entries[at] = *entry;
    return true;
}

static void forget_expired(struct store_members *members, uint64_t now_ms)
{
    for (size_t i = members->count; i-- > 0;)
        if (!is_alive(&members->entries[i], now_ms))
            take_out(members, i);
}

enum store_outcome store_members_join(struct store_members *members,
                                      const struct store_member *member, uint64_t now_ms,
                                      uint64_t ttl_ms, const struct store_member_entry **entry)
{
    struct store_member_entry joined = {.member = *member, .expires_ms = now_ms + ttl_ms};
    if (member->worker_id == 0)
        joined.member.worker_id = choose_id(members, &member->boot, now_ms);
    if (joined.member.worker_id == 0)
        return STORE_EXISTS;
    const struct store_member_entry *holder = find(members, joined.member.worker_id, now_ms);
    if (holder && !is_of_boot(holder, &member->boot))
        return STORE_EXISTS;
    forget_expired(members, now_ms);
    if (!store_members_put(members, &joined))
        return STORE_UNAVAILABLE;
    *entry = &members->entries[place_of(members, joined.member.worker_id)];
    return STORE_OK;
}

enum store_outcome store_members_beat(struct store_members *members,
                                      const struct store_member *member, uint64_t now_ms,
                                      uint64_t ttl_ms, const struct store_member_entry **entry)
{
    struct store_member_entry *holder = find(members, member->worker_id, now_ms);
    if (!holder)
        return STORE_NOT_FOUND;
    if (!is_of_boot(holder, &member->boot))
        return STORE_STALE;
    holder->member = *member;
    holder->expires_ms = now_ms + ttl_ms;
    *entry = holder;
    return STORE_OK;
}

enum store_outcome store_members_leave(struct store_members *members,
                                       const struct store_member *member, uint64_t now_ms)
{
    const struct store_member_entry *holder = find(members, member->worker_id, now_ms);
    if (!holder)
        return STORE_NOT_FOUND;
    if (!is_of_boot(holder, &member->boot))
        return STORE_STALE;
    take_out(members, (size_t)(holder - members->entries));
    return STORE_OK;
}

size_t store_members_list(const struct store_members *members, uint64_t now_ms,
                          struct store_member *list)
{
    size_t count = 0;
    for (size_t i = 0; i < members->count; i++)
        if (!members->entries[i].opaque && is_alive(&members->entries[i], now_ms))
            list[count++] = members->entries[i].member;
    return count;
}
