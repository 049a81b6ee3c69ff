/* A worker's HTTP side as operators see it, in a process of its own: it answers what a test has
 * laid down, one request a connection. */
#ifndef HOLDFAST_TESTS_BENCH_CLERK_H
#define HOLDFAST_TESTS_BENCH_CLERK_H

#include "shared/address.h"

#include <stddef.h>
#include <sys/types.h>

#define CLERK_REQUESTS_MAX 64
#define CLERK_REQUEST_MAX 1024
#define CLERK_STATUSES_MAX 8

/* What both processes see. */
struct clerk_books {
    int statuses[CLERK_STATUSES_MAX]; /* of POST after POST; 0: the one before, again and again */
    char location[ADDRESS_TEXT_MAX];  /* of a 307: this address, with the path that was asked for */
    char metrics[CLERK_REQUEST_MAX];  /* the page; empty: 404 */
    size_t posts;
    char requests[CLERK_REQUESTS_MAX][CLERK_REQUEST_MAX]; /* POSTs, as they came */
};

struct clerk {
    struct clerk_books *books; /* to be written before the first request */
    struct address address;
    pid_t pid;
};

void clerk_start(struct clerk *clerk);
void clerk_stop(struct clerk *clerk);

#endif
