#include "tests/worker/ps_bench.h"
#include "worker/relation_value.h"
#include "worker/subject.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

static struct ps_bench bench;

static void open_bench(void)
{
    ps_bench_open(&bench, "*", "*");
    ps_bench_put(&bench, "/ps/room", "1");
}

static void close_bench(void)
{
    ps_bench_close(&bench);
}

TestSuite(coap_observe, .init = open_bench, .fini = close_bench);

static uint32_t number(void)
{
    const struct message_option *option = ps_bench_option(&bench, OPTION_OBSERVE);
    cr_assert_not_null(option);
    return message_option_number(option);
}

Test(coap_observe, a_registration_is_answered_with_observe_and_told_of_changes)
{
    cr_expect_eq(ps_bench_observe(&bench, "/ps/room", "tok", 0), CODE_CONTENT);
    cr_expect_str_eq(bench.payload, "1");
    uint32_t first = number();
    cr_expect_eq(ps_bench_put(&bench, "/ps/room", "2"), CODE_CHANGED);
    ps_bench_pass(&bench, 10);
    ps_bench_told(&bench);
    cr_expect_eq(bench.message.type, MESSAGE_NON);
    cr_expect_eq(bench.message.code, CODE_CONTENT);
    cr_expect_eq(bench.message.token_length, 3);
    cr_expect_eq(memcmp(bench.message.token, "tok", 3), 0);
    cr_expect_str_eq(bench.payload, "2");
    cr_expect(subject_number_follows(number(), first));
}

/* DESIGN.md section 7, invariant 2 */
Test(coap_observe, the_reply_waits_for_the_store)
{
    const struct ask ask = {
        .uri = "/ps/room", .token = "t", .id = 9, .options = {{OPTION_OBSERVE, 0, NULL}}};
    struct coap_bench *coap = &bench.coap;
    struct relation_value value;
    cr_expect_eq(coap_bench_ask(coap, &coap->secured, bench.now_ms, &ask), COAP_REGISTER);
    cr_expect_eq(relation_value_read(&value, coap->commit.value), STATUS_OK);
    cr_expect_eq(value.role, RELATION_OBSERVER);
    cr_expect_eq(value.target.length, 8);
    cr_expect_eq(memcmp(value.target.bytes, "/ps/room", 8), 0);
    const uint64_t ticket = coap->commit.ticket;
    cr_expect_eq(coap_bench_ask(coap, &coap->secured, bench.now_ms, &ask), COAP_SILENCE);
    ps_bench_pass(&bench, 100);
    cr_expect_eq(coap->sent_count, 0);
    ps_bench_pass(&bench, COAP_SEPARATE_MS);
    ps_bench_told(&bench);
    cr_expect_eq(bench.message.code, CODE_EMPTY, "the ACK has to go");
    coap_registered(coap->coap, ticket, COAP_STORED);
    ps_bench_pass(&bench, 5);
    ps_bench_told(&bench);
    cr_expect_eq(bench.message.code, CODE_CONTENT);
    cr_expect_eq(bench.message.type, MESSAGE_CON);
    cr_expect_not_null(ps_bench_option(&bench, OPTION_OBSERVE));
}

/* "The resulting response MUST NOT include an Observe Option" (RFC 7641 section 4.1) */
Test(coap_observe, what_the_store_does_not_have_is_served_without_observe)
{
    bench.saved = COAP_NOT_STORED;
    cr_expect_eq(ps_bench_observe(&bench, "/ps/room", "t", 0), CODE_CONTENT);
    cr_expect_null(ps_bench_option(&bench, OPTION_OBSERVE));
    cr_expect_str_eq(bench.payload, "1");
    cr_expect_eq(bench.coap.unsaved_count, 1, "it may be there all the same");
    cr_expect_not(coap_has_observer(bench.coap.coap, &bench.coap.secured));
}

/* A late copy of the request, say, while the store is in trouble. */
Test(coap_observe, what_is_listed_outlives_a_registration_that_is_not_stored)
{
    ps_bench_observe(&bench, "/ps/room", "t", 0);
    bench.saved = COAP_NOT_STORED;
    cr_expect_eq(ps_bench_observe(&bench, "/ps/room", "t", 0), CODE_CONTENT);
    cr_expect_not_null(ps_bench_option(&bench, OPTION_OBSERVE));
    cr_expect_eq(bench.coap.unsaved_count, 0);
    cr_expect(coap_has_observer(bench.coap.coap, &bench.coap.secured));
}

Test(coap_observe, a_registration_that_fails_is_none)
{
    cr_expect_eq(ps_bench_observe(&bench, "/ps/none", "t", 0), CODE_NOT_FOUND);
    cr_expect_null(ps_bench_option(&bench, OPTION_OBSERVE));
    cr_expect_not(coap_has_observer(bench.coap.coap, &bench.coap.secured));
    cr_expect_eq(bench.coap.unsaved_count, 1);
}

Test(coap_observe, what_cannot_be_observed_is_served_as_ever)
{
    cr_expect_eq(ps_bench_observe(&bench, "/whoami", "t", 0), CODE_CONTENT);
    cr_expect_null(ps_bench_option(&bench, OPTION_OBSERVE));
    cr_expect_eq(ps_bench_observe(&bench, "/ps", "t", 0), CODE_CONTENT);
    cr_expect_null(ps_bench_option(&bench, OPTION_OBSERVE));
    cr_expect_eq(ps_bench_observe(&bench, "/ps/room", "t", 2), CODE_CONTENT, "reserved");
    cr_expect_null(ps_bench_option(&bench, OPTION_OBSERVE));
    cr_expect_not(coap_has_observer(bench.coap.coap, &bench.coap.secured));
}

Test(coap_observe, deregisters)
{
    ps_bench_observe(&bench, "/ps/room", "t", 0);
    cr_expect_eq(ps_bench_observe(&bench, "/ps/room", "t", 1), CODE_CONTENT);
    cr_expect_null(ps_bench_option(&bench, OPTION_OBSERVE));
    cr_expect_eq(bench.coap.unsaved_count, 1);
    ps_bench_put(&bench, "/ps/room", "2");
    ps_bench_pass(&bench, 10);
    cr_expect_eq(bench.coap.sent_count, 0);
}

/* One for each letter, which is its token. Their replies are messages of their own, since the store
 * takes long; the first of them has left. */
static void register_late(const char *tokens)
{
    struct coap_bench *coap = &bench.coap;
    uint64_t tickets[8];
    size_t count = strlen(tokens);
    for (size_t i = 0; i < count; i++) {
        const char token[2] = {tokens[i], 0};
        const struct ask ask = {.uri = "/ps/room",
                                .token = token,
                                .id = (uint16_t)(9 + i),
                                .options = {{OPTION_OBSERVE, 0, NULL}}};
        cr_assert_eq(coap_bench_ask(coap, &coap->secured, bench.now_ms, &ask), COAP_REGISTER);
        tickets[i] = coap->commit.ticket;
    }
    ps_bench_pass(&bench, COAP_SEPARATE_MS + 10);
    cr_assert_eq(coap->sent_count, count, "empty ACKs");
    coap->sent_count = 0;
    for (size_t i = 0; i < count; i++)
        coap_registered(coap->coap, tickets[i], COAP_STORED);
    ps_bench_pass(&bench, 5);
    ps_bench_told(&bench);
    cr_assert_eq(bench.message.type, MESSAGE_CON);
    cr_assert_eq(bench.message.code, CODE_CONTENT);
    cr_assert_eq(bench.message.token[0], tokens[0]);
}

/* "a client may explicitly deregister" (RFC 7641 section 3.6): what waits for its turn (NSTART)
 * would tell it that it observes. */
Test(coap_observe, an_end_takes_back_the_replies_that_wait_for_their_turn)
{
    register_late("tuuv");
    const uint16_t first = bench.message.id;
    cr_expect_eq(ps_bench_observe(&bench, "/ps/room", "u", 1), CODE_CONTENT);
    cr_expect_null(ps_bench_option(&bench, OPTION_OBSERVE));
    bench.message.id = first;
    ps_bench_settle(&bench, MESSAGE_ACK);
    ps_bench_told(&bench);
    cr_expect_eq(bench.message.token_length, 1);
    cr_expect_eq(bench.message.token[0], 'v');
    ps_bench_settle(&bench, MESSAGE_ACK);
    ps_bench_pass(&bench, 200000);
    cr_expect_eq(bench.coap.sent_count, 0);
}

Test(coap_observe, an_end_ends_the_repetitions_of_a_reply)
{
    register_late("t");
    cr_expect_eq(ps_bench_observe(&bench, "/ps/room", "t", 1), CODE_CONTENT);
    ps_bench_pass(&bench, 200000);
    cr_expect_eq(bench.coap.sent_count, 0);
}

Test(coap_observe, a_reset_of_the_reply_ends_it)
{
    register_late("t");
    ps_bench_settle(&bench, MESSAGE_RST);
    cr_expect_not(coap_has_observer(bench.coap.coap, &bench.coap.secured));
    cr_expect_eq(bench.coap.unsaved_count, 1);
}

Test(coap_observe, a_reset_ends_it)
{
    ps_bench_observe(&bench, "/ps/room", "t", 0);
    ps_bench_put(&bench, "/ps/room", "2");
    ps_bench_pass(&bench, 10);
    ps_bench_told(&bench);
    ps_bench_settle(&bench, MESSAGE_RST);
    cr_expect_not(coap_has_observer(bench.coap.coap, &bench.coap.secured));
    cr_expect_eq(coap_bench_count(&bench.coap, WORKER_OBSERVERS_ENDED_RESET), 1);
    cr_expect_eq(bench.coap.unsaved_count, 1);
}

Test(coap_observe, a_topic_that_is_removed_sends_its_observers_away)
{
    ps_bench_observe(&bench, "/ps/room", "t", 0);
    cr_expect_eq(ps_bench_ask(&bench, &(struct ask){.code = CODE_DELETE, .uri = "/ps/room"}),
                 CODE_DELETED);
    ps_bench_pass(&bench, 10);
    ps_bench_told(&bench);
    cr_expect_eq(bench.message.type, MESSAGE_CON);
    cr_expect_eq(bench.message.code, CODE_NOT_FOUND);
    cr_expect_null(ps_bench_option(&bench, OPTION_OBSERVE));
    ps_bench_settle(&bench, MESSAGE_ACK);
    cr_expect_not(coap_has_observer(bench.coap.coap, &bench.coap.secured));
    cr_expect_eq(coap_bench_count(&bench.coap, WORKER_OBSERVERS_ENDED_GONE), 1);
}

Test(coap_observe, whoever_acknowledges_nothing_is_off_the_list)
{
    ps_bench_observe(&bench, "/ps/room", "t", 0);
    ps_bench_ask(&bench, &(struct ask){.code = CODE_DELETE, .uri = "/ps/room"});
    for (unsigned i = 0; i < 100; i++) {
        ps_bench_pass(&bench, 1);
        bench.now_ms += 999;
    }
    cr_expect_eq(bench.coap.sent_count, 1 + COAP_MAX_RETRANSMIT);
    cr_expect_eq(coap_bench_count(&bench.coap, WORKER_OBSERVERS_ENDED_TIMEOUT), 1);
    cr_expect_not(coap_has_observer(bench.coap.coap, &bench.coap.secured));
}

/* A confirmable notification of "3", sent and not answered; what it shows is in the bench. */
static void leave_unanswered(void)
{
    ps_bench_observe(&bench, "/ps/room", "t", 0);
    ps_bench_put(&bench, "/ps/room", "2");
    ps_bench_pass(&bench, 10);
    ps_bench_told(&bench);
    ps_bench_put(&bench, "/ps/room", "3"); /* it has to wait, and asks for the round trip */
    ps_bench_pass(&bench, OBSERVE_PACE_MS);
    ps_bench_told(&bench);
    cr_assert_eq(bench.message.type, MESSAGE_CON);
    cr_assert_str_eq(bench.payload, "3");
}

/* The first repetition, in the place of which the newest state is told; the id of the one before.
 */
static uint16_t supersede(const char *text)
{
    uint16_t older_id = bench.message.id;
    uint32_t older = number();
    cr_assert_eq(ps_bench_put(&bench, "/ps/room", text), CODE_CHANGED);
    ps_bench_pass(&bench, COAP_ACK_TIMEOUT_MS * COAP_ACK_RANDOM_PERCENT / 100);
    ps_bench_told(&bench);
    cr_expect_eq(bench.message.type, MESSAGE_CON);
    cr_expect_eq(bench.message.token_length, 1);
    cr_expect_neq(bench.message.id, older_id);
    cr_expect(subject_number_follows(number(), older));
    cr_expect_str_eq(bench.payload, text);
    return older_id;
}

/* RFC 7641 section 4.5.2 */
Test(coap_observe, a_repetition_carries_the_newest_state_however_long)
{
    char text[600];
    memset(text, 'x', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    leave_unanswered();
    supersede(text);
    ps_bench_settle(&bench, MESSAGE_ACK);
    ps_bench_pass(&bench, 100000);
    cr_expect_eq(bench.coap.sent_count, 0, "all has been told");
    cr_expect(coap_has_observer(bench.coap.coap, &bench.coap.secured));
    cr_expect_eq(coap_bench_count(&bench.coap, WORKER_COAP_RETRANSMISSIONS), 1);
}

Test(coap_observe, a_reset_of_what_was_superseded_ends_it)
{
    leave_unanswered();
    bench.message.id = supersede("4");
    ps_bench_settle(&bench, MESSAGE_RST);
    cr_expect_not(coap_has_observer(bench.coap.coap, &bench.coap.secured));
    cr_expect_eq(coap_bench_count(&bench.coap, WORKER_OBSERVERS_ENDED_RESET), 1);
    cr_expect_eq(bench.coap.unsaved_count, 1);
    ps_bench_pass(&bench, 100000);
    cr_expect_eq(bench.coap.sent_count, 0);
}

Test(coap_observe, an_ack_of_what_was_superseded_shows_that_the_observer_lives)
{
    leave_unanswered();
    uint16_t newer_id, older_id = supersede("4");
    newer_id = bench.message.id;
    bench.message.id = older_id;
    ps_bench_settle(&bench, MESSAGE_ACK);
    /* MAX_TRANSMIT_WAIT, and then the same state is told anew. */
    ps_bench_pass(&bench, 93000);
    cr_assert_geq(bench.coap.sent_count, COAP_MAX_RETRANSMIT);
    for (size_t i = 0; i < bench.coap.sent_count; i++) {
        struct message message;
        const struct coap_bench_sent *sent = &bench.coap.sent[i];
        cr_assert_eq(message_parse(&message, sent->bytes, sent->length), MESSAGE_OK);
        cr_expect_eq(message.type, MESSAGE_CON);
        cr_expect_eq(message.id == newer_id, i < COAP_MAX_RETRANSMIT - 1, "%zu", i);
        cr_expect_eq(message.payload[0], '4');
    }
    cr_expect(coap_has_observer(bench.coap.coap, &bench.coap.secured));
    bench.coap.sent_count = 0;
    ps_bench_pass(&bench, 93000);
    cr_expect_not(coap_has_observer(bench.coap.coap, &bench.coap.secured));
    cr_expect_eq(coap_bench_count(&bench.coap, WORKER_OBSERVERS_ENDED_TIMEOUT), 1);
}

Test(coap_observe, what_another_worker_publishes_is_told_too)
{
    ps_bench_observe(&bench, "/ps/room", "t", 0);
    uint32_t first = number();
    ps_bench_pass(&bench, PS_POLL_MS);
    ps_bench_change(&bench, "other", "x");
    ps_bench_change(&bench, "room", "2");
    ps_bench_pass(&bench, PS_POLL_MS + 10);
    ps_bench_told(&bench);
    cr_expect_str_eq(bench.payload, "2");
    cr_expect(subject_number_follows(number(), first));
    ps_bench_pass(&bench, 4 * PS_POLL_MS);
    cr_expect_eq(bench.coap.sent_count, 0, "once");
    ps_bench_pass(&bench, OBSERVE_PACE_MS);
    ps_bench_change(&bench, "room", NULL);
    ps_bench_pass(&bench, PS_POLL_MS + 10);
    ps_bench_told(&bench);
    cr_expect_eq(bench.message.code, CODE_NOT_FOUND);
}

/* Between the reply and the first look at the changes. */
Test(coap_observe, nothing_is_missed_in_the_beginning)
{
    ps_bench_observe(&bench, "/ps/room", "t", 0);
    ps_bench_change(&bench, "room", "2");
    ps_bench_pass(&bench, 2 * PS_POLL_MS + 10);
    ps_bench_told(&bench);
    cr_expect_str_eq(bench.payload, "2");
}

Test(coap_observe, after_a_flood_of_changes_the_newest_state_is_told)
{
    char name[16];
    ps_bench_observe(&bench, "/ps/room", "t", 0);
    ps_bench_pass(&bench, 2 * PS_POLL_MS);
    for (unsigned i = 0; i < 3 * STORE_LIST_MAX; i++) {
        snprintf(name, sizeof(name), "t%u", i);
        ps_bench_change(&bench, name, "x");
        if (i % 256 == 0)
            ps_bench_pass(&bench, 1);
    }
    ps_bench_change(&bench, "room", "2");
    ps_bench_pass(&bench, 10 * PS_POLL_MS);
    ps_bench_told(&bench);
    cr_expect_str_eq(bench.payload, "2");
}

static struct relation_value stored(void)
{
    static uint8_t bytes[RELATION_VALUE_MAX];
    const struct ask ask = {
        .uri = "/ps/room", .token = "t", .id = 9, .options = {{OPTION_OBSERVE, 0, NULL}}};
    struct coap_bench *coap = &bench.coap;
    struct relation_value value;
    cr_assert_eq(coap_bench_ask(coap, &coap->secured, bench.now_ms, &ask), COAP_REGISTER);
    memcpy(bytes, coap->commit.value.bytes, coap->commit.value.length);
    cr_assert_eq(relation_value_read(&value, (struct octets){bytes, coap->commit.value.length}),
                 STATUS_OK);
    coap_registered(coap->coap, coap->commit.ticket, COAP_STORED);
    ps_bench_pass(&bench, 5);
    coap->sent_count = 0;
    return value;
}

Test(coap_observe, an_heir_goes_on_where_the_dead_worker_was)
{
    const struct relation_value value = stored();
    struct coap_bench *coap = &bench.coap;
    coap_forget(coap->coap, coap->secured.session_id);
    ps_bench_change(&bench, "room", "2");
    ps_bench_pass(&bench, 5);
    cr_expect_eq(coap->sent_count, 0);
    cr_expect_eq(
        coap_restore_observer(coap->coap, &coap->secured, 4, &value, coap_bench_now(bench.now_ms)),
        STATUS_OK);
    ps_bench_pass(&bench, PS_POLL_MS);
    ps_bench_told(&bench);
    cr_expect_eq(bench.message.type, MESSAGE_CON);
    cr_expect_str_eq(bench.payload, "2");
    cr_expect_eq(bench.message.token_length, 1);
    ps_bench_settle(&bench, MESSAGE_ACK);
    ps_bench_change(&bench, "room", "3");
    ps_bench_pass(&bench, 2 * PS_POLL_MS);
    ps_bench_told(&bench);
    cr_expect_str_eq(bench.payload, "3");
    cr_expect_eq(bench.message.type, MESSAGE_NON);
}

Test(coap_observe, formats_and_queries_are_part_of_what_is_observed)
{
    const struct ask ask = {.uri = "/ps/room?x=%2F",
                            .token = "t",
                            .has_accept = true,
                            .accept = FORMAT_TEXT,
                            .options = {{OPTION_OBSERVE, 0, NULL}}};
    cr_expect_eq(ps_bench_ask(&bench, &ask), CODE_CONTENT);
    cr_expect_not_null(ps_bench_option(&bench, OPTION_OBSERVE));
    ps_bench_put(&bench, "/ps/room", "2");
    ps_bench_pass(&bench, 10);
    ps_bench_told(&bench);
    cr_expect_str_eq(bench.payload, "2");
    const struct ask json = {.uri = "/ps/room",
                             .token = "u",
                             .has_accept = true,
                             .accept = FORMAT_JSON,
                             .options = {{OPTION_OBSERVE, 0, NULL}}};
    cr_expect_eq(ps_bench_ask(&bench, &json), CODE_NOT_ACCEPTABLE);
    cr_expect_null(ps_bench_option(&bench, OPTION_OBSERVE));
}
