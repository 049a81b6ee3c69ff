#include "tests/worker/block_part.h"

#include <criterion/criterion.h>
#include <string.h>

#include "worker/block.h"

void block_part_fill(uint8_t block[BLOCK_PART_SIZE], char state, uint32_t number)
{
    memset(block, state, BLOCK_PART_SIZE);
    block[0] = (uint8_t)number;
}

enum coap_outcome block_part_say(struct observation_bench *bench, const struct block_part *part)
{
    uint8_t space[COAP_MESSAGE_SIZE_MAX], payload[BLOCK_PART_SIZE];
    struct writer writer = writer_over(space, sizeof(space));
    struct message_builder builder;
    const struct block block = {
        .number = part->number, .more = !part->is_last, .szx = BLOCK_PART_SZX};
    message_begin(&builder, &writer, part->type, part->code ? part->code : CODE_CONTENT, part->id,
                  part->token ? part->token : bench->token, ERRAND_TOKEN_SIZE);
    if (part->etag)
        message_add_option(&builder, OPTION_ETAG, &part->etag, 1);
    if (part->observe)
        message_add_number(&builder, OPTION_OBSERVE, (uint32_t)part->observe);
    if (part->code == 0) {
        message_add_number(&builder, OPTION_BLOCK2, block_value(&block));
        block_part_fill(payload, part->state, part->number);
        message_add_payload(&builder, payload,
                            part->is_last ? BLOCK_PART_SIZE / 2 : BLOCK_PART_SIZE);
    }
    cr_assert(writer_ok(&writer));
    return coap_bench_receive(&bench->coap, &bench->coap.secured, bench->now_ms, space,
                              writer_length(&writer));
}
