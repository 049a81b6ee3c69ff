/* Sends what no honest peer sends: to a listener of the lb, or to a link between lb and worker.
 * Prints how many datagrams of the kind were sent; `coap` prints what came back instead. Noise is
 * seeded, so that a run can be had again. */
#include "shared/address.h"
#include "shared/cid.h"
#include "shared/frame.h"
#include "shared/keys.h"
#include "shared/limits.h"
#include "shared/option.h"
#include "shared/record.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define DATAGRAM_MAX 65507 /* of UDP over IPv4 */
#define PAYLOAD_SIZE 32
#define NOISE_COUNT 500
#define NOISE_SEED 20240229
#define ANSWER_MS 5000
#define BURST 16 /* datagrams at once: small enough for any receive buffer */
#define PING_ID 0xf00d
#define WORKER_NOBODY 4711

static struct {
    struct address to;
    const char *cluster_key_file;
    const char *kind;
    const char *hex;
} options;

static int target;
static unsigned sent;

static void send_datagram(const void *bytes, size_t length)
{
    if (send(target, bytes, length, 0) != (ssize_t)length) {
        perror("garbage: send");
        exit(EXIT_FAILURE);
    }
    sent++;
    if (sent % BURST == 0)
        (void)poll(NULL, 0, 1);
}

/* ---- records ---- */

#define CID_FIRST(config, length) (uint8_t)((config) << 5 | ((length)-1))

struct shape {
    uint8_t type;
    uint16_t version;
    const uint8_t *cid;
    size_t cid_length;
};

static size_t write_record(uint8_t *space, const struct shape *shape)
{
    struct writer writer = writer_over(space, DATAGRAM_SIZE_MAX);
    uint8_t payload[PAYLOAD_SIZE] = {0};
    writer_u8(&writer, shape->type);
    writer_u16(&writer, shape->version);
    writer_u16(&writer, 1); /* epoch */
    writer_u48(&writer, 1);
    writer_bytes(&writer, shape->cid, shape->cid_length);
    writer_u16(&writer, sizeof(payload));
    writer_bytes(&writer, payload, sizeof(payload));
    return writer_length(&writer);
}

static void send_record(const struct shape *shape)
{
    uint8_t space[DATAGRAM_SIZE_MAX];
    send_datagram(space, write_record(space, shape));
}

static void send_with_cid(const uint8_t *cid, size_t length)
{
    const struct shape shape = {RECORD_TYPE_TLS12_CID, RECORD_VERSION_DTLS12, cid, length};
    send_record(&shape);
}

/* Each beginning of a good record, from an empty datagram on. */
static void truncated(void)
{
    uint8_t space[DATAGRAM_SIZE_MAX];
    const struct shape good = {.type = RECORD_TYPE_APPLICATION_DATA,
                               .version = RECORD_VERSION_DTLS12};
    size_t length = write_record(space, &good);
    for (size_t i = 0; i < length; i++)
        send_datagram(space, i);
}

static void oversized(void)
{
    static uint8_t space[DATAGRAM_MAX];
    static const size_t lengths[] = {DATAGRAM_SIZE_MAX + 1, 4096, 9000, DATAGRAM_MAX};
    const struct shape good = {.type = RECORD_TYPE_APPLICATION_DATA,
                               .version = RECORD_VERSION_DTLS12};
    (void)write_record(space, &good);
    for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++)
        send_datagram(space, lengths[i]);
}

#define UNIFIED_CID 0x10      /* 001CSLEE, RFC 9147 section 4 */
#define UNIFIED_SEQUENCE 0x08 /* of 16 bits */
#define UNIFIED_LENGTH 0x04

static void send_unified(uint8_t first)
{
    uint8_t space[DATAGRAM_SIZE_MAX];
    const uint8_t cid[CID_LENGTH_DEFAULT] = {CID_FIRST(0, CID_LENGTH_DEFAULT)};
    const uint8_t payload[PAYLOAD_SIZE] = {0};
    struct writer writer = writer_over(space, sizeof(space));
    writer_u8(&writer, first);
    if (first & UNIFIED_CID)
        writer_bytes(&writer, cid, sizeof(cid));
    writer_number(&writer, 1, first & UNIFIED_SEQUENCE ? 2 : 1);
    if (first & UNIFIED_LENGTH)
        writer_u16(&writer, sizeof(payload));
    writer_bytes(&writer, payload, sizeof(payload));
    send_datagram(space, writer_length(&writer));
}

/* Every first octet there is, each with the header that goes with it. */
static void types(void)
{
    const uint8_t cid[CID_LENGTH_DEFAULT] = {CID_FIRST(0, CID_LENGTH_DEFAULT)};
    for (unsigned type = 0; type <= UINT8_MAX; type++) {
        struct shape shape = {.type = (uint8_t)type, .version = RECORD_VERSION_DTLS12};
        if (type == RECORD_TYPE_TLS12_CID)
            send_with_cid(cid, sizeof(cid));
        else if (type >> 5 == 1)
            send_unified((uint8_t)type);
        else
            send_record(&shape);
    }
}

static void versions(void)
{
    static const uint16_t wrong[] = {0x0000, 0x0301, 0x0303, 0xfefc, 0xfefe, 0xffff};
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        const struct shape shape = {.type = RECORD_TYPE_APPLICATION_DATA, .version = wrong[i]};
        send_record(&shape);
    }
}

static void noise(void)
{
    uint8_t space[256];
    uint64_t state = NOISE_SEED;
    for (unsigned i = 0; i < NOISE_COUNT; i++) {
        for (size_t j = 0; j < sizeof(space); j++) {
            state = state * 6364136223846793005u + 1442695040888963407u;
            space[j] = (uint8_t)(state >> 56);
        }
        send_datagram(space, 1 + state % sizeof(space));
    }
}

/* ---- Connection IDs ---- */

/* Of every config that is not in use. */
static void cid_config_kind(void)
{
    uint8_t cid[CID_LENGTH_DEFAULT] = {0};
    for (unsigned config = 1; config < CID_CONFIG_UNROUTABLE; config++) {
        cid[0] = CID_FIRST(config, sizeof(cid));
        send_with_cid(cid, sizeof(cid));
    }
}

static void cid_unroutable(void)
{
    uint8_t cid[CID_LENGTH_DEFAULT] = {CID_FIRST(CID_CONFIG_UNROUTABLE, sizeof(cid))};
    send_with_cid(cid, sizeof(cid));
}

/* Of the config in use, and every length that is not its own. */
static void cid_length_kind(void)
{
    uint8_t cid[32] = {0};
    for (size_t length = 1; length <= sizeof(cid); length++) {
        if (length == CID_LENGTH_DEFAULT)
            continue;
        cid[0] = CID_FIRST(0, length);
        send_with_cid(cid, length);
    }
}

static struct cluster_key read_cluster_key(void)
{
    struct cluster_key key;
    if (!options.cluster_key_file || keys_read_file(&key, options.cluster_key_file) != STATUS_OK) {
        (void)fprintf(stderr, "garbage: this kind wants a --cluster-key-file\n");
        exit(EXIT_FAILURE);
    }
    return key;
}

/* As that worker would have made it, with a nonce that it has not come to. */
static void send_with_cid_of(uint16_t worker)
{
    const struct cluster_key key = read_cluster_key();
    const uint8_t config_id = 0, nonce[CID_LENGTH_MAX] = {0xff, 0xff, 0xff, 0xff, 0xff};
    const uint8_t id[] = {(uint8_t)(worker >> 8), (uint8_t)worker};
    uint8_t secret[CID_KEY_SIZE];
    struct cid_config config;
    struct cid cid;
    if (keys_derive(&key, KEY_CID, &config_id, sizeof(config_id), secret, sizeof(secret)) !=
            STATUS_OK ||
        cid_config_init(&config, config_id, sizeof(id), CID_LENGTH_DEFAULT - 1 - sizeof(id),
                        secret) != STATUS_OK ||
        cid_encode(&config, id, nonce, &cid) != STATUS_OK)
        abort();
    send_with_cid(cid.bytes, cid.length);
    cid_config_free(&config);
}

static void cid_worker(void)
{
    send_with_cid_of(WORKER_NOBODY);
}

static void cid_session(void)
{
    send_with_cid_of(1);
}

/* ---- frames ---- */

static uint64_t unix_ms(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* A PING, good but for what the caller makes of it. */
static size_t write_ping(const struct cluster_key *key, const struct boot_id *to, uint8_t *space)
{
    struct boot_id boot;
    struct frame_sealer sealer;
    const struct frame_health health = {.stamp = 1, .state = FRAME_STATE_SERVING};
    size_t length = 0;
    if (boot_id_new(&boot, unix_ms()) != STATUS_OK ||
        frame_sealer_init(&sealer, key, &boot) != STATUS_OK ||
        frame_seal_health(&sealer, FRAME_PING, to, &health, space, FRAME_HEALTH_SEALED_SIZE,
                          &length) != STATUS_OK)
        abort();
    frame_sealer_free(&sealer);
    return length;
}

static const struct boot_id nobody;

/* Sealed by whoever does not know the cluster key. */
static void frame_forged(void)
{
    struct cluster_key key = {{0}};
    uint8_t space[FRAME_HEALTH_SEALED_SIZE];
    send_datagram(space, write_ping(&key, &nobody, space));
}

/* An authentic one, and again: the second is a replay. */
static void frame_replayed(void)
{
    const struct cluster_key key = read_cluster_key();
    uint8_t space[FRAME_HEALTH_SEALED_SIZE];
    size_t length = write_ping(&key, &nobody, space);
    send_datagram(space, length);
    send_datagram(space, length);
}

/* Authentic, for another boot of the receiver. */
static void frame_astray(void)
{
    const struct cluster_key key = read_cluster_key();
    uint8_t space[FRAME_HEALTH_SEALED_SIZE];
    struct boot_id other;
    if (boot_id_new(&other, 1) != STATUS_OK)
        abort();
    send_datagram(space, write_ping(&key, &other, space));
}

static void frame_version(void)
{
    const struct cluster_key key = read_cluster_key();
    uint8_t space[FRAME_HEALTH_SEALED_SIZE];
    size_t length = write_ping(&key, &nobody, space);
    space[0] = FRAME_VERSION + 1;
    send_datagram(space, length);
}

/* An authentic header, and less and less behind it. */
static void frame_truncated(void)
{
    const struct cluster_key key = read_cluster_key();
    uint8_t space[FRAME_HEALTH_SEALED_SIZE];
    size_t length = write_ping(&key, &nobody, space);
    while (length-- > 1)
        send_datagram(space, length);
}

/* ---- plain CoAP ---- */

/* Sends one datagram, then a CoAP ping (RFC 7252 section 4.3). What comes back before the ping's
 * Reset is the answer to it: all of it takes the same way. */
static void coap(void)
{
    static const uint8_t ping[] = {0x40, 0x00, PING_ID >> 8, PING_ID & 0xff};
    static const uint8_t pong[] = {0x70, 0x00, PING_ID >> 8, PING_ID & 0xff};
    uint8_t space[DATAGRAM_SIZE_MAX];
    size_t length;
    struct pollfd wanted = {.fd = target, .events = POLLIN};
    if (option_parse_hex(options.hex, strlen(options.hex), space, sizeof(space), &length) !=
        STATUS_OK) {
        (void)fprintf(stderr, "garbage: --hex wants hex digits\n");
        exit(EXIT_FAILURE);
    }
    send_datagram(space, length);
    send_datagram(ping, sizeof(ping));
    while (poll(&wanted, 1, ANSWER_MS) > 0) {
        ssize_t got = recv(target, space, sizeof(space), 0);
        if (got == (ssize_t)sizeof(pong) && memcmp(space, pong, sizeof(pong)) == 0)
            return;
        for (ssize_t i = 0; i < got; i++)
            (void)printf("%02x", space[i]);
        (void)putchar('\n');
    }
    (void)fprintf(stderr, "garbage: the CoAP ping was not answered\n");
    exit(EXIT_FAILURE);
}

/* ---- the whole ---- */

static const struct kind {
    const char *name;
    void (*send)(void);
} kinds[] = {
    {"truncated", truncated},
    {"oversized", oversized},
    {"types", types},
    {"versions", versions},
    {"noise", noise},
    {"cid-config", cid_config_kind},
    {"cid-unroutable", cid_unroutable},
    {"cid-length", cid_length_kind},
    {"cid-worker", cid_worker},
    {"cid-session", cid_session},
    {"frame-forged", frame_forged},
    {"frame-replayed", frame_replayed},
    {"frame-astray", frame_astray},
    {"frame-version", frame_version},
    {"frame-truncated", frame_truncated},
    {"coap", coap},
};

static const struct option_row rows[] = {
    {.name = "to",
     .argument = "ADDR:PORT",
     .help = "whom to send it to",
     .kind = OPTION_ADDRESS,
     .target = &options.to},
    {.name = "kind",
     .argument = "NAME",
     .help = "what to send: see the table in the source",
     .kind = OPTION_TEXT,
     .target = &options.kind},
    {.name = "cluster-key-file",
     .argument = "FILE",
     .help = "for kinds that only an insider could make",
     .kind = OPTION_TEXT,
     .target = &options.cluster_key_file},
    {.name = "hex",
     .argument = "HEX",
     .help = "the datagram of kind coap",
     .kind = OPTION_TEXT,
     .target = &options.hex},
};

static const struct option_table table = {
    .program = "garbage",
    .summary = "Sends bad input, for tests.",
    .rows = rows,
    .count = sizeof(rows) / sizeof(rows[0]),
};

static bool open_target(void)
{
    struct sockaddr_storage to;
    int family = address_is_v4(&options.to) ? AF_INET : AF_INET6;
    socklen_t length = address_to_sockaddr(&options.to, family, &to);
    target = socket(family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    return target >= 0 && connect(target, (struct sockaddr *)&to, length) == 0;
}

int main(int argc, char **argv)
{
    if (option_parse(&table, argc, argv) != OPTION_RUN)
        return 2;
    if (!options.kind || !open_target()) {
        option_complain(&table, options.kind ? "--to" : "--kind", "%s", strerror(errno));
        return 2;
    }
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        if (strcmp(kinds[i].name, options.kind) != 0)
            continue;
        kinds[i].send();
        if (kinds[i].send != coap)
            (void)printf("%u\n", sent);
        close(target);
        return EXIT_SUCCESS;
    }
    option_complain(&table, "--kind", "%s is none", options.kind);
    return 2;
}
