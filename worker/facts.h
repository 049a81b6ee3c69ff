/* What a session can tell about itself to a resource; filled on demand. */
#ifndef HOLDFAST_WORKER_FACTS_H
#define HOLDFAST_WORKER_FACTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shared/address.h"
#include "shared/cid.h"
#include "shared/limits.h"

struct session;

struct session_facts {
    uint8_t identity[IDENTITY_LENGTH_MAX]; /* as authenticated; octets, not text */
    size_t identity_length;
    const char *cipher_suite; /* IANA name, static: "TLS_PSK_WITH_AES_128_CCM_8" */
    struct cid own_cid;       /* what the peer puts on its records; length 0: none */
    struct cid peer_cid;      /* what we put on ours; length 0: none */
    struct address address;
    struct address previous_address; /* valid when address_changes > 0 */
    uint32_t address_changes;
};

void session_describe(const struct session *session, struct session_facts *facts);

#endif
