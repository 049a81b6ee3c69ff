/* One thread of the lb: an I/O loop with its own listeners, link and relay. Threads share the
 * listeners' addresses by SO_REUSEPORT, and nothing else but the memory of the metrics and the list
 * of the workers, which thread 0 publishes. */
#ifndef HOLDFAST_LB_THREAD_H
#define HOLDFAST_LB_THREAD_H

#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

#include "lb/relay.h"
#include "lb/roster.h"
#include "lb/settings.h"
#include "shared/http.h"
#include "shared/io.h"
#include "shared/metrics.h"
#include "shared/status.h"

/* Why a thread did not come up. */
struct thread_failure {
    const char *option; /* "--coaps": the address below was refused; NULL: it was something else */
    struct address address;
    enum status status;
    int error; /* errno of STATUS_SYSTEM */
};

struct thread {
    size_t index;
    const struct settings *settings;
    struct metrics *metrics;
    struct io *io;
    struct relay *relay;
    struct roster *roster; /* set by main before thread_run, with --store; of all threads */
    bool keeps_store;      /* thread 0 with --store: it asks the roster's questions */
    uint64_t list_version;
    uint64_t deaths_seen;
    struct roster_list listed;
    struct http *http; /* thread 0 may have one; run with the loop, started and stopped by main */
    int stop_fd;       /* an eventfd: readable when the thread is to stop */
    int first_stop_fd; /* thread 0's: a thread that fails stops the process */
    bool stopping;
    atomic_bool failed; /* the loop ended for a reason of its own */
    struct thread_failure failure;
    pthread_t handle;
    sem_t opened;
    bool is_open; /* set before `opened` is posted */
};

/* Zeroes and fills the struct. STATUS_SYSTEM: no eventfd, errno says why. */
MUST_USE enum status thread_init(struct thread *thread, size_t index,
                                 const struct settings *settings, struct metrics *metrics);

/* On the thread that will run it: makes the loop and binds everything, or says in `failure` what
 * could not be. thread_close undoes either. */
MUST_USE enum status thread_open(struct thread *thread);
/* Runs until thread_stop. False: the loop failed. */
bool thread_run(struct thread *thread);
void thread_close(struct thread *thread);

/* A thread of its own that opens, runs and closes; returns when it is open, or could not be opened
 * (then it has ended, and `failure` says why). */
MUST_USE enum status thread_start(struct thread *thread);
/* From any thread, also from a loop's callback. */
void thread_stop(struct thread *thread);
/* After thread_start succeeded: waits for its end. False: its loop failed. */
bool thread_join(struct thread *thread);
/* After thread_join or thread_close. */
void thread_free(struct thread *thread);

#endif
