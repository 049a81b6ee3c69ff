/* Handshakes that must not succeed: bounds, strangers, clients that ask too much. */
#include "shared/record.h"
#include "tests/worker/endpoint.h"
#include "tests/worker/peer.h"
#include "worker/dtls.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct endpoint endpoint;

/* --- unknown identity and wrong key --- */

#define SHAPE_MAX 64

/* What anybody sees of a datagram: its length, and its records' types, epochs and lengths. */
struct shape {
    size_t count;
    uint32_t items[SHAPE_MAX];
};

static void add_shape(struct shape *shape, const struct datagrams *sent)
{
    for (size_t i = 0; i < sent->count; i++) {
        struct cursor cursor = cursor_over(sent->items[i].bytes, sent->items[i].length);
        struct record record;
        while (record_next(&cursor, 0, &record) == STATUS_OK) {
            cr_assert_lt(shape->count, SHAPE_MAX - 1);
            shape->items[shape->count++] =
                (uint32_t)(record.type << 24 | record.epoch << 16 | record.payload_length);
        }
        shape->items[shape->count++] = 0;
    }
}

/* Everything the endpoint says to a client until the client or the endpoint gives up. */
static struct shape refused(const struct peer_options *options)
{
    struct shape shape = {0};
    struct peer peer;
    endpoint_open(&endpoint, &(struct endpoint_options){0});
    peer_open(&peer, options);
    peer_step(&peer);
    for (int step = 0; step < 12; step++) {
        peer_deliver(&peer, &endpoint);
        endpoint_run(&endpoint, 0);
        add_shape(&shape, &endpoint.sent);
        peer_collect(&peer, &endpoint);
        peer_step(&peer);
        if (peer.out.count == 0) {
            peer_time_out(&peer);
            endpoint_run(&endpoint, 2500);
        }
    }
    endpoint_run(&endpoint, HANDSHAKE_LIFETIME_MS);
    add_shape(&shape, &endpoint.sent);
    cr_expect(!peer.connected);
    cr_expect_eq(endpoint_count(&endpoint, WORKER_HANDSHAKES_OK), 0);
    cr_expect_eq(endpoint_count(&endpoint, WORKER_HANDSHAKES_REFUSED), 0);
    cr_expect_eq(endpoint_handshakes(&endpoint), 0);
    cr_expect_eq(endpoint_sessions(&endpoint), 0);
    cr_expect_eq(endpoint_stored(&endpoint), 0);
    peer_close(&peer);
    endpoint_close(&endpoint);
    return shape;
}

Test(dtls_refusal, an_unknown_identity_looks_like_a_wrong_key)
{
    static const uint8_t wrong[16] = "a wrong password";
    char identities[4][IDENTITY_LENGTH_MAX + 1] = {"", "device-9"};
    memset(identities[2], 'i', IDENTITY_LENGTH_MAX - 1);
    memset(identities[3], 'i', IDENTITY_LENGTH_MAX);
    for (size_t s = 0; s < suites_count; s++) {
        struct peer_options options = {
            .cid = true, .suite = &suites[s], .psk = wrong, .psk_length = sizeof(wrong)};
        struct shape wrong_key = refused(&options);
        cr_assert_gt(wrong_key.count, 0);
        for (size_t i = 1; i < 4; i++) {
            options.identity = identities[i];
            struct shape unknown = refused(&options);
            cr_expect_eq(unknown.count, wrong_key.count, "identity of %zu octets",
                         strlen(identities[i]));
            cr_expect_eq(memcmp(unknown.items, wrong_key.items, sizeof(unknown.items)), 0);
        }
    }
}

/* --- bounds --- */

Test(dtls_refusal, no_more_sessions_than_their_bound)
{
    struct peer first, second;
    endpoint_open(&endpoint, &(struct endpoint_options){.sessions_max = 1});
    peer_open(&first, &(struct peer_options){.cid = true});
    cr_assert(peer_connect(&first, &endpoint));
    peer_open(&second, &(struct peer_options){.cid = true, .address = endpoint_address(2, 2)});
    cr_expect(!peer_connect(&second, &endpoint));
    cr_expect_eq(endpoint_count(&endpoint, WORKER_HANDSHAKES_REFUSED), 1);
    cr_expect_eq(endpoint_count(&endpoint, WORKER_SESSIONS), 1);
    cr_expect_eq(endpoint_stored(&endpoint), 1);
    cr_expect(peer_converses(&first, &endpoint));
    cr_expect_eq(endpoint_handshakes(&endpoint), 0);
    peer_close(&first);
    peer_close(&second);
    endpoint_close(&endpoint);
}

Test(dtls_refusal, no_more_handshakes_than_their_bound)
{
    struct peer first, second;
    endpoint_open(&endpoint, &(struct endpoint_options){.handshakes_max = 1});
    peer_open(&first, &(struct peer_options){.cid = true});
    for (int flight = 0; flight < 2; flight++) { /* up to the ServerHello */
        peer_step(&first);
        peer_deliver(&first, &endpoint);
        peer_collect(&first, &endpoint);
    }
    cr_assert_eq(endpoint_handshakes(&endpoint), 1);
    peer_open(&second, &(struct peer_options){.cid = true, .address = endpoint_address(2, 2)});
    cr_expect(!peer_connect(&second, &endpoint));
    cr_expect_eq(endpoint_count(&endpoint, WORKER_HANDSHAKES_REFUSED), 1);
    cr_expect_eq(endpoint_handshakes(&endpoint), 1);
    cr_expect(peer_connect(&first, &endpoint), "the one that was there is not harmed");
    peer_close(&first);
    peer_close(&second);
    endpoint_close(&endpoint);
}

Test(dtls_refusal, one_that_is_done_gives_way_to_one_that_begins)
{
    struct peer first, second;
    endpoint_open(&endpoint, &(struct endpoint_options){.handshakes_max = 1});
    peer_open(&first, &(struct peer_options){.cid = true});
    cr_assert(peer_connect(&first, &endpoint)); /* its handshake is retained */
    peer_open(&second, &(struct peer_options){.cid = true, .address = endpoint_address(2, 2)});
    cr_expect(peer_connect(&second, &endpoint));
    cr_expect_eq(endpoint_count(&endpoint, WORKER_HANDSHAKES_REFUSED), 0);
    cr_expect_eq(endpoint_handshakes(&endpoint), 1);
    cr_expect(peer_converses(&first, &endpoint));
    cr_expect(peer_converses(&second, &endpoint));
    peer_close(&first);
    peer_close(&second);
    endpoint_close(&endpoint);
}

Test(dtls_refusal, no_cid_nonces_no_handshake)
{
    struct peer peer;
    endpoint_open(&endpoint, &(struct endpoint_options){0});
    endpoint_break_store(&endpoint, &(struct endpoint_breakage){.nonces = true});
    endpoint.dtls->cids.left = 0;
    endpoint.dtls->cids.spare_left = 0;
    peer_open(&peer, &(struct peer_options){.cid = true});
    cr_expect(!peer_connect(&peer, &endpoint));
    cr_expect_eq(endpoint_count(&endpoint, WORKER_HANDSHAKES_REFUSED), 1);
    cr_expect_eq(endpoint_handshakes(&endpoint), 0);
    endpoint_break_store(&endpoint, &(struct endpoint_breakage){0});
    endpoint_run(&endpoint, 1);
    peer_close(&peer);
    peer_open(&peer, &(struct peer_options){.cid = true});
    (void)peer_connect(&peer, &endpoint); /* asks the store; the next finds its answer */
    endpoint_run(&endpoint, 1);
    peer_close(&peer);
    peer_open(&peer, &(struct peer_options){.cid = true});
    cr_expect(peer_connect(&peer, &endpoint));
    peer_close(&peer);
    endpoint_close(&endpoint);
}

/* --- a client's CID of 21 octets --- */

static uint16_t read_u16(const uint8_t *at)
{
    return (uint16_t)(at[0] << 8 | at[1]);
}

static void add_u16(uint8_t *at, int more)
{
    uint16_t value = (uint16_t)(read_u16(at) + more);
    at[0] = (uint8_t)(value >> 8);
    at[1] = (uint8_t)value;
}

/* A ClientHello whose CID of 20 octets is made one octet longer; returns its new length. */
static size_t lengthen_cid(const struct datagram *hello, uint8_t space[512])
{
    static const uint8_t extension[] = {0, 54, 0, 21, 20, 0xc0, 0xc1}; /* connection_id(54) */
    const uint8_t *found = memmem(hello->bytes, hello->length, extension, sizeof(extension));
    cr_assert_not_null(found);
    cr_assert_lt(hello->length, 512);
    size_t at = (size_t)(found - hello->bytes);
    size_t end = at + 5 + 20;
    memcpy(space, hello->bytes, end);
    space[end] = 0xff;
    memcpy(space + end + 1, hello->bytes + end, hello->length - end);
    add_u16(space + at + 2, 1); /* extension_data */
    space[at + 4]++;            /* cid */
    add_u16(space + 11, 1);     /* record */
    add_u16(space + 13 + 2, 1); /* handshake message: low octets of its length */
    add_u16(space + 13 + 10, 1);
    uint8_t *lengths = space + 13 + 12 + 2 + 32;
    lengths += 1 + lengths[0];        /* session_id */
    lengths += 1 + lengths[0];        /* cookie */
    lengths += 2 + read_u16(lengths); /* cipher_suites */
    lengths += 1 + lengths[0];        /* compression_methods */
    add_u16(lengths, 1);              /* extensions */
    return hello->length + 1;
}

Test(dtls_refusal, a_cid_longer_than_we_keep_ends_the_handshake_cleanly)
{
    struct peer peer;
    uint8_t hello[512];
    endpoint_open(&endpoint, &(struct endpoint_options){0});
    peer_open(&peer, &(struct peer_options){.cid = true, .cid_length = CID_LENGTH_MAX});
    peer_step(&peer);
    for (int i = 0; i < 2; i++) {
        cr_assert_eq(peer.out.count, 1);
        size_t length = lengthen_cid(&peer.out.items[0], hello);
        datagrams_clear(&peer.out);
        endpoint_receive(&endpoint, &peer.address, hello, length);
        endpoint_run(&endpoint, 0);
        peer_collect(&peer, &endpoint);
        peer_step(&peer);
    }
    cr_expect_eq(endpoint_count(&endpoint, WORKER_COOKIES_SENT), 1);
    cr_expect_eq(endpoint_count(&endpoint, WORKER_HANDSHAKES_FAILED), 1);
    cr_expect_eq(endpoint_handshakes(&endpoint), 0);
    cr_expect_eq(endpoint_sessions(&endpoint), 0);
    peer_close(&peer);

    peer_open(&peer, &(struct peer_options){.cid = true, .cid_length = CID_LENGTH_MAX});
    cr_expect(peer_connect(&peer, &endpoint));
    peer_close(&peer);
    endpoint_close(&endpoint);
}
