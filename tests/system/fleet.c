/* Many devices at once, each with a session of its own, that ask in turn who serves them (GET
 * /whoami) and report an event with a number that never repeats (POST /events). For what a single
 * client cannot show: whom a death concerned, how long it took, and whether what was acknowledged
 * is in the log.
 *
 * One command a line on stdin, one JSON object a line on stdout. A request that is not answered is
 * sent again after a fixed time and without end: what is measured is the cluster, not the patience
 * of a device. */
#include "shared/cursor.h"
#include "shared/option.h"
#include "tests/system/support/device.h"
#include "tests/system/support/device_option.h"
#include "worker/message.h"

#include <errno.h>
#include <jansson.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CONNECT_MS 20000
#define SETTLE_MS 20000 /* for the answers that are still due */
#define TICK_MS 5
#define DEVICES_MAX 4096
#define DELAYS_MAX 1000000
#define LINE_SIZE_MAX 256
#define FORMAT_TEXT 0 /* RFC 7252 section 12.3 */

struct member {
    struct device device;
    uint8_t request[COAP_MESSAGE_SIZE_MAX];
    size_t request_length;
    uint64_t asked_ms; /* when the request was made */
    uint64_t sent_ms;  /* when it was sent last */
    uint64_t next_ms;  /* when the next one is due */
    uint64_t events;   /* reported so far */
    unsigned worker;   /* that served it last; 0: unknown */
    uint16_t message_id;
    bool is_asking, is_event, is_dead;
    bool is_concerned; /* by what the mark tells of, and not served since */
};

/* Milliseconds, in the order they came. */
struct delays {
    uint32_t *values;
    size_t count;
};

/* Since the mark. */
struct tally {
    long long replies, acknowledged, unavailable, refused, repeated;
    uint64_t since_ms;
    struct delays reply;    /* from a request to its reply */
    struct delays recovery; /* from the mark to the next reply of each session concerned */
};

static struct fleet {
    struct member *members;
    struct pollfd *polled; /* stdin, then the members */
    struct tally tally;
    FILE *acknowledged;
    char last_refusal[8];
    bool is_quiet;
} fleet;

static struct {
    struct device_options device;
    uint64_t devices, every_ms, repeat_ms;
    const char *name, *acknowledged;
} options = {
    .device = {.suites = "PSK-AES128-CCM-8"},
    .devices = 100,
    .every_ms = 200,
    .repeat_ms = 200,
    .name = "fleet",
    .acknowledged = "/dev/null",
};

static void delays_add(struct delays *delays, uint64_t ms)
{
    if (delays->count < DELAYS_MAX)
        delays->values[delays->count++] = (uint32_t)ms;
}

/* ---- requests ---- */

static void transmit(struct member *member, uint64_t now_ms)
{
    member->sent_ms = now_ms;
    if (!device_send(&member->device, member->request, member->request_length))
        member->is_dead = true;
}

static void begin_request(size_t index, uint64_t now_ms)
{
    struct member *member = &fleet.members[index];
    struct writer writer = writer_over(member->request, sizeof(member->request));
    struct message_builder builder;
    uint8_t token[2] = {(uint8_t)(member->message_id >> 8), (uint8_t)member->message_id};
    char payload[64];

    member->is_event = !member->is_event;
    message_begin(&builder, &writer, MESSAGE_CON, member->is_event ? CODE_POST : CODE_GET,
                  member->message_id, token, sizeof(token));
    const char *path = member->is_event ? "events" : "whoami";
    message_add_option(&builder, OPTION_URI_PATH, (const uint8_t *)path, strlen(path));
    if (member->is_event) {
        int length = snprintf(payload, sizeof(payload), "%.32s-%zu-%llu.", options.name, index,
                              (unsigned long long)++member->events);
        message_add_payload(&builder, (uint8_t *)payload, (size_t)length);
    } else {
        message_add_number(&builder, OPTION_ACCEPT, FORMAT_TEXT);
    }
    if (!writer_ok(&writer))
        abort();
    member->request_length = writer_length(&writer);
    member->is_asking = true;
    member->asked_ms = now_ms;
    member->next_ms = now_ms + options.every_ms;
    transmit(member, now_ms);
}

static void note_worker(struct member *member, const struct message *reply)
{
    static const char name[] = "worker=";
    char text[512];
    (void)snprintf(text, sizeof(text), "%.*s", (int)reply->payload_length,
                   (const char *)reply->payload);
    const char *at = strstr(text, name);
    if (at)
        member->worker = (unsigned)strtoul(at + strlen(name), NULL, 10);
}

static void note_reply(size_t index, const struct message *reply, uint64_t now_ms)
{
    struct member *member = &fleet.members[index];
    struct tally *tally = &fleet.tally;
    tally->replies++;
    delays_add(&tally->reply, now_ms - member->asked_ms);
    switch (reply->code) {
    case CODE_CONTENT:
        note_worker(member, reply);
        break;
    case CODE_CHANGED:
        tally->acknowledged++;
        (void)fprintf(fleet.acknowledged, "%.32s-%zu-%llu.\n", options.name, index,
                      (unsigned long long)member->events);
        break;
    case CODE_UNAVAILABLE:
        tally->unavailable++;
        break;
    default:
        tally->refused++;
        (void)snprintf(fleet.last_refusal, sizeof(fleet.last_refusal), "%u.%02u",
                       (unsigned)MESSAGE_CODE_CLASS(reply->code),
                       (unsigned)MESSAGE_CODE_DETAIL(reply->code));
    }
    /* An answer to what was sent before the mark may have been under way already. */
    if (member->is_concerned && member->sent_ms >= tally->since_ms) {
        member->is_concerned = false;
        delays_add(&tally->recovery, now_ms - tally->since_ms);
    }
}

static void receive(size_t index)
{
    struct member *member = &fleet.members[index];
    uint8_t space[DATAGRAM_SIZE_MAX];
    int length;
    while (!member->is_dead &&
           (length = device_receive(&member->device, space, sizeof(space), 0)) != 0) {
        struct message reply;
        if (length < 0) {
            member->is_dead = true;
            return;
        }
        if (message_parse(&reply, space, (size_t)length) != MESSAGE_OK || !member->is_asking ||
            reply.type != MESSAGE_ACK || reply.id != member->message_id || reply.code == CODE_EMPTY)
            continue;
        member->is_asking = false;
        note_reply(index, &reply, device_now_ms());
        member->message_id++;
    }
}

static void attend(size_t index, uint64_t now_ms)
{
    struct member *member = &fleet.members[index];
    if (member->is_dead)
        return;
    if (member->is_asking && now_ms >= member->sent_ms + options.repeat_ms) {
        fleet.tally.repeated++;
        transmit(member, now_ms);
    } else if (!member->is_asking && !fleet.is_quiet && now_ms >= member->next_ms) {
        begin_request(index, now_ms);
    }
}

static void step(int wait_ms)
{
    int ready = poll(fleet.polled, (nfds_t)options.devices + 1, wait_ms);
    uint64_t now_ms = device_now_ms();
    for (size_t i = 0; i < options.devices; i++) {
        if (ready > 0 && fleet.polled[i + 1].revents)
            receive(i);
        attend(i, now_ms);
    }
}

/* ---- what is reported ---- */

static int compare(const void *left, const void *right)
{
    uint32_t a = *(const uint32_t *)left, b = *(const uint32_t *)right;
    return a < b ? -1 : a > b;
}

/* The least value that so many percent do not exceed. */
static json_int_t percentile(const struct delays *sorted, size_t percent)
{
    size_t rank = (sorted->count * percent + 99) / 100;
    return sorted->count == 0 ? 0 : (json_int_t)sorted->values[rank > 0 ? rank - 1 : 0];
}

static void set_delays(json_t *answer, const char *name, struct delays *delays)
{
    qsort(delays->values, delays->count, sizeof(*delays->values), compare);
    json_t *value = json_pack("{s:I,s:I,s:I,s:I}", "count", (json_int_t)delays->count, "p50",
                              percentile(delays, 50), "p99", percentile(delays, 99), "max",
                              percentile(delays, 100));
    if (json_object_set_new(answer, name, value) != 0)
        abort();
}

static json_t *report(void)
{
    struct tally *tally = &fleet.tally;
    json_int_t dead = 0, waiting = 0, concerned = 0, unplaced = 0;
    for (size_t i = 0; i < options.devices; i++) {
        dead += fleet.members[i].is_dead;
        waiting += fleet.members[i].is_asking;
        concerned += fleet.members[i].is_concerned;
        unplaced += fleet.members[i].worker == 0;
    }
    (void)fflush(fleet.acknowledged);
    json_t *answer = json_pack(
        "{s:b,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:s}", "ok", 1, "replies",
        (json_int_t)tally->replies, "acknowledged", (json_int_t)tally->acknowledged, "unavailable",
        (json_int_t)tally->unavailable, "refused", (json_int_t)tally->refused, "repeated",
        (json_int_t)tally->repeated, "dead", dead, "waiting", waiting, "unserved", concerned,
        "unplaced", unplaced, "last_refusal", fleet.last_refusal);
    if (!answer)
        abort();
    set_delays(answer, "reply_ms", &tally->reply);
    set_delays(answer, "recovery_ms", &tally->recovery);
    return answer;
}

/* ---- commands ---- */

/* Who serves whom is to be learnt anew. */
static json_t *forget(const char *unused)
{
    (void)unused;
    for (size_t i = 0; i < options.devices; i++)
        fleet.members[i].worker = 0;
    return json_pack("{s:b}", "ok", 1);
}

/* [WORKER]: all is counted from now on, and its sessions, or all, are those concerned. */
static json_t *mark(const char *worker)
{
    struct tally *tally = &fleet.tally;
    unsigned wanted = worker ? (unsigned)strtoul(worker, NULL, 10) : 0;
    json_int_t concerned = 0;
    *tally = (struct tally){
        .since_ms = device_now_ms(),
        .reply.values = tally->reply.values,
        .recovery.values = tally->recovery.values,
    };
    for (size_t i = 0; i < options.devices; i++) {
        struct member *member = &fleet.members[i];
        member->is_concerned = wanted == 0 || member->worker == wanted;
        concerned += member->is_concerned;
    }
    return json_pack("{s:b,s:I}", "ok", 1, "concerned", concerned);
}

static json_t *tell(const char *unused)
{
    (void)unused;
    return report();
}

/* No new requests; waits for the answers that are due. */
static json_t *rest(const char *unused)
{
    uint64_t until_ms = device_now_ms() + SETTLE_MS;
    bool is_waiting = true;
    (void)unused;
    fleet.is_quiet = true;
    while (is_waiting && device_now_ms() < until_ms) {
        step(TICK_MS);
        is_waiting = false;
        for (size_t i = 0; i < options.devices; i++)
            is_waiting |= fleet.members[i].is_asking && !fleet.members[i].is_dead;
    }
    return report();
}

/* Spread over the time between two requests, so that whatever happens meets some at each moment. */
static void spread(uint64_t now_ms)
{
    for (size_t i = 0; i < options.devices; i++)
        fleet.members[i].next_ms = now_ms + i * options.every_ms / options.devices;
}

static json_t *go(const char *unused)
{
    (void)unused;
    fleet.is_quiet = false;
    spread(device_now_ms());
    return json_pack("{s:b}", "ok", 1);
}

static const struct command {
    const char *name;
    json_t *(*run)(const char *argument);
} commands[] = {{"forget", forget}, {"mark", mark}, {"tell", tell}, {"rest", rest}, {"go", go}};

static void print_answer(json_t *answer)
{
    if (!answer || json_dumpf(answer, stdout, JSON_COMPACT) != 0)
        abort();
    (void)putchar('\n');
    (void)fflush(stdout);
    json_decref(answer);
}

/* False: the end. */
static bool run_command(void)
{
    char line[LINE_SIZE_MAX], *rest_of_line = NULL;
    if (!fgets(line, sizeof(line), stdin))
        return false;
    const char *name = strtok_r(line, " \n", &rest_of_line);
    const char *argument = strtok_r(NULL, " \n", &rest_of_line);
    if (!name || strcmp(name, "quit") == 0)
        return false;
    for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
        if (strcmp(name, commands[i].name) == 0) {
            print_answer(commands[i].run(argument));
            return true;
        }
    }
    print_answer(json_pack("{s:b,s:s}", "ok", 0, "reason", "no such command"));
    return true;
}

/* ---- the whole ---- */

static const struct option_row rows[] = {
    {.name = "server",
     .argument = "ADDR:PORT",
     .help = "whom to talk to (required)",
     .kind = OPTION_ADDRESS,
     .target = &options.device.server},
    {.name = "psk",
     .argument = "ID:HEX",
     .help = "who all of them are (required)",
     .kind = OPTION_CUSTOM,
     .target = &options.device,
     .parse = device_option_psk},
    {.name = "cid",
     .argument = "N|none",
     .help = "octets of the Connection ID that each asks to be put on records for it (0)",
     .kind = OPTION_CUSTOM,
     .target = &options.device,
     .parse = device_option_cid},
    {.name = "devices",
     .argument = "N",
     .help = "how many (100)",
     .kind = OPTION_NUMBER,
     .target = &options.devices,
     .min = 1,
     .max = DEVICES_MAX},
    {.name = "every-ms",
     .argument = "MS",
     .help = "between two requests of one device (200)",
     .kind = OPTION_NUMBER,
     .target = &options.every_ms,
     .min = 1,
     .max = 60000},
    {.name = "repeat-ms",
     .argument = "MS",
     .help = "until a request without an answer is sent again (200)",
     .kind = OPTION_NUMBER,
     .target = &options.repeat_ms,
     .min = 1,
     .max = 60000},
    {.name = "name",
     .argument = "NAME",
     .help = "that the numbers of events begin with (fleet)",
     .kind = OPTION_TEXT,
     .target = &options.name},
    {.name = "acknowledged",
     .argument = "FILE",
     .help = "gets the number of each event that was acknowledged, one a line",
     .kind = OPTION_TEXT,
     .target = &options.acknowledged},
};

static const struct option_table table = {
    .program = "fleet",
    .summary = "Many CoAP devices for tests; takes commands on stdin, answers in JSON.",
    .rows = rows,
    .count = sizeof(rows) / sizeof(rows[0]),
};

static void *allocate(size_t count, size_t size)
{
    void *made = calloc(count, size);
    if (!made)
        abort();
    return made;
}

/* One after the other, spread over the time between two requests. */
static bool connect_all(void)
{
    uint64_t start_ms = device_now_ms();
    for (size_t i = 0; i < options.devices; i++) {
        struct member *member = &fleet.members[i];
        int error = 0;
        if (!device_open(&member->device, &options.device) ||
            device_connect(&member->device, device_now_ms() + CONNECT_MS, &error) !=
                DEVICE_CONNECTED) {
            (void)fprintf(stderr, "fleet: device %zu: no session: error=%d\n", i, error);
            return false;
        }
        fleet.polled[i + 1] = (struct pollfd){.fd = member->device.socket, .events = POLLIN};
    }
    uint64_t now_ms = device_now_ms();
    spread(now_ms);
    json_t *answer = json_pack("{s:b,s:I}", "ok", 1, "ms", (json_int_t)(now_ms - start_ms));
    print_answer(answer);
    return true;
}

int main(int argc, char **argv)
{
    int status = EXIT_FAILURE;
    switch (option_parse(&table, argc, argv)) {
    case OPTION_DONE:
        return EXIT_SUCCESS;
    case OPTION_UNUSABLE:
        return 2;
    case OPTION_RUN:
        break;
    }
    fleet.members = allocate(options.devices, sizeof(*fleet.members));
    fleet.polled = allocate(options.devices + 1, sizeof(*fleet.polled));
    fleet.tally.reply.values = allocate(DELAYS_MAX, sizeof(uint32_t));
    fleet.tally.recovery.values = allocate(DEVICES_MAX, sizeof(uint32_t));
    fleet.polled[0] = (struct pollfd){.fd = STDIN_FILENO, .events = POLLIN};
    for (size_t i = 0; i < options.devices; i++)
        fleet.members[i].device.socket = -1;
    fleet.acknowledged = fopen(options.acknowledged, "we");
    if (!fleet.acknowledged) {
        option_complain(&table, "--acknowledged", "%s", strerror(errno));
        goto done;
    }
    if (!connect_all())
        goto done;
    do
        step(TICK_MS);
    while (!fleet.polled[0].revents || run_command());
    status = EXIT_SUCCESS;

done:
    for (size_t i = 0; i < options.devices; i++)
        device_close(&fleet.members[i].device);
    if (fleet.acknowledged && fclose(fleet.acknowledged) != 0)
        status = EXIT_FAILURE;
    free(fleet.tally.recovery.values);
    free(fleet.tally.reply.values);
    free(fleet.polled);
    free(fleet.members);
    return status;
}
