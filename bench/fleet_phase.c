/* A run from phase to phase: when one is over, what is due in it, and how long it may wait. */
#include "bench/clock.h"
#include "bench/device.h"

#define QUIET_US 200000
#define QUIET_MAX_US 3000000

static void enter(struct fleet *fleet, enum fleet_phase phase)
{
    fleet->phase = phase;
    fleet->phase_start_us = fleet->now_us;
}

static uint64_t octets_up(const struct fleet *fleet)
{
    return fleet->wire.octets_sent - fleet->tally.handshake_octets_up;
}

static uint64_t octets_down(const struct fleet *fleet)
{
    return fleet->wire.octets_received - fleet->tally.handshake_octets_down;
}

static uint64_t run_end_us(const struct fleet *fleet)
{
    return fleet->run_start_us + fleet->plan->duration_s * 1000000;
}

/* When the next operation is due: at once in a closed loop. What is due before the run's end is
 * taken, however late we look. */
static bool take_due(struct fleet *fleet, uint64_t *due_us)
{
    uint64_t last_us = run_end_us(fleet) - 1;
    *due_us = fleet->now_us;
    return fleet->plan->rate == 0 ||
           pace_take(&fleet->pace, fleet->now_us < last_us ? fleet->now_us : last_us, due_us);
}

/* All devices lose their sessions at once, and their addresses too. */
static void break_all(struct fleet *fleet)
{
    for (struct device *device; (device = device_queue_take(&fleet->ready));) {
        if (!fleet->shared)
            fleet_rebind(device);
        fleet_hang_up(device);
    }
}

void fleet_read_usage(struct fleet *fleet, struct server_usage *usage)
{
    const struct plan *plan = fleet->plan;
    if (server_usage_read(plan->servers, plan->server_count, usage) != STATUS_OK)
        fleet->tally.has_usage = false;
}

static void begin_run(struct fleet *fleet)
{
    fleet_note_stored(fleet);
    fleet->now_us = clock_now_us(); /* that has taken its time */
    fleet_read_usage(fleet, &fleet->tally.usage_at_start);
    fleet->tally.start_us = fleet->now_us - fleet->phase_start_us;
    fleet->tally.octets_up_start = octets_up(fleet);
    fleet->tally.octets_down_start = octets_down(fleet);
    enter(fleet, FLEET_RUN);
    fleet->run_start_us = fleet->last_served_us = fleet->now_us;
    fleet->pace = (struct pace){.start_us = fleet->now_us, .rate = fleet->plan->rate};
    if (fleet->plan->workload == WORKLOAD_RECONNECT)
        break_all(fleet);
    for (uint64_t i = 0; fleet->plan->workload == WORKLOAD_OBSERVE && i < fleet->plan->devices; i++)
        fleet_wake(&fleet->devices[i]);
}

static void end_run(struct fleet *fleet)
{
    uint64_t gap_us = fleet->now_us - fleet->last_served_us;
    uint64_t ignored_us;
    if (gap_us > fleet->tally.max_gap_us)
        fleet->tally.max_gap_us = gap_us;
    fleet->tally.run_us = fleet->now_us - fleet->run_start_us;
    fleet_read_usage(fleet, &fleet->tally.usage_at_end);
    while (fleet->plan->rate > 0 && take_due(fleet, &ignored_us))
        fleet->tally.backlog++;
    if (fleet->plan->workload == WORKLOAD_HANDSHAKE)
        fleet->tally.handshake_span_us = fleet->tally.run_us;
    enter(fleet, FLEET_DRAIN);
}

static void finish(struct fleet *fleet, enum fleet_phase phase)
{
    fleet_count_stored(fleet);
    fleet->tally.unsent = fleet->wire.unsent;
    fleet->tally.octets_up = octets_up(fleet) - fleet->tally.octets_up_start;
    fleet->tally.octets_down = octets_down(fleet) - fleet->tally.octets_down_start;
    for (uint64_t i = 0; fleet->tally.marked && i < fleet->plan->devices; i++)
        fleet->tally.unrecovered += !fleet->devices[i].recovered;
    enter(fleet, phase);
}

void fleet_fail(struct fleet *fleet)
{
    finish(fleet, FLEET_FAILED);
}

static bool is_over(const struct fleet *fleet)
{
    const struct plan *plan = fleet->plan;
    if (fleet->now_us >= run_end_us(fleet))
        return true;
    return plan->workload == WORKLOAD_RECONNECT && fleet->tally.requests == plan->devices &&
           fleet->outstanding == 0;
}

/* --- what is due --- */

static void dial_idle(struct fleet *fleet)
{
    const struct plan *plan = fleet->plan;
    bool paced = plan->workload == WORKLOAD_HANDSHAKE && plan->rate > 0;
    bool storm = plan->workload == WORKLOAD_RECONNECT && fleet->phase == FLEET_RUN;
    size_t most = storm ? plan->devices : plan->handshakes_in_flight;
    uint64_t due_us = fleet->now_us;
    if (fleet->phase != FLEET_START && fleet->phase != FLEET_RUN)
        return;
    while (fleet->idle.first && fleet->dialling < most && (!paced || take_due(fleet, &due_us)))
        fleet_dial(device_queue_take(&fleet->idle), due_us);
}

/* Devices that do not observe yet; those behind them wait. */
static void register_ready(struct fleet *fleet)
{
    while (fleet->ready.first && !fleet->ready.first->relation.is_active)
        fleet_ask(device_queue_take(&fleet->ready), fleet->now_us);
}

static bool has_room(const struct fleet *fleet)
{
    return fleet->plan->at_once == 0 || fleet->outstanding < fleet->plan->at_once;
}

static void ask_ready(struct fleet *fleet)
{
    bool once = fleet->plan->workload == WORKLOAD_RECONNECT;
    uint64_t due_us;
    /* A relation can end while its device waits for its turn. */
    while (fleet->ready.first && !fleet_has_work(fleet->ready.first))
        (void)device_queue_take(&fleet->ready);
    if (fleet->plan->workload == WORKLOAD_OBSERVE)
        register_ready(fleet);
    while (fleet->ready.first && !(once && fleet->ready.first->number > 0) && has_room(fleet) &&
           take_due(fleet, &due_us))
        fleet_ask(device_queue_take(&fleet->ready), due_us);
    /* A device that has asked its only request makes room for those behind it. */
    while (once && fleet->ready.first && fleet->ready.first->number > 0)
        (void)device_queue_take(&fleet->ready);
}

/* --- from one phase to the next --- */

static bool is_started(const struct fleet *fleet)
{
    const struct plan *plan = fleet->plan;
    bool relates = plan->workload == WORKLOAD_OBSERVE || fleet->operators;
    return plan->workload == WORKLOAD_HANDSHAKE ||
           (fleet->established == plan->devices && (!relates || fleet->related == plan->devices) &&
            !fleet_wants_operators(fleet));
}

/* What was published at last has QUIET_US to arrive. */
static bool is_drained(const struct fleet *fleet)
{
    const struct plan *plan = fleet->plan;
    uint64_t quiet_us = fleet->now_us - fleet->last_notified_us;
    if (plan->workload == WORKLOAD_HANDSHAKE && fleet->dialling > 0)
        return false;
    if (plan->workload == WORKLOAD_OBSERVE && plan->rate > 0 && quiet_us < QUIET_US &&
        fleet->now_us - fleet->phase_start_us < QUIET_MAX_US)
        return false;
    return fleet->outstanding == 0;
}

void fleet_go_on(struct fleet *fleet)
{
    const struct plan *plan = fleet->plan;
    switch (fleet->phase) {
    case FLEET_START:
        if (plan->workload == WORKLOAD_OBSERVE)
            register_ready(fleet);
        if (is_started(fleet)) {
            if (fleet_may_begin(fleet))
                begin_run(fleet);
        } else if (fleet->now_us - fleet->phase_start_us >= plan->start_timeout_s * 1000000)
            fleet_fail(fleet);
        break;
    case FLEET_RUN:
        ask_ready(fleet);
        if (is_over(fleet))
            end_run(fleet);
        break;
    case FLEET_DRAIN:
        if (is_drained(fleet))
            finish(fleet, FLEET_DONE);
        break;
    case FLEET_DONE:
    case FLEET_FAILED:
        break;
    }
    dial_idle(fleet);
    fleet_operate(fleet);
    if (fleet->phase == FLEET_RUN) /* a run that has just begun */
        ask_ready(fleet);
}

uint64_t fleet_wake_us(const struct fleet *fleet, uint64_t until_us)
{
    const struct plan *plan = fleet->plan;
    uint64_t next_ms = wheel_next_ms(&fleet->wheel);
    uint64_t end_us = run_end_us(fleet);
    uint64_t due_us = pace_due_us(&fleet->pace);
    bool waits_for_pace = plan->workload == WORKLOAD_HANDSHAKE
                              ? fleet->idle.first && fleet->dialling < plan->handshakes_in_flight
                              : fleet->ready.first != NULL;
    if (next_ms < until_us / 1000)
        until_us = next_ms * 1000;
    if (fleet->phase == FLEET_DRAIN && plan->workload == WORKLOAD_OBSERVE &&
        fleet->now_us + QUIET_US < until_us)
        until_us = fleet->now_us + QUIET_US;
    if (fleet->phase == FLEET_RUN && end_us < until_us)
        until_us = end_us;
    if (fleet->phase == FLEET_RUN && waits_for_pace && due_us < until_us)
        until_us = due_us;
    if (fleet_wants_operators(fleet) && fleet->operators_us < until_us)
        until_us = fleet->operators_us;
    if (fleet_file_us(fleet) < until_us)
        until_us = fleet_file_us(fleet);
    return until_us;
}

void fleet_stop(struct fleet *fleet)
{
    switch (fleet->phase) {
    case FLEET_START:
        fleet_fail(fleet);
        break;
    case FLEET_RUN:
        end_run(fleet);
        break;
    case FLEET_DRAIN:
    case FLEET_DONE:
    case FLEET_FAILED:
        break;
    }
}
