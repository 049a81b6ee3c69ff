#include "lb/membership.h"

#include "shared/rendezvous.h"

#include <string.h>

/* A PONG counts as an answer to any PING that is not given up yet. */
#define PONG_AGE_MAX_MS (UINT64_C(1) * PING_INTERVAL_MS * (PINGS_MISSED_MAX + 1))

void membership_init(struct membership *membership, const struct hash_key *key)
{
    memset(membership, 0, sizeof(*membership));
    membership->key = *key;
}

/* Where the id is, or where it belongs. */
static size_t position(const struct membership *membership, uint64_t id)
{
    size_t low = 0, high = membership->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (membership->members[middle].id < id)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

struct member *membership_find(struct membership *membership, uint64_t id)
{
    size_t at = position(membership, id);
    if (at == membership->count || membership->members[at].id != id)
        return NULL;
    return &membership->members[at];
}

static struct member *find_address(struct membership *membership, const struct address *address)
{
    for (size_t i = 0; i < membership->count; i++) {
        if (address_equal(&membership->members[i].address, address))
            return &membership->members[i];
    }
    return NULL;
}

enum status membership_add(struct membership *membership, uint16_t id,
                           const struct address *address)
{
    if (membership_find(membership, id) || find_address(membership, address))
        return STATUS_EXISTS;
    if (membership->count == WORKERS_MAX)
        return STATUS_FULL;

    size_t at = position(membership, id);
    struct member *member = &membership->members[at];
    memmove(member + 1, member, (membership->count - at) * sizeof(*member));
    *member = (struct member){.id = id, .state = MEMBER_DEAD, .address = *address};
    membership->count++;
    return STATUS_OK;
}

/* Sets what PINGs have shown, and what follows from it and from the list. */
static void set_state(struct membership *membership, struct member *member,
                      enum member_state answered)
{
    bool was_alive = member->state != MEMBER_DEAD;
    bool is_alive = answered != MEMBER_DEAD;
    /* The list may be behind: what it says of another boot says nothing of the one that answers. */
    bool is_held_back =
        member->is_held_back && boot_id_compare(&member->boot, &member->held_back_boot) == 0;

    member->answered = answered;
    member->state = answered == MEMBER_SERVING && is_held_back ? MEMBER_DRAINING : answered;
    membership->alive = membership->alive - was_alive + is_alive;
    membership->deaths += was_alive && !is_alive;
}

/* --- the list --- */

static const struct store_member *find_listed(const struct store_member *listed, size_t count,
                                              uint16_t id)
{
    size_t low = 0, high = count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (listed[middle].worker_id < id)
            low = middle + 1;
        else
            high = middle;
    }
    return low < count && listed[low].worker_id == id ? &listed[low] : NULL;
}

static bool is_listed_address(const struct store_member *listed, size_t count,
                              const struct address *address)
{
    for (size_t i = 0; i < count; i++) {
        if (address_equal(&listed[i].link, address))
            return true;
    }
    return false;
}

static bool is_to_go(const struct member *member, const struct store_member *listed, size_t count)
{
    const struct store_member *entry = find_listed(listed, count, member->id);
    if (entry)
        return !address_equal(&entry->link, &member->address);
    return member->state == MEMBER_DEAD || is_listed_address(listed, count, &member->address);
}

static void remove_at(struct membership *membership, size_t at)
{
    struct member *member = &membership->members[at];
    membership->alive -= member->state != MEMBER_DEAD;
    membership->count--;
    memmove(member, member + 1, (membership->count - at) * sizeof(*member));
}

static void hold_back(struct membership *membership, struct member *member,
                      const struct store_member *entry, member_change_fn *report, void *owner)
{
    enum member_state before = member->state;

    member->is_held_back = entry->state != STORE_SERVING;
    member->held_back_boot = entry->boot;
    set_state(membership, member, member->answered);
    if (member->state != before)
        report(owner, member->is_held_back ? MEMBER_HELD_BACK : MEMBER_RELEASED, member);
}

void membership_update(struct membership *membership, const struct store_member *listed,
                       size_t count, member_change_fn *report, void *owner)
{
    for (size_t i = membership->count; i-- > 0;) {
        if (!is_to_go(&membership->members[i], listed, count))
            continue;
        report(owner, MEMBER_REMOVED, &membership->members[i]);
        remove_at(membership, i);
    }
    /* Whoever is left is listed where it is, or lives at an address that nobody is listed at: no
     * entry can be in another's way. */
    for (size_t i = 0; i < count; i++) {
        const struct store_member *entry = &listed[i];
        enum member_change change = MEMBER_ADDED;
        struct member *member = membership_find(membership, entry->worker_id);
        if (!member) {
            const struct member refused = {.id = entry->worker_id, .address = entry->link};
            if (membership_add(membership, entry->worker_id, &entry->link) != STATUS_OK)
                change = MEMBER_REFUSED;
            member = membership_find(membership, entry->worker_id);
            report(owner, change, member ? member : &refused);
        }
        if (member)
            hold_back(membership, member, entry, report, owner);
    }
}

/* --- PINGs --- */

void membership_round(struct membership *membership, uint64_t now_ms)
{
    membership->ping_next_ms = now_ms + PING_INTERVAL_MS;
}

enum ping_outcome membership_ping(struct membership *membership, struct member *member,
                                  struct boot_id *to)
{
    enum ping_outcome outcome = PING_SENT;

    if (member->ping_open && member->pings_missed < PINGS_MISSED_MAX)
        member->pings_missed++;
    if (member->state != MEMBER_DEAD && member->pings_missed == PINGS_MISSED_MAX) {
        set_state(membership, member, MEMBER_DEAD);
        outcome = PING_SENT_DIED;
    }

    *to = (struct boot_id){0};
    if (member->state != MEMBER_DEAD && member->pings_missed == 0)
        *to = member->boot;
    member->ping_open = true;
    return outcome;
}

enum pong_outcome membership_pong(struct membership *membership, const struct address *from,
                                  const struct boot_id *boot, const struct frame_health *health,
                                  uint64_t now_ms, struct member **found)
{
    struct member *member = find_address(membership, from);

    *found = member;
    if (!member)
        return PONG_UNKNOWN_SOURCE;
    if (health->worker_id != member->id)
        return PONG_WRONG_ID;
    if (health->state != FRAME_STATE_SERVING && health->state != FRAME_STATE_DRAINING)
        return PONG_BAD_STATE;
    if (health->stamp > now_ms || now_ms - health->stamp >= PONG_AGE_MAX_MS)
        return PONG_STALE;
    /* Boots compare by the host's clock, which may have been set back: of a dead worker any boot
     * is welcome, for the stamp has shown that it lives now. */
    int order = boot_id_compare(boot, &member->boot);
    if (member->state != MEMBER_DEAD && order < 0)
        return PONG_OLD_BOOT;

    static const struct boot_id none;
    bool restarted = order != 0 && boot_id_compare(&member->boot, &none) != 0;
    enum member_state state =
        health->state == FRAME_STATE_SERVING ? MEMBER_SERVING : MEMBER_DRAINING;
    enum member_state before = member->state;
    member->boot = *boot;
    set_state(membership, member, state);
    member->sessions = health->sessions;
    member->ping_open = false;
    member->pings_missed = 0;
    if (restarted)
        return PONG_RESTARTED;
    return member->state != before ? PONG_STATE_CHANGED : PONG_KEPT;
}

struct member *membership_refused(struct membership *membership, const struct address *address)
{
    struct member *member = find_address(membership, address);

    if (!member || member->state == MEMBER_DEAD)
        return NULL;
    set_state(membership, member, MEMBER_DEAD);
    member->pings_missed = PINGS_MISSED_MAX;
    return member;
}

static struct member *choose_of(struct membership *membership, enum member_state state,
                                const void *octets, size_t length)
{
    struct member *best = NULL;
    struct rendezvous rendezvous;
    rendezvous_begin(&rendezvous, &membership->key, octets, length);
    for (size_t i = 0; i < membership->count; i++) {
        struct member *member = &membership->members[i];
        if (member->state == state && rendezvous_offer(&rendezvous, member->id))
            best = member;
    }
    return best;
}

struct member *membership_choose(struct membership *membership, const void *octets, size_t length)
{
    struct member *member = choose_of(membership, MEMBER_SERVING, octets, length);
    return member ? member : choose_of(membership, MEMBER_DRAINING, octets, length);
}
