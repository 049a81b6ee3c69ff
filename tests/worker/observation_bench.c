#include "tests/worker/observation_bench.h"

#include <criterion/criterion.h>
#include <stddef.h>
#include <string.h>

#include "worker/session.h"

static struct observation_bench *bench_of(struct store *store)
{
    return (struct observation_bench *)((char *)store - offsetof(struct observation_bench, store));
}

static enum status save_relation(struct store *store, uint64_t fence,
                                 const struct store_relation *relation, struct octets event,
                                 const struct store_waiter *waiter)
{
    struct observation_bench *bench = bench_of(store);
    struct observation_bench_save *save = &bench->saves[bench->save_count];
    if (bench->store_is_full)
        return STATUS_FULL;
    cr_assert_lt(bench->save_count, OBSERVATION_BENCH_SAVES);
    cr_assert_leq(event.length, sizeof(bench->event));
    save->waiter = *waiter;
    save->fence = fence;
    save->slot = relation->slot;
    save->length = relation->value.length;
    save->event_length = event.length;
    if (relation->value.length > 0)
        memcpy(save->value, relation->value.bytes, relation->value.length);
    if (event.length > 0)
        memcpy(bench->event, event.bytes, event.length);
    bench->save_count++;
    return STATUS_OK;
}

static const struct store_engine engine = {.name = "by hand", .save_relation = save_relation};

static void lose(void *owner, const struct cid *cid)
{
    struct observation_bench *bench = owner;
    cr_assert(cid_equal(cid, &bench->coap.secured.session->own_cid));
    bench->lost++;
}

static void take(void *owner, uint64_t tag, const struct observation_result *result)
{
    struct observation_bench *bench = owner;
    cr_assert_eq(tag, 9);
    bench->told++;
    bench->result = *result;
}

void observation_bench_begin(struct observation_bench *bench)
{
    memset(bench, 0, sizeof(*bench));
    bench->store.engine = &engine;
    bench->waiter = (struct observation_waiter){.done = take, .owner = bench, .tag = 9};
    bench->now_ms = 1000000;
    coap_bench_open(&bench->coap, 4096);
    const struct client_options options = {.coap = bench->coap.coap,
                                           .store = &bench->store,
                                           .hash_key = {1, 2},
                                           .seed = 3,
                                           .lose = lose,
                                           .owner = bench};
    coap_turn(bench->coap.coap, coap_bench_now(bench->now_ms));
    cr_assert_eq(client_init(&bench->client, &options, bench->now_ms), STATUS_OK);
}

void observation_bench_end(struct observation_bench *bench)
{
    client_free(&bench->client);
    coap_bench_close(&bench->coap);
}

void observation_bench_pass(struct observation_bench *bench, uint64_t ms)
{
    bench->now_ms += ms;
    coap_bench_run(&bench->coap, bench->now_ms);
    client_run(&bench->client, bench->now_ms);
}

void observation_bench_store(struct observation_bench *bench, size_t index,
                             enum store_outcome outcome)
{
    const struct store_waiter *waiter = &bench->saves[index].waiter;
    const struct store_answer answer = {.outcome = outcome, .subject = waiter->subject};
    waiter->answer(waiter->owner, &answer);
}

enum status observation_bench_observe(struct observation_bench *bench, const char *target)
{
    const struct observation_wish wish = {.target = {(const uint8_t *)target, strlen(target)}};
    return observation_begin(&bench->client.observations, &bench->coap.secured, &wish,
                             &bench->waiter);
}

uint16_t observation_bench_registration(struct observation_bench *bench, uint32_t wanted)
{
    struct message request;
    coap_bench_take(&bench->coap, &request);
    cr_assert_eq(request.code, CODE_GET);
    cr_assert_eq(request.options[0].number, OPTION_OBSERVE);
    cr_assert_eq(message_option_number(&request.options[0]), wanted);
    cr_assert_eq(request.token_length, ERRAND_TOKEN_SIZE);
    memcpy(bench->token, request.token, sizeof(bench->token));
    return request.id;
}

enum coap_outcome observation_bench_say(struct observation_bench *bench, enum message_type type,
                                        uint16_t id, uint8_t code, int64_t number, int64_t max_age,
                                        const char *payload)
{
    uint8_t space[COAP_MESSAGE_SIZE_MAX];
    struct writer writer = writer_over(space, sizeof(space));
    struct message_builder builder;
    message_begin(&builder, &writer, type, code, id, bench->token, sizeof(bench->token));
    if (number >= 0)
        message_add_number(&builder, OPTION_OBSERVE, (uint32_t)number);
    if (max_age >= 0)
        message_add_number(&builder, OPTION_MAX_AGE, (uint32_t)max_age);
    message_add_payload(&builder, (const uint8_t *)payload, strlen(payload));
    return coap_bench_receive(&bench->coap, &bench->coap.secured, bench->now_ms, space,
                              writer_length(&writer));
}

uint8_t observation_bench_hold(struct observation_bench *bench, const char *target, uint32_t number)
{
    cr_assert_eq(observation_bench_observe(bench, target), STATUS_OK);
    uint16_t id = observation_bench_registration(bench, 0);
    observation_bench_say(bench, MESSAGE_ACK, id, CODE_CONTENT, number, 60, "first");
    observation_bench_store(bench, bench->save_count - 1, STORE_OK);
    cr_assert_eq(bench->result.outcome, OBSERVATION_BEGUN);
    return bench->result.slot;
}
