#include "tests/shared/hex.h"

#include <stdio.h>

size_t hex_decode(const char *hex, uint8_t *out, size_t size)
{
    size_t length = 0;
    int used = 0;
    unsigned octet = 0;
    while (length < size && sscanf(hex, " %2x%n", &octet, &used) == 1) {
        out[length++] = (uint8_t)octet;
        hex += used;
    }
    return length;
}
