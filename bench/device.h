/* The fleet from inside: devices, and what the files fleet*.c need of each other. */
#ifndef HOLDFAST_BENCH_DEVICE_H
#define HOLDFAST_BENCH_DEVICE_H

#include "bench/association.h"
#include "bench/dial.h"
#include "bench/fleet.h"
#include "bench/operators.h"
#include "bench/question.h"
#include "bench/wire.h"
#include "bench/workload.h"
#include "shared/wheel.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* Of a device that shares a socket: its index, on all records of the server's. */
#define DEVICE_CID_LENGTH 4
#define DEVICE_NO_SOCKET (-1)

enum device_state {
    DEVICE_IDLE,     /* without a session, in the queue for a handshake */
    DEVICE_RESTING,  /* likewise, for a while: its handshake has failed */
    DEVICE_DIALLING, /* in its handshake */
    DEVICE_MOVING,   /* has pinged the server from the socket that it shares */
    DEVICE_READY,    /* in the queue for a request */
    DEVICE_ASKING,   /* has a request outstanding */
    DEVICE_HEARD,    /* likewise, acknowledged, with the response yet to come */
};

/* RFC 7641, whichever side observes. */
struct relation {
    uint64_t heard_us; /* when the newest notification came */
    uint32_t number;   /* its ordering number; of a device that is observed: of the last one sent */
    uint16_t message_id; /* of the last one that came, if has_message */
    bool has_message;
    bool is_active;
    uint8_t token_length;
    uint8_t token[QUESTION_TOKEN_MAX];
};

struct device {
    struct timer timer; /* first: a timer is its device */
    struct device *next;
    struct fleet *fleet;
    struct dial *dial; /* DEVICE_DIALLING */
    uint64_t due_us;   /* when the request or handshake at hand was due */
    uint32_t number;   /* of the next request */
    uint32_t hops;     /* changes of a shared socket; addresses that somebody else had */
    uint32_t wait_ms;  /* the timer's */
    int socket;
    uint16_t message_id;   /* of the request or ping at hand */
    uint8_t state;         /* enum device_state */
    uint8_t operation;     /* enum operation, of the request at hand */
    uint8_t retransmitted; /* times */
    bool owns_socket;
    bool recovered; /* since the mark */
    bool affected;  /* has retransmitted since the mark */
    bool is_queued; /* in one of the fleet's two queues */
    bool is_wanted; /* the API is to observe it */
    struct relation relation;
    struct association association;
};
_Static_assert(sizeof(struct device) <= 320, "fleet.h says so");

struct device_queue {
    struct device *first, *last;
};

struct fleet {
    const struct plan *plan;
    struct wire wire;
    struct wheel wheel;
    struct protector protector;
    struct dialer dialer;
    struct device *devices;
    int *shared;               /* sockets; NULL: each device has its own */
    size_t shared_count;       /* of them that are open */
    struct device_queue idle;  /* for a handshake */
    struct device_queue ready; /* for a request */
    size_t dialling;           /* in DEVICE_DIALLING or DEVICE_MOVING */
    size_t established;        /* in DEVICE_READY, DEVICE_ASKING or DEVICE_HEARD */
    size_t outstanding;        /* in DEVICE_ASKING or DEVICE_HEARD */
    size_t related;            /* that observe, or are observed */
    enum fleet_phase phase;
    struct pace pace;
    struct operators *operators; /* NULL: nobody asks for observations */
    size_t wanted;               /* devices that are to be observed, and not asked for yet */
    uint64_t wanted_next;        /* where to look for them */
    uint64_t operators_us;       /* when to look at the operators again */
    size_t workers_at_start;     /* of those that observe */
    uint64_t stored_at_start;    /* their count of notifications */
    uint32_t net;                /* random: of --spread's addresses */
    uint64_t run;                /* random: names the run's events */
    uint64_t random;
    uint64_t now_us;
    uint64_t phase_start_us;
    uint64_t run_start_us;
    uint64_t last_served_us;
    uint64_t last_notified_us;
    uint64_t mark_us;
    uint64_t file_checked_us;
    FILE *acknowledged;
    struct tally tally;
};

static inline uint32_t device_index(const struct device *device)
{
    return (uint32_t)(device - device->fleet->devices);
}

void device_queue_add(struct device_queue *queue, struct device *device);
struct device *device_queue_take(struct device_queue *queue);

/* --- fleet.c --- */

/* Sets the device's timer to wait_ms from now. */
void fleet_set_timer(struct device *device);
/* RFC 7252 section 4.8: between ACK_TIMEOUT and ACK_TIMEOUT * ACK_RANDOM_FACTOR. */
uint32_t fleet_first_wait_ms(struct fleet *fleet);
/* The device has a session; it is queued if it has something to do. */
void fleet_ready(struct device *device);

/* --- fleet_phase.c --- */

/* Does what is due in this phase, and goes to the next one when it is over. */
void fleet_go_on(struct fleet *fleet);
/* Until when there is nothing to do, `until_us` at the latest. */
uint64_t fleet_wake_us(const struct fleet *fleet, uint64_t until_us);
/* Ends it in FLEET_FAILED. */
void fleet_fail(struct fleet *fleet);
/* Without a word if a process has ended: then there is no such measure. */
void fleet_read_usage(struct fleet *fleet, struct server_usage *usage);

/* --- fleet_mark.c --- */

/* Whether --begin's file is there, or none is waited for. */
bool fleet_may_begin(struct fleet *fleet);
void fleet_check_mark(struct fleet *fleet);
/* When to look for a file again; UINT64_MAX: none is waited for. */
uint64_t fleet_file_us(const struct fleet *fleet);

/* --- fleet_receive.c --- */

/* A wire_receive_fn. */
void fleet_receive(void *owner, uint32_t tag, uint8_t *datagram, size_t length);

/* --- fleet_dial.c: handshakes --- */

/* A handshake that was due at due_us. */
void fleet_dial(struct device *device, uint64_t due_us);
void fleet_dial_send(void *owner, const uint8_t *datagram, size_t length);
void fleet_dial_input(struct device *device, const uint8_t *datagram, size_t length);
void fleet_dial_time_out(struct device *device); /* DEVICE_DIALLING */
void fleet_move_time_out(struct device *device); /* DEVICE_MOVING */
/* The server has answered from the shared socket. */
void fleet_moved(struct device *device);
/* Forgets the session and queues the device for a handshake. */
void fleet_hang_up(struct device *device);

/* --- fleet_socket.c --- */

/* One of its own, at its own address with --spread. False: the kernel has none. */
bool fleet_take_socket(struct device *device);
/* Its own is closed; one that is shared stays. */
void fleet_give_up_socket(struct device *device);
/* Another source port. */
void fleet_rebind(struct device *device);

/* --- fleet_ask.c: requests --- */

void fleet_ask(struct device *device, uint64_t due_us);
void fleet_ask_time_out(struct device *device); /* DEVICE_ASKING or DEVICE_HEARD */
/* A CoAP message for the device, out of its record. */
void fleet_message(struct device *device, const uint8_t *bytes, size_t length);
/* Sends a message, sealed where there is a session. */
void fleet_transmit(struct device *device, enum record_type type, const uint8_t *message,
                    size_t length);
void fleet_transmit_empty(struct device *device, enum question_type type, uint16_t message_id);
void fleet_ping(struct device *device);

/* --- fleet_observe.c: WORKLOAD_OBSERVE and WORKLOAD_NOTIFY --- */

/* Whether a device that is ready has anything to ask or to say. */
bool fleet_has_work(const struct device *device);
/* Queues it if it is ready and has. */
void fleet_wake(struct device *device);
/* The reply to OPERATION_REGISTER; false: the resource cannot be observed. */
bool fleet_registered(struct device *device, const struct answer *answer);
void fleet_end_relation(struct device *device);
/* OPERATION_NOTIFY, but for message id and payload. */
void fleet_write_notification(const struct device *device, struct question *notification);
/* A notification, or a request of the server's. False: neither. */
bool fleet_observe_message(struct device *device, const struct answer *message);

/* --- fleet_operators.c: --observe-api; without it nothing happens --- */

MUST_USE enum status fleet_hire_operators(struct fleet *fleet);
/* The device has a new session, which nobody observes. */
void fleet_want_observer(struct device *device);
/* Asks for devices, as many at once as may be. */
void fleet_operate(struct fleet *fleet);
/* Whether there are any to ask for, or answers to come: look again at fleet->operators_us. */
bool fleet_wants_operators(const struct fleet *fleet);
/* What the server has stored: when the run begins, and once it is over. */
void fleet_note_stored(struct fleet *fleet);
void fleet_count_stored(struct fleet *fleet);

#endif
