#include "tests/worker/ask.h"
#include "tests/worker/coap_bench.h"

#include <criterion/criterion.h>
#include <string.h>

/* Octets as a string literal with their number. */
#define OCTETS(text) text, sizeof(text) - 1
#define RST "\x70\x00\x12\x34"

Test(coap, answers_octet_by_octet)
{
    static const struct {
        const char *name;
        bool secured;
        const char *bytes;
        size_t length;
        const char *reply;
        size_t reply_length;
    } rows[] = {
        {"GET /tstun, confirmable", false, OCTETS("\x42\x01\x12\x34tk\xb5tstun"),
         OCTETS("\x62\x45\x12\x34tk\xc0\xff"
                "203.0.113.7:4711")},
        {"GET /tstun, non-confirmable", false, OCTETS("\x52\x01\x12\x34tk\xb5tstun"),
         OCTETS("\x52\x45\x00\x00tk\xc0\xff"
                "203.0.113.7:4711")},
        {"no token", false, OCTETS("\x40\x01\x12\x34\xb5tstun"),
         OCTETS("\x60\x45\x12\x34\xc0\xff"
                "203.0.113.7:4711")},
        {"Accept: JSON", false, OCTETS("\x40\x01\x12\x34\xb5tstun\x61\x32"),
         OCTETS("\x60\x45\x12\x34\xc1\x32\xff"
                "{\"ip\":\"203.0.113.7\",\"port\":4711,\"family\":4}")},
        {"Accept: XML", false, OCTETS("\x40\x01\x12\x34\xb5tstun\x61\x29"),
         OCTETS("\x60\x86\x12\x34")},
        {"Uri-Host and Uri-Port", false,
         OCTETS("\x40\x01\x12\x34\x37"
                "a.local\x42\x16\x34\x45tstun"),
         OCTETS("\x60\x45\x12\x34\xc0\xff"
                "203.0.113.7:4711")},
        {"Observe", false, OCTETS("\x40\x01\x12\x34\x60\x55tstun"),
         OCTETS("\x60\x45\x12\x34\xc0\xff"
                "203.0.113.7:4711")},
        {"POST /echo", false,
         OCTETS("\x41\x02\x12\x34t\xb4"
                "echo\x11\x3c\xffhello"),
         OCTETS("\x61\x44\x12\x34t\xc1\x3c\xffhello")},
        {"POST /echo, nothing", false,
         OCTETS("\x40\x02\x12\x35\xb4"
                "echo"),
         OCTETS("\x60\x44\x12\x35")},
        {"/.well-known/core, plain", false,
         OCTETS("\x40\x01\x12\x34\xbb.well-known\x04"
                "core"),
         OCTETS("\x60\x45\x12\x34\xc1\x28\xff"
                "</tstun>;rt=\"tstun\";ct=\"0 50 60\",</echo>;rt=\"echo\"")},
        {"/.well-known/core, secured", true,
         OCTETS("\x40\x01\x12\x34\xbb.well-known\x04"
                "core"),
         OCTETS("\x60\x45\x12\x34\xc1\x28\xff"
                "</tstun>;rt=\"tstun\";ct=\"0 50 60\",</whoami>;rt=\"whoami\";ct=\"0 50 60\","
                "</echo>;rt=\"echo\",</events>;rt=\"events\",</ps>;rt=\"core.ps core.ps.coll\"")},
        {"/.well-known/core?rt=tstun", false,
         OCTETS("\x40\x01\x12\x34\xbb.well-known\x04"
                "core\x48rt=tstun"),
         OCTETS("\x60\x45\x12\x34\xc1\x28\xff</tstun>;rt=\"tstun\";ct=\"0 50 60\"")},
        {"/whoami, plain", false, OCTETS("\x40\x01\x12\x34\xb6whoami"), OCTETS("\x60\x84\x12\x34")},
        {"no such resource", true, OCTETS("\x40\x01\x12\x34\xb1x"), OCTETS("\x60\x84\x12\x34")},
        {"the root", true, OCTETS("\x40\x01\x12\x34"), OCTETS("\x60\x84\x12\x34")},
        {"DELETE /tstun", true, OCTETS("\x40\x04\x12\x34\xb5tstun"), OCTETS("\x60\x85\x12\x34")},
        {"0.31 /tstun", true, OCTETS("\x40\x1f\x12\x34\xb5tstun"), OCTETS("\x60\x85\x12\x34")},
        {"If-None-Match", true, OCTETS("\x40\x01\x12\x34\x50\x65tstun"),
         OCTETS("\x60\x8c\x12\x34")},
        {"OSCORE", true, OCTETS("\x40\x01\x12\x34\x90\x25tstun"),
         OCTETS("\x60\x82\x12\x34\xffoption 9")},
        {"Hop-Limit 0", true, OCTETS("\x40\x01\x12\x34\xb5tstun\x50"),
         OCTETS("\x60\x80\x12\x34\xffHop-Limit")},
        {"Block2", true, OCTETS("\x40\x01\x12\x34\xb5tstun\xc1\x06"),
         OCTETS("\x60\x45\x12\x34\xc0\xb1\x06\xff"
                "203.0.113.7:4711")},
        {"Block2 of the reserved size", true, OCTETS("\x40\x01\x12\x34\xb5tstun\xc1\x07"),
         OCTETS("\x60\x80\x12\x34\xffreserved block size")},
        {"Block2 of four octets", true, OCTETS("\x40\x01\x12\x34\xb5tstun\xc4\0\0\0\x06"),
         OCTETS("\x60\x82\x12\x34\xffoption 23")},
        {"unknown and critical", true, OCTETS("\x40\x01\x12\x34\xb5tstun\xe0\xfd\xe3"),
         OCTETS("\x60\x82\x12\x34\xffoption 65275")},
        {"Proxy-Uri", true, OCTETS("\x40\x01\x12\x34\xd1\x16x"), OCTETS("\x60\xa5\x12\x34")},
        {"Proxy-Scheme, non-confirmable", true,
         OCTETS("\x50\x01\x12\x34\xd4\x1a"
                "coap"),
         OCTETS("\x50\xa5\x7d\x00")},
        {"ping", false, OCTETS("\x40\x00\x12\x34"), OCTETS(RST)},
        {"response nobody asked for", true, OCTETS("\x40\x45\x12\x34"), OCTETS(RST)},
        {"NON, likewise", true, OCTETS("\x50\x45\x12\x34"), OCTETS(RST)},
        {"class 3", true, OCTETS("\x40\x60\x12\x34"), OCTETS(RST)},
        {"class 1", true, OCTETS("\x40\x20\x12\x34"), OCTETS(RST)},
        {"class 6", true, OCTETS("\x40\xc0\x12\x34"), OCTETS(RST)},
        {"class 7", true, OCTETS("\x40\xe1\x12\x34"), OCTETS(RST)},
        {"token length 9", true,
         OCTETS("\x49\x01\x12\x34"
                "123456789"),
         OCTETS(RST)},
        /* Longer tokens (RFC 8974 section 2.1), which we do not support: a format error to us, and
         * the Reset is what tells the client (section 2.2.2 there). */
        {"token length 13", true, OCTETS("\x4d\x01\x12\x34\x01"
                                         "12345678901234"),
         OCTETS(RST)},
        {"token length 14", true, OCTETS("\x4e\x01\x12\x34\x01\x01"), OCTETS(RST)},
        {"token length 15", true, OCTETS("\x4f\x01\x12\x34"), OCTETS(RST)},
        {"token cut off", true, OCTETS("\x44\x01\x12\x34t"), OCTETS(RST)},
        {"option cut off", true, OCTETS("\x40\x01\x12\x34\xb5tst"), OCTETS(RST)},
        {"marker alone", true, OCTETS("\x40\x01\x12\x34\xff"), OCTETS(RST)},
        {"empty, with payload", true, OCTETS("\x40\x00\x12\x34\xffx"), OCTETS(RST)},
        {"empty, with token", true, OCTETS("\x41\x00\x12\x34t"), OCTETS(RST)},
    };
    struct coap_bench bench;
    coap_bench_open(&bench, 64);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const struct coap_peer *peer = rows[i].secured ? &bench.secured : &bench.plain;
        cr_expect_eq(coap_bench_receive(&bench, peer, i, rows[i].bytes, rows[i].length), COAP_REPLY,
                     "%s", rows[i].name);
        cr_expect(bench.reply_length == rows[i].reply_length &&
                      memcmp(bench.reply, rows[i].reply, rows[i].reply_length) == 0,
                  "%s: %zu octets, %.*s", rows[i].name, bench.reply_length, (int)bench.reply_length,
                  (char *)bench.reply);
    }
    coap_bench_close(&bench);
}

static uint64_t dropped(const struct coap_bench *bench)
{
    return coap_bench_count(bench, WORKER_COAP_DROPPED_VERSION) +
           coap_bench_count(bench, WORKER_COAP_DROPPED_TOKEN) +
           coap_bench_count(bench, WORKER_COAP_DROPPED_MALFORMED) +
           coap_bench_count(bench, WORKER_COAP_DROPPED_OPTION) +
           coap_bench_count(bench, WORKER_COAP_DROPPED_UNEXPECTED);
}

Test(coap, drops_without_a_word_and_counts_why)
{
    static const struct {
        const char *name;
        const char *bytes;
        size_t length;
        enum worker_metric metric;
    } rows[] = {
        {"nothing", OCTETS(""), WORKER_COAP_DROPPED_MALFORMED},
        {"3 octets", OCTETS("\x40\x01\x12"), WORKER_COAP_DROPPED_MALFORMED},
        {"version 0", OCTETS("\x00\x01\x12\x34"), WORKER_COAP_DROPPED_VERSION},
        {"version 2", OCTETS("\x80\x01\x12\x34"), WORKER_COAP_DROPPED_VERSION},
        {"version 3", OCTETS("\xc0\x01\x12\x34"), WORKER_COAP_DROPPED_VERSION},
        {"NON, token length 9", OCTETS("\x59\x01\x12\x34"), WORKER_COAP_DROPPED_TOKEN},
        {"NON, option cut off", OCTETS("\x50\x01\x12\x34\xb5t"), WORKER_COAP_DROPPED_MALFORMED},
        {"NON, marker alone", OCTETS("\x50\x01\x12\x34\xff"), WORKER_COAP_DROPPED_MALFORMED},
        {"NON, empty", OCTETS("\x50\x00\x12\x34"), WORKER_COAP_DROPPED_UNEXPECTED},
        {"NON, empty with payload", OCTETS("\x50\x00\x12\x34\xffx"), WORKER_COAP_DROPPED_MALFORMED},
        {"NON, critical option", OCTETS("\x50\x01\x12\x34\x90\x25tstun"),
         WORKER_COAP_DROPPED_OPTION},
        {"NON, class 1", OCTETS("\x50\x20\x12\x34"), WORKER_COAP_DROPPED_UNEXPECTED},
        {"ACK, request", OCTETS("\x60\x01\x12\x34"), WORKER_COAP_DROPPED_UNEXPECTED},
        {"ACK, response", OCTETS("\x60\x45\x12\x34"), WORKER_COAP_DROPPED_UNEXPECTED},
        {"ACK, class 7", OCTETS("\x60\xe0\x12\x34"), WORKER_COAP_DROPPED_UNEXPECTED},
        {"ACK, token length 9", OCTETS("\x69\x00\x12\x34"), WORKER_COAP_DROPPED_TOKEN},
        {"ACK, empty with token", OCTETS("\x61\x00\x12\x34t"), WORKER_COAP_DROPPED_MALFORMED},
        {"RST, request", OCTETS("\x70\x01\x12\x34"), WORKER_COAP_DROPPED_UNEXPECTED},
        {"RST, response", OCTETS("\x70\x45\x12\x34"), WORKER_COAP_DROPPED_UNEXPECTED},
        {"RST, with payload", OCTETS("\x70\x00\x12\x34\xffx"), WORKER_COAP_DROPPED_MALFORMED},
    };
    struct coap_bench bench;
    coap_bench_open(&bench, 64);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        uint64_t before = coap_bench_count(&bench, rows[i].metric), all = dropped(&bench);
        cr_expect_eq(coap_bench_receive(&bench, &bench.secured, i, rows[i].bytes, rows[i].length),
                     COAP_DROPPED, "%s", rows[i].name);
        cr_expect_eq(coap_bench_count(&bench, rows[i].metric), before + 1, "%s", rows[i].name);
        cr_expect_eq(dropped(&bench), all + 1, "%s", rows[i].name);
    }
    cr_expect_eq(coap_bench_count(&bench, WORKER_COAP_REQUESTS), 0);
    coap_bench_close(&bench);
}

Test(coap, tells_what_a_ping_was_answered_with)
{
    uint8_t ping[8];
    struct writer writer = writer_over(ping, sizeof ping);
    struct coap_bench bench;
    coap_bench_open(&bench, 64);
    coap_write_ping(&writer, 0xabcd);
    cr_assert_eq(writer_length(&writer), 4);
    cr_assert_arr_eq(ping, "\x40\x00\xab\xcd", 4);
    cr_expect_eq(coap_bench_receive(&bench, &bench.secured, 0, OCTETS("\x70\x00\xab\xcd")),
                 COAP_RESET);
    cr_expect_eq(bench.commit.message_id, 0xabcd);
    cr_expect_eq(coap_bench_receive(&bench, &bench.secured, 0, OCTETS("\x60\x00\xab\xce")),
                 COAP_RESET);
    cr_expect_eq(bench.commit.message_id, 0xabce);
    cr_expect_eq(dropped(&bench), 0);
    coap_bench_close(&bench);
}

Test(coap, whoami_over_dtls)
{
    struct coap_bench bench;
    coap_bench_open(&bench, 64);
    cr_assert_eq(coap_bench_ask(&bench, &bench.secured, 0, &(struct ask){.uri = "/whoami"}),
                 COAP_REPLY);
    cr_assert_eq(coap_bench_code(&bench), CODE_CONTENT);
    cr_assert_eq(memcmp(bench.reply + 6, "identity=sensor-7\n", 18), 0);
    cr_assert_eq(coap_bench_count(&bench, WORKER_COAP_REQUESTS), 1);
    coap_bench_close(&bench);
}

Test(coap, a_repeated_post_is_answered_alike_and_done_once)
{
    /* The second message has the first one's id but other contents: were it processed, the reply
     * would show it. */
    static const struct ask first = {.code = CODE_POST, .id = 7, .uri = "/echo", .payload = "one"};
    static const struct ask again = {.code = CODE_POST, .id = 7, .uri = "/echo", .payload = "two"};
    struct coap_bench bench;
    coap_bench_open(&bench, 64);
    const struct coap_peer *peers[] = {&bench.plain, &bench.secured};
    for (size_t i = 0; i < 2; i++) {
        uint8_t reply[COAP_MESSAGE_SIZE_MAX];
        cr_assert_eq(coap_bench_ask(&bench, peers[i], 1000, &first), COAP_REPLY);
        size_t length = bench.reply_length;
        memcpy(reply, bench.reply, length);
        for (uint64_t repeat = 0; repeat < 3; repeat++) {
            cr_assert_eq(
                coap_bench_ask(&bench, peers[i], 1000 + COAP_EXCHANGE_LIFETIME_MS - 1, &again),
                COAP_REPLY);
            cr_assert_eq(bench.reply_length, length);
            cr_assert_arr_eq(bench.reply, reply, length);
        }
        cr_expect_eq(coap_bench_count(&bench, WORKER_COAP_DUPLICATES), 3 * (i + 1));
        cr_expect_eq(coap_bench_count(&bench, WORKER_COAP_REQUESTS), 2 * i + 1);
        cr_assert_eq(coap_bench_ask(&bench, peers[i], 1000 + COAP_EXCHANGE_LIFETIME_MS, &again),
                     COAP_REPLY);
        cr_assert_eq(memcmp(bench.reply + bench.reply_length - 3, "two", 3), 0, "done anew");
        cr_expect_eq(coap_bench_count(&bench, WORKER_COAP_DUPLICATES), 3 * (i + 1));
    }
    coap_bench_close(&bench);
}

Test(coap, the_longest_reply_is_repeated_too)
{
    static const struct ask ask_long = {.code = CODE_POST, .id = 7, .uri = "/echo?rlen=1024"};
    uint8_t reply[COAP_MESSAGE_SIZE_MAX];
    struct coap_bench bench;
    coap_bench_open(&bench, 64);
    cr_assert_eq(coap_bench_ask(&bench, &bench.secured, 0, &ask_long), COAP_REPLY);
    size_t length = bench.reply_length;
    cr_assert_eq(length, 4 + 1 + 1024);
    memcpy(reply, bench.reply, length);
    cr_assert_eq(coap_bench_ask(&bench, &bench.secured, 1, &ask_long), COAP_REPLY);
    cr_assert_eq(bench.reply_length, length);
    cr_assert_arr_eq(bench.reply, reply, length);
    cr_assert_eq(coap_bench_count(&bench, WORKER_COAP_DUPLICATES), 1);
    coap_bench_close(&bench);
}

Test(coap, a_repeated_non_confirmable_post_gets_silence)
{
    static const struct ask post = {
        .type = MESSAGE_NON, .code = CODE_POST, .id = 7, .uri = "/echo", .payload = "one"};
    struct coap_bench bench;
    coap_bench_open(&bench, 64);
    cr_assert_eq(coap_bench_ask(&bench, &bench.secured, 0, &post), COAP_REPLY);
    cr_assert_eq(coap_bench_ask(&bench, &bench.secured, 1, &post), COAP_SILENCE);
    cr_assert_eq(coap_bench_count(&bench, WORKER_COAP_DUPLICATES), 1);
    cr_assert_eq(coap_bench_count(&bench, WORKER_COAP_REQUESTS), 1);
    coap_bench_close(&bench);
}

/* "A Non-confirmable message MUST NOT be acknowledged by the recipient." (RFC 7252 section 4.3) */
Test(coap, a_non_confirmable_repetition_is_not_acknowledged)
{
    struct ask post = {.code = CODE_POST, .id = 7, .uri = "/echo", .payload = "one"};
    struct coap_bench bench;
    coap_bench_open(&bench, 64);
    cr_assert_eq(coap_bench_ask(&bench, &bench.secured, 0, &post), COAP_REPLY);
    post.type = MESSAGE_NON;
    cr_assert_eq(coap_bench_ask(&bench, &bench.secured, 1, &post), COAP_SILENCE);
    coap_bench_close(&bench);
}

Test(coap, remembers_no_more_than_it_may)
{
    enum { MAX = 64, SECURED_MAX = MAX - 2 * (MAX / COAP_EXCHANGES_SHARE) };
    static const struct ask post = {.code = CODE_POST, .id = 7, .uri = "/echo"};
    struct coap_bench bench;
    coap_bench_open(&bench, MAX);
    for (uint64_t id = 1; id <= SECURED_MAX + 1; id++) {
        struct coap_peer peer = bench.secured;
        peer.session_id = id;
        cr_expect_eq(coap_bench_count(&bench, WORKER_COAP_EXCHANGES_EVICTED), 0);
        cr_assert_eq(coap_bench_ask(&bench, &peer, id, &post), COAP_REPLY);
    }
    cr_expect_eq(coap_bench_count(&bench, WORKER_COAP_EXCHANGES_EVICTED), 1);
    coap_bench_close(&bench);
}

Test(coap, safe_methods_and_errors_leave_nothing_behind)
{
    static const struct ask asks[] = {
        {.id = 1, .uri = "/tstun"},
        {.id = 1, .code = CODE_FETCH, .uri = "/tstun"},
        {.id = 2, .code = CODE_POST, .uri = "/nowhere"},
        {.id = 3, .code = CODE_PUT, .uri = "/echo"},
        {.id = 4, .code = CODE_POST, .uri = "/echo", .options = {{OPTION_IF_NONE_MATCH, 0, NULL}}},
    };
    struct coap_bench bench;
    coap_bench_open(&bench, 64);
    for (size_t i = 0; i < 2 * sizeof asks / sizeof *asks; i++)
        cr_expect_eq(coap_bench_ask(&bench, &bench.secured, i, &asks[i / 2]), COAP_REPLY);
    cr_expect_eq(coap_next_ms(bench.coap), UINT64_MAX);
    cr_expect_eq(coap_bench_count(&bench, WORKER_COAP_DUPLICATES), 0);
    coap_bench_close(&bench);
}

Test(coap, forgets_a_session_and_what_expired)
{
    static const struct ask post = {.code = CODE_POST, .id = 7, .uri = "/echo"};
    struct coap_bench bench;
    coap_bench_open(&bench, 64);
    cr_assert_eq(coap_bench_ask(&bench, &bench.secured, 10, &post), COAP_REPLY);
    cr_assert_eq(coap_bench_ask(&bench, &bench.plain, 20, &post), COAP_REPLY);
    cr_expect_eq(coap_next_ms(bench.coap), 10 + COAP_EXCHANGE_LIFETIME_MS);
    coap_forget(bench.coap, bench.secured.session_id);
    cr_expect_eq(coap_next_ms(bench.coap), 20 + COAP_EXCHANGE_LIFETIME_MS);
    cr_assert_eq(coap_bench_ask(&bench, &bench.secured, 30, &post), COAP_REPLY);
    cr_expect_eq(coap_bench_count(&bench, WORKER_COAP_DUPLICATES), 0);
    coap_bench_run(&bench, 20 + COAP_EXCHANGE_LIFETIME_MS);
    cr_expect_eq(coap_next_ms(bench.coap), 30 + COAP_EXCHANGE_LIFETIME_MS);
    coap_bench_close(&bench);
}

Test(coap, a_flood_of_plain_coap_pushes_out_no_session)
{
    enum { MAX = 64 };
    static const struct ask post = {.code = CODE_POST, .id = 7, .uri = "/echo"};
    struct coap_bench bench;
    coap_bench_open(&bench, MAX);
    cr_assert_eq(coap_bench_ask(&bench, &bench.secured, 0, &post), COAP_REPLY);
    for (uint16_t port = 1; port <= 10 * MAX; port++) {
        struct coap_peer peer = bench.plain;
        peer.path.address.port = port;
        cr_assert_eq(coap_bench_ask(&bench, &peer, port, &post), COAP_REPLY);
    }
    cr_expect_eq(coap_bench_count(&bench, WORKER_COAP_EXCHANGES_EVICTED),
                 10 * MAX - MAX / COAP_EXCHANGES_SHARE);
    cr_expect_eq(coap_bench_count(&bench, WORKER_COAP_DUPLICATES), 0);
    cr_assert_eq(coap_bench_ask(&bench, &bench.secured, 1000, &post), COAP_REPLY);
    cr_expect_eq(coap_bench_count(&bench, WORKER_COAP_DUPLICATES), 1);
    coap_bench_close(&bench);
}

/* A request of 18 octets may be answered with 3 * (18 + 28) - 28 = 110: 5 and 105 of payload. */
Test(coap, plain_coap_does_not_amplify)
{
    static const char *const uris[] = {
        "/echo?rlen=70",
        "/echo?rlen=105",
        "/echo?rlen=106",
        "/echo?rlen=1024",
    };
    struct coap_bench bench;
    coap_bench_open(&bench, 64);
    for (uint16_t i = 0; i < sizeof uris / sizeof *uris; i++) {
        struct ask post = {.code = CODE_POST, .id = i, .uri = uris[i]};
        uint8_t bytes[64];
        size_t request = ask_write(&post, bytes, sizeof bytes);
        cr_expect_eq(coap_bench_ask(&bench, &bench.secured, 0, &post), COAP_REPLY);
        cr_expect_eq(coap_bench_code(&bench), CODE_CHANGED, "DTLS has shown the address");
        bool within =
            bench.reply_length + COAP_PLAIN_OVERHEAD <= 3 * (request + COAP_PLAIN_OVERHEAD);
        cr_expect_eq(coap_bench_ask(&bench, &bench.plain, 0, &post), COAP_REPLY);
        cr_expect_eq(coap_bench_code(&bench), within ? CODE_CHANGED : CODE_UNAUTHORIZED, "%s",
                     uris[i]);
        cr_expect_leq(bench.reply_length + COAP_PLAIN_OVERHEAD,
                      3 * (request + COAP_PLAIN_OVERHEAD));
        cr_expect_eq(within, i < 2, "%s", uris[i]);
    }
    coap_bench_close(&bench);
}

/* The requests that the plain side is for fit, whoever asks. */
Test(coap, plain_tstun_fits_in_each_format)
{
    static const struct ask asks[] = {
        {.uri = "/tstun"},
        {.uri = "/tstun", .has_accept = true, .accept = FORMAT_JSON},
        {.uri = "/tstun", .has_accept = true, .accept = FORMAT_CBOR},
        {.uri = "/.well-known/core"},
    };
    struct coap_bench bench;
    coap_bench_open(&bench, 64);
    cr_assert_eq(
        address_parse(&bench.plain.path.address, "[2001:db8:1111:2222:3333:4444:5555:6666]:65535"),
        STATUS_OK);
    for (size_t i = 0; i < sizeof asks / sizeof *asks; i++) {
        cr_expect_eq(coap_bench_ask(&bench, &bench.plain, 0, &asks[i]), COAP_REPLY);
        cr_expect_eq(coap_bench_code(&bench), CODE_CONTENT, "row %zu", i);
    }
    coap_bench_close(&bench);
}

Test(coap, refuses_what_is_too_large)
{
    static const uint8_t payload[DATAGRAM_SIZE_MAX - 64];
    struct ask post = {.code = CODE_POST, .id = 1, .uri = "/echo", .payload = payload};
    struct coap_bench bench;
    coap_bench_open(&bench, 64);
    post.payload_length = COAP_MESSAGE_SIZE_MAX - 4 - 5 - 1;
    cr_expect_eq(coap_bench_ask(&bench, &bench.secured, 0, &post), COAP_REPLY);
    cr_expect_eq(coap_bench_code(&bench), CODE_CHANGED);
    post.payload_length++;
    post.id++;
    cr_expect_eq(coap_bench_ask(&bench, &bench.secured, 0, &post), COAP_REPLY);
    cr_expect_eq(coap_bench_code(&bench), CODE_TOO_LARGE);
    post.payload_length = sizeof payload;
    cr_expect_eq(coap_bench_ask(&bench, &bench.secured, 0, &post), COAP_REPLY);
    cr_expect_eq(coap_bench_code(&bench), CODE_TOO_LARGE);
    coap_bench_close(&bench);
}
