/* A device's end of a DTLS 1.2 session, once the handshake is over: keys, Connection IDs and the
 * next sequence number, without the library's object. RFC 9146 where the server gave a CID. */
#ifndef HOLDFAST_BENCH_ASSOCIATION_H
#define HOLDFAST_BENCH_ASSOCIATION_H

#include "shared/limits.h"
#include "shared/protect.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Sequence numbers of epoch 1 below this one are the handshake's: wolfSSL's Finished, repeated. */
#define ASSOCIATION_SEQUENCE_FIRST 64

struct association {
    struct record_keys write; /* the client's */
    struct record_keys read;
    uint64_t sequence; /* of the next record */
    uint16_t nonce_prefix;
    uint8_t suite;          /* index into suites[] */
    uint8_t own_cid_length; /* on records that come */
    uint8_t cid_length;     /* on records that go */
    uint8_t cid[CID_LENGTH_MAX];
};

/* Appends one record and takes its sequence number. Any failure: nothing may be sent. */
MUST_USE enum status association_seal(struct association *association, struct protector *protector,
                                      enum record_type type, const uint8_t *content, size_t length,
                                      struct writer *out);

/* Opens one record in place. STATUS_BAD_TAG: not from our server, or of another epoch. */
MUST_USE enum status association_open(const struct association *association,
                                      struct protector *protector, const struct record *record,
                                      uint8_t **content, size_t *length, uint8_t *type);

#endif
