#include "shared/resolver.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

/* The thread and the resolver hold one end each; the last to let go frees it. */
struct resolver_job {
    atomic_int holders;
    atomic_bool done;
    int descriptor;
    enum status status;
    struct address address;
    char *name;
    uint16_t port;
};

static void let_go(struct resolver_job *job)
{
    if (atomic_fetch_sub(&job->holders, 1) > 1)
        return;
    (void)close(job->descriptor);
    free(job->name);
    free(job);
}

static enum status parse_numeric(const char *name, uint16_t port, struct address *address)
{
    struct sockaddr_in6 six = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
    struct sockaddr_in four = {.sin_family = AF_INET, .sin_port = htons(port)};
    if (inet_pton(AF_INET, name, &four.sin_addr) == 1)
        return address_from_sockaddr(address, (struct sockaddr *)&four, sizeof four);
    if (inet_pton(AF_INET6, name, &six.sin6_addr) == 1)
        return address_from_sockaddr(address, (struct sockaddr *)&six, sizeof six);
    return STATUS_NOT_FOUND;
}

static void *work(void *argument)
{
    struct resolver_job *job = argument;
    const struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    struct addrinfo *found = NULL;
    job->status = STATUS_NOT_FOUND;
    if (getaddrinfo(job->name, NULL, &hints, &found) == 0) {
        for (struct addrinfo *at = found; at && job->status != STATUS_OK; at = at->ai_next)
            job->status = address_from_sockaddr(&job->address, at->ai_addr, at->ai_addrlen);
        freeaddrinfo(found);
    }
    job->address.port = job->port;
    atomic_store(&job->done, true);
    const uint64_t one = 1;
    ssize_t written;
    do
        written = write(job->descriptor, &one, sizeof one);
    while (written < 0 && errno == EINTR);
    let_go(job);
    return NULL;
}

/* Signals are for the loop's thread. */
static int start_thread(struct resolver_job *job)
{
    sigset_t all, before;
    pthread_t thread;
    pthread_attr_t attributes;
    int error = pthread_attr_init(&attributes);
    if (error)
        return error;
    (void)pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    error = pthread_create(&thread, &attributes, work, job);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    (void)pthread_attr_destroy(&attributes);
    return error;
}

enum status resolver_start(struct resolver *resolver, const char *name, uint16_t port,
                           struct address *address)
{
    if (resolver->job)
        return STATUS_EXISTS;
    if (parse_numeric(name, port, address) == STATUS_OK)
        return STATUS_OK;

    struct resolver_job *job = calloc(1, sizeof *job);
    if (!job)
        return STATUS_NO_MEMORY;
    atomic_init(&job->holders, 2);
    job->port = port;
    job->name = strdup(name);
    job->descriptor = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    int error = job->name && job->descriptor >= 0 ? start_thread(job) : errno;
    if (error) {
        if (job->descriptor >= 0)
            (void)close(job->descriptor);
        free(job->name);
        free(job);
        errno = error;
        return STATUS_SYSTEM;
    }
    resolver->job = job;
    resolver->descriptor = job->descriptor;
    return STATUS_EXISTS;
}

enum status resolver_take(struct resolver *resolver, struct address *address)
{
    struct resolver_job *job = resolver->job;
    if (!job)
        return STATUS_NOT_FOUND;
    if (!atomic_load(&job->done))
        return STATUS_EXISTS;
    enum status status = job->status;
    *address = job->address;
    resolver->job = NULL;
    let_go(job);
    return status;
}

void resolver_stop(struct resolver *resolver)
{
    if (resolver->job)
        let_go(resolver->job);
    resolver->job = NULL;
}
