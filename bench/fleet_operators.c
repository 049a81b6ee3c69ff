/* Devices whose observation is asked for at the server's own API, each once for its session. */
#include "bench/device.h"

#define LOOK_US 1000   /* from one look at the calls to the next */
#define REST_US 100000 /* after a refusal: there is no room, or the session is on its way */
#define SCAN_MAX 1024  /* devices that one look goes through */
#define CREATED 201
#define CONFLICT 409 /* observed already */

#define STORED "holdfast_notifications_received_total{result=\"stored\"}"

static void take_outcome(void *owner, uint32_t tag, int status, uint64_t took_us)
{
    struct fleet *fleet = owner;
    if (status == CREATED || status == CONFLICT) {
        fleet->tally.observed++;
        histogram_add(&fleet->tally.observe, took_us);
        return;
    }
    fleet->tally.observe_refused++;
    fleet->operators_us = fleet->now_us + REST_US;
    fleet_want_observer(&fleet->devices[tag]);
}

enum status fleet_hire_operators(struct fleet *fleet)
{
    const struct plan *plan = fleet->plan;
    if (plan->observe_api.port == 0)
        return STATUS_OK;
    return operators_new(&fleet->operators, &plan->observe_api,
                         plan->path ? plan->path : workload_path(OPERATION_NOTIFY), take_outcome,
                         fleet);
}

void fleet_want_observer(struct device *device)
{
    struct fleet *fleet = device->fleet;
    if (!fleet->operators || device->is_wanted)
        return;
    device->is_wanted = true;
    fleet->wanted++;
}

static void ask_for(struct device *device)
{
    struct fleet *fleet = device->fleet;
    const struct association *association = &device->association;
    const struct octets cid = {association->cid, association->cid_length};
    /* Without memory it stays wanted. */
    if (operators_observe(fleet->operators, device_index(device), cid) != STATUS_OK)
        return;
    device->is_wanted = false;
    fleet->wanted--;
}

/* At the start, only when all have sessions: what one observation takes is to be seen by itself. */
static bool may_ask(const struct fleet *fleet)
{
    return fleet->wanted > 0 &&
           (fleet->phase == FLEET_RUN ||
            (fleet->phase == FLEET_START && fleet->established == fleet->plan->devices));
}

bool fleet_wants_operators(const struct fleet *fleet)
{
    return fleet->operators &&
           (may_ask(fleet) || (fleet->phase <= FLEET_RUN && operators_calls(fleet->operators) > 0));
}

void fleet_operate(struct fleet *fleet)
{
    if (!fleet_wants_operators(fleet) || fleet->now_us < fleet->operators_us)
        return;
    fleet->operators_us = fleet->now_us + LOOK_US;
    operators_run(fleet->operators);
    for (unsigned i = 0;
         i < SCAN_MAX && may_ask(fleet) && operators_calls(fleet->operators) < OPERATORS_CALLS_MAX;
         i++) {
        struct device *device = &fleet->devices[fleet->wanted_next];
        fleet->wanted_next = (fleet->wanted_next + 1) % fleet->plan->devices;
        if (device->is_wanted && device->state >= DEVICE_READY)
            ask_for(device);
    }
}

void fleet_note_stored(struct fleet *fleet)
{
    struct tally *tally = &fleet->tally;
    if (!fleet->operators)
        return;
    fleet->workers_at_start = operators_workers(fleet->operators);
    tally->has_stored =
        operators_count(fleet->operators, STORED, &fleet->stored_at_start) == STATUS_OK;
}

/* One that has come since, or begun anew, had a count that we do not know. */
void fleet_count_stored(struct fleet *fleet)
{
    struct tally *tally = &fleet->tally;
    uint64_t stored;
    tally->has_stored = tally->has_stored &&
                        operators_workers(fleet->operators) == fleet->workers_at_start &&
                        operators_count(fleet->operators, STORED, &stored) == STATUS_OK &&
                        stored >= fleet->stored_at_start;
    if (tally->has_stored)
        tally->stored = stored - fleet->stored_at_start;
}
