#include "tests/lb/fake_worker.h"

#include <criterion/criterion.h>

#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "shared/io.h"

static void begin_life(struct fake_worker *worker)
{
    struct boot_id boot;
    cr_assert_eq(boot_id_new(&boot, io_unix_ms()), STATUS_OK);
    cr_assert_eq(frame_sealer_init(&worker->sealer, &worker->key, &boot), STATUS_OK);
    worker->opener = frame_opener_new(&worker->key, &boot);
    cr_assert_not_null(worker->opener);
}

void fake_worker_open(struct fake_worker *worker, uint16_t id, bool v6,
                      const struct cluster_key *key)
{
    struct sockaddr_storage at;
    struct address loopback;

    *worker = (struct fake_worker){.id = id, .state = FRAME_STATE_SERVING, .key = *key};
    cr_assert_eq(address_parse(&loopback, v6 ? "[::1]:0" : "127.0.0.1:0"), STATUS_OK);
    int family = v6 ? AF_INET6 : AF_INET;
    socklen_t length = address_to_sockaddr(&loopback, family, &at);
    worker->fd = socket(family, SOCK_DGRAM | SOCK_NONBLOCK, 0);
    cr_assert_geq(worker->fd, 0);
    cr_assert_eq(bind(worker->fd, (struct sockaddr *)&at, length), 0);
    length = sizeof(at);
    cr_assert_eq(getsockname(worker->fd, (struct sockaddr *)&at, &length), 0);
    cr_assert_eq(address_from_sockaddr(&worker->address, (struct sockaddr *)&at, length),
                 STATUS_OK);
    begin_life(worker);
}

static void end_life(struct fake_worker *worker)
{
    frame_opener_free(worker->opener);
    frame_sealer_free(&worker->sealer);
}

void fake_worker_restart(struct fake_worker *worker)
{
    end_life(worker);
    begin_life(worker);
}

void fake_worker_close(struct fake_worker *worker)
{
    if (worker->fd < 0)
        return;
    close(worker->fd);
    worker->fd = -1;
    end_life(worker);
}

void fake_worker_send_raw(struct fake_worker *worker, const void *bytes, size_t length)
{
    struct sockaddr_storage to;
    int family = address_is_v4(&worker->address) ? AF_INET : AF_INET6;
    socklen_t to_length = address_to_sockaddr(&worker->lb_address, family, &to);
    cr_assert_eq(sendto(worker->fd, bytes, length, 0, (struct sockaddr *)&to, to_length),
                 (ssize_t)length);
}

void fake_worker_send(struct fake_worker *worker, uint8_t listener, const struct address *client,
                      const void *bytes, size_t length)
{
    struct frame_builder builder;
    struct frame_entry entry = {
        .listener = listener, .address = *client, .datagram = bytes, .length = (uint16_t)length};
    frame_begin(&builder, worker->sent, sizeof(worker->sent));
    cr_assert_eq(frame_add(&builder, &entry), STATUS_OK);
    cr_assert_eq(frame_seal(&worker->sealer, &worker->lb, &builder, &worker->sent_length),
                 STATUS_OK);
    fake_worker_send_raw(worker, worker->sent, worker->sent_length);
}

static void answer_ping(struct fake_worker *worker, const struct frame *frame)
{
    uint8_t space[256];
    size_t length;
    struct frame_health health = {
        .stamp = frame->health.stamp, .worker_id = worker->id, .state = worker->state};

    worker->pings++;
    if (worker->mute)
        return;
    cr_assert_eq(frame_seal_health(&worker->sealer, FRAME_PONG, &frame->from, &health, space,
                                   sizeof(space), &length),
                 STATUS_OK);
    fake_worker_send_raw(worker, space, length);
}

static void keep(struct fake_worker *worker, struct frame *frame)
{
    struct frame_entry entry;
    enum status status;

    worker->frames++;
    while ((status = frame_next(frame, &entry)) == STATUS_OK) {
        cr_assert_lt(worker->kept_count, FAKE_WORKER_KEPT_MAX);
        struct kept_datagram *kept = &worker->kept[worker->kept_count++];
        kept->listener = entry.listener;
        kept->client = entry.address;
        kept->length = entry.length;
        memcpy(kept->bytes, entry.datagram, entry.length);
        if (worker->echo)
            fake_worker_send(worker, kept->listener, &kept->client, kept->bytes, kept->length);
    }
    cr_assert_eq(status, STATUS_NOT_FOUND);
}

void fake_worker_run(struct fake_worker *worker)
{
    struct sockaddr_storage from;
    socklen_t from_length = sizeof(from);
    struct frame frame;
    ssize_t length;

    if (worker->fd < 0)
        return;
    while ((length = recvfrom(worker->fd, worker->packet, sizeof(worker->packet), 0,
                              (struct sockaddr *)&from, &from_length)) >= 0) {
        cr_assert_eq(
            address_from_sockaddr(&worker->lb_address, (struct sockaddr *)&from, from_length),
            STATUS_OK);
        from_length = sizeof(from);
        /* What was meant for a former life has no effect, as in a real worker. */
        if (frame_open(worker->opener, worker->packet, (size_t)length, &frame) != FRAME_ACCEPTED)
            continue;
        worker->lb = frame.from;
        if (frame.type == FRAME_PING)
            answer_ping(worker, &frame);
        else
            keep(worker, &frame);
    }
}
