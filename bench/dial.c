#include "bench/dial.h"

#include "shared/cursor.h"
#include "shared/keys.h"
#include "shared/record.h"

#include <stdlib.h>
#include <string.h>

#define TIMEOUT_FIRST_S 1 /* RFC 6347 section 4.2.4.1: "1 second", doubled */
#define TIMEOUT_LAST_S 16
#define EPOCH 1

static int read_input(WOLFSSL *ssl, char *space, int size, void *context)
{
    (void)ssl;
    struct dial *dial = context;
    if (!dial->input)
        return WOLFSSL_CBIO_ERR_WANT_READ;
    size_t length = dial->input_length < (size_t)size ? dial->input_length : (size_t)size;
    memcpy(space, dial->input, length);
    dial->input = NULL;
    return (int)length;
}

static size_t server_cid_length(WOLFSSL *ssl)
{
    unsigned int length = 0;
    if (!wolfSSL_dtls_cid_is_enabled(ssl) ||
        wolfSSL_dtls_cid_get_tx_size(ssl, &length) != WOLFSSL_SUCCESS)
        return 0;
    return length;
}

/* The explicit nonces that wolfSSL puts on its Finished count up from a start of its choice: ours,
 * under the same key, must begin otherwise. */
static void note_nonces(struct dial *dial, const uint8_t *bytes, size_t length)
{
    struct cursor datagram = cursor_over(bytes, length);
    struct record record;
    size_t cid_length = server_cid_length(dial->ssl);
    while (record_next(&datagram, cid_length, &record) == STATUS_OK) {
        struct cursor payload = cursor_over(record.payload, record.payload_length);
        if (record.epoch == EPOCH)
            dial->nonce_prefix = protect_prefix_apart(EPOCH, cursor_u16(&payload));
    }
}

static int write_output(WOLFSSL *ssl, char *bytes, int length, void *context)
{
    (void)ssl;
    struct dial *dial = context;
    note_nonces(dial, (const uint8_t *)bytes, (size_t)length);
    dial->dialer->send(dial->owner, (const uint8_t *)bytes, (size_t)length);
    return length;
}

static unsigned int give_psk(WOLFSSL *ssl, const char *hint, char *identity,
                             unsigned int identity_size, unsigned char *key, unsigned int key_size)
{
    (void)hint;
    const struct dial_credentials *credentials = wolfSSL_get_psk_callback_ctx(ssl);
    size_t length = strlen(credentials->identity);
    /* wolfSSL's buffer has room for the terminator behind identity_size. */
    if (length > identity_size || credentials->key_length > key_size)
        return 0;
    memcpy(identity, credentials->identity, length + 1);
    memcpy(key, credentials->key, credentials->key_length);
    return (unsigned int)credentials->key_length;
}

enum status dialer_init(struct dialer *dialer, const struct suite *suite,
                        const struct dial_credentials *credentials, dial_send_fn *send)
{
    *dialer = (struct dialer){.credentials = credentials, .send = send};
    dialer->ctx = wolfSSL_CTX_new(wolfDTLSv1_2_client_method());
    if (!dialer->ctx)
        return STATUS_NO_MEMORY;
    wolfSSL_CTX_set_session_cache_mode(dialer->ctx, WOLFSSL_SESS_CACHE_OFF);
    wolfSSL_CTX_set_group_messages(dialer->ctx);
    wolfSSL_CTX_set_psk_client_callback(dialer->ctx, give_psk);
    wolfSSL_CTX_SetIORecv(dialer->ctx, read_input);
    wolfSSL_CTX_SetIOSend(dialer->ctx, write_output);
    if (wolfSSL_CTX_set_cipher_list(dialer->ctx, suite->wolfssl_name) != WOLFSSL_SUCCESS) {
        dialer_free(dialer);
        return STATUS_CRYPTO;
    }
    return STATUS_OK;
}

void dialer_free(struct dialer *dialer)
{
    wolfSSL_CTX_free(dialer->ctx);
    dialer->ctx = NULL;
}

struct dial *dial_new(const struct dialer *dialer, void *owner, const uint8_t *own_cid,
                      size_t own_cid_length)
{
    struct dial *dial = calloc(1, sizeof(*dial));
    WOLFSSL *ssl = dial ? wolfSSL_new(dialer->ctx) : NULL;
    if (!ssl)
        goto fail;
    *dial = (struct dial){.ssl = ssl,
                          .dialer = dialer,
                          .owner = owner,
                          .nonce_prefix = EPOCH,
                          .own_cid_length = (uint8_t)own_cid_length};
    wolfSSL_SetIOReadCtx(ssl, dial);
    wolfSSL_SetIOWriteCtx(ssl, dial);
    wolfSSL_dtls_set_using_nonblock(ssl, 1);
    wolfSSL_set_psk_callback_ctx(ssl, (void *)dialer->credentials);
    if (wolfSSL_dtls_set_timeout_init(ssl, TIMEOUT_FIRST_S) != WOLFSSL_SUCCESS ||
        wolfSSL_dtls_set_timeout_max(ssl, TIMEOUT_LAST_S) != WOLFSSL_SUCCESS ||
        wolfSSL_dtls_cid_use(ssl) != WOLFSSL_SUCCESS)
        goto fail;
    if (own_cid_length > 0 && wolfSSL_dtls_cid_set(ssl, (unsigned char *)own_cid,
                                                   (unsigned int)own_cid_length) != WOLFSSL_SUCCESS)
        goto fail;
    return dial;

fail:
    dial_free(dial);
    return NULL;
}

void dial_free(struct dial *dial)
{
    if (!dial)
        return;
    wolfSSL_free(dial->ssl);
    free(dial);
}

enum dial_outcome dial_feed(struct dial *dial, const uint8_t *datagram, size_t length)
{
    dial->input = datagram;
    dial->input_length = length;
    int result = wolfSSL_connect(dial->ssl);
    dial->input = NULL;
    if (result == WOLFSSL_SUCCESS)
        return DIAL_DONE;
    switch (wolfSSL_get_error(dial->ssl, result)) {
    case WOLFSSL_ERROR_WANT_READ:
    case WOLFSSL_ERROR_WANT_WRITE:
        return DIAL_WAITING;
    default:
        return DIAL_FAILED;
    }
}

enum dial_outcome dial_time_out(struct dial *dial)
{
    return wolfSSL_dtls_got_timeout(dial->ssl) == WOLFSSL_SUCCESS ? DIAL_WAITING : DIAL_FAILED;
}

uint64_t dial_timeout_ms(const struct dial *dial)
{
    return (uint64_t)wolfSSL_dtls_get_current_timeout(dial->ssl) * 1000;
}

enum status dial_result(const struct dial *dial, struct association *association)
{
    WOLFSSL *ssl = dial->ssl;
    const struct suite *suite = suite_find((uint16_t)wolfSSL_get_current_cipher_suite(ssl));
    size_t cid_length = server_cid_length(ssl);
    if (!suite || wolfSSL_GetKeySize(ssl) != suite->key_length || cid_length > CID_LENGTH_MAX)
        return STATUS_UNSUPPORTED;
    *association = (struct association){
        .sequence = ASSOCIATION_SEQUENCE_FIRST,
        .nonce_prefix = dial->nonce_prefix,
        .suite = (uint8_t)(suite - suites),
        .own_cid_length = wolfSSL_dtls_cid_is_enabled(ssl) ? dial->own_cid_length : 0,
        .cid_length = (uint8_t)cid_length,
    };
    if (cid_length > 0 &&
        wolfSSL_dtls_cid_get_tx(ssl, association->cid, CID_LENGTH_MAX) != WOLFSSL_SUCCESS)
        return STATUS_CRYPTO;
    memcpy(association->write.key, wolfSSL_GetClientWriteKey(ssl), suite->key_length);
    memcpy(association->write.iv, wolfSSL_GetClientWriteIV(ssl), suite->iv_length);
    memcpy(association->read.key, wolfSSL_GetServerWriteKey(ssl), suite->key_length);
    memcpy(association->read.iv, wolfSSL_GetServerWriteIV(ssl), suite->iv_length);
    return STATUS_OK;
}
