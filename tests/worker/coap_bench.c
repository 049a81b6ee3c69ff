#include "tests/worker/coap_bench.h"

#include "tests/worker/named_session.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

static union named_session sensor = {
    .session = {.id = 1, .own_cid = {8, {0x07, 0x20, 0xb1, 0xd0, 0x7b, 0x35, 0x9d, 0x3c}}},
};

static void keep_sent(void *owner, const struct coap_peer *peer, const uint8_t *message,
                      size_t length)
{
    struct coap_bench *bench = owner;
    cr_assert_lt(bench->sent_count, COAP_BENCH_SENT_MAX);
    struct coap_bench_sent *sent = &bench->sent[bench->sent_count++];
    sent->session_id = peer->session_id;
    sent->length = length;
    memcpy(sent->bytes, message, length);
}

static void unsave(void *owner, const struct coap_peer *peer, uint8_t slot)
{
    struct coap_bench *bench = owner;
    cr_expect_eq(peer->session, &sensor.session);
    bench->unsaved_slot = slot;
    bench->unsaved_count++;
}

void coap_bench_run(struct coap_bench *bench, uint64_t now_ms)
{
    coap_run(bench->coap, coap_bench_now(now_ms));
}

const struct coap_bench_sent *coap_bench_take(struct coap_bench *bench, struct message *message)
{
    cr_assert_eq(bench->sent_count, 1, "%zu messages", bench->sent_count);
    bench->sent_count = 0;
    cr_assert_eq(message_parse(message, bench->sent[0].bytes, bench->sent[0].length), MESSAGE_OK);
    return &bench->sent[0];
}

void coap_bench_open_as(struct coap_bench *bench, struct coap_options options)
{
    memset(bench, 0, sizeof *bench);
    cr_assert_eq(metrics_init(&bench->metrics, worker_metrics, WORKER_METRICS_COUNT, 1), STATUS_OK);
    options.worker_id = 5;
    options.hash_key = (struct hash_key){3, 4};
    options.echo_key = (struct hash_key){5, 6};
    options.seed = 1;
    options.timing = (struct coap_timing)COAP_TIMING_DEFAULT;
    options.observe = (struct coap_observe)COAP_OBSERVE_DEFAULT;
    options.metrics = &bench->metrics;
    options.send = keep_sent;
    options.unsave = unsave;
    options.owner = bench;
    cr_assert_eq(coap_new(&bench->coap, &options), STATUS_OK);
    cr_assert_eq(address_parse(&bench->plain.path.address, "203.0.113.7:4711"), STATUS_OK);
    named_session_set(&sensor, "sensor-7", 8);
    sensor.session.next_message_id = COAP_BENCH_MESSAGE_ID;
    sensor.session.rtt_ms = 0;
    bench->secured = (struct coap_peer){1, &sensor.session, bench->plain.path};
}

void coap_bench_open(struct coap_bench *bench, size_t exchanges_max)
{
    coap_bench_open_as(bench, (struct coap_options){.exchanges_max = exchanges_max});
}

void coap_bench_close(struct coap_bench *bench)
{
    coap_free(bench->coap);
    metrics_free(&bench->metrics);
}

struct coap_now coap_bench_now(uint64_t now_ms)
{
    return (struct coap_now){now_ms, COAP_BENCH_UNIX_MS + now_ms};
}

enum coap_outcome coap_bench_receive(struct coap_bench *bench, const struct coap_peer *peer,
                                     uint64_t now_ms, const void *bytes, size_t length)
{
    uint8_t *copy = malloc(length ? length : 1);
    if (length > 0)
        memcpy(copy, bytes, length);
    struct writer writer = writer_over(bench->reply, sizeof bench->reply);
    enum coap_outcome outcome = coap_receive(bench->coap, peer, coap_bench_now(now_ms), copy,
                                             length, &writer, &bench->commit);
    cr_assert(writer_ok(&writer));
    bench->reply_length = writer_length(&writer);
    cr_assert_eq(bench->reply_length > 0, outcome == COAP_REPLY);
    free(copy);
    return outcome;
}

enum coap_outcome coap_bench_ask(struct coap_bench *bench, const struct coap_peer *peer,
                                 uint64_t now_ms, const struct ask *ask)
{
    uint8_t bytes[DATAGRAM_SIZE_MAX];
    return coap_bench_receive(bench, peer, now_ms, bytes, ask_write(ask, bytes, sizeof bytes));
}

enum coap_outcome coap_bench_commit(struct coap_bench *bench, uint16_t message_id,
                                    enum coap_saved saved, uint64_t now_ms)
{
    struct writer writer = writer_over(bench->reply, sizeof bench->reply);
    enum coap_outcome outcome =
        coap_committed(bench->coap, bench->secured.session_id, message_id, saved, now_ms, &writer);
    cr_assert(writer_ok(&writer));
    bench->reply_length = writer_length(&writer);
    cr_assert_eq(bench->reply_length > 0, outcome == COAP_REPLY);
    return outcome;
}

uint8_t coap_bench_code(const struct coap_bench *bench)
{
    return bench->reply[1];
}

uint64_t coap_bench_count(const struct coap_bench *bench, enum worker_metric metric)
{
    return metrics_get(&bench->metrics, metric);
}
