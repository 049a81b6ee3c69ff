/* A view of one DTLS record inside a datagram; nothing is copied, nothing is decrypted.
 * DTLS 1.2: RFC 6347 section 4.1, with CID: RFC 9146 section 4. DTLS 1.3 unified header:
 * RFC 9147 section 4. */
#ifndef HOLDFAST_SHARED_RECORD_H
#define HOLDFAST_SHARED_RECORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shared/cursor.h"
#include "shared/status.h"

enum record_form {
    RECORD_PLAINTEXT, /* DTLSPlaintext or DTLSCiphertext 1.0/1.2 without CID */
    RECORD_CID,       /* content type tls12_cid (25) */
    RECORD_UNIFIED,   /* DTLS 1.3 unified header, with or without CID */
};

enum record_type {
    RECORD_TYPE_CHANGE_CIPHER_SPEC = 20,
    RECORD_TYPE_ALERT = 21,
    RECORD_TYPE_HANDSHAKE = 22,
    RECORD_TYPE_APPLICATION_DATA = 23,
    RECORD_TYPE_HEARTBEAT = 24,
    RECORD_TYPE_TLS12_CID = 25,
    RECORD_TYPE_ACK = 26,
};

#define RECORD_VERSION_DTLS10 0xfeff
#define RECORD_VERSION_DTLS12 0xfefd
#define RECORD_HEADER_SIZE 13       /* without the CID */
#define RECORD_SEQUENCE_MAX ((UINT64_C(1) << 48) - 1)

struct record {
    enum record_form form;
    uint8_t type;       /* outer content type; 0 for RECORD_UNIFIED */
    uint16_t version;   /* 0 for RECORD_UNIFIED */
    uint16_t epoch;     /* RECORD_UNIFIED: its low two bits */
    uint64_t sequence;  /* 48 bits; RECORD_UNIFIED: the 8 or 16 encrypted bits */
    const uint8_t *cid; /* NULL when the header has none */
    size_t cid_length;
    const uint8_t *start; /* the header's first octet */
    size_t header_length;
    const uint8_t *payload;
    size_t payload_length;
};

/* How long the CIDs are that arrive here: the first octet tells (ours), or a fixed number. */
#define RECORD_CID_SELF_DESCRIBED SIZE_MAX

/* Takes the next record off the cursor. STATUS_MALFORMED: the datagram's rest is unusable
 * (truncated, a length past its end, an unknown content type); STATUS_UNSUPPORTED: a version that
 * is neither DTLS 1.0 nor 1.2 in a 1.2 header, or not 1.2 where there is a CID. The cursor stands
 * behind the record after STATUS_OK only. */
MUST_USE enum status record_next(struct cursor *datagram, size_t cid_length,
                                 struct record *record);

#endif
