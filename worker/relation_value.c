#include "worker/relation_value.h"

#include <string.h>

enum { FLAG_FORMAT = 1, FLAG_NUMBER = 2, FLAGS = FLAG_FORMAT | FLAG_NUMBER };

void relation_value_write(struct writer *writer, const struct relation_value *value)
{
    writer_u8(writer, RELATION_VALUE_VERSION);
    writer_u8(writer, (uint8_t)value->role);
    writer_u8(writer, (uint8_t)((value->has_format ? FLAG_FORMAT : 0) |
                                (value->has_number ? FLAG_NUMBER : 0)));
    writer_u8(writer, value->token_length);
    writer_bytes(writer, value->token, value->token_length);
    writer_u16(writer, value->format);
    writer_u8(writer, value->block_exponent);
    writer_number(writer, value->number, 3);
    writer_u64(writer, value->heard_unix_ms);
    writer_u64(writer, value->expires_unix_ms);
    writer_bytes(writer, value->target.bytes, value->target.length);
}

static bool is_role(uint8_t role)
{
    return role == RELATION_OBSERVER || role == RELATION_OBSERVATION;
}

/* RFC 3986 section 2: what is in no URI is percent-encoded in ours, too. */
static bool is_target(struct octets target)
{
    if (target.length == 0 || target.length > RELATION_TARGET_MAX || target.bytes[0] != '/')
        return false;
    for (size_t i = 0; i < target.length; i++) {
        if (target.bytes[i] <= ' ' || target.bytes[i] >= 0x7f)
            return false;
    }
    return true;
}

enum status relation_value_read(struct relation_value *value, struct octets octets)
{
    struct relation_value read = {0};
    struct cursor cursor = cursor_over(octets.bytes, octets.length);
    uint8_t version = cursor_u8(&cursor);
    if (cursor_ok(&cursor) && version != RELATION_VALUE_VERSION)
        return STATUS_UNSUPPORTED;
    uint8_t role = cursor_u8(&cursor);
    uint8_t flags = cursor_u8(&cursor);
    read.token_length = cursor_u8(&cursor);
    const uint8_t *token = cursor_bytes(&cursor, read.token_length);
    read.format = cursor_u16(&cursor);
    read.block_exponent = cursor_u8(&cursor);
    read.number = cursor_u24(&cursor);
    read.heard_unix_ms = cursor_u64(&cursor);
    read.expires_unix_ms = cursor_u64(&cursor);
    read.target.length = cursor_left(&cursor);
    read.target.bytes = cursor_bytes(&cursor, read.target.length);
    if (!cursor_ok(&cursor) || !is_role(role) || flags & ~FLAGS ||
        read.token_length > MESSAGE_TOKEN_LENGTH_MAX || read.block_exponent > RELATION_BLOCK_NONE ||
        !is_target(read.target))
        return STATUS_MALFORMED;
    read.role = role;
    read.has_format = flags & FLAG_FORMAT;
    read.has_number = flags & FLAG_NUMBER;
    if ((!read.has_format && read.format != 0) || (!read.has_number && read.number != 0))
        return STATUS_MALFORMED;
    if (read.token_length > 0)
        memcpy(read.token, token, read.token_length);
    *value = read;
    return STATUS_OK;
}
