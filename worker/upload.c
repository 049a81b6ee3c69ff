#include "worker/upload.h"

void upload_begin(struct upload *upload, struct octets body, uint8_t szx)
{
    *upload = (struct upload){.body = body, .szx = szx};
}

struct octets upload_next(const struct upload *upload, struct block *block)
{
    struct octets part = {0};
    *block = (struct block){
        .number = (uint32_t)(upload->offset / block_size(upload->szx)),
        .szx = upload->szx,
    };
    block_slice(block, upload->body, &part);
    return part;
}

/* "the client SHOULD heed the preference indicated and, for all further blocks, use the block size
 * preferred by the server or a smaller one" (RFC 7959 section 2.5) */
static void heed(struct upload *upload, uint8_t szx)
{
    if (szx < upload->szx)
        upload->szx = szx;
}

/* A smaller size in the response may or may not come with the number that it makes of the block. */
static bool is_answer_to(const struct block *block, const struct block *sent)
{
    return block->number == sent->number || block_offset(block) == block_offset(sent);
}

/* The block has been taken, for the whole (2.31) or by itself (another 2.xx): "the server can
 * handle each block transfer separately" (RFC 7959, abstract). */
static enum upload_outcome advance(struct upload *upload, const struct block *sent,
                                   const struct message *response)
{
    struct block block;
    switch (block_read(&block, response, OPTION_BLOCK1)) {
    case BLOCK_FOUND:
        break;
    case BLOCK_NONE:
        return response->code == CODE_CONTINUE ? UPLOAD_BROKEN : UPLOAD_DONE;
    case BLOCK_RESERVED:
        return UPLOAD_BROKEN;
    }
    if (!is_answer_to(&block, sent) || !sent->more)
        return response->code == CODE_CONTINUE ? UPLOAD_BROKEN : UPLOAD_DONE;
    upload->offset += block_size(sent->szx);
    heed(upload, block.szx);
    return UPLOAD_MORE;
}

/* "a 4.13 response with a smaller SZX in its Block1 Option than requested is a hint to try a
 * smaller SZX" (RFC 7959 section 2.5) */
static bool shrinks(struct upload *upload, const struct message *response)
{
    struct block block;
    if (block_read(&block, response, OPTION_BLOCK1) != BLOCK_FOUND || block.szx >= upload->szx)
        return false;
    upload->szx = block.szx;
    upload->offset = 0;
    return true;
}

/* "One reason that a client might encounter a 4.08 error code is that the server has already timed
 * out and discarded the partial request body being assembled." (RFC 7959 section 2.5) */
static bool restarts(struct upload *upload)
{
    if (upload->restarted || upload->offset == 0)
        return false;
    upload->restarted = true;
    upload->offset = 0;
    return true;
}

enum upload_outcome upload_take(struct upload *upload, const struct message *response)
{
    struct block sent;
    upload_next(upload, &sent);
    if (MESSAGE_CODE_CLASS(response->code) == 2)
        return advance(upload, &sent, response);
    if (response->code == CODE_TOO_LARGE && shrinks(upload, response))
        return UPLOAD_MORE;
    if (response->code == CODE_INCOMPLETE && restarts(upload))
        return UPLOAD_MORE;
    return UPLOAD_DONE;
}
