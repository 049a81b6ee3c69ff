#include "tests/worker/ask.h"
#include "worker/echo.h"

#include <criterion/criterion.h>
#include <string.h>

static void echo(const struct ask *ask, struct answer *answer)
{
    struct coap_peer peer = {0};
    struct resource_call call = {.peer = &peer};
    ask_handler(ask, &call, echo_post, answer);
}

Test(echo, gives_the_payload_back)
{
    static const struct {
        struct ask ask;
        uint8_t code;
        const char *payload;
    } rows[] = {
        {{.uri = "/echo", .payload = "hello"}, CODE_CHANGED, "hello"},
        {{.uri = "/echo"}, CODE_CHANGED, ""},
        {{.uri = "/echo?rlen=0", .payload = "hello"}, CODE_CHANGED, ""},
        {{.uri = "/echo?rlen=2", .payload = "hello"}, CODE_CHANGED, "he"},
        {{.uri = "/echo?rlen=12", .payload = "hello"}, CODE_CHANGED, "hellohellohe"},
        {{.uri = "/echo?rlen=3"}, CODE_CHANGED, "xxx"},
        {{.uri = "/echo?rlen=0003"}, CODE_CHANGED, "xxx"},
        {{.uri = "/echo?rlen="}, CODE_BAD_REQUEST, "want rlen=0..1024"},
        {{.uri = "/echo?rlen"}, CODE_BAD_REQUEST, "want rlen=0..1024"},
        {{.uri = "/echo?rlen=1025"}, CODE_BAD_REQUEST, "want rlen=0..1024"},
        {{.uri = "/echo?rlen=18446744073709551617"}, CODE_BAD_REQUEST, "want rlen=0..1024"},
        {{.uri = "/echo?rlen=-1"}, CODE_BAD_REQUEST, "want rlen=0..1024"},
        {{.uri = "/echo?rlen=1x"}, CODE_BAD_REQUEST, "want rlen=0..1024"},
        {{.uri = "/echo?rlen=1&rlen=1"}, CODE_BAD_REQUEST, "want rlen=0..1024"},
        {{.uri = "/echo?len=1"}, CODE_BAD_REQUEST, "want rlen=0..1024"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct answer answer;
        echo(&rows[i].ask, &answer);
        cr_expect(answer.fits);
        cr_expect_not(answer.reply.has_format);
        cr_expect_eq(answer.reply.code, rows[i].code, "%s", rows[i].ask.uri);
        cr_expect_str_eq(answer.payload, rows[i].payload, "%s", rows[i].ask.uri);
        cr_expect_eq(answer.payload_length, strlen(rows[i].payload), "%s", rows[i].ask.uri);
    }
}

Test(echo, fills_the_longest_reply)
{
    struct ask ask = {.uri = "/echo?rlen=1024", .payload = "0123456789"};
    struct answer answer;
    echo(&ask, &answer);
    cr_assert(answer.fits);
    cr_assert_eq(answer.payload_length, ECHO_REPLY_MAX);
    for (size_t i = 0; i < ECHO_REPLY_MAX; i++)
        cr_assert_eq(answer.payload[i], '0' + (char)(i % 10));
}

Test(echo, keeps_the_content_format)
{
    static const struct {
        struct ask ask;
        uint8_t code;
        bool has_format;
    } rows[] = {
        {{.has_format = true, .format = 60}, CODE_CHANGED, true},
        {{.has_format = true, .format = 60, .has_accept = true, .accept = 60}, CODE_CHANGED, true},
        {{.has_format = true, .format = 60, .has_accept = true, .accept = 50},
         CODE_NOT_ACCEPTABLE,
         false},
        {{.has_accept = true, .accept = 0}, CODE_NOT_ACCEPTABLE, false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct answer answer;
        echo(&rows[i].ask, &answer);
        cr_expect_eq(answer.reply.code, rows[i].code, "row %zu", i);
        cr_expect_eq(answer.reply.has_format, rows[i].has_format, "row %zu", i);
        if (rows[i].has_format)
            cr_expect_eq(answer.reply.format, 60, "row %zu", i);
    }
}
