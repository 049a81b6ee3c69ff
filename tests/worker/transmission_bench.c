#include "tests/worker/transmission_bench.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void note(struct transmission_bench *bench, char what, uint16_t id)
{
    size_t left = sizeof bench->log - bench->log_length;
    int length = snprintf(bench->log + bench->log_length, left, "%s%c%u",
                          bench->log_length > 0 ? " " : "", what, id);
    cr_assert(length > 0 && (size_t)length < left);
    bench->log_length += (size_t)length;
}

void transmission_bench_forget_log(struct transmission_bench *bench)
{
    bench->log_length = 0;
    bench->log[0] = '\0';
}

static void keep_sent(void *owner, const struct coap_peer *peer, const uint8_t *bytes,
                      size_t length)
{
    struct transmission_bench *bench = owner;
    struct message message;
    cr_assert_eq(message_parse(&message, bytes, length), MESSAGE_OK);
    cr_assert(peer >= bench->peers || peer->session_id <= TRANSMISSION_BENCH_PEERS_MAX);
    if (bench->sent_count < sizeof bench->sent_ms / sizeof *bench->sent_ms)
        bench->sent_ms[bench->sent_count] = bench->now_ms;
    bench->sent_count++;
    bench->sent_length = length;
    note(bench, '>', message.id);
}

static void keep_report(void *owner, const struct transmission_report *report)
{
    static const char letters[] = {
        [TRANSMISSION_ACKED] = 'A',     [TRANSMISSION_RESET] = 'R',
        [TRANSMISSION_TIMED_OUT] = 'T', [TRANSMISSION_OUTDATED] = 'O',
        [TRANSMISSION_CANCELLED] = 'C',
    };
    struct transmission_bench *bench = owner;
    cr_assert_eq(report->kind, bench->kind);
    cr_assert_eq(report->key, 1000U + report->message_id % 100, "a renewed one keeps its key");
    cr_assert_eq(report->now_ms, bench->now_ms);
    note(bench, letters[report->outcome], report->message_id);
}

static size_t write_message(const struct transmission_bench *bench,
                            uint8_t space[COAP_MESSAGE_SIZE_MAX], enum message_type type,
                            uint16_t id, size_t payload_length)
{
    static const uint8_t payload[COAP_MESSAGE_SIZE_MAX];
    const uint8_t token[] = {'t', (uint8_t)id};
    struct writer writer = writer_over(space, COAP_MESSAGE_SIZE_MAX);
    struct message_builder builder;
    message_begin(&builder, &writer, type,
                  bench->kind == TRANSMISSION_REQUEST ? CODE_GET : CODE_CONTENT, id, token,
                  sizeof token);
    message_add_payload(&builder, payload, payload_length);
    cr_assert(writer_ok(&writer));
    return writer_length(&writer);
}

static void renew(void *owner, const struct coap_peer *peer, enum transmission_kind kind,
                  uint64_t key, uint64_t now_ms)
{
    struct transmission_bench *bench = owner;
    uint8_t space[COAP_MESSAGE_SIZE_MAX];
    cr_assert_eq(kind, bench->kind);
    cr_assert_eq(now_ms, bench->now_ms);
    if (bench->renewed_id == 0 || key != 1000U + bench->renewed_id % 100)
        return;
    size_t length =
        write_message(bench, space, MESSAGE_CON, bench->renewed_id, bench->renewed_length);
    bench->renewed_id = 0;
    bench->is_renewed =
        transmission_renew(&bench->transmissions, peer, (struct octets){space, length});
}

void transmission_bench_open(struct transmission_bench *bench, uint64_t seed,
                             uint8_t max_retransmit)
{
    memset(bench, 0, sizeof *bench);
    cr_assert_eq(metrics_init(&bench->metrics, worker_metrics, WORKER_METRICS_COUNT, 1), STATUS_OK);
    const struct transmission_options options = {
        .hash_key = {1, 2},
        .seed = seed,
        .peers_max = TRANSMISSION_BENCH_PEERS_MAX,
        .short_max = TRANSMISSION_BENCH_SHORTS_MAX,
        .long_max = TRANSMISSION_BENCH_LONGS_MAX,
        .ack_timeout_ms = 2000,
        .max_retransmit = max_retransmit,
        .random_percent = COAP_ACK_RANDOM_PERCENT,
        .metrics = &bench->metrics,
        .send = keep_sent,
        .repeats = renew,
        .settled = keep_report,
        .owner = bench,
    };
    cr_assert_eq(transmissions_init(&bench->transmissions, &options), STATUS_OK);
    bench->kind = TRANSMISSION_REQUEST;
    bench->now_ms = 5000000;
    for (size_t i = 1; i <= TRANSMISSION_BENCH_PEERS_MAX; i++)
        bench->peers[i] = (struct coap_peer){.session_id = i, .session = &bench->sessions[i]};
    bench->peers[0].path.address.port = 4711;
}

void transmission_bench_close(struct transmission_bench *bench)
{
    transmissions_free(&bench->transmissions);
    metrics_free(&bench->metrics);
}

void transmission_bench_pass(struct transmission_bench *bench, uint64_t ms)
{
    uint64_t until_ms = bench->now_ms + ms;
    for (;;) {
        uint64_t next_ms = transmission_next_ms(&bench->transmissions);
        if (next_ms > until_ms)
            break;
        if (next_ms > bench->now_ms)
            bench->now_ms = next_ms;
        transmission_run(&bench->transmissions, bench->now_ms);
    }
    bench->now_ms = until_ms;
}

enum transmission_start transmission_bench_send(struct transmission_bench *bench,
                                                const struct coap_peer *peer,
                                                enum message_type type, uint16_t id,
                                                size_t payload_length)
{
    uint8_t space[COAP_MESSAGE_SIZE_MAX];
    size_t length = write_message(bench, space, type, id, payload_length);
    enum transmission_start start =
        transmission_send(&bench->transmissions, peer, bench->kind, 1000U + id,
                          (struct octets){space, length}, bench->now_ms);
    if (start == TRANSMISSION_REFUSED)
        note(bench, '!', id);
    return start;
}

void transmission_bench_answer(struct transmission_bench *bench, const struct coap_peer *peer,
                               uint16_t id, enum transmission_outcome outcome,
                               const struct octets *token)
{
    transmission_answered(&bench->transmissions, peer, id, outcome, token, bench->now_ms);
}

void transmission_bench_play(struct transmission_bench *bench, const char *script)
{
    const struct coap_peer *peer = &bench->peers[1], *other = &bench->peers[2];
    while (*script) {
        char what = *script;
        char *end;
        unsigned long number = strtoul(script + 1, &end, 10);
        uint16_t id = (uint16_t)number;
        const uint8_t bytes[] = {'t', (uint8_t)id};
        const struct octets token = {bytes, 2}, shorter = {bytes, 1};
        switch (what) {
        case 's':
            transmission_bench_send(bench, peer, MESSAGE_CON, id, 0);
            break;
        case 'n':
            transmission_bench_send(bench, peer, MESSAGE_NON, id, 0);
            break;
        case 'a':
            transmission_bench_answer(bench, peer, id, TRANSMISSION_ACKED, NULL);
            break;
        case 'r':
            transmission_bench_answer(bench, peer, id, TRANSMISSION_RESET, NULL);
            break;
        case 'p':
            transmission_bench_answer(bench, peer, id, TRANSMISSION_ACKED, &token);
            break;
        case 'w':
            transmission_bench_answer(bench, peer, id, TRANSMISSION_ACKED, &shorter);
            break;
        case 'o':
            transmission_bench_answer(bench, other, id, TRANSMISSION_ACKED, NULL);
            break;
        case 'y':
            bench->renewed_id = id;
            break;
        case 'x':
            transmission_cancel(&bench->transmissions, peer, bench->kind, 1000U + id,
                                bench->now_ms);
            break;
        case 'f':
            transmission_forget(&bench->transmissions, peer->session_id, bench->now_ms);
            break;
        case '+':
            transmission_bench_pass(bench, number);
            break;
        default:
            cr_assert_fail("%c", what);
        }
        script = end + strspn(end, " ");
    }
}
