/* Devices that begin anew where a session lives: the old one works until the new one has
 * authenticated. */
#include "tests/worker/endpoint.h"
#include "tests/worker/peer.h"
#include "worker/dtls.h"

#include <criterion/criterion.h>
#include <string.h>

static struct endpoint endpoint;
static struct peer old, new;

static void open_old(const struct peer_options *options)
{
    endpoint_open(&endpoint, &(struct endpoint_options){0});
    peer_open(&old, options);
    cr_assert(peer_connect(&old, &endpoint));
    cr_assert(peer_converses(&old, &endpoint));
}

static void close_all(void)
{
    peer_close(&old);
    peer_close(&new);
    endpoint_close(&endpoint);
}

/* Both are at one address; the old one is asked between all steps of the new one's handshake. */
static void connect_while_old_works(const struct peer_options *options)
{
    size_t datagrams = 0;
    peer_open(&new, options);
    peer_step(&new);
    while (new.out.count > 0) {
        cr_expect(peer_converses(&old, &endpoint), "the old one works on");
        datagrams += peer_deliver(&new, &endpoint);
        if (endpoint_count(&endpoint, WORKER_HANDSHAKES_OK) == 1)
            cr_expect_eq(endpoint_sessions(&endpoint), 1);
        endpoint_run(&endpoint, 0);
        datagrams += peer_collect(&new, &endpoint);
        peer_step(&new);
    }
    cr_assert(new.connected);
    cr_expect_eq(datagrams, 6, "at full speed");
    cr_expect_eq(endpoint_count(&endpoint, WORKER_HANDSHAKES_OK), 2);
}

static void expect_old_is_gone(void)
{
    cr_expect_eq(endpoint_sessions(&endpoint), 1);
    cr_expect_eq(endpoint_stored(&endpoint), 1);
    cr_expect_eq(endpoint.ended, 1);
    cr_expect(peer_converses(&new, &endpoint));
    cr_expect(!peer_converses(&old, &endpoint));
    cr_expect(peer_converses(&new, &endpoint));
}

Test(dtls_replace, the_same_device_with_cid)
{
    open_old(&(struct peer_options){.cid = true});
    connect_while_old_works(&(struct peer_options){.cid = true});
    expect_old_is_gone();
    close_all();
}

Test(dtls_replace, the_same_device_without_cid)
{
    open_old(&(struct peer_options){.cid = false});
    connect_while_old_works(&(struct peer_options){.cid = false});
    expect_old_is_gone();
    close_all();
}

Test(dtls_replace, another_device_where_one_without_cid_was)
{
    open_old(&(struct peer_options){.cid = false});
    connect_while_old_works(&(struct peer_options){.identity = ENDPOINT_IDENTITY2});
    expect_old_is_gone();
    close_all();
}

Test(dtls_replace, the_device_begins_to_use_cids)
{
    open_old(&(struct peer_options){.cid = false});
    connect_while_old_works(&(struct peer_options){.cid = true});
    expect_old_is_gone();
    close_all();
}

/* A proxy, or a NAT that has given the address to somebody else. */
Test(dtls_replace, another_device_with_cid_leaves_the_first_alone)
{
    open_old(&(struct peer_options){.cid = true});
    connect_while_old_works(&(struct peer_options){.cid = true, .identity = ENDPOINT_IDENTITY2});
    cr_expect_eq(endpoint_sessions(&endpoint), 2);
    for (int i = 0; i < 3; i++) {
        cr_expect(peer_converses(&new, &endpoint));
        cr_expect(peer_converses(&old, &endpoint));
    }
    cr_expect_eq(endpoint.ended, 0);
    close_all();
}

static void try_and_fail(const struct peer_options *options)
{
    peer_open(&new, options);
    cr_expect(!peer_connect(&new, &endpoint));
    for (int i = 0; i < 5; i++) {
        peer_time_out(&new);
        peer_settle(&new, &endpoint);
        cr_expect(peer_converses(&old, &endpoint));
    }
    cr_expect(!new.connected);
    endpoint_run(&endpoint, HANDSHAKE_LIFETIME_MS);
    cr_expect_eq(endpoint_handshakes(&endpoint), 0);
    cr_expect_eq(endpoint.ended, 0);
    datagrams_clear(&endpoint.sent);
    cr_expect(peer_converses(&old, &endpoint));
}

Test(dtls_replace, who_cannot_authenticate_replaces_nobody)
{
    static const struct peer_options stranger = {
        .cid = true, .psk = (const uint8_t *)"guessed", .psk_length = 7};
    static const struct peer_options stranger_without_cid = {.psk = (const uint8_t *)"guessed",
                                                             .psk_length = 7};
    open_old(&(struct peer_options){.cid = true});
    try_and_fail(&stranger);
    close_all();
    open_old(&(struct peer_options){.cid = false});
    try_and_fail(&stranger_without_cid);
    close_all();
}

Test(dtls_replace, a_handshake_begun_anew_takes_the_place_of_its_first_try)
{
    open_old(&(struct peer_options){.cid = true});
    peer_open(&new, &(struct peer_options){.cid = true, .address = endpoint_address(8, 8)});
    peer_step(&new);
    peer_deliver(&new, &endpoint);
    peer_collect(&new, &endpoint);
    peer_step(&new);
    peer_deliver(&new, &endpoint);
    cr_expect_eq(endpoint_handshakes(&endpoint), 1);
    datagrams_clear(&endpoint.sent);
    peer_close(&new);
    peer_open(&new, &(struct peer_options){.cid = true, .address = endpoint_address(8, 8)});
    cr_expect(peer_connect(&new, &endpoint));
    cr_expect_eq(endpoint_handshakes(&endpoint), 1);
    cr_expect(peer_converses(&new, &endpoint));
    cr_expect_eq(endpoint_handshakes(&endpoint), 0);
    cr_expect(peer_converses(&old, &endpoint));
    close_all();
}
