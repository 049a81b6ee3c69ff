#include "worker/response.h"

#include "shared/hash.h"

static void add_all(struct message_builder *builder, uint16_t number, const struct octets *values,
                    size_t count)
{
    for (size_t i = 0; i < count; i++)
        message_add_option(builder, number, values[i].bytes, values[i].length);
}

/* "the instances MUST appear in order of their Option Numbers and a delta encoding is used between
 * them" (RFC 7252 section 3.1) */
static void add_options(struct message_builder *builder, const struct resource_reply *reply)
{
    if (reply->etag_length > 0)
        message_add_option(builder, OPTION_ETAG, reply->etag, reply->etag_length);
    if (reply->has_observe)
        message_add_number(builder, OPTION_OBSERVE, reply->observe);
    add_all(builder, OPTION_LOCATION_PATH, reply->location_path, reply->location_path_count);
    if (reply->has_format)
        message_add_number(builder, OPTION_CONTENT_FORMAT, reply->format);
    if (reply->has_max_age)
        message_add_number(builder, OPTION_MAX_AGE, reply->max_age_s);
    else if (reply->code == CODE_UNAVAILABLE)
        message_add_number(builder, OPTION_MAX_AGE, COAP_RETRY_AFTER_S);
    add_all(builder, OPTION_LOCATION_QUERY, reply->location_query, reply->location_query_count);
    if (reply->has_block2)
        message_add_number(builder, OPTION_BLOCK2, block_value(&reply->block2));
    if (reply->has_block1)
        message_add_number(builder, OPTION_BLOCK1, block_value(&reply->block1));
    if (reply->has_size2)
        message_add_number(builder, OPTION_SIZE2, reply->size2);
    if (reply->size1 > 0)
        message_add_number(builder, OPTION_SIZE1, reply->size1);
    if (reply->echo.length > 0)
        message_add_option(builder, OPTION_ECHO, reply->echo.bytes, reply->echo.length);
}

static bool write(struct writer *writer, const struct response_envelope *envelope,
                  const struct message *request, const struct resource_reply *reply)
{
    struct message_builder builder;
    message_begin(&builder, writer, envelope->type, reply->code, envelope->message_id,
                  request->token, request->token_length);
    add_options(&builder, reply);
    message_add_payload(&builder, reply->payload.start, writer_length(&reply->payload));
    return writer_ok(&reply->payload) && writer_ok(&reply->event) && writer_ok(writer);
}

/* The Block1 of a response says of which block it tells; in a 4.13 it is a hint. The size that the
 * client has chosen suits us. */
static void set_block1(struct resource_reply *reply, const struct message *request)
{
    reply->has_block1 = false;
    if (MESSAGE_CODE_CLASS(reply->code) != 2 && reply->code != CODE_TOO_LARGE)
        return;
    reply->has_block1 = block_read(&reply->block1, request, OPTION_BLOCK1) == BLOCK_FOUND;
    if (reply->has_block1 || !reply->suggests_block1)
        return;
    /* "a 4.13 response to a request that does not employ Block1 is a hint for the client to try
     * sending Block1" (RFC 7959 section 2.5) */
    reply->block1 = (struct block){.szx = BLOCK_SZX_MAX};
    reply->has_block1 = true;
}

/* An entity tag that any worker comes to: that of the body. "a server MUST use the Block2 option in
 * conjunction with the ETag option ([RFC7252], Section 5.10.6) and MUST NOT use the same ETag value
 * for different representations of a resource." (RFC 9175 section 4) */
static void tag(struct resource_reply *reply, struct octets body)
{
    static const struct hash_key key = {0x686f6c6466617374, 0x45546167};
    if (reply->etag_length > 0)
        return;
    uint64_t hash = hash_bytes(&key, body.bytes, body.length);
    struct writer writer = writer_over(reply->etag, sizeof reply->etag);
    writer_u64(&writer, hash);
    reply->etag_length = (uint8_t)writer_length(&writer);
}

static bool has_option(const struct message *message, uint16_t number)
{
    for (size_t i = 0; i < message->option_count; i++) {
        if (message->options[i].number == number)
            return true;
    }
    return false;
}

#define BLOCK_HEAD_MAX 40 /* octets of header, token, marker and what usually goes with a block */

/* The size of the first block settles that of those to come: "A server MUST use the block size
 * indicated or a smaller size." (RFC 7959 section 2.4) */
static void fit(struct block *block, size_t room)
{
    while (room > 0 && block->number == 0 && block->szx > 0 &&
           block_size(block->szx) + BLOCK_HEAD_MAX > room)
        block->szx--;
}

/* Leaves of the payload the block that the request asks for, or the first where it is long.
 */
static void set_block2(struct resource_reply *reply, const struct message *request, size_t room)
{
    const struct octets body = {reply->payload.start, writer_length(&reply->payload)};
    struct block block = {.szx = BLOCK_SZX_MAX};
    struct octets part;
    bool asked = block_read(&block, request, OPTION_BLOCK2) == BLOCK_FOUND;
    fit(&block, room);
    reply->has_block2 = reply->has_size2 = false;
    if (MESSAGE_CODE_CLASS(reply->code) != 2 || reply->code == CODE_CONTINUE)
        return;
    if (body.length == 0 ? block.number == 0 : !asked && body.length <= block_size(block.szx))
        return;
    if (!block_slice(&block, body, &part)) {
        resource_fail(reply, CODE_BAD_REQUEST, "the body ends before this block");
        return;
    }
    if (block.more || block.number > 0)
        tag(reply, body);
    reply->has_block2 = true;
    reply->block2 = block;
    /* "to ask the server to provide a size estimate along with the usual response" (RFC 7959
     * section 4) */
    reply->has_size2 = block.more && (block.number == 0 || has_option(request, OPTION_SIZE2));
    reply->size2 = (uint32_t)body.length;
    reply->payload.start += block_offset(&block);
    reply->payload.at = reply->payload.start + part.length;
}

/* "large amplification factors SHOULD NOT be provided in the response if the request is not
 * authenticated" (RFC 7252 section 11.3): counted as the victim's link would, with headers. */
static bool amplifies(size_t received, size_t sent)
{
    return sent + COAP_PLAIN_OVERHEAD > AMPLIFICATION_FACTOR * (received + COAP_PLAIN_OVERHEAD);
}

void response_write(struct writer *writer, const struct response_envelope *envelope,
                    const struct message *request, struct resource_reply *reply,
                    const struct octets *echo)
{
    const struct writer before = *writer;
    if (block_may_be_in(request) || reply->suggests_block1 || envelope->room > 0 ||
        writer_length(&reply->payload) > block_size(BLOCK_SZX_MAX)) {
        set_block2(reply, request, envelope->room);
        set_block1(reply, request);
    }
    if (!write(writer, envelope, request, reply)) {
        *writer = before;
        resource_fail(reply, CODE_INTERNAL_ERROR, "");
        write(writer, envelope, request, reply);
    }
    if (echo && amplifies(request->length, writer_length(writer) - writer_length(&before))) {
        /* "A CoAP server SHOULD mitigate potential amplification attacks by responding to
         * unauthenticated clients with 4.01 Unauthorized including an Echo option" (RFC 9175
         * section 2.6). "it MUST be sent as a piggybacked or Non-confirmable response, never as a
         * separate one" (section 2.4, item 3). */
        *writer = before;
        resource_fail(reply, CODE_UNAUTHORIZED, "");
        reply->echo = *echo;
        write(writer, envelope, request, reply);
    }
}

/* 5.03 is "like HTTP 503 "Service Unavailable" but using the Max-Age Option in place of the
 * "Retry-After" header field to indicate the number of seconds after which to retry." (RFC 7252
 * section 5.9.3.4) */
void response_write_unavailable(struct writer *writer, const struct message *response)
{
    struct message_builder builder;
    message_begin(&builder, writer, response->type, CODE_UNAVAILABLE, response->id, response->token,
                  response->token_length);
    message_add_number(&builder, OPTION_MAX_AGE, COAP_RETRY_AFTER_S);
}
