#include "worker/dtls.h"

#include "shared/record.h"
#include "tests/worker/endpoint.h"
#include "tests/worker/peer.h"

#include <criterion/criterion.h>
#include <malloc.h>
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

static struct endpoint endpoint;

static void open_endpoint(void)
{
    endpoint_open(&endpoint, &(struct endpoint_options){0});
}

static void close_endpoint(void)
{
    endpoint_close(&endpoint);
}

TestSuite(dtls, .init = open_endpoint, .fini = close_endpoint);

static void open_again(const struct endpoint_options *options)
{
    endpoint_close(&endpoint);
    endpoint_open(&endpoint, options);
}

static void connect_or_die(struct peer *peer, const struct peer_options *options)
{
    peer_open(peer, options);
    cr_assert(peer_connect(peer, &endpoint), "suite %s, cid %d of %u: error %d",
              peer->options.suite->name, peer->options.cid, peer->options.cid_length, peer->error);
}

/* The peer has its cookie, and its ClientHello with it waits to be delivered. */
static void get_cookie(struct peer *peer, const struct peer_options *options)
{
    peer_open(peer, options);
    peer_step(peer);
    cr_assert_eq(peer_deliver(peer, &endpoint), 1);
    cr_assert_eq(peer_collect(peer, &endpoint), 1);
    peer_step(peer);
    cr_assert_eq(peer->out.count, 1);
}

/* The server's first flight has been answered: the peer's Finished waits to be delivered. */
static void get_finished(struct peer *peer, const struct peer_options *options)
{
    get_cookie(peer, options);
    peer_deliver(peer, &endpoint);
    cr_assert_eq(endpoint_handshakes(&endpoint), 1);
    peer_collect(peer, &endpoint);
    peer_step(peer);
    cr_assert_gt(peer->out.count, 0);
}

Test(dtls, each_suite_with_each_choice_of_cids)
{
    for (size_t s = 0; s < suites_count; s++) {
        for (size_t c = 0; c < CID_CHOICES; c++) {
            struct peer peer;
            struct peer_options options = cid_choices[c];
            options.suite = &suites[s];
            options.address = endpoint_address((uint8_t)(s + 1), (uint16_t)(1000 + c));
            connect_or_die(&peer, &options);
            cr_expect_eq(peer_server_cid(&peer).length, options.cid ? CID_LENGTH_DEFAULT : 0);
            for (int i = 0; i < 3; i++)
                cr_assert(peer_converses(&peer, &endpoint), "%s, choice %zu", suites[s].name, c);
            peer_close(&peer);
        }
    }
    cr_expect_eq(endpoint_count(&endpoint, WORKER_HANDSHAKES_OK), suites_count * CID_CHOICES);
    cr_expect_eq(endpoint_count(&endpoint, WORKER_SESSIONS), suites_count * CID_CHOICES);
    cr_expect_eq(endpoint_dropped(&endpoint), 0);
    cr_expect_eq(endpoint_handshakes(&endpoint), 0, "freed with the first application data");
}

Test(dtls, each_length_of_our_cids)
{
    for (uint8_t length = CID_LENGTH_MIN; length <= CID_LENGTH_MAX; length++) {
        struct peer peer;
        /* The worker's id has two octets, and CIDs of 6 have room for one. */
        if (length == CID_LENGTH_MIN)
            continue;
        open_again(&(struct endpoint_options){.cid_length = length});
        connect_or_die(&peer, &(struct peer_options){.cid = true, .cid_length = 4});
        cr_expect_eq(peer_server_cid(&peer).length, length);
        cr_expect(peer_converses(&peer, &endpoint));
        peer_close(&peer);
    }
}

Test(dtls, options_that_cannot_be_are_refused)
{
    struct dtls *dtls = malloc(sizeof(*dtls));
    struct dtls_options options = endpoint.dtls->options;
    cr_assert_not_null(dtls);
    options.cid_length = CID_LENGTH_MIN - 1;
    cr_expect_eq(dtls_init(dtls, &options, 0), STATUS_UNSUPPORTED);
    options.cid_length = CID_LENGTH_MAX + 1;
    cr_expect_eq(dtls_init(dtls, &options, 0), STATUS_UNSUPPORTED);
    options.cid_length = CID_LENGTH_MIN;
    options.worker_id = 256;
    cr_expect_eq(dtls_init(dtls, &options, 0), STATUS_UNSUPPORTED);
    free(dtls);
}

/* --- a nonce is used once --- */

static int compare_numbers(const void *a, const void *b)
{
    uint64_t left = *(const uint64_t *)a, right = *(const uint64_t *)b;
    return (left > right) - (left < right);
}

static void expect_unique(uint64_t *numbers, size_t count, const char *what)
{
    qsort(numbers, count, sizeof(*numbers), compare_numbers);
    for (size_t i = 1; i < count; i++)
        cr_assert_neq(numbers[i], numbers[i - 1], "%s %llx used twice", what,
                      (unsigned long long)numbers[i]);
}

struct sealed {
    uint64_t *sequences;
    uint64_t *nonces; /* explicit ones */
    size_t count;
    size_t below_lease;
};

/* All records of epoch 1 that the endpoint has ever sent. */
static struct sealed read_sealed(const struct datagrams *log, const struct peer_options *options)
{
    struct sealed sealed = {
        .sequences = calloc(4 * log->count, sizeof(uint64_t)),
        .nonces = calloc(4 * log->count, sizeof(uint64_t)),
    };
    for (size_t i = 0; i < log->count; i++) {
        struct cursor cursor = cursor_over(log->items[i].bytes, log->items[i].length);
        struct record record;
        while (cursor_left(&cursor) > 0) {
            cr_assert_eq(record_next(&cursor, options->cid_length, &record), STATUS_OK);
            if (record.epoch == 0)
                continue;
            struct cursor payload = cursor_over(record.payload, record.payload_length);
            cr_assert_eq(record.form, options->cid_length > 0 ? RECORD_CID : RECORD_PLAINTEXT);
            sealed.sequences[sealed.count] = record.sequence;
            sealed.nonces[sealed.count++] = cursor_u64(&payload);
            sealed.below_lease += record.sequence < SEQUENCE_HANDSHAKE_RESERVED;
        }
    }
    return sealed;
}

static void send_many(struct peer *peer, uint32_t count)
{
    struct session *session = endpoint.receiver;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t got = UINT32_MAX;
        dtls_send(endpoint.dtls, session, (const uint8_t *)&i, sizeof(i));
        cr_assert_eq(peer_collect(peer, &endpoint), 1, "record %u", i);
        cr_assert_eq(peer_receive(peer, &got, sizeof(got)), sizeof(got), "record %u", i);
        cr_assert_eq(got, i);
        if (i % 500 == 0)
            endpoint_run(&endpoint, 1);
    }
}

Test(dtls, no_sequence_number_and_no_nonce_is_used_twice, .timeout = 50)
{
    enum { MANY = 2 * SEQUENCE_LEASE + 100, REPEATS = 5 };
    for (size_t s = 0; s < suites_count; s++) {
        struct datagrams log = {0};
        struct peer peer;
        const struct peer_options options = {
            .suite = &suites[s],
            .cid = true,
            .cid_length = s % 2 ? 5 : 0,
            .address = endpoint_address((uint8_t)s, 1),
        };
        endpoint.log = &log;
        get_finished(&peer, &options);
        peer_deliver(&peer, &endpoint);
        endpoint_run(&endpoint, 0);
        for (int i = 0; i < REPEATS; i++) {
            peer_time_out(&peer);
            peer_deliver(&peer, &endpoint);
        }
        peer_settle(&peer, &endpoint);
        cr_assert(peer.connected);
        size_t leases = endpoint_sequence_leases(&endpoint);
        cr_assert(peer_converses(&peer, &endpoint));
        cr_expect_geq(endpoint.receiver->send_next, SEQUENCE_HANDSHAKE_RESERVED);
        send_many(&peer, MANY);
        cr_expect_geq(endpoint_sequence_leases(&endpoint) - leases, 2);

        struct sealed sealed = read_sealed(&log, &options);
        cr_expect_eq(sealed.count, 1 + REPEATS + 1 + MANY);
        cr_expect_eq(sealed.below_lease, 1 + REPEATS, "the handshake's own, and no other");
        expect_unique(sealed.sequences, sealed.count, "sequence number");
        if (suites[s].explicit_length > 0)
            expect_unique(sealed.nonces, sealed.count, "nonce");
        endpoint.log = NULL;
        free(sealed.sequences);
        free(sealed.nonces);
        datagrams_clear(&log);
        peer_close(&peer);
    }
}

Test(dtls, nothing_is_sealed_without_a_lease)
{
    struct peer peer;
    connect_or_die(&peer, &(struct peer_options){.cid = true});
    cr_assert(peer_converses(&peer, &endpoint));
    struct session *session = endpoint.receiver;
    endpoint_break_store(&endpoint, &(struct endpoint_breakage){.sequences = true});
    uint32_t left = session->lease_left;
    for (uint32_t i = 0; i < left + 10; i++) {
        dtls_send(endpoint.dtls, session, (const uint8_t *)"x", 1);
        if (i % 100 == 0)
            endpoint_run(&endpoint, 1);
    }
    cr_expect_eq(endpoint.sent.count, left);
    cr_expect_eq(endpoint_count(&endpoint, WORKER_DROPPED_NO_LEASE), 10);
    endpoint_run(&endpoint, 1);
    endpoint_break_store(&endpoint, &(struct endpoint_breakage){.full = true});
    dtls_send(endpoint.dtls, session, (const uint8_t *)"x", 1);
    cr_expect_eq(endpoint.sent.count, left);

    endpoint_break_store(&endpoint, &(struct endpoint_breakage){0});
    dtls_send(endpoint.dtls, session, (const uint8_t *)"x", 1);
    cr_expect_eq(endpoint.sent.count, left, "the store has only been asked");
    endpoint_run(&endpoint, 1);
    datagrams_clear(&endpoint.sent);
    cr_expect(peer_converses(&peer, &endpoint), "goes on by itself");
    peer_close(&peer);
}

static void ignore_answer(void *owner, const struct store_answer *answer)
{
    uint64_t *first = owner;
    cr_assert_eq(answer->outcome, STORE_OK);
    *first = answer->first;
}

/* DESIGN.md section 7, invariant 1: another worker that believes it owns the session holds another
 * block. */
Test(dtls, numbers_leased_to_another_worker_are_not_used)
{
    struct datagrams log = {0};
    struct peer peer;
    const struct peer_options options = {.cid = true};
    uint64_t theirs = 0;
    connect_or_die(&peer, &options);
    cr_assert(peer_converses(&peer, &endpoint));
    const struct store_waiter waiter = {ignore_answer, &theirs, peer_server_cid(&peer), 0};
    cr_assert_eq(store_lease_sequences(endpoint.store, 1, &waiter), STATUS_OK);
    endpoint_run(&endpoint, 1);
    cr_assert_eq(theirs, SEQUENCE_HANDSHAKE_RESERVED + SEQUENCE_LEASE);

    endpoint.log = &log;
    send_many(&peer, 2 * SEQUENCE_LEASE);
    struct sealed sealed = read_sealed(&log, &options);
    cr_assert_eq(sealed.count, 2 * SEQUENCE_LEASE);
    expect_unique(sealed.sequences, sealed.count, "sequence number");
    for (size_t i = 0; i < sealed.count; i++)
        cr_assert(sealed.sequences[i] < theirs || sealed.sequences[i] >= theirs + SEQUENCE_LEASE);
    endpoint.log = NULL;
    free(sealed.sequences);
    free(sealed.nonces);
    datagrams_clear(&log);
    peer_close(&peer);
}

/* --- the size of things --- */

static void measure(const struct peer_options *options, const char *what)
{
    size_t octets[2] = {0}, datagrams[2] = {0};
    struct peer peer;
    peer_open(&peer, options);
    peer_step(&peer);
    while (peer.out.count > 0) {
        datagrams[0] += peer.out.count;
        octets[0] += datagrams_octets(&peer.out);
        peer_deliver(&peer, &endpoint);
        endpoint_run(&endpoint, 0);
        datagrams[1] += endpoint.sent.count;
        octets[1] += datagrams_octets(&endpoint.sent);
        peer_collect(&peer, &endpoint);
        peer_step(&peer);
    }
    cr_assert(peer.connected);
    printf("handshake, %s: client %zu octets in %zu datagrams, server %zu octets in %zu "
           "datagrams (UDP payload)\n",
           what, octets[0], datagrams[0], octets[1], datagrams[1]);
    cr_expect_leq(datagrams[0] + datagrams[1], 6);
    peer_close(&peer);
}

Test(dtls, a_handshake_takes_six_datagrams)
{
    measure(&(struct peer_options){.cid = true}, "PSK CCM-8, server's CID of 8 octets");
    measure(&(struct peer_options){.address = endpoint_address(2, 2)}, "PSK CCM-8, no CID");
    printf("struct session: %zu octets, struct handshake: %zu, struct dtls: %zu\n",
           sizeof(struct session), sizeof(struct handshake), sizeof(struct dtls));
}

/* --- the end of a session by time --- */

Test(dtls, a_silent_session_goes_from_memory_and_comes_back)
{
    struct peer peer, busy;
    connect_or_die(&peer, &(struct peer_options){.cid = true});
    connect_or_die(&busy, &(struct peer_options){
                              .cid = true,
                              .identity = ENDPOINT_IDENTITY2,
                              .address = endpoint_address(2, 2),
                          });
    cr_assert(peer_converses(&peer, &endpoint));
    endpoint_run(&endpoint, 1000 * (uint64_t)SESSION_TTL_S / 2);
    cr_assert(peer_converses(&busy, &endpoint));
    cr_expect_leq(dtls_next_ms(endpoint.dtls),
                  endpoint.now_ms + 1000 * (uint64_t)SESSION_TTL_S / 2 + 1000);
    endpoint_run(&endpoint, 1000 * (uint64_t)SESSION_TTL_S / 2 - 1000);
    cr_expect_eq(endpoint_sessions(&endpoint), 2);
    endpoint_run(&endpoint, 2000);
    cr_expect_eq(endpoint_sessions(&endpoint), 1);
    cr_expect_eq(endpoint_count(&endpoint, WORKER_SESSIONS_EVICTED), 1);
    cr_expect_eq(endpoint_stored(&endpoint), 2);
    cr_expect_eq(endpoint.ended, 1);
    cr_expect(peer_converses(&busy, &endpoint));
    peer_close(&peer);
    peer_close(&busy);
}
