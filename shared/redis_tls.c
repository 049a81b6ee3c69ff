#include "shared/redis_tls.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>

#include <hiredis/hiredis.h>
#include <hiredis/hiredis_ssl.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

struct redis_tls {
    SSL_CTX *context;
    const char *sni; /* NULL: the host's name */
};

static enum status refuse(char *why, size_t why_size, const char *what, const char *file)
{
    const char *reason = ERR_reason_error_string(ERR_peek_last_error());
    (void)snprintf(why, why_size, "%s %s: %s", what, file, reason ? reason : "not usable");
    ERR_clear_error();
    return STATUS_SYSTEM;
}

enum status redis_tls_new(struct redis_tls **tls, const struct redis_url *url, char *why,
                          size_t why_size)
{
    enum status status = STATUS_NO_MEMORY;
    struct redis_tls *made = calloc(1, sizeof *made);
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());
    if (!made || !context) {
        (void)snprintf(why, why_size, "out of memory");
        goto fail;
    }
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
    if (SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION) != 1) {
        status = refuse(why, why_size, "TLS 1.2", "");
        goto fail;
    }
    /* hiredis goes on with a write from a buffer that may have moved meanwhile. */
    SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    if (url->ca[0] ? SSL_CTX_load_verify_locations(context, url->ca, NULL) != 1
                   : SSL_CTX_set_default_verify_paths(context) != 1) {
        status = refuse(why, why_size, "CA file", url->ca);
        goto fail;
    }
    if (url->cert[0]) {
        if (SSL_CTX_use_certificate_chain_file(context, url->cert) != 1) {
            status = refuse(why, why_size, "certificate", url->cert);
            goto fail;
        }
        if (SSL_CTX_use_PrivateKey_file(context, url->key, SSL_FILETYPE_PEM) != 1) {
            status = refuse(why, why_size, "key", url->key);
            goto fail;
        }
    }
    made->context = context;
    made->sni = url->sni[0] ? url->sni : NULL;
    *tls = made;
    return STATUS_OK;

fail:
    SSL_CTX_free(context);
    free(made);
    return status;
}

void redis_tls_free(struct redis_tls *tls)
{
    if (!tls)
        return;
    SSL_CTX_free(tls->context);
    free(tls);
}

/* What the certificate must say: an address for an address, a name for a name. */
static int expect(SSL *session, const char *name)
{
    struct in6_addr any;
    if (inet_pton(AF_INET, name, &any) == 1 || inet_pton(AF_INET6, name, &any) == 1)
        return X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(session), name);
    return SSL_set1_host(session, name) == 1 && SSL_set_tlsext_host_name(session, name) == 1;
}

enum status redis_tls_start(struct redis_tls *tls, struct redisContext *context,
                            const struct redis_host *host, struct ssl_st **session)
{
    ERR_clear_error();
    SSL *made = SSL_new(tls->context);
    if (!made)
        return STATUS_NO_MEMORY;
    if (expect(made, tls->sni ? tls->sni : host->name) != 1 ||
        redisInitiateSSL(context, made) != REDIS_OK) {
        SSL_free(made);
        return STATUS_CRYPTO;
    }
    *session = made;
    return STATUS_OK;
}

const char *redis_tls_why(const struct ssl_st *session)
{
    long verdict = SSL_get_verify_result(session);
    if (verdict != X509_V_OK)
        return X509_verify_cert_error_string(verdict);
    unsigned long error = ERR_peek_last_error();
    if (error)
        return ERR_reason_error_string(error);
    return SSL_is_init_finished(session) ? NULL : "closed in the handshake";
}
