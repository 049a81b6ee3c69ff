#include "lb/oscore.h"

#include "shared/cursor.h"

#include <stdbool.h>

#define COAP_VERSION 1
#define TOKEN_LENGTH_MAX 8
#define OPTION_OSCORE 9
#define PAYLOAD_MARKER 0xff

/* The flag octet of the option's value: 0 0 0 h k n n n. */
#define FLAG_CONTEXT 0x10
#define FLAG_KID 0x08
#define PARTIAL_IV_LENGTH(flags) ((flags)&0x07)
/* "The values 6 and 7 are reserved": RFC 8613 section 6.1. */
#define PARTIAL_IV_LENGTH_MAX 5

/* A delta or length nibble with its extension: RFC 7252 section 3.1. 15 fails the cursor. */
static uint32_t extended(struct cursor *message, uint8_t nibble)
{
    switch (nibble) {
    case 13:
        return 13u + cursor_u8(message);
    case 14:
        return 269u + cursor_u16(message);
    case 15:
        message->failed = true;
        return 0;
    default:
        return nibble;
    }
}

static enum oscore_outcome read_value(struct cursor value, struct oscore_ids *ids)
{
    uint8_t flags = cursor_u8(&value);
    if (!(flags & FLAG_KID) || PARTIAL_IV_LENGTH(flags) > PARTIAL_IV_LENGTH_MAX)
        return OSCORE_NONE;

    struct oscore_ids found = {0};
    (void)cursor_bytes(&value, PARTIAL_IV_LENGTH(flags));
    if (flags & FLAG_CONTEXT) {
        found.context_length = cursor_u8(&value);
        found.context = cursor_bytes(&value, found.context_length);
    }
    found.kid_length = cursor_left(&value);
    found.kid = cursor_bytes(&value, found.kid_length);
    if (!cursor_ok(&value))
        return OSCORE_NONE;
    *ids = found;
    return OSCORE_KID;
}

enum oscore_outcome oscore_find(const uint8_t *bytes, size_t length, struct oscore_ids *ids)
{
    struct cursor message = cursor_over(bytes, length);
    uint8_t first = cursor_u8(&message);
    uint8_t token_length = first & 0x0f;
    if (first >> 6 != COAP_VERSION || token_length > TOKEN_LENGTH_MAX)
        return OSCORE_NONE;
    (void)cursor_bytes(&message, 3u + token_length); /* code, message id, token */

    uint32_t number = 0;
    for (size_t i = 0; i < OSCORE_OPTIONS_MAX && cursor_left(&message) > 0; i++) {
        uint8_t header = cursor_u8(&message);
        if (header == PAYLOAD_MARKER)
            return OSCORE_NONE;
        number += extended(&message, header >> 4);
        size_t value_length = extended(&message, header & 0x0f);
        struct cursor value = cursor_sub(&message, value_length);
        if (!cursor_ok(&message) || number > OPTION_OSCORE)
            return OSCORE_NONE;
        if (number == OPTION_OSCORE)
            return read_value(value, ids);
    }
    return OSCORE_NONE;
}
