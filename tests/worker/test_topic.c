#include "worker/topic.h"

#include "worker/item.h"

#include <criterion/criterion.h>
#include <string.h>

static struct octets octets_of(const char *text)
{
    return (struct octets){(const uint8_t *)text, strlen(text)};
}

Test(topic, a_value_comes_back_as_it_was)
{
    uint8_t data[TOPIC_DATA_MAX];
    memset(data, 7, sizeof(data));
    const struct topic_value values[] = {
        {.has_data = false},
        {.has_format = true, .format = 60},
        {.has_data = true},
        {.has_data = true, .has_format = true, .format = 0, .data = {data, 1}},
        {.has_data = true, .has_format = true, .format = 65535, .data = {data, sizeof(data)}},
    };
    for (size_t i = 0; i < sizeof(values) / sizeof(*values); i++) {
        uint8_t space[STORE_TOPIC_MAX];
        struct writer writer = writer_over(space, sizeof(space));
        struct topic_value read;
        topic_value_write(&writer, &values[i]);
        cr_assert(writer_ok(&writer));
        cr_assert_eq(topic_value_read(&read, (struct octets){space, writer_length(&writer)}),
                     STATUS_OK, "%zu", i);
        cr_expect_eq(read.has_data, values[i].has_data);
        cr_expect_eq(read.has_format, values[i].has_format);
        cr_expect_eq(read.format, values[i].format);
        cr_expect_eq(read.data.length, values[i].data.length);
    }
}

Test(topic, what_is_no_value_is_refused)
{
    static const struct {
        const char *bytes;
        size_t length;
        enum status status;
    } rows[] = {
        {"", 0, STATUS_MALFORMED},
        {"\1\1\0", 3, STATUS_MALFORMED},
        {"\2\1\0\0", 4, STATUS_UNSUPPORTED},
        {"\1\4\0\0", 4, STATUS_MALFORMED},  /* a flag that there is none */
        {"\1\0\0\0x", 5, STATUS_MALFORMED}, /* data of one that has none */
        {"\1\1\0\1x", 5, STATUS_MALFORMED}, /* the same of a format */
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        struct topic_value read;
        cr_expect_eq(topic_value_read(
                         &read, (struct octets){(const uint8_t *)rows[i].bytes, rows[i].length}),
                     rows[i].status, "%zu", i);
    }
}

Test(topic, names)
{
    static const struct {
        const char *name;
        size_t segments; /* 0: no name */
    } rows[] = {
        {"a", 1},  {"a/b", 2}, {"a/b/c", 3}, {"\xc3\xa4 b", 1}, {"", 0},    {"/", 0},
        {"/a", 0}, {"a/", 0},  {"a//b", 0},  {"a/b/c/d", 0},    {"a\n", 0}, {"\xff", 0},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        struct octets segments[TOPIC_SEGMENTS_MAX];
        cr_expect_eq(topic_name_is_valid(octets_of(rows[i].name)), rows[i].segments > 0, "%s",
                     rows[i].name);
        if (rows[i].segments > 0)
            cr_expect_eq(topic_name_split(octets_of(rows[i].name), segments), rows[i].segments);
    }
    char longest[STORE_TOPIC_NAME_MAX + 2];
    memset(longest, 'x', sizeof(longest));
    longest[STORE_TOPIC_NAME_MAX] = '\0';
    cr_expect(topic_name_is_valid(octets_of(longest)));
    longest[STORE_TOPIC_NAME_MAX] = 'x';
    longest[STORE_TOPIC_NAME_MAX + 1] = '\0';
    cr_expect_not(topic_name_is_valid(octets_of(longest)));
}

Test(topic, a_slash_in_a_segment_is_in_no_name)
{
    const struct message_option options[] = {{OPTION_URI_PATH, 1, (const uint8_t *)"a"},
                                             {OPTION_URI_PATH, 3, (const uint8_t *)"b/c"}};
    uint8_t space[STORE_TOPIC_NAME_MAX];
    struct writer writer = writer_over(space, sizeof(space));
    cr_expect_not(topic_name_write(&writer, &(struct request_span){options, 2}));
    writer = writer_over(space, sizeof(space));
    cr_expect(topic_name_write(&writer, &(struct request_span){options, 1}));
    cr_expect_not(topic_name_write(&writer, &(struct request_span){options, 0}), "nothing");
}

/* draft-ietf-core-coap-pubsub, "Creating a Topic", and properties that it must be refused for. */
Test(topic, properties)
{
    static const struct {
        const char *bytes;
        size_t length;
        enum status status;
    } rows[] = {
        {"\xa2\x00\x61t\x02\x6c"
         "core.ps.data",
         18, STATUS_OK},
        {"\xa3\x00\x61t\x02\x6c"
         "core.ps.data\x03\x18\x3c",
         21, STATUS_OK},
        {"\xa4\x00\x61t\x02\x6c"
         "core.ps.data\x03\x18\x3c\x08\x41\x80",
         24, STATUS_OK},
        {"\xa3\x00\x61t\x02\x6c"
         "core.ps.data\x08\x41\x80",
         21, STATUS_MALFORMED},
        {"\xa1\x00\x61t", 4, STATUS_MALFORMED},
        {"\xa1\x02\x6c"
         "core.ps.data",
         15, STATUS_MALFORMED},
        {"\xa2\x00\x61t\x02\x6c"
         "core.ps.conf",
         18, STATUS_MALFORMED},
        {"\xa2\x00\x60\x02\x6c"
         "core.ps.data",
         17, STATUS_MALFORMED},
        {"\xa2\x00\x61t\x00\x61t", 7, STATUS_MALFORMED},
        {"\xa3\x00\x61t\x02\x6c"
         "core.ps.data\x06\x05",
         20, STATUS_UNSUPPORTED},
        {"\xa3\x00\x61t\x02\x6c"
         "core.ps.data\x01\x62/x",
         22, STATUS_UNSUPPORTED},
        {"\xa3\x00\x61t\x02\x6c"
         "core.ps.data\x03\x1a\0\1\0\0",
         24, STATUS_MALFORMED},
        {"\xa2\x00\x61t\x02\x6c"
         "core.ps.data\x00",
         19, STATUS_MALFORMED},
        {"\xa2\x00\x61t", 4, STATUS_MALFORMED},
        {"\xbb\xff\xff\xff\xff\xff\xff\xff\xff", 9, STATUS_MALFORMED},
        {"\x80", 1, STATUS_MALFORMED},
        {"", 0, STATUS_MALFORMED},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        struct topic_properties read;
        cr_expect_eq(topic_properties_read(
                         &read, (struct octets){(const uint8_t *)rows[i].bytes, rows[i].length}),
                     rows[i].status, "%zu", i);
    }
}

Test(topic, properties_are_told_with_where_the_data_are)
{
    const struct topic_properties properties = {
        .name = octets_of("t"), .has_format = true, .format = 60};
    uint8_t space[64];
    struct writer writer = writer_over(space, sizeof(space));
    topic_properties_write(&writer, &properties, octets_of("/ps/t"));
    cr_assert_eq(writer_length(&writer), 28);
    cr_expect_arr_eq(space,
                     "\xa4\x00\x61t\x01\x65/ps/t\x02\x6c"
                     "core.ps.data\x03\x18\x3c",
                     28);
}
