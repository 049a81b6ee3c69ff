/* The client role over a CoAP bench, with a device that the test plays and a store whose answers it
 * gives. */
#ifndef HOLDFAST_TESTS_WORKER_OBSERVATION_BENCH_H
#define HOLDFAST_TESTS_WORKER_OBSERVATION_BENCH_H

#include "tests/worker/coap_bench.h"
#include "worker/client.h"

enum { OBSERVATION_BENCH_SAVES = 256 };

/* A question to the store. */
struct observation_bench_save {
    struct store_waiter waiter;
    uint64_t fence;
    uint8_t slot;
    uint8_t value[STORE_RELATION_MAX];
    size_t length;
    size_t event_length;
};

struct observation_bench {
    struct coap_bench coap;
    struct client client;
    uint64_t now_ms;
    struct store store;
    struct observation_bench_save saves[OBSERVATION_BENCH_SAVES];
    size_t save_count;
    uint8_t event[STORE_LONG_EVENT_MAX]; /* the last */
    bool store_is_full;
    size_t lost;
    struct observation_waiter waiter; /* what it is told: */
    size_t told;
    struct observation_result result;
    uint8_t token[ERRAND_TOKEN_SIZE]; /* of the registration seen last */
};

void observation_bench_begin(struct observation_bench *bench);
void observation_bench_end(struct observation_bench *bench);
void observation_bench_pass(struct observation_bench *bench, uint64_t ms);
/* The store's answer to a question. */
void observation_bench_store(struct observation_bench *bench, size_t index,
                             enum store_outcome outcome);

enum status observation_bench_observe(struct observation_bench *bench, const char *target);
/* The registration that has just left; its message id. */
uint16_t observation_bench_registration(struct observation_bench *bench, uint32_t wanted);
/* A response with its token: Observe from 0 on, Max-Age from 0 on, or without. */
enum coap_outcome observation_bench_say(struct observation_bench *bench, enum message_type type,
                                        uint16_t id, uint8_t code, int64_t number, int64_t max_age,
                                        const char *payload);
/* Registered, and stored; the slot. */
uint8_t observation_bench_hold(struct observation_bench *bench, const char *target,
                               uint32_t number);

#endif
