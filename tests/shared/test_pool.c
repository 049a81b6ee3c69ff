#include <criterion/criterion.h>

#include <stdlib.h>
#include <string.h>

#include "shared/pool.h"

static bool all_zero(const void *bytes, size_t length)
{
    const uint8_t *at = bytes;
    for (size_t i = 0; i < length; i++) {
        if (at[i] != 0)
            return false;
    }
    return true;
}

Test(pool, takes_no_memory_before_the_first_object)
{
    struct pool pool;
    cr_assert_eq(pool_init(&pool, 40, 1000), STATUS_OK);
    cr_assert_eq(pool.slab_count, 0);
    cr_assert_eq(pool.allocated, 0);
    pool_free(&pool);
}

Test(pool, rounds_the_object_size_up_to_8)
{
    struct pool pool;
    cr_assert_eq(pool_init(&pool, 1, 3), STATUS_OK);
    cr_assert_eq(pool.object_size, 8);
    pool_free(&pool);
    cr_assert_eq(pool_init(&pool, 41, 3), STATUS_OK);
    cr_assert_eq(pool.object_size, 48);
    pool_free(&pool);
}

Test(pool, refuses_at_the_bound_and_counts_it)
{
    enum { MAX = 300 }; /* a whole slab and a part of one */
    struct pool pool;
    void *objects[MAX];
    cr_assert_eq(pool_init(&pool, 24, MAX), STATUS_OK);
    for (size_t i = 0; i < MAX; i++) {
        objects[i] = pool_get(&pool);
        cr_assert_not_null(objects[i]);
        memset(objects[i], 0xa5, 24); /* the sanitizer sees a slab that is too short */
    }
    cr_assert_null(pool_get(&pool));
    cr_assert_null(pool_get(&pool));
    cr_assert_eq(pool.refusals, 2);
    cr_assert_eq(pool.in_use, MAX);
    cr_assert_eq(pool.allocated, MAX);

    pool_put(&pool, objects[17]);
    cr_assert_eq(pool_get(&pool), objects[17]);
    cr_assert_null(pool_get(&pool));
    pool_free(&pool);
}

Test(pool, bound_of_zero)
{
    struct pool pool;
    cr_assert_eq(pool_init(&pool, 24, 0), STATUS_OK);
    cr_assert_null(pool_get(&pool));
    cr_assert_eq(pool.refusals, 1);
    pool_free(&pool);
}

Test(pool, put_wipes_and_get_gives_zeros)
{
    struct pool pool;
    cr_assert_eq(pool_init(&pool, 64, 10), STATUS_OK);
    uint8_t *object = pool_get(&pool);
    cr_assert(all_zero(object, 64));
    memset(object, 0x5a, 64);
    pool_put(&pool, object);
    /* The free list's pointer apart, nothing of the object is left. */
    cr_assert(all_zero(object + sizeof(void *), 64 - sizeof(void *)));
    cr_assert_eq(pool_get(&pool), object);
    cr_assert(all_zero(object, 64));
    pool_free(&pool);
}

Test(pool, put_of_null_does_nothing)
{
    struct pool pool;
    cr_assert_eq(pool_init(&pool, 64, 10), STATUS_OK);
    pool_put(&pool, NULL);
    cr_assert_eq(pool.in_use, 0);
    pool_free(&pool);
}

/* Against an array of what is held: objects never overlap, keep what was written into them, and
 * come zeroed; memory stays when all are put back. */
Test(pool, model)
{
    enum { MAX = 700, SIZE = 40, STEPS = 200000 };
    struct pool pool;
    cr_assert_eq(pool_init(&pool, SIZE, MAX), STATUS_OK);
    uint8_t *held[MAX];
    uint8_t mark[MAX];
    size_t count = 0;
    unsigned short seed[3] = {1, 2, 3};

    for (size_t step = 0; step < STEPS; step++) {
        bool filling = step / 5000 % 2 == 0;
        if (nrand48(seed) % 100 < (filling ? 70 : 30)) {
            uint8_t *object = pool_get(&pool);
            if (count == MAX) {
                cr_assert_null(object);
                continue;
            }
            cr_assert_not_null(object);
            cr_assert(all_zero(object, SIZE));
            mark[count] = (uint8_t)nrand48(seed);
            memset(object, mark[count], SIZE);
            held[count++] = object;
        } else if (count > 0) {
            size_t at = (size_t)nrand48(seed) % count;
            for (size_t i = 0; i < SIZE; i++)
                cr_assert_eq(held[at][i], mark[at]);
            pool_put(&pool, held[at]);
            count--;
            held[at] = held[count];
            mark[at] = mark[count];
        }
        cr_assert_eq(pool.in_use, count);
        cr_assert_leq(pool.allocated, MAX);
    }
    while (count > 0)
        pool_put(&pool, held[--count]);
    cr_assert_eq(pool.in_use, 0);
    cr_assert_eq(pool.allocated, MAX);
    pool_free(&pool);
}
