#include "worker/backlog.h"

#include <stdlib.h>
#include <string.h>

/* Before each datagram. A datagram does not go around the ring's end: what is left there is
 * skipped, by an entry that says so if there is room for one. */
struct entry {
    struct path path;
    uint16_t length; /* octets */
    bool is_skip;
};
#define ENTRY_ALIGNMENT 8
_Static_assert(sizeof(struct entry) <= 24, "backlog.h says so");

static size_t space_of(size_t length)
{
    size_t space = sizeof(struct entry) + length;
    return (space + ENTRY_ALIGNMENT - 1) / ENTRY_ALIGNMENT * ENTRY_ALIGNMENT;
}

enum status backlog_init(struct backlog *backlog, size_t size)
{
    *backlog = (struct backlog){.size = size / ENTRY_ALIGNMENT * ENTRY_ALIGNMENT};
    if (backlog->size == 0)
        return STATUS_OK;
    backlog->ring = malloc(backlog->size);
    return backlog->ring ? STATUS_OK : STATUS_NO_MEMORY;
}

void backlog_free(struct backlog *backlog)
{
    free(backlog->ring);
    memset(backlog, 0, sizeof(*backlog));
}

/* Where an entry of that size goes, or `size` if nowhere. In a ring that is not empty, first and
 * end are only equal when it is full. */
static size_t room_for(struct backlog *backlog, size_t space)
{
    if (backlog->count == 0) {
        backlog->first = backlog->end = 0;
        return space <= backlog->size ? 0 : backlog->size;
    }
    if (backlog->end <= backlog->first)
        return space <= backlog->first - backlog->end ? backlog->end : backlog->size;
    if (space <= backlog->size - backlog->end)
        return backlog->end;
    if (space > backlog->first)
        return backlog->size;
    if (backlog->size - backlog->end >= sizeof(struct entry)) {
        const struct entry skip = {.is_skip = true};
        memcpy(backlog->ring + backlog->end, &skip, sizeof(skip));
    }
    return 0;
}

enum status backlog_put(struct backlog *backlog, const struct path *path, const uint8_t *datagram,
                        size_t length)
{
    const struct entry entry = {.path = *path, .length = (uint16_t)length};
    if (length > UINT16_MAX)
        return STATUS_TOO_LONG;
    size_t space = space_of(length);
    size_t at = room_for(backlog, space);
    if (at == backlog->size)
        return STATUS_FULL;
    memcpy(backlog->ring + at, &entry, sizeof(entry));
    if (length > 0)
        memcpy(backlog->ring + at + sizeof(entry), datagram, length);
    backlog->end = at + space;
    backlog->count++;
    return STATUS_OK;
}

uint8_t *backlog_take(struct backlog *backlog, struct path *path, size_t *length)
{
    struct entry entry = {.is_skip = true};
    if (backlog->count == 0)
        return NULL;
    if (backlog->size - backlog->first >= sizeof(entry))
        memcpy(&entry, backlog->ring + backlog->first, sizeof(entry));
    if (entry.is_skip) {
        backlog->first = 0;
        memcpy(&entry, backlog->ring, sizeof(entry));
    }
    uint8_t *datagram = backlog->ring + backlog->first + sizeof(entry);
    *path = entry.path;
    *length = entry.length;
    backlog->first += space_of(entry.length);
    backlog->count--;
    return datagram;
}
