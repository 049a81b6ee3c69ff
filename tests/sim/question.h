/* A question to the store and its answer, each with what it points to, on their way. */
#ifndef HOLDFAST_TESTS_SIM_QUESTION_H
#define HOLDFAST_TESTS_SIM_QUESTION_H

#include "shared/store_batch.h"

struct question {
    uint64_t asker; /* the life that asked: an answer to a former life goes nowhere */
    bool was_done;  /* the store has carried it out */
    uint64_t asked_ms;
    enum store_question_kind kind;
    struct store_waiter waiter;
    uint64_t fence;
    uint16_t worker_id;
    uint8_t cid_config;
    uint8_t slot;
    uint8_t page;
    enum store_topic_mode mode;
    uint64_t from;
    bool has_address;
    struct address address;
    struct store_member member;
    struct octets first; /* as in struct store_question; owned, like all octets here */
    struct octets second;
    struct octets third;
    struct store_answer answer;
    struct store_exchange exchanges[COAP_EXCHANGES_PER_PEER_MAX];
    struct store_relation relations[RELATIONS_PER_SESSION_MAX];
    struct store_member *members;
};

struct question *question_new(enum store_question_kind kind, const struct store_waiter *waiter);
void question_free(struct question *question); /* NULL is allowed */

/* The asker will not hear what the store has said. */
void question_lose_answer(struct question *question);

/* A copy on the heap. */
struct octets octets_copy(struct octets octets);
void octets_free(struct octets *octets);

const char *question_name(const struct question *question);

#endif
