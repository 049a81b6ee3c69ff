#include "worker/store_memory.h"

#include <criterion/criterion.h>
#include <string.h>

#define ANSWERS_MAX 16

static struct store *store;
static struct store_answer answers[ANSWERS_MAX];
static uint8_t psks[ANSWERS_MAX][PSK_LENGTH_MAX];
static size_t answered;

static void keep_answer(void *owner, const struct store_answer *answer)
{
    cr_assert_eq(owner, &answered);
    cr_assert_lt(answered, ANSWERS_MAX);
    answers[answered] = *answer;
    if (answer->psk)
        memcpy(psks[answered], answer->psk, answer->psk_length);
    answered++;
}

static struct store_waiter waiter_for(uint8_t number)
{
    return (struct store_waiter){keep_answer, &answered, {.length = 2, .bytes = {0x21, number}}};
}

static void open_store(void)
{
    const struct store_memory_options options = {
        .hash_key = {1, 2}, .sessions_max = 3, .identities_max = 2, .first_nonce = 1000};
    cr_assert_eq(store_memory_new(&store, &options), STATUS_OK);
}

static void close_store(void)
{
    store_free(store);
}

TestSuite(store_memory, .init = open_store, .fini = close_store);

static enum status add_psk(const char *identity, const char *psk)
{
    return store_memory_add_psk(store, (const uint8_t *)identity, strlen(identity),
                                (const uint8_t *)psk, strlen(psk));
}

static enum status fetch(const char *identity, uint8_t number)
{
    const struct store_waiter waiter = waiter_for(number);
    return store_fetch_psk(store, (const uint8_t *)identity, strlen(identity), &waiter);
}

static enum status create(uint8_t number)
{
    const struct store_waiter waiter = waiter_for(number);
    return store_create_session(store, &waiter);
}

static enum status lease(uint8_t number)
{
    const struct store_waiter waiter = waiter_for(number);
    return store_lease_sequences(store, &waiter);
}

/* The answers to all questions so far. */
static void run(void)
{
    answered = 0;
    size_t count = store_run(store);
    cr_assert_eq(count, answered);
}

Test(store_memory, answers_in_the_next_turn_in_order)
{
    cr_assert_eq(add_psk("a", "secret of a"), STATUS_OK);
    cr_assert_eq(add_psk("", "secret of nobody"), STATUS_OK);
    cr_assert_eq(fetch("a", 1), STATUS_OK);
    cr_assert_eq(fetch("b", 2), STATUS_OK);
    cr_assert_eq(fetch("", 3), STATUS_OK);
    cr_expect_eq(answered, 0);
    run();
    cr_assert_eq(answered, 3);
    cr_expect_eq(answers[0].outcome, STORE_OK);
    cr_expect_eq(answers[0].psk_length, strlen("secret of a"));
    cr_expect_eq(memcmp(psks[0], "secret of a", strlen("secret of a")), 0);
    cr_expect_eq(answers[1].outcome, STORE_NOT_FOUND);
    cr_expect_null(answers[1].psk);
    cr_expect_eq(answers[2].outcome, STORE_OK);
    for (uint8_t i = 0; i < 3; i++)
        cr_expect_eq(answers[i].subject.bytes[1], i + 1);
    run();
    cr_expect_eq(answered, 0, "each once");
}

Test(store_memory, refuses_identities)
{
    char long_text[IDENTITY_LENGTH_MAX + 2] = {0};
    memset(long_text, 'x', IDENTITY_LENGTH_MAX + 1);
    cr_expect_eq(add_psk(long_text, "k"), STATUS_TOO_LONG);
    cr_expect_eq(fetch(long_text, 1), STATUS_TOO_LONG);
    cr_expect_eq(add_psk("a", long_text), STATUS_TOO_LONG);
    cr_expect_eq(add_psk("a", "k"), STATUS_OK);
    cr_expect_eq(add_psk("a", "l"), STATUS_EXISTS);
    cr_expect_eq(add_psk(long_text + 1, "k"), STATUS_OK);
    cr_expect_eq(add_psk("c", "k"), STATUS_FULL);
}

Test(store_memory, leases_no_sequence_number_twice)
{
    cr_assert_eq(create(1), STATUS_OK);
    cr_assert_eq(create(2), STATUS_OK);
    cr_assert_eq(lease(1), STATUS_OK);
    cr_assert_eq(lease(1), STATUS_OK);
    cr_assert_eq(lease(2), STATUS_OK);
    run();
    cr_assert_eq(answered, 5);
    static const uint64_t first[] = {0, 0, SEQUENCE_LEASE, 2 * SEQUENCE_LEASE, SEQUENCE_LEASE};
    for (size_t i = 0; i < 5; i++) {
        cr_expect_eq(answers[i].outcome, STORE_OK);
        cr_expect_eq(answers[i].first, SEQUENCE_HANDSHAKE_RESERVED + first[i]);
        cr_expect_eq(answers[i].count, SEQUENCE_LEASE);
    }
}

Test(store_memory, sessions_come_and_go)
{
    cr_assert_eq(lease(1), STATUS_OK);
    for (uint8_t i = 1; i <= 4; i++)
        cr_assert_eq(create(i), STATUS_OK);
    cr_assert_eq(create(1), STATUS_OK);
    run();
    cr_expect_eq(answers[0].outcome, STORE_NOT_FOUND);
    for (size_t i = 1; i <= 3; i++)
        cr_expect_eq(answers[i].outcome, STORE_OK);
    cr_expect_eq(answers[4].outcome, STORE_UNAVAILABLE, "full");
    cr_expect_eq(answers[5].outcome, STORE_UNAVAILABLE, "exists: its numbers are in use");

    const struct cid one = waiter_for(1).subject, nobody = waiter_for(77).subject;
    store_remove_session(store, &nobody);
    store_remove_session(store, &one);
    store_remove_session(store, &one);
    cr_assert_eq(lease(1), STATUS_OK);
    cr_assert_eq(create(4), STATUS_OK);
    run();
    cr_expect_eq(answers[0].outcome, STORE_NOT_FOUND);
    cr_expect_eq(answers[1].outcome, STORE_OK);
}

Test(store_memory, nonces_go_on_from_the_first)
{
    for (uint8_t i = 0; i < 3; i++) {
        const struct store_waiter waiter = waiter_for(i);
        cr_assert_eq(store_lease_nonces(store, i, i, &waiter), STATUS_OK);
    }
    run();
    for (size_t i = 0; i < 3; i++) {
        cr_expect_eq(answers[i].outcome, STORE_OK);
        cr_expect_eq(answers[i].first, 1000 + i * NONCE_LEASE);
        cr_expect_eq(answers[i].count, NONCE_LEASE);
    }
}

static size_t counted;

static void count_answer(void *owner, const struct store_answer *answer)
{
    (void)owner;
    (void)answer;
    counted++;
}

Test(store_memory, questions_are_bounded)
{
    const struct store_waiter waiter = {.answer = count_answer};
    for (size_t i = 0; i < STORE_QUESTIONS_MAX; i++)
        cr_assert_eq(store_lease_nonces(store, 0, 0, &waiter), STATUS_OK);
    cr_expect_eq(store_lease_nonces(store, 0, 0, &waiter), STATUS_FULL);
    cr_expect_eq(store_run(store), STORE_QUESTIONS_MAX);
    cr_expect_eq(counted, STORE_QUESTIONS_MAX);
    cr_expect_eq(store_lease_nonces(store, 0, 0, &waiter), STATUS_OK);
}

static void ask_again(void *owner, const struct store_answer *answer)
{
    (void)owner;
    if (++counted == 1) {
        const struct store_waiter waiter = {ask_again, NULL, answer->subject};
        cr_expect_eq(store_lease_nonces(store, 0, 0, &waiter), STATUS_OK);
    }
}

Test(store_memory, an_answer_may_ask_for_the_next_turn)
{
    const struct store_waiter waiter = {.answer = ask_again};
    cr_assert_eq(store_lease_nonces(store, 0, 0, &waiter), STATUS_OK);
    cr_expect_eq(store_run(store), 1);
    cr_expect_eq(counted, 1);
    cr_expect_eq(store_run(store), 1);
    cr_expect_eq(counted, 2);
    cr_expect_eq(store_run(store), 0);
}
