#include "lb/recency.h"

#include <criterion/criterion.h>

/* The list's order, oldest first, checked in both directions. */
static void expect(const struct recency *recency, struct recency_link *const *order, size_t count)
{
    const struct recency_link *link = recency->oldest;
    for (size_t i = 0; i < count; i++, link = link->newer)
        cr_assert_eq(link, order[i]);
    cr_assert_null(link);
    link = recency->newest;
    for (size_t i = count; i-- > 0; link = link->older)
        cr_assert_eq(link, order[i]);
    cr_assert_null(link);
}

#define EXPECT(recency, ...)                                   \
    expect(&(recency), (struct recency_link *[]){__VA_ARGS__}, \
           sizeof((struct recency_link *[]){__VA_ARGS__}) / sizeof(struct recency_link *))

Test(recency, order_follows_use)
{
    struct recency recency = {0};
    struct recency_link a = {0}, b = {0}, c = {0};

    recency_add(&recency, &a);
    EXPECT(recency, &a);
    recency_touch(&recency, &a);
    EXPECT(recency, &a);
    recency_add(&recency, &b);
    recency_add(&recency, &c);
    EXPECT(recency, &a, &b, &c);
    recency_touch(&recency, &a);
    EXPECT(recency, &b, &c, &a);
    recency_touch(&recency, &c);
    EXPECT(recency, &b, &a, &c);
    recency_touch(&recency, &c);
    EXPECT(recency, &b, &a, &c);
    recency_remove(&recency, &a);
    EXPECT(recency, &b, &c);
    recency_remove(&recency, &c);
    EXPECT(recency, &b);
    recency_remove(&recency, &b);
    cr_assert_null(recency.oldest);
    cr_assert_null(recency.newest);
    recency_add(&recency, &a);
    EXPECT(recency, &a);
}
