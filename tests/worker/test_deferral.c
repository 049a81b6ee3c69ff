#include "tests/worker/ask.h"
#include "worker/deferral.h"

#include <criterion/criterion.h>
#include <string.h>

#define MAX 4

static struct deferrals deferrals;
static const struct deferral_due due = {1000, 5000};

static void begin(void)
{
    cr_assert_eq(deferrals_init(&deferrals, MAX, (struct hash_key){1, 2}), STATUS_OK);
}

static void end(void)
{
    deferrals_free(&deferrals);
}

TestSuite(deferral, .init = begin, .fini = end);

static struct deferral *defer(const struct ask *ask, uint64_t session_id, uint64_t ticket)
{
    uint8_t bytes[DATAGRAM_SIZE_MAX];
    struct message request;
    const struct coap_peer peer = {.session_id = session_id};
    size_t length = ask_write(ask, bytes, sizeof bytes);
    cr_assert_eq(message_parse(&request, bytes, length), MESSAGE_OK);
    struct deferral *deferral = deferral_open(&deferrals, &peer, &request, ticket, &due);
    memset(bytes, 0xee, sizeof bytes); /* nothing of the datagram is kept */
    return deferral;
}

Test(deferral, keeps_the_request_less_its_payload)
{
    const struct ask ask = {.code = CODE_POST,
                            .id = 0x1234,
                            .token = "12345678",
                            .uri = "/a/b?c=d",
                            .has_accept = true,
                            .accept = 60,
                            .payload = "a payload"};
    struct message request;
    cr_assert(defer(&ask, 1, 7));
    const struct deferral *deferral = deferral_find(&deferrals, 7);
    cr_assert(deferral);
    deferral_request(deferral, &request);
    cr_expect_eq(request.type, MESSAGE_CON);
    cr_expect_eq(request.code, CODE_POST);
    cr_expect_eq(request.id, 0x1234);
    cr_expect_eq(request.token_length, 8);
    cr_expect_arr_eq(request.token, "12345678", 8);
    cr_expect_eq(request.option_count, 4);
    cr_expect_eq(request.payload_length, 0);
    cr_expect_eq(request.length, deferral->length + 1U + strlen("a payload"));
    cr_expect_eq(deferral_find(&deferrals, 8), NULL);
}

Test(deferral, is_due_twice_if_it_is_confirmable)
{
    struct deferral *con = defer(&(struct ask){.id = 1}, 1, 1);
    struct deferral *non = defer(&(struct ask){.type = MESSAGE_NON, .id = 2}, 1, 2);
    cr_assert(con && non);
    cr_expect_leq(deferral_next_ms(&deferrals), 1000);
    cr_expect_eq(deferral_take(&deferrals, 999), NULL);
    cr_expect_eq(deferral_take(&deferrals, 1000), con);
    deferral_acknowledge(&deferrals, con);
    cr_expect(con->acknowledged);
    cr_expect_eq(deferral_take(&deferrals, 4999), NULL);
    for (size_t i = 0; i < 2; i++) {
        struct deferral *last = deferral_take(&deferrals, 5000);
        cr_assert(last == con || last == non);
        deferral_close(&deferrals, last);
    }
    cr_expect_eq(deferral_next_ms(&deferrals), UINT64_MAX);
}

Test(deferral, has_a_bound_and_goes_with_its_session)
{
    for (uint64_t ticket = 1; ticket <= MAX; ticket++) {
        cr_assert(deferral_has_room(&deferrals));
        cr_assert(defer(&(struct ask){.id = 1}, ticket % 2, ticket));
    }
    cr_expect_not(deferral_has_room(&deferrals));
    cr_expect_eq(defer(&(struct ask){.id = 1}, 1, 99), NULL);
    deferral_forget(&deferrals, 1);
    for (uint64_t ticket = 1; ticket <= MAX; ticket++)
        cr_expect_eq(deferral_find(&deferrals, ticket) != NULL, ticket % 2 == 0);
    deferral_forget(&deferrals, 1);
    cr_expect_eq(deferrals.pool.in_use, MAX / 2);
}

/* RFC 7252 allows 32 options here of any length that fits a message. */
Test(deferral, keeps_the_longest_request)
{
    static uint8_t query[1100];
    const struct ask ask = {.options = {{OPTION_URI_QUERY, 255, query},
                                        {OPTION_URI_QUERY, 255, query},
                                        {OPTION_URI_QUERY, 255, query},
                                        {65000, 480, query}}};
    struct message request;
    struct deferral *deferral = defer(&ask, 1, 1);
    cr_assert(deferral);
    deferral_request(deferral, &request);
    cr_expect_eq(request.option_count, 4);
    cr_expect_eq(request.length, deferral->length);
    cr_expect_gt(request.length, COAP_MESSAGE_SIZE_MAX - 32);
}
