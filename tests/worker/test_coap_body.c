#include "tests/worker/coap_bench.h"
#include "worker/block.h"
#include "worker/session.h"

#include <criterion/criterion.h>
#include <string.h>

static struct coap_bench bench;
static struct message reply;
static uint8_t sent[COAP_BODY_MAX + 1024];
static uint8_t got[COAP_BODY_MAX];
static size_t got_length;
static uint16_t next_id;

static void init(void)
{
    coap_bench_open(&bench, 4096);
    next_id = 1;
    got_length = 0;
    for (size_t i = 0; i < sizeof sent; i++)
        sent[i] = (uint8_t)('a' + i % 23);
}

static void fini(void)
{
    coap_bench_close(&bench);
}

TestSuite(coap_body, .init = init, .fini = fini);

/* A request with a message id of its own, unless it has one; parses the reply. */
static uint8_t ask_as(const struct coap_peer *peer, struct ask ask, uint64_t now_ms)
{
    if (ask.id == 0)
        ask.id = next_id++;
    cr_assert_eq(coap_bench_ask(&bench, peer, now_ms, &ask), COAP_REPLY);
    cr_assert_eq(message_parse(&reply, bench.reply, bench.reply_length), MESSAGE_OK);
    return reply.code;
}

/* Adds an option with this value, in octets that last until the next 16. */
static void add(struct ask *ask, uint16_t number, uint32_t value)
{
    static uint8_t octets[16][4];
    static size_t next;
    uint8_t *at = octets[next++ % 16];
    struct writer writer = writer_over(at, 4);
    size_t length = value > 0xffff ? 3 : value > 0xff ? 2 : value > 0;
    writer_number(&writer, value, length);
    size_t i = 0;
    while (ask->options[i].number != 0)
        i++;
    ask->options[i] = (struct message_option){number, (uint16_t)length, at};
}

/* POST of one block of `sent`. */
static uint8_t post_block(const char *uri, uint32_t number, bool more, uint8_t szx, size_t length)
{
    const struct block block = {number, more, szx};
    struct ask ask = {.code = CODE_POST,
                      .uri = uri,
                      .payload = length > 0 ? sent + block_offset(&block) : NULL,
                      .payload_length = length};
    add(&ask, OPTION_BLOCK1, block_value(&block));
    return ask_as(&bench.secured, ask, 0);
}

/* The same for what asks for a block of the reply. */
static uint8_t ask_block(uint8_t code, const char *uri, uint32_t number, uint8_t szx)
{
    struct ask ask = {.code = code, .uri = uri};
    const struct block block = {.number = number, .szx = szx};
    add(&ask, OPTION_BLOCK2, block_value(&block));
    return ask_as(&bench.secured, ask, 0);
}

static const struct message_option *option_of(uint16_t number)
{
    for (size_t i = 0; i < reply.option_count; i++) {
        if (reply.options[i].number == number)
            return &reply.options[i];
    }
    return NULL;
}

static void expect_number(uint16_t number, uint32_t value)
{
    const struct message_option *option = option_of(number);
    cr_assert_not_null(option, "option %u", number);
    cr_expect_eq(message_option_number(option), value, "option %u", number);
}

static void expect_block(uint16_t number, uint32_t num, bool more, uint8_t szx)
{
    const struct block block = {num, more, szx};
    expect_number(number, block_value(&block));
}

/* All blocks of `length` octets to /echo; the code of the last reply. */
static uint8_t post_all(size_t length, uint8_t szx)
{
    uint32_t number = 0;
    size_t size = block_size(szx), left = length;
    for (; left > size; left -= size, number++) {
        cr_assert_eq(post_block("/echo", number, true, szx, size), CODE_CONTINUE, "%u", number);
        expect_block(OPTION_BLOCK1, number, true, szx);
        cr_assert_eq(reply.payload_length, 0);
    }
    uint8_t code = post_block("/echo", number, false, szx, left);
    expect_block(OPTION_BLOCK1, number, false, szx);
    return code;
}

/* Appends the reply's payload to `got`. */
static void get_part(void)
{
    cr_assert_leq(got_length + reply.payload_length, sizeof got);
    memcpy(got + got_length, reply.payload, reply.payload_length);
    got_length += reply.payload_length;
}

static void expect_got(size_t length)
{
    cr_assert_eq(got_length, length);
    cr_expect_eq(memcmp(got, sent, length), 0);
}

/* "all success responses to non-final blocks carry the response code 2.31" (RFC 7959 section 2.5)
 */
Test(coap_body, gathers_a_request)
{
    for (uint8_t szx = 0; szx <= BLOCK_SZX_MAX; szx++) {
        got_length = 0;
        cr_assert_eq(post_all(1000, szx), CODE_CHANGED);
        get_part();
        expect_got(1000);
    }
    cr_expect_eq(coap_bench_count(&bench, WORKER_COAP_BODIES_IN), BLOCK_SZX_MAX);
}

/* Figures 8 to 11 of RFC 7959 by turns: the last block's reply is the first of its own blocks. */
Test(coap_body, combines_both_directions)
{
    cr_assert_eq(post_all(COAP_BODY_MAX, 6), CODE_CHANGED);
    expect_block(OPTION_BLOCK2, 0, true, 6);
    expect_number(OPTION_SIZE2, COAP_BODY_MAX);
    cr_assert_not_null(option_of(OPTION_ETAG));
    uint8_t etag[8];
    memcpy(etag, option_of(OPTION_ETAG)->value, sizeof etag);
    get_part();
    for (uint32_t i = 1; i < 16; i++) {
        cr_assert_eq(ask_block(CODE_POST, "/echo", i, 6), CODE_CHANGED, "%u", i);
        expect_block(OPTION_BLOCK2, i, i < 15, 6);
        cr_assert_null(option_of(OPTION_BLOCK1));
        cr_assert_eq(memcmp(option_of(OPTION_ETAG)->value, etag, sizeof etag), 0);
        get_part();
    }
    expect_got(COAP_BODY_MAX);
    cr_expect_eq(coap_bench_count(&bench, WORKER_COAP_BODIES_OUT), 1);
    cr_expect_eq(ask_block(CODE_POST, "/echo", 15, 6), CODE_INCOMPLETE, "it has left");
}

Test(coap_body, takes_the_size_that_the_client_wants)
{
    struct ask ask = {.code = CODE_POST, .uri = "/echo", .payload = sent, .payload_length = 100};
    add(&ask, OPTION_BLOCK2, 1); /* 0/0/32 */
    add(&ask, OPTION_SIZE2, 0);
    cr_assert_eq(ask_as(&bench.secured, ask, 0), CODE_CHANGED);
    expect_block(OPTION_BLOCK2, 0, true, 1);
    expect_number(OPTION_SIZE2, 100);
    get_part();
    cr_assert_eq(got_length, 32);
    for (uint32_t i = 1; i < 4; i++) {
        cr_assert_eq(ask_block(CODE_POST, "/echo", i, 1), CODE_CHANGED);
        get_part();
    }
    expect_got(100);
}

static const uint8_t reserved[] = {7};

/* One message, and what it gets; after two blocks of 64 to /echo. */
Test(coap_body, refuses_what_does_not_continue_it)
{
    static const struct {
        const char *name;
        const char *uri;
        struct block block;
        size_t length;
        uint8_t code;
    } rows[] = {
        {"out of order", "/echo", {3, true, 2}, 64, CODE_INCOMPLETE},
        {"the last, one left out", "/echo", {3, false, 2}, 1, CODE_INCOMPLETE},
        {"overlapping", "/echo", {1, true, 2}, 64, CODE_INCOMPLETE},
        {"a size that grows", "/echo", {1, true, 3}, 128, CODE_INCOMPLETE},
        {"past the end", "/echo", {200, false, 2}, 1, CODE_INCOMPLETE},
        {"past the limit", "/echo", {256, false, 2}, 1, CODE_TOO_LARGE},
        {"too short", "/echo", {2, true, 2}, 63, CODE_BAD_REQUEST},
        {"too long", "/echo", {2, false, 2}, 65, CODE_BAD_REQUEST},
        {"another resource", "/events", {2, false, 2}, 1, CODE_INCOMPLETE},
        {"another query", "/echo?rlen=1", {2, false, 2}, 1, CODE_INCOMPLETE},
        {"no resource", "/ech", {2, false, 2}, 1, CODE_NOT_FOUND},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        cr_assert_eq(post_block("/echo", 0, true, 2, 64), CODE_CONTINUE);
        cr_assert_eq(post_block("/echo", 1, true, 2, 64), CODE_CONTINUE);
        cr_expect_eq(post_block(rows[i].uri, rows[i].block.number, rows[i].block.more,
                                rows[i].block.szx, rows[i].length),
                     rows[i].code, "%s", rows[i].name);
    }
    cr_expect_eq(coap_bench_count(&bench, WORKER_COAP_BLOCKS_MISSIZED), 2);
    cr_expect_eq(coap_bench_count(&bench, WORKER_COAP_BLOCKS_TOO_LARGE), 1);
    cr_expect_eq(coap_bench_count(&bench, WORKER_COAP_BLOCKS_INCOMPLETE), 7);
}

/* "The value 7 for SZX [...] MUST lead to a 4.00 Bad Request response code upon reception in a
 * request." (RFC 7959 section 2.2) */
Test(coap_body, refuses_the_reserved_size)
{
    static const uint16_t numbers[] = {OPTION_BLOCK1, OPTION_BLOCK2};
    for (size_t i = 0; i < 2; i++) {
        struct ask ask = {
            .code = CODE_POST, .uri = "/echo", .options = {{numbers[i], 1, reserved}}};
        cr_expect_eq(ask_as(&bench.secured, ask, 0), CODE_BAD_REQUEST);
    }
}

/* "The response SHOULD include a Size1 Option" (RFC 7252 section 5.9.2.9) */
Test(coap_body, refuses_early_what_is_too_large)
{
    struct ask ask = {.code = CODE_POST, .uri = "/echo", .payload = sent, .payload_length = 64};
    add(&ask, OPTION_BLOCK1, 0x0a); /* 0/1/64 */
    add(&ask, OPTION_SIZE1, COAP_BODY_MAX + 1);
    cr_expect_eq(ask_as(&bench.secured, ask, 0), CODE_TOO_LARGE);
    expect_number(OPTION_SIZE1, COAP_BODY_MAX);
    expect_block(OPTION_BLOCK1, 0, true, 2);
    for (uint32_t i = 0; i < 15; i++)
        cr_assert_eq(post_block("/echo", i, true, 6, 1024), CODE_CONTINUE);
    cr_expect_eq(post_block("/echo", 15, true, 6, 1024), CODE_TOO_LARGE, "more is to come");
    expect_number(OPTION_SIZE1, COAP_BODY_MAX);
}

/* "a 4.13 response to a request that does not employ Block1 is a hint for the client to try sending
 * Block1" (RFC 7959 section 2.5) */
Test(coap_body, hints_at_blocks)
{
    struct ask ask = {.code = CODE_POST, .uri = "/echo", .payload = sent, .payload_length = 1300};
    cr_expect_eq(ask_as(&bench.secured, ask, 0), CODE_TOO_LARGE);
    expect_block(OPTION_BLOCK1, 0, false, 6);
    ask.uri = "/events";
    ask.payload_length = EVENT_PAYLOAD_MAX + 1;
    cr_expect_eq(ask_as(&bench.secured, ask, 0), CODE_TOO_LARGE);
    expect_number(OPTION_SIZE1, EVENT_PAYLOAD_MAX);
    cr_expect_null(option_of(OPTION_BLOCK1), "blocks would not help");
    cr_expect_eq(reply.payload_length, strlen("at most 1024 octets"));
}

Test(coap_body, stores_an_event_once_and_whole)
{
    for (uint32_t i = 0; i < 7; i++)
        cr_assert_eq(post_block("/events", i, true, 3, 128), CODE_CONTINUE, "nothing is stored");
    struct ask last = {.code = CODE_POST,
                       .id = 77,
                       .uri = "/events",
                       .payload = sent + 7 * 128,
                       .payload_length = 128};
    add(&last, OPTION_BLOCK1, 0x73); /* 7/0/128 */
    cr_assert_eq(coap_bench_ask(&bench, &bench.secured, 0, &last), COAP_COMMIT);
    cr_assert_not_null(
        memmem(bench.commit.event.bytes, bench.commit.event.length, sent, EVENT_PAYLOAD_MAX),
        "all of it");
    cr_expect_eq(coap_bench_ask(&bench, &bench.secured, 0, &last), COAP_SILENCE);
    cr_assert_eq(coap_bench_commit(&bench, 77, COAP_STORED, 0), COAP_REPLY);
    cr_expect_eq(coap_bench_code(&bench), CODE_CHANGED);
    cr_expect_eq(coap_bench_ask(&bench, &bench.secured, 0, &last), COAP_REPLY);
    cr_expect_eq(coap_bench_code(&bench), CODE_CHANGED, "repeated");
}

Test(coap_body, refuses_early_an_event_that_is_too_large)
{
    for (uint32_t i = 0; i < 7; i++)
        cr_assert_eq(post_block("/events", i, true, 3, 128), CODE_CONTINUE);
    cr_expect_eq(post_block("/events", 7, true, 3, 128), CODE_TOO_LARGE);
    expect_number(OPTION_SIZE1, EVENT_PAYLOAD_MAX);
}

Test(coap_body, takes_no_block_twice)
{
    cr_assert_eq(post_block("/echo", 0, true, 2, 64), CODE_CONTINUE);
    struct ask second = {
        .code = CODE_POST, .id = 50, .uri = "/echo", .payload = sent + 64, .payload_length = 64};
    add(&second, OPTION_BLOCK1, 0x1a); /* 1/1/64 */
    for (int i = 0; i < 3; i++)
        cr_assert_eq(ask_as(&bench.secured, second, 0), CODE_CONTINUE);
    cr_assert_eq(post_block("/echo", 2, false, 2, 10), CODE_CHANGED);
    get_part();
    expect_got(138);
}

/* "The Request-Tag option [...] identifies a request body": two at once, of one resource. */
Test(coap_body, tells_bodies_apart_by_request_tag)
{
    static const uint8_t tags[] = {'a', 'b'};
    for (uint32_t number = 0; number < 3; number++) {
        for (size_t i = 0; i < 2; i++) {
            uint8_t payload[64];
            memset(payload, tags[i], sizeof payload);
            struct ask ask = {.code = CODE_POST,
                              .uri = "/echo",
                              .payload = payload,
                              .payload_length = sizeof payload,
                              .options = {{OPTION_REQUEST_TAG, 1, &tags[i]}}};
            add(&ask, OPTION_BLOCK1, number << 4 | (uint32_t)(number < 2) << 3 | 2);
            cr_assert_eq(ask_as(&bench.secured, ask, 0), number < 2 ? CODE_CONTINUE : CODE_CHANGED);
            for (size_t j = 0; j < reply.payload_length; j++)
                cr_assert_eq(reply.payload[j], tags[i]);
        }
    }
    cr_expect_eq(reply.payload_length, 192);
}

Test(coap_body, cuts_what_can_be_had_again)
{
    struct ask ask = {.uri = "/.well-known/core"};
    cr_assert_eq(ask_as(&bench.secured, ask, 0), CODE_CONTENT);
    cr_assert_null(option_of(OPTION_BLOCK2), "it fits");
    memcpy(sent, reply.payload, reply.payload_length);
    size_t length = reply.payload_length;
    uint32_t blocks = (uint32_t)((length + 15) / 16);
    for (uint32_t i = 0; i < blocks; i++) {
        cr_assert_eq(ask_block(CODE_GET, "/.well-known/core", i, 0), CODE_CONTENT);
        expect_block(OPTION_BLOCK2, i, i + 1 < blocks, 0);
        cr_assert_not_null(option_of(OPTION_ETAG));
        cr_assert_eq(option_of(OPTION_SIZE2) != NULL, i == 0);
        get_part();
    }
    expect_got(length);
    cr_expect_eq(ask_block(CODE_GET, "/.well-known/core", blocks, 0), CODE_BAD_REQUEST);
    cr_expect_null(option_of(OPTION_BLOCK2));
    coap_bench_run(&bench, 0);
    cr_expect_eq(coap_bench_count(&bench, WORKER_COAP_TRANSFERS), 0, "nothing is kept");
}

/* "A server MUST use the block size indicated or a smaller size." (RFC 7959 section 2.4) A peer
 * that changes its address with each packet is sent what three times its request allows. */
Test(coap_body, suits_a_peer_that_moves_with_each_packet)
{
    const struct coap_peer *peer = &bench.secured;
    peer->session->restless = true;
    struct ask ask = {.code = CODE_POST, .uri = "/echo", .payload = sent, .payload_length = 1000};
    cr_assert_eq(ask_as(peer, ask, 0), CODE_CHANGED);
    cr_assert_not_null(option_of(OPTION_BLOCK2));
    cr_expect_leq(reply.payload_length, 64);
    cr_expect_leq(bench.reply_length, 3 * (4 + 5 + 29) - 29, "as if the payload had not come");
    peer->session->restless = false;
    cr_assert_eq(ask_as(peer, ask, 0), CODE_CHANGED);
    cr_expect_null(option_of(OPTION_BLOCK2));
}

/* /whoami tells the address of whoever asks, which is another for each block. */
Test(coap_body, a_state_that_does_not_stay_is_one_in_all_its_blocks)
{
    struct session *session = bench.secured.session;
    session->restless = true;
    session->address_changes = 7;
    cr_assert_eq(ask_as(&bench.secured, (struct ask){.code = CODE_GET, .uri = "/whoami"}, 0),
                 CODE_CONTENT);
    struct block block;
    cr_assert_eq(block_read(&block, &reply, OPTION_BLOCK2), BLOCK_FOUND);
    cr_assert(block.more);
    char whole[512] = "";
    for (uint32_t number = 0;; number++) {
        strncat(whole, (const char *)reply.payload, reply.payload_length);
        if (!block.more)
            break;
        session->address_changes++;
        cr_assert_eq(ask_block(CODE_GET, "/whoami", number + 1, block.szx), CODE_CONTENT);
        cr_assert_eq(block_read(&block, &reply, OPTION_BLOCK2), BLOCK_FOUND);
    }
    const char *changes = strstr(whole, "address_changes=");
    cr_assert_not_null(changes);
    cr_expect_str_eq(changes, "address_changes=7\n");
    cr_expect_eq(strncmp(whole, "identity=sensor-7\n", 18), 0);

    uint32_t last = block.number;
    cr_assert_eq(ask_block(CODE_GET, "/whoami", last, block.szx), CODE_CONTENT, "it was lost");
    cr_expect_not_null(strstr(whole, "address_changes=7"));
    cr_assert_eq(ask_as(&bench.secured, (struct ask){.code = CODE_GET, .uri = "/whoami"}, 0),
                 CODE_CONTENT);
    cr_assert_eq(ask_block(CODE_GET, "/whoami", last, block.szx), CODE_CONTENT);
    cr_expect_eq(reply.payload[reply.payload_length - 2], '0' + session->address_changes % 10,
                 "another time another state");
    session->restless = false;
    session->address_changes = 0;
}

/* Its heir knows nothing of what has come before: 4.08, never two halves of different bodies. */
Test(coap_body, leaves_nothing_to_an_heir)
{
    cr_assert_eq(post_block("/echo", 0, true, 6, 1024), CODE_CONTINUE);
    fini();
    init();
    next_id = 100;
    cr_expect_eq(post_block("/echo", 1, false, 6, 10), CODE_INCOMPLETE);
    cr_assert_eq(post_all(3000, 6), CODE_CHANGED);
    fini();
    init();
    cr_expect_eq(ask_block(CODE_POST, "/echo", 1, 6), CODE_INCOMPLETE);
}

Test(coap_body, ends_with_its_session)
{
    cr_assert_eq(post_block("/echo", 0, true, 6, 1024), CODE_CONTINUE);
    coap_bench_run(&bench, 0);
    cr_expect_eq(coap_bench_count(&bench, WORKER_COAP_TRANSFERS), 1);
    coap_forget(bench.coap, 1);
    cr_expect_eq(coap_bench_count(&bench, WORKER_COAP_TRANSFERS), 0);
    cr_expect_eq(coap_bench_count(&bench, WORKER_COAP_LOST_PEER), 1);
    cr_expect_eq(post_block("/echo", 1, false, 6, 10), CODE_INCOMPLETE);
}

Test(coap_body, lets_time_run_out)
{
    cr_assert_eq(post_block("/echo", 0, true, 6, 1024), CODE_CONTINUE);
    cr_expect_leq(coap_next_ms(bench.coap), COAP_BODY_IDLE_MS);
    coap_bench_run(&bench, COAP_BODY_IDLE_MS);
    cr_expect_eq(coap_bench_count(&bench, WORKER_COAP_LOST_TIME), 1);
    cr_expect_eq(coap_next_ms(bench.coap), UINT64_MAX);
}

Test(coap_body, bounds_ten_thousand_abandoned_ones)
{
    struct ask ask = {.code = CODE_POST, .uri = "/echo", .payload = sent, .payload_length = 1024};
    add(&ask, OPTION_BLOCK1, 0x0e); /* 0/1/1024 */
    for (uint64_t i = 1; i <= 10000; i++) {
        struct coap_peer peer = bench.secured;
        peer.session_id = i;
        ask.id = 1;
        cr_assert_eq(ask_as(&peer, ask, i), CODE_CONTINUE);
    }
    coap_bench_run(&bench, 10000);
    uint64_t kept = coap_bench_count(&bench, WORKER_COAP_TRANSFERS);
    cr_expect_eq(kept, COAP_BODIES_MAX - COAP_BODIES_MAX / COAP_BODIES_SHARE);
    cr_expect_eq(coap_bench_count(&bench, WORKER_COAP_LOST_ROOM), 10000 - kept);
}

/* "A CoAP server SHOULD mitigate potential amplification attacks by responding to unauthenticated
 * clients with 4.01 Unauthorized including an Echo option" (RFC 9175 section 2.6): memory counts.
 */
Test(coap_body, keeps_nothing_for_an_address_that_is_not_proven)
{
    static uint8_t echo[MESSAGE_ECHO_MAX];
    struct ask ask = {.code = CODE_POST, .uri = "/echo", .payload = sent, .payload_length = 1024};
    add(&ask, OPTION_BLOCK1, 0x0e); /* 0/1/1024 */
    cr_assert_eq(ask_as(&bench.plain, ask, 0), CODE_UNAUTHORIZED);
    const struct message_option *value = option_of(OPTION_ECHO);
    cr_assert_not_null(value);
    memcpy(echo, value->value, value->length);
    coap_bench_run(&bench, 0);
    cr_expect_eq(coap_bench_count(&bench, WORKER_COAP_TRANSFERS), 0);
    cr_expect_eq(coap_bench_count(&bench, WORKER_COAP_CHALLENGES), 1);

    ask.options[1] = (struct message_option){OPTION_ECHO, value->length, echo};
    cr_assert_eq(ask_as(&bench.plain, ask, 0), CODE_CONTINUE);
    ask.options[0] = ask.options[1] = (struct message_option){0};
    ask.payload = sent + 1024;
    ask.payload_length = 10;
    add(&ask, OPTION_BLOCK1, 0x16); /* 1/0/1024 */
    cr_assert_eq(ask_as(&bench.plain, ask, 0), CODE_CHANGED, "proven by the first");
    get_part();
    expect_block(OPTION_BLOCK2, 0, true, 6);
    expect_got(1024);
}
