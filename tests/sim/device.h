/* A device: wolfSSL's client (tests/worker/peer.h), and a CoAP client that asks one thing at a time
 * and repeats it (RFC 7252 section 4.2, with a shorter ACK_TIMEOUT) under the same message id and
 * in a new record. It remembers what was acknowledged, and what it observes (interest.h). */
#ifndef HOLDFAST_TESTS_SIM_DEVICE_H
#define HOLDFAST_TESTS_SIM_DEVICE_H

#include "tests/sim/interest.h"
#include "tests/sim/step.h"
#include "tests/worker/peer.h"
#include "worker/identities.h"

#include <stdbool.h>
#include <stdint.h>

struct sim;

enum request_kind {
    REQUEST_EVENT,
    REQUEST_ECHO,
    REQUEST_GET,
    REQUEST_PUBLISH,
    REQUEST_OBSERVE, /* these two with the token of an interest */
    REQUEST_CANCEL,
};

/* What was asked in this session, and the first reply that told of success. */
struct inquiry {
    enum request_kind kind;
    uint16_t message_id;
    size_t interest;
    size_t topic;
    char payload[160];
    uint8_t reply[256];
    size_t reply_length;
};

struct device {
    struct sim *sim;
    size_t index;
    bool has_cid;
    uint8_t cid_length;
    const struct suite *suite;
    char identity[24];
    uint8_t psk[16];
    struct peer peer;
    bool is_open;
    bool is_keyed; /* the oracle has its keys */
    size_t handshakes;
    uint64_t wake_ms;
    uint64_t began_ms;
    uint64_t flight_ms; /* how long its last flight is waited for */
    uint16_t next_id;
    uint32_t next_number;
    struct inquiry *requests; /* of this session */
    size_t request_count;
    bool is_asking;       /* the last of them is under way */
    bool is_acknowledged; /* with an empty message: the reply comes later */
    unsigned repeats;
    uint64_t timeout_ms;
    uint8_t message[256];
    size_t message_length;
    unsigned topics;                          /* that it observes, bit by bit */
    bool is_quiet;                            /* says nothing as long as it waits for states */
    struct interest interests[INTERESTS_MAX]; /* of this session */
    size_t interest_count;
    uint64_t deaf_ms;   /* since then it hears and says nothing, for good; 0: never */
    bool was_connected; /* when the faults were over */
    uint64_t spoken_ms; /* since when it waits for an answer in calm weather */
    size_t calm_answers;
    size_t calm_changes;
};

void device_init(struct device *device, struct sim *sim, size_t index);
void device_free(struct device *device);
/* What workers know without the store: half of the devices. The store knows the others. */
void device_tell_identities(const struct sim *sim, struct identities *identities);
void device_store_identities(struct sim *sim);

bool device_is_deaf(const struct device *device);
void device_step(struct device *device, struct step *step);
/* Its NAT gives it another port. Not for one without CID, which has no other name. */
void device_rebind(struct device *device);
/* It forgets its session and begins again from the same address. */
void device_restart(struct device *device);
/* The faults are over: what it waited for, it asks anew. */
void device_calm(struct device *device);

/* --- device_ask.c --- */

/* Asks, or asks again. */
void device_talk(struct device *device);
/* What has come over its session. */
void device_read(struct device *device);
/* No answer is waited for any more. */
void device_give_up(struct device *device);

/* --- between the two --- */

void device_wake_in(struct device *device, uint64_t ms);
void device_flush(struct device *device);

#endif
