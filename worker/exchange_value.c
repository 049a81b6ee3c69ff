#include "worker/exchange_value.h"

#include "worker/message.h"

void exchange_value_write(struct writer *writer, const struct exchange_value *value)
{
    writer_u8(writer, EXCHANGE_VALUE_VERSION);
    writer_u16(writer, value->serial);
    writer_u16(writer, value->message_id);
    writer_u64(writer, value->expires_unix_ms);
    writer_bytes(writer, value->reply.bytes, value->reply.length);
}

/* What we would send to whoever repeats the message: none, or its acknowledgement with a response
 * in it, or without one if the client does not want it (RFC 7967). */
static bool is_reply(const struct octets *reply, uint16_t message_id)
{
    struct message message;
    if (reply->length == 0)
        return true;
    return reply->length <= COAP_MESSAGE_SIZE_MAX &&
           message_parse(&message, reply->bytes, reply->length) == MESSAGE_OK &&
           message.type == MESSAGE_ACK && message.id == message_id &&
           (MESSAGE_CODE_CLASS(message.code) == 2 || message.code == CODE_EMPTY);
}

enum status exchange_value_read(struct exchange_value *value, struct octets octets)
{
    struct exchange_value read;
    struct cursor cursor = cursor_over(octets.bytes, octets.length);
    uint8_t version = cursor_u8(&cursor);
    if (cursor_ok(&cursor) && version != EXCHANGE_VALUE_VERSION)
        return STATUS_UNSUPPORTED;
    read.serial = cursor_u16(&cursor);
    read.message_id = cursor_u16(&cursor);
    read.expires_unix_ms = cursor_u64(&cursor);
    read.reply.length = cursor_left(&cursor);
    read.reply.bytes = cursor_bytes(&cursor, read.reply.length);
    if (!cursor_ok(&cursor) || !is_reply(&read.reply, read.message_id))
        return STATUS_MALFORMED;
    *value = read;
    return STATUS_OK;
}
