/* A view of octets that somebody else owns. */
#ifndef HOLDFAST_SHARED_OCTETS_H
#define HOLDFAST_SHARED_OCTETS_H

#include <stddef.h>
#include <stdint.h>

struct octets {
    const uint8_t *bytes;
    size_t length;
};

#endif
