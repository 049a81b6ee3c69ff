/* Several processes on one store, their deaths, and no room. */
#include <criterion/criterion.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include <lmdb.h>

#include "store_contract.h"
#include "store_folder.h"

#define LEASES_EACH 2000

static void begin(struct store_contract *contract)
{
    contract->state = store_folder_new();
    (void)snprintf(contract->url, sizeof contract->url, "lmdb:%s/store", (char *)contract->state);
}

static void end(struct store_contract *contract)
{
    store_folder_free(contract->state);
}

static const struct store_contract_engine engine = {
    .name = "lmdb", .is_shared = true, .has_fake_clock = true, .begin = begin, .end = end};

#define LMDB_TEST(name)                                \
    static void name(struct store_contract *contract); \
    Test(store_lmdb_faults, name)                      \
    {                                                  \
        struct store_contract contract;                \
        store_contract_begin(&contract, &engine);      \
        name(&contract);                               \
        store_contract_end(&contract);                 \
    }                                                  \
    static void name(struct store_contract *contract)

/* --- processes --- */

struct child {
    pid_t pid;
    int leases; /* read end: the first number of each block that it was given */
};

struct leaser {
    int leases;
    uint64_t fence;
    size_t given;
};

static void report(void *owner, const struct store_answer *answer)
{
    struct leaser *leaser = owner;
    if (answer->outcome != STORE_OK || answer->count != SEQUENCE_LEASE)
        _exit(3);
    if (write(leaser->leases, &answer->first, sizeof answer->first) !=
        (ssize_t)sizeof answer->first)
        _exit(4);
    leaser->given++;
}

/* What a child does: leases one after the other, under a fence that all of them share. */
static void lease(const struct store_contract *contract, int leases, size_t count)
{
    const struct store_options options = {
        .url = contract->url, .session_ttl_s = 3600, .member_ttl_ms = 1000};
    char why[512];
    struct store *store = NULL;
    struct leaser leaser = {.leases = leases, .fence = 1};
    if (store_open(&store, &options, why, sizeof why) != STATUS_OK)
        _exit(2);
    struct store_waiter waiter = {.answer = report, .owner = &leaser, .subject = {3, "abc"}};
    while (leaser.given < count) {
        if (store_lease_sequences(store, leaser.fence, &waiter) != STATUS_OK)
            _exit(5);
        (void)store_run(store, contract->now_ms);
    }
    store_free(store);
}

static struct child start(const struct store_contract *contract, size_t count)
{
    int ends[2];
    cr_assert_eq(pipe(ends), 0);
    struct child child = {.pid = fork(), .leases = ends[0]};
    cr_assert_geq(child.pid, 0);
    if (child.pid == 0) {
        (void)close(ends[0]);
        lease(contract, ends[1], count);
        _exit(0);
    }
    (void)close(ends[1]);
    return child;
}

/* The next block that a child was given; false when it has ended. */
static bool next_block(const struct child *child, uint64_t *first)
{
    return read(child->leases, first, sizeof *first) == (ssize_t)sizeof *first;
}

static int finish(const struct child *child)
{
    int status = 0;
    (void)close(child->leases);
    cr_assert_eq(waitpid(child->pid, &status, 0), child->pid);
    return status;
}

/* Marks a block as given; no block is given twice. */
static void give(bool *given, size_t blocks, uint64_t first)
{
    cr_assert_eq((first - SEQUENCE_HANDSHAKE_RESERVED) % SEQUENCE_LEASE, 0u);
    uint64_t block = (first - SEQUENCE_HANDSHAKE_RESERVED) / SEQUENCE_LEASE;
    cr_assert_lt(block, blocks);
    cr_assert_not(given[block], "block %llu was given twice", (unsigned long long)block);
    given[block] = true;
}

/* The parent opens the store only while no child runs: a lock of LMDB's is its process's. */
static void create_session(struct store_contract *contract)
{
    struct store *store = contract_open(contract);
    cr_assert_eq(contract_create(contract, store, "abc", "keys", "mark", NULL)->outcome, STORE_OK);
    cr_assert_eq(contract->seen[0].fence, 1u);
    contract_close(contract, store);
}

LMDB_TEST(two_processes_share_the_leases)
{
    enum { BLOCKS = 1 + 2 * LEASES_EACH };
    static bool given[BLOCKS] = {true};
    create_session(contract);
    struct child children[2] = {start(contract, LEASES_EACH), start(contract, LEASES_EACH)};
    uint64_t first = 0;
    for (int i = 0; i < 2; i++) {
        while (next_block(&children[i], &first))
            give(given, BLOCKS, first);
        int status = finish(&children[i]);
        cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0, "status %#x", (unsigned)status);
    }
    for (size_t i = 0; i < BLOCKS; i++)
        cr_assert(given[i], "block %zu was given to nobody", i);
}

LMDB_TEST(one_of_two_is_killed)
{
    enum { BLOCKS = 1 + 200000 };
    static bool given[BLOCKS] = {true};
    create_session(contract);
    struct child killed = start(contract, BLOCKS);
    struct child other = start(contract, LEASES_EACH);
    uint64_t first = 0;
    for (int i = 0; i < 500; i++) {
        cr_assert(next_block(&killed, &first));
        give(given, BLOCKS, first);
    }
    cr_assert_eq(kill(killed.pid, SIGKILL), 0);
    while (next_block(&killed, &first))
        give(given, BLOCKS, first);
    cr_assert(WIFSIGNALED(finish(&killed)));
    while (next_block(&other, &first))
        give(given, BLOCKS, first);
    int status = finish(&other);
    cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0, "status %#x", (unsigned)status);
}

/* The lock is held by nobody any more, and what the dead one wrote was never there. */
LMDB_TEST(one_dies_in_the_midst_of_a_transaction)
{
    create_session(contract);
    pid_t pid = fork();
    cr_assert_geq(pid, 0);
    if (pid == 0) {
        store_folder_die_writing(contract->state, "sessions");
        _exit(9);
    }
    int status = 0;
    cr_assert_eq(waitpid(pid, &status, 0), pid);
    cr_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);

    struct child child = start(contract, 1);
    uint64_t first = 0;
    cr_assert(next_block(&child, &first));
    cr_assert_eq(first, SEQUENCE_HANDSHAKE_RESERVED + SEQUENCE_LEASE);
    cr_assert_eq(finish(&child), 0);
}

/* One that lives has the store open when another dies in a transaction. */
LMDB_TEST(the_living_go_on_when_one_dies_in_a_transaction)
{
    create_session(contract);
    struct child living = start(contract, LEASES_EACH);
    for (int i = 0; i < 5; i++) {
        pid_t pid = fork();
        cr_assert_geq(pid, 0);
        if (pid == 0)
            store_folder_die_writing(contract->state, "sessions");
        cr_assert_eq(waitpid(pid, NULL, 0), pid);
    }
    uint64_t first = 0;
    size_t blocks = 0;
    while (next_block(&living, &first))
        blocks++;
    cr_assert_eq(finish(&living), 0);
    cr_assert_eq(blocks, (size_t)LEASES_EACH);
}

LMDB_TEST(dead_readers_do_not_hold_pages)
{
    create_session(contract);
    pid_t pid = fork();
    cr_assert_geq(pid, 0);
    if (pid == 0)
        store_folder_die_reading(contract->state, "sessions");
    cr_assert_eq(waitpid(pid, NULL, 0), pid);
    (void)snprintf(contract->url, sizeof contract->url, "lmdb:%s/store?size=4M",
                   (char *)contract->state);
    struct store *store = contract_open(contract);
    uint64_t fence = contract_create(contract, store, "x", "keys", "", NULL)->fence;
    for (int i = 0; i < 5000; i++)
        cr_assert_eq(contract_lease(contract, store, "x", fence)->outcome, STORE_OK);
    cr_assert_null(store_trouble(store));
}

/* --- no room --- */

/* Creates up to `max` sessions from number `from` on until one is not taken. Returns how many. */
static size_t fill_up_to(struct store_contract *contract, struct store *store, size_t from,
                         size_t max)
{
    static const uint8_t sealed[STORE_SEALED_MAX] = {1};
    const struct store_session session = {{sealed, sizeof sealed}, {sealed, STORE_MARK_MAX}, NULL};
    for (size_t i = from; i < from + max; i++) {
        char cid[32];
        (void)snprintf(cid, sizeof cid, "fill %zu", i);
        contract->seen_count = 0;
        struct store_waiter waiter = contract_waiter(contract, cid);
        contract_asked(contract, store_create_session(store, &session, &waiter));
        if (i % 50 > 0)
            continue;
        contract_settle(contract);
        contract_pass(contract, 1);
        for (size_t seen = 0; seen < contract->seen_count; seen++) {
            if (contract->seen[seen].outcome == STORE_UNAVAILABLE)
                return i - from;
            cr_assert_eq(contract->seen[seen].outcome, STORE_OK);
        }
    }
    contract_settle(contract);
    return max;
}

static size_t fill(struct store_contract *contract, struct store *store, size_t from)
{
    size_t filled = fill_up_to(contract, store, from, 1000000);
    cr_assert_lt(filled, 1000000u);
    return filled;
}

static void check_trouble(struct store *store, const char *wanted)
{
    const char *trouble = store_trouble(store);
    cr_assert_not_null(trouble, "no trouble, where \"%s\" was wanted", wanted);
    cr_assert_str_eq(trouble, wanted);
}

/* Passes time until trouble is over. */
static void recover(struct store_contract *contract, struct store *store)
{
    for (int i = 0; i < 60 && store_trouble(store); i++) {
        contract_pass(contract, 1000);
        (void)store_run(store, contract->now_ms);
    }
    cr_assert_null(store_trouble(store), "%s", store_trouble(store));
}

LMDB_TEST(a_full_map_refuses_and_recovers)
{
    strncat(contract->url, "?size=4M", sizeof contract->url - strlen(contract->url) - 1);
    struct store *store = contract_open(contract);
    uint64_t fence = contract_create(contract, store, "abc", "keys", "mark", NULL)->fence;
    size_t filled = fill(contract, store, 1);
    cr_assert_gt(filled, 1000u);
    check_trouble(store, "lmdb: map full");
    cr_assert_eq(contract_lease(contract, store, "abc", fence)->outcome, STORE_OK);

    cr_assert_eq(contract_create(contract, store, "new", "k", "m", NULL)->outcome,
                 STORE_UNAVAILABLE);
    cr_assert_eq(contract_exchange(contract, store, "abc", fence, 0, "x", "e")->outcome,
                 STORE_UNAVAILABLE);
    cr_assert_eq(contract_mark(contract, store, "abc", fence, "still")->outcome, STORE_OK);
    cr_assert_eq(contract_claim(contract, store, "abc")->outcome, STORE_OK);

    recover(contract, store); /* what fills it expires */
    cr_assert_eq(contract_create(contract, store, "new", "k", "m", NULL)->outcome, STORE_OK);
    for (int i = 0; i < 200; i++) {
        contract_pass(contract, 50);
        (void)store_run(store, contract->now_ms);
    }
    cr_assert_gt(fill(contract, store, 100000), filled / 2);
}

/* Someone else restarts with a larger map; who still has the smaller one goes on with it. */
LMDB_TEST(a_larger_map_is_taken_over)
{
    size_t bare = strlen(contract->url);
    strncat(contract->url, "?size=4M", sizeof contract->url - bare - 1);
    struct store *store = contract_open(contract);
    size_t filled = fill(contract, store, 1);
    contract->url[bare] = '\0';
    strncat(contract->url, "?size=64M", sizeof contract->url - bare - 1);
    struct store *other = contract_open(contract);
    cr_assert_eq(contract_create(contract, other, "new", "k", "m", NULL)->outcome, STORE_OK);
    for (size_t i = 0; i < 10; i++)
        cr_assert_eq(contract_put_identity(contract, other, "sensor", "sealed")->outcome, STORE_OK);
    contract_pass(contract, 900);
    (void)store_run(store, contract->now_ms);
    contract_pass(contract, 1001);
    (void)store_run(store, contract->now_ms);
    cr_assert_null(store_trouble(store), "%s", store_trouble(store));
    cr_assert_gt(fill(contract, other, 200000), 2 * filled);
    cr_assert_eq(contract_fetch_identity(contract, store, "sensor")->outcome, STORE_OK);
}

LMDB_TEST(the_log_makes_room_for_itself)
{
    static const uint8_t bytes[STORE_EVENT_MAX] = {1};
    strncat(contract->url, "?size=8M", sizeof contract->url - strlen(contract->url) - 1);
    struct store *store = contract_open(contract);
    uint64_t fence = contract_create(contract, store, "abc", "keys", "mark", NULL)->fence;
    for (int i = 0; i < 10000; i++) {
        const uint8_t value[] = {0, 0, 0, (uint8_t)(i >> 8), (uint8_t)i};
        const struct store_exchange exchange = {.value = {value, sizeof value}};
        struct store_waiter waiter = contract_waiter(contract, "abc");
        contract->seen_count = 0;
        contract_asked(contract,
                       store_save_exchange(store, fence, &exchange,
                                           (struct octets){bytes, sizeof bytes}, &waiter));
        if (i % 40 == 0)
            contract_settle(contract);
        for (size_t seen = 0; seen < contract->seen_count; seen++)
            cr_assert_eq(contract->seen[seen].outcome, STORE_OK);
    }
    contract_settle(contract);
    cr_assert_null(store_trouble(store));
    cr_assert_eq(contract_counted(contract, METRIC_STORE_EVENTS), 10000u);
    uint64_t dropped = contract_counted(contract, METRIC_STORE_EVENTS_DROPPED);
    size_t kept = store_folder_count(contract->state, "log");
    cr_assert_eq(kept + dropped, 10000u);
    cr_assert_gt(kept, 1000u);
}

/* Long events fill pages that follow each other, which short ones that go do not leave: whatever
 * the mixture, none is refused. */
LMDB_TEST(the_log_makes_room_for_long_events)
{
    static const uint8_t bytes[STORE_LONG_EVENT_MAX] = {1};
    const struct store_relation relation = {0, contract_octets("observes")};
    strncat(contract->url, "?size=8M", sizeof contract->url - strlen(contract->url) - 1);
    struct store *store = contract_open(contract);
    uint64_t fence = contract_create(contract, store, "abc", "keys", "mark", NULL)->fence;
    const size_t events = 60000;
    uint32_t random = 1;
    for (size_t i = 0; i < events; i++) {
        random = random * 1664525 + 1013904223;
        /* Short ones until the log is full of them, then more and more long ones. */
        bool is_long = i > events / 2 && (random >> 8) % events < 2 * (i - events / 2);
        const size_t length = is_long ? (random >> 16) % STORE_LONG_EVENT_MAX + 1 : 120;
        struct store_waiter waiter = contract_waiter(contract, "abc");
        contract_asked(contract, store_save_relation(store, fence, &relation,
                                                     (struct octets){bytes, length}, &waiter));
        if (random >> 28 != 0 && i + 1 < events)
            continue;
        contract->seen_count = 0;
        contract_settle(contract);
        for (size_t seen = 0; seen < contract->seen_count; seen++)
            cr_assert_eq(contract->seen[seen].outcome, STORE_OK, "event %zu", i);
    }
    cr_assert_null(store_trouble(store));
    cr_assert_eq(contract_counted(contract, METRIC_STORE_EVENTS), events);
    cr_assert_gt(contract_counted(contract, METRIC_STORE_EVENTS_DROPPED), events / 2);
    cr_assert_gt(store_folder_count(contract->state, "log"), 200u);
}

/* A disk of its own, where this process may mount one. */
LMDB_TEST(a_full_disk_refuses_and_recovers)
{
    if (unshare(CLONE_NEWNS) != 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
        mount("none", contract->state, "tmpfs", 0, "size=2m") != 0)
        cr_skip("no mount for this user");
    struct store *store = contract_open(contract);
    uint64_t fence = contract_create(contract, store, "abc", "keys", "mark", NULL)->fence;
    size_t filled = fill(contract, store, 1);
    check_trouble(store, "lmdb: disk full");
    cr_assert_eq(contract_find(contract, store, &(struct address){.port = 1})->outcome,
                 STORE_NOT_FOUND);

    cr_assert_eq(mount("none", contract->state, "tmpfs", MS_REMOUNT, "size=64m"), 0);
    contract_pass(contract, 500);
    cr_assert_eq(contract_mark(contract, store, "abc", fence, "m")->outcome, STORE_OK);
    recover(contract, store);
    cr_assert_gt(fill_up_to(contract, store, 100000, 2 * filled), filled);
    contract_close(contract, store);
    cr_assert_eq(umount2(contract->state, MNT_DETACH), 0);
}
