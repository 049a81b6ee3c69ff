/* Protection of DTLS 1.2 records under keys that a handshake agreed: RFC 6347 section 4.1.2, with a
 * Connection ID RFC 9146 sections 4 and 5. One direction at a time; no state but the keys: sequence
 * numbers, windows and leases are the caller's. */
#ifndef HOLDFAST_SHARED_PROTECT_H
#define HOLDFAST_SHARED_PROTECT_H

#include "shared/cursor.h"
#include "shared/record.h"
#include "shared/status.h"
#include "shared/suite.h"

#include <stddef.h>
#include <stdint.h>
#include <wolfssl/options.h>
#include <wolfssl/wolfcrypt/aes.h>

/* Keys of one direction. */
struct record_keys {
    uint8_t key[SUITE_KEY_MAX];
    uint8_t iv[SUITE_IV_MAX]; /* suite->iv_length octets count */
};

/* Room for key schedules, reused from record to record; one for each thread. Holds a schedule of
 * the last key: protector_free wipes it. */
struct protector {
    Aes aes;
};
MUST_USE enum status protector_init(struct protector *protector);
void protector_free(struct protector *protector);

/* What a record adds to its content. */
size_t protect_overhead(const struct suite *suite, size_t cid_length);

struct record_header {
    uint8_t type; /* of the content; with a CID it travels inside */
    uint16_t epoch;
    uint64_t sequence;     /* at most RECORD_SEQUENCE_MAX */
    uint16_t nonce_prefix; /* first 2 octets of the explicit nonce, before the sequence number */
    const uint8_t *cid;
    size_t cid_length; /* 0: no CID on this record */
};

/* Appends one record. `content` may not overlap the writer's space. STATUS_TOO_LONG: it does not
 * fit; the writer then has failed. The caller answers for each (key, sequence) being used once. */
MUST_USE enum status protect_seal(struct protector *protector, const struct suite *suite,
                                  const struct record_keys *keys,
                                  const struct record_header *header, const uint8_t *content,
                                  size_t length, struct writer *out);

/* Opens in place: the record's payload must be writable and is overwritten. On STATUS_OK *content
 * points into it and *type is the content's true type. STATUS_BAD_TAG; STATUS_MALFORMED: too short
 * for this suite; STATUS_UNSUPPORTED: authentic, but nothing except padding. */
MUST_USE enum status protect_open(struct protector *protector, const struct suite *suite,
                                  const struct record_keys *keys, const struct record *record,
                                  uint8_t **content, size_t *length, uint8_t *type);

/* The nonce prefix for records that follow a handshake whose library has sealed under the same key,
 * with explicit nonces that count up and begin with `theirs`. The epoch, as is customary, unless
 * theirs are, or may carry into, those that begin so. */
uint16_t protect_prefix_apart(uint16_t epoch, uint16_t theirs);

/* The additional data, exposed for its known-answer test. At most PROTECT_AAD_MAX octets. */
#define PROTECT_AAD_MAX 64
size_t protect_additional_data(uint8_t aad[PROTECT_AAD_MAX], const struct record_header *header,
                               uint16_t version, size_t plaintext_length);

#endif
