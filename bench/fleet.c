#include "bench/fleet.h"

#include "bench/clock.h"
#include "bench/device.h"
#include "shared/keys.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <wolfssl/options.h>
#include <wolfssl/ssl.h>

#define FILE_CHECK_US 5000
#define QUIET_US 200000
#define QUIET_MAX_US 3000000

/* --- small things that all need --- */

void device_queue_add(struct device_queue *queue, struct device *device)
{
    device->next = NULL;
    device->is_queued = true;
    if (queue->first)
        queue->last->next = device;
    else
        queue->first = device;
    queue->last = device;
}

struct device *device_queue_take(struct device_queue *queue)
{
    struct device *device = queue->first;
    if (device) {
        queue->first = device->next;
        device->is_queued = false;
    }
    return device;
}

void fleet_set_timer(struct device *device)
{
    struct fleet *fleet = device->fleet;
    wheel_set(&fleet->wheel, &device->timer, fleet->now_us / 1000 + device->wait_ms);
}

/* xorshift64 (Marsaglia, 2003): spreads timers, keeps no secret. */
static uint64_t next_random(struct fleet *fleet)
{
    fleet->random ^= fleet->random << 13;
    fleet->random ^= fleet->random >> 7;
    fleet->random ^= fleet->random << 17;
    return fleet->random;
}

uint32_t fleet_first_wait_ms(struct fleet *fleet)
{
    uint64_t ack_ms = fleet->plan->ack_timeout_ms;
    return (uint32_t)(ack_ms + next_random(fleet) % (ack_ms / 2 + 1));
}

void fleet_ready(struct device *device)
{
    device->state = DEVICE_READY;
    if (fleet_has_work(device))
        device_queue_add(&device->fleet->ready, device);
}

/* --- phases --- */

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

/* Without a word if a process has ended: then there is no such measure. */
static void read_usage(struct fleet *fleet, struct server_usage *usage)
{
    const struct plan *plan = fleet->plan;
    if (server_usage_read(plan->servers, plan->server_count, usage) != STATUS_OK)
        fleet->tally.has_usage = false;
}

static void begin_run(struct fleet *fleet)
{
    read_usage(fleet, &fleet->tally.usage_at_start);
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
    read_usage(fleet, &fleet->tally.usage_at_end);
    while (fleet->plan->rate > 0 && take_due(fleet, &ignored_us))
        fleet->tally.backlog++;
    if (fleet->plan->workload == WORKLOAD_HANDSHAKE)
        fleet->tally.handshake_span_us = fleet->tally.run_us;
    enter(fleet, FLEET_DRAIN);
}

static void finish(struct fleet *fleet, enum fleet_phase phase)
{
    fleet->tally.unsent = fleet->wire.unsent;
    fleet->tally.octets_up = octets_up(fleet) - fleet->tally.octets_up_start;
    fleet->tally.octets_down = octets_down(fleet) - fleet->tally.octets_down_start;
    for (uint64_t i = 0; fleet->tally.marked && i < fleet->plan->devices; i++)
        fleet->tally.unrecovered += !fleet->devices[i].recovered;
    enter(fleet, phase);
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

static void expire_timers(struct fleet *fleet)
{
    struct timer *timer;
    while ((timer = wheel_expire(&fleet->wheel, fleet->now_us / 1000))) {
        struct device *device = (struct device *)timer;
        switch ((enum device_state)device->state) {
        case DEVICE_RESTING:
            device->state = DEVICE_IDLE;
            device_queue_add(&fleet->idle, device);
            break;
        case DEVICE_DIALLING:
            fleet_dial_time_out(device);
            break;
        case DEVICE_MOVING:
            fleet_move_time_out(device);
            break;
        case DEVICE_ASKING:
        case DEVICE_HEARD:
            fleet_ask_time_out(device);
            break;
        case DEVICE_IDLE:
        case DEVICE_READY:
            break;
        }
    }
}

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

static void ask_ready(struct fleet *fleet)
{
    bool once = fleet->plan->workload == WORKLOAD_RECONNECT;
    uint64_t due_us;
    /* A relation can end while its device waits for its turn. */
    while (fleet->ready.first && !fleet_has_work(fleet->ready.first))
        (void)device_queue_take(&fleet->ready);
    if (fleet->plan->workload == WORKLOAD_OBSERVE)
        register_ready(fleet);
    while (fleet->ready.first && !(once && fleet->ready.first->number > 0) &&
           take_due(fleet, &due_us))
        fleet_ask(device_queue_take(&fleet->ready), due_us);
    /* A device that has asked its only request makes room for those behind it. */
    while (once && fleet->ready.first && fleet->ready.first->number > 0)
        (void)device_queue_take(&fleet->ready);
}

/* True once in FILE_CHECK_US: to look at a file each turn would be a call of the system each. */
static bool is_check_due(struct fleet *fleet)
{
    if (fleet->now_us - fleet->file_checked_us < FILE_CHECK_US)
        return false;
    fleet->file_checked_us = fleet->now_us;
    return true;
}

static bool may_begin(struct fleet *fleet)
{
    const char *path = fleet->plan->begin_path;
    struct stat status;
    return !path || (is_check_due(fleet) && stat(path, &status) == 0);
}

static bool is_started(const struct fleet *fleet)
{
    const struct plan *plan = fleet->plan;
    return plan->workload == WORKLOAD_HANDSHAKE ||
           (fleet->established == plan->devices &&
            (plan->workload != WORKLOAD_OBSERVE || fleet->related == plan->devices));
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

static void run_phase(struct fleet *fleet)
{
    const struct plan *plan = fleet->plan;
    switch (fleet->phase) {
    case FLEET_START:
        if (plan->workload == WORKLOAD_OBSERVE)
            register_ready(fleet);
        if (is_started(fleet)) {
            if (may_begin(fleet))
                begin_run(fleet);
        } else if (fleet->now_us - fleet->phase_start_us >= plan->start_timeout_s * 1000000)
            finish(fleet, FLEET_FAILED);
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
    if (fleet->phase == FLEET_RUN) /* a run that has just begun */
        ask_ready(fleet);
}

/* --- the mark --- */

void fleet_mark(struct fleet *fleet, uint64_t at_us)
{
    if (fleet->tally.marked)
        return;
    fleet->tally.marked = true;
    fleet->tally.mark_us = at_us > fleet->run_start_us ? at_us - fleet->run_start_us : 0;
    fleet->mark_us = at_us;
}

/* The file's own time is the moment, however late we look: there is at most FILE_CHECK_US and a
 * tick of the kernel between the two. */
static void check_mark(struct fleet *fleet)
{
    struct stat status;
    struct timespec now;
    if (!fleet->plan->mark_path || fleet->tally.marked || fleet->phase != FLEET_RUN ||
        !is_check_due(fleet))
        return;
    if (stat(fleet->plan->mark_path, &status) != 0)
        return;
    (void)clock_gettime(CLOCK_REALTIME, &now);
    int64_t age_us = (now.tv_sec - status.st_mtim.tv_sec) * INT64_C(1000000) +
                     (now.tv_nsec - status.st_mtim.tv_nsec) / 1000;
    fleet_mark(fleet, fleet->now_us - (age_us > 0 ? (uint64_t)age_us : 0));
}

/* --- the loop --- */

static uint64_t wake_us(const struct fleet *fleet, uint64_t until_us)
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
    bool waits_for_file = (fleet->phase == FLEET_RUN && plan->mark_path && !fleet->tally.marked) ||
                          (fleet->phase == FLEET_START && plan->begin_path);
    if (waits_for_file && fleet->file_checked_us + FILE_CHECK_US < until_us)
        until_us = fleet->file_checked_us + FILE_CHECK_US;
    return until_us;
}

enum fleet_phase fleet_turn(struct fleet *fleet, uint64_t until_us)
{
    fleet->now_us = clock_now_us();
    expire_timers(fleet);
    check_mark(fleet);
    run_phase(fleet);
    if (fleet->phase == FLEET_DONE || fleet->phase == FLEET_FAILED)
        return fleet->phase;
    if (wire_wait(&fleet->wire, wake_us(fleet, until_us) * 1000) != STATUS_OK)
        finish(fleet, FLEET_FAILED);
    return fleet->phase;
}

void fleet_stop(struct fleet *fleet)
{
    switch (fleet->phase) {
    case FLEET_START:
        finish(fleet, FLEET_FAILED);
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

const struct tally *fleet_tally(const struct fleet *fleet)
{
    return &fleet->tally;
}

size_t fleet_established(const struct fleet *fleet)
{
    return fleet->established;
}

/* --- beginning and end --- */

static enum status open_shared(struct fleet *fleet)
{
    size_t count = fleet->plan->sockets;
    if (count == 0)
        return STATUS_OK;
    fleet->shared = calloc(count, sizeof(*fleet->shared));
    if (!fleet->shared)
        return STATUS_NO_MEMORY;
    enum status status = STATUS_OK;
    while (status == STATUS_OK && fleet->shared_count < count) {
        status = wire_open(&fleet->wire, UINT32_MAX, &fleet->shared[fleet->shared_count]);
        fleet->shared_count += status == STATUS_OK;
    }
    return status;
}

/* Without sessions, a device is ready as soon as it has a socket. */
static enum status make_devices(struct fleet *fleet)
{
    fleet->devices = calloc(fleet->plan->devices, sizeof(*fleet->devices));
    if (!fleet->devices)
        return STATUS_NO_MEMORY;
    for (uint32_t i = 0; i < fleet->plan->devices; i++) {
        struct device *device = &fleet->devices[i];
        device->fleet = fleet;
        device->socket = DEVICE_NO_SOCKET;
        device->message_id = (uint16_t)next_random(fleet);
        if (fleet->plan->is_secure) {
            device_queue_add(&fleet->idle, device);
            continue;
        }
        if (fleet->shared) {
            device->socket = fleet->shared[i % fleet->shared_count];
        } else {
            enum status status = wire_open(&fleet->wire, i, &device->socket);
            if (status != STATUS_OK)
                return status;
            device->owns_socket = true;
        }
        fleet->established++;
        fleet_ready(device);
    }
    return STATUS_OK;
}

enum status fleet_new(struct fleet **made, const struct plan *plan)
{
    struct fleet *fleet = calloc(1, sizeof(*fleet));
    if (!fleet)
        return STATUS_NO_MEMORY;
    fleet->plan = plan;
    fleet->now_us = fleet->phase_start_us = clock_now_us();
    wheel_init(&fleet->wheel, fleet->now_us / 1000);
    enum status status = keys_random(&fleet->random, sizeof(fleet->random));
    fleet->random |= 1; /* never 0, which it would stay */
    fleet->run = next_random(fleet);
    fleet->wire.epoll = -1;
    if (status == STATUS_OK)
        status = protector_init(&fleet->protector);
    if (status == STATUS_OK && wolfSSL_Init() != WOLFSSL_SUCCESS)
        status = STATUS_CRYPTO;
    if (status == STATUS_OK)
        status = dialer_init(&fleet->dialer, plan->suite, &plan->credentials, fleet_dial_send);
    if (status == STATUS_OK)
        status = wire_init(&fleet->wire, &plan->server, fleet_receive, fleet);
    if (status == STATUS_OK)
        status = open_shared(fleet);
    if (status == STATUS_OK)
        status = make_devices(fleet);
    if (status == STATUS_OK && plan->acknowledged_path) {
        fleet->acknowledged = fopen(plan->acknowledged_path, "we");
        status = fleet->acknowledged ? STATUS_OK : STATUS_SYSTEM;
    }
    fleet->tally.has_usage = plan->server_count > 0;
    read_usage(fleet, &fleet->tally.usage_before);
    *made = fleet;
    if (status != STATUS_OK) {
        int error = errno;
        fleet_free(fleet);
        *made = NULL;
        errno = error;
    }
    return status;
}

void fleet_free(struct fleet *fleet)
{
    if (!fleet)
        return;
    if (fleet->acknowledged)
        (void)fclose(fleet->acknowledged);
    for (uint64_t i = 0; fleet->devices && i < fleet->plan->devices; i++) {
        struct device *device = &fleet->devices[i];
        dial_free(device->dial);
        if (device->owns_socket)
            wire_close(&fleet->wire, device->socket);
        keys_wipe(&device->association, sizeof(device->association));
    }
    for (size_t i = 0; i < fleet->shared_count; i++)
        wire_close(&fleet->wire, fleet->shared[i]);
    wire_free(&fleet->wire);
    dialer_free(&fleet->dialer);
    (void)wolfSSL_Cleanup();
    protector_free(&fleet->protector);
    free(fleet->devices);
    free(fleet->shared);
    free(fleet);
}
