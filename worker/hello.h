/* What can be read of a DTLS 1.2 handshake before and without its state: a ClientHello's random and
 * cookie (RFC 6347 section 4.2.1), and the PSK identity of a ClientKeyExchange (RFC 4279
 * section 2). All that is plain text and nothing of it is authentic. And after it: whether opened
 * content is a Finished. */
#ifndef HOLDFAST_WORKER_HELLO_H
#define HOLDFAST_WORKER_HELLO_H

#include "shared/limits.h"
#include "shared/record.h"
#include "shared/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HELLO_RANDOM_SIZE 32

struct hello {
    const uint8_t *random; /* HELLO_RANDOM_SIZE octets */
    size_t cookie_length;  /* 0: none yet */
};

/* Does an epoch 0 record begin with a ClientHello? */
bool hello_is(const struct record *record);

/* Does the content of a handshake record begin with a Finished? */
bool hello_is_finished(const uint8_t *content, size_t length);

/* STATUS_MALFORMED; STATUS_UNSUPPORTED for one in fragments: with a cookie exchange there is no
 * state in which to put them together, and no client of constrained devices sends such. */
MUST_USE enum status hello_parse(const struct record *record, struct hello *hello);

/* The identity as far as the fragments of the ClientKeyExchange have brought it, in order. */
struct hello_identity {
    uint16_t have; /* octets of `bytes` that are there: 2 of length, then the identity */
    uint8_t bytes[2 + IDENTITY_LENGTH_MAX];
};

enum hello_identity_outcome {
    HELLO_NO_KEY_EXCHANGE, /* no ClientKeyExchange in this record */
    HELLO_IDENTITY_PARTIAL,
    HELLO_IDENTITY_WHOLE,
    HELLO_IDENTITY_TOO_LONG, /* exceeds IDENTITY_LENGTH_MAX */
};

/* Looks into an epoch 0 handshake record. */
enum hello_identity_outcome hello_peek_identity(struct hello_identity *identity,
                                                const struct record *record);

#endif
