/* Hash slots of a Redis cluster: CRC16 (XMODEM) of the key, or of its hash tag, modulo 16384
 * (Redis cluster specification, "Key distribution model"). */
#ifndef HOLDFAST_SHARED_REDIS_SLOT_H
#define HOLDFAST_SHARED_REDIS_SLOT_H

#include <stddef.h>
#include <stdint.h>

#define REDIS_SLOTS 16384

uint16_t redis_crc16(const void *bytes, size_t length);
/* The tag is what stands between the first '{' and the first '}' after it, if that is not empty. */
uint16_t redis_slot_of(const void *key, size_t length);

#endif
