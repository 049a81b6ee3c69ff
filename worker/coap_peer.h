/* Who sends CoAP messages, or gets them: the "endpoint" of RFC 7252 section 1.2. A DTLS session,
 * whatever address it has just now; without one the address. */
#ifndef HOLDFAST_WORKER_COAP_PEER_H
#define HOLDFAST_WORKER_COAP_PEER_H

#include "shared/hash.h"
#include "worker/path.h"

#include <stdbool.h>
#include <stdint.h>

struct session;

struct coap_peer {
    uint64_t session_id;     /* unique in this worker, never reused; 0: plain CoAP */
    struct session *session; /* NULL: plain CoAP; valid until coap_forget */
    struct path path;        /* the address as the lb saw it, and the way back; of a session: when
                                this was written */
};

uint64_t coap_peer_hash(const struct hash_key *key, const struct coap_peer *peer);
bool coap_peer_equal(const struct coap_peer *a, const struct coap_peer *b);

#endif
