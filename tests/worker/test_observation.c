/* Observations of a device that the test plays with message.h, in front of a store whose answers it
 * gives. */
#include "worker/observation.h"

#include <criterion/criterion.h>
#include <string.h>

#include "tests/worker/observation_bench.h"

static struct observation_bench bench;

Test(observation, begins_when_it_is_stored)
{
    struct relation_value value;
    observation_bench_begin(&bench);
    cr_assert_eq(observation_bench_observe(&bench, "/temp?u=c"), STATUS_OK);
    uint16_t id = observation_bench_registration(&bench, 0);
    cr_expect_eq(bench.token[0], OBSERVATION_SLOT_FIRST, "the bench.token names the slot");
    observation_bench_say(&bench, MESSAGE_ACK, id, CODE_CONTENT, 12, 30, "20");
    cr_assert_eq(bench.save_count, 1);
    cr_expect_eq(bench.told, 0, "not before the store has it");
    cr_expect_eq(bench.saves[0].slot, OBSERVATION_SLOT_FIRST);
    cr_expect_gt(bench.saves[0].event_length, 0, "the first state is an event too");
    cr_assert_eq(
        relation_value_read(&value, (struct octets){bench.saves[0].value, bench.saves[0].length}),
        STATUS_OK);
    cr_expect_eq(value.role, RELATION_OBSERVATION);
    cr_expect_arr_eq(value.token, bench.token, sizeof(bench.token));
    cr_expect_eq(value.number, 12);
    cr_expect_eq(value.expires_unix_ms, COAP_BENCH_UNIX_MS + bench.now_ms + 30000);
    cr_expect_eq(value.target.length, 9);
    observation_bench_store(&bench, 0, STORE_OK);
    cr_expect_eq(bench.told, 1);
    cr_expect_eq(bench.result.outcome, OBSERVATION_BEGUN);
    cr_expect_eq(bench.result.slot, OBSERVATION_SLOT_FIRST);
    cr_expect(observation_has(&bench.client.observations, 1));
    cr_expect_eq(coap_bench_count(&bench.coap, WORKER_OBSERVATIONS), 1);
    observation_bench_end(&bench);
}

/* DESIGN.md section 7, invariant 2. */
Test(observation, a_confirmable_notification_is_acknowledged_when_it_is_stored)
{
    struct message ack;
    observation_bench_begin(&bench);
    observation_bench_hold(&bench, "/temp", 12);
    cr_expect_eq(observation_bench_say(&bench, MESSAGE_CON, 500, CODE_CONTENT, 13, 60, "21"),
                 COAP_SILENCE);
    cr_assert_eq(bench.save_count, 2);
    cr_expect_eq(bench.coap.sent_count, 0);
    cr_expect_eq(observation_bench_say(&bench, MESSAGE_CON, 500, CODE_CONTENT, 13, 60, "21"),
                 COAP_SILENCE, "again");
    cr_assert_eq(bench.save_count, 2);
    observation_bench_store(&bench, 1, STORE_OK);
    coap_bench_take(&bench.coap, &ack);
    cr_expect_eq(ack.type, MESSAGE_ACK);
    cr_expect_eq(ack.id, 500);
    cr_expect_eq(observation_bench_say(&bench, MESSAGE_CON, 500, CODE_CONTENT, 13, 60, "21"),
                 COAP_REPLY, "and again");
    cr_expect_eq(bench.save_count, 2);
    cr_expect_eq(coap_bench_count(&bench.coap, WORKER_HEARD_STORED), 2);
    observation_bench_end(&bench);
}

Test(observation, what_was_not_stored_comes_again)
{
    observation_bench_begin(&bench);
    observation_bench_hold(&bench, "/temp", 12);
    observation_bench_say(&bench, MESSAGE_CON, 500, CODE_CONTENT, 13, 60, "21");
    observation_bench_store(&bench, 1, STORE_UNAVAILABLE);
    cr_expect_eq(bench.coap.sent_count, 0, "no ACK");
    cr_expect_eq(coap_bench_count(&bench.coap, WORKER_HEARD_NOT_STORED), 1);
    cr_expect_eq(observation_bench_say(&bench, MESSAGE_CON, 500, CODE_CONTENT, 13, 60, "21"),
                 COAP_SILENCE);
    cr_assert_eq(bench.save_count, 3, "it is as new as it was");
    bench.store_is_full = true;
    cr_expect_eq(observation_bench_say(&bench, MESSAGE_CON, 501, CODE_CONTENT, 14, 60, "22"),
                 COAP_DROPPED);
    bench.store_is_full = false;
    cr_expect_eq(observation_bench_say(&bench, MESSAGE_CON, 501, CODE_CONTENT, 14, 60, "22"),
                 COAP_SILENCE);
    cr_expect_eq(bench.save_count, 4);
    observation_bench_end(&bench);
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
        bench.save_count = 0;
        observation_bench_begin(&bench);
        observation_bench_hold(&bench, "/temp", rows[i].before);
        bench.now_ms += rows[i].after_ms;
        observation_bench_say(&bench, MESSAGE_NON, 600, CODE_CONTENT, rows[i].then, 60, "x");
        cr_expect_eq(bench.save_count, rows[i].is_newer ? 2 : 1, "row %zu", i);
        cr_expect_eq(coap_bench_count(&bench.coap, WORKER_HEARD_REORDERED), !rows[i].is_newer,
                     "row %zu", i);
        for (size_t save = 1; save < bench.save_count; save++)
            observation_bench_store(&bench, save, STORE_OK);
        observation_bench_end(&bench);
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
    observation_bench_begin(&bench);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        cr_assert_eq(observation_bench_observe(&bench, "/temp"), STATUS_OK);
        observation_bench_say(&bench, MESSAGE_ACK, observation_bench_registration(&bench, 0),
                              rows[i].code, rows[i].number, -1, "");
        cr_expect_eq(bench.told, i + 1);
        cr_expect_eq(bench.result.outcome, rows[i].outcome);
        cr_expect_not(observation_has(&bench.client.observations, 1));
    }
    cr_expect_eq(bench.save_count, 0);
    /* And one that says nothing at all. */
    cr_assert_eq(observation_bench_observe(&bench, "/temp"), STATUS_OK);
    for (int i = 0; i < 200 && bench.told == 3; i++)
        observation_bench_pass(&bench, 1000);
    cr_expect_eq(bench.result.outcome, OBSERVATION_UNREACHED);
    observation_bench_end(&bench);
}

/* RFC 9175 section 2.3: the second request is the one that registers. */
Test(observation, a_device_that_wants_to_know_whether_we_are_there)
{
    uint8_t space[64], given[ERRAND_TOKEN_SIZE];
    struct writer writer = writer_over(space, sizeof(space));
    struct message_builder builder;
    observation_bench_begin(&bench);
    cr_assert_eq(observation_bench_observe(&bench, "/temp"), STATUS_OK);
    uint16_t id = observation_bench_registration(&bench, 0);
    memcpy(given, bench.token, sizeof(given));
    message_begin(&builder, &writer, MESSAGE_ACK, CODE_UNAUTHORIZED, id, given, sizeof(given));
    message_add_option(&builder, OPTION_ECHO, (const uint8_t *)"fresh", 5);
    coap_bench_receive(&bench.coap, &bench.coap.secured, bench.now_ms, space,
                       writer_length(&writer));
    id = observation_bench_registration(&bench, 0);
    cr_expect_arr_eq(bench.token, given, sizeof(given), "as notifications will have it");
    observation_bench_say(&bench, MESSAGE_ACK, id, CODE_CONTENT, 1, 60, "x");
    observation_bench_store(&bench, 0, STORE_OK);
    cr_expect_eq(bench.result.outcome, OBSERVATION_BEGUN);
    observation_bench_end(&bench);
}

Test(observation, a_registration_that_cannot_be_stored_is_taken_back)
{
    observation_bench_begin(&bench);
    cr_assert_eq(observation_bench_observe(&bench, "/temp"), STATUS_OK);
    observation_bench_say(&bench, MESSAGE_ACK, observation_bench_registration(&bench, 0),
                          CODE_CONTENT, 1, 60, "x");
    observation_bench_store(&bench, 0, STORE_UNAVAILABLE);
    cr_expect_eq(bench.told, 1);
    cr_expect_eq(bench.result.outcome, OBSERVATION_NOT_STORED);
    observation_bench_registration(&bench, 1);
    cr_expect_not(observation_has(&bench.client.observations, 1));
    observation_bench_end(&bench);
}

/* RFC 7641 section 3.3.1: with the same bench.token, and not while what came last is fresh. */
Test(observation, registers_again_after_max_age)
{
    uint8_t first[ERRAND_TOKEN_SIZE];
    observation_bench_begin(&bench);
    observation_bench_hold(&bench, "/temp", 12);
    memcpy(first, bench.token, sizeof(first));
    observation_bench_pass(&bench, 60000 + OBSERVATION_MARGIN_MS - 1);
    cr_expect_eq(bench.coap.sent_count, 0);
    observation_bench_pass(&bench, OBSERVATION_SPREAD_MS + 1);
    uint16_t id = observation_bench_registration(&bench, 0);
    cr_expect_arr_eq(bench.token, first, sizeof(first));
    observation_bench_say(&bench, MESSAGE_ACK, id, CODE_CONTENT, 20, 300, "x");
    cr_expect_eq(bench.save_count, 2);
    observation_bench_store(&bench, 1, STORE_OK);
    observation_bench_pass(&bench, 300000);
    cr_expect_eq(bench.coap.sent_count, 0);
    /* A notification makes it fresh again. */
    observation_bench_say(&bench, MESSAGE_NON, 700, CODE_CONTENT, 21, 600, "y");
    observation_bench_store(&bench, 2, STORE_OK);
    observation_bench_pass(&bench, 100000);
    cr_expect_eq(bench.coap.sent_count, 0);
    cr_expect_eq(coap_bench_count(&bench.coap, WORKER_OBSERVATIONS_RENEWED), 1);
    observation_bench_end(&bench);
}

Test(observation, a_device_that_sleeps_is_asked_ever_less_often)
{
    observation_bench_begin(&bench);
    observation_bench_hold(&bench, "/temp", 12);
    for (int i = 0; i < 3; i++) {
        uint64_t waited_ms = 0;
        while (bench.coap.sent_count == 0 && waited_ms < 10000000) {
            observation_bench_pass(&bench, 1000);
            waited_ms += 1000;
        }
        cr_expect_geq(waited_ms, i > 0 ? (uint64_t)OBSERVATION_RETRY_MS << (i - 1) : 60000u);
        size_t under_way = 1;
        while (under_way > 0) { /* until the message layer gives up */
            observation_bench_pass(&bench, 1000);
            under_way = transmission_count(&bench.coap.coap->transmissions, &bench.coap.secured);
        }
        cr_expect_eq(bench.coap.sent_count, 5);
        bench.coap.sent_count = 0;
    }
    cr_expect(observation_has(&bench.client.observations, 1), "it is not given up");
    observation_bench_end(&bench);
}

Test(observation, ends_with_an_error)
{
    observation_bench_begin(&bench);
    observation_bench_hold(&bench, "/temp", 12);
    cr_expect_eq(observation_bench_say(&bench, MESSAGE_CON, 500, CODE_NOT_FOUND, -1, -1, ""),
                 COAP_REPLY);
    cr_expect_eq(bench.coap.reply[0] >> 4 & 3, MESSAGE_ACK);
    cr_assert_eq(bench.save_count, 2);
    cr_expect_eq(bench.saves[1].length, 0, "out of the store");
    cr_expect_not(observation_has(&bench.client.observations, 1));
    cr_expect_eq(coap_bench_count(&bench.coap, WORKER_OBSERVATIONS_ENDED), 1);
    observation_bench_store(&bench, 1, STORE_OK);
    observation_bench_end(&bench);
}

Test(observation, is_cancelled_in_the_store_first)
{
    observation_bench_begin(&bench);
    uint8_t slot = observation_bench_hold(&bench, "/temp", 12);
    cr_expect_eq(
        observation_cancel(&bench.client.observations, 1, (uint8_t)(slot + 1), &bench.waiter),
        STATUS_NOT_FOUND);
    cr_assert_eq(observation_cancel(&bench.client.observations, 1, slot, &bench.waiter), STATUS_OK);
    cr_expect_eq(observation_cancel(&bench.client.observations, 1, slot, &bench.waiter),
                 STATUS_NOT_FOUND);
    cr_expect_eq(bench.saves[1].length, 0);
    cr_expect_eq(bench.coap.sent_count, 0);
    observation_bench_store(&bench, 1, STORE_OK);
    cr_expect_eq(bench.result.outcome, OBSERVATION_CANCELLED);
    observation_bench_registration(&bench, 1);
    cr_expect_not(observation_has(&bench.client.observations, 1));
    /* What still comes finds nobody. */
    bench.coap.sent_count = 0;
    observation_bench_pass(&bench, 0);
    observation_bench_say(&bench, MESSAGE_ACK, COAP_BENCH_MESSAGE_ID + 1, CODE_CONTENT, -1, -1, "");
    cr_expect_eq(observation_bench_say(&bench, MESSAGE_CON, 501, CODE_CONTENT, 13, 60, "x"),
                 COAP_REPLY);
    cr_expect_eq(bench.coap.reply[0] >> 4 & 3, MESSAGE_RST);
    cr_expect_eq(coap_bench_count(&bench.coap, WORKER_HEARD_UNKNOWN), 1);
    observation_bench_end(&bench);
}

Test(observation, a_storm_leaves_the_store_alone)
{
    observation_bench_begin(&bench);
    observation_bench_hold(&bench, "/temp", 12);
    for (uint16_t i = 0; i < 1000; i++) {
        observation_bench_say(&bench, MESSAGE_NON, (uint16_t)(1000 + i), CODE_CONTENT, 13 + i, 60,
                              "x");
        if (bench.save_count > 1)
            observation_bench_store(&bench, --bench.save_count, STORE_OK);
    }
    cr_expect_eq(coap_bench_count(&bench.coap, WORKER_HEARD_STORED), 1 + OBSERVATION_BURST);
    cr_expect_eq(coap_bench_count(&bench.coap, WORKER_HEARD_STORM), 1000 - OBSERVATION_BURST);
    /* A confirmable one is not acknowledged, and is taken when it comes again. */
    cr_expect_eq(observation_bench_say(&bench, MESSAGE_CON, 3000, CODE_CONTENT, 5000, 60, "x"),
                 COAP_DROPPED);
    observation_bench_pass(&bench, 1000);
    cr_expect_eq(observation_bench_say(&bench, MESSAGE_CON, 3000, CODE_CONTENT, 5000, 60, "x"),
                 COAP_SILENCE);
    cr_expect_eq(bench.save_count, 2);
    observation_bench_end(&bench);
}

Test(observation, too_many_wait_for_the_store)
{
    observation_bench_begin(&bench);
    observation_bench_hold(&bench, "/temp", 12);
    for (uint16_t i = 0; i < 20; i++)
        observation_bench_say(&bench, MESSAGE_NON, (uint16_t)(1000 + i), CODE_CONTENT, 13 + i, 60,
                              "x");
    cr_expect_eq(bench.save_count, 1 + OBSERVATION_SAVES_MAX);
    cr_expect_eq(coap_bench_count(&bench.coap, WORKER_HEARD_STORM), 20 - OBSERVATION_SAVES_MAX);
    for (size_t i = 1; i < bench.save_count; i++)
        observation_bench_store(&bench, i, STORE_OK);
    observation_bench_say(&bench, MESSAGE_NON, 2000, CODE_CONTENT, 100, 60, "x");
    cr_expect_eq(bench.save_count, 2 + OBSERVATION_SAVES_MAX);
    observation_bench_end(&bench);
}

/* More than POST /events takes. */
Test(observation, a_notification_that_fills_its_message)
{
    static char large[1200 + 1];
    observation_bench_begin(&bench);
    observation_bench_hold(&bench, "/temp", 12);
    memset(large, 'x', sizeof(large) - 1);
    cr_expect_eq(observation_bench_say(&bench, MESSAGE_CON, 500, CODE_CONTENT, 13, 60, large),
                 COAP_SILENCE);
    cr_assert_eq(bench.save_count, 2);
    cr_expect_gt(bench.saves[1].event_length, sizeof(large) - 1);
    observation_bench_end(&bench);
}

/* Whoever waits is told, though the device has changed its mind. */
Test(observation, ends_before_it_is_stored)
{
    observation_bench_begin(&bench);
    cr_assert_eq(observation_bench_observe(&bench, "/temp"), STATUS_OK);
    uint16_t id = observation_bench_registration(&bench, 0);
    observation_bench_say(&bench, MESSAGE_ACK, id, CODE_CONTENT, 1, 60, "x");
    observation_bench_say(&bench, MESSAGE_CON, 500, CODE_NOT_FOUND, -1, -1, "");
    cr_assert_eq(bench.told, 1);
    cr_expect_eq(bench.result.outcome, OBSERVATION_REFUSED);
    cr_expect_eq(bench.result.code, CODE_NOT_FOUND);
    observation_bench_store(&bench, 0, STORE_OK);
    cr_expect_eq(bench.told, 1);
    observation_bench_end(&bench);
}

Test(observation, an_heir_takes_the_next_notification)
{
    struct relation_value value;
    observation_bench_begin(&bench);
    observation_bench_hold(&bench, "/temp", 12);
    cr_assert_eq(
        relation_value_read(&value, (struct octets){bench.saves[0].value, bench.saves[0].length}),
        STATUS_OK);
    client_forget(&bench.client, 1);
    coap_forget(bench.coap.coap, 1);
    cr_assert_not(observation_has(&bench.client.observations, 1));

    cr_assert_eq(observation_restore(&bench.client.observations, &bench.coap.secured,
                                     bench.saves[0].slot, &value),
                 STATUS_OK);
    cr_expect_eq(observation_restore(&bench.client.observations, &bench.coap.secured,
                                     bench.saves[0].slot, &value),
                 STATUS_MALFORMED, "twice");
    cr_expect_eq(observation_restore(&bench.client.observations, &bench.coap.secured, 0, &value),
                 STATUS_MALFORMED, "an observer's slot");
    observation_bench_say(&bench, MESSAGE_NON, 499, CODE_CONTENT, 12, 60, "x");
    cr_expect_eq(bench.save_count, 1, "it knows the number");
    cr_expect_eq(observation_bench_say(&bench, MESSAGE_CON, 500, CODE_CONTENT, 13, 60, "x"),
                 COAP_SILENCE);
    cr_expect_eq(bench.save_count, 2);
    cr_expect_eq(bench.coap.sent_count, 0, "nothing was registered anew");
    observation_bench_end(&bench);
}

Test(observation, a_session_that_has_gone)
{
    observation_bench_begin(&bench);
    observation_bench_hold(&bench, "/temp", 12);
    observation_bench_say(&bench, MESSAGE_CON, 500, CODE_CONTENT, 13, 60, "x");
    observation_bench_store(&bench, 1, STORE_STALE);
    cr_expect_eq(bench.lost, 1);
    cr_expect_eq(bench.coap.sent_count, 0, "its owner acknowledges");
    cr_assert_eq(observation_bench_observe(&bench, "/other"), STATUS_OK);
    client_forget(&bench.client, 1);
    cr_expect_eq(bench.result.outcome, OBSERVATION_GONE);
    cr_expect_eq(coap_bench_count(&bench.coap, WORKER_OBSERVATIONS), 0);
    observation_bench_end(&bench);
}

Test(observation, bounded_for_each_session)
{
    char target[] = "/a";
    observation_bench_begin(&bench);
    for (uint8_t i = 0; i < OBSERVATIONS_PER_SESSION_MAX; i++) {
        target[1] = (char)('a' + i);
        observation_bench_hold(&bench, target, 1);
    }
    cr_expect_eq(observation_bench_observe(&bench, "/z"), STATUS_FULL);
    cr_expect_eq(observation_bench_observe(&bench, "/a"), STATUS_EXISTS);
    cr_expect_eq(coap_bench_count(&bench.coap, WORKER_OBSERVATIONS_REFUSED), 1);
    observation_bench_end(&bench);
}
