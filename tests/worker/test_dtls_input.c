/* Bad input: each is counted under its own reason, answered by nothing, and harms no session. */
#include "shared/record.h"
#include "tests/worker/endpoint.h"
#include "tests/worker/peer.h"
#include "worker/alert.h"
#include "worker/dtls.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#define RECORD_SPACE 512

static struct endpoint endpoint;
static struct peer peer;      /* the victim; it has a CID */
static struct peer plain;     /* another without */
static struct peer bystander; /* never spoken of */

static void open_all(void)
{
    endpoint_open(&endpoint, &(struct endpoint_options){0});
    peer_open(&peer, &(struct peer_options){.cid = true, .cid_length = 3});
    peer_open(&plain, &(struct peer_options){.identity = ENDPOINT_IDENTITY2,
                                             .address = endpoint_address(2, 2222)});
    peer_open(&bystander, &(struct peer_options){.cid = true, .address = endpoint_address(3, 3)});
    cr_assert(peer_connect(&peer, &endpoint));
    cr_assert(peer_connect(&plain, &endpoint));
    cr_assert(peer_connect(&bystander, &endpoint));
    cr_assert(peer_converses(&peer, &endpoint));
    cr_assert(peer_converses(&plain, &endpoint));
    cr_assert(peer_converses(&bystander, &endpoint));
    datagrams_clear(&endpoint.received);
}

static void close_all(void)
{
    cr_expect(peer_converses(&bystander, &endpoint), "no other session is harmed");
    peer_close(&peer);
    peer_close(&plain);
    peer_close(&bystander);
    endpoint_close(&endpoint);
}

TestSuite(dtls_input, .init = open_all, .fini = close_all);

static void expect_drop(const struct peer *from, enum worker_metric reason, const void *bytes,
                        size_t length)
{
    uint64_t of_reason = endpoint_count(&endpoint, reason);
    uint64_t dropped = endpoint_dropped(&endpoint);
    size_t received = endpoint.received.count;
    endpoint_receive(&endpoint, &from->address, bytes, length);
    endpoint_run(&endpoint, 0); /* the store may have to say first that it has no such session */
    cr_expect_eq(endpoint_count(&endpoint, reason), of_reason + 1, "%s not counted",
                 worker_metrics[reason].label);
    cr_expect_eq(endpoint_dropped(&endpoint), dropped + 1, "%s: counted otherwise too",
                 worker_metrics[reason].label);
    cr_expect_eq(endpoint.sent.count, 0, "%s: answered", worker_metrics[reason].label);
    cr_expect_eq(endpoint.received.count, received, "%s: heard", worker_metrics[reason].label);
}

/* By crafted records, whose numbers are above those of wolfSSL's. */
static bool still_works(struct peer *client)
{
    uint8_t record[RECORD_SPACE], got[16];
    size_t received = endpoint.received.count;
    size_t length =
        peer_seal(client, RECORD_TYPE_APPLICATION_DATA, "on", 2, record, sizeof(record));
    endpoint_receive(&endpoint, &client->address, record, length);
    if (endpoint.received.count != received + 1)
        return false;
    dtls_send(endpoint.dtls, endpoint.receiver, (const uint8_t *)"and on", 6);
    peer_collect(client, &endpoint);
    return peer_receive(client, got, sizeof(got)) == 6 && memcmp(got, "and on", 6) == 0;
}

static size_t seal_data(struct peer *client, uint8_t record[RECORD_SPACE])
{
    return peer_seal(client, RECORD_TYPE_APPLICATION_DATA, "some data", 9, record, RECORD_SPACE);
}

/* --- records that do not open --- */

Test(dtls_input, bad_tag_replayed_ancient)
{
    struct peer *both[] = {&peer, &plain};
    for (size_t i = 0; i < 2; i++) {
        uint8_t record[RECORD_SPACE], newer[RECORD_SPACE];
        size_t length = seal_data(both[i], record);
        record[length - 1] ^= 0x80;
        expect_drop(both[i], WORKER_DROPPED_BAD_TAG, record, length);
        record[length - 1] ^= 0x80;
        datagrams_clear(&endpoint.received);
        endpoint_receive(&endpoint, &both[i]->address, record, length);
        cr_expect_eq(endpoint.received.count, 1);
        expect_drop(both[i], WORKER_DROPPED_REPLAYED, record, length);

        length = seal_data(both[i], record);
        both[i]->crafted_next += REPLAY_WINDOW_BITS - 1;
        size_t newer_length = seal_data(both[i], newer);
        endpoint_receive(&endpoint, &both[i]->address, newer, newer_length);
        cr_expect_eq(endpoint.received.count, 2);
        expect_drop(both[i], WORKER_DROPPED_ANCIENT, record, length);
        cr_expect(still_works(both[i]));
    }
}

Test(dtls_input, every_octet_of_a_record_counts)
{
    struct peer *both[] = {&peer, &plain};
    for (size_t i = 0; i < 2; i++) {
        uint8_t record[RECORD_SPACE];
        size_t length = seal_data(both[i], record);
        size_t sessions = endpoint_sessions(&endpoint);
        for (size_t at = 0; at < length; at++) {
            for (uint8_t bit = 1; bit; bit = (uint8_t)(bit << 1)) {
                uint64_t dropped = endpoint_dropped(&endpoint);
                record[at] ^= bit;
                endpoint_receive(&endpoint, &both[i]->address, record, length);
                endpoint_run(&endpoint, 0);
                record[at] ^= bit;
                cr_expect_gt(endpoint_dropped(&endpoint), dropped, "octet %zu bit %u", at, bit);
            }
        }
        cr_expect_eq(endpoint.received.count, 0);
        cr_expect_eq(endpoint.sent.count, 0);
        cr_expect_eq(endpoint_sessions(&endpoint), sessions);
        endpoint_receive(&endpoint, &both[i]->address, record, length);
        cr_expect_eq(endpoint.received.count, 1, "unharmed it is heard");
        cr_expect(still_works(both[i]));
        datagrams_clear(&endpoint.received);
    }
}

Test(dtls_input, wrong_epochs)
{
    struct peer *both[] = {&peer, &plain};
    static const uint16_t epochs[] = {0, 2, 3, 0xffff};
    for (size_t i = 0; i < 2; i++) {
        for (size_t e = 0; e < 4; e++) {
            uint8_t record[RECORD_SPACE];
            struct cid cid;
            struct record_header header =
                peer_next_header(both[i], RECORD_TYPE_APPLICATION_DATA, &cid);
            header.epoch = epochs[e];
            size_t length = peer_seal_as(both[i], &header, "x", 1, record, sizeof(record));
            expect_drop(both[i], WORKER_DROPPED_EPOCH, record, length);
        }
        cr_expect(still_works(both[i]));
        datagrams_clear(&endpoint.received);
    }
}

Test(dtls_input, plain_application_data)
{
    static const uint8_t record[] = {23, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 9, 0, 2, 'h', 'i'};
    expect_drop(&plain, WORKER_DROPPED_EPOCH, record, sizeof(record));
    expect_drop(&peer, WORKER_DROPPED_EPOCH, record, sizeof(record));
}

/* RFC 9146 section 3: who has negotiated a CID puts it on every record. */
Test(dtls_input, a_record_without_the_cid_that_was_agreed)
{
    uint8_t record[RECORD_SPACE];
    struct cid cid;
    struct record_header header = peer_next_header(&peer, RECORD_TYPE_APPLICATION_DATA, &cid);
    header.cid_length = 0;
    size_t length = peer_seal_as(&peer, &header, "x", 1, record, sizeof(record));
    expect_drop(&peer, WORKER_DROPPED_NO_SESSION, record, length);
    cr_expect(still_works(&peer));
}

Test(dtls_input, too_short_for_its_suite)
{
    uint8_t record[RECORD_SPACE];
    size_t length = seal_data(&peer, record);
    size_t header = RECORD_HEADER_SIZE + CID_LENGTH_DEFAULT;
    cr_assert_eq(record[header - 1], length - header);
    for (uint8_t payload = 0; payload < 8 + 1 + 8; payload++) {
        record[header - 1] = payload;
        expect_drop(&peer, WORKER_DROPPED_MALFORMED, record, header + payload);
    }
    cr_expect(still_works(&peer));
}

/* --- records of nobody --- */

Test(dtls_input, cids_that_are_not_ours)
{
    uint8_t record[RECORD_SPACE];
    size_t length = seal_data(&peer, record);
    uint8_t *cid = record + 11;
    const uint8_t first = cid[0];
    for (uint8_t config = 0; config < 8; config++) {
        if (config == first >> 5)
            continue;
        cid[0] = (uint8_t)(config << 5 | (first & 0x1f));
        expect_drop(&peer, WORKER_DROPPED_CID_CONFIG, record, length);
    }
    cid[0] = first;
    cid[5] ^= 1;
    expect_drop(&peer, WORKER_DROPPED_NO_SESSION, record, length);

    for (size_t other = 1; other <= 32; other++) {
        if (other == CID_LENGTH_DEFAULT)
            continue;
        uint8_t wrong[13 + 32 + 20] = {25, 0xfe, 0xfd, 0, 1, 0, 0, 0, 0, 0, 7};
        wrong[11] = (uint8_t)((first & 0xe0) | (other - 1));
        wrong[12 + other] = 20;
        expect_drop(&peer, WORKER_DROPPED_CID_LENGTH, wrong, 13 + other + 20);
    }
    cr_expect(still_works(&peer));
}

Test(dtls_input, the_cid_of_a_session_that_has_none_names_nobody)
{
    struct session *session = session_by_address(&endpoint.dtls->sessions, &plain.address);
    uint8_t record[RECORD_SPACE];
    struct cid none;
    struct record_header header = peer_next_header(&plain, RECORD_TYPE_APPLICATION_DATA, &none);
    header.cid = session->own_cid.bytes;
    header.cid_length = session->own_cid.length;
    size_t length = peer_seal_as(&plain, &header, "x", 1, record, sizeof(record));
    expect_drop(&plain, WORKER_DROPPED_NO_SESSION, record, length);
    cr_expect(still_works(&plain));
}

Test(dtls_input, records_from_an_address_that_has_no_session)
{
    uint8_t record[RECORD_SPACE];
    const struct peer stranger = {.address = endpoint_address(77, 7)};
    size_t length = seal_data(&plain, record);
    expect_drop(&stranger, WORKER_DROPPED_NO_SESSION, record, length);
    static const uint8_t alert[] = {21, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 9, 0, 2, 2, 40};
    expect_drop(&stranger, WORKER_DROPPED_NO_SESSION, alert, sizeof(alert));
    expect_drop(&plain, WORKER_DROPPED_NO_SESSION, alert, sizeof(alert));
    expect_drop(&peer, WORKER_DROPPED_NO_SESSION, alert, sizeof(alert));
    cr_expect(still_works(&plain));
    cr_expect(still_works(&peer));
}

/* --- types and versions --- */

Test(dtls_input, content_types_that_mean_nothing)
{
    static const uint8_t types[] = {1,
                                    RECORD_TYPE_CHANGE_CIPHER_SPEC,
                                    RECORD_TYPE_HEARTBEAT,
                                    RECORD_TYPE_TLS12_CID,
                                    RECORD_TYPE_ACK,
                                    255};
    for (size_t i = 0; i < sizeof(types); i++) {
        uint8_t record[RECORD_SPACE];
        size_t length = peer_seal(&peer, types[i], "beat", 4, record, sizeof(record));
        expect_drop(&peer, WORKER_DROPPED_CONTENT_TYPE, record, length);
    }
    uint8_t record[RECORD_SPACE];
    size_t length = peer_seal(&plain, RECORD_TYPE_HEARTBEAT, "beat", 4, record, sizeof(record));
    expect_drop(&plain, WORKER_DROPPED_CONTENT_TYPE, record, length);
    cr_expect(still_works(&peer));
    cr_expect(still_works(&plain));
}

Test(dtls_input, versions_that_we_do_not_speak)
{
    static const uint8_t versions[][2] = {{0xfe, 0xff}, {0xfe, 0xfc}, {3, 3}, {1, 0}, {0, 0}};
    uint8_t record[RECORD_SPACE];
    struct peer *both[] = {&peer, &plain};
    for (size_t i = 0; i < 2; i++) {
        size_t length = seal_data(both[i], record);
        for (size_t v = 0; v < 5; v++) {
            memcpy(record + 1, versions[v], 2);
            expect_drop(both[i], WORKER_DROPPED_VERSION, record, length);
        }
    }
    static const uint8_t unified[] = {0x2d, 0, 1, 0,  17, 1,  2,  3,  4,  5,  6,
                                      7,    8, 9, 10, 11, 12, 13, 14, 15, 16, 17};
    expect_drop(&plain, WORKER_DROPPED_VERSION, unified, sizeof(unified));
    uint8_t unified_cid[1 + CID_LENGTH_DEFAULT + 2 + 2 + 17] = {0x3d};
    struct cid cid = peer_server_cid(&peer);
    memcpy(unified_cid + 1, cid.bytes, cid.length);
    unified_cid[12] = 17;
    expect_drop(&peer, WORKER_DROPPED_VERSION, unified_cid, sizeof(unified_cid));
    cr_expect(still_works(&peer));
}

/* --- datagrams --- */

Test(dtls_input, truncated_and_oversized)
{
    uint8_t record[RECORD_SPACE];
    struct peer *both[] = {&peer, &plain};
    for (size_t i = 0; i < 2; i++) {
        size_t length = seal_data(both[i], record);
        for (size_t cut = 1; cut < length; cut++)
            expect_drop(both[i], WORKER_DROPPED_MALFORMED, record, cut);
    }
    uint8_t *large = calloc(1, 65535);
    cr_assert_not_null(large);
    size_t length = seal_data(&peer, large);
    cr_assert_gt(length, 0);
    expect_drop(&peer, WORKER_DROPPED_OVERSIZED, large, DATAGRAM_SIZE_MAX + 1);
    expect_drop(&peer, WORKER_DROPPED_OVERSIZED, large, 65535);
    free(large);
    uint64_t dropped = endpoint_dropped(&endpoint);
    endpoint_receive(&endpoint, &peer.address, "", 0);
    cr_expect_eq(endpoint_dropped(&endpoint), dropped, "an empty datagram holds no record");
    cr_expect(still_works(&peer));
}

Test(dtls_input, first_octets_that_begin_no_record)
{
    uint8_t garbage[40] = {0};
    for (unsigned first = 0; first < 256; first++) {
        bool record = (first >= RECORD_TYPE_CHANGE_CIPHER_SPEC && first <= RECORD_TYPE_ACK) ||
                      first >> 5 == 1;
        garbage[0] = (uint8_t)first;
        if (!record)
            expect_drop(&peer, WORKER_DROPPED_MALFORMED, garbage, sizeof(garbage));
    }
}

Test(dtls_input, a_bad_record_does_not_hide_the_next)
{
    uint8_t datagram[2 * RECORD_SPACE];
    size_t length = seal_data(&peer, datagram);
    datagram[length - 1] ^= 1;
    length += seal_data(&peer, datagram + length);
    endpoint_receive(&endpoint, &peer.address, datagram, length);
    cr_expect_eq(endpoint.received.count, 1);
    cr_expect_eq(endpoint_count(&endpoint, WORKER_DROPPED_BAD_TAG), 1);
}

Test(dtls_input, noise)
{
    uint64_t random = 99;
    uint8_t record[RECORD_SPACE], noise[RECORD_SPACE];
    size_t length = seal_data(&peer, record);
    for (int i = 0; i < 50000; i++) {
        memcpy(noise, record, length);
        for (int change = 0; change < 1 + i % 5; change++) {
            random = random * 6364136223846793005u + 1442695040888963407u;
            noise[(random >> 33) % length] = (uint8_t)(random >> 50);
        }
        random = random * 6364136223846793005u + 1442695040888963407u;
        endpoint_receive(&endpoint, &peer.address, noise, (random >> 40) % length);
    }
    cr_expect_eq(endpoint.received.count, 0);
    cr_expect_eq(endpoint.sent.count, 0);
    cr_expect_eq(endpoint_sessions(&endpoint), 3);
    cr_expect(still_works(&peer));
}

/* --- authentic, and still wrong --- */

static void expect_alert(enum alert_level level, enum alert_description description)
{
    uint8_t *content;
    size_t length;
    uint8_t type;
    cr_assert_eq(endpoint.sent.count, 1);
    cr_assert(peer_open_record(&peer, &endpoint.sent.items[0], &content, &length, &type));
    cr_expect_eq(type, RECORD_TYPE_ALERT);
    cr_assert_eq(length, ALERT_SIZE);
    cr_expect_eq(content[0], level);
    cr_expect_eq(content[1], description);
    datagrams_clear(&endpoint.sent);
}

static void receive_alert(uint8_t level, uint8_t description)
{
    uint8_t record[RECORD_SPACE];
    const uint8_t alert[] = {level, description};
    size_t length = peer_seal(&peer, RECORD_TYPE_ALERT, alert, 2, record, sizeof(record));
    endpoint_receive(&endpoint, &peer.address, record, length);
}

Test(dtls_input, close_notify_is_answered_and_ends_the_session)
{
    cr_expect_neq(wolfSSL_shutdown(peer.ssl), WOLFSSL_FATAL_ERROR);
    cr_assert_eq(peer_deliver(&peer, &endpoint), 1);
    cr_expect_eq(endpoint_sessions(&endpoint), 2);
    cr_expect_eq(endpoint_stored(&endpoint), 2);
    cr_expect_eq(endpoint.ended, 1);
    cr_assert_eq(endpoint.sent.count, 1);
    peer_collect(&peer, &endpoint);
    cr_expect_eq(wolfSSL_shutdown(peer.ssl), WOLFSSL_SUCCESS, "wolfSSL has heard ours");
}

Test(dtls_input, a_fatal_alert_ends_the_session_silently)
{
    receive_alert(ALERT_FATAL, 40);
    cr_expect_eq(endpoint_sessions(&endpoint), 2);
    cr_expect_eq(endpoint_stored(&endpoint), 2);
    cr_expect_eq(endpoint.ended, 1);
    cr_expect_eq(endpoint.sent.count, 0);
    uint8_t record[RECORD_SPACE];
    size_t length = seal_data(&peer, record);
    expect_drop(&peer, WORKER_DROPPED_NO_SESSION, record, length);
}

Test(dtls_input, other_alerts_end_nothing)
{
    receive_alert(ALERT_WARNING, 90);
    cr_expect_eq(endpoint_dropped(&endpoint), 0);
    receive_alert(3, 40);
    cr_expect_eq(endpoint_count(&endpoint, WORKER_DROPPED_MALFORMED), 1);
    uint8_t record[RECORD_SPACE];
    for (size_t size = 0; size < 5; size++) {
        if (size == ALERT_SIZE)
            continue;
        size_t length =
            peer_seal(&peer, RECORD_TYPE_ALERT, "\2\50\0\0", size, record, sizeof(record));
        expect_drop(&peer, WORKER_DROPPED_MALFORMED, record, length);
    }
    cr_expect_eq(endpoint.sent.count, 0);
    cr_expect(still_works(&peer));
}

Test(dtls_input, no_renegotiation)
{
    static const uint8_t client_hello[60] = {1, 0, 0, 48, 0, 0, 0, 0, 0, 0, 0, 48, 0xfe, 0xfd};
    uint8_t record[RECORD_SPACE];
    for (uint64_t i = 1; i <= 3; i++) {
        size_t length = peer_seal(&peer, RECORD_TYPE_HANDSHAKE, client_hello, sizeof(client_hello),
                                  record, sizeof(record));
        endpoint_receive(&endpoint, &peer.address, record, length);
        cr_expect_eq(endpoint_count(&endpoint, WORKER_DROPPED_RENEGOTIATION), i);
        expect_alert(ALERT_WARNING, ALERT_NO_RENEGOTIATION);
    }
    cr_expect_eq(endpoint_handshakes(&endpoint), 0);
    cr_expect(still_works(&peer));
}

/* Before the first application data the handshake's object is still there; it is not told. */
Test(dtls_input, no_renegotiation_before_the_first_application_data)
{
    static const uint8_t client_hello[60] = {1, 0, 0, 48, 0, 0, 0, 0, 0, 0, 0, 48, 0xfe, 0xfd};
    uint8_t record[RECORD_SPACE];
    peer_close(&peer);
    peer_open(&peer, &(struct peer_options){.cid = true, .address = endpoint_address(5, 5)});
    cr_assert(peer_connect(&peer, &endpoint));
    cr_expect_eq(endpoint_handshakes(&endpoint), 1);
    size_t length = peer_seal(&peer, RECORD_TYPE_HANDSHAKE, client_hello, sizeof(client_hello),
                              record, sizeof(record));
    endpoint_receive(&endpoint, &peer.address, record, length);
    expect_alert(ALERT_WARNING, ALERT_NO_RENEGOTIATION);
    cr_expect_eq(endpoint_handshakes(&endpoint), 1);
    cr_expect(still_works(&peer));
}

/* RFC 9146 section 4 with RFC 8446 section 5.4: nothing but padding. */
Test(dtls_input, an_inner_plaintext_of_zeros_ends_the_session)
{
    static const uint8_t zeros[20] = {0};
    uint8_t record[RECORD_SPACE];
    size_t length = peer_seal(&peer, 0, zeros, sizeof(zeros), record, sizeof(record));
    endpoint_receive(&endpoint, &peer.address, record, length);
    cr_expect_eq(endpoint_count(&endpoint, WORKER_DROPPED_CONTENT_TYPE), 1);
    expect_alert(ALERT_FATAL, ALERT_UNEXPECTED_MESSAGE);
    cr_expect_eq(endpoint_sessions(&endpoint), 2);
    cr_expect_eq(endpoint_stored(&endpoint), 2);
}
