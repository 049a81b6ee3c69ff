#include "shared/wheel.h"

#include <stddef.h>
#include <string.h>

/* A level's slot spans 64^level ms. A timer stands on the level of the highest group of 6 bits in
 * which its deadline differs from now_ms, in the slot that this group of its deadline names. So the
 * lower levels hold what comes before now_ms next changes in a higher group, and all timers of a
 * higher level are later than all of a lower one. The top level goes round: a deadline may differ
 * from now_ms in yet higher bits there, but is less than one turn away. */
#define GROUP_BITS 6
#define GROUP_MASK (WHEEL_SLOTS - 1)
#define TOP (WHEEL_LEVELS - 1)
#define WAIT_MS_MAX ((uint64_t)(WHEEL_SLOTS - 1) << (TOP * GROUP_BITS))

_Static_assert(WHEEL_SLOTS == 1 << GROUP_BITS, "a slot is named by a group of bits");

static unsigned level_shift(unsigned level)
{
    return level * GROUP_BITS;
}

static unsigned slot_at(uint64_t ms, unsigned level)
{
    return (unsigned)(ms >> level_shift(level)) & GROUP_MASK;
}

void wheel_init(struct wheel *wheel, uint64_t now_ms)
{
    memset(wheel, 0, sizeof *wheel);
    wheel->now_ms = now_ms;
}

bool wheel_is_set(const struct timer *timer)
{
    return timer->link != NULL;
}

static void unlink_timer(struct wheel *wheel, struct timer *timer)
{
    struct timer **link = timer->link;
    *link = timer->next;
    if (timer->next)
        timer->next->link = link;
    timer->next = NULL;
    timer->link = NULL;
    wheel->count--;

    if (*link)
        return;
    /* The last of its list. Where that was the list's head too, the slot is empty now. */
    struct timer **first = &wheel->slots[0][0];
    if ((uintptr_t)link - (uintptr_t)first < sizeof wheel->slots) {
        size_t index = (size_t)(link - first);
        wheel->occupied[index / WHEEL_SLOTS] &= ~(UINT64_C(1) << (index % WHEEL_SLOTS));
    }
}

/* deadline_ms is between now_ms and now_ms + WAIT_MS_MAX. */
static void link_timer(struct wheel *wheel, struct timer *timer)
{
    uint64_t differs = timer->deadline_ms ^ wheel->now_ms;
    unsigned level = differs == 0 ? 0 : (unsigned)(63 - __builtin_clzll(differs)) / GROUP_BITS;
    if (level > TOP)
        level = TOP;
    unsigned slot = slot_at(timer->deadline_ms, level);

    struct timer **head = &wheel->slots[level][slot];
    timer->next = *head;
    timer->link = head;
    if (*head)
        (*head)->link = &timer->next;
    *head = timer;
    wheel->occupied[level] |= UINT64_C(1) << slot;
    wheel->count++;
}

void wheel_set(struct wheel *wheel, struct timer *timer, uint64_t deadline_ms)
{
    wheel_cancel(wheel, timer);
    uint64_t now_ms = wheel->now_ms;
    if (deadline_ms < now_ms)
        deadline_ms = now_ms;
    if (deadline_ms - now_ms > WAIT_MS_MAX)
        deadline_ms = now_ms + WAIT_MS_MAX;
    timer->deadline_ms = deadline_ms;
    link_timer(wheel, timer);
}

void wheel_cancel(struct wheel *wheel, struct timer *timer)
{
    if (wheel_is_set(timer))
        unlink_timer(wheel, timer);
}

uint64_t wheel_next_ms(const struct wheel *wheel)
{
    for (unsigned level = 0; level < WHEEL_LEVELS; level++) {
        uint64_t occupied = wheel->occupied[level];
        if (occupied == 0)
            continue;
        /* How many slots ahead: the bits turned so that now's is bit 0. */
        unsigned here = slot_at(wheel->now_ms, level);
        uint64_t turned = occupied >> here | occupied << (-here & GROUP_MASK);
        uint64_t ahead = (uint64_t)__builtin_ctzll(turned);
        return ((wheel->now_ms >> level_shift(level)) + ahead) << level_shift(level);
    }
    return UINT64_MAX;
}

/* Timers of higher levels whose slot now_ms has entered go to the levels below. */
static void move_down(struct wheel *wheel)
{
    for (unsigned level = TOP; level > 0; level--) {
        unsigned slot = slot_at(wheel->now_ms, level);
        struct timer *timer;
        while ((timer = wheel->slots[level][slot]) != NULL) {
            unlink_timer(wheel, timer);
            link_timer(wheel, timer);
        }
    }
}

struct timer *wheel_expire(struct wheel *wheel, uint64_t now_ms)
{
    while (wheel->now_ms <= now_ms) {
        struct timer *due = wheel->slots[0][slot_at(wheel->now_ms, 0)];
        if (due) {
            unlink_timer(wheel, due);
            return due;
        }
        uint64_t next_ms = wheel_next_ms(wheel);
        if (next_ms > now_ms) {
            wheel->now_ms = now_ms; /* passes no occupied slot */
            break;
        }
        wheel->now_ms = next_ms;
        move_down(wheel);
    }
    return NULL;
}
