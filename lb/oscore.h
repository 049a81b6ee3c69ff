/* The key ids of an OSCORE message, for routing only: RFC 8613 section 6.1, found among the options
 * of RFC 7252 section 3.1. Nothing is verified: the lb has no keys, and needs none to keep the
 * messages of one security context on one worker. */
#ifndef HOLDFAST_LB_OSCORE_H
#define HOLDFAST_LB_OSCORE_H

#include <stddef.h>
#include <stdint.h>

/* Options that are looked at before giving up: OSCORE is number 9, so that few can precede it. */
#define OSCORE_OPTIONS_MAX 64

struct oscore_ids {
    const uint8_t *kid; /* inside the message; kid_length may be 0 (an empty kid is a kid) */
    size_t kid_length;
    const uint8_t *context;
    size_t context_length; /* 0: none */
};

enum oscore_outcome {
    OSCORE_KID,  /* `ids` is set */
    OSCORE_NONE, /* no OSCORE option, one without kid (a response), or nothing that parses */
};

enum oscore_outcome oscore_find(const uint8_t *message, size_t length, struct oscore_ids *ids);

#endif
