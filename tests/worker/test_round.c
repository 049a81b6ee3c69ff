#include "tests/worker/observer_bench.h"

#include <criterion/criterion.h>
#include <string.h>

static struct observer_bench *bench;

static void close_bench(void)
{
    observer_bench_close(bench);
}

TestSuite(round, .fini = close_bench);

Test(round, a_state_is_rendered_once_for_all_and_again_if_it_changes_meanwhile)
{
    bench = observer_bench_open(3600, 0);
    for (uint64_t id = 1; id < 100; id++)
        observer_bench_join(bench, id, "t", "/a");
    bench->renders_later = true;
    observer_bench_change(bench, "/a", "1");
    observer_bench_change(bench, "/a", "2");
    observer_bench_change(bench, "/a", "3");
    cr_expect_eq(bench->renders, 1);
    observer_bench_take(bench, 0);
    observer_bench_render(bench);
    observer_bench_take(bench, 99);
    cr_expect_eq(bench->renders, 2);
    observer_bench_render(bench);
    cr_expect_eq(bench->renders, 2);
    observer_bench_take(bench, 0); /* known already */
}

Test(round, a_state_that_cannot_be_had_is_asked_for_again)
{
    bench = observer_bench_open(3600, 0);
    observer_bench_join(bench, 1, "t", "/a");
    bench->renders_later = true;
    observer_bench_change(bench, "/a", "1");
    struct subject *subject = bench->rendering;
    bench->rendering = NULL;
    subject_not_rendered(&bench->observers, subject, observer_bench_now(bench));
    observer_bench_pass(bench, OBSERVE_RETRY_MS - 1);
    cr_expect_eq(bench->renders, 1);
    observer_bench_pass(bench, 2);
    cr_expect_eq(bench->renders, 2);
    observer_bench_render(bench);
    cr_expect_str_eq(observer_bench_take(bench, 1)->payload, "1");
}

Test(round, observers_may_go_while_the_state_is_rendered)
{
    bench = observer_bench_open(3600, 0);
    const struct coap_peer peer = observer_bench_peer(bench, 1);
    for (unsigned again = 0; again < 2; again++) {
        bench->renders_later = false;
        observer_bench_join(bench, 1, "t", "/a");
        bench->renders_later = true;
        observer_bench_change(bench, "/a", "1");
        observers_forget(&bench->observers, &peer);
        cr_expect_eq(bench->observers.subjects.pool.in_use, 1);
        if (again) {
            struct subject *subject = bench->rendering;
            bench->rendering = NULL;
            subject_not_rendered(&bench->observers, subject, observer_bench_now(bench));
        } else {
            observer_bench_render(bench);
        }
        cr_expect_eq(bench->observers.subjects.pool.in_use, 0);
        observer_bench_take(bench, 0);
    }
}

/* A change goes round in parts, so that other work is not held up; each is told once of each, and
 * whoever joins or goes in the middle disturbs nobody. */
Test(round, many_observers_are_told_in_parts)
{
    bench = observer_bench_open(3600, 0);
    bench->rtt_ms = 1;
    for (uint64_t id = 1; id < 580; id++)
        observer_bench_join(bench, id, "t", "/a");
    bench->text = "1";
    bench->version++;
    const struct octets path = {(const uint8_t *)"/a", 2};
    subject_changed(&bench->observers, path, observer_bench_now(bench));
    observers_run(&bench->observers, observer_bench_now(bench));
    cr_expect_eq(bench->sent_count, OBSERVE_BATCH_MAX);
    cr_expect_eq(observers_next_ms(&bench->observers), bench->now_ms + 1);
    /* The newest were told first. */
    for (uint64_t id = 579 - OBSERVE_BATCH_MAX; id > 579 - OBSERVE_BATCH_MAX - 5; id--) {
        const struct coap_peer peer = observer_bench_peer(bench, id);
        observers_forget(&bench->observers, &peer);
    }
    observer_bench_join(bench, 599, "t", "/a");
    observer_bench_pass(bench, 5);
    cr_expect_geq(bench->sent_count, 574);
    unsigned told[OBSERVER_BENCH_PEERS] = {0};
    for (size_t i = 0; i < bench->sent_count; i++)
        told[bench->sent[i].session_id]++;
    for (uint64_t id = 1; id < 580; id++) {
        bool is_gone = id <= 579 - OBSERVE_BATCH_MAX && id > 579 - OBSERVE_BATCH_MAX - 5;
        cr_expect(is_gone ? told[id] == 0 : told[id] >= 1, "%u: %u", (unsigned)id, told[id]);
    }
}

/* As a worker does that hears of its own publication from the store once more. */
Test(round, a_change_that_is_known_begins_no_other_round)
{
    bench = observer_bench_open(3600, 0);
    bench->rtt_ms = 1;
    for (uint64_t id = 1; id < 580; id++)
        observer_bench_join(bench, id, "t", "/a");
    const struct octets path = {(const uint8_t *)"/a", 2};
    bench->version++;
    subject_changed(&bench->observers, path, observer_bench_now(bench));
    observers_run(&bench->observers, observer_bench_now(bench));
    subject_changed(&bench->observers, path, observer_bench_now(bench));
    observer_bench_pass(bench, 20);
    observer_bench_take(bench, 579);
    subject_changed(&bench->observers, path, observer_bench_now(bench));
    observer_bench_pass(bench, 20);
    observer_bench_take(bench, 0);
}

/* A peer whose turn to be told comes by its timer, before the round gets there, is told once. */
Test(round, a_round_and_a_timer_tell_once_between_them)
{
    bench = observer_bench_open(3600, 0);
    for (uint64_t id = 1; id < 580; id++)
        observer_bench_join(bench, id, "t", "/a");
    observer_bench_change(bench, "/a", "1");
    observer_bench_take(bench, 579);
    observer_bench_change(bench, "/a", "2");
    observer_bench_take(bench, 0);
    observer_bench_pass(bench, OBSERVE_PACE_MS - 21); /* the first of them are due in a ms */
    observer_bench_take(bench, 0);
    bench->now_ms += 4;
    observer_bench_change(bench, "/a", "3");
    for (size_t i = 0; i < bench->sent_count; i++)
        observer_bench_confirmed(bench, &bench->sent[i], OBSERVER_ACKNOWLEDGED);
    observer_bench_pass(bench, OBSERVE_PACE_MS);
    observer_bench_take(bench, 579);
}

/* More states than a generation can tell apart, while a round is on its way. */
Test(round, nobody_is_missed_however_many_states_there_are)
{
    const struct octets path = {(const uint8_t *)"/a", 2};
    for (unsigned states = 1; states < 300; states += states < 70 ? 1 : 31) {
        bench = observer_bench_open(3600, 0);
        bench->rtt_ms = 1;
        for (uint64_t id = 1; id < 400; id++)
            observer_bench_join(bench, id, "t", "/a");
        bench->version++;
        bench->text = "old";
        subject_changed(&bench->observers, path, observer_bench_now(bench));
        observers_run(&bench->observers, observer_bench_now(bench));
        bench->text = "new";
        for (unsigned i = 0; i < states; i++) {
            bench->version++;
            subject_changed(&bench->observers, path, observer_bench_now(bench));
        }
        observer_bench_pass(bench, 50);
        unsigned told = 0;
        for (size_t i = 0; i < bench->sent_count; i++)
            told += strcmp(bench->sent[i].payload, "new") == 0;
        cr_expect_eq(told, 399, "%u: %u", states, told);
        observer_bench_close(bench);
    }
    bench = observer_bench_open(3600, 0);
}

/* However fast it changes: the turn goes on from where it was. */
Test(round, the_last_are_not_always_the_last)
{
    bench = observer_bench_open(3600, 0);
    bench->rtt_ms = 1;
    for (uint64_t id = 1; id < 580; id++)
        observer_bench_join(bench, id, "t", "/a");
    unsigned told[OBSERVER_BENCH_PEERS] = {0};
    const struct octets path = {(const uint8_t *)"/a", 2};
    for (unsigned i = 0; i < 12; i++) {
        bench->version++;
        subject_changed(&bench->observers, path, observer_bench_now(bench));
        observers_run(&bench->observers, observer_bench_now(bench));
        bench->now_ms++;
        for (size_t j = 0; j < bench->sent_count; j++)
            told[bench->sent[j].session_id]++;
        bench->sent_count = 0;
    }
    for (uint64_t id = 1; id < 580; id++)
        cr_expect_geq(told[id], 4, "%u: %u", (unsigned)id, told[id]);
}

Test(round, several_resources_take_turns)
{
    bench = observer_bench_open(3600, 0);
    for (uint64_t id = 1; id < 500; id++)
        observer_bench_join(bench, id, "t", "/a");
    observer_bench_join(bench, 599, "t", "/b");
    bench->version++;
    subject_changed(&bench->observers, (struct octets){(const uint8_t *)"/a", 2},
                    observer_bench_now(bench));
    subject_changed(&bench->observers, (struct octets){(const uint8_t *)"/b", 2},
                    observer_bench_now(bench));
    observers_run(&bench->observers, observer_bench_now(bench));
    bool is_told = false;
    for (size_t i = 0; i < bench->sent_count; i++)
        is_told |= bench->sent[i].session_id == 599;
    cr_expect(is_told, "in the first part already");
    observer_bench_pass(bench, 5);
    observer_bench_take(bench, 500);
}
