/* Who was used last: a list threaded through its members, oldest at one end. Bounded tables evict
 * from that end. Zeroed memory is an empty list and an unlinked member. */
#ifndef HOLDFAST_LB_RECENCY_H
#define HOLDFAST_LB_RECENCY_H

#include <stddef.h>

struct recency_link {
    struct recency_link *newer;
    struct recency_link *older;
};

struct recency {
    struct recency_link *newest;
    struct recency_link *oldest;
};

/* A link that is in no list yet becomes the newest. */
void recency_add(struct recency *recency, struct recency_link *link);
/* One that is in the list becomes the newest. */
void recency_touch(struct recency *recency, struct recency_link *link);
void recency_remove(struct recency *recency, struct recency_link *link);

#endif
