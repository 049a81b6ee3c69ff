/* The anti-replay window of RFC 6347 section 4.1.2.6 (after RFC 4303 section 3.4.3): the newest
 * number accepted and a bit for each of the 64 numbers that end with it. 16 octets, no pointers:
 * it can be stored as it is. Starts as all zeros: nothing seen. */
#ifndef HOLDFAST_SHARED_REPLAY_H
#define HOLDFAST_SHARED_REPLAY_H

#include <stdbool.h>
#include <stdint.h>

#define REPLAY_WINDOW_BITS 64

struct replay {
    uint64_t newest; /* highest number accepted */
    uint64_t seen;   /* bit 0: newest, bit n: newest - n; 0: nothing accepted yet */
};

enum replay_outcome {
    REPLAY_NEWEST, /* newer than all before */
    REPLAY_FRESH,  /* inside the window, not seen */
    REPLAY_SEEN,   /* a replay */
    REPLAY_ANCIENT /* left of the window: cannot tell, so refused */
};

/* Looks only; a number becomes seen by replay_accept, after its record authenticated. */
enum replay_outcome replay_check(const struct replay *replay, uint64_t number);

/* Marks it; number was REPLAY_NEWEST or REPLAY_FRESH. */
void replay_accept(struct replay *replay, uint64_t number);

#endif
