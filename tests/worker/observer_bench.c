#include "tests/worker/observer_bench.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

static uint16_t message_id(void *owner, const struct coap_peer *peer)
{
    (void)owner;
    static uint16_t plain;
    return peer->session ? peer->session->next_message_id++ : plain++;
}

static uint32_t rtt_ms(void *owner, const struct coap_peer *peer)
{
    (void)peer;
    return ((struct observer_bench *)owner)->rtt_ms;
}

static struct observer_bench_sent *note(struct observer_bench *bench, const struct coap_peer *peer,
                                        const uint8_t *bytes, size_t length)
{
    struct message message;
    cr_assert_lt(bench->sent_count, OBSERVER_BENCH_SENT_MAX);
    struct observer_bench_sent *sent = &bench->sent[bench->sent_count++];
    cr_assert_eq(message_parse(&message, bytes, length), MESSAGE_OK);
    *sent = (struct observer_bench_sent){
        .session_id = peer->session_id,
        .type = message.type,
        .code = message.code,
        .message_id = message.id,
        .has_number = message.option_count > 0 && message.options[0].number == OPTION_OBSERVE,
    };
    if (sent->has_number)
        sent->number = message_option_number(&message.options[0]);
    memcpy(sent->token, message.token, message.token_length);
    cr_assert_lt(message.payload_length, sizeof(sent->payload));
    if (message.payload)
        memcpy(sent->payload, message.payload, message.payload_length);
    return sent;
}

static void notify(void *owner, const struct coap_peer *peer, const uint8_t *message, size_t length)
{
    cr_expect_eq(note(owner, peer, message, length)->type, MESSAGE_NON);
}

static bool confirm(void *owner, const struct coap_peer *peer, uint8_t slot, const uint8_t *message,
                    size_t length)
{
    struct observer_bench *bench = owner;
    if (bench->is_full)
        return false;
    struct observer_bench_sent *sent = note(bench, peer, message, length);
    cr_expect_eq(sent->type, MESSAGE_CON);
    sent->slot = slot;
    return true;
}

static bool renew(void *owner, const struct coap_peer *peer, const uint8_t *message, size_t length)
{
    struct observer_bench *bench = owner;
    if (bench->is_full)
        return false;
    struct observer_bench_sent *sent = note(bench, peer, message, length);
    cr_expect_eq(sent->type, MESSAGE_CON);
    sent->slot = bench->repeated_slot;
    return true;
}

static void unconfirm(void *owner, const struct coap_peer *peer, uint8_t slot)
{
    (void)peer;
    (void)slot;
    ((struct observer_bench *)owner)->unconfirmed++;
}

static bool is_replying(void *owner, const struct coap_peer *peer, uint8_t slot,
                        uint16_t *message_id)
{
    const struct observer_bench *bench = owner;
    (void)peer;
    (void)slot;
    *message_id = bench->reply_id;
    return bench->is_replying;
}

static void render_now(struct observer_bench *bench, struct subject *subject)
{
    uint8_t state[64];
    struct writer writer = writer_over(state, sizeof(state));
    struct message_builder builder = {.writer = &writer};
    uint32_t number =
        subject_next_number(subject, bench->version, observer_bench_now(bench).unix_ms);
    if (MESSAGE_CODE_CLASS(bench->code) == 2)
        message_add_number(&builder, OPTION_OBSERVE, number);
    message_add_payload(&builder, (const uint8_t *)bench->text, strlen(bench->text));
    subject_rendered(&bench->observers, subject, bench->code, number, bench->version != 0,
                     (struct octets){state, writer_length(&writer)}, observer_bench_now(bench));
}

static void render(void *owner, struct subject *subject)
{
    struct observer_bench *bench = owner;
    bench->renders++;
    if (bench->renders_later) {
        cr_expect_null(bench->rendering, "one at a time");
        bench->rendering = subject;
    } else {
        render_now(bench, subject);
    }
}

static void ended(void *owner, const struct coap_peer *peer, uint8_t slot)
{
    struct observer_bench *bench = owner;
    bench->ended_id = peer->session_id;
    bench->ended_slot = slot;
    bench->ended_count++;
}

struct observer_bench *observer_bench_open(uint32_t confirm_s, uint8_t confirm_every)
{
    struct observer_bench *bench = calloc(1, sizeof(*bench));
    cr_assert_not_null(bench);
    cr_assert_eq(metrics_init(&bench->metrics, worker_metrics, WORKER_METRICS_COUNT, 1), STATUS_OK);
    const struct observers_options options = {
        .hash_key = {5, 6},
        .observers_max = 1024,
        .subjects_max = 8,
        .confirm_s = confirm_s,
        .confirm_every = confirm_every,
        .metrics = &bench->metrics,
        .message_id = message_id,
        .rtt_ms = rtt_ms,
        .notify = notify,
        .confirm = confirm,
        .renew = renew,
        .unconfirm = unconfirm,
        .is_replying = is_replying,
        .render = render,
        .ended = ended,
        .owner = bench,
    };
    bench->now_ms = 1000000;
    bench->code = CODE_CONTENT;
    bench->text = "first";
    bench->version = 100;
    for (uint64_t i = 1; i < OBSERVER_BENCH_PEERS; i++)
        bench->sessions[i].id = i;
    cr_assert_eq(observers_init(&bench->observers, &options, bench->now_ms), STATUS_OK);
    return bench;
}

void observer_bench_close(struct observer_bench *bench)
{
    observers_free(&bench->observers);
    metrics_free(&bench->metrics);
    free(bench);
}

struct coap_now observer_bench_now(const struct observer_bench *bench)
{
    return (struct coap_now){bench->now_ms, OBSERVER_BENCH_UNIX_MS + bench->now_ms};
}

struct coap_peer observer_bench_peer(struct observer_bench *bench, uint64_t id)
{
    struct coap_peer peer = {.session_id = id, .session = id ? &bench->sessions[id] : NULL};
    cr_assert_lt(id, OBSERVER_BENCH_PEERS);
    return peer;
}

struct subject_key observer_bench_key(const char *target)
{
    return (struct subject_key){
        .target = {(const uint8_t *)target, strlen(target)},
        .block_exponent = RELATION_BLOCK_NONE,
    };
}

static struct octets octets_of(const char *text)
{
    return (struct octets){(const uint8_t *)text, strlen(text)};
}

uint32_t observer_bench_join(struct observer_bench *bench, uint64_t id, const char *token,
                             const char *target)
{
    const struct coap_peer peer = observer_bench_peer(bench, id);
    const struct subject_key key = observer_bench_key(target);
    struct observer *observer =
        observer_add(&bench->observers, &peer, octets_of(token), &key, observer_bench_now(bench));
    cr_assert_not_null(observer);
    uint32_t number = observer_number(&bench->observers, observer, bench->version);
    observer_joined(&bench->observers, &peer, octets_of(token), observer_bench_now(bench));
    return number;
}

struct observer *observer_bench_find(struct observer_bench *bench, uint64_t id, const char *token)
{
    const struct coap_peer peer = observer_bench_peer(bench, id);
    return observer_find(&bench->observers, &peer, octets_of(token));
}

void observer_bench_change(struct observer_bench *bench, const char *path, const char *text)
{
    bench->text = text;
    if (bench->version)
        bench->version++;
    subject_changed(&bench->observers, octets_of(path), observer_bench_now(bench));
    observer_bench_pass(bench, 10);
}

void observer_bench_render(struct observer_bench *bench)
{
    struct subject *subject = bench->rendering;
    cr_assert_not_null(subject);
    bench->rendering = NULL;
    render_now(bench, subject);
    observer_bench_pass(bench, 10);
}

void observer_bench_pass(struct observer_bench *bench, uint64_t ms)
{
    uint64_t end_ms = bench->now_ms + ms;
    observers_run(&bench->observers, observer_bench_now(bench));
    for (;;) {
        uint64_t next_ms = observers_next_ms(&bench->observers);
        if (next_ms > end_ms)
            break;
        cr_assert(next_ms > bench->now_ms, "what is due has been done");
        bench->now_ms = next_ms;
        observers_run(&bench->observers, observer_bench_now(bench));
    }
    bench->now_ms = end_ms;
}

void observer_bench_confirmed(struct observer_bench *bench, const struct observer_bench_sent *sent,
                              enum observer_outcome outcome)
{
    const struct coap_peer peer = observer_bench_peer(bench, sent->session_id);
    observer_confirmed(&bench->observers, &peer, sent->slot, outcome, observer_bench_now(bench));
}

const struct observer_bench_sent *observer_bench_repeat(struct observer_bench *bench,
                                                        const struct observer_bench_sent *sent)
{
    const struct coap_peer peer = observer_bench_peer(bench, sent->session_id);
    cr_assert_eq(bench->sent_count, 0);
    bench->repeated_slot = sent->slot;
    observer_repeats(&bench->observers, &peer, sent->slot, observer_bench_now(bench));
    return bench->sent_count > 0 ? observer_bench_take(bench, 1) : NULL;
}

const struct observer_bench_sent *observer_bench_take(struct observer_bench *bench, size_t count)
{
    cr_assert_eq(bench->sent_count, count, "%zu sent, not %zu", bench->sent_count, count);
    bench->sent_count = 0;
    return count > 0 ? &bench->sent[count - 1] : NULL;
}

uint64_t observer_bench_count(const struct observer_bench *bench, enum worker_metric metric)
{
    return metrics_get(&bench->metrics, metric);
}
