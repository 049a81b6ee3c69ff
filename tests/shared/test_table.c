#include <criterion/criterion.h>

#include <stdlib.h>

#include "shared/table.h"

struct item {
    uint32_t key;
    bool stored;
};

static bool matches(const void *object, const void *key)
{
    return ((const struct item *)object)->key == *(const uint32_t *)key;
}

/* splitmix64: spreads well. */
static uint64_t spread(const void *context, const void *object)
{
    (void)context;
    uint64_t x = ((const struct item *)object)->key + UINT64_C(0x9e3779b97f4a7c15);
    x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
    return x ^ x >> 31;
}

/* 4 slots ahead of the end for all keys: long runs that go around the array's end. */
static uint64_t crowd(const void *context, const void *object)
{
    (void)context;
    return UINT64_MAX - ((const struct item *)object)->key % 4;
}

static enum status insert(struct table *table, struct item *item)
{
    return table_insert(table, table->hash_of(NULL, item), item);
}

static bool take(struct table *table, struct item *item)
{
    return table_remove(table, table->hash_of(NULL, item), item);
}

static struct item *find(const struct table *table, uint32_t key)
{
    struct item probe = {.key = key};
    return table_find(table, table->hash_of(NULL, &probe), &key);
}

Test(table, empty)
{
    struct table table;
    cr_assert_eq(table_init(&table, 10, matches, spread, NULL), STATUS_OK);
    cr_assert_null(find(&table, 1));
    struct item item = {.key = 1};
    cr_assert_not(take(&table, &item));
    size_t cursor = 0;
    cr_assert_null(table_next(&table, &cursor));
    table_free(&table);
}

Test(table, full_at_its_bound)
{
    enum { MAX = 100 };
    struct item items[MAX + 1];
    struct table table;
    cr_assert_eq(table_init(&table, MAX, matches, spread, NULL), STATUS_OK);
    for (uint32_t i = 0; i < MAX; i++) {
        items[i].key = i;
        cr_assert_eq(insert(&table, &items[i]), STATUS_OK);
    }
    items[MAX].key = MAX;
    cr_assert_eq(insert(&table, &items[MAX]), STATUS_FULL);
    cr_assert_null(find(&table, MAX));
    cr_assert(take(&table, &items[5]));
    cr_assert_eq(insert(&table, &items[MAX]), STATUS_OK);
    cr_assert_eq(find(&table, MAX), &items[MAX]);
    cr_assert_null(find(&table, 5));
    table_free(&table);
}

/* Removal goes by identity: of two objects with one key, the other one stays. */
Test(table, removes_that_very_object)
{
    struct item one = {.key = 7};
    struct item other = {.key = 7};
    struct table table;
    cr_assert_eq(table_init(&table, 10, matches, spread, NULL), STATUS_OK);
    cr_assert_eq(insert(&table, &one), STATUS_OK);
    cr_assert_not(take(&table, &other));
    cr_assert_eq(insert(&table, &other), STATUS_OK);
    cr_assert(take(&table, &one));
    cr_assert_eq(find(&table, 7), &other);
    cr_assert_eq(table.count, 1);
    table_free(&table);
}

Test(table, load_stays_between_its_bounds)
{
    enum { MAX = 50000 };
    struct item *items = calloc(MAX, sizeof *items);
    struct table table;
    cr_assert_eq(table_init(&table, MAX, matches, spread, NULL), STATUS_OK);
    for (uint32_t i = 0; i < MAX; i++) {
        items[i].key = i;
        cr_assert_eq(insert(&table, &items[i]), STATUS_OK);
        size_t slots = table.mask + 1;
        cr_assert_leq(table.count * 4, slots * 3 + 4);
        cr_assert(slots == 16 || table.count * 8 >= slots * 3);
        size_t old = table.old_slots ? table.old_mask + 1 : 0;
        cr_assert_eq(table_memory(&table), (slots + old) * sizeof(void *));
    }
    table_free(&table);
    free(items);
}

/* One insert moves a few slots, never the whole array. */
Test(table, grows_in_small_steps)
{
    enum { MAX = 100000 };
    struct item *items = calloc(MAX, sizeof *items);
    struct table table;
    size_t growths = 0;
    cr_assert_eq(table_init(&table, MAX, matches, spread, NULL), STATUS_OK);
    for (uint32_t i = 0; i < MAX; i++) {
        size_t mask = table.mask;
        size_t next = table.old_slots ? table.old_next : 0;
        items[i].key = i;
        cr_assert_eq(insert(&table, &items[i]), STATUS_OK);
        if (table.mask != mask)
            growths++;
        else if (table.old_slots)
            cr_assert_lt(table.old_next - next, 1000); /* 8 and what is left of a run */
    }
    cr_assert_eq(growths, 14);
    table_free(&table);
    free(items);
}

/* Random operations against flags in the items themselves; table_next must see each stored item
 * once, also while the table grows. */
static void run_model(table_hash_fn *hash_of, uint32_t keys, size_t count_max, size_t steps)
{
    struct item *items = calloc(keys, sizeof *items);
    uint32_t *seen = calloc(keys, sizeof *seen);
    struct table table;
    size_t count = 0;
    size_t checked_growing = 0;
    unsigned short seed[3] = {5, 6, 7};
    cr_assert_eq(table_init(&table, count_max, matches, hash_of, NULL), STATUS_OK);
    for (uint32_t i = 0; i < keys; i++)
        items[i].key = i;

    for (size_t step = 0; step < steps; step++) {
        struct item *item = &items[(size_t)nrand48(seed) % keys];
        bool filling = step < steps / 2;
        cr_assert_eq(find(&table, item->key), item->stored ? item : NULL);
        if (item->stored && (!filling || nrand48(seed) % 4 == 0)) {
            cr_assert(take(&table, item));
            item->stored = false;
            count--;
        } else if (!item->stored && (filling || nrand48(seed) % 4 == 0)) {
            enum status status = insert(&table, item);
            cr_assert_eq(status, count < count_max ? STATUS_OK : STATUS_FULL);
            item->stored = status == STATUS_OK;
            count += item->stored;
        }
        cr_assert_eq(table.count, count);

        bool growing = table.old_slots != NULL;
        if (step % 997 == 0 || (growing && checked_growing++ % 61 == 0)) {
            size_t cursor = 0;
            size_t walked = 0;
            for (struct item *next; (next = table_next(&table, &cursor)) != NULL; walked++) {
                cr_assert(next->stored);
                cr_assert_neq(seen[next->key], step + 1, "met twice");
                seen[next->key] = (uint32_t)step + 1;
            }
            cr_assert_eq(walked, count);
            for (uint32_t i = 0; i < keys; i++)
                cr_assert_eq(find(&table, i), items[i].stored ? &items[i] : NULL);
        }
    }
    cr_assert_gt(checked_growing, 0);
    table_free(&table);
    free(seen);
    free(items);
}

Test(table, model_with_spread_hashes)
{
    run_model(spread, 3000, 2500, 60000);
}

Test(table, model_with_colliding_hashes)
{
    run_model(crowd, 200, 150, 20000);
}
