#include "shared/address.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

static struct address parsed(const char *text)
{
    struct address address;
    cr_assert_eq(address_parse(&address, text), STATUS_OK, "%s", text);
    return address;
}

Test(address, text_goes_round)
{
    static const char *const texts[] = {
        "127.0.0.1:5684",
        "0.0.0.0:0",
        "255.255.255.255:65535",
        "[::1]:5684",
        "[::]:5684",
        "[2001:db8::1:2]:1",
        "[fe80:1111:2222:3333:4444:5555:6666:7777]:65535",
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct address address = parsed(texts[i]);
        char text[ADDRESS_TEXT_MAX];
        cr_assert_str_eq(address_format(&address, text), texts[i]);
    }
}

Test(address, what_is_no_address_is_refused_and_changes_nothing)
{
    static const char *const texts[] = {
        "",
        ":",
        ":5684",
        "127.0.0.1",
        "127.0.0.1:",
        "127.0.0.1:65536",
        "127.0.0.1:000080",
        "127.0.0.1:99999999999999999999",
        "127.0.0.1:-1",
        "127.0.0.1:+1",
        "127.0.0.1: 1",
        "127.0.0.1:1 ",
        "127.0.0.1:0x10",
        "127.0.0:1",
        "256.0.0.1:1",
        " 127.0.0.1:1",
        "localhost:5684",
        "::1:5684",
        "::1",
        "[::1]",
        "[::1]5684",
        "[::1:5684",
        "::1]:5684",
        "[]:5684",
        "[[::1]]:5684",
        "[127.0.0.1]:5684",
        "[fe80::1%lo]:5684",
        "[1:2:3:4:5:6:7:8:9]:1",
        "[1111111111111111111111111111111111111111111111111111111111111111]:1",
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct address address = {.port = 7};
        cr_assert_eq(address_parse(&address, texts[i]), STATUS_MALFORMED, "%s", texts[i]);
        cr_assert_eq(address.port, 7);
    }
}

Test(address, a_mapped_address_is_the_ipv4_one)
{
    struct address plain = parsed("192.0.2.33:5684");
    struct address mapped = parsed("[::ffff:192.0.2.33]:5684");
    char text[ADDRESS_TEXT_MAX];
    cr_assert(address_equal(&plain, &mapped));
    cr_assert(address_is_v4(&mapped));
    cr_assert_not(address_is_v4(&(struct address){0}));
    cr_assert_str_eq(address_format_ip(&mapped, text), "192.0.2.33");
}

/* Against the library's own way, digit by digit. */
Test(address, numbers_of_any_length)
{
    for (unsigned port = 0; port <= 65535; port++) {
        char text[ADDRESS_TEXT_MAX], expected[ADDRESS_TEXT_MAX];
        struct address address = {.port = (uint16_t)port};
        address.ip[10] = address.ip[11] = 0xff;
        address.ip[12] = (uint8_t)(port * 7);
        address.ip[13] = (uint8_t)port;
        address.ip[14] = (uint8_t)(port >> 8);
        address.ip[15] = (uint8_t)(port * 3 >> 4);
        snprintf(expected, sizeof(expected), "%u.%u.%u.%u:%u", address.ip[12], address.ip[13],
                 address.ip[14], address.ip[15], port);
        cr_assert_str_eq(address_format(&address, text), expected);
    }
}

Test(address, the_ip_alone_has_no_brackets)
{
    struct address address = parsed("[2001:db8::1]:5684");
    char text[ADDRESS_TEXT_MAX];
    cr_assert_str_eq(address_format_ip(&address, text), "2001:db8::1");
}

Test(address, port_and_ip_both_count_in_equality)
{
    struct address a = parsed("192.0.2.1:1");
    struct address port = parsed("192.0.2.1:2");
    struct address ip = parsed("192.0.2.2:1");
    cr_assert_not(address_equal(&a, &port));
    cr_assert_not(address_equal(&a, &ip));
    cr_assert(address_equal(&a, &a));
}

Test(address, an_ipv4_peer_goes_to_either_family_and_back)
{
    struct address address = parsed("192.0.2.1:5684");
    struct address back;
    struct sockaddr_storage to;

    socklen_t length = address_to_sockaddr(&address, AF_INET, &to);
    cr_assert_eq(length, sizeof(struct sockaddr_in));
    cr_assert_eq(to.ss_family, AF_INET);
    cr_assert_eq(((struct sockaddr_in *)&to)->sin_port, htons(5684));
    cr_assert_eq(((struct sockaddr_in *)&to)->sin_addr.s_addr, inet_addr("192.0.2.1"));
    cr_assert_eq(address_from_sockaddr(&back, (struct sockaddr *)&to, length), STATUS_OK);
    cr_assert(address_equal(&address, &back));

    length = address_to_sockaddr(&address, AF_INET6, &to);
    cr_assert_eq(length, sizeof(struct sockaddr_in6));
    cr_assert_eq(to.ss_family, AF_INET6);
    cr_assert(IN6_IS_ADDR_V4MAPPED(&((struct sockaddr_in6 *)&to)->sin6_addr));
    cr_assert_eq(address_from_sockaddr(&back, (struct sockaddr *)&to, length), STATUS_OK);
    cr_assert(address_equal(&address, &back));
}

Test(address, an_ipv6_peer_has_no_ipv4_form)
{
    struct address address = parsed("[2001:db8::1]:5684");
    struct address back;
    struct sockaddr_storage to;
    cr_assert_eq(address_to_sockaddr(&address, AF_INET, &to), 0);
    cr_assert_eq(address_to_sockaddr(&address, AF_UNIX, &to), 0);
    socklen_t length = address_to_sockaddr(&address, AF_INET6, &to);
    cr_assert_eq(address_from_sockaddr(&back, (struct sockaddr *)&to, length), STATUS_OK);
    cr_assert(address_equal(&address, &back));
}

Test(address, other_families_and_short_ones_are_unsupported)
{
    struct address address;
    struct sockaddr_storage from = {.ss_family = AF_UNIX};
    const struct sockaddr *generic = (const struct sockaddr *)&from;
    cr_assert_eq(address_from_sockaddr(&address, generic, sizeof from), STATUS_UNSUPPORTED);
    from.ss_family = AF_INET6;
    cr_assert_eq(address_from_sockaddr(&address, generic, sizeof(struct sockaddr_in6) - 1),
                 STATUS_UNSUPPORTED);
    from.ss_family = AF_INET;
    cr_assert_eq(address_from_sockaddr(&address, generic, sizeof(struct sockaddr_in) - 1),
                 STATUS_UNSUPPORTED);
    cr_assert_eq(address_from_sockaddr(&address, generic, 0), STATUS_UNSUPPORTED);
}

Test(address, the_prefix_is_a_24_or_a_56)
{
    struct address v4 = parsed("192.0.2.129:5684");
    struct address v4_net = parsed("192.0.2.0:0");
    struct address v6 = parsed("[2001:db8:1:22ff:3::4]:5684");
    struct address v6_net = parsed("[2001:db8:1:2200::]:0");
    struct address prefix = address_prefix(&v4);
    cr_assert(address_equal(&prefix, &v4_net));
    prefix = address_prefix(&v6);
    cr_assert(address_equal(&prefix, &v6_net));
}

Test(address, the_wire_form_goes_round)
{
    struct address address = parsed("[2001:db8::1]:5684");
    uint8_t wire[ADDRESS_WIRE_SIZE];
    struct writer writer = writer_over(wire, sizeof wire);
    address_write(&writer, &address);
    cr_assert(writer_ok(&writer));
    cr_assert_eq(writer_left(&writer), 0);
    cr_assert_eq(wire[0], 0x20);
    cr_assert_eq(wire[16] << 8 | wire[17], 5684);

    struct cursor cursor = cursor_over(wire, sizeof wire);
    struct address back = address_read(&cursor);
    cr_assert(cursor_ok(&cursor));
    cr_assert(address_equal(&address, &back));
}

Test(address, a_short_wire_form_is_a_zero_address_and_an_error)
{
    uint8_t wire[ADDRESS_WIRE_SIZE];
    memset(wire, 0xff, sizeof wire);
    for (size_t length = 0; length < sizeof wire; length++) {
        struct cursor cursor = cursor_over(wire, length);
        struct address address = address_read(&cursor);
        cr_assert_not(cursor_ok(&cursor));
        cr_assert(address_equal(&address, &(struct address){0}));
    }
}
