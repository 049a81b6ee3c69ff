/* Reading and writing octets in network order. An error sticks: parse or build straight through,
 * check cursor_ok()/writer_ok() once. Reads past the end give zeros and a NULL pointer; writes
 * past the end write nothing. Neither owns its memory. */
#ifndef HOLDFAST_SHARED_CURSOR_H
#define HOLDFAST_SHARED_CURSOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct cursor {
    const uint8_t *at;
    const uint8_t *end;
    bool failed;
};

static inline struct cursor cursor_over(const void *bytes, size_t length)
{
    const uint8_t *start = bytes;
    return (struct cursor){.at = start, .end = start + length};
}

static inline size_t cursor_left(const struct cursor *cursor)
{
    return cursor->failed ? 0 : (size_t)(cursor->end - cursor->at);
}

static inline bool cursor_ok(const struct cursor *cursor)
{
    return !cursor->failed;
}

/* The next `length` octets in place, or NULL; zero octets give a pointer that must not be read. */
static inline const uint8_t *cursor_bytes(struct cursor *cursor, size_t length)
{
    if (cursor->failed || (size_t)(cursor->end - cursor->at) < length) {
        cursor->failed = true;
        return NULL;
    }
    const uint8_t *bytes = cursor->at;
    cursor->at += length;
    return bytes;
}

static inline uint64_t cursor_number(struct cursor *cursor, size_t octets)
{
    const uint8_t *bytes = cursor_bytes(cursor, octets);
    uint64_t value = 0;
    for (size_t i = 0; bytes && i < octets; i++)
        value = value << 8 | bytes[i];
    return value;
}

static inline uint8_t cursor_u8(struct cursor *cursor)
{
    return (uint8_t)cursor_number(cursor, 1);
}
static inline uint16_t cursor_u16(struct cursor *cursor)
{
    return (uint16_t)cursor_number(cursor, 2);
}
static inline uint32_t cursor_u24(struct cursor *cursor)
{
    return (uint32_t)cursor_number(cursor, 3);
}
static inline uint32_t cursor_u32(struct cursor *cursor)
{
    return (uint32_t)cursor_number(cursor, 4);
}
static inline uint64_t cursor_u48(struct cursor *cursor)
{
    return cursor_number(cursor, 6);
}
static inline uint64_t cursor_u64(struct cursor *cursor)
{
    return cursor_number(cursor, 8);
}

/* A cursor over the next `length` octets, already failed if there are fewer. */
static inline struct cursor cursor_sub(struct cursor *cursor, size_t length)
{
    const uint8_t *bytes = cursor_bytes(cursor, length);
    if (!bytes)
        return (struct cursor){.failed = true};
    return cursor_over(bytes, length);
}

struct writer {
    uint8_t *start;
    uint8_t *at;
    uint8_t *end;
    bool failed;
};

static inline struct writer writer_over(void *space, size_t size)
{
    uint8_t *start = space;
    return (struct writer){.start = start, .at = start, .end = start + size};
}

static inline bool writer_ok(const struct writer *writer)
{
    return !writer->failed;
}

static inline size_t writer_length(const struct writer *writer)
{
    return (size_t)(writer->at - writer->start);
}

static inline size_t writer_left(const struct writer *writer)
{
    return writer->failed ? 0 : (size_t)(writer->end - writer->at);
}

/* Room for `length` octets that the caller fills in, or NULL. */
static inline uint8_t *writer_space(struct writer *writer, size_t length)
{
    if (writer->failed || (size_t)(writer->end - writer->at) < length) {
        writer->failed = true;
        return NULL;
    }
    uint8_t *space = writer->at;
    writer->at += length;
    return space;
}

static inline void writer_bytes(struct writer *writer, const void *bytes, size_t length)
{
    uint8_t *space = writer_space(writer, length);
    if (space && length > 0)
        memcpy(space, bytes, length);
}

static inline void writer_number(struct writer *writer, uint64_t value, size_t octets)
{
    uint8_t *space = writer_space(writer, octets);
    for (size_t i = 0; space && i < octets; i++)
        space[i] = (uint8_t)(value >> (8 * (octets - 1 - i)));
}

static inline void writer_u8(struct writer *writer, uint8_t value)
{
    writer_number(writer, value, 1);
}
static inline void writer_u16(struct writer *writer, uint16_t value)
{
    writer_number(writer, value, 2);
}
static inline void writer_u32(struct writer *writer, uint32_t value)
{
    writer_number(writer, value, 4);
}
static inline void writer_u48(struct writer *writer, uint64_t value)
{
    writer_number(writer, value, 6);
}
static inline void writer_u64(struct writer *writer, uint64_t value)
{
    writer_number(writer, value, 8);
}

#endif
