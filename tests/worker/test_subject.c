#include "worker/subject.h"

#include <criterion/criterion.h>
#include <string.h>

static struct subjects subjects;

static void open_subjects(void)
{
    cr_assert_eq(subjects_init(&subjects, 4, (struct hash_key){1, 2}), STATUS_OK);
}

static void close_subjects(void)
{
    subjects_free(&subjects);
}

TestSuite(subject, .init = open_subjects, .fini = close_subjects);

static struct octets octets_of(const char *text)
{
    return (struct octets){(const uint8_t *)text, strlen(text)};
}

static struct subject_key key(const char *target)
{
    return (struct subject_key){.target = octets_of(target), .block_exponent = RELATION_BLOCK_NONE};
}

Test(subject, is_a_resource_in_one_representation)
{
    struct subject_key keys[] = {key("/a"), key("/a?b=1"), key("/a"), key("/a")};
    keys[2].has_format = true;
    keys[2].format = 0;
    keys[3].block_exponent = 2;
    for (size_t i = 0; i < 4; i++) {
        cr_expect_null(subject_find(&subjects, &keys[i]), "%zu", i);
        cr_assert_not_null(subject_get(&subjects, &keys[i]), "%zu", i);
    }
    for (size_t i = 0; i < 4; i++) {
        struct subject *subject = subject_find(&subjects, &keys[i]);
        struct subject_key found = subject_key_of(subject);
        cr_expect_eq(found.has_format, keys[i].has_format);
        cr_expect_eq(found.block_exponent, keys[i].block_exponent);
        cr_expect_eq(found.target.length, keys[i].target.length);
        cr_expect_eq(subject_get(&subjects, &keys[i]), subject);
    }
    const struct subject_key fifth = key("/b");
    cr_expect_null(subject_get(&subjects, &fifth), "bounded");
}

Test(subject, all_of_one_path_are_found_by_it_whichever_goes_first)
{
    const struct subject_key keys[] = {key("/a"), key("/a?x"), key("/a?y"), key("/ab")};
    for (size_t first = 0; first < 3; first++) {
        struct subject *of[4];
        size_t count = 0;
        for (size_t i = 0; i < 4; i++)
            of[i] = subject_get(&subjects, &keys[i]);
        subject_release(&subjects, of[first]);
        for (struct subject *at = subject_by_path(&subjects, octets_of("/a")); at;
             at = at->same_path) {
            cr_expect_neq(at, of[first]);
            cr_expect_eq(at->path_length, 2);
            count++;
        }
        cr_expect_eq(count, 2);
        for (size_t i = 0; i < 4; i++) {
            if (i != first)
                subject_release(&subjects, of[i]);
        }
        cr_expect_null(subject_by_path(&subjects, octets_of("/a")));
        cr_expect_eq(subjects.pool.in_use, 0);
    }
}

Test(subject, takes_targets_up_to_their_bound)
{
    char longest[RELATION_TARGET_MAX + 2];
    memset(longest, 'x', sizeof(longest));
    longest[0] = '/';
    longest[RELATION_TARGET_MAX + 1] = '\0';
    const struct subject_key over = key(longest);
    cr_expect_null(subject_get(&subjects, &over));
    longest[RELATION_TARGET_MAX] = '\0';
    const struct subject_key fits = key(longest);
    cr_expect_not_null(subject_get(&subjects, &fits));
    const struct subject_key none = key("");
    cr_expect_null(subject_get(&subjects, &none));
}

Test(subject, a_state_is_replaced_or_there_is_none)
{
    uint8_t state[SUBJECT_STATE_MAX + 1] = "state";
    const struct subject_key a = key("/a");
    struct subject *subject = subject_get(&subjects, &a);
    cr_expect(subject_set_state(&subjects, subject, CODE_CONTENT, (struct octets){state, 5}));
    cr_expect_eq(memcmp(subject->state, "state", 5), 0);
    cr_expect(subject_set_state(&subjects, subject, CODE_CONTENT,
                                (struct octets){state, SUBJECT_STATE_MAX}));
    cr_expect_eq(subject->state_length, SUBJECT_STATE_MAX);
    cr_expect_not(subject_set_state(&subjects, subject, CODE_CONTENT,
                                    (struct octets){state, SUBJECT_STATE_MAX + 1}));
    cr_expect_null(subject->state);
    cr_expect_eq(subjects.states.in_use, 0);
}

/* RFC 7641 section 3.4: "(V1 < V2 and V2 - V1 < 2^23) or (V1 > V2 and V1 - V2 > 2^23)" */
Test(subject, numbers_go_round)
{
    static const struct {
        uint32_t a, b;
        bool follows;
    } rows[] = {
        {1, 0, true},         {0, 1, false},
        {5, 5, false},        {0x7fffff, 0, true},
        {0x800000, 0, false}, {0, 0xffffff, true},
        {0xffffff, 0, false}, {0x7fffff, 0xffffff, false},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++)
        cr_expect_eq(subject_number_follows(rows[i].a, rows[i].b), rows[i].follows, "%zu", i);
}

/* "The sequence number selected for a notification MUST be greater than that of any preceding
 * notification sent to the same client with the same token for the same resource." (RFC 7641
 * section 4.4) */
Test(subject, the_next_number_is_the_versions_or_the_clocks_and_never_an_older_one)
{
    static const struct {
        bool has_number;
        uint32_t number;
        uint64_t version, unix_ms;
        uint32_t next;
    } rows[] = {
        {false, 0, 7, 0, 7},
        {false, 0, 0x5000007, 0, 7},
        {true, 7, 9, 0, 9},
        {true, 7, 7, 0, 7},  /* the same state */
        {true, 9, 7, 0, 10}, /* the store has been emptied */
        {true, 0xffffff, 0x1000000, 0, 0},
        {false, 0, 0, 0x12345678, 0x345678},
        {true, 0x345678, 0, 0x12345678, 0x345679}, /* within a ms */
        {true, 0x345680, 0, 0x12345678, 0x345681}, /* the clock was set back */
        {true, 0xffffff, 0, 0x12ffffff, 0},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        const struct subject subject = {.has_number = rows[i].has_number, .number = rows[i].number};
        cr_expect_eq(subject_next_number(&subject, rows[i].version, rows[i].unix_ms), rows[i].next,
                     "%zu", i);
    }
}
