#include "tests/sim/question.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

struct octets octets_copy(struct octets octets)
{
    if (octets.length == 0)
        return (struct octets){0};
    uint8_t *bytes = malloc(octets.length);
    assert(bytes);
    memcpy(bytes, octets.bytes, octets.length);
    return (struct octets){bytes, octets.length};
}

void octets_free(struct octets *octets)
{
    free((void *)(uintptr_t)octets->bytes);
    *octets = (struct octets){0};
}

struct question *question_new(enum store_question_kind kind, const struct store_waiter *waiter)
{
    struct question *question = calloc(1, sizeof(*question));
    assert(question);
    question->kind = kind;
    question->waiter = *waiter;
    return question;
}

void question_lose_answer(struct question *question)
{
    octets_free(&question->answer.value);
    octets_free(&question->answer.mark);
    for (size_t i = 0; i < question->answer.exchange_count; i++)
        octets_free(&question->exchanges[i].value);
    for (size_t i = 0; i < question->answer.relation_count; i++)
        octets_free(&question->relations[i].value);
    free(question->members);
    question->members = NULL;
    question->answer = (struct store_answer){.outcome = STORE_UNAVAILABLE};
}

void question_free(struct question *question)
{
    if (!question)
        return;
    question_lose_answer(question);
    octets_free(&question->first);
    octets_free(&question->second);
    octets_free(&question->third);
    free(question);
}

const char *question_name(const struct question *question)
{
    switch (question->kind) {
    case STORE_FETCH_IDENTITY:
        return "fetch_identity";
    case STORE_PUT_IDENTITY:
        return "put_identity";
    case STORE_CREATE_SESSION:
        return "create_session";
    case STORE_CLAIM_SESSION:
        return "claim_session";
    case STORE_FIND_SESSION:
        return "find_session";
    case STORE_LEASE_SEQUENCES:
        return "lease_sequences";
    case STORE_SAVE_MARK:
        return "save_mark";
    case STORE_SAVE_EXCHANGE:
        return "save_exchange";
    case STORE_SAVE_RELATION:
        return "save_relation";
    case STORE_REMOVE_SESSION:
        return "remove_session";
    case STORE_LIST_OBLIGED:
        return "list_obliged";
    case STORE_LEASE_NONCES:
        return "lease_nonces";
    case STORE_JOIN:
        return "join";
    case STORE_BEAT:
        return "beat";
    case STORE_LEAVE:
        return "leave";
    case STORE_LIST_MEMBERS:
        return "list_members";
    case STORE_PUT_TOPIC:
        return "put_topic";
    case STORE_GET_TOPIC:
        return "get_topic";
    case STORE_REMOVE_TOPIC:
        return "remove_topic";
    case STORE_LIST_TOPICS:
        return "list_topics";
    case STORE_LIST_CHANGES:
        return "list_changes";
    }
    return "?";
}
