/* holdfast-cost: each hot function on a fixed input, many times over, for callgrind to count its
 * instructions; cost.sh runs it and compares. Alone it says nothing and measures nothing.
 *
 * A function FOO is measured in cost_FOO, which callgrind is told to watch: what comes before, such
 * as a handshake, costs nothing. --waste FOO:N makes cost_FOO N instructions longer, or a few
 * more: the comparison is tried with it. --list prints the names. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lb/classify.h"
#include "lb/membership.h"
#include "lb/route.h"
#include "shared/frame.h"
#include "shared/protect.h"
#include "tests/worker/endpoint.h"
#include "tests/worker/peer.h"
#include "worker/coap.h"
#include "worker/message.h"
#include "worker/metrics.h"
#include "worker/session.h"

#define TURNS 256
#define WARM_TURNS 32 /* caches of the library and pools are as they stay */
#define CONTENT_LENGTH 48
#define RECORD_SIZE 128
#define FRAME_ENTRIES 16
#define FRAME_SIZE 2048
#define CID_CONFIG 1
#define WORKER_ID 0x0102

#define NOINLINE __attribute__((noinline))

static void fail(const char *what)
{
    fprintf(stderr, "holdfast-cost: %s\n", what);
    exit(EXIT_FAILURE);
}

static void want(enum status status)
{
    if (status != STATUS_OK)
        fail(status_text(status));
}

/* Some three instructions a round. */
static void waste(unsigned long instructions)
{
    for (unsigned long i = 0; i < instructions; i += 3)
        __asm__ volatile("" ::: "memory");
}

static uint64_t result; /* of what was measured: nothing is optimized away */

/* --- what all of them work on --- */

static const uint8_t content[CONTENT_LENGTH] = "thirty-two octets and a header of CoAP before";
static const struct suite *suite = &suites[0];
static struct cluster_key cluster_key;
static struct address source;
static struct cid_config configs[CID_CONFIGS_MAX];
static struct membership membership;
static struct cid cid;
static struct protector protector;
static const struct record_keys keys = {.key = {1, 2, 3}, .iv = {4, 5, 6}};
static uint8_t datagrams[TURNS][RECORD_SIZE]; /* the same record with TURNS numbers */
static size_t datagram_length;

static size_t seal_record(uint64_t sequence, uint8_t space[RECORD_SIZE])
{
    const struct record_header header = {
        .type = RECORD_TYPE_APPLICATION_DATA,
        .epoch = 1,
        .sequence = sequence,
        .nonce_prefix = 1,
        .cid = cid.bytes,
        .cid_length = cid.length,
    };
    struct writer writer = writer_over(space, RECORD_SIZE);
    want(protect_seal(&protector, suite, &keys, &header, content, sizeof(content), &writer));
    return writer_length(&writer);
}

static void seal_datagrams(void)
{
    for (size_t i = 0; i < TURNS; i++)
        datagram_length = seal_record(1000 + i, datagrams[i]);
}

static void make_config(void)
{
    static const uint8_t worker_id[] = {WORKER_ID >> 8, WORKER_ID & 0xff};
    static const uint8_t nonce[] = {1, 2, 3, 4, 5};
    uint8_t key[CID_KEY_SIZE] = {7};
    want(cid_config_init(&configs[CID_CONFIG], CID_CONFIG, sizeof(worker_id), sizeof(nonce), key));
    want(cid_encode(&configs[CID_CONFIG], worker_id, nonce, &cid));
}

static void make_membership(void)
{
    membership_init(&membership, &(struct hash_key){1, 2});
    for (uint16_t id = WORKER_ID - 2; id < WORKER_ID + 2; id++) {
        const struct address address = endpoint_address(1, id);
        const struct boot_id boot = {.bytes = {1}};
        const struct frame_health health = {.worker_id = id, .state = FRAME_STATE_SERVING};
        struct member *member;
        want(membership_add(&membership, id, &address));
        (void)membership_pong(&membership, &address, &boot, &health, 0, &member);
    }
}

/* --- lb --- */

static NOINLINE void cost_classify(size_t turns, unsigned long more)
{
    for (size_t i = 0; i < turns; i++)
        result += classify_dtls(configs, datagrams[i], datagram_length).worker;
    waste(more);
}

static struct classification class;

static NOINLINE void cost_route(size_t turns, unsigned long more)
{
    struct member *member;
    for (size_t i = 0; i < turns; i++)
        result += route_choose(&membership, &class, &source, NULL, &member);
    waste(more);
}

/* --- frames --- */

static struct frame_sealer sealer;
static struct frame_opener *opener;
static struct boot_id own_boot;
static uint8_t frames[TURNS][FRAME_SIZE];
static size_t frame_length;

static void pack(uint8_t space[FRAME_SIZE])
{
    struct frame_builder builder;
    frame_begin(&builder, space, FRAME_SIZE);
    for (size_t i = 0; i < FRAME_ENTRIES; i++) {
        const struct frame_entry entry = {
            .address = source, .datagram = datagrams[i], .length = (uint16_t)datagram_length};
        want(frame_add(&builder, &entry));
    }
    want(frame_seal(&sealer, &own_boot, &builder, &frame_length));
}

static void begin_frames(void)
{
    struct boot_id peer;
    want(boot_id_new(&own_boot, 1));
    want(boot_id_new(&peer, 2));
    want(frame_sealer_init(&sealer, &cluster_key, &peer));
    opener = frame_opener_new(&cluster_key, &own_boot);
    if (!opener)
        fail("no memory");
}

static NOINLINE void cost_frame_pack(size_t turns, unsigned long more)
{
    for (size_t i = 0; i < turns; i++)
        pack(frames[i]);
    waste(more);
}

static void pack_frames(void)
{
    for (size_t i = 0; i < TURNS; i++)
        pack(frames[i]);
}

static NOINLINE void cost_frame_open(size_t turns, unsigned long more)
{
    struct frame frame;
    struct frame_entry entry;
    for (size_t i = 0; i < turns; i++) {
        if (frame_open(opener, frames[i], frame_length, &frame) != FRAME_ACCEPTED)
            fail("a frame was refused");
        while (frame_next(&frame, &entry) == STATUS_OK)
            result += entry.length;
    }
    waste(more);
}

static void end_frames(void)
{
    frame_sealer_free(&sealer);
    frame_opener_free(opener);
}

/* --- records --- */

static NOINLINE void cost_record_seal(size_t turns, unsigned long more)
{
    for (size_t i = 0; i < turns; i++)
        result += seal_record(1000 + i, datagrams[i]);
    waste(more);
}

static NOINLINE void cost_record_open(size_t turns, unsigned long more)
{
    for (size_t i = 0; i < turns; i++) {
        struct cursor cursor = cursor_over(datagrams[i], datagram_length);
        struct record record;
        uint8_t *text;
        size_t length;
        uint8_t type;
        want(record_next(&cursor, RECORD_CID_SELF_DESCRIBED, &record));
        want(protect_open(&protector, suite, &keys, &record, &text, &length, &type));
        result += length;
    }
    waste(more);
}

/* --- the worker's DTLS endpoint, with one session --- */

static struct endpoint endpoint;
static struct peer peer;
static struct session *session;
static struct path path;

static enum dtls_effect drop_content(void *owner, struct session *owning, uint64_t now_ms,
                                     const uint8_t *data, size_t length)
{
    (void)owner;
    (void)owning;
    (void)now_ms;
    (void)data;
    result += length;
    return DTLS_CHANGED_NOTHING;
}

static void drop_datagram(void *owner, const struct path *to, const uint8_t *datagram,
                          size_t length)
{
    (void)owner;
    (void)to;
    (void)datagram;
    result += length;
}

static void begin_session(void)
{
    endpoint_open(&endpoint, &(struct endpoint_options){0});
    peer_open(&peer, &(struct peer_options){.cid = true});
    if (!peer_connect(&peer, &endpoint) || !peer_converses(&peer, &endpoint))
        fail("the handshake failed");
    session = endpoint.receiver;
    path = (struct path){.address = peer.address, .lb = 1, .listener = 2};
    endpoint.dtls->options.receive = drop_content;
    endpoint.dtls->options.send = drop_datagram;
}

static void seal_for_session(void)
{
    for (size_t i = 0; i < TURNS; i++)
        datagram_length = peer_seal(&peer, RECORD_TYPE_APPLICATION_DATA, content, sizeof(content),
                                    datagrams[i], sizeof(datagrams[i]));
}

static NOINLINE void cost_session_receive(size_t turns, unsigned long more)
{
    for (size_t i = 0; i < turns; i++)
        dtls_receive(endpoint.dtls, endpoint.now_ms, &path, datagrams[i], datagram_length);
    waste(more);
}

static NOINLINE void cost_session_send(size_t turns, unsigned long more)
{
    for (size_t i = 0; i < turns; i++)
        dtls_send(endpoint.dtls, session, content, sizeof(content));
    waste(more);
}

static void end_session(void)
{
    peer_close(&peer);
    endpoint_close(&endpoint);
}

/* --- CoAP --- */

static uint8_t post_echo[] = "\x42\x02\x00\x00tk\xb4"
                             "echo\xff"
                             "thirty-two octets of a payload!!";
static uint8_t get_tstun[] = "\x42\x01\x00\x00tk\xb5tstun";
static struct coap *coap;
static struct metrics metrics;
static struct session asker = {
    .id = 1,
    .own_cid = {8, {0x07, 0x20, 0xb1, 0xd0, 0x7b, 0x35, 0x9d, 0x3c}},
};
static struct coap_now now = {1000, UINT64_C(1700000000000)};
static uint16_t message_id;

static void begin_coap(void)
{
    const struct coap_options options = {.worker_id = WORKER_ID,
                                         .hash_key = {3, 4},
                                         .exchanges_max = 1024,
                                         .timing = COAP_TIMING_DEFAULT,
                                         .metrics = &metrics};
    want(metrics_init(&metrics, worker_metrics, WORKER_METRICS_COUNT, 1));
    want(coap_new(&coap, &options));
}

static NOINLINE void cost_coap_parse(size_t turns, unsigned long more)
{
    static struct message message;
    for (size_t i = 0; i < turns; i++)
        result += message_parse(&message, post_echo, sizeof(post_echo) - 1);
    waste(more);
}

static void dispatch(uint8_t *request, size_t length)
{
    static uint8_t space[COAP_MESSAGE_SIZE_MAX];
    const struct coap_peer from = {asker.id, &asker, {.address = source}};
    struct writer reply = writer_over(space, sizeof(space));
    struct coap_commit commit;
    message_id++;
    request[2] = (uint8_t)(message_id >> 8);
    request[3] = (uint8_t)message_id;
    if (coap_receive(coap, &from, now, request, length, &reply, &commit) != COAP_REPLY)
        fail("no reply");
    result += writer_length(&reply);
}

static NOINLINE void cost_dispatch_echo(size_t turns, unsigned long more)
{
    for (size_t i = 0; i < turns; i++)
        dispatch(post_echo, sizeof(post_echo) - 1);
    waste(more);
}

static NOINLINE void cost_dispatch_tstun(size_t turns, unsigned long more)
{
    for (size_t i = 0; i < turns; i++)
        dispatch(get_tstun, sizeof(get_tstun) - 1);
    waste(more);
}

static void end_coap(void)
{
    coap_free(coap);
    metrics_free(&metrics);
}

/* --- all of them, in this order --- */

static void nothing(void)
{
}

#define COST(name, before, between, after)             \
    {                                                  \
#name, cost_##name, before, between, after, 0, \
    }

/* before; a few turns; between; all turns; after. */
static struct {
    const char *name;
    void (*measured)(size_t turns, unsigned long more);
    void (*before)(void);
    void (*between)(void);
    void (*after)(void);
    unsigned long waste;
} costs[] = {
    COST(classify, seal_datagrams, nothing, nothing),
    COST(route, nothing, nothing, nothing),
    COST(frame_pack, begin_frames, nothing, nothing),
    COST(frame_open, pack_frames, pack_frames, end_frames),
    COST(record_seal, nothing, nothing, nothing),
    COST(record_open, seal_datagrams, seal_datagrams, nothing),
    COST(session_receive, begin_session, seal_for_session, nothing),
    COST(session_send, nothing, nothing, end_session),
    COST(coap_parse, begin_coap, nothing, nothing),
    COST(dispatch_echo, nothing, nothing, nothing),
    COST(dispatch_tstun, nothing, nothing, end_coap),
};
#define COSTS (sizeof(costs) / sizeof(costs[0]))

/* NAME:N */
static void parse_waste(const char *text)
{
    for (size_t i = 0; i < COSTS; i++) {
        size_t length = strlen(costs[i].name);
        char *end = NULL;
        if (strncmp(text, costs[i].name, length) != 0 || text[length] != ':')
            continue;
        errno = 0;
        costs[i].waste = strtoul(text + length + 1, &end, 10);
        if (errno == 0 && *end == '\0' && end != text + length + 1)
            return;
    }
    fprintf(stderr, "holdfast-cost: want --waste NAME:INSTRUCTIONS, not %s\n", text);
    exit(2);
}

int main(int argc, char **argv)
{
    for (size_t i = 0; argc == 2 && strcmp(argv[1], "--list") == 0; i++) {
        if (i == COSTS)
            return EXIT_SUCCESS;
        puts(costs[i].name);
    }
    for (int i = 1; i < argc; i += 2) {
        if (strcmp(argv[i], "--waste") != 0 || i + 1 == argc)
            fail("usage: holdfast-cost [--list | --waste NAME:INSTRUCTIONS...]");
        parse_waste(argv[i + 1]);
    }
    want(address_parse(&source, "192.0.2.1:4711"));
    want(protector_init(&protector));
    make_config();
    make_membership();
    seal_datagrams();
    class = classify_dtls(configs, datagrams[0], datagram_length);
    for (size_t i = 0; i < COSTS; i++) {
        costs[i].before();
        costs[i].measured(WARM_TURNS, 0);
        costs[i].between();
        costs[i].measured(TURNS, costs[i].waste);
        costs[i].after();
    }
    cid_config_free(&configs[CID_CONFIG]);
    protector_free(&protector);
    return result == 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
