#include "shared/record.h"

#include "shared/cid.h"

/* RFC 9147 section 4, figure 3: the first octet of a unified header is 001CSLEE. */
#define UNIFIED_MASK        0xe0
#define UNIFIED_BITS        0x20
#define UNIFIED_CID         0x10
#define UNIFIED_SEQUENCE_16 0x08
#define UNIFIED_LENGTH      0x04
#define UNIFIED_EPOCH       0x03

/* The CID at the cursor, and its length. */
static const uint8_t *take_cid(struct cursor *cursor, size_t expected_length, size_t *length)
{
    *length = expected_length;
    if (expected_length == RECORD_CID_SELF_DESCRIBED) {
        struct cursor peek = *cursor;
        *length = cid_length_from_first(cursor_u8(&peek));
    }
    /* RFC 9146 section 4 and RFC 9147 section 4: a CID of zero length does not show in the header,
     * so a header with one is not for a receiver that asked for none. */
    if (*length == 0)
        cursor->failed = true;
    return cursor_bytes(cursor, *length);
}

static enum status next_unified(struct cursor *cursor, size_t cid_length, struct record *record)
{
    uint8_t first = cursor_u8(cursor);
    record->form = RECORD_UNIFIED;
    record->epoch = first & UNIFIED_EPOCH;
    if (first & UNIFIED_CID)
        record->cid = take_cid(cursor, cid_length, &record->cid_length);
    record->sequence = cursor_number(cursor, first & UNIFIED_SEQUENCE_16 ? 2 : 1);
    /* "The length field MAY be omitted": then the record is the datagram's last. */
    record->payload_length = first & UNIFIED_LENGTH ? cursor_u16(cursor) : cursor_left(cursor);
    return STATUS_OK;
}

static enum status next_legacy(struct cursor *cursor, size_t cid_length, struct record *record)
{
    record->type = cursor_u8(cursor);
    record->version = cursor_u16(cursor);
    record->epoch = cursor_u16(cursor);
    record->sequence = cursor_u48(cursor);
    if (!cursor_ok(cursor))
        return STATUS_MALFORMED;
    bool has_cid = record->type == RECORD_TYPE_TLS12_CID;
    /* tls12_cid is negotiated in DTLS 1.2 only (RFC 9146 section 3). */
    if (record->version != RECORD_VERSION_DTLS12 &&
        (record->version != RECORD_VERSION_DTLS10 || has_cid))
        return STATUS_UNSUPPORTED;
    record->form = has_cid ? RECORD_CID : RECORD_PLAINTEXT;
    if (has_cid)
        record->cid = take_cid(cursor, cid_length, &record->cid_length);
    record->payload_length = cursor_u16(cursor);
    return STATUS_OK;
}

enum status record_next(struct cursor *datagram, size_t cid_length, struct record *record)
{
    struct cursor cursor = *datagram;
    struct cursor peek = cursor;
    struct record view = {.start = cursor.at};
    uint8_t first = cursor_u8(&peek);
    if (!cursor_ok(&peek))
        return STATUS_MALFORMED;

    enum status status = STATUS_MALFORMED;
    if ((first & UNIFIED_MASK) == UNIFIED_BITS)
        status = next_unified(&cursor, cid_length, &view);
    else if (first >= RECORD_TYPE_CHANGE_CIPHER_SPEC && first <= RECORD_TYPE_ACK)
        status = next_legacy(&cursor, cid_length, &view);
    if (status != STATUS_OK)
        return status;

    view.payload = cursor_bytes(&cursor, view.payload_length);
    if (!cursor_ok(&cursor))
        return STATUS_MALFORMED;
    view.header_length = (size_t)(view.payload - view.start);
    *record = view;
    *datagram = cursor;
    return STATUS_OK;
}
