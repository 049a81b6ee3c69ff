#include "worker/tls.h"

#include "tests/worker/endpoint.h"
#include "tests/worker/peer.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

static const struct cluster_key cluster_key = {.bytes = {7, 7, 7}};
static struct tls_context context;
static struct peer peer;
static struct cid own_cid = {.length = 8, .bytes = {0x27, 1, 2, 3, 4, 5, 6, 7}};
static bool admits = true;
static size_t admitted;

static void open_context(void)
{
    cr_assert_eq(tls_context_init(&context, &cluster_key), STATUS_OK);
}

static void close_context(void)
{
    tls_context_free(&context);
}

TestSuite(tls, .init = open_context, .fini = close_context);

static bool admit(void *owner, struct cid *cid)
{
    cr_expect_eq(owner, &peer);
    admitted++;
    *cid = own_cid;
    return admits;
}

static size_t give_psk(void *owner, const uint8_t *identity, size_t length, uint8_t *psk,
                       size_t size)
{
    cr_expect_eq(owner, &peer);
    cr_expect_eq(length, strlen(ENDPOINT_IDENTITY));
    cr_expect_eq(memcmp(identity, ENDPOINT_IDENTITY, length), 0);
    cr_expect_geq(size, PSK_LENGTH_MAX);
    memcpy(psk, endpoint_psk, sizeof(endpoint_psk));
    return sizeof(endpoint_psk);
}

static enum tls_greeting greet(struct tls_context *with, struct tls **tls)
{
    struct datagram hello = datagrams_take(&peer.out);
    cr_assert_not_null(hello.bytes);
    enum tls_greeting greeting =
        tls_greet(with, &peer.address, hello.bytes, hello.length, admit, &peer, tls);
    free(hello.bytes);
    return greeting;
}

/* The context's flight goes to the peer; how many datagrams it was. */
static size_t answer(struct tls_context *with)
{
    const struct path path = {.address = peer.address};
    struct cursor cursor = cursor_over(with->flight.bytes, with->flight.length);
    size_t length, count = 0;
    for (const uint8_t *bytes; (bytes = flight_next(&cursor, &length)); count++)
        datagrams_add(&peer.in, &path, bytes, length);
    peer_step(&peer);
    return count;
}

static void open_peer(const struct peer_options *options)
{
    peer_open(&peer, options);
    peer_step(&peer);
}

static struct tls *begin(const struct peer_options *options)
{
    struct tls *tls = NULL;
    open_peer(options);
    cr_assert_eq(greet(&context, &tls), TLS_ASKED_FOR_COOKIE);
    cr_assert_null(tls);
    cr_assert_eq(answer(&context), 1);
    cr_assert_eq(greet(&context, &tls), TLS_GREETED);
    cr_assert_not_null(tls);
    tls->psk = give_psk;
    tls->psk_owner = &peer;
    return tls;
}

static enum tls_outcome feed_all(struct tls *tls)
{
    enum tls_outcome outcome = TLS_WAITING;
    while (peer.out.count > 0) {
        struct datagram datagram = datagrams_take(&peer.out);
        outcome = tls_feed(&context, tls, datagram.bytes, datagram.length);
        free(datagram.bytes);
    }
    return outcome;
}

Test(tls, agrees_with_the_client_on_everything)
{
    for (size_t s = 0; s < suites_count; s++) {
        for (uint8_t cid_length = 0; cid_length <= 20; cid_length += 10) {
            const struct suite *suite = &suites[s];
            struct tls_result result;
            struct tls *tls = begin(
                &(struct peer_options){.suite = suite, .cid = true, .cid_length = cid_length});
            answer(&context);
            cr_assert_eq(feed_all(tls), TLS_DONE);
            cr_assert_eq(tls_result(&context, tls, &result), STATUS_OK);
            answer(&context);
            cr_assert(peer.connected);
            cr_expect_eq(result.suite, s);
            cr_expect(result.uses_cid);
            cr_expect_eq(result.peer_cid.length, cid_length);
            for (uint8_t i = 0; i < cid_length; i++)
                cr_expect_eq(result.peer_cid.bytes[i], 0xc0 + i);
            struct cid cid = peer_server_cid(&peer);
            cr_expect(cid_equal(&cid, &own_cid));
            const WOLFSSL *ssl = peer.ssl;
            cr_expect_eq(memcmp(result.read.key, wolfSSL_GetClientWriteKey((WOLFSSL *)ssl),
                                suite->key_length),
                         0);
            cr_expect_eq(memcmp(result.write.key, wolfSSL_GetServerWriteKey((WOLFSSL *)ssl),
                                suite->key_length),
                         0);
            cr_expect_eq(
                memcmp(result.read.iv, wolfSSL_GetClientWriteIV((WOLFSSL *)ssl), suite->iv_length),
                0);
            cr_expect_eq(
                memcmp(result.write.iv, wolfSSL_GetServerWriteIV((WOLFSSL *)ssl), suite->iv_length),
                0);
            tls_free(tls);
            peer_close(&peer);
        }
    }
    cr_expect_eq(admitted, suites_count * 3);
}

Test(tls, a_client_without_cids)
{
    struct tls_result result;
    struct tls *tls = begin(&(struct peer_options){0});
    answer(&context);
    cr_assert_eq(feed_all(tls), TLS_DONE);
    cr_assert_eq(tls_result(&context, tls, &result), STATUS_OK);
    cr_expect(!result.uses_cid);
    cr_expect_eq(result.peer_cid.length, 0);
    tls_free(tls);
    peer_close(&peer);
}

/* A cookie of any worker is good for all: a datagram may reach another one. */
Test(tls, cookies_are_the_clusters)
{
    struct tls_context other, stranger;
    struct cluster_key other_key = cluster_key;
    struct tls *tls = NULL;
    other_key.bytes[0]++;
    cr_assert_eq(tls_context_init(&other, &cluster_key), STATUS_OK);
    cr_assert_eq(tls_context_init(&stranger, &other_key), STATUS_OK);

    open_peer(&(struct peer_options){.cid = true});
    cr_assert_eq(greet(&context, &tls), TLS_ASKED_FOR_COOKIE);
    answer(&context);
    cr_expect_eq(greet(&other, &tls), TLS_GREETED);
    tls_free(tls);
    peer_close(&peer);

    tls = NULL;
    open_peer(&(struct peer_options){.cid = true});
    cr_assert_eq(greet(&context, &tls), TLS_ASKED_FOR_COOKIE);
    answer(&context);
    cr_expect_eq(greet(&stranger, &tls), TLS_ASKED_FOR_COOKIE);
    cr_expect_null(tls);
    peer_close(&peer);
    tls_context_free(&other);
    tls_context_free(&stranger);
}

Test(tls, who_is_not_admitted_is_turned_away)
{
    struct tls *tls = NULL;
    open_peer(&(struct peer_options){.cid = true});
    cr_assert_eq(greet(&context, &tls), TLS_ASKED_FOR_COOKIE);
    cr_expect_eq(admitted, 0, "not before the cookie");
    answer(&context);
    admits = false;
    cr_expect_eq(greet(&context, &tls), TLS_TURNED_AWAY);
    cr_expect_null(tls);
    peer_close(&peer);
    admits = true;
    tls = begin(&(struct peer_options){.cid = true});
    tls_free(tls);
    peer_close(&peer);
}

Test(tls, the_timer_doubles_and_gives_up)
{
    struct tls *tls = begin(&(struct peer_options){.cid = true});
    uint64_t wait_ms = 1000;
    size_t first_length = context.flight.length;
    for (; wait_ms < 60000; wait_ms *= 2) {
        cr_expect_eq(tls_timeout_ms(tls), wait_ms);
        cr_assert_eq(tls_timeout(&context, tls), TLS_WAITING);
        cr_expect_eq(context.flight.length, first_length, "the same flight");
    }
    cr_expect_eq(tls_timeout(&context, tls), TLS_FAILED);
    tls_free(tls);
    peer_close(&peer);
}

Test(tls, the_last_flight_again_in_new_records)
{
    uint8_t flights[3][256];
    size_t lengths[3];
    struct tls *tls = begin(&(struct peer_options){.cid = true});
    answer(&context);
    cr_assert_eq(feed_all(tls), TLS_DONE);
    for (size_t i = 0; i < 3; i++) {
        lengths[i] = context.flight.length;
        cr_assert_lt(lengths[i], sizeof(flights[i]));
        memcpy(flights[i], context.flight.bytes, lengths[i]);
        tls_repeat(&context, tls);
    }
    cr_expect_eq(lengths[1], lengths[0]);
    cr_expect_neq(memcmp(flights[0], flights[1], lengths[0]), 0);
    cr_expect_neq(memcmp(flights[1], flights[2], lengths[0]), 0);
    for (int i = 0; i < 100; i++) {
        tls_repeat(&context, tls);
        cr_assert_eq(context.flight.length, lengths[0], "time %d", i);
    }
    answer(&context);
    cr_expect(peer.connected, "any of them will do");
    tls_free(tls);
    peer_close(&peer);
}

/* The explicit nonce of wolfSSL's Finished is whatever it is; ours must not run into those that
 * count up from it. */
Test(tls, our_nonces_keep_clear_of_wolfssls)
{
    static const uint16_t theirs[] = {0, 1, 2, 0x7fff, 0x8000, 0x8001, 0xffff};
    static const uint16_t ours[] = {0x8001, 0x8001, 1, 1, 1, 1, 1};
    for (size_t s = 0; s < suites_count; s++) {
        struct tls *tls = begin(&(struct peer_options){.suite = &suites[s], .cid = true});
        answer(&context);
        cr_assert_eq(feed_all(tls), TLS_DONE);
        for (size_t i = 0; i < sizeof(theirs) / sizeof(theirs[0]); i++) {
            /* length 2, then ChangeCipherSpec: 14, then the Finished: header 13, nonce */
            uint8_t *nonce = context.flight.bytes + 2 + 14 + 13;
            struct tls_result result;
            nonce[0] = (uint8_t)(theirs[i] >> 8);
            nonce[1] = (uint8_t)theirs[i];
            cr_assert_eq(tls_result(&context, tls, &result), STATUS_OK);
            cr_expect_eq(result.nonce_prefix, suites[s].explicit_length ? ours[i] : 1);
        }
        tls_free(tls);
        peer_close(&peer);
    }
}

Test(tls, noise_instead_of_a_flight)
{
    uint64_t random = 5;
    uint8_t noise[300];
    struct tls *tls = begin(&(struct peer_options){.cid = true});
    answer(&context);
    for (int i = 0; i < 2000; i++) {
        for (size_t at = 0; at < sizeof(noise); at++) {
            random = random * 6364136223846793005u + 1442695040888963407u;
            noise[at] = (uint8_t)(random >> 40);
        }
        noise[0] = (uint8_t)(20 + i % 6);
        cr_assert_neq(tls_feed(&context, tls, noise, 1 + (random >> 33) % sizeof(noise)), TLS_DONE);
    }
    tls_free(tls);
    peer_close(&peer);
}
