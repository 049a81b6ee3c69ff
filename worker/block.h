/* The Block options (RFC 7959 section 2.2): one block of a body, the size of blocks, and cutting a
 * body into them. Nothing here remembers anything. */
#ifndef HOLDFAST_WORKER_BLOCK_H
#define HOLDFAST_WORKER_BLOCK_H

#include "shared/octets.h"
#include "worker/message.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BLOCK_SZX_MAX 6       /* 1024 octets */
#define BLOCK_OPTION_LENGTH 3 /* octets, at most */

struct block {
    uint32_t number; /* less than 2^20 */
    bool more;
    uint8_t szx; /* size exponent: at most BLOCK_SZX_MAX */
};

enum block_outcome {
    BLOCK_NONE, /* the message has no such option */
    BLOCK_FOUND,
    BLOCK_RESERVED, /* the reserved size exponent 7, or an option longer than 3 octets */
};

/* Whether a request with this Block option is a bad one; at most BLOCK_OPTION_LENGTH octets. */
bool block_is_reserved(const struct message_option *option);

/* False: the message has no Block option. At the cost of a glance: numbers ascend. */
static inline bool block_may_be_in(const struct message *message)
{
    return message->option_count > 0 &&
           message->options[message->option_count - 1].number >= OPTION_BLOCK2;
}

/* The message's option of that number, OPTION_BLOCK1 or OPTION_BLOCK2. */
enum block_outcome block_read(struct block *block, const struct message *message, uint16_t number);

/* The value for message_add_number. */
uint32_t block_value(const struct block *block);

static inline size_t block_size(uint8_t szx)
{
    return (size_t)16 << szx;
}

/* Where in the body the block begins. */
static inline size_t block_offset(const struct block *block)
{
    return block->number * block_size(block->szx);
}

/* The part of `body` that the block names; sets block->more. False: the body ends before it; block
 * zero of an empty body is there. */
bool block_slice(struct block *block, struct octets body, struct octets *part);

/* Which requests belong together: all of the request that stays the same from block to block.
 * "The option varies the properties that distinguish block-wise operations (which includes all
 * options except elective NoCacheKey and except Block1/2)" (RFC 9175 section 3.3). Keyed, so that
 * nobody can make two of them agree. */
struct hash_key;
uint64_t block_request_key(const struct hash_key *key, const struct message *request);

#endif
