/* Frames between lb and worker: many client datagrams in one UDP packet, sealed with
 * AES-128-GCM. DESIGN.md section 5.
 *
 *   version 1 ‖ type 1 ‖ count 2 ‖ sender's boot id 12 ‖ receiver's boot id 12 ‖ counter 8
 *   ‖ sealed(entries) ‖ tag 16
 *   entry: listener 1 ‖ flags 1 ‖ address 18 ‖ length 2 ‖ datagram
 *
 * The header is the additional data; the GCM nonce is 4 zero octets ‖ counter; the key is
 * KEY_FRAME of the sender's boot id, so a (key, nonce) pair is used once. The receiver's boot id is
 * in the header so that a receiver that has just started, and has no window yet, cannot be fed
 * frames that were meant for its former life; it is all zero in a PING to a peer whose boot is not
 * known yet, and in no other frame. PING and PONG carry one struct frame_health instead of entries,
 * count 0. A PONG echoes the PING's stamp. */
#ifndef HOLDFAST_SHARED_FRAME_H
#define HOLDFAST_SHARED_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <wolfssl/options.h>
#include <wolfssl/wolfcrypt/aes.h>

#include "shared/address.h"
#include "shared/cursor.h"
#include "shared/keys.h"
#include "shared/limits.h"
#include "shared/replay.h"
#include "shared/status.h"

#define FRAME_VERSION 1
#define FRAME_BOOT_ID_SIZE 12 /* 6 octets of unix time in ms, 6 random: later boots compare higher */
#define FRAME_HEADER_SIZE (1 + 1 + 2 + 2 * FRAME_BOOT_ID_SIZE + 8)
#define FRAME_TAG_SIZE 16
#define FRAME_ENTRY_HEADER_SIZE (1 + 1 + ADDRESS_WIRE_SIZE + 2)

#define FRAME_HEALTH_SIZE (8 + 2 + 1 + 4) /* stamp ‖ worker id ‖ state ‖ sessions */
#define FRAME_HEALTH_SEALED_SIZE (FRAME_HEADER_SIZE + FRAME_HEALTH_SIZE + FRAME_TAG_SIZE)

enum frame_type { FRAME_DATA = 1, FRAME_PING = 2, FRAME_PONG = 3 };

struct boot_id {
    uint8_t bytes[FRAME_BOOT_ID_SIZE];
};

/* memcmp order is time order. */
MUST_USE enum status boot_id_new(struct boot_id *boot, uint64_t unix_ms);
int boot_id_compare(const struct boot_id *a, const struct boot_id *b);

/* An entry's listener. A worker sends it back as it came. */
#define FRAME_LISTENER_INDEX 0x7f
#define FRAME_LISTENER_COAP 0x80 /* plain CoAP; without it: DTLS */

struct frame_entry {
    uint8_t listener;       /* index of the lb's listener, and what it is: FRAME_LISTENER_* */
    uint8_t flags;          /* reserved, sent as 0, ignored on receipt */
    struct address address; /* the client's */
    const uint8_t *datagram;
    uint16_t length;
};

enum frame_state { FRAME_STATE_SERVING = 1, FRAME_STATE_DRAINING = 2 };

struct frame_health {
    uint64_t stamp;     /* PING: the sender's clock; PONG: the PING's stamp */
    uint16_t worker_id; /* 0 from an lb */
    uint8_t state;      /* enum frame_state */
    uint32_t sessions;  /* load: sessions held; 0 from an lb */
};

/* Writing. One sealer per boot id: per process, per thread of an lb. Its counter never repeats:
 * STATUS_EXHAUSTED after 2^64 - 1 frames. Wiped by frame_sealer_free. */
struct frame_sealer {
    struct boot_id boot;
    uint64_t counter;
    Aes aes;
};
MUST_USE enum status frame_sealer_init(struct frame_sealer *sealer, const struct cluster_key *key,
                                       const struct boot_id *boot);
void frame_sealer_free(struct frame_sealer *sealer);

/* A frame that is being filled; `space` is the caller's and holds `size` octets, the link MTU
 * less IP and UDP headers, at most FRAME_SIZE_MAX. */
struct frame_builder {
    struct writer writer;
    uint16_t count;
};
void frame_begin(struct frame_builder *builder, void *space, size_t size);
/* STATUS_FULL: does not fit (close this one and begin another); STATUS_TOO_LONG: would not fit into
 * an empty frame of this size either, or exceeds DATAGRAM_SIZE_MAX. */
MUST_USE enum status frame_add(struct frame_builder *builder, const struct frame_entry *entry);
/* Seals in place; *length is the whole frame's. Nothing is added to a sealed builder. With count 0
 * there is nothing to seal: STATUS_MALFORMED. */
MUST_USE enum status frame_seal(struct frame_sealer *sealer, const struct boot_id *to,
                                struct frame_builder *builder, size_t *length);
/* type: FRAME_PING or FRAME_PONG, else STATUS_UNSUPPORTED. STATUS_TOO_LONG: size is less than
 * FRAME_HEALTH_SEALED_SIZE. */
MUST_USE enum status frame_seal_health(struct frame_sealer *sealer, enum frame_type type,
                                       const struct boot_id *to,
                                       const struct frame_health *health, void *space, size_t size,
                                       size_t *length);

/* Reading. One opener per boot id keeps a key schedule and a window for each of the
 * FRAME_PEERS_MAX last heard boots; an unknown one takes a place with a valid tag only. When one is
 * evicted, no unknown boot up to it is heard again ("old boot"), so that an evicted window cannot
 * be replayed into. A boot that has sent nothing but PINGs to the zero id evicts no other kind, and
 * may be forgotten without that: all that it could replay is such PINGs.
 * Memory: about 900 octets for each of FRAME_PEERS_MAX + 1, allocated once. */
enum frame_outcome {
    FRAME_ACCEPTED,
    FRAME_MALFORMED, /* a length, count, type or (authentic) health that cannot be */
    FRAME_UNKNOWN_VERSION,
    FRAME_BAD_TAG,
    FRAME_REPLAYED,
    FRAME_OLD_BOOT,   /* sender's boot is unknown, and at or below an evicted one */
    FRAME_NOT_FOR_US, /* names another boot of the receiver, or is its own sent back */
    FRAME_OUTCOMES
};
struct frame_opener; /* heap, made once; NULL: no memory */
struct frame_opener *frame_opener_new(const struct cluster_key *key, const struct boot_id *self);
void frame_opener_free(struct frame_opener *opener);

struct frame {
    enum frame_type type;
    uint16_t count;
    uint16_t taken; /* entries that frame_next has given */
    bool names_us;  /* the receiver's boot is in it: it is no older than that */
    struct boot_id from;
    struct cursor entries;      /* FRAME_DATA */
    struct frame_health health; /* FRAME_PING, FRAME_PONG */
};
/* Opens in place: `packet` is overwritten with plain text, which `frame` points into; with any
 * outcome but FRAME_ACCEPTED what it holds is of no use and `frame` is untouched. A PING with the
 * zero receiver id moves no state but its own window: it may be an old one that someone kept, so
 * answer it, to `from`, and conclude nothing else from it. */
enum frame_outcome frame_open(struct frame_opener *opener, uint8_t *packet, size_t length,
                              struct frame *frame);
/* STATUS_NOT_FOUND at the end, STATUS_MALFORMED when the entries do not parse or are not as many as
 * the header says (a peer's bug): this sticks. */
MUST_USE enum status frame_next(struct frame *frame, struct frame_entry *entry);
const char *frame_outcome_text(enum frame_outcome outcome); /* "bad_tag": a metric label */

#endif
