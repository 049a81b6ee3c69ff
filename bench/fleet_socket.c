/* Where devices are: at sockets of their own, or at one of those that they share. */
#include "bench/device.h"

#define LOOPBACK_NETS 254 /* 127.1.0.0/16 to 127.254.0.0/16 */
#define PORT_FIRST 16384  /* below those that the kernel gives to others */
#define PORTS 16384

_Static_assert(PLAN_DEVICES_MAX / PORTS <= UINT8_MAX, "the third octet tells them apart");

/* One that no other device has. A run is in a network of its own, unless two have drawn the same;
 * where somebody has the port, the next try is in another network. */
static struct address own_address(const struct device *device)
{
    const struct fleet *fleet = device->fleet;
    uint32_t index = device_index(device);
    struct address address = fleet->plan->server; /* 127.0.0.0/8 */
    uint8_t *ip = address.ip + sizeof(address.ip) - 4;
    ip[1] = (uint8_t)(1 + (fleet->net + device->hops) % LOOPBACK_NETS);
    ip[2] = (uint8_t)(index / PORTS);
    ip[3] = 1;
    address.port = (uint16_t)(PORT_FIRST + index % PORTS);
    return address;
}

bool fleet_take_socket(struct device *device)
{
    struct fleet *fleet = device->fleet;
    struct address own;
    enum status status;
    if (device->owns_socket)
        return true;
    if (fleet->plan->spreads) {
        own = own_address(device);
        status = wire_open_at(&fleet->wire, device_index(device), &own, &device->socket);
    } else {
        status = wire_open(&fleet->wire, device_index(device), &device->socket);
    }
    if (status != STATUS_OK) {
        device->socket = DEVICE_NO_SOCKET;
        return false;
    }
    device->owns_socket = true;
    return true;
}

void fleet_give_up_socket(struct device *device)
{
    if (device->owns_socket)
        wire_close(&device->fleet->wire, device->socket);
    device->owns_socket = false;
    device->socket = DEVICE_NO_SOCKET;
}

void fleet_rebind(struct device *device)
{
    struct fleet *fleet = device->fleet;
    if (fleet->shared) {
        device->hops++;
        device->socket = fleet->shared[(device_index(device) + device->hops) % fleet->shared_count];
    } else {
        /* The old socket is still open, so that the new one gets another port. */
        int old = device->socket;
        if (wire_open(&fleet->wire, device_index(device), &device->socket) != STATUS_OK) {
            device->socket = old;
            return;
        }
        wire_close(&fleet->wire, old);
    }
    fleet->tally.rebinds++;
}
