#include "worker/message.h"
#include "worker/metrics.h"
#include "worker/session.h"
#include "worker/transmission.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PEERS_MAX 3
#define SHORTS_MAX 16
#define LONGS_MAX 2
#define LOG_MAX 4096

/* What happened, in order: ">7" message 7 was sent, "A7" "R7" "T7" "O7" "C7" it is settled
 * (acknowledged, reset, timed out, outdated, cancelled), "!7" it was refused. */
struct bench {
    struct metrics metrics;
    struct transmissions transmissions;
    struct session sessions[PEERS_MAX + 1];
    struct coap_peer peers[PEERS_MAX + 1];
    enum transmission_kind kind;
    uint16_t renewed_id; /* of what goes in the place of the next repetition; 0: nothing does */
    size_t renewed_length;
    bool is_renewed; /* the last one had room */
    uint64_t now_ms;
    uint64_t sent_ms[16]; /* of each message sent */
    size_t sent_count;
    size_t sent_length; /* of the last one */
    char log[LOG_MAX];
    size_t log_length;
};

static void note(struct bench *bench, char what, uint16_t id)
{
    size_t left = sizeof bench->log - bench->log_length;
    int length = snprintf(bench->log + bench->log_length, left, "%s%c%u",
                          bench->log_length > 0 ? " " : "", what, id);
    cr_assert(length > 0 && (size_t)length < left);
    bench->log_length += (size_t)length;
}

static void forget_log(struct bench *bench)
{
    bench->log_length = 0;
    bench->log[0] = '\0';
}

static void keep_sent(void *owner, const struct coap_peer *peer, const uint8_t *bytes,
                      size_t length)
{
    struct bench *bench = owner;
    struct message message;
    cr_assert_eq(message_parse(&message, bytes, length), MESSAGE_OK);
    cr_assert(peer >= bench->peers || peer->session_id <= PEERS_MAX);
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
    struct bench *bench = owner;
    cr_assert_eq(report->kind, bench->kind);
    cr_assert_eq(report->key, 1000U + report->message_id % 100, "a renewed one keeps its key");
    cr_assert_eq(report->now_ms, bench->now_ms);
    note(bench, letters[report->outcome], report->message_id);
}

static size_t write_message(const struct bench *bench, uint8_t space[COAP_MESSAGE_SIZE_MAX],
                            enum message_type type, uint16_t id, size_t payload_length)
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
    struct bench *bench = owner;
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

static void open_with(struct bench *bench, uint64_t seed, uint8_t max_retransmit)
{
    memset(bench, 0, sizeof *bench);
    cr_assert_eq(metrics_init(&bench->metrics, worker_metrics, WORKER_METRICS_COUNT, 1), STATUS_OK);
    const struct transmission_options options = {
        .hash_key = {1, 2},
        .seed = seed,
        .peers_max = PEERS_MAX,
        .short_max = SHORTS_MAX,
        .long_max = LONGS_MAX,
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
    for (size_t i = 1; i <= PEERS_MAX; i++)
        bench->peers[i] = (struct coap_peer){.session_id = i, .session = &bench->sessions[i]};
    bench->peers[0].path.address.port = 4711;
}

static void close_bench(struct bench *bench)
{
    transmissions_free(&bench->transmissions);
    metrics_free(&bench->metrics);
}

/* As the loop does: never late. */
static void pass(struct bench *bench, uint64_t ms)
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

static enum transmission_start send_to(struct bench *bench, const struct coap_peer *peer,
                                       enum message_type type, uint16_t id, size_t payload_length)
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

static void answer(struct bench *bench, const struct coap_peer *peer, uint16_t id,
                   enum transmission_outcome outcome, const struct octets *token)
{
    transmission_answered(&bench->transmissions, peer, id, outcome, token, bench->now_ms);
}

/* A script: sN sends a confirmable, nN a non-confirmable message N; aN and rN are the peer's empty
 * ACK and RST, pN and wN a response in an ACK with the right and a wrong token, oN the ACK of
 * another peer; yN has the next repetition be another message, N; xN cancels N, f forgets the
 * session, +MS lets time pass. */
static void play(struct bench *bench, const char *script)
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
            send_to(bench, peer, MESSAGE_CON, id, 0);
            break;
        case 'n':
            send_to(bench, peer, MESSAGE_NON, id, 0);
            break;
        case 'a':
            answer(bench, peer, id, TRANSMISSION_ACKED, NULL);
            break;
        case 'r':
            answer(bench, peer, id, TRANSMISSION_RESET, NULL);
            break;
        case 'p':
            answer(bench, peer, id, TRANSMISSION_ACKED, &token);
            break;
        case 'w':
            answer(bench, peer, id, TRANSMISSION_ACKED, &shorter);
            break;
        case 'o':
            answer(bench, other, id, TRANSMISSION_ACKED, NULL);
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
            pass(bench, number);
            break;
        default:
            cr_assert_fail("%c", what);
        }
        script = end + strspn(end, " ");
    }
}

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
        struct bench bench;
        open_with(&bench, i, 4);
        play(&bench, rows[i].script);
        cr_expect_str_eq(bench.log, rows[i].log, "%s: %s", rows[i].rule, bench.log);
        close_bench(&bench);
    }
}

/* Ids that differ by 100 are one notification's. */
Test(transmission, does_as_rfc_7641_says)
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
        struct bench bench;
        open_with(&bench, i, 4);
        bench.kind = TRANSMISSION_NOTIFICATION;
        play(&bench, rows[i].script);
        cr_expect_str_eq(bench.log, rows[i].log, "%s: %s", rows[i].rule, bench.log);
        cr_expect_eq(bench.transmissions.short_pool.in_use, 0);
        close_bench(&bench);
    }
}

/* "retain its transmission parameters, increment the retransmission counter, and double the
 * timeout" (RFC 7641 section 4.5.2) */
Test(transmission, a_renewed_message_keeps_its_pace)
{
    for (uint64_t seed = 0; seed < 20; seed++) {
        struct bench bench;
        open_with(&bench, seed << 20, 4);
        bench.kind = TRANSMISSION_NOTIFICATION;
        uint64_t began_ms = bench.now_ms;
        play(&bench, "s1 y101 +3000 y201 +6000 y301 +12000 y401 +100000");
        cr_expect_str_eq(bench.log, ">1 >101 >201 >301 >401 T401");
        cr_assert_eq(bench.sent_count, 5);
        uint64_t first_ms = bench.sent_ms[1] - began_ms;
        for (size_t i = 2; i < 5; i++)
            cr_expect_eq(bench.sent_ms[i] - bench.sent_ms[i - 1], first_ms << (i - 1));
        close_bench(&bench);
    }
}

Test(transmission, a_renewed_message_may_be_repeated_as_often_as_any)
{
    struct bench bench;
    open_with(&bench, 1, COAP_MAX_RETRANSMIT_MAX);
    bench.kind = TRANSMISSION_NOTIFICATION;
    play(&bench, "s1");
    for (uint16_t i = 1; i <= COAP_MAX_RETRANSMIT_MAX; i++) {
        bench.renewed_id = (uint16_t)(1 + 100 * i);
        pass(&bench, UINT64_C(3000) << (i - 1));
        cr_expect_eq(bench.renewed_id, 0);
    }
    forget_log(&bench);
    play(&bench, "r1");
    cr_expect_str_eq(bench.log, "R1001", "the first of them is not forgotten");
    close_bench(&bench);
}

/* Its place is that of its length; without one the older message is repeated. */
Test(transmission, a_renewed_message_may_be_longer_or_shorter)
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
        struct bench bench;
        const struct coap_peer *peer = &bench.peers[1];
        open_with(&bench, i, 4);
        bench.kind = TRANSMISSION_NOTIFICATION;
        send_to(&bench, peer, MESSAGE_CON, 1, rows[i].before);
        uint16_t id = 2;
        for (const char *at = rows[i].hurdle; *at; at++)
            cr_assert_eq(send_to(&bench, peer, MESSAGE_CON, id++, *at == 'l' ? 200 : 0),
                         TRANSMISSION_QUEUED);
        bench.renewed_length = rows[i].after;
        play(&bench, "y101 +3000");
        cr_expect_eq(bench.is_renewed, rows[i].is_renewed, "%zu", i);
        cr_expect_eq(bench.sent_length - header,
                     rows[i].is_renewed ? rows[i].after : rows[i].before);
        cr_expect_str_eq(bench.log, rows[i].is_renewed ? ">1 >101" : ">1 >1");
        cr_expect_eq(metrics_get(&bench.metrics, WORKER_COAP_TRANSMISSIONS_REFUSED),
                     rows[i].is_renewed ? 0 : 1);
        cr_expect_eq(bench.transmissions.short_pool.in_use, rows[i].shorts, "%zu", i);
        cr_expect_eq(bench.transmissions.long_pool.in_use, rows[i].longs, "%zu", i);
        forget_log(&bench);
        answer(&bench, peer, rows[i].is_renewed ? 101 : 1, TRANSMISSION_ACKED, NULL);
        cr_expect_not_null(strchr(bench.log, 'A'), "%zu", i);
        transmission_forget(&bench.transmissions, peer->session_id, bench.now_ms);
        cr_expect_eq(bench.transmissions.short_pool.in_use, 0);
        cr_expect_eq(bench.transmissions.long_pool.in_use, 0);
        close_bench(&bench);
    }
}

/* A shorter one stays in the place of the longer one where no other is left. */
Test(transmission, a_renewed_message_needs_no_place_of_its_own)
{
    struct bench bench;
    open_with(&bench, 1, 4);
    bench.kind = TRANSMISSION_NOTIFICATION;
    send_to(&bench, &bench.peers[1], MESSAGE_CON, 1, 200);
    for (uint16_t i = 0; i < SHORTS_MAX; i++)
        cr_assert_neq(send_to(&bench, &bench.peers[2 + i % 2], MESSAGE_CON, 2 + i, 0),
                      TRANSMISSION_REFUSED);
    bench.renewed_length = 5;
    play(&bench, "y101 +3000");
    cr_expect(bench.is_renewed);
    cr_expect_eq(bench.transmissions.short_pool.in_use, SHORTS_MAX);
    cr_expect_eq(bench.transmissions.long_pool.in_use, 1);
    forget_log(&bench);
    play(&bench, "a101");
    cr_expect_str_eq(bench.log, "A101");
    cr_expect_eq(bench.transmissions.long_pool.in_use, 0);
    close_bench(&bench);
}

/* "the initial timeout is set to a random duration (often not an integral number of seconds)
 * between ACK_TIMEOUT and (ACK_TIMEOUT * ACK_RANDOM_FACTOR)", "the timeout is doubled" (RFC 7252
 * section 4.2) */
Test(transmission, backs_off)
{
    uint64_t least_ms = UINT64_MAX, most_ms = 0;
    for (uint64_t seed = 0; seed < 200; seed++) {
        struct bench bench;
        open_with(&bench, seed * UINT64_C(0x9e3779b97f4a7c15), 4);
        uint64_t began_ms = bench.now_ms;
        play(&bench, "s1");
        pass(&bench, 100000);
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
        close_bench(&bench);
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
            struct bench bench;
            open_with(&bench, seed * UINT64_C(0x9e3779b97f4a7c15), 4);
            bench.transmissions.options.random_percent = percents[row];
            play(&bench, "s1 +6000");
            uint64_t first_ms = bench.sent_ms[1] - bench.sent_ms[0];
            least_ms = first_ms < least_ms ? first_ms : least_ms;
            most_ms = first_ms > most_ms ? first_ms : most_ms;
            close_bench(&bench);
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
        struct bench bench;
        open_with(&bench, seed << 20, 4);
        play(&bench, "s1 +61999");
        cr_expect_eq(transmission_count(&bench.transmissions, &bench.peers[1]), 1);
        play(&bench, "+31001");
        cr_expect_eq(transmission_count(&bench.transmissions, &bench.peers[1]), 0);
        close_bench(&bench);
    }
}

Test(transmission, does_without_repetitions)
{
    struct bench bench;
    open_with(&bench, 1, 0);
    play(&bench, "s1 +3000");
    cr_expect_str_eq(bench.log, ">1 T1");
    close_bench(&bench);
}

Test(transmission, peers_wait_for_themselves_only)
{
    struct bench bench;
    open_with(&bench, 1, 4);
    for (uint16_t i = 0; i < PEERS_MAX; i++)
        cr_expect_eq(send_to(&bench, &bench.peers[i], MESSAGE_CON, i, 0), TRANSMISSION_SENT);
    cr_expect_eq(send_to(&bench, &bench.peers[PEERS_MAX], MESSAGE_CON, 9, 0), TRANSMISSION_REFUSED,
                 "there are no more peers");
    answer(&bench, &bench.peers[0], 0, TRANSMISSION_ACKED, NULL);
    cr_expect_eq(send_to(&bench, &bench.peers[PEERS_MAX], MESSAGE_CON, 9, 0), TRANSMISSION_SENT);
    cr_expect_str_eq(bench.log, ">0 >1 >2 !9 A0 >9");
    cr_expect_eq(metrics_get(&bench.metrics, WORKER_COAP_TRANSMISSIONS_REFUSED), 1);
    close_bench(&bench);
}

Test(transmission, long_messages_have_a_bound_of_their_own)
{
    struct bench bench;
    open_with(&bench, 1, 4);
    const struct coap_peer *peer = &bench.peers[1];
    const size_t header = MESSAGE_HEADER_SIZE + 2 + 1;
    cr_expect_eq(send_to(&bench, peer, MESSAGE_CON, 1, COAP_MESSAGE_SIZE_MAX - header),
                 TRANSMISSION_SENT);
    cr_expect_eq(send_to(&bench, peer, MESSAGE_CON, 2, TRANSMISSION_SHORT_MAX - header + 1),
                 TRANSMISSION_QUEUED);
    cr_expect_eq(send_to(&bench, peer, MESSAGE_CON, 3, TRANSMISSION_SHORT_MAX - header + 1),
                 TRANSMISSION_REFUSED);
    cr_expect_eq(send_to(&bench, peer, MESSAGE_CON, 4, TRANSMISSION_SHORT_MAX - header),
                 TRANSMISSION_QUEUED);
    play(&bench, "a1 s5 a2 a4 a5");
    cr_expect_str_eq(bench.log, ">1 !3 >2 A1 >4 A2 >5 A4 A5");
    cr_expect_eq(bench.transmissions.short_pool.in_use, 0);
    cr_expect_eq(bench.transmissions.long_pool.in_use, 0);
    cr_expect_eq(bench.transmissions.peer_pool.in_use, 0);
    close_bench(&bench);
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
        struct bench bench;
        open_with(&bench, 1, 4);
        play(&bench, rows[i].script);
        cr_expect_eq(transmission_rtt_ms(&bench.peers[1]), rows[i].rtt_ms, "%s: %u", rows[i].script,
                     transmission_rtt_ms(&bench.peers[1]));
        cr_expect_eq(transmission_rtt_ms(&bench.peers[0]), 0, "plain CoAP");
        close_bench(&bench);
    }
}

/* Messages and their ACKs are lost and doubled: each message is settled once, in order, and what
 * was acknowledged was sent. */
Test(transmission, a_lossy_network)
{
    for (uint64_t seed = 1; seed <= 100; seed++) {
        struct bench bench;
        uint64_t random = seed * UINT64_C(0x9e3779b97f4a7c15);
        uint16_t next = 1, settled = 0;
        size_t acked = 0;
        open_with(&bench, seed, 4);
        for (unsigned turn = 0; turn < 3000; turn++) {
            random = random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
            if (next <= 40 && transmission_count(&bench.transmissions, &bench.peers[1]) < 8)
                send_to(&bench, &bench.peers[1], MESSAGE_CON, next++, 0);
            /* What is in the log is what the network has to deliver. */
            forget_log(&bench);
            pass(&bench, random >> 50);
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
                forget_log(&bench);
                answer(&bench, &bench.peers[1], under_way, TRANSMISSION_ACKED, NULL);
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
        close_bench(&bench);
    }
}
