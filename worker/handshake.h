/* Handshakes under way, from the returned cookie to the client's first application record. wolfSSL
 * does the protocol (tls.h); here is what stands around it: finding the handshake of a datagram,
 * the PSK that is fetched first, the store that must know the session before the last flight
 * leaves, timers, and the object kept for a client that has lost that flight.
 *
 *   TALKING --identity seen--> LOOKING_UP --PSK--> TALKING --Finished--> STORING --stored-->
 * RETAINED
 *
 * Bytes and `now` come in, datagrams leave through `send`; no I/O, no clock. */
#ifndef HOLDFAST_WORKER_HANDSHAKE_H
#define HOLDFAST_WORKER_HANDSHAKE_H

#include "shared/hash.h"
#include "shared/metrics.h"
#include "shared/pool.h"
#include "shared/replay.h"
#include "shared/store.h"
#include "shared/table.h"
#include "shared/wheel.h"
#include "worker/cid_source.h"
#include "worker/hello.h"
#include "worker/identities.h"
#include "worker/path.h"
#include "worker/tls.h"
#include "worker/vault.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum handshake_state {
    HANDSHAKE_TALKING,    /* wolfSSL has all that has arrived */
    HANDSHAKE_LOOKING_UP, /* datagrams are held until the store knows the PSK */
    HANDSHAKE_STORING,    /* done; the last flight is held until the store has the session */
    HANDSHAKE_RETAINED,   /* the session lives; this repeats a lost last flight */
    HANDSHAKE_STATES
};

enum handshake_event {
    HANDSHAKE_DATAGRAM,
    HANDSHAKE_PSK,
    HANDSHAKE_STORED,
    HANDSHAKE_FINISHED_AGAIN, /* authentic: the client has lost our last flight */
    HANDSHAKE_TIMER,
    HANDSHAKE_EVENTS
};

struct handshake_datagram {
    uint16_t length;
    uint8_t *bytes; /* owned */
};

struct handshake {
    struct timer timer; /* first: the wheel gives it back */
    enum handshake_state state;
    struct handshake *older; /* HANDSHAKE_RETAINED: in the order in which they became so */
    struct handshake *newer;
    struct tls *tls;
    struct cid own_cid;
    struct path path; /* its address returned the cookie */
    uint8_t client_random[HELLO_RANDOM_SIZE];
    uint64_t ends_ms;
    struct hello_identity identity;
    bool psk_known;
    struct psk psk;
    struct handshake_datagram held[HANDSHAKE_HELD_MAX];
    size_t held_count;
    struct handshake_datagram last_flight; /* lengths and datagrams, as in struct flight */
    struct tls_result result;
    struct replay replay; /* the client's authentic epoch 1 records so far */
    uint32_t repeats;     /* of the flight at hand, for a client that repeats its own */
};

typedef void handshake_send_fn(void *owner, const struct path *path, const uint8_t *datagram,
                               size_t length);
/* A handshake is done: what the store is to keep of its session. The octets stay valid until the
 * next call. */
typedef enum status handshake_describe_fn(void *owner, const struct handshake *handshake,
                                          struct store_session *session);
/* It is stored: makes the session. Anything but STATUS_OK ends it. */
typedef enum status handshake_established_fn(void *owner, struct handshake *handshake,
                                             const struct store_answer *lease, uint64_t now_ms);

struct handshakes_options {
    const struct cluster_key *cluster_key;
    struct hash_key hash_key;
    size_t handshakes_max;
    struct store *store;
    struct cid_source *cids;
    const struct identities *identities;
    struct vault *vault;
    struct metrics *metrics;
    handshake_send_fn *send;
    void *send_owner;
    handshake_describe_fn *describe;
    handshake_established_fn *established;
    void *owner;
};

struct handshakes {
    struct handshakes_options options;
    struct cluster_key cluster_key;
    struct tls_context tls;
    struct pool pool;
    struct table by_cid;
    struct table by_address;
    struct wheel wheel;
    struct protector protector;
    uint64_t now_ms;           /* of the call under way */
    struct handshake *greeted; /* admitted while tls_greet runs */
    struct handshake *oldest_retained; /* the first to go when a new one needs the room */
    struct handshake *newest_retained;
    uint8_t scratch[DATAGRAM_SIZE_MAX];
};

/* STATUS_NO_MEMORY, STATUS_CRYPTO. */
MUST_USE enum status handshakes_init(struct handshakes *handshakes,
                                     const struct handshakes_options *options, uint64_t now_ms);
void handshakes_free(struct handshakes *handshakes);

/* A datagram that begins with a ClientHello. One without cookie leaves nothing behind. With a
 * cookie that is right it begins a handshake; an older handshake at that address ends then. */
void handshakes_greet(struct handshakes *handshakes, uint64_t now_ms, const struct path *path,
                      const struct record *first, const uint8_t *datagram, size_t length);

struct handshake *handshake_by_cid(struct handshakes *handshakes, const uint8_t *cid,
                                   size_t length);
struct handshake *handshake_by_address(struct handshakes *handshakes,
                                       const struct address *address);

/* Any other datagram of this handshake, which may be gone afterwards. */
void handshake_receive(struct handshakes *handshakes, struct handshake *handshake, uint64_t now_ms,
                       const struct path *path, const uint8_t *datagram, size_t length);

/* The client's Finished has come again, and the session's keys have authenticated it. The handshake
 * may be gone afterwards. */
void handshake_finished_again(struct handshakes *handshakes, struct handshake *handshake,
                              uint64_t now_ms);

/* Its session has heard application data, or is gone. NULL is allowed. */
void handshake_release(struct handshakes *handshakes, struct handshake *handshake);

/* UINT64_MAX: nothing to wait for. */
uint64_t handshakes_next_ms(const struct handshakes *handshakes);
void handshakes_expire(struct handshakes *handshakes, uint64_t now_ms);

#endif
