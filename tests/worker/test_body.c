#include "worker/body.h"

#include <criterion/criterion.h>
#include <string.h>

static const struct hash_key key = {1, 2};
static struct bodies bodies;
static uint8_t sent[COAP_BODY_MAX + 1024];
static uint8_t space[COAP_BODY_MAX];
static struct writer whole;

static void init(size_t transfers_max, size_t chunks_max)
{
    cr_assert_eq(bodies_init(&bodies, transfers_max, chunks_max, key), STATUS_OK);
    for (size_t i = 0; i < sizeof sent; i++)
        sent[i] = (uint8_t)(i * 7 + i / 251);
}

static void fini(void)
{
    bodies_free(&bodies);
}

/* A block of what `sent` holds, of the right length. */
static enum body_outcome take(uint64_t session, uint64_t request, uint32_t number, bool more,
                              uint8_t szx, uint64_t now_ms)
{
    struct body_part part = {
        .endpoint = {.session_id = session},
        .request = request,
        .block = {number, more, szx},
        .limit = COAP_BODY_MAX,
    };
    part.payload = (struct octets){sent + block_offset(&part.block), block_size(szx) - !more};
    whole = writer_over(space, sizeof space);
    return body_take(&bodies, &part, now_ms, &whole);
}

static void expect_whole(size_t length)
{
    cr_expect(writer_ok(&whole));
    cr_assert_eq(writer_length(&whole), length);
    cr_expect_eq(memcmp(space, sent, length), 0);
}

TestSuite(body, .fini = fini);

Test(body, puts_blocks_of_each_size_together)
{
    init(8, 64);
    for (uint8_t szx = 0; szx <= BLOCK_SZX_MAX; szx++) {
        uint32_t last = (uint32_t)(COAP_BODY_MAX / block_size(szx)) - 1;
        for (uint32_t i = 0; i < last; i++)
            cr_assert_eq(take(1, 1, i, true, szx, 0), BODY_CONTINUE, "%u of %u", i, szx);
        cr_assert_eq(body_count(&bodies), 1);
        cr_assert_eq(take(1, 1, last, false, szx, 0), BODY_WHOLE);
        expect_whole(COAP_BODY_MAX - 1);
        cr_expect_eq(body_count(&bodies), 0);
        cr_expect_eq(bodies.chunk_pool.in_use, 0);
        cr_expect_eq(bodies.peer_pool.in_use, 0);
    }
    for (size_t i = 0; i < BODY_LOSSES; i++)
        cr_expect_eq(bodies.lost[i], 0);
}

Test(body, needs_nothing_for_a_single_block)
{
    init(8, 64);
    cr_assert_eq(take(1, 1, 0, false, 2, 0), BODY_WHOLE);
    expect_whole(63);
    cr_expect_eq(bodies.body_pool.allocated, 0);
}

Test(body, lets_the_size_shrink_on_the_way)
{
    init(8, 64);
    cr_assert_eq(take(1, 1, 0, true, 6, 0), BODY_CONTINUE);
    cr_assert_eq(take(1, 1, 16, true, 2, 0), BODY_CONTINUE, "1024 octets are 16 blocks of 64");
    cr_assert_eq(take(1, 1, 17, false, 2, 0), BODY_WHOLE);
    expect_whole(1024 + 64 + 63);
}

/* One step of a transfer that has gone wrong. */
struct wrong {
    const char *name;
    struct block block;
    size_t length;
    size_t announced;
    size_t limit;
    enum body_outcome outcome;
};

/* After two blocks of 64. "If not all previous blocks are available at the server at the time of
 * processing the final block, the transfer fails and error code 4.08 (Request Entity Incomplete)
 * MUST be returned." (RFC 7959 section 2.5) */
Test(body, refuses_what_does_not_continue_it)
{
    static const struct wrong rows[] = {
        {"one left out", {3, true, 2}, 64, 0, 0, BODY_INCOMPLETE},
        {"the last, one left out", {3, false, 2}, 10, 0, 0, BODY_INCOMPLETE},
        {"the one before again", {1, true, 2}, 64, 0, 0, BODY_INCOMPLETE},
        {"overlapping, in larger blocks", {1, true, 3}, 128, 0, 0, BODY_INCOMPLETE},
        {"overlapping, in smaller blocks", {7, true, 0}, 16, 0, 0, BODY_INCOMPLETE},
        {"far past the end", {255, false, 2}, 10, 0, 0, BODY_INCOMPLETE},
        {"past the limit", {0xfffff, true, 6}, 1024, 0, 0, BODY_TOO_LARGE},
        {"more to come, and too short", {2, true, 2}, 63, 0, 0, BODY_MISSIZED},
        {"more to come, and nothing in it", {2, true, 2}, 0, 0, 0, BODY_MISSIZED},
        {"too long", {2, true, 2}, 65, 0, 0, BODY_MISSIZED},
        {"the last, too long", {2, false, 2}, 65, 0, 0, BODY_MISSIZED},
        {"over the limit at last", {2, false, 2}, 64, 0, 191, BODY_TOO_LARGE},
        {"over the limit with what is to come", {2, true, 2}, 64, 0, 192, BODY_TOO_LARGE},
        {"announced to be too large", {2, true, 2}, 64, 1000, 999, BODY_TOO_LARGE},
        {"just within the limit", {2, false, 2}, 64, 192, 192, BODY_WHOLE},
        {"nothing but the end", {2, false, 2}, 0, 0, 128, BODY_WHOLE},
        {"in larger blocks, where they would fit", {1, false, 3}, 5, 0, 0, BODY_INCOMPLETE},
    };
    init(8, 64);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const struct wrong *row = &rows[i];
        const struct body_part part = {
            .endpoint = {.session_id = 1},
            .request = 1,
            .block = row->block,
            .payload = {sent, row->length},
            .announced = row->announced,
            .limit = row->limit ? row->limit : COAP_BODY_MAX,
        };
        cr_assert_eq(take(1, 1, 0, true, 2, 0), BODY_CONTINUE);
        cr_assert_eq(take(1, 1, 1, true, 2, 0), BODY_CONTINUE);
        whole = writer_over(space, sizeof space);
        cr_expect_eq(body_take(&bodies, &part, 0, &whole), row->outcome, "%s", row->name);
        cr_expect_eq(body_count(&bodies), 0, "%s: forgotten", row->name);
        cr_expect_eq(take(1, 1, 2, false, 2, 0), BODY_INCOMPLETE, "%s: begin anew", row->name);
    }
}

Test(body, takes_sixteen_kilooctets_and_not_one_more)
{
    init(8, 64);
    struct body_part part = {.endpoint = {.session_id = 1}, .limit = COAP_BODY_MAX};
    for (uint32_t i = 0; i < 15; i++)
        cr_assert_eq(take(1, 0, i, true, 6, 0), BODY_CONTINUE);
    part.block = (struct block){15, true, 6};
    part.payload = (struct octets){sent, 1024};
    cr_expect_eq(body_take(&bodies, &part, 0, &whole), BODY_TOO_LARGE, "one octet more is coming");
    part.block = (struct block){0, true, 6};
    part.announced = COAP_BODY_MAX + 1;
    cr_expect_eq(body_take(&bodies, &part, 0, &whole), BODY_TOO_LARGE, "known from the first");
    part.announced = COAP_BODY_MAX;
    cr_expect_eq(body_take(&bodies, &part, 0, &whole), BODY_CONTINUE);
}

Test(body, begins_anew_with_block_zero)
{
    init(8, 64);
    cr_assert_eq(take(1, 1, 0, true, 2, 0), BODY_CONTINUE);
    cr_assert_eq(take(1, 1, 1, true, 2, 0), BODY_CONTINUE);
    cr_assert_eq(take(1, 1, 0, true, 2, 0), BODY_CONTINUE);
    cr_expect_eq(bodies.lost[BODY_LOST_RESTARTED], 1);
    cr_assert_eq(take(1, 1, 1, false, 2, 0), BODY_WHOLE);
    expect_whole(127);
}

Test(body, never_mixes_peers_or_requests)
{
    init(8, 64);
    cr_assert_eq(take(1, 1, 0, true, 2, 0), BODY_CONTINUE);
    cr_expect_eq(take(2, 1, 1, false, 2, 0), BODY_INCOMPLETE, "another session");
    cr_expect_eq(take(1, 2, 1, false, 2, 0), BODY_INCOMPLETE, "another request");
    struct body_part part = {
        .request = 1, .block = {1, false, 2}, .payload = {sent, 3}, .limit = COAP_BODY_MAX};
    cr_assert_eq(address_parse(&part.endpoint.address, "192.0.2.1:1"), STATUS_OK);
    cr_expect_eq(body_take(&bodies, &part, 0, &whole), BODY_INCOMPLETE, "an address");
    part.block = (struct block){0, true, 2};
    part.payload.length = 64;
    cr_expect_eq(body_take(&bodies, &part, 0, &whole), BODY_CONTINUE);
    part.endpoint.address.port = 2;
    part.block.number = 1;
    cr_expect_eq(body_take(&bodies, &part, 0, &whole), BODY_INCOMPLETE, "another port");
    cr_assert_eq(take(1, 1, 1, false, 2, 0), BODY_WHOLE);
    expect_whole(127);
}

Test(body, forgets_ten_thousand_abandoned_ones)
{
    init(COAP_BODIES_MAX, COAP_BODY_CHUNKS_MAX);
    for (uint64_t i = 1; i <= 10000; i++) {
        cr_assert_eq(take(i, 1, 0, true, 6, i), BODY_CONTINUE);
        cr_assert_leq(body_count(&bodies), COAP_BODIES_MAX);
    }
    cr_expect_eq(body_count(&bodies), COAP_BODIES_MAX);
    cr_expect_eq(bodies.lost[BODY_LOST_ROOM], 10000 - COAP_BODIES_MAX);
    cr_expect_eq(take(1, 1, 1, false, 6, 10001), BODY_INCOMPLETE, "the oldest went");
    cr_expect_eq(take(10000, 1, 1, false, 6, 10001), BODY_WHOLE);
    body_expire(&bodies, 10000 + COAP_BODY_IDLE_MS);
    cr_expect_eq(body_count(&bodies), 0);
    cr_expect_eq(body_next_ms(&bodies), UINT64_MAX);
}

Test(body, bounds_those_of_one_peer)
{
    init(64, 64);
    cr_assert_eq(take(7, 1, 0, true, 2, 0), BODY_CONTINUE);
    for (uint64_t i = 0; i < COAP_BODIES_PER_PEER_MAX; i++)
        cr_assert_eq(take(1, i, 0, true, 2, i), BODY_CONTINUE);
    cr_assert_eq(take(1, 0, 1, true, 2, 9), BODY_CONTINUE, "the first is in use");
    cr_assert_eq(take(1, 99, 0, true, 2, 10), BODY_CONTINUE);
    cr_expect_eq(body_count(&bodies), COAP_BODIES_PER_PEER_MAX + 1);
    cr_expect_eq(take(1, 1, 1, false, 2, 10), BODY_INCOMPLETE, "the longest unused went");
    cr_expect_eq(take(1, 0, 2, false, 2, 10), BODY_WHOLE);
    cr_expect_eq(take(7, 1, 1, false, 2, 10), BODY_WHOLE, "others are unharmed");
}

Test(body, bounds_their_octets)
{
    init(64, 4);
    for (uint32_t i = 0; i < 2; i++)
        cr_assert_eq(take(1, 1, i, true, 6, 0), BODY_CONTINUE);
    cr_assert_eq(take(2, 1, 0, true, 6, 0), BODY_CONTINUE, "at the cost of the first");
    cr_expect_eq(bodies.lost[BODY_LOST_ROOM], 1);
    cr_assert_eq(take(2, 1, 1, true, 6, 0), BODY_CONTINUE);
    cr_assert_eq(take(2, 1, 2, true, 6, 0), BODY_CONTINUE);
    cr_expect_eq(take(2, 1, 3, true, 6, 0), BODY_NO_ROOM, "and never at its own");
    cr_expect_eq(bodies.chunk_pool.in_use, 0);
}

Test(body, bounds_their_time)
{
    init(8, 64);
    cr_assert_eq(take(1, 1, 0, true, 0, 0), BODY_CONTINUE);
    cr_expect_eq(body_next_ms(&bodies), COAP_BODY_IDLE_MS);
    cr_assert_eq(take(1, 1, 1, true, 0, COAP_BODY_IDLE_MS - 1), BODY_CONTINUE);
    cr_expect_eq(take(1, 1, 2, true, 0, 2 * COAP_BODY_IDLE_MS - 1), BODY_INCOMPLETE);
    cr_expect_eq(bodies.lost[BODY_LOST_TIME], 1);

    uint64_t now_ms = COAP_BODY_LIFETIME_MS;
    cr_assert_eq(take(1, 1, 0, true, 0, now_ms), BODY_CONTINUE);
    for (uint32_t i = 1; i <= COAP_BODY_LIFETIME_MS / 200000 - 1; i++)
        cr_assert_eq(take(1, 1, i, true, 0, now_ms + i * 200000), BODY_CONTINUE);
    cr_expect_eq(take(1, 1, COAP_BODY_LIFETIME_MS / 200000, true, 0, 2 * now_ms), BODY_INCOMPLETE,
                 "however busy");
    cr_expect_eq(body_count(&bodies), 0);
}

Test(body, forgets_a_peer)
{
    init(8, 64);
    const struct exchange_endpoint peer = {.session_id = 1};
    cr_assert_eq(take(1, 1, 0, true, 2, 0), BODY_CONTINUE);
    cr_assert_eq(take(1, 2, 0, true, 2, 0), BODY_CONTINUE);
    cr_assert_eq(take(2, 1, 0, true, 2, 0), BODY_CONTINUE);
    body_forget(&bodies, &peer);
    body_forget(&bodies, &peer);
    cr_expect_eq(body_count(&bodies), 1);
    cr_expect_eq(bodies.lost[BODY_LOST_PEER], 2);
    cr_expect_eq(take(2, 1, 1, false, 2, 0), BODY_WHOLE);
}

Test(body, keeps_replies)
{
    init(8, 64);
    const struct exchange_endpoint peer = {.session_id = 1};
    const struct body_head head = {.code = CODE_CHANGED, .has_format = true, .format = 60};
    whole = writer_over(space, sizeof space);
    cr_expect_null(body_find(&bodies, &peer, 1, 0, &whole));
    cr_assert(body_keep(&bodies, &peer, 1, &head, (struct octets){sent, 3000}, 0));
    cr_assert(body_keep(&bodies, &peer, 1, &head, (struct octets){sent, 5000}, 0), "anew");
    cr_expect_eq(take(1, 1, 1, false, 2, 0), BODY_INCOMPLETE, "a reply is no request");
    const struct body_head *found = body_find(&bodies, &peer, 1, COAP_BODY_IDLE_MS - 1, &whole);
    cr_assert_not_null(found);
    expect_whole(5000);
    cr_expect_eq(found->code, CODE_CHANGED);
    cr_expect_eq(found->format, 60);
    cr_expect_null(body_find(&bodies, &peer, 2, 0, &whole), "another request");
    body_drop(&bodies, &peer, 2);
    cr_expect_eq(body_count(&bodies), 1);
    body_drop(&bodies, &peer, 1);
    cr_expect_eq(body_count(&bodies), 0);
    body_drop(&bodies, &peer, 1);
}

Test(body, keeps_no_reply_without_room)
{
    init(8, 2);
    const struct exchange_endpoint peer = {.session_id = 1};
    const struct body_head head = {.code = CODE_CHANGED};
    cr_expect_not(body_keep(&bodies, &peer, 1, &head, (struct octets){sent, 5000}, 0));
    cr_expect_eq(body_count(&bodies), 0);
    cr_expect(body_keep(&bodies, &peer, 1, &head, (struct octets){sent, 2000}, 0));
}
