#include "shared/rendezvous.h"

#include <criterion/criterion.h>

static const struct hash_key key = {1, 2};

static uint16_t choose(const void *octets, size_t length, uint16_t workers, uint16_t but)
{
    struct rendezvous rendezvous;
    uint16_t last = 0;
    rendezvous_begin(&rendezvous, &key, octets, length);
    for (uint16_t id = 1; id <= workers; id++) {
        if (id != but && rendezvous_offer(&rendezvous, id))
            last = id;
    }
    cr_assert(!rendezvous.has_best || rendezvous.best == last);
    return last;
}

Test(rendezvous, nobody_on_offer)
{
    struct rendezvous rendezvous;
    rendezvous_begin(&rendezvous, &key, "x", 1);
    cr_assert_not(rendezvous.has_best);
    cr_assert_eq(choose("x", 1, 1, 1), 0);
    cr_assert_eq(choose("x", 1, 1, 0), 1);
}

/* A known answer: lbs and workers of different versions, and on other machines, must agree. */
Test(rendezvous, known_answers)
{
    static const uint16_t expected[] = {2, 2, 7, 3, 8, 6, 6, 3, 3, 5, 2, 3, 4, 8, 8, 6};
    for (uint8_t i = 0; i < sizeof(expected) / sizeof(expected[0]); i++)
        cr_expect_eq(choose(&i, 1, 8, 0), expected[i], "key %u", i);
}

#define KEYS 20000

Test(rendezvous, one_that_goes_moves_its_share_only)
{
    size_t inherited[9] = {0};
    for (uint32_t i = 0; i < KEYS; i++) {
        uint16_t before = choose(&i, sizeof(i), 8, 0), after = choose(&i, sizeof(i), 8, 5);
        cr_assert(after != 5 && (before == 5 || after == before));
        inherited[after] += before == 5;
    }
    for (uint16_t id = 1; id <= 8; id++) /* its share is spread over all others */
        cr_assert(id == 5 ? inherited[id] == 0 : inherited[id] > 200);
}
