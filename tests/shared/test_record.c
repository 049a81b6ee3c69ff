#include "shared/record.h"
#include "tests/shared/hex.h"

#include <criterion/criterion.h>
#include <string.h>

#define NO_CID 0

struct datagram {
    uint8_t bytes[512];
    size_t length;
};

static struct datagram from_hex(const char *hex)
{
    struct datagram datagram;
    datagram.length = hex_decode(hex, datagram.bytes, sizeof datagram.bytes);
    return datagram;
}

static enum status first_of(const struct datagram *datagram, size_t cid_length,
                            struct record *record)
{
    struct cursor cursor = cursor_over(datagram->bytes, datagram->length);
    return record_next(&cursor, cid_length, record);
}

Test(record, a_plaintext_record_shows_its_fields)
{
    struct datagram datagram = from_hex("16 fefd 0001 000000000102 0003 aabbcc");
    struct record record;
    cr_assert_eq(first_of(&datagram, RECORD_CID_SELF_DESCRIBED, &record), STATUS_OK);
    cr_assert_eq(record.form, RECORD_PLAINTEXT);
    cr_assert_eq(record.type, RECORD_TYPE_HANDSHAKE);
    cr_assert_eq(record.version, RECORD_VERSION_DTLS12);
    cr_assert_eq(record.epoch, 1);
    cr_assert_eq(record.sequence, 0x0102);
    cr_assert_null(record.cid);
    cr_assert_eq(record.cid_length, 0);
    cr_assert_eq(record.start, datagram.bytes);
    cr_assert_eq(record.header_length, RECORD_HEADER_SIZE);
    cr_assert_eq(record.payload, datagram.bytes + RECORD_HEADER_SIZE);
    cr_assert_eq(record.payload_length, 3);
}

/* RFC 9146 section 4: the CID stands between the sequence number and the length, at offset 11. */
Test(record, a_cid_record_shows_its_cid)
{
    struct datagram datagram = from_hex("19 fefd 0001 ffffffffffff 0720b1d07b359d3c 0002 aabb");
    const size_t ways[] = {RECORD_CID_SELF_DESCRIBED, 8};
    for (size_t i = 0; i < 2; i++) {
        struct record record;
        cr_assert_eq(first_of(&datagram, ways[i], &record), STATUS_OK);
        cr_assert_eq(record.form, RECORD_CID);
        cr_assert_eq(record.type, RECORD_TYPE_TLS12_CID);
        cr_assert_eq(record.sequence, RECORD_SEQUENCE_MAX);
        cr_assert_eq(record.cid, datagram.bytes + 11);
        cr_assert_eq(record.cid_length, 8);
        cr_assert_eq(record.header_length, RECORD_HEADER_SIZE + 8);
        cr_assert_eq(record.payload, datagram.bytes + 21);
        cr_assert_eq(record.payload_length, 2);
    }
}

Test(record, a_cid_of_fixed_length_is_not_read_as_ours)
{
    struct datagram datagram = from_hex("19 fefd 0001 000000000001 ffee 0001 aa");
    struct record record;
    cr_assert_eq(first_of(&datagram, 2, &record), STATUS_OK);
    cr_assert_eq(record.cid_length, 2);
    cr_assert_eq(record.payload_length, 1);
    cr_assert_eq(first_of(&datagram, RECORD_CID_SELF_DESCRIBED, &record), STATUS_MALFORMED,
                 "as ours it would be 32 octets");
    cr_assert_eq(first_of(&datagram, NO_CID, &record), STATUS_MALFORMED);
}

Test(record, every_content_type_is_known_or_refused)
{
    struct datagram datagram = from_hex("00 fefd 0000 000000000000 0000");
    for (unsigned type = 0; type < 256; type++) {
        struct record record;
        datagram.bytes[0] = (uint8_t)type;
        enum status status = first_of(&datagram, RECORD_CID_SELF_DESCRIBED, &record);
        if (type >= 20 && type <= 26 && type != RECORD_TYPE_TLS12_CID) {
            cr_assert_eq(status, STATUS_OK, "type %u", type);
            cr_assert_eq(record.form, RECORD_PLAINTEXT);
            cr_assert_eq(record.type, type);
        } else if (type >> 5 == 1) {
            cr_assert(status == STATUS_MALFORMED || record.form == RECORD_UNIFIED, "%u", type);
        } else {
            cr_assert_eq(status, STATUS_MALFORMED, "type %u", type);
        }
    }
}

Test(record, versions_other_than_dtls_1_0_and_1_2_are_unsupported)
{
    struct datagram datagram = from_hex("16 fefd 0000 000000000000 0000");
    struct record record;
    for (unsigned version = 0; version <= UINT16_MAX; version++) {
        bool known = version == RECORD_VERSION_DTLS10 || version == RECORD_VERSION_DTLS12;
        datagram.bytes[1] = (uint8_t)(version >> 8);
        datagram.bytes[2] = (uint8_t)version;
        cr_assert_eq(first_of(&datagram, NO_CID, &record), known ? STATUS_OK : STATUS_UNSUPPORTED,
                     "version %04x", version);
    }
}

Test(record, a_cid_belongs_to_dtls_1_2)
{
    struct datagram datagram = from_hex("19 feff 0001 000000000001 0720b1d07b359d3c 0000");
    struct record record;
    cr_assert_eq(first_of(&datagram, RECORD_CID_SELF_DESCRIBED, &record), STATUS_UNSUPPORTED);
}

static void refuse_each_truncation(const struct datagram *datagram)
{
    for (size_t length = 0; length < datagram->length; length++) {
        struct datagram cut = *datagram;
        struct record record = {.type = 99};
        struct cursor cursor = cursor_over(cut.bytes, length);
        cr_assert_eq(record_next(&cursor, RECORD_CID_SELF_DESCRIBED, &record), STATUS_MALFORMED,
                     "length %zu", length);
        cr_assert_eq(cursor.at, cut.bytes, "the cursor moves on success only");
        cr_assert(cursor_ok(&cursor));
        cr_assert_eq(record.type, 99, "so does the view");
    }
}

Test(record, each_truncation_is_malformed)
{
    struct datagram plain = from_hex("17 fefd 0001 000000000001 0004 01020304");
    struct datagram cid = from_hex("19 fefd 0001 000000000001 0720b1d07b359d3c 0004 01020304");
    struct datagram unified = from_hex("3c 0720b1d07b359d3c 0001 0004 01020304");
    refuse_each_truncation(&plain);
    refuse_each_truncation(&cid);
    refuse_each_truncation(&unified);
}

Test(record, a_length_past_the_end_is_malformed)
{
    struct datagram datagram = from_hex("17 fefd 0001 000000000001 ffff 01020304");
    struct record record;
    cr_assert_eq(first_of(&datagram, NO_CID, &record), STATUS_MALFORMED);
}

/* RFC 9147 section 4: 001CSLEE; a CID at offset 1. */
Test(record, a_unified_header_shows_its_fields)
{
    struct record record;
    struct datagram all = from_hex("3e 0720b1d07b359d3c 1234 0002 aabb cc");
    cr_assert_eq(first_of(&all, RECORD_CID_SELF_DESCRIBED, &record), STATUS_OK);
    cr_assert_eq(record.form, RECORD_UNIFIED);
    cr_assert_eq(record.type, 0);
    cr_assert_eq(record.version, 0);
    cr_assert_eq(record.epoch, 2);
    cr_assert_eq(record.sequence, 0x1234);
    cr_assert_eq(record.cid, all.bytes + 1);
    cr_assert_eq(record.cid_length, 8);
    cr_assert_eq(record.header_length, 13);
    cr_assert_eq(record.payload_length, 2);

    struct datagram least = from_hex("23 7f aabbcc");
    cr_assert_eq(first_of(&least, RECORD_CID_SELF_DESCRIBED, &record), STATUS_OK);
    cr_assert_eq(record.epoch, 3);
    cr_assert_eq(record.sequence, 0x7f);
    cr_assert_null(record.cid);
    cr_assert_eq(record.header_length, 2);
    cr_assert_eq(record.payload_length, 3, "without a length: the rest of the datagram");
}

Test(record, a_unified_header_with_a_cid_that_nobody_asked_for_is_malformed)
{
    struct datagram datagram = from_hex("30 01 02 03");
    struct record record;
    cr_assert_eq(first_of(&datagram, NO_CID, &record), STATUS_MALFORMED);
}

Test(record, a_datagram_is_read_record_by_record)
{
    struct datagram datagram = from_hex("16 fefd 0000 000000000005 0002 aabb"
                                        "14 fefd 0000 000000000006 0001 01"
                                        "19 fefd 0001 000000000000 0720b1d07b359d3c 0001 cc"
                                        "2f 0001 0001 dd"
                                        "21 05 ee ff");
    static const enum record_form forms[] = {RECORD_PLAINTEXT, RECORD_PLAINTEXT, RECORD_CID,
                                             RECORD_UNIFIED, RECORD_UNIFIED};
    struct cursor cursor = cursor_over(datagram.bytes, datagram.length);
    struct record record;
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
        cr_assert_eq(record_next(&cursor, RECORD_CID_SELF_DESCRIBED, &record), STATUS_OK);
        cr_assert_eq(record.form, forms[i]);
    }
    cr_assert_eq(record.payload_length, 2);
    cr_assert_eq(cursor_left(&cursor), 0);
    cr_assert_eq(record_next(&cursor, RECORD_CID_SELF_DESCRIBED, &record), STATUS_MALFORMED);
}

Test(record, garbage_after_a_good_record_does_not_undo_it)
{
    struct datagram datagram = from_hex("17 fefd 0001 000000000001 0001 aa 00 01 02");
    struct cursor cursor = cursor_over(datagram.bytes, datagram.length);
    struct record record;
    cr_assert_eq(record_next(&cursor, NO_CID, &record), STATUS_OK);
    cr_assert_eq(cursor_left(&cursor), 3);
    cr_assert_eq(record_next(&cursor, NO_CID, &record), STATUS_MALFORMED);
    cr_assert_eq(cursor_left(&cursor), 3);
}
