/* holdfast-udp-echo ADDR:PORT: sends each datagram back to where it came from, by recvmmsg and
 * sendmmsg, and does nothing else: what any server on one UDP socket costs at least. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "shared/address.h"
#include "shared/limits.h"

#define BUFFER_SIZE 4194304 /* as the load balancer asks for */

static uint8_t space[IO_BATCH_MAX][DATAGRAM_SIZE_MAX];
static struct sockaddr_storage from[IO_BATCH_MAX];
static struct iovec vectors[IO_BATCH_MAX];
static struct mmsghdr messages[IO_BATCH_MAX];

static int fail(const char *what)
{
    fprintf(stderr, "holdfast-udp-echo: %s: %s\n", what, strerror(errno));
    return EXIT_FAILURE;
}

static int open_socket(const char *text)
{
    struct address address;
    struct sockaddr_storage own;
    int size = BUFFER_SIZE;
    errno = EINVAL;
    if (address_parse(&address, text) != STATUS_OK)
        return -1;
    int family = address_is_v4(&address) ? AF_INET : AF_INET6;
    int opened = socket(family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (opened < 0)
        return -1;
    (void)setsockopt(opened, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
    (void)setsockopt(opened, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
    if (bind(opened, (struct sockaddr *)&own, address_to_sockaddr(&address, family, &own)) == 0)
        return opened;
    int error = errno;
    close(opened);
    errno = error;
    return -1;
}

static void reset(size_t count)
{
    for (size_t i = 0; i < count; i++) {
        vectors[i] = (struct iovec){space[i], sizeof(space[i])};
        messages[i] = (struct mmsghdr){.msg_hdr = {.msg_name = &from[i],
                                                   .msg_namelen = sizeof(from[i]),
                                                   .msg_iov = &vectors[i],
                                                   .msg_iovlen = 1}};
    }
}

int main(int argc, char **argv)
{
    if (argc != 2) {
        fprintf(stderr, "usage: holdfast-udp-echo ADDR:PORT\n");
        return 2;
    }
    int echo = open_socket(argv[1]);
    if (echo < 0)
        return fail(argv[1]);
    reset(IO_BATCH_MAX);
    for (;;) {
        int count = recvmmsg(echo, messages, IO_BATCH_MAX, MSG_WAITFORONE, NULL);
        if (count < 0 && errno != EINTR)
            return fail("recvmmsg");
        for (int i = 0; i < count; i++)
            vectors[i].iov_len = messages[i].msg_len;
        for (int at = 0; at < count;) {
            int sent = sendmmsg(echo, messages + at, (unsigned)(count - at), 0);
            at += sent > 0 ? sent : 1; /* one that the kernel does not take is lost */
        }
        if (count > 0)
            reset((size_t)count);
    }
}
