/* The uplink on a real loop, against a load balancer that the test plays with frame.h. */
#include <criterion/criterion.h>

#include <arpa/inet.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "shared/frame.h"
#include "worker/metrics.h"
#include "worker/uplink.h"

#define TURNS_MAX 200
#define TURN_MS 10

static const struct cluster_key cluster_key = {{7, 7, 7}};

struct balancer {
    int socket;
    struct frame_sealer sealer;
    struct frame_opener *opener;
    struct boot_id boot;
    struct boot_id worker;
    uint8_t packet[FRAME_SIZE_MAX];
    uint8_t out[FRAME_SIZE_MAX];
    size_t out_length;
};

struct fixture {
    struct io *io;
    struct uplink *uplink;
    struct metrics metrics;
    struct balancer lb;
    size_t received;
    size_t received_octets;
    struct path last_path;
    size_t answer_octets; /* of the reply to each datagram; 0: its own length */
};

static void echo(void *owner, const struct path *path, uint8_t *datagram, size_t length)
{
    struct fixture *fixture = owner;
    static uint8_t big[DATAGRAM_SIZE_MAX];
    fixture->received++;
    fixture->received_octets += length;
    fixture->last_path = *path;
    if (fixture->answer_octets > 0)
        uplink_send(fixture->uplink, path, big, fixture->answer_octets);
    else
        uplink_send(fixture->uplink, path, datagram, length);
}

static void balancer_start(struct balancer *lb, const struct cluster_key *key, uint64_t unix_ms)
{
    lb->socket = socket(AF_INET, SOCK_DGRAM, 0);
    cr_assert_geq(lb->socket, 0);
    struct sockaddr_in any = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    cr_assert_eq(bind(lb->socket, (struct sockaddr *)&any, sizeof(any)), 0);
    cr_assert_eq(boot_id_new(&lb->boot, unix_ms), STATUS_OK);
    cr_assert_eq(frame_sealer_init(&lb->sealer, key, &lb->boot), STATUS_OK);
    lb->opener = frame_opener_new(key, &lb->boot);
    cr_assert_not_null(lb->opener);
}

static void balancer_stop(struct balancer *lb)
{
    close(lb->socket);
    frame_sealer_free(&lb->sealer);
    frame_opener_free(lb->opener);
}

static void send_packet(struct fixture *fixture, struct balancer *lb)
{
    struct address to = uplink_local_address(fixture->uplink);
    struct sockaddr_storage storage;
    socklen_t length = address_to_sockaddr(&to, AF_INET, &storage);
    cr_assert_eq(
        sendto(lb->socket, lb->out, lb->out_length, 0, (struct sockaddr *)&storage, length),
        (ssize_t)lb->out_length);
}

static void begin(struct fixture *fixture, enum io_backend backend)
{
    *fixture = (struct fixture){0};
    cr_assert_eq(io_new(&fixture->io, backend), STATUS_OK);
    cr_assert_eq(metrics_init(&fixture->metrics, worker_metrics, WORKER_METRICS_COUNT, 1),
                 STATUS_OK);
    struct uplink_options options = {
        .io = fixture->io,
        .cluster_key = &cluster_key,
        .frame_size = FRAME_SIZE_DEFAULT,
        .metrics = &fixture->metrics,
        .receive = echo,
        .owner = fixture,
    };
    cr_assert_eq(address_parse(&options.bind, "127.0.0.1:0"), STATUS_OK);
    cr_assert_eq(uplink_new(&fixture->uplink, &options), STATUS_OK);
    uplink_set_health(fixture->uplink, 258, FRAME_STATE_SERVING, 0);
    balancer_start(&fixture->lb, &cluster_key, io_unix_ms());
}

static void end(struct fixture *fixture)
{
    balancer_stop(&fixture->lb);
    uplink_free(fixture->uplink);
    io_free(fixture->io);
    metrics_free(&fixture->metrics);
}

/* Turns the loop until the balancer has a frame; false: none came. */
static bool await_frame(struct fixture *fixture, struct balancer *lb, struct frame *frame)
{
    for (int turn = 0; turn < TURNS_MAX; turn++) {
        ssize_t length = recv(lb->socket, lb->packet, sizeof(lb->packet), MSG_DONTWAIT);
        if (length >= 0) {
            enum frame_outcome outcome = frame_open(lb->opener, lb->packet, (size_t)length, frame);
            cr_assert_eq(outcome, FRAME_ACCEPTED, "%s", frame_outcome_text(outcome));
            return true;
        }
        cr_assert_eq(io_turn(fixture->io, io_now_ms(fixture->io) + TURN_MS), STATUS_OK);
    }
    return false;
}

static void await_drop(struct fixture *fixture, enum worker_metric metric, uint64_t want)
{
    for (int turn = 0; turn < TURNS_MAX; turn++) {
        if (metrics_get(&fixture->metrics, metric) == want)
            return;
        cr_assert_eq(io_turn(fixture->io, io_now_ms(fixture->io) + TURN_MS), STATUS_OK);
    }
    cr_assert_fail("%s: %llu", worker_metrics[metric].label,
                   (unsigned long long)metrics_get(&fixture->metrics, metric));
}

static void ping(struct fixture *fixture, struct balancer *lb)
{
    const struct boot_id unknown = {{0}};
    const struct frame_health health = {.stamp = 4711, .state = FRAME_STATE_SERVING};
    cr_assert_eq(frame_seal_health(&lb->sealer, FRAME_PING, &unknown, &health, lb->out,
                                   sizeof(lb->out), &lb->out_length),
                 STATUS_OK);
    send_packet(fixture, lb);
}

/* The PING of an lb that has heard from the worker, and its answer. */
static void ping_again(struct fixture *fixture, struct balancer *lb)
{
    struct frame pong;
    const struct frame_health health = {.stamp = 4712, .state = FRAME_STATE_SERVING};
    cr_assert_eq(frame_seal_health(&lb->sealer, FRAME_PING, &lb->worker, &health, lb->out,
                                   sizeof(lb->out), &lb->out_length),
                 STATUS_OK);
    send_packet(fixture, lb);
    cr_assert(await_frame(fixture, lb, &pong));
    cr_assert_eq(pong.type, FRAME_PONG);
}

static void meet(struct fixture *fixture, struct balancer *lb)
{
    struct frame pong;
    ping(fixture, lb);
    cr_assert(await_frame(fixture, lb, &pong));
    cr_assert_eq(pong.type, FRAME_PONG);
    lb->worker = pong.from;
}

static void make_data(struct balancer *lb, size_t entries, size_t octets)
{
    static uint8_t datagram[DATAGRAM_SIZE_MAX];
    struct frame_builder builder;
    frame_begin(&builder, lb->out, sizeof(lb->out));
    for (size_t i = 0; i < entries; i++) {
        struct frame_entry entry = {
            .listener = 3, .datagram = datagram, .length = (uint16_t)octets};
        cr_assert_eq(address_parse(&entry.address, "198.51.100.7:4000"), STATUS_OK);
        entry.address.port = (uint16_t)(4000 + i);
        cr_assert_eq(frame_add(&builder, &entry), STATUS_OK);
    }
    cr_assert_eq(frame_seal(&lb->sealer, &lb->worker, &builder, &lb->out_length), STATUS_OK);
}

#define BOTH_BACKENDS(backend) \
    for (enum io_backend backend = IO_URING; backend <= IO_MMSG; backend++)

Test(uplink, answers_a_ping_with_its_health)
{
    BOTH_BACKENDS(backend)
    {
        static struct fixture fixture;
        begin(&fixture, backend);
        uplink_set_health(fixture.uplink, 258, FRAME_STATE_DRAINING, 99);
        struct frame pong;
        ping(&fixture, &fixture.lb);
        cr_assert(await_frame(&fixture, &fixture.lb, &pong));
        cr_assert_eq(pong.type, FRAME_PONG);
        cr_assert_eq(pong.health.stamp, 4711);
        cr_assert_eq(pong.health.worker_id, 258);
        cr_assert_eq(pong.health.state, FRAME_STATE_DRAINING);
        cr_assert_eq(pong.health.sessions, 99);
        end(&fixture);
    }
}

Test(uplink, hands_datagrams_over_and_packs_the_answers_into_few_frames)
{
    enum { ENTRIES = 40, OCTETS = 100 };
    BOTH_BACKENDS(backend)
    {
        static struct fixture fixture;
        begin(&fixture, backend);
        meet(&fixture, &fixture.lb);
        make_data(&fixture.lb, ENTRIES, OCTETS);
        send_packet(&fixture, &fixture.lb);

        size_t frames = 0;
        size_t entries = 0;
        struct frame frame;
        while (entries < ENTRIES && await_frame(&fixture, &fixture.lb, &frame)) {
            struct frame_entry entry;
            frames++;
            while (frame_next(&frame, &entry) == STATUS_OK) {
                cr_assert_eq(entry.listener, 3);
                cr_assert_eq(entry.address.port, 4000 + entries);
                cr_assert_eq(entry.length, OCTETS);
                entries++;
            }
        }
        cr_assert_eq(fixture.received, ENTRIES);
        cr_assert_eq(entries, ENTRIES);
        /* 10 of 122 octets fit into a frame of 1,372. */
        cr_assert_eq(frames, 4);
        end(&fixture);
    }
}

Test(uplink, sends_a_datagram_that_exceeds_the_frame_size_alone)
{
    static struct fixture fixture;
    begin(&fixture, IO_MMSG);
    meet(&fixture, &fixture.lb);
    fixture.answer_octets = DATAGRAM_SIZE_MAX;
    make_data(&fixture.lb, 1, 10);
    send_packet(&fixture, &fixture.lb);
    struct frame frame;
    struct frame_entry entry;
    cr_assert(await_frame(&fixture, &fixture.lb, &frame));
    cr_assert_eq(frame.count, 1);
    cr_assert_eq(frame_next(&frame, &entry), STATUS_OK);
    cr_assert_eq(entry.length, DATAGRAM_SIZE_MAX);
    end(&fixture);
}

Test(uplink, answers_each_balancer_at_its_own_address)
{
    static struct fixture fixture;
    static struct balancer other;
    begin(&fixture, IO_MMSG);
    balancer_start(&other, &cluster_key, io_unix_ms() + 1);
    meet(&fixture, &fixture.lb);
    meet(&fixture, &other);
    struct frame frame;
    make_data(&other, 1, 10);
    send_packet(&fixture, &other);
    cr_assert(await_frame(&fixture, &other, &frame));
    cr_assert_eq(frame.type, FRAME_DATA);
    uint8_t first = fixture.last_path.lb;
    make_data(&fixture.lb, 1, 10);
    send_packet(&fixture, &fixture.lb);
    cr_assert(await_frame(&fixture, &fixture.lb, &frame));
    cr_assert_eq(frame.type, FRAME_DATA);
    cr_assert_neq(fixture.last_path.lb, first);
    balancer_stop(&other);
    end(&fixture);
}

Test(uplink, drops_and_counts_what_is_forged_replayed_or_meant_for_another_boot)
{
    static struct fixture fixture;
    static struct balancer stranger;
    const struct cluster_key other_key = {{8}};
    begin(&fixture, IO_MMSG);
    meet(&fixture, &fixture.lb);

    make_data(&fixture.lb, 1, 10);
    send_packet(&fixture, &fixture.lb);
    send_packet(&fixture, &fixture.lb); /* again */
    await_drop(&fixture, WORKER_FRAMES_REPLAYED, 1);
    cr_assert_eq(fixture.received, 1);

    balancer_start(&stranger, &other_key, io_unix_ms());
    stranger.worker = fixture.lb.worker;
    make_data(&stranger, 1, 10);
    send_packet(&fixture, &stranger);
    await_drop(&fixture, WORKER_FRAMES_BAD_TAG, 1);

    fixture.lb.worker.bytes[0] ^= 1; /* what the worker was before it was restarted */
    make_data(&fixture.lb, 1, 10);
    send_packet(&fixture, &fixture.lb);
    await_drop(&fixture, WORKER_FRAMES_NOT_FOR_US, 1);

    fixture.lb.out[0] = FRAME_VERSION + 1;
    send_packet(&fixture, &fixture.lb);
    await_drop(&fixture, WORKER_FRAMES_VERSION, 1);

    fixture.lb.out_length = 5;
    fixture.lb.out[0] = FRAME_VERSION;
    send_packet(&fixture, &fixture.lb);
    await_drop(&fixture, WORKER_FRAMES_MALFORMED, 1);
    cr_assert_eq(fixture.received, 1);
    balancer_stop(&stranger);
    end(&fixture);
}

static void send_by(struct fixture *fixture, uint8_t lb)
{
    const struct path path = {.lb = lb, .listener = 3};
    uplink_send(fixture->uplink, &path, (const uint8_t *)"x", 1);
    uplink_flush(fixture->uplink);
}

static bool is_by(struct fixture *fixture, struct balancer *lb)
{
    struct frame frame;
    return await_frame(fixture, lb, &frame) && frame.type == FRAME_DATA && frame.count == 1;
}

Test(uplink, loses_what_goes_nowhere)
{
    static struct fixture fixture;
    begin(&fixture, IO_MMSG);
    send_by(&fixture, 200);
    send_by(&fixture, PATH_LB_UNKNOWN);
    struct frame frame;
    meet(&fixture, &fixture.lb);
    cr_expect_not(uplink_is_reached(fixture.uplink));
    send_by(&fixture, PATH_LB_UNKNOWN); /* its PING was to anybody: it may be an old one */
    make_data(&fixture.lb, 1, 10);
    send_packet(&fixture, &fixture.lb);
    cr_assert(await_frame(&fixture, &fixture.lb, &frame));
    cr_assert_eq(frame.count, 1);
    cr_expect(uplink_is_reached(fixture.uplink));
    end(&fixture);
}

Test(uplink, a_balancer_is_heard_by_its_pings_and_found_by_its_name)
{
    static struct fixture fixture, elsewhere;
    static struct balancer other;
    begin(&fixture, IO_MMSG);
    begin(&elsewhere, IO_MMSG);
    balancer_start(&other, &cluster_key, io_unix_ms() + 1);
    cr_assert_eq(uplink_lb_name(fixture.uplink, 0), 0);

    /* This worker hears one first, the other worker the other, and names mean the same. */
    meet(&fixture, &fixture.lb);
    ping_again(&fixture, &fixture.lb);
    meet(&fixture, &other);
    ping_again(&fixture, &other);
    uint32_t first = uplink_lb_name(fixture.uplink, 0), second = uplink_lb_name(fixture.uplink, 1);
    cr_assert(first != 0 && second != 0 && first != second);
    meet(&elsewhere, &other);
    ping_again(&elsewhere, &other);
    cr_expect_eq(uplink_lb_name(elsewhere.uplink, 0), second);
    cr_expect_eq(uplink_find_lb(elsewhere.uplink, second), 0);

    /* What is sent by a name goes there. */
    meet(&fixture, &other);
    send_by(&fixture, uplink_find_lb(fixture.uplink, second));
    cr_expect(is_by(&fixture, &other));
    meet(&fixture, &fixture.lb);
    send_by(&fixture, uplink_find_lb(fixture.uplink, first));
    cr_expect(is_by(&fixture, &fixture.lb));

    /* One that is known by name only has its number before it is heard. */
    uint8_t number = uplink_find_lb(elsewhere.uplink, first);
    cr_expect_eq(number, 1);
    cr_expect_eq(uplink_find_lb(elsewhere.uplink, first), number);
    meet(&elsewhere, &other);
    send_by(&elsewhere, number);
    cr_expect(is_by(&elsewhere, &other), "any that lives, until then");
    meet(&elsewhere, &fixture.lb);
    ping_again(&elsewhere, &fixture.lb);
    send_by(&elsewhere, number);
    cr_expect(is_by(&elsewhere, &fixture.lb));
    cr_expect_eq(uplink_find_lb(elsewhere.uplink, 0), PATH_LB_UNKNOWN);
    balancer_stop(&other);
    end(&fixture);
    end(&elsewhere);
}

Test(uplink, a_silent_balancer_gives_way_to_another)
{
    static struct fixture fixture;
    static struct balancer other;
    begin(&fixture, IO_MMSG);
    balancer_start(&other, &cluster_key, io_unix_ms() + 1);
    meet(&fixture, &fixture.lb);
    ping_again(&fixture, &fixture.lb);
    uint64_t until_ms = io_now_ms(fixture.io) + UPLINK_LB_SILENT_MS;
    while (io_now_ms(fixture.io) < until_ms)
        cr_assert_eq(io_turn(fixture.io, until_ms), STATUS_OK);
    send_by(&fixture, 0);
    cr_expect(is_by(&fixture, &fixture.lb), "nobody else is there");
    meet(&fixture, &other);
    ping_again(&fixture, &other);
    send_by(&fixture, 0);
    cr_expect(is_by(&fixture, &other));
    meet(&fixture, &fixture.lb);
    ping_again(&fixture, &fixture.lb);
    send_by(&fixture, 0);
    cr_expect(is_by(&fixture, &fixture.lb), "it is back");
    balancer_stop(&other);
    end(&fixture);
}

/* Sessions that were heard by the former boot are answered by its successor. */
Test(uplink, a_balancer_that_restarts_at_its_address_keeps_its_number)
{
    static struct fixture fixture;
    static struct balancer again;
    struct frame frame;
    begin(&fixture, IO_MMSG);
    meet(&fixture, &fixture.lb);
    make_data(&fixture.lb, 1, 10);
    send_packet(&fixture, &fixture.lb);
    cr_assert(await_frame(&fixture, &fixture.lb, &frame));
    uint8_t number = fixture.last_path.lb;

    balancer_start(&again, &cluster_key, io_unix_ms() + 1);
    close(again.socket);
    again.socket = fixture.lb.socket;
    meet(&fixture, &again);
    ping_again(&fixture, &again);
    send_by(&fixture, number);
    cr_expect(is_by(&fixture, &again));

    /* A late frame of the former one is taken; its answer goes to who is there now. */
    make_data(&fixture.lb, 1, 10);
    send_packet(&fixture, &fixture.lb);
    cr_expect(is_by(&fixture, &again));
    cr_expect_eq(fixture.last_path.lb, number);
    fixture.lb.socket = dup(again.socket);
    balancer_stop(&again);
    end(&fixture);
}
