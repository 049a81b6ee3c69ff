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

/* No record has arrived yet that would tell. */
#define PATH_LB_UNKNOWN UINT8_MAX

#endif
