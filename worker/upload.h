/* The body of a request of ours that leaves in blocks (Block1, RFC 7959 sections 2.3 and 2.5):
 * which block is next, and what a response to one means. No I/O, no clock; the body stays its
 * owner's.
 *
 * Each block is a request of its own, with a new message id and token and otherwise the same
 * options, sent when the one before has been answered. Two bodies for one resource of one device
 * must not be under way together unless their Request-Tags differ (RFC 9175 section 3.4); where one
 * has been given up, the next needs another tag too. */
#ifndef HOLDFAST_WORKER_UPLOAD_H
#define HOLDFAST_WORKER_UPLOAD_H

#include "shared/octets.h"
#include "worker/block.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct upload {
    struct octets body;
    size_t offset; /* of the block that is next or under way */
    uint8_t szx;
    bool restarted; /* once after a 4.08 */
};

enum upload_outcome {
    UPLOAD_MORE,   /* send upload_next's block */
    UPLOAD_DONE,   /* that was the response to the whole request; it may carry a Block2 */
    UPLOAD_BROKEN, /* the device does not keep to RFC 7959 */
};

/* In blocks of at most block_size(szx) octets. */
void upload_begin(struct upload *upload, struct octets body, uint8_t szx);

/* The payload of the next request, and its Block1; the first should have Size1 as well. */
struct octets upload_next(const struct upload *upload, struct block *block);

/* The response to that request; not an empty one. */
enum upload_outcome upload_take(struct upload *upload, const struct message *response);

#endif
