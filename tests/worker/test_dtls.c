#include "worker/dtls.h"

#include "shared/record.h"
#include "tests/worker/endpoint.h"
#include "tests/worker/peer.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct peer_options cid_choices[] = {
    {.cid = false},
    {.cid = true, .cid_length = 0},
    {.cid = true, .cid_length = 1},
    {.cid = true, .cid_length = 8},
    {.cid = true, .cid_length = 20},
};
#define CID_CHOICES (sizeof(cid_choices) / sizeof(cid_choices[0]))

static void connect_or_die(struct peer *peer, struct endpoint *endpoint)
{
    cr_assert(peer_connect(peer, endpoint), "suite %s, cid %d of %u: error %d",
              peer->options.suite->name, peer->options.cid, peer->options.cid_length, peer->error);
}

Test(dtls, each_suite_with_each_choice_of_cids)
{
    for (size_t s = 0; s < suites_count; s++) {
        for (size_t c = 0; c < CID_CHOICES; c++) {
            struct endpoint endpoint;
            struct peer peer;
            struct peer_options options = cid_choices[c];
            options.suite = &suites[s];
            endpoint_open(&endpoint, &(struct endpoint_options){0});
            peer_open(&peer, &options);
            connect_or_die(&peer, &endpoint);
            cr_assert(peer_converses(&peer, &endpoint));
            peer_close(&peer);
            endpoint_close(&endpoint);
        }
    }
}

/* --- lost flights --- */

Test(dtls, repeats_the_last_flight_for_a_client_that_lost_it)
{
    for (size_t c = 0; c < CID_CHOICES; c++) {
        struct endpoint endpoint;
        struct peer peer;
        endpoint_open(&endpoint, &(struct endpoint_options){0});
        peer_open(&peer, &cid_choices[c]);
        peer_step(&peer);
        while (endpoint_count(&endpoint, WORKER_HANDSHAKES_OK) == 0) {
            peer_collect(&peer, &endpoint);
            peer_step(&peer);
            peer_deliver(&peer, &endpoint);
            endpoint_run(&endpoint, 0);
        }
        for (size_t lost = 0; lost < 3; lost++) {
            cr_assert_eq(endpoint.sent.count, 1, "choice %zu, loss %zu: %zu datagrams", c, lost,
                         endpoint.sent.count);
            datagrams_clear(&endpoint.sent);
            endpoint_run(&endpoint, 1000);
            peer_time_out(&peer);
            peer_deliver(&peer, &endpoint);
            endpoint_run(&endpoint, 0);
        }
        cr_assert(!peer.connected);
        peer_settle(&peer, &endpoint);
        cr_assert(peer.connected);
        cr_expect_eq(endpoint_count(&endpoint, WORKER_HANDSHAKES_OK), 1);
        cr_expect_eq(endpoint_sessions(&endpoint), 1);
        cr_expect(peer_converses(&peer, &endpoint));
        cr_expect_eq(endpoint_handshakes(&endpoint), 0);
        peer_close(&peer);
        endpoint_close(&endpoint);
    }
}
