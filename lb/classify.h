/* What a client's datagram tells about where it belongs. Pure: octets in, a class out; no keys but
 * those of the Connection IDs. DESIGN.md sections 3 and 4. */
#ifndef HOLDFAST_LB_CLASSIFY_H
#define HOLDFAST_LB_CLASSIFY_H

#include "lb/oscore.h"
#include "shared/cid.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum class_outcome {
    CLASS_ROUTABLE_CID,   /* some record carries a CID that names a worker */
    CLASS_NO_CID,         /* good records, none with a CID; or plain CoAP without OSCORE kid */
    CLASS_OSCORE,         /* plain CoAP with an OSCORE kid */
    CLASS_UNROUTABLE_CID, /* config 7, and no routable CID beside it */
    CLASS_UNKNOWN_CONFIG, /* a config that is not in use here, likewise */
    CLASS_WRONG_LENGTH,   /* a CID that is not as long as its config's, likewise */
    CLASS_MALFORMED,      /* its very first record does not parse; or empty */
    CLASS_VERSION,        /* its very first record has a version that nobody here speaks */
};

struct classification {
    enum class_outcome outcome;
    bool
        starts_handshake; /* some record is a plain-text, epoch 0 ClientHello (or a piece of one) */
    bool carries_data;    /* some record is application data without CID: its handshake is done */
    uint64_t worker;      /* CLASS_ROUTABLE_CID: the worker that the CID names */
    const uint8_t *cid;   /* CLASS_ROUTABLE_CID: inside the datagram */
    size_t cid_length;    /* octets */
    struct oscore_ids oscore; /* CLASS_OSCORE */
};

/* A datagram of a DTLS listener. Every record is looked at, as far as they parse; the first
 * routable CID counts, and rubbish behind a good record takes nothing away. configs:
 * CID_CONFIGS_MAX entries indexed by config id (not const: the key schedules are the library's). */
struct classification classify_dtls(struct cid_config *configs, const uint8_t *datagram,
                                    size_t length);

/* A datagram of a plain CoAP listener. Only an empty one is malformed here: what CoAP says of bad
 * messages is the worker's to do. */
struct classification classify_coap(const uint8_t *datagram, size_t length);

#endif
