#include "lb/thread.h"

#include <errno.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "shared/log.h"

#define MODULE "lb"

enum status thread_init(struct thread *thread, size_t index, const struct settings *settings,
                        struct metrics *metrics)
{
    *thread = (struct thread){
        .index = index, .settings = settings, .metrics = metrics, .first_stop_fd = -1};
    thread->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (thread->stop_fd < 0)
        return STATUS_SYSTEM;
    if (sem_init(&thread->opened, 0, 0) != 0) {
        close(thread->stop_fd);
        return STATUS_SYSTEM;
    }
    return STATUS_OK;
}

void thread_free(struct thread *thread)
{
    sem_destroy(&thread->opened);
    close(thread->stop_fd);
}

static void on_stop(void *owner, int descriptor, uint32_t events)
{
    struct thread *thread = owner;
    (void)descriptor;
    (void)events;
    thread->stopping = true;
}

static enum status refused(struct thread *thread, enum status status, const char *option,
                           const struct address *address)
{
    /* Only what the system says of a socket is about the address. */
    thread->failure = (struct thread_failure){
        .option = status == STATUS_SYSTEM ? option : NULL, .status = status, .error = errno};
    if (address)
        thread->failure.address = *address;
    return status;
}

static enum status open_listeners(struct thread *thread, const struct settings_listeners *listeners,
                                  enum listener_kind kind, const char *option)
{
    bool is_alone = thread->settings->threads == 1;
    for (size_t i = 0; i < listeners->count; i++) {
        const struct address *address = &listeners->addresses[i];
        enum status status = relay_listen(thread->relay, address, kind, is_alone);
        if (status != STATUS_OK)
            return refused(thread, status, option, address);
    }
    return STATUS_OK;
}

enum status thread_open(struct thread *thread)
{
    const struct settings *settings = thread->settings;
    enum status status = io_new(&thread->io, settings->backend);
    if (status != STATUS_OK)
        return refused(thread, status, NULL, NULL);
    status = io_watch(thread->io, thread->stop_fd, EPOLLIN, on_stop, thread);
    if (status != STATUS_OK)
        return refused(thread, status, NULL, NULL);

    struct address link = settings->link;
    if (link.port != 0)
        link.port = (uint16_t)(link.port + thread->index);
    struct relay_options options = {
        .io = thread->io,
        .key = &settings->key,
        .link = &link,
        .workers = settings->workers,
        .worker_count = settings->worker_count,
        .is_listed = settings->store_url != NULL,
        .frame_size = settings->frame_size,
        .flows_max = FLOWS_MAX_DEFAULT,
        .handshake_rate = settings->handshake_rate,
        .handshake_burst = settings->handshake_burst,
        .metrics = thread->metrics,
        .thread = thread->index,
    };
    for (size_t id = 0; id < CID_CONFIGS_MAX; id++)
        options.cid_lengths[id] = settings->cid_lengths[id];
    status = relay_new(&thread->relay, &options);
    if (status != STATUS_OK)
        return refused(thread, status, "--link", &link);
    status = open_listeners(thread, &settings->coaps, LISTENER_DTLS, "--coaps");
    if (status == STATUS_OK)
        status = open_listeners(thread, &settings->coap, LISTENER_COAP, "--coap");
    return status;
}

static uint64_t sooner(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* libmicrohttpd may have something to do though nothing is readable. */
static uint64_t http_due_ms(const struct thread *thread)
{
    uint64_t wait_ms = thread->http ? http_timeout_ms(thread->http) : UINT64_MAX;
    return wait_ms == UINT64_MAX ? UINT64_MAX : io_now_ms(thread->io) + wait_ms;
}

/* The other threads need no deadline: they come round with each PING. */
static uint64_t store_due_ms(const struct thread *thread)
{
    if (!thread->keeps_store)
        return UINT64_MAX;
    return sooner(roster_next_ms(thread->roster), store_next_ms(thread->roster->store));
}

static void follow_roster(struct thread *thread)
{
    if (thread->keeps_store) {
        uint64_t now_ms = io_now_ms(thread->io);
        uint64_t deaths = relay_workers_died(thread->relay);
        if (deaths != thread->deaths_seen)
            roster_hurry(thread->roster);
        thread->deaths_seen = deaths;
        roster_run(thread->roster, now_ms);
        (void)store_run(thread->roster->store, now_ms);
    }
    if (roster_take(thread->roster, &thread->list_version, &thread->listed))
        relay_list(thread->relay, &thread->listed);
}

bool thread_run(struct thread *thread)
{
    while (!thread->stopping) {
        uint64_t http_ms = http_due_ms(thread);
        uint64_t due_ms = sooner(relay_next_ms(thread->relay), store_due_ms(thread));
        if (io_turn(thread->io, sooner(http_ms, due_ms)) != STATUS_OK) {
            log_line(LOG_ERROR, MODULE, "the loop failed", "thread=%zu errno=%d", thread->index,
                     errno);
            atomic_store(&thread->failed, true);
            break;
        }
        relay_run(thread->relay);
        if (thread->roster)
            follow_roster(thread);
        if (thread->http && io_now_ms(thread->io) >= http_ms)
            http_run(thread->http);
    }
    return !atomic_load(&thread->failed);
}

void thread_close(struct thread *thread)
{
    relay_free(thread->relay);
    thread->relay = NULL;
    io_free(thread->io);
    thread->io = NULL;
}

static void wake(int stop_fd)
{
    uint64_t one = 1;
    /* Fails only where the counter is full, and then the descriptor is readable as well. */
    ssize_t written = write(stop_fd, &one, sizeof(one));
    (void)written;
}

void thread_stop(struct thread *thread)
{
    wake(thread->stop_fd);
}

static void *run_alone(void *argument)
{
    struct thread *thread = argument;

    thread->is_open = thread_open(thread) == STATUS_OK;
    bool is_open = thread->is_open;
    sem_post(&thread->opened);
    if (is_open && !thread_run(thread))
        wake(thread->first_stop_fd);
    thread_close(thread);
    return NULL;
}

enum status thread_start(struct thread *thread)
{
    int error = pthread_create(&thread->handle, NULL, run_alone, thread);
    if (error != 0) {
        errno = error;
        return refused(thread, STATUS_SYSTEM, NULL, NULL);
    }
    while (sem_wait(&thread->opened) != 0)
        continue; /* EINTR */
    if (thread->is_open)
        return STATUS_OK;
    (void)pthread_join(thread->handle, NULL);
    return thread->failure.status;
}

bool thread_join(struct thread *thread)
{
    (void)pthread_join(thread->handle, NULL);
    return !atomic_load(&thread->failed);
}
