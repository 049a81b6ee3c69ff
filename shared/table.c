#include "shared/table.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define SLOTS_MIN 16
/* Slots of the old array that one operation moves at least. The new array takes 3/4 of the old
 * one's size in further objects before it is full itself, so 2 would do. */
#define MOVE_STEP 8

/* One of the two arrays; in each, an object stands in the first free slot at or after its hash's,
 * and no slot between the two is empty. */
struct array {
    void **slots;
    size_t mask;
};

static struct array current(const struct table *table)
{
    return (struct array){.slots = table->slots, .mask = table->mask};
}

static struct array old(const struct table *table)
{
    return (struct array){.slots = table->old_slots, .mask = table->old_mask};
}

static void place(struct array array, uint64_t hash, void *object)
{
    size_t at = hash & array.mask;
    while (array.slots[at])
        at = (at + 1) & array.mask;
    array.slots[at] = object;
}

/* Fills the hole with a later object of the same run that may stand there, and so on, so that no
 * object is cut off from its hash's slot and no tombstones are needed. */
static void close_hole(const struct table *table, struct array array, size_t hole)
{
    size_t at = hole;
    for (;;) {
        at = (at + 1) & array.mask;
        void *object = array.slots[at];
        if (!object)
            break;
        size_t home = table->hash_of(table->context, object) & array.mask;
        if (((at - home) & array.mask) >= ((at - hole) & array.mask)) {
            array.slots[hole] = object;
            hole = at;
        }
    }
    array.slots[hole] = NULL;
}

/* Moves runs of objects from the old array to the new one. A run goes whole and its last object
 * first: nothing stands behind the last one, so what is left can be found at every moment. The
 * run around the array's end is met at slot 0, where only its tail is taken. */
static void move_some(struct table *table)
{
    if (!table->old_slots)
        return;
    size_t stop = table->old_next + MOVE_STEP;
    while (table->old_next < stop && table->old_next <= table->old_mask) {
        size_t end = table->old_next;
        while (end <= table->old_mask && table->old_slots[end])
            end++;
        for (size_t at = end; at-- > table->old_next;) {
            void *object = table->old_slots[at];
            table->old_slots[at] = NULL;
            place(current(table), table->hash_of(table->context, object), object);
        }
        table->old_next = end + 1; /* the slot at `end` is empty */
    }
    if (table->old_next > table->old_mask) {
        free(table->old_slots);
        table->old_slots = NULL;
    }
}

static enum status grow(struct table *table)
{
    assert(!table->old_slots);
    size_t slots = (table->mask + 1) * 2;
    void **fresh = calloc(slots, sizeof *fresh);
    if (!fresh)
        return STATUS_NO_MEMORY;
    table->old_slots = table->slots;
    table->old_mask = table->mask;
    table->old_next = 0;
    table->slots = fresh;
    table->mask = slots - 1;
    return STATUS_OK;
}

enum status table_init(struct table *table, size_t count_max, table_match_fn *match,
                       table_hash_fn *hash_of, const void *context)
{
    *table = (struct table){
        .match = match,
        .hash_of = hash_of,
        .context = context,
        .count_max = count_max,
        .slots = calloc(SLOTS_MIN, sizeof(void *)),
        .mask = SLOTS_MIN - 1,
    };
    return table->slots ? STATUS_OK : STATUS_NO_MEMORY;
}

void table_free(struct table *table)
{
    free(table->old_slots);
    free(table->slots);
    memset(table, 0, sizeof *table);
}

static void *find_in(const struct table *table, struct array array, uint64_t hash, const void *key)
{
    for (size_t at = hash & array.mask; array.slots[at]; at = (at + 1) & array.mask) {
        if (table->match(array.slots[at], key))
            return array.slots[at];
    }
    return NULL;
}

void *table_find(const struct table *table, uint64_t hash, const void *key)
{
    void *object = find_in(table, current(table), hash, key);
    if (!object && table->old_slots)
        object = find_in(table, old(table), hash, key);
    return object;
}

enum status table_insert(struct table *table, uint64_t hash, void *object)
{
    if (table->count >= table->count_max)
        return STATUS_FULL;
    move_some(table);
    size_t slots = table->mask + 1;
    if (table->count >= slots - slots / 4) {
        enum status status = grow(table);
        if (status != STATUS_OK)
            return status;
    }
    place(current(table), hash, object);
    table->count++;
    return STATUS_OK;
}

static bool remove_from(const struct table *table, struct array array, uint64_t hash,
                        const void *object)
{
    for (size_t at = hash & array.mask; array.slots[at]; at = (at + 1) & array.mask) {
        if (array.slots[at] == object) {
            close_hole(table, array, at);
            return true;
        }
    }
    return false;
}

bool table_remove(struct table *table, uint64_t hash, const void *object)
{
    move_some(table);
    bool removed = remove_from(table, current(table), hash, object) ||
                   (table->old_slots && remove_from(table, old(table), hash, object));
    table->count -= removed;
    return removed;
}

void *table_next(const struct table *table, size_t *cursor)
{
    if (!table->slots)
        return NULL; /* zeroed memory: one that was never made, or has been freed */
    size_t slots = table->mask + 1;
    size_t all = slots + (table->old_slots ? table->old_mask + 1 : 0);
    while (*cursor < all) {
        size_t at = (*cursor)++;
        void *object = at < slots ? table->slots[at] : table->old_slots[at - slots];
        if (object)
            return object;
    }
    return NULL;
}

size_t table_memory(const struct table *table)
{
    size_t slots = table->mask + 1 + (table->old_slots ? table->old_mask + 1 : 0);
    return slots * sizeof(void *);
}
