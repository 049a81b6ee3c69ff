#include "worker/permission.h"

#include <criterion/criterion.h>
#include <string.h>

static struct octets octets_of(const char *text)
{
    return (struct octets){(const uint8_t *)text, strlen(text)};
}

Test(permission, says_who_may_do_something_to_what)
{
    static const struct {
        const char *list, *identity, *topic;
        bool allowed;
    } rows[] = {
        {"", "a", "t", false},
        {"*", "a", "t", true},
        {"*", "", "", true},
        {"a", "a", "t", true},
        {"a", "ab", "t", false},
        {"a", "", "t", false},
        {"a*", "ab", "t", true},
        {"a*", "a", "t", true},
        {"a*", "b", "t", false},
        {"a=t", "a", "t", true},
        {"a=t", "a", "u", false},
        {"a=t*", "a", "t/u", true},
        {"meter-*=water/*,operator", "meter-7", "water/7", true},
        {"meter-*=water/*,operator", "meter-7", "gas", false},
        {"meter-*=water/*,operator", "operator", "gas", true},
        {"a=b=c", "a", "b=c", true},
        {"a,b,c", "c", "t", true},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        struct permissions permissions;
        cr_assert_eq(permissions_parse(&permissions, rows[i].list), STATUS_OK, "%zu", i);
        cr_expect_eq(
            permissions_allow(&permissions, octets_of(rows[i].identity), octets_of(rows[i].topic)),
            rows[i].allowed, "%zu", i);
    }
}

Test(permission, lists_that_are_none_change_nothing)
{
    static const char *const lists[] = {",", "a,", ",a", "a,,b", "=t", "a=", "*a", "a*b", "a=*t"};
    struct permissions permissions;
    cr_assert_eq(permissions_parse(&permissions, "a"), STATUS_OK);
    for (size_t i = 0; i < sizeof(lists) / sizeof(*lists); i++)
        cr_expect_eq(permissions_parse(&permissions, lists[i]), STATUS_MALFORMED, "%s", lists[i]);
    char many[2 * PERMISSIONS_MAX + 2] = "";
    for (size_t i = 0; i <= PERMISSIONS_MAX; i++)
        strcat(many, i > 0 ? ",a" : "a");
    cr_expect_eq(permissions_parse(&permissions, many), STATUS_FULL);
    cr_expect_eq(permissions.count, 1);
}
