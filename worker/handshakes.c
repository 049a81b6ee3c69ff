#include "worker/handshakes.h"

#include <stdlib.h>
#include <string.h>

void handshakes_count(struct handshakes *handshakes, enum worker_metric metric)
{
    metrics_add(handshakes->options.metrics, 0, metric, 1);
}

/* --- finding --- */

static bool cid_match(const void *object, const void *key)
{
    const struct handshake *handshake = object;
    const struct octets *cid = key;
    return handshake->own_cid.length == cid->length &&
           memcmp(handshake->own_cid.bytes, cid->bytes, cid->length) == 0;
}

static uint64_t cid_hash(const void *context, const void *object)
{
    const struct handshake *handshake = object;
    return hash_bytes(context, handshake->own_cid.bytes, handshake->own_cid.length);
}

static bool address_match(const void *object, const void *key)
{
    const struct handshake *handshake = object;
    return address_equal(&handshake->path.address, key);
}

static uint64_t address_hash(const void *context, const void *object)
{
    const struct handshake *handshake = object;
    return hash_bytes(context, &handshake->path.address, sizeof(handshake->path.address));
}

struct handshake *handshake_by_cid(struct handshakes *handshakes, const uint8_t *cid, size_t length)
{
    const struct octets key = {cid, length};
    return table_find(&handshakes->by_cid, hash_bytes(&handshakes->options.hash_key, cid, length),
                      &key);
}

struct handshake *handshake_by_address(struct handshakes *handshakes, const struct address *address)
{
    uint64_t hash = hash_bytes(&handshakes->options.hash_key, address, sizeof(*address));
    return table_find(&handshakes->by_address, hash, address);
}

/* --- beginning and end --- */

enum status handshakes_init(struct handshakes *handshakes, const struct handshakes_options *options,
                            uint64_t now_ms)
{
    *handshakes = (struct handshakes){.options = *options, .cluster_key = *options->cluster_key};
    const struct hash_key *hash_key = &handshakes->options.hash_key;
    size_t most = options->handshakes_max;
    wheel_init(&handshakes->wheel, now_ms);
    enum status status = tls_context_init(&handshakes->tls, options->cluster_key);
    if (status == STATUS_OK)
        status = protector_init(&handshakes->protector);
    if (status == STATUS_OK)
        status = pool_init(&handshakes->pool, sizeof(struct handshake), most);
    if (status == STATUS_OK)
        status = table_init(&handshakes->by_cid, most, cid_match, cid_hash, hash_key);
    if (status == STATUS_OK)
        status = table_init(&handshakes->by_address, most, address_match, address_hash, hash_key);
    if (status != STATUS_OK)
        handshakes_free(handshakes);
    return status;
}

void handshake_drop_held(struct handshake *handshake)
{
    for (size_t i = 0; i < handshake->held_count; i++)
        free(handshake->held[i].bytes);
    handshake->held_count = 0;
}

void handshake_retain(struct handshakes *handshakes, struct handshake *handshake)
{
    handshake->state = HANDSHAKE_RETAINED;
    handshake->older = handshakes->newest_retained;
    if (handshake->older)
        handshake->older->newer = handshake;
    else
        handshakes->oldest_retained = handshake;
    handshakes->newest_retained = handshake;
}

static void stop_retaining(struct handshakes *handshakes, struct handshake *handshake)
{
    if (handshake->state != HANDSHAKE_RETAINED)
        return;
    if (handshake->older)
        handshake->older->newer = handshake->newer;
    else
        handshakes->oldest_retained = handshake->newer;
    if (handshake->newer)
        handshake->newer->older = handshake->older;
    else
        handshakes->newest_retained = handshake->older;
}

void handshake_release(struct handshakes *handshakes, struct handshake *handshake)
{
    if (!handshake)
        return;
    stop_retaining(handshakes, handshake);
    wheel_cancel(&handshakes->wheel, &handshake->timer);
    table_remove(&handshakes->by_cid, cid_hash(&handshakes->options.hash_key, handshake),
                 handshake);
    table_remove(&handshakes->by_address, address_hash(&handshakes->options.hash_key, handshake),
                 handshake);
    handshake_drop_held(handshake);
    free(handshake->last_flight.bytes);
    tls_free(handshake->tls);
    pool_put(&handshakes->pool, handshake); /* wipes the keys */
    metrics_set(handshakes->options.metrics, 0, WORKER_HANDSHAKES_OPEN, handshakes->pool.in_use);
}

void handshakes_free(struct handshakes *handshakes)
{
    for (;;) {
        size_t cursor = 0;
        struct handshake *handshake = table_next(&handshakes->by_cid, &cursor);
        if (!handshake)
            break;
        handshake_release(handshakes, handshake);
    }
    table_free(&handshakes->by_cid);
    table_free(&handshakes->by_address);
    pool_free(&handshakes->pool);
    protector_free(&handshakes->protector);
    tls_context_free(&handshakes->tls);
    keys_wipe(&handshakes->cluster_key, sizeof(handshakes->cluster_key));
}

void handshake_end(struct handshakes *handshakes, struct handshake *handshake,
                   enum worker_metric result)
{
    handshakes_count(handshakes, result);
    handshake_release(handshakes, handshake);
}

void handshake_send_flight(struct handshakes *handshakes, const struct path *path,
                           const uint8_t *bytes, size_t length)
{
    struct cursor cursor = cursor_over(bytes, length);
    size_t datagram_length;
    for (const uint8_t *datagram; (datagram = flight_next(&cursor, &datagram_length));)
        handshakes->options.send(handshakes->options.send_owner, path, datagram, datagram_length);
}

void handshake_send_output(struct handshakes *handshakes, const struct path *path)
{
    handshake_send_flight(handshakes, path, handshakes->tls.flight.bytes,
                          handshakes->tls.flight.length);
}

/* The sooner of the flight's timer and the handshake's end. */
void handshake_set_timer(struct handshakes *handshakes, struct handshake *handshake)
{
    uint64_t deadline_ms = handshake->ends_ms;
    if (handshake->state == HANDSHAKE_TALKING) {
        uint64_t repeat_ms = handshakes->now_ms + tls_timeout_ms(handshake->tls);
        deadline_ms = repeat_ms < deadline_ms ? repeat_ms : deadline_ms;
    }
    wheel_set(&handshakes->wheel, &handshake->timer, deadline_ms);
}

/* --- the ClientHello --- */

static bool admit(void *owner, struct cid *own_cid)
{
    struct handshakes *handshakes = owner;
    if (store_trouble(handshakes->options.store))
        return false;
    /* Silent clients that are done do not keep others out: the chance to repeat a last flight is
     * given up for a handshake that can begin. */
    if (handshakes->pool.in_use == handshakes->options.handshakes_max)
        handshake_release(handshakes, handshakes->oldest_retained);
    struct handshake *handshake = pool_get(&handshakes->pool);
    if (!handshake)
        return false;
    if (cid_source_next(handshakes->options.cids, &handshake->own_cid) != STATUS_OK) {
        pool_put(&handshakes->pool, handshake);
        return false;
    }
    *own_cid = handshake->own_cid;
    handshakes->greeted = handshake;
    return true;
}

static size_t give_psk(void *owner, const uint8_t *identity, size_t length, uint8_t *psk,
                       size_t size)
{
    struct handshake *handshake = owner;
    const uint8_t *seen = handshake->identity.bytes + 2;
    /* wolfSSL hands the identity over as a string, which ends at its first zero octet. */
    bool same = handshake->psk_known && length <= handshake->identity.have - 2u &&
                memcmp(identity, seen, length) == 0;
    if (!same || handshake->psk.length > size)
        return 0;
    memcpy(psk, handshake->psk.bytes, handshake->psk.length);
    return handshake->psk.length;
}

static void begin(struct handshakes *handshakes, struct handshake *handshake, struct tls *tls,
                  const struct path *path, const struct hello *hello)
{
    handshake_release(handshakes, handshake_by_address(handshakes, &path->address));
    handshake->tls = tls;
    tls->psk = give_psk;
    tls->psk_owner = handshake;
    handshake->state = HANDSHAKE_TALKING;
    handshake->path = *path;
    memcpy(handshake->client_random, hello->random, HELLO_RANDOM_SIZE);
    handshake->ends_ms = handshakes->now_ms + HANDSHAKE_LIFETIME_MS;
    const struct hash_key *key = &handshakes->options.hash_key;
    enum status status = table_insert(&handshakes->by_cid, cid_hash(key, handshake), handshake);
    if (status == STATUS_OK)
        status = table_insert(&handshakes->by_address, address_hash(key, handshake), handshake);
    if (status != STATUS_OK) {
        handshake_end(handshakes, handshake, WORKER_HANDSHAKES_REFUSED);
        return;
    }
    metrics_set(handshakes->options.metrics, 0, WORKER_HANDSHAKES_OPEN, handshakes->pool.in_use);
    handshake_set_timer(handshakes, handshake);
    handshake_send_output(handshakes, path);
}

static void greet(struct handshakes *handshakes, const struct path *path, const struct hello *hello,
                  const uint8_t *datagram, size_t length)
{
    struct tls *tls = NULL;
    handshakes->greeted = NULL;
    enum tls_greeting greeting =
        tls_greet(&handshakes->tls, &path->address, datagram, length, admit, handshakes, &tls);
    struct handshake *handshake = handshakes->greeted;
    handshakes->greeted = NULL;
    switch (greeting) {
    case TLS_GREETED:
        begin(handshakes, handshake, tls, path, hello);
        return;
    case TLS_ASKED_FOR_COOKIE:
        if (handshakes->tls.flight.length > 0)
            handshakes_count(handshakes, WORKER_COOKIES_SENT);
        handshake_send_output(handshakes, path);
        break;
    case TLS_TURNED_AWAY:
        handshakes_count(handshakes,
                         handshake ? WORKER_HANDSHAKES_FAILED : WORKER_HANDSHAKES_REFUSED);
        handshake_send_output(handshakes, path);
        break;
    case TLS_NO_MEMORY:
        handshakes_count(handshakes, WORKER_HANDSHAKES_REFUSED);
        break;
    }
    pool_put(&handshakes->pool, handshake);
}

void handshakes_greet(struct handshakes *handshakes, uint64_t now_ms, const struct path *path,
                      const struct record *first, const uint8_t *datagram, size_t length)
{
    handshakes->now_ms = now_ms;
    struct hello hello;
    if (hello_parse(first, &hello) != STATUS_OK) {
        handshakes_count(handshakes, WORKER_DROPPED_MALFORMED);
        return;
    }
    /* The ClientHello that began the handshake at this address, again: its answer was lost. One
     * with another random is from a client that has started anew. */
    struct handshake *known = handshake_by_address(handshakes, &path->address);
    if (known && hello.cookie_length > 0 &&
        memcmp(known->client_random, hello.random, HELLO_RANDOM_SIZE) == 0)
        handshake_receive(handshakes, known, now_ms, path, datagram, length);
    else
        greet(handshakes, path, &hello, datagram, length);
}
