/* A worker as the lb sees it: answers PINGs, keeps what DATA frames bring, sends what it is told.
 * A plain socket, driven by the test. */
#ifndef HOLDFAST_TESTS_LB_FAKE_WORKER_H
#define HOLDFAST_TESTS_LB_FAKE_WORKER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shared/frame.h"

#define FAKE_WORKER_KEPT_MAX 64

struct kept_datagram {
    uint8_t listener;
    struct address client;
    uint16_t length;
    uint8_t bytes[DATAGRAM_SIZE_MAX];
};

struct fake_worker {
    int fd;
    uint16_t id;   /* what its PONGs say */
    uint8_t state; /* likewise */
    bool mute;     /* PINGs go unanswered */
    bool echo;     /* each datagram goes back */
    struct address address;
    struct cluster_key key;
    struct frame_sealer sealer;
    struct frame_opener *opener;
    struct boot_id lb; /* who spoke last */
    struct address lb_address;
    size_t frames; /* DATA frames taken */
    size_t pings;
    size_t kept_count;
    struct kept_datagram kept[FAKE_WORKER_KEPT_MAX];
    uint8_t packet[FRAME_SIZE_MAX]; /* as last received */
    uint8_t sent[FRAME_SIZE_MAX];   /* the last DATA frame sent, sealed */
    size_t sent_length;
};

/* On a port of 127.0.0.1 that the kernel chooses, or [::1]. */
void fake_worker_open(struct fake_worker *worker, uint16_t id, bool v6,
                      const struct cluster_key *key);
/* The next life on the same address: another boot. */
void fake_worker_restart(struct fake_worker *worker);
void fake_worker_close(struct fake_worker *worker);
/* Takes all that has arrived. */
void fake_worker_run(struct fake_worker *worker);
/* One datagram in one frame to the lb. */
void fake_worker_send(struct fake_worker *worker, uint8_t listener, const struct address *client,
                      const void *bytes, size_t length);
/* Octets as they are to the lb's link. */
void fake_worker_send_raw(struct fake_worker *worker, const void *bytes, size_t length);

#endif
