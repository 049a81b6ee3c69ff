/* One lb thread's side of the hop to the workers: its link socket and boot id, the frames that are
 * being filled, the membership and its PINGs. DESIGN.md section 5. Knows nothing of clients but
 * the entries that it carries. */
#ifndef HOLDFAST_LB_TRUNK_H
#define HOLDFAST_LB_TRUNK_H

#include "lb/membership.h"
#include "lb/roster.h"
#include "shared/address.h"
#include "shared/frame.h"
#include "shared/io.h"
#include "shared/keys.h"
#include "shared/metrics.h"
#include "shared/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct trunk;

/* An entry of a frame from a worker; it and its datagram are valid until the call returns. */
typedef void trunk_deliver_fn(void *owner, const struct frame_entry *entry);

struct trunk_worker {
    uint16_t id;
    struct address address;
};

struct trunk_options {
    struct io *io;
    const struct cluster_key *key;
    const struct address *bind;
    const struct trunk_worker *workers; /* to begin with */
    size_t worker_count;                /* at most WORKERS_MAX */
    bool is_listed;                     /* trunk_list will be called */
    size_t frame_size;                  /* octets, at most FRAME_SIZE_MAX */
    trunk_deliver_fn *deliver;
    void *owner;
    struct metrics *metrics; /* rows as in lb/metrics.h */
    size_t thread;           /* index into metrics */
};

/* STATUS_SYSTEM: the address cannot be bound, errno says why. STATUS_EXISTS: two workers share an
 * id or an address. Memory: frame_size a worker; with is_listed WORKERS_MAX of them are reserved,
 * of which those pages become real that are used. */
MUST_USE enum status trunk_new(struct trunk **trunk, const struct trunk_options *options);
void trunk_free(struct trunk *trunk); /* before its io */

struct address trunk_local_address(const struct trunk *trunk);
struct membership *trunk_membership(struct trunk *trunk);

/* Puts a client's datagram into the frame that is being filled for this member, which has lived;
 * full frames leave at once. One that is too long for a frame of the link's MTU goes in a frame of
 * its own, which IP then fragments. STATUS_CRYPTO, STATUS_EXHAUSTED: sealing failed and what the
 * frame held is lost (counted). STATUS_TOO_LONG: longer than DATAGRAM_SIZE_MAX. */
MUST_USE enum status trunk_put(struct trunk *trunk, const struct member *member,
                               const struct frame_entry *entry);
/* Sends the frames that hold anything: a frame waits for no more than the batch at hand. */
void trunk_flush(struct trunk *trunk);

/* Takes over the list of the workers; not from within a call of this module. */
void trunk_list(struct trunk *trunk, const struct roster_list *list);

/* When trunk_run is due on the io_now_ms clock. */
uint64_t trunk_next_ms(const struct trunk *trunk);
void trunk_run(struct trunk *trunk, uint64_t now_ms);

#endif
