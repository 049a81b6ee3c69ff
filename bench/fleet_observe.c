/* Devices in both roles of RFC 7641: they observe a resource of the server's, or are observed by
 * it. */
#include "bench/device.h"

#include <string.h>

/* RFC 7641 section 3.4: "an incoming notification was sent more recently" if the numbers say so, or
 * more than 128 seconds have passed. */
#define NUMBERS_HALF (1u << 23)
#define TRUSTED_US 128000000

bool fleet_has_work(const struct device *device)
{
    const struct plan *plan = device->fleet->plan;
    switch (plan->workload) {
    case WORKLOAD_OBSERVE:
        /* What is published before all observe would be late for some. */
        return !device->relation.is_active || (plan->rate > 0 && device->fleet->phase == FLEET_RUN);
    case WORKLOAD_NOTIFY:
        return device->relation.is_active;
    default:
        return true;
    }
}

/* In the queue if, and only if, it has something to do. */
void fleet_wake(struct device *device)
{
    if (device->state == DEVICE_READY && !device->is_queued && fleet_has_work(device))
        device_queue_add(&device->fleet->ready, device);
}

void fleet_end_relation(struct device *device)
{
    if (!device->relation.is_active)
        return;
    device->relation.is_active = false;
    device->fleet->related--;
    device->fleet->tally.relations_ended++;
    fleet_wake(device);
}

static void begin_relation(struct device *device, const struct answer *message)
{
    struct relation *relation = &device->relation;
    if (!relation->is_active) {
        device->fleet->related++;
        device->fleet->tally.relations++;
    }
    /* Numbers of a device that is observed go on where they were: one who observes it anew takes no
     * older ones (RFC 7641 section 3.4). */
    *relation = (struct relation){
        .is_active = true,
        .number = relation->number,
        .token_length = (uint8_t)message->token_length,
        .heard_us = device->fleet->now_us,
    };
    memcpy(relation->token, message->token, message->token_length);
}

/* --- the device observes --- */

bool fleet_registered(struct device *device, const struct answer *answer)
{
    if (!answer->has_observe) /* RFC 7641 section 4.1: the resource cannot be observed */
        return false;
    begin_relation(device, answer);
    device->relation.number = answer->observe;
    return true;
}

static bool is_newer(const struct relation *relation, uint32_t number, uint64_t now_us)
{
    uint32_t old = relation->number;
    return (old < number && number - old < NUMBERS_HALF) ||
           (old > number && old - number > NUMBERS_HALF) ||
           now_us - relation->heard_us > TRUSTED_US;
}

static void take_notification(struct device *device, const struct answer *answer)
{
    struct fleet *fleet = device->fleet;
    struct relation *relation = &device->relation;
    uint64_t sent_us;
    if (relation->has_message && relation->message_id == answer->message_id) {
        fleet->tally.notifications_repeated++;
        return;
    }
    relation->message_id = answer->message_id;
    relation->has_message = true;
    if (answer_class(answer->code) != 2 || !answer->has_observe) {
        fleet_end_relation(device);
        return;
    }
    if (!is_newer(relation, answer->observe, fleet->now_us)) {
        fleet->tally.notifications_reordered++;
        return;
    }
    fleet->tally.numbers_skipped +=
        ((answer->observe - relation->number) & QUESTION_NUMBER_MAX) - 1;
    relation->number = answer->observe;
    relation->heard_us = fleet->now_us;
    fleet->last_notified_us = fleet->now_us;
    fleet->tally.notifications++;
    fleet->tally.notifications_in_run += fleet->phase == FLEET_RUN;
    if (workload_read_stamp(answer->payload, answer->payload_length, &sent_us) &&
        sent_us >= fleet->run_start_us && sent_us <= fleet->now_us)
        histogram_add(&fleet->tally.notification, fleet->now_us - sent_us);
}

static bool is_notification(const struct device *device, const struct answer *answer)
{
    const struct relation *relation = &device->relation;
    return device->fleet->plan->workload == WORKLOAD_OBSERVE && relation->is_active &&
           (answer->type == QUESTION_CON || answer->type == QUESTION_NON) &&
           answer_class(answer->code) >= 2 && answer->token_length == relation->token_length &&
           (relation->token_length == 0 ||
            memcmp(answer->token, relation->token, relation->token_length) == 0);
}

/* --- the device is observed --- */

static void serve_request(struct device *device, const struct answer *request)
{
    struct fleet *fleet = device->fleet;
    uint8_t payload[WORKLOAD_PAYLOAD_MAX];
    uint8_t space[DATAGRAM_SIZE_MAX];
    bool is_get = request->code == QUESTION_GET;
    if (is_get && request->has_observe && fleet->plan->workload == WORKLOAD_NOTIFY) {
        if (request->observe == QUESTION_REGISTER)
            begin_relation(device, request);
        else
            fleet_end_relation(device);
    }
    struct question reply = {
        .type = request->type == QUESTION_CON ? QUESTION_ACK : QUESTION_NON,
        .code = is_get ? QUESTION_CONTENT : QUESTION_METHOD_NOT_ALLOWED,
        .message_id = request->message_id, /* of a NON, too: there is one for each */
        .has_observe = is_get && request->has_observe && device->relation.is_active,
        .observe = device->relation.number,
        .token = request->token,
        .token_length = request->token_length,
        .payload = payload,
    };
    if (is_get)
        reply.payload_length =
            workload_payload(OPERATION_NOTIFY, fleet->run, device_index(device),
                             device->relation.number, fleet->plan->payload_length, payload);
    struct writer writer = writer_over(space, sizeof(space));
    question_write(&writer, &reply);
    if (writer_ok(&writer))
        fleet_transmit(device, RECORD_TYPE_APPLICATION_DATA, space, writer_length(&writer));
    fleet->tally.asked++;
    fleet_wake(device);
}

void fleet_write_notification(const struct device *device, struct question *notification)
{
    notification->code = QUESTION_CONTENT;
    notification->path = NULL;
    notification->has_observe = true;
    notification->observe = device->relation.number;
    notification->token = device->relation.token;
    notification->token_length = device->relation.token_length;
}

bool fleet_observe_message(struct device *device, const struct answer *message)
{
    bool is_request = message->code > 0 && answer_class(message->code) == 0 &&
                      (message->type == QUESTION_CON || message->type == QUESTION_NON);
    if (is_notification(device, message)) {
        if (message->type == QUESTION_CON)
            fleet_transmit_empty(device, QUESTION_ACK, message->message_id);
        take_notification(device, message);
        return true;
    }
    if (is_request)
        serve_request(device, message);
    return is_request;
}
