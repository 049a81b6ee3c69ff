/* The broker over a CoAP endpoint and the memory store, asked by one session and told of by another
 * worker's store. */
#ifndef HOLDFAST_TESTS_WORKER_PS_BENCH_H
#define HOLDFAST_TESTS_WORKER_PS_BENCH_H

#include "shared/store.h"
#include "tests/worker/coap_bench.h"
#include "worker/ps.h"

struct ps_bench {
    struct coap_bench coap;
    struct store *store;
    struct ps *ps;
    uint64_t now_ms;
    uint16_t message_id;    /* of the next request */
    enum coap_saved saved;  /* what becomes of registrations */
    struct message message; /* the last answer, readable until the next question */
    struct coap_bench_sent answer;
    char payload[COAP_MESSAGE_SIZE_MAX + 1]; /* its own, NUL-terminated */
};

void ps_bench_open(struct ps_bench *bench, const char *publishers, const char *subscribers);
void ps_bench_close(struct ps_bench *bench);

/* The code of the answer, which has come at the latest when the store has said all it has to;
 * 0: none. Where the peer is told more, that is left in coap.sent. */
uint8_t ps_bench_ask(struct ps_bench *bench, const struct ask *ask);
uint8_t ps_bench_put(struct ps_bench *bench, const char *uri, const char *text);
uint8_t ps_bench_observe(struct ps_bench *bench, const char *uri, const char *token,
                         uint8_t observe);
/* An option of the last answer; NULL: it has none. */
const struct message_option *ps_bench_option(const struct ps_bench *bench, uint16_t number);
/* Another worker does so. */
void ps_bench_change(struct ps_bench *bench, const char *name, const char *text);
/* Time passes. */
void ps_bench_pass(struct ps_bench *bench, uint64_t ms);
/* The only message to the peer since the last time: as ps_bench_ask shows an answer. */
void ps_bench_told(struct ps_bench *bench);
/* The peer acknowledges that, or resets it. */
void ps_bench_settle(struct ps_bench *bench, enum message_type type);

#endif
