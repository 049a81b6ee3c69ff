#include "lb/relay.h"

#include "lb/admission.h"
#include "lb/classify.h"
#include "lb/flow.h"
#include "lb/metrics.h"
#include "lb/route.h"
#include "shared/record.h"

#include <stdlib.h>

/* Idle flows taken out in one round: a table full of them is empty again after some seconds, and no
 * round holds up the datagrams for more than a millisecond. */
#define FLOWS_EXPIRED_PER_ROUND 4096

struct listener {
    struct relay *relay;
    struct io_socket *socket;
    uint8_t id; /* as in a frame's entry */
};

struct relay {
    struct io *io;
    struct trunk *trunk;
    struct cid_config configs[CID_CONFIGS_MAX];
    struct flows flows;
    bool has_flows;
    struct admission admission;
    bool has_admission;
    struct listener listeners[LISTENERS_MAX];
    size_t listener_count;
    struct metrics *metrics;
    size_t thread;
};

static void count(struct relay *relay, enum lb_metric row)
{
    metrics_add(relay->metrics, relay->thread, row, 1);
}

static enum lb_metric dropped_class(enum class_outcome outcome)
{
    switch (outcome) {
    case CLASS_UNROUTABLE_CID:
        return LB_DROPPED_CID_UNROUTABLE;
    case CLASS_UNKNOWN_CONFIG:
        return LB_DROPPED_CID_CONFIG;
    case CLASS_WRONG_LENGTH:
        return LB_DROPPED_CID_LENGTH;
    case CLASS_VERSION:
        return LB_DROPPED_VERSION;
    case CLASS_MALFORMED:
    case CLASS_ROUTABLE_CID:
    case CLASS_NO_CID:
    case CLASS_OSCORE:
        break;
    }
    return LB_DROPPED_MALFORMED;
}

/* The flow table follows what the route was: touched by use, set by rule 4. */
static void note_route(struct relay *relay, const struct listener *listener,
                       const struct address *source, enum route_outcome outcome, struct flow *flow,
                       const struct member *member)
{
    uint64_t now_ms = io_now_ms(relay->io);

    switch (outcome) {
    case ROUTE_BY_CID:
        count(relay, LB_ROUTED_CID);
        break;
    case ROUTE_REHASHED:
        count(relay, LB_ROUTED_CID_REHASHED);
        break;
    case ROUTE_BY_FLOW:
        count(relay, LB_ROUTED_FLOW);
        flows_touch(&relay->flows, flow, now_ms);
        break;
    case ROUTE_HASHED:
        count(relay, LB_ROUTED_HASHED);
        /* Without memory for the entry the next datagram is hashed again, to the same worker. */
        (void)!flows_put(&relay->flows, listener->id, source, member->id, now_ms);
        break;
    case ROUTE_BY_OSCORE:
        count(relay, LB_ROUTED_OSCORE);
        break;
    case ROUTE_NO_WORKER:
    case ROUTE_UNROUTABLE:
        break;
    }
}

static void take_datagram(struct relay *relay, const struct listener *listener,
                          const struct io_datagram *datagram)
{
    const struct address *source = &datagram->from;
    uint64_t now_ms = io_now_ms(relay->io);

    count(relay, LB_DATAGRAMS_IN);
    if (datagram->truncated || datagram->length > DATAGRAM_SIZE_MAX) {
        count(relay, LB_DROPPED_OVERSIZED);
        return;
    }
    struct classification class =
        listener->id & FRAME_LISTENER_COAP
            ? classify_coap(datagram->data, datagram->length)
            : classify_dtls(relay->configs, datagram->data, datagram->length);
    struct flow *flow =
        route_asks_flow(&class) ? flows_find(&relay->flows, listener->id, source, now_ms) : NULL;
    struct member *member;
    enum route_outcome outcome =
        route_choose(trunk_membership(relay->trunk), &class, source, flow, &member);
    if (outcome == ROUTE_UNROUTABLE) {
        count(relay, dropped_class(class.outcome));
        return;
    }
    if (outcome == ROUTE_NO_WORKER) {
        count(relay, LB_DROPPED_NO_WORKER);
        return;
    }
    if (class.starts_handshake &&
        admission_ask(&relay->admission, source, now_ms) == ADMISSION_REFUSED) {
        count(relay, LB_DROPPED_ADMISSION);
        return;
    }

    struct frame_entry entry = {
        .listener = listener->id,
        .address = *source,
        .datagram = datagram->data,
        .length = (uint16_t)datagram->length,
    };
    note_route(relay, listener, source, outcome, flow, member);
    if (trunk_put(relay->trunk, member, &entry) == STATUS_TOO_LONG)
        count(relay, LB_DROPPED_OVERSIZED);
}

static void on_receive(void *owner, struct io_socket *socket, struct io_datagram *datagrams,
                       size_t datagram_count)
{
    struct listener *listener = owner;

    (void)socket;
    for (size_t i = 0; i < datagram_count; i++)
        take_datagram(listener->relay, listener, &datagrams[i]);
    trunk_flush(listener->relay->trunk);
}

/* A worker's datagram for a client. A flow that is answered is in use: a client that waits for a
 * slow reply keeps its worker. */
static void on_deliver(void *owner, const struct frame_entry *entry)
{
    struct relay *relay = owner;
    size_t index = entry->listener & FRAME_LISTENER_INDEX;

    if (index >= relay->listener_count || relay->listeners[index].id != entry->listener) {
        count(relay, LB_DROPPED_NO_LISTENER);
        return;
    }
    uint64_t now_ms = io_now_ms(relay->io);
    struct flow *flow = flows_find(&relay->flows, entry->listener, &entry->address, now_ms);
    if (flow)
        flows_touch(&relay->flows, flow, now_ms);
    io_send(relay->listeners[index].socket, &entry->address, entry->datagram, entry->length);
    count(relay, LB_DATAGRAMS_OUT);
}

static enum status set_up_configs(struct relay *relay, const struct relay_options *options)
{
    uint8_t key[CID_KEY_SIZE];
    enum status status = STATUS_OK;

    for (uint8_t id = 0; id < CID_CONFIGS_MAX && status == STATUS_OK; id++) {
        uint8_t length = options->cid_lengths[id];
        if (length == 0)
            continue;
        uint8_t worker_id_length = CID_WORKER_ID_LENGTH(length);
        status = keys_derive(options->key, KEY_CID, &id, sizeof(id), key, sizeof(key));
        if (status == STATUS_OK)
            status = cid_config_init(&relay->configs[id], id, worker_id_length,
                                     (uint8_t)(length - 1 - worker_id_length), key);
    }
    keys_wipe(key, sizeof(key));
    return status;
}

static enum status set_up_tables(struct relay *relay, const struct relay_options *options)
{
    uint8_t random[2][16];
    enum status status = keys_random(random, sizeof(random));
    if (status != STATUS_OK)
        return status;

    struct hash_key key = hash_key_from(random[0]);
    status = flows_init(&relay->flows, options->flows_max, FLOW_IDLE_MS, &key);
    relay->has_flows = status == STATUS_OK;
    if (status != STATUS_OK)
        return status;
    key = hash_key_from(random[1]);
    status = admission_init(&relay->admission, ADMISSION_PREFIXES_MAX, options->handshake_rate,
                            options->handshake_burst, &key);
    relay->has_admission = status == STATUS_OK;
    return status;
}

enum status relay_new(struct relay **new_relay, const struct relay_options *options)
{
    struct relay *relay = calloc(1, sizeof(*relay));
    if (!relay)
        return STATUS_NO_MEMORY;
    relay->io = options->io;
    relay->metrics = options->metrics;
    relay->thread = options->thread;

    enum status status = set_up_configs(relay, options);
    if (status == STATUS_OK)
        status = set_up_tables(relay, options);
    if (status != STATUS_OK)
        goto failed;
    struct trunk_options trunk = {
        .io = options->io,
        .key = options->key,
        .bind = options->link,
        .workers = options->workers,
        .worker_count = options->worker_count,
        .is_listed = options->is_listed,
        .frame_size = options->frame_size,
        .deliver = on_deliver,
        .owner = relay,
        .metrics = options->metrics,
        .thread = options->thread,
    };
    status = trunk_new(&relay->trunk, &trunk);
    if (status != STATUS_OK)
        goto failed;
    *new_relay = relay;
    return STATUS_OK;

failed:
    relay_free(relay);
    return status;
}

void relay_free(struct relay *relay)
{
    if (!relay)
        return;
    trunk_free(relay->trunk);
    if (relay->has_admission)
        admission_free(&relay->admission);
    if (relay->has_flows)
        flows_free(&relay->flows);
    for (size_t id = 0; id < CID_CONFIGS_MAX; id++) {
        if (relay->configs[id].in_use)
            cid_config_free(&relay->configs[id]);
    }
    free(relay);
}

/* A second socket on the listener's address, for datagrams that begin with a handshake record: a
 * storm of them fills its queue in the kernel, and not that of records that have a session. What it
 * receives goes the same way, and everything is sent from the first. */
static enum status open_greeter(struct relay *relay, struct listener *listener,
                                const struct io_udp_options *first)
{
    struct io_udp_options options = *first;
    const struct address local = io_local_address(listener->socket);
    struct io_socket *greeter;
    options.bind = &local;
    options.steers = true;
    options.steered = RECORD_TYPE_HANDSHAKE;
    return io_udp_open(relay->io, &options, &greeter);
}

enum status relay_listen(struct relay *relay, const struct address *bind, enum listener_kind kind,
                         bool is_alone)
{
    if (relay->listener_count == LISTENERS_MAX)
        return STATUS_FULL;
    struct listener *listener = &relay->listeners[relay->listener_count];
    listener->relay = relay;
    listener->id = (uint8_t)relay->listener_count;
    if (kind == LISTENER_COAP)
        listener->id |= FRAME_LISTENER_COAP;

    bool has_greeter = kind == LISTENER_DTLS && is_alone;
    struct io_udp_options options = {
        .bind = bind,
        .datagram_size_max = DATAGRAM_SIZE_MAX,
        .reuse_port = has_greeter || !is_alone,
        .receive = on_receive,
        .owner = listener,
    };
    enum status status = io_udp_open(relay->io, &options, &listener->socket);
    if (status == STATUS_OK && has_greeter)
        status = open_greeter(relay, listener, &options);
    if (status == STATUS_OK)
        relay->listener_count++;
    return status;
}

struct address relay_local_address(const struct relay *relay, size_t listener)
{
    return io_local_address(relay->listeners[listener].socket);
}

struct address relay_link_address(const struct relay *relay)
{
    return trunk_local_address(relay->trunk);
}

uint64_t relay_next_ms(const struct relay *relay)
{
    return trunk_next_ms(relay->trunk);
}

static void set(struct relay *relay, enum lb_metric row, uint64_t value)
{
    metrics_set(relay->metrics, relay->thread, row, value);
}

void relay_run(struct relay *relay)
{
    uint64_t now_ms = io_now_ms(relay->io);

    if (now_ms < relay_next_ms(relay))
        return;
    trunk_run(relay->trunk, now_ms);
    flows_expire(&relay->flows, now_ms, FLOWS_EXPIRED_PER_ROUND);

    struct io_counters counters = io_counters(relay->io);
    set(relay, LB_FLOWS, flows_count(&relay->flows));
    set(relay, LB_FLOWS_EVICTED, relay->flows.evicted);
    set(relay, LB_PREFIXES_EVICTED, relay->admission.evicted);
    set(relay, LB_SEND_FAILURES, counters.send_failures);
    set(relay, LB_RECEIVE_OVERFLOWS, counters.receive_overflows);
    /* A scrape adds the threads up, and each knows the same workers. */
    if (relay->thread == 0)
        set(relay, LB_WORKERS_ALIVE, relay_workers_alive(relay));
}

void relay_list(struct relay *relay, const struct roster_list *list)
{
    trunk_list(relay->trunk, list);
}

size_t relay_workers_alive(const struct relay *relay)
{
    return trunk_membership(relay->trunk)->alive;
}

uint64_t relay_workers_died(const struct relay *relay)
{
    return trunk_membership(relay->trunk)->deaths;
}
