/* Handshakes wait for sessions: dtls_options.backlog_octets. */
#include "shared/limits.h"
#include "tests/worker/endpoint.h"
#include "tests/worker/peer.h"

#include <criterion/criterion.h>

static struct endpoint endpoint;
static struct peer device;

static void open_all(void)
{
    endpoint_open(&endpoint, &(struct endpoint_options){.backlog_octets = BACKLOG_OCTETS});
    peer_open(&device, &(struct peer_options){.cid = true});
    cr_assert(peer_connect(&device, &endpoint));
    cr_assert(peer_converses(&device, &endpoint));
}

static void close_all(void)
{
    peer_close(&device);
    endpoint_close(&endpoint);
}

TestSuite(dtls_storm, .init = open_all, .fini = close_all);

/* One ClientHello, from so many addresses. */
static void storm(size_t count)
{
    struct peer other;
    peer_open(&other, &(struct peer_options){.cid = true, .address = endpoint_address(9, 1)});
    peer_step(&other);
    cr_assert_eq(other.out.count, 1);
    for (size_t i = 0; i < count; i++) {
        const struct address from = endpoint_address((uint8_t)(10 + i / 60000), 1 + i % 60000);
        endpoint_receive(&endpoint, &from, other.out.items[0].bytes, other.out.items[0].length);
    }
    peer_close(&other);
}

Test(dtls_storm, a_session_is_served_first)
{
    size_t before = endpoint.received.count;
    storm(1000);
    cr_expect_eq(endpoint.sent.count, 0);
    cr_assert(peer_send(&device, "hello", 5));
    peer_deliver(&device, &endpoint);
    cr_expect_eq(endpoint.received.count, before + 1, "with 1000 handshakes before it");
}

Test(dtls_storm, so_many_a_turn)
{
    storm(BACKLOG_TURN + 1);
    cr_expect_leq(dtls_next_ms(endpoint.dtls), endpoint.now_ms);
    dtls_run(endpoint.dtls, endpoint.now_ms);
    cr_expect_eq(endpoint.sent.count, BACKLOG_TURN);
    cr_expect_leq(dtls_next_ms(endpoint.dtls), endpoint.now_ms);
    dtls_run(endpoint.dtls, endpoint.now_ms);
    cr_expect_eq(endpoint.sent.count, BACKLOG_TURN + 1);
    cr_expect_gt(dtls_next_ms(endpoint.dtls), endpoint.now_ms);
}

Test(dtls_storm, what_does_not_fit_is_counted)
{
    storm(BACKLOG_OCTETS / 64);
    uint64_t dropped = endpoint_count(&endpoint, WORKER_DROPPED_BACKLOG);
    cr_expect_gt(dropped, 0);
    cr_expect_lt(dropped, BACKLOG_OCTETS / 64);
    cr_expect_eq(endpoint_dropped(&endpoint), dropped);
    cr_assert(peer_converses(&device, &endpoint));
}

Test(dtls_storm, it_passes)
{
    struct peer other;
    storm(3 * BACKLOG_TURN);
    peer_open(&other, &(struct peer_options){.cid = true, .address = endpoint_address(8, 1)});
    cr_expect(peer_connect(&other, &endpoint));
    cr_expect(peer_converses(&other, &endpoint));
    peer_close(&other);
}
