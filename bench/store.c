/* holdfast-store: what a store's questions cost. README.md says how to read it.
 *
 *     holdfast-store URL SESSIONS PHASE...
 *
 * Each phase asks one question for each session, many at a time, and prints how many a second were
 * answered. Sessions are the same in each run, so that phases may be spread over several. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/clock.h"
#include "shared/io.h"
#include "shared/store.h"

#define IN_FLIGHT_MAX 4096
#define SESSIONS_MOST 4000000
#define CID_SIZE 8
#define SEALED_SIZE 130
#define MARK_SIZE 48
#define RELATION_SIZE 60 /* of an observer: 26, a token of 4, a path of 30 (relation_value.h) */
#define EVENT_SIZE 120

struct load {
    struct io *io;
    struct store *store;
    uint64_t *fences; /* of each session, as its last claim said */
    size_t sessions;
    size_t asked;
    size_t answered;
    size_t outcomes[STORE_UNAVAILABLE + 1];
    uint64_t listed;
};

static uint8_t octets_of_ones[512];

static _Noreturn void fail(const char *what)
{
    fprintf(stderr, "holdfast-store: %s\n", what);
    exit(EXIT_FAILURE);
}

static struct octets ones(size_t length)
{
    return (struct octets){octets_of_ones, length};
}

static void take_answer(void *owner, const struct store_answer *answer)
{
    struct load *load = owner;
    load->answered++;
    load->outcomes[answer->outcome]++;
    if (answer->fence > 0)
        load->fences[answer->tag] = answer->fence;
}

static void take_list(void *owner, const struct store_answer *answer)
{
    struct load *load = owner;
    load->answered++;
    load->outcomes[answer->outcome]++;
    load->listed += answer->count;
}

/* CIDs look random, as real ones do: an odd factor makes each number another one. */
static struct store_waiter waiter_of(struct load *load, size_t session)
{
    struct store_waiter waiter = {.answer = take_answer, .owner = load, .tag = session};
    uint64_t spread = (session + 1) * UINT64_C(0x9e3779b97f4a7c15);
    waiter.subject.length = CID_SIZE;
    for (size_t i = 0; i < CID_SIZE; i++)
        waiter.subject.bytes[i] = (uint8_t)(spread >> (8 * i));
    return waiter;
}

/* --- phases --- */

static enum status create(struct load *load, size_t session)
{
    const struct store_session created = {ones(SEALED_SIZE), ones(MARK_SIZE), NULL};
    struct store_waiter waiter = waiter_of(load, session);
    return store_create_session(load->store, &created, &waiter);
}

static enum status claim(struct load *load, size_t session)
{
    struct store_waiter waiter = waiter_of(load, session);
    return store_claim_session(load->store, 1, &waiter);
}

static enum status mark(struct load *load, size_t session)
{
    struct store_waiter waiter = waiter_of(load, session);
    return store_save_mark(load->store, load->fences[session], ones(MARK_SIZE), &waiter);
}

static enum status relate(struct load *load, size_t session)
{
    const struct store_relation relation = {0, ones(RELATION_SIZE)};
    struct store_waiter waiter = waiter_of(load, session);
    return store_save_relation(load->store, load->fences[session], &relation, ones(0), &waiter);
}

static enum status notify(struct load *load, size_t session)
{
    const struct store_relation relation = {0, ones(RELATION_SIZE)};
    struct store_waiter waiter = waiter_of(load, session);
    return store_save_relation(load->store, load->fences[session], &relation, ones(EVENT_SIZE),
                               &waiter);
}

/* The first part of each page, once. */
static enum status list(struct load *load, size_t session)
{
    const struct store_waiter waiter = {.answer = take_list, .owner = load};
    return store_list_obliged(load->store, (uint8_t)session, 0, &waiter);
}

static enum status drop(struct load *load, size_t session)
{
    struct store_waiter waiter = waiter_of(load, session);
    return store_remove_session(load->store, load->fences[session], &waiter);
}

static enum status put_topic(struct load *load, size_t session)
{
    char name[32];
    struct store_waiter waiter = waiter_of(load, session);
    int length = snprintf(name, sizeof name, "topic-%zu", session % TOPICS_MAX);
    const struct octets octets = {(const uint8_t *)name, (size_t)length};
    return store_put_topic(load->store, octets, STORE_TOPIC_EITHER, ones(32), &waiter);
}

static const struct phase {
    const char *name;
    enum status (*ask)(struct load *load, size_t session);
    bool is_of_pages;
} phases[] = {
    {"create", create, false},   {"claim", claim, false},   {"mark", mark, false},
    {"relate", relate, false},   {"notify", notify, false}, {"list", list, true},
    {"topic", put_topic, false}, {"remove", drop, false},
};

static void turn(struct load *load)
{
    (void)store_run(load->store, io_now_ms(load->io));
    if (load->asked > 0 && load->answered == load->asked)
        return; /* nothing to wait for */
    uint64_t next_ms = store_next_ms(load->store);
    uint64_t latest_ms = io_now_ms(load->io) + 100;
    if (io_turn(load->io, next_ms < latest_ms ? next_ms : latest_ms) != STATUS_OK)
        fail("the loop failed");
}

static void run(struct load *load, const struct phase *phase)
{
    size_t count = phase->is_of_pages ? STORE_OBLIGED_PAGES : load->sessions;
    load->asked = load->answered = 0;
    load->listed = 0;
    memset(load->outcomes, 0, sizeof load->outcomes);
    uint64_t start_ns = clock_now_ns();
    while (load->answered < count) {
        while (load->asked < count && load->asked - load->answered < IN_FLIGHT_MAX) {
            if (phase->ask(load, load->asked) != STATUS_OK)
                fail("a question was refused");
            load->asked++;
        }
        turn(load);
    }
    double seconds = (double)(clock_now_ns() - start_ns) / 1e9;
    printf("%s %.0f per_second, %zu ok, %zu not\n", phase->name, (double)count / seconds,
           load->outcomes[STORE_OK], count - load->outcomes[STORE_OK]);
    if (phase->is_of_pages)
        printf("listed %llu sessions\n", (unsigned long long)load->listed);
}

static const struct phase *phase_named(const char *name)
{
    for (size_t i = 0; i < sizeof phases / sizeof phases[0]; i++)
        if (strcmp(phases[i].name, name) == 0)
            return &phases[i];
    return NULL;
}

int main(int argc, char **argv)
{
    struct load load = {0};
    char why[256] = "usage: holdfast-store URL SESSIONS PHASE...";
    if (argc < 4)
        fail(why);
    load.sessions = strtoull(argv[2], NULL, 10);
    if (load.sessions == 0 || load.sessions > SESSIONS_MOST)
        fail("SESSIONS: a number from 1 to 4000000");
    for (int i = 3; i < argc; i++)
        if (!phase_named(argv[i]))
            fail("PHASE: create, claim, mark, relate, notify, list, topic or remove");
    load.fences = malloc(load.sessions * sizeof *load.fences);
    if (!load.fences || io_new(&load.io, IO_AUTO) != STATUS_OK)
        fail("out of memory");
    for (size_t i = 0; i < load.sessions; i++)
        load.fences[i] = 1;
    const struct store_options options = {.url = argv[1],
                                          .io = load.io,
                                          .session_ttl_s = SESSION_TTL_S,
                                          .member_ttl_ms = MEMBER_TTL_MS};
    if (store_open(&load.store, &options, why, sizeof why) != STATUS_OK)
        fail(why);
    for (int tries = 0; store_trouble(load.store) && tries < 50; tries++)
        turn(&load);
    if (store_trouble(load.store))
        fail(store_trouble(load.store));
    memset(octets_of_ones, 1, sizeof octets_of_ones);
    for (int i = 3; i < argc; i++)
        run(&load, phase_named(argv[i]));
    store_free(load.store);
    io_free(load.io);
    free(load.fences);
    return EXIT_SUCCESS;
}
