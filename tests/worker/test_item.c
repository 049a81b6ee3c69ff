#include "worker/item.h"

#include <criterion/criterion.h>
#include <string.h>

/* RFC 8949, appendix A, and the borders between head lengths. */
Test(item, writes_the_shortest_heads)
{
    static const struct {
        uint64_t number;
        const char *bytes;
        size_t length;
    } rows[] = {
        {0, "\x00", 1},
        {23, "\x17", 1},
        {24, "\x18\x18", 2},
        {255, "\x18\xff", 2},
        {256, "\x19\x01\x00", 3},
        {65536, "\x1a\x00\x01\x00\x00", 5},
        {1000000000000, "\x1b\x00\x00\x00\xe8\xd4\xa5\x10\x00", 9},
        {UINT64_MAX, "\x1b\xff\xff\xff\xff\xff\xff\xff\xff", 9},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        uint8_t space[16];
        struct writer writer = writer_over(space, sizeof space);
        item_write_number(&writer, rows[i].number);
        cr_assert(writer_ok(&writer));
        cr_expect_eq(writer_length(&writer), rows[i].length, "row %zu", i);
        cr_expect_arr_eq(space, rows[i].bytes, rows[i].length, "row %zu", i);
    }
}

Test(item, writes_maps_and_strings)
{
    static const uint8_t octets[] = {1, 2, 3, 4};
    uint8_t space[32];
    struct writer writer = writer_over(space, sizeof space);
    item_write_map(&writer, 2);
    item_write_text(&writer, "IETF", 4);
    item_write_octets(&writer, octets, sizeof octets);
    item_write_text(&writer, "", 0);
    item_write_octets(&writer, NULL, 0);
    cr_assert(writer_ok(&writer));
    cr_assert_eq(writer_length(&writer), 13);
    cr_assert_arr_eq(space, "\xa2\x64IETF\x44\x01\x02\x03\x04\x60\x40", 13);
}

Test(item, fails_the_writer_where_there_is_no_room)
{
    uint8_t space[8];
    for (size_t size = 0; size < 6; size++) {
        struct writer writer = writer_over(space, size);
        item_write_text(&writer, "12345", 5);
        cr_expect_not(writer_ok(&writer), "%zu", size);
    }
    struct writer writer = writer_over(space, 6);
    item_write_text(&writer, "12345", 5);
    cr_expect(writer_ok(&writer));
    item_write_map(&writer, 1);
    cr_expect_not(writer_ok(&writer));
    writer = writer_over(space, 1);
    item_write_number(&writer, 24);
    cr_expect_not(writer_ok(&writer));
}

Test(item, reads_what_it_writes)
{
    static const uint64_t numbers[] = {0, 23, 24, 255, 256, 65535, 65536, UINT32_MAX, UINT64_MAX};
    uint8_t space[128];
    struct writer writer = writer_over(space, sizeof space);
    item_write_map(&writer, 300);
    item_write_text(&writer, "IETF", 4);
    item_write_octets(&writer, (const uint8_t *)"abc", 3);
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        item_write_number(&writer, numbers[i]);
    cr_assert(writer_ok(&writer));
    struct cursor cursor = cursor_over(space, writer_length(&writer));
    struct octets string;
    uint64_t number;
    cr_expect(item_read_map(&cursor, &number) && number == 300);
    cr_expect(item_read_text(&cursor, &string) && string.length == 4);
    cr_expect(item_read_octets(&cursor, &string) && string.length == 3);
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        cr_expect(item_read_number(&cursor, &number) && number == numbers[i], "%zu", i);
    cr_expect_eq(cursor_left(&cursor), 0);
    cr_expect_not(item_read_number(&cursor, &number));
}

Test(item, what_is_no_such_item_fails_the_cursor)
{
    static const struct {
        const char *bytes;
        size_t length;
    } rows[] = {
        {"", 0},
        {"\x18", 1}, /* its argument is missing */
        {"\x1b\x00\x00", 3},
        {"\x1c", 1}, /* reserved */
        {"\x1f", 1},
        {"\x20", 1},             /* negative */
        {"\x61", 1},             /* text, without its octet */
        {"\x7f\x61\x61\xff", 4}, /* of indefinite length */
        {"\x7b\xff\xff\xff\xff\xff\xff\xff\xff", 9},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct cursor cursor = cursor_over(rows[i].bytes, rows[i].length);
        struct cursor again = cursor;
        uint64_t number;
        struct octets text;
        cr_expect_not(item_read_number(&cursor, &number), "%zu", i);
        cr_expect_not(cursor_ok(&cursor), "%zu", i);
        cr_expect_not(item_read_text(&again, &text), "%zu", i);
        cr_expect_not(cursor_ok(&again), "%zu", i);
    }
}
