#include "worker/echo_value.h"

#include "shared/limits.h"

#include <criterion/criterion.h>
#include <string.h>

static const struct hash_key key = {1, 2};
static const struct hash_key other_key = {1, 3};
#define NOW_S 1700000000u

static struct address address_of(const char *text)
{
    struct address address;
    cr_assert_eq(address_parse(&address, text), STATUS_OK);
    return address;
}

/* "One way for the server to verify freshness is to bind the Echo value to a specific point in time
 * and verify that the request is not older than a certain threshold T." (RFC 9175 section 2.3) */
Test(echo_value, is_of_a_time)
{
    static const struct {
        const char *name;
        uint64_t made_s, asked_s;
        bool fresh;
    } rows[] = {
        {"at once", NOW_S, NOW_S, true},
        {"at the end of its life", NOW_S, NOW_S + ECHO_LIFETIME_S, true},
        {"a second later", NOW_S, NOW_S + ECHO_LIFETIME_S + 1, false},
        {"by a clock ahead", NOW_S + ECHO_CLOCK_SKEW_S, NOW_S, true},
        {"by one too far ahead", NOW_S + ECHO_CLOCK_SKEW_S + 1, NOW_S, false},
        {"years ago", 1, NOW_S, false},
        {"before the seconds began anew", UINT32_MAX, UINT32_MAX + 2ull, true},
    };
    struct address address = address_of("203.0.113.7:4711");
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        uint8_t value[ECHO_VALUE_SIZE];
        echo_value_make(value, &key, &address, rows[i].made_s * 1000);
        cr_expect_eq(echo_value_is_fresh((struct octets){value, sizeof value}, &key, &address,
                                         rows[i].asked_s * 1000),
                     rows[i].fresh, "%s", rows[i].name);
    }
}

/* "When used to demonstrate reachability at a claimed network address, the Echo option SHOULD be a
 * MAC of the claimed address" (RFC 9175 section 2.3) */
Test(echo_value, is_of_an_address_and_a_cluster)
{
    struct address address = address_of("203.0.113.7:4711");
    uint8_t value[ECHO_VALUE_SIZE];
    struct octets octets = {value, sizeof value};
    echo_value_make(value, &key, &address, NOW_S * 1000ull);
    cr_expect(echo_value_is_fresh(octets, &key, &address, NOW_S * 1000ull));
    cr_expect_not(echo_value_is_fresh(octets, &other_key, &address, NOW_S * 1000ull));
    struct address port = address_of("203.0.113.7:4712");
    cr_expect_not(echo_value_is_fresh(octets, &key, &port, NOW_S * 1000ull));
    struct address host = address_of("203.0.113.8:4711");
    cr_expect_not(echo_value_is_fresh(octets, &key, &host, NOW_S * 1000ull));
}

Test(echo_value, no_other_octets_pass)
{
    struct address address = address_of("[2001:db8::1]:5683");
    uint8_t value[ECHO_VALUE_SIZE + 1] = {0};
    echo_value_make(value, &key, &address, NOW_S * 1000ull);
    for (size_t length = 0; length <= sizeof value; length++)
        cr_expect_eq(
            echo_value_is_fresh((struct octets){value, length}, &key, &address, NOW_S * 1000ull),
            length == ECHO_VALUE_SIZE, "%zu octets", length);
    for (size_t bit = 0; bit < 8 * ECHO_VALUE_SIZE; bit++) {
        value[bit / 8] ^= (uint8_t)(1 << bit % 8);
        cr_expect_not(echo_value_is_fresh((struct octets){value, ECHO_VALUE_SIZE}, &key, &address,
                                          NOW_S * 1000ull),
                      "bit %zu", bit);
        value[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
}
