/* Observers for tests: sessions that are names only, a resource whose state is a text, and what was
 * sent to whom. */
#ifndef HOLDFAST_TESTS_WORKER_OBSERVER_BENCH_H
#define HOLDFAST_TESTS_WORKER_OBSERVER_BENCH_H

#include "worker/message.h"
#include "worker/observer.h"
#include "worker/session.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define OBSERVER_BENCH_PEERS 600
#define OBSERVER_BENCH_SENT_MAX 2048
#define OBSERVER_BENCH_UNIX_MS 1700000000000 /* what the wall clock says when now_ms is 0 */

struct observer_bench_sent {
    uint64_t session_id;
    enum message_type type;
    uint8_t code;
    uint16_t message_id;
    uint8_t slot; /* of a confirmable one */
    bool has_number;
    uint32_t number;
    char token[MESSAGE_TOKEN_LENGTH_MAX + 1];
    char payload[32];
};

struct observer_bench {
    struct metrics metrics;
    struct observers observers;
    struct session sessions[OBSERVER_BENCH_PEERS];
    uint32_t rtt_ms;
    uint64_t now_ms;
    /* The resource's state. */
    uint8_t code;
    const char *text;
    uint64_t version;
    bool renders_later; /* `rendering` has to be answered by observer_bench_render */
    struct subject *rendering;
    size_t renders;
    /* What came out. */
    bool is_full;     /* no confirmable message can be sent, nor be put in the place of another */
    bool is_replying; /* the reply to a registration is under way, with this id */
    uint16_t reply_id;
    struct observer_bench_sent sent[OBSERVER_BENCH_SENT_MAX];
    size_t sent_count;
    uint8_t repeated_slot;
    size_t unconfirmed;
    uint64_t ended_id; /* the last relation to leave the store */
    uint8_t ended_slot;
    size_t ended_count;
};

struct observer_bench *observer_bench_open(uint32_t confirm_s, uint8_t confirm_every);
void observer_bench_close(struct observer_bench *bench);

struct coap_now observer_bench_now(const struct observer_bench *bench);
/* Session 1 and so on; 0: a plain peer. */
struct coap_peer observer_bench_peer(struct observer_bench *bench, uint64_t id);
struct subject_key observer_bench_key(const char *target);

/* Registers and is answered; the reply's number. */
uint32_t observer_bench_join(struct observer_bench *bench, uint64_t id, const char *token,
                             const char *target);
struct observer *observer_bench_find(struct observer_bench *bench, uint64_t id, const char *token);
/* The resource has this state from now on, and everybody who may be told at once has been. */
void observer_bench_change(struct observer_bench *bench, const char *path, const char *text);
/* The answer that `renders_later` has kept back. */
void observer_bench_render(struct observer_bench *bench);
/* Time passes, with all that is due in it. */
void observer_bench_pass(struct observer_bench *bench, uint64_t ms);
void observer_bench_confirmed(struct observer_bench *bench, const struct observer_bench_sent *sent,
                              enum observer_outcome outcome);
/* The message is about to be repeated; the one that goes in its place, NULL: it is repeated as it
 * is. */
const struct observer_bench_sent *observer_bench_repeat(struct observer_bench *bench,
                                                        const struct observer_bench_sent *sent);
/* The last message, and that there were `count` since the last time. */
const struct observer_bench_sent *observer_bench_take(struct observer_bench *bench, size_t count);
uint64_t observer_bench_count(const struct observer_bench *bench, enum worker_metric metric);

#endif
