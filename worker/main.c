/* holdfast-worker: options, the loop, signals. */
#include "shared/http.h"
#include "shared/io.h"
#include "shared/keys.h"
#include "shared/log.h"
#include "shared/option.h"
#include "shared/psk_file.h"
#include "shared/store.h"
#include "worker/identities.h"
#include "worker/metrics.h"
#include "worker/worker.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <unistd.h>

#define LINK_HEADERS 28 /* IPv4 and UDP */

enum { EXIT_UNUSABLE = 2 };

struct program {
    uint64_t id;
    struct address link;
    struct address advertise;
    struct address http_address;
    const char *cluster_key_file;
    const char *store_url;
    int io_backend;
    int log_level;
    uint64_t cid_length;
    uint64_t cid_config;
    uint64_t link_mtu;
    uint64_t ready_fd;
    uint64_t session_idle_s;
    uint64_t store_key_id;
    uint64_t ack_timeout_ms;
    uint64_t ack_random_percent;
    uint64_t max_retransmit;
    uint64_t separate_ms;
    uint64_t request_rate;
    bool plugtest;
    uint64_t observe_confirm_s;
    uint64_t observe_confirm_every;
    const char *ps_publish;
    const char *ps_subscribe;
    struct permissions publishers;
    struct permissions subscribers;
    struct identities identities;
    struct store *store;
    struct io *io;
    struct metrics metrics;
    struct http *http;
    struct worker *worker;
    int signals;
    bool told;
};

static struct program program = {
    .observe_confirm_s = OBSERVE_CONFIRM_S_DEFAULT,
    .ps_publish = "*",
    .ps_subscribe = "*",
    .id = 1,
    .session_idle_s = SESSION_IDLE_S_DEFAULT,
    .ack_timeout_ms = COAP_ACK_TIMEOUT_MS,
    .ack_random_percent = COAP_ACK_RANDOM_PERCENT,
    .max_retransmit = COAP_MAX_RETRANSMIT,
    .separate_ms = COAP_SEPARATE_MS,
    .cid_length = CID_LENGTH_DEFAULT,
    .link_mtu = FRAME_SIZE_DEFAULT + LINK_HEADERS,
    .log_level = LOG_INFO,
    .store_url = "memory:",
    .ready_fd = UINT64_MAX,
    .signals = -1,
};

/* --- options --- */

static enum status add_identity(void *owner, const char *identity, size_t identity_length,
                                const uint8_t *key, size_t key_length)
{
    (void)owner;
    return identities_add(&program.identities,
                          (struct octets){(const uint8_t *)identity, identity_length},
                          (struct octets){key, key_length});
}

static enum status parse_psk(void *target, const char *value, char *why, size_t why_size)
{
    const char *identity;
    size_t identity_length;
    uint8_t key[PSK_LENGTH_MAX];
    size_t key_length;
    enum status status = option_parse_psk(value, strlen(value), &identity, &identity_length, key,
                                          sizeof(key), &key_length);
    if (status == STATUS_OK)
        status = add_identity(target, identity, identity_length, key, key_length);
    keys_wipe(key, sizeof(key));
    if (status == STATUS_EXISTS)
        snprintf(why, why_size, "an identity that is there already; each may be given once");
    else if (status != STATUS_OK)
        snprintf(why, why_size, "want ID:HEX, ID of 1 to %d octets, key of 1 to %d octets",
                 IDENTITY_LENGTH_MAX, PSK_LENGTH_MAX);
    return status;
}

static enum status parse_psk_file(void *target, const char *value, char *why, size_t why_size)
{
    return psk_file_read(value, add_identity, target, why, why_size);
}

static enum status parse_id(void *target, const char *value, char *why, size_t why_size)
{
    (void)target;
    char *end;
    errno = 0;
    unsigned long id = strtoul(value, &end, 10);
    bool is_number = value[0] >= '0' && value[0] <= '9' && *end == '\0' && errno == 0;
    if (strcmp(value, "auto") == 0) {
        program.id = 0;
        return STATUS_OK;
    }
    if (is_number && id >= 1 && id <= UINT16_MAX) {
        program.id = id;
        return STATUS_OK;
    }
    snprintf(why, why_size, "want auto or 1 to %d", UINT16_MAX);
    return STATUS_MALFORMED;
}

static const char *const io_choices[] = {"auto", "uring", "mmsg", NULL};
static const char *const log_choices[] = {"error", "warn", "info", "debug", NULL};

static const struct option_row rows[] = {
    {.name = "id",
     .argument = "N",
     .help = "this worker's number, 1 to 65535, or auto: the lowest that is free (default 1)",
     .kind = OPTION_CUSTOM,
     .parse = parse_id},
    {.name = "link",
     .argument = "ADDR:PORT",
     .help = "where load balancers reach this worker (default 127.0.0.1:5690)",
     .kind = OPTION_ADDRESS,
     .target = &program.link},
    {.name = "advertise",
     .argument = "ADDR:PORT",
     .help = "what they are told instead of --link, where that is a wildcard; port 0: the link's",
     .kind = OPTION_ADDRESS,
     .target = &program.advertise},
    {.name = "cluster-key-file",
     .argument = "FILE",
     .help = "the cluster key, 64 hex digits (required)",
     .kind = OPTION_TEXT,
     .target = &program.cluster_key_file},
    {.name = "psk",
     .argument = "ID:HEX",
     .help = "an identity and its pre-shared key; repeatable",
     .kind = OPTION_CUSTOM,
     .parse = parse_psk},
    {.name = "psk-file",
     .argument = "FILE",
     .help = "identities and keys, one ID:HEX a line; repeatable",
     .kind = OPTION_CUSTOM,
     .parse = parse_psk_file},
    {.name = "store",
     .argument = "URL",
     .help = "where state lives: memory: (the default, ends with the process), lmdb:DIR, "
             "redis://HOST:PORT and its kin",
     .kind = OPTION_TEXT,
     .target = &program.store_url},
    {.name = "store-key-id",
     .argument = "N",
     .help = "key id that new values in the store are sealed under; all up to it open (default 0)",
     .kind = OPTION_NUMBER,
     .target = &program.store_key_id,
     .max = UINT8_MAX},
    {.name = "session-idle",
     .argument = "S",
     .help = "seconds after which a silent session is in the store only (default 3600)",
     .kind = OPTION_NUMBER,
     .target = &program.session_idle_s,
     .min = 1,
     .max = SESSION_TTL_S},
    {.name = "ack-timeout-ms",
     .argument = "MS",
     .help = "before an unacknowledged CoAP message is repeated, at least; doubled each time "
             "(default 2000)",
     .kind = OPTION_NUMBER,
     .target = &program.ack_timeout_ms,
     .min = 1,
     .max = 60000},
    {.name = "ack-random-percent",
     .argument = "N",
     .help = "of that, before the first repetition, at most: a random share of what is above 100 is "
             "added (default 150)",
     .kind = OPTION_NUMBER,
     .target = &program.ack_random_percent,
     .min = 100,
     .max = COAP_ACK_RANDOM_PERCENT_MAX},
    {.name = "max-retransmit",
     .argument = "N",
     .help = "repetitions of an unacknowledged CoAP message, 0 to 10 (default 4)",
     .kind = OPTION_NUMBER,
     .target = &program.max_retransmit,
     .max = COAP_MAX_RETRANSMIT_MAX},
    {.name = "separate-ms",
     .argument = "MS",
     .help = "before a CoAP request whose answer takes longer is acknowledged (default 1500)",
     .kind = OPTION_NUMBER,
     .target = &program.separate_ms,
     .max = COAP_DEFERRED_MS - 1},
    {.name = "request-rate",
     .argument = "N",
     .help = "CoAP requests a second that one peer may make, others get 4.29; 0 is no bound "
             "(default 0)",
     .kind = OPTION_NUMBER,
     .target = &program.request_rate,
     .max = RATE_MAX},
    {.name = "observe-confirm-s",
     .argument = "S",
     .help = "a notification is confirmable at least every so many seconds (default 82800)",
     .kind = OPTION_NUMBER,
     .target = &program.observe_confirm_s,
     .min = 1,
     .max = OBSERVE_CONFIRM_S_MAX},
    {.name = "observe-confirm-every",
     .argument = "N",
     .help = "and each Nth one to an observer; 0: however many (the default)",
     .kind = OPTION_NUMBER,
     .target = &program.observe_confirm_every,
     .max = OBSERVE_CONFIRM_EVERY_MAX},
    {.name = "ps-publish",
     .argument = "LIST",
     .help = "who may publish to which topics of /ps: IDENTITY[=TOPIC],... each may end with * "
             "(default *: everybody with a session, to all)",
     .kind = OPTION_TEXT,
     .target = &program.ps_publish},
    {.name = "ps-subscribe",
     .argument = "LIST",
     .help = "likewise, who may read and observe them (default *)",
     .kind = OPTION_TEXT,
     .target = &program.ps_subscribe},
    {.name = "plugtest",
     .help = "serve the resources of the ETSI CoAP plugtests too",
     .kind = OPTION_FLAG,
     .target = &program.plugtest},
    {.name = "http",
     .argument = "ADDR:PORT",
     .help = "health and metrics (default 127.0.0.1:8080)",
     .kind = OPTION_ADDRESS,
     .target = &program.http_address},
    {.name = "io",
     .argument = "BACKEND",
     .help = "auto, uring or mmsg (default auto)",
     .kind = OPTION_CHOICE,
     .target = &program.io_backend,
     .choices = io_choices},
    {.name = "log",
     .argument = "LEVEL",
     .help = "error, warn, info or debug (default info)",
     .kind = OPTION_CHOICE,
     .target = &program.log_level,
     .choices = log_choices},
    {.name = "cid-length",
     .argument = "N",
     .help = "octets of a Connection ID, 6 to 20 (default 8)",
     .kind = OPTION_NUMBER,
     .target = &program.cid_length,
     .min = CID_LENGTH_MIN,
     .max = CID_LENGTH_MAX},
    {.name = "cid-config",
     .argument = "N",
     .help = "config id of new Connection IDs, 0 to 6 (default 0)",
     .kind = OPTION_NUMBER,
     .target = &program.cid_config,
     .max = CID_CONFIG_UNROUTABLE - 1},
    {.name = "link-mtu",
     .argument = "N",
     .help = "octets of an IP packet on the link, 576 to 65000 (default 1400)",
     .kind = OPTION_NUMBER,
     .target = &program.link_mtu,
     .min = 576,
     .max = FRAME_SIZE_MAX},
    {.name = "ready-fd",
     .argument = "FD",
     .help = "a descriptor that gets one line once this worker serves",
     .kind = OPTION_NUMBER,
     .target = &program.ready_fd,
     .max = INT32_MAX},
};

static const struct option_table table = {
    .program = "holdfast-worker",
    .summary = "Terminates DTLS and serves CoAP behind holdfast-lb.",
    .rows = rows,
    .count = sizeof(rows) / sizeof(rows[0]),
};

static bool check_permissions(const char *option, const char *text,
                              struct permissions *permissions)
{
    switch (permissions_parse(permissions, text)) {
    case STATUS_OK:
        return true;
    case STATUS_FULL:
        option_complain(&table, option, "too long; want at most %d entries", PERMISSIONS_MAX);
        return false;
    default:
        option_complain(&table, option, "%s: want IDENTITY or IDENTITY=TOPIC, with commas between",
                        text);
        return false;
    }
}

static bool check_options(struct cluster_key *key)
{
    if (!program.cluster_key_file) {
        option_complain(&table, "cluster-key-file", "missing; want a file with 64 hex digits");
        return false;
    }
    switch (keys_read_file(key, program.cluster_key_file)) {
    case STATUS_OK:
        break;
    case STATUS_SYSTEM:
        option_complain(&table, "cluster-key-file", "%s: %s", program.cluster_key_file,
                        strerror(errno));
        return false;
    default:
        option_complain(&table, "cluster-key-file", "%s: not a key; want one line of 64 hex digits",
                        program.cluster_key_file);
        return false;
    }
    if (program.cid_length == CID_LENGTH_MIN && program.id > UINT8_MAX) {
        option_complain(&table, "id", "a CID of 6 octets holds 1 octet of it; want 1 to 255");
        return false;
    }
    return check_permissions("ps-publish", program.ps_publish, &program.publishers) &&
           check_permissions("ps-subscribe", program.ps_subscribe, &program.subscribers);
}

/* --- HTTP --- */

static bool handle_http(void *owner, const char *path, struct http_reply *reply)
{
    (void)owner;
    if (strcmp(path, "/metrics") == 0) {
        reply->content_type = "text/plain; version=0.0.4";
        metrics_write(&program.metrics, &reply->body);
        return true;
    }
    if (strcmp(path, "/readyz") == 0) {
        const char *trouble = worker_trouble(program.worker);
        reply->status = trouble ? 503 : 200;
        reply->content_type = "text/plain";
        text_add(&reply->body, "%s\n", trouble ? trouble : "ready");
        return true;
    }
    return false;
}

/* --- the loop --- */

static void take_signal(void *owner, int descriptor, uint32_t events)
{
    (void)owner;
    (void)events;
    struct signalfd_siginfo info;
    if (read(descriptor, &info, sizeof(info)) == sizeof(info))
        worker_drain(program.worker);
}

static enum status watch_signals(void)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    if (sigprocmask(SIG_BLOCK, &set, NULL) != 0)
        return STATUS_SYSTEM;
    program.signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    if (program.signals < 0)
        return STATUS_SYSTEM;
    return io_watch(program.io, program.signals, EPOLLIN, take_signal, NULL);
}

static void tell_ready(void)
{
    char link[ADDRESS_TEXT_MAX];
    char http[ADDRESS_TEXT_MAX];
    struct address link_address = worker_link_address(program.worker);
    struct address http_address = http_local_address(program.http);
    address_format(&link_address, link);
    address_format(&http_address, http);
    log_line(LOG_INFO, "worker", "serving", "id=%u link=%s http=%s io=%s store=%s",
             (unsigned)worker_id(program.worker), link, http, io_backend_name(program.io),
             program.store->engine->name);
    if (program.ready_fd == UINT64_MAX)
        return;
    dprintf((int)program.ready_fd, "link=%s http=%s\n", link, http);
    close((int)program.ready_fd);
}

static uint64_t sooner(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static bool goes_on(void)
{
    switch (worker_stage(program.worker)) {
    case WORKER_JOINING:
    case WORKER_SERVING:
    case WORKER_DRAINING:
        return true;
    case WORKER_STOPPED:
    case WORKER_LOST:
        return false;
    }
    return false;
}

static enum status serve(void)
{
    enum status status = STATUS_OK;
    worker_run(program.worker, io_now_ms(program.io));
    while (goes_on() && status == STATUS_OK) {
        if (!program.told && worker_stage(program.worker) == WORKER_SERVING) {
            tell_ready();
            program.told = true;
        }
        uint64_t http_ms = http_timeout_ms(program.http);
        uint64_t http_due_ms = http_ms == UINT64_MAX ? UINT64_MAX : io_now_ms(program.io) + http_ms;
        status = io_turn(program.io, sooner(worker_next_ms(program.worker), http_due_ms));
        worker_run(program.worker, io_now_ms(program.io));
        if (http_due_ms <= io_now_ms(program.io))
            http_run(program.http);
    }
    return status;
}

static enum status open_store(char *why, size_t why_size)
{
    const struct store_options options = {
        .url = program.store_url,
        .io = program.io,
        .metrics = &program.metrics,
        .metrics_row = WORKER_STORE_READS,
        .session_ttl_s = SESSION_TTL_S,
        .member_ttl_ms = MEMBER_TTL_MS,
    };
    return store_open(&program.store, &options, why, why_size);
}

static enum status start_worker(const struct cluster_key *key)
{
    const struct worker_options options = {
        .io = program.io,
        .store = program.store,
        .identities = &program.identities,
        .metrics = &program.metrics,
        .cluster_key = key,
        .link = program.link,
        .advertise = program.advertise,
        .http = http_local_address(program.http),
        .operators = program.http,
        .frame_size = (size_t)program.link_mtu - LINK_HEADERS,
        .id = (uint16_t)program.id,
        .cid_length = (uint8_t)program.cid_length,
        .cid_config_id = (uint8_t)program.cid_config,
        .store_key_id = (uint8_t)program.store_key_id,
        .session_idle_s = (uint32_t)program.session_idle_s,
        .plugtest = program.plugtest,
        .request_rate = (uint32_t)program.request_rate,
        .observe = {(uint32_t)program.observe_confirm_s, (uint8_t)program.observe_confirm_every},
        .publishers = &program.publishers,
        .subscribers = &program.subscribers,
        .timing = {(uint32_t)program.ack_timeout_ms, (uint32_t)program.separate_ms,
                   (uint8_t)program.max_retransmit, (uint16_t)program.ack_random_percent},
    };
    return worker_new(&program.worker, &options);
}

static void complain_of_link(enum status status)
{
    static const struct address none;
    char text[ADDRESS_TEXT_MAX];
    bool is_advertised = !address_equal(&program.advertise, &none);
    address_format(is_advertised ? &program.advertise : &program.link, text);
    if (status == STATUS_UNSUPPORTED)
        option_complain(&table, is_advertised ? "advertise" : "link",
                        "%s: no load balancer can reach a wildcard; want --advertise ADDR:PORT",
                        text);
    else
        option_complain(&table, "link", "%s: %s", address_format(&program.link, text),
                        status == STATUS_SYSTEM ? strerror(errno) : status_text(status));
}

/* What cannot be used is said in one line. */
static int start(const struct cluster_key *key)
{
    char text[ADDRESS_TEXT_MAX];
    char why[256];
    if (io_new(&program.io, (enum io_backend)program.io_backend) != STATUS_OK) {
        option_complain(&table, "io", "%s: %s; want auto or mmsg", io_choices[program.io_backend],
                        strerror(errno));
        return EXIT_UNUSABLE;
    }
    if (metrics_init(&program.metrics, worker_metrics, WORKER_METRICS_COUNT, 1) != STATUS_OK ||
        watch_signals() != STATUS_OK) {
        log_line(LOG_ERROR, "worker", "cannot start", "error=%s", strerror(errno));
        return EXIT_FAILURE;
    }
    if (open_store(why, sizeof(why)) != STATUS_OK) {
        option_complain(&table, "store", "%s", why);
        return EXIT_UNUSABLE;
    }
    if (http_start(&program.http, program.io, &program.http_address, handle_http, NULL) !=
        STATUS_OK) {
        option_complain(&table, "http", "%s: %s", address_format(&program.http_address, text),
                        strerror(errno));
        return EXIT_UNUSABLE;
    }
    enum status status = start_worker(key);
    if (status != STATUS_OK) {
        complain_of_link(status);
        return EXIT_UNUSABLE;
    }
    return EXIT_SUCCESS;
}

static int run(const struct cluster_key *key)
{
    log_set_level((enum log_level)program.log_level);
    int exit_code = start(key);
    if (exit_code == EXIT_SUCCESS) {
        enum status status = serve();
        if (status != STATUS_OK)
            log_line(LOG_ERROR, "worker", "loop failed", "error=%s", strerror(errno));
        if (status != STATUS_OK || worker_stage(program.worker) == WORKER_LOST)
            exit_code = EXIT_FAILURE;
        log_line(LOG_INFO, "worker", "stopped", "id=%u", (unsigned)worker_id(program.worker));
    }
    /* The store answers what is still asked when it goes, into the worker. */
    store_free(program.store);
    worker_free(program.worker);
    if (program.http)
        http_stop(program.http);
    io_free(program.io);
    if (program.signals >= 0)
        close(program.signals);
    metrics_free(&program.metrics);
    return exit_code;
}

static enum status make_identities(void)
{
    uint8_t seed[16];
    enum status status = keys_random(seed, sizeof(seed));
    struct hash_key hash_key = hash_key_from(seed);
    return status == STATUS_OK ? identities_init(&program.identities, IDENTITIES_MAX, &hash_key)
                               : status;
}

int main(int argc, char **argv)
{
    struct cluster_key key;
    int exit_code = EXIT_UNUSABLE;
    if (address_parse(&program.link, "127.0.0.1:5690") != STATUS_OK ||
        address_parse(&program.http_address, "127.0.0.1:8080") != STATUS_OK ||
        make_identities() != STATUS_OK) {
        log_line(LOG_ERROR, "worker", "cannot start", "error=%s", strerror(errno));
        return EXIT_FAILURE;
    }
    signal(SIGPIPE, SIG_IGN);
    switch (option_parse(&table, argc, argv)) {
    case OPTION_RUN:
        if (check_options(&key))
            exit_code = run(&key);
        break;
    case OPTION_DONE:
        exit_code = EXIT_SUCCESS;
        break;
    case OPTION_UNUSABLE:
        break;
    }
    keys_wipe(&key, sizeof(key));
    identities_free(&program.identities);
    return exit_code;
}
