/* CoAP messages from anybody: the parser, and the whole endpoint behind it. The first octet says
 * who sends (bit 0: a DTLS session) and how much time has passed; messages follow, each behind two
 * octets of length, so that one input can hold an exchange and its repetition. */
#include "shared/cursor.h"
#include "tests/fuzz/fuzz.h"
#include "tests/worker/named_session.h"
#include "worker/coap.h"
#include "worker/message.h"
#include "worker/metrics.h"

#include <stdlib.h>
#include <string.h>

static void require(bool holds)
{
    if (!holds)
        abort();
}

/* What parses can be built again and then parses to the same. */
static void rebuild(const struct message *message)
{
    uint8_t space[DATAGRAM_SIZE_MAX + 64];
    struct writer writer = writer_over(space, sizeof space);
    struct message_builder builder;
    struct message again;
    message_begin(&builder, &writer, message->type, message->code, message->id, message->token,
                  message->token_length);
    for (size_t i = 0; i < message->option_count; i++)
        message_add_option(&builder, message->options[i].number, message->options[i].value,
                           message->options[i].length);
    message_add_payload(&builder, message->payload, message->payload_length);
    /* The input may spend octets that we do not, but never fewer. */
    require(writer_ok(&writer) && writer_length(&writer) <= message->length);
    require(message_parse(&again, space, writer_length(&writer)) == MESSAGE_OK);
    require(again.option_count == message->option_count);
    require(again.payload_length == message->payload_length);
    for (size_t i = 0; i < again.option_count; i++) {
        require(again.options[i].number == message->options[i].number);
        require(again.options[i].length == message->options[i].length);
    }
}

static void receive(struct coap *coap, const struct coap_peer *peer, uint64_t now_ms,
                    const uint8_t *bytes, size_t length)
{
    uint8_t space[COAP_MESSAGE_SIZE_MAX];
    struct writer reply = writer_over(space, sizeof space);
    struct message message;
    struct coap_commit commit;
    if (message_parse(&message, bytes, length) == MESSAGE_OK)
        rebuild(&message);
    struct coap_now now = {now_ms, 1700000000000 + now_ms};
    enum coap_outcome outcome = coap_receive(coap, peer, now, bytes, length, &reply, &commit);
    require(writer_ok(&reply));
    if (outcome == COAP_COMMIT) {
        require(peer->session_id != 0 && writer_length(&reply) == 0);
        enum coap_saved saved = length & 1 ? COAP_STORED : COAP_NOT_STORED;
        outcome = coap_committed(coap, peer->session_id, commit.message_id, saved, now_ms, &reply);
        require((outcome == COAP_REPLY || outcome == COAP_SILENCE) && writer_ok(&reply));
    }
    require((outcome == COAP_REPLY) == (writer_length(&reply) > 0));
    if (outcome == COAP_REPLY)
        require(message_parse(&message, space, writer_length(&reply)) == MESSAGE_OK);
    if (outcome == COAP_REPLY && peer->session_id == 0)
        require(writer_length(&reply) + COAP_PLAIN_OVERHEAD <=
                AMPLIFICATION_FACTOR * (length + COAP_PLAIN_OVERHEAD));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct cursor cursor = cursor_over(data, size);
    struct metrics metrics;
    struct coap *coap;
    union named_session named = {.octets = {0}};
    uint64_t now_ms = 0;
    require(metrics_init(&metrics, worker_metrics, WORKER_METRICS_COUNT, 1) == STATUS_OK);
    struct coap_options options = {.request_rate = 1000,
                                   .hash_key = {1, 2},
                                   .exchanges_max = 16,
                                   .timing = COAP_TIMING_DEFAULT,
                                   .observe = COAP_OBSERVE_DEFAULT,
                                   .metrics = &metrics};
    require(coap_new(&coap, &options) == STATUS_OK);
    named_session_set(&named, data, size < IDENTITY_LENGTH_MAX ? size : IDENTITY_LENGTH_MAX);
    while (cursor_left(&cursor) > 2) {
        uint8_t how = cursor_u8(&cursor);
        size_t length = cursor_u16(&cursor) % (DATAGRAM_SIZE_MAX + 1);
        if (length > cursor_left(&cursor))
            length = cursor_left(&cursor);
        struct coap_peer peer = {.path.address = {.port = (uint16_t)(how >> 1 & 7)}};
        if (how & 1) {
            peer.session_id = 1 + (how >> 1 & 7);
            peer.session = &named.session;
        }
        now_ms += (uint64_t)(how >> 4) * 10000;
        receive(coap, &peer, now_ms, cursor_bytes(&cursor, length), length);
    }
    coap_forget(coap, 1);
    now_ms += COAP_EXCHANGE_LIFETIME_MS;
    coap_run(coap, (struct coap_now){now_ms, 1700000000000 + now_ms});
    require(coap_next_ms(coap) == UINT64_MAX);
    coap_free(coap);
    metrics_free(&metrics);
    return 0;
}
