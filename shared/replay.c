#include "shared/replay.h"

enum replay_outcome replay_check(const struct replay *replay, uint64_t number)
{
    if (replay->seen == 0 || number > replay->newest)
        return REPLAY_NEWEST;
    uint64_t age = replay->newest - number;
    if (age >= REPLAY_WINDOW_BITS)
        return REPLAY_ANCIENT;
    return replay->seen >> age & 1 ? REPLAY_SEEN : REPLAY_FRESH;
}

void replay_accept(struct replay *replay, uint64_t number)
{
    if (replay->seen != 0 && number <= replay->newest) {
        replay->seen |= UINT64_C(1) << (replay->newest - number);
        return;
    }
    uint64_t step = number - replay->newest;
    /* A shift by the whole width would be undefined. In a window without any number the old bits
     * are zeros, so that `newest` of zero, which was never accepted, leaves no mark. */
    uint64_t kept = step < REPLAY_WINDOW_BITS ? replay->seen << step : 0;
    replay->seen = kept | 1;
    replay->newest = number;
}
