#include "worker/permission.h"

#include <string.h>

static const uint8_t anything[] = "*";

static bool is_pattern(struct octets pattern)
{
    const uint8_t *star = memchr(pattern.bytes, '*', pattern.length);
    return pattern.length > 0 && (!star || star == pattern.bytes + pattern.length - 1);
}

static enum status add(struct permissions *permissions, struct octets entry)
{
    struct permission row = {.identity = entry, .topic = {anything, 1}};
    /* A topic may hold "="; an identity that does is named up to there, with a "*". */
    const uint8_t *separator = memchr(entry.bytes, '=', entry.length);
    if (separator) {
        row.identity.length = (size_t)(separator - entry.bytes);
        row.topic = (struct octets){separator + 1, entry.length - row.identity.length - 1};
    }
    if (!is_pattern(row.identity) || !is_pattern(row.topic))
        return STATUS_MALFORMED;
    if (permissions->count == PERMISSIONS_MAX)
        return STATUS_FULL;
    permissions->rows[permissions->count++] = row;
    return STATUS_OK;
}

enum status permissions_parse(struct permissions *permissions, const char *text)
{
    struct permissions parsed = {.count = 0};
    enum status status = STATUS_OK;
    while (*text && status == STATUS_OK) {
        size_t length = strcspn(text, ",");
        status = add(&parsed, (struct octets){(const uint8_t *)text, length});
        text += length;
        if (*text == ',' && *++text == '\0')
            status = STATUS_MALFORMED;
    }
    if (status == STATUS_OK)
        *permissions = parsed;
    return status;
}

static bool matches(struct octets pattern, struct octets text)
{
    bool is_prefix = pattern.bytes[pattern.length - 1] == '*';
    size_t length = pattern.length - is_prefix;
    return (is_prefix ? text.length >= length : text.length == length) &&
           (length == 0 || memcmp(pattern.bytes, text.bytes, length) == 0);
}

bool permissions_allow(const struct permissions *permissions, struct octets identity,
                       struct octets topic)
{
    for (size_t i = 0; i < permissions->count; i++) {
        const struct permission *row = &permissions->rows[i];
        if (matches(row->identity, identity) && matches(row->topic, topic))
            return true;
    }
    return false;
}
