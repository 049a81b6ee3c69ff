/* Blocks in any order, of any size, from a few peers: what is put together is what was sent, in
 * order, by one peer for one request, and no bound is passed. Steps follow:
 *
 *   0  a block of a request: octet of who and which (2 bits each) ‖ option value of 3 octets ‖
 *      length of 2 octets; its payload says who sent it, and where it belongs
 *   1  time passes: 2 octets of hundreds of milliseconds
 *   2  a peer goes
 *   3  a reply is kept, looked for and perhaps dropped
 *   4  a message that is read as a response to an upload and to a download */
#include "shared/cursor.h"
#include "tests/fuzz/fuzz.h"
#include "worker/body.h"
#include "worker/download.h"
#include "worker/upload.h"

#include <stdlib.h>
#include <string.h>

#define TRANSFERS_MAX 6
#define CHUNKS_MAX 24
#define LIMIT 8192
#define PEERS 4
#define REQUESTS 4

struct scene {
    struct bodies bodies;
    uint64_t now_ms;
    size_t received[PEERS][REQUESTS]; /* of the transfer under way, as far as nothing was lost */
    struct upload upload;
    struct download download;
    uint8_t space[LIMIT];
    uint8_t got[2048];
};

static void require(bool holds)
{
    if (!holds)
        abort();
}

static uint8_t octet_of(size_t peer, size_t request, size_t offset)
{
    return (uint8_t)(peer * 64 + request * 16 + offset % 16 + offset / 256);
}

static void take(struct scene *scene, struct cursor *cursor)
{
    uint8_t payload[2048];
    uint8_t who = cursor_u8(cursor);
    size_t peer = who & 3, request = who >> 2 & 3;
    uint32_t value = cursor_u24(cursor);
    size_t length = cursor_u16(cursor) % sizeof payload;
    struct body_part part = {
        .endpoint = {.session_id = peer + 1},
        .request = request,
        .block = {value >> 4, value >> 3 & 1, (value & 7) % (BLOCK_SZX_MAX + 1)},
        .limit = LIMIT,
    };
    size_t offset = block_offset(&part.block);
    if (who & 0x10)
        length = block_size(part.block.szx); /* else most would be missized */
    for (size_t i = 0; i < length; i++)
        payload[i] = octet_of(peer, request, offset + i);
    part.payload = (struct octets){payload, length};
    struct writer whole = writer_over(scene->space, sizeof scene->space);
    enum body_outcome outcome = body_take(&scene->bodies, &part, scene->now_ms, &whole);
    size_t *received = &scene->received[peer][request];
    if (outcome == BODY_CONTINUE || outcome == BODY_WHOLE)
        require(offset == 0 || offset == *received);
    *received = outcome == BODY_CONTINUE ? offset + length : 0;
    require(*received <= LIMIT && writer_ok(&whole));
    if (outcome != BODY_WHOLE)
        return;
    require(writer_length(&whole) == offset + length);
    for (size_t i = 0; i < offset + length; i++)
        require(scene->space[i] == octet_of(peer, request, i));
}

static void keep(struct scene *scene, struct cursor *cursor)
{
    uint8_t who = cursor_u8(cursor);
    const struct exchange_endpoint endpoint = {.session_id = (who & 3) + 1u};
    size_t length = cursor_u16(cursor) % LIMIT;
    const struct body_head head = {.code = who, .format = (uint16_t)length};
    memset(scene->space, who, length);
    struct writer whole = writer_over(scene->space, sizeof scene->space);
    if (!body_keep(&scene->bodies, &endpoint, 9, &head, (struct octets){scene->space, length},
                   scene->now_ms))
        return;
    const struct body_head *found = body_find(&scene->bodies, &endpoint, 9, scene->now_ms, &whole);
    require(found && found->code == who && writer_length(&whole) == length);
    for (size_t i = 0; i < length; i++)
        require(scene->space[i] == who);
    if (who & 4)
        body_drop(&scene->bodies, &endpoint, 9);
}

static void respond(struct scene *scene, struct cursor *cursor)
{
    struct message message;
    size_t length = cursor_u16(cursor) % 1100;
    if (length > cursor_left(cursor))
        length = cursor_left(cursor);
    const uint8_t *bytes = cursor_bytes(cursor, length);
    if (!bytes || message_parse(&message, bytes, length) != MESSAGE_OK)
        return;
    struct block block;
    struct octets part = upload_next(&scene->upload, &block);
    require(part.length <= block_size(block.szx) && block.szx <= BLOCK_SZX_MAX);
    if (upload_take(&scene->upload, &message) != UPLOAD_MORE)
        upload_begin(&scene->upload, (struct octets){scene->got, 300}, 2);
    require(scene->upload.offset < scene->upload.body.length);
    if (download_take(&scene->download, &message) != DOWNLOAD_MORE)
        download_begin(&scene->download, scene->got, sizeof scene->got);
    block = download_next(&scene->download);
    require(block_offset(&block) == writer_length(&scene->download.body));
}

static void step(struct scene *scene, struct cursor *cursor)
{
    switch (cursor_u8(cursor) % 5) {
    case 0:
        take(scene, cursor);
        break;
    case 1:
        scene->now_ms += cursor_u16(cursor) * UINT64_C(100);
        body_expire(&scene->bodies, scene->now_ms);
        break;
    case 2: {
        size_t peer = cursor_u8(cursor) & 3;
        body_forget(&scene->bodies, &(struct exchange_endpoint){.session_id = peer + 1});
        memset(scene->received[peer], 0, sizeof scene->received[peer]);
        break;
    }
    case 3:
        keep(scene, cursor);
        break;
    case 4:
        respond(scene, cursor);
        break;
    }
    require(body_count(&scene->bodies) <= TRANSFERS_MAX);
    require(scene->bodies.chunk_pool.in_use <= CHUNKS_MAX);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct scene scene;
    struct cursor cursor = cursor_over(data, size);
    memset(&scene, 0, sizeof scene);
    require(bodies_init(&scene.bodies, TRANSFERS_MAX, CHUNKS_MAX, (struct hash_key){1, 2}) ==
            STATUS_OK);
    upload_begin(&scene.upload, (struct octets){scene.got, 300}, 2);
    download_begin(&scene.download, scene.got, sizeof scene.got);
    while (cursor_left(&cursor) > 0)
        step(&scene, &cursor);
    body_expire(&scene.bodies, scene.now_ms + COAP_BODY_IDLE_MS);
    require(body_count(&scene.bodies) == 0 && scene.bodies.chunk_pool.in_use == 0);
    require(scene.bodies.peer_pool.in_use == 0 && body_next_ms(&scene.bodies) == UINT64_MAX);
    bodies_free(&scene.bodies);
    return 0;
}
