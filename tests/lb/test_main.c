/* holdfast-lb as a process: start, serving, end. */
#include <criterion/criterion.h>

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "shared/http.h"
#include "shared/io.h"
#include "tests/lb/fake_worker.h"
#include "worker/member.h"

#define ARGUMENTS_MAX 32
#define WAIT_MAX_MS 20000
#define STOP_MAX_MS 2000

struct process {
    pid_t pid;
    int ready_fd;
    int error_fd; /* its stderr */
    struct address link, http, coaps, coap;
};

static char key_file[] = "/tmp/holdfast-lb-key-XXXXXX";
static struct cluster_key key;

static void set_up(void)
{
    int fd = mkstemp(key_file);
    cr_assert_geq(fd, 0);
    for (size_t i = 0; i < CLUSTER_KEY_SIZE; i++)
        cr_assert_eq(write(fd, "5a", 2), 2);
    close(fd);
    memset(&key, 0x5a, sizeof(key));
}

static void tear_down(void)
{
    unlink(key_file);
}

TestSuite(main, .init = set_up, .fini = tear_down);

static uint64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* The program stands beside the folder of the tests. */
static void find_program(char *path, size_t size)
{
    ssize_t length = readlink("/proc/self/exe", path, size - 1);
    cr_assert_gt(length, 0);
    path[length] = '\0';
    for (size_t i = 0; i < 2; i++)
        *strrchr(path, '/') = '\0';
    cr_assert_lt(strlen(path) + sizeof("/holdfast-lb"), size);
    strcat(path, "/holdfast-lb");
}

/* Runs it with these words as options; KEY stands for the key file. */
static struct process spawn(const char *line)
{
    static char path[4096], copy[1024], ready_text[16];
    char *arguments[ARGUMENTS_MAX] = {path};
    int count = 1, ready[2], error[2];
    char *state = NULL;

    find_program(path, sizeof(path));
    cr_assert_lt(strlen(line), sizeof(copy));
    strcpy(copy, line);
    for (char *word = strtok_r(copy, " ", &state); word; word = strtok_r(NULL, " ", &state)) {
        cr_assert_lt(count, ARGUMENTS_MAX - 4);
        arguments[count++] = strcmp(word, "KEY") == 0 ? key_file : word;
    }
    cr_assert_eq(pipe(ready), 0);
    cr_assert_eq(pipe(error), 0);
    (void)snprintf(ready_text, sizeof(ready_text), "%d", ready[1]);
    arguments[count++] = (char *)"--ready-fd";
    arguments[count++] = ready_text;
    struct process process = {.pid = fork(), .ready_fd = ready[0], .error_fd = error[0]};
    cr_assert_geq(process.pid, 0);
    if (process.pid == 0) {
        dup2(error[1], STDERR_FILENO);
        dup2(error[1], STDOUT_FILENO);
        close(ready[0]);
        close(error[0]);
        execv(path, arguments);
        _exit(127);
    }
    close(ready[1]);
    close(error[1]);
    return process;
}

static void read_all(int fd, char *text, size_t size)
{
    size_t length = 0;
    ssize_t n;
    while (length < size - 1 && (n = read(fd, text + length, size - 1 - length)) > 0)
        length += (size_t)n;
    text[length] = '\0';
}

static struct address value_of(const char *line, const char *name)
{
    char text[ADDRESS_TEXT_MAX] = "";
    struct address address;
    const char *at = strstr(line, name);
    cr_assert_not_null(at, "no %s in %s", name, line);
    cr_assert_eq(sscanf(at + strlen(name), "%55s", text), 1);
    cr_assert_eq(address_parse(&address, text), STATUS_OK, "%s", text);
    return address;
}

static void wait_ready(struct process *process)
{
    char line[1024];
    read_all(process->ready_fd, line, sizeof(line));
    size_t length = strlen(line);
    cr_assert(length > 0 && line[length - 1] == '\n', "ready line: '%s'", line);
    process->link = value_of(line, "link=");
    process->http = value_of(line, "http=");
    process->coaps = value_of(line, "coaps=");
    process->coap = value_of(line, "coap=");
}

/* The exit status; fails the test unless it ends in time. What it said is left in `said`. */
static int wait_end(struct process *process, uint64_t max_ms, char *said, size_t size)
{
    int status;
    uint64_t until_ms = now_ms() + max_ms;
    read_all(process->error_fd, said, size); /* until it closes its stderr */
    cr_assert_eq(waitpid(process->pid, &status, 0), process->pid);
    cr_assert_lt(now_ms(), until_ms);
    close(process->error_fd);
    close(process->ready_fd);
    cr_assert(WIFEXITED(status), "status %x\n%s", (unsigned)status, said);
    return WEXITSTATUS(status);
}

static int http_status(const struct process *process, const char *path, char *body, size_t size)
{
    struct text text = {0};
    int status = 0;
    cr_assert_eq(http_get(&process->http, path, WAIT_MAX_MS, &status, &text), STATUS_OK);
    (void)snprintf(body, size, "%s", text.bytes ? text.bytes : "");
    free(text.bytes);
    return status;
}

/* Answers PINGs of a process that runs beside this one. */
static void serve(struct fake_worker *worker)
{
    struct pollfd poll_fd = {.fd = worker->fd, .events = POLLIN};
    (void)poll(&poll_fd, 1, 5);
    fake_worker_run(worker);
}

static void run_and_stop(const char *more, int signal_number)
{
    static struct fake_worker worker;
    static char body[65536], said[65536];
    char options[512], text[ADDRESS_TEXT_MAX];

    fake_worker_open(&worker, 3, false, &key);
    worker.echo = true;
    (void)snprintf(options, sizeof(options),
                   "--coaps [::]:0 --coap 127.0.0.1:0 --http 127.0.0.1:0 --link 127.0.0.1:0 "
                   "--worker 3=%s --cluster-key-file KEY %s",
                   address_format(&worker.address, text), more);
    struct process process = spawn(options);
    wait_ready(&process);
    cr_assert_eq(http_status(&process, "/healthz", body, sizeof(body)), 200);
    cr_assert_eq(http_status(&process, "/readyz", body, sizeof(body)), 503);
    cr_assert_not_null(strstr(body, "no worker alive"));

    uint64_t until_ms = now_ms() + WAIT_MAX_MS;
    do {
        cr_assert_lt(now_ms(), until_ms);
        for (size_t i = 0; i < 20; i++)
            serve(&worker);
    } while (http_status(&process, "/readyz", body, sizeof(body)) != 200);

    /* Clients of many ports, so that each thread gets some; each is answered. */
    struct address to = process.coap;
    struct sockaddr_storage at;
    socklen_t at_length = address_to_sockaddr(&to, AF_INET, &at);
    for (size_t i = 0; i < 32; i++) {
        int client = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
        char back[64];
        cr_assert_eq(connect(client, (struct sockaddr *)&at, at_length), 0);
        uint64_t again_ms = 0;
        worker.kept_count = 0;
        do {
            cr_assert_lt(now_ms(), until_ms);
            if (now_ms() >= again_ms) { /* its thread may not have met the worker yet */
                cr_assert_eq(send(client, "\x40\x01\x00\x01", 4, 0), 4);
                again_ms = now_ms() + 200;
            }
            serve(&worker);
        } while (recv(client, back, sizeof(back), 0) != 4);
        close(client);
    }
    /* Sealed frames, from whichever thread, all opened. */
    cr_assert_eq(http_status(&process, "/metrics", body, sizeof(body)), 200);
    cr_assert_not_null(strstr(body, "\nholdfast_lb_workers_alive 1\n"), "%s", body);
    cr_assert_not_null(strstr(body, "holdfast_lb_datagrams_total{direction=\"out\"} "));
    cr_assert_eq(http_status(&process, "/nothing", body, sizeof(body)), 404);

    uint64_t from_ms = now_ms();
    cr_assert_eq(kill(process.pid, signal_number), 0);
    cr_assert_eq(wait_end(&process, STOP_MAX_MS, said, sizeof(said)), 0, "%s", said);
    cr_assert_lt(now_ms() - from_ms, STOP_MAX_MS);
    fake_worker_close(&worker);
}

Test(main, serves_and_ends_on_sigterm)
{
    run_and_stop("--io mmsg", SIGTERM);
}

Test(main, serves_with_threads_and_ends_on_sigint)
{
    run_and_stop("--threads 4", SIGINT);
}

/* --- workers that enter themselves into a store --- */

struct entered {
    struct fake_worker worker;
    struct worker_member member;
};

static struct io *store_io;
static struct store *store;
static struct entered entered[2];

static void on_joined(void *owner, uint16_t worker_id)
{
    struct entered *one = owner;
    one->worker.id = worker_id; /* its PONGs say it from now on */
    member_serve(&one->member);
}

static void on_lost(void *owner, uint16_t worker_id)
{
    (void)owner;
    cr_assert_fail("worker %u lost its id", worker_id);
}

static void enter(struct entered *one)
{
    fake_worker_open(&one->worker, 0, false, &key);
    one->worker.echo = true;
    const struct member_options options = {
        .store = store,
        .entry = {.boot = one->worker.sealer.boot, .link = one->worker.address},
        .joined = on_joined,
        .lost = on_lost,
        .owner = one,
    };
    cr_assert_eq(member_init(&one->member, &options), STATUS_OK);
}

/* What the workers' processes do. */
static void serve_entered(void)
{
    for (size_t i = 0; i < 2; i++) {
        if (entered[i].worker.fd >= 0)
            serve(&entered[i].worker);
        member_run(&entered[i].member, now_ms());
    }
    (void)store_run(store, now_ms());
}

static void serve_for(uint64_t ms)
{
    for (uint64_t until_ms = now_ms() + ms; now_ms() < until_ms;)
        serve_entered();
}

/* The value of a series without labels, or with them. */
static unsigned long long metric(const struct process *process, const char *series)
{
    static char body[65536], line[256];
    unsigned long long value = 0;
    cr_assert_eq(http_status(process, "/metrics", body, sizeof(body)), 200);
    (void)snprintf(line, sizeof(line), "\n%s ", series);
    const char *at = strstr(body, line);
    cr_assert_not_null(at, "no %s in %s", series, body);
    cr_assert_eq(sscanf(at + strlen(line), "%llu", &value), 1);
    return value;
}

static void serve_until(const struct process *process, const char *series,
                        unsigned long long at_least, unsigned long long at_most)
{
    unsigned long long value;
    uint64_t until_ms = now_ms() + WAIT_MAX_MS;
    do {
        cr_assert_lt(now_ms(), until_ms, "%s", series);
        serve_for(20);
        value = metric(process, series);
    } while (value < at_least || value > at_most);
}

/* One datagram of a fresh client, until it is answered. */
static void ask_once(const struct process *process)
{
    struct sockaddr_storage at;
    socklen_t length = address_to_sockaddr(&process->coap, AF_INET, &at);
    int client = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
    char back[64];
    uint64_t until_ms = now_ms() + WAIT_MAX_MS, again_ms = 0;
    cr_assert_eq(connect(client, (struct sockaddr *)&at, length), 0);
    do {
        cr_assert_lt(now_ms(), until_ms);
        if (now_ms() >= again_ms) {
            cr_assert_eq(send(client, "\x40\x01\x00\x01", 4, 0), 4);
            again_ms = now_ms() + 200;
        }
        serve_entered();
    } while (recv(client, back, sizeof(back), 0) != 4);
    close(client);
}

static void open_store(const char *folder)
{
    char url[128], why[256];
    (void)snprintf(url, sizeof(url), "lmdb:%s", folder);
    cr_assert_eq(io_new(&store_io, IO_MMSG), STATUS_OK);
    const struct store_options options = {
        .url = url, .io = store_io, .session_ttl_s = SESSION_TTL_S, .member_ttl_ms = MEMBER_TTL_MS};
    cr_assert_eq(store_open(&store, &options, why, sizeof(why)), STATUS_OK, "%s", why);
}

static void remove_folder(const char *folder)
{
    char command[128];
    (void)snprintf(command, sizeof(command), "rm -r %s", folder);
    cr_assert_eq(system(command), 0);
}

#define ALIVE "holdfast_lb_workers_alive"
#define LISTS "holdfast_lb_lists_total{result=\"ok\"}"

Test(main, learns_its_workers_from_a_store)
{
    static char body[65536], said[65536];
    char folder[] = "/tmp/holdfast-lb-store-XXXXXX", options[256];
    cr_assert_not_null(mkdtemp(folder));
    (void)snprintf(options, sizeof(options),
                   "--coaps [::]:0 --coap 127.0.0.1:0 --http 127.0.0.1:0 --link 127.0.0.1:0 "
                   "--store lmdb:%s --threads 2 --cluster-key-file KEY",
                   folder);
    struct process process = spawn(options);
    wait_ready(&process);
    cr_assert_eq(http_status(&process, "/healthz", body, sizeof(body)), 200);
    cr_assert_eq(http_status(&process, "/readyz", body, sizeof(body)), 503);
    cr_assert_not_null(strstr(body, "no worker alive"));

    open_store(folder);
    enter(&entered[0]);
    enter(&entered[1]);
    serve_until(&process, ALIVE, 2, 2);
    cr_assert_eq(http_status(&process, "/readyz", body, sizeof(body)), 200);
    for (size_t i = 0; i < 16; i++)
        ask_once(&process);

    /* It drains, and says so in the store alone: with the second list from now on both threads
     * know. */
    member_drain(&entered[0].member);
    serve_for(50);
    serve_until(&process, LISTS, metric(&process, LISTS) + 2, UINT64_MAX);
    entered[0].worker.kept_count = entered[1].worker.kept_count = 0;
    for (size_t i = 0; i < 16; i++)
        ask_once(&process);
    cr_assert_eq(entered[0].worker.kept_count, 0);
    cr_assert_geq(entered[1].worker.kept_count, 16);

    /* It leaves, and another takes its id elsewhere. */
    member_leave(&entered[0].member);
    serve_for(50);
    cr_assert(member_is_gone(&entered[0].member));
    fake_worker_close(&entered[0].worker);
    serve_until(&process, ALIVE, 1, 1);
    enter(&entered[0]);
    serve_until(&process, ALIVE, 2, 2);
    cr_assert_eq(entered[0].worker.id, 1);

    cr_assert_eq(kill(process.pid, SIGTERM), 0);
    cr_assert_eq(wait_end(&process, STOP_MAX_MS, said, sizeof(said)), 0, "%s", said);
    cr_assert_not_null(strstr(said, "worker is listed worker=2 "), "%s", said);
    cr_assert_not_null(strstr(said, "worker is listed as not serving worker=1 "), "%s", said);
    store_free(store);
    io_free(store_io);
    fake_worker_close(&entered[0].worker);
    fake_worker_close(&entered[1].worker);
    remove_folder(folder);
}

#define STORE "--cluster-key-file KEY --http 127.0.0.1:0 "
#define GOOD "--worker 1=127.0.0.1:7001 " STORE

Test(main, help_and_version)
{
    static char said[4096];
    struct process process = spawn("--help");
    cr_assert_eq(wait_end(&process, WAIT_MAX_MS, said, sizeof(said)), 0);
    process = spawn("--version");
    cr_assert_eq(wait_end(&process, WAIT_MAX_MS, said, sizeof(said)), 0);
}

/* Exit status 2 and one line, for what shows when parsing and for what shows when binding. */
Test(main, unusable_options)
{
    static char said[4096];
    struct address address;
    struct sockaddr_storage at;
    socklen_t length;
    char options[512], text[ADDRESS_TEXT_MAX];

    cr_assert_eq(address_parse(&address, "127.0.0.1:0"), STATUS_OK);
    length = address_to_sockaddr(&address, AF_INET, &at);
    int taken = socket(AF_INET, SOCK_DGRAM, 0);
    cr_assert_eq(bind(taken, (struct sockaddr *)&at, length), 0);
    length = sizeof(at);
    cr_assert_eq(getsockname(taken, (struct sockaddr *)&at, &length), 0);
    cr_assert_eq(address_from_sockaddr(&address, (struct sockaddr *)&at, length), STATUS_OK);
    address_format(&address, text);

    static const char *const forms[] = {
        GOOD "--coaps %s --coap 127.0.0.1:0",
        GOOD "--coaps %s --coap 127.0.0.1:0 --threads 2",
        GOOD "--coaps 127.0.0.1:0 --coap %s",
        GOOD "--coaps 127.0.0.1:0 --coap 127.0.0.1:0 --link %s",
        GOOD "--coaps bad%s",
        "--worker 1=%s",
        STORE "--coaps 127.0.0.1:0 --coap 127.0.0.1:0 --store etcd://%s",
        STORE "--coaps 127.0.0.1:0 --coap 127.0.0.1:0 --store lmdb:/dev/null/%s",
    };
    for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
        (void)snprintf(options, sizeof(options), forms[i], text);
#pragma GCC diagnostic pop
        struct process process = spawn(options);
        int status = wait_end(&process, WAIT_MAX_MS, said, sizeof(said));
        cr_assert_eq(status, 2, "%s: %d\n%s", options, status, said);
        const char *line = strstr(said, "holdfast-lb: --");
        cr_assert_not_null(line, "%s: %s", options, said);
        cr_assert_eq(strchr(line, '\n'), line + strlen(line) - 1, "one line: %s", said);
    }
    close(taken);
}
