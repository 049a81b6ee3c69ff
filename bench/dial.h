/* A handshake as a client, in wolfSSL: DTLS 1.2, PSK, with the Connection ID extension offered.
 * wolfSSL reads the bytes it is given, writes through `send`, and never sees a socket. It offers
 * 1.2 only: wolfSSL 5.9.2 fails (-429) on a 1.2 ServerHello with CID if it has offered 1.3 too.
 * Each call allocates; a dial takes some 9 KB until it is freed. */
#ifndef HOLDFAST_BENCH_DIAL_H
#define HOLDFAST_BENCH_DIAL_H

#include "bench/association.h"
#include "shared/limits.h"
#include "shared/status.h"
#include "shared/suite.h"

#include <stddef.h>
#include <stdint.h>
#include <wolfssl/options.h>
#include <wolfssl/ssl.h>

/* What all devices authenticate with. */
struct dial_credentials {
    char identity[IDENTITY_LENGTH_MAX + 1]; /* NUL-terminated: so wolfSSL wants it */
    uint8_t key[PSK_LENGTH_MAX];
    size_t key_length;
};

typedef void dial_send_fn(void *owner, const uint8_t *datagram, size_t length);

struct dialer {
    WOLFSSL_CTX *ctx;
    const struct dial_credentials *credentials;
    dial_send_fn *send;
};

/* `credentials` must outlive it. STATUS_CRYPTO, STATUS_NO_MEMORY. */
MUST_USE enum status dialer_init(struct dialer *dialer, const struct suite *suite,
                                 const struct dial_credentials *credentials, dial_send_fn *send);
void dialer_free(struct dialer *dialer);

struct dial {
    WOLFSSL *ssl;
    const struct dialer *dialer;
    void *owner;          /* given to send */
    const uint8_t *input; /* the datagram at hand, NULL when it has been read */
    size_t input_length;
    uint16_t nonce_prefix; /* that wolfSSL's own nonces do not begin with */
    uint8_t own_cid_length;
};

enum dial_outcome { DIAL_WAITING, DIAL_DONE, DIAL_FAILED };

/* The CID is what the server is to put on its records; none of length 0. NULL without memory. */
struct dial *dial_new(const struct dialer *dialer, void *owner, const uint8_t *own_cid,
                      size_t own_cid_length);
void dial_free(struct dial *dial);

/* Starts (no datagram), or goes on with one datagram of the server's. */
MUST_USE enum dial_outcome dial_feed(struct dial *dial, const uint8_t *datagram, size_t length);
/* The last flight once more; DIAL_FAILED: often enough. */
MUST_USE enum dial_outcome dial_time_out(struct dial *dial);
/* How long to wait for the server's flight. */
uint64_t dial_timeout_ms(const struct dial *dial);
/* After DIAL_DONE. STATUS_UNSUPPORTED: a suite or CID that shared/ does not know. */
MUST_USE enum status dial_result(const struct dial *dial, struct association *association);

#endif
