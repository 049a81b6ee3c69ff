#include "deploy/child.h"

#include "shared/cursor.h"
#include "shared/log.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

/* ---- the ready line ---- */

static bool address_unset(const struct address *address)
{
    const struct address zero = {0};
    return address_equal(address, &zero);
}

/* One `name=value`. */
static enum status take_word(struct child_ready *ready, struct cursor word)
{
    const struct {
        const char *name;
        struct address *address;
    } known[] = {
        {"link", &ready->link},
        {"http", &ready->http},
        {"coaps", &ready->coaps},
        {"coap", &ready->coap},
    };
    if (cursor_left(&word) == 0)
        return STATUS_MALFORMED;
    const uint8_t *equals = memchr(word.at, '=', cursor_left(&word));
    if (!equals)
        return STATUS_MALFORMED;
    size_t name_length = (size_t)(equals - word.at);
    const char *name = (const char *)cursor_bytes(&word, name_length);
    (void)cursor_u8(&word);
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        if (strlen(known[i].name) != name_length || memcmp(known[i].name, name, name_length) != 0)
            continue;
        char text[ADDRESS_TEXT_MAX] = "";
        size_t length = cursor_left(&word);
        if (length >= sizeof text)
            return STATUS_MALFORMED;
        memcpy(text, word.at, length);
        return address_parse(known[i].address, text);
    }
    return STATUS_OK;
}

enum status child_ready_parse(struct child_ready *ready, const char *line, size_t length)
{
    struct child_ready parsed = {0};
    struct cursor cursor = cursor_over(line, length);
    while (cursor_left(&cursor) > 0) {
        const uint8_t *blank = memchr(cursor.at, ' ', cursor_left(&cursor));
        size_t word = blank ? (size_t)(blank - cursor.at) : cursor_left(&cursor);
        if (word > 0 && take_word(&parsed, cursor_sub(&cursor, word)) != STATUS_OK)
            return STATUS_MALFORMED;
        if (blank)
            (void)cursor_u8(&cursor);
    }
    if (address_unset(&parsed.link) || address_unset(&parsed.http))
        return STATUS_MALFORMED;
    *ready = parsed;
    return STATUS_OK;
}

enum child_line child_read(struct child *child)
{
    for (;;) {
        size_t room = sizeof child->line - child->line_length;
        if (room == 0)
            return CHILD_LINE_NONE;
        ssize_t got = read(child->ready_pipe, child->line + child->line_length, room);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return errno == EAGAIN ? CHILD_LINE_PARTIAL : CHILD_LINE_NONE;
        if (got == 0)
            return CHILD_LINE_NONE;
        child->line_length += (size_t)got;

        const char *feed = memchr(child->line, '\n', child->line_length);
        if (!feed)
            continue;
        if (child_ready_parse(&child->ready, child->line, (size_t)(feed - child->line)) !=
            STATUS_OK)
            return CHILD_LINE_NONE;
        child->state = CHILD_SERVING;
        child->was_ready = true;
        return CHILD_LINE_READY;
    }
}

void child_close_pipe(struct child *child)
{
    if (child->ready_pipe >= 0)
        (void)close(child->ready_pipe);
    child->ready_pipe = -1;
}

/* ---- the process ---- */

/* What was meant for `holdfast up` would be taken as its own by the child: a configuration file
 * with other names in it, and keys, which moreover /proc shows. */
static void drop_own_environment(void)
{
    static const char prefix[] = "HOLDFAST_";
    char **kept = environ;
    for (char **variable = environ; *variable; variable++) {
        if (strncmp(*variable, prefix, sizeof prefix - 1) != 0)
            *kept++ = *variable;
    }
    *kept = NULL;
}

static bool keep_over_exec(int descriptor)
{
    return fcntl(descriptor, F_SETFD, 0) == 0;
}

/* In the new process; becomes the program or ends. */
static _Noreturn void become(const struct child *child, const struct arguments *arguments,
                             pid_t parent, int pipe_end, const int *inherited,
                             size_t inherited_count)
{
    /* A process group of its own: Ctrl-C at a terminal goes to `holdfast up` alone, which then ends
     * its children. */
    bool ok = setpgid(0, 0) == 0 && prctl(PR_SET_PDEATHSIG, SIGTERM) == 0;
    if (getppid() != parent)
        _exit(EXIT_FAILURE); /* the parent died before it was watched */
    sigset_t none;
    (void)sigemptyset(&none);
    ok = ok && signal(SIGPIPE, SIG_DFL) != SIG_ERR && sigprocmask(SIG_SETMASK, &none, NULL) == 0;
    ok = ok && keep_over_exec(pipe_end);
    for (size_t i = 0; ok && i < inherited_count; i++)
        ok = keep_over_exec(inherited[i]);
    drop_own_environment();
    if (ok)
        (void)execv(arguments->list[0], arguments->list);
    log_line(LOG_ERROR, "up", "child cannot run", "child=%s program=%s reason=\"%s\"", child->name,
             arguments->list[0], strerror(errno));
    _exit(127); /* as a shell would */
}

enum status child_start(struct child *child, struct arguments *arguments, const int *inherited,
                        size_t inherited_count)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) < 0)
        return STATUS_SYSTEM;
    pid_t pid = -1;
    arguments_add(arguments, "--ready-fd");
    arguments_add(arguments, "%d", ends[1]);
    if (arguments->failed) {
        errno = ENOMEM;
        goto failed;
    }
    /* The reading end alone: the child writes its line in one piece. */
    if (fcntl(ends[0], F_SETFL, O_NONBLOCK) < 0)
        goto failed;
    pid_t parent = getpid();
    pid = fork();
    if (pid < 0)
        goto failed;
    if (pid == 0)
        become(child, arguments, parent, ends[1], inherited, inherited_count);

    (void)close(ends[1]);
    child->state = CHILD_STARTING;
    child->pid = pid;
    child->ready_pipe = ends[0];
    child->line_length = 0;
    return STATUS_OK;

failed:;
    int saved_errno = errno;
    (void)close(ends[0]);
    (void)close(ends[1]);
    errno = saved_errno;
    return STATUS_SYSTEM;
}

bool child_reap(struct child *child, int *wait_status)
{
    if (child->pid == 0 || waitpid(child->pid, wait_status, WNOHANG) != child->pid)
        return false;
    child->pid = 0;
    child->state = CHILD_STOPPED;
    return true;
}

const char *child_end_text(int wait_status, char text[CHILD_END_TEXT_MAX])
{
    if (WIFSIGNALED(wait_status))
        (void)snprintf(text, CHILD_END_TEXT_MAX, "signal=%d", WTERMSIG(wait_status));
    else
        (void)snprintf(text, CHILD_END_TEXT_MAX, "exit=%d", WEXITSTATUS(wait_status));
    return text;
}
