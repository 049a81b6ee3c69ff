#include "shared/redis_cluster.h"

#include <stdlib.h>
#include <string.h>

#include <hiredis/hiredis.h>

#include "shared/redis_slot.h"

#define NOBODY 0xff

_Static_assert(REDIS_NODES_MAX < NOBODY, "a node's index is an octet");

struct redis_cluster {
    struct redis_link_options options;
    struct redis_link *nodes[REDIS_NODES_MAX]; /* NULL: free */
    bool is_wanted[REDIS_NODES_MAX];           /* by the map, or a place to ask */
    uint8_t node_of[REDIS_SLOTS];
    bool has_map;
    bool is_complete; /* each slot has a node */
    bool is_doubted;
    bool is_asking;
    struct redis_call call;
    uint64_t asked_ms;
    uint64_t now_ms;
};

/* --- nodes --- */

static uint8_t find(const struct redis_cluster *cluster, const struct redis_host *host)
{
    for (uint8_t i = 0; i < REDIS_NODES_MAX; i++) {
        if (cluster->nodes[i] && redis_host_equal(redis_link_host(cluster->nodes[i]), host))
            return i;
    }
    return NOBODY;
}

static uint8_t find_or_add(struct redis_cluster *cluster, const struct redis_host *host)
{
    uint8_t node = find(cluster, host);
    for (uint8_t i = 0; node == NOBODY && i < REDIS_NODES_MAX; i++) {
        if (!cluster->nodes[i] &&
            redis_link_new(&cluster->nodes[i], &cluster->options, host) == STATUS_OK)
            node = i;
    }
    if (node != NOBODY)
        cluster->is_wanted[node] = true;
    return node;
}

static void add_seeds(struct redis_cluster *cluster)
{
    const struct redis_url *url = cluster->options.url;
    for (size_t i = 0; i < url->host_count; i++)
        (void)find_or_add(cluster, &url->hosts[i]);
}

struct redis_link *redis_cluster_node(struct redis_cluster *cluster, const struct redis_host *host)
{
    uint8_t node = find_or_add(cluster, host);
    return node == NOBODY ? NULL : cluster->nodes[node];
}

enum status redis_cluster_new(struct redis_cluster **cluster,
                              const struct redis_link_options *options)
{
    struct redis_cluster *made = calloc(1, sizeof *made);
    if (!made)
        return STATUS_NO_MEMORY;
    made->options = *options;
    made->is_doubted = true;
    memset(made->node_of, NOBODY, sizeof made->node_of);
    add_seeds(made);
    *cluster = made;
    return STATUS_OK;
}

void redis_cluster_free(struct redis_cluster *cluster)
{
    if (!cluster)
        return;
    for (size_t i = 0; i < REDIS_NODES_MAX; i++)
        redis_link_free(cluster->nodes[i]);
    free(cluster);
}

/* --- the map --- */

/* One row of the answer to CLUSTER SLOTS: first, last, (host, port, ...) of the master, replicas.
 */
static bool take_row(struct redis_cluster *cluster, const struct redis_link *link,
                     const redisReply *row, uint8_t node_of[REDIS_SLOTS])
{
    if (row->type != REDIS_REPLY_ARRAY || row->elements < 3)
        return false;
    const redisReply *first = row->element[0], *last = row->element[1], *master = row->element[2];
    if (first->type != REDIS_REPLY_INTEGER || last->type != REDIS_REPLY_INTEGER ||
        first->integer < 0 || last->integer < first->integer || last->integer >= REDIS_SLOTS ||
        master->type != REDIS_REPLY_ARRAY || master->elements < 2)
        return false;
    const redisReply *name = master->element[0], *port = master->element[1];
    if (port->type != REDIS_REPLY_INTEGER || port->integer <= 0 || port->integer > 65535)
        return false;
    /* A node that does not know its own address leaves it out: it is the one that was asked. */
    struct redis_host host = *redis_link_host(link);
    host.port = (uint16_t)port->integer;
    bool is_named =
        name->type == REDIS_REPLY_STRING && name->len > 0 && strcmp(name->str, "?") != 0;
    if (is_named) {
        if (name->len > REDIS_HOST_LENGTH_MAX || memchr(name->str, '\0', name->len))
            return false;
        memcpy(host.name, name->str, name->len + 1);
    }
    uint8_t node = find_or_add(cluster, &host);
    memset(node_of + first->integer, node, (size_t)(last->integer - first->integer + 1));
    return true;
}

static void take_map(struct redis_call *call, struct redis_link *link, const redisReply *reply)
{
    struct redis_cluster *cluster = call->owner;
    uint8_t node_of[REDIS_SLOTS];
    cluster->is_asking = false;
    if (!reply || reply->type != REDIS_REPLY_ARRAY)
        return; /* the doubt remains: another node is asked */
    memset(node_of, NOBODY, sizeof node_of);
    memset(cluster->is_wanted, 0, sizeof cluster->is_wanted);
    for (size_t i = 0; i < reply->elements; i++) {
        if (!take_row(cluster, link, reply->element[i], node_of))
            break;
    }
    memcpy(cluster->node_of, node_of, sizeof node_of);
    cluster->has_map = true;
    cluster->is_complete = !memchr(node_of, NOBODY, sizeof node_of);
    cluster->is_doubted = !cluster->is_complete;
}

static void ask(struct redis_cluster *cluster)
{
    static const char command[] = "*2\r\n$7\r\nCLUSTER\r\n$5\r\nSLOTS\r\n";
    if (!cluster->is_doubted || cluster->is_asking ||
        (cluster->asked_ms > 0 && cluster->now_ms < cluster->asked_ms + REDIS_REFRESH_MS))
        return;
    /* Another one each time, lest the one that is asked is cut off from the others. */
    size_t start = (size_t)(cluster->now_ms / REDIS_REFRESH_MS);
    for (size_t i = 0; i < REDIS_NODES_MAX && !cluster->is_asking; i++) {
        struct redis_link *link = cluster->nodes[(start + i) % REDIS_NODES_MAX];
        if (!link || !redis_link_is_ready(link))
            continue;
        cluster->call.answer = take_map;
        cluster->call.owner = cluster;
        cluster->is_asking =
            redis_link_send(link, &cluster->call, command, sizeof command - 1) == STATUS_OK;
    }
    if (cluster->is_asking)
        cluster->asked_ms = cluster->now_ms;
    else
        add_seeds(cluster);
}

void redis_cluster_doubt(struct redis_cluster *cluster)
{
    cluster->is_doubted = true;
}

void redis_cluster_moved(struct redis_cluster *cluster, uint16_t slot,
                         const struct redis_host *host)
{
    cluster->is_doubted = true;
    if (slot < REDIS_SLOTS)
        cluster->node_of[slot] = find_or_add(cluster, host);
}

enum redis_route redis_cluster_route(struct redis_cluster *cluster, uint16_t slot,
                                     struct redis_link **link)
{
    enum redis_fault fault;
    uint8_t node = cluster->node_of[slot % REDIS_SLOTS];
    if (node == NOBODY || !cluster->nodes[node]) {
        (void)redis_cluster_trouble(cluster, &fault);
        return fault == REDIS_FAULT_NONE ? REDIS_ROUTE_WAIT : REDIS_ROUTE_DOWN;
    }
    *link = cluster->nodes[node];
    if (redis_link_is_ready(*link))
        return REDIS_ROUTE_READY;
    if (redis_link_fault(*link) == REDIS_FAULT_NONE)
        return REDIS_ROUTE_WAIT;
    cluster->is_doubted = true; /* a replica may have taken its place */
    return REDIS_ROUTE_DOWN;
}

/* --- turns --- */

static bool is_in_map(const struct redis_cluster *cluster, uint8_t node)
{
    return memchr(cluster->node_of, node, sizeof cluster->node_of) != NULL;
}

/* Nodes that no longer serve anything, when nothing is under way there. */
static void let_go(struct redis_cluster *cluster)
{
    for (uint8_t i = 0; i < REDIS_NODES_MAX; i++) {
        struct redis_link *link = cluster->nodes[i];
        if (!link || cluster->is_wanted[i] || redis_link_pending(link) > 0 || is_in_map(cluster, i))
            continue;
        cluster->nodes[i] = NULL;
        redis_link_free(link);
    }
}

void redis_cluster_run(struct redis_cluster *cluster, uint64_t now_ms)
{
    cluster->now_ms = now_ms;
    for (uint8_t i = 0; i < REDIS_NODES_MAX; i++) {
        struct redis_link *link = cluster->nodes[i];
        if (!link)
            continue;
        redis_link_run(link, now_ms);
        if (redis_link_fault(link) != REDIS_FAULT_NONE && is_in_map(cluster, i))
            cluster->is_doubted = true;
    }
    ask(cluster);
    if (cluster->has_map)
        let_go(cluster);
}

void redis_cluster_flush(struct redis_cluster *cluster)
{
    for (size_t i = 0; i < REDIS_NODES_MAX; i++) {
        if (cluster->nodes[i])
            redis_link_flush(cluster->nodes[i]);
    }
}

uint64_t redis_cluster_next_ms(const struct redis_cluster *cluster)
{
    uint64_t next = UINT64_MAX;
    if (cluster->is_doubted && !cluster->is_asking)
        next = cluster->now_ms + REDIS_REFRESH_MS;
    for (size_t i = 0; i < REDIS_NODES_MAX; i++) {
        uint64_t one = cluster->nodes[i] ? redis_link_next_ms(cluster->nodes[i]) : UINT64_MAX;
        next = one < next ? one : next;
    }
    return next;
}

const struct redis_link *redis_cluster_trouble(const struct redis_cluster *cluster,
                                               enum redis_fault *fault)
{
    *fault = REDIS_FAULT_NONE;
    bool is_any_well = false;
    const struct redis_link *ill = NULL;
    for (uint8_t i = 0; i < REDIS_NODES_MAX; i++) {
        const struct redis_link *link = cluster->nodes[i];
        if (!link)
            continue;
        bool is_ill = redis_link_fault(link) != REDIS_FAULT_NONE;
        is_any_well = is_any_well || !is_ill;
        if (is_ill && (!cluster->has_map || is_in_map(cluster, i)))
            ill = link;
    }
    /* Before the map is known, one seed that answers is enough. */
    if (ill && (cluster->has_map || !is_any_well)) {
        *fault = redis_link_fault(ill);
        return ill;
    }
    if (cluster->has_map && !cluster->is_complete)
        *fault = REDIS_FAULT_NO_NODE;
    return NULL;
}
