#include "tests/worker/ask.h"
#include "worker/core_link.h"

#include <criterion/criterion.h>
#include <string.h>

static const struct resource table[] = {
    {.path = "/tstun", .type = "tstun", .plain = true, .produces = {{0, 50, 60}, 3}},
    {.path = "/3/0", .type = "oma.lwm2m device", .produces = {{11542}, 1}},
    {.path = "/bare", .plain = true},
    {.path = "/.well-known/core", .plain = true, .unlisted = true, .produces = {{40}, 1}},
};

#define TSTUN "</tstun>;rt=\"tstun\";ct=\"0 50 60\""
#define DEVICE "</3/0>;rt=\"oma.lwm2m device\";ct=\"11542\""
#define BARE "</bare>"

Test(core_link, lists_and_filters)
{
    static const struct {
        bool plain;
        const char *uri;
        const char *payload;
    } rows[] = {
        {false, "/.well-known/core", TSTUN "," DEVICE "," BARE},
        {true, "/.well-known/core", TSTUN "," BARE},
        {false, "/.well-known/core?rt=tstun", TSTUN},
        {false, "/.well-known/core?rt=device", DEVICE},
        {false, "/.well-known/core?rt=oma.lwm2m", DEVICE},
        {false, "/.well-known/core?rt=oma.*", DEVICE},
        {false, "/.well-known/core?rt=dev*", DEVICE},
        {false, "/.well-known/core?rt=oma", ""},
        {false, "/.well-known/core?rt=oma.lwm2m device", ""},
        {true, "/.well-known/core?rt=device", ""},
        {false, "/.well-known/core?rt=*", TSTUN "," DEVICE},
        {false, "/.well-known/core?rt=", ""},
        {false, "/.well-known/core?rt", ""},
        {false, "/.well-known/core?href=/bare", BARE},
        {false, "/.well-known/core?href=/ba", ""},
        {false, "/.well-known/core?href=/ba*", BARE},
        {false, "/.well-known/core?href=*", TSTUN "," DEVICE "," BARE},
        {false, "/.well-known/core?href=/*0", ""},
        {false, "/.well-known/core?ct=60", TSTUN},
        {false, "/.well-known/core?ct=6", ""},
        {false, "/.well-known/core?ct=1*", DEVICE},
        {false, "/.well-known/core?rt=tstun&href=/tstun", TSTUN},
        {false, "/.well-known/core?rt=tstun&href=/bare", ""},
        {false, "/.well-known/core?if=sensor", ""},
        {false, "/.well-known/core?href=/.well-known/core", ""},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct coap_peer peer = {.session_id = rows[i].plain ? 0 : 5};
        struct resource_call call = {.peer = &peer,
                                     .resources = table,
                                     .resource_count = sizeof table / sizeof *table,
                                     .format = FORMAT_LINK};
        struct ask ask = {.uri = rows[i].uri};
        struct answer answer;
        ask_handler(&ask, &call, core_link_get, &answer);
        cr_expect(answer.fits);
        cr_expect_eq(answer.reply.code, CODE_CONTENT);
        cr_expect_eq(answer.reply.format, FORMAT_LINK);
        cr_expect_str_eq(answer.payload, rows[i].payload, "%s", rows[i].uri);
    }
}
