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
