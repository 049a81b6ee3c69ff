#include "bench/device.h"

#include "bench/clock.h"

#define ALERT_CLOSE_NOTIFY 0 /* RFC 5246 section 7.2 */
#define ALERT_FATAL 2

/* False: the session has ended. */
static bool take_alert(struct device *device, const uint8_t *content, size_t length)
{
    struct cursor alert = cursor_over(content, length);
    uint8_t level = cursor_u8(&alert);
    uint8_t description = cursor_u8(&alert);
    if (!cursor_ok(&alert) || (level != ALERT_FATAL && description != ALERT_CLOSE_NOTIFY))
        return true;
    struct fleet *fleet = device->fleet;
    fleet->tally.sessions_ended++;
    fleet_end_relation(device);
    switch ((enum device_state)device->state) {
    case DEVICE_ASKING:
    case DEVICE_HEARD:
        fleet->tally.lost++;
        fleet->outstanding--;
        fleet_hang_up(device);
        return false;
    case DEVICE_MOVING: /* its timer sees to it */
    case DEVICE_READY:  /* stands in the queue: its next request is lost */
    case DEVICE_IDLE:
    case DEVICE_RESTING:
    case DEVICE_DIALLING:
        break;
    }
    return false;
}

static void take_records(struct device *device, const uint8_t *datagram, size_t length)
{
    struct fleet *fleet = device->fleet;
    struct cursor cursor = cursor_over(datagram, length);
    struct record record;
    while (record_next(&cursor, device->association.own_cid_length, &record) == STATUS_OK) {
        uint8_t *content;
        size_t content_length;
        uint8_t type;
        if (association_open(&device->association, &fleet->protector, &record, &content,
                             &content_length, &type) != STATUS_OK) {
            fleet->tally.bad_records++;
            continue;
        }
        if (type == RECORD_TYPE_ALERT && !take_alert(device, content, content_length))
            return;
        if (type == RECORD_TYPE_APPLICATION_DATA)
            fleet_message(device, content, content_length);
    }
}

/* Whose datagram it is that came to a shared socket: by the CID, or by the token. */
static struct device *find_receiver(struct fleet *fleet, const uint8_t *datagram, size_t length)
{
    uint32_t index = UINT32_MAX;
    struct answer answer;
    struct record record;
    struct cursor cursor = cursor_over(datagram, length);
    if (fleet->plan->workload == WORKLOAD_DATAGRAM) {
        index = cursor_u32(&cursor);
    } else if (!fleet->plan->is_secure) {
        if (answer_read(&answer, datagram, length) && answer.token_length > DEVICE_CID_LENGTH) {
            struct cursor token = cursor_over(answer.token, answer.token_length);
            index = cursor_u32(&token);
        }
    } else if (record_next(&cursor, DEVICE_CID_LENGTH, &record) == STATUS_OK &&
               record.form == RECORD_CID) {
        struct cursor cid = cursor_over(record.cid, record.cid_length);
        index = cursor_u32(&cid);
    }
    if (index >= fleet->plan->devices || fleet->devices[index].owns_socket)
        return NULL;
    return &fleet->devices[index];
}

void fleet_receive(void *owner, uint32_t tag, uint8_t *datagram, size_t length)
{
    struct fleet *fleet = owner;
    fleet->now_us = clock_now_us();
    struct device *device =
        tag < fleet->plan->devices ? &fleet->devices[tag] : find_receiver(fleet, datagram, length);
    if (!device)
        fleet->tally.strays++;
    else if (device->dial)
        fleet_dial_input(device, datagram, length);
    else if (!fleet->plan->is_secure)
        fleet_message(device, datagram, length);
    else if (device->state >= DEVICE_MOVING)
        take_records(device, datagram, length);
    else
        fleet->tally.strays++;
}
