#include "worker/block.h"

#include "shared/hash.h"

bool block_is_reserved(const struct message_option *option)
{
    /* "The value 7 for SZX (which would indicate a block size of 2048) is reserved, i.e., MUST NOT
     * be sent and MUST lead to a 4.00 Bad Request response code upon reception in a request." (RFC
     * 7959 section 2.2) */
    return (message_option_number(option) & 7) > BLOCK_SZX_MAX;
}

enum block_outcome block_read(struct block *block, const struct message *message, uint16_t number)
{
    size_t i = message->option_count;
    while (i > 0 && message->options[i - 1].number > number)
        i--;
    if (i == 0 || message->options[i - 1].number < number)
        return BLOCK_NONE;
    const struct message_option *option = &message->options[i - 1];
    if (option->length > BLOCK_OPTION_LENGTH || block_is_reserved(option))
        return BLOCK_RESERVED;
    uint32_t value = message_option_number(option);
    *block = (struct block){.number = value >> 4, .more = value >> 3 & 1, .szx = value & 7};
    return BLOCK_FOUND;
}

uint32_t block_value(const struct block *block)
{
    return block->number << 4 | (uint32_t)block->more << 3 | block->szx;
}

bool block_slice(struct block *block, struct octets body, struct octets *part)
{
    size_t offset = block_offset(block);
    if (offset >= body.length && offset > 0)
        return false;
    size_t left = body.length - offset;
    size_t size = block_size(block->szx);
    block->more = left > size;
    *part =
        (struct octets){body.length > 0 ? body.bytes + offset : NULL, left < size ? left : size};
    return true;
}

/* "NoCacheKey" and elective: RFC 7252 section 5.4.6. */
static bool is_apart(uint16_t number)
{
    return number == OPTION_BLOCK1 || number == OPTION_BLOCK2 || (number & 0x1f) == 0x1c;
}

uint64_t block_request_key(const struct hash_key *key, const struct message *request)
{
    uint8_t bytes[1 + COAP_OPTIONS_MAX * 4 + DATAGRAM_SIZE_MAX];
    struct writer writer = writer_over(bytes, sizeof bytes);
    writer_u8(&writer, request->code);
    for (size_t i = 0; i < request->option_count; i++) {
        const struct message_option *option = &request->options[i];
        if (is_apart(option->number))
            continue;
        writer_u16(&writer, option->number);
        writer_u16(&writer, option->length);
        writer_bytes(&writer, option->value, option->length);
    }
    return hash_bytes(key, bytes, writer_length(&writer));
}
