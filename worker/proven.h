/* Addresses that have answered an Echo challenge of ours, so that it "needs to be done only once
 * per endpoint" (RFC 9175 section 2.4, item 3). A cache: of the addresses that share a slot the
 * last one counts; one that is forgotten is challenged again. 64 KiB, PROVEN_SLOTS slots of 16
 * octets. Only who has proven an address gets in here, so that nobody is pushed out from made-up
 * ones. */
#ifndef HOLDFAST_WORKER_PROVEN_H
#define HOLDFAST_WORKER_PROVEN_H

#include "shared/address.h"
#include "shared/hash.h"

#include <stdbool.h>
#include <stdint.h>

#define PROVEN_SLOTS 4096

struct proven {
    struct hash_key key; /* of this process only, random */
    struct proven_slot {
        uint64_t address; /* keyed hash */
        uint64_t until_ms;
    } slots[PROVEN_SLOTS];
};

/* For ECHO_LIFETIME_S from now on. */
void proven_add(struct proven *proven, const struct address *address, uint64_t now_ms);
bool proven_has(const struct proven *proven, const struct address *address, uint64_t now_ms);

#endif
