#include "tests/worker/ask.h"
#include "tests/worker/coap_bench.h"

#include <criterion/criterion.h>
#include <string.h>

#define OCTETS(text) text, sizeof(text) - 1

static const struct ask report = {
    .code = CODE_POST, .id = 7, .token = "tk", .uri = "/events", .payload = "21.5"};

static struct ask with_id(struct ask ask, uint16_t id)
{
    ask.id = id;
    return ask;
}

static void expect_reply(const struct coap_bench *bench, const char *reply, size_t length)
{
    cr_expect_eq(bench->reply_length, length);
    cr_expect_arr_eq(bench->reply, reply, length);
}

/* What the store would hold. */
struct stored {
    uint8_t value[STORE_EXCHANGE_MAX];
    size_t length;
};

static void store(const struct coap_bench *bench, struct stored *slots)
{
    const struct octets *value = &bench->commit.value;
    cr_assert_lt(bench->commit.slot, COAP_EXCHANGES_PER_PEER_MAX);
    cr_assert_leq(value->length, STORE_EXCHANGE_MAX);
    struct stored *slot = &slots[bench->commit.slot];
    memcpy(slot->value, value->bytes, value->length);
    slot->length = value->length;
}

static enum status restore(struct coap_bench *bench, uint64_t now_ms, const struct stored *slot)
{
    return coap_restore(bench->coap, bench->secured.session_id, coap_bench_now(now_ms),
                        (struct octets){slot->value, slot->length});
}

Test(coap_commit, a_change_is_acknowledged_once_it_is_stored)
{
    struct coap_bench bench;
    coap_bench_open(&bench, 64);
    cr_assert_eq(coap_bench_ask(&bench, &bench.secured, 10, &report), COAP_COMMIT);
    cr_expect_eq(bench.commit.message_id, 7);
    cr_expect_eq(bench.commit.slot, 0);
    cr_expect_gt(bench.commit.event.length, 0);
    for (uint64_t now_ms = 11; now_ms < 14; now_ms++)
        cr_expect_eq(coap_bench_ask(&bench, &bench.secured, now_ms, &report), COAP_SILENCE,
                     "no answer before the store's");
    cr_expect_eq(coap_bench_count(&bench, WORKER_COAP_DUPLICATES), 3);
    cr_expect_eq(coap_bench_count(&bench, WORKER_COAP_REQUESTS), 1);
    cr_assert_eq(coap_bench_commit(&bench, 7, COAP_STORED, 20), COAP_REPLY);
    expect_reply(&bench, OCTETS("\x62\x44\x00\x07tk"));
    cr_assert_eq(coap_bench_ask(&bench, &bench.secured, 21, &report), COAP_REPLY);
    expect_reply(&bench, OCTETS("\x62\x44\x00\x07tk"));
    cr_expect_eq(coap_bench_commit(&bench, 7, COAP_STORED, 22), COAP_SILENCE, "answered before");
    cr_expect_eq(coap_bench_commit(&bench, 7, COAP_NOT_STORED, 22), COAP_SILENCE);
    cr_expect_eq(coap_bench_count(&bench, WORKER_COAP_CHANGES_STORED), 1);
    cr_expect_eq(coap_bench_count(&bench, WORKER_COAP_CHANGES_NOT_STORED), 0);
    coap_bench_close(&bench);
}

Test(coap_commit, a_non_confirmable_one_waits_too)
{
    struct ask ask = report;
    struct stored slots[COAP_EXCHANGES_PER_PEER_MAX];
    struct coap_bench bench, heir;
    coap_bench_open(&bench, 64);
    coap_bench_open(&heir, 64);
    ask.type = MESSAGE_NON;
    cr_assert_eq(coap_bench_ask(&bench, &bench.secured, 10, &ask), COAP_COMMIT);
    store(&bench, slots);
    cr_expect_eq(slots[0].length, 13, "nobody is going to be told again");
    cr_expect_eq(coap_bench_ask(&bench, &bench.secured, 11, &ask), COAP_SILENCE);
    cr_assert_eq(coap_bench_commit(&bench, 7, COAP_STORED, 20), COAP_REPLY);
    expect_reply(&bench, OCTETS("\x52\x44\x7d\x00tk"));
    cr_expect_eq(coap_bench_ask(&bench, &bench.secured, 21, &ask), COAP_SILENCE);
    cr_assert_eq(restore(&heir, 30, &slots[0]), STATUS_OK);
    cr_expect_eq(coap_bench_ask(&heir, &heir.secured, 31, &ask), COAP_SILENCE);
    ask.type = MESSAGE_CON;
    cr_expect_eq(coap_bench_ask(&heir, &heir.secured, 32, &ask), COAP_SILENCE);
    coap_bench_close(&heir);
    coap_bench_close(&bench);
}

Test(coap_commit, a_change_that_is_not_stored_is_refused_and_may_be_tried_again)
{
    struct coap_bench bench;
    coap_bench_open(&bench, 64);
    cr_assert_eq(coap_bench_ask(&bench, &bench.secured, 10, &report), COAP_COMMIT);
    cr_assert_eq(coap_bench_commit(&bench, 7, COAP_NOT_STORED, 20), COAP_REPLY);
    expect_reply(&bench, OCTETS("\x62\xa3\x00\x07tk\xd1\x01\x05"));
    cr_expect_eq(coap_next_ms(bench.coap), UINT64_MAX, "forgotten");
    cr_expect_eq(coap_bench_count(&bench, WORKER_COAP_CHANGES_NOT_STORED), 1);
    cr_assert_eq(coap_bench_ask(&bench, &bench.secured, 30, &report), COAP_COMMIT, "done anew");
    cr_assert_eq(coap_bench_commit(&bench, 7, COAP_STORED, 40), COAP_REPLY);
    expect_reply(&bench, OCTETS("\x62\x44\x00\x07tk"));

    struct ask ask = with_id(report, 8);
    ask.type = MESSAGE_NON;
    cr_assert_eq(coap_bench_ask(&bench, &bench.secured, 50, &ask), COAP_COMMIT);
    cr_assert_eq(coap_bench_commit(&bench, 8, COAP_NOT_STORED, 60), COAP_REPLY);
    expect_reply(&bench, OCTETS("\x52\xa3\x7d\x00tk\xd1\x01\x05"));
    coap_bench_close(&bench);
}

Test(coap_commit, nobody_waits_any_more)
{
    struct coap_bench bench;
    coap_bench_open(&bench, 64);
    cr_expect_eq(coap_bench_commit(&bench, 7, COAP_STORED, 0), COAP_SILENCE, "never asked");
    cr_assert_eq(coap_bench_ask(&bench, &bench.secured, 0, &report), COAP_COMMIT);
    coap_forget(bench.coap, bench.secured.session_id);
    cr_expect_eq(coap_bench_commit(&bench, 7, COAP_STORED, 1), COAP_SILENCE, "session gone");
    cr_assert_eq(coap_bench_ask(&bench, &bench.secured, 2, &report), COAP_COMMIT);
    cr_expect_eq(coap_bench_commit(&bench, 7, COAP_STORED, 2 + COAP_EXCHANGE_LIFETIME_MS),
                 COAP_SILENCE, "expired");
    coap_bench_close(&bench);
}

Test(coap_commit, only_changes_wait)
{
    static const struct {
        const char *name;
        struct ask ask;
        uint8_t code;
    } rows[] = {
        {"no change", {.code = CODE_POST, .uri = "/echo"}, CODE_CHANGED},
        {"refused", {.code = CODE_POST, .uri = "/events?x"}, CODE_BAD_REQUEST},
        {"safe", {.uri = "/events"}, CODE_METHOD_NOT_ALLOWED},
        {"no handler", {.code = CODE_PUT, .uri = "/events"}, CODE_METHOD_NOT_ALLOWED},
    };
    struct coap_bench bench;
    coap_bench_open(&bench, 64);
    for (uint16_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct ask ask = with_id(rows[i].ask, i);
        cr_expect_eq(coap_bench_ask(&bench, &bench.secured, i, &ask), COAP_REPLY, "%s",
                     rows[i].name);
        cr_expect_eq(coap_bench_code(&bench), rows[i].code, "%s", rows[i].name);
    }
    cr_expect_eq(coap_bench_ask(&bench, &bench.plain, 9, &report), COAP_REPLY);
    cr_expect_eq(coap_bench_code(&bench), CODE_NOT_FOUND,
                 "without a session there is no such path");
    coap_bench_close(&bench);
}

Test(coap_commit, an_heir_repeats_the_same_octets)
{
    enum { COUNT = 5 };
    struct stored slots[COAP_EXCHANGES_PER_PEER_MAX] = {0};
    uint8_t replies[COUNT][64];
    size_t lengths[COUNT];
    struct coap_bench bench, heir;
    coap_bench_open(&bench, 64);
    coap_bench_open(&heir, 64);
    for (uint16_t i = 0; i < COUNT; i++) {
        struct ask ask = with_id(report, i);
        cr_assert_eq(coap_bench_ask(&bench, &bench.secured, 10, &ask), COAP_COMMIT);
        cr_expect_eq(bench.commit.slot, i);
        store(&bench, slots);
        cr_assert_eq(coap_bench_commit(&bench, i, COAP_STORED, 11), COAP_REPLY);
        lengths[i] = bench.reply_length;
        memcpy(replies[i], bench.reply, bench.reply_length);
    }
    heir.secured.session_id = 99; /* the heir's own name for the session */
    for (int i = COUNT - 1; i >= 0; i--)
        cr_assert_eq(restore(&heir, 5000, &slots[i]), STATUS_OK);
    for (uint16_t i = 0; i < COUNT; i++) {
        struct ask ask = with_id(report, i);
        ask.payload = "other contents would show";
        cr_assert_eq(coap_bench_ask(&heir, &heir.secured, 6000, &ask), COAP_REPLY);
        cr_expect_eq(heir.reply_length, lengths[i]);
        cr_expect_arr_eq(heir.reply, replies[i], lengths[i]);
    }
    cr_expect_eq(coap_bench_count(&heir, WORKER_COAP_DUPLICATES), COUNT);
    cr_expect_eq(coap_bench_count(&heir, WORKER_COAP_REQUESTS), 0);
    struct ask next = with_id(report, COUNT);
    cr_assert_eq(coap_bench_ask(&heir, &heir.secured, 6001, &next), COAP_COMMIT);
    cr_expect_eq(heir.commit.slot, COUNT, "the ring goes on where it was");
    coap_bench_close(&heir);
    coap_bench_close(&bench);
}

/* The store has what the first worker could not say any more. */
Test(coap_commit, an_heir_answers_what_was_pending)
{
    struct stored slots[COAP_EXCHANGES_PER_PEER_MAX];
    struct coap_bench bench, heir;
    coap_bench_open(&bench, 64);
    coap_bench_open(&heir, 64);
    cr_assert_eq(coap_bench_ask(&bench, &bench.secured, 10, &report), COAP_COMMIT);
    store(&bench, slots);
    coap_bench_close(&bench);
    cr_assert_eq(restore(&heir, 20, &slots[0]), STATUS_OK);
    cr_assert_eq(coap_bench_ask(&heir, &heir.secured, 30, &report), COAP_REPLY);
    expect_reply(&heir, OCTETS("\x62\x44\x00\x07tk"));
    coap_bench_close(&heir);
}

Test(coap_commit, an_heir_forgets_when_the_lifetime_is_over)
{
    static const struct {
        const char *name;
        int64_t ahead_ms; /* the heir's wall clock */
        uint64_t restored_ms, asked_ms;
        enum coap_outcome outcome;
    } rows[] = {
        {"just in time", 0, 5000, 10 + COAP_EXCHANGE_LIFETIME_MS - 1, COAP_REPLY},
        {"over", 0, 5000, 10 + COAP_EXCHANGE_LIFETIME_MS, COAP_COMMIT},
        {"over before", 0, 10 + COAP_EXCHANGE_LIFETIME_MS, 10 + COAP_EXCHANGE_LIFETIME_MS,
         COAP_COMMIT},
        {"a clock behind", -3600000, 5000, 5000 + COAP_EXCHANGE_LIFETIME_MS - 1, COAP_REPLY},
        {"a clock behind, over", -3600000, 5000, 5000 + COAP_EXCHANGE_LIFETIME_MS, COAP_COMMIT},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct stored slots[COAP_EXCHANGES_PER_PEER_MAX];
        struct coap_bench bench, heir;
        coap_bench_open(&bench, 64);
        coap_bench_open(&heir, 64);
        cr_assert_eq(coap_bench_ask(&bench, &bench.secured, 10, &report), COAP_COMMIT);
        store(&bench, slots);
        struct coap_now now = coap_bench_now(rows[i].restored_ms);
        now.unix_ms += (uint64_t)rows[i].ahead_ms;
        cr_assert_eq(
            coap_restore(heir.coap, 1, now, (struct octets){slots[0].value, slots[0].length}),
            STATUS_OK);
        cr_expect_eq(coap_bench_ask(&heir, &heir.secured, rows[i].asked_ms, &report),
                     rows[i].outcome, "%s", rows[i].name);
        coap_bench_close(&heir);
        coap_bench_close(&bench);
    }
}

/* Two lifetimes of the ring: the store's slots hold what memory holds, and the oldest goes first,
 * on the heir too. */
Test(coap_commit, the_ring_goes_round)
{
    enum { COUNT = 2 * COAP_EXCHANGES_PER_PEER_MAX + 3 };
    struct stored slots[COAP_EXCHANGES_PER_PEER_MAX];
    struct coap_bench bench, heir;
    coap_bench_open(&bench, 64);
    coap_bench_open(&heir, 64);
    for (uint16_t i = 0; i < COUNT; i++) {
        struct ask ask = with_id(report, i);
        struct ask echo = {.code = CODE_POST, .id = (uint16_t)(1000 + i), .uri = "/echo"};
        cr_assert_eq(coap_bench_ask(&bench, &bench.secured, i, &ask), COAP_COMMIT);
        cr_expect_eq(bench.commit.slot, i % COAP_EXCHANGES_PER_PEER_MAX);
        store(&bench, slots);
        cr_assert_eq(coap_bench_commit(&bench, i, COAP_STORED, i), COAP_REPLY);
        if (i == 5)
            cr_assert_eq(coap_bench_ask(&bench, &bench.secured, i, &echo), COAP_REPLY);
    }
    for (size_t i = 0; i < COAP_EXCHANGES_PER_PEER_MAX; i++)
        cr_assert_eq(restore(&heir, COUNT, &slots[i]), STATUS_OK);
    for (uint16_t i = COUNT - COAP_EXCHANGES_PER_PEER_MAX; i < COUNT; i++) {
        struct ask ask = with_id(report, i);
        cr_expect_eq(coap_bench_ask(&heir, &heir.secured, COUNT + 1, &ask), COAP_REPLY, "%u", i);
    }
    struct ask next = with_id(report, COUNT);
    cr_assert_eq(coap_bench_ask(&heir, &heir.secured, COUNT + 2, &next), COAP_COMMIT);
    cr_expect_eq(heir.commit.slot, COUNT % COAP_EXCHANGES_PER_PEER_MAX);
    struct ask oldest = with_id(report, COUNT - COAP_EXCHANGES_PER_PEER_MAX);
    struct ask second = with_id(report, COUNT - COAP_EXCHANGES_PER_PEER_MAX + 1);
    cr_expect_eq(coap_bench_ask(&heir, &heir.secured, COUNT + 3, &second), COAP_REPLY);
    cr_expect_eq(coap_bench_ask(&heir, &heir.secured, COUNT + 3, &oldest), COAP_COMMIT,
                 "it made room");
    coap_bench_close(&heir);
    coap_bench_close(&bench);
}

/* What a pending exchange would be pushed out by is refused: its change would be made twice. */
Test(coap_commit, no_more_than_a_ring_is_pending)
{
    static const uint8_t refused[] = "\x62\xa3\x00\x10tk\xd1\x01\x05";
    struct coap_bench bench;
    coap_bench_open(&bench, 64);
    for (uint16_t i = 0; i < COAP_EXCHANGES_PER_PEER_MAX; i++) {
        struct ask ask = with_id(report, i);
        cr_assert_eq(coap_bench_ask(&bench, &bench.secured, i, &ask), COAP_COMMIT);
    }
    struct ask more = with_id(report, COAP_EXCHANGES_PER_PEER_MAX);
    cr_assert_eq(coap_bench_ask(&bench, &bench.secured, 20, &more), COAP_REPLY);
    expect_reply(&bench, (const char *)refused, sizeof refused - 1);
    cr_expect_eq(coap_bench_count(&bench, WORKER_COAP_REFUSED), 1);
    cr_assert_eq(coap_bench_commit(&bench, 3, COAP_STORED, 21), COAP_REPLY, "not the oldest");
    cr_assert_eq(coap_bench_ask(&bench, &bench.secured, 22, &more), COAP_REPLY);
    cr_expect_eq(coap_bench_code(&bench), CODE_UNAVAILABLE);
    cr_assert_eq(coap_bench_commit(&bench, 0, COAP_STORED, 23), COAP_REPLY);
    cr_expect_eq(coap_bench_ask(&bench, &bench.secured, 24, &more), COAP_COMMIT);
    cr_expect_eq(bench.commit.slot, 0);
    for (uint16_t i = 1; i <= COAP_EXCHANGES_PER_PEER_MAX; i++)
        cr_expect_eq(coap_bench_commit(&bench, i, COAP_STORED, 30),
                     i == 3 ? COAP_SILENCE : COAP_REPLY);
    cr_expect_eq(coap_bench_count(&bench, WORKER_COAP_EXCHANGES_EVICTED), 1);
    coap_bench_close(&bench);
}

Test(coap_commit, nobody_pushes_out_what_is_pending)
{
    enum { MAX = 8, SECURED_MAX = MAX - 2 * (MAX / COAP_EXCHANGES_SHARE) };
    static const struct ask echo = {.code = CODE_POST, .id = 9, .uri = "/echo"};
    struct coap_bench bench;
    coap_bench_open(&bench, MAX);
    for (uint64_t id = 1; id <= SECURED_MAX; id++) {
        struct coap_peer peer = bench.secured;
        peer.session_id = id;
        cr_assert_eq(coap_bench_ask(&bench, &peer, id, &report), COAP_COMMIT);
    }
    struct coap_peer other = bench.secured;
    other.session_id = 100;
    cr_assert_eq(coap_bench_ask(&bench, &other, 20, &echo), COAP_REPLY);
    cr_expect_eq(coap_bench_code(&bench), CODE_UNAVAILABLE);
    cr_expect_eq(coap_bench_commit(&bench, 7, COAP_STORED, 21), COAP_REPLY);
    cr_assert_eq(coap_bench_ask(&bench, &other, 22, &echo), COAP_REPLY);
    cr_expect_eq(coap_bench_code(&bench), CODE_CHANGED);
    coap_bench_close(&bench);
}

Test(coap_commit, refuses_values_that_are_none)
{
    static const char whole[] = "\x01\x00\x05\x00\x07\x00\x00\x01\xff\xff\xff\xff\xff"
                                "\x62\x44\x00\x07tk";
    static const struct {
        const char *name;
        const char *bytes;
        size_t length;
        enum status status;
    } rows[] = {
        {"nothing", OCTETS(""), STATUS_MALFORMED},
        {"version alone", OCTETS("\x01"), STATUS_MALFORMED},
        {"version 0", OCTETS("\x00\x00\x05\x00\x07\x00\x00\x01\xff\xff\xff\xff\xff"),
         STATUS_UNSUPPORTED},
        {"version 2, whatever follows", OCTETS("\x02"), STATUS_UNSUPPORTED},
        {"header cut", whole, 12, STATUS_MALFORMED},
        {"no reply", whole, 13, STATUS_OK},
        {"reply cut in its header", whole, 14, STATUS_MALFORMED},
        {"reply cut in its token", whole, 18, STATUS_MALFORMED},
        {"whole", whole, 19, STATUS_OK},
        {"another's reply",
         OCTETS("\x01\x00\x05\x00\x08\x00\x00\x01\xff\xff\xff\xff\xff\x62\x44\x00\x07tk"),
         STATUS_MALFORMED},
        {"a request",
         OCTETS("\x01\x00\x05\x00\x07\x00\x00\x01\xff\xff\xff\xff\xff\x40\x01\x00\x07"),
         STATUS_MALFORMED},
        {"an error is no change",
         OCTETS("\x01\x00\x05\x00\x07\x00\x00\x01\xff\xff\xff\xff\xff\x60\xa3\x00\x07"),
         STATUS_MALFORMED},
        {"expired, and malformed", OCTETS("\x01\x00\x05\x00\x07\0\0\0\0\0\0\0\1\x60"),
         STATUS_MALFORMED},
        {"expired", OCTETS("\x01\x00\x05\x00\x07\0\0\0\0\0\0\0\1"), STATUS_OK},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct coap_bench bench;
        coap_bench_open(&bench, 64);
        uint8_t copy[64];
        memcpy(copy, rows[i].bytes, rows[i].length);
        cr_expect_eq(
            coap_restore(bench.coap, 1, coap_bench_now(0), (struct octets){copy, rows[i].length}),
            rows[i].status, "%s", rows[i].name);
        coap_bench_close(&bench);
    }
    uint8_t longest[13 + COAP_MESSAGE_SIZE_MAX + 1];
    struct coap_bench bench;
    coap_bench_open(&bench, 64);
    memset(longest, 'x', sizeof longest);
    memcpy(longest, whole, sizeof whole - 1);
    longest[19] = 0xff;
    cr_expect_eq(
        coap_restore(bench.coap, 1, coap_bench_now(0), (struct octets){longest, sizeof longest}),
        STATUS_MALFORMED);
    cr_expect_eq(coap_restore(bench.coap, 1, coap_bench_now(0),
                              (struct octets){longest, sizeof longest - 1}),
                 STATUS_OK);
    coap_bench_close(&bench);
}
