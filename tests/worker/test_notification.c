#include "tests/worker/observer_bench.h"

#include <criterion/criterion.h>
#include <string.h>

static struct observer_bench *bench;

static void close_bench(void)
{
    observer_bench_close(bench);
}

TestSuite(notification, .fini = close_bench);

static bool reset(uint64_t id, uint16_t message_id)
{
    const struct coap_peer peer = observer_bench_peer(bench, id);
    return observer_reset(&bench->observers, &peer, message_id, observer_bench_now(bench));
}

/* "The server SHOULD NOT send more than one non-confirmable notification per round-trip time (RTT)
 * to a client on average." (RFC 7641 section 4.5.1) */
Test(notification, one_in_a_round_trip_and_the_newest_state_of_what_changed_meanwhile)
{
    bench = observer_bench_open(3600, 0);
    bench->rtt_ms = 200;
    observer_bench_join(bench, 1, "t", "/a");
    observer_bench_change(bench, "/a", "1");
    observer_bench_take(bench, 1);
    observer_bench_change(bench, "/a", "2");
    observer_bench_change(bench, "/a", "3");
    observer_bench_change(bench, "/a", "4");
    observer_bench_take(bench, 0);
    observer_bench_pass(bench, 200 - 41);
    observer_bench_take(bench, 0);
    observer_bench_pass(bench, 10);
    const struct observer_bench_sent *sent = observer_bench_take(bench, 1);
    cr_expect_str_eq(sent->payload, "4");
    cr_expect_eq(sent->type, MESSAGE_NON);
    cr_expect_eq(observer_bench_count(bench, WORKER_NOTIFICATIONS_SKIPPED), 2);
    observer_bench_pass(bench, 10000);
    observer_bench_take(bench, 0);
}

/* "If the server cannot maintain an RTT estimate for a client, it SHOULD NOT send more than one
 * non-confirmable notification every 3 seconds" (RFC 7641 section 4.5.1) */
Test(notification, three_seconds_where_no_estimate_is_there_and_then_one_that_brings_it)
{
    bench = observer_bench_open(3600, 0);
    observer_bench_join(bench, 1, "t", "/a");
    observer_bench_change(bench, "/a", "1");
    cr_expect_eq(observer_bench_take(bench, 1)->type, MESSAGE_NON);
    observer_bench_pass(bench, 3000);
    observer_bench_change(bench, "/a", "2");
    cr_expect_eq(observer_bench_take(bench, 1)->type, MESSAGE_NON, "nobody had to wait");
    observer_bench_change(bench, "/a", "3");
    observer_bench_pass(bench, 2970);
    observer_bench_take(bench, 0);
    observer_bench_pass(bench, 20);
    const struct observer_bench_sent sent = *observer_bench_take(bench, 1);
    cr_expect_eq(sent.type, MESSAGE_CON);
    bench->rtt_ms = 50;
    observer_bench_confirmed(bench, &sent, OBSERVER_ACKNOWLEDGED);
    observer_bench_change(bench, "/a", "4");
    cr_expect_eq(observer_bench_take(bench, 1)->type, MESSAGE_NON);
    observer_bench_pass(bench, 50);
    observer_bench_change(bench, "/a", "5");
    cr_expect_eq(observer_bench_take(bench, 1)->type, MESSAGE_NON);
}

/* Ten round trips were slow, and now they are not. */
Test(notification, an_old_estimate_that_holds_a_change_up_is_made_anew)
{
    bench = observer_bench_open(3600, 0);
    bench->rtt_ms = 400;
    observer_bench_join(bench, 1, "t", "/a");
    observer_bench_pass(bench, 1000 * OBSERVE_ESTIMATE_S);
    observer_bench_change(bench, "/a", "1");
    cr_expect_eq(observer_bench_take(bench, 1)->type, MESSAGE_NON, "nothing has had to wait");
    observer_bench_change(bench, "/a", "2");
    observer_bench_take(bench, 0);
    observer_bench_pass(bench, 400);
    const struct observer_bench_sent sent = *observer_bench_take(bench, 1);
    cr_expect_eq(sent.type, MESSAGE_CON);
    bench->rtt_ms = 50;
    observer_bench_confirmed(bench, &sent, OBSERVER_ACKNOWLEDGED);
    for (int i = 0; i < 3; i++) {
        observer_bench_change(bench, "/a", "3");
        cr_expect_eq(observer_bench_take(bench, 1)->type, MESSAGE_NON);
        observer_bench_change(bench, "/a", "4");
        observer_bench_take(bench, 0);
        observer_bench_pass(bench, 50);
        cr_expect_eq(observer_bench_take(bench, 1)->type, MESSAGE_NON, "the estimate is new");
        observer_bench_pass(bench, 50);
    }
}

/* "servers MUST strictly limit the number of simultaneous outstanding notifications/responses that
 * they transmit to a given client to NSTART (1 by default [...])." (RFC 7641 section 4.5.1) */
Test(notification, nothing_goes_to_a_peer_while_one_is_unacknowledged)
{
    bench = observer_bench_open(3600, 1);
    observer_bench_join(bench, 1, "t", "/a");
    observer_bench_join(bench, 1, "u", "/b");
    observer_bench_change(bench, "/a", "1");
    const struct observer_bench_sent first = *observer_bench_take(bench, 1);
    cr_expect_eq(first.type, MESSAGE_CON);
    observer_bench_change(bench, "/a", "2");
    observer_bench_change(bench, "/a", "3");
    observer_bench_change(bench, "/b", "4");
    observer_bench_pass(bench, 60000);
    observer_bench_take(bench, 0);
    observer_bench_confirmed(bench, &first, OBSERVER_ACKNOWLEDGED);
    const struct observer_bench_sent second = *observer_bench_take(bench, 1);
    cr_expect_str_eq(second.token, "u", "who has waited longest");
    observer_bench_confirmed(bench, &second, OBSERVER_ACKNOWLEDGED);
    const struct observer_bench_sent third = *observer_bench_take(bench, 1);
    cr_expect_str_eq(third.token, "t");
    cr_expect_str_eq(third.payload, "3", "only the newest state is owed");
    observer_bench_confirmed(bench, &third, OBSERVER_ACKNOWLEDGED);
    observer_bench_take(bench, 0);
}

Test(notification, each_so_many_are_confirmable)
{
    bench = observer_bench_open(3600, 3);
    observer_bench_join(bench, 1, "t", "/a");
    for (unsigned i = 1; i <= 9; i++) {
        observer_bench_change(bench, "/a", "x");
        const struct observer_bench_sent sent = *observer_bench_take(bench, 1);
        cr_expect_eq(sent.type, i % 3 == 0 ? MESSAGE_CON : MESSAGE_NON, "%u", i);
        if (sent.type == MESSAGE_CON)
            observer_bench_confirmed(bench, &sent, OBSERVER_ACKNOWLEDGED);
        observer_bench_pass(bench, 3000);
    }
}

/* "A server that transmits notifications mostly in non-confirmable messages MUST send a
 * notification in a confirmable message instead of a non-confirmable message at least every 24
 * hours." (RFC 7641 section 4.5) */
Test(notification, one_in_a_day_is_confirmable_changed_or_not)
{
    bench = observer_bench_open(OBSERVE_CONFIRM_S_MAX, 0);
    observer_bench_join(bench, 1, "t", "/a");
    observer_bench_change(bench, "/a", "1");
    cr_expect_eq(observer_bench_take(bench, 1)->type, MESSAGE_NON);
    for (unsigned day = 0; day < 30; day++) {
        observer_bench_pass(bench, UINT64_C(86399) * 1000 - 1000);
        observer_bench_take(bench, 0);
        observer_bench_pass(bench, 2000);
        const struct observer_bench_sent sent = *observer_bench_take(bench, 1);
        cr_expect_eq(sent.type, MESSAGE_CON);
        cr_expect_str_eq(sent.payload, "1");
        observer_bench_confirmed(bench, &sent, OBSERVER_ACKNOWLEDGED);
    }
    observer_bench_change(bench, "/a", "2");
    cr_expect_eq(observer_bench_take(bench, 1)->type, MESSAGE_NON);
}

/* It has not changed since, so that nobody has asked for its state. */
Test(notification, of_a_resource_that_was_never_rendered_too)
{
    bench = observer_bench_open(60, 0);
    observer_bench_join(bench, 1, "t", "/a");
    observer_bench_join(bench, 2, "t", "/a");
    bench->renders_later = true;
    observer_bench_pass(bench, 59000);
    cr_expect_eq(bench->renders, 0);
    observer_bench_pass(bench, 600000);
    observer_bench_take(bench, 0);
    cr_expect_eq(bench->renders, 1, "once for all, and once only while it takes");
    observer_bench_render(bench);
    observer_bench_pass(bench, 2000);
    cr_assert_eq(bench->sent_count, 2);
    for (size_t i = 0; i < 2; i++) {
        const struct observer_bench_sent sent = bench->sent[i];
        cr_expect_eq(sent.type, MESSAGE_CON);
        cr_expect_str_eq(sent.payload, "first");
        observer_bench_confirmed(bench, &sent, i ? OBSERVER_UNANSWERED : OBSERVER_ACKNOWLEDGED);
    }
    cr_expect_eq(observers_count(&bench->observers), 1);
}

/* "if the server does not receive an acknowledgement in reply to a confirmable notification, it
 * will assume that the client is no longer interested and will eventually remove the associated
 * entry from the list of observers." (RFC 7641 section 4.5) */
Test(notification, whoever_does_not_acknowledge_is_told_no_more)
{
    bench = observer_bench_open(3600, 1);
    observer_bench_join(bench, 1, "t", "/a");
    observer_bench_join(bench, 2, "t", "/a");
    observer_bench_change(bench, "/a", "1");
    cr_assert_eq(bench->sent_count, 2);
    const struct observer_bench_sent sent = bench->sent[0];
    observer_bench_confirmed(bench, &sent, OBSERVER_UNANSWERED);
    cr_expect_null(observer_bench_find(bench, sent.session_id, "t"));
    cr_expect_eq(bench->ended_id, sent.session_id);
    cr_expect_eq(observer_bench_count(bench, WORKER_OBSERVERS_ENDED_TIMEOUT), 1);
    cr_expect_eq(observers_count(&bench->observers), 1);
}

Test(notification, a_reset_takes_the_observer_off_the_list)
{
    bench = observer_bench_open(3600, 2);
    observer_bench_join(bench, 1, "t", "/a");
    observer_bench_join(bench, 2, "t", "/a");
    observer_bench_change(bench, "/a", "1");
    cr_assert_eq(bench->sent_count, 2);
    const struct observer_bench_sent sent = bench->sent[1];
    bench->sent_count = 0;
    cr_expect_not(reset(sent.session_id, (uint16_t)(sent.message_id + 1)));
    cr_expect_not(reset(3, sent.message_id));
    cr_expect(reset(sent.session_id, sent.message_id));
    cr_expect_not(reset(sent.session_id, sent.message_id));
    cr_expect_eq(observer_bench_count(bench, WORKER_OBSERVERS_ENDED_RESET), 1);
    observer_bench_pass(bench, 3000);
    observer_bench_change(bench, "/a", "2");
    const struct observer_bench_sent other = *observer_bench_take(bench, 1);
    cr_expect_eq(other.type, MESSAGE_CON);
    observer_bench_confirmed(bench, &other, OBSERVER_REJECTED);
    cr_expect_eq(observers_count(&bench->observers), 0);
    cr_expect_eq(bench->ended_count, 2);
}

/* "the server SHOULD notify the client by sending a notification with an appropriate response code
 * (such as 4.04 Not Found) and subsequently MUST remove the associated entry from the list of
 * observers of the resource." (RFC 7641 section 4.2) */
Test(notification, a_resource_that_is_gone_has_no_observers_after_it_said_so)
{
    bench = observer_bench_open(3600, 0);
    observer_bench_join(bench, 1, "t", "/a");
    observer_bench_join(bench, 2, "t", "/a");
    bench->code = CODE_NOT_FOUND;
    bench->version = 0;
    observer_bench_change(bench, "/a", "");
    cr_assert_eq(bench->sent_count, 2);
    const struct observer_bench_sent both[2] = {bench->sent[0], bench->sent[1]};
    for (size_t i = 0; i < 2; i++) {
        cr_expect_eq(both[i].code, CODE_NOT_FOUND);
        cr_expect_eq(both[i].type, MESSAGE_CON, "no other follows that could make up for it");
        cr_expect_not(both[i].has_number);
        observer_bench_confirmed(bench, &both[i], i ? OBSERVER_UNANSWERED : OBSERVER_ACKNOWLEDGED);
    }
    cr_expect_eq(observers_count(&bench->observers), 0);
    cr_expect_eq(bench->ended_count, 2);
    cr_expect_eq(bench->observers.subjects.pool.in_use, 0);
}

/* "The new notification is transmitted with a new Message ID" (RFC 7641 section 4.5.2) */
Test(notification, a_repetition_carries_the_newest_state)
{
    bench = observer_bench_open(3600, 1);
    observer_bench_join(bench, 1, "t", "/a");
    observer_bench_change(bench, "/a", "1");
    const struct observer_bench_sent first = *observer_bench_take(bench, 1);
    cr_expect_null(observer_bench_repeat(bench, &first), "nothing has changed");
    observer_bench_change(bench, "/a", "2");
    observer_bench_change(bench, "/a", "a state that is longer");
    const struct observer_bench_sent *newer = observer_bench_repeat(bench, &first);
    cr_assert_not_null(newer);
    const struct observer_bench_sent second = *newer;
    cr_expect_eq(second.type, MESSAGE_CON);
    cr_expect_neq(second.message_id, first.message_id);
    cr_expect(subject_number_follows(second.number, first.number));
    cr_expect_str_eq(second.token, "t");
    cr_expect_str_eq(second.payload, "a state that is longer");
    cr_expect_eq(observer_bench_count(bench, WORKER_NOTIFICATIONS_SKIPPED), 1, "2");
    cr_expect_eq(observer_bench_count(bench, WORKER_NOTIFICATIONS_CON), 2);
    cr_expect_null(observer_bench_repeat(bench, &second), "nor has it now");
    observer_bench_pass(bench, 10000);
    observer_bench_confirmed(bench, &second, OBSERVER_ACKNOWLEDGED);
    observer_bench_pass(bench, 10000);
    observer_bench_take(bench, 0);
    observer_bench_change(bench, "/a", "4");
    cr_expect_str_eq(observer_bench_take(bench, 1)->payload, "4");
}

/* Its state is there, but the round that tells of it has not come to this observer yet. */
Test(notification, a_repetition_need_not_wait_for_the_round)
{
    bench = observer_bench_open(3600, 1);
    for (uint64_t id = 1; id < 580; id++)
        observer_bench_join(bench, id, "t", "/a");
    observer_bench_change(bench, "/a", "1");
    const struct observer_bench_sent last = *observer_bench_take(bench, 579);
    const struct octets path = {(const uint8_t *)"/a", 2};
    bench->version++;
    bench->text = "2";
    subject_changed(&bench->observers, path, observer_bench_now(bench));
    const struct observer_bench_sent *newer = observer_bench_repeat(bench, &last);
    cr_assert_not_null(newer);
    const struct observer_bench_sent second = *newer;
    cr_expect_str_eq(second.payload, "2");
    observer_bench_pass(bench, 20);
    observer_bench_confirmed(bench, &second, OBSERVER_ACKNOWLEDGED);
    observer_bench_pass(bench, 20);
    observer_bench_take(bench, 0); /* the round does not tell it again */
}

Test(notification, only_what_changed_for_this_observer_goes_into_its_repetition)
{
    bench = observer_bench_open(3600, 1);
    observer_bench_join(bench, 1, "t", "/a");
    observer_bench_join(bench, 1, "u", "/b");
    observer_bench_change(bench, "/a", "1");
    const struct observer_bench_sent first = *observer_bench_take(bench, 1);
    observer_bench_change(bench, "/b", "2");
    cr_expect_null(observer_bench_repeat(bench, &first));
    const struct observer_bench_sent other = {.session_id = 1, .slot = (uint8_t)(first.slot + 1)};
    cr_expect_null(observer_bench_repeat(bench, &other), "not outstanding");
    const struct observer_bench_sent nobody = {.session_id = 2, .slot = first.slot};
    cr_expect_null(observer_bench_repeat(bench, &nobody));
    observer_bench_confirmed(bench, &first, OBSERVER_ACKNOWLEDGED);
    cr_expect_str_eq(observer_bench_take(bench, 1)->token, "u");
}

/* The day's confirmation may be due once more while it is outstanding. */
Test(notification, what_has_not_changed_is_repeated_as_it_is)
{
    bench = observer_bench_open(60, 1);
    observer_bench_join(bench, 1, "t", "/a");
    observer_bench_pass(bench, 59000);
    observer_bench_change(bench, "/a", "1");
    const struct observer_bench_sent sent = *observer_bench_take(bench, 1);
    observer_bench_pass(bench, 30000);
    cr_expect_null(observer_bench_repeat(bench, &sent));
    observer_bench_confirmed(bench, &sent, OBSERVER_ACKNOWLEDGED);
    observer_bench_take(bench, 0);
}

Test(notification, where_a_newer_state_has_no_room_the_older_one_is_repeated)
{
    bench = observer_bench_open(3600, 1);
    observer_bench_join(bench, 1, "t", "/a");
    observer_bench_change(bench, "/a", "1");
    const struct observer_bench_sent first = *observer_bench_take(bench, 1);
    observer_bench_change(bench, "/a", "2");
    bench->is_full = true;
    cr_expect_null(observer_bench_repeat(bench, &first));
    cr_expect(reset(1, first.message_id), "it is the newest that was sent");
    bench->is_full = false;
    observer_bench_join(bench, 1, "t", "/a");
    observer_bench_change(bench, "/a", "3");
    const struct observer_bench_sent second = *observer_bench_take(bench, 1);
    observer_bench_change(bench, "/a", "4");
    bench->is_full = true;
    cr_expect_null(observer_bench_repeat(bench, &second));
    bench->is_full = false;
    observer_bench_confirmed(bench, &second, OBSERVER_ACKNOWLEDGED);
    cr_expect_str_eq(observer_bench_take(bench, 1)->payload, "4", "it is owed still");
}

Test(notification, a_repetition_may_be_the_last)
{
    bench = observer_bench_open(3600, 1);
    observer_bench_join(bench, 1, "t", "/a");
    observer_bench_change(bench, "/a", "1");
    const struct observer_bench_sent first = *observer_bench_take(bench, 1);
    bench->code = CODE_NOT_FOUND;
    bench->version = 0;
    observer_bench_change(bench, "/a", "");
    const struct observer_bench_sent *newer = observer_bench_repeat(bench, &first);
    cr_assert_not_null(newer);
    const struct observer_bench_sent last = *newer;
    cr_expect_eq(last.code, CODE_NOT_FOUND);
    cr_expect_not(last.has_number);
    bench->code = CODE_CONTENT;
    bench->version = 200;
    observer_bench_change(bench, "/a", "back");
    cr_expect_null(observer_bench_repeat(bench, &last), "the client may have heard it");
    observer_bench_confirmed(bench, &last, OBSERVER_ACKNOWLEDGED);
    cr_expect_eq(observers_count(&bench->observers), 0);
    cr_expect_eq(observer_bench_count(bench, WORKER_OBSERVERS_ENDED_GONE), 1);
    observer_bench_take(bench, 0);
}

/* "It is possible that the server later receives an acknowledgement for a confirmable notification
 * that it has superseded this way. [...] The server therefore should avoid inadvertently removing
 * the associated entry from the list of observers." (RFC 7641 section 4.5.2) */
Test(notification, whoever_acknowledges_an_older_state_stays_and_is_told_the_newest_anew)
{
    bench = observer_bench_open(3600, 5);
    observer_bench_join(bench, 1, "t", "/a");
    observer_bench_find(bench, 1, "t")->doubtful = true;
    observer_bench_change(bench, "/a", "1");
    const struct observer_bench_sent first = *observer_bench_take(bench, 1);
    cr_assert_eq(first.type, MESSAGE_CON);
    observer_bench_change(bench, "/a", "2");
    const struct observer_bench_sent *newer = observer_bench_repeat(bench, &first);
    cr_assert_not_null(newer);
    const struct observer_bench_sent second = *newer;
    observer_bench_pass(bench, 60000);
    observer_bench_confirmed(bench, &second, OBSERVER_OUTDATED);
    const struct observer_bench_sent third = *observer_bench_take(bench, 1);
    cr_expect_eq(third.type, MESSAGE_CON);
    cr_expect_str_eq(third.payload, "2");
    cr_expect_eq(third.number, second.number);
    cr_expect_neq(third.message_id, second.message_id);
    observer_bench_confirmed(bench, &third, OBSERVER_UNANSWERED);
    cr_expect_eq(observers_count(&bench->observers), 0, "silence since then");
}

Test(notification, an_entry_that_goes_takes_its_message_along)
{
    bench = observer_bench_open(3600, 1);
    observer_bench_join(bench, 1, "t", "/a");
    observer_bench_join(bench, 1, "u", "/b");
    observer_bench_change(bench, "/a", "1");
    const struct observer_bench_sent sent = *observer_bench_take(bench, 1);
    const struct coap_peer peer = observer_bench_peer(bench, 1);
    observer_cancel(&bench->observers, &peer, (struct octets){(const uint8_t *)"t", 1},
                    OBSERVER_DEREGISTERED, observer_bench_now(bench));
    cr_expect_eq(bench->unconfirmed, 1);
    observer_bench_change(bench, "/b", "2");
    cr_expect_str_eq(observer_bench_take(bench, 1)->token, "u");
    observer_bench_confirmed(bench, &sent, OBSERVER_UNANSWERED); /* of nobody */
    cr_expect_eq(observers_count(&bench->observers), 1);
}

/* NSTART is for what is outstanding, and what was taken back is not. */
Test(notification, an_entry_that_goes_lets_the_others_of_its_peer_go_on)
{
    bench = observer_bench_open(3600, 1);
    observer_bench_join(bench, 1, "t", "/a");
    observer_bench_join(bench, 1, "u", "/b");
    observer_bench_change(bench, "/a", "1");
    cr_expect_str_eq(observer_bench_take(bench, 1)->token, "t");
    observer_bench_change(bench, "/b", "2");
    observer_bench_take(bench, 0);
    const struct coap_peer peer = observer_bench_peer(bench, 1);
    observer_cancel(&bench->observers, &peer, (struct octets){(const uint8_t *)"t", 1},
                    OBSERVER_DEREGISTERED, observer_bench_now(bench));
    observer_bench_pass(bench, 50);
    cr_expect_str_eq(observer_bench_take(bench, 1)->token, "u");
}

/* What it did not acknowledge, or reset, it was sent before it asked again. */
Test(notification, whoever_has_registered_again_since_stays)
{
    bench = observer_bench_open(3600, 1);
    observer_bench_join(bench, 1, "t", "/a");
    observer_bench_change(bench, "/a", "1");
    struct observer_bench_sent sent = *observer_bench_take(bench, 1);
    bench->is_replying = true;
    bench->reply_id = sent.message_id + 1;
    observer_bench_confirmed(bench, &sent, OBSERVER_UNANSWERED);
    observer_bench_change(bench, "/a", "2");
    sent = *observer_bench_take(bench, 1);
    bench->reply_id = sent.message_id + 1;
    observer_bench_confirmed(bench, &sent, OBSERVER_REJECTED);
    cr_expect_eq(observers_count(&bench->observers), 1);
    cr_expect_eq(bench->ended_count, 0);
    observer_bench_change(bench, "/a", "3");
    sent = *observer_bench_take(bench, 1);
    bench->is_replying = false;
    observer_bench_confirmed(bench, &sent, OBSERVER_UNANSWERED);
    cr_expect_eq(observers_count(&bench->observers), 0);
    cr_expect_eq(bench->ended_count, 1);
}

/* The reply waits for its turn, and what is not confirmable overtakes it. */
Test(notification, a_reset_of_what_was_sent_after_the_reply_ends_it)
{
    bench = observer_bench_open(3600, 0);
    observer_bench_join(bench, 1, "t", "/a");
    observer_bench_change(bench, "/a", "1");
    const struct observer_bench_sent sent = *observer_bench_take(bench, 1);
    bench->is_replying = true;
    bench->reply_id = sent.message_id + 1;
    cr_expect(reset(1, sent.message_id));
    cr_expect_eq(observers_count(&bench->observers), 1);
    bench->reply_id = sent.message_id - 1;
    cr_expect(reset(1, sent.message_id));
    cr_expect_eq(observers_count(&bench->observers), 0);
}

Test(notification, the_reply_to_a_registration_counts_as_one)
{
    static const enum observer_outcome outcomes[] = {OBSERVER_ACKNOWLEDGED, OBSERVER_UNSENT,
                                                     OBSERVER_REJECTED, OBSERVER_UNANSWERED};
    bench = observer_bench_open(3600, 1);
    for (size_t i = 0; i < 4; i++) {
        const struct coap_peer peer = observer_bench_peer(bench, 1 + i);
        observer_bench_join(bench, 1 + i, "t", "/a");
        observer_replied(&bench->observers, &peer, 1, 7, outcomes[i], observer_bench_now(bench));
        cr_expect(observers_has_peer(&bench->observers, &peer), "of another slot");
        observer_replied(&bench->observers, &peer, 0, 7, outcomes[i], observer_bench_now(bench));
        cr_expect_eq(observers_has_peer(&bench->observers, &peer), i < 2, "%zu", i);
    }
    cr_expect_eq(observer_bench_count(bench, WORKER_OBSERVERS_ENDED_RESET), 1);
    cr_expect_eq(observer_bench_count(bench, WORKER_OBSERVERS_ENDED_TIMEOUT), 1);
}

Test(notification, where_no_confirmable_one_has_room_it_is_tried_again)
{
    bench = observer_bench_open(3600, 1);
    observer_bench_join(bench, 1, "t", "/a");
    bench->is_full = true;
    observer_bench_change(bench, "/a", "1");
    observer_bench_pass(bench, 5000);
    observer_bench_take(bench, 0);
    bench->is_full = false;
    observer_bench_pass(bench, OBSERVE_RETRY_MS);
    const struct observer_bench_sent sent = *observer_bench_take(bench, 1);
    cr_expect_str_eq(sent.payload, "1");
    observer_bench_confirmed(bench, &sent, OBSERVER_UNSENT);
    observer_bench_take(bench, 0);
    observer_bench_pass(bench, OBSERVE_RETRY_MS);
    cr_expect_str_eq(observer_bench_take(bench, 1)->payload, "1");
}

Test(notification, plain_peers_have_to_show_often_that_they_are_there)
{
    bench = observer_bench_open(3600, 0);
    observer_bench_join(bench, 0, "t", "/a");
    for (unsigned i = 0; i < 9; i++) {
        observer_bench_change(bench, "/a", "x");
        const struct observer_bench_sent sent = *observer_bench_take(bench, 1);
        cr_expect_eq(sent.type, i % 4 == 0 ? MESSAGE_CON : MESSAGE_NON, "%u", i);
        if (sent.type == MESSAGE_CON)
            observer_bench_confirmed(bench, &sent, OBSERVER_ACKNOWLEDGED);
        observer_bench_pass(bench, 3000);
    }
}
