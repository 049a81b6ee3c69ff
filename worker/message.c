#include "worker/message.h"

#include <coap3/coap.h>

#define PAYLOAD_MARKER 0xff

_Static_assert(OPTION_IF_MATCH == COAP_OPTION_IF_MATCH, "If-Match");
_Static_assert(OPTION_URI_HOST == COAP_OPTION_URI_HOST, "Uri-Host");
_Static_assert(OPTION_ETAG == COAP_OPTION_ETAG, "ETag");
_Static_assert(OPTION_IF_NONE_MATCH == COAP_OPTION_IF_NONE_MATCH, "If-None-Match");
_Static_assert(OPTION_OBSERVE == COAP_OPTION_OBSERVE, "Observe");
_Static_assert(OPTION_URI_PORT == COAP_OPTION_URI_PORT, "Uri-Port");
_Static_assert(OPTION_LOCATION_PATH == COAP_OPTION_LOCATION_PATH, "Location-Path");
_Static_assert(OPTION_URI_PATH == COAP_OPTION_URI_PATH, "Uri-Path");
_Static_assert(OPTION_CONTENT_FORMAT == COAP_OPTION_CONTENT_FORMAT, "Content-Format");
_Static_assert(OPTION_MAX_AGE == COAP_OPTION_MAXAGE, "Max-Age");
_Static_assert(OPTION_URI_QUERY == COAP_OPTION_URI_QUERY, "Uri-Query");
_Static_assert(OPTION_HOP_LIMIT == COAP_OPTION_HOP_LIMIT, "Hop-Limit");
_Static_assert(OPTION_ACCEPT == COAP_OPTION_ACCEPT, "Accept");
_Static_assert(OPTION_LOCATION_QUERY == COAP_OPTION_LOCATION_QUERY, "Location-Query");
_Static_assert(OPTION_BLOCK2 == COAP_OPTION_BLOCK2, "Block2");
_Static_assert(OPTION_BLOCK1 == COAP_OPTION_BLOCK1, "Block1");
_Static_assert(OPTION_SIZE2 == COAP_OPTION_SIZE2, "Size2");
_Static_assert(OPTION_PROXY_URI == COAP_OPTION_PROXY_URI, "Proxy-Uri");
_Static_assert(OPTION_PROXY_SCHEME == COAP_OPTION_PROXY_SCHEME, "Proxy-Scheme");
_Static_assert(OPTION_SIZE1 == COAP_OPTION_SIZE1, "Size1");
_Static_assert(OPTION_ECHO == COAP_OPTION_ECHO, "Echo");
_Static_assert(OPTION_NO_RESPONSE == COAP_OPTION_NORESPONSE, "No-Response");
_Static_assert(OPTION_REQUEST_TAG == COAP_OPTION_RTAG, "Request-Tag");
_Static_assert(FORMAT_LINK == COAP_MEDIATYPE_APPLICATION_LINK_FORMAT, "link format");
_Static_assert(FORMAT_XML == COAP_MEDIATYPE_APPLICATION_XML, "XML");
_Static_assert(FORMAT_OCTETS == COAP_MEDIATYPE_APPLICATION_OCTET_STREAM, "octets");
_Static_assert(FORMAT_JSON == COAP_MEDIATYPE_APPLICATION_JSON, "JSON");
_Static_assert(FORMAT_CBOR == COAP_MEDIATYPE_APPLICATION_CBOR, "CBOR");

/* One option off the cursor into `option`, whose number is still the delta. */
static bool take_option(struct cursor *cursor, struct message_option *option)
{
    coap_option_t decoded;
    bool wide = *cursor->at >> 4 == 14;
    /* Refuses truncation and "15: Reserved for future use.  If the field is set to this value, it
     * MUST be processed as a message format error" (RFC 7252 section 3.1), delta and length. */
    size_t size = coap_opt_parse(cursor->at, cursor_left(cursor), &decoded);
    if (size == 0)
        return false;
    /* libcoap 4.3.5 lets a delta of 65536 to 65548 wrap around to 0 to 12. */
    if (wide && decoded.delta < 269)
        return false;
    cursor_bytes(cursor, size);
    *option = (struct message_option){
        .number = decoded.delta,
        .length = (uint16_t)decoded.length,
        .value = decoded.value,
    };
    return true;
}

static enum message_outcome take_options(struct message *message, struct cursor *cursor)
{
    uint32_t number = 0;
    while (cursor_left(cursor) > 0 && *cursor->at != PAYLOAD_MARKER) {
        struct message_option option;
        if (!take_option(cursor, &option))
            return MESSAGE_BAD_OPTION;
        number += option.number;
        if (number > UINT16_MAX)
            return MESSAGE_BAD_OPTION;
        if (message->option_count == COAP_OPTIONS_MAX)
            return MESSAGE_TOO_MANY_OPTIONS;
        option.number = (uint16_t)number;
        message->options[message->option_count++] = option;
    }
    return MESSAGE_OK;
}

enum message_outcome message_parse(struct message *message, const uint8_t *bytes, size_t length)
{
    struct cursor cursor = cursor_over(bytes, length);
    uint8_t first = cursor_u8(&cursor);
    /* The options array is left as it is: option_count says how much of it counts. */
    message->length = length;
    message->option_count = 0;
    message->payload = NULL;
    message->payload_length = 0;
    message->token = NULL;
    message->token_length = first & 0x0f;
    message->type = (enum message_type)(first >> 4 & 3);
    message->code = cursor_u8(&cursor);
    message->id = cursor_u16(&cursor);
    if (!cursor_ok(&cursor))
        return MESSAGE_SHORT_HEADER;
    if (first >> 6 != MESSAGE_VERSION)
        return MESSAGE_BAD_VERSION;
    /* "Lengths 9-15 are reserved, MUST NOT be sent, and MUST be processed as a message format
     * error." (RFC 7252 section 3) */
    if (message->token_length > MESSAGE_TOKEN_LENGTH_MAX)
        return MESSAGE_BAD_TOKEN_LENGTH;
    /* "The Token Length field MUST be set to 0 and bytes of data MUST NOT be present after the
     * Message ID field.  If there are any bytes, they MUST be processed as a message format
     * error." (RFC 7252 section 4.1) */
    if (message->code == CODE_EMPTY && (message->token_length > 0 || cursor_left(&cursor) > 0))
        return MESSAGE_NOT_EMPTY;

    message->token = cursor_bytes(&cursor, message->token_length);
    if (!cursor_ok(&cursor))
        return MESSAGE_SHORT_TOKEN;
    enum message_outcome outcome = take_options(message, &cursor);
    if (outcome != MESSAGE_OK)
        return outcome;

    if (cursor_left(&cursor) > 0) {
        cursor_u8(&cursor);
        /* "The presence of a marker followed by a zero-length payload MUST be processed as a
         * message format error." (RFC 7252 section 3) */
        if (cursor_left(&cursor) == 0)
            return MESSAGE_BARE_MARKER;
        message->payload_length = cursor_left(&cursor);
        message->payload = cursor_bytes(&cursor, message->payload_length);
    }
    return MESSAGE_OK;
}

bool message_is_safe(const uint8_t *bytes, size_t length)
{
    struct message message;
    if (message_parse(&message, bytes, length) != MESSAGE_OK)
        return false;
    for (size_t i = 0; i < message.option_count; i++) {
        if (message.options[i].number == OPTION_OBSERVE)
            return false;
    }
    return message.code == CODE_EMPTY || message.code == CODE_GET || message.code == CODE_FETCH;
}

uint32_t message_option_number(const struct message_option *option)
{
    /* "A recipient MUST be prepared to process values with leading zero bytes." (RFC 7252
     * section 3.2) */
    struct cursor cursor = cursor_over(option->value, option->length);
    return (uint32_t)cursor_number(&cursor, option->length);
}

void message_begin(struct message_builder *builder, struct writer *writer, enum message_type type,
                   uint8_t code, uint16_t id, const uint8_t *token, size_t token_length)
{
    *builder = (struct message_builder){.writer = writer};
    uint8_t *header = writer_space(writer, MESSAGE_HEADER_SIZE);
    if (!header)
        return;
    header[0] = (uint8_t)(MESSAGE_VERSION << 6 | (unsigned)type << 4 | token_length);
    header[1] = code;
    header[2] = (uint8_t)(id >> 8);
    header[3] = (uint8_t)id;
    writer_bytes(writer, token, token_length);
}

void message_add_option(struct message_builder *builder, uint16_t number, const uint8_t *value,
                        size_t length)
{
    uint16_t delta = (uint16_t)(number - builder->last_option);
    uint8_t *space = writer_space(builder->writer, coap_opt_encode_size(delta, length));
    if (!space)
        return;
    coap_opt_encode(space, (size_t)(builder->writer->at - space), delta, value, length);
    builder->last_option = number;
}

void message_add_number(struct message_builder *builder, uint16_t number, uint32_t value)
{
    uint8_t octets[4];
    struct writer writer = writer_over(octets, sizeof octets);
    size_t length = 0;
    while (length < sizeof octets && value >> (8 * length) != 0)
        length++;
    writer_number(&writer, value, length);
    message_add_option(builder, number, octets, length);
}

void message_add_payload(struct message_builder *builder, const uint8_t *payload, size_t length)
{
    if (length == 0)
        return;
    writer_u8(builder->writer, PAYLOAD_MARKER);
    writer_bytes(builder->writer, payload, length);
}

void message_write_empty(struct writer *writer, enum message_type type, uint16_t id)
{
    struct message_builder builder;
    message_begin(&builder, writer, type, CODE_EMPTY, id, NULL, 0);
}
