/* The rules of topics, for engines that keep them themselves: who may put one, and what a reader of
 * changes has missed. */
#ifndef HOLDFAST_SHARED_STORE_TOPIC_H
#define HOLDFAST_SHARED_STORE_TOPIC_H

#include "shared/store.h"

static inline enum store_outcome store_topic_check(enum store_topic_mode mode, bool is_there)
{
    switch (mode) {
    case STORE_TOPIC_CREATE:
        return is_there ? STORE_EXISTS : STORE_OK;
    case STORE_TOPIC_UPDATE:
        return is_there ? STORE_OK : STORE_NOT_FOUND;
    case STORE_TOPIC_EITHER:
        break;
    }
    return STORE_OK;
}

/* Of a reader that has seen the changes up to `after`; lost: number of the newest tombstone that is
 * forgotten, 0 for none; newest: of all changes. */
static inline bool store_topic_has_gap(uint64_t after, uint64_t lost, uint64_t newest)
{
    return after != UINT64_MAX && (after < lost || after > newest);
}

#endif
