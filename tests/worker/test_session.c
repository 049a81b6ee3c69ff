#include "worker/session.h"

#include "shared/limits.h"
#include "worker/facts.h"

#include <criterion/criterion.h>
#include <malloc.h>
#include <stdio.h>
#include <string.h>

static struct sessions sessions;
static const struct hash_key hash_key = {11, 12};

static void open_sessions(void)
{
    cr_assert_eq(sessions_init(&sessions, 8, &hash_key), STATUS_OK);
}

static void close_sessions(void)
{
    sessions_free(&sessions);
}

TestSuite(session, .init = open_sessions, .fini = close_sessions);

static struct cid cid_of(uint32_t number)
{
    struct cid cid = {.length = 8, .bytes = {0x27}};
    memcpy(cid.bytes + 4, &number, sizeof(number));
    return cid;
}

static const struct session_keys keys = {
    .read = {.key = {1, [31] = 2}, .iv = {3, [11] = 4}},
    .write = {.key = {5, [31] = 6}, .iv = {7, [11] = 8}},
};

static enum status try_add(const struct cid *cid, const void *identity, size_t length,
                           uint8_t suite, uint32_t now_s, struct session **session)
{
    const struct session_origin origin = {.own_cid = cid,
                                          .identity = identity,
                                          .identity_length = length,
                                          .suite = suite,
                                          .keys = &keys};
    return session_add(&sessions, &origin, now_s, session);
}

static struct session *add(uint32_t number)
{
    const struct cid cid = cid_of(number);
    struct session *session;
    cr_assert_eq(try_add(&cid, "device", 6, 0, 100 + number, &session), STATUS_OK);
    return session;
}

static struct session *find(uint32_t number)
{
    const struct cid cid = cid_of(number);
    return session_by_cid(&sessions, cid.bytes, cid.length);
}

static void live_at(struct session *session, uint16_t port)
{
    session_leave_address(&sessions, session);
    session->path.address = (struct address){.ip = {1}, .port = port};
}

Test(session, is_found_by_its_whole_cid)
{
    struct session *one = add(1), *two = add(2);
    struct cid cid = cid_of(1);
    cr_expect_eq(find(1), one);
    cr_expect_eq(find(2), two);
    cr_expect_null(find(3));
    cr_expect_null(session_by_cid(&sessions, cid.bytes, 7));
    cr_expect_null(session_by_cid(&sessions, cid.bytes, 0));
    cr_expect_neq(one->id, two->id);
    cr_expect_neq(one->id, 0, "0 is nobody");
    session_remove(&sessions, one);
    cr_expect_null(find(1));
    cr_expect_eq(find(2), two);
    uint64_t id = two->id;
    cr_expect_gt(add(1)->id, id, "ids are not used again");
}

Test(session, starts_empty)
{
    struct session *session = add(7);
    size_t length;
    cr_expect_eq(memcmp(session_identity(session, &length), "device", 6), 0);
    cr_expect_eq(length, 6);
    cr_expect_eq(session->last_used_s, 107);
    cr_expect_eq(session->lease_left, 0);
    cr_expect(!session->by_address && !session->path_proven && !session->heard);
}

/* Keys are as long as the suite wants, and identities as they are: neither takes from the other. */
Test(session, holds_keys_and_identity_of_any_length)
{
    static const size_t lengths[] = {0, 1, 8, IDENTITY_LENGTH_MAX};
    uint8_t identity[IDENTITY_LENGTH_MAX];
    memset(identity, 0xee, sizeof(identity));
    for (uint8_t suite = 0; suite < suites_count; suite++) {
        for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
            const struct cid cid = cid_of(i);
            struct session *session;
            struct record_keys got;
            size_t length;
            cr_assert_eq(try_add(&cid, identity, lengths[i], suite, 0, &session), STATUS_OK);
            cr_expect_eq(session_suite(session), &suites[suite]);
            session_keys(session, SESSION_READ, &got);
            cr_expect_eq(memcmp(got.key, keys.read.key, suites[suite].key_length), 0);
            cr_expect_eq(memcmp(got.iv, keys.read.iv, suites[suite].iv_length), 0);
            session_keys(session, SESSION_WRITE, &got);
            cr_expect_eq(memcmp(got.key, keys.write.key, suites[suite].key_length), 0);
            cr_expect_eq(memcmp(got.iv, keys.write.iv, suites[suite].iv_length), 0);
            cr_expect_eq(memcmp(session_identity(session, &length), identity, lengths[i]), 0);
            cr_expect_eq(length, lengths[i]);
            session_remove(&sessions, session);
        }
    }
    cr_expect_eq(session_size(&suites[0], 8), 208, "session.h says so");
}

Test(session, refusals)
{
    struct session *session = NULL;
    uint8_t identity[IDENTITY_LENGTH_MAX + 1] = {0};
    struct cid cid = cid_of(1);
    cr_expect_eq(try_add(&cid, identity, sizeof(identity), 0, 0, &session), STATUS_TOO_LONG);
    cr_expect_eq(try_add(&cid, identity, IDENTITY_LENGTH_MAX, 0, 0, &session), STATUS_OK);
    size_t length;
    session_identity(session, &length);
    cr_expect_eq(length, IDENTITY_LENGTH_MAX);
    cr_expect_eq(try_add(&cid, identity, 1, 0, 0, &session), STATUS_EXISTS);
    for (uint32_t i = 2; i <= 8; i++)
        (void)add(i);
    cid = cid_of(9);
    cr_expect_eq(try_add(&cid, identity, 1, 0, 0, &session), STATUS_FULL);
    session_remove(&sessions, find(4));
    cr_expect_eq(try_add(&cid, NULL, 0, 0, 0, &session), STATUS_OK);
}

Test(session, an_address_has_one_session)
{
    struct session *one = add(1), *two = add(2);
    const struct address address = {.ip = {1}, .port = 5};
    cr_expect_null(session_by_address(&sessions, &address));
    live_at(one, 5);
    live_at(two, 5);
    cr_expect_eq(session_claim_address(&sessions, one), STATUS_OK);
    cr_expect(one->by_address);
    cr_expect_eq(session_claim_address(&sessions, two), STATUS_EXISTS);
    cr_expect(!two->by_address);
    cr_expect_eq(session_by_address(&sessions, &address), one);
    session_leave_address(&sessions, two); /* never was there */
    cr_expect_eq(session_by_address(&sessions, &address), one);
    session_leave_address(&sessions, one);
    cr_expect_null(session_by_address(&sessions, &address));
    cr_expect_eq(session_claim_address(&sessions, two), STATUS_OK);
    session_remove(&sessions, one);
    cr_expect_eq(session_by_address(&sessions, &address), two);
    session_remove(&sessions, two);
    cr_expect_null(session_by_address(&sessions, &address));
    cr_expect_eq(sessions.by_address.count, 0);
}

static void expect_order(const uint32_t *numbers, size_t count)
{
    const struct session *session = sessions.oldest, *before = NULL;
    for (size_t i = 0; i < count; i++) {
        cr_assert_not_null(session);
        cr_expect_eq(session, find(numbers[i]), "place %zu", i);
        cr_expect_eq(session->older, before);
        before = session;
        session = session->newer;
    }
    cr_expect_null(session);
    cr_expect_eq(sessions.newest, before);
}

Test(session, the_list_is_in_order_of_use)
{
    for (uint32_t i = 1; i <= 4; i++)
        (void)add(i);
    expect_order((uint32_t[]){1, 2, 3, 4}, 4);
    session_touch(&sessions, find(1), 500);
    expect_order((uint32_t[]){2, 3, 4, 1}, 4);
    cr_expect_eq(find(1)->last_used_s, 500);
    session_touch(&sessions, find(1), 501);
    expect_order((uint32_t[]){2, 3, 4, 1}, 4);
    cr_expect_eq(find(1)->last_used_s, 501);
    session_touch(&sessions, find(3), 502);
    expect_order((uint32_t[]){2, 4, 1, 3}, 4);
    session_remove(&sessions, find(1));
    expect_order((uint32_t[]){2, 4, 3}, 3);
    session_remove(&sessions, find(2));
    session_remove(&sessions, find(3));
    expect_order((uint32_t[]){4}, 1);
    session_touch(&sessions, find(4), 503);
    session_remove(&sessions, find(4));
    expect_order(NULL, 0);
    cr_expect_null(sessions.oldest);
}

Test(session, describes_itself)
{
    struct session *session = add(3);
    struct session_facts facts;
    session->suite = 1;
    session->peer_cid = (struct cid){.length = 2, .bytes = {9, 8}};
    session->path.address.port = 77;
    session->previous_address.port = 66;
    session->address_changes = 5;
    session_describe(session, &facts);
    cr_expect_eq(facts.identity_length, 6);
    cr_expect_eq(memcmp(facts.identity, "device", 6), 0);
    cr_expect_str_eq(facts.cipher_suite, suites[1].name);
    cr_expect_eq(facts.own_cid.length, 0, "the peer puts none on its records");
    cr_expect(cid_equal(&facts.peer_cid, &session->peer_cid));
    cr_expect_eq(facts.address.port, 77);
    cr_expect_eq(facts.previous_address.port, 66);
    cr_expect_eq(facts.address_changes, 5);
    session->uses_cid = true;
    session_describe(session, &facts);
    cr_expect(cid_equal(&facts.own_cid, &session->own_cid));
}

/* The formula of session.h: SESSION_SIZE_MAX, the identity, and two slots of 8 octets at a load
 * that is never under 3/8, while a table grows half as much again. */
Test(session, a_hundred_thousand_take_what_the_header_says)
{
    enum { MANY = 100000 };
    close_sessions();
    size_t before = mallinfo2().uordblks + mallinfo2().hblkhd;
    cr_assert_eq(sessions_init(&sessions, MANY, &hash_key), STATUS_OK);
    for (uint32_t i = 0; i < MANY; i++) {
        struct session *session = add(i);
        session->path.address = (struct address){.port = (uint16_t)i};
        session->path.address.ip[0] = (uint8_t)(i >> 16);
        cr_assert_eq(session_claim_address(&sessions, session), STATUS_OK);
    }
    const size_t size = session_size(&suites[0], 6);
    const size_t bound = size + 2 * 8 * 8 / 3 * 3 / 2;
    size_t memory = sessions_memory(&sessions);
    size_t heap = mallinfo2().uordblks + mallinfo2().hblkhd - before;
    cr_expect_leq(memory, bound * MANY + 256 * size);
    cr_expect_leq(heap, (bound + 1) * MANY + 256 * size);
    printf("sessions: %zu octets each in pool and tables, %zu of heap with identities of 6\n",
           memory / MANY, heap / MANY);
    for (uint32_t i = 0; i < MANY; i++)
        cr_assert_not_null(find(i));
    for (uint32_t i = 0; i < MANY; i += 2)
        session_remove(&sessions, find(i));
    for (uint32_t i = 0; i < MANY; i++)
        cr_assert_eq(find(i) != NULL, i % 2);
}
