/* A CoAP client that does what it is told, for what no ready-made client does: change its address
 * at a given moment, start anew on the same port, keep a record back, send one as somebody else,
 * not answer a ping.
 *
 * One command a line on stdin, one JSON object a line on stdout: {"ok": true, ...} with what was
 * sent and received for this command, in datagrams and octets of UDP payload. */
#include "shared/cursor.h"
#include "shared/option.h"
#include "tests/system/support/device.h"
#include "tests/system/support/device_option.h"
#include "worker/message.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#define COMMAND_MS 20000   /* no command takes longer */
#define RETRANSMIT_MS 2000 /* ACK_TIMEOUT, RFC 7252 section 4.8; then doubled */
#define LINE_SIZE_MAX 8192
#define WORDS_MAX 4
#define TOKEN_LENGTH 2

struct probe {
    struct device device;
    int attacker; /* somebody else's socket */
    bool is_mute; /* pings are not answered */
    long long pings;
    uint16_t ping_id;
    uint16_t next_id;
    uint8_t request[COAP_MESSAGE_SIZE_MAX]; /* that waits for its reply */
    size_t request_length;
};

static uint64_t deadline_ms(const char *wanted_ms)
{
    return device_now_ms() + (wanted_ms ? strtoull(wanted_ms, NULL, 10) : COMMAND_MS);
}

/* ---- answers ---- */

static json_t *success(void)
{
    return json_pack("{s:b}", "ok", 1);
}

static json_t *failure(const char *reason)
{
    return json_pack("{s:b,s:s}", "ok", 0, "reason", reason);
}

static void set(json_t *answer, const char *name, json_t *value)
{
    if (json_object_set_new(answer, name, value) != 0)
        abort();
}

static void set_number(json_t *answer, const char *name, long long value)
{
    set(answer, name, json_integer(value));
}

static void set_hex(json_t *answer, const char *name, const uint8_t *bytes, size_t length)
{
    char text[2 * DATAGRAM_SIZE_MAX + 1] = "";
    for (size_t i = 0; i < length; i++)
        (void)snprintf(text + 2 * i, 3, "%02x", bytes[i]);
    set(answer, name, json_string(text));
}

static void print_answer(const struct probe *probe, json_t *answer)
{
    const struct device *device = &probe->device;
    set_number(answer, "port", device_port(device->socket));
    set_number(answer, "sent_datagrams", device->sent.datagrams);
    set_number(answer, "sent_octets", device->sent.octets);
    set_number(answer, "received_datagrams", device->received.datagrams);
    set_number(answer, "received_octets", device->received.octets);
    set_number(answer, "timeouts", device->timeouts);
    set_number(answer, "pings", probe->pings);
    set_hex(answer, "record", device->last, device->last_length);
    if (json_dumpf(answer, stdout, JSON_COMPACT) != 0)
        abort();
    (void)putchar('\n');
    (void)fflush(stdout);
    json_decref(answer);
}

/* ---- commands: the session ---- */

static json_t *connect_command(struct probe *probe, char **words)
{
    int error;
    switch (device_connect(&probe->device, deadline_ms(words[1]), &error)) {
    case DEVICE_CONNECTED:
        break;
    case DEVICE_REFUSED:
        return json_pack("{s:b,s:s,s:i}", "ok", 0, "reason", "handshake", "error", error);
    case DEVICE_UNANSWERED:
        return failure("no answer");
    }
    WOLFSSL *ssl = probe->device.ssl;
    json_t *answer = json_pack("{s:b,s:s}", "ok", 1, "suite", wolfSSL_get_cipher(ssl));
    unsigned char cid[CID_LENGTH_MAX];
    unsigned int length = 0;
    if (wolfSSL_dtls_cid_is_enabled(ssl) &&
        wolfSSL_dtls_cid_get_tx_size(ssl, &length) == WOLFSSL_SUCCESS && length > 0 &&
        wolfSSL_dtls_cid_get_tx(ssl, cid, sizeof(cid)) == WOLFSSL_SUCCESS)
        set_hex(answer, "server_cid", cid, length);
    return answer;
}

static json_t *close_command(struct probe *probe, char **words)
{
    (void)words;
    if (!probe->device.ssl)
        return failure("not connected");
    return device_shut_down(&probe->device, deadline_ms(NULL)) ? success()
                                                               : failure("no close_notify");
}

/* ---- commands: requests ---- */

static void add_path(struct message_builder *builder, char *path)
{
    char *query = strchr(path, '?');
    if (query)
        *query++ = '\0';
    char *rest = NULL;
    for (char *part = strtok_r(path, "/", &rest); part; part = strtok_r(NULL, "/", &rest))
        message_add_option(builder, OPTION_URI_PATH, (uint8_t *)part, strlen(part));
    for (char *part = query ? strtok_r(query, "&", &rest) : NULL; part;
         part = strtok_r(NULL, "&", &rest))
        message_add_option(builder, OPTION_URI_QUERY, (uint8_t *)part, strlen(part));
}

static bool write_request(struct probe *probe, uint8_t code, char *path, size_t payload_length)
{
    struct writer writer = writer_over(probe->request, sizeof(probe->request));
    struct message_builder builder;
    uint8_t token[TOKEN_LENGTH], payload[ECHO_REPLY_MAX];
    if (payload_length > sizeof(payload) || getrandom(token, sizeof(token), 0) != sizeof(token))
        return false;
    memset(payload, 'p', payload_length);
    message_begin(&builder, &writer, MESSAGE_CON, code, probe->next_id++, token, sizeof(token));
    add_path(&builder, path);
    message_add_payload(&builder, payload, payload_length);
    probe->request_length = writer_length(&writer);
    return writer_ok(&writer);
}

static bool answer_ping(struct probe *probe)
{
    uint8_t space[MESSAGE_HEADER_SIZE];
    struct writer writer = writer_over(space, sizeof(space));
    message_write_empty(&writer, MESSAGE_RST, probe->ping_id);
    return device_send(&probe->device, space, sizeof(space));
}

static json_t *describe_reply(const struct message *reply)
{
    char code[8];
    (void)snprintf(code, sizeof(code), "%d.%02d", MESSAGE_CODE_CLASS(reply->code),
                   MESSAGE_CODE_DETAIL(reply->code));
    json_t *answer = json_pack("{s:b,s:s}", "ok", 1, "code", code);
    set_number(answer, "payload_length", (long long)reply->payload_length);
    json_t *text = json_stringn((const char *)reply->payload, reply->payload_length);
    if (text)
        set(answer, "payload", text);
    else
        set_hex(answer, "payload_hex", reply->payload, reply->payload_length);
    return answer;
}

/* One message from the server. NULL: it is not the reply, go on waiting. */
static json_t *take_message(struct probe *probe, const uint8_t *bytes, size_t length)
{
    struct message request, reply;
    if (message_parse(&request, probe->request, probe->request_length) != MESSAGE_OK ||
        message_parse(&reply, bytes, length) != MESSAGE_OK)
        return failure("malformed message");
    if (reply.code == CODE_EMPTY && reply.type == MESSAGE_CON) {
        probe->pings++;
        probe->ping_id = reply.id;
        if (probe->is_mute)
            return failure("ping");
        return answer_ping(probe) ? NULL : failure("cannot seal");
    }
    if (reply.code == CODE_EMPTY && reply.type == MESSAGE_RST && reply.id == request.id)
        return failure("reset");
    if (reply.code == CODE_EMPTY || reply.token_length != request.token_length ||
        memcmp(reply.token, request.token, request.token_length) != 0)
        return NULL;
    return describe_reply(&reply);
}

static json_t *await_reply(struct probe *probe)
{
    uint64_t until_ms = deadline_ms(NULL), wait_ms = RETRANSMIT_MS;
    uint64_t again_ms = device_now_ms() + wait_ms;
    while (device_now_ms() < until_ms) {
        uint8_t message[DATAGRAM_SIZE_MAX];
        int length = device_receive(&probe->device, message, sizeof(message), again_ms);
        if (length < 0)
            return json_pack("{s:b,s:s,s:i}", "ok", 0, "reason", "read", "error", length);
        if (length > 0) {
            json_t *answer = take_message(probe, message, (size_t)length);
            if (answer)
                return answer;
            continue;
        }
        probe->device.timeouts++;
        wait_ms *= 2;
        again_ms = device_now_ms() + wait_ms;
        if (!device_send(&probe->device, probe->request, probe->request_length))
            return failure("cannot seal");
    }
    return failure("no answer");
}

/* NULL: it is on its way. */
static json_t *start_request(struct probe *probe, uint8_t code, char *path, const char *length)
{
    if (!probe->device.ssl)
        return failure("not connected");
    if (!path || !write_request(probe, code, path, length ? strtoul(length, NULL, 10) : 0))
        return failure("want a path and the octets of the payload");
    return device_send(&probe->device, probe->request, probe->request_length)
               ? NULL
               : failure("cannot seal");
}

static json_t *get_command(struct probe *probe, char **words)
{
    json_t *failed = start_request(probe, CODE_GET, words[1], NULL);
    return failed ? failed : await_reply(probe);
}

static json_t *post_command(struct probe *probe, char **words)
{
    json_t *failed = start_request(probe, CODE_POST, words[1], words[2]);
    return failed ? failed : await_reply(probe);
}

/* A request that is sealed and kept back: its record is in the answer. */
static json_t *seal_command(struct probe *probe, char **words)
{
    probe->device.withheld = true;
    json_t *failed = start_request(probe, CODE_GET, words[1], NULL);
    probe->device.withheld = false;
    return failed ? failed : success();
}

static json_t *mute_command(struct probe *probe, char **words)
{
    (void)words;
    probe->is_mute = true;
    return success();
}

/* The ping that was left unanswered is, and then the reply comes. */
static json_t *pong_command(struct probe *probe, char **words)
{
    (void)words;
    probe->is_mute = false;
    if (!probe->device.ssl || !answer_ping(probe))
        return failure("cannot seal");
    return await_reply(probe);
}

/* ---- commands: addresses ---- */

static json_t *rebind_command(struct probe *probe, char **words)
{
    struct address to = {0};
    if (words[1] && address_parse(&to, words[1]) != STATUS_OK)
        return failure("want ADDR:PORT");
    return device_rebind(&probe->device, &to) ? success() : failure(strerror(errno));
}

/* N times: a new port, and GET /tstun must tell it. */
static json_t *roam_command(struct probe *probe, char **words)
{
    static const struct address anywhere;
    long long right = 0, count = words[1] ? strtoll(words[1], NULL, 10) : 0;
    for (long long i = 0; i < count; i++) {
        char path[] = "/tstun", port[8];
        char *get[WORDS_MAX] = {NULL, path};
        if (!device_rebind(&probe->device, &anywhere))
            return failure(strerror(errno));
        json_t *answer = get_command(probe, get);
        const char *told = json_string_value(json_object_get(answer, "payload"));
        const char *colon = told ? strrchr(told, ':') : NULL;
        (void)snprintf(port, sizeof(port), ":%u", device_port(probe->device.socket));
        right += colon && strcmp(colon, port) == 0;
        json_decref(answer);
    }
    json_t *answer = json_pack("{s:b}", "ok", right == count);
    set_number(answer, "right", right);
    return answer;
}

static json_t *send_hex(struct probe *probe, int socket, const char *text)
{
    uint8_t bytes[DATAGRAM_SIZE_MAX];
    size_t length;
    if (!text || option_parse_hex(text, strlen(text), bytes, sizeof(bytes), &length) != STATUS_OK)
        return failure("want hex digits");
    return device_send_from(&probe->device, socket, bytes, length) ? success()
                                                                   : failure(strerror(errno));
}

static json_t *send_command(struct probe *probe, char **words)
{
    return send_hex(probe, probe->device.socket, words[1]);
}

static json_t *attack_command(struct probe *probe, char **words)
{
    return send_hex(probe, probe->attacker, words[1]);
}

/* How much the attacker has got since he was last asked. */
static json_t *loot_command(struct probe *probe, char **words)
{
    (void)words;
    uint8_t bytes[DATAGRAM_SIZE_MAX];
    long long datagrams = 0;
    while (recv(probe->attacker, bytes, sizeof(bytes), 0) >= 0)
        datagrams++;
    json_t *answer = success();
    set_number(answer, "datagrams", datagrams);
    return answer;
}

/* ---- the whole ---- */

static const struct command {
    const char *name;
    json_t *(*run)(struct probe *probe, char **words);
} commands[] = {
    {"connect", connect_command}, /* [MS]; the old session is forgotten without a word */
    {"close", close_command},     /* with close_notify */
    {"get", get_command},         /* PATH */
    {"post", post_command},       /* PATH OCTETS */
    {"seal", seal_command},       /* PATH */
    {"mute", mute_command},       {"pong", pong_command},
    {"rebind", rebind_command}, /* [ADDR:PORT] */
    {"roam", roam_command},     /* N */
    {"send", send_command},     /* HEX */
    {"attack", attack_command}, /* HEX */
    {"loot", loot_command},
};

static json_t *run_line(struct probe *probe, char *line)
{
    char *words[WORDS_MAX] = {NULL}, *rest = NULL;
    for (size_t i = 0; i < WORDS_MAX; i++)
        words[i] = strtok_r(i == 0 ? line : NULL, " \n", &rest);
    probe->device.sent = probe->device.received = (struct device_tally){0};
    probe->device.timeouts = probe->pings = 0;
    for (size_t i = 0; words[0] && i < sizeof(commands) / sizeof(commands[0]); i++) {
        if (strcmp(words[0], commands[i].name) == 0)
            return commands[i].run(probe, words);
    }
    return failure("no such command");
}

static struct device_options options = {.suites = "PSK-AES128-CCM-8"};

static const struct option_row rows[] = {
    {.name = "server",
     .argument = "ADDR:PORT",
     .help = "whom to talk to (required)",
     .kind = OPTION_ADDRESS,
     .target = &options.server},
    {.name = "psk",
     .argument = "ID:HEX",
     .help = "who we are (required)",
     .kind = OPTION_CUSTOM,
     .target = &options,
     .parse = device_option_psk},
    {.name = "bind",
     .argument = "ADDR:PORT",
     .help = "from where (any free port)",
     .kind = OPTION_ADDRESS,
     .target = &options.bind},
    {.name = "cid",
     .argument = "N|none",
     .help = "octets of the Connection ID that we ask to be put on records for us (0)",
     .kind = OPTION_CUSTOM,
     .target = &options,
     .parse = device_option_cid},
    {.name = "suites",
     .argument = "LIST",
     .help = "cipher suites by wolfSSL's names (PSK-AES128-CCM-8)",
     .kind = OPTION_TEXT,
     .target = &options.suites},
};

static const struct option_table table = {
    .program = "dtls_probe",
    .summary = "A CoAP client for tests; takes commands on stdin, answers in JSON.",
    .rows = rows,
    .count = sizeof(rows) / sizeof(rows[0]),
};

int main(int argc, char **argv)
{
    static struct probe probe;
    static const struct address anywhere;
    char line[LINE_SIZE_MAX];
    int status = EXIT_FAILURE;
    switch (option_parse(&table, argc, argv)) {
    case OPTION_DONE:
        return EXIT_SUCCESS;
    case OPTION_UNUSABLE:
        return 2;
    case OPTION_RUN:
        break;
    }
    if (!device_open(&probe.device, &options)) {
        option_complain(&table, errno ? "--bind" : "--suites", "%s",
                        errno ? strerror(errno) : "wolfSSL does not know one of these");
        goto done;
    }
    probe.attacker = device_socket(&probe.device, &anywhere);
    if (probe.attacker < 0 ||
        getrandom(&probe.next_id, sizeof(probe.next_id), 0) != sizeof(probe.next_id)) {
        perror("dtls_probe");
        goto done;
    }
    while (fgets(line, sizeof(line), stdin) && strcmp(line, "quit\n") != 0)
        print_answer(&probe, run_line(&probe, line));
    status = EXIT_SUCCESS;

done:
    device_close(&probe.device);
    return status;
}
