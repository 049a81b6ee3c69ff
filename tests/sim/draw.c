#include "tests/sim/draw.h"

#include <string.h>
#include <sys/types.h>
#include <wolfssl/options.h>
#include <wolfssl/wolfcrypt/random.h>

static uint64_t split(uint64_t *state)
{
    uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

void draw_init(struct draw *draw, uint64_t seed, uint64_t stream)
{
    uint64_t state = seed * UINT64_C(0xd1342543de82ef95) + stream;
    for (size_t i = 0; i < 4; i++)
        draw->state[i] = split(&state);
}

static uint64_t rotate(uint64_t x, int bits)
{
    return x << bits | x >> (64 - bits);
}

uint64_t draw_next(struct draw *draw)
{
    uint64_t *s = draw->state;
    uint64_t result = rotate(s[1] * 5, 7) * 9;
    uint64_t t = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rotate(s[3], 45);
    return result;
}

uint64_t draw_between(struct draw *draw, uint64_t least, uint64_t most)
{
    return least + draw_next(draw) % (most - least + 1);
}

bool draw_chance(struct draw *draw, unsigned permille)
{
    return draw_next(draw) % 1000 < permille;
}

void draw_octets(struct draw *draw, void *space, size_t length)
{
    uint8_t *at = space;
    while (length > 0) {
        uint64_t number = draw_next(draw);
        size_t part = length < sizeof(number) ? length : sizeof(number);
        memcpy(at, &number, part);
        at += part;
        length -= part;
    }
}

/* --- the process's entropy --- */

static struct draw entropy;

void draw_entropy_from(uint64_t seed)
{
    draw_init(&entropy, seed, 0xe17);
}

ssize_t __wrap_getrandom(void *space, size_t length, unsigned int flags);
ssize_t __wrap_getrandom(void *space, size_t length, unsigned int flags)
{
    (void)flags;
    draw_octets(&entropy, space, length);
    return (ssize_t)length;
}

int __wrap_wc_RNG_GenerateBlock(WC_RNG *rng, byte *space, word32 length);
int __wrap_wc_RNG_GenerateBlock(WC_RNG *rng, byte *space, word32 length)
{
    (void)rng;
    draw_octets(&entropy, space, length);
    return 0;
}
