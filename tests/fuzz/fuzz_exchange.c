/* What a store gives back: values that anybody with access to it may have written, and the bounds
 * of what we give it. Two workers serve one session, its old owner and an heir. Steps follow, each
 * an octet of what and who, two octets of length and that many octets:
 *
 *   0  the octets are a value that is restored on the heir
 *   1  a confirmable POST to /events on the owner: message id ‖ payload; the store takes it, and
 *      the heir learns of it
 *   2  the same, and the store does not take it
 *   3  a request as it is, to the heir
 *
 * The upper bits are how much time passes, and how long the identity is. */
#include "shared/cursor.h"
#include "tests/fuzz/fuzz.h"
#include "tests/worker/named_session.h"
#include "worker/coap.h"
#include "worker/event.h"
#include "worker/exchange_value.h"
#include "worker/message.h"
#include "worker/metrics.h"

#include <cbor.h>
#include <stdlib.h>
#include <string.h>

struct scene {
    struct metrics metrics;
    struct coap *owner;
    struct coap *heir;
    struct coap_peer peer;
    struct coap_now now;
    union named_session named;
};

static void require(bool holds)
{
    if (!holds)
        abort();
}

static enum coap_outcome receive(const struct scene *scene, struct coap *coap, const uint8_t *bytes,
                                 size_t length, struct writer *reply, struct coap_commit *commit)
{
    enum coap_outcome outcome =
        coap_receive(coap, &scene->peer, scene->now, bytes, length, reply, commit);
    require(writer_ok(reply) && (outcome == COAP_REPLY) == (writer_length(reply) > 0));
    return outcome;
}

/* A value that reads is the one that would be written, and is repeated octet by octet. */
static void restore(const struct scene *scene, struct octets octets)
{
    struct exchange_value value;
    uint8_t space[EXCHANGE_VALUE_MAX];
    struct writer writer = writer_over(space, sizeof space);
    enum status status = exchange_value_read(&value, octets);
    enum status restored = coap_restore(scene->heir, 1, scene->now, octets);
    if (status != STATUS_OK) {
        require(restored == status);
        return;
    }
    require(restored == STATUS_OK || restored == STATUS_FULL);
    exchange_value_write(&writer, &value);
    require(writer_ok(&writer) && writer_length(&writer) == octets.length);
    require(memcmp(space, octets.bytes, octets.length) == 0);

    struct coap *fresh;
    struct coap_options options = {.exchanges_max = 8,
                                   .timing = COAP_TIMING_DEFAULT,
                                   .observe = COAP_OBSERVE_DEFAULT,
                                   .metrics = (struct metrics *)&scene->metrics};
    require(coap_new(&fresh, &options) == STATUS_OK);
    require(coap_restore(fresh, 1, scene->now, octets) == STATUS_OK);
    uint8_t request[] = {0x40, CODE_POST, (uint8_t)(value.message_id >> 8),
                         (uint8_t)value.message_id};
    uint8_t reply_space[COAP_MESSAGE_SIZE_MAX];
    struct writer reply = writer_over(reply_space, sizeof reply_space);
    struct coap_commit commit;
    enum coap_outcome outcome = receive(scene, fresh, request, sizeof request, &reply, &commit);
    if (value.expires_unix_ms > scene->now.unix_ms) {
        require(outcome == (value.reply.length > 0 ? COAP_REPLY : COAP_SILENCE));
        require(writer_length(&reply) == value.reply.length);
        require(memcmp(reply_space, value.reply.bytes, value.reply.length) == 0);
    }
    coap_run(fresh, (struct coap_now){scene->now.ms + COAP_EXCHANGE_LIFETIME_MS,
                                      scene->now.unix_ms + COAP_EXCHANGE_LIFETIME_MS});
    require(coap_next_ms(fresh) == UINT64_MAX);
    coap_free(fresh);
}

static void check_event(struct octets event)
{
    struct cbor_load_result result;
    require(event.length > 0 && event.length <= STORE_EVENT_MAX);
    cbor_item_t *map = cbor_load(event.bytes, event.length, &result);
    require(map && cbor_isa_map(map) && result.read == event.length);
    cbor_decref(&map);
}

static void post(const struct scene *scene, struct cursor *cursor, enum coap_saved saved)
{
    uint8_t bytes[DATAGRAM_SIZE_MAX + 64];
    uint8_t reply_space[COAP_MESSAGE_SIZE_MAX];
    uint8_t value[STORE_EXCHANGE_MAX];
    struct writer writer = writer_over(bytes, sizeof bytes);
    struct writer reply = writer_over(reply_space, sizeof reply_space);
    struct message_builder builder;
    struct coap_commit commit;
    message_begin(&builder, &writer, MESSAGE_CON, CODE_POST, cursor_u16(cursor), NULL, 0);
    message_add_option(&builder, OPTION_URI_PATH, (const uint8_t *)"events", 6);
    size_t payload = cursor_left(cursor);
    message_add_payload(&builder, cursor_bytes(cursor, payload), payload);
    require(writer_ok(&writer));
    size_t length = writer_length(&writer);
    enum coap_outcome outcome = receive(scene, scene->owner, bytes, length, &reply, &commit);
    if (outcome != COAP_COMMIT)
        return;

    check_event(commit.event);
    require(commit.slot < COAP_EXCHANGES_PER_PEER_MAX && commit.value.length <= sizeof value);
    memcpy(value, commit.value.bytes, commit.value.length);
    const struct octets stored = {value, commit.value.length};
    uint16_t id = commit.message_id;
    require(receive(scene, scene->owner, bytes, length, &reply, &commit) == COAP_SILENCE);
    require(coap_committed(scene->owner, 1, id, saved, scene->now.ms, &reply) == COAP_REPLY);
    require(coap_committed(scene->owner, 1, id, saved, scene->now.ms, &reply) == COAP_SILENCE);
    if (saved == COAP_STORED)
        restore(scene, stored);
}

static void step(struct scene *scene, uint8_t what, struct cursor *octets)
{
    uint8_t reply_space[COAP_MESSAGE_SIZE_MAX];
    struct writer reply = writer_over(reply_space, sizeof reply_space);
    struct coap_commit commit;
    size_t length = cursor_left(octets);
    scene->now.ms += (uint64_t)(what >> 5) * 10000;
    scene->now.unix_ms += (uint64_t)(what >> 5) * 10000;
    static const uint8_t identity[IDENTITY_LENGTH_MAX];
    named_session_set(&scene->named, identity, (what >> 2 & 7) * 16);
    switch (what & 3) {
    case 0:
        restore(scene, (struct octets){cursor_bytes(octets, length), length});
        break;
    case 1:
        post(scene, octets, COAP_STORED);
        break;
    case 2:
        post(scene, octets, COAP_NOT_STORED);
        break;
    case 3:
        receive(scene, scene->heir, cursor_bytes(octets, length), length, &reply, &commit);
        break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct cursor cursor = cursor_over(data, size);
    struct scene scene = {.now = {0, 1700000000000},
                          .named.session.own_cid.length = CID_LENGTH_MAX};
    require(metrics_init(&scene.metrics, worker_metrics, WORKER_METRICS_COUNT, 1) == STATUS_OK);
    struct coap_options options = {.hash_key = {1, 2},
                                   .exchanges_max = 32,
                                   .timing = COAP_TIMING_DEFAULT,
                                   .observe = COAP_OBSERVE_DEFAULT,
                                   .metrics = &scene.metrics};
    require(coap_new(&scene.owner, &options) == STATUS_OK);
    require(coap_new(&scene.heir, &options) == STATUS_OK);
    scene.peer = (struct coap_peer){.session_id = 1, .session = &scene.named.session};
    while (cursor_left(&cursor) > 2) {
        uint8_t what = cursor_u8(&cursor);
        size_t length = cursor_u16(&cursor) % (DATAGRAM_SIZE_MAX + 1);
        if (length > cursor_left(&cursor))
            length = cursor_left(&cursor);
        struct cursor octets = cursor_sub(&cursor, length);
        step(&scene, what, &octets);
    }
    coap_run(scene.heir, (struct coap_now){scene.now.ms + COAP_EXCHANGE_LIFETIME_MS,
                                           scene.now.unix_ms + COAP_EXCHANGE_LIFETIME_MS});
    require(coap_next_ms(scene.heir) == UINT64_MAX);
    coap_free(scene.heir);
    coap_free(scene.owner);
    metrics_free(&scene.metrics);
    return 0;
}
