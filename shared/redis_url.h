/* Where a Redis is and how it is spoken to, as a URL:
 *
 *   redis://[[USER]:PASSWORD@]HOST[:PORT][/DB]       one server
 *   redis+unix:///PATH                               one server on a unix socket
 *   redis+sentinel://HOST[:PORT],.../MASTER[/DB]     the master that the sentinels name
 *   redis+cluster://HOST[:PORT],...                  a cluster, by any of its nodes
 *
 * `rediss` in place of `redis` is TLS. Behind `?`, separated by `&`: db=N, prefix=TEXT,
 * password_file=FILE, sentinel_password_file=FILE, ca=FILE, cert=FILE, key=FILE, sni=NAME, wait=N
 * (a write counts once N replicas have it), wait_ms=M (and have it within so long).
 * User, password, path and values are percent-decoded (RFC 3986, section 2.1). IPv6 addresses stand
 * in brackets. Ports: 6379, of sentinels 26379. */
#ifndef HOLDFAST_SHARED_REDIS_URL_H
#define HOLDFAST_SHARED_REDIS_URL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shared/limits.h"
#include "shared/status.h"

enum redis_kind { REDIS_SINGLE, REDIS_SENTINEL, REDIS_CLUSTER };

struct redis_host {
    char name[REDIS_HOST_LENGTH_MAX + 1]; /* a name or an address, without brackets */
    uint16_t port;                        /* 0: `name` is the path of a unix socket */
};

struct redis_url {
    enum redis_kind kind;
    bool tls;
    struct redis_host hosts[REDIS_HOSTS_MAX];
    size_t host_count;
    unsigned database;
    unsigned wait_replicas; /* 0: none is waited for */
    unsigned wait_ms;
    /* Empty where the URL says nothing. */
    char user[REDIS_TEXT_MAX + 1];
    char password[REDIS_TEXT_MAX + 1];
    char password_file[REDIS_TEXT_MAX + 1];
    char sentinel_password[REDIS_TEXT_MAX + 1];
    char sentinel_password_file[REDIS_TEXT_MAX + 1];
    char master[REDIS_TEXT_MAX + 1];
    char prefix[REDIS_PREFIX_MAX + 1]; /* "hf" */
    char ca[REDIS_TEXT_MAX + 1];
    char cert[REDIS_TEXT_MAX + 1];
    char key[REDIS_TEXT_MAX + 1];
    char sni[REDIS_TEXT_MAX + 1];
};

/* True for the schemes above. */
bool redis_url_is_redis(const char *text);

/* STATUS_MALFORMED: `why` says what is wrong and what would be right; it never shows a password.
 * *url holds no secret then. */
MUST_USE enum status redis_url_parse(struct redis_url *url, const char *text, char *why,
                                     size_t why_size);

/* Reads the password files that the URL names: their first line. STATUS_SYSTEM: cannot be read;
 * STATUS_MALFORMED: empty or too long. */
MUST_USE enum status redis_url_read_passwords(struct redis_url *url, char *why, size_t why_size);

/* "host:port" as a cluster or a sentinel names it, IPv6 with or without brackets. */
MUST_USE enum status redis_host_parse(struct redis_host *host, const char *text, size_t length);

/* "host:port", "[v6]:port" or the socket's path. Returns `text`. */
#define REDIS_HOST_TEXT_MAX (REDIS_HOST_LENGTH_MAX + 10)
const char *redis_host_format(const struct redis_host *host, char text[REDIS_HOST_TEXT_MAX]);
bool redis_host_equal(const struct redis_host *a, const struct redis_host *b);

#endif
