/* A hierarchical timer wheel (Varghese and Lauck, 1987): setting and cancelling in O(1), no
 * allocation. Resolution 1 ms; 6 levels of 64 slots reach 63 * 2^30 ms (2.1 years), longer waits
 * are clamped there and set again by their owner. Timers are embedded in their owners; zeroed
 * memory is an unset timer. */
#ifndef HOLDFAST_SHARED_WHEEL_H
#define HOLDFAST_SHARED_WHEEL_H

#include <stdbool.h>
#include <stdint.h>

#define WHEEL_LEVELS 6
#define WHEEL_SLOTS 64

struct timer {
    struct timer *next;
    struct timer **link;  /* what points here; NULL: not set */
    uint64_t deadline_ms; /* as clamped: not before wheel's now_ms when it was set */
};

struct wheel {
    uint64_t now_ms;
    uint64_t count;
    uint64_t occupied[WHEEL_LEVELS]; /* a bit for each slot that holds a timer */
    struct timer *slots[WHEEL_LEVELS][WHEEL_SLOTS];
};

void wheel_init(struct wheel *wheel, uint64_t now_ms);
/* A set timer is moved. A deadline in the past is due at the next wheel_expire. */
void wheel_set(struct wheel *wheel, struct timer *timer, uint64_t deadline_ms);
void wheel_cancel(struct wheel *wheel, struct timer *timer); /* no matter whether it is set */
bool wheel_is_set(const struct timer *timer);
/* A moment no later than the next timer's deadline (it may be earlier by a slot of a higher
 * level: then wheel_expire only moves timers down); UINT64_MAX when there is none. */
uint64_t wheel_next_ms(const struct wheel *wheel);
/* Takes one due timer out, NULL when none is left that is due at now_ms. Call until NULL; the
 * owner may set and cancel any timer between the calls. */
struct timer *wheel_expire(struct wheel *wheel, uint64_t now_ms);

#endif
