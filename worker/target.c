#include "worker/target.h"

#include "shared/limits.h"

#include <string.h>

_Static_assert(TARGET_OPTIONS_MAX + 8 <= COAP_OPTIONS_MAX, "with formats, Observe and blocks");

static int hex_value(uint8_t digit)
{
    if (digit >= '0' && digit <= '9')
        return digit - '0';
    if (digit >= 'a' && digit <= 'f')
        return digit - 'a' + 10;
    if (digit >= 'A' && digit <= 'F')
        return digit - 'A' + 10;
    return -1;
}

/* Printable ASCII, and none that ends a path and query in a URI. */
static bool is_allowed(uint8_t octet)
{
    return octet > ' ' && octet < 0x7f && octet != '#';
}

bool target_is_valid(struct octets target)
{
    size_t parts = 1;
    bool in_query = false;
    if (target.length == 0 || target.length > TARGET_MAX || target.bytes[0] != '/')
        return false;
    for (size_t i = 1; i < target.length; i++) {
        uint8_t octet = target.bytes[i];
        if (!is_allowed(octet))
            return false;
        if (octet == '%' && (target.length - i < 3 || hex_value(target.bytes[i + 1]) < 0 ||
                             hex_value(target.bytes[i + 2]) < 0))
            return false;
        parts += in_query ? octet == '&' : octet == '/' || octet == '?';
        in_query = in_query || octet == '?';
    }
    return parts <= TARGET_OPTIONS_MAX;
}

static size_t find(struct octets text, uint8_t octet)
{
    size_t at = 0;
    while (at < text.length && text.bytes[at] != octet)
        at++;
    return at;
}

static struct octets behind(struct octets text, size_t at)
{
    if (at >= text.length)
        return (struct octets){0};
    return (struct octets){text.bytes + at, text.length - at};
}

static void add_decoded(struct message_builder *builder, uint16_t number, struct octets part)
{
    uint8_t space[TARGET_MAX];
    struct writer writer = writer_over(space, sizeof(space));
    for (size_t i = 0; i < part.length; i++) {
        uint8_t octet = part.bytes[i];
        if (octet == '%') {
            octet = (uint8_t)(hex_value(part.bytes[i + 1]) << 4 | hex_value(part.bytes[i + 2]));
            i += 2;
        }
        writer_u8(&writer, octet);
    }
    message_add_option(builder, number, space, writer_length(&writer));
}

static void add_parts(struct message_builder *builder, uint16_t number, struct octets text,
                      uint8_t separator)
{
    for (;;) {
        size_t end = find(text, separator);
        add_decoded(builder, number, (struct octets){text.bytes, end});
        if (end == text.length)
            return;
        text.bytes += end + 1;
        text.length -= end + 1;
    }
}

void target_add_path(struct message_builder *builder, struct octets target)
{
    struct octets path = {target.bytes, find(target, '?')};
    path = behind(path, 1);
    /* "If the value of the <path> component is empty or consists of a single slash character
     * [...] then move to the next step." (RFC 7252 section 6.4) */
    if (path.length > 0)
        add_parts(builder, OPTION_URI_PATH, path, '/');
}

void target_add_query(struct message_builder *builder, struct octets target)
{
    size_t mark = find(target, '?');
    if (mark < target.length)
        add_parts(builder, OPTION_URI_QUERY, behind(target, mark + 1), '&');
}

/* --- writing --- */

/* RFC 3986 section 3.3, pchar; of the others those that queries have besides. */
static bool is_plain(uint8_t octet, const char *others)
{
    static const char allowed[] = "-._~!$'()*+,;=:@";
    return (octet >= 'a' && octet <= 'z') || (octet >= 'A' && octet <= 'Z') ||
           (octet >= '0' && octet <= '9') ||
           (octet != 0 && (strchr(allowed, octet) || strchr(others, octet)));
}

static void write_encoded(struct writer *writer, struct octets part, const char *others)
{
    static const char digits[] = "0123456789ABCDEF";
    for (size_t i = 0; i < part.length; i++) {
        uint8_t octet = part.bytes[i];
        if (is_plain(octet, others)) {
            writer_u8(writer, octet);
            continue;
        }
        writer_u8(writer, '%');
        writer_u8(writer, (uint8_t)digits[octet >> 4]);
        writer_u8(writer, (uint8_t)digits[octet & 15]);
    }
}

void target_write_segment(struct writer *writer, struct octets segment)
{
    writer_u8(writer, '/');
    write_encoded(writer, segment, "&");
}

void target_write(struct writer *writer, const struct request_span *path,
                  const struct request_span *queries)
{
    if (path->count == 0)
        writer_u8(writer, '/');
    for (size_t i = 0; i < path->count; i++)
        target_write_segment(writer, (struct octets){path->first[i].value, path->first[i].length});
    for (size_t i = 0; i < queries->count; i++) {
        writer_u8(writer, i == 0 ? '?' : '&');
        write_encoded(writer, (struct octets){queries->first[i].value, queries->first[i].length},
                      "/?");
    }
}
