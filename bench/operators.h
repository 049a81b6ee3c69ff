/* The operators' side of the server under test: asks its HTTP API (worker/api.h) to observe
 * devices, follows it to the worker that has a session, and sums up what those workers count. On
 * libcurl, which allocates; nothing of it is on the way of a datagram. */
#ifndef HOLDFAST_BENCH_OPERATORS_H
#define HOLDFAST_BENCH_OPERATORS_H

#include "shared/address.h"
#include "shared/octets.h"
#include "shared/status.h"

#include <stddef.h>
#include <stdint.h>

#define OPERATORS_CALLS_MAX 32   /* at once; a worker lets API_WAITING_MAX wait */
#define OPERATORS_WORKERS_MAX 16 /* that are counted at */

struct operators;

/* What came of a call: the status of the reply (201: observed), 0 if there was none. */
typedef void operators_done_fn(void *owner, uint32_t tag, int status, uint64_t took_us);

/* `path`: what is to be observed, with or without a slash before it. STATUS_NO_MEMORY. */
MUST_USE enum status operators_new(struct operators **made, const struct address *api,
                                   const char *path, operators_done_fn *done, void *owner);
/* Calls that are under way end without a word. */
void operators_free(struct operators *operators);

/* Asks for the session with this Connection ID of the server's to be observed. STATUS_FULL:
 * OPERATORS_CALLS_MAX are under way. */
MUST_USE enum status operators_observe(struct operators *operators, uint32_t tag,
                                       struct octets cid);
/* Goes on with what is under way, without waiting; what has ended is told. */
void operators_run(struct operators *operators);
size_t operators_calls(const struct operators *operators); /* under way */

/* Workers that have begun an observation. */
size_t operators_workers(const struct operators *operators);
/* The sum of a metric (its name, labels included) over them; waits for their answers.
 * STATUS_NOT_FOUND: one of them does not answer, or does not have it. */
MUST_USE enum status operators_count(const struct operators *operators, const char *metric,
                                     uint64_t *sum);

#endif
