#include "bench/device.h"

#include <string.h>

#define TOKEN_SIZE (DEVICE_CID_LENGTH + 2)

static bool is_named_by_token(const struct fleet *fleet)
{
    return fleet->shared && !fleet->plan->is_secure;
}

void fleet_transmit(struct device *device, enum record_type type, const uint8_t *message,
                    size_t length)
{
    struct fleet *fleet = device->fleet;
    if (fleet->plan->sleeps && !fleet_take_socket(device)) {
        fleet->wire.unsent++;
        return;
    }
    struct writer writer = writer_over(wire_space(&fleet->wire), DATAGRAM_SIZE_MAX);
    enum status status = STATUS_OK;
    if (fleet->plan->is_secure)
        status = association_seal(&device->association, &fleet->protector, type, message, length,
                                  &writer);
    else
        writer_bytes(&writer, message, length);
    if (status == STATUS_OK && writer_ok(&writer))
        wire_send(&fleet->wire, device->socket, writer_length(&writer));
}

void fleet_transmit_empty(struct device *device, enum question_type type, uint16_t message_id)
{
    uint8_t space[4];
    struct writer writer = writer_over(space, sizeof(space));
    question_write_empty(&writer, type, message_id);
    fleet_transmit(device, RECORD_TYPE_APPLICATION_DATA, space, writer_length(&writer));
}

void fleet_ping(struct device *device)
{
    fleet_transmit_empty(device, QUESTION_CON, device->message_id);
}

static const uint8_t codes[OPERATIONS] = {
    [OPERATION_GET] = QUESTION_GET,        [OPERATION_POST] = QUESTION_POST,
    [OPERATION_ECHO] = QUESTION_POST,      [OPERATION_EVENT] = QUESTION_POST,
    [OPERATION_REGISTER] = QUESTION_GET,   [OPERATION_PUBLISH] = QUESTION_PUT,
    [OPERATION_NOTIFY] = QUESTION_CONTENT,
};

/* Of the request that device->number - 1 names. */
static size_t make_payload(const struct device *device, uint8_t space[WORKLOAD_PAYLOAD_MAX])
{
    const struct fleet *fleet = device->fleet;
    size_t length = fleet->plan->payload_length;
    if (device->operation == OPERATION_PUBLISH)
        return workload_stamp(device->due_us, length, space);
    /* Named, so that it can be found in the server's log. */
    if (fleet->acknowledged && device->operation == OPERATION_NOTIFY)
        return workload_payload(OPERATION_EVENT, fleet->run, device_index(device),
                                device->number - 1, length, space);
    return workload_payload((enum operation)device->operation, fleet->run, device_index(device),
                            device->number - 1, length, space);
}

/* A bare datagram begins with the device's number and the message id, as a token would. */
static size_t make_datagram(const struct device *device, uint8_t space[WORKLOAD_PAYLOAD_MAX])
{
    size_t length = make_payload(device, space);
    struct writer writer = writer_over(space, WORKLOAD_PAYLOAD_MAX);
    writer_u32(&writer, device_index(device));
    writer_u16(&writer, device->message_id);
    return length < writer_length(&writer) ? writer_length(&writer) : length;
}

/* The same each time. The token is the message id, which is as unlike others as it needs be: one
 * request is outstanding. */
static void transmit_request(struct device *device)
{
    const struct fleet *fleet = device->fleet;
    enum operation operation = (enum operation)device->operation;
    uint8_t token[TOKEN_SIZE];
    uint8_t payload[WORKLOAD_PAYLOAD_MAX];
    uint8_t space[DATAGRAM_SIZE_MAX];
    if (operation == OPERATION_DATAGRAM) {
        fleet_transmit(device, RECORD_TYPE_APPLICATION_DATA, payload,
                       make_datagram(device, payload));
        return;
    }
    struct writer token_writer = writer_over(token, sizeof(token));
    if (is_named_by_token(fleet))
        writer_u32(&token_writer, device_index(device));
    writer_u16(&token_writer, device->message_id);
    bool is_put = codes[operation] == QUESTION_POST && fleet->plan->puts;
    struct question question = {
        .code = is_put ? QUESTION_PUT : codes[operation],
        .has_observe = operation == OPERATION_REGISTER,
        .observe = QUESTION_REGISTER,
        .message_id = device->message_id,
        .path = fleet->plan->path ? fleet->plan->path : workload_path(operation),
        .token = token,
        .token_length = writer_length(&token_writer),
        .payload = payload,
        .payload_length = make_payload(device, payload),
    };
    if (operation == OPERATION_NOTIFY)
        fleet_write_notification(device, &question);
    struct writer writer = writer_over(space, sizeof(space));
    question_write(&writer, &question);
    if (writer_ok(&writer))
        fleet_transmit(device, RECORD_TYPE_APPLICATION_DATA, space, writer_length(&writer));
}

void fleet_ask(struct device *device, uint64_t due_us)
{
    struct fleet *fleet = device->fleet;
    const struct plan *plan = fleet->plan;
    uint32_t index = device_index(device);
    if (workload_rebinds(plan->workload, index, device->number, plan->rebind_every))
        fleet_rebind(device);
    enum operation operation = workload_operation(plan->workload, index, device->number++);
    if (operation == OPERATION_PUBLISH && !device->relation.is_active)
        operation = OPERATION_REGISTER;
    if (operation == OPERATION_NOTIFY)
        device->relation.number = (device->relation.number + 1) & QUESTION_NUMBER_MAX;
    device->operation = (uint8_t)operation;
    device->message_id++;
    device->due_us = due_us;
    device->retransmitted = 0;
    device->wait_ms = fleet_first_wait_ms(fleet);
    device->state = DEVICE_ASKING;
    fleet->outstanding++;
    fleet->tally.requests += operation != OPERATION_REGISTER;
    transmit_request(device);
    fleet_set_timer(device);
}

/* A device that nobody answers starts anew, as a real one would. */
static void lose(struct device *device)
{
    struct fleet *fleet = device->fleet;
    fleet->tally.lost++;
    fleet->outstanding--;
    fleet_end_relation(device);
    if (fleet->plan->is_secure)
        fleet_hang_up(device);
    else
        fleet_ready(device);
}

void fleet_ask_time_out(struct device *device)
{
    struct fleet *fleet = device->fleet;
    if (device->state == DEVICE_HEARD || device->retransmitted == fleet->plan->retransmits_max) {
        lose(device);
        return;
    }
    device->retransmitted++;
    device->affected = fleet->tally.marked;
    device->wait_ms *= 2;
    fleet->tally.retransmissions++;
    transmit_request(device);
    fleet_set_timer(device);
}

static void note_recovery(struct device *device)
{
    struct fleet *fleet = device->fleet;
    if (!fleet->tally.marked || device->recovered)
        return;
    uint64_t us = fleet->now_us - fleet->mark_us;
    device->recovered = true;
    histogram_add(&fleet->tally.recovery, us);
    if (device->affected)
        histogram_add(&fleet->tally.affected, us);
}

static void note_gap(struct fleet *fleet)
{
    if (fleet->phase != FLEET_RUN)
        return;
    uint64_t gap_us = fleet->now_us - fleet->last_served_us;
    if (gap_us > fleet->tally.max_gap_us)
        fleet->tally.max_gap_us = gap_us;
    fleet->last_served_us = fleet->now_us;
}

static void serve(struct device *device)
{
    struct fleet *fleet = device->fleet;
    if (device->operation == OPERATION_REGISTER)
        return;
    fleet->tally.served++;
    if (fleet->phase == FLEET_RUN)
        fleet->tally.served_in_run++;
    histogram_add(&fleet->tally.latency, fleet->now_us - device->due_us);
    note_gap(fleet);
    note_recovery(device);
    if (fleet->acknowledged &&
        (device->operation == OPERATION_EVENT || device->operation == OPERATION_NOTIFY)) {
        uint8_t name[WORKLOAD_PAYLOAD_MAX];
        (void)workload_payload(OPERATION_EVENT, fleet->run, device_index(device),
                               device->number - 1, 0, name);
        (void)fprintf(fleet->acknowledged, "%.*s\n", WORKLOAD_EVENT_MIN, (const char *)name);
    }
}

static bool is_right(const struct device *device, const struct answer *answer)
{
    const struct fleet *fleet = device->fleet;
    uint8_t payload[WORKLOAD_PAYLOAD_MAX];
    if (device->operation != OPERATION_ECHO || fleet->plan->path)
        return true;
    size_t length = make_payload(device, payload);
    return answer->payload_length == length &&
           (length == 0 || memcmp(answer->payload, payload, length) == 0);
}

static void take_answer(struct device *device, const struct answer *answer)
{
    struct fleet *fleet = device->fleet;
    wheel_cancel(&fleet->wheel, &device->timer);
    fleet->outstanding--;
    switch (answer_class(answer->code)) {
    case 2:
        if (device->operation == OPERATION_REGISTER && !fleet_registered(device, answer))
            fleet->tally.refused++;
        else if (is_right(device, answer))
            serve(device);
        else
            fleet->tally.wrong++;
        break;
    case 5:
        fleet->tally.unavailable++;
        break;
    default:
        fleet->tally.refused++;
        break;
    }
    fleet_ready(device);
}

/* Acknowledged: the response comes as a message of its own (RFC 7252 section 5.2.2). It has the
 * time that the request would have had. */
static void hear(struct device *device)
{
    uint64_t retransmits_left = device->fleet->plan->retransmits_max - device->retransmitted;
    device->state = DEVICE_HEARD;
    device->wait_ms *= (2u << retransmits_left) - 1;
    fleet_set_timer(device);
}

/* What a notification of ours is answered with: an empty acknowledgement, or a reset, which ends
 * the relation (RFC 7641 section 3.6). */
static void take_receipt(struct device *device, const struct answer *answer)
{
    struct fleet *fleet = device->fleet;
    wheel_cancel(&fleet->wheel, &device->timer);
    fleet->outstanding--;
    if (answer->type == QUESTION_ACK) {
        serve(device);
    } else {
        fleet->tally.refused++;
        fleet_end_relation(device);
    }
    fleet_ready(device);
}

static void take_datagram(struct device *device, const uint8_t *bytes, size_t length)
{
    struct fleet *fleet = device->fleet;
    uint8_t payload[WORKLOAD_PAYLOAD_MAX];
    if (device->state != DEVICE_ASKING || length != make_datagram(device, payload) ||
        memcmp(bytes, payload, length) != 0) {
        fleet->tally.strays++;
        return;
    }
    wheel_cancel(&fleet->wheel, &device->timer);
    fleet->outstanding--;
    serve(device);
    fleet_ready(device);
}

static bool is_awaited(const struct device *device, const struct answer *answer)
{
    bool by_id = answer->message_id == device->message_id;
    struct cursor token = cursor_over(answer->token, answer->token_length);
    if (is_named_by_token(device->fleet))
        (void)cursor_u32(&token);
    bool by_token = cursor_left(&token) == 2 && cursor_u16(&token) == device->message_id;
    if (device->state != DEVICE_ASKING && device->state != DEVICE_HEARD)
        return false;
    switch (answer->type) {
    case QUESTION_ACK:
        return by_id && (answer->code == 0 || by_token);
    case QUESTION_RST:
        return by_id;
    case QUESTION_CON:
    case QUESTION_NON:
        return by_token && answer_class(answer->code) >= 2;
    }
    return false;
}

void fleet_message(struct device *device, const uint8_t *bytes, size_t length)
{
    struct fleet *fleet = device->fleet;
    struct answer answer;
    if (fleet->plan->workload == WORKLOAD_DATAGRAM) {
        take_datagram(device, bytes, length);
        return;
    }
    if (!answer_read(&answer, bytes, length)) {
        fleet->tally.strays++;
        return;
    }
    if (device->state == DEVICE_MOVING && answer.type == QUESTION_RST &&
        answer.message_id == device->message_id) {
        fleet_moved(device);
        return;
    }
    if (fleet_observe_message(device, &answer))
        return;
    if (is_awaited(device, &answer)) {
        if (device->operation == OPERATION_NOTIFY) {
            take_receipt(device, &answer);
            return;
        }
        if (answer.type == QUESTION_CON)
            fleet_transmit_empty(device, QUESTION_ACK, answer.message_id);
        if (answer.type != QUESTION_ACK || answer.code != 0)
            take_answer(device, &answer);
        else if (device->state == DEVICE_ASKING)
            hear(device);
        return;
    }
    /* RFC 7252 section 4.3: a ping, "provoking a Reset message". So does what nobody asked for;
     * a response that has come before is acknowledged again (section 4.2). */
    if (answer.type == QUESTION_CON) {
        fleet->tally.pings += answer.code == 0;
        fleet_transmit_empty(device, answer_class(answer.code) >= 2 ? QUESTION_ACK : QUESTION_RST,
                             answer.message_id);
        if (answer.code == 0)
            return;
    }
    fleet->tally.strays++;
}
