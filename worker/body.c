#include "worker/body.h"

struct body_chunk {
    struct body_chunk *next;
    uint8_t bytes[BODY_CHUNK_SIZE];
};

struct body {
    struct body *older, *newer;
    struct body *peer_next; /* the peer's: the newest begun first */
    struct body_peer *peer;
    struct body_chunk *first, *last;
    uint64_t request;
    uint64_t begun_ms, used_ms;
    uint32_t length;
    struct body_head head; /* of a BODY_REPLY */
    uint8_t kind;          /* enum body_kind */
    uint8_t szx;           /* of the newest block of a BODY_REQUEST */
};

struct body_peer {
    struct exchange_endpoint endpoint;
    struct body *bodies;
    size_t count;
};

_Static_assert(sizeof(struct body_chunk) == BODY_CHUNK_SIZE + 8, "as the header says");
_Static_assert(sizeof(struct body) <= 120, "as the header says");
_Static_assert(sizeof(struct body_peer) <= 56, "as the header says");

static uint64_t hash_endpoint(const struct hash_key *key, const struct exchange_endpoint *endpoint)
{
    uint8_t bytes[8 + ADDRESS_WIRE_SIZE];
    struct writer writer = writer_over(bytes, sizeof bytes);
    writer_u64(&writer, endpoint->session_id);
    if (endpoint->session_id == 0)
        address_write(&writer, &endpoint->address);
    return hash_bytes(key, bytes, writer_length(&writer));
}

static uint64_t hash_peer(const void *context, const void *object)
{
    const struct body_peer *peer = object;
    return hash_endpoint(context, &peer->endpoint);
}

static bool match_peer(const void *object, const void *key)
{
    const struct exchange_endpoint *a = &((const struct body_peer *)object)->endpoint;
    const struct exchange_endpoint *b = key;
    return a->session_id == b->session_id &&
           (a->session_id != 0 || address_equal(&a->address, &b->address));
}

enum status bodies_init(struct bodies *bodies, size_t transfers_max, size_t chunks_max,
                        struct hash_key hash_key)
{
    *bodies = (struct bodies){.hash_key = hash_key};
    enum status status;
    if ((status = table_init(&bodies->peers, transfers_max, match_peer, hash_peer,
                             &bodies->hash_key)) != STATUS_OK)
        goto out;
    if ((status = pool_init(&bodies->peer_pool, sizeof(struct body_peer), transfers_max)) !=
        STATUS_OK)
        goto out;
    if ((status = pool_init(&bodies->body_pool, sizeof(struct body), transfers_max)) != STATUS_OK)
        goto out;
    status = pool_init(&bodies->chunk_pool, sizeof(struct body_chunk), chunks_max);
out:
    if (status != STATUS_OK)
        bodies_free(bodies);
    return status;
}

void bodies_free(struct bodies *bodies)
{
    pool_free(&bodies->chunk_pool);
    pool_free(&bodies->body_pool);
    pool_free(&bodies->peer_pool);
    table_free(&bodies->peers);
    *bodies = (struct bodies){0};
}

/* --- lists --- */

static void link_newest(struct bodies *bodies, struct body *body)
{
    body->older = bodies->newest;
    body->newer = NULL;
    *(bodies->newest ? &bodies->newest->newer : &bodies->oldest) = body;
    bodies->newest = body;
}

static void unlink_body(struct bodies *bodies, struct body *body)
{
    *(body->older ? &body->older->newer : &bodies->oldest) = body->newer;
    *(body->newer ? &body->newer->older : &bodies->newest) = body->older;
}

static void use(struct bodies *bodies, struct body *body, uint64_t now_ms)
{
    unlink_body(bodies, body);
    link_newest(bodies, body);
    body->used_ms = now_ms;
}

static struct body_peer *find_peer(const struct bodies *bodies,
                                   const struct exchange_endpoint *endpoint)
{
    return table_find(&bodies->peers, hash_endpoint(&bodies->hash_key, endpoint), endpoint);
}

static void release(struct bodies *bodies, struct body *body)
{
    struct body_peer *peer = body->peer;
    struct body **link = &peer->bodies;
    while (*link != body)
        link = &(*link)->peer_next;
    *link = body->peer_next;
    peer->count--;
    unlink_body(bodies, body);
    while (body->first) {
        struct body_chunk *chunk = body->first;
        body->first = chunk->next;
        pool_put(&bodies->chunk_pool, chunk);
    }
    pool_put(&bodies->body_pool, body);
    if (peer->count == 0) {
        table_remove(&bodies->peers, hash_endpoint(&bodies->hash_key, &peer->endpoint), peer);
        pool_put(&bodies->peer_pool, peer);
    }
}

static void lose(struct bodies *bodies, struct body *body, enum body_loss loss)
{
    bodies->lost[loss]++;
    release(bodies, body);
}

static struct body *find(struct bodies *bodies, const struct exchange_endpoint *endpoint,
                         enum body_kind kind, uint64_t request, uint64_t now_ms)
{
    body_expire(bodies, now_ms);
    const struct body_peer *peer = find_peer(bodies, endpoint);
    struct body *body = peer ? peer->bodies : NULL;
    while (body && (body->kind != kind || body->request != request))
        body = body->peer_next;
    if (body && now_ms - body->begun_ms >= COAP_BODY_LIFETIME_MS) {
        lose(bodies, body, BODY_LOST_TIME);
        return NULL;
    }
    return body;
}

/* --- room --- */

static struct body_peer *take_peer(struct bodies *bodies, const struct exchange_endpoint *endpoint)
{
    struct body_peer *peer = find_peer(bodies, endpoint);
    if (peer)
        return peer;
    peer = pool_get(&bodies->peer_pool);
    if (!peer)
        return NULL;
    peer->endpoint = *endpoint;
    if (table_insert(&bodies->peers, hash_endpoint(&bodies->hash_key, endpoint), peer) !=
        STATUS_OK) {
        pool_put(&bodies->peer_pool, peer);
        return NULL;
    }
    return peer;
}

/* The one that has been waiting for its next block the longest. */
static struct body *oldest_of(const struct body_peer *peer)
{
    struct body *oldest = peer->bodies;
    for (struct body *body = oldest; body; body = body->peer_next) {
        if (body->used_ms <= oldest->used_ms)
            oldest = body;
    }
    return oldest;
}

static struct body *begin(struct bodies *bodies, const struct exchange_endpoint *endpoint,
                          enum body_kind kind, uint64_t request, uint64_t now_ms)
{
    const struct body_peer *known = find_peer(bodies, endpoint);
    if (known && known->count == COAP_BODIES_PER_PEER_MAX)
        lose(bodies, oldest_of(known), BODY_LOST_ROOM);
    else if (bodies->body_pool.in_use == bodies->body_pool.objects_max && bodies->oldest)
        lose(bodies, bodies->oldest, BODY_LOST_ROOM);
    struct body *body = pool_get(&bodies->body_pool);
    if (!body)
        return NULL;
    struct body_peer *peer = take_peer(bodies, endpoint);
    if (!peer) {
        pool_put(&bodies->body_pool, body);
        return NULL;
    }
    body->peer = peer;
    body->peer_next = peer->bodies;
    peer->bodies = body;
    peer->count++;
    body->kind = (uint8_t)kind;
    body->request = request;
    body->begun_ms = now_ms;
    body->used_ms = now_ms;
    link_newest(bodies, body);
    return body;
}

/* A chunk at the body's end, if need be at the cost of others that are older. */
static bool extend(struct bodies *bodies, struct body *body)
{
    struct body_chunk *chunk = pool_get(&bodies->chunk_pool);
    while (!chunk && bodies->oldest != body) {
        lose(bodies, bodies->oldest, BODY_LOST_ROOM);
        chunk = pool_get(&bodies->chunk_pool);
    }
    if (!chunk)
        return false;
    *(body->last ? &body->last->next : &body->first) = chunk;
    body->last = chunk;
    return true;
}

/* `body` is the newest. False: no room for all of it. */
static bool append(struct bodies *bodies, struct body *body, struct octets octets)
{
    if (octets.length == 0)
        return true;
    struct cursor cursor = cursor_over(octets.bytes, octets.length);
    while (cursor_left(&cursor) > 0) {
        size_t used = body->length % BODY_CHUNK_SIZE;
        if (used == 0 && !extend(bodies, body))
            return false;
        size_t room = BODY_CHUNK_SIZE - used;
        size_t part = cursor_left(&cursor) < room ? cursor_left(&cursor) : room;
        memcpy(body->last->bytes + used, cursor_bytes(&cursor, part), part);
        body->length += (uint32_t)part;
    }
    return true;
}

static void write_out(const struct body *body, struct writer *whole)
{
    size_t left = body->length;
    for (const struct body_chunk *chunk = body->first; chunk; chunk = chunk->next) {
        size_t part = left < BODY_CHUNK_SIZE ? left : BODY_CHUNK_SIZE;
        writer_bytes(whole, chunk->bytes, part);
        left -= part;
    }
}

/* --- requests --- */

static bool is_missized(const struct body_part *part)
{
    size_t size = block_size(part->block.szx);
    return part->block.more ? part->payload.length != size : part->payload.length > size;
}

/* Judged as early as it can be known, so that the client does not send in vain: with more to come,
 * there is at least one octet more. */
static bool is_too_large(const struct body_part *part)
{
    size_t least = block_offset(&part->block) + part->payload.length + part->block.more;
    return least > part->limit || part->announced > part->limit;
}

/* "A server MAY also return a 4.08 error code for any (final or non-final) Block1 transfer that is
 * not in sequence" (RFC 7959 section 2.5). The size may shrink on the way, since "the client SHOULD
 * heed the preference indicated and, for all further blocks, use the block size preferred by the
 * server or a smaller one"; one that grows is not that client's. */
static bool continues(const struct body *body, const struct block *block)
{
    return block_offset(block) == body->length && block->szx <= body->szx;
}

enum body_outcome body_take(struct bodies *bodies, const struct body_part *part, uint64_t now_ms,
                            struct writer *whole)
{
    const struct block *block = &part->block;
    enum body_outcome outcome;
    struct body *body = find(bodies, &part->endpoint, BODY_REQUEST, part->request, now_ms);
    /* "Starting a new block-wise sequence of requests to the same resource (before an old sequence
     * from the same endpoint was finished) simply overwrites the context the server may still be
     * keeping." (RFC 7959 section 2.5) */
    if (body && block->number == 0) {
        lose(bodies, body, BODY_LOST_RESTARTED);
        body = NULL;
    }
    if (is_missized(part)) {
        outcome = BODY_MISSIZED;
        goto out;
    }
    if (is_too_large(part)) {
        outcome = BODY_TOO_LARGE;
        goto out;
    }
    if (block->number == 0 && !block->more) {
        writer_bytes(whole, part->payload.bytes, part->payload.length);
        return BODY_WHOLE;
    }
    if (block->number == 0) {
        body = begin(bodies, &part->endpoint, BODY_REQUEST, part->request, now_ms);
        if (!body)
            return BODY_NO_ROOM;
    } else if (!body || !continues(body, block)) {
        /* "If not all previous blocks are available at the server at the time of processing the
         * final block, the transfer fails and error code 4.08 (Request Entity Incomplete) MUST be
         * returned." (RFC 7959 section 2.5) */
        outcome = BODY_INCOMPLETE;
        goto out;
    }
    use(bodies, body, now_ms);
    body->szx = block->szx;
    if (!append(bodies, body, part->payload)) {
        outcome = BODY_NO_ROOM;
        goto out;
    }
    if (block->more)
        return BODY_CONTINUE;
    write_out(body, whole);
    outcome = BODY_WHOLE;
out:
    if (body)
        release(bodies, body);
    return outcome;
}

/* --- replies --- */

bool body_keep(struct bodies *bodies, const struct exchange_endpoint *endpoint, uint64_t request,
               const struct body_head *head, struct octets reply, uint64_t now_ms)
{
    struct body *body = find(bodies, endpoint, BODY_REPLY, request, now_ms);
    if (body)
        lose(bodies, body, BODY_LOST_RESTARTED);
    body = begin(bodies, endpoint, BODY_REPLY, request, now_ms);
    if (!body)
        return false;
    body->head = *head;
    if (append(bodies, body, reply))
        return true;
    release(bodies, body);
    return false;
}

const struct body_head *body_find(struct bodies *bodies, const struct exchange_endpoint *endpoint,
                                  uint64_t request, uint64_t now_ms, struct writer *whole)
{
    struct body *body = find(bodies, endpoint, BODY_REPLY, request, now_ms);
    if (!body)
        return NULL;
    use(bodies, body, now_ms);
    write_out(body, whole);
    return &body->head;
}

void body_drop(struct bodies *bodies, const struct exchange_endpoint *endpoint, uint64_t request)
{
    const struct body_peer *peer = find_peer(bodies, endpoint);
    struct body *body = peer ? peer->bodies : NULL;
    while (body && (body->kind != BODY_REPLY || body->request != request))
        body = body->peer_next;
    if (body)
        release(bodies, body);
}

/* --- ends --- */

void body_forget(struct bodies *bodies, const struct exchange_endpoint *endpoint)
{
    const struct body_peer *peer = find_peer(bodies, endpoint);
    for (size_t left = peer ? peer->count : 0; left > 0; left--)
        lose(bodies, peer->bodies, BODY_LOST_PEER);
}

uint64_t body_next_ms(const struct bodies *bodies)
{
    return bodies->oldest ? bodies->oldest->used_ms + COAP_BODY_IDLE_MS : UINT64_MAX;
}

void body_expire(struct bodies *bodies, uint64_t now_ms)
{
    while (bodies->oldest && body_next_ms(bodies) <= now_ms)
        lose(bodies, bodies->oldest, BODY_LOST_TIME);
}

size_t body_count(const struct bodies *bodies)
{
    return bodies->body_pool.in_use;
}
