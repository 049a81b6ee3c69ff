/* A session as the store keeps it, in two parts: the sealed one (keys, CIDs, identity), written
 * once, and the mark (replay window, addresses, the lb's name), written as the session moves. Each
 * begins with a format version; a mark of format 1, without the lb's name, can still be read. All
 * that a worker needs to go on with a session that another one began. */
#ifndef HOLDFAST_WORKER_SESSION_RECORD_H
#define HOLDFAST_WORKER_SESSION_RECORD_H

#include <stddef.h>
#include <stdint.h>

#include "shared/cursor.h"
#include "shared/status.h"
#include "shared/store.h"
#include "worker/session.h"
#include "worker/vault.h"

#define SESSION_RECORD_FORMAT 1
#define SESSION_MARK_FORMAT 2

/* Of a session that is in no table yet: what its record says. `identity` points into the record's
 * plain text. */
struct session_record {
    struct session_keys keys;
    const uint8_t *identity;
    size_t identity_length;
    uint32_t lb_name; /* worker/path.h; session.path.lb says nothing */
    struct session session; /* suite, CIDs, path, windows; no identity, no lease, no links; last,
                               since its kind has keys behind it */
};

/* Octets of the sealed part: beside these, the keys and IVs of both directions, the peer's CID and
 * the identity. 94 with CCM-8, a CID of 8 octets and an identity of 8. */
#define SESSION_RECORD_OVERHEAD (VAULT_OVERHEAD + 1 + 1 + 2 + 2 + 1 + 1)
#define SESSION_RECORD_MAX                                                           \
    (SESSION_RECORD_OVERHEAD + 2 * (SUITE_KEY_MAX + SUITE_IV_MAX) + CID_LENGTH_MAX + \
     IDENTITY_LENGTH_MAX)
#define SESSION_MARK_SIZE (1 + 1 + 8 + 8 + 2 + 2 + 1 + 2 * ADDRESS_WIRE_SIZE + 4)
_Static_assert(SESSION_RECORD_MAX <= STORE_SEALED_MAX, "the longest session fits the store");
_Static_assert(SESSION_MARK_SIZE <= STORE_MARK_MAX, "a mark fits the store");

/* Appends the sealed part, named by own_cid. STATUS_TOO_LONG, STATUS_CRYPTO. */
MUST_USE enum status session_record_seal(struct vault *vault, const struct session *session,
                                         const struct session_keys *keys, const uint8_t *identity,
                                         size_t identity_length, struct writer *sealed);
void session_record_write_mark(const struct session *session, uint32_t lb_name,
                               struct writer *mark);

enum session_record_outcome {
    SESSION_RECORD_READ,
    SESSION_RECORD_TRUNCATED,
    SESSION_RECORD_UNKNOWN_FORMAT,
    SESSION_RECORD_UNKNOWN_KEY,
    SESSION_RECORD_BAD_TAG,
    SESSION_RECORD_NONSENSE, /* opens, but is no session that we can serve */
    SESSION_RECORD_OUTCOMES
};
/* plain: STORE_SEALED_MAX octets, to be wiped by the caller after use. */
enum session_record_outcome session_record_read(struct vault *vault, const struct cid *own_cid,
                                                struct octets sealed, struct octets mark,
                                                uint8_t plain[STORE_SEALED_MAX],
                                                struct session_record *record);

#endif
