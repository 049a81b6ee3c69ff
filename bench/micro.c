/* holdfast-micro: one worker's DTLS endpoint in this process, on one thread, without network, load
 * balancer or store: what the worker itself costs. README.md says what each line means. */
#include <errno.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "shared/record.h"
#include "tests/worker/endpoint.h"
#include "tests/worker/peer.h"

#define ROUNDS 5
#define SESSIONS_DEFAULT 10000
#define SESSIONS_MOST 100000
#define RECORDS_PER_SESSION 20 /* of the endpoint's records, so many for each session asked for */
#define CONTENT_LENGTH 48
#define RECORD_SIZE 96
#define RECORDS_PER_TURN 256 /* between two turns of the endpoint, as of a worker's loop */

static void fail(const char *what)
{
    fprintf(stderr, "holdfast-micro: %s\n", what);
    exit(EXIT_FAILURE);
}

/* --- a store that keeps nothing, so that only the worker's memory and time are seen --- */

#define QUESTIONS_MAX 1024

struct waiting {
    struct store_waiter waiter;
    struct store_answer answer;
};

struct null_store {
    struct store store; /* first */
    struct waiting waiting[QUESTIONS_MAX];
    size_t count;
    uint64_t next_sequence; /* of all sessions: no block is given twice */
    uint64_t next_nonce;
};

static enum status answer_later(struct store *store, const struct store_waiter *waiter,
                                struct store_answer answer)
{
    struct null_store *self = (struct null_store *)store;
    if (self->count == QUESTIONS_MAX)
        return STATUS_FULL;
    answer.subject = waiter->subject;
    answer.tag = waiter->tag;
    self->waiting[self->count++] = (struct waiting){*waiter, answer};
    return STATUS_OK;
}

static enum status fetch_identity(struct store *store, struct octets identity,
                                  const struct store_waiter *waiter)
{
    (void)identity;
    return answer_later(store, waiter, (struct store_answer){.outcome = STORE_NOT_FOUND});
}

static enum status lease_block(struct store *store, const struct store_waiter *waiter)
{
    struct null_store *self = (struct null_store *)store;
    const struct store_answer answer = {
        .fence = 1, .first = self->next_sequence, .count = SEQUENCE_LEASE};
    self->next_sequence += SEQUENCE_LEASE;
    return answer_later(store, waiter, answer);
}

static enum status create_session(struct store *store, const struct store_session *session,
                                  const struct store_waiter *waiter)
{
    (void)session;
    return lease_block(store, waiter);
}

static enum status lease_sequences(struct store *store, uint64_t fence,
                                   const struct store_waiter *waiter)
{
    (void)fence;
    return lease_block(store, waiter);
}

static enum status save_mark(struct store *store, uint64_t fence, struct octets mark,
                             const struct store_waiter *waiter)
{
    (void)fence;
    (void)mark;
    return answer_later(store, waiter, (struct store_answer){.outcome = STORE_OK});
}

static enum status remove_session(struct store *store, uint64_t fence,
                                  const struct store_waiter *waiter)
{
    (void)fence;
    return answer_later(store, waiter, (struct store_answer){.outcome = STORE_OK});
}

static enum status lease_nonces(struct store *store, uint8_t cid_config,
                                const struct store_waiter *waiter)
{
    (void)cid_config;
    struct null_store *self = (struct null_store *)store;
    const struct store_answer answer = {.first = self->next_nonce, .count = NONCE_LEASE};
    self->next_nonce += NONCE_LEASE;
    return answer_later(store, waiter, answer);
}

static size_t run(struct store *store, uint64_t now_ms)
{
    (void)now_ms;
    struct null_store *self = (struct null_store *)store;
    static struct waiting taken[QUESTIONS_MAX];
    size_t count = self->count;
    memcpy(taken, self->waiting, count * sizeof(taken[0]));
    self->count = 0;
    for (size_t i = 0; i < count; i++) {
        if (taken[i].waiter.answer)
            taken[i].waiter.answer(taken[i].waiter.owner, &taken[i].answer);
    }
    return count;
}

static uint64_t next_ms(const struct store *store)
{
    (void)store;
    return UINT64_MAX;
}

static const char *trouble(const struct store *store)
{
    (void)store;
    return NULL;
}

/* What an endpoint asks that has no session to find. */
static const struct store_engine engine = {
    .name = "null",
    .fetch_identity = fetch_identity,
    .create_session = create_session,
    .lease_sequences = lease_sequences,
    .save_mark = save_mark,
    .remove_session = remove_session,
    .lease_nonces = lease_nonces,
    .run = run,
    .next_ms = next_ms,
    .trouble = trouble,
};

/* --- measuring --- */

struct round {
    double handshakes_per_s;
    double receive_ns;
    double send_ns;
    double session_heap;
};

static struct null_store null_store;
static struct endpoint endpoint;

static double cpu_s(void)
{
    struct timespec time;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    return (double)time.tv_sec + (double)time.tv_nsec * 1e-9;
}

static size_t heap_octets(void)
{
    const struct mallinfo2 info = mallinfo2();
    return info.uordblks + info.hblkhd;
}

static void open_peer(struct peer *peer, size_t number)
{
    const struct peer_options options = {
        .cid = true,
        .address = endpoint_address((uint8_t)(number >> 12), (uint16_t)(4096 + (number & 4095))),
    };
    peer_open(peer, &options);
}

/* The seconds that the server's side of one whole handshake takes. */
static double shake_hands(struct peer *peer)
{
    double spent_s = 0;
    peer_step(peer);
    while (peer->out.count > 0) {
        double start_s = cpu_s();
        peer_deliver(peer, &endpoint);
        endpoint_run(&endpoint, 0);
        spent_s += cpu_s() - start_s;
        peer_collect(peer, &endpoint);
        peer_step(peer);
    }
    if (!peer->connected)
        fail("a handshake failed");
    return spent_s;
}

/* Sessions whose clients have gone, each after a word that ended its handshake's object. */
static void measure_handshakes(struct round *round, size_t sessions)
{
    struct peer peer;
    double spent_s = 0;
    open_peer(&peer, 0); /* what is allocated once */
    (void)shake_hands(&peer);
    if (!peer_converses(&peer, &endpoint))
        fail("a session does not work");
    peer_close(&peer);
    datagrams_clear(&endpoint.received);
    size_t before = heap_octets();
    for (size_t i = 1; i <= sessions; i++) {
        open_peer(&peer, i);
        spent_s += shake_hands(&peer);
        if (!peer_converses(&peer, &endpoint))
            fail("a session does not work");
        peer_close(&peer);
    }
    endpoint_run(&endpoint, MARK_INTERVAL_MS);
    datagrams_clear(&endpoint.received);
    datagrams_clear(&endpoint.sent);
    if (endpoint_handshakes(&endpoint) > 0 || endpoint_sessions(&endpoint) != sessions + 1)
        fail("sessions are not what they should be");
    round->session_heap = (double)(heap_octets() - before) / (double)sessions;
    round->handshakes_per_s = (double)sessions / spent_s;
}

static size_t received_count;
static size_t sent_octets;

static enum dtls_effect drop_content(void *owner, struct session *session, uint64_t now_ms,
                                     const uint8_t *data, size_t length)
{
    (void)owner;
    (void)session;
    (void)now_ms;
    (void)data;
    received_count += length == CONTENT_LENGTH;
    return DTLS_CHANGED_NOTHING;
}

static void drop_datagram(void *owner, const struct path *path, const uint8_t *datagram,
                          size_t length)
{
    (void)owner;
    (void)path;
    (void)datagram;
    sent_octets += length;
}

static void measure_receiving(struct round *round, struct peer *peer, size_t records)
{
    static const uint8_t content[CONTENT_LENGTH];
    const struct path path = {.address = peer->address, .lb = 1, .listener = 2};
    uint8_t(*sealed)[RECORD_SIZE] = malloc(records * sizeof(*sealed));
    if (!sealed)
        fail("no memory");
    size_t length = 0;
    for (size_t i = 0; i < records; i++)
        length = peer_seal(peer, RECORD_TYPE_APPLICATION_DATA, content, sizeof(content), sealed[i],
                           sizeof(sealed[i]));
    received_count = 0;
    double start_s = cpu_s();
    for (size_t i = 0; i < records; i++) {
        dtls_receive(endpoint.dtls, endpoint.now_ms, &path, sealed[i], length);
        if (i % RECORDS_PER_TURN == 0)
            dtls_run(endpoint.dtls, endpoint.now_ms);
    }
    round->receive_ns = (cpu_s() - start_s) * 1e9 / (double)records;
    free(sealed);
    if (received_count != records)
        fail("records were refused");
}

static void measure_sending(struct round *round, struct session *session, size_t records)
{
    static const uint8_t content[CONTENT_LENGTH];
    uint64_t before = endpoint_count(&endpoint, WORKER_RECORDS_SENT);
    double start_s = cpu_s();
    for (size_t i = 0; i < records; i++) {
        dtls_send(endpoint.dtls, session, content, sizeof(content));
        if (i % RECORDS_PER_TURN == 0)
            dtls_run(endpoint.dtls, endpoint.now_ms);
    }
    round->send_ns = (cpu_s() - start_s) * 1e9 / (double)records;
    if (endpoint_count(&endpoint, WORKER_RECORDS_SENT) - before != records)
        fail("records were not sent");
}

static struct round measure(size_t sessions)
{
    struct round round = {0};
    struct peer peer;
    null_store =
        (struct null_store){.store = {&engine}, .next_sequence = SEQUENCE_HANDSHAKE_RESERVED};
    endpoint_open(&endpoint, &(struct endpoint_options){.sessions_max = sessions + 2,
                                                        .handshakes_max = HANDSHAKES_MAX_DEFAULT,
                                                        .store = &null_store.store});
    measure_handshakes(&round, sessions);
    open_peer(&peer, sessions + 1);
    (void)shake_hands(&peer);
    if (!peer_converses(&peer, &endpoint))
        fail("a session does not work");
    struct session *session = endpoint.receiver;
    /* Without the copies that the endpoint's fixture keeps. */
    endpoint.dtls->options.receive = drop_content;
    endpoint.dtls->options.send = drop_datagram;
    measure_receiving(&round, &peer, sessions * RECORDS_PER_SESSION);
    measure_sending(&round, session, sessions * RECORDS_PER_SESSION);
    peer_close(&peer);
    endpoint_close(&endpoint);
    return round;
}

static int compare(const void *a, const void *b)
{
    double first = *(const double *)a, second = *(const double *)b;
    return (first > second) - (first < second);
}

static void print_median(const char *name, const struct round *rounds, size_t field,
                         const char *unit)
{
    double values[ROUNDS];
    for (size_t i = 0; i < ROUNDS; i++)
        memcpy(&values[i], (const char *)&rounds[i] + field, sizeof(values[i]));
    qsort(values, ROUNDS, sizeof(values[0]), compare);
    printf("%s %.0f %s\n", name, values[ROUNDS / 2], unit);
}

static size_t sessions_from(int argc, char **argv)
{
    char *end = NULL;
    errno = 0;
    unsigned long sessions = argc == 2 ? strtoul(argv[1], &end, 10) : SESSIONS_DEFAULT;
    bool is_number = argc == 1 || (argc == 2 && end != argv[1] && *end == '\0' && errno == 0);
    if (is_number && sessions > 0 && sessions <= SESSIONS_MOST)
        return sessions;
    fprintf(stderr, "usage: holdfast-micro [SESSIONS], 1 to %d sessions (%d)\n", SESSIONS_MOST,
            SESSIONS_DEFAULT);
    exit(2);
}

int main(int argc, char **argv)
{
    struct round rounds[ROUNDS];
    size_t sessions = sessions_from(argc, argv);
    for (size_t i = 0; i < ROUNDS; i++)
        rounds[i] = measure(sessions);
    print_median("handshakes", rounds, offsetof(struct round, handshakes_per_s), "per_second");
    print_median("receive_48", rounds, offsetof(struct round, receive_ns), "nanoseconds");
    print_median("send_48", rounds, offsetof(struct round, send_ns), "nanoseconds");
    print_median("session_heap", rounds, offsetof(struct round, session_heap), "octets");
    printf("session_size %zu octets\n", session_size(&suites[0], strlen(ENDPOINT_IDENTITY)));
    return EXIT_SUCCESS;
}
