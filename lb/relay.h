/* One lb thread's traffic: client datagrams to frames for workers, frames from workers to client
 * datagrams. Owns the thread's listeners, link, flow table and admission; shares nothing with other
 * threads but the metrics' memory. The lb never answers for a worker. */
#ifndef HOLDFAST_LB_RELAY_H
#define HOLDFAST_LB_RELAY_H

#include "lb/trunk.h"
#include "shared/address.h"
#include "shared/cid.h"
#include "shared/io.h"
#include "shared/keys.h"
#include "shared/metrics.h"
#include "shared/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct relay;

struct relay_options {
    struct io *io;
    const struct cluster_key *key;
    const struct address *link;         /* where to bind the link socket */
    const struct trunk_worker *workers; /* to begin with */
    size_t worker_count;
    bool is_listed;                       /* relay_list will be called */
    size_t frame_size;                    /* octets of a frame on the link */
    uint8_t cid_lengths[CID_CONFIGS_MAX]; /* by config id; 0: not in use */
    size_t flows_max;
    uint32_t handshake_rate; /* ClientHello datagrams per second and source network; 0: no limit */
    uint32_t handshake_burst;
    struct metrics *metrics; /* rows as in lb/metrics.h */
    size_t thread;           /* index into metrics */
};

/* STATUS_SYSTEM: the link cannot be bound, errno says why. STATUS_EXISTS: two workers share an id
 * or an address. */
MUST_USE enum status relay_new(struct relay **relay, const struct relay_options *options);
void relay_free(struct relay *relay); /* before its io */

enum listener_kind { LISTENER_DTLS, LISTENER_COAP };

/* Listeners are numbered in the order of the calls, which is to be the same in each thread. Unless
 * this thread is alone on the address the kernel spreads datagrams over the threads; if it is,
 * handshakes and what belongs to sessions have queues of their own there.
 * STATUS_SYSTEM: cannot be bound, errno says why; STATUS_FULL: LISTENERS_MAX. */
MUST_USE enum status relay_listen(struct relay *relay, const struct address *bind,
                                  enum listener_kind kind, bool is_alone);
struct address relay_local_address(const struct relay *relay, size_t listener);
struct address relay_link_address(const struct relay *relay);

/* When relay_run is due on the io_now_ms clock: PINGs, idle flows, gauges. */
uint64_t relay_next_ms(const struct relay *relay);
void relay_run(struct relay *relay);

/* Takes over the list of the workers. Between turns of the loop. */
void relay_list(struct relay *relay, const struct roster_list *list);
/* Workers that answer, draining or not. */
size_t relay_workers_alive(const struct relay *relay);
/* How often a worker was found dead. */
uint64_t relay_workers_died(const struct relay *relay);

#endif
