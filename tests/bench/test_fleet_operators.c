#include <criterion/criterion.h>

#include "bench/clock.h"
#include "bench/device.h"
#include "bench/fleet.h"
#include "tests/bench/clerk.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* Devices at coap://, which have no Connection IDs of their own: they get some, as a handshake
 * would give them. Nobody observes them in truth, so that the run never begins. */
#define DEVICES 40
#define DEADLINE_US 20000000

static struct plan plan = {
    .suite = &suites[0],
    .devices = DEVICES,
    .duration_s = 60,
    .workload = WORKLOAD_NOTIFY,
    .handshakes_in_flight = 1,
    .ack_timeout_ms = 1000,
    .start_timeout_s = 60,
};
static struct clerk clerk;
static struct fleet *fleet;
static int server;

static void start(void)
{
    struct sockaddr_storage own;
    struct address any;
    clerk_start(&clerk);
    plan.observe_api = clerk.address;
    cr_assert_eq(address_parse(&any, "127.0.0.1:0"), STATUS_OK);
    server = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
    socklen_t length = address_to_sockaddr(&any, AF_INET, &own);
    cr_assert_eq(bind(server, (struct sockaddr *)&own, length), 0);
    length = sizeof(own);
    cr_assert_eq(getsockname(server, (struct sockaddr *)&own, &length), 0);
    cr_assert_eq(address_from_sockaddr(&plan.server, (struct sockaddr *)&own, length), STATUS_OK);
    cr_assert_eq(fleet_new(&fleet, &plan), STATUS_OK);
}

static void stop(void)
{
    fleet_free(fleet);
    close(server);
    clerk_stop(&clerk);
}

static void want(uint32_t index)
{
    struct device *device = &fleet->devices[index];
    device->association.cid_length = 2;
    device->association.cid[0] = 0xab;
    device->association.cid[1] = (uint8_t)index;
    fleet_want_observer(device);
}

static void until(const uint64_t *count, uint64_t value)
{
    uint64_t deadline_us = clock_now_us() + DEADLINE_US;
    while (*count < value) {
        cr_assert_eq(fleet_turn(fleet, clock_now_us() + 1000), FLEET_START);
        cr_assert_lt(clock_now_us(), deadline_us);
    }
    cr_assert_eq(*count, value);
}

Test(fleet_operators, ask_once_for_each_device, .init = start, .fini = stop)
{
    clerk.books->statuses[0] = 201;
    for (uint32_t i = 0; i < DEVICES; i++) {
        want(i);
        want(i);
    }
    cr_assert_eq(fleet->wanted, DEVICES);
    until(&fleet->tally.observed, DEVICES);
    cr_assert_eq(fleet->wanted, 0);
    cr_assert_not(fleet_wants_operators(fleet));
    cr_assert_eq(fleet->tally.observe.count, DEVICES);
    cr_assert_eq(clerk.books->posts, DEVICES);
    for (uint32_t i = 0; i < DEVICES; i++) {
        char path[64];
        unsigned times = 0;
        (void)snprintf(path, sizeof(path), "POST /api/v1/sessions/ab%02x/observations ", i);
        for (size_t at = 0; at < DEVICES; at++)
            times += strstr(clerk.books->requests[at], path) != NULL;
        cr_assert_eq(times, 1, "%s", path);
    }
    cr_assert_not_null(strstr(clerk.books->requests[0], "{\"path\":\"/temp\"}"));
}

Test(fleet_operators, ask_again_where_there_was_no_room, .init = start, .fini = stop)
{
    static const int statuses[] = {503, 504, 201};
    memcpy(clerk.books->statuses, statuses, sizeof(statuses));
    want(7);
    until(&fleet->tally.observed, 1);
    cr_assert_eq(fleet->tally.observe_refused, 2);
    cr_assert_eq(clerk.books->posts, 3);
    cr_assert_eq(fleet->tally.observe.count, 1, "what was refused is no measure");
}

Test(fleet_operators, take_one_that_is_observed_already, .init = start, .fini = stop)
{
    clerk.books->statuses[0] = 409;
    want(0);
    until(&fleet->tally.observed, 1);
    cr_assert_eq(fleet->tally.observe_refused, 0);
}

/* At the start all must have sessions first. */
Test(fleet_operators, wait_for_sessions, .init = start, .fini = stop)
{
    clerk.books->statuses[0] = 201;
    fleet->established--;
    want(0);
    cr_assert_not(fleet_wants_operators(fleet));
    cr_assert_eq(fleet_turn(fleet, clock_now_us()), FLEET_START);
    cr_assert_eq(operators_calls(fleet->operators), 0);
    fleet->established++;
    until(&fleet->tally.observed, 1);
}

static void store(uint64_t count)
{
    (void)snprintf(clerk.books->metrics, sizeof(clerk.books->metrics),
                   "holdfast_notifications_received_total{result=\"not_stored\"} 5\n"
                   "holdfast_notifications_received_total{result=\"stored\"} %llu\n",
                   (unsigned long long)count);
}

Test(fleet_operators, count_what_was_stored_since, .init = start, .fini = stop)
{
    clerk.books->statuses[0] = 201;
    want(0);
    until(&fleet->tally.observed, 1);
    store(1000);
    fleet_note_stored(fleet);
    store(1024);
    fleet_count_stored(fleet);
    cr_assert(fleet->tally.has_stored);
    cr_assert_eq(fleet->tally.stored, 24);
    store(12); /* it has begun anew */
    fleet_count_stored(fleet);
    cr_assert_not(fleet->tally.has_stored);
}

Test(fleet_operators, without_them)
{
    struct device *device;
    cr_assert_eq(address_parse(&plan.server, "127.0.0.1:9"), STATUS_OK);
    cr_assert_eq(fleet_new(&fleet, &plan), STATUS_OK);
    device = &fleet->devices[0];
    fleet_want_observer(device);
    cr_assert_not(device->is_wanted);
    cr_assert_not(fleet_wants_operators(fleet));
    fleet_note_stored(fleet);
    fleet_count_stored(fleet);
    cr_assert_not(fleet->tally.has_stored);
    fleet_free(fleet);
}
