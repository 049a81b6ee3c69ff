/* Numbers that a seed decides: xoshiro256** (Blackman and Vigna, 2018), and the whole process's
 * entropy replaced by it, so that keys, nonces and cookies of a run are the same each time. */
#ifndef HOLDFAST_TESTS_SIM_DRAW_H
#define HOLDFAST_TESTS_SIM_DRAW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct draw {
    uint64_t state[4];
};

/* Streams of one seed are independent: what one of them is asked for changes no other. */
void draw_init(struct draw *draw, uint64_t seed, uint64_t stream);
uint64_t draw_next(struct draw *draw);
/* least to most, both included. */
uint64_t draw_between(struct draw *draw, uint64_t least, uint64_t most);
bool draw_chance(struct draw *draw, unsigned permille);
void draw_octets(struct draw *draw, void *space, size_t length);

/* From here on getrandom and wolfSSL's generator give what this stream of the seed gives. Needs the
 * linker's --wrap for getrandom and wc_RNG_GenerateBlock. */
void draw_entropy_from(uint64_t seed);

#endif
