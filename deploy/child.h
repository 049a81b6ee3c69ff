/* A program that `holdfast up` runs. It inherits a pipe (--ready-fd) and writes one line to it once
 * it serves: `link=ADDR:PORT http=ADDR:PORT`, a load balancer also `coaps=ADDR:PORT
 * coap=ADDR:PORT`. End of file without that line means that it could not start. */
#ifndef HOLDFAST_DEPLOY_CHILD_H
#define HOLDFAST_DEPLOY_CHILD_H

#include "deploy/arguments.h"
#include "shared/address.h"
#include "shared/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define CHILD_LINE_MAX 512 /* octets of the ready line */

struct child_ready {
    struct address link;
    struct address http;
    struct address coaps; /* zero when not told, as is coap */
    struct address coap;
};

/* length: without the line feed. Unknown names are skipped. STATUS_MALFORMED: no `name=value`, an
 * address that does not parse, no link or no http. */
MUST_USE enum status child_ready_parse(struct child_ready *ready, const char *line, size_t length);

enum child_state {
    CHILD_STOPPED,
    CHILD_STARTING, /* runs, its ready line is awaited */
    CHILD_SERVING,
};

struct child {
    char name[16]; /* "lb", "worker-1" */
    enum child_state state;
    pid_t pid;      /* 0: CHILD_STOPPED */
    int ready_pipe; /* -1: none */
    char line[CHILD_LINE_MAX];
    size_t line_length;
    struct child_ready ready;
    bool was_ready; /* `ready` holds the addresses of this or an earlier life */
    uint64_t
        deadline_ms; /* STARTING: serve by then; STOPPED: start again then; UINT64_MAX: never */
};

/* Starts arguments->list[0], a path, and adds `--ready-fd N` to the list. The child gets SIGTERM
 * when this process dies, no HOLDFAST_ variable, and of the descriptors of this process only 0 to
 * 2, the pipe and those in `inherited`. STATUS_SYSTEM: errno says why. */
MUST_USE enum status child_start(struct child *child, struct arguments *arguments,
                                 const int *inherited, size_t inherited_count);

enum child_line {
    CHILD_LINE_PARTIAL, /* come again when the pipe is readable */
    CHILD_LINE_READY,   /* now CHILD_SERVING; the pipe can be closed */
    CHILD_LINE_NONE,    /* end of file or no such line; the pipe can be closed */
};
/* Reads what the pipe holds; does not block. */
enum child_line child_read(struct child *child);
void child_close_pipe(struct child *child);

/* Whether it has ended; then it is CHILD_STOPPED and *wait_status is that of waitpid(2). */
bool child_reap(struct child *child, int *wait_status);

/* "exit=2" or "signal=9". */
#define CHILD_END_TEXT_MAX 24
const char *child_end_text(int wait_status, char text[CHILD_END_TEXT_MAX]);

#endif
