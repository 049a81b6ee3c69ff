#include "worker/topic.h"

#include "worker/item.h"
#include "worker/represent.h"

#include <string.h>

enum { FLAG_DATA = 1, FLAG_FORMAT = 2, FLAGS = FLAG_DATA | FLAG_FORMAT };

/* draft-ietf-core-coap-pubsub, "CoAP Pubsub Parameters" */
enum property {
    PROPERTY_NAME = 0,
    PROPERTY_DATA = 1,
    PROPERTY_RESOURCE_TYPE = 2,
    PROPERTY_FORMAT = 3,
    PROPERTY_INITIALIZE = 8,
};

static const char data_type[] = "core.ps.data";

/* --- as it is stored --- */

void topic_value_write(struct writer *writer, const struct topic_value *value)
{
    writer_u8(writer, TOPIC_VALUE_VERSION);
    writer_u8(writer,
              (uint8_t)((value->has_data ? FLAG_DATA : 0) | (value->has_format ? FLAG_FORMAT : 0)));
    writer_u16(writer, value->format);
    writer_bytes(writer, value->data.bytes, value->data.length);
}

enum status topic_value_read(struct topic_value *value, struct octets octets)
{
    struct cursor cursor = cursor_over(octets.bytes, octets.length);
    uint8_t version = cursor_u8(&cursor);
    if (cursor_ok(&cursor) && version != TOPIC_VALUE_VERSION)
        return STATUS_UNSUPPORTED;
    uint8_t flags = cursor_u8(&cursor);
    uint16_t format = cursor_u16(&cursor);
    struct octets data = {.length = cursor_left(&cursor)};
    data.bytes = cursor_bytes(&cursor, data.length);
    if (!cursor_ok(&cursor) || flags & ~FLAGS || data.length > TOPIC_DATA_MAX ||
        (!(flags & FLAG_DATA) && data.length > 0) || (!(flags & FLAG_FORMAT) && format != 0))
        return STATUS_MALFORMED;
    *value = (struct topic_value){
        .has_data = flags & FLAG_DATA,
        .has_format = flags & FLAG_FORMAT,
        .format = format,
        .data = data,
    };
    return STATUS_OK;
}

/* --- names --- */

size_t topic_name_split(struct octets name, struct octets segments[TOPIC_SEGMENTS_MAX])
{
    size_t count = 0;
    while (count < TOPIC_SEGMENTS_MAX) {
        const uint8_t *slash = memchr(name.bytes, '/', name.length);
        size_t length = slash ? (size_t)(slash - name.bytes) : name.length;
        segments[count++] = (struct octets){name.bytes, length};
        if (!slash)
            break;
        name = (struct octets){slash + 1, name.length - length - 1};
    }
    return count;
}

bool topic_name_is_valid(struct octets name)
{
    if (name.length == 0 || name.length > STORE_TOPIC_NAME_MAX ||
        !represent_is_printable(name.bytes, name.length))
        return false;
    size_t slashes = 0;
    bool is_start = true;
    for (size_t i = 0; i < name.length; i++) {
        bool is_slash = name.bytes[i] == '/';
        if (is_slash && is_start)
            return false;
        slashes += is_slash;
        is_start = is_slash;
    }
    return !is_start && slashes < TOPIC_SEGMENTS_MAX;
}

bool topic_name_write(struct writer *writer, const struct request_span *segments)
{
    const struct writer before = *writer;
    for (size_t i = 0; i < segments->count; i++) {
        const struct message_option *segment = &segments->first[i];
        /* A slash inside a segment is data, which no name can have. */
        if (segment->length > 0 && memchr(segment->value, '/', segment->length))
            return false;
        if (i > 0)
            writer_u8(writer, '/');
        writer_bytes(writer, segment->value, segment->length);
    }
    return writer_ok(writer) &&
           topic_name_is_valid((struct octets){before.at, (size_t)(writer->at - before.at)});
}

/* --- properties --- */

static enum status read_property(struct topic_properties *properties, uint64_t key,
                                 struct cursor *cursor, bool *has_type)
{
    struct octets text;
    uint64_t number;
    switch (key) {
    case PROPERTY_NAME:
        return item_read_text(cursor, &properties->name) ? STATUS_OK : STATUS_MALFORMED;
    case PROPERTY_RESOURCE_TYPE:
        *has_type = item_read_text(cursor, &text) && text.length == strlen(data_type) &&
                    memcmp(text.bytes, data_type, text.length) == 0;
        return *has_type ? STATUS_OK : STATUS_MALFORMED;
    case PROPERTY_FORMAT:
        properties->has_format = item_read_number(cursor, &number) && number <= UINT16_MAX;
        properties->format = properties->has_format ? (uint16_t)number : 0;
        return properties->has_format ? STATUS_OK : STATUS_MALFORMED;
    case PROPERTY_INITIALIZE:
        properties->has_data = item_read_octets(cursor, &properties->data) &&
                               properties->data.length <= TOPIC_DATA_MAX;
        return properties->has_data ? STATUS_OK : STATUS_MALFORMED;
    default:
        return STATUS_UNSUPPORTED;
    }
}

/* "The broker MUST reply with a 4.xx client error response (such as 4.00 Bad Request) if a received
 * parameter is invalid, unrecognized, or if the "topic-name" is already in use or otherwise
 * invalid." (draft-ietf-core-coap-pubsub, "Creating a Topic"); "The request MUST specify at least a
 * subset of the topic properties [...], namely: "topic-name" and "resource-type"." */
enum status topic_properties_read(struct topic_properties *properties, struct octets octets)
{
    struct topic_properties read = {0};
    struct cursor cursor = cursor_over(octets.bytes, octets.length);
    bool has_type = false;
    uint64_t pairs;
    uint32_t seen = 0;
    if (!item_read_map(&cursor, &pairs) || pairs > PROPERTY_INITIALIZE + 1)
        return STATUS_MALFORMED;
    for (uint64_t i = 0; i < pairs; i++) {
        uint64_t key;
        if (!item_read_number(&cursor, &key))
            return STATUS_MALFORMED;
        enum status status = read_property(&read, key, &cursor, &has_type);
        if (status != STATUS_OK)
            return status;
        if (seen & UINT32_C(1) << key)
            return STATUS_MALFORMED;
        seen |= UINT32_C(1) << key;
    }
    /* "When this field is present, "topic-content-format" MUST also be specified." (of initialize,
     * same draft, "Topic Properties") */
    if (!cursor_ok(&cursor) || cursor_left(&cursor) > 0 || !has_type ||
        !topic_name_is_valid(read.name) || (read.has_data && !read.has_format))
        return STATUS_MALFORMED;
    *properties = read;
    return STATUS_OK;
}

void topic_properties_write(struct writer *writer, const struct topic_properties *properties,
                            struct octets path)
{
    item_write_map(writer, properties->has_format ? 4 : 3);
    item_write_number(writer, PROPERTY_NAME);
    item_write_text(writer, properties->name.bytes, properties->name.length);
    item_write_number(writer, PROPERTY_DATA);
    item_write_text(writer, path.bytes, path.length);
    item_write_number(writer, PROPERTY_RESOURCE_TYPE);
    item_write_text(writer, data_type, strlen(data_type));
    if (properties->has_format) {
        item_write_number(writer, PROPERTY_FORMAT);
        item_write_number(writer, properties->format);
    }
}
