/* A device that is a CoAP server over the DTLS session that it has opened as a client: it serves
 * /temp, which can be observed and written, /slow, whose response is separate, /large, which comes
 * and goes in blocks, and /state, which comes in blocks and can be observed; and says when a value
 * changes. It knows of one observer.
 *
 * One command a line on stdin, one JSON object a line on stdout. Requests are answered at any time.
 *   connect           a session
 *   change TEXT       a confirmable notification; "acked" or "reset": what became of it
 *   tell TEXT         a non-confirmable one
 *   old TEXT          the same with an Observe value from before
 *   stray             a confirmable notification for a token that nobody gave
 *   storm N           N non-confirmable ones at once
 *   grow SIZE TEXT    a confirmable notification of /state: TEXT over and over; as `change`
 *   patience N        answers N more requests for blocks of /state behind the first; "all": any
 *   rebind            another port
 *   count             requests, registrations, deregistrations so far, the value of /temp, and how
 *                     many blocks of /state have gone since it changed */
#include "shared/cursor.h"
#include "shared/option.h"
#include "tests/system/support/device.h"
#include "tests/system/support/device_option.h"
#include "tests/system/support/large_state.h"
#include "worker/block.h"
#include "worker/message.h"

#include <errno.h>
#include <jansson.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#define COMMAND_MS 20000
#define RETRANSMIT_MS 2000 /* ACK_TIMEOUT, RFC 7252 section 4.8; then doubled */
#define LINE_SIZE_MAX 1024

enum { SENT_WAITING, SENT_ACKED, SENT_RESET };

static struct {
    struct device device;
    uint16_t next_id;
    uint32_t number; /* Observe value of the next notification */
    char value[LINE_SIZE_MAX];
    bool is_observed;
    uint8_t token[MESSAGE_TOKEN_LENGTH_MAX];
    uint8_t token_length;
    uint16_t sent_id; /* of the confirmable message under way */
    int sent_state;
    size_t large_received;
    struct large_state state, large;
    long long requests, registrations, deregistrations;
} self = {.number = 10, .value = "20.0"};

static uint64_t max_age = 60;

static bool send_message(const struct writer *writer)
{
    return writer_ok(writer) && device_send(&self.device, writer->start, writer_length(writer));
}

/* ---- what it serves ---- */

static void begin_response(struct message_builder *builder, struct writer *writer,
                           const struct message *request, uint8_t code)
{
    enum message_type type = request->type == MESSAGE_CON ? MESSAGE_ACK : MESSAGE_NON;
    message_begin(builder, writer, type, code, request->id, request->token, request->token_length);
}

static void respond(const struct message *request, uint8_t code, const char *text)
{
    uint8_t space[COAP_MESSAGE_SIZE_MAX];
    struct writer writer = writer_over(space, sizeof(space));
    struct message_builder builder;
    begin_response(&builder, &writer, request, code);
    message_add_payload(&builder, (const uint8_t *)text, strlen(text));
    (void)send_message(&writer);
}

static const struct message_option *find_option(const struct message *message, uint16_t number)
{
    for (size_t i = 0; i < message->option_count; i++) {
        if (message->options[i].number == number)
            return &message->options[i];
    }
    return NULL;
}

static void add_state(struct message_builder *builder, bool is_notification, uint32_t number)
{
    if (is_notification)
        message_add_number(builder, OPTION_OBSERVE, number);
    message_add_number(builder, OPTION_CONTENT_FORMAT, FORMAT_TEXT);
    message_add_number(builder, OPTION_MAX_AGE, (uint32_t)max_age);
    message_add_payload(builder, (const uint8_t *)self.value, strlen(self.value));
}

static void observe(const struct message *message, const struct message_option *option)
{
    bool is_same = message->token_length == self.token_length &&
                   memcmp(message->token, self.token, self.token_length) == 0;
    if (message_option_number(option) == 0) {
        self.registrations++;
        self.is_observed = true;
        self.token_length = message->token_length;
        memcpy(self.token, message->token, message->token_length);
    } else {
        self.deregistrations++;
        self.is_observed = self.is_observed && !is_same;
    }
}

static void serve_temp(const struct message *message)
{
    const struct message_option *option = find_option(message, OPTION_OBSERVE);
    uint8_t space[COAP_MESSAGE_SIZE_MAX];
    struct writer writer = writer_over(space, sizeof(space));
    struct message_builder builder;
    if (message->code == CODE_PUT) {
        (void)snprintf(self.value, sizeof(self.value), "%.*s", (int)message->payload_length,
                       (const char *)message->payload);
        respond(message, CODE_CHANGED, "");
        return;
    }
    if (message->code != CODE_GET) {
        respond(message, CODE_METHOD_NOT_ALLOWED, "");
        return;
    }
    if (option)
        observe(message, option);
    begin_response(&builder, &writer, message, CODE_CONTENT);
    add_state(&builder, option && self.is_observed, self.number++);
    (void)send_message(&writer);
}

static void send_state(struct large_state *state, const struct message *message)
{
    const struct message_option *option = find_option(message, OPTION_OBSERVE);
    bool is_observable = state == &self.state;
    uint8_t space[COAP_MESSAGE_SIZE_MAX];
    struct writer writer = writer_over(space, sizeof(space));
    struct message_builder builder;
    struct block block;
    if (!large_state_take(state, message, &block))
        return;
    if (option && is_observable)
        observe(message, option);
    begin_response(&builder, &writer, message, CODE_CONTENT);
    large_state_add(state, &builder,
                    option && is_observable && self.is_observed ? (int64_t)self.number++ : -1,
                    (uint32_t)max_age, block);
    (void)send_message(&writer);
}

static void serve_state(const struct message *message)
{
    send_state(&self.state, message);
}

static void send_large(const struct message *message)
{
    send_state(&self.large, message);
}

/* The response comes in a message of its own, and its ACK is left to the main loop. */
static void serve_slow(const struct message *message)
{
    uint8_t space[COAP_MESSAGE_SIZE_MAX];
    struct writer writer = writer_over(space, sizeof(space));
    struct message_builder builder;
    message_write_empty(&writer, MESSAGE_ACK, message->id);
    (void)send_message(&writer);
    (void)usleep(300000); /* what it is slow with */
    writer = writer_over(space, sizeof(space));
    message_begin(&builder, &writer, MESSAGE_CON, CODE_CONTENT, self.next_id++, message->token,
                  message->token_length);
    message_add_payload(&builder, (const uint8_t *)"slow", 4);
    (void)send_message(&writer);
}

static void take_large(const struct message *message)
{
    uint8_t space[COAP_MESSAGE_SIZE_MAX];
    struct writer writer = writer_over(space, sizeof(space));
    struct message_builder builder;
    struct block block = {0};
    bool in_blocks = block_read(&block, message, OPTION_BLOCK1) == BLOCK_FOUND;
    char total[32];
    if (block.number == 0)
        self.large_received = 0;
    self.large_received += message->payload_length;
    begin_response(&builder, &writer, message, block.more ? CODE_CONTINUE : CODE_CHANGED);
    if (in_blocks)
        message_add_number(&builder, OPTION_BLOCK1, block_value(&block));
    (void)snprintf(total, sizeof(total), "%zu", self.large_received);
    if (!block.more)
        message_add_payload(&builder, (const uint8_t *)total, strlen(total));
    (void)send_message(&writer);
}

static void serve(const struct message *message)
{
    static const struct {
        const char *path;
        uint8_t code; /* 0: all others */
        void (*serve)(const struct message *message);
    } resources[] = {
        {"temp", 0, serve_temp},         {"slow", 0, serve_slow},  {"state", CODE_GET, serve_state},
        {"large", CODE_GET, send_large}, {"large", 0, take_large},
    };
    const struct message_option *path = find_option(message, OPTION_URI_PATH);
    self.requests++;
    for (size_t i = 0; path && i < sizeof(resources) / sizeof(resources[0]); i++) {
        if (path->length == strlen(resources[i].path) &&
            memcmp(path->value, resources[i].path, path->length) == 0 &&
            (resources[i].code == 0 || resources[i].code == message->code)) {
            resources[i].serve(message);
            return;
        }
    }
    respond(message, CODE_NOT_FOUND, "");
}

static void take(const uint8_t *bytes, size_t length)
{
    struct message message;
    uint8_t space[MESSAGE_HEADER_SIZE];
    struct writer writer = writer_over(space, sizeof(space));
    if (message_parse(&message, bytes, length) != MESSAGE_OK)
        return;
    if (message.code == CODE_EMPTY && message.type == MESSAGE_CON) {
        message_write_empty(&writer, MESSAGE_RST, message.id);
        (void)send_message(&writer);
    } else if (message.code == CODE_EMPTY && message.id == self.sent_id) {
        self.sent_state = message.type == MESSAGE_RST ? SENT_RESET : SENT_ACKED;
    } else if (message.code != CODE_EMPTY && MESSAGE_CODE_CLASS(message.code) == 0) {
        serve(&message);
    }
}

/* Serves what comes until then, or until a confirmable message of its own is settled. */
static void serve_until(uint64_t until_ms)
{
    uint8_t message[DATAGRAM_SIZE_MAX];
    do {
        int length = device_receive(&self.device, message, sizeof(message), until_ms);
        if (length > 0)
            take(message, (size_t)length);
        else if (length < 0)
            return;
    } while (self.sent_state == SENT_WAITING && device_now_ms() < until_ms);
}

/* ---- commands ---- */

static json_t *success(void)
{
    return json_pack("{s:b}", "ok", 1);
}

static json_t *failure(const char *reason)
{
    return json_pack("{s:b,s:s}", "ok", 0, "reason", reason);
}

static json_t *connect_command(const char *rest)
{
    int error;
    (void)rest;
    if (device_connect(&self.device, device_now_ms() + COMMAND_MS, &error) != DEVICE_CONNECTED)
        return failure("handshake");
    unsigned char cid[CID_LENGTH_MAX];
    unsigned int length = 0;
    char text[2 * CID_LENGTH_MAX + 1] = "";
    if (wolfSSL_dtls_cid_is_enabled(self.device.ssl) &&
        wolfSSL_dtls_cid_get_tx_size(self.device.ssl, &length) == WOLFSSL_SUCCESS && length > 0 &&
        wolfSSL_dtls_cid_get_tx(self.device.ssl, cid, sizeof(cid)) == WOLFSSL_SUCCESS)
        for (unsigned i = 0; i < length; i++)
            (void)snprintf(text + 2 * (size_t)i, 3, "%02x", cid[i]);
    return json_pack("{s:b,s:s}", "ok", 1, "server_cid", text);
}

static size_t write_notification(uint8_t space[COAP_MESSAGE_SIZE_MAX], enum message_type type,
                                 uint32_t number, const uint8_t *token, uint8_t token_length)
{
    struct writer writer = writer_over(space, COAP_MESSAGE_SIZE_MAX);
    struct message_builder builder;
    message_begin(&builder, &writer, type, CODE_CONTENT, self.next_id++, token, token_length);
    add_state(&builder, true, number);
    return writer_ok(&writer) ? writer_length(&writer) : 0;
}

/* Repeats it until it is settled, and serves what comes meanwhile. */
static json_t *settle(const uint8_t *message, size_t length)
{
    uint64_t until_ms = device_now_ms() + COMMAND_MS, wait_ms = RETRANSMIT_MS;
    long long repeats = -1;
    self.sent_id = (uint16_t)(self.next_id - 1);
    self.sent_state = SENT_WAITING;
    while (self.sent_state == SENT_WAITING && device_now_ms() < until_ms) {
        if (!device_send(&self.device, message, length))
            return failure("cannot seal");
        repeats++;
        serve_until(device_now_ms() + wait_ms);
        wait_ms *= 2;
    }
    if (self.sent_state == SENT_WAITING) {
        self.sent_state = SENT_ACKED;
        return failure("no answer");
    }
    return json_pack("{s:b,s:s,s:I}", "ok", 1, "outcome",
                     self.sent_state == SENT_ACKED ? "acked" : "reset", "repeats", repeats);
}

static json_t *change_command(const char *rest)
{
    uint8_t message[COAP_MESSAGE_SIZE_MAX];
    if (!self.is_observed)
        return failure("nobody observes");
    (void)snprintf(self.value, sizeof(self.value), "%s", rest);
    return settle(message, write_notification(message, MESSAGE_CON, self.number++, self.token,
                                              self.token_length));
}

static json_t *grow_command(const char *rest)
{
    uint8_t space[COAP_MESSAGE_SIZE_MAX];
    struct writer writer = writer_over(space, sizeof(space));
    struct message_builder builder;
    char *word;
    size_t size = strtoul(rest, &word, 10);
    if (!self.is_observed || *word != ' ')
        return failure("nobody observes, or no size");
    large_state_set(&self.state, word + 1, size);
    message_begin(&builder, &writer, MESSAGE_CON, CODE_CONTENT, self.next_id++, self.token,
                  self.token_length);
    large_state_add(&self.state, &builder, self.number++, (uint32_t)max_age,
                    (struct block){.szx = LARGE_STATE_SZX});
    return settle(space, writer_length(&writer));
}

static json_t *patience_command(const char *rest)
{
    self.state.is_patient = strcmp(rest, "all") != 0;
    self.state.left = strtoul(rest, NULL, 10);
    return success();
}

static json_t *notify(const char *text, uint32_t number)
{
    uint8_t message[COAP_MESSAGE_SIZE_MAX];
    if (!self.is_observed)
        return failure("nobody observes");
    (void)snprintf(self.value, sizeof(self.value), "%s", text);
    size_t length = write_notification(message, MESSAGE_NON, number, self.token, self.token_length);
    return device_send(&self.device, message, length) ? success() : failure("cannot seal");
}

static json_t *tell_command(const char *rest)
{
    return notify(rest, self.number++);
}

static json_t *old_command(const char *rest)
{
    return notify(rest, self.number - 5);
}

static json_t *stray_command(const char *rest)
{
    static const uint8_t token[8] = {1, 2, 3, 4, 5, 6, 7, 8};
    uint8_t message[COAP_MESSAGE_SIZE_MAX];
    (void)rest;
    return settle(message,
                  write_notification(message, MESSAGE_CON, self.number++, token, sizeof(token)));
}

static json_t *storm_command(const char *rest)
{
    for (long long left = strtoll(rest, NULL, 10); left > 0; left--) {
        json_t *answer = notify("storm", self.number++);
        bool is_sent = json_is_true(json_object_get(answer, "ok"));
        json_decref(answer);
        if (!is_sent)
            return failure("cannot send");
    }
    return success();
}

static json_t *rebind_command(const char *rest)
{
    static const struct address anywhere;
    (void)rest;
    return device_rebind(&self.device, &anywhere) ? success() : failure(strerror(errno));
}

static json_t *count_command(const char *rest)
{
    (void)rest;
    return json_pack("{s:b,s:I,s:I,s:I,s:b,s:s,s:I}", "ok", 1, "requests", self.requests,
                     "registrations", self.registrations, "deregistrations", self.deregistrations,
                     "observed", self.is_observed, "value", self.value, "blocks",
                     self.state.served);
}

static const struct command {
    const char *name;
    json_t *(*run)(const char *rest);
} commands[] = {
    {"connect", connect_command},   {"change", change_command}, {"tell", tell_command},
    {"old", old_command},           {"stray", stray_command},   {"storm", storm_command},
    {"rebind", rebind_command},     {"count", count_command},   {"grow", grow_command},
    {"patience", patience_command},
};

static json_t *run_line(char *line)
{
    char *rest = line + strcspn(line, " ");
    if (*rest)
        *rest++ = '\0';
    for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
        if (strcmp(line, commands[i].name) == 0)
            return i > 0 && !self.device.ssl ? failure("not connected") : commands[i].run(rest);
    }
    return failure("no such command");
}

/* False: the end. */
static bool take_command(void)
{
    char line[LINE_SIZE_MAX];
    if (!fgets(line, sizeof(line), stdin) || strcmp(line, "quit\n") == 0)
        return false;
    line[strcspn(line, "\n")] = '\0';
    json_t *answer = run_line(line);
    if (json_dumpf(answer, stdout, JSON_COMPACT) != 0)
        abort();
    (void)putchar('\n');
    (void)fflush(stdout);
    json_decref(answer);
    return true;
}

static void serve_and_obey(void)
{
    for (;;) {
        struct pollfd polled[2] = {{.fd = STDIN_FILENO, .events = POLLIN},
                                   {.fd = self.device.socket, .events = POLLIN}};
        if (poll(polled, 2, -1) < 0 && errno != EINTR)
            return;
        if (polled[1].revents && self.device.ssl)
            serve_until(device_now_ms());
        if (polled[0].revents && !take_command())
            return;
    }
}

static struct device_options options = {.suites = "PSK-AES128-CCM-8"};

static const struct option_row rows[] = {
    {.name = "server",
     .argument = "ADDR:PORT",
     .help = "whom to connect to (required)",
     .kind = OPTION_ADDRESS,
     .target = &options.server},
    {.name = "psk",
     .argument = "ID:HEX",
     .help = "who we are (required)",
     .kind = OPTION_CUSTOM,
     .target = &options,
     .parse = device_option_psk},
    {.name = "cid",
     .argument = "N|none",
     .help = "octets of the Connection ID that we ask to be put on records for us (0)",
     .kind = OPTION_CUSTOM,
     .target = &options,
     .parse = device_option_cid},
    {.name = "max-age",
     .argument = "S",
     .help = "Max-Age of the values (60)",
     .kind = OPTION_NUMBER,
     .target = &max_age,
     .max = UINT32_MAX},
};

static const struct option_table table = {
    .program = "coap_device",
    .summary = "A device with resources, for tests; takes commands on stdin, answers in JSON.",
    .rows = rows,
    .count = sizeof(rows) / sizeof(rows[0]),
};

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
    self.sent_state = SENT_ACKED;
    large_state_set(&self.state, "at-first.", LARGE_STATE_SIZE);
    large_state_set(&self.large, "abcdefghijklmnopqrstuvwxyz", LARGE_STATE_SIZE);
    if (!device_open(&self.device, &options) ||
        getrandom(&self.next_id, sizeof(self.next_id), 0) != sizeof(self.next_id)) {
        perror("coap_device");
        goto done;
    }
    serve_and_obey();
    status = EXIT_SUCCESS;

done:
    device_close(&self.device);
    return status;
}
