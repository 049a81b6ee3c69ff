#include "worker/exchange.h"

struct exchange_peer {
    struct exchange_endpoint endpoint;
    struct exchange *oldest, *newest; /* by serial, then by when they came */
    uint16_t next_serial;
    uint8_t count;
    /* Of its exchanges, in no order: nearly every message is new, and is found so without a look at
     * each of them, which are all over memory. */
    uint16_t message_ids[COAP_EXCHANGES_PER_PEER_MAX];
};

_Static_assert(sizeof(struct exchange) == 120, "as the header says");
_Static_assert(sizeof(struct exchange_chunk) == 128, "as the header says");
_Static_assert(sizeof(struct exchange_peer) <= 96, "as the header says");

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

/* Whether serial a came before b, in numbers that go round. */
static bool precedes(uint16_t a, uint16_t b)
{
    return (int16_t)(uint16_t)(a - b) < 0;
}

static size_t find_id(const struct exchange_peer *peer, uint16_t message_id)
{
    size_t at = 0;
    while (at < peer->count && peer->message_ids[at] != message_id)
        at++;
    return at;
}

/* Behind those of the peer that are no later. */
static void link_to_peer(struct exchange_peer *peer, struct exchange *exchange)
{
    struct exchange **link = &peer->oldest;
    if (peer->newest && !precedes(exchange->serial, peer->newest->serial))
        link = &peer->newest->peer_newer;
    while (*link && !precedes(exchange->serial, (*link)->serial))
        link = &(*link)->peer_newer;
    exchange->peer = peer;
    exchange->peer_newer = *link;
    *link = exchange;
    if (!exchange->peer_newer)
        peer->newest = exchange;
    peer->message_ids[peer->count++] = exchange->message_id;
}

static void unlink_from_peer(struct exchange *exchange)
{
    struct exchange_peer *peer = exchange->peer;
    struct exchange *before = NULL;
    struct exchange **link = &peer->oldest;
    while (*link != exchange) {
        before = *link;
        link = &before->peer_newer;
    }
    *link = exchange->peer_newer;
    if (peer->newest == exchange)
        peer->newest = before;
    peer->message_ids[find_id(peer, exchange->message_id)] = peer->message_ids[--peer->count];
}

static void link_to_all(struct exchanges *exchanges, struct exchange *exchange)
{
    exchange->older = exchanges->newest;
    *(exchanges->newest ? &exchanges->newest->newer : &exchanges->oldest) = exchange;
    exchanges->newest = exchange;
}

static void unlink_from_all(struct exchanges *exchanges, struct exchange *exchange)
{
    *(exchange->older ? &exchange->older->newer : &exchanges->oldest) = exchange->newer;
    *(exchange->newer ? &exchange->newer->older : &exchanges->newest) = exchange->older;
}

void exchange_drop(struct exchanges *exchanges, struct exchange *exchange)
{
    struct exchange_peer *peer = exchange->peer;
    unlink_from_all(exchanges, exchange);
    unlink_from_peer(exchange);
    release_chunks(exchanges, exchange);
    pool_put(&exchanges->exchange_pool, exchange);
    if (!peer->oldest)
        release_peer(exchanges, peer);
}

/* A pending one stays: without its memory its change would be made again. */
static bool evict(struct exchanges *exchanges, struct exchange *exchange)
{
    if (exchange->state == EXCHANGE_PENDING)
        return false;
    exchange_drop(exchanges, exchange);
    exchanges->evicted++;
    return true;
}

struct exchange *exchange_find(struct exchanges *exchanges,
                               const struct exchange_endpoint *endpoint, uint16_t message_id,
                               uint64_t now_ms)
{
    exchange_expire(exchanges, now_ms);
    const struct exchange_peer *peer = find_peer(exchanges, endpoint);
    if (!peer || find_id(peer, message_id) == peer->count)
        return NULL;
    struct exchange *exchange = peer->oldest;
    while (exchange && (exchange->message_id != message_id || exchange->expires_ms <= now_ms))
        exchange = exchange->peer_newer;
    return exchange;
}

/* The endpoint's peer, made if need be. */
static struct exchange_peer *take_peer(struct exchanges *exchanges,
                                       const struct exchange_endpoint *endpoint)
{
    uint64_t hash = hash_endpoint(&exchanges->hash_key, endpoint);
    struct exchange_peer *peer = table_find(&exchanges->peers, hash, endpoint);
    if (peer)
        return peer;
    peer = pool_get(&exchanges->peer_pool);
    if (!peer)
        return NULL;
    peer->endpoint = *endpoint;
    if (table_insert(&exchanges->peers, hash, peer) != STATUS_OK) {
        pool_put(&exchanges->peer_pool, peer);
        return NULL;
    }
    return peer;
}

/* A new exchange of the endpoint, in no list yet; NULL: no room. peer: the endpoint's, or NULL if
 * that is not known to be there. */
static struct exchange *take_exchange(struct exchanges *exchanges,
                                      const struct exchange_endpoint *endpoint,
                                      struct exchange_peer *peer)
{
    struct exchange *exchange = pool_get(&exchanges->exchange_pool);
    while (!exchange && exchanges->oldest && evict(exchanges, exchanges->oldest)) {
        exchange = pool_get(&exchanges->exchange_pool);
        peer = NULL; /* it may have gone with its last exchange */
    }
    if (!exchange)
        return NULL;
    exchange->peer = peer ? peer : take_peer(exchanges, endpoint);
    if (!exchange->peer) {
        pool_put(&exchanges->exchange_pool, exchange);
        return NULL;
    }
    return exchange;
}

struct exchange *exchange_open(struct exchanges *exchanges,
                               const struct exchange_endpoint *endpoint, uint16_t message_id,
                               uint64_t now_ms)
{
    struct exchange_peer *peer = find_peer(exchanges, endpoint);
    if (peer && peer->count == COAP_EXCHANGES_PER_PEER_MAX && !evict(exchanges, peer->oldest))
        return NULL;
    struct exchange *exchange = take_exchange(exchanges, endpoint, peer);
    if (!exchange)
        return NULL;
    exchange->message_id = message_id;
    exchange->serial = exchange->peer->next_serial;
    exchange->expires_ms = now_ms + COAP_EXCHANGE_LIFETIME_MS;
    link_to_all(exchanges, exchange);
    link_to_peer(exchange->peer, exchange);
    return exchange;
}

/* A chunk, if need be at the cost of exchanges older than `exchange`. */
static struct exchange_chunk *take_chunk(struct exchanges *exchanges,
                                         const struct exchange *exchange)
{
    struct exchange_chunk *chunk = pool_get(&exchanges->chunk_pool);
    while (!chunk && exchanges->oldest != exchange && evict(exchanges, exchanges->oldest))
        chunk = pool_get(&exchanges->chunk_pool);
    return chunk;
}

bool exchange_store(struct exchanges *exchanges, struct exchange *exchange, const uint8_t *reply,
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
            return false;
        }
        memcpy(chunk->bytes, cursor_bytes(&cursor, part), part);
        *link = chunk;
        link = &chunk->next;
    }
    exchange->reply_length = (uint16_t)length;
    exchange->state = length > 0 ? EXCHANGE_ANSWERED : EXCHANGE_SILENT;
    return true;
}

void exchange_hold(struct exchange *exchange)
{
    exchange->state = EXCHANGE_PENDING;
    exchange->peer->next_serial++;
}

void exchange_defer(struct exchange *exchange)
{
    exchange->state = EXCHANGE_PENDING;
}

void exchange_settle(struct exchanges *exchanges, struct exchange *exchange, bool repeatable)
{
    exchange->state = repeatable ? EXCHANGE_ANSWERED : EXCHANGE_SILENT;
    if (repeatable)
        return;
    release_chunks(exchanges, exchange);
    exchange->reply_length = 0;
}

/* Whether a change that the store gave back is news to us. */
static bool replaces(struct exchanges *exchanges, const struct exchange_endpoint *endpoint,
                     const struct exchange_value *value, uint64_t now_ms)
{
    struct exchange *known = exchange_find(exchanges, endpoint, value->message_id, now_ms);
    if (!known)
        return true;
    if (known->state == EXCHANGE_PENDING || !precedes(known->serial, value->serial))
        return false;
    exchange_drop(exchanges, known);
    return true;
}

enum status exchange_restore(struct exchanges *exchanges, const struct exchange_endpoint *endpoint,
                             const struct exchange_value *value, uint64_t now_ms,
                             uint64_t expires_ms)
{
    if (!replaces(exchanges, endpoint, value, now_ms))
        return STATUS_OK;
    struct exchange_peer *known = find_peer(exchanges, endpoint);
    if (known && known->count == COAP_EXCHANGES_PER_PEER_MAX)
        return STATUS_FULL;
    struct exchange *exchange = take_exchange(exchanges, endpoint, known);
    if (!exchange)
        return STATUS_FULL;
    struct exchange_peer *peer = exchange->peer;
    bool first = peer->count == 0;
    exchange->message_id = value->message_id;
    exchange->serial = value->serial;
    exchange->expires_ms = expires_ms;
    link_to_all(exchanges, exchange);
    link_to_peer(peer, exchange);
    if (first || !precedes(value->serial, peer->next_serial))
        peer->next_serial = (uint16_t)(value->serial + 1);
    if (!exchange_store(exchanges, exchange, value->reply.bytes, value->reply.length)) {
        exchange_drop(exchanges, exchange);
        return STATUS_FULL;
    }
    return STATUS_OK;
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
        exchange_drop(exchanges, peer->oldest);
}

uint64_t exchange_next_ms(const struct exchanges *exchanges)
{
    return exchanges->oldest ? exchanges->oldest->expires_ms : UINT64_MAX;
}

void exchange_expire(struct exchanges *exchanges, uint64_t now_ms)
{
    while (exchanges->oldest && exchanges->oldest->expires_ms <= now_ms)
        exchange_drop(exchanges, exchanges->oldest);
}

size_t exchange_count(const struct exchanges *exchanges)
{
    return exchanges->exchange_pool.in_use;
}
