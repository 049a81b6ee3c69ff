/* A device for tests: a DTLS 1.2 client on wolfSSL whose sockets are in the test's hands. DTLS 1.2
 * only: wolfSSL 5.9.2 fails (-429) on a 1.2 ServerHello with a Connection ID when it has
 * offered 1.3 as well. */
#ifndef HOLDFAST_TESTS_SYSTEM_SUPPORT_DEVICE_H
#define HOLDFAST_TESTS_SYSTEM_SUPPORT_DEVICE_H

#include "shared/address.h"
#include "shared/limits.h"

#include <wolfssl/options.h>
#include <wolfssl/ssl.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DEVICE_NO_CID UINT64_MAX

struct device_options {
    struct address server;
    struct address bind; /* all zero: anywhere */
    char identity[IDENTITY_LENGTH_MAX + 1];
    uint8_t key[PSK_LENGTH_MAX];
    size_t key_length;
    const char *suites;  /* by wolfSSL's names, with colons between */
    uint64_t cid_length; /* of the Connection ID that the server is to use; or DEVICE_NO_CID */
};

struct device_tally {
    long long datagrams;
    long long octets; /* of UDP payload */
};

struct device {
    struct device_options options;
    WOLFSSL_CTX *context;
    WOLFSSL *ssl;  /* NULL: not connected */
    int socket;    /* not connected, so that its address may change while it is open */
    bool withheld; /* what is sealed goes to `last` only */
    uint8_t last[DATAGRAM_SIZE_MAX]; /* the datagram that was made last */
    size_t last_length;
    struct device_tally sent, received; /* the test sets them back when it likes */
    long long timeouts;                 /* flights sent again for want of an answer; likewise */
};

/* False: errno says why, or 0 where it is wolfSSL that refused. device_close all the same. */
bool device_open(struct device *device, const struct device_options *options);
void device_close(struct device *device);

uint64_t device_now_ms(void);

/* A socket of the server's family. -1: errno says why. */
int device_socket(const struct device *device, const struct address *bind);
uint16_t device_port(int socket);
/* A datagram to the server from any such socket. */
bool device_send_from(const struct device *device, int socket, const void *bytes, size_t length);

/* A new session; one that there was is forgotten without a word. */
enum device_outcome {
    DEVICE_CONNECTED,
    DEVICE_REFUSED, /* *error is wolfSSL's */
    DEVICE_UNANSWERED,
};
enum device_outcome device_connect(struct device *device, uint64_t until_ms, int *error);
/* Ends it with close_notify. False: the server's did not come. */
bool device_shut_down(struct device *device, uint64_t until_ms);

/* One message, sealed in one record. */
bool device_send(struct device *device, const void *message, size_t length);
/* The next message: its length, 0 if none came in time, or wolfSSL's error, negative. */
int device_receive(struct device *device, void *space, size_t size, uint64_t until_ms);

/* Another socket for the same session. False: errno says why. */
bool device_rebind(struct device *device, const struct address *bind);

#endif
