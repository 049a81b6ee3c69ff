/* A device: a DTLS 1.2 PSK client on wolfSSL, with a network towards an endpoint that the test
 * holds in its hands. It knows nothing of worker/: what it accepts, a foreign client accepts. Only
 * peer_seal, which makes records that no honest client would send, uses shared/protect.h. Free of
 * Criterion: fuzz targets use it. */
#ifndef HOLDFAST_TESTS_WORKER_PEER_H
#define HOLDFAST_TESTS_WORKER_PEER_H

#include "shared/protect.h"
#include "shared/suite.h"
#include "tests/worker/datagrams.h"
#include "tests/worker/endpoint.h"

#include <stdbool.h>
#include <wolfssl/options.h>
#include <wolfssl/ssl.h>

#define PEER_CRAFTED_FIRST 1000 /* sequence number of the first crafted record */

/* Zero: the default in brackets. */
struct peer_options {
    const struct suite *suite; /* the first of suites[] */
    bool cid;                  /* offers the extension ... */
    uint8_t cid_length;        /* ... with a CID of so many octets, 0 to 20 */
    const char *identity;      /* ENDPOINT_IDENTITY, whose key it then also has */
    const uint8_t *psk;
    size_t psk_length;
    struct address address; /* 192.0.2.1:1111 */
};

struct peer {
    struct peer_options options;
    WOLFSSL_CTX *ctx;
    WOLFSSL *ssl;
    struct address address; /* where its next datagrams come from; the test's to change */
    struct datagrams out;   /* waiting to be delivered */
    struct datagrams in;    /* delivered, and not yet read by wolfSSL */
    bool connected;
    int error; /* wolfSSL's, when the handshake has failed */
    struct protector protector;
    uint64_t crafted_next;
};

void peer_open(struct peer *peer, const struct peer_options *options);
void peer_close(struct peer *peer); /* says nothing to the endpoint */

/* wolfSSL reads what is there and goes on with its handshake. */
void peer_step(struct peer *peer);
/* What waits in `out` arrives at the endpoint; how many. The store's answers are not given. */
size_t peer_deliver(struct peer *peer, struct endpoint *endpoint);
/* What waits at the endpoint for this peer's address arrives; how many. */
size_t peer_collect(struct peer *peer, struct endpoint *endpoint);
/* Both, with the store's answers, until nothing moves. */
void peer_settle(struct peer *peer, struct endpoint *endpoint);
/* A whole handshake on a perfect network; whether the client calls it done. */
bool peer_connect(struct peer *peer, struct endpoint *endpoint);

/* Its timer has run out: the last flight again. */
void peer_time_out(struct peer *peer);

bool peer_send(struct peer *peer, const void *data, size_t length);
/* One message's octets, -1 when there is none. */
int peer_receive(struct peer *peer, void *space, size_t size);
/* To the endpoint's application and back to the client's: whether all arrived unharmed. */
bool peer_converses(struct peer *peer, struct endpoint *endpoint);

/* What the endpoint calls this peer's session. */
struct cid peer_server_cid(const struct peer *peer);

/* A record under the client's keys, its next crafted sequence number; its length. */
size_t peer_seal(struct peer *peer, uint8_t type, const void *content, size_t length,
                 uint8_t *space, size_t size);
size_t peer_seal_as(struct peer *peer, const struct record_header *header, const void *content,
                    size_t length, uint8_t *space, size_t size);
/* Opens a record of the server's, in place; false: not authentic. */
bool peer_open_record(struct peer *peer, const struct datagram *datagram, uint8_t **content,
                      size_t *length, uint8_t *type);
/* The header that peer_seal would use; takes the number. */
struct record_header peer_next_header(struct peer *peer, uint8_t type, struct cid *cid);

#endif
