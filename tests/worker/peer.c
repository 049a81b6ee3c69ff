#include "tests/worker/peer.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

static int read_datagram(WOLFSSL *ssl, char *space, int size, void *context)
{
    (void)ssl;
    struct peer *peer = context;
    struct datagram datagram = datagrams_take(&peer->in);
    if (!datagram.bytes)
        return WOLFSSL_CBIO_ERR_WANT_READ;
    size_t length = datagram.length < (size_t)size ? datagram.length : (size_t)size;
    memcpy(space, datagram.bytes, length);
    free(datagram.bytes);
    return (int)length;
}

static int write_datagram(WOLFSSL *ssl, char *bytes, int length, void *context)
{
    (void)ssl;
    struct peer *peer = context;
    const struct path path = {.address = peer->address};
    datagrams_add(&peer->out, &path, bytes, (size_t)length);
    return length;
}

static unsigned int give_psk(WOLFSSL *ssl, const char *hint, char *identity,
                             unsigned int identity_size, unsigned char *key, unsigned int key_size)
{
    (void)hint;
    const struct peer *peer = wolfSSL_get_psk_callback_ctx(ssl);
    const struct peer_options *options = &peer->options;
    /* wolfSSL's buffer has room for the terminator behind identity_size. */
    assert(strlen(options->identity) <= identity_size && options->psk_length <= key_size);
    strcpy(identity, options->identity);
    memcpy(key, options->psk, options->psk_length);
    return (unsigned int)options->psk_length;
}

void peer_open(struct peer *peer, const struct peer_options *options)
{
    *peer = (struct peer){.options = *options, .crafted_next = PEER_CRAFTED_FIRST};
    struct peer_options *filled = &peer->options;
    if (!filled->suite)
        filled->suite = &suites[0];
    if (!filled->identity)
        filled->identity = ENDPOINT_IDENTITY;
    if (!filled->psk) {
        bool second = strcmp(filled->identity, ENDPOINT_IDENTITY2) == 0;
        filled->psk = second ? endpoint_psk2 : endpoint_psk;
        filled->psk_length = sizeof(endpoint_psk);
    }
    if (filled->address.port == 0)
        filled->address = endpoint_address(1, 1111);
    peer->address = filled->address;

    enum status status = protector_init(&peer->protector);
    assert(status == STATUS_OK);
    peer->ctx = wolfSSL_CTX_new(wolfDTLSv1_2_client_method());
    assert(peer->ctx);
    wolfSSL_CTX_SetIORecv(peer->ctx, read_datagram);
    wolfSSL_CTX_SetIOSend(peer->ctx, write_datagram);
    wolfSSL_CTX_set_psk_client_callback(peer->ctx, give_psk);
    wolfSSL_CTX_set_group_messages(peer->ctx);
    int result = wolfSSL_CTX_set_cipher_list(peer->ctx, filled->suite->wolfssl_name);
    assert(result == WOLFSSL_SUCCESS);
    peer->ssl = wolfSSL_new(peer->ctx);
    assert(peer->ssl);
    wolfSSL_SetIOReadCtx(peer->ssl, peer);
    wolfSSL_SetIOWriteCtx(peer->ssl, peer);
    wolfSSL_set_psk_callback_ctx(peer->ssl, peer);
    wolfSSL_dtls_set_using_nonblock(peer->ssl, 1);
    if (!filled->cid)
        return;
    result = wolfSSL_dtls_cid_use(peer->ssl);
    assert(result == WOLFSSL_SUCCESS);
    if (filled->cid_length > 0) {
        uint8_t cid[CID_LENGTH_MAX];
        for (size_t i = 0; i < sizeof(cid); i++)
            cid[i] = (uint8_t)(0xc0 + i);
        result = wolfSSL_dtls_cid_set(peer->ssl, cid, filled->cid_length);
        assert(result == WOLFSSL_SUCCESS);
    }
}

void peer_close(struct peer *peer)
{
    wolfSSL_free(peer->ssl);
    wolfSSL_CTX_free(peer->ctx);
    protector_free(&peer->protector);
    datagrams_clear(&peer->out);
    datagrams_clear(&peer->in);
}

void peer_step(struct peer *peer)
{
    if (peer->connected) {
        uint8_t nothing;
        (void)wolfSSL_peek(peer->ssl, &nothing, sizeof(nothing));
        return;
    }
    int result = wolfSSL_connect(peer->ssl);
    peer->connected = result == WOLFSSL_SUCCESS;
    int error = wolfSSL_get_error(peer->ssl, result);
    if (!peer->connected && error != WOLFSSL_ERROR_WANT_READ && error != WOLFSSL_ERROR_WANT_WRITE)
        peer->error = error;
}

size_t peer_deliver(struct peer *peer, struct endpoint *endpoint)
{
    size_t delivered = 0;
    for (struct datagram datagram; (datagram = datagrams_take(&peer->out)).bytes; delivered++) {
        endpoint_receive(endpoint, &datagram.path.address, datagram.bytes, datagram.length);
        free(datagram.bytes);
    }
    return delivered;
}

size_t peer_collect(struct peer *peer, struct endpoint *endpoint)
{
    size_t collected = 0;
    for (size_t i = 0; i < endpoint->sent.count;) {
        const struct datagram *datagram = &endpoint->sent.items[i];
        if (!address_equal(&datagram->path.address, &peer->address)) {
            i++;
            continue;
        }
        datagrams_add(&peer->in, &datagram->path, datagram->bytes, datagram->length);
        datagrams_drop(&endpoint->sent, i);
        collected++;
    }
    return collected;
}

void peer_settle(struct peer *peer, struct endpoint *endpoint)
{
    size_t moved;
    do {
        moved = peer_deliver(peer, endpoint);
        endpoint_run(endpoint, 0);
        moved += peer_collect(peer, endpoint);
        if (moved > 0)
            peer_step(peer);
    } while (moved > 0);
}

bool peer_connect(struct peer *peer, struct endpoint *endpoint)
{
    peer_step(peer);
    peer_settle(peer, endpoint);
    return peer->connected;
}

void peer_time_out(struct peer *peer)
{
    (void)wolfSSL_dtls_got_timeout(peer->ssl);
}

bool peer_send(struct peer *peer, const void *data, size_t length)
{
    return wolfSSL_write(peer->ssl, data, (int)length) == (int)length;
}

int peer_receive(struct peer *peer, void *space, size_t size)
{
    int length = wolfSSL_read(peer->ssl, space, (int)size);
    return length > 0 ? length : -1;
}

bool peer_converses(struct peer *peer, struct endpoint *endpoint)
{
    static const char question[] = "what is the temperature?";
    static const char answer[] = "21 degrees";
    char space[sizeof(answer) + 1];
    datagrams_clear(&endpoint->received);
    if (!peer_send(peer, question, sizeof(question)))
        return false;
    peer_deliver(peer, endpoint);
    endpoint_run(endpoint, 0); /* the session may have to come from the store first */
    if (endpoint->received.count != 1 || endpoint->received.items[0].length != sizeof(question) ||
        memcmp(endpoint->received.items[0].bytes, question, sizeof(question)) != 0)
        return false;
    dtls_send(endpoint->dtls, endpoint->receiver, (const uint8_t *)answer, sizeof(answer));
    peer_collect(peer, endpoint);
    return peer_receive(peer, space, sizeof(space)) == sizeof(answer) &&
           memcmp(space, answer, sizeof(answer)) == 0;
}

struct cid peer_server_cid(const struct peer *peer)
{
    struct cid cid = {0};
    unsigned int length = 0;
    if (!wolfSSL_dtls_cid_is_enabled(peer->ssl))
        return cid;
    int result = wolfSSL_dtls_cid_get_tx_size(peer->ssl, &length);
    assert(result == WOLFSSL_SUCCESS && length <= CID_LENGTH_MAX);
    result = wolfSSL_dtls_cid_get_tx(peer->ssl, cid.bytes, sizeof(cid.bytes));
    assert(result == WOLFSSL_SUCCESS);
    cid.length = (uint8_t)length;
    return cid;
}

struct record_header peer_next_header(struct peer *peer, uint8_t type, struct cid *cid)
{
    *cid = peer_server_cid(peer);
    return (struct record_header){
        .type = type,
        .epoch = 1,
        .sequence = peer->crafted_next++,
        .nonce_prefix = 0x7777,
        .cid = cid->bytes,
        .cid_length = cid->length,
    };
}

size_t peer_seal_as(struct peer *peer, const struct record_header *header, const void *content,
                    size_t length, uint8_t *space, size_t size)
{
    const struct suite *suite = peer->options.suite;
    struct record_keys keys;
    memcpy(keys.key, wolfSSL_GetClientWriteKey(peer->ssl), suite->key_length);
    memcpy(keys.iv, wolfSSL_GetClientWriteIV(peer->ssl), suite->iv_length);
    struct writer writer = writer_over(space, size);
    enum status status =
        protect_seal(&peer->protector, suite, &keys, header, content, length, &writer);
    assert(status == STATUS_OK);
    return writer_length(&writer);
}

bool peer_open_record(struct peer *peer, const struct datagram *datagram, uint8_t **content,
                      size_t *length, uint8_t *type)
{
    const struct suite *suite = peer->options.suite;
    struct record_keys keys;
    memcpy(keys.key, wolfSSL_GetServerWriteKey(peer->ssl), suite->key_length);
    memcpy(keys.iv, wolfSSL_GetServerWriteIV(peer->ssl), suite->iv_length);
    struct cursor cursor = cursor_over(datagram->bytes, datagram->length);
    struct record record;
    return record_next(&cursor, peer->options.cid_length, &record) == STATUS_OK &&
           protect_open(&peer->protector, suite, &keys, &record, content, length, type) ==
               STATUS_OK;
}

size_t peer_seal(struct peer *peer, uint8_t type, const void *content, size_t length,
                 uint8_t *space, size_t size)
{
    struct cid cid;
    struct record_header header = peer_next_header(peer, type, &cid);
    return peer_seal_as(peer, &header, content, length, space, size);
}
