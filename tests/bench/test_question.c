#include <criterion/criterion.h>

#include "bench/question.h"
#include "worker/message.h"

static uint8_t space[256];
static const uint8_t token[] = {0xaa, 0xbb};

static size_t write(const char *path, const char *payload)
{
    struct writer writer = writer_over(space, sizeof(space));
    const struct question question = {.code = QUESTION_POST,
                                      .message_id = 0x1234,
                                      .path = path,
                                      .token = token,
                                      .token_length = sizeof(token),
                                      .payload = (const uint8_t *)payload,
                                      .payload_length = strlen(payload)};
    question_write(&writer, &question);
    return writer_ok(&writer) ? writer_length(&writer) : 0;
}

/* The server's own codec, which shares nothing with this one, reads what it writes. */
Test(question, is_read_by_the_server)
{
    struct message message;
    size_t length = write("a/a-long-segment-name", "hello");
    cr_assert_eq(message_parse(&message, space, length), MESSAGE_OK);
    cr_assert_eq(message.type, MESSAGE_CON);
    cr_assert_eq(message.code, CODE_POST);
    cr_assert_eq(message.id, 0x1234);
    cr_assert_eq(message.token_length, 2);
    cr_assert_arr_eq(message.token, token, 2);
    cr_assert_eq(message.option_count, 2);
    cr_assert_eq(message.options[0].number, OPTION_URI_PATH);
    cr_assert_eq(message.options[0].length, 1);
    cr_assert_eq(message.options[1].number, OPTION_URI_PATH);
    cr_assert_eq(message.options[1].length, 19);
    cr_assert_arr_eq(message.options[1].value, "a-long-segment-name", 19);
    cr_assert_eq(message.payload_length, 5);
}

Test(question, slashes_around_do_not_count)
{
    struct message message;
    size_t length = write("/echo/", "");
    cr_assert_eq(message_parse(&message, space, length), MESSAGE_OK);
    cr_assert_eq(message.option_count, 1);
    cr_assert_null(message.payload);
    length = write("/", "");
    cr_assert_eq(message_parse(&message, space, length), MESSAGE_OK);
    cr_assert_eq(message.option_count, 0);
}

Test(question, does_not_fit)
{
    char long_path[300];
    memset(long_path, 'x', sizeof(long_path));
    long_path[sizeof(long_path) - 1] = '\0';
    cr_assert_eq(write(long_path, ""), 0);
}

Test(question, empty_messages)
{
    static const uint8_t reset[] = {0x70, 0, 0xab, 0xcd};
    struct writer writer = writer_over(space, sizeof(space));
    question_write_empty(&writer, QUESTION_RST, 0xabcd);
    cr_assert_eq(writer_length(&writer), sizeof(reset));
    cr_assert_arr_eq(space, reset, sizeof(reset));
}

Test(answer, is_what_the_server_writes)
{
    struct message_builder builder;
    struct writer writer = writer_over(space, sizeof(space));
    message_begin(&builder, &writer, MESSAGE_ACK, CODE_CHANGED, 7, token, sizeof(token));
    message_add_number(&builder, OPTION_CONTENT_FORMAT, FORMAT_JSON);
    message_add_number(&builder, 2000, 5); /* extended, in two octets */
    message_add_payload(&builder, (const uint8_t *)"xyz", 3);
    struct answer answer;
    cr_assert(answer_read(&answer, space, writer_length(&writer)));
    cr_assert_eq(answer.type, QUESTION_ACK);
    cr_assert_eq(answer.code, CODE_CHANGED);
    cr_assert_eq(answer_class(answer.code), 2);
    cr_assert_eq(answer.message_id, 7);
    cr_assert_eq(answer.token_length, 2);
    cr_assert_eq(answer.payload_length, 3);
    cr_assert_arr_eq(answer.payload, "xyz", 3);
    /* Cut anywhere but between options, it is none. */
    cr_assert_not(answer_read(&answer, space, 3));
    cr_assert_not(answer_read(&answer, space, 5));
    cr_assert_not(answer_read(&answer, space, 7));
    cr_assert_not(answer_read(&answer, space, writer_length(&writer) - 3), "a bare marker");
}

Test(answer, what_is_none)
{
    static const uint8_t version[] = {0x80, 0, 0, 1},
                         token_9[] = {0x69, 0, 0, 1, 1, 2, 3, 4, 5, 6, 7, 8, 9},
                         reserved[] = {0x60, 0x45, 0, 1, 0xf1, 0, 0};
    struct answer answer;
    cr_assert_not(answer_read(&answer, version, sizeof(version)));
    cr_assert_not(answer_read(&answer, token_9, sizeof(token_9)));
    cr_assert_not(answer_read(&answer, reserved, sizeof(reserved)));
    cr_assert_not(answer_read(&answer, version, 0));
}

Test(question, observe_is_as_short_as_it_can_be)
{
    static const struct {
        uint32_t value;
        size_t length;
    } rows[] = {{0, 0}, {1, 1}, {255, 1}, {256, 2}, {65536, 3}, {QUESTION_NUMBER_MAX, 3}};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct message message;
        struct answer answer;
        struct writer writer = writer_over(space, sizeof(space));
        const struct question question = {.type = QUESTION_NON,
                                          .code = QUESTION_CONTENT,
                                          .has_observe = true,
                                          .observe = rows[i].value,
                                          .path = i % 2 ? "ps/topic" : NULL};
        question_write(&writer, &question);
        cr_assert_eq(message_parse(&message, space, writer_length(&writer)), MESSAGE_OK);
        cr_assert_eq(message.type, MESSAGE_NON);
        cr_assert_eq(message.option_count, i % 2 ? 3 : 1);
        cr_assert_eq(message.options[0].number, 6);
        cr_assert_eq(message.options[0].length, rows[i].length);
        cr_assert(answer_read(&answer, space, writer_length(&writer)));
        cr_assert(answer.has_observe);
        cr_assert_eq(answer.observe, rows[i].value);
    }
}

Test(question, observe_that_is_none)
{
    static const uint8_t too_long[] = "\x60\x45\x12\x34\x64"
                                      "1234";
    static const uint8_t another[] = "\x60\x45\x12\x34\x71"
                                     "1";
    static const uint8_t cut[] = "\x60\x45\x12\x34\x63"
                                 "1";
    struct answer answer;
    cr_assert(answer_read(&answer, too_long, sizeof(too_long) - 1));
    cr_assert_not(answer.has_observe);
    cr_assert(answer_read(&answer, another, sizeof(another) - 1));
    cr_assert_not(answer.has_observe);
    cr_assert_not(answer_read(&answer, cut, sizeof(cut) - 1));
}
