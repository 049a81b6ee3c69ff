/* The peer's address: who moves it, and how much goes to one that has not answered. */
#include "tests/worker/endpoint.h"
#include "tests/worker/peer.h"
#include "worker/dtls.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

static struct endpoint endpoint;
static struct peer peer;
static const struct peer_options with_cid = {.cid = true};
static struct address home, away;

static void open_both(void)
{
    endpoint_open(&endpoint, &(struct endpoint_options){0});
    peer_open(&peer, &with_cid);
    cr_assert(peer_connect(&peer, &endpoint));
    cr_assert(peer_converses(&peer, &endpoint));
    home = peer.address;
    away = endpoint_address(9, 9999);
}

static void close_both(void)
{
    peer_close(&peer);
    endpoint_close(&endpoint);
}

TestSuite(dtls_path, .init = open_both, .fini = close_both);

static struct session *session_of(const struct peer *client)
{
    struct cid cid = peer_server_cid(client);
    struct session *session = session_by_cid(&endpoint.dtls->sessions, cid.bytes, cid.length);
    cr_assert_not_null(session);
    return session;
}

static bool lives_at(const struct peer *client, const struct address *address)
{
    return address_equal(&session_of(client)->path.address, address);
}

/* The next record of the peer, not delivered; the caller frees its bytes. */
static struct datagram next_record(struct peer *client)
{
    cr_assert(peer_send(client, "hello", 5));
    cr_assert_eq(client->out.count, 1);
    return datagrams_take(&client->out);
}

static void deliver(const struct datagram *record, const struct address *from)
{
    endpoint_receive(&endpoint, from, record->bytes, record->length);
}

Test(dtls_path, the_newest_record_moves_the_session)
{
    struct session *session = session_of(&peer);
    cr_expect(session->path_proven);
    peer.address = away;
    cr_expect(peer_converses(&peer, &endpoint), "and the answer goes there");
    cr_expect(lives_at(&peer, &away));
    cr_expect(address_equal(&session->previous_address, &home));
    cr_expect_eq(session->address_changes, 1);
    cr_expect_eq(endpoint_count(&endpoint, WORKER_ADDRESS_CHANGES), 1);
    cr_expect(!session->path_proven);
    cr_expect_eq(session_by_address(&endpoint.dtls->sessions, &away), session);
    cr_expect_null(session_by_address(&endpoint.dtls->sessions, &home));

    peer.address = home;
    cr_expect(peer_converses(&peer, &endpoint));
    cr_expect_eq(session->address_changes, 2);
    cr_expect(address_equal(&session->previous_address, &away));
    cr_expect_eq(endpoint_count(&endpoint, WORKER_HANDSHAKES_OK), 1);
}

Test(dtls_path, another_lb_is_no_other_address)
{
    struct datagram record = next_record(&peer);
    const struct path path = {.address = home, .lb = 7, .listener = 3};
    dtls_receive(endpoint.dtls, endpoint.now_ms, &path, record.bytes, record.length);
    cr_expect_eq(session_of(&peer)->path.lb, 7);
    cr_expect_eq(session_of(&peer)->path.listener, 3);
    cr_expect_eq(endpoint_count(&endpoint, WORKER_ADDRESS_CHANGES), 0);
    free(record.bytes);
}

Test(dtls_path, an_older_record_is_heard_and_does_not_move_it)
{
    struct datagram older = next_record(&peer);
    struct datagram newer = next_record(&peer);
    size_t received = endpoint.received.count;
    deliver(&newer, &home);
    deliver(&older, &away);
    cr_expect_eq(endpoint.received.count, received + 2);
    cr_expect(lives_at(&peer, &home));
    cr_expect_eq(endpoint_count(&endpoint, WORKER_ADDRESS_CHANGES), 0);
    free(older.bytes);
    free(newer.bytes);
}

Test(dtls_path, a_replayed_record_does_not_move_it)
{
    struct datagram record = next_record(&peer);
    size_t received = endpoint.received.count;
    deliver(&record, &home);
    deliver(&record, &away);
    cr_expect_eq(endpoint.received.count, received + 1);
    cr_expect_eq(endpoint_count(&endpoint, WORKER_DROPPED_REPLAYED), 1);
    cr_expect(lives_at(&peer, &home));
    free(record.bytes);
}

Test(dtls_path, a_spoofed_newer_record_does_not_move_it)
{
    struct datagram record = next_record(&peer);
    record.bytes[record.length - 1] ^= 1;
    deliver(&record, &away);
    record.bytes[record.length - 1] ^= 1;
    record.bytes[10] += 100; /* the sequence number's last octet: newer, and not authentic */
    deliver(&record, &away);
    cr_expect_eq(endpoint_count(&endpoint, WORKER_DROPPED_BAD_TAG), 2);
    cr_expect(lives_at(&peer, &home));
    record.bytes[10] -= 100;
    deliver(&record, &home);
    cr_expect_eq(endpoint_dropped(&endpoint), 2, "and the window has not moved");
    free(record.bytes);
}

/* --- two sessions, one address --- */

static void two_sessions(bool other_has_cid)
{
    struct peer other;
    const struct peer_options options = {
        .cid = other_has_cid,
        .identity = ENDPOINT_IDENTITY2,
        .address = endpoint_address(2, 2222),
    };
    peer_open(&other, &options);
    cr_assert(peer_connect(&other, &endpoint));
    cr_assert(peer_converses(&other, &endpoint));
    struct session *b = endpoint.receiver;

    struct datagram old = next_record(&peer);
    struct datagram record = next_record(&peer);
    record.bytes[record.length - 1] ^= 1;
    deliver(&record, &other.address);
    cr_expect(lives_at(&peer, &home), "not authentic");
    record.bytes[record.length - 1] ^= 1;
    deliver(&record, &home);
    deliver(&old, &other.address);
    cr_expect(lives_at(&peer, &home), "not newer");
    cr_expect_eq(session_by_address(&endpoint.dtls->sessions, &other.address), b);

    peer.address = other.address;
    cr_expect(peer_converses(&peer, &endpoint));
    cr_expect(address_equal(&b->path.address, &other.address));
    cr_expect_eq(b->address_changes, 0);
    if (!other_has_cid)
        cr_expect_eq(session_by_address(&endpoint.dtls->sessions, &other.address), b,
                     "its address is the only name it has");
    for (int i = 0; i < 3; i++) {
        cr_expect(peer_converses(&other, &endpoint));
        cr_expect(peer_converses(&peer, &endpoint));
    }
    cr_expect_eq(endpoint_sessions(&endpoint), 2);
    peer.address = home;
    cr_expect(peer_converses(&peer, &endpoint));
    cr_expect(peer_converses(&other, &endpoint));
    free(old.bytes);
    free(record.bytes);
    peer_close(&other);
}

Test(dtls_path, a_record_from_anothers_address_moves_its_own_session_only)
{
    two_sessions(true);
}

Test(dtls_path, a_peer_without_cid_keeps_its_address)
{
    two_sessions(false);
}

/* --- three times --- */

static size_t octets_to(const struct address *address)
{
    size_t octets = 0;
    for (size_t i = 0; i < endpoint.sent.count; i++) {
        if (address_equal(&endpoint.sent.items[i].path.address, address))
            octets += endpoint.sent.items[i].length;
    }
    return octets;
}

Test(dtls_path, a_large_reply_waits_until_the_new_address_has_answered)
{
    uint8_t reply[1000], got[1100];
    memset(reply, 0xa5, sizeof(reply));
    struct datagram record = next_record(&peer);
    deliver(&record, &away);
    size_t in = record.length;
    struct session *session = endpoint.receiver;

    dtls_send(endpoint.dtls, session, reply, sizeof(reply));
    cr_expect_eq(endpoint_count(&endpoint, WORKER_PATHS_HELD), 1);
    cr_assert_eq(endpoint.sent.count, 1, "the probe");
    cr_expect_leq(octets_to(&away), AMPLIFICATION_FACTOR * in);
    uint8_t *content;
    size_t length;
    uint8_t type;
    cr_assert(peer_open_record(&peer, &endpoint.sent.items[0], &content, &length, &type));
    cr_expect_eq(type, RECORD_TYPE_APPLICATION_DATA);
    cr_expect_eq(length, strlen(ENDPOINT_PROBE));
    cr_expect_eq(memcmp(content, ENDPOINT_PROBE, length), 0);
    cr_expect_eq(octets_to(&home), 0, "nothing to where it was");
    datagrams_clear(&endpoint.sent);

    dtls_path_answered(endpoint.dtls, session);
    cr_assert_eq(endpoint.sent.count, 1);
    peer.address = away;
    peer_collect(&peer, &endpoint);
    cr_expect_eq(peer_receive(&peer, got, sizeof(got)), sizeof(reply));
    cr_expect_eq(memcmp(got, reply, sizeof(reply)), 0);
    cr_expect(session->path_proven);
    for (int i = 0; i < 5; i++)
        dtls_send(endpoint.dtls, session, reply, sizeof(reply));
    cr_expect_eq(endpoint.sent.count, 5, "no limit any more");
    free(record.bytes);
}

Test(dtls_path, never_more_than_three_times_whatever_the_sizes)
{
    uint64_t random = 7;
    size_t in = 0;
    uint8_t reply[1200] = {0};
    struct datagrams log = {0};
    endpoint.log = &log;
    for (int i = 0; i < 500; i++) {
        struct datagram record = next_record(&peer);
        deliver(&record, &away);
        in += record.length;
        free(record.bytes);
        random = random * 6364136223846793005u + 1442695040888963407u;
        size_t length = (random >> 33) % (i % 2 ? sizeof(reply) : 100);
        dtls_send(endpoint.dtls, endpoint.receiver, reply, length);
        cr_assert_leq(datagrams_octets(&log), AMPLIFICATION_FACTOR * in);
    }
    cr_expect_gt(datagrams_octets(&log), in, "the credit is of use");
    cr_expect_gt(endpoint_count(&endpoint, WORKER_PATHS_HELD), 0);
    endpoint.log = NULL;
    datagrams_clear(&log);
}

Test(dtls_path, replayed_records_give_no_credit)
{
    struct datagram record = next_record(&peer);
    deliver(&record, &away);
    uint32_t credit = endpoint.receiver->path_credit;
    cr_expect_eq(credit, AMPLIFICATION_FACTOR * record.length);
    for (int i = 0; i < 10; i++)
        deliver(&record, &away);
    cr_expect_eq(endpoint.receiver->path_credit, credit);
    free(record.bytes);
}

Test(dtls_path, older_records_from_elsewhere_give_no_credit)
{
    struct datagram older = next_record(&peer);
    struct datagram newer = next_record(&peer);
    deliver(&newer, &away);
    deliver(&older, &home);
    cr_expect_eq(endpoint.receiver->path_credit, AMPLIFICATION_FACTOR * newer.length);
    free(older.bytes);
    free(newer.bytes);
}

Test(dtls_path, credit_does_not_move_with_the_session)
{
    struct address third = endpoint_address(3, 33);
    for (int i = 0; i < 10; i++) {
        struct datagram record = next_record(&peer);
        deliver(&record, &away);
        free(record.bytes);
    }
    struct datagram record = next_record(&peer);
    deliver(&record, &third);
    cr_expect_eq(endpoint.receiver->path_credit, AMPLIFICATION_FACTOR * record.length);
    free(record.bytes);
}

Test(dtls_path, a_lost_probe_is_followed_by_another)
{
    uint8_t reply[1000] = {0};
    for (size_t tries = 1; tries <= 3; tries++) {
        struct datagram record = next_record(&peer);
        deliver(&record, &away);
        dtls_send(endpoint.dtls, endpoint.receiver, reply, sizeof(reply));
        cr_expect_eq(endpoint.probes, tries);
        datagrams_clear(&endpoint.sent);
        free(record.bytes);
    }
    dtls_path_answered(endpoint.dtls, endpoint.receiver);
    cr_expect_eq(endpoint.sent.count, 3);
}

Test(dtls_path, an_answer_that_nobody_asked_for_proves_nothing)
{
    struct datagram record = next_record(&peer);
    deliver(&record, &away);
    dtls_path_answered(endpoint.dtls, endpoint.receiver);
    cr_expect(!endpoint.receiver->path_proven);
    free(record.bytes);
}

Test(dtls_path, what_waited_for_one_address_goes_to_the_next_or_nowhere)
{
    uint8_t reply[1000] = {0};
    struct address third = endpoint_address(3, 33);
    struct datagram record = next_record(&peer);
    deliver(&record, &away);
    dtls_send(endpoint.dtls, endpoint.receiver, reply, sizeof(reply));
    free(record.bytes);
    record = next_record(&peer);
    deliver(&record, &third);
    cr_expect(!endpoint.receiver->ping_sent, "the old probe is not the new address's");
    dtls_send(endpoint.dtls, endpoint.receiver, reply, sizeof(reply));
    datagrams_clear(&endpoint.sent);
    dtls_path_answered(endpoint.dtls, endpoint.receiver);
    cr_expect_eq(endpoint.sent.count, 2);
    cr_expect_eq(octets_to(&away), 0);
    free(record.bytes);
}

Test(dtls_path, a_reply_does_not_wait_for_ever)
{
    uint8_t reply[1000] = {0};
    struct datagram record = next_record(&peer);
    deliver(&record, &away);
    dtls_send(endpoint.dtls, endpoint.receiver, reply, sizeof(reply));
    datagrams_clear(&endpoint.sent);
    endpoint_run(&endpoint, PATH_HELD_MS);
    dtls_path_answered(endpoint.dtls, endpoint.receiver);
    cr_expect_eq(endpoint.sent.count, 0);
    cr_expect(endpoint.receiver->path_proven);
    free(record.bytes);
}
