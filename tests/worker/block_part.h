/* What a device says of a state that is longer than a message: one block of it, in a response or a
 * notification. */
#ifndef HOLDFAST_TESTS_WORKER_BLOCK_PART_H
#define HOLDFAST_TESTS_WORKER_BLOCK_PART_H

#include "tests/worker/observation_bench.h"

enum { BLOCK_PART_SZX = 6, BLOCK_PART_SIZE = 1024 };

struct block_part {
    enum message_type type;
    uint16_t id;
    const uint8_t *token; /* NULL: the registration's */
    uint8_t code;         /* 0: 2.05 and a block; else nothing but this */
    int observe;          /* 0: none */
    uint8_t etag;         /* 0: none */
    uint32_t number;
    bool is_last; /* half a block */
    char state;   /* what its octets are, but for the first: its number */
};

void block_part_fill(uint8_t block[BLOCK_PART_SIZE], char state, uint32_t number);
enum coap_outcome block_part_say(struct observation_bench *bench, const struct block_part *part);

#endif
