#include "deploy/child.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/deploy/capture.h"

static enum status parse(struct child_ready *ready, const char *line)
{
    return child_ready_parse(ready, line, strlen(line));
}

Test(child, ready_line_of_a_worker_and_of_an_lb)
{
    struct child_ready ready;
    cr_assert_eq(parse(&ready, "link=127.0.0.1:7001 http=[::1]:7002"), STATUS_OK);
    cr_assert_eq(ready.link.port, 7001);
    cr_assert_eq(ready.http.port, 7002);
    cr_assert_eq(ready.coaps.port, 0);
    cr_assert_eq(parse(&ready, "coaps=[::]:5684 new=thing  coap=[::]:5683 link=127.0.0.1:1 "
                               "http=127.0.0.1:2 "),
                 STATUS_OK);
    cr_assert_eq(ready.coaps.port, 5684);
    cr_assert_eq(ready.coap.port, 5683);
}

Test(child, other_lines_are_refused)
{
    static const char *const bad[] = {
        "",
        "ready",
        "link=127.0.0.1:7001",
        "http=127.0.0.1:7001",
        "link=127.0.0.1:7001 http=localhost:1",
        "link=127.0.0.1:7001 http=",
        "link=127.0.0.1:7001 http=127.0.0.1:2 =",
        "link=127.0.0.1:7001 http=127.0.0.1:2 word",
        "link=1111111111111111111111111111111111111111111111111111111111111111111111111 http=x",
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct child_ready ready = {.link.port = 9};
        enum status status = parse(&ready, bad[i]);
        if (i == 6) /* an empty name is one that is not known */
            cr_assert_eq(status, STATUS_OK);
        else
            cr_assert_eq(status, STATUS_MALFORMED, "%s", bad[i]);
        if (status != STATUS_OK)
            cr_assert_eq(ready.link.port, 9, "a refused line changes nothing");
    }
}

/* Starts `bash -c script`; $1 is --ready-fd and $2 its number. */
static struct child started(const char *script, const int *inherited, size_t count)
{
    struct child child = {.name = "test", .ready_pipe = -1};
    struct arguments arguments = {0};
    arguments_add(&arguments, "/bin/bash");
    arguments_add(&arguments, "-c");
    arguments_add(&arguments, "%s", script);
    arguments_add(&arguments, "bash");
    cr_assert_eq(child_start(&child, &arguments, inherited, count), STATUS_OK);
    arguments_free(&arguments);
    cr_assert_eq(child.state, CHILD_STARTING);
    return child;
}

static enum child_line wait_for_line(struct child *child)
{
    for (;;) {
        struct pollfd pipe = {.fd = child->ready_pipe, .events = POLLIN};
        cr_assert_eq(poll(&pipe, 1, 10000), 1);
        enum child_line line = child_read(child);
        if (line != CHILD_LINE_PARTIAL)
            return line;
    }
}

/* Until it has ended; its wait status. */
static int wait_for_end(struct child *child)
{
    int status = 0;
    siginfo_t info;
    cr_assert_eq(waitid(P_PID, (id_t)child->pid, &info, WEXITED | WNOWAIT), 0);
    cr_assert(child_reap(child, &status));
    cr_assert_eq(child->state, CHILD_STOPPED);
    cr_assert_not(child_reap(child, &status), "once");
    return status;
}

Test(child, serves_once_its_line_is_there)
{
    struct child child = started("printf 'link=127.0.0.1:1 ht' >&$2; sleep 0.05;"
                                 "echo 'tp=127.0.0.1:2' >&$2; exec sleep 60",
                                 NULL, 0);
    cr_assert_eq(wait_for_line(&child), CHILD_LINE_READY);
    cr_assert_eq(child.state, CHILD_SERVING);
    cr_assert(child.was_ready);
    cr_assert_eq(child.ready.http.port, 2);
    child_close_pipe(&child);
    int status;
    cr_assert_not(child_reap(&child, &status), "it lives");
    kill(child.pid, SIGTERM);
    char text[CHILD_END_TEXT_MAX];
    cr_assert_str_eq(child_end_text(wait_for_end(&child), text), "signal=15");
}

Test(child, that_dies_before_its_line_is_noticed)
{
    struct child child = started("exit 2", NULL, 0);
    cr_assert_eq(wait_for_line(&child), CHILD_LINE_NONE);
    child_close_pipe(&child);
    char text[CHILD_END_TEXT_MAX];
    cr_assert_str_eq(child_end_text(wait_for_end(&child), text), "exit=2");
}

Test(child, endless_or_wrong_line_is_none)
{
    struct child child = started("while :; do printf xxxxxxxx; done >&$2 2>&-", NULL, 0);
    cr_assert_eq(wait_for_line(&child), CHILD_LINE_NONE);
    child_close_pipe(&child);
    kill(child.pid, SIGKILL);
    (void)wait_for_end(&child);
    child = started("echo nonsense >&$2", NULL, 0);
    cr_assert_eq(wait_for_line(&child), CHILD_LINE_NONE);
    cr_assert_eq(child.state, CHILD_STARTING);
    child_close_pipe(&child);
    (void)wait_for_end(&child);
}

Test(child, program_that_is_not_there, .init = capture_streams)
{
    struct child child = {.name = "lb", .ready_pipe = -1};
    struct arguments arguments = {0};
    arguments_add(&arguments, "/nonexistent/holdfast-lb");
    cr_assert_eq(child_start(&child, &arguments, NULL, 0), STATUS_OK);
    arguments_free(&arguments);
    cr_assert_eq(wait_for_line(&child), CHILD_LINE_NONE);
    cr_assert_eq(WEXITSTATUS(wait_for_end(&child)), 127);
    child_close_pipe(&child);
    cr_assert_str_eq(capture_errors(),
                     "error up child cannot run child=lb program=/nonexistent/holdfast-lb "
                     "reason=\"No such file or directory\"\n");
}

Test(child, sees_its_descriptors_and_no_other_and_no_holdfast_variable)
{
    int inherited[2], private[2];
    cr_assert_eq(pipe2(inherited, O_CLOEXEC), 0);
    cr_assert_eq(pipe2(private, O_CLOEXEC), 0);
    setenv("HOLDFAST_PSK", "a:00", 1);
    setenv("HOLDFAST_CONFIG", "/etc/x", 1);
    setenv("HOLDFASTER", "1", 1);
    char script[256];
    snprintf(script, sizeof script,
             "[ -e /proc/self/fd/%d ] && [ ! -e /proc/self/fd/%d ] && [ -z \"${!HOLDFAST_*}\" ] &&"
             " [ $HOLDFASTER = 1 ] && exit 7",
             inherited[0], private[0]);
    struct child child = started(script, inherited, 1);
    cr_assert_eq(WEXITSTATUS(wait_for_end(&child)), 7);
    child_close_pipe(&child);
    cr_assert_str_eq(getenv("HOLDFAST_PSK"), "a:00", "its own environment only");
}

Test(child, dies_with_its_parent)
{
    int ends[2];
    cr_assert_eq(pipe(ends), 0);
    pid_t parent = fork();
    if (parent == 0) {
        struct child child = started("echo 'link=127.0.0.1:1 http=127.0.0.1:2' >&$2;"
                                     "exec sleep 60",
                                     &ends[1], 1);
        (void)wait_for_line(&child);
        _exit(child.state == CHILD_SERVING ? 0 : 1);
    }
    int status;
    cr_assert_eq(waitpid(parent, &status, 0), parent);
    cr_assert_eq(status, 0);
    close(ends[1]);
    /* The grandchild holds the other end: its death is the end of file. */
    struct pollfd pipe = {.fd = ends[0], .events = POLLIN};
    cr_assert_eq(poll(&pipe, 1, 5000), 1);
}
