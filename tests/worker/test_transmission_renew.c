/* RFC 7641 section 4.5.2: newer messages in the place of repetitions. */
#include "tests/worker/transmission_bench.h"

#include <criterion/criterion.h>
#include <string.h>

/* Ids that differ by 100 are one notification's. */
Test(transmission_renew, does_as_rfc_7641_says)
{
    static const struct {
        const char *rule;
        const char *script;
        const char *log;
    } rows[] = {
        /* Section 4.5.2 */
        {"aborting the transmission of the old notification (but not before the current "
         "transmission attempt is completed)",
         "s1 y101 a1 +100000", ">1 A1"},
        {"and starting a new transmission for the new notification", "s1 y101 +3000 a101 +100000",
         ">1 >101 A101"},
        {"transmitted with a new Message ID", "s1 +3000 y101 +6000 +12000 y201 +24000 a201",
         ">1 >1 >101 >101 >201 A201"},
        {"increment the retransmission counter", "s1 y101 +3000 y201 +100000",
         ">1 >101 >201 >201 >201 T201"},
        {"If the transmission is rejected", "s1 y101 +3000 r101 +100000", ">1 >101 R101"},
        {"the one before is rejected", "s1 y101 +3000 r1 +100000", ">1 >101 R101"},
        {"the first of three is rejected", "s1 y101 +3000 y201 +6000 r1 +100000",
         ">1 >101 >201 R201"},
        {"later receives an acknowledgement for a confirmable notification that it has superseded",
         "s1 y101 +3000 a1 +6000 a101 +100000", ">1 >101 >101 A101"},
        {"even though this does not signal consistency", "s1 y101 +3000 a1 a1 +100000",
         ">1 >101 >101 >101 >101 O101"},
        {"acknowledged, and then rejected", "s1 y101 +3000 a1 r1 a101", ">1 >101 R101"},
        /* What comes behind */
        {"it is settled as one", "s1 s2 y101 +3000 a1 a101 a1 r1 a2", ">1 >101 >2 A101 A2"},
        {"the next one is not outdated", "s1 s2 y101 +3000 a1 a101 +100000",
         ">1 >101 >2 A101 >2 >2 >2 >2 T2"},
        {"cancelled", "s1 y101 +3000 x1 a101 r1 +100000", ">1 >101"},
        {"the session goes", "s1 s2 y101 +3000 f a1", ">1 >101 C101 C2"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct transmission_bench bench;
        transmission_bench_open(&bench, i, 4);
        bench.kind = TRANSMISSION_NOTIFICATION;
        transmission_bench_play(&bench, rows[i].script);
        cr_expect_str_eq(bench.log, rows[i].log, "%s: %s", rows[i].rule, bench.log);
        cr_expect_eq(bench.transmissions.short_pool.in_use, 0);
        transmission_bench_close(&bench);
    }
}

/* "retain its transmission parameters, increment the retransmission counter, and double the
 * timeout" (RFC 7641 section 4.5.2) */
Test(transmission_renew, it_keeps_its_pace)
{
    for (uint64_t seed = 0; seed < 20; seed++) {
        struct transmission_bench bench;
        transmission_bench_open(&bench, seed << 20, 4);
        bench.kind = TRANSMISSION_NOTIFICATION;
        uint64_t began_ms = bench.now_ms;
        transmission_bench_play(&bench, "s1 y101 +3000 y201 +6000 y301 +12000 y401 +100000");
        cr_expect_str_eq(bench.log, ">1 >101 >201 >301 >401 T401");
        cr_assert_eq(bench.sent_count, 5);
        uint64_t first_ms = bench.sent_ms[1] - began_ms;
        for (size_t i = 2; i < 5; i++)
            cr_expect_eq(bench.sent_ms[i] - bench.sent_ms[i - 1], first_ms << (i - 1));
        transmission_bench_close(&bench);
    }
}

Test(transmission_renew, it_may_be_repeated_as_often_as_any)
{
    struct transmission_bench bench;
    transmission_bench_open(&bench, 1, COAP_MAX_RETRANSMIT_MAX);
    bench.kind = TRANSMISSION_NOTIFICATION;
    transmission_bench_play(&bench, "s1");
    for (uint16_t i = 1; i <= COAP_MAX_RETRANSMIT_MAX; i++) {
        bench.renewed_id = (uint16_t)(1 + 100 * i);
        transmission_bench_pass(&bench, UINT64_C(3000) << (i - 1));
        cr_expect_eq(bench.renewed_id, 0);
    }
    transmission_bench_forget_log(&bench);
    transmission_bench_play(&bench, "r1");
    cr_expect_str_eq(bench.log, "R1001", "the first of them is not forgotten");
    transmission_bench_close(&bench);
}

/* Its place is that of its length; without one the older message is repeated. */
Test(transmission_renew, it_may_be_longer_or_shorter)
{
    const size_t header = MESSAGE_HEADER_SIZE + 2 + 1;
    const size_t short_length = TRANSMISSION_SHORT_MAX - header;
    const struct {
        size_t before, after;
        const char *hurdle; /* long and short messages that wait behind it */
        size_t shorts, longs;
        bool is_renewed;
    } rows[] = {
        {1, 2, "", 1, 0, true},
        {short_length, short_length + 1, "", 0, 1, true},
        {1, COAP_MESSAGE_SIZE_MAX - header, "l", 0, 2, true},
        {1, short_length + 1, "ll", 1, 2, false},
        {1, short_length, "ll", 1, 2, true},
        {short_length + 1, 1, "", 1, 0, true},
        {short_length + 1, COAP_MESSAGE_SIZE_MAX - header, "l", 0, 2, true},
        {short_length + 1, short_length, "l", 1, 1, true},
        {1, short_length + 1, "ssss", 4, 1, true},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct transmission_bench bench;
        const struct coap_peer *peer = &bench.peers[1];
        transmission_bench_open(&bench, i, 4);
        bench.kind = TRANSMISSION_NOTIFICATION;
        transmission_bench_send(&bench, peer, MESSAGE_CON, 1, rows[i].before);
        uint16_t id = 2;
        for (const char *at = rows[i].hurdle; *at; at++)
            cr_assert_eq(
                transmission_bench_send(&bench, peer, MESSAGE_CON, id++, *at == 'l' ? 200 : 0),
                TRANSMISSION_QUEUED);
        bench.renewed_length = rows[i].after;
        transmission_bench_play(&bench, "y101 +3000");
        cr_expect_eq(bench.is_renewed, rows[i].is_renewed, "%zu", i);
        cr_expect_eq(bench.sent_length - header,
                     rows[i].is_renewed ? rows[i].after : rows[i].before);
        cr_expect_str_eq(bench.log, rows[i].is_renewed ? ">1 >101" : ">1 >1");
        cr_expect_eq(metrics_get(&bench.metrics, WORKER_COAP_TRANSMISSIONS_REFUSED),
                     rows[i].is_renewed ? 0 : 1);
        cr_expect_eq(bench.transmissions.short_pool.in_use, rows[i].shorts, "%zu", i);
        cr_expect_eq(bench.transmissions.long_pool.in_use, rows[i].longs, "%zu", i);
        transmission_bench_forget_log(&bench);
        transmission_bench_answer(&bench, peer, rows[i].is_renewed ? 101 : 1, TRANSMISSION_ACKED,
                                  NULL);
        cr_expect_not_null(strchr(bench.log, 'A'), "%zu", i);
        transmission_forget(&bench.transmissions, peer->session_id, bench.now_ms);
        cr_expect_eq(bench.transmissions.short_pool.in_use, 0);
        cr_expect_eq(bench.transmissions.long_pool.in_use, 0);
        transmission_bench_close(&bench);
    }
}

/* A shorter one stays in the place of the longer one where no other is left. */
Test(transmission_renew, it_needs_no_place_of_its_own)
{
    struct transmission_bench bench;
    transmission_bench_open(&bench, 1, 4);
    bench.kind = TRANSMISSION_NOTIFICATION;
    transmission_bench_send(&bench, &bench.peers[1], MESSAGE_CON, 1, 200);
    for (uint16_t i = 0; i < TRANSMISSION_BENCH_SHORTS_MAX; i++)
        cr_assert_neq(
            transmission_bench_send(&bench, &bench.peers[2 + i % 2], MESSAGE_CON, 2 + i, 0),
            TRANSMISSION_REFUSED);
    bench.renewed_length = 5;
    transmission_bench_play(&bench, "y101 +3000");
    cr_expect(bench.is_renewed);
    cr_expect_eq(bench.transmissions.short_pool.in_use, TRANSMISSION_BENCH_SHORTS_MAX);
    cr_expect_eq(bench.transmissions.long_pool.in_use, 1);
    transmission_bench_forget_log(&bench);
    transmission_bench_play(&bench, "a101");
    cr_expect_str_eq(bench.log, "A101");
    cr_expect_eq(bench.transmissions.long_pool.in_use, 0);
    transmission_bench_close(&bench);
}
