/* Which operation comes when: the workloads of holdfast-bench as a table, and the pace of an open
 * loop. */
#ifndef HOLDFAST_BENCH_WORKLOAD_H
#define HOLDFAST_BENCH_WORKLOAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define WORKLOAD_PAYLOAD_MAX 1024 /* octets of --payload */
#define WORKLOAD_EVENT_MIN 33     /* octets of an event's name; shorter payloads are that long */

enum workload {
    WORKLOAD_HANDSHAKE, /* handshakes and nothing else */
    WORKLOAD_GET,
    WORKLOAD_POST,
    WORKLOAD_ECHO, /* the payload must come back */
    WORKLOAD_EVENTS,
    WORKLOAD_REBIND,    /* echo, with a new source port now and then */
    WORKLOAD_RECONNECT, /* all devices handshake at once, and then echo */
    WORKLOAD_MIX,
    WORKLOAD_OBSERVE,  /* each device observes a resource; --rate publishes to it */
    WORKLOAD_NOTIFY,   /* each device is observed by the server */
    WORKLOAD_DATAGRAM, /* bare datagrams, which come back as they are */
    WORKLOADS
};
/* By their names, NULL-terminated. */
extern const char *const workload_names[];

enum operation {
    OPERATION_GET,
    OPERATION_POST,
    OPERATION_ECHO,
    OPERATION_EVENT,
    OPERATION_REGISTER, /* GET with Observe */
    OPERATION_PUBLISH,  /* PUT of the time it was due */
    OPERATION_NOTIFY,   /* a notification, confirmable */
    OPERATION_DATAGRAM,
};
#define OPERATIONS (OPERATION_DATAGRAM + 1)

/* What a device's request number `number` (from 0) is. */
enum operation workload_operation(enum workload workload, uint32_t device, uint32_t number);
/* Where it goes if the user does not say. */
const char *workload_path(enum operation operation);
/* Whether it leaves from a new port; every: --rebind-every. */
bool workload_rebinds(enum workload workload, uint32_t device, uint32_t number, uint64_t every);

/* The payload: `length` octets, or the event's name, padded to `length`: "RUN-DEVICE-NUMBER" in
 * hex, 16, 8 and 7 digits, unlike any other. Returns its length; at most WORKLOAD_PAYLOAD_MAX. A
 * publication is a time instead: workload_stamp. */
size_t workload_payload(enum operation operation, uint64_t run, uint32_t device, uint32_t number,
                        size_t length, uint8_t space[WORKLOAD_PAYLOAD_MAX]);

/* 16 hex digits and padding: a time that whoever gets it can compare with its own clock. */
size_t workload_stamp(uint64_t us, size_t length, uint8_t space[WORKLOAD_PAYLOAD_MAX]);
/* False: it is no such payload. */
bool workload_read_stamp(const uint8_t *payload, size_t length, uint64_t *us);

/* An open loop: request n is due n / rate after the start, whatever has become of the others. */
struct pace {
    uint64_t start_us;
    uint64_t rate; /* per second; 0: a closed loop, nothing is ever due */
    uint64_t taken;
};
uint64_t pace_due_us(const struct pace *pace); /* when the next one is; UINT64_MAX: never */
/* Takes it if it is due. */
bool pace_take(struct pace *pace, uint64_t now_us, uint64_t *due_us);

#endif
