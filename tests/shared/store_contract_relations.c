#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "store_contract.h"

static struct store *other_handle(struct store_contract *contract, struct store *store)
{
    return contract->engine->is_shared ? contract_open(contract) : store;
}

static const struct seen_answer *relate_octets(struct store_contract *contract, struct store *store,
                                               const char *cid, uint64_t fence, uint8_t slot,
                                               struct octets value, struct octets event)
{
    const struct store_relation relation = {slot, value};
    struct store_waiter waiter = contract_waiter(contract, cid);
    return contract_settled(contract, cid,
                            store_save_relation(store, fence, &relation, event, &waiter));
}

static const struct seen_answer *relate(struct store_contract *contract, struct store *store,
                                        const char *cid, uint64_t fence, uint8_t slot,
                                        const char *value)
{
    return relate_octets(contract, store, cid, fence, slot, contract_octets(value),
                         contract_octets(""));
}

static const struct seen_answer *list(struct store_contract *contract, struct store *store,
                                      uint8_t page, uint64_t from)
{
    struct store_waiter waiter = contract_waiter(contract, "");
    return contract_settled(contract, "", store_list_obliged(store, page, from, &waiter));
}

static uint64_t create(struct store_contract *contract, struct store *store, const char *cid)
{
    const struct seen_answer *answer = contract_create(contract, store, cid, "keys", "mark", NULL);
    cr_assert_eq(answer->outcome, STORE_OK);
    return answer->fence;
}

static uint8_t page_of(const char *name)
{
    struct cid cid = {.length = (uint8_t)strlen(name)};
    memcpy(cid.bytes, name, cid.length);
    return store_obliged_page(&cid);
}

/* The relation in a slot, as text; NULL: none. */
static const char *relation_in(const struct seen_answer *answer, uint8_t slot)
{
    static char text[STORE_RELATION_MAX + 1];
    const char *found = NULL;
    for (size_t i = 0; i < answer->relation_count; i++) {
        if (answer->relations[i].slot != slot)
            continue;
        cr_assert_null(found, "slot %u comes twice", slot);
        memcpy(text, answer->relations[i].bytes, answer->relations[i].length);
        text[answer->relations[i].length] = '\0';
        found = text;
    }
    return found;
}

/* How often a session is on the list. */
static size_t times_listed(const struct seen_answer *answer, const char *cid)
{
    struct cursor cursor = cursor_over(answer->value, answer->value_length);
    size_t times = 0;
    size_t count = 0;
    for (; cursor_left(&cursor) > 0; count++) {
        uint8_t length = cursor_u8(&cursor);
        const uint8_t *bytes = cursor_bytes(&cursor, length);
        cr_assert_not_null(bytes);
        times += length == strlen(cid) && memcmp(bytes, cid, length) == 0;
    }
    cr_assert(cursor_ok(&cursor));
    cr_assert_eq(count, answer->count);
    return times;
}

static bool is_obliged(struct store_contract *contract, struct store *store, const char *cid)
{
    const struct seen_answer *answer = list(contract, store, page_of(cid), 0);
    cr_assert_eq(answer->outcome, STORE_OK);
    cr_assert_eq(answer->first, 0u);
    size_t times = times_listed(answer, cid);
    cr_assert_leq(times, 1u);
    return times == 1;
}

void store_contract_relations_come_back_with_a_claim(struct store_contract *contract)
{
    struct store *store = contract_open(contract);
    struct store *other = other_handle(contract, store);
    uint64_t fence = create(contract, store, "abc");
    cr_assert_eq(contract_claim(contract, store, "abc")->relation_count, 0u);
    fence = contract_claim(contract, store, "abc")->fence;
    cr_assert_eq(relate(contract, store, "abc", fence, 0, "first")->outcome, STORE_OK);
    cr_assert_eq(
        relate(contract, store, "abc", fence, RELATIONS_PER_SESSION_MAX - 1, "last")->outcome,
        STORE_OK);
    const struct seen_answer *answer = contract_claim(contract, other, "abc");
    cr_assert_eq(answer->outcome, STORE_OK);
    cr_assert_eq(answer->relation_count, 2u);
    cr_assert_str_eq(relation_in(answer, 0), "first");
    cr_assert_str_eq(relation_in(answer, RELATIONS_PER_SESSION_MAX - 1), "last");
    cr_assert(seen_value_is(answer, "keys"));
    cr_assert(seen_mark_is(answer, "mark"));
}

void store_contract_relations_are_replaced_and_emptied(struct store_contract *contract)
{
    struct store *store = contract_open(contract);
    uint64_t fence = create(contract, store, "abc");
    (void)relate(contract, store, "abc", fence, 3, "three");
    (void)relate(contract, store, "abc", fence, 4, "four");
    (void)relate(contract, store, "abc", fence, 5, "five");
    (void)relate(contract, store, "abc", fence, 4, "FOUR");          /* as long as before */
    (void)relate(contract, store, "abc", fence, 3, "three or more"); /* longer */
    (void)relate(contract, store, "abc", fence, 5, "5");             /* shorter */
    const struct seen_answer *answer = contract_claim(contract, store, "abc");
    cr_assert_eq(answer->relation_count, 3u);
    cr_assert_str_eq(relation_in(answer, 3), "three or more");
    cr_assert_str_eq(relation_in(answer, 4), "FOUR");
    cr_assert_str_eq(relation_in(answer, 5), "5");

    fence = answer->fence;
    cr_assert_eq(relate(contract, store, "abc", fence, 4, "")->outcome, STORE_OK);
    cr_assert_eq(relate(contract, store, "abc", fence, 9, "")->outcome, STORE_OK, "is empty");
    answer = contract_claim(contract, store, "abc");
    cr_assert_eq(answer->relation_count, 2u);
    cr_assert_null(relation_in(answer, 4));
    cr_assert_str_eq(relation_in(answer, 3), "three or more");
    cr_assert_str_eq(relation_in(answer, 5), "5");
    cr_assert(seen_value_is(answer, "keys"));
}

void store_contract_all_relations_at_their_largest(struct store_contract *contract)
{
    uint8_t bytes[STORE_RELATION_MAX];
    struct store *store = contract_open(contract);
    uint64_t fence = create(contract, store, "abc");
    for (uint8_t slot = 0; slot < RELATIONS_PER_SESSION_MAX; slot++) {
        memset(bytes, slot, sizeof bytes);
        const struct octets value = {bytes, sizeof bytes};
        cr_assert_eq(
            relate_octets(contract, store, "abc", fence, slot, value, contract_octets(""))->outcome,
            STORE_OK);
    }
    const struct seen_answer *answer = contract_claim(contract, store, "abc");
    cr_assert_eq(answer->relation_count, (size_t)RELATIONS_PER_SESSION_MAX);
    for (size_t i = 0; i < answer->relation_count; i++) {
        memset(bytes, answer->relations[i].slot, sizeof bytes);
        cr_assert_eq(answer->relations[i].length, sizeof bytes);
        cr_assert_eq(memcmp(answer->relations[i].bytes, bytes, sizeof bytes), 0);
    }
}

void store_contract_relation_of_a_stale_owner(struct store_contract *contract)
{
    struct store *store = contract_open(contract);
    struct store *other = other_handle(contract, store);
    uint64_t old = create(contract, store, "abc");
    (void)relate(contract, store, "abc", old, 0, "kept");
    uint64_t fence = contract_claim(contract, other, "abc")->fence;
    const struct octets event = contract_octets("event");

    cr_assert_eq(
        relate_octets(contract, store, "abc", old, 0, contract_octets("zombie"), event)->outcome,
        STORE_STALE);
    cr_assert_eq(
        relate_octets(contract, store, "abc", old, 1, contract_octets("zombie"), event)->outcome,
        STORE_STALE);
    cr_assert_eq(relate(contract, store, "abc", old, 0, "")->outcome, STORE_STALE);
    cr_assert_eq(relate(contract, store, "unknown", 1, 0, "x")->outcome, STORE_NOT_FOUND);
    cr_assert_not(is_obliged(contract, store, "unknown"));
    cr_assert_eq(contract_counted(contract, METRIC_STORE_STALE), 3u);
    cr_assert_eq(contract_counted(contract, METRIC_STORE_EVENTS), 0u);

    cr_assert_eq(relate(contract, other, "abc", fence, 1, "new")->outcome, STORE_OK);
    const struct seen_answer *answer = contract_claim(contract, other, "abc");
    cr_assert_eq(answer->relation_count, 2u);
    cr_assert_str_eq(relation_in(answer, 0), "kept");
    cr_assert_str_eq(relation_in(answer, 1), "new");
}

void store_contract_relation_and_event_are_one_step(struct store_contract *contract)
{
    struct store *store = contract_open(contract);
    uint64_t fence = create(contract, store, "abc");
    static const char *const values[] = {"number 1", "number 2", "a longer number 3", ""};
    for (size_t i = 0; i < 4; i++) {
        cr_assert_eq(relate_octets(contract, store, "abc", fence, 0, contract_octets(values[i]),
                                   contract_octets("notified"))
                         ->outcome,
                     STORE_OK);
        cr_assert_eq(contract_counted(contract, METRIC_STORE_EVENTS), i + 1);
    }
    (void)relate(contract, store, "abc", fence, 0, "without an event");
    cr_assert_eq(contract_counted(contract, METRIC_STORE_EVENTS), 4u);
    cr_assert_str_eq(relation_in(contract_claim(contract, store, "abc"), 0), "without an event");
}

/* In one turn with shorter ones, in any order. */
void store_contract_a_relation_with_the_longest_event(struct store_contract *contract)
{
    static const uint8_t bytes[STORE_LONG_EVENT_MAX] = {1};
    static const size_t lengths[] = {1, STORE_LONG_EVENT_MAX, STORE_EVENT_MAX, STORE_EVENT_MAX + 1,
                                     7, STORE_LONG_EVENT_MAX};
    enum { COUNT = sizeof lengths / sizeof lengths[0] };
    struct store *store = contract_open(contract);
    uint64_t fence = create(contract, store, "abc");
    contract->seen_count = 0;
    for (uint8_t i = 0; i < COUNT; i++) {
        const char value[] = {(char)('a' + i), '\0'};
        const struct store_relation relation = {i, contract_octets(value)};
        const struct octets event = {bytes, lengths[i]};
        struct store_waiter waiter = contract_waiter(contract, "abc");
        contract_asked(contract, store_save_relation(store, fence, &relation, event, &waiter));
    }
    contract_settle(contract);
    cr_assert_eq(contract->seen_count, (size_t)COUNT);
    for (size_t i = 0; i < COUNT; i++)
        cr_assert_eq(contract->seen[i].outcome, STORE_OK, "event %zu", i);
    cr_assert_eq(contract_counted(contract, METRIC_STORE_EVENTS), (uint64_t)COUNT);
    const struct seen_answer *answer = contract_claim(contract, store, "abc");
    cr_assert_eq(answer->relation_count, (size_t)COUNT);
    cr_assert_str_eq(relation_in(answer, 1), "b");
    cr_assert_str_eq(relation_in(answer, COUNT - 1), "f");
}

void store_contract_long_events_are_bounded(struct store_contract *contract)
{
    static const uint8_t bytes[STORE_LONG_EVENT_MAX] = {1};
    const struct octets longer = {bytes, STORE_EVENT_MAX + 1}, shorter = {bytes, STORE_EVENT_MAX};
    const struct store_relation relation = {0, contract_octets("observes")};
    struct store *store = contract_open(contract);
    uint64_t fence = create(contract, store, "abc");
    struct store_waiter waiter;
    for (size_t i = 0; i < STORE_LONG_QUESTIONS_MAX; i++) {
        waiter = contract_waiter(contract, "abc");
        contract_asked(contract, store_save_relation(store, fence, &relation, longer, &waiter));
    }
    waiter = contract_waiter(contract, "abc");
    CONTRACT_REFUSED(STATUS_FULL, store_save_relation(store, fence, &relation, longer, &waiter));
    cr_assert_eq(contract_counted(contract, METRIC_STORE_REFUSED), 1u);
    waiter = contract_waiter(contract, "abc");
    contract_asked(contract, store_save_relation(store, fence, &relation, shorter, &waiter));
    contract_settle(contract);
    cr_assert_eq(contract_counted(contract, METRIC_STORE_EVENTS), STORE_LONG_QUESTIONS_MAX + 1u);
    cr_assert_eq(
        relate_octets(contract, store, "abc", fence, 0, contract_octets("again"), longer)->outcome,
        STORE_OK);
}

/* Marks of another length, leases, exchanges and an address leave relations as they are, and the
 * other way round. */
void store_contract_relations_stand_beside_the_rest(struct store_contract *contract)
{
    struct address address = {.port = 7};
    struct store *store = contract_open(contract);
    uint64_t fence = contract_create(contract, store, "abc", "keys", "m", &address)->fence;
    (void)relate(contract, store, "abc", fence, 7, "seven");
    (void)contract_mark(contract, store, "abc", fence, "a mark that needs more room");
    (void)contract_lease(contract, store, "abc", fence);
    (void)contract_exchange(contract, store, "abc", fence, 2, "reply", "event");
    (void)relate(contract, store, "abc", fence, 8, "eight");
    (void)contract_mark(contract, store, "abc", fence, "short");
    const struct seen_answer *answer = contract_claim(contract, store, "abc");
    cr_assert_str_eq(relation_in(answer, 7), "seven");
    cr_assert_str_eq(relation_in(answer, 8), "eight");
    cr_assert_eq(answer->relation_count, 2u);
    cr_assert(seen_value_is(answer, "keys"));
    cr_assert(seen_mark_is(answer, "short"));
    cr_assert_eq(answer->exchange_count, 1u);
    fence = answer->fence;
    cr_assert(seen_value_is(contract_find(contract, store, &address), "abc"));

    (void)relate(contract, store, "abc", fence, 7, "");
    (void)relate(contract, store, "abc", fence, 8, "");
    answer = contract_claim(contract, store, "abc");
    cr_assert_eq(answer->relation_count, 0u);
    cr_assert(seen_value_is(answer, "keys"));
    cr_assert(seen_mark_is(answer, "short"));
    cr_assert_eq(contract_remove(contract, store, "abc", answer->fence)->outcome, STORE_OK);
    cr_assert_eq(contract_find(contract, store, &address)->outcome, STORE_NOT_FOUND);
}

void store_contract_relations_renew_and_end_with_session(struct store_contract *contract)
{
    struct store *store = contract_open(contract);
    uint64_t fence = create(contract, store, "abc");
    (void)relate(contract, store, "abc", fence, 0, "kept");
    contract_pass(contract, CONTRACT_SESSION_TTL_S * 600);
    (void)relate(contract, store, "abc", fence, 1, "renews");
    contract_pass(contract, CONTRACT_SESSION_TTL_S * 600);
    (void)contract_mark(contract, store, "abc", fence, "renews too");
    contract_pass(contract, CONTRACT_SESSION_TTL_S * 600);
    (void)relate(contract, store, "abc", fence, 1, "RENEWS");
    contract_pass(contract, CONTRACT_SESSION_TTL_S * 600);
    const struct seen_answer *answer = contract_claim(contract, store, "abc");
    cr_assert_eq(answer->outcome, STORE_OK);
    cr_assert_eq(answer->relation_count, 2u);

    contract_pass(contract, CONTRACT_SESSION_TTL_S * 1000 + 200);
    cr_assert_eq(relate(contract, store, "abc", fence, 2, "late")->outcome, STORE_NOT_FOUND);
    cr_assert_eq(contract_claim(contract, store, "abc")->outcome, STORE_NOT_FOUND);
    cr_assert_not(is_obliged(contract, store, "abc"), "after a claim in vain");
    fence = create(contract, store, "abc");
    cr_assert_eq(contract_claim(contract, store, "abc")->relation_count, 0u);
}

void store_contract_obliged_sessions_are_listed(struct store_contract *contract)
{
    struct store *store = contract_open(contract);
    struct store *other = other_handle(contract, store);
    char cid[32];
    for (int i = 0; i < 60; i++) {
        (void)snprintf(cid, sizeof cid, "session %d", i);
        uint64_t fence = create(contract, store, cid);
        if (i % 3 == 0)
            (void)relate(contract, store, cid, fence, (uint8_t)(i % 5), "observes");
        if (i % 6 == 0)
            (void)relate(contract, store, cid, fence, 9, "more");
    }
    for (int i = 0; i < 60; i++) {
        (void)snprintf(cid, sizeof cid, "session %d", i);
        cr_assert_eq(is_obliged(contract, other, cid), i % 3 == 0, "%s", cid);
    }
    size_t listed = 0;
    for (unsigned page = 0; page < STORE_OBLIGED_PAGES; page++)
        listed += list(contract, other, (uint8_t)page, 0)->count;
    cr_assert_eq(listed, 20u);
}

void store_contract_obliged_no_more(struct store_contract *contract)
{
    struct store *store = contract_open(contract);
    uint64_t fence = create(contract, store, "abc");
    uint64_t removed = create(contract, store, "removed");
    (void)relate(contract, store, "removed", removed, 0, "one");
    (void)relate(contract, store, "abc", fence, 0, "one");
    (void)relate(contract, store, "abc", fence, 1, "two");
    (void)relate(contract, store, "abc", fence, 0, "");
    cr_assert(is_obliged(contract, store, "abc"));
    (void)relate(contract, store, "abc", fence, 1, "");
    cr_assert_not(is_obliged(contract, store, "abc"));
    (void)relate(contract, store, "abc", fence, 1, "again");
    cr_assert(is_obliged(contract, store, "abc"));

    cr_assert(is_obliged(contract, store, "removed"));
    cr_assert_eq(contract_remove(contract, store, "removed", removed)->outcome, STORE_OK);
    cr_assert_not(is_obliged(contract, store, "removed"));
    (void)create(contract, store, "removed");
    cr_assert_eq(contract_claim(contract, store, "removed")->relation_count, 0u);
}

/* More of one page than an answer takes; all of them come, whatever is removed between two parts.
 */
void store_contract_obliged_pages_come_in_parts(struct store_contract *contract)
{
    enum { SESSIONS = STORE_OBLIGED_MAX + 500 };
    static char cids[SESSIONS][CID_LENGTH_MAX];
    static bool is_listed[SESSIONS];
    const struct store_session session = {contract_octets("keys"), contract_octets(""), NULL};
    const struct store_relation relation = {0, contract_octets("observes")};
    struct store *store = contract_open(contract);
    memset(is_listed, 0, sizeof is_listed);
    /* The number leads, as the random octets of a CID do. */
    for (int i = 0, number = 0; i < SESSIONS; number++) {
        (void)snprintf(cids[i], sizeof cids[i], "%dsession", number);
        if (page_of(cids[i]) != 5)
            continue;
        struct store_waiter waiter = contract_waiter(contract, cids[i]);
        contract_asked(contract, store_create_session(store, &session, &waiter));
        waiter = contract_waiter(contract, cids[i]);
        contract_asked(contract,
                       store_save_relation(store, 1, &relation, contract_octets(""), &waiter));
        if (++i % 2000 == 0)
            contract_settle(contract);
    }
    contract_settle(contract);
    uint64_t from = 0;
    size_t parts = 0;
    do {
        const struct seen_answer *answer = list(contract, store, 5, from);
        cr_assert_eq(answer->outcome, STORE_OK);
        cr_assert_leq(answer->count, (uint64_t)STORE_OBLIGED_MAX);
        struct cursor cursor = cursor_over(answer->value, answer->value_length);
        while (cursor_left(&cursor) > 0) {
            uint8_t length = cursor_u8(&cursor);
            const uint8_t *bytes = cursor_bytes(&cursor, length);
            size_t i = 0;
            while (i < SESSIONS &&
                   (strlen(cids[i]) != length || memcmp(cids[i], bytes, length) != 0))
                i++;
            cr_assert_lt(i, (size_t)SESSIONS);
            is_listed[i] = true;
        }
        from = answer->first;
        /* One that has been listed, so that it is not missed. */
        if (parts++ == 0)
            for (size_t i = 0; i < SESSIONS; i++)
                if (is_listed[i]) {
                    (void)contract_remove(contract, store, cids[i], 1);
                    break;
                }
        cr_assert_lt(parts, 100u);
    } while (from != 0);
    cr_assert_gt(parts, 1u);
    for (size_t i = 0; i < SESSIONS; i++)
        cr_assert(is_listed[i], "%s", cids[i]);
}

void store_contract_relations_that_cannot_be(struct store_contract *contract)
{
    static const uint8_t bytes[STORE_LONG_EVENT_MAX + 1] = {1};
    struct store *store = contract_open(contract);
    struct store_waiter nobody = contract_waiter(contract, "");
    struct store_waiter waiter = contract_waiter(contract, "abc");
    const struct octets none = contract_octets("");
    const struct octets event = {bytes, STORE_LONG_EVENT_MAX + 1};
    const struct store_relation fits = {0, {bytes, 1}};
    const struct store_relation too_long = {0, {bytes, STORE_RELATION_MAX + 1}};
    const struct store_relation nowhere = {RELATIONS_PER_SESSION_MAX, {bytes, 1}};
    CONTRACT_REFUSED(STATUS_TOO_LONG, store_save_relation(store, 1, &too_long, none, &waiter));
    CONTRACT_REFUSED(STATUS_TOO_LONG, store_save_relation(store, 1, &fits, event, &waiter));
    CONTRACT_REFUSED(STATUS_MALFORMED, store_save_relation(store, 1, &nowhere, none, &waiter));
    CONTRACT_REFUSED(STATUS_MALFORMED, store_save_relation(store, 1, &fits, none, &nobody));
    contract_settle(contract);
}
