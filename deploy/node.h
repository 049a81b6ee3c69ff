/* One node as `holdfast up` runs it: workers, then a load balancer that knows them, watched until a
 * signal ends the node. */
#ifndef HOLDFAST_DEPLOY_NODE_H
#define HOLDFAST_DEPLOY_NODE_H

#include "deploy/child.h"
#include "deploy/command.h"
#include "deploy/up_options.h"
#include "shared/http.h"
#include "shared/io.h"
#include "shared/limits.h"
#include "shared/metrics.h"

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum node_stage {
    NODE_STARTING, /* children one after the other, so that what is wrong is said once */
    NODE_SERVING,  /* a child that dies is started again */
    NODE_STOPPING, /* they were told to end */
    NODE_ENDED,    /* none is left */
};

enum node_metric { NODE_CHILDREN, NODE_CHILDREN_SERVING, NODE_RESTARTS, NODE_METRICS_COUNT };

struct node {
    const struct up_options *options;
    char programs[PATH_MAX]; /* the folder of this program and its children */
    char key_file[PATH_MAX]; /* as the children open it */
    /* Where workers meet the lb. Both empty: nowhere, the lb is told their addresses. */
    char store_url[PATH_MAX + sizeof "lmdb:"];
    char store_file[PATH_MAX]; /* instead of store_url: a --config file that holds a password */
    int inherited[3];          /* descriptors that the children read keys and that file from */
    size_t inherited_count;

    struct io *io;
    struct http *http;
    int signals; /* signalfd */
    struct metrics metrics;

    enum node_stage stage;
    enum exit_status result;
    struct child children[UP_WORKERS_MAX + 1]; /* workers 1 to N, then the lb */
    size_t child_count;
    size_t started;       /* NODE_STARTING: children that serve */
    uint64_t drain_by_ms; /* NODE_STOPPING: when the lb is told, if workers are left */
    uint64_t stop_by_ms;
    bool lb_told;
    bool killed;
    uint64_t restarts_ms[UP_RESTARTS_MAX]; /* when; a ring */
    uint64_t restart_count;                /* ever */
};

/* Fills in everything but what up.c has set: options, programs, files, store_url. Takes the
 * signals, binds HTTP. STATUS_SYSTEM: errno says why; node_free all the same. */
MUST_USE enum status node_init(struct node *node);
void node_free(struct node *node);

/* Runs until NODE_ENDED and returns the exit status: EXIT_DONE after SIGTERM or SIGINT, EXIT_FAILED
 * when a child died at start or children died too often. */
enum exit_status node_run(struct node *node);

/* ---- shared by node.c and its parts ---- */

/* node_arguments.c: the command line of a child. Addresses that others know from its former life
 * are kept. */
void node_arguments(const struct node *node, const struct child *child,
                    struct arguments *arguments);

/* node_http.c: /readyz and /metrics; `owner` is the node. Blocks the loop for at most UP_PROBE_MS:
 * the launcher has nothing else to do in that time that could not wait. */
bool node_answer(void *owner, const char *path, struct http_reply *reply);

#endif
