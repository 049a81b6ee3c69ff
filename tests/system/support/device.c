#include "tests/system/support/device.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

/* ---- sockets ---- */

uint64_t device_now_ms(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static int family_of(const struct device *device)
{
    return address_is_v4(&device->options.server) ? AF_INET : AF_INET6;
}

int device_socket(const struct device *device, const struct address *bind_to)
{
    static const struct address anywhere;
    int family = family_of(device);
    struct address local = *bind_to;
    struct sockaddr_storage to;
    if (family == AF_INET && memcmp(local.ip, anywhere.ip, sizeof(local.ip)) == 0)
        local.ip[10] = local.ip[11] = 0xff; /* 0.0.0.0, mapped */
    int made = socket(family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (made < 0)
        return -1;
    socklen_t length = address_to_sockaddr(&local, family, &to);
    if (bind(made, (struct sockaddr *)&to, length) != 0) {
        int error = errno;
        close(made);
        errno = error;
        return -1;
    }
    return made;
}

uint16_t device_port(int socket)
{
    struct sockaddr_storage own;
    socklen_t length = sizeof(own);
    struct address address;
    if (getsockname(socket, (struct sockaddr *)&own, &length) != 0 ||
        address_from_sockaddr(&address, (struct sockaddr *)&own, length) != STATUS_OK)
        return 0;
    return address.port;
}

bool device_send_from(const struct device *device, int socket, const void *bytes, size_t length)
{
    struct sockaddr_storage to;
    socklen_t to_length = address_to_sockaddr(&device->options.server, family_of(device), &to);
    return sendto(socket, bytes, length, 0, (struct sockaddr *)&to, to_length) == (ssize_t)length;
}

bool device_rebind(struct device *device, const struct address *bind_to)
{
    /* The old socket is still open, so that the new one gets another port. */
    int made = device_socket(device, bind_to);
    if (made < 0)
        return false;
    close(device->socket);
    device->socket = made;
    return true;
}

static bool wait_readable(const struct device *device, uint64_t until_ms)
{
    uint64_t now_ms = device_now_ms();
    struct pollfd wanted = {.fd = device->socket, .events = POLLIN};
    return poll(&wanted, 1, until_ms > now_ms ? (int)(until_ms - now_ms) : 0) > 0;
}

/* ---- what wolfSSL calls ---- */

static int on_send(WOLFSSL *ssl, char *bytes, int length, void *owner)
{
    struct device *device = owner;
    (void)ssl;
    if ((size_t)length <= sizeof(device->last)) {
        memcpy(device->last, bytes, (size_t)length);
        device->last_length = (size_t)length;
    }
    if (device->withheld)
        return length;
    device->sent.datagrams++;
    device->sent.octets += length;
    /* What cannot be sent is lost, as in a network. */
    (void)!device_send_from(device, device->socket, bytes, (size_t)length);
    return length;
}

static int on_receive(WOLFSSL *ssl, char *space, int size, void *owner)
{
    struct device *device = owner;
    (void)ssl;
    ssize_t length = recv(device->socket, space, (size_t)size, 0);
    if (length < 0)
        return WOLFSSL_CBIO_ERR_WANT_READ;
    device->received.datagrams++;
    device->received.octets += length;
    return (int)length;
}

static unsigned int on_psk(WOLFSSL *ssl, const char *hint, char *identity,
                           unsigned int identity_max, unsigned char *key, unsigned int key_max)
{
    const struct device_options *options = wolfSSL_get_psk_callback_ctx(ssl);
    (void)hint;
    if (strlen(options->identity) > identity_max || options->key_length > key_max)
        return 0;
    (void)snprintf(identity, identity_max + 1, "%s", options->identity);
    memcpy(key, options->key, options->key_length);
    return (unsigned int)options->key_length;
}

/* ---- the session ---- */

static bool ask_for_cid(struct device *device)
{
    unsigned char cid[CID_LENGTH_MAX];
    uint64_t length = device->options.cid_length;
    if (length == DEVICE_NO_CID)
        return true;
    if (wolfSSL_dtls_cid_use(device->ssl) != WOLFSSL_SUCCESS)
        return false;
    return length == 0 ||
           (getrandom(cid, length, 0) == (ssize_t)length &&
            wolfSSL_dtls_cid_set(device->ssl, cid, (unsigned int)length) == WOLFSSL_SUCCESS);
}

static bool new_session(struct device *device)
{
    wolfSSL_free(device->ssl);
    device->ssl = wolfSSL_new(device->context);
    if (!device->ssl)
        return false;
    wolfSSL_SetIOReadCtx(device->ssl, device);
    wolfSSL_SetIOWriteCtx(device->ssl, device);
    wolfSSL_dtls_set_using_nonblock(device->ssl, 1);
    return wolfSSL_set_psk_callback_ctx(device->ssl, &device->options) == WOLFSSL_SUCCESS &&
           ask_for_cid(device);
}

enum device_outcome device_connect(struct device *device, uint64_t until_ms, int *error)
{
    *error = 0;
    if (!new_session(device))
        return DEVICE_REFUSED;
    while (wolfSSL_connect(device->ssl) != WOLFSSL_SUCCESS) {
        *error = wolfSSL_get_error(device->ssl, WOLFSSL_FATAL_ERROR);
        if (*error != WOLFSSL_ERROR_WANT_READ && *error != WOLFSSL_ERROR_WANT_WRITE)
            return DEVICE_REFUSED;
        if (device_now_ms() >= until_ms)
            return DEVICE_UNANSWERED;
        uint64_t flight_ms =
            device_now_ms() + 1000 * (uint64_t)wolfSSL_dtls_get_current_timeout(device->ssl);
        if (wait_readable(device, flight_ms < until_ms ? flight_ms : until_ms) ||
            device_now_ms() < flight_ms)
            continue;
        device->timeouts++;
        if (wolfSSL_dtls_got_timeout(device->ssl) != WOLFSSL_SUCCESS)
            return DEVICE_UNANSWERED;
    }
    return DEVICE_CONNECTED;
}

bool device_shut_down(struct device *device, uint64_t until_ms)
{
    /* Once for our alert, once more for the server's. */
    int outcome = wolfSSL_shutdown(device->ssl);
    if (outcome == WOLFSSL_SHUTDOWN_NOT_DONE && wait_readable(device, until_ms))
        outcome = wolfSSL_shutdown(device->ssl);
    wolfSSL_free(device->ssl);
    device->ssl = NULL;
    return outcome == WOLFSSL_SUCCESS;
}

bool device_send(struct device *device, const void *message, size_t length)
{
    return wolfSSL_write(device->ssl, message, (int)length) == (int)length;
}

int device_receive(struct device *device, void *space, size_t size, uint64_t until_ms)
{
    for (;;) {
        int length = wolfSSL_read(device->ssl, space, (int)size);
        if (length > 0)
            return length;
        int error = wolfSSL_get_error(device->ssl, length);
        if (error != WOLFSSL_ERROR_WANT_READ)
            return error > 0 ? -error : error;
        if (!wait_readable(device, until_ms))
            return 0;
    }
}

/* ---- beginning and end ---- */

bool device_open(struct device *device, const struct device_options *options)
{
    *device = (struct device){.options = *options};
    device->socket = device_socket(device, &options->bind);
    if (device->socket < 0)
        return false;
    errno = 0;
    if (wolfSSL_Init() != WOLFSSL_SUCCESS)
        return false;
    device->context = wolfSSL_CTX_new(wolfDTLSv1_2_client_method());
    if (!device->context)
        return false;
    wolfSSL_CTX_SetIOSend(device->context, on_send);
    wolfSSL_CTX_SetIORecv(device->context, on_receive);
    wolfSSL_CTX_set_psk_client_callback(device->context, on_psk);
    return wolfSSL_CTX_set_cipher_list(device->context, options->suites) == WOLFSSL_SUCCESS &&
           wolfSSL_CTX_set_group_messages(device->context) == WOLFSSL_SUCCESS;
}

void device_close(struct device *device)
{
    wolfSSL_free(device->ssl);
    wolfSSL_CTX_free(device->context);
    (void)wolfSSL_Cleanup();
    if (device->socket >= 0)
        close(device->socket);
}
