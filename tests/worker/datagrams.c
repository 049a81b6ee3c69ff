#include "tests/worker/datagrams.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

void datagrams_add(struct datagrams *queue, const struct path *path, const void *bytes,
                   size_t length)
{
    if (queue->count == queue->size) {
        queue->size = queue->size ? 2 * queue->size : 16;
        queue->items = realloc(queue->items, queue->size * sizeof(*queue->items));
        assert(queue->items);
    }
    struct datagram *added = &queue->items[queue->count++];
    *added = (struct datagram){.path = *path, .length = length, .bytes = malloc(length)};
    assert(added->bytes || length == 0);
    if (length > 0)
        memcpy(added->bytes, bytes, length);
}

static void close_gap(struct datagrams *queue, size_t index)
{
    queue->count--;
    memmove(queue->items + index, queue->items + index + 1,
            (queue->count - index) * sizeof(*queue->items));
}

void datagrams_drop(struct datagrams *queue, size_t index)
{
    assert(index < queue->count);
    free(queue->items[index].bytes);
    close_gap(queue, index);
}

struct datagram datagrams_take(struct datagrams *queue)
{
    if (queue->count == 0)
        return (struct datagram){0};
    struct datagram first = queue->items[0];
    close_gap(queue, 0);
    return first;
}

void datagrams_clear(struct datagrams *queue)
{
    for (size_t i = 0; i < queue->count; i++)
        free(queue->items[i].bytes);
    free(queue->items);
    *queue = (struct datagrams){0};
}

size_t datagrams_octets(const struct datagrams *queue)
{
    size_t octets = 0;
    for (size_t i = 0; i < queue->count; i++)
        octets += queue->items[i].length;
    return octets;
}
