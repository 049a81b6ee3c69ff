#include "worker/path_hold.h"

#include <string.h>

bool path_hold(struct path_holds *holds, uint64_t session_id, uint64_t now_ms, const uint8_t *data,
               size_t length)
{
    struct path_held *held = &holds->slots[holds->next];
    if (length > sizeof(held->data))
        return false;
    bool free_slot = held->session_id == 0 || now_ms >= held->until_ms;
    holds->next = (holds->next + 1) % PATH_HELD_MAX;
    held->session_id = session_id;
    held->until_ms = now_ms + PATH_HELD_MS;
    held->length = length;
    memcpy(held->data, data, length);
    return free_slot;
}

const struct path_held *path_hold_take(struct path_holds *holds, uint64_t session_id,
                                       uint64_t now_ms)
{
    for (size_t i = 0; i < PATH_HELD_MAX; i++) {
        struct path_held *held = &holds->slots[(holds->next + i) % PATH_HELD_MAX];
        if (held->session_id != session_id)
            continue;
        held->session_id = 0;
        if (now_ms < held->until_ms)
            return held;
    }
    return NULL;
}
