#include "tests/sim/device.h"

#include "tests/sim/sim.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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
    if (draw_chance(draw, 600))
        device->topics = (unsigned)draw_between(draw, 1, (1 << SIM_TOPICS) - 1);
    device->is_quiet = device->topics != 0 && draw_chance(draw, 500);
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
    device->interest_count = 0;
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

void device_wake_in(struct device *device, uint64_t ms)
{
    device->wake_ms = device->sim->now_ms + ms;
    steps_add(&device->sim->steps, device->wake_ms, STEP_DEVICE_TURN, device->index, NULL, 0);
}

void device_flush(struct device *device)
{
    for (struct datagram datagram; (datagram = datagrams_take(&device->peer.out)).bytes;) {
        weather_to_lb(device->sim, device, datagram.bytes, datagram.length);
        free(datagram.bytes);
    }
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
    device_flush(device);
    device_wake_in(device, device->flight_ms);
}

static void note_connected(struct device *device)
{
    trace_line(&device->sim->trace, device->sim->now_ms, "device %zu: is connected", device->index);
    oracle_connected(device->sim, device);
    device_wake_in(device, draw_between(&device->sim->people, 1, 100));
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
    device_flush(device);
    device->flight_ms *= 2;
    device_wake_in(device, device->flight_ms);
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
    device_flush(device);
    if (peer->connected && !was_connected)
        note_connected(device);
    if (peer->connected)
        device_read(device);
    device_flush(device);
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
        device_talk(device);
}

bool device_is_deaf(const struct device *device)
{
    return device->deaf_ms > 0 && device->sim->now_ms >= device->deaf_ms;
}

void device_step(struct device *device, struct step *step)
{
    if (device_is_deaf(device))
        return;
    if (step->kind == STEP_DEVICE_DATAGRAM)
        take_datagram(device, step);
    else
        turn(device);
}

void device_rebind(struct device *device)
{
    if (!device->has_cid || !device->is_open || !device->peer.connected || device_is_deaf(device))
        return;
    device->peer.address.port =
        (uint16_t)(device->peer.address.port + 100 + draw_between(&device->sim->faults, 0, 1));
    device->is_quiet = false; /* who is silent behind a NAT that forgets is not to be found */
}

void device_restart(struct device *device)
{
    if (device->is_open && !device_is_deaf(device))
        begin_handshake(device);
}

void device_calm(struct device *device)
{
    if (device_is_deaf(device))
        return;
    device->spoken_ms = device->sim->now_ms;
    device->was_connected = device->is_open && device->peer.connected;
    if (device->was_connected) {
        oracle_connected(device->sim, device);
        device_give_up(device);
        device_wake_in(device, 1);
    } else {
        begin_handshake(device);
    }
}
