/* The worker's end of the internal hop: frames from load balancers, and one frame under way to each
 * of them. Frames are closed when the batch of datagrams at hand is used up or they are full; never
 * is anything waited for. DESIGN.md section 5. */
#ifndef HOLDFAST_WORKER_UPLINK_H
#define HOLDFAST_WORKER_UPLINK_H

#include "shared/frame.h"
#include "shared/io.h"
#include "shared/keys.h"
#include "shared/metrics.h"
#include "shared/status.h"
#include "worker/path.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct uplink;

/* A client's datagram; writable, valid during the call. */
typedef void uplink_receive_fn(void *owner, const struct path *path, uint8_t *datagram,
                               size_t length);

struct uplink_options {
    struct io *io;
    struct address bind;
    const struct cluster_key *cluster_key;
    size_t frame_size; /* octets of a frame that the link's MTU takes */
    struct metrics *metrics;
    uplink_receive_fn *receive;
    void *owner;
};

/* STATUS_SYSTEM: cannot bind, errno says why; STATUS_NO_MEMORY; STATUS_CRYPTO. Memory: about
 * 1,500 octets for each lb heard of, UPLINK_PEERS_MAX at most. */
MUST_USE enum status uplink_new(struct uplink **uplink, const struct uplink_options *options);
void uplink_free(struct uplink *uplink);
struct address uplink_local_address(const struct uplink *uplink);

/* Puts a datagram into the frame for the path's lb; while that is unknown or silent, for another
 * one of its host, or for any. Lost where none has been heard. */
void uplink_send(struct uplink *uplink, const struct path *path, const uint8_t *datagram,
                 size_t length);
/* Closes every frame that has been begun. */
void uplink_flush(struct uplink *uplink);

/* What PONGs say from now on. Until this has been called no PING is answered, and no datagram
 * taken: a worker without an id serves nobody. */
void uplink_set_health(struct uplink *uplink, uint16_t worker_id, enum frame_state state,
                       uint32_t sessions);
/* The name by which each worker knows this lb: of its link address, so that it stays over a restart
 * at that address. 0: no such lb. */
uint32_t uplink_lb_name(const struct uplink *uplink, uint8_t lb);
/* The number of the lb of that name, heard yet or not. PATH_LB_UNKNOWN: no room. */
uint8_t uplink_find_lb(struct uplink *uplink, uint32_t name);

/* Does any lb live that talks to this boot? */
bool uplink_is_reached(const struct uplink *uplink);

/* Of this process; it names the boot in the membership as well. */
struct boot_id uplink_boot(const struct uplink *uplink);

#endif
