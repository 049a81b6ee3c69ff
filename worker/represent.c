#include "worker/represent.h"

#include "worker/item.h"
#include "worker/message.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* The octets that a lead octet announces after itself, and the smallest code point that needs so
 * many; -1 where no character starts. */
static int follow_count(uint8_t lead, uint32_t *smallest)
{
    if (lead < 0x80)
        return *smallest = 0, 0;
    if (lead >= 0xc2 && lead < 0xe0)
        return *smallest = 0x80, 1;
    if (lead >= 0xe0 && lead < 0xf0)
        return *smallest = 0x800, 2;
    if (lead >= 0xf0 && lead < 0xf5)
        return *smallest = 0x10000, 3;
    return -1;
}

static bool is_printable_point(uint32_t point)
{
    bool control = point < 0x20 || (point >= 0x7f && point < 0xa0);
    bool surrogate = point >= 0xd800 && point < 0xe000;
    return !control && !surrogate && point <= 0x10ffff;
}

bool represent_is_printable(const uint8_t *bytes, size_t length)
{
    struct cursor cursor = cursor_over(bytes, length);
    while (cursor_left(&cursor) > 0) {
        uint8_t lead = cursor_u8(&cursor);
        uint32_t smallest = 0;
        int follow = follow_count(lead, &smallest);
        if (follow < 0)
            return false;
        uint32_t point = follow == 0 ? lead : lead & (0x3fu >> follow);
        for (int i = 0; i < follow; i++) {
            uint8_t octet = cursor_u8(&cursor);
            if (octet >> 6 != 2)
                return false;
            point = point << 6 | (octet & 0x3f);
        }
        if (!cursor_ok(&cursor) || point < smallest || !is_printable_point(point))
            return false;
    }
    return true;
}

static void write_text(struct writer *writer, const char *text)
{
    writer_bytes(writer, text, strlen(text));
}

static void write_hex(struct writer *writer, const uint8_t *bytes, size_t length)
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < length; i++) {
        writer_u8(writer, (uint8_t)digits[bytes[i] >> 4]);
        writer_u8(writer, (uint8_t)digits[bytes[i] & 15]);
    }
}

static void write_decimal(struct writer *writer, uint64_t number)
{
    char digits[24];
    snprintf(digits, sizeof digits, "%" PRIu64, number);
    write_text(writer, digits);
}

/* The octets of a field that is text in every format; false: hex or a byte string. */
static bool field_is_text(const struct represent_field *field, const uint8_t **bytes,
                          size_t *length)
{
    if (field->kind == REPRESENT_TEXT) {
        *bytes = (const uint8_t *)field->text;
        *length = strlen(field->text);
        return true;
    }
    *bytes = field->bytes;
    *length = field->length;
    return field->kind == REPRESENT_OCTETS && represent_is_printable(field->bytes, field->length);
}

static void write_plain(struct writer *writer, const struct represent_field *fields, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const uint8_t *bytes;
        size_t length;
        write_text(writer, fields[i].key);
        writer_u8(writer, '=');
        if (fields[i].kind == REPRESENT_NUMBER)
            write_decimal(writer, fields[i].number);
        else if (field_is_text(&fields[i], &bytes, &length))
            writer_bytes(writer, bytes, length);
        else
            write_hex(writer, bytes, length);
        writer_u8(writer, '\n');
    }
}

/* jansson builds a tree on the heap before it writes; a flat map needs none. Quotation mark and
 * reverse solidus are all there is to escape: the text holds no control characters (RFC 8259
 * section 7). */
static void write_json_string(struct writer *writer, const uint8_t *bytes, size_t length)
{
    writer_u8(writer, '"');
    for (size_t i = 0; i < length; i++) {
        if (bytes[i] == '"' || bytes[i] == '\\')
            writer_u8(writer, '\\');
        writer_u8(writer, bytes[i]);
    }
    writer_u8(writer, '"');
}

static void write_json(struct writer *writer, const struct represent_field *fields, size_t count)
{
    writer_u8(writer, '{');
    for (size_t i = 0; i < count; i++) {
        const uint8_t *bytes;
        size_t length;
        if (i > 0)
            writer_u8(writer, ',');
        write_json_string(writer, (const uint8_t *)fields[i].key, strlen(fields[i].key));
        writer_u8(writer, ':');
        if (fields[i].kind == REPRESENT_NUMBER) {
            write_decimal(writer, fields[i].number);
        } else if (field_is_text(&fields[i], &bytes, &length)) {
            write_json_string(writer, bytes, length);
        } else {
            writer_u8(writer, '"');
            write_hex(writer, bytes, length);
            writer_u8(writer, '"');
        }
    }
    writer_u8(writer, '}');
}

static void write_cbor(struct writer *writer, const struct represent_field *fields, size_t count)
{
    item_write_map(writer, count);
    for (size_t i = 0; i < count; i++) {
        const uint8_t *bytes;
        size_t length;
        item_write_text(writer, fields[i].key, strlen(fields[i].key));
        if (fields[i].kind == REPRESENT_NUMBER)
            item_write_number(writer, fields[i].number);
        else if (field_is_text(&fields[i], &bytes, &length))
            item_write_text(writer, bytes, length);
        else
            item_write_octets(writer, bytes, length);
    }
}

void represent_map(struct writer *writer, uint16_t format, const struct represent_field *fields,
                   size_t count)
{
    switch (format) {
    case FORMAT_JSON:
        write_json(writer, fields, count);
        return;
    case FORMAT_CBOR:
        write_cbor(writer, fields, count);
        return;
    default:
        assert(format == FORMAT_TEXT);
        write_plain(writer, fields, count);
        return;
    }
}
