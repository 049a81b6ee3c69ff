#include "lb/classify.h"
#include "shared/limits.h"
#include "shared/record.h"
#include "tests/lb/datagrams.h"

#include <criterion/criterion.h>

/* Config 0 of 8 octets and config 3 of 17 (one AES block), side by side. */
static struct cid_config configs[CID_CONFIGS_MAX];
static uint8_t space[DATAGRAM_SIZE_MAX];
static struct writer datagram;

static void set_up(void)
{
    config_make(configs, 0, 8, 1);
    config_make(configs, 3, 17, 1);
    datagram = writer_over(space, sizeof(space));
}

static void tear_down(void)
{
    configs_free(configs);
}

static struct classification classify(void)
{
    cr_assert(writer_ok(&datagram));
    return classify_dtls(configs, space, writer_length(&datagram));
}

static void expect_cid(const struct classification *class, uint16_t worker, const struct cid *cid)
{
    cr_assert_eq(class->outcome, CLASS_ROUTABLE_CID);
    cr_assert_eq(class->worker, worker);
    cr_assert_eq(class->cid_length, cid->length);
    cr_assert_arr_eq(class->cid, cid->bytes, cid->length);
}

TestSuite(classify, .init = set_up, .fini = tear_down);

Test(classify, cid_in_the_first_record)
{
    struct cid cid = config_cid(configs, 0, 513, 1);
    datagram_cid(&datagram, cid.bytes, cid.length);
    struct classification class = classify();
    expect_cid(&class, 513, &cid);
    cr_assert_not(class.starts_handshake);
}

Test(classify, cid_of_each_config_length_and_worker)
{
    for (size_t length = CID_LENGTH_MIN; length <= CID_LENGTH_MAX; length++) {
        struct cid_config own[CID_CONFIGS_MAX] = {0};
        config_make(own, 5, length, 9);
        uint16_t worker = length == CID_LENGTH_MIN ? 200 : 0xbeef;
        struct cid cid = config_cid(own, 5, worker, 77);
        struct writer writer = writer_over(space, sizeof(space));
        datagram_cid(&writer, cid.bytes, cid.length);
        struct classification class = classify_dtls(own, space, writer_length(&writer));
        expect_cid(&class, worker, &cid);
        configs_free(own);
    }
}

Test(classify, two_configs_live_side_by_side)
{
    struct cid old = config_cid(configs, 0, 4, 1), new = config_cid(configs, 3, 5, 2);
    datagram_cid(&datagram, old.bytes, old.length);
    struct classification class = classify();
    expect_cid(&class, 4, &old);

    datagram = writer_over(space, sizeof(space));
    datagram_cid(&datagram, new.bytes, new.length);
    class = classify();
    expect_cid(&class, 5, &new);
}

Test(classify, cid_in_the_second_and_third_record)
{
    struct cid cid = config_cid(configs, 0, 9, 1);
    static const uint8_t key_exchange[16] = {16};
    for (size_t before = 1; before <= 2; before++) {
        datagram = writer_over(space, sizeof(space));
        for (size_t i = 0; i < before; i++)
            datagram_plain(&datagram,
                           i == 0 ? RECORD_TYPE_HANDSHAKE : RECORD_TYPE_CHANGE_CIPHER_SPEC, 0,
                           key_exchange, sizeof(key_exchange));
        datagram_cid(&datagram, cid.bytes, cid.length);
        struct classification class = classify();
        expect_cid(&class, 9, &cid);
        cr_assert_not(class.starts_handshake);
    }
}

Test(classify, the_first_routable_cid_counts)
{
    struct cid first = config_cid(configs, 0, 1, 1), second = config_cid(configs, 3, 2, 1);
    static const uint8_t unknown[8] = {2 << 5 | 7};
    datagram_cid(&datagram, unknown, sizeof(unknown));
    datagram_cid(&datagram, first.bytes, first.length);
    datagram_cid(&datagram, second.bytes, second.length);
    struct classification class = classify();
    expect_cid(&class, 1, &first);
}

Test(classify, rubbish_behind_good_records_takes_nothing_away)
{
    struct cid cid = config_cid(configs, 0, 9, 1);
    datagram_cid(&datagram, cid.bytes, cid.length);
    writer_bytes(&datagram, "\xff\xff\x00rubbish", 10);
    struct classification class = classify();
    expect_cid(&class, 9, &cid);

    datagram = writer_over(space, sizeof(space));
    datagram_client_hello(&datagram);
    writer_bytes(&datagram, "\xff\xff\x00rubbish", 10);
    class = classify();
    cr_assert_eq(class.outcome, CLASS_NO_CID);
    cr_assert(class.starts_handshake);
}

Test(classify, unified_header)
{
    struct cid cid = config_cid(configs, 0, 21, 1);
    datagram_unified(&datagram, cid.bytes, cid.length);
    struct classification class = classify();
    expect_cid(&class, 21, &cid);

    datagram = writer_over(space, sizeof(space));
    datagram_unified(&datagram, NULL, 0);
    cr_assert_eq(classify().outcome, CLASS_NO_CID);

    /* Without a length the record is the last; with 8 bits of sequence number. */
    datagram = writer_over(space, sizeof(space));
    datagram_client_hello(&datagram);
    writer_u8(&datagram, 0x32);
    writer_bytes(&datagram, cid.bytes, cid.length);
    writer_bytes(&datagram, "seventeen octets.", 17);
    class = classify();
    expect_cid(&class, 21, &cid);
    cr_assert(class.starts_handshake);
}

Test(classify, what_starts_a_handshake)
{
    static const uint8_t client_hello[] = {1}, server_hello[] = {2};
    static const struct {
        uint8_t type;
        uint16_t epoch;
        const uint8_t *payload;
        size_t length;
        bool starts;
    } rows[] = {
        {RECORD_TYPE_HANDSHAKE, 0, client_hello, 1, true},
        {RECORD_TYPE_HANDSHAKE, 0, server_hello, 1, false},
        {RECORD_TYPE_HANDSHAKE, 1, client_hello, 1, false}, /* encrypted: looks like one */
        {RECORD_TYPE_HANDSHAKE, 0, client_hello, 0, false},
        {RECORD_TYPE_APPLICATION_DATA, 0, client_hello, 1, false},
        {RECORD_TYPE_ALERT, 0, client_hello, 1, false},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        datagram = writer_over(space, sizeof(space));
        datagram_plain(&datagram, rows[i].type, rows[i].epoch, rows[i].payload, rows[i].length);
        struct classification class = classify();
        cr_assert_eq(class.outcome, CLASS_NO_CID, "row %zu", i);
        cr_assert_eq(class.starts_handshake, rows[i].starts, "row %zu", i);
    }
}

/* Else a made-up CID in front would carry a ClientHello past admission. */
Test(classify, a_client_hello_behind_a_cid_is_seen)
{
    struct cid cid = config_cid(configs, 0, 9, 1);
    datagram_cid(&datagram, cid.bytes, cid.length);
    datagram_client_hello(&datagram);
    struct classification class = classify();
    expect_cid(&class, 9, &cid);
    cr_assert(class.starts_handshake);
}

/* All first octets that say more or less than what stands there, each judged by the octet. */
Test(classify, cids_of_other_makes_by_reason)
{
    for (unsigned first = 0; first < 256; first++) {
        uint8_t cid[8] = {(uint8_t)first, 1, 2, 3, 4, 5, 6, 7};
        unsigned config = first >> 5, rest = first & 0x1f;
        enum class_outcome expected = CLASS_UNKNOWN_CONFIG;
        if (config == CID_CONFIG_UNROUTABLE)
            expected = CLASS_UNROUTABLE_CID;
        else if (config == 0)
            expected = rest == 7 ? CLASS_ROUTABLE_CID : CLASS_WRONG_LENGTH;
        else if (config == 3)
            expected = rest == 16 ? CLASS_MALFORMED : CLASS_WRONG_LENGTH;

        datagram = writer_over(space, sizeof(space));
        datagram_cid(&datagram, cid, sizeof(cid));
        cr_assert_eq(classify().outcome, expected, "1.2, first octet %02x", first);

        /* A unified header without a length takes what there is, up to the whole datagram. */
        datagram = writer_over(space, sizeof(space));
        datagram_unified(&datagram, cid, sizeof(cid));
        enum class_outcome unified = classify().outcome;
        cr_assert(unified == expected, "1.3, first octet %02x: %d", first, unified);
    }
}

Test(classify, an_unroutable_cid_is_no_flow_even_behind_good_records)
{
    static const uint8_t unknown[8] = {2 << 5 | 7}, too_long[8] = {2 << 5 | 31};
    datagram_client_hello(&datagram);
    datagram_cid(&datagram, unknown, sizeof(unknown));
    cr_assert_eq(classify().outcome, CLASS_UNKNOWN_CONFIG);

    datagram = writer_over(space, sizeof(space));
    datagram_client_hello(&datagram);
    datagram_cid(&datagram, too_long, sizeof(too_long));
    cr_assert_eq(classify().outcome, CLASS_UNKNOWN_CONFIG);
}

Test(classify, malformed)
{
    cr_assert_eq(classify_dtls(configs, space, 0).outcome, CLASS_MALFORMED);

    struct cid cid = config_cid(configs, 0, 9, 1);
    datagram_cid(&datagram, cid.bytes, cid.length);
    for (size_t length = 0; length < writer_length(&datagram); length++) {
        enum class_outcome outcome = classify_dtls(configs, space, length).outcome;
        cr_assert_eq(outcome, CLASS_MALFORMED, "%zu octets: %d", length, outcome);
    }
    for (unsigned type = 0; type < 256; type++) {
        bool known = (type >= 20 && type <= 26) || (type & 0xe0) == 0x20;
        if (known)
            continue;
        uint8_t garbage[20] = {(uint8_t)type};
        cr_assert_eq(classify_dtls(configs, garbage, sizeof(garbage)).outcome, CLASS_MALFORMED);
    }
}

Test(classify, version)
{
    datagram_client_hello(&datagram);
    space[1] = 3;
    cr_assert_eq(classify().outcome, CLASS_VERSION);
    space[1] = 0xfe;
    space[2] = 0xff; /* DTLS 1.0 in the record header: what some first ClientHellos carry */
    cr_assert_eq(classify().outcome, CLASS_NO_CID);

    struct cid cid = config_cid(configs, 0, 9, 1);
    datagram = writer_over(space, sizeof(space));
    datagram_cid(&datagram, cid.bytes, cid.length);
    space[1] = 3;
    cr_assert_eq(classify().outcome, CLASS_VERSION);
}

Test(classify, application_data_without_cid_tells_of_a_session)
{
    static const struct {
        uint8_t type;
        uint16_t epoch;
        bool carries_data;
    } cases[] = {
        {RECORD_TYPE_APPLICATION_DATA, 1, true},
        {RECORD_TYPE_APPLICATION_DATA, 0, false},
        {RECORD_TYPE_HANDSHAKE, 1, false},
        {RECORD_TYPE_ALERT, 1, false},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        uint8_t octets[64];
        struct writer writer = writer_over(octets, sizeof(octets));
        datagram_plain(&writer, cases[i].type, cases[i].epoch, "sealed, perhaps", 15);
        struct classification class = classify_dtls(configs, octets, writer_length(&writer));
        cr_expect_eq(class.outcome, CLASS_NO_CID, "case %zu", i);
        cr_expect_eq(class.carries_data, cases[i].carries_data, "case %zu", i);
    }
}

Test(classify, coap)
{
    static const uint8_t get[] = {0x40, 1, 0, 1}, oscore[] = {0x40, 2, 0, 1, 0x92, 0x08, 'k'};
    cr_assert_eq(classify_coap(get, 0).outcome, CLASS_MALFORMED);
    cr_assert_eq(classify_coap(get, sizeof(get)).outcome, CLASS_NO_CID);
    cr_assert_not(classify_coap(get, sizeof(get)).starts_handshake);
    /* What CoAP makes of it is the worker's to say. */
    cr_assert_eq(classify_coap((const uint8_t *)"\xff", 1).outcome, CLASS_NO_CID);
    struct classification class = classify_coap(oscore, sizeof(oscore));
    cr_assert_eq(class.outcome, CLASS_OSCORE);
    cr_assert_eq(class.oscore.kid_length, 1);
    cr_assert_eq(class.oscore.kid[0], 'k');
}
