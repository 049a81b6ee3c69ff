#include "tests/sim/weather.h"

#include "tests/sim/sim.h"

static const char *const fault_names[FAULTS_COUNT] = {
#define FAULT_NAME(id, name) [FAULT_##id] = name,
    FAULTS(FAULT_NAME)
#undef FAULT_NAME
};

/* --- drawing --- */

static struct fault draw_fault(struct sim *sim)
{
    struct draw *draw = &sim->faults;
    struct fault fault = {.kind = (enum fault_kind)draw_between(draw, 0, FAULTS_COUNT - 1)};
    uint64_t most_ms = 3000;
    fault.who = draw_between(draw, 0, SIM_NODES - 1);
    switch (fault.kind) {
    case FAULT_PAUSE:
        most_ms = 8000; /* longer than MEMBER_TTL_MS */
        break;
    case FAULT_WORKER_STORE:
        most_ms = 6000;
        break;
    case FAULT_LB_STORE:
    case FAULT_LB_RESTART:
        fault.who = draw_between(draw, 0, SIM_LBS - 1);
        break;
    case FAULT_LB_WORKER:
        fault.other = fault.who;
        fault.who = draw_between(draw, 0, SIM_LBS - 1);
        break;
    case FAULT_REBIND:
    case FAULT_DEVICE_RESTART:
        fault.who = draw_between(draw, 0, sim->device_count - 1);
        break;
    case FAULT_CRASH:
    case FAULT_DRAIN:
    case FAULT_STORE:
    case FAULT_DOUBT:
    case FAULTS_COUNT:
        break;
    }
    fault.begins_ms = draw_between(draw, SIM_FAULTS_FROM_MS, SIM_CALM_MS - 500);
    fault.ends_ms = fault.begins_ms + draw_between(draw, 20, most_ms);
    if (fault.ends_ms > SIM_CALM_MS)
        fault.ends_ms = SIM_CALM_MS;
    return fault;
}

void weather_init(struct sim *sim, bool faulty)
{
    struct weather *weather = &sim->weather;
    struct draw *draw = &sim->faults;
    *weather = (struct weather){
        .delay_most_ms = 5, .link_delay_most_ms = 1, .store_delay_most_ms = 2, .refuses = true};
    if (!faulty)
        return;
    static const unsigned losses[] = {0, 0, 20, 100, 250};
    weather->loss = losses[draw_between(draw, 0, 4)];
    weather->duplicate = (unsigned)draw_between(draw, 0, 200);
    weather->replay = (unsigned)draw_between(draw, 0, 200);
    weather->delay_most_ms = draw_between(draw, 1, 300);
    weather->sprays = draw_chance(draw, 500);
    weather->link_loss = draw_chance(draw, 300) ? 20 : 0;
    weather->link_delay_most_ms = draw_between(draw, 1, 20);
    weather->refuses = draw_chance(draw, 500);
    weather->store_delay_most_ms = draw_between(draw, 1, 60);
    weather->fault_count = draw_between(draw, 4, SIM_FAULTS_MAX);
    for (size_t i = 0; i < weather->fault_count; i++) {
        weather->faults[i] = draw_fault(sim);
        steps_add(&sim->steps, weather->faults[i].begins_ms, STEP_FAULT, i, NULL, 0);
    }
}

/* --- faults --- */

static void cut_store(struct sim *sim, size_t client, bool begins)
{
    struct weather *weather = &sim->weather;
    if (!begins) {
        weather->store_cuts[client]--;
        return;
    }
    if (weather->store_cuts[client]++ == 0)
        weather->store_cut_since_ms[client] = sim->now_ms;
}

static void cut_whole_store(struct sim *sim, bool begins)
{
    for (size_t client = 0; client < SIM_STORE_CLIENTS; client++)
        cut_store(sim, client, begins);
}

/* What begins and ends. */
static void turn_fault(struct sim *sim, const struct fault *fault, bool begins)
{
    switch (fault->kind) {
    case FAULT_CRASH:
        if (begins)
            node_crash(&sim->nodes[fault->who], fault->ends_ms);
        break;
    case FAULT_DRAIN:
        if (begins)
            node_drain(&sim->nodes[fault->who]);
        break;
    case FAULT_PAUSE:
        node_pause(&sim->nodes[fault->who], begins);
        break;
    case FAULT_WORKER_STORE:
        cut_store(sim, fault->who, begins);
        break;
    case FAULT_LB_STORE:
        cut_store(sim, SIM_NODES + fault->who, begins);
        break;
    case FAULT_LB_WORKER:
        sim->weather.link_cuts[fault->who][fault->other] += begins ? 1 : -1u;
        break;
    case FAULT_STORE:
        cut_whole_store(sim, begins);
        break;
    case FAULT_DOUBT:
        sim->weather.store_doubt = begins ? 300 : 0;
        break;
    case FAULT_LB_RESTART:
        if (begins)
            balancer_restart(&sim->balancers[fault->who]);
        break;
    case FAULT_REBIND:
        if (begins)
            device_rebind(&sim->devices[fault->who]);
        break;
    case FAULT_DEVICE_RESTART:
        if (begins)
            device_restart(&sim->devices[fault->who]);
        break;
    case FAULTS_COUNT:
        break;
    }
}

void weather_step(struct sim *sim, const struct step *step)
{
    struct fault *fault = &sim->weather.faults[step->to];
    bool begins = step->from == 0;
    trace_line(&sim->trace, sim->now_ms, "FAULT %s %zu %zu %s", fault_names[fault->kind],
               fault->who, fault->other, begins ? "begins" : "is over");
    turn_fault(sim, fault, begins);
    if (begins)
        steps_add(&sim->steps, fault->ends_ms, STEP_FAULT, step->to, NULL, 0)->from = 1;
}

void weather_clear(struct sim *sim)
{
    struct weather *weather = &sim->weather;
    weather->loss = weather->duplicate = weather->replay = 0;
    weather->link_loss = 0;
    weather->delay_most_ms = 5;
    weather->link_delay_most_ms = 1;
    weather->store_delay_most_ms = 2;
}

/* --- ways --- */

static size_t choose_lb(struct sim *sim, const struct device *device)
{
    if (sim->weather.sprays)
        return draw_between(&sim->net, 0, SIM_LBS - 1);
    return device->peer.address.port % SIM_LBS;
}

/* One datagram, and what becomes of it. */
static void send_copies(struct sim *sim, enum step_kind kind, size_t to,
                        const struct address *address, const void *bytes, size_t length)
{
    const struct weather *weather = &sim->weather;
    struct draw *draw = &sim->net;
    uint64_t delays_ms[3];
    size_t copies = 0;
    if (!draw_chance(draw, weather->loss))
        delays_ms[copies++] = draw_between(draw, 1, weather->delay_most_ms);
    if (draw_chance(draw, weather->duplicate))
        delays_ms[copies++] = draw_between(draw, 1, 2 * weather->delay_most_ms);
    if (draw_chance(draw, weather->replay))
        delays_ms[copies++] = draw_between(draw, 1, 4000);
    for (size_t i = 0; i < copies; i++)
        steps_add(&sim->steps, sim->now_ms + delays_ms[i], kind, to, bytes, length)->address =
            *address;
}

void weather_to_lb(struct sim *sim, const struct device *device, const void *bytes, size_t length)
{
    send_copies(sim, STEP_LB_DATAGRAM, choose_lb(sim, device), &device->peer.address, bytes,
                length);
}

void weather_to_device(struct sim *sim, const struct address *to, const void *bytes, size_t length)
{
    for (size_t i = 0; i < sim->device_count; i++) {
        if (address_equal(&sim->devices[i].peer.address, to))
            send_copies(sim, STEP_DEVICE_DATAGRAM, i, to, bytes, length);
    }
}

uint64_t weather_link_way(struct sim *sim, size_t lb, size_t node)
{
    uint64_t delay_ms = draw_between(&sim->net, 0, sim->weather.link_delay_most_ms);
    bool is_lost = draw_chance(&sim->net, sim->weather.link_loss);
    return is_lost || sim->weather.link_cuts[lb][node] > 0 ? UINT64_MAX : sim->now_ms + delay_ms;
}

uint64_t weather_store_way(struct sim *sim, uint64_t *last_ms)
{
    uint64_t due_ms = sim->now_ms + draw_between(&sim->net, 0, sim->weather.store_delay_most_ms);
    if (due_ms < *last_ms)
        due_ms = *last_ms;
    return *last_ms = due_ms;
}

bool weather_store_is_cut(const struct sim *sim, size_t client)
{
    return sim->weather.store_cuts[client] > 0;
}

uint64_t weather_store_cut_ms(const struct sim *sim, size_t client)
{
    return weather_store_is_cut(sim, client) ? sim->now_ms - sim->weather.store_cut_since_ms[client]
                                             : 0;
}
