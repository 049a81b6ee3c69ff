/* ClientHellos from many addresses that never return a cookie. The sources are 127.64.0.0/16: many
 * networks of it with many ports each, so that no network exceeds what the lb admits of one. What
 * is asked keeps in step with what is answered: a sender without bounds would measure the kernel's
 * receive buffer. Takes numbers of ClientHellos on stdin, a line each, and when as many were sent
 * prints {"sent": N, "answered": N} of the whole run, answers being HelloVerifyRequests. */
#include "shared/address.h"
#include "shared/cursor.h"
#include "shared/limits.h"
#include "shared/option.h"
#include "shared/record.h"

#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define NETWORKS_MAX 256
#define PORTS 50  /* of each network */
#define WINDOW 64 /* questions without an answer */
#define ANSWER_MS 2000
#define RANDOM_SIZE 32

#define HELLO_FIRST 1 /* message types, RFC 6347 section 4.3.2 */
#define HELLO_VERIFY_REQUEST 3
#define MESSAGE_TYPE_OFFSET RECORD_HEADER_SIZE

static struct {
    struct address to;
    uint64_t networks;
} options = {.networks = 200};

static int sockets[PORTS];
static struct pollfd readable[PORTS];
static uint64_t sent, answered;

/* ---- a ClientHello without cookie, RFC 6347 section 4.2.1 ---- */

static const uint8_t extensions[] = {
    0x00, 0x36, 0x00, 0x01, 0x00, /* connection_id, none for us: RFC 9146 section 3 */
    0x00, 0x17, 0x00, 0x00,       /* extended_master_secret */
};

static void write_body(struct writer *writer)
{
    uint8_t random[RANDOM_SIZE];
    if (getrandom(random, sizeof(random), 0) != sizeof(random))
        abort();
    writer_u16(writer, RECORD_VERSION_DTLS12);
    writer_bytes(writer, random, sizeof(random));
    writer_u8(writer, 0); /* session id */
    writer_u8(writer, 0); /* cookie */
    writer_u16(writer, 2);
    writer_u16(writer, 0xc0a8); /* TLS_PSK_WITH_AES_128_CCM_8 */
    writer_u8(writer, 1);
    writer_u8(writer, 0); /* no compression */
    writer_u16(writer, sizeof(extensions));
    writer_bytes(writer, extensions, sizeof(extensions));
}

static size_t write_hello(uint8_t *space, size_t size)
{
    uint8_t body_space[256];
    struct writer body = writer_over(body_space, sizeof(body_space));
    struct writer writer = writer_over(space, size);
    write_body(&body);
    size_t length = writer_length(&body);

    writer_u8(&writer, RECORD_TYPE_HANDSHAKE);
    writer_u16(&writer, RECORD_VERSION_DTLS10);
    writer_u16(&writer, 0); /* epoch */
    writer_u48(&writer, 0);
    writer_u16(&writer, (uint16_t)(12 + length));
    writer_u8(&writer, HELLO_FIRST);
    writer_number(&writer, length, 3);
    writer_u16(&writer, 0); /* message_seq */
    writer_number(&writer, 0, 3);
    writer_number(&writer, length, 3);
    writer_bytes(&writer, body_space, length);
    if (!writer_ok(&writer) || !writer_ok(&body))
        abort();
    return writer_length(&writer);
}

/* ---- sending and receiving ---- */

/* From any address of ours: the socket is bound to a port only. */
static void send_from_network(int socket, unsigned network, const void *bytes, size_t length)
{
    struct sockaddr_storage to;
    union {
        struct cmsghdr header;
        uint8_t space[CMSG_SPACE(sizeof(struct in_pktinfo))];
    } control = {0};
    struct iovec vector = {(void *)bytes, length};
    struct msghdr message = {
        .msg_name = &to,
        .msg_namelen = address_to_sockaddr(&options.to, AF_INET, &to),
        .msg_iov = &vector,
        .msg_iovlen = 1,
        .msg_control = &control,
        .msg_controllen = sizeof(control),
    };
    struct in_pktinfo info = {.ipi_spec_dst.s_addr =
                                  htonl(127u << 24 | 64u << 16 | network << 8 | 1u)};
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = IPPROTO_IP;
    header->cmsg_type = IP_PKTINFO;
    header->cmsg_len = CMSG_LEN(sizeof(info));
    memcpy(CMSG_DATA(header), &info, sizeof(info));
    if (sendmsg(socket, &message, 0) != (ssize_t)length) {
        perror("flood: sendmsg");
        exit(EXIT_FAILURE);
    }
    sent++;
}

static void take_answers(int socket)
{
    uint8_t bytes[DATAGRAM_SIZE_MAX];
    ssize_t length;
    while ((length = recv(socket, bytes, sizeof(bytes), MSG_DONTWAIT)) >= 0)
        answered += length > MESSAGE_TYPE_OFFSET && bytes[0] == RECORD_TYPE_HANDSHAKE &&
                    bytes[MESSAGE_TYPE_OFFSET] == HELLO_VERIFY_REQUEST;
}

/* Until no more than `open` questions wait. False: answers do not come any more. */
static bool catch_up(uint64_t open)
{
    while (sent - answered > open) {
        if (poll(readable, PORTS, ANSWER_MS) <= 0)
            return false;
        for (size_t i = 0; i < PORTS; i++) {
            if (readable[i].revents)
                take_answers(sockets[i]);
        }
    }
    return true;
}

static bool open_sockets(void)
{
    const struct sockaddr_in any = {.sin_family = AF_INET};
    for (size_t i = 0; i < PORTS; i++) {
        sockets[i] = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        if (sockets[i] < 0 || bind(sockets[i], (const struct sockaddr *)&any, sizeof(any)) != 0)
            return false;
        readable[i] = (struct pollfd){.fd = sockets[i], .events = POLLIN};
    }
    return true;
}

static const struct option_row rows[] = {
    {.name = "to",
     .argument = "ADDR:PORT",
     .help = "the listener, IPv4",
     .kind = OPTION_ADDRESS,
     .target = &options.to},
    {.name = "networks",
     .argument = "N",
     .help = "how many networks to come from (200)",
     .kind = OPTION_NUMBER,
     .target = &options.networks,
     .min = 1,
     .max = NETWORKS_MAX},
};

static const struct option_table table = {
    .program = "flood",
    .summary = "Floods a listener with ClientHellos, for tests.",
    .rows = rows,
    .count = sizeof(rows) / sizeof(rows[0]),
};

int main(int argc, char **argv)
{
    uint8_t hello[DATAGRAM_SIZE_MAX];
    char line[32];
    if (option_parse(&table, argc, argv) != OPTION_RUN)
        return 2;
    if (!address_is_v4(&options.to) || !open_sockets()) {
        perror("flood: --to");
        return 2;
    }
    while (fgets(line, sizeof(line), stdin)) {
        uint64_t until = sent + strtoull(line, NULL, 10);
        bool keeps_up = true;
        while (keeps_up && sent < until) {
            /* Every source once, then all of them again. */
            unsigned network = (unsigned)(sent / PORTS % options.networks);
            send_from_network(sockets[sent % PORTS], network, hello,
                              write_hello(hello, sizeof(hello)));
            keeps_up = catch_up(WINDOW);
        }
        if (keeps_up)
            (void)catch_up(0);
        (void)printf("{\"sent\":%llu,\"answered\":%llu}\n", (unsigned long long)sent,
                     (unsigned long long)answered);
        (void)fflush(stdout);
    }
    for (size_t i = 0; i < PORTS; i++)
        close(sockets[i]);
    return EXIT_SUCCESS;
}
