/* A hash table of pointers to objects that hold their own keys: open addressing, linear probing.
 * Grows by doubling in small steps (a few slots move with each operation), so that no single
 * insert stalls the loop. Memory: 8 octets a slot, load between 3/8 and 3/4; while it grows, both
 * arrays. Hashes must be keyed (hash.h): keys come from the network. */
#ifndef HOLDFAST_SHARED_TABLE_H
#define HOLDFAST_SHARED_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shared/status.h"

typedef bool table_match_fn(const void *object, const void *key);
typedef uint64_t table_hash_fn(const void *context, const void *object);

struct table {
    table_match_fn *match;
    table_hash_fn *hash_of; /* of a stored object, for growth */
    const void *context;    /* given to hash_of */
    size_t count;
    size_t count_max;
    void **slots;
    size_t mask;      /* slots - 1 */
    void **old_slots; /* being moved to `slots`, or NULL */
    size_t old_mask;
    size_t old_next; /* first slot of old_slots that has not been moved */
};

MUST_USE enum status table_init(struct table *table, size_t count_max, table_match_fn *match,
                                table_hash_fn *hash_of, const void *context);
void table_free(struct table *table); /* the slots, not the objects */
void *table_find(const struct table *table, uint64_t hash, const void *key);
/* STATUS_FULL at count_max, STATUS_NO_MEMORY. The caller has looked for an equal key before. */
MUST_USE enum status table_insert(struct table *table, uint64_t hash, void *object);
/* False if that very object is not in the table. */
bool table_remove(struct table *table, uint64_t hash, const void *object);
/* Walks all objects in no order; `cursor` starts at 0; NULL at the end. No changes meanwhile. */
void *table_next(const struct table *table, size_t *cursor);
/* Octets of heap that the slots take. */
size_t table_memory(const struct table *table);

#endif
