#include "bench/device.h"

#include <string.h>

#define REST_MS 1000 /* after a handshake that has failed */

static void fail(struct device *device)
{
    struct fleet *fleet = device->fleet;
    dial_free(device->dial);
    device->dial = NULL;
    fleet->dialling--;
    fleet->tally.handshakes_failed++;
    device->state = DEVICE_RESTING;
    device->wait_ms = REST_MS;
    fleet_set_timer(device);
}

void fleet_dial(struct device *device, uint64_t due_us)
{
    struct fleet *fleet = device->fleet;
    uint8_t cid[DEVICE_CID_LENGTH];
    struct writer writer = writer_over(cid, sizeof(cid));
    writer_u32(&writer, device_index(device));
    fleet->dialling++;
    device->due_us = due_us;
    device->state = DEVICE_DIALLING;
    if (fleet_take_socket(device))
        device->dial = dial_new(&fleet->dialer, device, cid, fleet->shared ? sizeof(cid) : 0);
    else
        device->hops++;
    if (!device->dial) {
        fail(device);
        return;
    }
    fleet_dial_input(device, NULL, 0);
}

void fleet_dial_send(void *owner, const uint8_t *datagram, size_t length)
{
    struct device *device = owner;
    struct fleet *fleet = device->fleet;
    if (length > DATAGRAM_SIZE_MAX)
        return;
    memcpy(wire_space(&fleet->wire), datagram, length);
    wire_send(&fleet->wire, device->socket, length);
    fleet->tally.handshake_octets_up += length;
}

static void count_handshake(struct device *device)
{
    struct fleet *fleet = device->fleet;
    struct tally *tally = &fleet->tally;
    tally->handshakes++;
    if (fleet->phase != FLEET_START)
        tally->handshakes_after_start++;
    histogram_add(&tally->handshake, fleet->now_us - device->due_us);
    if (fleet->phase == FLEET_DRAIN) /* the span ended with the run */
        return;
    tally->handshake_span_us = fleet->now_us - fleet->phase_start_us;
    tally->handshake_span_count =
        fleet->phase == FLEET_START ? tally->handshakes : tally->handshakes_after_start;
}

/* From a socket of its own to the one that it shares, as a NAT might do. The server must have seen
 * that before somebody else's handshake gets the old port. One that falls asleep stays where it is:
 * with its first record the server is done with the handshake. */
static void move(struct device *device)
{
    struct fleet *fleet = device->fleet;
    if (fleet->shared) {
        fleet_give_up_socket(device);
        device->socket = fleet->shared[(device_index(device) + device->hops) % fleet->shared_count];
    }
    device->state = DEVICE_MOVING;
    device->retransmitted = 0;
    device->wait_ms = fleet_first_wait_ms(fleet);
    device->message_id++;
    fleet_ping(device);
    fleet_set_timer(device);
}

static void close_session(struct device *device)
{
    static const uint8_t close_notify[] = {1, 0}; /* warning, close_notify: RFC 5246 section 7.2 */
    fleet_transmit(device, RECORD_TYPE_ALERT, close_notify, sizeof(close_notify));
}

static void succeed(struct device *device)
{
    struct fleet *fleet = device->fleet;
    enum status status = dial_result(device->dial, &device->association);
    bool shared = fleet->shared != NULL;
    if (status != STATUS_OK || (shared && device->association.own_cid_length == 0)) {
        fail(device); /* one who shares a socket would not get what the server sends */
        return;
    }
    dial_free(device->dial);
    device->dial = NULL;
    wheel_cancel(&fleet->wheel, &device->timer);
    count_handshake(device);
    if (fleet->plan->workload == WORKLOAD_HANDSHAKE) {
        fleet->dialling--;
        fleet->established++;
        close_session(device);
        fleet_hang_up(device);
    } else if (shared || fleet->plan->sleeps) {
        move(device);
    } else {
        fleet->dialling--;
        fleet->established++;
        fleet_want_observer(device);
        fleet_ready(device);
    }
}

static void follow(struct device *device, enum dial_outcome outcome)
{
    switch (outcome) {
    case DIAL_WAITING:
        device->wait_ms = (uint32_t)dial_timeout_ms(device->dial);
        fleet_set_timer(device);
        break;
    case DIAL_DONE:
        succeed(device);
        break;
    case DIAL_FAILED:
        fail(device);
        break;
    }
}

void fleet_dial_input(struct device *device, const uint8_t *datagram, size_t length)
{
    device->fleet->tally.handshake_octets_down += length;
    follow(device, dial_feed(device->dial, datagram, length));
}

void fleet_dial_time_out(struct device *device)
{
    device->fleet->tally.handshake_retransmissions++;
    follow(device, dial_time_out(device->dial));
}

void fleet_move_time_out(struct device *device)
{
    struct fleet *fleet = device->fleet;
    if (device->retransmitted++ == fleet->plan->retransmits_max) {
        fail(device);
        return;
    }
    fleet->tally.handshake_retransmissions++;
    device->wait_ms *= 2;
    fleet_ping(device);
    fleet_set_timer(device);
}

void fleet_moved(struct device *device)
{
    struct fleet *fleet = device->fleet;
    wheel_cancel(&fleet->wheel, &device->timer);
    fleet->dialling--;
    fleet->established++;
    fleet_want_observer(device);
    fleet_ready(device);
}

void fleet_hang_up(struct device *device)
{
    struct fleet *fleet = device->fleet;
    wheel_cancel(&fleet->wheel, &device->timer);
    fleet->established--;
    if (fleet->shared)
        fleet_give_up_socket(device);
    device->state = DEVICE_IDLE;
    device_queue_add(&fleet->idle, device);
}
