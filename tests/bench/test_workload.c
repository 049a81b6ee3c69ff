#include <criterion/criterion.h>

#include "bench/workload.h"

#include <string.h>

Test(workload, each_has_a_name)
{
    for (size_t i = 0; i < WORKLOADS; i++)
        cr_assert_not_null(workload_names[i]);
    cr_assert_null(workload_names[WORKLOADS]);
}

Test(workload, one_kind_each)
{
    for (uint32_t number = 0; number < 20; number++) {
        cr_assert_eq(workload_operation(WORKLOAD_GET, 3, number), OPERATION_GET);
        cr_assert_eq(workload_operation(WORKLOAD_POST, 3, number), OPERATION_POST);
        cr_assert_eq(workload_operation(WORKLOAD_ECHO, 3, number), OPERATION_ECHO);
        cr_assert_eq(workload_operation(WORKLOAD_REBIND, 3, number), OPERATION_ECHO);
        cr_assert_eq(workload_operation(WORKLOAD_EVENTS, 3, number), OPERATION_EVENT);
    }
}

Test(workload, mix_has_all_kinds_at_any_moment)
{
    unsigned over_time[OPERATION_EVENT + 1] = {0}, over_devices[OPERATION_EVENT + 1] = {0};
    for (uint32_t i = 0; i < 10; i++) {
        over_time[workload_operation(WORKLOAD_MIX, 7, i)]++;
        over_devices[workload_operation(WORKLOAD_MIX, i, 7)]++;
    }
    cr_assert_eq(over_time[OPERATION_EVENT], 5);
    cr_assert_eq(over_time[OPERATION_ECHO], 2);
    cr_assert_eq(over_time[OPERATION_GET], 2);
    cr_assert_eq(over_time[OPERATION_POST], 1);
    cr_assert_arr_eq(over_time, over_devices, sizeof(over_time));
}

Test(workload, rebinds_as_often_as_it_is_told)
{
    unsigned count = 0;
    cr_assert_not(workload_rebinds(WORKLOAD_ECHO, 0, 10, 1));
    cr_assert_not(workload_rebinds(WORKLOAD_REBIND, 0, 0, 1), "its port is new");
    cr_assert(workload_rebinds(WORKLOAD_REBIND, 0, 1, 1));
    cr_assert(workload_rebinds(WORKLOAD_REBIND, 0, 1, 0), "each time by default");
    for (uint32_t number = 1; number <= 100; number++)
        count += workload_rebinds(WORKLOAD_REBIND, 3, number, 10);
    cr_assert_eq(count, 10);
}

Test(workload, event_names_are_unlike)
{
    uint8_t one[WORKLOAD_PAYLOAD_MAX], other[WORKLOAD_PAYLOAD_MAX];
    size_t length = workload_payload(OPERATION_EVENT, 0xabc, 1, 2, 10, one);
    cr_assert_eq(length, WORKLOAD_EVENT_MIN, "a name is never cut");
    cr_assert_eq(memcmp(one, "0000000000000abc-00000001-0000002", WORKLOAD_EVENT_MIN), 0);
    (void)workload_payload(OPERATION_EVENT, 0xabc, 2, 2, 10, other);
    cr_assert_neq(memcmp(one, other, length), 0);
    (void)workload_payload(OPERATION_EVENT, 0xabc, 1, 3, 10, other);
    cr_assert_neq(memcmp(one, other, length), 0);
    cr_assert_eq(workload_payload(OPERATION_EVENT, 0xabc, 1, 2, 40, other), 40);
    cr_assert_eq(memcmp(other, one, WORKLOAD_EVENT_MIN), 0);
    cr_assert_eq(memcmp(other + WORKLOAD_EVENT_MIN, ".......", 7), 0);
}

Test(workload, payloads)
{
    uint8_t one[WORKLOAD_PAYLOAD_MAX], other[WORKLOAD_PAYLOAD_MAX];
    cr_assert_eq(workload_payload(OPERATION_GET, 1, 1, 1, 32, one), 0);
    cr_assert_eq(workload_payload(OPERATION_ECHO, 1, 1, 1, 0, one), 0);
    cr_assert_eq(workload_payload(OPERATION_ECHO, 1, 1, 1, 1024, one), 1024);
    cr_assert_eq(workload_payload(OPERATION_ECHO, 1, 1, 2, 1024, other), 1024);
    cr_assert_neq(memcmp(one, other, 1024), 0);
}

Test(pace, closed_loop_is_never_due)
{
    struct pace pace = {.start_us = 5};
    uint64_t due_us;
    cr_assert_eq(pace_due_us(&pace), UINT64_MAX);
    cr_assert_not(pace_take(&pace, UINT64_MAX - 1, &due_us));
}

/* A late look takes all that was due, each at its own time. */
Test(pace, open_loop)
{
    struct pace pace = {.start_us = 1000, .rate = 300};
    uint64_t due_us;
    cr_assert_not(pace_take(&pace, 999, &due_us));
    for (uint64_t i = 0; i < 300; i++) {
        cr_assert(pace_take(&pace, 1000999, &due_us));
        cr_assert_eq(due_us, 1000 + i * 1000000 / 300);
    }
    cr_assert_not(pace_take(&pace, 1000999, &due_us));
    cr_assert_eq(pace_due_us(&pace), 1001000);
}

Test(pace, does_not_drift)
{
    struct pace pace = {.rate = 7, .taken = UINT64_C(7) * 86400 * 365};
    cr_assert_eq(pace_due_us(&pace), UINT64_C(86400) * 365 * 1000000);
}

Test(workload, stamps)
{
    uint8_t space[WORKLOAD_PAYLOAD_MAX];
    uint64_t us;
    size_t length = workload_stamp(0x123456789abcdef, 32, space);
    cr_assert_eq(length, 32);
    cr_assert(workload_read_stamp(space, length, &us));
    cr_assert_eq(us, 0x123456789abcdef);
    cr_assert_eq(workload_stamp(1, 0, space), 16, "a stamp is never cut");
    cr_assert_not(workload_read_stamp(space, 15, &us));
    space[3] = 'g';
    cr_assert_not(workload_read_stamp(space, 16, &us));
}
