#include "tests/sim/balancer.h"

#include "lb/metrics.h"
#include "lb/route.h"
#include "tests/sim/sim.h"

#include <assert.h>
#include <string.h>

#define FLOWS_MAX 64

static void plan(struct balancer *balancer)
{
    uint64_t next_ms = membership_ping_ms(&balancer->membership);
    uint64_t roster_ms = roster_next_ms(&balancer->roster);
    next_ms = roster_ms < next_ms ? roster_ms : next_ms;
    if (next_ms <= balancer->sim->now_ms)
        next_ms = balancer->sim->now_ms + 1;
    if (balancer->wake_ms > balancer->sim->now_ms && balancer->wake_ms <= next_ms)
        return;
    balancer->wake_ms = next_ms;
    steps_add(&balancer->sim->steps, next_ms, STEP_LB_TURN, balancer->index, NULL, 0);
}

void balancer_start(struct balancer *balancer, struct sim *sim, size_t index)
{
    *balancer = (struct balancer){.sim = sim, .index = index, .life = ++sim->lives};
    uint8_t octets[16];
    enum status status = keys_derive(&sim->key, KEY_HASH_SEED, NULL, 0, octets, sizeof(octets));
    assert(status == STATUS_OK);
    const struct hash_key shared = hash_key_from(octets);
    membership_init(&balancer->membership, &shared);
    const struct hash_key own = {balancer->life, 1};
    status = flows_init(&balancer->flows, FLOWS_MAX, FLOW_IDLE_MS, &own);
    assert(status == STATUS_OK);
    uint8_t config_id = SIM_CID_CONFIG;
    uint8_t key[CID_KEY_SIZE];
    status = keys_derive(&sim->key, KEY_CID, &config_id, 1, key, sizeof(key));
    assert(status == STATUS_OK);
    uint8_t id_length = CID_WORKER_ID_LENGTH(CID_LENGTH_DEFAULT);
    status = cid_config_init(&balancer->configs[config_id], config_id, id_length,
                             (uint8_t)(CID_LENGTH_DEFAULT - 1 - id_length), key);
    assert(status == STATUS_OK);
    status = boot_id_new(&balancer->boot, sim_unix_ms(sim));
    assert(status == STATUS_OK);
    status = metrics_init(&balancer->metrics, lb_metrics, LB_METRICS_COUNT, 1);
    assert(status == STATUS_OK);
    balancer->store = store_link_new(sim, SIM_NODES + index, balancer->life);
    status = roster_init(&balancer->roster, balancer->store, &balancer->metrics);
    assert(status == STATUS_OK);
    plan(balancer);
}

void balancer_stop(struct balancer *balancer)
{
    store_free(balancer->store);
    roster_free(&balancer->roster);
    metrics_free(&balancer->metrics);
    flows_free(&balancer->flows);
    cid_config_free(&balancer->configs[SIM_CID_CONFIG]);
}

void balancer_restart(struct balancer *balancer)
{
    balancer_stop(balancer);
    balancer_start(balancer, balancer->sim, balancer->index);
}

/* --- workers: PINGs, PONGs, the list --- */

static void ping(struct balancer *balancer)
{
    struct sim *sim = balancer->sim;
    struct membership *membership = &balancer->membership;
    membership_round(membership, sim->now_ms);
    for (size_t i = 0; i < membership->count; i++) {
        struct member *member = &membership->members[i];
        struct boot_id to;
        if (membership_ping(membership, member, &to) == PING_SENT_DIED)
            trace_line(&sim->trace, sim->now_ms, "lb %zu: worker %u is dead", balancer->index,
                       member->id);
        size_t node = sim_node_at(sim, &member->address);
        uint64_t due_ms = weather_link_way(sim, balancer->index, node);
        if (due_ms == UINT64_MAX)
            continue;
        struct step *step = steps_add(&sim->steps, due_ms, STEP_WORKER_PING, node, NULL, 0);
        step->from = balancer->index;
        step->boot = balancer->boot;
        step->to_boot = to;
        step->health.stamp = sim->now_ms;
    }
}

static void take_pong(struct balancer *balancer, const struct step *step)
{
    struct sim *sim = balancer->sim;
    struct member *member;
    if (boot_id_compare(&step->to_boot, &balancer->boot) != 0)
        return;
    enum pong_outcome outcome = membership_pong(&balancer->membership, &step->address, &step->boot,
                                                &step->health, sim->now_ms, &member);
    if (outcome != PONG_KEPT)
        trace_line(&sim->trace, sim->now_ms, "lb %zu: pong of worker %u outcome=%d state=%d",
                   balancer->index, step->health.worker_id, (int)outcome,
                   member ? (int)member->state : -1);
}

static void note_change(void *owner, enum member_change change, const struct member *member)
{
    const struct balancer *balancer = owner;
    trace_line(&balancer->sim->trace, balancer->sim->now_ms, "lb %zu: list: worker %u change=%d",
               balancer->index, member->id, (int)change);
}

static void run(struct balancer *balancer)
{
    struct sim *sim = balancer->sim;
    struct membership *membership = &balancer->membership;
    while (store_run(balancer->store, sim->now_ms) > 0)
        ;
    if (sim->now_ms >= membership_ping_ms(membership))
        ping(balancer);
    if (membership->deaths != balancer->deaths)
        roster_hurry(&balancer->roster);
    balancer->deaths = membership->deaths;
    roster_run(&balancer->roster, sim->now_ms);
    struct roster_list list;
    if (roster_take(&balancer->roster, &balancer->roster_version, &list))
        membership_update(membership, list.members, list.count, note_change, balancer);
    plan(balancer);
}

/* --- datagrams --- */

static void note_route(struct balancer *balancer, const struct address *source,
                       enum route_outcome outcome, struct flow *flow, const struct member *member)
{
    if (outcome == ROUTE_BY_FLOW)
        flows_touch(&balancer->flows, flow, balancer->sim->now_ms);
    else if (outcome == ROUTE_HASHED)
        (void)!flows_put(&balancer->flows, 0, source, member->id, balancer->sim->now_ms);
}

static void route(struct balancer *balancer, const struct step *step)
{
    struct sim *sim = balancer->sim;
    struct classification class = classify_dtls(balancer->configs, step->bytes, step->length);
    struct flow *flow = route_asks_flow(&class)
                            ? flows_find(&balancer->flows, 0, &step->address, sim->now_ms)
                            : NULL;
    struct member *member;
    enum route_outcome outcome =
        route_choose(&balancer->membership, &class, &step->address, flow, &member);
    if (!member) {
        trace_line(&sim->trace, sim->now_ms, "lb %zu: nowhere to go, outcome=%d", balancer->index,
                   (int)outcome);
        return;
    }
    note_route(balancer, &step->address, outcome, flow, member);
    size_t node = sim_node_at(sim, &member->address);
    uint64_t due_ms = weather_link_way(sim, balancer->index, node);
    trace_line(&sim->trace, sim->now_ms, "lb %zu: %zu octets of port %u to worker %u, outcome=%d%s",
               balancer->index, step->length, step->address.port, member->id, (int)outcome,
               due_ms == UINT64_MAX ? " (lost)" : "");
    if (due_ms == UINT64_MAX)
        return;
    struct step *sent =
        steps_add(&sim->steps, due_ms, STEP_WORKER_DATAGRAM, node, step->bytes, step->length);
    sent->from = balancer->index;
    sent->address = step->address;
    sent->boot = balancer->boot;
    sent->to_boot = member->boot;
}

static void pass_reply(struct balancer *balancer, const struct step *step)
{
    if (boot_id_compare(&step->to_boot, &balancer->boot) != 0)
        return;
    struct flow *flow = flows_find(&balancer->flows, 0, &step->address, balancer->sim->now_ms);
    if (flow)
        flows_touch(&balancer->flows, flow, balancer->sim->now_ms);
    weather_to_device(balancer->sim, &step->address, step->bytes, step->length);
}

void balancer_step(struct balancer *balancer, struct step *step)
{
    switch (step->kind) {
    case STEP_LB_DATAGRAM:
        route(balancer, step);
        break;
    case STEP_LB_REPLY:
        pass_reply(balancer, step);
        break;
    case STEP_LB_PONG:
        take_pong(balancer, step);
        break;
    case STEP_STORE_ANSWER:
        store_link_answer(balancer->sim, balancer->store, step);
        run(balancer);
        break;
    default:
        run(balancer);
        break;
    }
}
