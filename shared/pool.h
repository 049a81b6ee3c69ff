/* A bounded pool of equal objects. Memory grows by slabs up to the bound and is kept; getting and
 * putting never calls malloc once the slabs are there. Memory: slabs * slab size; slab = 256
 * objects. Not thread safe. */
#ifndef HOLDFAST_SHARED_POOL_H
#define HOLDFAST_SHARED_POOL_H

#include <stddef.h>
#include <stdint.h>

#include "shared/status.h"

struct pool {
    size_t object_size; /* rounded up to 8 */
    size_t objects_max;
    size_t in_use;
    size_t allocated;
    void *free_list;
    void **slabs;
    size_t slab_count;
    uint64_t refusals; /* pool_get that found the bound reached */
};

MUST_USE enum status pool_init(struct pool *pool, size_t object_size, size_t objects_max);
void pool_free(struct pool *pool); /* all objects with it */
/* Zeroed, or NULL at the bound or without memory. */
void *pool_get(struct pool *pool);
/* Wipes the object (it may hold keys). Putting NULL is allowed. */
void pool_put(struct pool *pool, void *object);

#endif
