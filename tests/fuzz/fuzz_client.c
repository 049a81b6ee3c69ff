/* What a device says to us as its client, while one of its resources is observed (token 10 00 00 00
 * 00 00 00 01) and others are asked for (tokens 80 00 00 00 00 00 00 01 to 03, the last with a
 * body). The input is steps:
 *   0 LENGTH message   it arrives        1 N   the store answers the oldest question, N its outcome
 *   2 N                N seconds pass    3     the session goes, and an heir has it
 * In a message whose token is ff ff ff ff ff ff ff ff, that and (in an ACK) its message id are those
 * of the request that left last: nobody could guess them.
 * Whatever comes: each request of ours is answered once, no question to the store is answered with
 * a relation that cannot be read, a confirmable notification is not acknowledged before the store
 * has been asked to keep it or a note of it, and no event is longer than a body. */
#include "tests/fuzz/fuzz.h"

#include <stdlib.h>
#include <string.h>

#include "tests/worker/named_session.h"
#include "worker/client.h"

#define QUESTIONS 4096
#define OBSERVATION_TOKEN                           \
    {                                               \
        OBSERVATION_SLOT_FIRST, 0, 0, 0, 0, 0, 0, 1 \
    }

static struct metrics metrics;
static struct coap *coap;
static struct client client;
static struct coap_now now;
static struct store_waiter questions[QUESTIONS];
static size_t asked, answered;
static size_t kept; /* of what was asked; the rest takes relations away, and nobody waits */
static bool is_due; /* as the relation was kept last */
static uint8_t last_token[ERRAND_TOKEN_SIZE];
static uint16_t last_id;
static size_t under_way;
static union named_session sensor = {.session = {.id = 1, .own_cid = {8, {7, 1}}}};

static void require(bool holds)
{
    if (!holds)
        abort();
}

static enum status save_relation(struct store *store, uint64_t fence,
                                 const struct store_relation *relation, struct octets event,
                                 const struct store_waiter *waiter)
{
    struct relation_value value = {.expires_unix_ms = 1};
    (void)store;
    (void)fence;
    require(relation->slot >= OBSERVATION_SLOT_FIRST && event.length <= STORE_LONG_EVENT_MAX);
    require(relation->value.length == 0 ||
            relation_value_read(&value, relation->value) == STATUS_OK);
    if (asked == QUESTIONS)
        return STATUS_FULL;
    questions[asked++] = *waiter;
    kept += relation->value.length > 0;
    is_due = value.expires_unix_ms == 0;
    return STATUS_OK;
}

static const struct store_engine engine = {.name = "fuzz", .save_relation = save_relation};
static struct store store = {.engine = &engine};

static struct coap_peer device(void)
{
    return (struct coap_peer){.session_id = sensor.session.id, .session = &sensor.session};
}

static void check_sent(void *owner, const struct coap_peer *peer, const uint8_t *bytes,
                       size_t length)
{
    struct message message;
    (void)owner;
    require(peer->session == &sensor.session &&
            message_parse(&message, bytes, length) == MESSAGE_OK);
    if (message.code == CODE_EMPTY || message.token_length != sizeof(last_token))
        return;
    memcpy(last_token, message.token, sizeof(last_token));
    last_id = message.id;
}

static enum coap_heard take(void *owner, uint64_t tag, const struct errand_result *result)
{
    (void)owner;
    require(tag < 3 && under_way > 0);
    require(result->outcome != ERRAND_ANSWERED || result->response);
    under_way--;
    return COAP_HEARD;
}

static void forget(void *owner, const struct cid *cid)
{
    (void)owner;
    (void)cid;
    client_forget(&client, sensor.session.id);
    coap_forget(coap, sensor.session.id);
}

static void inherit(void)
{
    const struct relation_value value = {
        .role = RELATION_OBSERVATION,
        .token_length = ERRAND_TOKEN_SIZE,
        .token = OBSERVATION_TOKEN,
        .has_number = true,
        .number = 5,
        .block_exponent = RELATION_BLOCK_NONE,
        .heard_unix_ms = now.unix_ms,
        .expires_unix_ms = is_due ? 0 : now.unix_ms + 60000,
        .target = {(const uint8_t *)"/t?u", 4},
    };
    const struct coap_peer peer = device();
    (void)!observation_restore(&client.observations, &peer, OBSERVATION_SLOT_FIRST, &value);
}

static void ask_device(uint8_t number)
{
    static const uint8_t large[3000];
    const uint8_t token[ERRAND_TOKEN_SIZE] = {ERRAND_TOKEN_FIRST, [7] = (uint8_t)(number + 1)};
    const struct coap_peer peer = device();
    const struct errand_request request = {
        .method = number == 2 ? CODE_PUT : CODE_GET,
        .target = {(const uint8_t *)"/a/b%2f?c", 9},
        .token = token,
        .body = {large, number == 2 ? sizeof(large) : 0},
        .done = take,
        .tag = number,
    };
    require(errand_begin(&client.errands, &peer, &request) == STATUS_OK);
    under_way++;
}

/* Fills in what the input cannot know. */
static void address(uint8_t *bytes, size_t length)
{
    static const uint8_t whoever[ERRAND_TOKEN_SIZE] = {0xff, 0xff, 0xff, 0xff,
                                                       0xff, 0xff, 0xff, 0xff};
    struct message message;
    if (message_parse(&message, bytes, length) != MESSAGE_OK ||
        message.token_length != sizeof(whoever) ||
        memcmp(message.token, whoever, sizeof(whoever)) != 0)
        return;
    memcpy(bytes + MESSAGE_HEADER_SIZE, last_token, sizeof(last_token));
    if (message.type != MESSAGE_ACK)
        return;
    bytes[2] = (uint8_t)(last_id >> 8);
    bytes[3] = (uint8_t)last_id;
}

static void receive(struct cursor *cursor)
{
    uint8_t space[COAP_MESSAGE_SIZE_MAX], copy[UINT8_MAX];
    size_t length = cursor_u8(cursor);
    if (length > cursor_left(cursor))
        length = cursor_left(cursor);
    const uint8_t *bytes = cursor_bytes(cursor, length);
    struct writer reply = writer_over(space, sizeof(space));
    struct coap_commit commit;
    const struct coap_peer peer = device();
    if (length > 0)
        memcpy(copy, bytes, length);
    address(copy, length);
    size_t before = kept;
    enum coap_outcome outcome = coap_receive(coap, &peer, now, copy, length, &reply, &commit);
    struct message message;
    bool is_ack = outcome == COAP_REPLY && space[0] >> 4 == 6 && space[1] == CODE_EMPTY;
    bool is_notification = message_parse(&message, copy, length) == MESSAGE_OK &&
                           message.token_length == ERRAND_TOKEN_SIZE &&
                           message.token[0] == OBSERVATION_SLOT_FIRST;
    /* It is on its way to the store: its message is not acknowledged by this reply. */
    require(!(is_ack && is_notification && kept > before && MESSAGE_CODE_CLASS(message.code) == 2));
}

static void answer_store(uint8_t outcome)
{
    static const enum store_outcome outcomes[] = {STORE_OK, STORE_UNAVAILABLE, STORE_STALE,
                                                  STORE_NOT_FOUND};
    if (answered == asked)
        return;
    const struct store_waiter waiter = questions[answered++];
    const struct store_answer answer = {.outcome = outcomes[outcome % 4],
                                        .subject = waiter.subject};
    waiter.answer(waiter.owner, &answer);
}

static void pass(uint32_t seconds)
{
    now.ms += 1000 * (uint64_t)seconds;
    now.unix_ms += 1000 * (uint64_t)seconds;
    coap_run(coap, now);
    client_run(&client, now.ms);
}

static void begin(void)
{
    now = (struct coap_now){1000, 1700000000000};
    asked = answered = kept = under_way = 0;
    is_due = false;
    named_session_set(&sensor, "x", 1);
    sensor.session.next_message_id = 100;
    require(metrics_init(&metrics, worker_metrics, WORKER_METRICS_COUNT, 1) == STATUS_OK);
    const struct coap_options coap_options = {
        .hash_key = {1, 2},
        .seed = 3,
        .exchanges_max = 1024,
        .timing = COAP_TIMING_DEFAULT,
        .metrics = &metrics,
        .send = check_sent,
    };
    require(coap_new(&coap, &coap_options) == STATUS_OK);
    coap_turn(coap, now);
    const struct client_options options = {
        .coap = coap, .store = &store, .hash_key = {4, 5}, .seed = 6, .lose = forget};
    require(client_init(&client, &options, now.ms) == STATUS_OK);
    inherit();
    for (uint8_t i = 0; i < 3; i++)
        ask_device(i);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct cursor cursor = cursor_over(data, size);
    begin();
    while (cursor_left(&cursor) > 0) {
        switch (cursor_u8(&cursor) & 3) {
        case 0:
            receive(&cursor);
            break;
        case 1:
            answer_store(cursor_u8(&cursor));
            break;
        case 2:
            pass(cursor_u8(&cursor));
            break;
        case 3:
            forget(NULL, &sensor.session.own_cid);
            inherit();
            break;
        }
    }
    while (answered < asked)
        answer_store(0);
    for (int i = 0; i < 20; i++)
        pass(60);
    forget(NULL, &sensor.session.own_cid);
    require(under_way == 0 && !observation_has(&client.observations, sensor.session.id));
    require(client.observations.fetches == 0);
    while (answered < asked)
        answer_store(0);
    client_free(&client);
    coap_free(coap);
    metrics_free(&metrics);
    return 0;
}
