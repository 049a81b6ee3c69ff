/* Application data that waits for its peer's new address to answer: a bounded ring; the oldest
 * gives way. The message layer repeats what is lost here. */
#ifndef HOLDFAST_WORKER_PATH_HOLD_H
#define HOLDFAST_WORKER_PATH_HOLD_H

#include "shared/limits.h"
#include "shared/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct path_held {
    uint64_t session_id; /* 0: free */
    uint64_t until_ms;
    size_t length;
    uint8_t data[COAP_MESSAGE_SIZE_MAX];
};

struct path_holds {
    struct path_held slots[PATH_HELD_MAX];
    size_t next;
};

/* False: another one, or this one if it is longer than a message, was lost for it. */
MUST_USE bool path_hold(struct path_holds *holds, uint64_t session_id, uint64_t now_ms,
                        const uint8_t *data, size_t length);
/* Takes the oldest that waits for this session out, NULL when there is none. Valid until the next
 * path_hold. */
const struct path_held *path_hold_take(struct path_holds *holds, uint64_t session_id,
                                       uint64_t now_ms);

#endif
