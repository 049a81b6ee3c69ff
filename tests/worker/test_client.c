/* Errands and observations as one party of the message layer: whose a response is. */
#include "worker/client.h"

#include <criterion/criterion.h>
#include <string.h>

#include "tests/worker/coap_bench.h"

static struct coap_bench bench;
static struct client client;
static size_t answers;

static enum coap_heard take(void *owner, uint64_t tag, const struct errand_result *result)
{
    (void)owner;
    (void)tag;
    (void)result;
    answers++;
    return COAP_HEARD;
}

static enum coap_outcome say(const uint8_t token[ERRAND_TOKEN_SIZE], uint16_t id)
{
    uint8_t space[64];
    struct writer writer = writer_over(space, sizeof(space));
    struct message_builder builder;
    message_begin(&builder, &writer, MESSAGE_CON, CODE_CONTENT, id, token, ERRAND_TOKEN_SIZE);
    message_add_number(&builder, OPTION_OBSERVE, 5);
    return coap_bench_receive(&bench, &bench.secured, 1000, space, writer_length(&writer));
}

Test(client, responses_find_who_asked)
{
    static const uint8_t nobodys[ERRAND_TOKEN_SIZE] = {0x7f};
    const struct errand_request request = {
        .method = CODE_GET, .target = {(const uint8_t *)"/a", 2}, .done = take};
    struct message message;
    coap_bench_open(&bench, 1024);
    coap_turn(bench.coap, coap_bench_now(1000));
    const struct client_options options = {.coap = bench.coap, .hash_key = {1, 2}, .seed = 3};
    cr_assert_eq(client_init(&client, &options, 1000), STATUS_OK);
    cr_expect_eq(client_next_ms(&client), UINT64_MAX);
    cr_assert_eq(errand_begin(&client.errands, &bench.secured, &request), STATUS_OK);
    coap_bench_take(&bench, &message);
    uint8_t token[ERRAND_TOKEN_SIZE];
    memcpy(token, message.token, sizeof(token));

    cr_expect_eq(say(nobodys, 1), COAP_REPLY);
    cr_expect_eq(bench.reply[0] >> 4 & 3, MESSAGE_RST);
    cr_expect_eq(coap_bench_count(&bench, WORKER_HEARD_UNKNOWN), 1);
    cr_expect_eq(say(token, 2), COAP_REPLY);
    cr_expect_eq(bench.reply[0] >> 4 & 3, MESSAGE_ACK);
    cr_expect_eq(answers, 1);
    cr_expect_eq(say(token, 3), COAP_REPLY);
    cr_expect_eq(bench.reply[0] >> 4 & 3, MESSAGE_RST, "it was answered already");
    cr_expect_eq(answers, 1);

    cr_assert_eq(errand_begin(&client.errands, &bench.secured, &request), STATUS_OK);
    client_forget(&client, 1);
    cr_expect_eq(answers, 2, "told that it is off");
    client_run(&client, 2000);
    client_free(&client);
    coap_bench_close(&bench);
}
