#include "tests/worker/coap_bench.h"
#include "worker/coap_endpoint.h"

#include <criterion/criterion.h>
#include <string.h>

#define OCTETS(text) text, sizeof(text) - 1

static uint64_t ticket;
static size_t runs;

static enum resource_outcome answer_later(const struct resource_call *call,
                                          struct resource_reply *reply)
{
    runs++;
    ticket = call->ticket;
    if (request_query_value(call->request->queries.first, "now", &(const char *){0},
                            &(size_t){0})) {
        reply->code = CODE_CONTENT;
        return RESOURCE_DONE;
    }
    writer_bytes(&reply->payload, "does not count", 14);
    return RESOURCE_LATER;
}

static const struct resource table[] = {
    {.path = "/slow",
     .plain = true,
     .defers = true,
     .handlers = {[CODE_GET] = answer_later, [CODE_POST] = answer_later}},
};

static struct coap_bench bench;

static void begin(void)
{
    runs = 0;
    ticket = 0;
    coap_bench_open_as(&bench, (struct coap_options){
                                   .resources = table, .resource_count = 1, .exchanges_max = 64});
}

static void end(void)
{
    coap_bench_close(&bench);
}

TestSuite(coap_deferral, .init = begin, .fini = end);

static const struct ask get = {.id = 7, .token = "tk", .uri = "/slow?x=y"};

static enum coap_outcome ask(const struct ask *question, uint64_t now_ms)
{
    return coap_bench_ask(&bench, &bench.secured, now_ms, question);
}

static bool answer(uint64_t now_ms, const char *payload)
{
    struct resource_reply reply;
    coap_begin_reply(bench.coap, &reply);
    reply.code = CODE_CONTENT;
    writer_bytes(&reply.payload, payload, strlen(payload));
    return coap_answer(bench.coap, ticket, coap_bench_now(now_ms), &reply);
}

static void expect_sent(const char *octets, size_t length)
{
    struct message message;
    const struct coap_bench_sent *sent = coap_bench_take(&bench, &message);
    cr_expect_eq(sent->length, length, "%zu", sent->length);
    cr_expect_arr_eq(sent->bytes, octets, length);
}

Test(coap_deferral, soon_enough_it_is_piggybacked)
{
    cr_assert_eq(ask(&get, 0), COAP_SILENCE);
    cr_assert_eq(ask(&get, 100), COAP_SILENCE, "a repetition waits too");
    coap_bench_run(&bench, COAP_SEPARATE_MS - 1);
    cr_assert_eq(bench.sent_count, 0);
    cr_assert(answer(COAP_SEPARATE_MS - 1, "hi"));
    expect_sent(OCTETS("\x62\x45\x00\x07tk\xffhi"));
    cr_assert_eq(ask(&get, 1600), COAP_REPLY, "the same octets again");
    cr_expect_arr_eq(bench.reply, "\x62\x45\x00\x07tk\xffhi", 9);
    cr_expect_eq(runs, 1);
    cr_expect_not(answer(1700, "twice"));
    cr_expect_eq(coap_bench_count(&bench, WORKER_COAP_REQUESTS), 1);
    cr_expect_eq(coap_bench_count(&bench, WORKER_COAP_SEPARATE), 0);
}

/* "When the server chooses to use a separate response, it sends the Acknowledgement to the
 * Confirmable request as an Empty message." (RFC 7252 section 5.2.2) */
Test(coap_deferral, later_it_is_separate)
{
    cr_assert_eq(ask(&get, 0), COAP_SILENCE);
    cr_assert_leq(coap_next_ms(bench.coap), COAP_SEPARATE_MS);
    coap_bench_run(&bench, COAP_SEPARATE_MS);
    expect_sent(OCTETS("\x60\x00\x00\x07"));
    /* "If a retransmitted request is received (perhaps because the original Acknowledgement was
     * delayed), another Empty Acknowledgement is sent" */
    cr_assert_eq(ask(&get, 2000), COAP_REPLY);
    cr_expect_eq(bench.reply_length, 4);
    cr_expect_arr_eq(bench.reply, "\x60\x00\x00\x07", 4);
    /* "When it is desired that this message is not lost, it is sent as a Confirmable message from
     * the server to the client and answered by the client with an Acknowledgement, echoing the new
     * Message ID chosen by the server." */
    cr_assert(answer(4000, "hi"));
    expect_sent(OCTETS("\x42\x45\x7d\x00tk\xffhi"));
    cr_assert_eq(ask(&get, 4001), COAP_REPLY, "still the empty ACK");
    cr_expect_eq(bench.reply_length, 4);
    coap_bench_run(&bench, 7001);
    expect_sent(OCTETS("\x42\x45\x7d\x00tk\xffhi"));
    cr_expect_eq(coap_bench_receive(&bench, &bench.secured, 7002, OCTETS("\x60\x00\x7d\x00")),
                 COAP_SILENCE);
    coap_bench_run(&bench, 100000);
    cr_expect_eq(bench.sent_count, 0);
    cr_expect_eq(runs, 1);
    cr_expect_eq(coap_bench_count(&bench, WORKER_COAP_SEPARATE), 1);
    cr_expect_eq(coap_bench_count(&bench, WORKER_COAP_RETRANSMISSIONS), 1);
}

/* "The server MUST stop retransmitting its response on any matching Acknowledgement (silently
 * ignoring any Response Code or payload) or Reset message." (RFC 7252 section 5.2.2) */
Test(coap_deferral, whatever_acknowledges_a_separate_response)
{
    static const struct {
        const char *bytes;
        size_t length;
    } rows[] = {
        {OCTETS("\x60\x00\x7d\x00")},
        {OCTETS("\x70\x00\x7d\x00")},
        {OCTETS("\x62\x45\x7d\x00no\xffwhat")},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        end();
        begin();
        ask(&get, 0);
        coap_bench_run(&bench, 2000);
        answer(2000, "hi");
        bench.sent_count = 0;
        cr_expect_eq(
            coap_bench_receive(&bench, &bench.secured, 2100, rows[i].bytes, rows[i].length),
            COAP_SILENCE);
        coap_bench_run(&bench, 100000);
        cr_expect_eq(bench.sent_count, 0, "row %zu", i);
    }
}

/* "If the request message is Non-confirmable, then the response SHOULD be returned in a
 * Non-confirmable message as well." (RFC 7252 section 5.2.3) */
Test(coap_deferral, a_non_confirmable_request_gets_no_ack)
{
    struct ask non = get;
    non.type = MESSAGE_NON;
    cr_assert_eq(ask(&non, 0), COAP_SILENCE);
    coap_bench_run(&bench, 10000);
    cr_assert_eq(bench.sent_count, 0);
    cr_assert(answer(10000, "hi"));
    expect_sent(OCTETS("\x52\x45\x7d\x00tk\xffhi"));
    cr_assert_eq(ask(&non, 10001), COAP_SILENCE, "a repetition");
    coap_bench_run(&bench, 100000);
    cr_expect_eq(bench.sent_count, 0);
    cr_expect_eq(runs, 1);
}

/* Its repetitions would be sent to whoever's address that is. */
Test(coap_deferral, an_unproven_address_gets_one_response)
{
    cr_assert_eq(coap_bench_ask(&bench, &bench.plain, 0, &get), COAP_SILENCE);
    coap_bench_run(&bench, COAP_SEPARATE_MS);
    expect_sent(OCTETS("\x60\x00\x00\x07"));
    cr_assert(answer(2000, "hi"));
    expect_sent(OCTETS("\x52\x45\x00\x00tk\xffhi"));
    coap_bench_run(&bench, 100000);
    cr_expect_eq(bench.sent_count, 0);
}

Test(coap_deferral, an_answer_that_never_comes_is_5_03)
{
    cr_assert_eq(ask(&get, 0), COAP_SILENCE);
    coap_bench_run(&bench, COAP_SEPARATE_MS);
    expect_sent(OCTETS("\x60\x00\x00\x07"));
    coap_bench_run(&bench, COAP_DEFERRED_MS);
    expect_sent(OCTETS("\x42\xa3\x7d\x00tk\xd1\x01\x05"));
    cr_expect_not(answer(COAP_DEFERRED_MS + 1, "too late"));
    cr_expect_eq(coap_bench_count(&bench, WORKER_COAP_UNANSWERED), 1);
}

Test(coap_deferral, nobody_waits_once_the_session_is_gone)
{
    cr_assert_eq(ask(&get, 0), COAP_SILENCE);
    coap_forget(bench.coap, bench.secured.session_id);
    cr_expect_not(answer(100, "hi"));
    cr_expect_eq(bench.sent_count, 0);
    cr_expect_eq(coap_next_ms(bench.coap), UINT64_MAX);
}

Test(coap_deferral, a_handler_may_answer_at_once_all_the_same)
{
    struct ask question = get;
    question.uri = "/slow?now=1";
    for (unsigned i = 1; i <= 2; i++) {
        cr_assert_eq(ask(&question, i), COAP_REPLY);
        cr_expect_eq(runs, i, "a safe method leaves no trace");
    }
    question.code = CODE_POST;
    question.id++;
    for (unsigned i = 1; i <= 2; i++) {
        cr_assert_eq(ask(&question, i), COAP_REPLY);
        cr_expect_eq(runs, 3, "another is done once");
    }
}

Test(coap_deferral, full_is_5_03_and_no_handler_runs)
{
    struct ask question = get;
    for (unsigned i = 0; i < COAP_EXCHANGES_PER_PEER_MAX; i++, question.id++)
        cr_assert_eq(ask(&question, 0), COAP_SILENCE);
    cr_assert_eq(ask(&question, 0), COAP_REPLY);
    cr_expect_eq(coap_bench_code(&bench), CODE_UNAVAILABLE);
    cr_expect_eq(runs, COAP_EXCHANGES_PER_PEER_MAX);
    cr_expect_eq(coap_bench_count(&bench, WORKER_COAP_REFUSED), 1);
}
