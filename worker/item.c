#include "worker/item.h"

#include <cbor.h>

/* A head by one of libcbor's cbor_encode_..., which return 0 for want of space. */
static void write_head(struct writer *writer, size_t (*encode)(size_t, unsigned char *, size_t),
                       size_t value)
{
    size_t length = encode(value, writer->at, writer_left(writer));
    if (length == 0)
        writer->failed = true;
    writer_space(writer, length);
}

void item_write_map(struct writer *writer, size_t pairs)
{
    write_head(writer, cbor_encode_map_start, pairs);
}

void item_write_text(struct writer *writer, const void *text, size_t length)
{
    write_head(writer, cbor_encode_string_start, length);
    writer_bytes(writer, text, length);
}

void item_write_octets(struct writer *writer, const uint8_t *octets, size_t length)
{
    write_head(writer, cbor_encode_bytestring_start, length);
    writer_bytes(writer, octets, length);
}

void item_write_number(struct writer *writer, uint64_t number)
{
    size_t length = cbor_encode_uint(number, writer->at, writer_left(writer));
    if (length == 0)
        writer->failed = true;
    writer_space(writer, length);
}

enum major { MAJOR_NUMBER = 0, MAJOR_OCTETS = 2, MAJOR_TEXT = 3, MAJOR_MAP = 5 };

/* RFC 8949 section 3: three bits of major type and five that are the argument up to 23, or say how
 * many octets of it follow, 1 to 8; what is left are reserved values and indefinite lengths. */
static bool read_head(struct cursor *cursor, enum major major, uint64_t *argument)
{
    uint8_t initial = cursor_u8(cursor);
    uint8_t low = initial & 0x1f;
    if (low < 24)
        *argument = low;
    else if (low < 28)
        *argument = cursor_number(cursor, (size_t)1 << (low - 24));
    if (initial >> 5 != major || low >= 28)
        cursor->failed = true;
    return cursor_ok(cursor);
}

static bool read_string(struct cursor *cursor, enum major major, struct octets *string)
{
    uint64_t length = 0;
    if (!read_head(cursor, major, &length) || length > cursor_left(cursor)) {
        cursor->failed = true;
        return false;
    }
    string->length = (size_t)length;
    string->bytes = cursor_bytes(cursor, string->length);
    return true;
}

bool item_read_map(struct cursor *cursor, uint64_t *pairs)
{
    return read_head(cursor, MAJOR_MAP, pairs);
}

bool item_read_text(struct cursor *cursor, struct octets *text)
{
    return read_string(cursor, MAJOR_TEXT, text);
}

bool item_read_octets(struct cursor *cursor, struct octets *octets)
{
    return read_string(cursor, MAJOR_OCTETS, octets);
}

bool item_read_number(struct cursor *cursor, uint64_t *number)
{
    return read_head(cursor, MAJOR_NUMBER, number);
}
