#include "tests/sim/device.h"

#include "tests/sim/sim.h"
#include "worker/message.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ACK_TIMEOUT_MS 400
#define RETRANSMITS_MAX 5
#define FLIGHT_FIRST_MS 700
#define HANDSHAKE_PATIENCE_MS 8000
#define FIRST_PORT 1000

/* --- coming and going --- */

void device_init(struct device *device, struct sim *sim, size_t index)
{
    static const uint8_t cid_lengths[] = {0, 4, 8, 20};
    struct draw *draw = &sim->people;
    *device = (struct device){
        .sim = sim,
        .index = index,
        .has_cid = draw_chance(draw, 650),
        .cid_length = cid_lengths[draw_between(draw, 0, 3)],
        .suite = &suites[draw_between(draw, 0, suites_count - 1)],
    };
    (void)snprintf(device->identity, sizeof(device->identity), "sim-device-%zu", index);
    draw_octets(draw, device->psk, sizeof(device->psk));
    device->peer.address = endpoint_address((uint8_t)(10 + index), (uint16_t)(FIRST_PORT + index));
    steps_add(&sim->steps, draw_between(draw, 500, 2000), STEP_DEVICE_TURN, index, NULL, 0);
}

static void forget(struct device *device)
{
    free(device->requests);
    device->requests = NULL;
    device->request_count = 0;
    device->is_asking = false;
    if (!device->is_open)
        return;
    oracle_learn_keys(device->sim, device);
    struct address address = device->peer.address;
    peer_close(&device->peer);
    device->peer.address = address;
    device->is_open = false;
    device->is_keyed = false;
}

void device_free(struct device *device)
{
    forget(device);
}

void device_tell_identities(const struct sim *sim, struct identities *identities)
{
    for (size_t i = 0; i < sim->device_count; i += 2) {
        const struct device *device = &sim->devices[i];
        enum status status = identities_add(
            identities,
            (struct octets){(const uint8_t *)device->identity, strlen(device->identity)},
            (struct octets){device->psk, sizeof(device->psk)});
        assert(status == STATUS_OK);
    }
}

void device_store_identities(struct sim *sim)
{
    struct vault vault;
    enum status status = vault_init(&vault, &sim->key, 0);
    assert(status == STATUS_OK);
    for (size_t i = 1; i < sim->device_count; i += 2) {
        const struct device *device = &sim->devices[i];
        const struct octets identity = {(const uint8_t *)device->identity,
                                        strlen(device->identity)};
        struct psk psk = {.length = sizeof(device->psk)};
        memcpy(psk.bytes, device->psk, sizeof(device->psk));
        uint8_t space[STORE_SEALED_MAX];
        struct writer sealed = writer_over(space, sizeof(space));
        status = identity_seal(&vault, identity, &psk, &sealed);
        assert(status == STATUS_OK);
        struct question *question =
            question_new(STORE_PUT_IDENTITY, &(struct store_waiter){.answer = NULL});
        question->first = octets_copy(identity);
        question->second = octets_copy((struct octets){space, writer_length(&sealed)});
        backend_carry_out(&sim->backend, question);
        question_free(question);
    }
    vault_free(&vault);
}

static void wake_in(struct device *device, uint64_t ms)
{
    device->wake_ms = device->sim->now_ms + ms;
    steps_add(&device->sim->steps, device->wake_ms, STEP_DEVICE_TURN, device->index, NULL, 0);
}

static void flush(struct device *device)
{
    for (struct datagram datagram; (datagram = datagrams_take(&device->peer.out)).bytes;) {
        weather_to_lb(device->sim, device, datagram.bytes, datagram.length);
        free(datagram.bytes);
    }
}

/* --- requests --- */

static void write_request(struct device *device, const struct request *request)
{
    static const char *const paths[] = {
        [REQUEST_EVENT] = "events", [REQUEST_ECHO] = "echo", [REQUEST_GET] = "whoami"};
    struct writer writer = writer_over(device->message, sizeof(device->message));
    struct message_builder builder;
    const uint8_t token[2] = {(uint8_t)(request->message_id >> 8), (uint8_t)request->message_id};
    const char *path = paths[request->kind];
    message_begin(&builder, &writer, MESSAGE_CON,
                  request->kind == REQUEST_GET ? CODE_GET : CODE_POST, request->message_id, token,
                  sizeof(token));
    message_add_option(&builder, OPTION_URI_PATH, (const uint8_t *)path, strlen(path));
    message_add_payload(&builder, (const uint8_t *)request->payload, strlen(request->payload));
    assert(writer_ok(&writer));
    device->message_length = writer_length(&writer);
}

static void transmit(struct device *device)
{
    const struct request *request = &device->requests[device->request_count - 1];
    bool is_sent = peer_send(&device->peer, device->message, device->message_length);
    trace_line(&device->sim->trace, device->sim->now_ms, "device %zu: asks kind=%d id=%u%s",
               device->index, (int)request->kind, request->message_id,
               device->repeats > 0 ? " again" : "");
    if (!is_sent)
        sim_violated(device->sim, INVARIANT_SESSION, "device %zu cannot send any more",
                     device->index);
    flush(device);
    wake_in(device, device->timeout_ms);
    device->timeout_ms *= 2;
}

static void ask(struct device *device)
{
    struct draw *draw = &device->sim->people;
    uint64_t dice = draw_between(draw, 0, 99);
    device->requests =
        realloc(device->requests, (device->request_count + 1) * sizeof(*device->requests));
    assert(device->requests);
    struct request *request = &device->requests[device->request_count++];
    *request = (struct request){
        .kind = dice < 65   ? REQUEST_EVENT
                : dice < 80 ? REQUEST_ECHO
                            : REQUEST_GET,
        .message_id = device->next_id++,
    };
    if (request->kind != REQUEST_GET)
        (void)snprintf(request->payload, sizeof(request->payload), "%zu-%u-%*u", device->index,
                       device->next_number++, (int)draw_between(draw, 1, 60), 7u);
    write_request(device, request);
    device->is_asking = true;
    device->repeats = 0;
    device->timeout_ms = draw_between(draw, ACK_TIMEOUT_MS, ACK_TIMEOUT_MS * 3 / 2);
    transmit(device);
}

static void finish_request(struct device *device, bool is_answered)
{
    const struct request *request = &device->requests[device->request_count - 1];
    device->is_asking = false;
    if (is_answered && device->sim->is_calm) {
        device->calm_answers++;
        device->calm_changes += request->kind == REQUEST_EVENT;
    }
    device->sim->result.answers += is_answered;
    wake_in(device, draw_between(&device->sim->people, 20, 500));
}

static void go_on_asking(struct device *device)
{
    if (!device->is_asking) {
        ask(device);
    } else if (device->repeats++ < RETRANSMITS_MAX) {
        transmit(device);
    } else {
        finish_request(device, false);
    }
}

/* --- replies --- */

static struct request *find_request(struct device *device, uint16_t message_id)
{
    for (size_t i = device->request_count; i-- > 0;) {
        if (device->requests[i].message_id == message_id)
            return &device->requests[i];
    }
    return NULL;
}

/* A success: the same octets for each repetition of a request that changes something. */
static void check_reply(struct device *device, struct request *request, const uint8_t *bytes,
                        const struct message *message)
{
    struct sim *sim = device->sim;
    if (request->kind == REQUEST_GET)
        return;
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
    else if (message->payload_length != strlen(request->payload) ||
             memcmp(message->payload, request->payload, message->payload_length) != 0)
        sim_violated(sim, INVARIANT_REPLY, "device %zu: message %u is echoed as something else",
                     device->index, request->message_id);
}

static void take_reply(struct device *device, const uint8_t *bytes, const struct message *message)
{
    struct request *request = find_request(device, message->id);
    trace_line(&device->sim->trace, device->sim->now_ms, "device %zu: reply id=%u code=%u.%02u",
               device->index, message->id, MESSAGE_CODE_CLASS(message->code),
               MESSAGE_CODE_DETAIL(message->code));
    bool is_ours = request && message->token_length == 2 &&
                   (message->token[0] << 8 | message->token[1]) == message->id;
    bool is_refused = message->code == CODE_UNAVAILABLE;
    if (!is_ours || (MESSAGE_CODE_CLASS(message->code) != 2 && !is_refused)) {
        sim_violated(device->sim, INVARIANT_REPLY, "device %zu: message %u is answered %u.%02u",
                     device->index, message->id, MESSAGE_CODE_CLASS(message->code),
                     MESSAGE_CODE_DETAIL(message->code));
        return;
    }
    if (!is_refused)
        check_reply(device, request, bytes, message);
    if (device->is_asking && request == &device->requests[device->request_count - 1])
        finish_request(device, !is_refused);
}

static void take_message(struct device *device, const uint8_t *bytes, size_t length)
{
    struct message message;
    enum message_outcome outcome = message_parse(&message, bytes, length);
    bool is_ping = message.type == MESSAGE_CON && message.code == CODE_EMPTY;
    if (outcome != MESSAGE_OK || (message.type != MESSAGE_ACK && !is_ping)) {
        sim_violated(device->sim, INVARIANT_REPLY, "device %zu: a message of type %d, outcome %d",
                     device->index, (int)message.type, (int)outcome);
        return;
    }
    if (!is_ping) {
        take_reply(device, bytes, &message);
        return;
    }
    uint8_t space[MESSAGE_HEADER_SIZE];
    struct writer writer = writer_over(space, sizeof(space));
    message_write_empty(&writer, MESSAGE_RST, message.id);
    (void)!peer_send(&device->peer, space, writer_length(&writer));
    flush(device);
}

static void read_all(struct device *device)
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

/* --- handshakes --- */

static void begin_handshake(struct device *device)
{
    forget(device);
    const struct peer_options options = {
        .suite = device->suite,
        .cid = device->has_cid,
        .cid_length = device->cid_length,
        .identity = device->identity,
        .psk = device->psk,
        .psk_length = sizeof(device->psk),
        .address = device->peer.address,
    };
    peer_open(&device->peer, &options);
    device->is_open = true;
    device->handshakes++;
    device->sim->result.handshakes++;
    device->began_ms = device->sim->now_ms;
    device->flight_ms = FLIGHT_FIRST_MS;
    device->next_id = (uint16_t)draw_next(&device->sim->people);
    trace_line(&device->sim->trace, device->sim->now_ms, "device %zu: begins a handshake %s %s",
               device->index, device->suite->name, device->has_cid ? "CID" : "no CID");
    peer_step(&device->peer);
    flush(device);
    wake_in(device, device->flight_ms);
}

static void note_connected(struct device *device)
{
    trace_line(&device->sim->trace, device->sim->now_ms, "device %zu: is connected", device->index);
    oracle_connected(device->sim, device);
    wake_in(device, draw_between(&device->sim->people, 1, 100));
}

static void go_on_connecting(struct device *device)
{
    bool is_hopeless =
        device->peer.error != 0 || device->sim->now_ms > device->began_ms + HANDSHAKE_PATIENCE_MS;
    if (is_hopeless) {
        begin_handshake(device);
        return;
    }
    peer_time_out(&device->peer);
    flush(device);
    device->flight_ms *= 2;
    wake_in(device, device->flight_ms);
}

/* --- steps --- */

/* wolfSSL's client ends with DUPLICATE_MSG_E when plain text of its handshake comes late: anybody
 * could send that, so a client that is connected has to drop it. */
static bool is_late_flight(const struct device *device, const struct step *step)
{
    struct cursor cursor = cursor_over(step->bytes, step->length);
    (void)cursor_u24(&cursor); /* type, version */
    return device->peer.connected && cursor_u16(&cursor) == 0;
}

static void take_datagram(struct device *device, const struct step *step)
{
    struct peer *peer = &device->peer;
    if (!device->is_open || !address_equal(&step->address, &peer->address))
        return; /* the NAT has forgotten it */
    if (is_late_flight(device, step))
        return;
    const struct path path = {.address = step->address};
    bool was_connected = peer->connected;
    datagrams_add(&peer->in, &path, step->bytes, step->length);
    if (!was_connected && peer->error == 0)
        peer_step(peer);
    flush(device);
    if (peer->connected && !was_connected)
        note_connected(device);
    if (peer->connected)
        read_all(device);
    flush(device);
}

static void turn(struct device *device)
{
    if (device->sim->now_ms != device->wake_ms && device->is_open)
        return; /* another turn was planned since */
    if (!device->is_open)
        begin_handshake(device);
    else if (!device->peer.connected)
        go_on_connecting(device);
    else
        go_on_asking(device);
}

void device_step(struct device *device, struct step *step)
{
    if (step->kind == STEP_DEVICE_DATAGRAM)
        take_datagram(device, step);
    else
        turn(device);
}

void device_rebind(struct device *device)
{
    if (!device->has_cid || !device->is_open || !device->peer.connected)
        return;
    device->peer.address.port =
        (uint16_t)(device->peer.address.port + 100 + draw_between(&device->sim->faults, 0, 1));
}

void device_restart(struct device *device)
{
    if (device->is_open)
        begin_handshake(device);
}

void device_calm(struct device *device)
{
    device->was_connected = device->is_open && device->peer.connected;
    if (device->was_connected) {
        oracle_connected(device->sim, device);
        device->is_asking = false;
        wake_in(device, 1);
    } else {
        begin_handshake(device);
    }
}
