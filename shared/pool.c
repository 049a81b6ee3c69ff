#include "shared/pool.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define SLAB_OBJECTS 256

/* What a free object holds in its first octets. */
struct free_object {
    struct free_object *next;
};

enum status pool_init(struct pool *pool, size_t object_size, size_t objects_max)
{
    memset(pool, 0, sizeof *pool);
    size_t size = (object_size + 7) & ~(size_t)7;
    pool->object_size = size < sizeof(struct free_object) ? sizeof(struct free_object) : size;
    pool->objects_max = objects_max;

    /* All slab pointers at once: growing never has to move them. */
    size_t slabs_max = objects_max / SLAB_OBJECTS + 1;
    pool->slabs = calloc(slabs_max, sizeof *pool->slabs);
    return pool->slabs ? STATUS_OK : STATUS_NO_MEMORY;
}

void pool_free(struct pool *pool)
{
    for (size_t i = 0; i < pool->slab_count; i++) {
        size_t before = i * SLAB_OBJECTS;
        size_t objects = pool->allocated - before;
        if (objects > SLAB_OBJECTS)
            objects = SLAB_OBJECTS;
        explicit_bzero(pool->slabs[i], objects * pool->object_size);
        free(pool->slabs[i]);
    }
    free(pool->slabs);
    memset(pool, 0, sizeof *pool);
}

static void put_first(struct pool *pool, void *object)
{
    struct free_object *first = object;
    first->next = pool->free_list;
    pool->free_list = first;
}

static bool grow(struct pool *pool)
{
    size_t objects = pool->objects_max - pool->allocated;
    if (objects > SLAB_OBJECTS)
        objects = SLAB_OBJECTS;
    if (objects == 0)
        return false;
    uint8_t *slab = calloc(objects, pool->object_size);
    if (!slab)
        return false;
    pool->slabs[pool->slab_count++] = slab;
    pool->allocated += objects;
    /* Last first, so that objects are handed out in the order of their addresses. */
    for (size_t i = objects; i-- > 0;)
        put_first(pool, slab + i * pool->object_size);
    return true;
}

void *pool_get(struct pool *pool)
{
    if (!pool->free_list && !grow(pool)) {
        pool->refusals++;
        return NULL;
    }
    struct free_object *object = pool->free_list;
    pool->free_list = object->next;
    object->next = NULL; /* the rest is zero since pool_put or calloc */
    pool->in_use++;
    return object;
}

void pool_put(struct pool *pool, void *object)
{
    if (!object)
        return;
    explicit_bzero(object, pool->object_size);
    put_first(pool, object);
    pool->in_use--;
}
