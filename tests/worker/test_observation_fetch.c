/* Notifications whose body comes in blocks, of a device that the test plays. */
#include <criterion/criterion.h>
#include <string.h>

#include "tests/worker/block_part.h"
#include "tests/worker/observation_bench.h"
#include "worker/block.h"
#include "worker/observation.h"

enum { SIZE = BLOCK_PART_SIZE };

static struct observation_bench bench;
static size_t sent; /* of what the bench has sent, how many were looked at */

static struct observations *observations(void)
{
    return &bench.client.observations;
}

static uint64_t counted(enum worker_metric metric)
{
    return coap_bench_count(&bench.coap, metric);
}

static void begin(void)
{
    sent = 0;
    observation_bench_begin(&bench);
}

static void end(void)
{
    client_forget(&bench.client, 1);
    cr_expect_eq(observations()->fetches, 0);
    observation_bench_end(&bench);
}

static enum coap_outcome say(const struct block_part *part)
{
    return block_part_say(&bench, part);
}

static void next(struct message *message)
{
    cr_assert_lt(sent, bench.coap.sent_count);
    const struct coap_bench_sent *of = &bench.coap.sent[sent++];
    cr_assert_eq(message_parse(message, of->bytes, of->length), MESSAGE_OK);
}

static void expect_silence(void)
{
    cr_expect_eq(sent, bench.coap.sent_count);
    sent = bench.coap.sent_count = 0;
}

/* RFC 7959 section 2.6: by a GET of its own, which observes nothing. */
static void expect_get(struct message *request, uint32_t number)
{
    struct block block;
    next(request);
    cr_assert_eq(request->code, CODE_GET);
    cr_expect_geq(request->token[0], ERRAND_TOKEN_FIRST);
    cr_assert_eq(block_read(&block, request, OPTION_BLOCK2), BLOCK_FOUND);
    cr_expect_eq(block.number, number);
    cr_expect_eq(block.szx, BLOCK_PART_SZX);
    for (size_t i = 0; i < request->option_count; i++)
        cr_expect_neq(request->options[i].number, OPTION_OBSERVE);
}

/* The GET for this block is answered; the one that follows is looked at by the next call. */
static void serve(uint32_t number, char state, bool is_last)
{
    struct message request;
    expect_get(&request, number);
    say(&(struct block_part){.type = MESSAGE_ACK,
                             .id = request.id,
                             .token = request.token,
                             .etag = (uint8_t)state,
                             .number = number,
                             .is_last = is_last,
                             .state = state});
}

static void expect_ack(uint16_t id)
{
    struct message ack;
    next(&ack);
    cr_expect_eq(ack.type, MESSAGE_ACK);
    cr_expect_eq(ack.id, id);
}

static struct relation_value stored(size_t index)
{
    struct relation_value value;
    cr_assert_lt(index, bench.save_count);
    cr_assert_eq(relation_value_read(
                     &value, (struct octets){bench.saves[index].value, bench.saves[index].length}),
                 STATUS_OK);
    return value;
}

/* The last event holds so many blocks of this state, the last one half, and nothing else. */
static void expect_event(char state, uint32_t blocks)
{
    static uint8_t body[COAP_BODY_MAX];
    size_t length = 0;
    for (uint32_t i = 0; i < blocks; i++, length += SIZE)
        block_part_fill(body + length, state, i);
    length -= SIZE / 2;
    size_t event_length = bench.saves[bench.save_count - 1].event_length;
    cr_assert_gt(event_length, length);
    cr_expect_eq(memcmp(bench.event + event_length - length, body, length), 0);
    cr_expect_eq(bench.event[event_length - length - 2], length >> 8, "and no more");
}

/* Held, with a notification in blocks of state 'a' noted, acknowledged and asked for. */
static uint8_t begin_fetch(void)
{
    uint8_t slot = observation_bench_hold(&bench, "/large", 12);
    expect_silence();
    say(&(struct block_part){
        .type = MESSAGE_CON, .id = 500, .observe = 13, .etag = 'a', .state = 'a'});
    observation_bench_store(&bench, bench.save_count - 1, STORE_OK);
    expect_ack(500);
    return slot;
}

/* Asked for, and the first block of state 'a' has come. */
static void register_in_blocks(void)
{
    cr_assert_eq(observation_bench_observe(&bench, "/large"), STATUS_OK);
    uint16_t id = observation_bench_registration(&bench, 0);
    sent = bench.coap.sent_count;
    say(&(struct block_part){
        .type = MESSAGE_ACK, .id = id, .observe = 12, .etag = 'a', .state = 'a'});
}

Test(observation_fetch, is_noted_then_acknowledged_then_fetched)
{
    begin();
    observation_bench_hold(&bench, "/large", 12);
    expect_silence();
    const struct block_part first = {
        .type = MESSAGE_CON, .id = 500, .observe = 13, .etag = 'a', .state = 'a'};
    cr_expect_eq(say(&first), COAP_SILENCE);
    cr_assert_eq(bench.save_count, 2);
    cr_expect_eq(bench.saves[1].event_length, 0);
    struct relation_value note = stored(1);
    cr_expect_eq(note.number, 12, "what the log has");
    cr_expect_eq(note.expires_unix_ms, 0, "something is due");
    cr_expect_eq(say(&first), COAP_SILENCE, "again");
    expect_silence();

    observation_bench_store(&bench, 1, STORE_OK);
    expect_ack(500);
    serve(1, 'a', false);
    serve(2, 'a', true);
    expect_silence();
    cr_assert_eq(bench.save_count, 3);
    expect_event('a', 3);
    cr_expect_eq(stored(2).number, 13);
    cr_expect_gt(stored(2).expires_unix_ms, 0);
    observation_bench_store(&bench, 2, STORE_OK);
    expect_silence();
    cr_expect_eq(counted(WORKER_HEARD_STORED), 2);
    cr_expect_eq(counted(WORKER_FETCHES_WHOLE), 1);
    cr_expect_eq(say(&first), COAP_REPLY, "a copy gets the same ACK");
    cr_expect_eq(bench.save_count, 3);
    /* And its Max-Age counts. */
    observation_bench_pass(&bench, 60000 + OBSERVATION_MARGIN_MS - 1);
    expect_silence();
    observation_bench_pass(&bench, OBSERVATION_SPREAD_MS + 1);
    observation_bench_registration(&bench, 0);
    end();
}

Test(observation_fetch, a_non_confirmable_one_is_fetched_too)
{
    begin();
    observation_bench_hold(&bench, "/large", 12);
    expect_silence();
    say(&(struct block_part){
        .type = MESSAGE_NON, .id = 500, .observe = 13, .etag = 'a', .state = 'a'});
    observation_bench_store(&bench, 1, STORE_OK);
    serve(1, 'a', true);
    expect_silence();
    expect_event('a', 2);
    end();
}

Test(observation_fetch, what_is_not_noted_comes_again)
{
    const struct block_part first = {
        .type = MESSAGE_CON, .id = 500, .observe = 13, .etag = 'a', .state = 'a'};
    begin();
    observation_bench_hold(&bench, "/large", 12);
    expect_silence();
    bench.store_is_full = true;
    cr_expect_eq(say(&first), COAP_DROPPED);
    bench.store_is_full = false;
    say(&first);
    observation_bench_store(&bench, 1, STORE_UNAVAILABLE);
    expect_silence();
    cr_expect_eq(observations()->fetches, 0);
    cr_expect_eq(say(&first), COAP_SILENCE);
    cr_assert_eq(bench.save_count, 3);
    observation_bench_store(&bench, 2, STORE_OK);
    expect_ack(500);
    serve(1, 'a', true);
    expect_event('a', 2);
    end();
}

Test(observation_fetch, a_newer_state_in_one_message_comes_before)
{
    struct message request;
    begin();
    begin_fetch();
    expect_get(&request, 1);
    observation_bench_say(&bench, MESSAGE_CON, 501, CODE_CONTENT, 14, 60, "small");
    cr_expect_eq(bench.save_count, 3);
    cr_expect_gt(stored(2).expires_unix_ms, 0);
    cr_expect_eq(stored(2).number, 14);
    cr_expect_eq(counted(WORKER_FETCHES_SUPERSEDED), 1);
    cr_expect_eq(observations()->fetches, 0);
    observation_bench_store(&bench, 2, STORE_OK);
    expect_ack(501);
    cr_expect_eq(say(&(struct block_part){.type = MESSAGE_ACK,
                                          .id = request.id,
                                          .token = request.token,
                                          .number = 1,
                                          .is_last = true,
                                          .state = 'a'}),
                 COAP_DROPPED, "too late");
    cr_expect_eq(bench.save_count, 3);
    observation_bench_pass(&bench, 30000);
    expect_silence();
    end();
}

Test(observation_fetch, a_newer_one_in_blocks_begins_anew)
{
    begin();
    begin_fetch();
    serve(1, 'a', false);
    say(&(struct block_part){
        .type = MESSAGE_CON, .id = 501, .observe = 14, .state = 'b', .etag = 'b'});
    cr_expect_eq(say(&(struct block_part){
                     .type = MESSAGE_CON, .id = 502, .observe = 13, .state = 'a', .etag = 'a'}),
                 COAP_REPLY, "it is old by now");
    cr_expect_eq(counted(WORKER_HEARD_REORDERED), 1);
    cr_assert_eq(bench.save_count, 3);
    struct message request;
    expect_get(&request, 2); /* had gone before */
    observation_bench_store(&bench, 2, STORE_OK);
    expect_ack(501);
    serve(1, 'b', false);
    serve(2, 'b', true);
    expect_event('b', 3);
    cr_expect_eq(stored(3).number, 14);
    cr_expect_eq(counted(WORKER_FETCHES_SUPERSEDED), 1);
    end();
}

/* "the client ... MUST compare ETag Options" (RFC 7959 section 2.4). */
Test(observation_fetch, states_are_never_mixed)
{
    begin();
    begin_fetch();
    serve(1, 'a', false);
    serve(2, 'b', false); /* it has changed */
    serve(0, 'b', false);
    serve(1, 'b', true);
    expect_event('b', 2);
    end();
}

Test(observation_fetch, what_cannot_be_fetched_is_registered_anew)
{
    uint8_t token[ERRAND_TOKEN_SIZE];
    struct message request;
    begin();
    begin_fetch();
    memcpy(token, bench.token, sizeof(token));
    expect_get(&request, 1);
    say(&(struct block_part){
        .type = MESSAGE_ACK, .id = request.id, .token = request.token, .code = CODE_INCOMPLETE});
    cr_expect_eq(counted(WORKER_FETCHES_FAILED), 1);
    cr_assert_eq(bench.coap.sent_count, sent + 1);
    next(&request);
    cr_expect_arr_eq(request.token, token, sizeof(token));
    /* Whatever its number: it is newer than the question. */
    say(&(struct block_part){
        .type = MESSAGE_ACK, .id = request.id, .observe = 5, .etag = 'a', .state = 'a'});
    cr_assert_eq(bench.save_count, 3);
    observation_bench_store(&bench, 2, STORE_OK);
    /* The second time it waits. */
    expect_get(&request, 1);
    say(&(struct block_part){
        .type = MESSAGE_ACK, .id = request.id, .token = request.token, .code = CODE_INCOMPLETE});
    expect_silence();
    observation_bench_pass(&bench, OBSERVATION_RETRY_MS);
    expect_silence();
    observation_bench_pass(&bench, OBSERVATION_RETRY_MS + OBSERVATION_SPREAD_MS);
    uint16_t id = observation_bench_registration(&bench, 0);
    observation_bench_say(&bench, MESSAGE_ACK, id, CODE_CONTENT, 13, 600, "small");
    cr_assert_eq(bench.save_count, 4);
    observation_bench_store(&bench, 3, STORE_OK);
    sent = bench.coap.sent_count = 0;
    observation_bench_pass(&bench, 300000);
    expect_silence();
    end();
}

Test(observation_fetch, a_device_that_falls_silent_is_asked_later)
{
    begin();
    begin_fetch();
    for (int i = 0; i < 100 && observations()->fetches > 0; i++)
        observation_bench_pass(&bench, 1000);
    cr_expect_eq(counted(WORKER_FETCHES_FAILED), 1);
    sent = bench.coap.sent_count = 0;
    observation_bench_pass(&bench, OBSERVATION_RETRY_MS - 1);
    expect_silence();
    observation_bench_pass(&bench, OBSERVATION_SPREAD_MS + 1);
    observation_bench_registration(&bench, 0);
    end();
}

Test(observation_fetch, what_is_fetched_and_not_stored_is_still_due)
{
    begin();
    begin_fetch();
    serve(1, 'a', true);
    cr_assert_eq(bench.save_count, 3);
    observation_bench_store(&bench, 2, STORE_UNAVAILABLE);
    expect_silence();
    observation_bench_pass(&bench, OBSERVATION_RETRY_MS + OBSERVATION_SPREAD_MS);
    uint16_t id = observation_bench_registration(&bench, 0);
    observation_bench_say(&bench, MESSAGE_ACK, id, CODE_CONTENT, 13, 600, "small");
    cr_expect_eq(bench.save_count, 4);
    end();
}

/* The owner died between the ACK and the event. */
Test(observation_fetch, an_heir_asks_at_once)
{
    begin();
    uint8_t slot = begin_fetch();
    struct relation_value note = stored(1);
    serve(1, 'a', false);
    client_forget(&bench.client, 1);
    coap_forget(bench.coap.coap, 1);
    sent = bench.coap.sent_count = 0;
    cr_assert_eq(observation_restore(observations(), &bench.coap.secured, slot, &note), STATUS_OK);
    observation_bench_pass(&bench, 1);
    struct message request;
    next(&request);
    cr_expect_arr_eq(request.token, bench.token, sizeof(bench.token));
    say(&(struct block_part){
        .type = MESSAGE_ACK, .id = request.id, .observe = 13, .etag = 'a', .state = 'a'});
    cr_assert_eq(bench.save_count, 3);
    observation_bench_store(&bench, 2, STORE_OK);
    serve(1, 'a', false);
    serve(2, 'a', true);
    expect_event('a', 3);
    end();
}

Test(observation_fetch, too_large_a_body_ends_it)
{
    begin();
    begin_fetch();
    uint32_t blocks = COAP_BODY_MAX / SIZE;
    for (uint32_t i = 1; i <= blocks; i++) {
        serve(i, 'a', false);
        if (sent == COAP_BENCH_SENT_MAX / 2 && sent == bench.coap.sent_count)
            sent = bench.coap.sent_count = 0;
    }
    cr_expect_eq(counted(WORKER_HEARD_TOO_LARGE), 1);
    cr_expect_not(observation_has(observations(), 1));
    cr_expect_eq(bench.saves[bench.save_count - 1].length, 0, "out of the store");
    struct message request;
    next(&request);
    cr_expect_eq(message_option_number(&request.options[0]), 1, "the device is told");
    end();
}

Test(observation_fetch, the_largest_body_is_one_event)
{
    begin();
    begin_fetch();
    for (uint32_t i = 1; i < COAP_BODY_MAX / SIZE; i++)
        serve(i, 'a', i == COAP_BODY_MAX / SIZE - 1);
    expect_event('a', COAP_BODY_MAX / SIZE);
    end();
}

/* It begins when the store has the whole of the first state. */
Test(observation_fetch, a_registration_in_blocks)
{
    begin();
    register_in_blocks();
    cr_expect_eq(bench.save_count, 0, "it promises nothing yet");
    serve(1, 'a', false);
    serve(2, 'a', true);
    cr_assert_eq(bench.save_count, 1);
    expect_event('a', 3);
    cr_expect_eq(stored(0).number, 12);
    cr_expect_eq(bench.told, 0);
    observation_bench_store(&bench, 0, STORE_OK);
    cr_expect_eq(bench.told, 1);
    cr_expect_eq(bench.result.outcome, OBSERVATION_BEGUN);
    end();
}

Test(observation_fetch, a_newer_state_while_it_registers)
{
    begin();
    register_in_blocks();
    observation_bench_say(&bench, MESSAGE_CON, 500, CODE_CONTENT, 13, 60, "small");
    cr_assert_eq(bench.save_count, 1);
    observation_bench_store(&bench, 0, STORE_OK);
    cr_expect_eq(bench.result.outcome, OBSERVATION_BEGUN);
    cr_expect_eq(stored(0).number, 13);
    cr_expect_eq(observations()->fetches, 0);
    end();
}

/* What is due after Max-Age does not end a fetch that takes longer. */
Test(observation_fetch, begins_before_the_registration_is_stored)
{
    struct message request;
    begin();
    cr_assert_eq(observation_bench_observe(&bench, "/large"), STATUS_OK);
    uint16_t id = observation_bench_registration(&bench, 0);
    sent = bench.coap.sent_count;
    observation_bench_say(&bench, MESSAGE_ACK, id, CODE_CONTENT, 12, 1, "small");
    say(&(struct block_part){
        .type = MESSAGE_CON, .id = 500, .observe = 13, .etag = 'a', .state = 'a'});
    cr_assert_eq(bench.save_count, 2);
    observation_bench_store(&bench, 0, STORE_OK);
    cr_expect_eq(bench.result.outcome, OBSERVATION_BEGUN);
    observation_bench_store(&bench, 1, STORE_OK);
    expect_ack(500);
    expect_get(&request, 1);
    observation_bench_pass(&bench, 1000 + OBSERVATION_MARGIN_MS + OBSERVATION_SPREAD_MS);
    cr_expect_eq(observations()->fetches, 1);
    say(&(struct block_part){.type = MESSAGE_ACK,
                             .id = request.id,
                             .token = request.token,
                             .etag = 'a',
                             .number = 1,
                             .is_last = true,
                             .state = 'a'});
    expect_event('a', 2);
    end();
}

Test(observation_fetch, a_registration_that_fails_midway)
{
    begin();
    register_in_blocks();
    struct message request;
    expect_get(&request, 1);
    say(&(struct block_part){
        .type = MESSAGE_ACK, .id = request.id, .token = request.token, .code = CODE_NOT_FOUND});
    cr_expect_eq(bench.told, 1);
    cr_expect_eq(bench.result.outcome, OBSERVATION_REFUSED);
    cr_expect_eq(bench.result.code, CODE_NOT_FOUND);
    cr_expect_not(observation_has(observations(), 1));
    next(&request);
    cr_expect_eq(message_option_number(&request.options[0]), 1, "the device is told");
    end();
}

Test(observation_fetch, bounded_for_each_session)
{
    static const char *const targets[] = {"/a", "/b", "/c", "/d", "/e"};
    begin();
    for (size_t i = 0; i < 5; i++) {
        observation_bench_hold(&bench, targets[i], 12);
        sent = bench.coap.sent_count = 0;
        enum coap_outcome outcome = say(&(struct block_part){.type = MESSAGE_CON,
                                                             .id = (uint16_t)(500 + i),
                                                             .observe = 13,
                                                             .etag = 'a',
                                                             .state = 'a'});
        cr_expect_eq(outcome,
                     i < OBSERVATION_FETCHES_PER_SESSION_MAX ? COAP_SILENCE : COAP_DROPPED);
    }
    cr_expect_eq(observations()->fetches, OBSERVATION_FETCHES_PER_SESSION_MAX);
    cr_expect_eq(counted(WORKER_FETCHES_REFUSED), 1);
    end();
}

Test(observation_fetch, blocks_that_cannot_be)
{
    static const struct block_part rows[] = {
        {.type = MESSAGE_CON, .id = 500, .observe = 13, .number = 1, .state = 'a'},
        {.type = MESSAGE_NON, .id = 501, .observe = 13, .number = 2, .is_last = true, .state = 'a'},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        begin();
        observation_bench_hold(&bench, "/large", 12);
        cr_expect_eq(say(&rows[i]), COAP_REPLY);
        cr_expect_eq(bench.coap.reply[0] >> 4 & 3, MESSAGE_RST);
        cr_expect_eq(counted(WORKER_HEARD_MALFORMED), 1);
        cr_expect_not(observation_has(observations(), 1));
        end();
    }
}

Test(observation_fetch, ends_with_its_observation)
{
    begin();
    uint8_t slot = begin_fetch();
    cr_assert_eq(observation_cancel(observations(), 1, slot, &bench.waiter), STATUS_OK);
    cr_expect_eq(observations()->fetches, 0);
    observation_bench_store(&bench, bench.save_count - 1, STORE_OK);
    cr_expect_eq(bench.result.outcome, OBSERVATION_CANCELLED);
    end();
}

/* However busy it is: errands have bounds of their own, for each block. */
Test(observation_fetch, takes_no_longer_than_an_hour)
{
    begin();
    begin_fetch();
    observation_run(observations(), bench.now_ms + COAP_BODY_LIFETIME_MS - 1);
    cr_expect_eq(observations()->fetches, 1);
    observation_run(observations(), bench.now_ms + COAP_BODY_LIFETIME_MS);
    cr_expect_eq(observations()->fetches, 0);
    cr_expect_eq(counted(WORKER_FETCHES_FAILED), 1);
    end();
}
