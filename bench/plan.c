#include "bench/plan.h"

#include "shared/keys.h"

#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#define DESCRIPTORS_OWN 32 /* that are not for devices */
#define HOST_MAX 255

static struct plan parsed;
static int workload;

static enum status resolve(struct address *address, const char *host, const char *port)
{
    const struct addrinfo hints = {.ai_socktype = SOCK_DGRAM, .ai_flags = AI_NUMERICSERV};
    struct addrinfo *found;
    if (getaddrinfo(host, port, &hints, &found) != 0)
        return STATUS_NOT_FOUND;
    enum status status = address_from_sockaddr(address, found->ai_addr, found->ai_addrlen);
    freeaddrinfo(found);
    return status;
}

/* HOST, HOST:PORT, [ADDRESS] or [ADDRESS]:PORT. */
static enum status split_authority(const char *text, char host[HOST_MAX + 1], const char **port)
{
    bool bracketed = *text == '[';
    text += bracketed;
    size_t length = strcspn(text, bracketed ? "]" : ":");
    if (length == 0 || length > HOST_MAX || (bracketed && text[length] != ']'))
        return STATUS_MALFORMED;
    memcpy(host, text, length);
    host[length] = '\0';
    text += length + bracketed;
    if (*text != '\0' &&
        (*text != ':' || text[1] == '\0' || strspn(text + 1, "0123456789") != strlen(text + 1)))
        return STATUS_MALFORMED;
    if (*text == ':')
        *port = text + 1;
    return STATUS_OK;
}

static enum status parse_target(void *target, const char *value, char *why, size_t why_size)
{
    static const struct {
        const char *prefix;
        const char *port;
        bool is_secure;
    } schemes[] = {{"coaps://", "5684", true}, {"coap://", "5683", false}};
    (void)target;
    for (size_t i = 0; i < sizeof(schemes) / sizeof(schemes[0]); i++) {
        size_t length = strlen(schemes[i].prefix);
        char host[HOST_MAX + 1];
        const char *port = schemes[i].port;
        if (strncmp(value, schemes[i].prefix, length) != 0)
            continue;
        if (split_authority(value + length, host, &port) != STATUS_OK)
            break;
        if (resolve(&parsed.server, host, port) != STATUS_OK || parsed.server.port == 0) {
            (void)snprintf(why, why_size, "there is no such host or port");
            return STATUS_NOT_FOUND;
        }
        parsed.is_secure = schemes[i].is_secure;
        return STATUS_OK;
    }
    (void)snprintf(why, why_size, "want coaps://HOST:PORT or coap://HOST:PORT");
    return STATUS_MALFORMED;
}

static enum status parse_observe_api(void *target, const char *value, char *why, size_t why_size)
{
    static const char prefix[] = "http://";
    char text[ADDRESS_TEXT_MAX] = "";
    size_t length = strlen(value);
    if (strncmp(value, prefix, strlen(prefix)) == 0 && length - strlen(prefix) < sizeof(text)) {
        memcpy(text, value + strlen(prefix), length - strlen(prefix));
        length = strlen(text);
        if (length > 0 && text[length - 1] == '/')
            text[length - 1] = '\0';
        if (address_parse(target, text) == STATUS_OK && parsed.observe_api.port > 0)
            return STATUS_OK;
    }
    (void)snprintf(why, why_size, "want http://ADDRESS:PORT of a worker");
    return STATUS_MALFORMED;
}

static enum status parse_psk(void *target, const char *value, char *why, size_t why_size)
{
    struct dial_credentials *credentials = target;
    const char *identity;
    size_t length;
    if (option_parse_psk(value, strlen(value), &identity, &length, credentials->key,
                         sizeof(credentials->key), &credentials->key_length) != STATUS_OK ||
        length > IDENTITY_LENGTH_MAX) {
        (void)snprintf(why, why_size, "want ID:HEX");
        return STATUS_MALFORMED;
    }
    memcpy(credentials->identity, identity, length);
    credentials->identity[length] = '\0';
    return STATUS_OK;
}

static enum status parse_suite(void *target, const char *value, char *why, size_t why_size)
{
    size_t used = 0;
    (void)target;
    for (size_t i = 0; i < suites_count; i++) {
        if (strcmp(value, suites[i].name) == 0) {
            parsed.suite = &suites[i];
            return STATUS_OK;
        }
    }
    used = (size_t)snprintf(why, why_size, "want");
    for (size_t i = 0; i < suites_count && used < why_size; i++)
        used += (size_t)snprintf(why + used, why_size - used, "%s %s", i > 0 ? "," : "",
                                 suites[i].name);
    return STATUS_NOT_FOUND;
}

static enum status parse_server(void *target, const char *value, char *why, size_t why_size)
{
    struct server_usage usage;
    char *end;
    uint64_t pid = strtoull(value, &end, 10);
    (void)target;
    if (parsed.server_count == SERVERS_MAX || *end != '\0' ||
        server_usage_read(&pid, 1, &usage) != STATUS_OK) {
        (void)snprintf(why, why_size, "want the id of a process that runs, at most %d of them",
                       SERVERS_MAX);
        return STATUS_NOT_FOUND;
    }
    parsed.servers[parsed.server_count++] = pid;
    return STATUS_OK;
}

static enum status parse_expectation(void *target, const char *value, char *why, size_t why_size)
{
    (void)target;
    if (parsed.expectation_count == PLAN_EXPECTATIONS_MAX) {
        (void)snprintf(why, why_size, "at most %d of them", PLAN_EXPECTATIONS_MAX);
        return STATUS_FULL;
    }
    enum status status =
        expectation_parse(&parsed.expectations[parsed.expectation_count], value, why, why_size);
    parsed.expectation_count += status == STATUS_OK;
    return status;
}

#define NUMBER(row_name, unit, least, most, field, text)                         \
    {                                                                            \
        .name = row_name, .argument = unit, .help = text, .kind = OPTION_NUMBER, \
        .target = &parsed.field, .min = least, .max = most                       \
    }

static const struct option_row rows[] = {
    {.name = "target",
     .argument = "URI",
     .help = "the server: coaps://HOST:PORT, or coap:// for plain CoAP",
     .kind = OPTION_CUSTOM,
     .target = &parsed,
     .parse = parse_target},
    {.name = "psk",
     .argument = "ID:HEX",
     .help = "what all devices authenticate with",
     .kind = OPTION_CUSTOM,
     .target = &parsed.credentials,
     .parse = parse_psk},
    {.name = "suite",
     .argument = "NAME",
     .help = "the one cipher suite offered (default: TLS_PSK_WITH_AES_128_CCM_8)",
     .kind = OPTION_CUSTOM,
     .target = &parsed.suite,
     .parse = parse_suite},
    NUMBER("devices", "N", 1, PLAN_DEVICES_MAX, devices, "how many (default: 100)"),
    NUMBER("duration", "S", 1, 86400, duration_s,
           "seconds of the run, once all have a session (default: 10)"),
    {.name = "workload",
     .argument = "NAME",
     .help = "handshake, get, post, echo, events, rebind, reconnect, mix, observe, notify or "
             "datagram (default: echo)",
     .kind = OPTION_CHOICE,
     .target = &workload,
     .choices = workload_names},
    NUMBER(
        "rate", "N", 0, 10000000, rate,
        "an open loop of N requests a second; 0: each device asks when it is answered (default)"),
    NUMBER("at-once", "N", 0, PLAN_DEVICES_MAX, at_once,
           "without --rate: requests outstanding at a time, of devices in turn; 0: one of each "
           "(default)"),
    NUMBER("payload", "N", 0, WORKLOAD_PAYLOAD_MAX, payload_length,
           "octets of a POST (default: 32)"),
    {.name = "path",
     .argument = "PATH",
     .help = "what to ask for instead of the workload's own resource",
     .kind = OPTION_TEXT,
     .target = &parsed.path},
    {.name = "observe-api",
     .argument = "URI",
     .help =
         "notify: have a worker's HTTP API, http://ADDRESS:PORT, observe --path (default: temp) "
         "of each device",
     .kind = OPTION_CUSTOM,
     .target = &parsed.observe_api,
     .parse = parse_observe_api},
    {.name = "put",
     .help = "PUT instead of POST, for servers that want that",
     .kind = OPTION_FLAG,
     .target = &parsed.puts},
    NUMBER("sockets", "N", 0, PLAN_DEVICES_MAX, sockets,
           "source ports that devices share, told apart by CID; 0: one for each (default)"),
    {.name = "spread",
     .help = "an address of its own in 127.0.0.0/8 for each, where one address has too few ports",
     .kind = OPTION_FLAG,
     .target = &parsed.spreads},
    {.name = "asleep",
     .help = "likewise, and its socket is closed while nothing is outstanding; wants --rate",
     .kind = OPTION_FLAG,
     .target = &parsed.sleeps},
    NUMBER("rebind-every", "N", 0, UINT32_MAX, rebind_every,
           "requests of a device between two source ports (default: 1; mix: 20)"),
    NUMBER("handshakes-in-flight", "N", 1, 65536, handshakes_in_flight,
           "handshakes at the same time (default: 256)"),
    NUMBER("ack-timeout", "MS", 10, 60000, ack_timeout_ms,
           "RFC 7252's ACK_TIMEOUT (default: 2000)"),
    NUMBER("retransmits", "N", 0, 10, retransmits_max, "RFC 7252's MAX_RETRANSMIT (default: 4)"),
    NUMBER("start-timeout", "S", 1, 86400, start_timeout_s,
           "seconds until all must have a session (default: 120)"),
    {.name = "begin",
     .argument = "FILE",
     .help = "once all have a session, wait for FILE to appear: several runs begin at once",
     .kind = OPTION_TEXT,
     .target = &parsed.begin_path},
    {.name = "mark",
     .argument = "FILE",
     .help = "when it appears (or SIGUSR1 comes), the time to each device's next reply is measured",
     .kind = OPTION_TEXT,
     .target = &parsed.mark_path},
    {.name = "acknowledged",
     .argument = "FILE",
     .help = "write the name of each event or notification that was acknowledged to FILE, one a "
             "line",
     .kind = OPTION_TEXT,
     .target = &parsed.acknowledged_path},
    {.name = "server-pid",
     .argument = "PID",
     .help = "a process of the server's: measure its processor time and memory; repeatable",
     .kind = OPTION_CUSTOM,
     .target = &parsed,
     .parse = parse_server},
    {.name = "json",
     .help = "the result as one JSON object",
     .kind = OPTION_FLAG,
     .target = &parsed.json},
    {.name = "expect",
     .argument = "KEY=VALUE",
     .help = "exit with 1 if the result is worse: p99=50ms, lost=0, rate=20000; repeatable",
     .kind = OPTION_CUSTOM,
     .target = &parsed,
     .parse = parse_expectation},
};

static const struct option_table table = {
    .program = "holdfast-bench",
    .summary = "Simulates many CoAP devices and measures how a server serves them.",
    .rows = rows,
    .count = sizeof(rows) / sizeof(rows[0]),
};

void plan_complain(const char *option, const char *what)
{
    option_complain(&table, option, "%s", what);
}

/* As many descriptors as the system lets us have. */
static bool has_descriptors(void)
{
    struct rlimit limit;
    /* Devices that share a socket have one of their own while they handshake. */
    uint64_t wanted = parsed.devices;
    if ((parsed.sockets > 0 && parsed.workload != WORKLOAD_RECONNECT) || parsed.sleeps)
        wanted = parsed.handshakes_in_flight;
    wanted += parsed.sockets;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return false;
    limit.rlim_cur = limit.rlim_max;
    (void)setrlimit(RLIMIT_NOFILE, &limit);
    if (wanted + DESCRIPTORS_OWN <= limit.rlim_max)
        return true;
    option_complain(&table, "--devices",
                    "%llu sockets are more than this system's limit of %llu; "
                    "want fewer, --sockets N or a higher `ulimit -n`",
                    (unsigned long long)wanted, (unsigned long long)limit.rlim_max);
    return false;
}

static bool are_addresses_consistent(void)
{
    bool is_loopback =
        address_is_v4(&parsed.server) && parsed.server.ip[sizeof(parsed.server.ip) - 4] == 127;
    bool just_asks = parsed.workload == WORKLOAD_GET || parsed.workload == WORKLOAD_POST ||
                     parsed.workload == WORKLOAD_ECHO || parsed.workload == WORKLOAD_EVENTS;
    if (parsed.spreads && (!is_loopback || parsed.sockets > 0)) {
        plan_complain("--spread", "the addresses are in 127.0.0.0/8; want a target there, and no "
                                  "--sockets");
        return false;
    }
    if (parsed.sleeps && (!parsed.is_secure || parsed.rate == 0 || !just_asks)) {
        plan_complain("--asleep", "who sleeps can only ask now and then; want a coaps:// target, "
                                  "--rate and get, post, echo or events");
        return false;
    }
    return true;
}

/* What no single value shows. */
static bool is_consistent(void)
{
    bool shakes = parsed.workload == WORKLOAD_HANDSHAKE || parsed.workload == WORKLOAD_RECONNECT;
    if (parsed.server.port == 0) {
        plan_complain("--target", "it is missing; want coaps://HOST:PORT or coap://HOST:PORT");
        return false;
    }
    if (parsed.is_secure && parsed.credentials.key_length == 0) {
        plan_complain("--psk", "it is missing; want ID:HEX for coaps://");
        return false;
    }
    if (!parsed.is_secure && shakes) {
        plan_complain("--workload", "there are no handshakes at coap://; want a coaps:// target");
        return false;
    }
    if (parsed.is_secure && parsed.workload == WORKLOAD_DATAGRAM) {
        plan_complain("--workload", "bare datagrams have no session; want a coap:// target");
        return false;
    }
    if (parsed.at_once > 0 && (parsed.rate > 0 || shakes)) {
        plan_complain("--at-once", "it bounds a closed loop of requests; want no --rate, and no "
                                   "handshake or reconnect");
        return false;
    }
    if (parsed.observe_api.port > 0 && (parsed.workload != WORKLOAD_NOTIFY || !parsed.is_secure)) {
        plan_complain("--observe-api", "it is for sessions that notify; want --workload notify and "
                                       "a coaps:// target");
        return false;
    }
    if (parsed.workload == WORKLOAD_RECONNECT && parsed.rate > 0) {
        plan_complain("--rate", "reconnect is a storm, at no rate; want another workload");
        return false;
    }
    if (parsed.path && strlen(parsed.path) > QUESTION_PATH_MAX) {
        plan_complain("--path", "it is too long; want at most 255 octets");
        return false;
    }
    return are_addresses_consistent() && has_descriptors();
}

enum option_outcome plan_parse(struct plan *plan, int argc, char *const *argv)
{
    parsed = (struct plan){
        .suite = &suites[0],
        .devices = 100,
        .duration_s = 10,
        .payload_length = 32,
        .handshakes_in_flight = 256,
        .ack_timeout_ms = 2000,
        .retransmits_max = 4,
        .start_timeout_s = 120,
    };
    workload = WORKLOAD_ECHO;
    enum option_outcome outcome = option_parse(&table, argc, argv);
    parsed.workload = (enum workload)workload;
    parsed.spreads = parsed.spreads || parsed.sleeps;
    if (outcome == OPTION_RUN && !is_consistent())
        outcome = OPTION_UNUSABLE;
    *plan = parsed;
    keys_wipe(&parsed.credentials, sizeof(parsed.credentials));
    return outcome;
}
