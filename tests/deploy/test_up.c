#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "shared/http.h"
#include "tests/deploy/capture.h"

/* The real `holdfast`, copied beside children that are scripts: what `up` does with them shows
 * without a datagram. Each script notes its start in the file `starts` and serves HTTP by python.
 */
static const char start_script[] = "#!/bin/bash\n"
                                   "cd \"${0%/*}\"; echo \"${0##*/} $*\" >> starts\n"
                                   "args=(\"$@\")\n"
                                   "while [ $# -gt 1 ]; do\n"
                                   "  case $1 in\n"
                                   "  --ready-fd) ready=$2;;\n"
                                   "  --psk-file) cat \"$2\" > psk-seen;;\n"
                                   "  --cluster-key-file) cat \"$2\" > key-seen;;\n"
                                   "  --config) cat \"$2\" > config-seen;;\n"
                                   "  esac; shift\n"
                                   "done\n";
static const char serve[] = "exec python3 -I serve.py $ready\n";
static const char serve_py[] =
    "import http.server, os, sys\n"
    "class Handler(http.server.BaseHTTPRequestHandler):\n"
    "    def do_GET(self):\n"
    "        metrics = self.path == '/metrics'\n"
    "        body = b'# TYPE t_total counter\\nt_total{k=\"v\"} 5\\n' if metrics else b'ok'\n"
    "        self.send_response(503 if os.path.exists('unready') and not metrics else 200)\n"
    "        self.send_header('Content-Length', str(len(body)))\n"
    "        self.end_headers()\n"
    "        self.wfile.write(body)\n"
    "    def log_message(self, *_): pass\n"
    "server = http.server.HTTPServer(('127.0.0.1', 0), Handler)\n"
    "port = server.server_address[1]\n"
    "with os.fdopen(int(sys.argv[1]), 'w') as ready:\n"
    "    ready.write(f'link=127.0.0.1:{port} http=127.0.0.1:{port} '\n"
    "                'coaps=[::]:5684 coap=[::]:5683\\n')\n"
    "server.serve_forever()\n";

struct node {
    pid_t pid;
    int errors; /* its stderr */
    char said[8192];
    size_t said_length;
};

static const char *in_folder(const char *name)
{
    static char paths[4][512];
    static unsigned next;
    char *path = paths[next++ % 4];
    snprintf(path, sizeof paths[0], "%s/%s", capture_folder(), name);
    return path;
}

static void script(const char *name, const char *end)
{
    char text[2048];
    snprintf(text, sizeof text, "%s%s", start_script, end);
    cr_assert_eq(chmod(capture_file(name, text), 0755), 0);
}

static void make_folder(void)
{
    char own[512], command[1200];
    ssize_t length = readlink("/proc/self/exe", own, sizeof own - 1);
    cr_assert_gt(length, 0);
    own[length] = '\0';
    *strrchr(own, '/') = '\0';
    snprintf(command, sizeof command, "cp %s/../holdfast %s/", own, capture_folder());
    cr_assert_eq(system(command), 0);
    capture_file("serve.py", serve_py);
    script("holdfast-worker", serve);
    script("holdfast-lb", serve);
}

static struct node start_node(const char *const *more)
{
    int ends[2];
    cr_assert_eq(pipe(ends), 0);
    const char *argv[24] = {"holdfast",    "up",          "--http",
                            "127.0.0.1:0", "--state-dir", in_folder("state")};
    size_t count = 6;
    for (; more && *more; more++)
        argv[count++] = *more;
    pid_t pid = fork();
    if (pid == 0) {
        dup2(ends[1], STDERR_FILENO);
        close(ends[0]);
        close(ends[1]);
        execv(in_folder("holdfast"), (char *const *)argv);
        _exit(126);
    }
    close(ends[1]);
    return (struct node){.pid = pid, .errors = ends[0]};
}

static struct node start_with(const char *option, const char *value)
{
    const char *const more[] = {option, value, NULL};
    return start_node(more);
}

/* Reads its stderr until `wanted` is there; NULL: until it ends. */
static const char *wait_for(struct node *node, const char *wanted)
{
    for (;;) {
        node->said[node->said_length] = '\0';
        char *found = wanted ? strstr(node->said, wanted) : NULL;
        if (found)
            return found;
        struct pollfd pipe = {.fd = node->errors, .events = POLLIN};
        cr_assert_eq(poll(&pipe, 1, 20000), 1, "no `%s` in: %s", wanted, node->said);
        ssize_t got = read(node->errors, node->said + node->said_length,
                           sizeof node->said - 1 - node->said_length);
        if (got <= 0) {
            cr_assert_null(wanted, "no `%s` in: %s", wanted, node->said);
            return node->said;
        }
        node->said_length += (size_t)got;
    }
}

static struct address http_of(struct node *node)
{
    struct address address;
    char text[ADDRESS_TEXT_MAX];
    const char *ready = wait_for(node, "info up ready ");
    cr_assert_eq(sscanf(strstr(ready, "http="), "http=%55s", text), 1);
    cr_assert_eq(address_parse(&address, text), STATUS_OK);
    return address;
}

static int get(const struct address *address, const char *path, struct text *body)
{
    int status = 0;
    free(body->bytes);
    *body = (struct text){0};
    cr_assert_eq(http_get(address, path, 5000, &status, body), STATUS_OK);
    return status;
}

static int exit_of(struct node *node)
{
    int status;
    cr_assert_eq(waitpid(node->pid, &status, 0), node->pid);
    cr_assert(WIFEXITED(status), "status %x: %s", (unsigned)status, node->said);
    return WEXITSTATUS(status);
}

static double now_s(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static const char *content(const char *name)
{
    static char text[8192];
    FILE *file = fopen(in_folder(name), "re");
    if (!file)
        return "";
    size_t length = fread(text, 1, sizeof text - 1, file);
    text[length] = '\0';
    fclose(file);
    return text;
}

static size_t count_of(const char *text, const char *part)
{
    size_t count = 0;
    for (; (text = strstr(text, part)) != NULL; text++)
        count++;
    return count;
}

/* The process ids of the node's children. */
static size_t children_of(pid_t pid, pid_t *children, size_t max)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/task/%d/children", pid, pid);
    FILE *file = fopen(path, "re");
    cr_assert(file);
    size_t count = 0;
    while (count < max && fscanf(file, "%d", &children[count]) == 1)
        count++;
    fclose(file);
    return count;
}

TestSuite(up, .init = make_folder, .fini = capture_folder_remove, .timeout = 60);

Test(up, starts_workers_then_the_lb_and_ends_them)
{
    const char *const more[] = {"--workers", "3",       "--psk", "dev:a:c0ffee",
                                "--store",   "memory:", NULL};
    struct node node = start_node(more);
    const char *ready = wait_for(&node, "info up ready ");
    (void)http_of(&node);
    cr_assert(strstr(ready, "coaps=[::]:5684 coap=[::]:5683 http=127.0.0.1:"), "%s", ready);
    cr_assert(strstr(ready, " workers=3\n"), "%s", ready);

    char starts[4096];
    snprintf(starts, sizeof starts, "%s", content("starts"));
    const char *lb = strstr(starts, "holdfast-lb ");
    cr_assert_eq(count_of(starts, "holdfast-worker "), 3);
    cr_assert_eq(count_of(lb, "--worker "), 3);
    cr_assert_eq(count_of(lb, "holdfast-worker "), 0, "the lb comes last");
    cr_assert(strstr(lb, "--worker 2=127.0.0.1:"));
    cr_assert(strstr(starts, "--id 1 --link 127.0.0.1:0 "), "%s", starts);

    cr_assert_null(strstr(starts, "c0ffee"), "keys are not in arguments");
    cr_assert_str_eq(content("psk-seen"), "dev:a:c0ffee\n");
    char key[128];
    snprintf(key, sizeof key, "%s", content("key-seen"));
    cr_assert_eq(strlen(key), 65);
    cr_assert_str_eq(content("state/cluster.key"), key);

    pid_t children[8];
    cr_assert_eq(children_of(node.pid, children, 8), 4);
    double before = now_s();
    kill(node.pid, SIGTERM);
    cr_assert_eq(exit_of(&node), 0);
    cr_assert_lt(now_s() - before, 2.0);
    for (size_t i = 0; i < 4; i++)
        cr_assert(kill(children[i], 0) < 0 && errno == ESRCH);
    cr_assert_eq(count_of(wait_for(&node, NULL), "\n"), 1, "one line in all: %s", node.said);
}

Test(up, http_speaks_for_all_children)
{
    struct node node = start_with("--workers", "2");
    struct address http = http_of(&node);
    struct text body = {0};
    cr_assert_eq(get(&http, "/healthz", &body), 200);
    cr_assert_eq(get(&http, "/readyz", &body), 200);
    cr_assert_eq(get(&http, "/nothing", &body), 404);
    cr_assert_eq(get(&http, "/metrics", &body), 200);
    cr_assert(strstr(body.bytes, "# TYPE t_total counter\nt_total{k=\"v\"} 15\n"), "%s",
              body.bytes);
    cr_assert(strstr(body.bytes, "\nholdfast_node_children_serving 3\n"), "%s", body.bytes);

    capture_file("unready", "");
    cr_assert_eq(get(&http, "/readyz", &body), 503);
    cr_assert_str_eq(body.bytes, "worker-1 is not ready: its /readyz says 503\n");
    unlink(in_folder("unready"));
    cr_assert_eq(get(&http, "/readyz", &body), 200);

    /* A child that hangs neither hangs the node nor keeps it from ending. */
    pid_t children[3];
    cr_assert_eq(children_of(node.pid, children, 3), 3);
    kill(children[1], SIGSTOP);
    cr_assert_eq(get(&http, "/readyz", &body), 503);
    cr_assert_str_eq(body.bytes, "worker-2 is not ready: it gives no answer\n");
    double before = now_s();
    kill(node.pid, SIGINT);
    cr_assert_eq(exit_of(&node), 0);
    cr_assert_lt(now_s() - before, 2.0);
    cr_assert(strstr(wait_for(&node, NULL), "warn up child does not end, killed child=worker-2\n"));
    free(body.bytes);
}

Test(up, child_that_dies_at_start_ends_it)
{
    script("holdfast-lb", "echo 'holdfast-lb: --coaps: taken' >&2; exit 2\n");
    struct node node = start_with("--workers", "2");
    cr_assert_eq(exit_of(&node), 1);
    cr_assert(strstr(wait_for(&node, NULL), "holdfast-lb: --coaps: taken\n"
                                            "error up child died at start child=lb exit=2\n"),
              "%s", node.said);

    script("holdfast-worker", "echo 'holdfast-worker: no' >&2; exit 2\n");
    node = start_with("--workers", "4");
    cr_assert_eq(exit_of(&node), 1);
    cr_assert_eq(count_of(wait_for(&node, NULL), "holdfast-worker: no\n"), 1, "said once");
    cr_assert(strstr(node.said, "error up child died at start child=worker-1 exit=2\n"));

    unlink(in_folder("holdfast-worker"));
    node = start_with("--workers", "1");
    cr_assert_eq(exit_of(&node), 1);
    cr_assert(strstr(wait_for(&node, NULL), "No such file or directory"));
}

Test(up, child_that_dies_later_comes_back_at_its_address)
{
    struct node node = start_with("--store", "memory:"); /* which lists the workers for the lb */
    struct address http = http_of(&node);
    struct text body = {0};
    pid_t children[2];
    cr_assert_eq(children_of(node.pid, children, 2), 2);
    kill(children[0], SIGKILL);
    (void)wait_for(&node, "warn up child died, will be started again child=worker-1 signal=9 ");
    (void)wait_for(&node, "info up child serves again child=worker-1\n");
    char starts[4096];
    snprintf(starts, sizeof starts, "%s", content("starts"));
    char *lb = strstr(starts, "--worker 1=");
    char link[64];
    cr_assert_eq(sscanf(lb, "--worker 1=%60s", link), 1);
    char wanted[96];
    snprintf(wanted, sizeof wanted, "--id 1 --link %s ", link);
    cr_assert(strstr(lb, wanted), "%s", starts);
    cr_assert_eq(get(&http, "/metrics", &body), 200);
    cr_assert(strstr(body.bytes, "\nholdfast_node_restarts_total 1\n"));
    kill(node.pid, SIGTERM);
    cr_assert_eq(exit_of(&node), 0);
    (void)wait_for(&node, NULL);
    free(body.bytes);
}

Test(up, signal_while_starting_ends_it)
{
    script("holdfast-worker", "trap '' TERM; sleep 30\n");
    struct node node = start_with("--workers", "1");
    while (strlen(content("starts")) == 0)
        usleep(1000);
    double before = now_s();
    kill(node.pid, SIGTERM);
    cr_assert_eq(exit_of(&node), 0);
    cr_assert_lt(now_s() - before, 2.0);
}

static void stop_node(struct node *node)
{
    (void)wait_for(node, "info up ready ");
    kill(node->pid, SIGTERM);
    cr_assert_eq(exit_of(node), 0);
    (void)wait_for(node, NULL);
}

Test(up, key_lasts_as_long_as_the_store)
{
    char keys[3][128], wanted[1024];
    static const char *const stores[] = {"lmdb:", "memory:", "lmdb:"};
    for (size_t i = 0; i < 3; i++) {
        struct node node = start_with("--store", stores[i]);
        stop_node(&node);
        snprintf(keys[i], sizeof keys[i], "%s", content("key-seen"));
        cr_assert_str_eq(content("state/cluster.key"), keys[i], "for holdfast cid decode");
    }
    cr_assert_str_neq(keys[0], keys[1]);
    cr_assert_str_eq(keys[0], keys[2]);
    snprintf(wanted, sizeof wanted, " --store lmdb:%s/store ", in_folder("state"));
    cr_assert_eq(count_of(content("starts"), wanted), 4, "%s", content("starts"));
    cr_assert_eq(count_of(content("starts"), " --worker "), 1, "with memory: alone");

    capture_file("state/store.key", "no key\n");
    struct node node = start_with("--store", "lmdb:");
    cr_assert_eq(exit_of(&node), 2);
    cr_assert(strstr(wait_for(&node, NULL), "/state/store.key holds no key; want the 64 hex"));
}

Test(up, password_of_a_store_is_in_no_arguments)
{
    struct node node = start_with("--store", "redis://:pass%20word@127.0.0.1:6379/1");
    stop_node(&node);
    cr_assert_str_eq(content("config-seen"), "store = redis://:pass%20word@127.0.0.1:6379/1\n");
    cr_assert_null(strstr(content("starts"), "pass%20word"));
    cr_assert_null(strstr(node.said, "pass%20word"), "%s", node.said);
    node = start_with("--store", "redis://127.0.0.1:6379/1");
    stop_node(&node);
    cr_assert_eq(count_of(content("starts"), " --store redis://127.0.0.1:6379/1 "), 2);
}

/* A worker's last replies go through the lb. */
Test(up, lb_ends_after_the_workers)
{
    static const char note_end[] = "trap 'sleep 0.3; echo \"${0##*/} ended\" >> starts; kill $!; "
                                   "exit 0' TERM\npython3 -I serve.py $ready &\nwait\n";
    script("holdfast-worker", note_end);
    script("holdfast-lb", note_end);
    struct node node = start_with("--workers", "2");
    (void)wait_for(&node, "info up ready ");
    double before = now_s();
    kill(node.pid, SIGTERM);
    cr_assert_eq(exit_of(&node), 0);
    cr_assert_lt(now_s() - before, 2.0);
    (void)wait_for(&node, NULL);
    cr_assert(strstr(content("starts"), "holdfast-worker ended\nholdfast-worker ended\n"
                                        "holdfast-lb ended\n"),
              "%s", content("starts"));
}

Test(up, options_that_cannot_be_used_are_one_line_and_2)
{
    const char *duplicate = strdup(capture_file("psk", "a:00\na:11\n"));
    const struct {
        const char *option, *value, *part;
    } bad[] = {
        {"--store", "etcd://x", "want memory:, lmdb:DIR, redis://... or rediss://...\n"},
        {"--psk", "nokey", "--psk: the value cannot be used; want ID:HEX\n"},
        {"--psk-file", duplicate, "psk:2: the identity has a key already"},
        {"--psk-file", "/nonexistent", "cannot read /nonexistent: No such file"},
        {"--cluster-key-file", "/nonexistent", "cannot read /nonexistent: No such file"},
        {"--cluster-key-file", duplicate, "holds no key; want 64 hex digits\n"},
        {"--state-dir", duplicate, "Not a directory; want a folder"},
        {"--http", "203.0.113.1:80", "--http: cannot serve at 203.0.113.1:80: "},
        {"--workers", "33", "want a number from 1 to 32\n"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct node node = start_with(bad[i].option, bad[i].value);
        cr_assert_eq(exit_of(&node), 2, "%s", bad[i].option);
        const char *said = wait_for(&node, NULL);
        cr_assert(strstr(said, bad[i].part), "%s: %s", bad[i].option, said);
        cr_assert_eq(count_of(said, "holdfast up: --"), 1, "%s", said);
    }
    cr_assert_str_empty(content("starts"), "no child was started");
    free((void *)duplicate);
}
