#include "worker/target.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

static struct octets text(const char *of)
{
    return (struct octets){(const uint8_t *)of, strlen(of)};
}

/* The options, each as its number's first letter, its value, and a bar: "p:a|q:b|". */
static const char *options_of(const char *target)
{
    static char shown[512];
    uint8_t space[512];
    struct writer writer = writer_over(space, sizeof(space));
    struct message_builder builder;
    struct message message;
    message_begin(&builder, &writer, MESSAGE_CON, CODE_GET, 1, NULL, 0);
    target_add_path(&builder, text(target));
    target_add_query(&builder, text(target));
    cr_assert(writer_ok(&writer));
    cr_assert_eq(message_parse(&message, space, writer_length(&writer)), MESSAGE_OK);
    size_t length = 0;
    for (size_t i = 0; i < message.option_count; i++) {
        const struct message_option *option = &message.options[i];
        cr_assert(option->number == OPTION_URI_PATH || option->number == OPTION_URI_QUERY);
        length += (size_t)snprintf(shown + length, sizeof(shown) - length, "%c:%.*s|",
                                   option->number == OPTION_URI_PATH ? 'p' : 'q',
                                   (int)option->length, (const char *)option->value);
    }
    shown[length] = '\0';
    return shown;
}

/* RFC 7252 section 6.4, and its examples in section 6.3. */
Test(target, options)
{
    static const char *const pairs[][2] = {
        {"/", ""},
        {"/temp", "p:temp|"},
        {"/3303/0/5700", "p:3303|p:0|p:5700|"},
        {"/a/", "p:a|p:|"},
        {"//a", "p:|p:a|"},
        {"/%7Esensors/temp.xml", "p:~sensors|p:temp.xml|"},
        {"/%7esensors", "p:~sensors|"},
        {"/a%2Fb/c", "p:a/b|p:c|"},
        {"/r?id=0001&x", "p:r|q:id=0001|q:x|"},
        {"/?a/b?c", "q:a/b?c|"},
        {"/a?", "p:a|q:|"},
        {"/a?%26=%3f", "p:a|q:&=?|"},
    };
    for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
        cr_expect(target_is_valid(text(pairs[i][0])), "%s", pairs[i][0]);
        cr_expect_str_eq(options_of(pairs[i][0]), pairs[i][1], "%s", pairs[i][0]);
    }
}

Test(target, what_is_none)
{
    static const char *const wrong[] = {"",     "a",     "/a b",  "/a#b",      "/%", "/%4",
                                        "/%4g", "/a%g0", "/\x7f", "/\xc3\xa4", "?a", "/a\n"};
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        cr_expect_not(target_is_valid(text(wrong[i])), "%s", wrong[i]);
}

Test(target, bounds)
{
    char longest[TARGET_MAX + 2];
    memset(longest, 'a', sizeof(longest));
    longest[0] = '/';
    longest[TARGET_MAX] = '\0';
    cr_expect(target_is_valid(text(longest)));
    longest[TARGET_MAX] = 'a';
    longest[TARGET_MAX + 1] = '\0';
    cr_expect_not(target_is_valid(text(longest)));

    char parts[TARGET_OPTIONS_MAX + 2];
    memset(parts, '/', sizeof(parts));
    parts[TARGET_OPTIONS_MAX] = '\0';
    cr_expect(target_is_valid(text(parts)));
    (void)options_of(parts);
    parts[TARGET_OPTIONS_MAX] = '/';
    parts[TARGET_OPTIONS_MAX + 1] = '\0';
    cr_expect_not(target_is_valid(text(parts)));
}

/* A target has one spelling, whatever the options are, and means them. */
Test(target, is_written_as_it_is_read)
{
    static const char *const targets[] = {
        "/",      "/a",      "/a/b/c", "/a?b=c&d",           "/a%2Fb", "/a%3Fb?c%26d", "/%25",
        "/a%20b", "/%C3%A4", "/a?/?",  "/-._~!$&'()*+,;=:@", "/a/",
    };
    for (size_t i = 0; i < sizeof(targets) / sizeof(targets[0]); i++) {
        uint8_t space[512];
        uint8_t written[TARGET_MAX];
        struct writer writer = writer_over(space, sizeof(space));
        struct message_builder builder;
        struct message message;
        struct request request;
        uint16_t culprit;
        message_begin(&builder, &writer, MESSAGE_CON, CODE_GET, 1, NULL, 0);
        target_add_path(&builder, text(targets[i]));
        target_add_query(&builder, text(targets[i]));
        cr_assert_eq(message_parse(&message, space, writer_length(&writer)), MESSAGE_OK);
        cr_assert_eq(request_judge(&request, &message, &culprit), REQUEST_OK);
        writer = writer_over(written, sizeof(written));
        target_write(&writer, &request.path, &request.queries);
        cr_assert(writer_ok(&writer));
        cr_expect_eq(writer_length(&writer), strlen(targets[i]), "%s: %.*s", targets[i],
                     (int)writer_length(&writer), (const char *)written);
        cr_expect_eq(memcmp(written, targets[i], strlen(targets[i])), 0, "%s", targets[i]);
    }
}

Test(target, what_is_too_long_fails_the_writer)
{
    uint8_t space[4];
    struct writer writer = writer_over(space, sizeof(space));
    target_write_segment(&writer, text("abc"));
    cr_expect(writer_ok(&writer));
    writer = writer_over(space, sizeof(space));
    target_write_segment(&writer, text("ab\""));
    cr_expect_not(writer_ok(&writer));
}
