#include "lb/route.h"
#include "tests/lb/datagrams.h"

#include <criterion/criterion.h>

static const struct hash_key key = {7, 8};
static const uint8_t cid[8] = {7, 1, 2, 3, 4, 5, 6, 7};

/* Workers 1 to n in the given states. */
static struct membership *with_states(const enum member_state *states, uint16_t count)
{
    static struct membership membership;
    membership_init(&membership, &key);
    for (uint16_t id = 1; id <= count; id++) {
        struct address address = source_v4(id, 7000);
        struct member *member;
        struct boot_id boot = {.bytes = {1}};
        struct frame_health health = {.worker_id = id, .state = FRAME_STATE_SERVING};
        cr_assert_eq(membership_add(&membership, id, &address), STATUS_OK);
        if (states[id - 1] == MEMBER_DEAD)
            continue;
        if (states[id - 1] == MEMBER_DRAINING)
            health.state = FRAME_STATE_DRAINING;
        cr_assert_eq(membership_pong(&membership, &address, &boot, &health, 0, &member),
                     PONG_STATE_CHANGED);
    }
    return &membership;
}

static struct classification with_cid(uint64_t worker)
{
    return (struct classification){
        .outcome = CLASS_ROUTABLE_CID, .worker = worker, .cid = cid, .cid_length = sizeof(cid)};
}

#define S MEMBER_SERVING
#define D MEMBER_DEAD
#define G MEMBER_DRAINING
#define ANY 0xffff /* whom the hash names, as long as it serves */

/* Section 4, rule by rule: three workers in these states. */
static const struct {
    enum member_state states[3];
    enum class_outcome class;
    uint16_t cid_worker;
    uint16_t flow_worker; /* 0: no flow */
    enum route_outcome outcome;
    uint16_t to; /* 0: nobody */
} rows[] = {
    /* 1: the CID's worker is alive, whatever the flow says */
    {{S, S, S}, CLASS_ROUTABLE_CID, 2, 0, ROUTE_BY_CID, 2},
    {{S, S, S}, CLASS_ROUTABLE_CID, 2, 3, ROUTE_BY_CID, 2},
    {{D, S, D}, CLASS_ROUTABLE_CID, 2, 1, ROUTE_BY_CID, 2},
    /* 2: it is dead, draining or unknown */
    {{S, D, S}, CLASS_ROUTABLE_CID, 2, 0, ROUTE_REHASHED, ANY},
    {{S, G, S}, CLASS_ROUTABLE_CID, 2, 0, ROUTE_REHASHED, ANY},
    {{S, S, S}, CLASS_ROUTABLE_CID, 999, 0, ROUTE_REHASHED, ANY},
    {{S, D, D}, CLASS_ROUTABLE_CID, 2, 0, ROUTE_REHASHED, 1},
    {{D, D, S}, CLASS_ROUTABLE_CID, 2, 0, ROUTE_REHASHED, 3},
    {{D, D, D}, CLASS_ROUTABLE_CID, 2, 0, ROUTE_NO_WORKER, 0},
    /* nobody serves: the session's own worker, else another that drains */
    {{G, G, G}, CLASS_ROUTABLE_CID, 1, 0, ROUTE_BY_CID, 1},
    {{G, G, G}, CLASS_ROUTABLE_CID, 3, 0, ROUTE_BY_CID, 3},
    {{D, G, D}, CLASS_ROUTABLE_CID, 1, 0, ROUTE_REHASHED, 2},
    {{D, G, D}, CLASS_ROUTABLE_CID, 999, 0, ROUTE_REHASHED, 2},
    /* 3: a flow whose worker is alive */
    {{S, S, S}, CLASS_NO_CID, 0, 3, ROUTE_BY_FLOW, 3},
    {{S, S, G}, CLASS_NO_CID, 0, 3, ROUTE_BY_FLOW, 3},
    /* 4: none, or its worker is dead or unknown */
    {{S, S, S}, CLASS_NO_CID, 0, 0, ROUTE_HASHED, ANY},
    {{S, S, D}, CLASS_NO_CID, 0, 3, ROUTE_HASHED, ANY},
    {{S, S, S}, CLASS_NO_CID, 0, 77, ROUTE_HASHED, ANY},
    {{D, S, D}, CLASS_NO_CID, 0, 3, ROUTE_HASHED, 2},
    {{D, S, G}, CLASS_NO_CID, 0, 0, ROUTE_HASHED, 2},
    {{D, D, G}, CLASS_NO_CID, 0, 0, ROUTE_HASHED, 3},
    {{D, D, D}, CLASS_NO_CID, 0, 3, ROUTE_NO_WORKER, 0},
    /* 5: OSCORE goes before the flow */
    {{S, S, S}, CLASS_OSCORE, 0, 3, ROUTE_BY_OSCORE, ANY},
    {{S, D, D}, CLASS_OSCORE, 0, 3, ROUTE_BY_OSCORE, 1},
    {{D, D, D}, CLASS_OSCORE, 0, 3, ROUTE_NO_WORKER, 0},
    /* counted and dropped, whatever else is there */
    {{S, S, S}, CLASS_UNROUTABLE_CID, 0, 3, ROUTE_UNROUTABLE, 0},
    {{S, S, S}, CLASS_UNKNOWN_CONFIG, 0, 3, ROUTE_UNROUTABLE, 0},
    {{S, S, S}, CLASS_WRONG_LENGTH, 0, 3, ROUTE_UNROUTABLE, 0},
    {{S, S, S}, CLASS_MALFORMED, 0, 3, ROUTE_UNROUTABLE, 0},
    {{S, S, S}, CLASS_VERSION, 0, 3, ROUTE_UNROUTABLE, 0},
    {{D, D, D}, CLASS_MALFORMED, 0, 0, ROUTE_UNROUTABLE, 0},
};

Test(route, rules_in_order)
{
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct membership *membership = with_states(rows[i].states, 3);
        struct classification class = with_cid(rows[i].cid_worker);
        class.outcome = rows[i].class;
        class.oscore = (struct oscore_ids){.kid = cid, .kid_length = 2};
        struct address source = source_v4(1, 1);
        struct flow flow = {.worker = rows[i].flow_worker};
        struct member *member;
        enum route_outcome outcome =
            route_choose(membership, &class, &source, rows[i].flow_worker ? &flow : NULL, &member);
        cr_assert_eq(outcome, rows[i].outcome, "row %zu: %d", i, outcome);
        if (rows[i].to == 0)
            cr_assert_null(member, "row %zu", i);
        else if (rows[i].to == ANY)
            cr_assert_eq(member->state, MEMBER_SERVING, "row %zu", i);
        else
            cr_assert_eq(member->id, rows[i].to, "row %zu: %u", i, member->id);
    }
}

/* A worker that drains has until its end to let its sessions go. */
Test(route, a_session_leaves_the_flow_of_a_worker_that_drains)
{
    static const struct {
        enum member_state states[3];
        bool carries_data;
        enum route_outcome outcome;
        uint16_t to;
    } cases[] = {
        {{S, G, D}, true, ROUTE_HASHED, 1},  {{S, G, D}, false, ROUTE_BY_FLOW, 2},
        {{G, G, G}, true, ROUTE_BY_FLOW, 2}, {{D, G, D}, true, ROUTE_BY_FLOW, 2},
        {{S, S, S}, true, ROUTE_BY_FLOW, 2}, {{S, D, D}, true, ROUTE_HASHED, 1},
    };
    const struct address source = source_v4(1, 1);
    const struct flow flow = {.worker = 2};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct membership *membership = with_states(cases[i].states, 3);
        const struct classification class = {.outcome = CLASS_NO_CID,
                                             .carries_data = cases[i].carries_data};
        struct member *member;
        cr_expect_eq(route_choose(membership, &class, &source, &flow, &member), cases[i].outcome,
                     "case %zu", i);
        cr_assert_not_null(member, "case %zu", i);
        cr_expect_eq(member->id, cases[i].to, "case %zu: %u", i, member->id);
    }
}

Test(route, only_datagrams_without_cid_meet_the_flow_table)
{
    for (enum class_outcome outcome = CLASS_ROUTABLE_CID; outcome <= CLASS_VERSION; outcome++) {
        struct classification class = {.outcome = outcome};
        cr_assert_eq(route_asks_flow(&class), outcome == CLASS_NO_CID);
    }
}

/* A device that comes from another address, by whichever lb, finds its dead worker's heir. */
Test(route, the_heir_follows_from_the_cid_alone)
{
    static const enum member_state states[8] = {S, S, D, S, S, S, S, S};
    struct membership *membership = with_states(states, 8);
    struct classification class = with_cid(3);
    struct member *first = NULL, *member;
    for (uint32_t i = 0; i < 100; i++) {
        struct address source = source_v4(i, (uint16_t)i);
        cr_assert_eq(route_choose(membership, &class, &source, NULL, &member), ROUTE_REHASHED);
        first = first ? first : member;
        cr_assert_eq(member, first);
    }
}

/* The port counts: devices behind one NAT are spread. */
Test(route, sources_are_spread_by_address_and_port)
{
    static const enum member_state states[4] = {S, S, S, S};
    struct membership *membership = with_states(states, 4);
    struct classification class = {.outcome = CLASS_NO_CID};
    size_t share[5] = {0};
    struct member *member;
    for (uint16_t port = 1; port <= 4000; port++) {
        struct address source = source_v4(1, port);
        cr_assert_eq(route_choose(membership, &class, &source, NULL, &member), ROUTE_HASHED);
        share[member->id]++;
    }
    for (uint16_t id = 1; id <= 4; id++)
        cr_assert(share[id] > 850 && share[id] < 1150, "worker %u: %zu", id, share[id]);
}

Test(route, oscore_by_kid_and_context)
{
    static const enum member_state states[8] = {S, S, S, S, S, S, S, S};
    struct membership *membership = with_states(states, 8);
    size_t moved_by_context = 0;
    for (uint8_t i = 0; i < 100; i++) {
        struct member *here, *there, *other;
        struct classification class = {.outcome = CLASS_OSCORE};
        struct address a = source_v4(1, 1), b = source_v6(2, 2);
        class.oscore = (struct oscore_ids){.kid = &i, .kid_length = 1};
        cr_assert_eq(route_choose(membership, &class, &a, NULL, &here), ROUTE_BY_OSCORE);
        cr_assert_eq(route_choose(membership, &class, &b, NULL, &there), ROUTE_BY_OSCORE);
        cr_assert_eq(here, there);
        class.oscore.context = cid;
        class.oscore.context_length = 8;
        cr_assert_eq(route_choose(membership, &class, &a, NULL, &other), ROUTE_BY_OSCORE);
        moved_by_context += other != here;
    }
    cr_assert_gt(moved_by_context, 50);

    /* Ids as long as a datagram are cut, not overrun. */
    static uint8_t long_id[DATAGRAM_SIZE_MAX];
    struct classification class = {.outcome = CLASS_OSCORE,
                                   .oscore = {.kid = long_id,
                                              .kid_length = sizeof(long_id),
                                              .context = long_id,
                                              .context_length = 255}};
    struct address source = source_v4(1, 1);
    struct member *member;
    cr_assert_eq(route_choose(membership, &class, &source, NULL, &member), ROUTE_BY_OSCORE);
}
