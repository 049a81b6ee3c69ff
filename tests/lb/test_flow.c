#include "lb/flow.h"
#include "tests/lb/datagrams.h"

#include <criterion/criterion.h>

#define IDLE_MS 1000

static const struct hash_key key = {3, 4};

static struct flows *new_flows(size_t flows_max)
{
    static struct flows flows;
    cr_assert_eq(flows_init(&flows, flows_max, IDLE_MS, &key), STATUS_OK);
    return &flows;
}

static void put(struct flows *flows, uint32_t number, uint16_t worker, uint64_t now_ms)
{
    struct address source = source_v4(number, 1);
    cr_assert_eq(flows_put(flows, 0, &source, worker, now_ms), STATUS_OK);
}

static struct flow *find(struct flows *flows, uint32_t number, uint64_t now_ms)
{
    struct address source = source_v4(number, 1);
    return flows_find(flows, 0, &source, now_ms);
}

Test(flow, a_flow_is_a_listener_and_a_source)
{
    struct flows *flows = new_flows(10);
    struct address v4 = source_v4(1, 1), v4_port = source_v4(1, 2), v6 = source_v6(1, 1);
    cr_assert_null(flows_find(flows, 0, &v4, 0));
    cr_assert_eq(flows_put(flows, 0, &v4, 11, 0), STATUS_OK);
    cr_assert_eq(flows_put(flows, 1, &v4, 12, 0), STATUS_OK);
    cr_assert_eq(flows_put(flows, 0, &v4_port, 13, 0), STATUS_OK);
    cr_assert_eq(flows_put(flows, 0x80, &v6, 14, 0), STATUS_OK);
    cr_assert_eq(flows_count(flows), 4);
    cr_assert_eq(flows_find(flows, 0, &v4, 0)->worker, 11);
    cr_assert_eq(flows_find(flows, 1, &v4, 0)->worker, 12);
    cr_assert_eq(flows_find(flows, 0, &v4_port, 0)->worker, 13);
    cr_assert_eq(flows_find(flows, 0x80, &v6, 0)->worker, 14);
    cr_assert_null(flows_find(flows, 0, &v6, 0));

    cr_assert_eq(flows_put(flows, 0, &v4, 20, 0), STATUS_OK);
    cr_assert_eq(flows_find(flows, 0, &v4, 0)->worker, 20);
    cr_assert_eq(flows_count(flows), 4);
    flows_free(flows);
}

Test(flow, idle_ones_go)
{
    struct flows *flows = new_flows(10);
    put(flows, 1, 1, 0);
    put(flows, 2, 2, 0);
    put(flows, 3, 3, 400);
    flows_touch(flows, find(flows, 1, IDLE_MS - 1), IDLE_MS - 1);

    /* Looking is no use: 2 is gone when its time has come, though it was looked for. */
    cr_assert_not_null(find(flows, 2, IDLE_MS - 1));
    cr_assert_null(find(flows, 2, IDLE_MS));
    cr_assert_eq(flows_count(flows), 3);
    flows_expire(flows, IDLE_MS, 10);
    cr_assert_eq(flows_count(flows), 2);
    cr_assert_not_null(find(flows, 1, IDLE_MS));
    cr_assert_not_null(find(flows, 3, IDLE_MS));
    flows_expire(flows, 400 + IDLE_MS, 10);
    cr_assert_eq(flows_count(flows), 1);
    flows_expire(flows, 2 * IDLE_MS, 10);
    cr_assert_eq(flows_count(flows), 0);
    cr_assert_eq(flows->pool.in_use, 0);
    cr_assert_eq(flows->evicted, 0);
    flows_free(flows);
}

Test(flow, an_idle_entry_comes_back_to_life)
{
    struct flows *flows = new_flows(10);
    put(flows, 1, 1, 0);
    cr_assert_null(find(flows, 1, IDLE_MS));
    put(flows, 1, 2, IDLE_MS);
    cr_assert_eq(find(flows, 1, IDLE_MS)->worker, 2);
    cr_assert_eq(flows_count(flows), 1);
    flows_free(flows);
}

Test(flow, expiry_in_small_steps)
{
    struct flows *flows = new_flows(100);
    for (uint32_t i = 0; i < 100; i++)
        put(flows, i, 1, i);
    flows_expire(flows, 10 * IDLE_MS, 30);
    cr_assert_eq(flows_count(flows), 70);
    flows_expire(flows, 10 * IDLE_MS, 70);
    cr_assert_eq(flows_count(flows), 0);
    flows_expire(flows, 10 * IDLE_MS, 1);
    flows_free(flows);
}

Test(flow, full_evicts_the_least_recently_used)
{
    struct flows *flows = new_flows(3);
    put(flows, 1, 1, 0);
    put(flows, 2, 2, 1);
    put(flows, 3, 3, 2);
    flows_touch(flows, find(flows, 1, 3), 3);
    put(flows, 4, 4, 4);
    cr_assert_null(find(flows, 2, 4));
    cr_assert_eq(find(flows, 1, 4)->worker, 1);
    cr_assert_eq(flows->evicted, 1);
    cr_assert_eq(flows_count(flows), 3);

    /* An idle one makes room for free. */
    put(flows, 5, 5, 2 + IDLE_MS);
    cr_assert_null(find(flows, 3, 2 + IDLE_MS));
    cr_assert_eq(flows->evicted, 1);
    flows_free(flows);
}

Test(flow, a_flood_stays_within_bounds)
{
    struct flows *flows = new_flows(1000);
    for (uint32_t i = 0; i < 100000; i++)
        put(flows, i, (uint16_t)i, i / 1000);
    cr_assert_eq(flows_count(flows), 1000);
    cr_assert_eq(flows->pool.in_use, 1000);
    cr_assert_eq(flows->evicted, 99000);
    for (uint32_t i = 99000; i < 100000; i++)
        cr_assert_eq(find(flows, i, 100)->worker, (uint16_t)i);
    cr_assert_null(find(flows, 98999, 100));
    flows_free(flows);
}
