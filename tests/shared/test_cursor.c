#include "shared/cursor.h"

#include <criterion/criterion.h>

static const uint8_t octets[] = {1,  2,  3,  4,  5,  6,  7,  8,  9,  10, 11, 12,
                                 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24};

Test(cursor, reads_numbers_in_network_order)
{
    struct cursor cursor = cursor_over(octets, sizeof octets);
    cr_assert_eq(cursor_u8(&cursor), 1);
    cr_assert_eq(cursor_u16(&cursor), 0x0203);
    cr_assert_eq(cursor_u24(&cursor), 0x040506);
    cr_assert_eq(cursor_u32(&cursor), 0x0708090a);
    cr_assert_eq(cursor_u48(&cursor), UINT64_C(0x0b0c0d0e0f10));
    cr_assert_eq(cursor_u64(&cursor), UINT64_C(0x1112131415161718));
    cr_assert(cursor_ok(&cursor));
    cr_assert_eq(cursor_left(&cursor), 0);
}

Test(cursor, an_error_sticks_though_shorter_reads_would_fit)
{
    struct cursor cursor = cursor_over(octets, 3);
    cr_assert_eq(cursor_u32(&cursor), 0);
    cr_assert_not(cursor_ok(&cursor));
    cr_assert_eq(cursor_left(&cursor), 0);
    cr_assert_eq(cursor_u8(&cursor), 0);
    cr_assert_null(cursor_bytes(&cursor, 0));
    cr_assert_null(cursor_bytes(&cursor, 1));
    cr_assert_not(cursor_ok(&cursor));
}

Test(cursor, octets_are_given_in_place)
{
    struct cursor cursor = cursor_over(octets, 4);
    cr_assert_eq(cursor_bytes(&cursor, 3), octets);
    cr_assert_eq(cursor_bytes(&cursor, 0), octets + 3);
    cr_assert_null(cursor_bytes(&cursor, SIZE_MAX));
    cr_assert_not(cursor_ok(&cursor));
}

Test(cursor, a_part_has_bounds_of_its_own)
{
    struct cursor cursor = cursor_over(octets, 6);
    struct cursor part = cursor_sub(&cursor, 4);
    cr_assert_eq(cursor_u32(&part), 0x01020304);
    cr_assert_eq(cursor_u8(&part), 0);
    cr_assert_not(cursor_ok(&part));
    cr_assert(cursor_ok(&cursor), "the error of a part is the part's");
    cr_assert_eq(cursor_u16(&cursor), 0x0506);
}

Test(cursor, a_part_that_is_too_long_fails_both)
{
    struct cursor cursor = cursor_over(octets, 3);
    struct cursor part = cursor_sub(&cursor, 4);
    cr_assert_not(cursor_ok(&part));
    cr_assert_not(cursor_ok(&cursor));
    cr_assert_eq(cursor_left(&part), 0);
    cr_assert_null(cursor_bytes(&part, 1));
}

Test(writer, writes_numbers_in_network_order)
{
    uint8_t space[23];
    struct writer writer = writer_over(space, sizeof space);
    writer_u8(&writer, 1);
    writer_u16(&writer, 0x0203);
    writer_u32(&writer, 0x04050607);
    writer_u48(&writer, UINT64_C(0x08090a0b0c0d));
    writer_u64(&writer, UINT64_C(0x0e0f101112131415));
    writer_bytes(&writer, octets + 21, 2);
    cr_assert(writer_ok(&writer));
    cr_assert_eq(writer_length(&writer), sizeof space);
    cr_assert_eq(writer_left(&writer), 0);
    cr_assert_arr_eq(space, octets, sizeof space);
}

Test(writer, an_error_sticks_and_writes_nothing)
{
    uint8_t space[4] = {9, 9, 9, 9};
    struct writer writer = writer_over(space, 3);
    writer_u16(&writer, 0x0102);
    writer_u16(&writer, 0x0304);
    cr_assert_not(writer_ok(&writer));
    writer_u8(&writer, 5);
    writer_bytes(&writer, octets, 1);
    cr_assert_null(writer_space(&writer, 0));
    cr_assert_eq(writer_left(&writer), 0);
    cr_assert_eq(writer_length(&writer), 2);
    cr_assert_arr_eq(space, ((uint8_t[]){1, 2, 9, 9}), 4);
}
