#include "tests/sim/device.h"

#include "tests/sim/sim.h"
#include "worker/message.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ACK_TIMEOUT_MS 400
#define RETRANSMITS_MAX 5
#define SEPARATE_PATIENCE_MS 4000 /* for a reply, after the empty acknowledgement */
#define QUIET_MS 300              /* between looks at whether there is something to say */
#define PUBLISH_CALM_MS 1000      /* published in calm weather so long: then states are the last */

/* --- what is asked --- */

static const struct {
    uint8_t code;
    const char *path;
} asks[] = {
    [REQUEST_EVENT] = {CODE_POST, "events"}, [REQUEST_ECHO] = {CODE_POST, "echo"},
    [REQUEST_GET] = {CODE_GET, "whoami"},    [REQUEST_PUBLISH] = {CODE_PUT, "ps"},
    [REQUEST_OBSERVE] = {CODE_GET, "ps"},    [REQUEST_CANCEL] = {CODE_GET, "ps"},
};

static bool is_interest(const struct inquiry *request)
{
    return request->kind == REQUEST_OBSERVE || request->kind == REQUEST_CANCEL;
}

static size_t token_of(const struct device *device, const struct inquiry *request,
                       uint8_t token[INTEREST_TOKEN_LENGTH])
{
    if (is_interest(request)) {
        interest_token(device, request->interest, token);
        return INTEREST_TOKEN_LENGTH;
    }
    token[0] = (uint8_t)(request->message_id >> 8);
    token[1] = (uint8_t)request->message_id;
    return 2;
}

static void write_request(struct device *device, const struct inquiry *request)
{
    struct writer writer = writer_over(device->message, sizeof(device->message));
    struct message_builder builder;
    uint8_t token[INTEREST_TOKEN_LENGTH];
    size_t token_length = token_of(device, request, token);
    const char *path = asks[request->kind].path;
    char topic[3];
    sim_topic_name(request->topic, topic);
    message_begin(&builder, &writer, MESSAGE_CON, asks[request->kind].code, request->message_id,
                  token, token_length);
    if (is_interest(request))
        message_add_number(&builder, OPTION_OBSERVE, request->kind == REQUEST_CANCEL);
    message_add_option(&builder, OPTION_URI_PATH, (const uint8_t *)path, strlen(path));
    if (is_interest(request) || request->kind == REQUEST_PUBLISH)
        message_add_option(&builder, OPTION_URI_PATH, (const uint8_t *)topic, strlen(topic));
    message_add_payload(&builder, (const uint8_t *)request->payload, strlen(request->payload));
    assert(writer_ok(&writer));
    device->message_length = writer_length(&writer);
}

static void transmit(struct device *device)
{
    const struct inquiry *request = &device->requests[device->request_count - 1];
    bool is_sent = peer_send(&device->peer, device->message, device->message_length);
    trace_line(&device->sim->trace, device->sim->now_ms, "device %zu: asks kind=%d id=%u%s",
               device->index, (int)request->kind, request->message_id,
               device->repeats > 0 ? " again" : "");
    if (!is_sent)
        sim_violated(device->sim, INVARIANT_SESSION, "device %zu cannot send any more",
                     device->index);
    device_flush(device);
    device_wake_in(device, device->timeout_ms);
    device->timeout_ms *= 2;
}

static bool may_publish(const struct sim *sim)
{
    return sim->now_ms < SIM_CALM_MS + PUBLISH_CALM_MS;
}

/* Registrations come first, and an end that was not confirmed is asked for again. */
static enum request_kind choose_interest(struct device *device, struct inquiry *request)
{
    struct draw *draw = &device->sim->people;
    size_t topic = interest_wanted(device);
    size_t leaving = interest_in(device, INTEREST_LEAVING);
    size_t live = interest_in(device, INTEREST_LIVE);
    if (topic < SIM_TOPICS) {
        request->interest = interest_begin(device, topic);
        return REQUEST_OBSERVE;
    }
    request->interest = leaving;
    if (leaving < device->interest_count)
        return REQUEST_CANCEL;
    request->interest = live;
    if (live == device->interest_count || device->sim->is_calm || draw_chance(draw, 900))
        return REQUEST_GET;
    device->interests[live].stage = INTEREST_LEAVING;
    return REQUEST_CANCEL;
}

static enum request_kind choose(struct device *device, struct inquiry *request)
{
    struct draw *draw = &device->sim->people;
    enum request_kind kind = device->topics ? choose_interest(device, request) : REQUEST_GET;
    uint64_t dice = draw_between(draw, 0, 99);
    if (kind != REQUEST_GET) {
        request->topic = device->interests[request->interest].topic;
        return kind;
    }
    if (dice < 15 && may_publish(device->sim)) {
        request->topic = draw_between(draw, 0, SIM_TOPICS - 1);
        return REQUEST_PUBLISH;
    }
    return dice < 70 ? REQUEST_EVENT : dice < 85 ? REQUEST_ECHO : REQUEST_GET;
}

static void ask(struct device *device)
{
    struct draw *draw = &device->sim->people;
    device->requests =
        realloc(device->requests, (device->request_count + 1) * sizeof(*device->requests));
    assert(device->requests);
    struct inquiry *request = &device->requests[device->request_count++];
    *request = (struct inquiry){.message_id = device->next_id++};
    request->kind = choose(device, request);
    if (asks[request->kind].code != CODE_GET)
        (void)snprintf(request->payload, sizeof(request->payload), "%zu-%u-%*u", device->index,
                       device->next_number++, (int)draw_between(draw, 1, 60), 7u);
    write_request(device, request);
    device->is_asking = true;
    device->is_acknowledged = false;
    device->repeats = 0;
    device->timeout_ms = draw_between(draw, ACK_TIMEOUT_MS, ACK_TIMEOUT_MS * 3 / 2);
    transmit(device);
}

void device_give_up(struct device *device)
{
    if (!device->is_asking)
        return;
    const struct inquiry *request = &device->requests[device->request_count - 1];
    device->is_asking = false;
    if (request->kind == REQUEST_OBSERVE)
        device->interests[request->interest].stage = INTEREST_OVER;
}

static void finish_request(struct device *device, bool is_answered)
{
    const struct inquiry *request = &device->requests[device->request_count - 1];
    if (!is_answered)
        device_give_up(device);
    device->is_asking = false;
    if (is_answered && device->sim->is_calm) {
        device->calm_answers++;
        device->calm_changes += request->kind == REQUEST_EVENT;
    }
    device->sim->result.answers += is_answered;
    device_wake_in(device, draw_between(&device->sim->people, 20, 500));
}

/* As long as it is owed something, in calm weather; before, as long as it observes all it wants. */
static bool is_silent(struct device *device)
{
    bool is_content = interest_wanted(device) == SIM_TOPICS &&
                      interest_in(device, INTEREST_LEAVING) == device->interest_count &&
                      interest_in(device, INTEREST_LIVE) < device->interest_count;
    const struct sim *sim = device->sim;
    if (!device->is_quiet || !is_content)
        return false;
    if (!sim->is_calm)
        return true;
    if (may_publish(sim) ||
        (!interest_is_current(device) && sim->now_ms < SIM_CALM_MS + SIM_SILENT_MS))
        return true;
    if (!interest_is_current(device)) {
        trace_line(&device->sim->trace, device->sim->now_ms, "device %zu: is LATE", device->index);
        device->sim->result.late++;
    }
    device->is_quiet = false;
    device->spoken_ms = sim->now_ms;
    return false;
}

void device_talk(struct device *device)
{
    if (!device->is_asking && is_silent(device))
        device_wake_in(device, QUIET_MS);
    else if (!device->is_asking)
        ask(device);
    else if (!device->is_acknowledged && device->repeats++ < RETRANSMITS_MAX)
        transmit(device);
    else
        finish_request(device, false);
}

/* --- replies --- */

static struct inquiry *find_request(struct device *device, uint16_t message_id)
{
    for (size_t i = device->request_count; i-- > 0;) {
        if (device->requests[i].message_id == message_id)
            return &device->requests[i];
    }
    return NULL;
}

static struct inquiry *request_under_way(struct device *device)
{
    return device->is_asking ? &device->requests[device->request_count - 1] : NULL;
}

/* Who moves with each record gets the first block of what is longer than it may be. */
static bool is_echo(const struct inquiry *request, const struct message *message)
{
    size_t length = strlen(request->payload);
    bool is_block = false;
    for (size_t i = 0; i < message->option_count; i++)
        is_block = is_block || message->options[i].number == OPTION_BLOCK2;
    bool is_long = is_block ? message->payload_length <= length : message->payload_length == length;
    return is_long && memcmp(message->payload, request->payload, message->payload_length) == 0;
}

/* A success: the same octets for each repetition of a request that changes something. */
static void check_reply(struct device *device, struct inquiry *request, const uint8_t *bytes,
                        const struct message *message)
{
    struct sim *sim = device->sim;
    bool is_first = request->reply_length == 0;
    assert(message->length <= sizeof(request->reply));
    if (is_first) {
        memcpy(request->reply, bytes, message->length);
        request->reply_length = message->length;
    }
    if (request->reply_length != message->length ||
        memcmp(request->reply, bytes, message->length) != 0)
        sim_violated(sim, INVARIANT_REPLY, "device %zu: message %u has two different replies",
                     device->index, request->message_id);
    if (request->kind == REQUEST_EVENT)
        oracle_acknowledged(sim, request->message_id, request->payload);
    else if (!is_echo(request, message))
        sim_violated(sim, INVARIANT_REPLY, "device %zu: message %u is echoed as something else",
                     device->index, request->message_id);
}

/* To a request of this session, in an acknowledgement or in a message of its own. */
static void take_reply(struct device *device, struct inquiry *request, const uint8_t *bytes,
                       const struct message *message)
{
    bool is_under_way = request == request_under_way(device);
    bool is_refused = message->code == CODE_UNAVAILABLE;
    if (is_interest(request))
        (void)interest_take(device, &device->interests[request->interest], message);
    if (is_interest(request) && is_under_way)
        interest_answered(&device->interests[request->interest], message);
    else if (!is_refused && (request->kind == REQUEST_EVENT || request->kind == REQUEST_ECHO))
        check_reply(device, request, bytes, message);
    else if (!is_refused && request->kind == REQUEST_PUBLISH)
        oracle_confirmed(device->sim, request->topic, request->payload);
    if (is_under_way)
        finish_request(device, !is_refused);
}

static bool is_code_expected(const struct message *message)
{
    return MESSAGE_CODE_CLASS(message->code) == 2 || message->code == CODE_UNAVAILABLE;
}

static void take_acknowledgement(struct device *device, const uint8_t *bytes,
                                 const struct message *message)
{
    struct inquiry *request = find_request(device, message->id);
    uint8_t token[INTEREST_TOKEN_LENGTH];
    size_t token_length = request ? token_of(device, request, token) : 0;
    bool is_ours = request && message->token_length == token_length &&
                   memcmp(message->token, token, token_length) == 0;
    trace_line(&device->sim->trace, device->sim->now_ms, "device %zu: reply id=%u code=%u.%02u",
               device->index, message->id, MESSAGE_CODE_CLASS(message->code),
               MESSAGE_CODE_DETAIL(message->code));
    if (request && message->code == CODE_EMPTY) {
        if (request != request_under_way(device) || device->is_acknowledged)
            return;
        device->is_acknowledged = true;
        device_wake_in(device, SEPARATE_PATIENCE_MS);
    } else if (is_ours && is_code_expected(message)) {
        take_reply(device, request, bytes, message);
    } else {
        sim_violated(device->sim, INVARIANT_REPLY, "device %zu: message %u is answered %u.%02u",
                     device->index, message->id, MESSAGE_CODE_CLASS(message->code),
                     MESSAGE_CODE_DETAIL(message->code));
    }
}

static void send_empty(struct device *device, enum message_type type, uint16_t message_id)
{
    uint8_t space[MESSAGE_HEADER_SIZE];
    struct writer writer = writer_over(space, sizeof(space));
    message_write_empty(&writer, type, message_id);
    (void)!peer_send(&device->peer, space, writer_length(&writer));
    device_flush(device);
}

/* The late reply to a registration looks like a notification: it is one for who has an empty
 * acknowledgement. False: nobody knows it. */
static bool take_separate(struct device *device, const uint8_t *bytes,
                          const struct message *message)
{
    struct interest *interest = interest_of(device, message);
    struct inquiry *request = request_under_way(device);
    if (!interest) {
        bool is_short = message->token_length == 2;
        request = is_short
                      ? find_request(device, (uint16_t)(message->token[0] << 8 | message->token[1]))
                      : NULL;
        if (request && !is_interest(request))
            take_reply(device, request, bytes, message);
        return request != NULL;
    }
    if (interest->stage == INTEREST_OVER || !request || !is_interest(request) ||
        &device->interests[request->interest] != interest || !device->is_acknowledged)
        return interest_take(device, interest, message);
    bool is_notification = interest->stage == INTEREST_LEAVING && interest_observes(message);
    if (is_notification)
        return interest_take(device, interest, message);
    take_reply(device, request, bytes, message);
    return true;
}

static void take_message(struct device *device, const uint8_t *bytes, size_t length)
{
    struct message message;
    enum message_outcome outcome = message_parse(&message, bytes, length);
    bool is_ping = message.type == MESSAGE_CON && message.code == CODE_EMPTY;
    bool is_separate =
        (message.type == MESSAGE_CON || message.type == MESSAGE_NON) && is_code_expected(&message);
    if (outcome != MESSAGE_OK || (message.type != MESSAGE_ACK && !is_ping && !is_separate)) {
        sim_violated(device->sim, INVARIANT_REPLY,
                     "device %zu: a message of type %d, code %d, outcome %d", device->index,
                     (int)message.type, message.code, (int)outcome);
        return;
    }
    if (message.type == MESSAGE_ACK) {
        take_acknowledgement(device, bytes, &message);
        return;
    }
    bool is_known = is_separate && take_separate(device, bytes, &message);
    trace_line(&device->sim->trace, device->sim->now_ms, "device %zu: %s id=%u, %s", device->index,
               message.type == MESSAGE_CON ? "CON" : "NON", message.id,
               is_known ? "known" : "reset");
    if (!is_known)
        send_empty(device, MESSAGE_RST, message.id);
    else if (message.type == MESSAGE_CON)
        send_empty(device, MESSAGE_ACK, message.id);
}

void device_read(struct device *device)
{
    uint8_t space[COAP_MESSAGE_SIZE_MAX];
    int length;
    while ((length = peer_receive(&device->peer, space, sizeof(space))) > 0)
        take_message(device, space, (size_t)length);
    int error = wolfSSL_get_error(device->peer.ssl, length);
    if (error != WOLFSSL_ERROR_WANT_READ && error != WOLFSSL_ERROR_NONE)
        sim_violated(device->sim, INVARIANT_SESSION,
                     "device %zu hears that its session is over: %d", device->index, error);
}
