/* Observations of a device that the test plays with message.h, in front of a store whose answers it
 * gives. */
#include "worker/observation.h"

#include <criterion/criterion.h>
#include <string.h>

#include "tests/worker/coap_bench.h"
#include "worker/client.h"
#include "worker/session.h"

enum { SAVES = 256 };

static struct coap_bench bench;
static struct client client;
static uint64_t now_ms;

static struct store store;
static struct {
    struct store_waiter waiter;
    uint64_t fence;
    uint8_t slot;
    uint8_t value[STORE_RELATION_MAX];
    size_t length;
    size_t event_length;
} saves[SAVES];
static size_t save_count;
static bool store_is_full;
static size_t lost;

static size_t told;
static struct observation_result result;
static uint8_t token[ERRAND_TOKEN_SIZE]; /* of the registration seen last */

static enum status save_relation(struct store *of, uint64_t fence,
                                 const struct store_relation *relation, struct octets event,
                                 const struct store_waiter *waiter)
{
    cr_assert_eq(of, &store);
    if (store_is_full)
        return STATUS_FULL;
    cr_assert_lt(save_count, SAVES);
    saves[save_count].waiter = *waiter;
    saves[save_count].fence = fence;
    saves[save_count].slot = relation->slot;
    saves[save_count].length = relation->value.length;
    saves[save_count].event_length = event.length;
    if (relation->value.length > 0)
        memcpy(saves[save_count].value, relation->value.bytes, relation->value.length);
    save_count++;
    return STATUS_OK;
}

static const struct store_engine engine = {.name = "by hand", .save_relation = save_relation};

static void lose(void *owner, const struct cid *cid)
{
    cr_assert_eq(owner, &client);
    cr_assert(cid_equal(cid, &bench.secured.session->own_cid));
    lost++;
}

static void begin(void)
{
    store.engine = &engine;
    now_ms = 1000000;
    coap_bench_open(&bench, 4096);
    const struct client_options options = {.coap = bench.coap,
                                           .store = &store,
                                           .hash_key = {1, 2},
                                           .seed = 3,
                                           .lose = lose,
                                           .owner = &client};
    coap_turn(bench.coap, coap_bench_now(now_ms));
    cr_assert_eq(client_init(&client, &options, now_ms), STATUS_OK);
}

static void end(void)
{
    client_free(&client);
    coap_bench_close(&bench);
}

static void pass(uint64_t ms)
{
    now_ms += ms;
    coap_bench_run(&bench, now_ms);
    client_run(&client, now_ms);
}

static void answer_store(size_t index, enum store_outcome outcome)
{
    const struct store_answer answer = {.outcome = outcome, .subject = saves[index].waiter.subject};
    saves[index].waiter.answer(saves[index].waiter.owner, &answer);
}

static void take(void *owner, uint64_t tag, const struct observation_result *of)
{
    cr_assert_eq(owner, &client);
    cr_assert_eq(tag, 9);
    told++;
    result = *of;
}

static const struct observation_waiter waiter = {.done = take, .owner = &client, .tag = 9};

static enum status observe(const char *target)
{
    const struct observation_wish wish = {.target = {(const uint8_t *)target, strlen(target)}};
    return observation_begin(&client.observations, &bench.secured, &wish, &waiter);
}

/* A response with this token: Observe from 0 on, Max-Age from 0 on, or without. */
static enum coap_outcome say(enum message_type type, uint16_t id, uint8_t code, int64_t number,
                             int64_t max_age, const char *payload)
{
    uint8_t space[COAP_MESSAGE_SIZE_MAX];
    struct writer writer = writer_over(space, sizeof(space));
    struct message_builder builder;
    message_begin(&builder, &writer, type, code, id, token, sizeof(token));
    if (number >= 0)
        message_add_number(&builder, OPTION_OBSERVE, (uint32_t)number);
    if (max_age >= 0)
        message_add_number(&builder, OPTION_MAX_AGE, (uint32_t)max_age);
    message_add_payload(&builder, (const uint8_t *)payload, strlen(payload));
    return coap_bench_receive(&bench, &bench.secured, now_ms, space, writer_length(&writer));
}

/* The registration that has just left; its message id. */
static uint16_t take_registration(uint32_t wanted)
{
    struct message request;
    coap_bench_take(&bench, &request);
    cr_assert_eq(request.code, CODE_GET);
    cr_assert_eq(request.options[0].number, OPTION_OBSERVE);
    cr_assert_eq(message_option_number(&request.options[0]), wanted);
    cr_assert_eq(request.token_length, ERRAND_TOKEN_SIZE);
    memcpy(token, request.token, sizeof(token));
    return request.id;
}

/* Registered, and stored. */
static uint8_t hold(const char *target, uint32_t number)
{
    cr_assert_eq(observe(target), STATUS_OK);
    uint16_t id = take_registration(0);
    say(MESSAGE_ACK, id, CODE_CONTENT, number, 60, "first");
    answer_store(save_count - 1, STORE_OK);
    cr_assert_eq(result.outcome, OBSERVATION_BEGUN);
    return result.slot;
}

static uint64_t counted(enum worker_metric metric)
{
    return coap_bench_count(&bench, metric);
}

Test(observation, begins_when_it_is_stored)
{
    struct relation_value value;
    begin();
    cr_assert_eq(observe("/temp?u=c"), STATUS_OK);
    uint16_t id = take_registration(0);
    cr_expect_eq(token[0], OBSERVATION_SLOT_FIRST, "the token names the slot");
    say(MESSAGE_ACK, id, CODE_CONTENT, 12, 30, "20");
    cr_assert_eq(save_count, 1);
    cr_expect_eq(told, 0, "not before the store has it");
    cr_expect_eq(saves[0].slot, OBSERVATION_SLOT_FIRST);
    cr_expect_gt(saves[0].event_length, 0, "the first state is an event too");
    cr_assert_eq(relation_value_read(&value, (struct octets){saves[0].value, saves[0].length}),
                 STATUS_OK);
    cr_expect_eq(value.role, RELATION_OBSERVATION);
    cr_expect_arr_eq(value.token, token, sizeof(token));
    cr_expect_eq(value.number, 12);
    cr_expect_eq(value.expires_unix_ms, COAP_BENCH_UNIX_MS + now_ms + 30000);
    cr_expect_eq(value.target.length, 9);
    answer_store(0, STORE_OK);
    cr_expect_eq(told, 1);
    cr_expect_eq(result.outcome, OBSERVATION_BEGUN);
    cr_expect_eq(result.slot, OBSERVATION_SLOT_FIRST);
    cr_expect(observation_has(&client.observations, 1));
    cr_expect_eq(counted(WORKER_OBSERVATIONS), 1);
    end();
}

/* DESIGN.md section 7, invariant 2. */
Test(observation, a_confirmable_notification_is_acknowledged_when_it_is_stored)
{
    struct message ack;
    begin();
    hold("/temp", 12);
    cr_expect_eq(say(MESSAGE_CON, 500, CODE_CONTENT, 13, 60, "21"), COAP_SILENCE);
    cr_assert_eq(save_count, 2);
    cr_expect_eq(bench.sent_count, 0);
    cr_expect_eq(say(MESSAGE_CON, 500, CODE_CONTENT, 13, 60, "21"), COAP_SILENCE, "again");
    cr_assert_eq(save_count, 2);
    answer_store(1, STORE_OK);
    coap_bench_take(&bench, &ack);
    cr_expect_eq(ack.type, MESSAGE_ACK);
    cr_expect_eq(ack.id, 500);
    cr_expect_eq(say(MESSAGE_CON, 500, CODE_CONTENT, 13, 60, "21"), COAP_REPLY, "and again");
    cr_expect_eq(save_count, 2);
    cr_expect_eq(counted(WORKER_HEARD_STORED), 2);
    end();
}

Test(observation, what_was_not_stored_comes_again)
{
    begin();
    hold("/temp", 12);
    say(MESSAGE_CON, 500, CODE_CONTENT, 13, 60, "21");
    answer_store(1, STORE_UNAVAILABLE);
    cr_expect_eq(bench.sent_count, 0, "no ACK");
    cr_expect_eq(counted(WORKER_HEARD_NOT_STORED), 1);
    cr_expect_eq(say(MESSAGE_CON, 500, CODE_CONTENT, 13, 60, "21"), COAP_SILENCE);
    cr_assert_eq(save_count, 3, "it is as new as it was");
    store_is_full = true;
    cr_expect_eq(say(MESSAGE_CON, 501, CODE_CONTENT, 14, 60, "22"), COAP_DROPPED);
    store_is_full = false;
    cr_expect_eq(say(MESSAGE_CON, 501, CODE_CONTENT, 14, 60, "22"), COAP_SILENCE);
    cr_expect_eq(save_count, 4);
    end();
}

/* RFC 7641 section 3.4, each of its three conditions. */
Test(observation, order)
{
    static const struct {
        uint32_t before, then;
        uint64_t after_ms;
        bool is_newer;
    } rows[] = {
        {12, 13, 0, true},           {12, 12, 0, false},     {13, 12, 0, false},
        {0, (1 << 23) - 1, 0, true}, {0, 1 << 23, 0, false}, {1 << 23, 0, 0, false},
        {(1 << 23) + 1, 0, 0, true}, {0xffffff, 0, 0, true}, {0, 0xffffff, 0, false},
        {13, 12, 128000, false},     {13, 12, 128001, true},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        save_count = 0;
        begin();
        hold("/temp", rows[i].before);
        now_ms += rows[i].after_ms;
        say(MESSAGE_NON, 600, CODE_CONTENT, rows[i].then, 60, "x");
        cr_expect_eq(save_count, rows[i].is_newer ? 2 : 1, "row %zu", i);
        cr_expect_eq(counted(WORKER_HEARD_REORDERED), !rows[i].is_newer, "row %zu", i);
        for (size_t save = 1; save < save_count; save++)
            answer_store(save, STORE_OK);
        end();
    }
}

Test(observation, devices_that_do_not_register)
{
    static const struct {
        uint8_t code;
        int64_t number;
        enum observation_outcome outcome;
    } rows[] = {
        {CODE_NOT_FOUND, -1, OBSERVATION_REFUSED},
        {CODE_CONTENT, -1, OBSERVATION_NOT_OBSERVABLE},
        {CODE_UNAVAILABLE, -1, OBSERVATION_REFUSED},
    };
    begin();
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        cr_assert_eq(observe("/temp"), STATUS_OK);
        say(MESSAGE_ACK, take_registration(0), rows[i].code, rows[i].number, -1, "");
        cr_expect_eq(told, i + 1);
        cr_expect_eq(result.outcome, rows[i].outcome);
        cr_expect_not(observation_has(&client.observations, 1));
    }
    cr_expect_eq(save_count, 0);
    /* And one that says nothing at all. */
    cr_assert_eq(observe("/temp"), STATUS_OK);
    for (int i = 0; i < 200 && told == 3; i++)
        pass(1000);
    cr_expect_eq(result.outcome, OBSERVATION_UNREACHED);
    end();
}

Test(observation, a_registration_that_cannot_be_stored_is_taken_back)
{
    begin();
    cr_assert_eq(observe("/temp"), STATUS_OK);
    say(MESSAGE_ACK, take_registration(0), CODE_CONTENT, 1, 60, "x");
    answer_store(0, STORE_UNAVAILABLE);
    cr_expect_eq(told, 1);
    cr_expect_eq(result.outcome, OBSERVATION_NOT_STORED);
    take_registration(1);
    cr_expect_not(observation_has(&client.observations, 1));
    end();
}

/* RFC 7641 section 3.3.1: with the same token, and not while what came last is fresh. */
Test(observation, registers_again_after_max_age)
{
    uint8_t first[ERRAND_TOKEN_SIZE];
    begin();
    hold("/temp", 12);
    memcpy(first, token, sizeof(first));
    pass(60000 + OBSERVATION_MARGIN_MS - 1);
    cr_expect_eq(bench.sent_count, 0);
    pass(OBSERVATION_SPREAD_MS + 1);
    uint16_t id = take_registration(0);
    cr_expect_arr_eq(token, first, sizeof(first));
    say(MESSAGE_ACK, id, CODE_CONTENT, 20, 300, "x");
    cr_expect_eq(save_count, 2);
    answer_store(1, STORE_OK);
    pass(300000);
    cr_expect_eq(bench.sent_count, 0);
    /* A notification makes it fresh again. */
    say(MESSAGE_NON, 700, CODE_CONTENT, 21, 600, "y");
    answer_store(2, STORE_OK);
    pass(100000);
    cr_expect_eq(bench.sent_count, 0);
    cr_expect_eq(counted(WORKER_OBSERVATIONS_RENEWED), 1);
    end();
}

Test(observation, a_device_that_sleeps_is_asked_ever_less_often)
{
    begin();
    hold("/temp", 12);
    for (int i = 0; i < 3; i++) {
        uint64_t waited_ms = 0;
        while (bench.sent_count == 0 && waited_ms < 10000000) {
            pass(1000);
            waited_ms += 1000;
        }
        cr_expect_geq(waited_ms, i > 0 ? (uint64_t)OBSERVATION_RETRY_MS << (i - 1) : 60000u);
        size_t under_way = 1;
        while (under_way > 0) { /* until the message layer gives up */
            pass(1000);
            under_way = transmission_count(&bench.coap->transmissions, &bench.secured);
        }
        cr_expect_eq(bench.sent_count, 5);
        bench.sent_count = 0;
    }
    cr_expect(observation_has(&client.observations, 1), "it is not given up");
    end();
}

Test(observation, ends_with_an_error)
{
    begin();
    hold("/temp", 12);
    cr_expect_eq(say(MESSAGE_CON, 500, CODE_NOT_FOUND, -1, -1, ""), COAP_REPLY);
    cr_expect_eq(bench.reply[0] >> 4 & 3, MESSAGE_ACK);
    cr_assert_eq(save_count, 2);
    cr_expect_eq(saves[1].length, 0, "out of the store");
    cr_expect_not(observation_has(&client.observations, 1));
    cr_expect_eq(counted(WORKER_OBSERVATIONS_ENDED), 1);
    answer_store(1, STORE_OK);
    end();
}

Test(observation, is_cancelled_in_the_store_first)
{
    begin();
    uint8_t slot = hold("/temp", 12);
    cr_expect_eq(observation_cancel(&client.observations, 1, (uint8_t)(slot + 1), &waiter),
                 STATUS_NOT_FOUND);
    cr_assert_eq(observation_cancel(&client.observations, 1, slot, &waiter), STATUS_OK);
    cr_expect_eq(observation_cancel(&client.observations, 1, slot, &waiter), STATUS_NOT_FOUND);
    cr_expect_eq(saves[1].length, 0);
    cr_expect_eq(bench.sent_count, 0);
    answer_store(1, STORE_OK);
    cr_expect_eq(result.outcome, OBSERVATION_CANCELLED);
    take_registration(1);
    cr_expect_not(observation_has(&client.observations, 1));
    /* What still comes finds nobody. */
    bench.sent_count = 0;
    pass(0);
    say(MESSAGE_ACK, COAP_BENCH_MESSAGE_ID + 1, CODE_CONTENT, -1, -1, "");
    cr_expect_eq(say(MESSAGE_CON, 501, CODE_CONTENT, 13, 60, "x"), COAP_REPLY);
    cr_expect_eq(bench.reply[0] >> 4 & 3, MESSAGE_RST);
    cr_expect_eq(counted(WORKER_HEARD_UNKNOWN), 1);
    end();
}

Test(observation, a_storm_leaves_the_store_alone)
{
    begin();
    hold("/temp", 12);
    for (uint16_t i = 0; i < 1000; i++) {
        say(MESSAGE_NON, (uint16_t)(1000 + i), CODE_CONTENT, 13 + i, 60, "x");
        if (save_count > 1)
            answer_store(--save_count, STORE_OK);
    }
    cr_expect_eq(counted(WORKER_HEARD_STORED), 1 + OBSERVATION_BURST);
    cr_expect_eq(counted(WORKER_HEARD_STORM), 1000 - OBSERVATION_BURST);
    /* A confirmable one is not acknowledged, and is taken when it comes again. */
    cr_expect_eq(say(MESSAGE_CON, 3000, CODE_CONTENT, 5000, 60, "x"), COAP_DROPPED);
    pass(1000);
    cr_expect_eq(say(MESSAGE_CON, 3000, CODE_CONTENT, 5000, 60, "x"), COAP_SILENCE);
    cr_expect_eq(save_count, 2);
    end();
}

Test(observation, too_many_wait_for_the_store)
{
    begin();
    hold("/temp", 12);
    for (uint16_t i = 0; i < 20; i++)
        say(MESSAGE_NON, (uint16_t)(1000 + i), CODE_CONTENT, 13 + i, 60, "x");
    cr_expect_eq(save_count, 1 + OBSERVATION_SAVES_MAX);
    cr_expect_eq(counted(WORKER_HEARD_STORM), 20 - OBSERVATION_SAVES_MAX);
    for (size_t i = 1; i < save_count; i++)
        answer_store(i, STORE_OK);
    say(MESSAGE_NON, 2000, CODE_CONTENT, 100, 60, "x");
    cr_expect_eq(save_count, 2 + OBSERVATION_SAVES_MAX);
    end();
}

Test(observation, a_notification_too_large_for_an_event_ends_it)
{
    static char large[EVENT_PAYLOAD_MAX + 2];
    begin();
    hold("/temp", 12);
    memset(large, 'x', EVENT_PAYLOAD_MAX + 1);
    cr_expect_eq(say(MESSAGE_CON, 500, CODE_CONTENT, 13, 60, large), COAP_REPLY);
    cr_expect_eq(bench.reply[0] >> 4 & 3, MESSAGE_RST);
    cr_expect_eq(counted(WORKER_HEARD_TOO_LARGE), 1);
    cr_expect_not(observation_has(&client.observations, 1));
    end();
}

Test(observation, an_heir_takes_the_next_notification)
{
    struct relation_value value;
    begin();
    hold("/temp", 12);
    cr_assert_eq(relation_value_read(&value, (struct octets){saves[0].value, saves[0].length}),
                 STATUS_OK);
    client_forget(&client, 1);
    coap_forget(bench.coap, 1);
    cr_assert_not(observation_has(&client.observations, 1));

    cr_assert_eq(observation_restore(&client.observations, &bench.secured, saves[0].slot, &value),
                 STATUS_OK);
    cr_expect_eq(observation_restore(&client.observations, &bench.secured, saves[0].slot, &value),
                 STATUS_MALFORMED, "twice");
    cr_expect_eq(observation_restore(&client.observations, &bench.secured, 0, &value),
                 STATUS_MALFORMED, "an observer's slot");
    say(MESSAGE_NON, 499, CODE_CONTENT, 12, 60, "x");
    cr_expect_eq(save_count, 1, "it knows the number");
    cr_expect_eq(say(MESSAGE_CON, 500, CODE_CONTENT, 13, 60, "x"), COAP_SILENCE);
    cr_expect_eq(save_count, 2);
    cr_expect_eq(bench.sent_count, 0, "nothing was registered anew");
    end();
}

Test(observation, a_session_that_has_gone)
{
    begin();
    hold("/temp", 12);
    say(MESSAGE_CON, 500, CODE_CONTENT, 13, 60, "x");
    answer_store(1, STORE_STALE);
    cr_expect_eq(lost, 1);
    cr_expect_eq(bench.sent_count, 0, "its owner acknowledges");
    cr_assert_eq(observe("/other"), STATUS_OK);
    client_forget(&client, 1);
    cr_expect_eq(result.outcome, OBSERVATION_GONE);
    cr_expect_eq(counted(WORKER_OBSERVATIONS), 0);
    end();
}

Test(observation, bounded_for_each_session)
{
    char target[] = "/a";
    begin();
    for (uint8_t i = 0; i < OBSERVATIONS_PER_SESSION_MAX; i++) {
        target[1] = (char)('a' + i);
        hold(target, 1);
    }
    cr_expect_eq(observe("/z"), STATUS_FULL);
    cr_expect_eq(observe("/a"), STATUS_EXISTS);
    cr_expect_eq(counted(WORKER_OBSERVATIONS_REFUSED), 1);
    end();
}
