#include "tests/worker/ps_bench.h"

#include "worker/topic.h"

#include <criterion/criterion.h>
#include <string.h>

void ps_bench_open(struct ps_bench *bench, const char *publishers, const char *subscribers)
{
    char why[128];
    struct ps_options options;
    memset(bench, 0, sizeof(*bench));
    coap_bench_open(&bench->coap, 64);
    const struct store_options store = {
        .url = "memory:", .session_ttl_s = SESSION_TTL_S, .member_ttl_ms = MEMBER_TTL_MS};
    cr_assert_eq(store_open(&bench->store, &store, why, sizeof(why)), STATUS_OK, "%s", why);
    options.coap = bench->coap.coap;
    options.store = bench->store;
    cr_assert_eq(permissions_parse(&options.publishers, publishers), STATUS_OK);
    cr_assert_eq(permissions_parse(&options.subscribers, subscribers), STATUS_OK);
    cr_assert_eq(ps_new(&bench->ps, &options), STATUS_OK);
    bench->now_ms = 1000;
    bench->message_id = 1;
}

void ps_bench_close(struct ps_bench *bench)
{
    store_free(bench->store);
    ps_free(bench->ps);
    coap_bench_close(&bench->coap);
}

static void turn(struct ps_bench *bench)
{
    coap_turn(bench->coap.coap, coap_bench_now(bench->now_ms));
    store_run(bench->store, bench->now_ms);
    ps_run(bench->ps, bench->now_ms);
    coap_bench_run(&bench->coap, bench->now_ms);
}

static void run_store(struct ps_bench *bench)
{
    for (unsigned i = 0; i < 12; i++)
        turn(bench);
}

static void show(struct ps_bench *bench, const uint8_t *bytes, size_t length)
{
    bench->answer.length = length;
    memcpy(bench->answer.bytes, bytes, length);
    cr_assert_eq(message_parse(&bench->message, bench->answer.bytes, length), MESSAGE_OK);
    memset(bench->payload, 0, sizeof(bench->payload));
    if (bench->message.payload)
        memcpy(bench->payload, bench->message.payload, bench->message.payload_length);
}

/* Out of what was sent, the answer to this request. */
static bool take_answer(struct ps_bench *bench, uint16_t message_id)
{
    struct coap_bench *coap = &bench->coap;
    for (size_t i = 0; i < coap->sent_count; i++) {
        struct message message;
        cr_assert_eq(message_parse(&message, coap->sent[i].bytes, coap->sent[i].length),
                     MESSAGE_OK);
        if (message.type != MESSAGE_ACK || message.id != message_id)
            continue;
        show(bench, coap->sent[i].bytes, coap->sent[i].length);
        memmove(&coap->sent[i], &coap->sent[i + 1],
                (coap->sent_count - i - 1) * sizeof(coap->sent[0]));
        coap->sent_count--;
        return true;
    }
    return false;
}

uint8_t ps_bench_ask(struct ps_bench *bench, const struct ask *ask)
{
    struct ask numbered = *ask;
    struct coap_bench *coap = &bench->coap;
    numbered.id = bench->message_id++;
    switch (coap_bench_ask(coap, &coap->secured, bench->now_ms, &numbered)) {
    case COAP_REPLY:
        show(bench, coap->reply, coap->reply_length);
        return bench->message.code;
    case COAP_REGISTER:
        coap_registered(coap->coap, coap->commit.ticket, bench->saved);
        break;
    case COAP_SILENCE:
        break;
    case COAP_RESET:
    case COAP_COMMIT:
    case COAP_DROPPED:
        cr_assert_fail("not of these requests");
    }
    run_store(bench);
    return take_answer(bench, numbered.id) ? bench->message.code : 0;
}

uint8_t ps_bench_put(struct ps_bench *bench, const char *uri, const char *text)
{
    const struct ask ask = {
        .code = CODE_PUT, .uri = uri, .has_format = true, .format = FORMAT_TEXT, .payload = text};
    return ps_bench_ask(bench, &ask);
}

uint8_t ps_bench_observe(struct ps_bench *bench, const char *uri, const char *token,
                         uint8_t observe)
{
    const struct ask ask = {
        .uri = uri, .token = token, .options = {{OPTION_OBSERVE, observe > 0, &observe}}};
    return ps_bench_ask(bench, &ask);
}

const struct message_option *ps_bench_option(const struct ps_bench *bench, uint16_t number)
{
    for (size_t i = 0; i < bench->message.option_count; i++) {
        if (bench->message.options[i].number == number)
            return &bench->message.options[i];
    }
    return NULL;
}

void ps_bench_change(struct ps_bench *bench, const char *name, const char *text)
{
    const struct store_waiter waiter = {.answer = NULL};
    const struct octets octets = {(const uint8_t *)name, strlen(name)};
    if (!text) {
        cr_assert_eq(store_remove_topic(bench->store, octets, &waiter), STATUS_OK);
        return;
    }
    const struct topic_value value = {
        .has_data = true,
        .has_format = true,
        .format = FORMAT_TEXT,
        .data = {(const uint8_t *)text, strlen(text)},
    };
    uint8_t space[STORE_TOPIC_MAX];
    struct writer writer = writer_over(space, sizeof(space));
    topic_value_write(&writer, &value);
    cr_assert_eq(store_put_topic(bench->store, octets, STORE_TOPIC_EITHER,
                                 (struct octets){space, writer_length(&writer)}, &waiter),
                 STATUS_OK);
}

void ps_bench_pass(struct ps_bench *bench, uint64_t ms)
{
    for (uint64_t end_ms = bench->now_ms + ms; bench->now_ms < end_ms; bench->now_ms++)
        turn(bench);
}

void ps_bench_told(struct ps_bench *bench)
{
    struct coap_bench *coap = &bench->coap;
    cr_assert_eq(coap->sent_count, 1, "%zu messages", coap->sent_count);
    coap->sent_count = 0;
    show(bench, coap->sent[0].bytes, coap->sent[0].length);
}

void ps_bench_settle(struct ps_bench *bench, enum message_type type)
{
    uint8_t bytes[MESSAGE_HEADER_SIZE];
    struct writer writer = writer_over(bytes, sizeof(bytes));
    message_write_empty(&writer, type, bench->message.id);
    cr_expect_eq(
        coap_bench_receive(&bench->coap, &bench->coap.secured, bench->now_ms, bytes, sizeof(bytes)),
        COAP_SILENCE);
}
