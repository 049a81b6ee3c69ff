#include "worker/api_format.h"

#include <criterion/criterion.h>

#include "worker/message.h"

Test(api_format, media_types)
{
    char space[API_FORMAT_TEXT_MAX];
    uint16_t format;
    cr_assert(api_format_find("text/plain; charset=utf-8", &format));
    cr_expect_eq(format, 0);
    cr_assert(api_format_find("Application/JSON", &format));
    cr_expect_eq(format, 50);
    cr_assert(api_format_find("application/coap-payload;cf=11600", &format));
    cr_expect_eq(format, 11600);
    cr_expect_not(api_format_find("application/coap-payload;cf=70000", &format));
    cr_expect_not(api_format_find("*/*", &format));
    cr_expect_not(api_format_find("", &format));
    cr_expect_str_eq(api_format_text(60, space), "application/cbor");
    cr_expect_str_eq(api_format_text(11600, space), "application/coap-payload;cf=11600");
    cr_expect_null(api_format_known(11600));
    /* Both ways, for each that is known. */
    for (uint32_t number = 0; number <= UINT16_MAX; number++) {
        const char *text = api_format_known((uint16_t)number);
        cr_expect(!text || (api_format_find(text, &format) && format == number));
    }
}

Test(api_format, methods)
{
    cr_expect_eq(api_format_method(HTTP_GET), CODE_GET);
    cr_expect_eq(api_format_method(HTTP_PUT), CODE_PUT);
    cr_expect_eq(api_format_method(HTTP_POST), CODE_POST);
    cr_expect_eq(api_format_method(HTTP_PATCH), CODE_PATCH);
    cr_expect_eq(api_format_method(HTTP_DELETE), CODE_DELETE);
}

/* RFC 8075 section 7, table 2. */
Test(api_format, statuses)
{
    cr_expect_eq(api_format_status(CODE_CREATED, false), 201);
    cr_expect_eq(api_format_status(CODE_CHANGED, false), 204);
    cr_expect_eq(api_format_status(CODE_CHANGED, true), 200);
    cr_expect_eq(api_format_status(CODE_DELETED, true), 200);
    cr_expect_eq(api_format_status(CODE_VALID, false), 304);
    cr_expect_eq(api_format_status(CODE_CONTENT, true), 200);
    cr_expect_eq(api_format_status(CODE_UNAUTHORIZED, false), 403);
    cr_expect_eq(api_format_status(CODE_TOO_MANY_REQUESTS, false), 429);
    cr_expect_eq(api_format_status(CODE_GATEWAY_TIMEOUT, false), 504);
    cr_expect_eq(api_format_status(CODE_PROXYING_NOT_SUPPORTED, false), 502);
    cr_expect_eq(api_format_status(MESSAGE_CODE(4, 31), false), 502);
}
