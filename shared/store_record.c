#include "shared/store_record.h"

#include <string.h>

#include "shared/record.h"

_Static_assert(STORE_MARK_MAX <= UINT8_MAX, "a mark's length is one octet");

void store_record_init(struct store_record *record, struct octets sealed, struct octets mark,
                       const struct address *address)
{
    *record = (struct store_record){
        .fence = 1,
        .next_sequence = SEQUENCE_HANDSHAKE_RESERVED,
        .sealed_length = (uint16_t)sealed.length,
    };
    if (sealed.length > 0)
        memcpy(record->sealed, sealed.bytes, sealed.length);
    store_record_set_mark(record, mark);
    if (address) {
        record->has_address = true;
        record->address = *address;
    }
}

enum store_outcome store_record_check(const struct store_record *record, uint64_t fence)
{
    return record->fence == fence ? STORE_OK : STORE_STALE;
}

enum store_outcome store_record_lease(struct store_record *record, uint64_t *first, uint64_t *count)
{
    if (record->next_sequence > RECORD_SEQUENCE_MAX + 1 - SEQUENCE_LEASE)
        return STORE_UNAVAILABLE;
    *first = record->next_sequence;
    *count = SEQUENCE_LEASE;
    record->next_sequence += SEQUENCE_LEASE;
    return STORE_OK;
}

enum store_outcome store_record_claim(struct store_record *record, uint16_t worker_id,
                                      uint64_t *first, uint64_t *count)
{
    enum store_outcome outcome = store_record_lease(record, first, count);
    if (outcome == STORE_OK) {
        record->owner = worker_id;
        record->fence++;
    }
    return outcome;
}

bool store_exchange_is_same(struct octets value, struct octets other)
{
    const size_t end = STORE_EXCHANGE_NAME_AT + STORE_EXCHANGE_NAME_LENGTH;
    return value.length >= end && other.length >= end &&
           memcmp(value.bytes + STORE_EXCHANGE_NAME_AT, other.bytes + STORE_EXCHANGE_NAME_AT,
                  STORE_EXCHANGE_NAME_LENGTH) == 0;
}

void store_record_set_mark(struct store_record *record, struct octets mark)
{
    record->mark_length = (uint8_t)mark.length;
    if (mark.length > 0)
        memcpy(record->mark, mark.bytes, mark.length);
}

void store_record_write(struct writer *writer, const struct store_record *record)
{
    writer_u8(writer, STORE_FORMAT);
    writer_u64(writer, record->fence);
    writer_u16(writer, record->owner);
    writer_u64(writer, record->next_sequence);
    writer_u64(writer, record->expires_ms);
    writer_u8(writer, record->has_address);
    if (record->has_address)
        address_write(writer, &record->address);
    writer_u8(writer, record->mark_length);
    writer_bytes(writer, record->mark, record->mark_length);
    writer_u16(writer, record->sealed_length);
    writer_bytes(writer, record->sealed, record->sealed_length);
}

enum status store_record_read(struct store_record *record, struct octets value)
{
    struct cursor cursor = cursor_over(value.bytes, value.length);
    struct store_record read = {0};
    if (cursor_u8(&cursor) != STORE_FORMAT)
        return cursor_ok(&cursor) ? STATUS_UNSUPPORTED : STATUS_MALFORMED;
    read.fence = cursor_u64(&cursor);
    read.owner = cursor_u16(&cursor);
    read.next_sequence = cursor_u64(&cursor);
    read.expires_ms = cursor_u64(&cursor);
    uint8_t has_address = cursor_u8(&cursor);
    read.has_address = has_address == 1;
    if (read.has_address)
        read.address = address_read(&cursor);
    read.mark_length = cursor_u8(&cursor);
    const uint8_t *mark = cursor_bytes(&cursor, read.mark_length);
    read.sealed_length = cursor_u16(&cursor);
    const uint8_t *sealed = cursor_bytes(&cursor, read.sealed_length);
    if (!mark || !sealed || cursor_left(&cursor) > 0 || has_address > 1 ||
        read.mark_length > STORE_MARK_MAX || read.sealed_length > STORE_SEALED_MAX)
        return STATUS_MALFORMED;
    memcpy(read.mark, mark, read.mark_length);
    memcpy(read.sealed, sealed, read.sealed_length);
    *record = read;
    return STATUS_OK;
}
