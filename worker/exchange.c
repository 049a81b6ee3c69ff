#include "worker/exchange.h"

struct exchange_peer {
    struct exchange_endpoint endpoint;
    struct exchange *oldest, *newest;
    size_t count;
};

_Static_assert(sizeof(struct exchange) == 120, "as the header says");
_Static_assert(sizeof(struct exchange_chunk) == 128, "as the header says");
_Static_assert(sizeof(struct exchange_peer) <= 64, "as the header says");

/* So that the longest reply of one exchange always has room. */
#define CHUNKS_PER_REPLY_MAX (COAP_MESSAGE_SIZE_MAX / EXCHANGE_CHUNK_SIZE + 1)

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
    const struct exchange_peer *peer = object;
    return hash_endpoint(context, &peer->endpoint);
}

static bool match_peer(const void *object, const void *key)
{
    const struct exchange_endpoint *a = &((const struct exchange_peer *)object)->endpoint;
    const struct exchange_endpoint *b = key;
    return a->session_id == b->session_id &&
           (a->session_id != 0 || address_equal(&a->address, &b->address));
}

enum status exchanges_init(struct exchanges *exchanges, size_t exchanges_max,
                           struct hash_key hash_key)
{
    *exchanges = (struct exchanges){.hash_key = hash_key};
    enum status status;
    if ((status = table_init(&exchanges->peers, exchanges_max, match_peer, hash_peer,
                             &exchanges->hash_key)) != STATUS_OK)
        goto out;
    if ((status = pool_init(&exchanges->peer_pool, sizeof(struct exchange_peer), exchanges_max)) !=
        STATUS_OK)
        goto out;
    if ((status = pool_init(&exchanges->exchange_pool, sizeof(struct exchange), exchanges_max)) !=
        STATUS_OK)
        goto out;
    status = pool_init(&exchanges->chunk_pool, sizeof(struct exchange_chunk),
                       exchanges_max + CHUNKS_PER_REPLY_MAX);
out:
    if (status != STATUS_OK)
        exchanges_free(exchanges);
    return status;
}

void exchanges_free(struct exchanges *exchanges)
{
    pool_free(&exchanges->chunk_pool);
    pool_free(&exchanges->exchange_pool);
    pool_free(&exchanges->peer_pool);
    table_free(&exchanges->peers);
    *exchanges = (struct exchanges){0};
}

static struct exchange_peer *find_peer(const struct exchanges *exchanges,
                                       const struct exchange_endpoint *endpoint)
{
    return table_find(&exchanges->peers, hash_endpoint(&exchanges->hash_key, endpoint), endpoint);
}

static void release_peer(struct exchanges *exchanges, struct exchange_peer *peer)
{
    table_remove(&exchanges->peers, hash_endpoint(&exchanges->hash_key, &peer->endpoint), peer);
    pool_put(&exchanges->peer_pool, peer);
}

static void release_chunks(struct exchanges *exchanges, struct exchange *exchange)
{
    while (exchange->chunks) {
        struct exchange_chunk *chunk = exchange->chunks;
        exchange->chunks = chunk->next;
        pool_put(&exchanges->chunk_pool, chunk);
    }
}

/* Takes out a peer's oldest exchange; the peer goes with its last one. Every removal is of this
 * kind: the oldest of all is the oldest of its peer too. */
static void drop_oldest_of(struct exchanges *exchanges, struct exchange_peer *peer)
{
    struct exchange *exchange = peer->oldest;
    *(exchange->older ? &exchange->older->newer : &exchanges->oldest) = exchange->newer;
    *(exchange->newer ? &exchange->newer->older : &exchanges->newest) = exchange->older;
    peer->oldest = exchange->peer_newer;
    peer->count--;
    release_chunks(exchanges, exchange);
    pool_put(&exchanges->exchange_pool, exchange);
    if (!peer->oldest)
        release_peer(exchanges, peer);
}

static void evict_oldest(struct exchanges *exchanges)
{
    drop_oldest_of(exchanges, exchanges->oldest->peer);
    exchanges->evicted++;
}

struct exchange *exchange_find(struct exchanges *exchanges,
                               const struct exchange_endpoint *endpoint, uint16_t message_id,
                               uint64_t now_ms)
{
    exchange_expire(exchanges, now_ms);
    const struct exchange_peer *peer = find_peer(exchanges, endpoint);
    struct exchange *exchange = peer ? peer->oldest : NULL;
    while (exchange && exchange->message_id != message_id)
        exchange = exchange->peer_newer;
    return exchange;
}

/* The endpoint's peer, made if need be. */
static struct exchange_peer *take_peer(struct exchanges *exchanges,
                                       const struct exchange_endpoint *endpoint)
{
    struct exchange_peer *peer = find_peer(exchanges, endpoint);
    if (peer)
        return peer;
    peer = pool_get(&exchanges->peer_pool);
    if (!peer)
        return NULL;
    peer->endpoint = *endpoint;
    uint64_t hash = hash_endpoint(&exchanges->hash_key, endpoint);
    if (table_insert(&exchanges->peers, hash, peer) != STATUS_OK) {
        pool_put(&exchanges->peer_pool, peer);
        return NULL;
    }
    return peer;
}

struct exchange *exchange_open(struct exchanges *exchanges,
                               const struct exchange_endpoint *endpoint, uint16_t message_id,
                               uint64_t now_ms)
{
    struct exchange_peer *peer = find_peer(exchanges, endpoint);
    if (peer && peer->count == COAP_EXCHANGES_PER_PEER_MAX) {
        drop_oldest_of(exchanges, peer);
        exchanges->evicted++;
    }
    struct exchange *exchange = pool_get(&exchanges->exchange_pool);
    while (!exchange && exchanges->oldest) {
        evict_oldest(exchanges);
        exchange = pool_get(&exchanges->exchange_pool);
    }
    if (!exchange)
        return NULL;
    peer = take_peer(exchanges, endpoint);
    if (!peer) {
        pool_put(&exchanges->exchange_pool, exchange);
        return NULL;
    }
    exchange->peer = peer;
    exchange->message_id = message_id;
    exchange->expires_ms = now_ms + COAP_EXCHANGE_LIFETIME_MS;
    exchange->older = exchanges->newest;
    *(exchanges->newest ? &exchanges->newest->newer : &exchanges->oldest) = exchange;
    exchanges->newest = exchange;
    *(peer->oldest ? &peer->newest->peer_newer : &peer->oldest) = exchange;
    peer->newest = exchange;
    peer->count++;
    return exchange;
}

/* A chunk, if need be at the cost of exchanges older than `exchange`. */
static struct exchange_chunk *take_chunk(struct exchanges *exchanges,
                                         const struct exchange *exchange)
{
    struct exchange_chunk *chunk = pool_get(&exchanges->chunk_pool);
    while (!chunk && exchanges->oldest != exchange) {
        evict_oldest(exchanges);
        chunk = pool_get(&exchanges->chunk_pool);
    }
    return chunk;
}

void exchange_store(struct exchanges *exchanges, struct exchange *exchange, const uint8_t *reply,
                    size_t length)
{
    struct cursor cursor = cursor_over(reply, length);
    size_t inside = length < EXCHANGE_INLINE_MAX ? length : EXCHANGE_INLINE_MAX;
    if (inside > 0)
        memcpy(exchange->bytes, cursor_bytes(&cursor, inside), inside);
    struct exchange_chunk **link = &exchange->chunks;
    while (cursor_left(&cursor) > 0) {
        size_t left = cursor_left(&cursor);
        size_t part = left < EXCHANGE_CHUNK_SIZE ? left : EXCHANGE_CHUNK_SIZE;
        struct exchange_chunk *chunk = take_chunk(exchanges, exchange);
        if (!chunk) {
            release_chunks(exchanges, exchange);
            return;
        }
        memcpy(chunk->bytes, cursor_bytes(&cursor, part), part);
        *link = chunk;
        link = &chunk->next;
    }
    exchange->reply_length = (uint16_t)length;
}

void exchange_write(const struct exchange *exchange, struct writer *reply)
{
    size_t left = exchange->reply_length;
    size_t part = left < EXCHANGE_INLINE_MAX ? left : EXCHANGE_INLINE_MAX;
    writer_bytes(reply, exchange->bytes, part);
    left -= part;
    for (const struct exchange_chunk *chunk = exchange->chunks; chunk; chunk = chunk->next) {
        part = left < EXCHANGE_CHUNK_SIZE ? left : EXCHANGE_CHUNK_SIZE;
        writer_bytes(reply, chunk->bytes, part);
        left -= part;
    }
}

void exchange_forget(struct exchanges *exchanges, const struct exchange_endpoint *endpoint)
{
    struct exchange_peer *peer = find_peer(exchanges, endpoint);
    size_t count = peer ? peer->count : 0;
    for (size_t i = 0; i < count; i++)
        drop_oldest_of(exchanges, peer);
}

uint64_t exchange_next_ms(const struct exchanges *exchanges)
{
    return exchanges->oldest ? exchanges->oldest->expires_ms : UINT64_MAX;
}

void exchange_expire(struct exchanges *exchanges, uint64_t now_ms)
{
    while (exchanges->oldest && exchanges->oldest->expires_ms <= now_ms)
        drop_oldest_of(exchanges, exchanges->oldest->peer);
}

size_t exchange_count(const struct exchanges *exchanges)
{
    return exchanges->exchange_pool.in_use;
}
