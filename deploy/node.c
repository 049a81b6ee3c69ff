#include "deploy/node.h"

#include "shared/log.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <unistd.h>

static const struct metric metric_rows[NODE_METRICS_COUNT] = {
    [NODE_CHILDREN] = {"holdfast_node_children", NULL, "Processes of this node", METRIC_GAUGE},
    [NODE_CHILDREN_SERVING] = {"holdfast_node_children_serving", NULL,
                               "Processes of this node whose metrics are in this sum",
                               METRIC_GAUGE},
    [NODE_RESTARTS] = {"holdfast_node_restarts_total", NULL,
                       "Processes of this node that died and were started again", METRIC_COUNTER},
};

static void on_ready_pipe(void *owner, int descriptor, uint32_t events);

/* ---- starting and stopping ---- */

static void stop(struct node *node, enum exit_status result)
{
    if (node->stage == NODE_STOPPING || node->stage == NODE_ENDED)
        return;
    node->stage = NODE_STOPPING;
    node->result = result;
    node->drain_by_ms = io_now_ms(node->io) + UP_DRAIN_MS;
    node->stop_by_ms = io_now_ms(node->io) + UP_STOP_MS;
    /* The lb follows when they have ended: their last replies go through it. */
    for (size_t i = 0; i + 1 < node->child_count; i++) {
        if (node->children[i].pid)
            (void)kill(node->children[i].pid, SIGTERM);
    }
}

/* NODE_STOPPING: what is due after stop(). */
static void stop_further(struct node *node, uint64_t now_ms)
{
    const struct child *lb = &node->children[node->child_count - 1];
    size_t workers_left = 0;
    for (size_t i = 0; i + 1 < node->child_count; i++)
        workers_left += node->children[i].pid != 0;
    if (workers_left == 0 && lb->pid == 0) {
        node->stage = NODE_ENDED;
        return;
    }
    if (lb->pid && !node->lb_told && (workers_left == 0 || now_ms >= node->drain_by_ms)) {
        node->lb_told = true;
        (void)kill(lb->pid, SIGTERM);
    }
    if (now_ms < node->stop_by_ms || node->killed)
        return;
    node->killed = true;
    for (size_t i = 0; i < node->child_count; i++) {
        const struct child *child = &node->children[i];
        if (child->pid == 0)
            continue;
        log_line(LOG_WARN, "up", "child does not end, killed", "child=%s", child->name);
        (void)kill(child->pid, SIGKILL);
    }
}

static void close_pipe(struct node *node, struct child *child)
{
    if (child->ready_pipe >= 0)
        io_unwatch(node->io, child->ready_pipe);
    child_close_pipe(child);
}

static void start_child(struct node *node, struct child *child)
{
    struct arguments arguments = {0};
    node_arguments(node, child, &arguments);
    enum status status = child_start(child, &arguments, node->inherited, node->inherited_count);
    if (status == STATUS_OK)
        status = io_watch(node->io, child->ready_pipe, EPOLLIN, on_ready_pipe, node);
    if (status != STATUS_OK) {
        log_line(LOG_ERROR, "up", "child cannot be started", "child=%s reason=\"%s\"", child->name,
                 strerror(errno));
        child_close_pipe(child); /* not watched */
        stop(node, EXIT_FAILED);
    }
    child->deadline_ms = io_now_ms(node->io) + UP_START_MS;
    arguments_free(&arguments);
}

static void say_ready(const struct node *node)
{
    char coaps[ADDRESS_TEXT_MAX], coap[ADDRESS_TEXT_MAX], http[ADDRESS_TEXT_MAX];
    const struct child_ready *lb = &node->children[node->child_count - 1].ready;
    struct address local = http_local_address(node->http);
    log_line(LOG_INFO, "up", "ready", "coaps=%s coap=%s http=%s workers=%zu",
             address_format(&lb->coaps, coaps), address_format(&lb->coap, coap),
             address_format(&local, http), node->child_count - 1);
}

static void child_serves(struct node *node, struct child *child)
{
    child->deadline_ms = UINT64_MAX;
    switch (node->stage) {
    case NODE_STARTING:
        node->started++;
        if (node->started < node->child_count) {
            start_child(node, &node->children[node->started]);
        } else {
            node->stage = NODE_SERVING;
            say_ready(node);
        }
        break;
    case NODE_SERVING:
        log_line(LOG_INFO, "up", "child serves again", "child=%s", child->name);
        break;
    case NODE_STOPPING:
    case NODE_ENDED:
        break;
    }
}

static void on_ready_pipe(void *owner, int descriptor, uint32_t events)
{
    (void)events;
    struct node *node = owner;
    for (size_t i = 0; i < node->child_count; i++) {
        struct child *child = &node->children[i];
        if (child->ready_pipe != descriptor)
            continue;
        switch (child_read(child)) {
        case CHILD_LINE_PARTIAL:
            return;
        case CHILD_LINE_READY:
            close_pipe(node, child);
            child_serves(node, child);
            return;
        case CHILD_LINE_NONE:
            /* It has died, or is about to be ended at its deadline: SIGCHLD tells. */
            close_pipe(node, child);
            return;
        }
    }
}

/* ---- the death of a child ---- */

/* Restarts within the last UP_RESTARTS_MS. */
static size_t recent_restarts(const struct node *node, uint64_t now_ms)
{
    size_t recent = 0;
    for (size_t i = 0; i < UP_RESTARTS_MAX && i < node->restart_count; i++)
        recent += node->restarts_ms[i] + UP_RESTARTS_MS > now_ms;
    return recent;
}

static void restart_later(struct node *node, struct child *child, const char *end)
{
    uint64_t now_ms = io_now_ms(node->io);
    size_t recent = recent_restarts(node, now_ms);
    if (recent == UP_RESTARTS_MAX) {
        log_line(LOG_ERROR, "up", "children die too often", "child=%s %s restarts=%d within_ms=%d",
                 child->name, end, UP_RESTARTS_MAX, UP_RESTARTS_MS);
        stop(node, EXIT_FAILED);
        return;
    }
    uint64_t delay_ms = (uint64_t)UP_RESTART_DELAY_MS << recent;
    if (delay_ms > UP_RESTART_DELAY_MAX_MS)
        delay_ms = UP_RESTART_DELAY_MAX_MS;
    child->deadline_ms = now_ms + delay_ms;
    node->restarts_ms[node->restart_count++ % UP_RESTARTS_MAX] = child->deadline_ms;
    metrics_add(&node->metrics, 0, NODE_RESTARTS, 1);
    log_line(LOG_WARN, "up", "child died, will be started again", "child=%s %s delay_ms=%llu",
             child->name, end, (unsigned long long)delay_ms);
}

static void child_ended(struct node *node, struct child *child, int wait_status)
{
    char end[CHILD_END_TEXT_MAX];
    child_end_text(wait_status, end);
    close_pipe(node, child);
    child->deadline_ms = UINT64_MAX;
    switch (node->stage) {
    case NODE_STARTING:
        log_line(LOG_ERROR, "up", "child died at start", "child=%s %s", child->name, end);
        stop(node, EXIT_FAILED);
        break;
    case NODE_SERVING:
        restart_later(node, child, end);
        break;
    case NODE_STOPPING:
    case NODE_ENDED:
        break;
    }
}

/* ---- events ---- */

static void on_signal(void *owner, int descriptor, uint32_t events)
{
    (void)events;
    struct node *node = owner;
    struct signalfd_siginfo signal;
    bool child_signal = false;
    /* What asks this process to end comes first: its children may have been asked as well, and
     * then their end is no failure. */
    while (read(descriptor, &signal, sizeof signal) == (ssize_t)sizeof signal) {
        if (signal.ssi_signo == SIGCHLD)
            child_signal = true;
        else
            stop(node, EXIT_DONE);
    }
    for (size_t i = 0; child_signal && i < node->child_count; i++) {
        int wait_status;
        if (child_reap(&node->children[i], &wait_status))
            child_ended(node, &node->children[i], wait_status);
    }
}

/* What is due at now_ms. */
static void tick(struct node *node, uint64_t now_ms)
{
    for (size_t i = 0; i < node->child_count; i++) {
        struct child *child = &node->children[i];
        if (child->deadline_ms > now_ms || node->stage == NODE_STOPPING)
            continue;
        child->deadline_ms = UINT64_MAX;
        switch (child->state) {
        case CHILD_STOPPED:
            start_child(node, child);
            break;
        case CHILD_STARTING:
            log_line(LOG_ERROR, "up", "child does not serve in time", "child=%s limit_ms=%d",
                     child->name, UP_START_MS);
            (void)kill(child->pid, SIGKILL);
            break;
        case CHILD_SERVING:
            break;
        }
    }
    if (node->stage == NODE_STOPPING)
        stop_further(node, now_ms);
}

static uint64_t next_deadline_ms(const struct node *node, uint64_t now_ms)
{
    uint64_t next_ms = UINT64_MAX;
    uint64_t http_ms = http_timeout_ms(node->http);
    if (http_ms < UINT64_MAX - now_ms)
        next_ms = now_ms + http_ms;
    if (node->stage == NODE_STOPPING && !node->lb_told && node->drain_by_ms < next_ms)
        next_ms = node->drain_by_ms;
    if (node->stage == NODE_STOPPING && !node->killed && node->stop_by_ms < next_ms)
        next_ms = node->stop_by_ms;
    for (size_t i = 0; i < node->child_count; i++) {
        if (node->children[i].deadline_ms < next_ms)
            next_ms = node->children[i].deadline_ms;
    }
    return next_ms;
}

/* ---- the whole ---- */

static enum status take_signals(struct node *node)
{
    sigset_t wanted;
    (void)sigemptyset(&wanted);
    (void)sigaddset(&wanted, SIGTERM);
    (void)sigaddset(&wanted, SIGINT);
    (void)sigaddset(&wanted, SIGCHLD);
    if (signal(SIGPIPE, SIG_IGN) == SIG_ERR || sigprocmask(SIG_BLOCK, &wanted, NULL) < 0)
        return STATUS_SYSTEM;
    node->signals = signalfd(-1, &wanted, SFD_NONBLOCK | SFD_CLOEXEC);
    if (node->signals < 0)
        return STATUS_SYSTEM;
    return io_watch(node->io, node->signals, EPOLLIN, on_signal, node);
}

enum status node_init(struct node *node)
{
    node->signals = -1;
    node->stage = NODE_STARTING;
    node->child_count = node->options->workers + 1;
    for (size_t i = 0; i < node->child_count; i++) {
        struct child *child = &node->children[i];
        *child = (struct child){.ready_pipe = -1, .deadline_ms = UINT64_MAX};
        if (i + 1 < node->child_count)
            (void)snprintf(child->name, sizeof child->name, "worker-%u", (unsigned)(i + 1) & 0xff);
        else
            (void)snprintf(child->name, sizeof child->name, "lb");
    }
    enum status status = metrics_init(&node->metrics, metric_rows, NODE_METRICS_COUNT, 1);
    if (status == STATUS_OK)
        status = io_new(&node->io, IO_MMSG); /* it sends no datagrams: epoll is all it needs */
    if (status == STATUS_OK)
        status = take_signals(node);
    if (status == STATUS_OK)
        status = http_start(&node->http, node->io, &node->options->http, node_answer, node);
    return status;
}

void node_free(struct node *node)
{
    http_stop(node->http);
    if (node->signals >= 0) {
        io_unwatch(node->io, node->signals);
        (void)close(node->signals);
    }
    if (node->io)
        io_free(node->io);
    metrics_free(&node->metrics);
}

enum exit_status node_run(struct node *node)
{
    start_child(node, &node->children[0]);
    while (node->stage != NODE_ENDED) {
        uint64_t now_ms = io_now_ms(node->io);
        if (io_turn(node->io, next_deadline_ms(node, now_ms)) != STATUS_OK) {
            /* Nothing more will be heard of the children; our end is their SIGTERM. */
            log_line(LOG_ERROR, "up", "the loop failed", "reason=\"%s\"", strerror(errno));
            return EXIT_FAILED;
        }
        http_run(node->http);
        tick(node, io_now_ms(node->io));
    }
    return node->result;
}
