#include "bench/fleet.h"

#include "bench/clock.h"
#include "bench/device.h"
#include "shared/keys.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <wolfssl/options.h>
#include <wolfssl/ssl.h>

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
    if (device->fleet->plan->sleeps)
        fleet_give_up_socket(device);
    if (fleet_has_work(device))
        device_queue_add(&device->fleet->ready, device);
}

/* --- the loop --- */

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

enum fleet_phase fleet_turn(struct fleet *fleet, uint64_t until_us)
{
    fleet->now_us = clock_now_us();
    expire_timers(fleet);
    fleet_check_mark(fleet);
    fleet_go_on(fleet);
    if (fleet->phase == FLEET_DONE || fleet->phase == FLEET_FAILED)
        return fleet->phase;
    if (wire_wait(&fleet->wire, fleet_wake_us(fleet, until_us) * 1000) != STATUS_OK)
        fleet_fail(fleet);
    return fleet->phase;
}

const struct tally *fleet_tally(const struct fleet *fleet)
{
    return &fleet->tally;
}

size_t fleet_established(const struct fleet *fleet)
{
    return fleet->established;
}

size_t fleet_related(const struct fleet *fleet)
{
    return fleet->related;
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
            if (!fleet_take_socket(device))
                return STATUS_SYSTEM;
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
    fleet->net = (uint32_t)next_random(fleet);
    fleet->tally.addresses = plan->sockets > 0 ? plan->sockets : plan->devices;
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
        status = fleet_hire_operators(fleet);
    if (status == STATUS_OK)
        status = make_devices(fleet);
    if (status == STATUS_OK && plan->acknowledged_path) {
        fleet->acknowledged = fopen(plan->acknowledged_path, "we");
        status = fleet->acknowledged ? STATUS_OK : STATUS_SYSTEM;
    }
    fleet->tally.has_usage = plan->server_count > 0;
    fleet_read_usage(fleet, &fleet->tally.usage_before);
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
    operators_free(fleet->operators);
    wire_free(&fleet->wire);
    dialer_free(&fleet->dialer);
    (void)wolfSSL_Cleanup();
    protector_free(&fleet->protector);
    free(fleet->devices);
    free(fleet->shared);
    free(fleet);
}
