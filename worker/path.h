/* A way to a peer: its address as the lb saw it, and the lb that delivered it. An address is an
 * attribute of a session, never its name. */
#ifndef HOLDFAST_WORKER_PATH_H
#define HOLDFAST_WORKER_PATH_H

#include "shared/address.h"

#include <stdint.h>

struct path {
    struct address address;
    uint8_t lb;       /* the uplink's number of the lb */
    uint8_t listener; /* the lb's listener, as its frames name it */
};

/* No record has arrived yet that would tell; nor can the name be found. */
#define PATH_LB_UNKNOWN UINT8_MAX

/* An lb's number is this worker's own. A name means the same lb to all of them; 0 is none. Either
 * function may be NULL: then lbs have no names. */
struct path_lbs {
    uint32_t (*name)(void *owner, uint8_t lb);
    uint8_t (*find)(void *owner, uint32_t name);
    void *owner;
};

static inline uint32_t path_lb_name(const struct path_lbs *lbs, uint8_t lb)
{
    return lbs->name ? lbs->name(lbs->owner, lb) : 0;
}

static inline uint8_t path_lb_find(const struct path_lbs *lbs, uint32_t name)
{
    return lbs->find && name != 0 ? lbs->find(lbs->owner, name) : PATH_LB_UNKNOWN;
}

#endif
