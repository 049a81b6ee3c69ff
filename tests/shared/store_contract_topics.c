#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "store_contract.h"

static struct store *other_handle(struct store_contract *contract, struct store *store)
{
    return contract->engine->is_shared ? contract_open(contract) : store;
}

static const struct seen_answer *put_as(struct store_contract *contract, struct store *store,
                                        const char *name, enum store_topic_mode mode,
                                        const char *value)
{
    struct store_waiter waiter = contract_waiter(contract, "");
    return contract_settled(
        contract, "",
        store_put_topic(store, contract_octets(name), mode, contract_octets(value), &waiter));
}

static uint64_t put(struct store_contract *contract, struct store *store, const char *name,
                    const char *value)
{
    const struct seen_answer *answer = put_as(contract, store, name, STORE_TOPIC_EITHER, value);
    cr_assert_eq(answer->outcome, STORE_OK);
    return answer->first;
}

static const struct seen_answer *get(struct store_contract *contract, struct store *store,
                                     const char *name)
{
    struct store_waiter waiter = contract_waiter(contract, "");
    return contract_settled(contract, "", store_get_topic(store, contract_octets(name), &waiter));
}

static const struct seen_answer *drop(struct store_contract *contract, struct store *store,
                                      const char *name)
{
    struct store_waiter waiter = contract_waiter(contract, "");
    return contract_settled(contract, "",
                            store_remove_topic(store, contract_octets(name), &waiter));
}

static const struct seen_answer *names_after(struct store_contract *contract, struct store *store,
                                             struct octets after)
{
    struct store_waiter waiter = contract_waiter(contract, "");
    return contract_settled(contract, "", store_list_topics(store, after, &waiter));
}

static const struct seen_answer *changes_after(struct store_contract *contract, struct store *store,
                                               uint64_t after)
{
    struct store_waiter waiter = contract_waiter(contract, "");
    return contract_settled(contract, "", store_list_changes(store, after, &waiter));
}

/* The names of a list, "a b c". */
static const char *spelled(const struct seen_answer *answer, bool has_numbers)
{
    static char text[4096];
    uint64_t count = 0;
    uint64_t last = 0;
    struct writer writer = writer_over(text, sizeof text);
    struct cursor cursor = cursor_over(answer->value, answer->value_length);
    for (; cursor_left(&cursor) > 0; count++) {
        uint64_t number = has_numbers ? cursor_u64(&cursor) : 0;
        cr_assert(!has_numbers || number > last);
        last = number;
        uint8_t length = cursor_u8(&cursor);
        if (count > 0)
            writer_u8(&writer, ' ');
        writer_bytes(&writer, cursor_bytes(&cursor, length), length);
    }
    writer_u8(&writer, '\0');
    cr_assert_eq(answer->outcome, STORE_OK);
    cr_assert(cursor_ok(&cursor) && writer_ok(&writer));
    cr_assert_eq(count, answer->count);
    return text;
}

/* Puts or removes many in one breath. */
static void ask_put(struct store_contract *contract, struct store *store, const char *name,
                    const char *value)
{
    struct store_waiter waiter = contract_waiter(contract, "");
    contract_asked(contract, store_put_topic(store, contract_octets(name), STORE_TOPIC_EITHER,
                                             contract_octets(value), &waiter));
}

static void put_many(struct store_contract *contract, struct store *store, int count)
{
    char name[32];
    for (int i = 0; i < count; i++) {
        (void)snprintf(name, sizeof name, "topic %05d", i);
        ask_put(contract, store, name, "");
        if (i % 4000 == 0)
            contract_settle(contract);
    }
    contract_settle(contract);
}

void store_contract_topic_modes(struct store_contract *contract)
{
    struct store *store = contract_open(contract);
    struct store *other = other_handle(contract, store);
    cr_assert_eq(put_as(contract, store, "t", STORE_TOPIC_UPDATE, "1")->outcome, STORE_NOT_FOUND);
    cr_assert_eq(put_as(contract, store, "t", STORE_TOPIC_CREATE, "2")->outcome, STORE_OK);
    cr_assert_eq(put_as(contract, other, "t", STORE_TOPIC_CREATE, "3")->outcome, STORE_EXISTS);
    cr_assert(seen_value_is(get(contract, other, "t"), "2"));
    cr_assert_eq(put_as(contract, other, "t", STORE_TOPIC_UPDATE, "4")->outcome, STORE_OK);
    cr_assert(seen_value_is(get(contract, store, "t"), "4"));
    cr_assert_eq(put_as(contract, store, "t", STORE_TOPIC_EITHER, "5")->outcome, STORE_OK);
    cr_assert_eq(put_as(contract, store, "u", STORE_TOPIC_EITHER, "6")->outcome, STORE_OK);
    cr_assert(seen_value_is(get(contract, store, "t"), "5"));
    cr_assert(seen_value_is(get(contract, store, "u"), "6"));

    cr_assert_eq(drop(contract, other, "t")->outcome, STORE_OK);
    cr_assert_eq(put_as(contract, store, "t", STORE_TOPIC_UPDATE, "7")->outcome, STORE_NOT_FOUND);
    cr_assert_eq(put_as(contract, store, "t", STORE_TOPIC_CREATE, "8")->outcome, STORE_OK);
    cr_assert(seen_value_is(get(contract, other, "t"), "8"));
}

void store_contract_topics_have_values(struct store_contract *contract)
{
    char name[STORE_TOPIC_NAME_MAX + 1];
    uint8_t bytes[STORE_TOPIC_MAX];
    struct store *store = contract_open(contract);
    memset(name, 'n', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t)i;
    struct store_waiter waiter = contract_waiter(contract, "");
    const struct octets value = {bytes, sizeof bytes};
    const struct seen_answer *answer = contract_settled(
        contract, "",
        store_put_topic(store, contract_octets(name), STORE_TOPIC_CREATE, value, &waiter));
    uint64_t number = answer->first;
    cr_assert_eq(answer->outcome, STORE_OK);
    answer = get(contract, store, name);
    cr_assert_eq(answer->outcome, STORE_OK);
    cr_assert_eq(answer->first, number);
    cr_assert_eq(answer->value_length, sizeof bytes);
    cr_assert_eq(memcmp(answer->value, bytes, sizeof bytes), 0);
    cr_assert_str_eq(spelled(names_after(contract, store, contract_octets("")), false), name);

    number = put(contract, store, name, "");
    answer = get(contract, store, name);
    cr_assert_eq(answer->outcome, STORE_OK);
    cr_assert_eq(answer->first, number);
    cr_assert_eq(answer->value_length, 0u);
    name[sizeof name - 2] = '\0';
    cr_assert_eq(get(contract, store, name)->outcome, STORE_NOT_FOUND);
}

void store_contract_changes_take_rising_numbers(struct store_contract *contract)
{
    struct store *store = contract_open(contract);
    struct store *other = other_handle(contract, store);
    static const char *const names[] = {"a", "b", "a", "c", "b", "b", "a"};
    uint64_t last = 0;
    for (size_t i = 0; i < 7; i++) {
        uint64_t number = put(contract, i % 2 ? store : other, names[i], "x");
        cr_assert_gt(number, last);
        cr_assert_lt(number, UINT64_C(1) << 53);
        last = number;
    }
    cr_assert_eq(put_as(contract, store, "a", STORE_TOPIC_CREATE, "no")->outcome, STORE_EXISTS);
    cr_assert_eq(changes_after(contract, store, UINT64_MAX)->first, last);
    const struct seen_answer *answer = drop(contract, other, "b");
    cr_assert_gt(answer->first, last);
    last = answer->first;
    answer = changes_after(contract, store, UINT64_MAX);
    cr_assert_eq(answer->first, last);
    cr_assert_eq(answer->count, 0u);
    cr_assert_not(answer->has_gap);
}

void store_contract_removed_topic_is_gone(struct store_contract *contract)
{
    struct store *store = contract_open(contract);
    (void)put(contract, store, "t", "value");
    cr_assert_eq(drop(contract, store, "u")->outcome, STORE_NOT_FOUND);
    cr_assert_eq(drop(contract, store, "t")->outcome, STORE_OK);
    cr_assert_eq(drop(contract, store, "t")->outcome, STORE_NOT_FOUND);
    const struct seen_answer *answer = get(contract, store, "t");
    cr_assert_eq(answer->outcome, STORE_NOT_FOUND);
    cr_assert_eq(answer->value_length, 0u);
    cr_assert_str_eq(spelled(names_after(contract, store, contract_octets("")), false), "");
}

void store_contract_topics_in_order_of_name(struct store_contract *contract)
{
    static const char *const names[] = {"b", "ab", "c", "a", "a\xff", "B", "abc", "\x01"};
    struct store *store = contract_open(contract);
    cr_assert_eq(names_after(contract, store, contract_octets(""))->count, 0u);
    for (size_t i = 0; i < 8; i++)
        (void)put(contract, store, names[i], "x");
    (void)drop(contract, store, "abc");
    (void)put(contract, store, "ab", "once more");
    cr_assert_str_eq(spelled(names_after(contract, store, contract_octets("")), false),
                     "\x01 B a ab a\xff b c");
    cr_assert_str_eq(spelled(names_after(contract, store, contract_octets("a")), false),
                     "ab a\xff b c");
    cr_assert_str_eq(spelled(names_after(contract, store, contract_octets("aa")), false),
                     "ab a\xff b c");
    cr_assert_str_eq(spelled(names_after(contract, store, contract_octets("c")), false), "");
}

void store_contract_topics_come_in_parts(struct store_contract *contract)
{
    enum { TOPICS = 2 * STORE_LIST_MAX + 100 };
    struct store *store = contract_open(contract);
    char after[32] = "";
    char name[32];
    int seen = 0;
    uint64_t count = 0;
    put_many(contract, store, TOPICS);
    do {
        const struct seen_answer *answer = names_after(contract, store, contract_octets(after));
        struct cursor cursor = cursor_over(answer->value, answer->value_length);
        cr_assert_leq(answer->count, (uint64_t)STORE_LIST_MAX);
        for (; cursor_left(&cursor) > 0; seen++) {
            uint8_t length = cursor_u8(&cursor);
            (void)snprintf(after, sizeof after, "%.*s", length,
                           (const char *)cursor_bytes(&cursor, length));
            (void)snprintf(name, sizeof name, "topic %05d", seen);
            cr_assert_str_eq(after, name);
        }
        count = answer->count;
    } while (count == STORE_LIST_MAX);
    cr_assert_eq(seen, TOPICS);
}

void store_contract_changes_in_order_of_number(struct store_contract *contract)
{
    struct store *store = contract_open(contract);
    struct store *other = other_handle(contract, store);
    const struct seen_answer *answer = changes_after(contract, store, 0);
    cr_assert_eq(answer->outcome, STORE_OK);
    cr_assert_eq(answer->count, 0u);
    cr_assert_not(answer->has_gap);
    uint64_t start = answer->first;

    uint64_t first = put(contract, store, "a", "1");
    (void)put(contract, store, "b", "1");
    (void)put(contract, store, "c", "1");
    cr_assert_str_eq(spelled(changes_after(contract, other, start), true), "a b c");
    uint64_t then = put(contract, store, "a", "2");
    cr_assert_str_eq(spelled(changes_after(contract, other, start), true), "b c a");
    cr_assert_str_eq(spelled(changes_after(contract, other, first), true), "b c a");
    (void)drop(contract, store, "b");
    cr_assert_str_eq(spelled(changes_after(contract, other, first), true), "c a b");
    uint64_t last = put(contract, store, "d", "1");
    cr_assert_str_eq(spelled(changes_after(contract, other, then), true), "b d");
    uint64_t newest = put(contract, store, "b", "back");
    answer = changes_after(contract, other, then);
    cr_assert_str_eq(spelled(answer, true), "d b");
    cr_assert_eq(answer->first, newest);
    cr_assert_not(answer->has_gap);
    cr_assert_str_eq(spelled(changes_after(contract, other, last), true), "b");
    cr_assert_str_eq(spelled(changes_after(contract, other, newest), true), "");
    cr_assert_str_eq(spelled(changes_after(contract, other, 0), true), "c a d b");
}

void store_contract_changes_come_in_parts(struct store_contract *contract)
{
    enum { TOPICS = 2 * STORE_LIST_MAX + 100 };
    struct store *store = contract_open(contract);
    char name[32];
    int seen = 0;
    uint64_t after = changes_after(contract, store, UINT64_MAX)->first;
    uint64_t count = 0;
    put_many(contract, store, TOPICS);
    do {
        const struct seen_answer *answer = changes_after(contract, store, after);
        struct cursor cursor = cursor_over(answer->value, answer->value_length);
        cr_assert_leq(answer->count, (uint64_t)STORE_LIST_MAX);
        cr_assert_not(answer->has_gap);
        for (; cursor_left(&cursor) > 0; seen++) {
            uint64_t number = cursor_u64(&cursor);
            cr_assert_gt(number, after);
            after = number;
            uint8_t length = cursor_u8(&cursor);
            (void)snprintf(name, sizeof name, "topic %05d", seen);
            cr_assert_eq(memcmp(cursor_bytes(&cursor, length), name, length), 0);
        }
        cr_assert_geq(answer->first, after);
        count = answer->count;
    } while (count > 0);
    cr_assert_eq(seen, TOPICS);
}

/* A number that this store has not reached: another one, or it was emptied. */
void store_contract_changes_since_a_lost_number(struct store_contract *contract)
{
    struct store *store = contract_open(contract);
    uint64_t newest = put(contract, store, "t", "x");
    cr_assert_not(changes_after(contract, store, newest)->has_gap);
    const struct seen_answer *answer = changes_after(contract, store, newest + 1);
    cr_assert(answer->has_gap);
    cr_assert_eq(answer->first, newest);
    cr_assert_eq(contract_counted(contract, METRIC_STORE_GAPS), 1u);
}

void store_contract_tombstones_are_bounded(struct store_contract *contract)
{
    enum { TOPICS = STORE_TOMBSTONES_MAX + 2 };
    struct store *store = contract_open(contract);
    char name[32];
    put_many(contract, store, TOPICS);
    uint64_t there = put(contract, store, "stays", "x");
    uint64_t numbers[3] = {0};
    for (int i = 0; i < TOPICS; i++) {
        (void)snprintf(name, sizeof name, "topic %05d", i);
        if (i < 3) {
            numbers[i] = drop(contract, store, name)->first;
            continue;
        }
        struct store_waiter waiter = contract_waiter(contract, "");
        contract_asked(contract, store_remove_topic(store, contract_octets(name), &waiter));
    }
    contract_settle(contract);
    /* Those of 0 and 1 are forgotten. */
    cr_assert(changes_after(contract, store, there)->has_gap);
    cr_assert(changes_after(contract, store, numbers[0])->has_gap);
    const struct seen_answer *answer = changes_after(contract, store, numbers[1]);
    cr_assert_not(answer->has_gap);
    struct cursor cursor = cursor_over(answer->value, answer->value_length);
    cr_assert_eq(cursor_u64(&cursor), numbers[2]);
    cr_assert_not(changes_after(contract, store, UINT64_MAX)->has_gap);
    cr_assert_str_eq(spelled(names_after(contract, store, contract_octets("")), false), "stays");

    /* A tombstone that is a topic again gives its place back. */
    (void)put(contract, store, "topic 00002", "back");
    (void)drop(contract, store, "stays");
    cr_assert_not(changes_after(contract, store, numbers[1])->has_gap);
    cr_assert(seen_value_is(get(contract, store, "topic 00002"), "back"));
}

void store_contract_topics_are_bounded(struct store_contract *contract)
{
    struct store *store = contract_open(contract);
    put_many(contract, store, TOPICS_MAX);
    const struct seen_answer *answer = put_as(contract, store, "one more", STORE_TOPIC_EITHER, "x");
    cr_assert_eq(answer->outcome, STORE_UNAVAILABLE);
    cr_assert(answer->is_full);
    cr_assert_eq(contract_counted(contract, METRIC_STORE_TOPICS_FULL), 1u);
    cr_assert_eq(get(contract, store, "one more")->outcome, STORE_NOT_FOUND);
    cr_assert_eq(put_as(contract, store, "topic 00007", STORE_TOPIC_UPDATE, "x")->outcome,
                 STORE_OK);
    cr_assert_eq(drop(contract, store, "topic 00007")->outcome, STORE_OK);
    cr_assert_eq(put_as(contract, store, "one more", STORE_TOPIC_CREATE, "x")->outcome, STORE_OK);
    cr_assert(put_as(contract, store, "topic 00007", STORE_TOPIC_CREATE, "x")->is_full);
}

void store_contract_order_of_a_topic(struct store_contract *contract)
{
    struct store *store = contract_open(contract);
    char value[16];
    contract->seen_count = 0;
    for (int i = 0; i < 30; i++) {
        (void)snprintf(value, sizeof value, "%d", i);
        ask_put(contract, store, "t", value);
        ask_put(contract, store, "u", value);
    }
    struct store_waiter waiter = contract_waiter(contract, "");
    contract_asked(contract, store_get_topic(store, contract_octets("t"), &waiter));
    waiter = contract_waiter(contract, "");
    contract_asked(contract, store_remove_topic(store, contract_octets("t"), &waiter));
    waiter = contract_waiter(contract, "");
    contract_asked(contract, store_get_topic(store, contract_octets("t"), &waiter));
    contract_settle(contract);
    cr_assert_eq(contract->seen_count, 63u);
    for (size_t i = 0; i < 63; i++) {
        const struct seen_answer *answer = &contract->seen[i];
        if (answer->value_length > 0)
            cr_assert(seen_value_is(answer, "29"));
        cr_assert_eq(answer->outcome == STORE_NOT_FOUND, answer->tag == 62);
    }
    cr_assert_eq(get(contract, store, "t")->outcome, STORE_NOT_FOUND);
    cr_assert(seen_value_is(get(contract, store, "u"), "29"));
}

void store_contract_topics_that_cannot_be(struct store_contract *contract)
{
    static const uint8_t bytes[STORE_TOPIC_MAX + 1] = {1};
    struct store *store = contract_open(contract);
    struct store_waiter waiter = contract_waiter(contract, "");
    const struct octets none = contract_octets("");
    const struct octets fits = {bytes, 1};
    const struct octets name = {bytes, STORE_TOPIC_NAME_MAX + 1};
    const struct octets value = {bytes, STORE_TOPIC_MAX + 1};
    const enum store_topic_mode mode = STORE_TOPIC_EITHER;
    CONTRACT_REFUSED(STATUS_MALFORMED, store_put_topic(store, none, mode, fits, &waiter));
    CONTRACT_REFUSED(STATUS_TOO_LONG, store_put_topic(store, name, mode, fits, &waiter));
    CONTRACT_REFUSED(STATUS_TOO_LONG, store_put_topic(store, fits, mode, value, &waiter));
    CONTRACT_REFUSED(STATUS_MALFORMED, store_get_topic(store, none, &waiter));
    CONTRACT_REFUSED(STATUS_TOO_LONG, store_get_topic(store, name, &waiter));
    CONTRACT_REFUSED(STATUS_MALFORMED, store_remove_topic(store, none, &waiter));
    CONTRACT_REFUSED(STATUS_TOO_LONG, store_remove_topic(store, name, &waiter));
    CONTRACT_REFUSED(STATUS_TOO_LONG, store_list_topics(store, name, &waiter));
    contract_settle(contract);
}
