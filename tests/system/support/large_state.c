#include "tests/system/support/large_state.h"

#include <string.h>

void large_state_set(struct large_state *state, const char *word, size_t size)
{
    size_t length = strlen(word);
    state->size = size < LARGE_STATE_SIZE_MAX ? size : LARGE_STATE_SIZE_MAX;
    state->version++;
    state->served = 0;
    for (size_t i = 0; i < state->size; i++)
        state->octets[i] = length > 0 ? (uint8_t)word[i % length] : ' ';
}

bool large_state_take(struct large_state *state, const struct message *request, struct block *block)
{
    struct octets part;
    *block = (struct block){.szx = LARGE_STATE_SZX};
    if (block_read(block, request, OPTION_BLOCK2) == BLOCK_FOUND && block->szx > LARGE_STATE_SZX)
        *block = (struct block){.number = block->number << (block->szx - LARGE_STATE_SZX),
                                .szx = LARGE_STATE_SZX};
    if (!block_slice(block, (struct octets){state->octets, state->size}, &part))
        return false;
    if (block->number == 0)
        return true;
    if (state->is_patient && state->left == 0)
        return false;
    state->left -= state->is_patient;
    state->served++;
    return true;
}

void large_state_add(const struct large_state *state, struct message_builder *builder,
                     int64_t observe, uint32_t max_age, struct block block)
{
    struct octets part = {0};
    (void)block_slice(&block, (struct octets){state->octets, state->size}, &part);
    message_add_option(builder, OPTION_ETAG, &state->version, 1);
    if (observe >= 0)
        message_add_number(builder, OPTION_OBSERVE, (uint32_t)observe);
    message_add_number(builder, OPTION_CONTENT_FORMAT, FORMAT_TEXT);
    message_add_number(builder, OPTION_MAX_AGE, max_age);
    message_add_number(builder, OPTION_BLOCK2, block_value(&block));
    message_add_payload(builder, part.bytes, part.length);
}
