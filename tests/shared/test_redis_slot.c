#include "shared/redis_slot.h"

#include <criterion/criterion.h>
#include <string.h>

static uint16_t slot(const char *key)
{
    return redis_slot_of(key, strlen(key));
}

/* Redis cluster specification, appendix A. */
Test(redis_slot, check_value_of_the_crc)
{
    cr_assert_eq(redis_crc16("123456789", 9), 0x31c3);
    cr_assert_eq(redis_crc16("", 0), 0);
}

Test(redis_slot, hash_tags)
{
    cr_assert_eq(slot("123456789"), 0x31c3 % REDIS_SLOTS);
    cr_assert_eq(slot("hf:{3f}:sabc"), slot("hf:{3f}:xabc"));
    cr_assert_eq(slot("{user1000}.following"), slot("user1000"));
    cr_assert_eq(slot("foo{{bar}}zap"), slot("{bar"));
    cr_assert_eq(slot("foo{bar}{zap}"), slot("bar"));
    /* No tag: empty, or not closed. */
    cr_assert_eq(slot("foo{}{bar}"), redis_crc16("foo{}{bar}", 10) % REDIS_SLOTS);
    cr_assert_eq(slot("foo{bar"), redis_crc16("foo{bar", 7) % REDIS_SLOTS);
    cr_assert_eq(slot("}{"), redis_crc16("}{", 2) % REDIS_SLOTS);
    cr_assert_eq(redis_slot_of(NULL, 0), 0);
}
