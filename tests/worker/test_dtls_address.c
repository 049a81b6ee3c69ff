/* Sessions of peers without CID, which have no other name than their address, when another session
 * or a handshake stands at that address in the memory of one of two workers. */
#include "worker/dtls.h"

#include "tests/worker/endpoint.h"
#include "tests/worker/peer.h"

#include <criterion/criterion.h>
#include <stdlib.h>

static struct endpoint first, second;

static void open_both(void)
{
    endpoint_open(&first, &(struct endpoint_options){.worker_id = 1});
    endpoint_open(&second, &(struct endpoint_options){.worker_id = 2, .store = first.store});
}

static void close_both(void)
{
    endpoint_close(&second);
    endpoint_close(&first);
}

static void pass(uint64_t ms)
{
    endpoint_run(&first, ms);
    endpoint_run(&second, ms);
}

/* The peer's connection with the first worker; what it returned the cookie with is kept. */
static struct datagram connect_and_keep_hello(struct peer *peer)
{
    struct datagrams kept = {0};
    peer_open(peer, &(struct peer_options){.cid = false});
    peer_step(peer);
    peer_deliver(peer, &first);
    peer_collect(peer, &first);
    peer_step(peer);
    cr_assert_eq(peer->out.count, 1);
    datagrams_add(&kept, &peer->out.items[0].path, peer->out.items[0].bytes,
                  peer->out.items[0].length);
    peer_settle(peer, &first);
    cr_assert(peer->connected);
    struct datagram hello = datagrams_take(&kept);
    datagrams_clear(&kept);
    return hello;
}

/* Anybody can send an old ClientHello with its cookie once more. */
Test(dtls_address, a_repeated_hello_does_not_hide_a_session)
{
    struct peer peer;
    open_both();
    struct datagram hello = connect_and_keep_hello(&peer);
    cr_assert(peer_converses(&peer, &first));
    pass(MARK_INTERVAL_MS);
    endpoint_receive(&second, &peer.address, hello.bytes, hello.length);
    endpoint_run(&second, 0);
    cr_assert_eq(endpoint_handshakes(&second), 1);
    cr_expect(peer_converses(&peer, &second));
    cr_expect_eq(second.adopted, 1);
    free(hello.bytes);
    peer_close(&peer);
    close_both();
}

/* The device begins anew at another worker, and comes back to one that knows its old session. */
Test(dtls_address, a_session_gives_way_to_one_that_followed_it_elsewhere)
{
    struct peer old, next;
    open_both();
    peer_open(&old, &(struct peer_options){.cid = false});
    cr_assert(peer_connect(&old, &first));
    for (int i = 0; i < 5; i++)
        cr_assert(peer_converses(&old, &first));
    pass(1000);
    peer_open(&next, &(struct peer_options){.cid = false});
    cr_assert(peer_connect(&next, &second));
    cr_assert(peer_converses(&next, &second));
    pass(1000);
    cr_expect_not(peer_converses(&next, &first), "its numbers look old");
    cr_expect_eq(endpoint_sessions(&first), 0);
    cr_expect(peer_converses(&next, &first));
    cr_expect_eq(first.adopted, 1);
    peer_close(&next);
    peer_close(&old);
    close_both();
}

/* The store says that the address is still its own: a forged record ends nothing. */
Test(dtls_address, a_session_stays_that_the_store_knows)
{
    struct peer peer;
    uint8_t record[128];
    open_both();
    peer_open(&peer, &(struct peer_options){.cid = false});
    cr_assert(peer_connect(&peer, &first));
    cr_assert(peer_converses(&peer, &first));
    pass(1000);
    size_t length = peer_seal(&peer, RECORD_TYPE_APPLICATION_DATA, "?", 1, record, sizeof(record));
    record[length - 1] ^= 1;
    endpoint_receive(&first, &peer.address, record, length);
    endpoint_run(&first, 0);
    cr_expect_eq(endpoint_count(&first, WORKER_DROPPED_BAD_TAG), 1);
    cr_expect_eq(endpoint_sessions(&first), 1);
    cr_expect(peer_converses(&peer, &first));
    peer_close(&peer);
    close_both();
}
