/* The rules of membership over one list of entries, for engines that keep it themselves: who may
 * have which worker id. Times are on the engine's clock. */
#ifndef HOLDFAST_SHARED_STORE_MEMBERS_H
#define HOLDFAST_SHARED_STORE_MEMBERS_H

#include "shared/store.h"

struct store_member_entry {
    struct store_member member;
    uint64_t expires_ms;
    /* Its stored form cannot be read, as that of a newer version: its id is taken, and that is all
     * that is known. */
    bool opaque;
};

/* In order of worker id. */
struct store_members {
    size_t count;
    struct store_member_entry entries[WORKERS_MAX];
};

/* `entry`: what is to be stored; valid until the next change. STORE_OK also for a boot that has
 * joined before: with id 0 it is given the one it has. STORE_UNAVAILABLE: WORKERS_MAX entries. */
enum store_outcome store_members_join(struct store_members *members,
                                      const struct store_member *member, uint64_t now_ms,
                                      uint64_t ttl_ms, const struct store_member_entry **entry);
/* As store_beat. */
enum store_outcome store_members_beat(struct store_members *members,
                                      const struct store_member *member, uint64_t now_ms,
                                      uint64_t ttl_ms, const struct store_member_entry **entry);
/* STORE_NOT_FOUND, STORE_STALE: nothing was done. */
enum store_outcome store_members_leave(struct store_members *members,
                                       const struct store_member *member, uint64_t now_ms);
/* Those that have not run out; `list` has room for WORKERS_MAX. Returns how many. */
size_t store_members_list(const struct store_members *members, uint64_t now_ms,
                          struct store_member *list);
/* Puts an entry into its place, over an older one of its id. False: no room. */
bool store_members_put(struct store_members *members, const struct store_member_entry *entry);

#endif
