#include "tests/sim/node.h"

#include "tests/sim/sim.h"
#include "worker/metrics.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

/* As in worker/worker.c. */
#define DRAIN_LEAST_MS (4 * PING_INTERVAL_MS)
#define DRAIN_MOST_MS 1200

#define RESTART_MS 300 /* from the end of a process to its next life */

static void joined(void *owner, uint16_t id)
{
    struct node *node = owner;
    node_serve(node, id);
    node->stage = NODE_SERVING;
    member_serve(&node->member);
    trace_line(&node->sim->trace, node->sim->now_ms, "worker %zu: serves as %u", node->index, id);
}

static void lost(void *owner, uint16_t id)
{
    struct node *node = owner;
    node->stage = NODE_LOST;
    trace_line(&node->sim->trace, node->sim->now_ms, "worker %zu: has lost the id %u", node->index,
               id);
}

/* --- lives --- */

static uint64_t sooner(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static void plan(struct node *node)
{
    if (node->stage == NODE_DOWN)
        return;
    uint64_t next_ms = member_next_ms(&node->member);
    if (node->stage == NODE_DRAINING && next_ms > node_clock_ms(node) + PING_INTERVAL_MS / 2)
        next_ms = node_clock_ms(node) + PING_INTERVAL_MS / 2;
    if (node->dtls) {
        next_ms = sooner(next_ms, dtls_next_ms(node->dtls));
        next_ms = sooner(next_ms, heirs_next_ms(&node->heirs));
        next_ms = sooner(next_ms, ps_next_ms(node->ps));
        next_ms = sooner(next_ms, relations_next_ms(&node->relations));
        next_ms = sooner(next_ms, coap_next_ms(node->coap));
    }
    if (next_ms == UINT64_MAX)
        return;
    uint64_t least_ms = node_clock_ms(node) + 1;
    uint64_t due_ms = (next_ms < least_ms ? least_ms : next_ms) - node->offset_ms;
    if (node->wake_ms > node->sim->now_ms && node->wake_ms <= due_ms)
        return;
    node->wake_ms = due_ms;
    steps_add(&node->sim->steps, due_ms, STEP_WORKER_TURN, node->index, NULL, 0);
}

void node_init(struct node *node, struct sim *sim, size_t index)
{
    bool picks_id = draw_chance(&sim->faults, 300);
    *node = (struct node){
        .sim = sim,
        .index = index,
        .offset_ms = draw_between(&sim->faults, 0, 1000000),
        .wall_off_ms = (int64_t)draw_between(&sim->faults, 0, 2000) - 1000,
        .given_id = picks_id ? 0 : (uint16_t)(index + 1),
    };
}

static void end(struct node *node)
{
    for (size_t i = 0; i < node->backlog_count; i++)
        step_free(node->backlog[i]);
    node->backlog_count = 0;
    if (node->stage == NODE_DOWN)
        return;
    oracle_ended(node->sim, node->life);
    node->stage = NODE_DOWN;
    node_stop_serving(node);
    store_free(node->store);
    node->store = NULL;
    identities_free(&node->identities);
    vault_free(&node->vault);
    metrics_free(&node->metrics);
}

void node_free(struct node *node)
{
    end(node);
}

void node_start(struct node *node)
{
    struct sim *sim = node->sim;
    if (node->stage != NODE_DOWN)
        return;
    node->life = ++sim->lives;
    node->stage = NODE_JOINING;
    node->is_stopped = false; /* a new process is not */
    node->wake_ms = 0;
    memset(node->lbs, 0, sizeof(node->lbs));
    memset(node->lb_heard_ms, 0, sizeof(node->lb_heard_ms));
    enum status status = boot_id_new(&node->boot, node_unix_ms(node));
    assert(status == STATUS_OK);
    node->store = store_link_new(sim, node->index, node->life);
    const struct hash_key hash_key = {node->life, 3};
    status = identities_init(&node->identities, SIM_DEVICES_MAX, &hash_key);
    assert(status == STATUS_OK);
    device_tell_identities(sim, &node->identities);
    status = vault_init(&node->vault, &sim->key, 0);
    assert(status == STATUS_OK);
    status = metrics_init(&node->metrics, worker_metrics, WORKER_METRICS_COUNT, 1);
    assert(status == STATUS_OK);
    const struct member_options options = {
        .store = node->store,
        .entry = {.worker_id = node->given_id,
                  .boot = node->boot,
                  .link = sim_node_address(node->index),
                  .http = sim_node_address(node->index)},
        .joined = joined,
        .lost = lost,
        .owner = node,
    };
    status = member_init(&node->member, &options);
    assert(status == STATUS_OK);
    trace_line(&sim->trace, sim->now_ms, "worker %zu: starts", node->index);
    steps_add(&sim->steps, sim->now_ms, STEP_WORKER_TURN, node->index, NULL, 0);
}

static void start_later(struct node *node, uint64_t at_ms)
{
    steps_add(&node->sim->steps, at_ms, STEP_WORKER_START, node->index, NULL, 0);
}

void node_crash(struct node *node, uint64_t again_ms)
{
    end(node);
    start_later(node, again_ms);
}

void node_drain(struct node *node)
{
    if (node->stage != NODE_SERVING)
        return;
    node->stage = NODE_DRAINING;
    node->drain_ms = node_clock_ms(node);
    member_drain(&node->member);
    plan(node);
}

static void run_drain(struct node *node)
{
    uint64_t passed_ms = node_clock_ms(node) - node->drain_ms;
    dtls_save(node->dtls);
    if (passed_ms >= DRAIN_LEAST_MS && dtls_is_saved(node->dtls) && node->relations.saving == 0)
        member_leave(&node->member);
    if (passed_ms >= DRAIN_MOST_MS || member_is_gone(&node->member))
        node_crash(node, node->sim->now_ms + RESTART_MS);
}

static void run(struct node *node)
{
    if (node->stage == NODE_DRAINING)
        run_drain(node);
    if (node->stage == NODE_DOWN)
        return;
    member_run(&node->member, node_clock_ms(node));
    if (!node->dtls) {
        (void)store_run(node->store, node_clock_ms(node));
    } else {
        const struct coap_now now = {node_clock_ms(node), node_unix_ms(node)};
        coap_turn(node->coap, now);
        dtls_run(node->dtls, now.ms);
        heirs_run(&node->heirs, now.ms);
        ps_run(node->ps, now.ms);
        relations_run(&node->relations, now.ms);
        coap_run(node->coap, now);
        oracle_look(node->sim, node);
    }
    if (node->stage == NODE_LOST)
        node_crash(node, node->sim->now_ms + RESTART_MS);
    plan(node);
}

/* --- what arrives --- */

static void note_lb(struct node *node, const struct step *step)
{
    node->lbs[step->from] = step->boot;
    node->lb_heard_ms[step->from] = node->sim->now_ms;
}

static void take_ping(struct node *node, const struct step *step)
{
    static const struct boot_id nobody;
    struct sim *sim = node->sim;
    note_lb(node, step);
    if (node->stage != NODE_SERVING && node->stage != NODE_DRAINING)
        return; /* without an id it has nothing to say */
    if (boot_id_compare(&step->to_boot, &nobody) != 0 &&
        boot_id_compare(&step->to_boot, &node->boot) != 0)
        return;
    uint64_t due_ms = weather_link_way(sim, step->from, node->index);
    if (due_ms == UINT64_MAX)
        return;
    struct step *pong = steps_add(&sim->steps, due_ms, STEP_LB_PONG, step->from, NULL, 0);
    pong->address = sim_node_address(node->index);
    pong->boot = node->boot;
    pong->to_boot = step->boot;
    pong->health = (struct frame_health){
        .stamp = step->health.stamp,
        .worker_id = member_id(&node->member),
        .state = node->stage == NODE_SERVING ? FRAME_STATE_SERVING : FRAME_STATE_DRAINING,
        .sessions = (uint32_t)node->dtls->sessions.by_cid.count,
    };
}

static void take_datagram(struct node *node, struct step *step)
{
    if (boot_id_compare(&step->to_boot, &node->boot) != 0 || !node->dtls)
        return;
    note_lb(node, step);
    const struct path path = {.address = step->address, .lb = (uint8_t)step->from};
    dtls_receive(node->dtls, node_clock_ms(node), &path, step->bytes, step->length);
    oracle_look(node->sim, node);
}

static void take(struct node *node, struct step *step)
{
    switch (step->kind) {
    case STEP_WORKER_DATAGRAM:
        take_datagram(node, step);
        break;
    case STEP_WORKER_PING:
        take_ping(node, step);
        return;
    case STEP_STORE_ANSWER:
        store_link_answer(node->sim, node->store, step);
        break;
    default:
        break;
    }
    run(node);
}

/* The host of a dead process says so, if it does. */
static void refuse(const struct node *node, const struct step *step)
{
    struct sim *sim = node->sim;
    const struct address address = sim_node_address(node->index);
    if (sim->weather.refuses && weather_link_way(sim, step->from, node->index) != UINT64_MAX)
        (void)membership_refused(&sim->balancers[step->from].membership, &address);
}

static bool keep(struct node *node, struct step *step)
{
    bool is_own = step->kind == STEP_WORKER_TURN;
    if (is_own || node->backlog_count == SIM_BACKLOG_MAX)
        return false;
    node->backlog[node->backlog_count++] = step;
    return true;
}

bool node_step(struct node *node, struct step *step)
{
    if (step->kind == STEP_WORKER_START) {
        node_start(node);
        return false;
    }
    if (node->stage == NODE_DOWN) {
        if (step->kind == STEP_WORKER_DATAGRAM || step->kind == STEP_WORKER_PING)
            refuse(node, step);
        return false;
    }
    if (node->is_stopped)
        return keep(node, step);
    take(node, step);
    return false;
}

/* It wakes up and finds in its sockets what has come meanwhile. */
static void resume(struct node *node)
{
    node->is_stopped = false;
    node->wake_ms = 0;
    node->resumed_ms = node->sim->now_ms;
    uint64_t life = node->life;
    size_t count = node->backlog_count;
    struct step *backlog[SIM_BACKLOG_MAX];
    memcpy(backlog, node->backlog, count * sizeof(*backlog));
    node->backlog_count = 0;
    for (size_t i = 0; i < count; i++) {
        if (node->stage != NODE_DOWN && node->life == life)
            take(node, backlog[i]);
        step_free(backlog[i]);
    }
    if (node->stage != NODE_DOWN)
        run(node);
}

void node_pause(struct node *node, bool begins)
{
    node->stops += begins ? 1 : -1u;
    if (node->stops > 0)
        node->is_stopped = true;
    else
        resume(node);
}
