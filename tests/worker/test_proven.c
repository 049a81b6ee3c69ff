#include "worker/proven.h"

#include "shared/limits.h"

#include <criterion/criterion.h>

static struct proven proven = {.key = {1, 2}};

static struct address address_of(uint32_t host, uint16_t port)
{
    struct address address = {.ip = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff}, .port = port};
    for (int i = 0; i < 4; i++)
        address.ip[12 + i] = (uint8_t)(host >> (24 - 8 * i));
    return address;
}

Test(proven, an_address_for_a_while)
{
    struct address address = address_of(0xcb007107, 4711), other = address_of(0xcb007107, 4712);
    cr_expect_not(proven_has(&proven, &address, 1000));
    proven_add(&proven, &address, 1000);
    cr_expect(proven_has(&proven, &address, 1000));
    cr_expect_not(proven_has(&proven, &other, 1000));
    cr_expect(proven_has(&proven, &address, 1000 + ECHO_LIFETIME_S * 1000 - 1));
    cr_expect_not(proven_has(&proven, &address, 1000 + ECHO_LIFETIME_S * 1000));
    proven_add(&proven, &address, 1000 + ECHO_LIFETIME_S * 1000);
    cr_expect(proven_has(&proven, &address, 1000 + ECHO_LIFETIME_S * 1000));
}

Test(proven, however_many_come_none_passes_for_another)
{
    size_t kept = 0;
    for (uint32_t i = 0; i < 3 * PROVEN_SLOTS; i++) {
        struct address address = address_of(i, 5683);
        cr_assert_not(proven_has(&proven, &address, 1));
        proven_add(&proven, &address, 1);
        cr_assert(proven_has(&proven, &address, 1));
    }
    for (uint32_t i = 0; i < 3 * PROVEN_SLOTS; i++) {
        struct address address = address_of(i, 5683);
        kept += proven_has(&proven, &address, 1);
    }
    cr_expect_leq(kept, PROVEN_SLOTS);
    cr_expect_gt(kept, PROVEN_SLOTS / 2, "the newest are spread over the slots");
}
