/* A small map, written in the format that the client asked for: text/plain (a line `key=value` for
 * each field), JSON (RFC 8259) or CBOR (RFC 8949, a map of definite length). */
#ifndef HOLDFAST_WORKER_REPRESENT_H
#define HOLDFAST_WORKER_REPRESENT_H

#include "shared/cursor.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum represent_kind {
    REPRESENT_TEXT,   /* `text`: UTF-8 without control characters, NUL-terminated */
    REPRESENT_OCTETS, /* `bytes`: as text where they are printable UTF-8, else as hex; in CBOR a
                         text string or a byte string */
    REPRESENT_HEX,    /* `bytes`: lower-case hex; in CBOR a byte string */
    REPRESENT_NUMBER, /* `number` */
};

struct represent_field {
    const char *key; /* lower-case ASCII, static */
    enum represent_kind kind;
    union {
        const char *text;
        struct {
            const uint8_t *bytes;
            size_t length;
        };
        uint64_t number;
    };
};

/* The formats that represent_map knows, as a resource's `produces`; text is the default. */
#define REPRESENT_FORMATS                          \
    {                                              \
        {FORMAT_TEXT, FORMAT_JSON, FORMAT_CBOR}, 3 \
    }

/* format: one of REPRESENT_FORMATS. What does not fit fails the writer. */
void represent_map(struct writer *writer, uint16_t format, const struct represent_field *fields,
                   size_t count);

/* Valid UTF-8 (RFC 3629) without C0 and C1 control characters or DEL. */
bool represent_is_printable(const uint8_t *bytes, size_t length);

#endif
