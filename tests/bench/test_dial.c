#include <criterion/criterion.h>

#include "bench/dial.h"
#include "worker/tls.h"

#include <string.h>

/* A handshake between a dial and the worker's TLS, datagram by datagram, and then records both
 * ways. */
static const uint8_t psk[16] = {1, 2, 3, 4};
static const struct address from = {.port = 9};
static struct dial_credentials credentials = {.identity = "device", .key_length = sizeof(psk)};
static struct dialer dialer;
static struct tls_context server;
static struct flight up;

static void keep(void *owner, const uint8_t *datagram, size_t length)
{
    (void)owner;
    cr_assert_eq(flight_add(&up, datagram, length), STATUS_OK);
}

static bool admit(void *owner, struct cid *cid)
{
    (void)owner;
    *cid = (struct cid){.length = 8, .bytes = {7, 6, 5, 4, 3, 2, 1, 0}};
    return true;
}

static size_t find_psk(void *owner, const uint8_t *identity, size_t length, uint8_t *key,
                       size_t size)
{
    (void)owner;
    cr_assert_eq(length, 6);
    cr_assert_arr_eq(identity, "device", 6);
    cr_assert_geq(size, sizeof(psk));
    memcpy(key, psk, sizeof(psk));
    return sizeof(psk);
}

static void start(void)
{
    const struct cluster_key key = {{1}};
    memcpy(credentials.key, psk, sizeof(psk));
    cr_assert_eq(wolfSSL_Init(), WOLFSSL_SUCCESS);
    cr_assert_eq(tls_context_init(&server, &key), STATUS_OK);
    cr_assert_eq(dialer_init(&dialer, &suites[0], &credentials, keep), STATUS_OK);
}

static void stop(void)
{
    dialer_free(&dialer);
    tls_context_free(&server);
    (void)wolfSSL_Cleanup();
}

/* What the client has sent goes to the server. */
static enum tls_outcome deliver(struct tls **tls)
{
    struct flight sent = up;
    struct cursor cursor = cursor_over(sent.bytes, sent.length);
    enum tls_outcome outcome = TLS_WAITING;
    size_t length;
    up.length = 0;
    for (const uint8_t *bytes; (bytes = flight_next(&cursor, &length));) {
        if (*tls) {
            outcome = tls_feed(&server, *tls, bytes, length);
        } else if (tls_greet(&server, &from, bytes, length, admit, NULL, tls) == TLS_GREETED) {
            (*tls)->psk = find_psk;
        }
    }
    return outcome;
}

static enum dial_outcome collect(struct dial *dial)
{
    struct cursor cursor = cursor_over(server.flight.bytes, server.flight.length);
    enum dial_outcome outcome = DIAL_WAITING;
    size_t length;
    for (const uint8_t *bytes; (bytes = flight_next(&cursor, &length));)
        outcome = dial_feed(dial, bytes, length);
    return outcome;
}

static void shake_hands(struct dial *dial, struct tls **tls)
{
    enum dial_outcome client = dial_feed(dial, NULL, 0);
    for (int round = 0; client == DIAL_WAITING && round < 4; round++) {
        (void)deliver(tls);
        client = collect(dial);
    }
    cr_assert_eq(client, DIAL_DONE);
}

static void converse(const uint8_t *own_cid, size_t own_cid_length)
{
    struct tls *tls = NULL;
    struct tls_result theirs;
    struct association ours;
    struct protector protector;
    uint8_t space[256];
    uint8_t *content;
    size_t length;
    uint8_t type;
    struct record record;
    struct dial *dial = dial_new(&dialer, NULL, own_cid, own_cid_length);
    cr_assert_not_null(dial);
    shake_hands(dial, &tls);
    cr_assert_eq(dial_result(dial, &ours), STATUS_OK);
    cr_assert_eq(tls_result(&server, tls, &theirs), STATUS_OK);
    cr_assert_eq(protector_init(&protector), STATUS_OK);
    cr_assert_eq(ours.cid_length, 8);
    cr_assert_eq(ours.own_cid_length, own_cid_length);
    cr_assert_geq(ours.sequence, ASSOCIATION_SEQUENCE_FIRST);

    struct writer writer = writer_over(space, sizeof(space));
    cr_assert_eq(association_seal(&ours, &protector, RECORD_TYPE_APPLICATION_DATA,
                                  (const uint8_t *)"up", 2, &writer),
                 STATUS_OK);
    struct cursor cursor = cursor_over(space, writer_length(&writer));
    cr_assert_eq(record_next(&cursor, 8, &record), STATUS_OK);
    cr_assert_eq(record.form, RECORD_CID);
    cr_assert_eq(protect_open(&protector, &suites[theirs.suite], &theirs.read, &record, &content,
                              &length, &type),
                 STATUS_OK);
    cr_assert_eq(length, 2);
    cr_assert_arr_eq(content, "up", 2);

    const struct record_header down = {.type = RECORD_TYPE_APPLICATION_DATA,
                                       .epoch = 1,
                                       .sequence = 70,
                                       .nonce_prefix = theirs.nonce_prefix,
                                       .cid = theirs.peer_cid.bytes,
                                       .cid_length = theirs.peer_cid.length};
    writer = writer_over(space, sizeof(space));
    cr_assert_eq(protect_seal(&protector, &suites[theirs.suite], &theirs.write, &down,
                              (const uint8_t *)"down", 4, &writer),
                 STATUS_OK);
    cursor = cursor_over(space, writer_length(&writer));
    cr_assert_eq(record_next(&cursor, ours.own_cid_length, &record), STATUS_OK);
    cr_assert_eq(association_open(&ours, &protector, &record, &content, &length, &type), STATUS_OK);
    cr_assert_eq(type, RECORD_TYPE_APPLICATION_DATA);
    cr_assert_arr_eq(content, "down", 4);
    cr_assert_eq(association_open(&ours, &protector, &record, &content, &length, &type),
                 STATUS_BAD_TAG, "it was opened in place");
    protector_free(&protector);
    dial_free(dial);
    tls_free(tls);
}

Test(dial, without_cid_of_its_own, .init = start, .fini = stop)
{
    converse(NULL, 0);
}

Test(dial, with_cid_of_its_own, .init = start, .fini = stop)
{
    static const uint8_t cid[4] = {0, 0, 1, 2};
    converse(cid, sizeof(cid));
}

/* The explicit nonce of wolfSSL's Finished does not begin as ours do. */
Test(dial, nonces_are_apart, .init = start, .fini = stop)
{
    for (int i = 0; i < 20; i++) {
        struct tls *tls = NULL;
        struct dial *dial = dial_new(&dialer, NULL, NULL, 0);
        enum dial_outcome outcome = dial_feed(dial, NULL, 0);
        bool seen = false;
        while (outcome == DIAL_WAITING) {
            struct cursor cursor = cursor_over(up.bytes, up.length);
            size_t length;
            for (const uint8_t *bytes; (bytes = flight_next(&cursor, &length));) {
                struct cursor datagram = cursor_over(bytes, length);
                struct record record;
                while (record_next(&datagram, 8, &record) == STATUS_OK) {
                    struct cursor payload = cursor_over(record.payload, record.payload_length);
                    if (record.epoch != 1)
                        continue;
                    seen = true;
                    cr_assert_neq(cursor_u16(&payload), dial->nonce_prefix);
                }
            }
            (void)deliver(&tls);
            outcome = collect(dial);
        }
        cr_assert_eq(outcome, DIAL_DONE);
        cr_assert(seen);
        dial_free(dial);
        tls_free(tls);
    }
}

Test(dial, repeats_its_flight_and_gives_up, .init = start, .fini = stop)
{
    struct dial *dial = dial_new(&dialer, NULL, NULL, 0);
    cr_assert_eq(dial_feed(dial, NULL, 0), DIAL_WAITING);
    cr_assert_eq(dial_timeout_ms(dial), 1000);
    int repeats = 0;
    for (; repeats < 100; repeats++) {
        up.length = 0;
        if (dial_time_out(dial) == DIAL_FAILED)
            break;
        cr_assert_gt(up.length, 0);
    }
    cr_assert(repeats > 1 && repeats < 100, "%d repeats", repeats);
    dial_free(dial);
}
