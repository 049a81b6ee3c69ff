/* The nodes of a Redis cluster, and which of them serves a hash slot: learnt from any node (CLUSTER
 * SLOTS), asked again when a node says MOVED or is lost. One link a master; replicas are not used.
 *
 * Memory: a table of 16 KiB, and a link for each node. */
#ifndef HOLDFAST_SHARED_REDIS_CLUSTER_H
#define HOLDFAST_SHARED_REDIS_CLUSTER_H

#include "shared/redis_link.h"

struct redis_cluster;

enum redis_route {
    REDIS_ROUTE_READY,
    REDIS_ROUTE_WAIT, /* nothing is wrong yet */
    REDIS_ROUTE_DOWN,
};

/* The URL's hosts are the first nodes to ask. options->role is REDIS_ROLE_SERVER. */
MUST_USE enum status redis_cluster_new(struct redis_cluster **cluster,
                                       const struct redis_link_options *options);
void redis_cluster_free(struct redis_cluster *cluster);

/* The link of the node that serves the slot; READY: it is ready. */
enum redis_route redis_cluster_route(struct redis_cluster *cluster, uint16_t slot,
                                     struct redis_link **link);
/* A node said so ("MOVED 3999 127.0.0.1:6381"); the map is asked for anew. An empty host name is
 * that of the link which said it. */
void redis_cluster_moved(struct redis_cluster *cluster, uint16_t slot,
                         const struct redis_host *host);
/* The link of this node, which is made if need be; it may not be ready. NULL: no room. */
struct redis_link *redis_cluster_node(struct redis_cluster *cluster, const struct redis_host *host);
/* The map may be wrong: ask. */
void redis_cluster_doubt(struct redis_cluster *cluster);

void redis_cluster_run(struct redis_cluster *cluster, uint64_t now_ms);
void redis_cluster_flush(struct redis_cluster *cluster);
uint64_t redis_cluster_next_ms(const struct redis_cluster *cluster);
/* The node that is not well and serves slots; NULL: all are, or `fault` is the cluster's. */
const struct redis_link *redis_cluster_trouble(const struct redis_cluster *cluster,
                                               enum redis_fault *fault);

#endif
