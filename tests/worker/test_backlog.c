#include "worker/backlog.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

static struct backlog backlog;

static enum status put(uint32_t number, size_t length)
{
    uint8_t datagram[2048];
    const struct path path = {.address.port = (uint16_t)number, .lb = 3, .listener = 4};
    memset(datagram, (uint8_t)number, sizeof(datagram));
    return backlog_put(&backlog, &path, datagram, length);
}

static void expect_next(uint32_t number, size_t length)
{
    struct path path;
    size_t got;
    const uint8_t *datagram = backlog_take(&backlog, &path, &got);
    cr_assert_not_null(datagram);
    cr_assert_eq(path.address.port, (uint16_t)number);
    cr_assert_eq(path.lb, 3);
    cr_assert_eq(path.listener, 4);
    cr_assert_eq(got, length);
    for (size_t i = 0; i < length; i++)
        cr_assert_eq(datagram[i], (uint8_t)number);
}

Test(backlog, first_come_first_served)
{
    struct path path;
    size_t length;
    cr_assert_eq(backlog_init(&backlog, 4096), STATUS_OK);
    cr_assert_null(backlog_take(&backlog, &path, &length));
    cr_assert_eq(put(1, 100), STATUS_OK);
    cr_assert_eq(put(2, 0), STATUS_OK);
    cr_assert_eq(put(3, 2048), STATUS_OK);
    expect_next(1, 100);
    expect_next(2, 0);
    expect_next(3, 2048);
    cr_assert_null(backlog_take(&backlog, &path, &length));
    backlog_free(&backlog);
}

Test(backlog, refuses_what_does_not_fit)
{
    cr_assert_eq(backlog_init(&backlog, 4096), STATUS_OK);
    uint32_t count = 0;
    while (put(count, 100) == STATUS_OK)
        count++;
    cr_assert_eq(count, 4096 / 128);
    cr_assert_eq(backlog.count, count);
    expect_next(0, 100);
    cr_assert_eq(put(count, 200), STATUS_FULL);
    cr_assert_eq(put(count, 100), STATUS_OK);
    cr_assert_eq(put(count, 0), STATUS_FULL);
    for (uint32_t i = 1; i <= count; i++)
        expect_next(i, 100);
    cr_assert_eq(put(7, 2048), STATUS_OK, "an empty one has room for any");
    expect_next(7, 2048);
    backlog_free(&backlog);
}

Test(backlog, of_no_size_holds_nothing)
{
    struct path path;
    size_t length;
    cr_assert_eq(backlog_init(&backlog, 0), STATUS_OK);
    cr_assert_eq(put(1, 10), STATUS_FULL);
    cr_assert_null(backlog_take(&backlog, &path, &length));
    backlog_free(&backlog);
}

/* Lengths that meet the ring's end in every way. */
Test(backlog, goes_round)
{
    uint32_t put_count = 0, taken = 0;
    size_t lengths[64];
    srand(7);
    cr_assert_eq(backlog_init(&backlog, 8 * 301), STATUS_OK);
    for (int i = 0; i < 100000; i++) {
        size_t length = (size_t)rand() % 300;
        if (rand() % 2 && put_count - taken < 64 && put(put_count, length) == STATUS_OK)
            lengths[put_count++ % 64] = length;
        else if (taken < put_count && rand() % 2) {
            expect_next(taken, lengths[taken % 64]);
            taken++;
        }
        cr_assert_eq(backlog.count, put_count - taken);
    }
    cr_assert_gt(taken, 10000);
    backlog_free(&backlog);
}
