/* Values of the Echo option (RFC 9175 section 2): proof that a peer gets what is sent to its
 * address. Stateless: seconds of the wall clock (4 octets) ‖ SipHash-2-4 of these seconds and the
 * address (8), under a key of the whole cluster, so that any worker knows what another has given
 * out. RFC 9175, appendix A, item 2. */
#ifndef HOLDFAST_WORKER_ECHO_VALUE_H
#define HOLDFAST_WORKER_ECHO_VALUE_H

#include "shared/address.h"
#include "shared/hash.h"
#include "shared/octets.h"

#include <stdbool.h>
#include <stdint.h>

#define ECHO_VALUE_SIZE 12

void echo_value_make(uint8_t value[ECHO_VALUE_SIZE], const struct hash_key *key,
                     const struct address *address, uint64_t unix_ms);

/* Whether it was made for this address within the last ECHO_LIFETIME_S, by a clock that is no more
 * than ECHO_CLOCK_SKEW_S ahead of ours. */
bool echo_value_is_fresh(struct octets value, const struct hash_key *key,
                         const struct address *address, uint64_t unix_ms);

#endif
