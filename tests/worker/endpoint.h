/* A struct dtls on a fake clock, with the memory store, and everything that comes out of it kept:
 * datagrams to peers, application data, ended sessions. Free of Criterion: fuzz targets use it. */
#ifndef HOLDFAST_TESTS_WORKER_ENDPOINT_H
#define HOLDFAST_TESTS_WORKER_ENDPOINT_H

#include "shared/metrics.h"
#include "tests/worker/datagrams.h"
#include "worker/dtls.h"
#include "worker/metrics.h"

#include <stdbool.h>

#define ENDPOINT_IDENTITY "device-1"
#define ENDPOINT_IDENTITY2 "device-2"
#define ENDPOINT_PROBE "are you there?"
extern const uint8_t endpoint_psk[16];
extern const uint8_t endpoint_psk2[16];

/* Zero: the default in brackets. */
struct endpoint_options {
    size_t sessions_max;     /* 64 */
    size_t handshakes_max;   /* 64 */
    uint8_t cid_length;      /* 8 */
    uint16_t worker_id;      /* 0x0102 */
    uint32_t session_idle_s; /* SESSION_TTL_S */
    size_t backlog_octets;   /* 0: handshakes are served at once */
    uint8_t first_lb;        /* what it calls the lb that others may call 0 */
    struct store *store;     /* another endpoint's, to be shared with it (one of its own) */
};

struct endpoint {
    struct dtls *dtls;
    struct store *store; /* in front of the memory store: it can break */
    uint8_t first_lb;
    bool shares_store; /* it is another endpoint's */
    struct identities identities;
    struct vault vault;
    struct metrics metrics;
    struct cluster_key cluster_key;
    uint64_t now_ms;
    struct datagrams sent;     /* waiting to be delivered */
    struct datagrams received; /* application data, with the session's path at that time */
    struct session *receiver;  /* of the last */
    struct datagrams *log;     /* if set, each sent datagram is put there too */
    enum dtls_effect effect;   /* what application data is said to have had; may have changed */
    size_t ended;
    size_t adopted;
    size_t exchanges; /* that came with them */
    size_t probes;
    bool is_obliged; /* of each session */
    size_t claimed;  /* answers to dtls_claim */
    enum store_outcome claim_outcome;
    size_t checked; /* answers to dtls_check */
    enum store_outcome check_outcome;
    size_t relations; /* that came with adopted sessions */
    size_t lost;      /* sessions that others have */
    size_t missed;    /* claims that failed */
};

void endpoint_open(struct endpoint *endpoint, const struct endpoint_options *options);
void endpoint_close(struct endpoint *endpoint);

/* A datagram arrives; the store's answers are not given yet. */
void endpoint_receive(struct endpoint *endpoint, const struct address *from, const void *bytes,
                      size_t length);
/* `ms` pass, then the store's answers and timers come. */
void endpoint_run(struct endpoint *endpoint, uint64_t ms);

uint64_t endpoint_count(const struct endpoint *endpoint, enum worker_metric metric);
/* All records dropped, whatever the reason. */
uint64_t endpoint_dropped(const struct endpoint *endpoint);
size_t endpoint_sessions(const struct endpoint *endpoint);
size_t endpoint_handshakes(const struct endpoint *endpoint);

/* Of each kind of question the store answers "unavailable" from now on, or answers again. */
struct endpoint_breakage {
    bool psk;
    bool create;
    bool sequences;
    bool nonces;
    bool claims;
    bool marks;
    bool relations;
    const char *trouble;
    bool full;   /* no question is taken at all */
    bool silent; /* questions are taken, their answers wait */
    bool rewind; /* it has gone back in time: leases begin again with a session's first block */
    /* Replaces what is kept of a new session; the octets outlive the call. */
    void (*tamper)(struct octets *sealed, struct octets *mark);
};
void endpoint_break_store(struct endpoint *endpoint, const struct endpoint_breakage *breakage);
/* Sessions that the store holds: created and not removed. */
size_t endpoint_stored(const struct endpoint *endpoint);
/* Marks saved so far. */
size_t endpoint_marks(const struct endpoint *endpoint);
/* Further blocks of sequence numbers given so far. */
size_t endpoint_sequence_leases(const struct endpoint *endpoint);

/* An IPv4 address 192.0.2.`host`:`port`. */
struct address endpoint_address(uint8_t host, uint16_t port);

#endif
