/* A session that has an identity behind its keys, as session_add would have made it, and is in no
 * table. */
#ifndef HOLDFAST_TESTS_WORKER_NAMED_SESSION_H
#define HOLDFAST_TESTS_WORKER_NAMED_SESSION_H

#include "worker/session.h"

#include <string.h>

union named_session {
    struct session session;
    uint8_t octets[sizeof(struct session) + SESSION_REST_MAX]; /* room for its `rest` */
};

/* At most IDENTITY_LENGTH_MAX octets; its suite is that of index 0. */
static inline void named_session_set(union named_session *named, const void *identity,
                                     size_t length)
{
    size_t keys = 2 * ((size_t)suites[0].key_length + suites[0].iv_length);
    uint8_t *at = named->octets + offsetof(struct session, rest) + keys;
    at[0] = (uint8_t)length;
    if (length > 0)
        memcpy(at + 1, identity, length);
}

#endif
