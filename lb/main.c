/* holdfast-lb: options, threads, signals and the operators' HTTP side. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lb/metrics.h"
#include "lb/settings.h"
#include "lb/thread.h"
#include "shared/log.h"

#define MODULE "lb"
#define STORE_WHY_MAX 256
#define READY_SIZE (LISTENERS_MAX * (ADDRESS_TEXT_MAX + 8) + 256)

enum { EXIT_CLEAN = 0, EXIT_FAILED = 1, EXIT_UNUSABLE = 2 };

struct lb {
    struct settings settings;
    struct metrics metrics;
    struct thread threads[LB_THREADS_MAX];
    size_t initialized;  /* threads that thread_init made */
    size_t started;      /* threads that run, the first not counted */
    struct store *store; /* with --store; thread 0's */
    struct roster roster;
    bool has_roster;
    struct http *http;
    int signal_fd;
};

static void on_signal(void *owner, int descriptor, uint32_t events)
{
    struct lb *lb = owner;
    struct signalfd_siginfo info;

    (void)events;
    if (read(descriptor, &info, sizeof(info)) != sizeof(info))
        return;
    log_line(LOG_INFO, MODULE, "stopping", "signal=%u", info.ssi_signo);
    thread_stop(&lb->threads[0]);
}

static void answer(struct http_reply *reply, int status, const char *text)
{
    reply->status = status;
    reply->content_type = "text/plain";
    text_add(&reply->body, "%s\n", text);
}

static bool on_http(void *owner, const char *path, struct http_reply *reply)
{
    struct lb *lb = owner;

    if (strcmp(path, "/readyz") == 0) {
        /* With workers that answer it serves, whatever the store does. */
        const char *trouble = lb->store ? store_trouble(lb->store) : NULL;
        if (relay_workers_alive(lb->threads[0].relay) > 0)
            answer(reply, 200, "ok");
        else if (trouble)
            answer(reply, 503, trouble);
        else
            answer(reply, 503, "no worker alive");
        return true;
    }
    if (strcmp(path, "/metrics") == 0) {
        reply->status = 200;
        reply->content_type = "text/plain; version=0.0.4";
        metrics_write(&lb->metrics, &reply->body);
        return true;
    }
    return false;
}

/* True if nobody has the address. With SO_REUSEPORT the kernel would let another holdfast-lb of
 * this user share it without a word, and then half of the devices would meet that one. */
static bool is_free(const struct address *address)
{
    struct sockaddr_storage to;
    static const struct address any_v6;
    int family = address_is_v4(address) ? AF_INET : AF_INET6;
    socklen_t length = address_to_sockaddr(address, family, &to);
    int off = 0;
    bool is_any = memcmp(address->ip, any_v6.ip, sizeof(any_v6.ip)) == 0;

    int probe = socket(family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (probe < 0)
        return true; /* the listener will say why */
    if (is_any)
        (void)setsockopt(probe, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off));
    bool is_taken = bind(probe, (struct sockaddr *)&to, length) != 0 && errno == EADDRINUSE;
    close(probe);
    return !is_taken;
}

static bool are_free(const struct settings_listeners *listeners, const char *option)
{
    for (size_t i = 0; i < listeners->count; i++) {
        if (!is_free(&listeners->addresses[i])) {
            settings_complain_bind(option, &listeners->addresses[i], EADDRINUSE);
            return false;
        }
    }
    return true;
}

/* From now on ports that were left to the kernel are known, and the same for each thread. */
static void learn_ports(struct lb *lb)
{
    const struct relay *relay = lb->threads[0].relay;
    struct settings_listeners *coaps = &lb->settings.coaps, *coap = &lb->settings.coap;

    for (size_t i = 0; i < coaps->count; i++)
        coaps->addresses[i] = relay_local_address(relay, i);
    for (size_t i = 0; i < coap->count; i++)
        coap->addresses[i] = relay_local_address(relay, coaps->count + i);
}

/* The exit status for what kept a thread from coming up, after a line on stderr about it. */
static int explain(const struct thread_failure *failure)
{
    if (failure->option) {
        settings_complain_bind(failure->option, &failure->address, failure->error);
        return EXIT_UNUSABLE;
    }
    log_line(LOG_ERROR, MODULE, "cannot start", "status=\"%s\" errno=%d",
             status_text(failure->status), failure->error);
    return EXIT_FAILED;
}

/* One store handle for all threads: LMDB may be opened once in a process only. */
static int open_store(struct lb *lb)
{
    char why[STORE_WHY_MAX] = "";
    const struct store_options options = {
        .url = lb->settings.store_url,
        .io = lb->threads[0].io,
        .metrics = &lb->metrics,
        .metrics_row = LB_STORE_READS,
        .metrics_thread = 0,
        .session_ttl_s = SESSION_TTL_S,
        .member_ttl_ms = MEMBER_TTL_MS,
    };

    if (!lb->settings.store_url)
        return EXIT_CLEAN;
    if (store_open(&lb->store, &options, why, sizeof(why)) != STATUS_OK) {
        settings_complain_store(why);
        return EXIT_UNUSABLE;
    }
    if (roster_init(&lb->roster, lb->store, &lb->metrics) != STATUS_OK) {
        log_line(LOG_ERROR, MODULE, "cannot start", "errno=%d", errno);
        return EXIT_FAILED;
    }
    lb->has_roster = true;
    for (size_t i = 0; i < lb->settings.threads; i++)
        lb->threads[i].roster = &lb->roster;
    lb->threads[0].keeps_store = true;
    return EXIT_CLEAN;
}

static int open_threads(struct lb *lb)
{
    struct thread *first = &lb->threads[0];

    for (size_t i = 0; i < lb->settings.threads; i++) {
        if (thread_init(&lb->threads[i], i, &lb->settings, &lb->metrics) != STATUS_OK) {
            log_line(LOG_ERROR, MODULE, "cannot start", "errno=%d", errno);
            return EXIT_FAILED;
        }
        lb->threads[i].first_stop_fd = first->stop_fd;
        lb->initialized++;
    }
    if (!are_free(&lb->settings.coaps, "--coaps") || !are_free(&lb->settings.coap, "--coap"))
        return EXIT_UNUSABLE;
    if (thread_open(first) != STATUS_OK)
        return explain(&first->failure);
    learn_ports(lb);
    if (io_watch(first->io, lb->signal_fd, EPOLLIN, on_signal, lb) != STATUS_OK) {
        log_line(LOG_ERROR, MODULE, "cannot watch for signals", "errno=%d", errno);
        return EXIT_FAILED;
    }
    if (http_start(&lb->http, first->io, &lb->settings.http, on_http, lb) != STATUS_OK) {
        settings_complain_bind("--http", &lb->settings.http, errno);
        return EXIT_UNUSABLE;
    }
    first->http = lb->http;
    int exit_status = open_store(lb);
    if (exit_status != EXIT_CLEAN)
        return exit_status;
    for (size_t i = 1; i < lb->settings.threads; i++) {
        if (thread_start(&lb->threads[i]) != STATUS_OK)
            return explain(&lb->threads[i].failure);
        lb->started++;
    }
    return EXIT_CLEAN;
}

static void write_address(struct writer *line, const char *name, const struct address *address)
{
    char text[ADDRESS_TEXT_MAX];

    if (writer_length(line) > 0)
        writer_u8(line, ' ');
    writer_bytes(line, name, strlen(name));
    writer_u8(line, '=');
    address_format(address, text);
    writer_bytes(line, text, strlen(text));
}

/* Whoever waits for the descriptor's line learns the ports that the kernel chose. */
static void report_ready(const struct lb *lb)
{
    char space[READY_SIZE];
    struct writer line = writer_over(space, sizeof(space));
    struct address link = relay_link_address(lb->threads[0].relay);
    struct address http = http_local_address(lb->http);

    write_address(&line, "link", &link);
    write_address(&line, "http", &http);
    for (size_t i = 0; i < lb->settings.coaps.count; i++)
        write_address(&line, "coaps", &lb->settings.coaps.addresses[i]);
    for (size_t i = 0; i < lb->settings.coap.count; i++)
        write_address(&line, "coap", &lb->settings.coap.addresses[i]);
    log_line(LOG_INFO, MODULE, "serving", "%.*s threads=%zu io=%s", (int)writer_length(&line),
             space, lb->settings.threads, io_backend_name(lb->threads[0].io));

    if (lb->settings.ready_fd < 0)
        return;
    writer_u8(&line, '\n');
    if (write(lb->settings.ready_fd, space, writer_length(&line)) != (ssize_t)writer_length(&line))
        log_line(LOG_WARN, MODULE, "nobody reads the ready descriptor", "fd=%d errno=%d",
                 lb->settings.ready_fd, errno);
    close(lb->settings.ready_fd);
}

/* Signals come through a descriptor, in thread 0 only; blocked before any thread is made. */
static int open_signals(void)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    (void)signal(SIGPIPE, SIG_IGN);
    if (pthread_sigmask(SIG_BLOCK, &set, NULL) != 0)
        return -1;
    return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

static int run(struct lb *lb)
{
    int exit_status = EXIT_FAILED;
    if (metrics_init(&lb->metrics, lb_metrics, LB_METRICS_COUNT, lb->settings.threads) != STATUS_OK)
        return exit_status;
    lb->signal_fd = open_signals();
    if (lb->signal_fd < 0) {
        log_line(LOG_ERROR, MODULE, "cannot watch for signals", "errno=%d", errno);
        goto done;
    }
    exit_status = open_threads(lb);
    if (exit_status == EXIT_CLEAN) {
        report_ready(lb);
        if (!thread_run(&lb->threads[0]))
            exit_status = EXIT_FAILED;
    }

done:
    for (size_t i = 1; i <= lb->started; i++)
        thread_stop(&lb->threads[i]);
    for (size_t i = 1; i <= lb->started; i++) {
        if (!thread_join(&lb->threads[i]))
            exit_status = EXIT_FAILED;
    }
    if (lb->http)
        http_stop(lb->http);
    store_free(lb->store);
    if (lb->has_roster)
        roster_free(&lb->roster);
    if (lb->initialized > 0)
        thread_close(&lb->threads[0]);
    for (size_t i = 0; i < lb->initialized; i++)
        thread_free(&lb->threads[i]);
    if (lb->signal_fd >= 0)
        close(lb->signal_fd);
    metrics_free(&lb->metrics);
    return exit_status;
}

int main(int argc, char **argv)
{
    static struct lb lb;
    int exit_status = EXIT_CLEAN;

    switch (settings_parse(&lb.settings, argc, argv)) {
    case OPTION_RUN:
        log_set_level(lb.settings.log_level);
        exit_status = run(&lb);
        break;
    case OPTION_DONE:
        break;
    case OPTION_UNUSABLE:
        exit_status = EXIT_UNUSABLE;
        break;
    }
    keys_wipe(&lb.settings.key, sizeof(lb.settings.key));
    return exit_status;
}
