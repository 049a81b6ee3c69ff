#include "tests/sim/store_link.h"

#include "tests/sim/sim.h"

#include <assert.h>
#include <stdlib.h>

/* How long an answer is waited for at least and at most, before it counts as lost. */
#define ANSWER_WAIT_LEAST_MS 100
#define ANSWER_WAIT_MOST_MS 1500
/* How long a connection is silent before its process knows that it is cut. */
#define TROUBLE_AFTER_MS 400

struct link {
    struct store store; /* first */
    struct sim *sim;
    size_t client;
    uint64_t life;
    struct question **ready;
    size_t ready_count;
};

static struct link *link_of(const struct store *store)
{
    return (struct link *)(uintptr_t)store;
}

/* --- asking --- */

/* The rule "commit" is broken: the asker hears at once what may never be. */
static void confirm_at_once(struct link *link, struct question *question)
{
    struct question *lie = question_new(question->kind, &question->waiter);
    lie->asker = link->life;
    steps_add(&link->sim->steps, link->sim->now_ms, STEP_STORE_ANSWER, link->client, NULL, 0)
        ->question = lie;
    question->waiter.answer = NULL;
}

static enum status ask(struct store *store, struct question *question)
{
    struct link *link = link_of(store);
    struct sim *sim = link->sim;
    question->asker = link->life;
    question->asked_ms = sim->now_ms;
    if (question->kind == STORE_SAVE_EXCHANGE && sim->backend.broken == RULE_COMMIT)
        confirm_at_once(link, question);
    if (question->kind == STORE_SAVE_MARK || question->third.length > 0)
        oracle_mark_asked(sim, link->life, &question->waiter.subject);
    uint64_t due_ms = weather_store_way(sim, &sim->weather.store_arrives_ms[link->client]);
    steps_add(&sim->steps, due_ms, STEP_STORE_QUESTION, link->client, NULL, 0)->question = question;
    return STATUS_OK;
}

static enum status fetch_identity(struct store *store, struct octets identity,
                                  const struct store_waiter *waiter)
{
    struct question *question = question_new(STORE_FETCH_IDENTITY, waiter);
    question->first = octets_copy(identity);
    return ask(store, question);
}

static enum status put_identity(struct store *store, struct octets identity, struct octets sealed,
                                const struct store_waiter *waiter)
{
    struct question *question = question_new(STORE_PUT_IDENTITY, waiter);
    question->first = octets_copy(identity);
    question->second = octets_copy(sealed);
    return ask(store, question);
}

static enum status create_session(struct store *store, const struct store_session *session,
                                  const struct store_waiter *waiter)
{
    struct question *question = question_new(STORE_CREATE_SESSION, waiter);
    question->first = octets_copy(session->sealed);
    question->second = octets_copy(session->mark);
    question->has_address = session->address != NULL;
    if (session->address)
        question->address = *session->address;
    return ask(store, question);
}

static enum status claim_session(struct store *store, uint16_t worker_id,
                                 const struct store_waiter *waiter)
{
    struct question *question = question_new(STORE_CLAIM_SESSION, waiter);
    question->worker_id = worker_id;
    return ask(store, question);
}

static enum status find_session(struct store *store, const struct address *address,
                                const struct store_waiter *waiter)
{
    struct question *question = question_new(STORE_FIND_SESSION, waiter);
    question->has_address = true;
    question->address = *address;
    return ask(store, question);
}

static enum status ask_with_fence(struct store *store, enum store_question_kind kind,
                                  uint64_t fence, const struct store_waiter *waiter)
{
    struct question *question = question_new(kind, waiter);
    question->fence = fence;
    return ask(store, question);
}

static enum status lease_sequences(struct store *store, uint64_t fence,
                                   const struct store_waiter *waiter)
{
    return ask_with_fence(store, STORE_LEASE_SEQUENCES, fence, waiter);
}

static enum status remove_session(struct store *store, uint64_t fence,
                                  const struct store_waiter *waiter)
{
    return ask_with_fence(store, STORE_REMOVE_SESSION, fence, waiter);
}

static enum status save_mark(struct store *store, uint64_t fence, struct octets mark,
                             const struct store_waiter *waiter)
{
    struct question *question = question_new(STORE_SAVE_MARK, waiter);
    question->fence = fence;
    question->first = octets_copy(mark);
    return ask(store, question);
}

static enum status save_exchange(struct store *store, uint64_t fence,
                                 const struct store_exchange *exchange, struct octets event,
                                 const struct store_waiter *waiter)
{
    struct question *question = question_new(STORE_SAVE_EXCHANGE, waiter);
    question->fence = fence;
    question->slot = exchange->slot;
    question->first = octets_copy(exchange->value);
    question->second = octets_copy(event);
    question->third = octets_copy(exchange->mark);
    return ask(store, question);
}

static enum status save_relation(struct store *store, uint64_t fence,
                                 const struct store_relation *relation, struct octets event,
                                 const struct store_waiter *waiter)
{
    struct question *question = question_new(STORE_SAVE_RELATION, waiter);
    question->fence = fence;
    question->slot = relation->slot;
    question->first = octets_copy(relation->value);
    question->second = octets_copy(event);
    return ask(store, question);
}

static enum status list_obliged(struct store *store, uint8_t page, uint64_t from,
                                const struct store_waiter *waiter)
{
    struct question *question = question_new(STORE_LIST_OBLIGED, waiter);
    question->page = page;
    question->from = from;
    return ask(store, question);
}

static enum status lease_nonces(struct store *store, uint8_t cid_config,
                                const struct store_waiter *waiter)
{
    struct question *question = question_new(STORE_LEASE_NONCES, waiter);
    question->cid_config = cid_config;
    return ask(store, question);
}

static enum status ask_of_member(struct store *store, enum store_question_kind kind,
                                 const struct store_member *member,
                                 const struct store_waiter *waiter)
{
    struct question *question = question_new(kind, waiter);
    question->member = *member;
    return ask(store, question);
}

static enum status join(struct store *store, const struct store_member *member,
                        const struct store_waiter *waiter)
{
    return ask_of_member(store, STORE_JOIN, member, waiter);
}

static enum status beat(struct store *store, const struct store_member *member,
                        const struct store_waiter *waiter)
{
    return ask_of_member(store, STORE_BEAT, member, waiter);
}

static enum status leave(struct store *store, const struct store_member *member,
                         const struct store_waiter *waiter)
{
    return ask_of_member(store, STORE_LEAVE, member, waiter);
}

static enum status list_members(struct store *store, const struct store_waiter *waiter)
{
    return ask(store, question_new(STORE_LIST_MEMBERS, waiter));
}

static enum status put_topic(struct store *store, struct octets name, enum store_topic_mode mode,
                             struct octets value, const struct store_waiter *waiter)
{
    struct question *question = question_new(STORE_PUT_TOPIC, waiter);
    question->mode = mode;
    question->first = octets_copy(name);
    question->second = octets_copy(value);
    return ask(store, question);
}

static enum status ask_of_topic(struct store *store, enum store_question_kind kind,
                                struct octets name, const struct store_waiter *waiter)
{
    struct question *question = question_new(kind, waiter);
    question->first = octets_copy(name);
    return ask(store, question);
}

static enum status get_topic(struct store *store, struct octets name,
                             const struct store_waiter *waiter)
{
    return ask_of_topic(store, STORE_GET_TOPIC, name, waiter);
}

static enum status remove_topic(struct store *store, struct octets name,
                                const struct store_waiter *waiter)
{
    return ask_of_topic(store, STORE_REMOVE_TOPIC, name, waiter);
}

static enum status list_topics(struct store *store, struct octets after,
                               const struct store_waiter *waiter)
{
    return ask_of_topic(store, STORE_LIST_TOPICS, after, waiter);
}

static enum status list_changes(struct store *store, uint64_t after,
                                const struct store_waiter *waiter)
{
    struct question *question = question_new(STORE_LIST_CHANGES, waiter);
    question->from = after;
    return ask(store, question);
}

/* --- on the way --- */

void store_link_arrive(struct sim *sim, struct step *step)
{
    struct question *question = step->question;
    size_t client = step->to;
    bool is_cut = weather_store_is_cut(sim, client);
    bool is_doubtful = !is_cut && draw_chance(&sim->net, sim->weather.store_doubt);
    question->was_done = !is_cut && !(is_doubtful && draw_chance(&sim->net, 500));
    sim->backend.now_ms = sim->now_ms;
    if (question->was_done) {
        backend_carry_out(&sim->backend, question);
        oracle_carried_out(sim, question);
    }
    trace_line(&sim->trace, sim->now_ms, "store: %s of %zu %s outcome=%d%s",
               question_name(question), client, sim_name(&question->waiter.subject),
               question->was_done ? (int)question->answer.outcome : -1,
               is_doubtful ? " (answer lost)" : "");
    uint64_t *arrives_ms = &sim->weather.answer_arrives_ms[client];
    uint64_t due_ms = weather_store_way(sim, arrives_ms);
    if (is_cut || is_doubtful) {
        question_lose_answer(question);
        uint64_t given_up_ms =
            question->asked_ms + draw_between(&sim->net, ANSWER_WAIT_LEAST_MS, ANSWER_WAIT_MOST_MS);
        if (given_up_ms > due_ms)
            *arrives_ms = due_ms = given_up_ms;
    }
    steps_add(&sim->steps, due_ms, STEP_STORE_ANSWER, client, NULL, 0)->question = question;
    step->question = NULL;
}

void store_link_answer(struct sim *sim, struct store *store, struct step *step)
{
    struct question *question = step->question;
    if (!store || link_of(store)->life != question->asker)
        return;
    struct link *link = link_of(store);
    if (weather_store_is_cut(sim, link->client) && question->answer.outcome != STORE_UNAVAILABLE)
        question_lose_answer(question);
    link->ready = realloc(link->ready, (link->ready_count + 1) * sizeof(struct question *));
    assert(link->ready);
    link->ready[link->ready_count++] = question;
    step->question = NULL;
}

/* --- turns --- */

static size_t run(struct store *store, uint64_t now_ms)
{
    (void)now_ms;
    struct link *link = link_of(store);
    struct question **ready = link->ready;
    size_t count = link->ready_count;
    link->ready = NULL;
    link->ready_count = 0;
    for (size_t i = 0; i < count; i++) {
        struct question *question = ready[i];
        question->answer.subject = question->waiter.subject;
        question->answer.tag = question->waiter.tag;
        if (question->waiter.answer)
            question->waiter.answer(question->waiter.owner, &question->answer);
        question_free(question);
    }
    free(ready);
    return count;
}

static uint64_t next_ms(const struct store *store)
{
    return link_of(store)->ready_count > 0 ? 0 : UINT64_MAX;
}

static const char *trouble(const struct store *store)
{
    const struct link *link = link_of(store);
    uint64_t since_ms = weather_store_cut_ms(link->sim, link->client);
    return since_ms > TROUBLE_AFTER_MS ? "sim: no answer" : NULL;
}

static void link_free(struct store *store)
{
    struct link *link = link_of(store);
    for (size_t i = 0; i < link->ready_count; i++)
        question_free(link->ready[i]);
    free(link->ready);
    free(link);
}

static const struct store_engine engine = {
    .name = "sim",
    .fetch_identity = fetch_identity,
    .put_identity = put_identity,
    .create_session = create_session,
    .claim_session = claim_session,
    .find_session = find_session,
    .lease_sequences = lease_sequences,
    .save_mark = save_mark,
    .save_exchange = save_exchange,
    .save_relation = save_relation,
    .remove_session = remove_session,
    .list_obliged = list_obliged,
    .lease_nonces = lease_nonces,
    .join = join,
    .beat = beat,
    .leave = leave,
    .list_members = list_members,
    .put_topic = put_topic,
    .get_topic = get_topic,
    .remove_topic = remove_topic,
    .list_topics = list_topics,
    .list_changes = list_changes,
    .run = run,
    .next_ms = next_ms,
    .trouble = trouble,
    .free = link_free,
};

struct store *store_link_new(struct sim *sim, size_t client, uint64_t life)
{
    struct link *link = calloc(1, sizeof(*link));
    assert(link);
    *link = (struct link){.store = {&engine}, .sim = sim, .client = client, .life = life};
    return &link->store;
}
