/* A redis-server of one's own for a test: on a free loopback port, persisting nothing, in a folder
 * that goes with it. Killed with its test process. */
#ifndef HOLDFAST_TESTS_SHARED_REDIS_SERVER_H
#define HOLDFAST_TESTS_SHARED_REDIS_SERVER_H

#include <stdint.h>
#include <sys/types.h>

#define REDIS_SERVER_ARGUMENTS_MAX 24

struct redis_server {
    pid_t pid; /* 0: does not run */
    uint16_t port;
    char folder[64];
    const char *arguments[REDIS_SERVER_ARGUMENTS_MAX]; /* more of them, NULL-terminated */
    const char *sentinel; /* not NULL: it is a sentinel with this configuration */
};

/* A free port on 127.0.0.1; for a cluster's node, with port + 10000 free too. */
uint16_t redis_server_port(void);
/* Makes the folder and, where it is 0, chooses the port; starts, and waits until it accepts. Again
 * after redis_server_kill: on the same port, with the same arguments. */
void redis_server_start(struct redis_server *server);
void redis_server_kill(struct redis_server *server);   /* SIGKILL, and waits for its end */
void redis_server_remove(struct redis_server *server); /* kills it, removes the folder */

/* Runs redis-cli -p port with these arguments (NULL-terminated), and returns what it printed. Valid
 * until the next call. */
const char *redis_server_ask(const struct redis_server *server, const char *const *arguments);
#define ASK(server, ...) redis_server_ask(server, (const char *const[]){__VA_ARGS__, NULL})

#endif
