#include "tests/worker/transmission_bench.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

Test(transmission, does_as_rfc_7252_says)
{
    static const struct {
        const char *rule;
        const char *script;
        const char *log;
    } rows[] = {
        /* Section 4.2 */
        {"the sender retransmits the Confirmable message at exponentially increasing intervals, "
         "until it receives an acknowledgement (or Reset message) or runs out of attempts.",
         "s1 +3000 +6000 a1 +100000", ">1 >1 >1 A1"},
        {"the same, a Reset", "s1 +3000 r1 +100000", ">1 >1 R1"},
        {"the same, out of attempts", "s1 +100000", ">1 >1 >1 >1 >1 T1"},
        {"If the retransmission counter reaches MAX_RETRANSMIT on a timeout, or if the endpoint "
         "receives a Reset message, then the attempt to transmit the message is canceled and the "
         "application process informed of failure.",
         "s1 r1 +100000", ">1 R1"},
        {"On the other hand, if the endpoint receives an acknowledgement in time, transmission is "
         "considered successful.",
         "s1 +100 a1 +100000", ">1 A1"},
        /* Section 4.4 */
        {"The same Message ID and endpoints: of another endpoint it is another message.",
         "s1 o1 +3000 a1", ">1 >1 A1"},
        {"another Message ID", "s1 a2 r3 +3000 a1", ">1 >1 A1"},
        {"acknowledged twice", "s1 a1 a1 r1", ">1 A1"},
        /* Section 4.7 */
        {"limit the number of simultaneous outstanding interactions that they maintain to a given "
         "server (including proxies) to NSTART.",
         "s1 s2 s3 +1000 a1 a2 a3", ">1 >2 A1 >3 A2 A3"},
        {"NSTART, the first one reset", "s1 s2 r1 a2", ">1 >2 R1 A2"},
        {"NSTART, the first one times out", "s1 s2 +100000", ">1 >1 >1 >1 >1 >2 T1 >2 >2 >2"},
        {"what waits cannot be acknowledged", "s1 s2 a2 a1 a2", ">1 >2 A1 A2"},
        {"a queue has an end", "s1 s2 s3 s4 s5 s6 s7 s8 s9 a1 s10", ">1 !9 >2 A1"},
        /* Section 4.3 */
        {"A Non-confirmable message MUST NOT be acknowledged by the recipient.", "n1 a1 +100000",
         ">1"},
        {"and it waits for nothing", "s1 n2 a1", ">1 >2 A1"},
        /* Section 5.2.1 and 5.3.2 */
        {"a response in the Acknowledgement message", "s1 p1 +100000", ">1 A1"},
        {"the tokens of the response and original request MUST match", "s1 w1 +3000 p1",
         ">1 >1 A1"},
        /* Section 5.2.2: a response before its ACK, and who does not wait any more */
        {"cancelled", "s1 x1 a1 +100000", ">1"},
        {"cancelled, and the next one begins", "s1 s2 x1 a2", ">1 >2 A2"},
        {"cancelled while it waits", "s1 s2 s3 x2 a1 a3", ">1 >3 A1 A3"},
        {"cancelled, but not there", "s1 x2 a1", ">1 A1"},
        /* Of our own */
        {"a session that goes", "s1 s2 f +100000 a1", ">1 C1 C2"},
        {"a session that owes nothing", "f s1 a1", ">1 A1"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct transmission_bench bench;
        transmission_bench_open(&bench, i, 4);
        transmission_bench_play(&bench, rows[i].script);
        cr_expect_str_eq(bench.log, rows[i].log, "%s: %s", rows[i].rule, bench.log);
        transmission_bench_close(&bench);
    }
}

/* "the initial timeout is set to a random duration (often not an integral number of seconds)
 * between ACK_TIMEOUT and (ACK_TIMEOUT * ACK_RANDOM_FACTOR)", "the timeout is doubled" (RFC 7252
 * section 4.2) */
Test(transmission, backs_off)
{
    uint64_t least_ms = UINT64_MAX, most_ms = 0;
    for (uint64_t seed = 0; seed < 200; seed++) {
        struct transmission_bench bench;
        transmission_bench_open(&bench, seed * UINT64_C(0x9e3779b97f4a7c15), 4);
        uint64_t began_ms = bench.now_ms;
        transmission_bench_play(&bench, "s1");
        transmission_bench_pass(&bench, 100000);
        cr_assert_eq(bench.sent_count, 5);
        uint64_t first_ms = bench.sent_ms[1] - began_ms;
        cr_assert(first_ms >= 2000 && first_ms <= 3000, "%lu", (unsigned long)first_ms);
        for (size_t i = 2; i < 5; i++)
            cr_assert_eq(bench.sent_ms[i] - bench.sent_ms[i - 1], first_ms << (i - 1));
        least_ms = first_ms < least_ms ? first_ms : least_ms;
        most_ms = first_ms > most_ms ? first_ms : most_ms;
        cr_expect_eq(metrics_get(&bench.metrics, WORKER_COAP_RETRANSMISSIONS), 4);
        cr_expect_eq(metrics_get(&bench.metrics, WORKER_COAP_TIMEOUTS), 1);
        cr_expect_eq(transmission_next_ms(&bench.transmissions), UINT64_MAX);
        transmission_bench_close(&bench);
    }
    cr_expect_lt(least_ms, 2100, "%lu", (unsigned long)least_ms);
    cr_expect_gt(most_ms, 2900, "%lu", (unsigned long)most_ms);
}

Test(transmission, backs_off_by_another_random_factor)
{
    static const uint16_t percents[] = {100, 300};
    for (size_t row = 0; row < 2; row++) {
        uint64_t least_ms = UINT64_MAX, most_ms = 0;
        for (uint64_t seed = 0; seed < 200; seed++) {
            struct transmission_bench bench;
            transmission_bench_open(&bench, seed * UINT64_C(0x9e3779b97f4a7c15), 4);
            bench.transmissions.options.random_percent = percents[row];
            transmission_bench_play(&bench, "s1 +6000");
            uint64_t first_ms = bench.sent_ms[1] - bench.sent_ms[0];
            least_ms = first_ms < least_ms ? first_ms : least_ms;
            most_ms = first_ms > most_ms ? first_ms : most_ms;
            transmission_bench_close(&bench);
        }
        cr_expect_lt(least_ms, 2100, "%lu", (unsigned long)least_ms);
        cr_expect_leq(most_ms, 20 * percents[row], "%lu", (unsigned long)most_ms);
        cr_expect_gt(most_ms, 19 * percents[row], "%lu", (unsigned long)most_ms);
    }
}

/* MAX_TRANSMIT_WAIT: "the maximum time from the first transmission of a Confirmable message to the
 * time when the sender gives up on receiving an acknowledgement or reset", 93 s (RFC 7252 section
 * 4.8.2) */
Test(transmission, gives_up_within_max_transmit_wait)
{
    for (uint64_t seed = 0; seed < 50; seed++) {
        struct transmission_bench bench;
        transmission_bench_open(&bench, seed << 20, 4);
        transmission_bench_play(&bench, "s1 +61999");
        cr_expect_eq(transmission_count(&bench.transmissions, &bench.peers[1]), 1);
        transmission_bench_play(&bench, "+31001");
        cr_expect_eq(transmission_count(&bench.transmissions, &bench.peers[1]), 0);
        transmission_bench_close(&bench);
    }
}

Test(transmission, does_without_repetitions)
{
    struct transmission_bench bench;
    transmission_bench_open(&bench, 1, 0);
    transmission_bench_play(&bench, "s1 +3000");
    cr_expect_str_eq(bench.log, ">1 T1");
    transmission_bench_close(&bench);
}

Test(transmission, peers_wait_for_themselves_only)
{
    struct transmission_bench bench;
    transmission_bench_open(&bench, 1, 4);
    for (uint16_t i = 0; i < TRANSMISSION_BENCH_PEERS_MAX; i++)
        cr_expect_eq(transmission_bench_send(&bench, &bench.peers[i], MESSAGE_CON, i, 0),
                     TRANSMISSION_SENT);
    cr_expect_eq(transmission_bench_send(&bench, &bench.peers[TRANSMISSION_BENCH_PEERS_MAX],
                                         MESSAGE_CON, 9, 0),
                 TRANSMISSION_REFUSED, "there are no more peers");
    transmission_bench_answer(&bench, &bench.peers[0], 0, TRANSMISSION_ACKED, NULL);
    cr_expect_eq(transmission_bench_send(&bench, &bench.peers[TRANSMISSION_BENCH_PEERS_MAX],
                                         MESSAGE_CON, 9, 0),
                 TRANSMISSION_SENT);
    cr_expect_str_eq(bench.log, ">0 >1 >2 !9 A0 >9");
    cr_expect_eq(metrics_get(&bench.metrics, WORKER_COAP_TRANSMISSIONS_REFUSED), 1);
    transmission_bench_close(&bench);
}

Test(transmission, long_messages_have_a_bound_of_their_own)
{
    struct transmission_bench bench;
    transmission_bench_open(&bench, 1, 4);
    const struct coap_peer *peer = &bench.peers[1];
    const size_t header = MESSAGE_HEADER_SIZE + 2 + 1;
    cr_expect_eq(
        transmission_bench_send(&bench, peer, MESSAGE_CON, 1, COAP_MESSAGE_SIZE_MAX - header),
        TRANSMISSION_SENT);
    cr_expect_eq(
        transmission_bench_send(&bench, peer, MESSAGE_CON, 2, TRANSMISSION_SHORT_MAX - header + 1),
        TRANSMISSION_QUEUED);
    cr_expect_eq(
        transmission_bench_send(&bench, peer, MESSAGE_CON, 3, TRANSMISSION_SHORT_MAX - header + 1),
        TRANSMISSION_REFUSED);
    cr_expect_eq(
        transmission_bench_send(&bench, peer, MESSAGE_CON, 4, TRANSMISSION_SHORT_MAX - header),
        TRANSMISSION_QUEUED);
    transmission_bench_play(&bench, "a1 s5 a2 a4 a5");
    cr_expect_str_eq(bench.log, ">1 !3 >2 A1 >4 A2 >5 A4 A5");
    cr_expect_eq(bench.transmissions.short_pool.in_use, 0);
    cr_expect_eq(bench.transmissions.long_pool.in_use, 0);
    cr_expect_eq(bench.transmissions.peer_pool.in_use, 0);
    transmission_bench_close(&bench);
}

/* RFC 6298 section 3: "RTT samples MUST NOT be made using segments that were retransmitted (and
 * thus for which it is ambiguous whether the reply was for the first instance of the packet or a
 * later instance)." */
Test(transmission, measures_the_round_trip)
{
    static const struct {
        const char *script;
        uint32_t rtt_ms;
    } rows[] = {
        {"s1 +100", 0},
        {"s1 +100 a1", 100},
        {"s1 +100 r1", 100},
        {"s1 a1", 1},
        {"s1 +800 a1 s2 +1600 a2", 900},
        {"s1 s2 +800 a1 +800 a2", 800}, /* what waits is not on its way */
        {"s1 +800 a1 s2 +80 a2", 80},
        {"s1 +80 a1 s2 +800 a2", 170},
        {"s1 +3000 a1", 0},
        {"s1 +3000 a1 s2 +50 a2", 50},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct transmission_bench bench;
        transmission_bench_open(&bench, 1, 4);
        transmission_bench_play(&bench, rows[i].script);
        cr_expect_eq(transmission_rtt_ms(&bench.peers[1]), rows[i].rtt_ms, "%s: %u", rows[i].script,
                     transmission_rtt_ms(&bench.peers[1]));
        cr_expect_eq(transmission_rtt_ms(&bench.peers[0]), 0, "plain CoAP");
        transmission_bench_close(&bench);
    }
}

Test(transmission, what_is_under_way_is_known_by_kind_and_key)
{
    struct transmission_bench bench;
    transmission_bench_open(&bench, 1, 4);
    const struct coap_peer *peer = &bench.peers[1];
    const struct transmissions *transmissions = &bench.transmissions;
    uint16_t id = 0;
    cr_expect_not(transmission_find(transmissions, peer, TRANSMISSION_REQUEST, 1001, &id));
    transmission_bench_send(&bench, peer, MESSAGE_CON, 1, 0);
    transmission_bench_send(&bench, peer, MESSAGE_CON, 2, 0);
    cr_expect(transmission_find(transmissions, peer, TRANSMISSION_REQUEST, 1001, &id));
    cr_expect_eq(id, 1);
    cr_expect(transmission_find(transmissions, peer, TRANSMISSION_REQUEST, 1002, &id), "it waits");
    cr_expect_eq(id, 2);
    cr_expect_not(transmission_find(transmissions, peer, TRANSMISSION_REQUEST, 1003, &id));
    cr_expect_not(transmission_find(transmissions, peer, TRANSMISSION_REGISTERED, 1001, &id));
    cr_expect_not(
        transmission_find(transmissions, &bench.peers[2], TRANSMISSION_REQUEST, 1001, &id));
    transmission_bench_answer(&bench, peer, 1, TRANSMISSION_ACKED, NULL);
    cr_expect_not(transmission_find(transmissions, peer, TRANSMISSION_REQUEST, 1001, &id));
    transmission_bench_close(&bench);
}

/* Messages and their ACKs are lost and doubled: each message is settled once, in order, and what
 * was acknowledged was sent. */
Test(transmission, a_lossy_network)
{
    for (uint64_t seed = 1; seed <= 100; seed++) {
        struct transmission_bench bench;
        uint64_t random = seed * UINT64_C(0x9e3779b97f4a7c15);
        uint16_t next = 1, settled = 0;
        size_t acked = 0;
        transmission_bench_open(&bench, seed, 4);
        for (unsigned turn = 0; turn < 3000; turn++) {
            random = random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
            if (next <= 40 && transmission_count(&bench.transmissions, &bench.peers[1]) < 8)
                transmission_bench_send(&bench, &bench.peers[1], MESSAGE_CON, next++, 0);
            /* What is in the log is what the network has to deliver. */
            transmission_bench_forget_log(&bench);
            transmission_bench_pass(&bench, random >> 50);
            char *at = bench.log;
            unsigned id;
            char what;
            int length;
            while (sscanf(at, " %c%u%n", &what, &id, &length) == 2) {
                at += length;
                if (what == '>')
                    continue;
                cr_assert_eq(id, settled + 1U, "in order, once");
                settled++;
            }
            if (settled == 40)
                break;
            uint16_t under_way = (uint16_t)(settled + 1);
            if (under_way >= next || random >> 62 == 0)
                continue; /* lost */
            for (unsigned copies = 0; copies < 1 + (random >> 33 & 1); copies++) {
                transmission_bench_forget_log(&bench);
                transmission_bench_answer(&bench, &bench.peers[1], under_way, TRANSMISSION_ACKED,
                                          NULL);
                if (copies == 0 && strchr(bench.log, 'A')) {
                    settled++;
                    acked++;
                } else if (copies > 0) {
                    cr_assert_str_eq(bench.log, "", "a second ACK settles nothing");
                }
            }
        }
        cr_expect_eq(settled, 40);
        cr_expect_gt(acked, 30);
        cr_expect_eq(bench.transmissions.peer_pool.in_use, 0);
        transmission_bench_close(&bench);
    }
}
