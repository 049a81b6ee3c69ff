#include "worker/download.h"

void download_begin(struct download *download, void *space, size_t size)
{
    *download = (struct download){.body = writer_over(space, size), .szx = BLOCK_SZX_MAX};
}

static void clear(struct download *download)
{
    download->body.at = download->body.start;
    download->body.failed = false;
}

static enum download_outcome take_payload(struct download *download, const struct message *response)
{
    writer_bytes(&download->body, response->payload, response->payload_length);
    return writer_ok(&download->body) ? DOWNLOAD_WHOLE : DOWNLOAD_TOO_LARGE;
}

/* All of it, in place of what has come in blocks. */
static enum download_outcome take_whole(struct download *download, const struct message *response)
{
    clear(download);
    download->code = response->code;
    return take_payload(download, response);
}

static struct octets etag_of(const struct message *response)
{
    for (size_t i = 0; i < response->option_count; i++) {
        const struct message_option *option = &response->options[i];
        if (option->number == OPTION_ETAG && option->length <= MESSAGE_ETAG_MAX)
            return (struct octets){option->value, option->length};
    }
    return (struct octets){0};
}

/* "If an ETag Option is available, the client, when reassembling the representation from the blocks
 * being exchanged, MUST compare ETag Options." (RFC 7959 section 2.4) */
static bool has_changed(const struct download *download, const struct message *response)
{
    struct octets etag = etag_of(response);
    return response->code != download->code || etag.length != download->etag_length ||
           (etag.length > 0 && memcmp(etag.bytes, download->etag, etag.length) != 0);
}

static void remember(struct download *download, const struct message *response)
{
    struct octets etag = etag_of(response);
    download->code = response->code;
    download->etag_length = (uint8_t)etag.length;
    if (etag.length > 0)
        memcpy(download->etag, etag.bytes, etag.length);
}

/* "the requester has the option of attempting to retrieve fresh values for the blocks it retrieved
 * first" (RFC 7959 section 2.4): we begin anew. */
static enum download_outcome restart(struct download *download)
{
    if (download->restarts == DOWNLOAD_RESTARTS_MAX)
        return DOWNLOAD_BROKEN;
    download->restarts++;
    clear(download);
    return DOWNLOAD_MORE;
}

enum download_outcome download_take(struct download *download, const struct message *response)
{
    struct block block;
    if (MESSAGE_CODE_CLASS(response->code) != 2)
        return take_whole(download, response);
    switch (block_read(&block, response, OPTION_BLOCK2)) {
    case BLOCK_NONE:
        return take_whole(download, response);
    case BLOCK_RESERVED:
        return DOWNLOAD_BROKEN;
    case BLOCK_FOUND:
        break;
    }
    size_t size = block_size(block.szx);
    size_t received = writer_length(&download->body);
    if (block_offset(&block) != received || response->payload_length > size ||
        (block.more && response->payload_length < size))
        return DOWNLOAD_BROKEN;
    if (received == 0)
        remember(download, response);
    else if (has_changed(download, response))
        return restart(download);
    /* "the requester MUST take note of the actual block size used in the response it receives to
     * its initial request and proceed to use it in subsequent requests" (RFC 7959 section 2.4) */
    download->szx = block.szx;
    enum download_outcome outcome = take_payload(download, response);
    return outcome == DOWNLOAD_WHOLE && block.more ? DOWNLOAD_MORE : outcome;
}

struct block download_next(const struct download *download)
{
    size_t received = writer_length(&download->body);
    return (struct block){.number = (uint32_t)(received / block_size(download->szx)),
                          .szx = download->szx};
}
