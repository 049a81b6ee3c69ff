#include <criterion/criterion.h>

#include "bench/clock.h"
#include "bench/fleet.h"
#include "bench/question.h"

#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

/* A fleet at coap:// and a server that is this test's: it decides what is answered. */
#define DEVICES 3

static struct plan plan = {
    .suite = &suites[0],
    .devices = DEVICES,
    .duration_s = 1,
    .workload = WORKLOAD_ECHO,
    .payload_length = 8,
    .handshakes_in_flight = 1,
    .ack_timeout_ms = 20,
    .retransmits_max = 1,
    .start_timeout_s = 5,
};
static struct fleet *fleet;
static int server;

struct arrival {
    struct sockaddr_storage from;
    socklen_t from_length;
    uint8_t bytes[256];
    size_t length;
    struct answer view; /* a request reads as one, too */
};

static void start(void)
{
    struct sockaddr_storage own;
    socklen_t length;
    struct address any;
    cr_assert_eq(address_parse(&any, "127.0.0.1:0"), STATUS_OK);
    server = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
    length = address_to_sockaddr(&any, AF_INET, &own);
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

static enum fleet_phase turn(void)
{
    return fleet_turn(fleet, clock_now_us() + 1000);
}

static bool arrive(struct arrival *arrival)
{
    arrival->from_length = sizeof(arrival->from);
    ssize_t length = recvfrom(server, arrival->bytes, sizeof(arrival->bytes), 0,
                              (struct sockaddr *)&arrival->from, &arrival->from_length);
    if (length < 0)
        return false;
    arrival->length = (size_t)length;
    cr_assert(answer_read(&arrival->view, arrival->bytes, arrival->length));
    return true;
}

static void await(struct arrival *arrival)
{
    while (!arrive(arrival))
        cr_assert_lt(turn(), FLEET_DONE);
}

/* The request itself as the answer: type and code replaced. */
static void reply(struct arrival *arrival, enum question_type type, uint8_t code, size_t length)
{
    arrival->bytes[0] = (uint8_t)(0x40 | type << 4 | (length > 4 ? arrival->view.token_length : 0));
    arrival->bytes[1] = code;
    /* Without the request's Uri-Path: token, then payload with its marker. */
    size_t at = 4 + arrival->view.token_length;
    if (length > 4) {
        memmove(arrival->bytes + at, arrival->view.payload - 1, arrival->view.payload_length + 1);
        length = at + arrival->view.payload_length + 1;
    }
    cr_assert_eq(sendto(server, arrival->bytes, length, 0, (struct sockaddr *)&arrival->from,
                        arrival->from_length),
                 (ssize_t)length);
}

static void serve_until_done(void)
{
    struct arrival arrival;
    enum fleet_phase phase;
    do {
        phase = turn();
        while (arrive(&arrival))
            reply(&arrival, QUESTION_ACK, 0x44, 5);
    } while (phase != FLEET_DONE);
}

Test(fleet, all_is_served, .init = start, .fini = stop)
{
    serve_until_done();
    const struct tally *tally = fleet_tally(fleet);
    cr_assert_gt(tally->requests, DEVICES);
    cr_assert_eq(tally->served, tally->requests);
    cr_assert_eq(tally->latency.count, tally->served);
    cr_assert_eq(tally->lost, 0);
    cr_assert_eq(tally->wrong, 0);
    cr_assert_geq(tally->run_us, 1000000);
    cr_assert_gt(tally->octets_up, 0);
}

static void start_two_at_once(void)
{
    plan.at_once = 2;
    plan.ack_timeout_ms = 60000; /* what comes is new */
    start();
}

static bool is_from(const struct arrival *a, const struct arrival *b)
{
    return a->from_length == b->from_length && memcmp(&a->from, &b->from, a->from_length) == 0;
}

/* The third device asks when one of the others is answered, and before it asks again. */
Test(fleet, two_at_once, .init = start_two_at_once, .fini = stop)
{
    struct arrival arrivals[3];
    const struct tally *tally = fleet_tally(fleet);
    await(&arrivals[0]);
    await(&arrivals[1]);
    (void)turn();
    cr_assert_eq(tally->requests, 2);
    reply(&arrivals[0], QUESTION_ACK, 0x44, 5);
    await(&arrivals[2]);
    cr_assert_eq(tally->requests, 3);
    cr_assert_not(is_from(&arrivals[2], &arrivals[0]));
    cr_assert_not(is_from(&arrivals[2], &arrivals[1]));
}

Test(fleet, nobody_answers, .init = start, .fini = stop)
{
    while (turn() != FLEET_DONE)
        continue;
    const struct tally *tally = fleet_tally(fleet);
    cr_assert_gt(tally->lost, DEVICES);
    cr_assert_eq(tally->served, 0);
    cr_assert_eq(tally->lost, tally->requests);
    cr_assert_eq(tally->retransmissions, tally->requests);
    cr_assert_geq(tally->max_gap_us, 1000000);
}

Test(fleet, a_lost_request_is_repeated_as_it_was, .init = start, .fini = stop)
{
    struct arrival first, others, again;
    await(&first);
    for (int i = 1; i < DEVICES; i++)
        await(&others);
    do
        await(&again);
    while (again.view.message_id != first.view.message_id);
    cr_assert_eq(again.length, first.length);
    cr_assert_arr_eq(again.bytes, first.bytes, first.length);
    cr_assert_geq(fleet_tally(fleet)->retransmissions, 1);
}

Test(fleet, outcomes_are_told_apart, .init = start, .fini = stop)
{
    struct arrival arrival;
    const struct tally *tally = fleet_tally(fleet);
    await(&arrival);
    reply(&arrival, QUESTION_ACK, 0x84, 5);
    await(&arrival);
    reply(&arrival, QUESTION_ACK, 0xa3, 5);
    await(&arrival);
    *(uint8_t *)(uintptr_t)arrival.view.payload ^= 1;
    reply(&arrival, QUESTION_ACK, 0x44, 5);
    while (tally->refused + tally->unavailable + tally->wrong < 3)
        cr_assert_eq(turn(), FLEET_RUN);
    cr_assert_eq(tally->refused, 1);
    cr_assert_eq(tally->unavailable, 1);
    cr_assert_eq(tally->wrong, 1);
    cr_assert_eq(tally->served, 0);
}

/* An empty ACK ends retransmission; the response comes as a message of its own and is acknowledged;
 * so is one that comes twice, which counts once. */
Test(fleet, separate_responses, .init = start, .fini = stop)
{
    struct arrival request, ack;
    const struct tally *tally = fleet_tally(fleet);
    await(&request);
    struct arrival response = request;
    response.view.payload = response.bytes + (request.view.payload - request.bytes);
    reply(&request, QUESTION_ACK, 0, 4);
    response.bytes[2] ^= 0xff;
    struct arrival twice = response;
    twice.view.payload = twice.bytes + (request.view.payload - request.bytes);
    reply(&response, QUESTION_CON, 0x44, 5);
    reply(&twice, QUESTION_CON, 0x44, 5);
    int acks = 0;
    while (acks < 2) {
        await(&ack);
        acks += ack.view.type == QUESTION_ACK && ack.bytes[2] == response.bytes[2];
    }
    cr_assert_eq(tally->served, 1);
    cr_assert_eq(tally->strays, 1);
}

Test(fleet, answers_pings, .init = start, .fini = stop)
{
    struct arrival request, reset;
    await(&request);
    reply(&request, QUESTION_CON, 0, 4);
    do
        await(&reset);
    while (reset.view.type != QUESTION_RST);
    cr_assert_eq(reset.view.message_id, request.view.message_id);
    cr_assert_eq(fleet_tally(fleet)->pings, 1);
}

Test(fleet, recovery_is_counted_from_the_mark, .init = start, .fini = stop)
{
    struct arrival arrival;
    const struct tally *tally = fleet_tally(fleet);
    await(&arrival);
    uint64_t marked_us = clock_now_us();
    fleet_mark(fleet, marked_us);
    do
        await(&arrival);
    while (tally->retransmissions == 0);
    serve_until_done();
    cr_assert_eq(tally->recovery.count, DEVICES);
    cr_assert_eq(tally->unrecovered, 0);
    cr_assert_geq(tally->affected.count, 1);
    cr_assert_geq(tally->affected.max_us, 20000, "at least the first timeout");
}
