#include "worker/path_hold.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct path_holds *holds;

static void open_holds(void)
{
    holds = calloc(1, sizeof(*holds));
    cr_assert_not_null(holds);
}

static void close_holds(void)
{
    free(holds);
}

TestSuite(path_hold, .init = open_holds, .fini = close_holds);

static void hold(uint64_t session_id, uint64_t now_ms, const char *text)
{
    (void)!path_hold(holds, session_id, now_ms, (const uint8_t *)text, strlen(text));
}

static void expect(uint64_t session_id, uint64_t now_ms, const char *text)
{
    const struct path_held *held = path_hold_take(holds, session_id, now_ms);
    cr_assert_eq(held != NULL, text != NULL, "%s", text);
    if (!text)
        return;
    cr_expect_eq(held->length, strlen(text));
    cr_expect_eq(memcmp(held->data, text, held->length), 0, "%s", text);
}

Test(path_hold, gives_back_in_order_and_once)
{
    hold(1, 0, "one");
    hold(2, 0, "other");
    hold(1, 0, "two");
    hold(1, 0, "");
    expect(1, 1, "one");
    expect(1, 1, "two");
    expect(1, 1, "");
    expect(1, 1, NULL);
    expect(3, 1, NULL);
    expect(2, 1, "other");
    expect(2, 1, NULL);
}

Test(path_hold, nothing_waits_longer_than_its_time)
{
    hold(1, 100, "late");
    hold(1, 101, "in time");
    expect(1, 100 + PATH_HELD_MS, "in time");
    expect(1, 0, NULL);
}

Test(path_hold, the_oldest_gives_way)
{
    char text[16];
    for (unsigned i = 0; i < PATH_HELD_MAX + 3; i++) {
        snprintf(text, sizeof(text), "%u", i);
        hold(1, 0, text);
    }
    for (unsigned i = 3; i < PATH_HELD_MAX + 3; i++) {
        snprintf(text, sizeof(text), "%u", i);
        expect(1, 0, text);
    }
    expect(1, 0, NULL);
}

Test(path_hold, takes_the_longest_message_and_none_above)
{
    uint8_t message[COAP_MESSAGE_SIZE_MAX + 1];
    memset(message, 7, sizeof(message));
    cr_expect_not(path_hold(holds, 1, 0, message, COAP_MESSAGE_SIZE_MAX + 1));
    expect(1, 0, NULL);
    cr_expect(path_hold(holds, 1, 0, message, COAP_MESSAGE_SIZE_MAX));
    const struct path_held *held = path_hold_take(holds, 1, 0);
    cr_assert_not_null(held);
    cr_expect_eq(held->length, COAP_MESSAGE_SIZE_MAX);
    cr_expect_eq(memcmp(held->data, message, held->length), 0);
}
