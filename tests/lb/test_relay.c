/* The relay on real sockets of loopback, with both I/O backends; workers and clients are plain
 * sockets in the same thread. */
#include "lb/relay.h"

#include <criterion/criterion.h>

#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "lb/metrics.h"
#include "shared/log.h"
#include "shared/record.h"
#include "tests/lb/datagrams.h"
#include "tests/lb/fake_worker.h"

#define WAIT_MAX_MS 10000
#define KEY_OCTET 0x5a
#define WORKERS 2

static struct io *io;
static struct metrics metrics;
static struct relay *relay;
static struct cluster_key key;
static struct fake_worker workers[WORKERS];
static struct cid_config configs[CID_CONFIGS_MAX];
static uint8_t space[2 * DATAGRAM_SIZE_MAX];

static struct relay_options base_options(void)
{
    static struct address link;
    static struct trunk_worker known[WORKERS];
    cr_assert_eq(address_parse(&link, "[::]:0"), STATUS_OK);
    for (size_t i = 0; i < WORKERS; i++)
        known[i] = (struct trunk_worker){.id = (uint16_t)(i + 1), .address = workers[i].address};
    return (struct relay_options){.io = io,
                                  .key = &key,
                                  .link = &link,
                                  .workers = known,
                                  .worker_count = WORKERS,
                                  .frame_size = FRAME_SIZE_DEFAULT,
                                  .cid_lengths = {[0] = 8, [3] = 17},
                                  .flows_max = 100,
                                  .metrics = &metrics};
}

static void listen_on(const char *text, enum listener_kind kind)
{
    struct address address;
    cr_assert_eq(address_parse(&address, text), STATUS_OK);
    cr_assert_eq(relay_listen(relay, &address, kind, true), STATUS_OK);
}

/* Listener 0 is DTLS, listener 1 plain CoAP, both on IPv4 and IPv6. False: no such backend here. */
static bool start(enum io_backend backend, uint32_t handshake_rate, uint32_t handshake_burst)
{
    if (io_new(&io, backend) != STATUS_OK) {
        cr_assert_eq(backend, IO_URING, "mmsg works everywhere");
        return false;
    }
    log_set_level(LOG_ERROR);
    memset(&key, KEY_OCTET, sizeof(key));
    config_make(configs, 0, 8, KEY_OCTET);
    config_make(configs, 3, 17, KEY_OCTET);
    cr_assert_eq(metrics_init(&metrics, lb_metrics, LB_METRICS_COUNT, 1), STATUS_OK);
    for (uint16_t i = 0; i < WORKERS; i++)
        fake_worker_open(&workers[i], (uint16_t)(i + 1), i % 2 == 1, &key);
    struct relay_options options = base_options();
    options.handshake_rate = handshake_rate;
    options.handshake_burst = handshake_burst;
    cr_assert_eq(relay_new(&relay, &options), STATUS_OK);
    listen_on("[::]:0", LISTENER_DTLS);
    listen_on("[::]:0", LISTENER_COAP);
    return true;
}

static void stop(void)
{
    relay_free(relay);
    io_free(io);
    for (size_t i = 0; i < WORKERS; i++)
        fake_worker_close(&workers[i]);
    metrics_free(&metrics);
    configs_free(configs);
}

static void turn(void)
{
    cr_assert_eq(io_turn(io, io_now_ms(io) + 2), STATUS_OK);
    relay_run(relay);
    for (size_t i = 0; i < WORKERS; i++)
        fake_worker_run(&workers[i]);
}

static uint64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* Turns until the condition holds; fails the test where it never does. */
#define UNTIL(condition)                                               \
    do {                                                               \
        uint64_t until_ms = now_ms() + WAIT_MAX_MS;                    \
        while (!(condition)) {                                         \
            cr_assert_lt(now_ms(), until_ms, "never: %s", #condition); \
            turn();                                                    \
        }                                                              \
    } while (0)

static uint64_t counted(enum lb_metric row)
{
    return metrics_get(&metrics, row);
}

/* A client's socket, connected to a listener of the lb. */
static int client_open(bool v6, size_t listener)
{
    struct address to;
    struct sockaddr_storage at;
    int family = v6 ? AF_INET6 : AF_INET;
    cr_assert_eq(address_parse(&to, v6 ? "[::1]:1" : "127.0.0.1:1"), STATUS_OK);
    to.port = relay_local_address(relay, listener).port;
    socklen_t length = address_to_sockaddr(&to, family, &at);
    int fd = socket(family, SOCK_DGRAM | SOCK_NONBLOCK, 0);
    cr_assert_geq(fd, 0);
    cr_assert_eq(connect(fd, (struct sockaddr *)&at, length), 0);
    return fd;
}

static struct address client_address(int fd)
{
    struct sockaddr_storage at;
    socklen_t length = sizeof(at);
    struct address address;
    cr_assert_eq(getsockname(fd, (struct sockaddr *)&at, &length), 0);
    cr_assert_eq(address_from_sockaddr(&address, (struct sockaddr *)&at, length), STATUS_OK);
    return address;
}

static void client_send(int fd, const struct writer *datagram)
{
    cr_assert(writer_ok(datagram));
    size_t length = writer_length(datagram);
    cr_assert_eq(send(fd, datagram->start, length, 0), (ssize_t)length);
}

static struct writer fresh(void)
{
    return writer_over(space, sizeof(space));
}

static void send_hello(int fd)
{
    struct writer datagram = fresh();
    datagram_client_hello(&datagram);
    client_send(fd, &datagram);
}

static void send_cid(int fd, uint8_t config, uint16_t worker, uint32_t nonce)
{
    struct writer datagram = fresh();
    struct cid cid = config_cid(configs, config, worker, nonce);
    datagram_cid(&datagram, cid.bytes, cid.length);
    client_send(fd, &datagram);
}

#define EACH_BACKEND(name)                     \
    static void name(enum io_backend backend); \
    Test(relay, name##_mmsg)                   \
    {                                          \
        name(IO_MMSG);                         \
    }                                          \
    Test(relay, name##_uring)                  \
    {                                          \
        name(IO_URING);                        \
    }                                          \
    static void name(enum io_backend backend)

EACH_BACKEND(client_to_worker_and_back)
{
    if (!start(backend, 0, 0))
        return;
    cr_assert_eq(relay_workers_alive(relay), 0);
    UNTIL(relay_workers_alive(relay) == WORKERS);
    workers[0].echo = workers[1].echo = true;
    for (size_t round = 0; round < 4; round++) {
        bool v6 = round % 2 == 1;
        uint8_t listener = round / 2;
        int client = client_open(v6, listener);
        struct address address = client_address(client);
        uint8_t back[DATAGRAM_SIZE_MAX];
        ssize_t length;
        send_hello(client);
        size_t sent = 53;
        UNTIL((length = recv(client, back, sizeof(back), 0)) >= 0);
        cr_assert_eq((size_t)length, sent);
        cr_assert_arr_eq(back, space, sent);

        struct fake_worker *worker = &workers[workers[0].kept_count > 0 ? 0 : 1];
        cr_assert_eq(worker->kept_count, 1);
        cr_assert_eq(worker->kept[0].listener, listener == 0 ? 0 : FRAME_LISTENER_COAP | 1);
        cr_assert(address_equal(&worker->kept[0].client, &address));
        worker->kept_count = 0;
        close(client);
    }
    cr_assert_eq(counted(LB_DATAGRAMS_IN), 4);
    cr_assert_eq(counted(LB_DATAGRAMS_OUT), 4);
    cr_assert_eq(counted(LB_ROUTED_HASHED), 4);
    stop();
}

EACH_BACKEND(by_cid_from_any_address)
{
    if (!start(backend, 0, 0))
        return;
    UNTIL(relay_workers_alive(relay) == WORKERS);
    for (uint32_t i = 0; i < 10; i++) {
        int client = client_open(i % 2 == 1, 0); /* each time another port */
        send_cid(client, i % 3 == 0 ? 3 : 0, 2, i);
        UNTIL(workers[1].kept_count == i + 1);
        close(client);
    }
    cr_assert_eq(workers[0].kept_count, 0);
    cr_assert_eq(counted(LB_ROUTED_CID), 10);
    UNTIL(counted(LB_WORKERS_ALIVE) == WORKERS);
    cr_assert_eq(counted(LB_FLOWS), 0, "a CID makes no flow");
    stop();
}

EACH_BACKEND(a_flow_stays_until_its_worker_dies)
{
    if (!start(backend, 0, 0))
        return;
    UNTIL(relay_workers_alive(relay) == WORKERS);
    int client = client_open(false, 0);
    send_hello(client);
    UNTIL(workers[0].kept_count + workers[1].kept_count == 1);
    size_t owner = workers[0].kept_count == 1 ? 0 : 1, other = 1 - owner;

    /* Someone's CID from the client's address leaves its flow alone. */
    send_cid(client, 0, (uint16_t)(other + 1), 1);
    UNTIL(workers[other].kept_count == 1);
    send_hello(client);
    UNTIL(workers[owner].kept_count == 2);
    cr_assert_eq(counted(LB_ROUTED_FLOW), 1);

    /* It drains: its flows stay, and its sessions go. */
    workers[owner].state = FRAME_STATE_DRAINING;
    size_t pings = workers[owner].pings;
    UNTIL(workers[owner].pings >= pings + 2);
    send_hello(client);
    UNTIL(workers[owner].kept_count == 3);
    send_cid(client, 0, (uint16_t)(owner + 1), 2);
    UNTIL(workers[other].kept_count == 2);
    cr_assert_eq(counted(LB_ROUTED_CID_REHASHED), 1);

    /* It is gone: its host refuses. */
    fake_worker_close(&workers[owner]);
    UNTIL(relay_workers_alive(relay) == 1);
    send_hello(client);
    UNTIL(workers[other].kept_count == 3);
    cr_assert_eq(counted(LB_ROUTED_HASHED), 2);
    send_hello(client);
    UNTIL(workers[other].kept_count == 4);
    cr_assert_eq(counted(LB_ROUTED_FLOW), 3);

    fake_worker_close(&workers[other]);
    UNTIL(relay_workers_alive(relay) == 0);
    send_hello(client);
    UNTIL(counted(LB_DROPPED_NO_WORKER) == 1);
    close(client);
    stop();
}

EACH_BACKEND(a_silent_worker_dies_and_comes_back)
{
    if (!start(backend, 0, 0))
        return;
    UNTIL(relay_workers_alive(relay) == WORKERS);
    workers[0].mute = true;
    uint64_t from_ms = now_ms();
    UNTIL(relay_workers_alive(relay) == 1);
    cr_assert_geq(now_ms() - from_ms, 2 * PING_INTERVAL_MS);
    int client = client_open(false, 0);
    send_cid(client, 0, 1, 1);
    UNTIL(workers[1].kept_count == 1);

    workers[0].mute = false;
    fake_worker_restart(&workers[0]);
    UNTIL(relay_workers_alive(relay) == WORKERS);
    send_cid(client, 0, 1, 1);
    UNTIL(workers[0].kept_count == 1);

    /* A restart that nobody missed: frames name the new boot as soon as it has answered. */
    fake_worker_restart(&workers[0]);
    size_t pings = workers[0].pings;
    UNTIL(workers[0].pings >= pings + 2);
    send_cid(client, 0, 1, 2);
    UNTIL(workers[0].kept_count == 2);
    close(client);
    stop();
}

EACH_BACKEND(one_frame_for_a_batch)
{
    if (!start(backend, 0, 0))
        return;
    UNTIL(relay_workers_alive(relay) == WORKERS);
    int client = client_open(false, 0);
    for (uint32_t i = 0; i < 16; i++)
        send_cid(client, 0, 1, i);
    UNTIL(workers[0].kept_count == 16);
    cr_assert_leq(workers[0].frames, 4, "%zu frames of 16 datagrams", workers[0].frames);
    for (uint32_t i = 0; i < 16; i++) {
        struct cid cid = config_cid(configs, 0, 1, i);
        cr_assert_arr_eq(workers[0].kept[i].bytes + 11, cid.bytes, cid.length, "in order");
    }
    close(client);
    stop();
}

EACH_BACKEND(datagrams_longer_than_a_frame)
{
    static const uint8_t filler[DATAGRAM_SIZE_MAX];
    static const size_t lengths[] = {1289, 1290, 1500, DATAGRAM_SIZE_MAX, 40};
    if (!start(backend, 0, 0))
        return;
    UNTIL(relay_workers_alive(relay) == WORKERS);
    workers[0].echo = workers[1].echo = true;
    int client = client_open(false, 0);
    uint8_t back[2 * DATAGRAM_SIZE_MAX];
    ssize_t length;
    for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
        struct writer datagram = fresh();
        datagram_plain(&datagram, RECORD_TYPE_HANDSHAKE, 0, filler,
                       lengths[i] - RECORD_HEADER_SIZE);
        client_send(client, &datagram);
        UNTIL((length = recv(client, back, sizeof(back), 0)) >= 0);
        cr_assert_eq((size_t)length, lengths[i]);
        cr_assert_arr_eq(back, space, lengths[i]);
    }

    struct writer datagram = fresh();
    datagram_plain(&datagram, RECORD_TYPE_HANDSHAKE, 0, filler,
                   DATAGRAM_SIZE_MAX + 1 - RECORD_HEADER_SIZE);
    client_send(client, &datagram);
    UNTIL(counted(LB_DROPPED_OVERSIZED) == 1);
    close(client);
    stop();
}

EACH_BACKEND(drops_by_reason)
{
    if (!start(backend, 0, 0))
        return;
    UNTIL(relay_workers_alive(relay) == WORKERS);
    int client = client_open(true, 0);
    static const struct {
        uint8_t cid_first;
        enum lb_metric row;
    } rows[] = {
        {2 << 5 | 7, LB_DROPPED_CID_CONFIG},
        {0 << 5 | 6, LB_DROPPED_CID_LENGTH},
        {7 << 5 | 7, LB_DROPPED_CID_UNROUTABLE},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        uint8_t cid[8] = {rows[i].cid_first};
        struct writer datagram = fresh();
        datagram_cid(&datagram, cid, sizeof(cid));
        client_send(client, &datagram);
        UNTIL(counted(rows[i].row) == 1);
    }
    cr_assert_eq(send(client, "garbage", 7, 0), 7);
    UNTIL(counted(LB_DROPPED_MALFORMED) == 1);
    cr_assert_eq(send(client, "", 0, 0), 0);
    UNTIL(counted(LB_DROPPED_MALFORMED) == 2);
    struct writer datagram = fresh();
    datagram_client_hello(&datagram);
    space[1] = 3;
    client_send(client, &datagram);
    UNTIL(counted(LB_DROPPED_VERSION) == 1);
    cr_assert_eq(workers[0].frames + workers[1].frames, 0);
    close(client);
    stop();
}

EACH_BACKEND(admission_holds_handshakes_only)
{
    if (!start(backend, 1, 5))
        return;
    UNTIL(relay_workers_alive(relay) == WORKERS);
    int client = client_open(false, 0);
    for (size_t i = 0; i < 20; i++)
        send_hello(client);
    UNTIL(counted(LB_DATAGRAMS_IN) == 20);
    cr_assert_geq(counted(LB_DROPPED_ADMISSION), 14);
    for (uint32_t i = 0; i < 10; i++)
        send_cid(client, 0, 1, i);
    UNTIL(counted(LB_ROUTED_CID) == 10);
    /* A ClientHello behind a CID counts as well. */
    uint64_t refused = counted(LB_DROPPED_ADMISSION);
    for (uint32_t i = 0; i < 10; i++) {
        struct writer datagram = fresh();
        struct cid cid = config_cid(configs, 0, 1, i);
        datagram_cid(&datagram, cid.bytes, cid.length);
        datagram_client_hello(&datagram);
        client_send(client, &datagram);
    }
    UNTIL(counted(LB_DATAGRAMS_IN) == 40);
    cr_assert_gt(counted(LB_DROPPED_ADMISSION), refused);
    close(client);
    stop();
}

EACH_BACKEND(frames_without_effect)
{
    if (!start(backend, 0, 0))
        return;
    UNTIL(relay_workers_alive(relay) == WORKERS);
    struct fake_worker *worker = &workers[0];
    int client = client_open(false, 0);
    struct address address = client_address(client);
    uint8_t back[DATAGRAM_SIZE_MAX];

    fake_worker_send(worker, 0, &address, "once", 4);
    UNTIL(recv(client, back, sizeof(back), 0) == 4);
    fake_worker_send_raw(worker, worker->sent, worker->sent_length);
    UNTIL(counted(LB_FRAMES_REPLAYED) == 1);

    fake_worker_send(worker, 0, &address, "forged", 6);
    UNTIL(recv(client, back, sizeof(back), 0) == 6);
    worker->sent[30] ^= 1; /* in the counter: fresh, but not sealed so */
    fake_worker_send_raw(worker, worker->sent, worker->sent_length);
    worker->sent[30] ^= 1;
    UNTIL(counted(LB_FRAMES_BAD_TAG) == 1);

    fake_worker_send_raw(worker, "\001\001cut", 5);
    UNTIL(counted(LB_FRAMES_MALFORMED) == 1);
    fake_worker_send_raw(worker, "\002another version", 16);
    UNTIL(counted(LB_FRAMES_VERSION) == 1);

    /* Listeners that there are not, and one that is of the other kind. */
    fake_worker_send(worker, 2, &address, "no", 2);
    fake_worker_send(worker, FRAME_LISTENER_COAP | 0, &address, "no", 2);
    fake_worker_send(worker, 1, &address, "no", 2);
    fake_worker_send(worker, 0xff, &address, "no", 2);
    UNTIL(counted(LB_DROPPED_NO_LISTENER) == 4);

    /* A frame for another boot of the lb. */
    struct boot_id lb = worker->lb;
    worker->lb.bytes[0] ^= 1;
    uint64_t other = counted(LB_FRAMES_NOT_FOR_US);
    fake_worker_send(worker, 0, &address, "no", 2);
    worker->lb = lb;
    UNTIL(counted(LB_FRAMES_NOT_FOR_US) == other + 1);

    /* A worker that says it is another one is not believed. */
    worker->id = 2;
    UNTIL(counted(LB_PONGS_WRONG_ID) > 0);
    UNTIL(relay_workers_alive(relay) == 1);
    cr_assert_eq(recv(client, back, sizeof(back), 0), -1);
    cr_assert_eq(counted(LB_DATAGRAMS_OUT), 2);
    close(client);
    stop();
}

static void list_workers(struct roster_list *list, size_t first, size_t count)
{
    list->count = 0;
    for (size_t i = first; i < first + count; i++)
        list->members[list->count++] = (struct store_member){
            .worker_id = workers[i].id, .state = STORE_SERVING, .link = workers[i].address};
    relay_list(relay, list);
}

EACH_BACKEND(workers_come_and_go_by_the_list)
{
    static struct roster_list list;
    if (!start(backend, 0, 0))
        return;
    relay_free(relay);
    struct relay_options options = base_options();
    options.worker_count = 0;
    options.is_listed = true;
    cr_assert_eq(relay_new(&relay, &options), STATUS_OK);
    listen_on("[::]:0", LISTENER_DTLS);
    for (int i = 0; i < 10; i++)
        turn();
    cr_assert_eq(relay_workers_alive(relay), 0);
    int client = client_open(false, 0);
    send_hello(client);
    UNTIL(counted(LB_DROPPED_NO_WORKER) == 1);

    list_workers(&list, 1, 1);
    UNTIL(relay_workers_alive(relay) == 1);
    send_cid(client, 0, 2, 1);
    UNTIL(workers[1].kept_count == 1);
    /* One comes that stands before the other from now on: frames keep to their workers. */
    list_workers(&list, 0, 2);
    UNTIL(relay_workers_alive(relay) == 2);
    send_cid(client, 0, 1, 2);
    send_cid(client, 0, 2, 3);
    UNTIL(workers[0].kept_count == 1 && workers[1].kept_count == 2);

    /* The list forgets one that lives: it serves on. Dead, it goes. */
    list_workers(&list, 1, 1);
    send_cid(client, 0, 1, 4);
    UNTIL(workers[0].kept_count == 2);
    cr_assert_eq(relay_workers_died(relay), 0);
    fake_worker_close(&workers[0]);
    UNTIL(relay_workers_died(relay) == 1);
    list_workers(&list, 1, 1);
    send_cid(client, 0, 1, 5);
    UNTIL(workers[1].kept_count == 3);
    cr_assert_eq(counted(LB_ROUTED_CID_REHASHED), 1);
    close(client);
    stop();
}
