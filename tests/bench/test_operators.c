#include <criterion/criterion.h>

#include "bench/clock.h"
#include "bench/operators.h"
#include "tests/bench/clerk.h"

#include <stdlib.h>
#include <string.h>

#define DEADLINE_US 20000000

static struct clerk clerk, other;
static struct operators *operators;
static size_t told;
static int statuses[128];
static uint64_t tooks_us[128];

static void done(void *owner, uint32_t tag, int status, uint64_t took_us)
{
    cr_assert_eq(owner, &clerk);
    cr_assert_lt(tag, 128);
    statuses[tag] = status;
    tooks_us[tag] = took_us;
    told++;
}

static void start(void)
{
    clerk_start(&clerk);
    clerk_start(&other);
    clerk.books->statuses[0] = other.books->statuses[0] = 201;
    cr_assert_eq(operators_new(&operators, &clerk.address, "a/\"b\"?c=1", done, &clerk), STATUS_OK);
}

static void stop(void)
{
    operators_free(operators);
    clerk_stop(&clerk);
    clerk_stop(&other);
}

static enum status observe(uint32_t tag)
{
    static const uint8_t cid[] = {0x07, 0x20, 0xb1, 0xd0};
    return operators_observe(operators, tag, (struct octets){cid, sizeof(cid)});
}

static void until_told(size_t count)
{
    uint64_t deadline_us = clock_now_us() + DEADLINE_US;
    while (told < count) {
        operators_run(operators);
        cr_assert_lt(clock_now_us(), deadline_us);
    }
    cr_assert_eq(told, count);
}

Test(operators, asks_for_a_session, .init = start, .fini = stop)
{
    cr_assert_eq(observe(5), STATUS_OK);
    cr_assert_eq(operators_calls(operators), 1);
    until_told(1);
    cr_assert_eq(statuses[5], 201);
    cr_assert_gt(tooks_us[5], 0);
    cr_assert_eq(operators_calls(operators), 0);
    cr_assert_eq(operators_workers(operators), 1);
    const char *request = clerk.books->requests[0];
    cr_assert_not_null(strstr(request, "POST /api/v1/sessions/0720b1d0/observations HTTP/1.1\r\n"));
    cr_assert_not_null(strstr(request, "\r\n\r\n{\"path\":\"/a/\\\"b\\\"?c=1\"}"), "%s", request);
}

Test(operators, follow_to_the_worker_that_has_it, .init = start, .fini = stop)
{
    clerk.books->statuses[0] = 307;
    (void)address_format(&other.address, clerk.books->location);
    strcpy(other.books->metrics, "# HELP some_total x\nsome_total_more 9\nsome_total{a=\"b\"} 8\n"
                                 "some_total 17\n");
    strcpy(clerk.books->metrics, "some_total 1\n");
    cr_assert_eq(observe(0), STATUS_OK);
    until_told(1);
    cr_assert_eq(statuses[0], 201);
    cr_assert_eq(other.books->posts, 1);
    cr_assert_not_null(strstr(other.books->requests[0], "\r\n\r\n{\"path\":"), "still with a body");
    /* It is that one whose count matters. */
    uint64_t sum;
    cr_assert_eq(operators_workers(operators), 1);
    cr_assert_eq(operators_count(operators, "some_total", &sum), STATUS_OK);
    cr_assert_eq(sum, 17);
    cr_assert_eq(operators_count(operators, "some_total{a=\"b\"}", &sum), STATUS_OK);
    cr_assert_eq(sum, 8);
    cr_assert_eq(operators_count(operators, "some", &sum), STATUS_NOT_FOUND);
}

Test(operators, add_up_what_workers_count, .init = start, .fini = stop)
{
    uint64_t sum;
    clerk.books->statuses[1] = 307;
    (void)address_format(&other.address, clerk.books->location);
    strcpy(clerk.books->metrics, "some_total 3\n");
    strcpy(other.books->metrics, "some_total 4");
    cr_assert_eq(operators_count(operators, "some_total", &sum), STATUS_OK);
    cr_assert_eq(sum, 0, "none of them observes anything");
    cr_assert_eq(observe(0), STATUS_OK);
    until_told(1);
    cr_assert_eq(observe(1), STATUS_OK);
    until_told(2);
    cr_assert_eq(operators_workers(operators), 2);
    cr_assert_eq(operators_count(operators, "some_total", &sum), STATUS_OK);
    cr_assert_eq(sum, 7);
    other.books->metrics[0] = '\0';
    cr_assert_eq(operators_count(operators, "some_total", &sum), STATUS_NOT_FOUND);
}

Test(operators, tell_what_was_refused, .init = start, .fini = stop)
{
    clerk.books->statuses[0] = 503;
    clerk.books->statuses[1] = 409;
    cr_assert_eq(observe(0), STATUS_OK);
    until_told(1);
    cr_assert_eq(observe(1), STATUS_OK);
    until_told(2);
    cr_assert_eq(statuses[0], 503);
    cr_assert_eq(statuses[1], 409);
    cr_assert_eq(operators_workers(operators), 0, "nobody has begun one");
}

Test(operators, are_not_sent_in_circles, .init = start, .fini = stop)
{
    clerk.books->statuses[0] = 307;
    (void)address_format(&clerk.address, clerk.books->location);
    cr_assert_eq(observe(0), STATUS_OK);
    until_told(1);
    cr_assert_eq(statuses[0], 0);
}

Test(operators, are_so_many, .init = start, .fini = stop)
{
    for (uint32_t i = 0; i < OPERATORS_CALLS_MAX; i++)
        cr_assert_eq(observe(i), STATUS_OK);
    cr_assert_eq(observe(99), STATUS_FULL);
    cr_assert_eq(operators_calls(operators), OPERATORS_CALLS_MAX);
    until_told(OPERATORS_CALLS_MAX);
    for (uint32_t i = 0; i < OPERATORS_CALLS_MAX; i++)
        cr_assert_eq(statuses[i], 201, "%u", i);
    cr_assert_eq(observe(99), STATUS_OK, "there is room again");
}

Test(operators, nobody_listens)
{
    struct address nowhere;
    cr_assert_eq(address_parse(&nowhere, "127.0.0.1:1"), STATUS_OK);
    cr_assert_eq(operators_new(&operators, &nowhere, "/temp", done, &clerk), STATUS_OK);
    cr_assert_eq(observe(3), STATUS_OK);
    until_told(1);
    cr_assert_eq(statuses[3], 0);
    operators_free(operators);
}
