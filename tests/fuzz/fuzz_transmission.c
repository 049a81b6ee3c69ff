/* Messages from anybody while messages of ours are under way and requests wait for their answers.
 * The input is steps of one octet each: what to do (3 bits), with which peer (2 bits; 0: plain
 * CoAP), and how much time passes first (3 bits). A received message follows behind an octet of
 * length. Every other notification is renewed before it is repeated, with one of another length.
 * Whatever comes: each message that was started is settled once, in the order of its peer; an ACK
 * of what was renewed settles nothing; no ACK or RST is answered; and when all have gone nothing is
 * left. */
#include "shared/cursor.h"
#include "tests/fuzz/fuzz.h"
#include "worker/coap_endpoint.h"

#include <stdlib.h>
#include <string.h>

#define SESSIONS 3
#define TICKETS 8

enum step {
    STEP_RECEIVE,
    STEP_REQUEST,     /* a confirmable request of ours; its token is its key */
    STEP_NOTIFY,      /* likewise a notification; every other one non-confirmable */
    STEP_ANSWER,      /* the oldest request that waits */
    STEP_ACKNOWLEDGE, /* the newest response that waits for the store */
    STEP_CANCEL,      /* the newest request */
    STEP_FORGET,      /* the session */
    STEP_RUN,         /* a turn of the loop and no more */
};

struct scene {
    struct metrics metrics;
    struct coap *coap;
    struct session sessions[1 + SESSIONS];
    struct coap_now now;
    uint64_t tickets[TICKETS];
    size_t ticket_count;
    uint64_t next_key;
    uint64_t settled_key[1 + SESSIONS]; /* the newest, of each peer */
    size_t under_way;                   /* started and not settled */
    uint64_t repetitions;
    uint16_t older_ids[1 + SESSIONS][COAP_MAX_RETRANSMIT]; /* of what is under way to each peer */
    size_t older_count[1 + SESSIONS];
    uint16_t sent_id[1 + SESSIONS]; /* the newest confirmable one */
    bool is_older;                  /* the ACK that is being received is for one of these */
    uint16_t heard_id;
    struct coap_peer heard_peer;
};

static struct scene *scene;

static void require(bool holds)
{
    if (!holds)
        abort();
}

static struct coap_peer peer_of(unsigned number)
{
    struct coap_peer peer = {.path.address = {.port = 4711}};
    if (number > 0) {
        peer.session_id = number;
        peer.session = &scene->sessions[number];
    }
    return peer;
}

static void check_sent(void *owner, const struct coap_peer *peer, const uint8_t *bytes,
                       size_t length)
{
    struct message message;
    require(owner == scene && peer->session_id <= SESSIONS);
    require(message_parse(&message, bytes, length) == MESSAGE_OK);
    if (message.type == MESSAGE_CON)
        scene->sent_id[peer->session_id] = message.id;
}

static void settle(void *owner, const struct transmission_report *report)
{
    require(owner == scene && scene->under_way > 0);
    uint64_t *newest = &scene->settled_key[report->peer.session_id];
    require(report->key > *newest);
    require(!scene->is_older || report->outcome != TRANSMISSION_ACKED);
    require(report->outcome != TRANSMISSION_OUTDATED || report->kind == TRANSMISSION_NOTIFICATION);
    *newest = report->key;
    scene->older_count[report->peer.session_id] = 0;
    scene->under_way--;
}

static bool is_older(const struct coap_peer *peer, uint16_t message_id)
{
    for (size_t i = 0; i < scene->older_count[peer->session_id]; i++) {
        if (scene->older_ids[peer->session_id][i] == message_id)
            return true;
    }
    return false;
}

/* Tokens of one octet are somebody's; odd ones wait for the store. */
static enum coap_heard hear(void *owner, const struct coap_peer *peer, struct coap_now now,
                            const struct message *response)
{
    require(owner == scene && now.ms == scene->now.ms && peer->session_id <= SESSIONS);
    require(MESSAGE_CODE_CLASS(response->code) >= 2);
    if (response->token_length != 1)
        return COAP_HEARD_UNKNOWN;
    if (response->option_count > 0)
        return COAP_HEARD_REJECTED;
    scene->heard_id = response->id;
    scene->heard_peer = *peer;
    return response->token[0] & 1 ? COAP_HEARD_LATER : COAP_HEARD;
}

static bool take_reset(void *owner, const struct coap_peer *peer, uint16_t message_id)
{
    require(owner == scene && peer->session_id <= SESSIONS);
    return message_id & 1;
}

static enum resource_outcome defer(const struct resource_call *call, struct resource_reply *reply)
{
    if (scene->ticket_count == TICKETS) {
        reply->code = CODE_CHANGED;
        writer_bytes(&reply->payload, call->body.bytes, call->body.length);
        return RESOURCE_DONE;
    }
    scene->tickets[scene->ticket_count++] = call->ticket;
    return RESOURCE_LATER;
}

static const struct resource table[] = {
    {.path = "/a",
     .plain = true,
     .defers = true,
     .prefix = true,
     .handlers = {[CODE_GET] = defer, [CODE_POST] = defer}},
};

static void receive(const struct coap_peer *peer, const uint8_t *bytes, size_t length)
{
    uint8_t space[COAP_MESSAGE_SIZE_MAX];
    struct writer reply = writer_over(space, sizeof space);
    struct message message;
    struct coap_commit commit;
    bool parses = message_parse(&message, bytes, length) == MESSAGE_OK;
    scene->is_older = parses && message.type == MESSAGE_ACK && is_older(peer, message.id);
    enum coap_outcome outcome =
        coap_receive(scene->coap, peer, scene->now, bytes, length, &reply, &commit);
    scene->is_older = false;
    require(writer_ok(&reply) && outcome != COAP_COMMIT);
    require((outcome == COAP_REPLY) == (writer_length(&reply) > 0));
    /* "recipients of Acknowledgement and Reset messages MUST NOT respond with either
     * Acknowledgement or Reset messages" (RFC 7252 section 4.2) */
    if (parses && (message.type == MESSAGE_ACK || message.type == MESSAGE_RST))
        require(outcome != COAP_REPLY);
    if (outcome == COAP_REPLY)
        require(message_parse(&message, space, writer_length(&reply)) == MESSAGE_OK);
}

static struct octets write_message(uint8_t space[COAP_MESSAGE_SIZE_MAX],
                                   const struct coap_peer *peer, enum message_type type,
                                   uint8_t code, uint64_t key, size_t payload_length)
{
    static const uint8_t payload[COAP_MESSAGE_SIZE_MAX];
    const uint8_t token = (uint8_t)key;
    struct writer writer = writer_over(space, COAP_MESSAGE_SIZE_MAX);
    struct message_builder builder;
    message_begin(&builder, &writer, type, code, coap_message_id(scene->coap, peer), &token, 1);
    message_add_payload(&builder, payload, payload_length);
    require(writer_ok(&writer));
    return (struct octets){space, writer_length(&writer)};
}

static void renew(void *owner, const struct coap_peer *peer, uint64_t key, uint64_t now_ms)
{
    uint8_t space[COAP_MESSAGE_SIZE_MAX];
    require(owner == scene && now_ms == scene->now.ms);
    if (++scene->repetitions & 1)
        return;
    size_t *count = &scene->older_count[peer->session_id];
    const struct octets octets =
        write_message(space, peer, MESSAGE_CON, CODE_CONTENT, key, scene->repetitions * 61 % 400);
    require(*count < COAP_MAX_RETRANSMIT);
    if (transmission_renew(&scene->coap->transmissions, peer, octets))
        scene->older_ids[peer->session_id][(*count)++] = scene->sent_id[peer->session_id];
}

static void start(const struct coap_peer *peer, enum transmission_kind kind)
{
    uint8_t space[COAP_MESSAGE_SIZE_MAX];
    uint64_t key = ++scene->next_key;
    bool is_request = kind == TRANSMISSION_REQUEST;
    enum message_type type = is_request || key & 1 ? MESSAGE_CON : MESSAGE_NON;
    const struct octets octets =
        write_message(space, peer, type, is_request ? CODE_GET : CODE_CONTENT, key, 0);
    if (transmission_send(&scene->coap->transmissions, peer, kind, key, octets, scene->now.ms) !=
            TRANSMISSION_REFUSED &&
        type == MESSAGE_CON)
        scene->under_way++;
}

static void answer(void)
{
    struct resource_reply reply;
    if (scene->ticket_count == 0)
        return;
    coap_begin_reply(scene->coap, &reply);
    reply.code = CODE_CONTENT;
    writer_bytes(&reply.payload, "answered", 8);
    coap_answer(scene->coap, scene->tickets[0], scene->now, &reply);
    memmove(scene->tickets, scene->tickets + 1, --scene->ticket_count * sizeof *scene->tickets);
}

static void take_step(enum step step, unsigned number, struct cursor *cursor)
{
    const struct coap_peer peer = peer_of(number);
    size_t length;
    switch (step) {
    case STEP_RECEIVE:
        if (cursor_left(cursor) == 0)
            break;
        length = cursor_u8(cursor);
        if (length > cursor_left(cursor))
            length = cursor_left(cursor);
        receive(&peer, cursor_bytes(cursor, length), length);
        break;
    case STEP_REQUEST:
        start(&peer, TRANSMISSION_REQUEST);
        break;
    case STEP_NOTIFY:
        start(&peer, TRANSMISSION_NOTIFICATION);
        break;
    case STEP_ANSWER:
        answer();
        break;
    case STEP_ACKNOWLEDGE:
        coap_acknowledge(scene->coap, &scene->heard_peer, scene->heard_id,
                         number & 1 ? COAP_STORED : COAP_NOT_STORED);
        break;
    case STEP_CANCEL:
        if (transmission_cancel(&scene->coap->transmissions, &peer, TRANSMISSION_REQUEST,
                                scene->next_key, scene->now.ms))
            scene->under_way--;
        break;
    case STEP_FORGET:
        if (number > 0)
            coap_forget(scene->coap, number);
        break;
    case STEP_RUN:
        break;
    }
}

static void pass(uint64_t ms)
{
    scene->now.ms += ms;
    scene->now.unix_ms += ms;
    coap_run(scene->coap, scene->now);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct scene stage;
    const struct coap_party asking = {
        .owner = &stage, .settled = settle, .hear = hear, .reset = take_reset};
    const struct coap_party telling = {.owner = &stage, .settled = settle, .repeats = renew};
    struct cursor cursor = cursor_over(data, size);
    stage = (struct scene){.now = {1000, 1700000000000}};
    scene = &stage;
    require(metrics_init(&scene->metrics, worker_metrics, WORKER_METRICS_COUNT, 1) == STATUS_OK);
    const struct coap_options options = {
        .resources = table,
        .resource_count = 1,
        .hash_key = {1, 2},
        .seed = size,
        .exchanges_max = 32,
        .timing = COAP_TIMING_DEFAULT,
        .metrics = &scene->metrics,
        .send = check_sent,
        .owner = scene,
    };
    require(coap_new(&scene->coap, &options) == STATUS_OK);
    coap_join(scene->coap, TRANSMISSION_REQUEST, &asking);
    coap_join(scene->coap, TRANSMISSION_NOTIFICATION, &telling);
    while (cursor_left(&cursor) > 0) {
        uint8_t how = cursor_u8(&cursor);
        pass((uint64_t)(how >> 5) * 500);
        take_step((enum step)(how & 7), how >> 3 & 3, &cursor);
    }
    coap_forget(scene->coap, 1);
    for (unsigned turn = 0; turn < 200; turn++)
        pass(COAP_EXCHANGE_LIFETIME_MS / 8);
    require(scene->under_way == 0);
    require(coap_next_ms(scene->coap) == UINT64_MAX);
    coap_free(scene->coap);
    metrics_free(&scene->metrics);
    return 0;
}
