#include "worker/exchange.h"

#include <criterion/criterion.h>
#include <string.h>

static const struct hash_key key = {1, 2};
static const struct exchange_endpoint alice = {.session_id = 1};
static const struct exchange_endpoint bob = {.session_id = 2};

static struct exchange_endpoint at(const char *text)
{
    struct exchange_endpoint endpoint = {0};
    cr_assert_eq(address_parse(&endpoint.address, text), STATUS_OK);
    return endpoint;
}

static void init(struct exchanges *exchanges, size_t max)
{
    cr_assert_eq(exchanges_init(exchanges, max, key), STATUS_OK);
}

static void remember(struct exchanges *exchanges, const struct exchange_endpoint *endpoint,
                     uint16_t id, uint64_t now_ms, const void *reply, size_t length)
{
    struct exchange *exchange = exchange_open(exchanges, endpoint, id, now_ms);
    cr_assert_not_null(exchange);
    exchange_store(exchanges, exchange, reply, length);
}

static void expect_reply(struct exchanges *exchanges, const struct exchange_endpoint *endpoint,
                         uint16_t id, uint64_t now_ms, const uint8_t *reply, size_t length)
{
    uint8_t space[COAP_MESSAGE_SIZE_MAX];
    struct writer writer = writer_over(space, sizeof space);
    struct exchange *exchange = exchange_find(exchanges, endpoint, id, now_ms);
    cr_assert_not_null(exchange, "id %u", id);
    exchange_write(exchange, &writer);
    cr_assert(writer_ok(&writer));
    cr_assert_eq(writer_length(&writer), length, "id %u", id);
    cr_assert_eq(memcmp(space, reply, length), 0, "id %u", id);
}

Test(exchange, gives_replies_of_every_length_back)
{
    static const size_t lengths[] = {0,
                                     1,
                                     EXCHANGE_INLINE_MAX - 1,
                                     EXCHANGE_INLINE_MAX,
                                     EXCHANGE_INLINE_MAX + 1,
                                     EXCHANGE_INLINE_MAX + EXCHANGE_CHUNK_SIZE,
                                     EXCHANGE_INLINE_MAX + EXCHANGE_CHUNK_SIZE + 1,
                                     COAP_MESSAGE_SIZE_MAX};
    const uint16_t count = sizeof lengths / sizeof *lengths;
    uint8_t reply[COAP_MESSAGE_SIZE_MAX];
    struct exchanges exchanges;
    init(&exchanges, 64);
    for (size_t i = 0; i < sizeof reply; i++)
        reply[i] = (uint8_t)(i * 7 + i / 256);
    for (uint16_t i = 0; i < count; i++)
        remember(&exchanges, &alice, i, 0, reply, lengths[i]);
    for (uint16_t i = 0; i < count; i++)
        expect_reply(&exchanges, &alice, i, 1, reply, lengths[i]);
    cr_assert_eq(exchanges.evicted, 0);
    exchanges_free(&exchanges);
}

Test(exchange, keeps_endpoints_apart)
{
    struct exchanges exchanges;
    struct exchange_endpoint v4 = at("192.0.2.1:1000");
    struct exchange_endpoint other_port = at("192.0.2.1:1001");
    struct exchange_endpoint other_ip = at("192.0.2.2:1000");
    struct exchange_endpoint moved = {.session_id = 1, .address = v4.address};
    init(&exchanges, 64);
    remember(&exchanges, &alice, 7, 0, "a", 1);
    remember(&exchanges, &v4, 7, 0, "v", 1);
    cr_expect_not_null(exchange_find(&exchanges, &alice, 7, 0));
    cr_expect_not_null(exchange_find(&exchanges, &moved, 7, 0), "a session is not its address");
    cr_expect_null(exchange_find(&exchanges, &alice, 8, 0));
    cr_expect_null(exchange_find(&exchanges, &bob, 7, 0));
    cr_expect_not_null(exchange_find(&exchanges, &v4, 7, 0));
    cr_expect_null(exchange_find(&exchanges, &other_port, 7, 0));
    cr_expect_null(exchange_find(&exchanges, &other_ip, 7, 0));
    exchanges_free(&exchanges);
}

Test(exchange, lasts_for_the_exchange_lifetime)
{
    struct exchanges exchanges;
    init(&exchanges, 64);
    cr_expect_eq(exchange_next_ms(&exchanges), UINT64_MAX);
    remember(&exchanges, &alice, 1, 1000, "x", 1);
    remember(&exchanges, &bob, 1, 3000, "y", 1);
    cr_expect_eq(exchange_next_ms(&exchanges), 1000 + COAP_EXCHANGE_LIFETIME_MS);
    cr_expect_not_null(exchange_find(&exchanges, &alice, 1, 1000 + COAP_EXCHANGE_LIFETIME_MS - 1));
    cr_expect_null(exchange_find(&exchanges, &alice, 1, 1000 + COAP_EXCHANGE_LIFETIME_MS));
    cr_expect_eq(exchange_count(&exchanges), 1);
    cr_expect_eq(exchange_next_ms(&exchanges), 3000 + COAP_EXCHANGE_LIFETIME_MS);
    exchange_expire(&exchanges, UINT64_MAX);
    cr_expect_eq(exchange_count(&exchanges), 0);
    cr_expect_eq(exchanges.peer_pool.in_use, 0);
    cr_expect_eq(exchanges.peers.count, 0);
    cr_expect_eq(exchanges.evicted, 0, "an expired one is not an evicted one");
    exchanges_free(&exchanges);
}

Test(exchange, a_busy_peer_pushes_out_its_own_oldest_only)
{
    struct exchanges exchanges;
    init(&exchanges, 64);
    remember(&exchanges, &bob, 1, 0, "b", 1);
    for (uint16_t id = 0; id < COAP_EXCHANGES_PER_PEER_MAX + 3; id++)
        remember(&exchanges, &alice, id, id, "a", 1);
    cr_expect_eq(exchanges.evicted, 3);
    cr_expect_eq(exchange_count(&exchanges), COAP_EXCHANGES_PER_PEER_MAX + 1);
    cr_expect_null(exchange_find(&exchanges, &alice, 2, 100));
    cr_expect_not_null(exchange_find(&exchanges, &alice, 3, 100));
    cr_expect_not_null(exchange_find(&exchanges, &alice, COAP_EXCHANGES_PER_PEER_MAX + 2, 100));
    cr_expect_not_null(exchange_find(&exchanges, &bob, 1, 100));
    exchanges_free(&exchanges);
}

Test(exchange, what_is_forgotten_leaves_the_others_in_their_order)
{
    struct exchanges exchanges;
    init(&exchanges, 64);
    for (uint16_t id = 1; id <= 3; id++)
        remember(&exchanges, &alice, id, 0, "r", 1);
    exchange_drop(&exchanges, exchange_find(&exchanges, &alice, 3, 0)); /* the newest */
    exchange_drop(&exchanges, exchange_find(&exchanges, &alice, 1, 0)); /* the oldest */
    for (uint16_t id = 4; id < 4 + COAP_EXCHANGES_PER_PEER_MAX; id++)
        remember(&exchanges, &alice, id, 0, "r", 1);
    for (uint16_t id = 1; id <= 3; id++)
        cr_expect_null(exchange_find(&exchanges, &alice, id, 0), "%u", id);
    for (uint16_t id = 4; id < 4 + COAP_EXCHANGES_PER_PEER_MAX; id++)
        cr_expect_not_null(exchange_find(&exchanges, &alice, id, 0), "%u", id);
    cr_expect_eq(exchanges.evicted, 1);
    exchanges_free(&exchanges);
}

Test(exchange, the_oldest_of_all_goes_when_all_is_full)
{
    enum { MAX = 100 };
    struct exchanges exchanges;
    init(&exchanges, MAX);
    for (uint64_t id = 1; id <= MAX + 5; id++) {
        struct exchange_endpoint endpoint = {.session_id = id};
        remember(&exchanges, &endpoint, 1, id, "r", 1);
    }
    for (uint64_t id = 1; id <= MAX + 5; id++) {
        struct exchange_endpoint endpoint = {.session_id = id};
        cr_expect_eq(exchange_find(&exchanges, &endpoint, 1, 500) != NULL, id > 5);
    }
    cr_expect_eq(exchange_count(&exchanges), MAX);
    cr_expect_eq(exchanges.evicted, 5);
    exchanges_free(&exchanges);
}

Test(exchange, long_replies_push_out_the_oldest)
{
    enum { MAX = 40 };
    uint8_t reply[COAP_MESSAGE_SIZE_MAX];
    struct exchanges exchanges;
    init(&exchanges, MAX);
    memset(reply, 0x5a, sizeof reply);
    for (uint64_t id = 1; id <= MAX; id++) {
        struct exchange_endpoint endpoint = {.session_id = id};
        remember(&exchanges, &endpoint, 9, id, reply, sizeof reply);
        expect_reply(&exchanges, &endpoint, 9, id, reply, sizeof reply);
    }
    cr_expect_gt(exchanges.evicted, 0);
    cr_expect_leq(exchanges.chunk_pool.in_use, exchanges.chunk_pool.objects_max);
    cr_expect_eq(exchanges.evicted + exchange_count(&exchanges), MAX);
    exchange_expire(&exchanges, UINT64_MAX);
    cr_expect_eq(exchanges.chunk_pool.in_use, 0, "no chunk is lost");
    exchanges_free(&exchanges);
}

Test(exchange, forgets_a_peer_wholly)
{
    struct exchanges exchanges;
    uint8_t reply[300] = {0};
    init(&exchanges, 64);
    remember(&exchanges, &alice, 1, 0, reply, sizeof reply);
    remember(&exchanges, &bob, 1, 1, "b", 1);
    remember(&exchanges, &alice, 2, 2, "a", 1);
    exchange_forget(&exchanges, &alice);
    exchange_forget(&exchanges, &alice);
    cr_expect_null(exchange_find(&exchanges, &alice, 1, 3));
    cr_expect_null(exchange_find(&exchanges, &alice, 2, 3));
    cr_expect_not_null(exchange_find(&exchanges, &bob, 1, 3));
    cr_expect_eq(exchange_count(&exchanges), 1);
    cr_expect_eq(exchanges.chunk_pool.in_use, 0);
    cr_expect_eq(exchange_next_ms(&exchanges), 1 + COAP_EXCHANGE_LIFETIME_MS);
    exchanges_free(&exchanges);
}

Test(exchange, one_without_reply_is_remembered_too)
{
    struct exchanges exchanges;
    init(&exchanges, 64);
    cr_assert_not_null(exchange_open(&exchanges, &alice, 5, 0));
    struct exchange *exchange = exchange_find(&exchanges, &alice, 5, 1);
    cr_assert_not_null(exchange);
    cr_assert_eq(exchange->reply_length, 0);
    exchanges_free(&exchanges);
}

/* Against a model, over a long random run of everything at once. */
Test(exchange, random_use_agrees_with_a_model)
{
    enum { PEERS = 12, IDS = 40, STEPS = 20000 };
    static uint64_t opened_ms[PEERS][IDS]; /* 0: not remembered */
    struct exchanges exchanges;
    uint64_t random = 42, now_ms = 1;
    uint8_t reply[400];
    memset(reply, 0x11, sizeof reply);
    init(&exchanges, PEERS * COAP_EXCHANGES_PER_PEER_MAX);
    for (int step = 0; step < STEPS; step++) {
        random = random * 6364136223846793005u + 1442695040888963407u;
        size_t peer = (random >> 33) % PEERS;
        uint16_t id = (random >> 40) % IDS;
        struct exchange_endpoint endpoint = {.session_id = peer + 1};
        now_ms += (random >> 50) % 1500;
        bool known =
            opened_ms[peer][id] > 0 && now_ms < opened_ms[peer][id] + COAP_EXCHANGE_LIFETIME_MS;
        uint64_t evicted = exchanges.evicted;
        struct exchange *found = exchange_find(&exchanges, &endpoint, id, now_ms);
        cr_assert_eq(found != NULL, known, "step %d", step);
        if (found)
            continue;
        remember(&exchanges, &endpoint, id, now_ms, reply, (random >> 20) % 30);
        if (exchanges.evicted != evicted) { /* the peer's oldest */
            uint16_t oldest = IDS;
            for (uint16_t i = 0; i < IDS; i++)
                if (opened_ms[peer][i] + COAP_EXCHANGE_LIFETIME_MS > now_ms &&
                    opened_ms[peer][i] > 0 &&
                    (oldest == IDS || opened_ms[peer][i] < opened_ms[peer][oldest]))
                    oldest = i;
            cr_assert_lt(oldest, IDS);
            opened_ms[peer][oldest] = 0;
        }
        opened_ms[peer][id] = now_ms++;
    }
    cr_expect_gt(exchanges.evicted, 100);
    exchanges_free(&exchanges);
}

static struct exchange_value change(uint16_t serial, uint16_t id)
{
    return (struct exchange_value){
        .serial = serial, .message_id = id, .reply = {(const uint8_t *)"\x60\x44\0\0", 4}};
}

/* In whatever order they come back, and where numbers go round, the oldest goes first and the next
 * slot is the one behind the newest. */
Test(exchange, restored_ones_keep_their_order)
{
    static const uint16_t firsts[] = {0, 5, 1000, UINT16_MAX - 3, UINT16_MAX - 15, 40000};
    for (size_t row = 0; row < sizeof firsts / sizeof *firsts; row++) {
        const uint16_t first = firsts[row];
        struct exchanges exchanges;
        init(&exchanges, 64);
        for (uint16_t i = 0; i < COAP_EXCHANGES_PER_PEER_MAX; i++) {
            uint16_t at = (uint16_t)(i * 7 % COAP_EXCHANGES_PER_PEER_MAX);
            struct exchange_value value = change((uint16_t)(first + at), at);
            cr_assert_eq(exchange_restore(&exchanges, &alice, &value, 0, 100), STATUS_OK);
        }
        for (uint16_t i = 0; i < COAP_EXCHANGES_PER_PEER_MAX; i++) {
            struct exchange *opened = exchange_open(&exchanges, &alice, (uint16_t)(100 + i), 1);
            cr_assert_not_null(opened);
            cr_expect_eq(opened->serial, (uint16_t)(first + COAP_EXCHANGES_PER_PEER_MAX + i));
            cr_expect_eq(exchange_slot(opened), (first + i) % COAP_EXCHANGES_PER_PEER_MAX);
            cr_assert(exchange_store(&exchanges, opened, (const uint8_t *)"r", 1));
            exchange_hold(opened);
            for (uint16_t id = 0; id < COAP_EXCHANGES_PER_PEER_MAX; id++)
                cr_expect_eq(exchange_find(&exchanges, &alice, id, 1) != NULL, id > i);
            exchange_settle(&exchanges, opened, true);
        }
        exchanges_free(&exchanges);
    }
}

Test(exchange, restored_ones_expire_among_others)
{
    struct exchanges exchanges;
    struct exchange_value value = change(3, 7);
    init(&exchanges, 64);
    remember(&exchanges, &bob, 1, 0, "b", 1);
    cr_assert_eq(exchange_restore(&exchanges, &alice, &value, 10, 500), STATUS_OK);
    cr_expect_not_null(exchange_find(&exchanges, &alice, 7, 499));
    cr_expect_null(exchange_find(&exchanges, &alice, 7, 500));
    remember(&exchanges, &alice, 7, 600, "new", 3);
    expect_reply(&exchanges, &alice, 7, 700, (const uint8_t *)"new", 3);
    exchange_expire(&exchanges, COAP_EXCHANGE_LIFETIME_MS);
    cr_expect_eq(exchange_count(&exchanges), 1, "with the one before it");
    expect_reply(&exchanges, &alice, 7, 700, (const uint8_t *)"new", 3);
    exchanges_free(&exchanges);
}

Test(exchange, of_two_with_one_id_the_later_is_restored)
{
    struct exchange_value early = change(3, 7), late = change(4, 7);
    late.reply.length = 0;
    for (int order = 0; order < 2; order++) {
        struct exchanges exchanges;
        init(&exchanges, 64);
        cr_assert_eq(exchange_restore(&exchanges, &alice, order ? &late : &early, 0, 9), STATUS_OK);
        cr_assert_eq(exchange_restore(&exchanges, &alice, order ? &early : &late, 0, 9), STATUS_OK);
        cr_expect_eq(exchange_count(&exchanges), 1);
        cr_expect_eq(exchange_find(&exchanges, &alice, 7, 1)->serial, 4);
        exchanges_free(&exchanges);
    }
}

Test(exchange, restoring_pushes_out_nothing_of_the_peer)
{
    struct exchanges exchanges;
    init(&exchanges, 64);
    for (uint16_t i = 0; i < COAP_EXCHANGES_PER_PEER_MAX; i++) {
        struct exchange_value value = change(i, i);
        cr_assert_eq(exchange_restore(&exchanges, &alice, &value, 0, 9), STATUS_OK);
    }
    struct exchange_value more = change(99, 99);
    cr_expect_eq(exchange_restore(&exchanges, &alice, &more, 0, 9), STATUS_FULL);
    cr_expect_eq(exchanges.evicted, 0);
    exchanges_free(&exchanges);
}

Test(exchange, what_is_pending_stays)
{
    enum { MAX = 20 };
    uint8_t reply[COAP_MESSAGE_SIZE_MAX] = {0};
    struct exchanges exchanges;
    init(&exchanges, MAX);
    struct exchange *pending = exchange_open(&exchanges, &alice, 1, 0);
    cr_assert(exchange_store(&exchanges, pending, reply, sizeof reply));
    exchange_hold(pending);
    struct exchange *silent = exchange_open(&exchanges, &bob, 1, 0);
    cr_assert(exchange_store(&exchanges, silent, reply, sizeof reply));
    struct exchange_endpoint carol = {.session_id = 3};
    struct exchange *more = exchange_open(&exchanges, &carol, 1, 0);
    cr_expect_not(exchange_store(&exchanges, more, reply, sizeof reply), "no chunks left");
    cr_expect_eq(more->state, EXCHANGE_SILENT);
    expect_reply(&exchanges, &alice, 1, 0, reply, sizeof reply);
    exchange_drop(&exchanges, more);
    size_t chunks = exchanges.chunk_pool.in_use;
    exchange_settle(&exchanges, pending, false);
    cr_expect_lt(exchanges.chunk_pool.in_use, chunks, "its reply is let go of");
    cr_expect_eq(pending->reply_length, 0);
    exchanges_free(&exchanges);
}
