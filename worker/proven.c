#include "worker/proven.h"

#include "shared/limits.h"

_Static_assert((PROVEN_SLOTS & (PROVEN_SLOTS - 1)) == 0, "a mask finds a slot");

static uint64_t hash_address(const struct proven *proven, const struct address *address)
{
    return hash_bytes(&proven->key, address, sizeof *address);
}

void proven_add(struct proven *proven, const struct address *address, uint64_t now_ms)
{
    uint64_t hash = hash_address(proven, address);
    proven->slots[hash & (PROVEN_SLOTS - 1)] =
        (struct proven_slot){.address = hash, .until_ms = now_ms + ECHO_LIFETIME_S * 1000ull};
}

bool proven_has(const struct proven *proven, const struct address *address, uint64_t now_ms)
{
    uint64_t hash = hash_address(proven, address);
    const struct proven_slot *slot = &proven->slots[hash & (PROVEN_SLOTS - 1)];
    return slot->address == hash && now_ms < slot->until_ms;
}
