#include "lb/flow.h"

#include <string.h>

struct flow_name {
    uint8_t listener;
    const struct address *source;
};

static uint64_t hash_name(const struct hash_key *key, uint8_t listener,
                          const struct address *source)
{
    uint8_t octets[1 + sizeof(*source)];
    octets[0] = listener;
    memcpy(octets + 1, source, sizeof(*source));
    return hash_bytes(key, octets, sizeof(octets));
}

static uint64_t hash_flow(const void *context, const void *object)
{
    const struct flow *flow = object;
    return hash_name(context, flow->listener, &flow->source);
}

static bool match_flow(const void *object, const void *key)
{
    const struct flow *flow = object;
    const struct flow_name *name = key;
    return flow->listener == name->listener && address_equal(&flow->source, name->source);
}

enum status flows_init(struct flows *flows, size_t flows_max, uint64_t idle_max_ms,
                       const struct hash_key *key)
{
    *flows = (struct flows){.key = *key, .idle_max_ms = idle_max_ms};
    enum status status = pool_init(&flows->pool, sizeof(struct flow), flows_max);
    if (status != STATUS_OK)
        return status;
    status = table_init(&flows->table, flows_max, match_flow, hash_flow, &flows->key);
    if (status != STATUS_OK)
        pool_free(&flows->pool);
    return status;
}

void flows_free(struct flows *flows)
{
    table_free(&flows->table);
    pool_free(&flows->pool);
}

static bool is_idle(const struct flows *flows, const struct flow *flow, uint64_t now_ms)
{
    return now_ms - flow->used_ms >= flows->idle_max_ms;
}

static struct flow *find(struct flows *flows, uint8_t listener, const struct address *source)
{
    struct flow_name name = {.listener = listener, .source = source};
    return table_find(&flows->table, hash_name(&flows->key, listener, source), &name);
}

static void discard(struct flows *flows, struct flow *flow)
{
    (void)table_remove(&flows->table, hash_flow(&flows->key, flow), flow);
    recency_remove(&flows->recency, &flow->recency);
    pool_put(&flows->pool, flow);
}

struct flow *flows_find(struct flows *flows, uint8_t listener, const struct address *source,
                        uint64_t now_ms)
{
    struct flow *flow = find(flows, listener, source);
    return flow && !is_idle(flows, flow, now_ms) ? flow : NULL;
}

void flows_touch(struct flows *flows, struct flow *flow, uint64_t now_ms)
{
    flow->used_ms = now_ms;
    recency_touch(&flows->recency, &flow->recency);
}

/* An object for a new entry, if need be the oldest one's. */
static struct flow *make_room(struct flows *flows, uint64_t now_ms)
{
    if (flows->table.count == flows->table.count_max) {
        struct flow *oldest = (struct flow *)flows->recency.oldest;
        flows->evicted += !is_idle(flows, oldest, now_ms);
        discard(flows, oldest);
    }
    return pool_get(&flows->pool);
}

enum status flows_put(struct flows *flows, uint8_t listener, const struct address *source,
                      uint16_t worker, uint64_t now_ms)
{
    struct flow *flow = find(flows, listener, source);
    if (flow) {
        flow->worker = worker;
        flows_touch(flows, flow, now_ms);
        return STATUS_OK;
    }

    flow = make_room(flows, now_ms);
    if (!flow)
        return STATUS_NO_MEMORY;
    *flow =
        (struct flow){.used_ms = now_ms, .source = *source, .worker = worker, .listener = listener};
    enum status status = table_insert(&flows->table, hash_flow(&flows->key, flow), flow);
    if (status != STATUS_OK) {
        pool_put(&flows->pool, flow);
        return status;
    }
    recency_add(&flows->recency, &flow->recency);
    return STATUS_OK;
}

void flows_expire(struct flows *flows, uint64_t now_ms, size_t count)
{
    for (size_t i = 0; i < count && flows->recency.oldest; i++) {
        struct flow *oldest = (struct flow *)flows->recency.oldest;
        if (!is_idle(flows, oldest, now_ms))
            break;
        discard(flows, oldest);
    }
}
