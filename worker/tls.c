#include "worker/tls.h"

#include "shared/record.h"
#include "shared/suite.h"

#include <stdlib.h>
#include <string.h>
#include <wolfssl/error-ssl.h>

#define CIPHER_LIST_MAX 512
#define TIMEOUT_FIRST_S 1 /* RFC 6347 section 4.2.4.1: 1 second, doubled up to 60 */
#define TIMEOUT_LAST_S 60

static int read_input(WOLFSSL *ssl, char *space, int size, void *context)
{
    (void)ssl;
    struct tls *tls = context;
    if (!tls->input)
        return WOLFSSL_CBIO_ERR_WANT_READ;
    size_t length = tls->input_length < (size_t)size ? tls->input_length : (size_t)size;
    memcpy(space, tls->input, length);
    tls->input = NULL;
    return (int)length;
}

/* A flight that overflows loses its end, as a network may lose it: the timer repeats it. */
static int write_output(WOLFSSL *ssl, char *bytes, int length, void *context)
{
    (void)ssl;
    struct tls *tls = context;
    (void)!flight_add(tls->flight, bytes, (size_t)length);
    return length;
}

static unsigned int find_psk(WOLFSSL *ssl, const char *identity, unsigned char *psk,
                             unsigned int size)
{
    struct tls *tls = wolfSSL_get_psk_callback_ctx(ssl);
    if (!tls || !tls->psk)
        return 0;
    return (unsigned int)tls->psk(tls->psk_owner, (const uint8_t *)identity, strlen(identity), psk,
                                  size);
}

/* wolfSSL calls this when the cookie is right and nothing of the ClientHello has been kept yet. */
static int admit_hello(WOLFSSL *ssl, void *owner)
{
    struct tls_context *context = owner;
    struct cid cid;
    if (!context->admit(context->admit_owner, &cid))
        return WOLFSSL_FATAL_ERROR;
    return wolfSSL_dtls_cid_set(ssl, cid.bytes, cid.length) == WOLFSSL_SUCCESS
               ? 0
               : WOLFSSL_FATAL_ERROR;
}

static enum status join_suites(char list[CIPHER_LIST_MAX])
{
    struct writer writer = writer_over(list, CIPHER_LIST_MAX);
    for (size_t i = 0; i < suites_count; i++) {
        if (i > 0)
            writer_u8(&writer, ':');
        writer_bytes(&writer, suites[i].wolfssl_name, strlen(suites[i].wolfssl_name));
    }
    writer_u8(&writer, '\0');
    return writer_ok(&writer) ? STATUS_OK : STATUS_TOO_LONG;
}

enum status tls_context_init(struct tls_context *context, const struct cluster_key *key)
{
    *context = (struct tls_context){0};
    char list[CIPHER_LIST_MAX];
    enum status status = join_suites(list);
    if (status == STATUS_OK)
        status = keys_derive(key, KEY_COOKIE, NULL, 0, context->cookie_secret,
                             sizeof(context->cookie_secret));
    if (status != STATUS_OK)
        return status;
    WOLFSSL_CTX *ctx = wolfSSL_CTX_new(wolfDTLSv1_2_server_method());
    if (!ctx)
        return STATUS_NO_MEMORY;
    context->ctx = ctx;
    /* No resumption: a session here outlives its addresses and its worker, and a session id in each
     * ServerHello would cost every device 32 octets. */
    wolfSSL_CTX_set_session_cache_mode(ctx, WOLFSSL_SESS_CACHE_OFF);
    wolfSSL_CTX_set_options(ctx, WOLFSSL_OP_NO_TICKET);
    wolfSSL_CTX_set_group_messages(ctx);
    wolfSSL_CTX_set_psk_server_callback(ctx, find_psk);
    wolfSSL_CTX_SetIORecv(ctx, read_input);
    wolfSSL_CTX_SetIOSend(ctx, write_output);
    if (wolfSSL_CTX_set_cipher_list(ctx, list) != WOLFSSL_SUCCESS) {
        tls_context_free(context);
        return STATUS_CRYPTO;
    }
    return STATUS_OK;
}

void tls_context_free(struct tls_context *context)
{
    tls_free(context->listener);
    wolfSSL_CTX_free(context->ctx);
    keys_wipe(context->cookie_secret, sizeof(context->cookie_secret));
    context->listener = NULL;
    context->ctx = NULL;
}

static struct tls *tls_new(struct tls_context *context)
{
    struct tls *tls = calloc(1, sizeof(*tls));
    WOLFSSL *ssl = tls ? wolfSSL_new(context->ctx) : NULL;
    if (!ssl)
        goto fail;
    tls->ssl = ssl;
    tls->flight = &context->flight;
    wolfSSL_SetIOReadCtx(ssl, tls);
    wolfSSL_SetIOWriteCtx(ssl, tls);
    wolfSSL_dtls_set_using_nonblock(ssl, 1);
    wolfSSL_set_psk_callback_ctx(ssl, tls);
    if (wolfSSL_dtls_set_timeout_init(ssl, TIMEOUT_FIRST_S) != WOLFSSL_SUCCESS ||
        wolfSSL_dtls_set_timeout_max(ssl, TIMEOUT_LAST_S) != WOLFSSL_SUCCESS ||
        wolfSSL_DTLS_SetCookieSecret(ssl, context->cookie_secret, sizeof(context->cookie_secret)) !=
            0 ||
        wolfSSL_dtls_cid_use(ssl) != WOLFSSL_SUCCESS ||
        wolfDTLS_SetChGoodCb(ssl, admit_hello, context) != WOLFSSL_SUCCESS)
        goto fail;
    return tls;

fail:
    tls_free(tls);
    return NULL;
}

void tls_free(struct tls *tls)
{
    if (!tls)
        return;
    wolfSSL_free(tls->ssl);
    free(tls);
}

static enum tls_outcome run(struct tls_context *context, struct tls *tls, const uint8_t *datagram,
                            size_t length)
{
    context->flight.length = 0;
    tls->input = datagram;
    tls->input_length = length;
    int result = wolfSSL_accept(tls->ssl);
    tls->input = NULL;
    if (result == WOLFSSL_SUCCESS)
        return TLS_DONE;
    switch (wolfSSL_get_error(tls->ssl, result)) {
    case WOLFSSL_ERROR_WANT_READ:
    case WOLFSSL_ERROR_WANT_WRITE:
        return TLS_WAITING;
    default:
        return TLS_FAILED;
    }
}

/* wolfSSL takes up to 255 octets from a peer, whatever DTLS_CID_MAX_SIZE says. */
static bool peer_cid_is_too_long(WOLFSSL *ssl)
{
    unsigned int length = 0;
    return wolfSSL_dtls_cid_is_enabled(ssl) &&
           wolfSSL_dtls_cid_get_tx_size(ssl, &length) == WOLFSSL_SUCCESS && length > CID_LENGTH_MAX;
}

enum tls_greeting tls_greet(struct tls_context *context, const struct address *from,
                            const uint8_t *datagram, size_t length, tls_admit_fn *admit,
                            void *admit_owner, struct tls **greeted)
{
    if (!context->listener)
        context->listener = tls_new(context);
    struct tls *tls = context->listener;
    struct address peer = *from;
    if (!tls || wolfSSL_dtls_set_peer(tls->ssl, &peer, sizeof(peer)) != WOLFSSL_SUCCESS)
        return TLS_NO_MEMORY;

    context->admit = admit;
    context->admit_owner = admit_owner;
    enum tls_outcome outcome = run(context, tls, datagram, length);
    if (outcome == TLS_WAITING && !wolfSSL_is_stateful(tls->ssl))
        return TLS_ASKED_FOR_COOKIE;

    bool cookie_returned = wolfSSL_is_stateful(tls->ssl);
    if (outcome == TLS_WAITING && peer_cid_is_too_long(tls->ssl)) {
        context->flight.length = 0;
        outcome = TLS_FAILED;
    }
    context->listener = NULL;
    if (outcome == TLS_WAITING) {
        *greeted = tls;
        return TLS_GREETED;
    }
    tls_free(tls);
    return cookie_returned ? TLS_TURNED_AWAY : TLS_ASKED_FOR_COOKIE;
}

enum tls_outcome tls_feed(struct tls_context *context, struct tls *tls, const uint8_t *datagram,
                          size_t length)
{
    return run(context, tls, datagram, length);
}

/* Left to itself, wolfSSL 5.9.2 repeats a server's last flight when a ClientHello or a
 * ClientKeyExchange comes again, neither of which is authentic, and never for a Finished. The timer
 * starts anew, since wolfSSL gives up once it has been doubled past its end. */
void tls_repeat(struct tls_context *context, struct tls *tls)
{
    context->flight.length = 0;
    (void)wolfSSL_dtls_set_timeout_init(tls->ssl, TIMEOUT_FIRST_S);
    (void)wolfSSL_dtls_got_timeout(tls->ssl);
}

enum tls_outcome tls_timeout(struct tls_context *context, struct tls *tls)
{
    context->flight.length = 0;
    return wolfSSL_dtls_got_timeout(tls->ssl) == WOLFSSL_SUCCESS ? TLS_WAITING : TLS_FAILED;
}

uint64_t tls_timeout_ms(const struct tls *tls)
{
    return (uint64_t)wolfSSL_dtls_get_current_timeout(tls->ssl) * 1000;
}

/* The explicit nonces of AES-GCM and AES-CCM that wolfSSL puts on its repeated Finished count up
 * from a start of its choice; ours are prefix ‖ sequence number. */
static uint16_t choose_prefix(const struct tls_context *context, size_t peer_cid_length,
                              const struct suite *suite)
{
    const uint16_t epoch = 1;
    struct cursor cursor = cursor_over(context->flight.bytes, context->flight.length);
    size_t length;
    for (const uint8_t *bytes; (bytes = flight_next(&cursor, &length));) {
        struct cursor datagram = cursor_over(bytes, length);
        struct record record;
        while (record_next(&datagram, peer_cid_length, &record) == STATUS_OK) {
            struct cursor payload = cursor_over(record.payload, record.payload_length);
            if (suite->explicit_length > 0 && record.epoch == epoch)
                return protect_prefix_apart(epoch, cursor_u16(&payload));
        }
    }
    return epoch;
}

static enum status read_cid(WOLFSSL *ssl, struct tls_result *result)
{
    unsigned int length = 0;
    result->peer_cid.length = 0;
    result->uses_cid = wolfSSL_dtls_cid_is_enabled(ssl);
    if (!result->uses_cid)
        return STATUS_OK;
    if (wolfSSL_dtls_cid_get_tx_size(ssl, &length) != WOLFSSL_SUCCESS)
        return STATUS_CRYPTO;
    if (length > CID_LENGTH_MAX)
        return STATUS_UNSUPPORTED;
    if (wolfSSL_dtls_cid_get_tx(ssl, result->peer_cid.bytes, CID_LENGTH_MAX) != WOLFSSL_SUCCESS)
        return STATUS_CRYPTO;
    result->peer_cid.length = (uint8_t)length;
    return STATUS_OK;
}

enum status tls_result(const struct tls_context *context, const struct tls *tls,
                       struct tls_result *result)
{
    WOLFSSL *ssl = tls->ssl;
    const struct suite *suite = suite_find((uint16_t)wolfSSL_get_current_cipher_suite(ssl));
    if (!suite || wolfSSL_GetKeySize(ssl) != suite->key_length)
        return STATUS_UNSUPPORTED;
    enum status status = read_cid(ssl, result);
    if (status != STATUS_OK)
        return status;
    result->suite = (uint8_t)(suite - suites);
    memcpy(result->read.key, wolfSSL_GetClientWriteKey(ssl), suite->key_length);
    memcpy(result->read.iv, wolfSSL_GetClientWriteIV(ssl), suite->iv_length);
    memcpy(result->write.key, wolfSSL_GetServerWriteKey(ssl), suite->key_length);
    memcpy(result->write.iv, wolfSSL_GetServerWriteIV(ssl), suite->iv_length);
    result->nonce_prefix = choose_prefix(context, result->peer_cid.length, suite);
    return STATUS_OK;
}
