/* A struct coap for tests, with a plain peer and a session, and what it answered last. */
#ifndef HOLDFAST_TESTS_WORKER_COAP_BENCH_H
#define HOLDFAST_TESTS_WORKER_COAP_BENCH_H

#include "tests/worker/ask.h"
#include "worker/coap.h"
#include "worker/metrics.h"

#include <stddef.h>
#include <stdint.h>

#define COAP_BENCH_UNIX_MS 1700000000000 /* what the wall clock says when now_ms is 0 */

#define COAP_BENCH_MESSAGE_ID 0x7d00 /* the first of ours to the session */
#define COAP_BENCH_SENT_MAX 32

struct coap_bench_sent {
    uint64_t session_id;
    size_t length;
    uint8_t bytes[COAP_MESSAGE_SIZE_MAX];
};

struct coap_bench {
    struct metrics metrics;
    struct coap *coap;
    struct coap_peer plain;
    struct coap_peer secured; /* session 1, "sensor-7", CID 0720b1d07b359d3c */
    uint8_t reply[COAP_MESSAGE_SIZE_MAX];
    size_t reply_length;
    struct coap_commit commit;
    struct coap_bench_sent sent[COAP_BENCH_SENT_MAX]; /* what was sent of itself, in order */
    size_t sent_count;
    uint8_t unsaved_slot; /* the last relation to leave the store */
    size_t unsaved_count;
};

void coap_bench_open(struct coap_bench *bench, size_t exchanges_max);
/* With exchanges_max, request_rate, plugtest and resources of these. */
void coap_bench_open_as(struct coap_bench *bench, struct coap_options options);
void coap_bench_close(struct coap_bench *bench);

struct coap_now coap_bench_now(uint64_t now_ms);

/* From a block of exactly its size. */
enum coap_outcome coap_bench_receive(struct coap_bench *bench, const struct coap_peer *peer,
                                     uint64_t now_ms, const void *bytes, size_t length);
enum coap_outcome coap_bench_ask(struct coap_bench *bench, const struct coap_peer *peer,
                                 uint64_t now_ms, const struct ask *ask);
/* The store's answer for an exchange of the session. */
enum coap_outcome coap_bench_commit(struct coap_bench *bench, uint16_t message_id,
                                    enum coap_saved saved, uint64_t now_ms);

/* A turn of the loop. */
void coap_bench_run(struct coap_bench *bench, uint64_t now_ms);
/* The only message sent since this was asked last, readable; its octets stay until the next call.
 */
const struct coap_bench_sent *coap_bench_take(struct coap_bench *bench, struct message *message);

uint8_t coap_bench_code(const struct coap_bench *bench);
uint64_t coap_bench_count(const struct coap_bench *bench, enum worker_metric metric);

#endif
