#include "shared/redis_slot.h"

#include <string.h>

uint16_t redis_crc16(const void *bytes, size_t length)
{
    const uint8_t *octets = bytes;
    uint16_t crc = 0;
    for (size_t i = 0; i < length; i++) {
        crc ^= (uint16_t)(octets[i] << 8);
        for (int bit = 0; bit < 8; bit++)
            crc = (uint16_t)(crc & 0x8000 ? crc << 1 ^ 0x1021 : crc << 1);
    }
    return crc;
}

uint16_t redis_slot_of(const void *key, size_t length)
{
    const char *start = key, *end = start + length;
    const char *open = length > 0 ? memchr(start, '{', length) : NULL;
    const char *close = open ? memchr(open + 1, '}', (size_t)(end - open - 1)) : NULL;
    if (close && close > open + 1)
        return redis_crc16(open + 1, (size_t)(close - open - 1)) % REDIS_SLOTS;
    return redis_crc16(key, length) % REDIS_SLOTS;
}
