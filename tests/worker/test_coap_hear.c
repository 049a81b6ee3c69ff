#include "tests/worker/coap_bench.h"
#include "worker/coap_endpoint.h"

#include <criterion/criterion.h>
#include <string.h>

#define OCTETS(text) text, sizeof(text) - 1
#define RST "\x70\x00\x12\x34"
#define ACK "\x60\x00\x12\x34"

/* One who waits for responses with tokens "t", "l" (to be acknowledged later) and "c" (of which it
 * does not recognize a critical option). */
struct listener {
    char heard[64]; /* of each response taken: its token and payload */
    enum transmission_outcome outcome;
    uint64_t key;
    size_t settled;
    uint16_t non_id; /* of a non-confirmable message of its own */
};

static struct coap_bench bench;
static struct listener listener;

static enum coap_heard hear(void *owner, const struct coap_peer *peer, struct coap_now now,
                            const struct message *response)
{
    struct listener *to = owner;
    (void)now;
    if (peer->session_id != 1 || response->token_length != 1)
        return COAP_HEARD_UNKNOWN;
    switch (response->token[0]) {
    case 't':
    case 'l':
        strncat(to->heard, (const char *)response->token, 1);
        strncat(to->heard, response->payload ? (const char *)response->payload : "-",
                response->payload ? response->payload_length : 1);
        return response->token[0] == 't' ? COAP_HEARD : COAP_HEARD_LATER;
    case 'c':
        return COAP_HEARD_REJECTED;
    default:
        return COAP_HEARD_UNKNOWN;
    }
}

static void settle(void *owner, const struct transmission_report *report)
{
    struct listener *to = owner;
    cr_assert_eq(report->kind, TRANSMISSION_REQUEST);
    to->outcome = report->outcome;
    to->key = report->key;
    to->settled++;
}

static bool take_reset(void *owner, const struct coap_peer *peer, uint16_t message_id)
{
    const struct listener *to = owner;
    return peer->session_id == 1 && message_id == to->non_id;
}

static void begin(void)
{
    const struct coap_party party = {
        .owner = &listener, .settled = settle, .hear = hear, .reset = take_reset};
    memset(&listener, 0, sizeof listener);
    coap_bench_open(&bench, 64);
    coap_join(bench.coap, TRANSMISSION_REQUEST, &party);
}

static void end(void)
{
    coap_bench_close(&bench);
}

TestSuite(coap_hear, .init = begin, .fini = end);

static enum coap_outcome receive(uint64_t now_ms, const char *bytes, size_t length)
{
    return coap_bench_receive(&bench, &bench.secured, now_ms, bytes, length);
}

/* A confirmable GET with token "t"; its id is COAP_BENCH_MESSAGE_ID and on. */
static void request(uint64_t now_ms)
{
    uint8_t space[16];
    struct writer writer = writer_over(space, sizeof space);
    struct message_builder builder;
    message_begin(&builder, &writer, MESSAGE_CON, CODE_GET,
                  coap_message_id(bench.coap, &bench.secured), (const uint8_t *)"t", 1);
    transmission_send(&bench.coap->transmissions, &bench.secured, TRANSMISSION_REQUEST, 77,
                      (struct octets){space, writer_length(&writer)}, now_ms);
}

Test(coap_hear, each_type_gets_what_rfc_7252_says)
{
    static const struct {
        const char *rule;
        const char *bytes;
        size_t length;
        enum coap_outcome outcome;
        const char *reply; /* 4 octets; NULL: none */
        const char *heard;
    } rows[] = {
        {"section 4.2: \"The Acknowledgement message MUST echo the Message ID of the Confirmable "
         "message\"",
         OCTETS("\x41\x45\x12\x34t\xffhi"), COAP_REPLY, ACK, "thi"},
        {"section 4.3: \"A Non-confirmable message MUST NOT be acknowledged by the recipient.\"",
         OCTETS("\x51\x45\x12\x34t\xffhi"), COAP_SILENCE, NULL, "thi"},
        {"an error is a response too", OCTETS("\x41\x84\x12\x34t"), COAP_REPLY, ACK, "t-"},
        {"section 5.3.2: \"In case a message carrying a response is unexpected (the client is not "
         "waiting for a response from the identified endpoint, at the endpoint addressed, and/or "
         "with the given token), the response is rejected\"",
         OCTETS("\x41\x45\x12\x34x\xffhi"), COAP_REPLY, RST, ""},
        {"likewise", OCTETS("\x51\x45\x12\x34x\xffhi"), COAP_REPLY, RST, ""},
        {"without a token", OCTETS("\x40\x45\x12\x34\xffhi"), COAP_REPLY, RST, ""},
        {"a longer token", OCTETS("\x42\x45\x12\x34tt\xffhi"), COAP_REPLY, RST, ""},
        {"section 5.4.1: \"Unrecognized options of class \"critical\" that occur in a Confirmable "
         "response, or piggybacked in an Acknowledgement, MUST cause the response to be rejected\"",
         OCTETS("\x41\x45\x12\x34"
                "c"),
         COAP_REPLY, RST, ""},
        {"an ACK for nothing", OCTETS("\x61\x45\x12\x34t\xffhi"), COAP_DROPPED, NULL, ""},
        {"section 4.2: a Reset \"MUST be Empty\"", OCTETS("\x71\x45\x12\x34t\xffhi"), COAP_DROPPED,
         NULL, ""},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        end();
        begin();
        /* "SHOULD process any request or response in the message only once." (section 4.5) */
        for (uint64_t now_ms = 0; now_ms < 2000; now_ms += 1000) {
            cr_expect_eq(receive(now_ms, rows[i].bytes, rows[i].length),
                         now_ms > 0 && rows[i].outcome == COAP_SILENCE ? COAP_SILENCE
                                                                       : rows[i].outcome,
                         "%s", rows[i].rule);
            cr_expect_eq(bench.reply_length, rows[i].reply ? 4 : 0, "%s", rows[i].rule);
            if (rows[i].reply)
                cr_expect_arr_eq(bench.reply, rows[i].reply, 4, "%s", rows[i].rule);
        }
        cr_expect_str_eq(listener.heard, rows[i].heard, "%s: %s", rows[i].rule, listener.heard);
        cr_expect_eq(bench.sent_count, 0);
    }
}

/* DESIGN.md section 7, invariant 2: the ACK of a confirmable notification leaves once it is stored.
 */
Test(coap_hear, an_ack_waits_for_the_store)
{
    struct message message;
    cr_assert_eq(receive(0, OCTETS("\x41\x45\x12\x34l\xff"
                                   "1")),
                 COAP_SILENCE);
    cr_assert_eq(receive(100, OCTETS("\x41\x45\x12\x34l\xff"
                                     "1")),
                 COAP_SILENCE, "a repetition waits too");
    coap_acknowledge(bench.coap, &bench.secured, 0x1234, COAP_STORED);
    cr_expect_arr_eq(coap_bench_take(&bench, &message)->bytes, ACK, 4);
    cr_assert_eq(receive(200, OCTETS("\x41\x45\x12\x34l\xff"
                                     "1")),
                 COAP_REPLY);
    cr_expect_arr_eq(bench.reply, ACK, 4);
    cr_expect_str_eq(listener.heard, "l1", "once");
    coap_acknowledge(bench.coap, &bench.secured, 0x1234, COAP_STORED);
    cr_expect_eq(bench.sent_count, 0, "nobody waits");
}

Test(coap_hear, what_was_not_stored_is_heard_anew)
{
    cr_assert_eq(receive(0, OCTETS("\x41\x45\x12\x34l")), COAP_SILENCE);
    coap_acknowledge(bench.coap, &bench.secured, 0x1234, COAP_NOT_STORED);
    cr_assert_eq(receive(2000, OCTETS("\x41\x45\x12\x34l")), COAP_SILENCE);
    cr_expect_str_eq(listener.heard, "l-l-");
    cr_expect_eq(bench.sent_count, 0);
}

Test(coap_hear, a_non_confirmable_one_is_never_acknowledged)
{
    cr_assert_eq(receive(0, OCTETS("\x51\x45\x12\x34l")), COAP_SILENCE);
    coap_acknowledge(bench.coap, &bench.secured, 0x1234, COAP_STORED);
    cr_assert_eq(receive(100, OCTETS("\x51\x45\x12\x34l")), COAP_SILENCE);
    cr_expect_str_eq(listener.heard, "l-");
    cr_expect_eq(bench.sent_count, 0);
}

/* "In a piggybacked response, the Message ID of the Confirmable request and the Acknowledgement
 * MUST match, and the tokens of the response and original request MUST match." (RFC 7252
 * section 5.3.2)
 */
Test(coap_hear, a_piggybacked_response_matches_id_and_token)
{
    request(0);
    cr_assert_eq(bench.sent_count, 1);
    cr_expect_eq(receive(10, OCTETS("\x61\x45\x7d\x01t\xffhi")), COAP_DROPPED, "another id");
    cr_expect_eq(receive(20, OCTETS("\x61\x45\x7d\x00x\xffhi")), COAP_DROPPED, "another token");
    cr_expect_eq(listener.settled, 0, "neither acknowledges");
    coap_bench_run(&bench, 3000);
    cr_expect_eq(bench.sent_count, 2);
    cr_expect_eq(receive(3010, OCTETS("\x61\x45\x7d\x00t\xffhi")), COAP_SILENCE);
    cr_expect_eq(listener.settled, 1);
    cr_expect_eq(listener.outcome, TRANSMISSION_ACKED);
    cr_expect_eq(listener.key, 77);
    cr_expect_str_eq(listener.heard, "thi");
    cr_expect_eq(receive(3020, OCTETS("\x61\x45\x7d\x00t\xffhi")), COAP_DROPPED, "a repetition");
    cr_expect_str_eq(listener.heard, "thi");
    cr_expect_eq(coap_bench_count(&bench, WORKER_COAP_RESPONSES), 1);
    cr_expect_eq(coap_bench_count(&bench, WORKER_COAP_DROPPED_UNEXPECTED), 3);
}

Test(coap_hear, a_separate_response_follows_an_empty_ack)
{
    request(0);
    cr_expect_eq(receive(10, OCTETS("\x60\x00\x7d\x00")), COAP_SILENCE);
    cr_expect_eq(listener.outcome, TRANSMISSION_ACKED);
    cr_expect_eq(receive(5000, OCTETS("\x41\x45\x12\x34t\xffhi")), COAP_REPLY);
    cr_expect_arr_eq(bench.reply, ACK, 4);
    cr_expect_str_eq(listener.heard, "thi");
}

Test(coap_hear, a_reset_ends_a_request)
{
    request(0);
    cr_expect_eq(receive(10, OCTETS("\x70\x00\x7d\x00")), COAP_SILENCE);
    cr_expect_eq(listener.outcome, TRANSMISSION_RESET);
    cr_expect_eq(listener.settled, 1);
}

Test(coap_hear, a_reset_of_a_non_confirmable_message_finds_its_sender)
{
    listener.non_id = 0x4321;
    cr_expect_eq(receive(0, OCTETS("\x70\x00\x43\x21")), COAP_SILENCE);
    cr_expect_eq(receive(0, OCTETS("\x60\x00\x43\x21")), COAP_RESET, "an ACK is none");
    cr_expect_eq(receive(0, OCTETS("\x70\x00\x43\x22")), COAP_RESET, "the path check's, maybe");
}

Test(coap_hear, a_session_that_goes_takes_its_requests_along)
{
    request(0);
    request(0);
    receive(0, OCTETS("\x41\x45\x12\x34t\xffhi"));
    coap_forget(bench.coap, bench.secured.session_id);
    cr_expect_eq(listener.settled, 2);
    cr_expect_eq(listener.outcome, TRANSMISSION_CANCELLED);
    cr_expect_eq(coap_next_ms(bench.coap), UINT64_MAX);
    coap_bench_run(&bench, 100000);
    cr_expect_eq(bench.sent_count, 1);
}

/* What a device says pushes out nothing of what it was answered. */
Test(coap_hear, a_storm_of_responses_leaves_requests_remembered)
{
    const struct ask post = {.code = CODE_POST, .id = 1, .uri = "/echo", .payload = "once"};
    cr_assert_eq(coap_bench_ask(&bench, &bench.secured, 0, &post), COAP_REPLY);
    for (unsigned i = 0; i < 1000; i++) {
        const uint8_t bytes[] = {0x51, CODE_CONTENT, (uint8_t)(i >> 8), (uint8_t)i, 'c' + (i & 1)};
        coap_bench_receive(&bench, &bench.secured, 1, bytes, sizeof bytes);
    }
    struct ask other = post;
    other.payload = "twice";
    cr_assert_eq(coap_bench_ask(&bench, &bench.secured, 2, &other), COAP_REPLY);
    cr_expect_arr_eq(bench.reply + bench.reply_length - 4, "once", 4);
}

Test(coap_hear, without_room_a_response_is_dropped_and_counted)
{
    for (unsigned i = 0; i < COAP_EXCHANGES_PER_PEER_MAX; i++) {
        const uint8_t bytes[] = {0x41, CODE_CONTENT, 0, (uint8_t)i, 'l'};
        cr_assert_eq(coap_bench_receive(&bench, &bench.secured, 1, bytes, sizeof bytes),
                     COAP_SILENCE);
    }
    cr_expect_eq(receive(2, OCTETS("\x41\x45\x12\x34l")), COAP_DROPPED);
    cr_expect_eq(coap_bench_count(&bench, WORKER_COAP_DROPPED_NO_ROOM), 1);
}
