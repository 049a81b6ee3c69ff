#include "tests/shared/redis_server.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <fcntl.h>
#include <ftw.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define GIVE_UP_MS 10000
#define BUS_PORT_OFFSET 10000

static bool bind_to(int descriptor, uint16_t port, uint16_t *bound)
{
    struct sockaddr_in name = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof name;
    if (bind(descriptor, (struct sockaddr *)&name, sizeof name) < 0)
        return false;
    cr_assert_eq(getsockname(descriptor, (struct sockaddr *)&name, &length), 0);
    *bound = ntohs(name.sin_port);
    return true;
}

uint16_t redis_server_port(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    srandom((unsigned)(getpid() ^ now.tv_nsec)); /* tests that run beside each other differ */
    for (int tries = 0; tries < 100; tries++) {
        uint16_t port = 0, bus;
        int one = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        int other = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        /* Below the range of ephemeral ports nobody takes it before the server does. */
        uint16_t wanted = (uint16_t)(12000 + random() % 9000);
        bool is_free = bind_to(one, wanted, &port) &&
                       bind_to(other, (uint16_t)(wanted + BUS_PORT_OFFSET), &bus);
        close(one);
        close(other);
        if (is_free)
            return port;
    }
    cr_assert_fail("no free port");
    return 0;
}

static bool accepts(uint16_t port)
{
    struct sockaddr_in name = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int descriptor = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool is_there = connect(descriptor, (struct sockaddr *)&name, sizeof name) == 0;
    close(descriptor);
    return is_there;
}

static void become(const struct redis_server *server)
{
    char port[8];
    const char *words[REDIS_SERVER_ARGUMENTS_MAX + 16] = {
        "redis-server", "--save", "",   "--appendonly", "no", "--dir",     server->folder, "--bind",
        "127.0.0.1",    "--port", port, "--daemonize",  "no", "--logfile", "log"};
    size_t count = 15;
    char config[128];
    if (server->sentinel) {
        snprintf(config, sizeof config, "%s/sentinel.conf", server->folder);
        FILE *file = fopen(config, "w");
        if (!file || fputs(server->sentinel, file) < 0 || fclose(file) != 0)
            _exit(127);
        memcpy(words,
               (const char *[]){"redis-server", config, "--sentinel", "--dir", server->folder,
                                "--bind", "127.0.0.1", "--port", port, "--logfile", "log"},
               11 * sizeof words[0]);
        memset(words + 11, 0, 4 * sizeof words[0]);
        count = 11;
    }
    snprintf(port, sizeof port, "%u", server->port);
    for (size_t i = 0; server->arguments[i]; i++)
        words[count++] = server->arguments[i];
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    int null = open("/dev/null", O_RDWR);
    dup2(null, STDOUT_FILENO);
    dup2(null, STDERR_FILENO);
    execvp("redis-server", (char *const *)words);
    _exit(127);
}

void redis_server_start(struct redis_server *server)
{
    if (!server->folder[0]) {
        snprintf(server->folder, sizeof server->folder, "/tmp/holdfast-redis.XXXXXX");
        cr_assert_not_null(mkdtemp(server->folder));
    }
    if (server->port == 0)
        server->port = redis_server_port();
    server->pid = fork();
    cr_assert_geq(server->pid, 0);
    if (server->pid == 0)
        become(server);
    for (int waited_ms = 0; !accepts(server->port); waited_ms += 5) {
        cr_assert_eq(waitpid(server->pid, NULL, WNOHANG), 0, "redis-server did not start; see %s",
                     server->folder);
        cr_assert_lt(waited_ms, GIVE_UP_MS);
        poll(NULL, 0, 5);
    }
}

void redis_server_kill(struct redis_server *server)
{
    if (server->pid <= 0)
        return;
    kill(server->pid, SIGKILL);
    waitpid(server->pid, NULL, 0);
    server->pid = 0;
}

static int remove_one(const char *path, const struct stat *about, int type, struct FTW *at)
{
    (void)about, (void)type, (void)at;
    return remove(path);
}

void redis_server_remove(struct redis_server *server)
{
    redis_server_kill(server);
    if (server->folder[0])
        nftw(server->folder, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

const char *redis_server_ask(const struct redis_server *server, const char *const *arguments)
{
    static char output[65536];
    char port[8];
    const char *words[64] = {"redis-cli", "-p", port};
    size_t count = 3;
    snprintf(port, sizeof port, "%u", server->port);
    for (size_t i = 0; arguments[i]; i++)
        words[count++] = arguments[i];
    int ends[2];
    cr_assert_eq(pipe2(ends, O_CLOEXEC), 0);
    pid_t child = fork();
    if (child == 0) {
        dup2(ends[1], STDOUT_FILENO);
        dup2(ends[1], STDERR_FILENO);
        execvp("redis-cli", (char *const *)words);
        _exit(127);
    }
    close(ends[1]);
    size_t length = 0;
    ssize_t got;
    while ((got = read(ends[0], output + length, sizeof output - 1 - length)) > 0)
        length += (size_t)got;
    output[length] = '\0';
    close(ends[0]);
    waitpid(child, NULL, 0);
    return output;
}
