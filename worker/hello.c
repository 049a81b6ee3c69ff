#include "worker/hello.h"

#include <string.h>

enum { HANDSHAKE_CLIENT_HELLO = 1, HANDSHAKE_CLIENT_KEY_EXCHANGE = 16, HANDSHAKE_FINISHED = 20 };

/* RFC 6347 section 4.2.2. */
struct message {
    uint8_t type;
    uint32_t length;
    uint32_t fragment_offset;
    struct cursor fragment;
};

static bool next_message(struct cursor *record, struct message *message)
{
    message->type = cursor_u8(record);
    message->length = cursor_u24(record);
    (void)cursor_u16(record); /* message_seq */
    message->fragment_offset = cursor_u24(record);
    uint32_t fragment_length = cursor_u24(record);
    message->fragment = cursor_sub(record, fragment_length);
    return cursor_ok(record) && message->fragment_offset + fragment_length <= message->length;
}

bool hello_is(const struct record *record)
{
    return record->form == RECORD_PLAINTEXT && record->epoch == 0 &&
           record->type == RECORD_TYPE_HANDSHAKE && record->payload_length > 0 &&
           record->payload[0] == HANDSHAKE_CLIENT_HELLO;
}

bool hello_is_finished(const uint8_t *content, size_t length)
{
    return length > 0 && content[0] == HANDSHAKE_FINISHED;
}

enum status hello_parse(const struct record *record, struct hello *hello)
{
    struct cursor payload = cursor_over(record->payload, record->payload_length);
    struct message message;
    if (!next_message(&payload, &message))
        return STATUS_MALFORMED;
    struct cursor *body = &message.fragment;
    if (message.fragment_offset != 0 || cursor_left(body) != message.length)
        return STATUS_UNSUPPORTED;

    (void)cursor_u16(body); /* client_version */
    const uint8_t *random = cursor_bytes(body, HELLO_RANDOM_SIZE);
    (void)cursor_bytes(body, cursor_u8(body)); /* session_id */
    size_t cookie_length = cursor_u8(body);
    (void)cursor_bytes(body, cookie_length);
    if (!cursor_ok(body))
        return STATUS_MALFORMED;
    *hello = (struct hello){.random = random, .cookie_length = cookie_length};
    return STATUS_OK;
}

/* The identity's own length is its first two octets. */
static size_t identity_needs(const struct hello_identity *identity)
{
    if (identity->have < 2)
        return 2;
    return 2u + ((size_t)identity->bytes[0] << 8 | identity->bytes[1]);
}

static enum hello_identity_outcome take_fragment(struct hello_identity *identity,
                                                 const struct message *message)
{
    struct cursor fragment = message->fragment;
    if (message->fragment_offset > identity->have)
        return HELLO_IDENTITY_PARTIAL; /* a gap: the client will send it again */
    (void)cursor_bytes(&fragment, identity->have - message->fragment_offset);
    while (identity->have < identity_needs(identity)) {
        if (identity_needs(identity) > sizeof(identity->bytes))
            return HELLO_IDENTITY_TOO_LONG;
        if (cursor_left(&fragment) == 0)
            return HELLO_IDENTITY_PARTIAL;
        identity->bytes[identity->have++] = cursor_u8(&fragment);
    }
    return identity_needs(identity) > sizeof(identity->bytes) ? HELLO_IDENTITY_TOO_LONG
                                                              : HELLO_IDENTITY_WHOLE;
}

enum hello_identity_outcome hello_peek_identity(struct hello_identity *identity,
                                                const struct record *record)
{
    if (record->form != RECORD_PLAINTEXT || record->epoch != 0 ||
        record->type != RECORD_TYPE_HANDSHAKE)
        return HELLO_NO_KEY_EXCHANGE;
    struct cursor payload = cursor_over(record->payload, record->payload_length);
    struct message message;
    while (cursor_left(&payload) > 0 && next_message(&payload, &message)) {
        if (message.type == HANDSHAKE_CLIENT_KEY_EXCHANGE)
            return take_fragment(identity, &message);
    }
    return HELLO_NO_KEY_EXCHANGE;
}
