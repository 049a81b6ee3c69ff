/* Hex in test vectors. */
#ifndef HOLDFAST_TESTS_SHARED_HEX_H
#define HOLDFAST_TESTS_SHARED_HEX_H

#include <stddef.h>
#include <stdint.h>

/* Blanks between octets are skipped; stops at what is no octet or at `size`. Octets written. */
size_t hex_decode(const char *hex, uint8_t *out, size_t size);

#endif
