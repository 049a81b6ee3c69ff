#include "lb/settings.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "shared/log.h"

#define LINK_MTU_DEFAULT 1400
#define LINK_MTU_MIN 1280 /* what IPv6 grants: RFC 8200 section 5 */
#define UDP_IPV4_OVERHEAD 28
#define UDP_IPV6_OVERHEAD 48
#define LINK_MTU_MAX (FRAME_SIZE_MAX + UDP_IPV6_OVERHEAD)
#define PORT_COAPS 5684
#define PORT_COAP 5683
#define PORT_HTTP 8080
#define HANDSHAKE_RATE_MAX 1000000
#define NO_DESCRIPTOR UINT64_MAX

/* What the table's rows write to; turned into settings when all is there. */
static struct parsed {
    struct settings_listeners coaps, coap;
    struct address link, http;
    struct trunk_worker workers[WORKERS_MAX];
    size_t worker_count;
    const char *store_url;
    const char *cluster_key_file;
    uint8_t cid_lengths[CID_CONFIGS_MAX];
    uint64_t threads, link_mtu, handshake_rate, handshake_burst, ready_fd;
    int io, log;
} parsed;

static enum status parse_listener(void *target, const char *value, char *why, size_t why_size)
{
    struct settings_listeners *listeners = target;
    if (listeners->count == LISTENERS_MAX) {
        (void)snprintf(why, why_size, "at most %d listeners", LISTENERS_MAX);
        return STATUS_FULL;
    }
    enum status status = address_parse(&listeners->addresses[listeners->count], value);
    if (status == STATUS_OK)
        listeners->count++;
    else
        (void)snprintf(why, why_size, "want ADDR:PORT, such as 0.0.0.0:5684 or [::]:5684");
    return status;
}

/* Digits only, up to max. */
static enum status parse_number(const char *text, size_t length, uint64_t max, uint64_t *number)
{
    uint64_t value = 0;
    if (length == 0)
        return STATUS_MALFORMED;
    for (size_t i = 0; i < length; i++) {
        if (text[i] < '0' || text[i] > '9')
            return STATUS_MALFORMED;
        value = value * 10 + (uint64_t)(text[i] - '0');
        if (value > max)
            return STATUS_MALFORMED;
    }
    *number = value;
    return STATUS_OK;
}

static enum status parse_worker(void *target, const char *value, char *why, size_t why_size)
{
    struct parsed *to = target;
    const char *equals = strchr(value, '=');
    struct trunk_worker worker;
    uint64_t id;

    if (!equals || parse_number(value, (size_t)(equals - value), UINT16_MAX, &id) != STATUS_OK ||
        address_parse(&worker.address, equals + 1) != STATUS_OK || worker.address.port == 0) {
        (void)snprintf(why, why_size, "want ID=ADDR:PORT, ID from 0 to 65535");
        return STATUS_MALFORMED;
    }
    worker.id = (uint16_t)id;
    for (size_t i = 0; i < to->worker_count; i++) {
        if (to->workers[i].id == worker.id ||
            address_equal(&to->workers[i].address, &worker.address)) {
            (void)snprintf(why, why_size, "another worker has this id or this address");
            return STATUS_EXISTS;
        }
    }
    if (to->worker_count == WORKERS_MAX) {
        (void)snprintf(why, why_size, "at most %d workers", WORKERS_MAX);
        return STATUS_FULL;
    }
    to->workers[to->worker_count++] = worker;
    return STATUS_OK;
}

static enum status parse_cid(void *target, const char *value, char *why, size_t why_size)
{
    uint8_t *lengths = target;
    const char *colon = strchr(value, ':');
    uint64_t id, length;

    if (!colon ||
        parse_number(value, (size_t)(colon - value), CID_CONFIGS_MAX - 1, &id) != STATUS_OK ||
        parse_number(colon + 1, strlen(colon + 1), CID_LENGTH_MAX, &length) != STATUS_OK ||
        length < CID_LENGTH_MIN) {
        (void)snprintf(why, why_size, "want CONFIG:LENGTH, CONFIG from 0 to %d, LENGTH %d to %d",
                       CID_CONFIGS_MAX - 1, CID_LENGTH_MIN, CID_LENGTH_MAX);
        return STATUS_MALFORMED;
    }
    if (lengths[id] != 0) {
        (void)snprintf(why, why_size, "config %d is given twice", (int)id);
        return STATUS_EXISTS;
    }
    lengths[id] = (uint8_t)length;
    return STATUS_OK;
}

static const char *const io_choices[] = {
    [IO_AUTO] = "auto", [IO_URING] = "uring", [IO_MMSG] = "mmsg", NULL};
static const char *const log_choices[] = {
    [LOG_ERROR] = "error", [LOG_WARN] = "warn", [LOG_INFO] = "info", [LOG_DEBUG] = "debug", NULL};

static const struct option_row rows[] = {
    {.name = "coaps",
     .argument = "ADDR:PORT",
     .help = "where devices reach DTLS; repeatable (default: [::]:5684)",
     .kind = OPTION_CUSTOM,
     .target = &parsed.coaps,
     .parse = parse_listener},
    {.name = "coap",
     .argument = "ADDR:PORT",
     .help = "where devices reach plain CoAP; repeatable (default: [::]:5683)",
     .kind = OPTION_CUSTOM,
     .target = &parsed.coap,
     .parse = parse_listener},
    {.name = "link",
     .argument = "ADDR:PORT",
     .help = "where frames from workers arrive; thread n takes PORT + n (default: [::]:0)",
     .kind = OPTION_ADDRESS,
     .target = &parsed.link},
    {.name = "worker",
     .argument = "ID=ADDR:PORT",
     .help = "a worker and its link address; repeatable; instead of --store",
     .kind = OPTION_CUSTOM,
     .target = &parsed,
     .parse = parse_worker},
    {.name = "store",
     .argument = "URL",
     .help = "where workers enter themselves: lmdb:DIR, redis://..., rediss://...",
     .kind = OPTION_TEXT,
     .target = &parsed.store_url},
    {.name = "cluster-key-file",
     .argument = "FILE",
     .help = "the key that all parts of the cluster share, 64 hex digits",
     .kind = OPTION_TEXT,
     .target = &parsed.cluster_key_file},
    {.name = "cid",
     .argument = "CONFIG:LENGTH",
     .help = "a Connection ID config in use and its octets; repeatable (default: 0:8)",
     .kind = OPTION_CUSTOM,
     .target = parsed.cid_lengths,
     .parse = parse_cid},
    {.name = "threads",
     .argument = "N",
     .help = "threads that share the listeners' addresses (default: 1)",
     .kind = OPTION_NUMBER,
     .target = &parsed.threads,
     .min = 1,
     .max = LB_THREADS_MAX},
    {.name = "http",
     .argument = "ADDR:PORT",
     .help = "/healthz, /readyz and /metrics (default: 127.0.0.1:8080)",
     .kind = OPTION_ADDRESS,
     .target = &parsed.http},
    {.name = "io",
     .argument = "auto|uring|mmsg",
     .help = "how to receive and send (default: auto)",
     .kind = OPTION_CHOICE,
     .target = &parsed.io,
     .choices = io_choices},
    {.name = "link-mtu",
     .argument = "N",
     .help = "octets of an IP packet to the workers (default: 1400)",
     .kind = OPTION_NUMBER,
     .target = &parsed.link_mtu,
     .min = LINK_MTU_MIN,
     .max = LINK_MTU_MAX},
    {.name = "handshake-rate",
     .argument = "N",
     .help = "ClientHellos a second from one source network, 0: no limit (default: 500)",
     .kind = OPTION_NUMBER,
     .target = &parsed.handshake_rate,
     .max = HANDSHAKE_RATE_MAX},
    {.name = "handshake-burst",
     .argument = "N",
     .help = "ClientHellos from one source network at once (default: 1000)",
     .kind = OPTION_NUMBER,
     .target = &parsed.handshake_burst,
     .min = 1,
     .max = HANDSHAKE_RATE_MAX},
    {.name = "log",
     .argument = "error|warn|info|debug",
     .help = "what to log (default: info)",
     .kind = OPTION_CHOICE,
     .target = &parsed.log,
     .choices = log_choices},
    {.name = "ready-fd",
     .argument = "FD",
     .help = "a descriptor to write one line with the addresses to when serving",
     .kind = OPTION_NUMBER,
     .target = &parsed.ready_fd,
     .max = INT_MAX},
};

static const struct option_table table = {
    .program = "holdfast-lb",
    .summary = "Routes DTLS and CoAP datagrams to workers by Connection ID.",
    .rows = rows,
    .count = sizeof(rows) / sizeof(rows[0]),
};

static bool is_any_cid(void)
{
    for (size_t id = 0; id < CID_CONFIGS_MAX; id++) {
        if (parsed.cid_lengths[id] != 0)
            return true;
    }
    return false;
}

static void fill_defaults(void)
{
    if (parsed.coaps.count == 0) {
        parsed.coaps.count = 1;
        parsed.coaps.addresses[0] = (struct address){.port = PORT_COAPS};
    }
    if (parsed.coap.count == 0) {
        parsed.coap.count = 1;
        parsed.coap.addresses[0] = (struct address){.port = PORT_COAP};
    }
    if (!is_any_cid())
        parsed.cid_lengths[0] = CID_LENGTH_DEFAULT;
}

/* Of the widest header that a frame may get. Who is yet to be listed may have any address. */
static size_t frame_size(void)
{
    size_t overhead = parsed.store_url ? UDP_IPV6_OVERHEAD : UDP_IPV4_OVERHEAD;
    for (size_t i = 0; i < parsed.worker_count; i++) {
        if (!address_is_v4(&parsed.workers[i].address))
            overhead = UDP_IPV6_OVERHEAD;
    }
    size_t size = parsed.link_mtu - overhead;
    return size < FRAME_SIZE_MAX ? size : FRAME_SIZE_MAX;
}

static enum status read_key(struct cluster_key *key)
{
    if (!parsed.cluster_key_file) {
        option_complain(&table, "--cluster-key-file",
                        "it is missing; want a file of 64 hex digits");
        return STATUS_NOT_FOUND;
    }
    enum status status = keys_read_file(key, parsed.cluster_key_file);
    if (status == STATUS_SYSTEM)
        option_complain(&table, "--cluster-key-file", "cannot read %s: %s", parsed.cluster_key_file,
                        strerror(errno));
    else if (status != STATUS_OK)
        option_complain(&table, "--cluster-key-file",
                        "%s is no key; want one line of %d hex digits", parsed.cluster_key_file,
                        2 * CLUSTER_KEY_SIZE);
    return status;
}

/* What no single value shows. */
static bool is_consistent(void)
{
    if (parsed.worker_count == 0 && !parsed.store_url) {
        option_complain(&table, "--store", "it is missing; want it, or --worker ID=ADDR:PORT");
        return false;
    }
    if (parsed.worker_count > 0 && parsed.store_url) {
        option_complain(&table, "--worker", "--store lists the workers; want one of the two");
        return false;
    }
    if (parsed.store_url && strncmp(parsed.store_url, "memory:", 7) == 0) {
        option_complain(&table, "--store",
                        "memory: ends at its process; want lmdb:DIR, redis://..., or --worker");
        return false;
    }
    if (parsed.coaps.count + parsed.coap.count > LISTENERS_MAX) {
        option_complain(&table, "--coap", "at most %d listeners, those of --coaps included",
                        LISTENERS_MAX);
        return false;
    }
    if (parsed.link.port != 0 && parsed.link.port + parsed.threads - 1 > UINT16_MAX) {
        option_complain(&table, "--link", "no room for %d ports from %u on; want a lower port",
                        (int)parsed.threads, parsed.link.port);
        return false;
    }
    return true;
}

enum option_outcome settings_parse(struct settings *settings, int argc, char *const *argv)
{
    parsed = (struct parsed){
        .http = {.ip = {[10] = 0xff, [11] = 0xff, [12] = 127, [15] = 1}, .port = PORT_HTTP},
        .threads = 1,
        .link_mtu = LINK_MTU_DEFAULT,
        .handshake_rate = ADMISSION_RATE_DEFAULT,
        .handshake_burst = ADMISSION_BURST_DEFAULT,
        .ready_fd = NO_DESCRIPTOR,
        .io = IO_AUTO,
        .log = LOG_INFO,
    };
    enum option_outcome outcome = option_parse(&table, argc, argv);
    if (outcome != OPTION_RUN)
        return outcome;
    fill_defaults();
    *settings = (struct settings){
        .coaps = parsed.coaps,
        .coap = parsed.coap,
        .link = parsed.link,
        .http = parsed.http,
        .store_url = parsed.store_url,
        .worker_count = parsed.worker_count,
        .threads = parsed.threads,
        .backend = (enum io_backend)parsed.io,
        .log_level = (enum log_level)parsed.log,
        .frame_size = frame_size(),
        .handshake_rate = (uint32_t)parsed.handshake_rate,
        .handshake_burst = (uint32_t)parsed.handshake_burst,
        .ready_fd = parsed.ready_fd == NO_DESCRIPTOR ? -1 : (int)parsed.ready_fd,
    };
    memcpy(settings->workers, parsed.workers, sizeof(settings->workers));
    memcpy(settings->cid_lengths, parsed.cid_lengths, sizeof(settings->cid_lengths));
    if (!is_consistent() || read_key(&settings->key) != STATUS_OK)
        return OPTION_UNUSABLE;
    return OPTION_RUN;
}

void settings_complain_bind(const char *option, const struct address *address, int error)
{
    char text[ADDRESS_TEXT_MAX];
    option_complain(&table, option,
                    "cannot listen on %s: %s; want an address of this host and a "
                    "free port",
                    address_format(address, text), strerror(error));
}

void settings_complain_store(const char *why)
{
    option_complain(&table, "--store", "%s", why);
}
