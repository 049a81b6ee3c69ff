/* A CoAP client without a mind of its own: each message is spelled out, over one DTLS session. For
 * what no ready-made client sends, or shows.
 *
 * One command a line on stdin, one line of answer on stdout:
 *
 *   send TYPE CODE ID TOKEN [NUMBER=VALUE...] [=TEXT]    sent
 *   receive MS                                           a message, spelled alike, or: silence
 *   quit
 *
 * TYPE is CON, NON, ACK or RST; CODE c.dd; ID decimal; TOKEN hex digits or "-". An option's VALUE
 * is text, 0x and hex digits, or # and a decimal number; shown are numbers as numbers, what is
 * printable as text, all else as hex. =TEXT is the payload, up to the end of the line; =*N is N
 * octets of it made up. In what is shown, a line's end in it is "|". */
#include "shared/cursor.h"
#include "shared/option.h"
#include "tests/system/support/device.h"
#include "tests/system/support/device_option.h"
#include "worker/message.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LINE_SIZE_MAX 8192
#define CONNECT_MS 10000

static const char *const types[] = {"CON", "NON", "ACK", "RST"};

/* ---- what is sent ---- */

static bool parse_hex(const char *text, uint8_t *octets, size_t size, size_t *length)
{
    return option_parse_hex(text, strlen(text), octets, size, length) == STATUS_OK;
}

/* NUMBER/MORE/SIZE, as RFC 7959 section 2 encodes it. */
static bool add_block(struct message_builder *builder, uint16_t option, const char *value)
{
    unsigned number, more, size, exponent = 0;
    if (sscanf(value, "%u/%u/%u", &number, &more, &size) != 3)
        return false;
    while (16u << exponent < size)
        exponent++;
    message_add_number(builder, option, number << 4 | more << 3 | exponent);
    return true;
}

static bool add_option(struct message_builder *builder, const char *word)
{
    char *end;
    uint16_t number = (uint16_t)strtoul(word, &end, 10);
    const char *value = end + 1;
    uint8_t octets[DATAGRAM_SIZE_MAX];
    size_t length;
    if (end == word || *end != '=')
        return false;
    if (number == OPTION_BLOCK1 || number == OPTION_BLOCK2)
        return add_block(builder, number, value);
    if (*value == '#') {
        message_add_number(builder, number, (uint32_t)strtoul(value + 1, NULL, 10));
        return true;
    }
    if (strncmp(value, "0x", 2) != 0) {
        message_add_option(builder, number, (const uint8_t *)value, strlen(value));
        return true;
    }
    if (!parse_hex(value + 2, octets, sizeof(octets), &length))
        return false;
    message_add_option(builder, number, octets, length);
    return true;
}

static void add_payload(struct message_builder *builder, const char *text)
{
    static uint8_t made_up[COAP_MESSAGE_SIZE_MAX];
    size_t length = strlen(text);
    if (*text == '*') {
        length = strtoul(text + 1, NULL, 10);
        memset(made_up, 'p', sizeof(made_up));
        message_add_payload(builder, made_up, length < sizeof(made_up) ? length : sizeof(made_up));
        return;
    }
    message_add_payload(builder, (const uint8_t *)text, length);
}

static bool parse_header(struct message_builder *builder, struct writer *writer, char **rest)
{
    const char *type = strtok_r(NULL, " ", rest), *code = strtok_r(NULL, " ", rest);
    const char *id = strtok_r(NULL, " ", rest), *token = strtok_r(NULL, " ", rest);
    uint8_t octets[MESSAGE_TOKEN_LENGTH_MAX];
    size_t length = 0, kind = 0;
    if (!token || (strcmp(token, "-") != 0 && !parse_hex(token, octets, sizeof(octets), &length)))
        return false;
    while (kind < 4 && strcmp(types[kind], type) != 0)
        kind++;
    if (kind == 4 || strlen(code) != 4)
        return false;
    message_begin(builder, writer, (enum message_type)kind,
                  MESSAGE_CODE(code[0] - '0', atoi(code + 2)), (uint16_t)atoi(id), octets, length);
    return true;
}

/* False: it cannot be read. */
static bool write_message(struct writer *writer, char *line)
{
    struct message_builder builder;
    char *rest = NULL, *payload = strstr(line, " =");
    if (payload) {
        *payload = '\0';
        payload += 2;
    }
    (void)strtok_r(line, " ", &rest); /* "send" */
    if (!parse_header(&builder, writer, &rest))
        return false;
    for (const char *word = strtok_r(NULL, " ", &rest); word; word = strtok_r(NULL, " ", &rest)) {
        if (!add_option(&builder, word))
            return false;
    }
    if (payload)
        add_payload(&builder, payload);
    return writer_ok(writer);
}

/* ---- what is received ---- */

static bool is_number(uint16_t number)
{
    static const uint16_t numbers[] = {OPTION_OBSERVE, OPTION_CONTENT_FORMAT, OPTION_MAX_AGE,
                                       OPTION_SIZE1, OPTION_SIZE2};
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        if (numbers[i] == number)
            return true;
    }
    return false;
}

static bool is_text(const struct message_option *option)
{
    bool text = option->number != OPTION_ETAG && option->number != OPTION_ECHO;
    for (size_t i = 0; i < option->length; i++)
        text = text && isgraph(option->value[i]);
    return text && option->length > 0;
}

static void show_hex(const uint8_t *octets, size_t length)
{
    for (size_t i = 0; i < length; i++)
        (void)printf("%02x", octets[i]);
}

/* Of a block its number, whether more follow, and its size. */
static void show_block(const struct message_option *option)
{
    uint32_t value = message_option_number(option);
    (void)printf(" %u=%u/%u/%u", option->number, (unsigned)(value >> 4), (unsigned)(value >> 3 & 1),
                 1u << ((value & 7) + 4));
}

static void show_option(const struct message_option *option)
{
    if (option->number == OPTION_BLOCK1 || option->number == OPTION_BLOCK2) {
        show_block(option);
    } else if (is_number(option->number)) {
        (void)printf(" %u=#%u", option->number, (unsigned)message_option_number(option));
    } else if (is_text(option)) {
        (void)printf(" %u=%.*s", option->number, (int)option->length, (const char *)option->value);
    } else {
        (void)printf(" %u=0x", option->number);
        show_hex(option->value, option->length);
    }
}

static void show_message(const struct message *message)
{
    (void)printf("%s %d.%02d %u ", types[message->type], MESSAGE_CODE_CLASS(message->code),
                 MESSAGE_CODE_DETAIL(message->code), message->id);
    if (message->token_length == 0)
        (void)putchar('-');
    show_hex(message->token, message->token_length);
    for (size_t i = 0; i < message->option_count; i++)
        show_option(&message->options[i]);
    if (message->payload_length > 0)
        (void)printf(" =");
    for (size_t i = 0; i < message->payload_length; i++) {
        uint8_t octet = message->payload[i];
        (void)putchar(octet == '\n' ? '|' : isprint(octet) ? octet : '?');
    }
    (void)putchar('\n');
}

/* ---- commands ---- */

static void send_command(struct device *device, char *line)
{
    uint8_t space[DATAGRAM_SIZE_MAX];
    struct writer writer = writer_over(space, sizeof(space));
    if (!write_message(&writer, line))
        (void)puts("malformed");
    else
        (void)puts(device_send(device, space, writer_length(&writer)) ? "sent" : "cannot seal");
}

static void receive_command(struct device *device, const char *line)
{
    uint8_t space[DATAGRAM_SIZE_MAX];
    struct message message;
    uint64_t until_ms = device_now_ms() + strtoull(line, NULL, 10);
    int length = device_receive(device, space, sizeof(space), until_ms);
    if (length <= 0)
        (void)puts(length == 0 ? "silence" : "cannot open");
    else if (message_parse(&message, space, (size_t)length) != MESSAGE_OK)
        (void)puts("malformed");
    else
        show_message(&message);
}

static void run_line(struct device *device, char *line)
{
    line[strcspn(line, "\n")] = '\0';
    if (strncmp(line, "send ", 5) == 0)
        send_command(device, line);
    else if (strncmp(line, "receive ", 8) == 0)
        receive_command(device, line + 8);
    else
        (void)puts("no such command");
    (void)fflush(stdout);
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
    {.name = "cid",
     .argument = "N|none",
     .help = "octets of the Connection ID that we ask to be put on records for us (0)",
     .kind = OPTION_CUSTOM,
     .target = &options,
     .parse = device_option_cid},
};

static const struct option_table table = {
    .program = "coap_probe",
    .summary = "Sends CoAP messages as they are spelled, and spells what comes.",
    .rows = rows,
    .count = sizeof(rows) / sizeof(rows[0]),
};

int main(int argc, char **argv)
{
    static struct device device;
    char line[LINE_SIZE_MAX];
    int error = 0, status = EXIT_FAILURE;
    switch (option_parse(&table, argc, argv)) {
    case OPTION_DONE:
        return EXIT_SUCCESS;
    case OPTION_UNUSABLE:
        return 2;
    case OPTION_RUN:
        break;
    }
    if (!device_open(&device, &options)) {
        perror("coap_probe");
        goto done;
    }
    if (device_connect(&device, device_now_ms() + CONNECT_MS, &error) != DEVICE_CONNECTED) {
        (void)fprintf(stderr, "coap_probe: no session (%d)\n", error);
        goto done;
    }
    while (fgets(line, sizeof(line), stdin) && strcmp(line, "quit\n") != 0)
        run_line(&device, line);
    status = EXIT_SUCCESS;

done:
    device_close(&device);
    return status;
}
