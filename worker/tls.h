/* wolfSSL behind a few calls: DTLS 1.2 server handshakes with PSK and Connection ID. wolfSSL reads
 * from the bytes it is given and writes into a flight; it never sees a socket, and its timers are
 * asked for and run by the caller. Every call allocates: this is not the data path. */
#ifndef HOLDFAST_WORKER_TLS_H
#define HOLDFAST_WORKER_TLS_H

#include "shared/address.h"
#include "shared/cid.h"
#include "shared/keys.h"
#include "shared/protect.h"
#include "shared/status.h"
#include "worker/flight.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <wolfssl/options.h>
#include <wolfssl/ssl.h>

/* Asked once a client has returned its cookie: its handshake's CID, and where its PSK is to be
 * found later. False: it is not admitted. */
typedef bool tls_admit_fn(void *owner, struct cid *own_cid);

/* The key for an identity, when the handshake has come that far; the caller has made sure before
 * that it is at hand. Returns its length, at most size; 0 never: for an identity that nobody knows
 * it gives a key that nobody knows. */
typedef size_t tls_psk_fn(void *owner, const uint8_t *identity, size_t length, uint8_t *psk,
                          size_t size);

/* One handshake's wolfSSL object and what its callbacks reach. */
struct tls {
    WOLFSSL *ssl;
    const uint8_t *input; /* the datagram at hand, NULL when it has been read */
    size_t input_length;
    struct flight *flight; /* where its output goes; the context's */
    tls_psk_fn *psk;
    void *psk_owner;
};

struct tls_context {
    WOLFSSL_CTX *ctx;
    struct tls *listener; /* answers ClientHellos without cookie; keeps nothing of them */
    struct flight flight; /* output of the last call */
    uint8_t cookie_secret[32];
    tls_admit_fn *admit;
    void *admit_owner;
};

/* STATUS_CRYPTO: wolfSSL refused; STATUS_NO_MEMORY. */
MUST_USE enum status tls_context_init(struct tls_context *context, const struct cluster_key *key);
void tls_context_free(struct tls_context *context);

enum tls_outcome {
    TLS_WAITING, /* for the peer's next flight; ours is in context->flight */
    TLS_DONE,    /* the peer's Finished was right; our last flight is in context->flight */
    TLS_FAILED,  /* the flight may hold an alert */
};

enum tls_greeting {
    TLS_ASKED_FOR_COOKIE, /* or said nothing: no state was kept */
    TLS_GREETED,          /* the cookie was right: *tls is the new handshake, ServerHello waits */
    TLS_TURNED_AWAY,      /* the cookie was right, but admit refused, there is nothing in common, or
                           * the peer's CID is longer than CID_LENGTH_MAX */
    TLS_NO_MEMORY,
};

/* A datagram that begins with a ClientHello. The cookie covers `from`. A handshake that begins is
 * given away in *tls, to be freed with tls_free. */
enum tls_greeting tls_greet(struct tls_context *context, const struct address *from,
                            const uint8_t *datagram, size_t length, tls_admit_fn *admit,
                            void *admit_owner, struct tls **tls);
void tls_free(struct tls *tls);

/* One datagram of a handshake under way; wolfSSL does not change it. */
enum tls_outcome tls_feed(struct tls_context *context, struct tls *tls, const uint8_t *datagram,
                          size_t length);

/* The last flight again, in new records. Only for a handshake that is done. */
void tls_repeat(struct tls_context *context, struct tls *tls);

/* RFC 6347 section 4.2.4: no answer within tls_timeout_ms: repeats the flight and doubles the time.
 * TLS_FAILED: given up. */
enum tls_outcome tls_timeout(struct tls_context *context, struct tls *tls);
uint64_t tls_timeout_ms(const struct tls *tls);

/* What a finished handshake agreed on. */
struct tls_result {
    uint8_t suite; /* index into suites[] */
    struct record_keys read;
    struct record_keys write;
    bool uses_cid;         /* both sides put CIDs on their records, ours may be empty */
    struct cid peer_cid;   /* length 0: none */
    uint16_t nonce_prefix; /* one that wolfSSL's own explicit nonces do not begin with */
};
/* STATUS_UNSUPPORTED: a suite that is not ours, or a peer's CID longer than CID_LENGTH_MAX. The
 * flight with wolfSSL's Finished must still be in the context. */
MUST_USE enum status tls_result(const struct tls_context *context, const struct tls *tls,
                                struct tls_result *result);

#endif
