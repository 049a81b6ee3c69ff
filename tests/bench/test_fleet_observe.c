#include <criterion/criterion.h>

#include "bench/clock.h"
#include "bench/fleet.h"
#include "bench/question.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* One device at coap:// and a server that is this test's. */
static struct plan plan = {
    .suite = &suites[0],
    .devices = 1,
    .duration_s = 60,
    .payload_length = 8,
    .handshakes_in_flight = 1,
    .ack_timeout_ms = 1000,
    .retransmits_max = 1,
    .start_timeout_s = 60,
    .path = "ps/topic",
};
static struct fleet *fleet;
static int server;
static struct sockaddr_storage from;
static socklen_t from_length;
static uint8_t bytes[256];
static struct answer message; /* what the device has sent, in `bytes` */

static void start(enum workload workload)
{
    struct sockaddr_storage own;
    struct address any;
    plan.workload = workload;
    cr_assert_eq(address_parse(&any, "127.0.0.1:0"), STATUS_OK);
    server = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
    socklen_t length = address_to_sockaddr(&any, AF_INET, &own);
    cr_assert_eq(bind(server, (struct sockaddr *)&own, length), 0);
    length = sizeof(own);
    cr_assert_eq(getsockname(server, (struct sockaddr *)&own, &length), 0);
    cr_assert_eq(address_from_sockaddr(&plan.server, (struct sockaddr *)&own, length), STATUS_OK);
    cr_assert_eq(fleet_new(&fleet, &plan), STATUS_OK);
}

static void stop(void)
{
    fleet_free(fleet);
    close(server);
}

static void await(void)
{
    ssize_t length;
    do {
        cr_assert_lt(fleet_turn(fleet, clock_now_us() + 1000), FLEET_DONE);
        from_length = sizeof(from);
        length = recvfrom(server, bytes, sizeof(bytes), 0, (struct sockaddr *)&from, &from_length);
    } while (length < 0);
    cr_assert(answer_read(&message, bytes, (size_t)length));
}

static void say(const struct question *question)
{
    uint8_t space[256];
    struct writer writer = writer_over(space, sizeof(space));
    question_write(&writer, question);
    cr_assert_eq(
        sendto(server, space, writer_length(&writer), 0, (struct sockaddr *)&from, from_length),
        (ssize_t)writer_length(&writer));
}

/* Turns until the device has taken what it was sent. */
static void until(const uint64_t *count, uint64_t value)
{
    while (*count < value)
        cr_assert_lt(fleet_turn(fleet, clock_now_us() + 1000), FLEET_DONE);
    cr_assert_eq(*count, value);
}

static uint8_t token[QUESTION_TOKEN_MAX];

/* A response in the relation that the device's request began. */
static struct question response(enum question_type type, uint16_t message_id, uint32_t number)
{
    static const uint8_t payload[] = "value";
    return (struct question){.type = type,
                             .code = QUESTION_CONTENT,
                             .message_id = message_id,
                             .has_observe = true,
                             .observe = number,
                             .token = token,
                             .token_length = message.token_length,
                             .payload = payload,
                             .payload_length = 5};
}

static void begin_observing(void)
{
    start(WORKLOAD_OBSERVE);
    await();
    cr_assert_eq(message.code, QUESTION_GET);
    cr_assert(message.has_observe);
    cr_assert_eq(message.observe, QUESTION_REGISTER);
    memcpy(token, message.token, message.token_length);
    struct question reply = response(QUESTION_ACK, message.message_id, 5);
    say(&reply);
    until(&fleet_tally(fleet)->relations, 1);
}

Test(fleet_observe, counts_what_is_new, .init = begin_observing, .fini = stop)
{
    const struct tally *tally = fleet_tally(fleet);
    struct answer registration = message;
    struct question first = response(QUESTION_NON, 1, 6), later = response(QUESTION_NON, 2, 9),
                    older = response(QUESTION_NON, 3, 8), again = response(QUESTION_NON, 3, 8);
    say(&first);
    say(&later);
    until(&tally->notifications, 2);
    cr_assert_eq(tally->numbers_skipped, 2);
    say(&older);
    until(&tally->notifications_reordered, 1);
    say(&again);
    until(&tally->notifications_repeated, 1);
    cr_assert_eq(tally->notifications, 2);
    cr_assert_eq(tally->requests, 0);
    cr_assert_eq(registration.token_length, message.token_length);
}

Test(fleet_observe, numbers_wrap, .init = begin_observing, .fini = stop)
{
    struct question high = response(QUESTION_NON, 1, 5 + (1u << 23) - 1),
                    top = response(QUESTION_NON, 2, QUESTION_NUMBER_MAX),
                    wrapped = response(QUESTION_NON, 3, 0);
    say(&high);
    say(&top);
    say(&wrapped);
    until(&fleet_tally(fleet)->notifications, 3);
    cr_assert_eq(fleet_tally(fleet)->notifications_reordered, 0);
}

Test(fleet_observe, acknowledges, .init = begin_observing, .fini = stop)
{
    struct question notification = response(QUESTION_CON, 0x777, 6);
    say(&notification);
    await();
    cr_assert_eq(message.type, QUESTION_ACK);
    cr_assert_eq(message.message_id, 0x777);
    cr_assert_eq(fleet_tally(fleet)->notifications, 1);
}

Test(fleet_observe, registers_again, .init = begin_observing, .fini = stop)
{
    struct question gone = response(QUESTION_NON, 1, 6);
    gone.code = 0x84; /* 4.04 */
    say(&gone);
    await();
    cr_assert_eq(message.code, QUESTION_GET);
    cr_assert(message.has_observe);
    cr_assert_eq(fleet_tally(fleet)->relations_ended, 1);
}

Test(fleet_observe, rejects_what_it_has_not_asked_for, .init = begin_observing, .fini = stop)
{
    struct question stranger = response(QUESTION_NON, 1, 6);
    stranger.token_length--;
    say(&stranger);
    until(&fleet_tally(fleet)->strays, 1);
    cr_assert_eq(fleet_tally(fleet)->notifications, 0);
}

Test(fleet_observe, publishes_and_sees_how_long_it_took, .fini = stop)
{
    plan.rate = 100;
    begin_observing();
    await();
    cr_assert_eq(message.code, QUESTION_PUT);
    struct question published = response(QUESTION_NON, 1, 6);
    published.payload = message.payload;
    published.payload_length = message.payload_length;
    say(&published);
    until(&fleet_tally(fleet)->notifications, 1);
    cr_assert_eq(fleet_tally(fleet)->notification.count, 1);
    cr_assert_gt(fleet_tally(fleet)->requests, 0);
}

/* The server has no address of a device that has said nothing: here it is told by a ping. */
static void begin_observed(void)
{
    static const uint8_t own_token[] = {1, 2, 3};
    plan.workload = WORKLOAD_ECHO;
    start(WORKLOAD_ECHO);
    await();
    plan.workload = WORKLOAD_NOTIFY;
    struct question answer = response(QUESTION_ACK, message.message_id, 0);
    memcpy(token, message.token, message.token_length);
    say(&answer);
    until(&fleet_tally(fleet)->served, 1);
    const struct question request = {.code = QUESTION_GET,
                                     .message_id = 0x4711,
                                     .has_observe = true,
                                     .observe = QUESTION_REGISTER,
                                     .path = "temperature",
                                     .token = own_token,
                                     .token_length = sizeof(own_token)};
    say(&request);
    do
        await();
    while (message.type != QUESTION_ACK);
    cr_assert_eq(message.code, QUESTION_CONTENT);
    cr_assert_eq(message.message_id, 0x4711);
    cr_assert(message.has_observe);
    cr_assert_eq(message.payload_length, 8);
    cr_assert_eq(message.token_length, 3);
    cr_assert_arr_eq(message.token, own_token, 3);
}

static void await_notification(void)
{
    do
        await();
    while (message.type != QUESTION_CON || message.code != QUESTION_CONTENT);
    cr_assert(message.has_observe);
    cr_assert_eq(message.token_length, 3);
}

static void receipt(enum question_type type)
{
    const struct question empty = {.type = type, .message_id = message.message_id};
    say(&empty);
}

Test(fleet_observe, notifies_until_it_is_reset, .init = begin_observed, .fini = stop)
{
    uint64_t served = fleet_tally(fleet)->served;
    await_notification();
    uint32_t number = message.observe;
    receipt(QUESTION_ACK);
    await_notification();
    cr_assert_eq(message.observe, number + 1);
    cr_assert_eq(fleet_tally(fleet)->served, served + 1);
    receipt(QUESTION_RST);
    until(&fleet_tally(fleet)->relations_ended, 1);
    cr_assert_eq(fleet_tally(fleet)->refused, 1);
}

/* One who observes it anew has heard of all numbers before. */
Test(fleet_observe, goes_on_with_its_numbers, .init = begin_observed, .fini = stop)
{
    const struct question request = {.code = QUESTION_GET,
                                     .message_id = 0x4713,
                                     .has_observe = true,
                                     .observe = QUESTION_REGISTER,
                                     .token = token,
                                     .token_length = 2};
    await_notification();
    receipt(QUESTION_ACK);
    await_notification();
    uint32_t number = message.observe;
    say(&request);
    do
        await();
    while (message.type != QUESTION_ACK);
    cr_assert_eq(message.observe, number);
    cr_assert_eq(fleet_tally(fleet)->relations, 1);
}

Test(fleet_observe, names_what_was_acknowledged, .fini = stop)
{
    char path[] = "/tmp/holdfast-acknowledged.XXXXXX";
    int file = mkstemp(path);
    cr_assert_geq(file, 0);
    plan.acknowledged_path = path;
    begin_observed();
    char name[WORKLOAD_EVENT_MIN + 1] = "";
    await_notification();
    cr_assert_eq(message.payload_length, WORKLOAD_EVENT_MIN);
    memcpy(name, message.payload, WORKLOAD_EVENT_MIN);
    uint64_t served = fleet_tally(fleet)->served;
    receipt(QUESTION_ACK);
    await_notification();
    cr_assert_neq(memcmp(name, message.payload, WORKLOAD_EVENT_MIN), 0);
    cr_assert_eq(fleet_tally(fleet)->served, served + 1);
    fleet_free(fleet); /* which closes the file */
    fleet = NULL;
    char lines[2 * sizeof(name)] = "";
    cr_assert_eq(read(file, lines, sizeof(lines)), (ssize_t)sizeof(name));
    cr_assert_eq(strncmp(lines, name, WORKLOAD_EVENT_MIN), 0);
    cr_assert_eq(lines[WORKLOAD_EVENT_MIN], '\n');
    close(file);
    unlink(path);
}

Test(fleet_observe, answers_requests, .init = begin_observed, .fini = stop)
{
    const struct question request = {.code = QUESTION_PUT, .message_id = 0x4712, .path = "x"};
    say(&request);
    do
        await();
    while (message.type != QUESTION_ACK);
    cr_assert_eq(message.code, QUESTION_METHOD_NOT_ALLOWED);
    cr_assert_eq(fleet_tally(fleet)->asked, 2);
}
