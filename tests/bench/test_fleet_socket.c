#include <criterion/criterion.h>

#include "bench/device.h"
#include "bench/fleet.h"

#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* Without a session nobody has a socket yet. */
static struct plan plan = {
    .is_secure = true,
    .suite = &suites[0],
    .devices = 40000,
    .duration_s = 1,
    .spreads = true,
};
static struct fleet *fleet;

static void start(void)
{
    cr_assert_eq(address_parse(&plan.server, "127.0.0.1:9"), STATUS_OK);
    cr_assert_eq(fleet_new(&fleet, &plan), STATUS_OK);
}

static void stop(void)
{
    fleet_free(fleet);
}

static struct address address_of(const struct device *device)
{
    struct sockaddr_storage name;
    struct address address;
    socklen_t length = sizeof(name);
    cr_assert_eq(getsockname(device->socket, (struct sockaddr *)&name, &length), 0);
    cr_assert_eq(address_from_sockaddr(&address, (struct sockaddr *)&name, length), STATUS_OK);
    return address;
}

static struct address take(uint32_t index)
{
    struct device *device = &fleet->devices[index];
    cr_assert(fleet_take_socket(device));
    cr_assert(device->owns_socket);
    return address_of(device);
}

Test(fleet_socket, each_has_an_address_of_its_own, .init = start, .fini = stop)
{
    static const uint32_t indices[] = {0, 1, 16383, 16384, 32768, 39999};
    struct address seen[6];
    for (size_t i = 0; i < 6; i++) {
        seen[i] = take(indices[i]);
        cr_assert_eq(seen[i].ip[12], 127);
        cr_assert_lt(seen[i].port, 32768, "the kernel gives those to others");
        for (size_t earlier = 0; earlier < i; earlier++)
            cr_assert_not(address_equal(&seen[earlier], &seen[i]), "%zu %zu", earlier, i);
    }
}

Test(fleet_socket, it_is_the_same_each_time, .init = start, .fini = stop)
{
    struct address before = take(17);
    fleet_give_up_socket(&fleet->devices[17]);
    cr_assert_eq(fleet->devices[17].socket, DEVICE_NO_SOCKET);
    cr_assert_eq(wire_wait(&fleet->wire, 0), STATUS_OK);
    struct address after = take(17);
    cr_assert(address_equal(&before, &after));
}

Test(fleet_socket, another_one_if_somebody_has_it, .init = start, .fini = stop)
{
    struct address taken = take(5);
    struct sockaddr_storage name;
    fleet_give_up_socket(&fleet->devices[5]);
    cr_assert_eq(wire_wait(&fleet->wire, 0), STATUS_OK);
    int other = socket(AF_INET, SOCK_DGRAM, 0);
    socklen_t length = address_to_sockaddr(&taken, AF_INET, &name);
    cr_assert_eq(bind(other, (struct sockaddr *)&name, length), 0);
    cr_assert_not(fleet_take_socket(&fleet->devices[5]));
    fleet->devices[5].hops++; /* as a dial that has failed does */
    struct address now = take(5);
    cr_assert_not(address_equal(&taken, &now));
    close(other);
}

Test(fleet_socket, a_new_port_of_the_kernels)
{
    plan.spreads = false;
    start();
    struct address before = take(3);
    fleet_rebind(&fleet->devices[3]);
    struct address after = address_of(&fleet->devices[3]);
    cr_assert_neq(before.port, after.port);
    cr_assert_eq(fleet->tally.rebinds, 1);
    stop();
}
