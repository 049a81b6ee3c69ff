/* A device's state that is longer than a message: a word, over and over. It is served in blocks of
 * 256 octets with the ETag of its version (RFC 7959), and can be told to fall silent in the middle.
 */
#ifndef HOLDFAST_TESTS_SYSTEM_SUPPORT_LARGE_STATE_H
#define HOLDFAST_TESTS_SYSTEM_SUPPORT_LARGE_STATE_H

#include "worker/block.h"
#include "worker/message.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LARGE_STATE_SIZE 3000
#define LARGE_STATE_SIZE_MAX 32768
#define LARGE_STATE_SZX 4

struct large_state {
    uint8_t octets[LARGE_STATE_SIZE_MAX];
    size_t size;
    uint8_t version;
    bool is_patient; /* answers no more than `left` requests for later blocks */
    unsigned long left;
    long long served; /* blocks behind the first of this version */
};

/* Another version, of this size. */
void large_state_set(struct large_state *state, const char *word, size_t size);
/* The block that a request asks for; the first, if it does not say. False: there is none, or it is
 * not to be answered. */
bool large_state_take(struct large_state *state, const struct message *request,
                      struct block *block);
/* ETag, Observe from 0 on, Content-Format, Max-Age, Block2 and the block. */
void large_state_add(const struct large_state *state, struct message_builder *builder,
                     int64_t observe, uint32_t max_age, struct block block);

#endif
