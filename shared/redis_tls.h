/* TLS to a Redis, with OpenSSL below hiredis: the server's certificate is verified against the CA,
 * and its name against the host of the URL or `sni`; a client certificate if one is named. */
#ifndef HOLDFAST_SHARED_REDIS_TLS_H
#define HOLDFAST_SHARED_REDIS_TLS_H

#include <stddef.h>

#include "shared/redis_url.h"
#include "shared/status.h"

struct redis_tls;
struct redisContext;
struct ssl_st;

/* Reads the files that the URL names; without `ca` the system's CAs count. STATUS_SYSTEM: `why`
 * names the file and what is wrong with it. */
MUST_USE enum status redis_tls_new(struct redis_tls **tls, const struct redis_url *url, char *why,
                                   size_t why_size);
void redis_tls_free(struct redis_tls *tls);

/* Begins the handshake on a connected context, which then owns *session. STATUS_CRYPTO. */
MUST_USE enum status redis_tls_start(struct redis_tls *tls, struct redisContext *context,
                                     const struct redis_host *host, struct ssl_st **session);

/* Why the connection of this session failed, if TLS was why; else NULL. A static string or one that
 * the library keeps. */
const char *redis_tls_why(const struct ssl_st *session);

#endif
