#include "worker/block.h"

#include "shared/hash.h"

enum block_outcome block_read(struct block *block, const struct message *message, uint16_t number)
{
    const struct message_option *option = NULL;
    for (size_t i = 0; i < message->option_count && !option; i++) {
        if (message->options[i].number == number)
            option = &message->options[i];
    }
    if (!option)
        return BLOCK_NONE;
    if (option->length > BLOCK_OPTION_LENGTH)
        return BLOCK_RESERVED;
    uint32_t value = message_option_number(option);
    /* "The value 7 for SZX (which would indicate a block size of 2048) is reserved, i.e., MUST NOT
     * be sent and MUST lead to a 4.00 Bad Request response code upon reception in a request." (RFC
     * 7959 section 2.2) */
    uint8_t szx = value & 7;
    if (szx > BLOCK_SZX_MAX)
        return BLOCK_RESERVED;
    *block = (struct block){.number = value >> 4, .more = value >> 3 & 1, .szx = szx};
    return BLOCK_FOUND;
}

uint32_t block_value(const struct block *block)
{
    return block->number << 4 | (uint32_t)block->more << 3 | block->szx;
}

void block_shrink(struct block *block, uint8_t szx)
{
    if (szx >= block->szx)
        return;
    block->number <<= block->szx - szx;
    block->szx = szx;
}

bool block_fit(uint8_t *szx, size_t room)
{
    while (*szx > 0 && block_size(*szx) > room)
        (*szx)--;
    return block_size(*szx) <= room;
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
