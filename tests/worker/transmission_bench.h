/* Messages of ours for tests: peers that are names only, a clock, and what happened in order. */
#ifndef HOLDFAST_TESTS_WORKER_TRANSMISSION_BENCH_H
#define HOLDFAST_TESTS_WORKER_TRANSMISSION_BENCH_H

#include "worker/message.h"
#include "worker/metrics.h"
#include "worker/session.h"
#include "worker/transmission.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TRANSMISSION_BENCH_PEERS_MAX 3
#define TRANSMISSION_BENCH_SHORTS_MAX 16
#define TRANSMISSION_BENCH_LONGS_MAX 2
#define TRANSMISSION_BENCH_LOG_MAX 4096

/* What happened, in order: ">7" message 7 was sent, "A7" "R7" "T7" "O7" "C7" it is settled
 * (acknowledged, reset, timed out, outdated, cancelled), "!7" it was refused. */
struct transmission_bench {
    struct metrics metrics;
    struct transmissions transmissions;
    struct session sessions[TRANSMISSION_BENCH_PEERS_MAX + 1];
    struct coap_peer peers[TRANSMISSION_BENCH_PEERS_MAX + 1];
    enum transmission_kind kind;
    uint16_t renewed_id; /* of what goes in the place of the next repetition; 0: nothing does */
    size_t renewed_length;
    bool is_renewed; /* the last one had room */
    uint64_t now_ms;
    uint64_t sent_ms[16]; /* of each message sent */
    size_t sent_count;
    size_t sent_length; /* of the last one */
    char log[TRANSMISSION_BENCH_LOG_MAX];
    size_t log_length;
};

void transmission_bench_open(struct transmission_bench *bench, uint64_t seed,
                             uint8_t max_retransmit);
void transmission_bench_close(struct transmission_bench *bench);
void transmission_bench_forget_log(struct transmission_bench *bench);

/* As the loop does: never late. */
void transmission_bench_pass(struct transmission_bench *bench, uint64_t ms);
/* Of bench->kind, with the key 1000 + id; what is refused is in the log. */
enum transmission_start transmission_bench_send(struct transmission_bench *bench,
                                                const struct coap_peer *peer,
                                                enum message_type type, uint16_t id,
                                                size_t payload_length);
void transmission_bench_answer(struct transmission_bench *bench, const struct coap_peer *peer,
                               uint16_t id, enum transmission_outcome outcome,
                               const struct octets *token);
/* A script: sN sends a confirmable, nN a non-confirmable message N; aN and rN are the peer's empty
 * ACK and RST, pN and wN a response in an ACK with the right and a wrong token, oN the ACK of
 * another peer; yN has the next repetition be another message, N; xN cancels N, f forgets the
 * session, +MS lets time pass. */
void transmission_bench_play(struct transmission_bench *bench, const char *script);

#endif
