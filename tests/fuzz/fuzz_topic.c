/* Input: a topic's value; read again, its properties as a client gives them; and its name. What
 * reads is bounded, and comes out as it went in. */
#include "tests/fuzz/fuzz.h"
#include "worker/permission.h"
#include "worker/topic.h"

#include <stdlib.h>
#include <string.h>

static void require(bool holds)
{
    if (!holds)
        abort();
}

static void check_value(struct octets octets)
{
    struct topic_value value, again;
    uint8_t space[STORE_TOPIC_MAX];
    struct writer writer = writer_over(space, sizeof(space));
    if (topic_value_read(&value, octets) != STATUS_OK)
        return;
    require(value.data.length <= TOPIC_DATA_MAX);
    topic_value_write(&writer, &value);
    require(writer_ok(&writer) && writer_length(&writer) == octets.length);
    require(memcmp(space, octets.bytes, octets.length) == 0);
    require(topic_value_read(&again, (struct octets){space, octets.length}) == STATUS_OK);
}

static void check_name(struct octets name)
{
    struct octets segments[TOPIC_SEGMENTS_MAX];
    size_t length = 0;
    if (!topic_name_is_valid(name))
        return;
    size_t count = topic_name_split(name, segments);
    require(count >= 1 && count <= TOPIC_SEGMENTS_MAX);
    for (size_t i = 0; i < count; i++) {
        require(segments[i].length > 0);
        length += segments[i].length + (i > 0);
    }
    require(length == name.length && length <= STORE_TOPIC_NAME_MAX);
}

static void check_properties(struct octets octets)
{
    struct topic_properties properties;
    uint8_t space[STORE_TOPIC_NAME_MAX + 64];
    struct writer writer = writer_over(space, sizeof(space));
    if (topic_properties_read(&properties, octets) != STATUS_OK)
        return;
    require(topic_name_is_valid(properties.name));
    require(!properties.has_data || properties.has_format);
    topic_properties_write(&writer, &properties, (struct octets){(const uint8_t *)"/ps", 3});
    require(writer_ok(&writer));
}

static void check_permissions(const uint8_t *data, size_t size)
{
    struct permissions permissions;
    char *text = malloc(size + 1);
    if (!text)
        return;
    if (size > 0)
        memcpy(text, data, size);
    text[size] = '\0';
    const struct octets whole = {(const uint8_t *)text, strlen(text)};
    if (permissions_parse(&permissions, text) == STATUS_OK) {
        require(permissions.count <= PERMISSIONS_MAX);
        require(permissions.count > 0 || !permissions_allow(&permissions, whole, whole));
    }
    free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct octets octets = {data, size};
    check_value(octets);
    check_name(octets);
    check_properties(octets);
    check_permissions(data, size);
    return 0;
}
