/* What is understood; what is refused is in test_api.c. */
#include "worker/api_wish.h"

#include <criterion/criterion.h>
#include <string.h>

#include "worker/message.h"

static char space[TARGET_MAX + 1];

static struct api_wish read_one(enum http_method method, const char *target, const char *accept,
                                const char *body)
{
    struct api_wish wish = {0};
    struct http_reply reply = {.status = 200};
    const struct http_request request = {
        .method = method,
        .target = target,
        .content_type = "text/plain",
        .accept = accept,
        .body = {(const uint8_t *)body, strlen(body)},
    };
    cr_assert_eq(api_wish_read(&request, &wish, space, &reply), HTTP_LATER);
    cr_expect_eq(reply.status, 200);
    cr_expect_eq(wish.cid.length, 2);
    cr_expect_eq(memcmp(wish.cid.bytes, "\x0a\xbc", 2), 0);
    return wish;
}

static void expect_target(const struct api_wish *wish, const char *target)
{
    cr_assert_eq(wish->target.length, strlen(target));
    cr_expect_eq(memcmp(wish->target.bytes, target, strlen(target)), 0);
}

Test(api_wish, resources)
{
    struct api_wish wish =
        read_one(HTTP_PUT, "/api/v1/sessions/0abc/resources/a?b", "application/json", "21");
    cr_expect_eq(wish.kind, API_RESOURCE);
    cr_expect_eq(wish.method, CODE_PUT);
    expect_target(&wish, "/a?b");
    cr_expect(wish.has_format && wish.format == 0);
    cr_expect(wish.has_accept && wish.accept == 50);
    cr_expect_eq(wish.body.length, 2);
    wish = read_one(HTTP_GET, "/api/v1/sessions/0abc/resources", "*/*", "");
    expect_target(&wish, "/");
    cr_expect_not(wish.has_format);
    cr_expect_not(wish.has_accept);
}

Test(api_wish, observations)
{
    struct api_wish wish = read_one(HTTP_POST, "/api/v1/sessions/0abc/observations", NULL,
                                    "{\"path\":\"/t?x\",\"accept\":\"application/cbor\"}");
    cr_expect_eq(wish.kind, API_OBSERVE);
    expect_target(&wish, "/t?x");
    cr_expect(wish.has_accept && wish.accept == 60);
    wish = read_one(HTTP_GET, "/api/v1/sessions/0abc/observations", NULL, "");
    cr_expect_eq(wish.kind, API_LIST);
    wish = read_one(HTTP_DELETE, "/api/v1/sessions/0abc/observations/17", NULL, "");
    cr_expect_eq(wish.kind, API_CANCEL);
    cr_expect_eq(wish.slot, 17);
}
