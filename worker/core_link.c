#include "worker/core_link.h"

#include <stdio.h>
#include <string.h>

/* Formats of five digits each, with spaces between. */
#define ATTRIBUTE_TEXT_MAX (RESOURCE_FORMATS_MAX * 6 + 1)

static const char *href_of(const struct resource *resource, char *space)
{
    (void)space;
    return resource->path;
}

static const char *rt_of(const struct resource *resource, char *space)
{
    (void)space;
    return resource->type ? resource->type : "";
}

static const char *if_of(const struct resource *resource, char *space)
{
    (void)space;
    return resource->interface ? resource->interface : "";
}

/* "SHOULD be included for resources larger than that": than one MTU (RFC 6690 section 3.3). */
static const char *sz_of(const struct resource *resource, char *space)
{
    space[0] = '\0';
    if (resource->size > 0)
        snprintf(space, ATTRIBUTE_TEXT_MAX, "%u", (unsigned)resource->size);
    return space;
}

static const char *ct_of(const struct resource *resource, char *space)
{
    size_t length = 0;
    space[0] = '\0';
    for (size_t i = 0; i < resource->produces.count; i++)
        length += (size_t)snprintf(space + length, ATTRIBUTE_TEXT_MAX - length, "%s%u",
                                   i > 0 ? " " : "", (unsigned)resource->produces.values[i]);
    return space;
}

/* What can be shown and asked for; an empty value is an attribute that is not there. */
static const struct attribute {
    const char *name;
    const char *(*value_of)(const struct resource *resource, char *space);
} attributes[] = {
    {"href", href_of}, /* shown as the link's target */
    {"rt", rt_of},     {"if", if_of}, {"sz", sz_of}, {"ct", ct_of},
};
#define ATTRIBUTES (sizeof attributes / sizeof *attributes)

/* A pattern that ends with "*" is a prefix, any other the whole value (RFC 6690 section 4.1). */
static bool matches_value(const char *value, size_t value_length, const char *pattern,
                          size_t pattern_length)
{
    if (pattern_length > 0 && pattern[pattern_length - 1] == '*')
        return value_length >= pattern_length - 1 &&
               memcmp(value, pattern, pattern_length - 1) == 0;
    return value_length == pattern_length && memcmp(value, pattern, value_length) == 0;
}

/* rt and ct hold several values, separated by spaces: one of them has to match. */
static bool matches_list(const char *list, const char *pattern, size_t pattern_length)
{
    while (*list) {
        size_t length = strcspn(list, " ");
        if (matches_value(list, length, pattern, pattern_length))
            return true;
        list += length;
        list += strspn(list, " ");
    }
    return false;
}

/* A filter by an attribute that no resource has, or by none, leaves nothing over. */
static bool matches_filter(const struct resource *resource, const struct message_option *query)
{
    for (size_t i = 0; i < ATTRIBUTES; i++) {
        char space[ATTRIBUTE_TEXT_MAX];
        const char *pattern;
        size_t length;
        if (request_query_value(query, attributes[i].name, &pattern, &length))
            return matches_list(attributes[i].value_of(resource, space), pattern, length);
    }
    return false;
}

static bool is_wanted(const struct resource_call *call, const struct resource *resource)
{
    if (resource->unlisted || !resource_is_visible(call, resource))
        return false;
    for (size_t i = 0; i < call->request->queries.count; i++) {
        if (!matches_filter(resource, &call->request->queries.first[i]))
            return false;
    }
    return true;
}

static void write_text(struct writer *writer, const char *text)
{
    writer_bytes(writer, text, strlen(text));
}

static void write_link(struct writer *writer, const struct resource *resource)
{
    write_text(writer, "<");
    write_text(writer, resource->path);
    write_text(writer, ">");
    for (size_t i = 1; i < ATTRIBUTES; i++) {
        char space[ATTRIBUTE_TEXT_MAX];
        const char *value = attributes[i].value_of(resource, space);
        if (!*value)
            continue;
        write_text(writer, ";");
        write_text(writer, attributes[i].name);
        write_text(writer, "=\"");
        write_text(writer, value);
        write_text(writer, "\"");
    }
    if (resource->observable)
        write_text(writer, ";obs"); /* RFC 7641 section 6 */
}

enum resource_outcome core_link_get(const struct resource_call *call, struct resource_reply *reply)
{
    reply->code = CODE_CONTENT;
    reply->has_format = true;
    reply->format = call->format;
    for (size_t i = 0; i < call->resource_count; i++) {
        if (!is_wanted(call, &call->resources[i]))
            continue;
        if (writer_length(&reply->payload) > 0)
            write_text(&reply->payload, ",");
        write_link(&reply->payload, &call->resources[i]);
    }
    return RESOURCE_DONE;
}
