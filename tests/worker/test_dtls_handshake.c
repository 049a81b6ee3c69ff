/* Handshakes as the endpoint conducts them: cookies, lost flights, the store's part, refusals. */
#include "shared/record.h"
#include "tests/worker/endpoint.h"
#include "tests/worker/peer.h"
#include "worker/dtls.h"

#include <criterion/criterion.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>

static struct endpoint endpoint;
static struct peer peer;
static const struct peer_options with_cid = {.cid = true};

static void open_endpoint(void)
{
    endpoint_open(&endpoint, &(struct endpoint_options){0});
}

static void close_endpoint(void)
{
    endpoint_close(&endpoint);
}

TestSuite(dtls_handshake, .init = open_endpoint, .fini = close_endpoint);

static void open_again(const struct endpoint_options *options)
{
    endpoint_close(&endpoint);
    endpoint_open(&endpoint, options);
}

/* The peer has its cookie, and its ClientHello with it waits to be delivered. */
static void get_cookie(struct peer *client, const struct peer_options *options)
{
    peer_open(client, options);
    peer_step(client);
    cr_assert_eq(peer_deliver(client, &endpoint), 1);
    cr_assert_eq(peer_collect(client, &endpoint), 1);
    peer_step(client);
    cr_assert_eq(client->out.count, 1);
}

/* The server's first flight has been answered: the peer's Finished waits to be delivered. */
static void get_finished(struct peer *client, const struct peer_options *options)
{
    get_cookie(client, options);
    peer_deliver(client, &endpoint);
    cr_assert_gt(peer_collect(client, &endpoint), 0);
    peer_step(client);
    cr_assert_gt(client->out.count, 0);
}

static const struct handshake *only_handshake(void)
{
    size_t cursor = 0;
    const struct handshake *handshake = table_next(&endpoint.dtls->handshakes.by_cid, &cursor);
    cr_assert_not_null(handshake);
    return handshake;
}

static void expect_nothing_left(void)
{
    cr_expect_eq(endpoint_handshakes(&endpoint), 0);
    cr_expect_eq(endpoint.dtls->handshakes.by_cid.count, 0);
    cr_expect_eq(endpoint.dtls->handshakes.by_address.count, 0);
    cr_expect_eq(endpoint_sessions(&endpoint), 0);
    cr_expect_eq(endpoint_stored(&endpoint), 0);
    cr_expect_eq(endpoint_count(&endpoint, WORKER_HANDSHAKES_OPEN), 0);
}

/* --- cookies --- */

Test(dtls_handshake, nothing_is_kept_of_a_hello_without_cookie)
{
    enum { WARM_UP = 10, HELLOS = 1000 };
    size_t heap = 0;
    peer_open(&peer, &with_cid);
    peer_step(&peer);
    cr_assert_eq(peer.out.count, 1);
    const struct datagram *hello = &peer.out.items[0];
    for (unsigned i = 0; i < WARM_UP + HELLOS; i++) {
        const struct address from = endpoint_address((uint8_t)i, (uint16_t)(i + 1));
        if (i == WARM_UP)
            heap = mallinfo2().uordblks;
        endpoint_receive(&endpoint, &from, hello->bytes, hello->length);
        cr_assert_eq(endpoint.sent.count, 1);
        cr_assert_leq(endpoint.sent.items[0].length, hello->length, "no amplification");
        cr_assert(address_equal(&endpoint.sent.items[0].path.address, &from));
        datagrams_clear(&endpoint.sent);
    }
    cr_expect_eq(mallinfo2().uordblks, heap);
    cr_expect_eq(endpoint_count(&endpoint, WORKER_COOKIES_SENT), WARM_UP + HELLOS);
    cr_expect_eq(dtls_next_ms(endpoint.dtls), UINT64_MAX);
    expect_nothing_left();
    peer_close(&peer);
}

Test(dtls_handshake, a_cookie_is_good_for_its_address_only)
{
    get_cookie(&peer, &with_cid);
    const struct datagram *hello = &peer.out.items[0];
    const struct address others[] = {
        endpoint_address(2, peer.address.port),
        endpoint_address(1, peer.address.port + 1),
    };
    for (size_t i = 0; i < 2; i++) {
        endpoint_receive(&endpoint, &others[i], hello->bytes, hello->length);
        cr_expect_eq(endpoint_count(&endpoint, WORKER_COOKIES_SENT), 2 + i);
    }
    expect_nothing_left();
    cr_assert_eq(endpoint.sent.count, 2);
    peer_settle(&peer, &endpoint);
    cr_expect(peer.connected, "where it is good, it still is");
    peer_close(&peer);
}

Test(dtls_handshake, a_wrong_cookie_gets_another)
{
    get_cookie(&peer, &with_cid);
    struct datagram *hello = &peer.out.items[0];
    /* record header 13, handshake header 12, version 2, random 32, empty session id 1, length 1 */
    cr_assert_gt(hello->bytes[60], 0);
    hello->bytes[61] ^= 1;
    peer_deliver(&peer, &endpoint);
    cr_expect_eq(endpoint_count(&endpoint, WORKER_COOKIES_SENT), 2);
    expect_nothing_left();
    peer_close(&peer);
}

/* --- lost and repeated flights --- */

Test(dtls_handshake, repeats_the_last_flight_for_a_client_that_lost_it)
{
    static const struct peer_options choices[] = {
        {.cid = false}, {.cid = true}, {.cid = true, .cid_length = 8}};
    for (size_t c = 0; c < 3; c++) {
        open_again(&(struct endpoint_options){0});
        get_finished(&peer, &choices[c]);
        peer_deliver(&peer, &endpoint);
        endpoint_run(&endpoint, 0);
        for (size_t lost = 0; lost < 3; lost++) {
            cr_assert_eq(endpoint.sent.count, 1, "choice %zu, loss %zu", c, lost);
            datagrams_clear(&endpoint.sent);
            endpoint_run(&endpoint, 1000);
            peer_time_out(&peer);
            peer_deliver(&peer, &endpoint);
        }
        cr_assert(!peer.connected);
        peer_settle(&peer, &endpoint);
        cr_assert(peer.connected);
        cr_expect_eq(endpoint_count(&endpoint, WORKER_HANDSHAKES_OK), 1);
        cr_expect_eq(endpoint_sessions(&endpoint), 1);
        cr_expect(peer_converses(&peer, &endpoint));
        cr_expect_eq(endpoint_handshakes(&endpoint), 0);
        peer_close(&peer);
    }
}

/* Neither a ClientHello nor a ClientKeyExchange is authentic. */
Test(dtls_handshake, plain_text_does_not_repeat_the_last_flight)
{
    get_cookie(&peer, &with_cid);
    struct datagram hello = datagrams_take(&peer.out);
    endpoint_receive(&endpoint, &peer.address, hello.bytes, hello.length);
    peer_collect(&peer, &endpoint);
    peer_step(&peer);
    struct datagram finished = datagrams_take(&peer.out);
    endpoint_receive(&endpoint, &peer.address, finished.bytes, finished.length);
    endpoint_run(&endpoint, 0);
    cr_assert_eq(endpoint.sent.count, 1);
    for (int i = 0; i < 100; i++) {
        endpoint_receive(&endpoint, &peer.address, hello.bytes, hello.length);
        endpoint_receive(&endpoint, &peer.address, finished.bytes, finished.length);
    }
    endpoint_run(&endpoint, 0);
    cr_expect_eq(endpoint.sent.count, 1);
    cr_expect_eq(endpoint_count(&endpoint, WORKER_DROPPED_REPLAYED), 100);
    peer_settle(&peer, &endpoint);
    cr_expect(peer.connected);
    cr_expect(peer_converses(&peer, &endpoint));
    cr_expect_eq(endpoint_count(&endpoint, WORKER_HANDSHAKES_OK), 1);
    free(hello.bytes);
    free(finished.bytes);
    peer_close(&peer);
}

/* The numbers set aside for the handshake's object must not run out into the lease. */
Test(dtls_handshake, the_last_flight_is_not_repeated_for_ever)
{
    struct datagrams log = {0};
    endpoint.log = &log;
    peer_open(&peer, &with_cid);
    cr_assert(peer_connect(&peer, &endpoint));
    for (int i = 0; i < 2 * SEQUENCE_HANDSHAKE_RESERVED; i++) {
        uint8_t record[128];
        const uint8_t finished[12 + 12] = {20, 0, 0, 12, 0, 3, 0, 0, 0, 0, 0, 12};
        size_t length = peer_seal(&peer, RECORD_TYPE_HANDSHAKE, finished, sizeof(finished), record,
                                  sizeof(record));
        endpoint_receive(&endpoint, &peer.address, record, length);
    }
    for (size_t i = 0; i < log.count; i++) {
        struct cursor cursor = cursor_over(log.items[i].bytes, log.items[i].length);
        struct record record;
        while (record_next(&cursor, 0, &record) == STATUS_OK) {
            bool of_session = record.type == RECORD_TYPE_ALERT;
            cr_expect(record.epoch == 0 ||
                          of_session == (record.sequence >= SEQUENCE_HANDSHAKE_RESERVED),
                      "type %u has number %llu", record.type, (unsigned long long)record.sequence);
        }
    }
    cr_expect_eq(endpoint_handshakes(&endpoint), 0);
    cr_expect_eq(endpoint_sessions(&endpoint), 1);
    endpoint.log = NULL;
    datagrams_clear(&log);
    peer_close(&peer);
}

Test(dtls_handshake, answers_through_the_lb_that_delivered_last)
{
    get_finished(&peer, &with_cid);
    struct datagram flight = datagrams_take(&peer.out);
    const struct path path = {.address = peer.address, .lb = 9, .listener = 4};
    dtls_receive(endpoint.dtls, endpoint.now_ms, &path, flight.bytes, flight.length);
    endpoint_run(&endpoint, 0);
    cr_assert_eq(endpoint.sent.count, 1);
    cr_expect_eq(endpoint.sent.items[0].path.lb, 9);
    cr_expect_eq(endpoint.sent.items[0].path.listener, 4);
    free(flight.bytes);
    peer_close(&peer);
}

/* What has returned no cookie gets no answer, even if it says something of the handshake. */
Test(dtls_handshake, another_address_gets_no_answer)
{
    const struct address elsewhere = endpoint_address(66, 6);
    get_finished(&peer, &with_cid);
    struct datagram flight = datagrams_take(&peer.out);
    endpoint_receive(&endpoint, &elsewhere, flight.bytes, flight.length);
    endpoint_run(&endpoint, 0);
    for (size_t i = 0; i < endpoint.sent.count; i++)
        cr_expect(!address_equal(&endpoint.sent.items[i].path.address, &elsewhere));
    endpoint_receive(&endpoint, &peer.address, flight.bytes, flight.length);
    endpoint_run(&endpoint, 0);
    peer_settle(&peer, &endpoint);
    cr_expect(peer.connected);
    cr_expect(peer_converses(&peer, &endpoint));
    free(flight.bytes);
    peer_close(&peer);
}

Test(dtls_handshake, repeats_its_first_flight_by_the_timer)
{
    get_cookie(&peer, &with_cid);
    peer_deliver(&peer, &endpoint);
    for (uint64_t wait_ms = 1000; wait_ms <= 8000; wait_ms *= 2) {
        cr_assert_gt(endpoint.sent.count, 0, "after %llu ms", (unsigned long long)wait_ms / 2);
        datagrams_clear(&endpoint.sent);
        cr_expect_leq(dtls_next_ms(endpoint.dtls), endpoint.now_ms + wait_ms);
        endpoint_run(&endpoint, wait_ms - 1);
        cr_expect_eq(endpoint.sent.count, 0, "too early");
        endpoint_run(&endpoint, 1);
    }
    peer_settle(&peer, &endpoint);
    cr_assert(peer.connected);
    cr_expect(peer_converses(&peer, &endpoint));
    cr_expect_eq(endpoint_count(&endpoint, WORKER_HANDSHAKES_OK), 1);
    peer_close(&peer);
}

/* The client's Finished never opens, and each side answers the other's repetition with its own. */
Test(dtls_handshake, two_that_repeat_themselves_come_to_an_end)
{
    static const struct peer_options wrong_key = {
        .cid = true, .psk = (const uint8_t *)"guessed", .psk_length = 7};
    struct datagrams log = {0};
    endpoint.log = &log;
    peer_open(&peer, &wrong_key);
    cr_expect(!peer_connect(&peer, &endpoint));
    for (int i = 0; i < 20; i++) {
        peer_time_out(&peer);
        peer_settle(&peer, &endpoint);
    }
    cr_expect_leq(log.count, 1 + 2 * (1 + HANDSHAKE_REPEATS_MAX), "%zu datagrams", log.count);
    endpoint.log = NULL;
    datagrams_clear(&log);
    peer_close(&peer);
}

Test(dtls_handshake, a_repeated_hello_with_cookie_does_not_begin_another)
{
    get_cookie(&peer, &with_cid);
    struct datagram hello = datagrams_take(&peer.out);
    for (int i = 0; i < 5; i++) {
        endpoint_receive(&endpoint, &peer.address, hello.bytes, hello.length);
        cr_expect_eq(endpoint_handshakes(&endpoint), 1);
    }
    peer_settle(&peer, &endpoint);
    cr_expect(peer.connected);
    cr_expect_eq(endpoint_count(&endpoint, WORKER_HANDSHAKES_OK), 1);
    free(hello.bytes);
    peer_close(&peer);
}

/* --- the store's part --- */

Test(dtls_handshake, datagrams_wait_for_the_key)
{
    get_finished(&peer, &with_cid);
    struct datagram flight = peer.out.items[0];
    endpoint_receive(&endpoint, &peer.address, flight.bytes, flight.length);
    cr_expect_eq(only_handshake()->state, HANDSHAKE_LOOKING_UP);
    cr_expect_eq(endpoint.sent.count, 0);
    for (int i = 0; i < 3 * HANDSHAKE_HELD_MAX; i++)
        endpoint_receive(&endpoint, &peer.address, flight.bytes, flight.length);
    cr_expect_eq(only_handshake()->held_count, HANDSHAKE_HELD_MAX);
    peer_settle(&peer, &endpoint);
    cr_expect(peer.connected);
    cr_expect(peer_converses(&peer, &endpoint));
    cr_expect_eq(endpoint_count(&endpoint, WORKER_HANDSHAKES_OK), 1);
    peer_close(&peer);
}

Test(dtls_handshake, the_last_flight_waits_for_the_store)
{
    get_finished(&peer, &with_cid);
    peer_deliver(&peer, &endpoint);
    endpoint_break_store(&endpoint, &(struct endpoint_breakage){.silent = true});
    endpoint_run(&endpoint, 100);
    cr_expect_eq(endpoint.sent.count, 0);
    cr_expect_eq(endpoint_sessions(&endpoint), 0);
    endpoint_break_store(&endpoint, &(struct endpoint_breakage){0});
    peer_settle(&peer, &endpoint);
    cr_expect(peer.connected);
    peer_close(&peer);
}

static void refuse_with(const struct endpoint_breakage *breakage)
{
    open_again(&(struct endpoint_options){0});
    get_finished(&peer, &with_cid);
    endpoint_break_store(&endpoint, breakage);
    peer_settle(&peer, &endpoint);
    cr_expect(!peer.connected);
    cr_expect_eq(endpoint_count(&endpoint, WORKER_HANDSHAKES_REFUSED), 1);
    expect_nothing_left();
    peer_close(&peer);
}

Test(dtls_handshake, without_the_store_there_is_no_handshake)
{
    refuse_with(&(struct endpoint_breakage){.psk = true});
    refuse_with(&(struct endpoint_breakage){.create = true});
}

Test(dtls_handshake, a_question_that_did_not_fit_is_asked_with_the_next_try)
{
    get_finished(&peer, &with_cid);
    endpoint_break_store(&endpoint, &(struct endpoint_breakage){.full = true});
    peer_deliver(&peer, &endpoint);
    endpoint_run(&endpoint, 500);
    cr_expect_eq(only_handshake()->state, HANDSHAKE_TALKING);
    cr_expect_eq(only_handshake()->held_count, 0);
    endpoint_break_store(&endpoint, &(struct endpoint_breakage){0});
    peer_time_out(&peer);
    peer_settle(&peer, &endpoint);
    cr_expect(peer.connected);
    peer_close(&peer);
}

/* In each state, and with an answer that comes when nobody waits for it any more. */
Test(dtls_handshake, time_ends_a_handshake_and_all_that_it_holds)
{
    for (enum handshake_state state = HANDSHAKE_TALKING; state <= HANDSHAKE_STORING; state++) {
        open_again(&(struct endpoint_options){0});
        get_finished(&peer, &with_cid);
        if (state >= HANDSHAKE_LOOKING_UP)
            peer_deliver(&peer, &endpoint);
        if (state == HANDSHAKE_STORING) /* one turn of the store: the key, but not the session */
            store_run(endpoint.store, endpoint.now_ms);
        cr_assert_eq(only_handshake()->state, state);
        endpoint_break_store(&endpoint, &(struct endpoint_breakage){.silent = true});
        endpoint_run(&endpoint, HANDSHAKE_LIFETIME_MS - 1);
        cr_expect_eq(endpoint_handshakes(&endpoint), 1);
        endpoint_run(&endpoint, 1);
        cr_expect_eq(endpoint_handshakes(&endpoint), 0, "state %d", state);
        cr_expect_eq(endpoint_count(&endpoint, WORKER_HANDSHAKES_TIMED_OUT), 1);
        endpoint_break_store(&endpoint, &(struct endpoint_breakage){0});
        endpoint_run(&endpoint, 1);
        expect_nothing_left();
        peer_close(&peer);
    }
}

Test(dtls_handshake, a_session_that_says_nothing_keeps_no_handshake)
{
    peer_open(&peer, &with_cid);
    cr_assert(peer_connect(&peer, &endpoint));
    cr_expect_eq(endpoint_handshakes(&endpoint), 1);
    endpoint_run(&endpoint, HANDSHAKE_LIFETIME_MS);
    cr_expect_eq(endpoint_handshakes(&endpoint), 0);
    cr_expect_eq(endpoint_count(&endpoint, WORKER_HANDSHAKES_TIMED_OUT), 0);
    cr_expect(peer_converses(&peer, &endpoint));
    peer_close(&peer);
}
