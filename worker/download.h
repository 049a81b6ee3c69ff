/* The body of a response to a request of ours that comes in blocks (Block2, RFC 7959 section 2.4):
 * putting it together, and which block to ask for next. No I/O, no clock; the space for the body is
 * its owner's.
 *
 * The next block is asked for by a request with the same options as the first, a new message id
 * and token, download_next's Block2, and without Observe and Block1. */
#ifndef HOLDFAST_WORKER_DOWNLOAD_H
#define HOLDFAST_WORKER_DOWNLOAD_H

#include "shared/cursor.h"
#include "worker/block.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DOWNLOAD_RESTARTS_MAX 3 /* because the body changed meanwhile */

struct download {
    struct writer body;
    uint8_t code;
    uint8_t szx;
    uint8_t etag_length; /* 0: none */
    uint8_t etag[MESSAGE_ETAG_MAX];
    uint8_t restarts;
};

enum download_outcome {
    DOWNLOAD_WHOLE,     /* the response, its options those of this message, its payload `body` */
    DOWNLOAD_MORE,      /* ask for download_next's block */
    DOWNLOAD_TOO_LARGE, /* for the space */
    DOWNLOAD_BROKEN,    /* not the block that was asked for, or it changes without end */
};

void download_begin(struct download *download, void *space, size_t size);

/* A response, to the first request or to that for download_next's block. An error is a whole
 * response too. */
enum download_outcome download_take(struct download *download, const struct message *response);

/* The Block2 of the next request. */
struct block download_next(const struct download *download);

#endif
