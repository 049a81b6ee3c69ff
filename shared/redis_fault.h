/* What can be wrong with a Redis, as one table: the words of its error replies, what an operator is
 * told, and what follows. */
#ifndef HOLDFAST_SHARED_REDIS_FAULT_H
#define HOLDFAST_SHARED_REDIS_FAULT_H

#include <stdbool.h>
#include <stddef.h>

enum redis_fault {
    REDIS_FAULT_NONE,
    /* Ours: */
    REDIS_FAULT_RESOLVE,
    REDIS_FAULT_REFUSED,
    REDIS_FAULT_UNREACHABLE,
    REDIS_FAULT_CONNECT_TIMEOUT,
    REDIS_FAULT_TLS,
    REDIS_FAULT_TIMEOUT,
    REDIS_FAULT_CLOSED,
    REDIS_FAULT_PROTOCOL,
    REDIS_FAULT_NO_MASTER,
    REDIS_FAULT_NOT_MASTER,
    REDIS_FAULT_NO_NODE,
    REDIS_FAULT_RESOURCES,
    /* Error replies: */
    REDIS_FAULT_NOAUTH,
    REDIS_FAULT_WRONGPASS,
    REDIS_FAULT_NOPERM,
    REDIS_FAULT_LOADING,
    REDIS_FAULT_BUSY,
    REDIS_FAULT_OOM,
    REDIS_FAULT_READONLY,
    REDIS_FAULT_MISCONF,
    REDIS_FAULT_NOREPLICAS,
    REDIS_FAULT_MASTERDOWN,
    REDIS_FAULT_CLUSTERDOWN,
    REDIS_FAULT_OTHER,
};

/* In lower case: "connection refused". */
const char *redis_fault_text(enum redis_fault fault);

/* Of an error reply that is none of those by which a cluster redirects. */
enum redis_fault redis_fault_of(const char *text, size_t length);

/* It concerns writes only: the next read that succeeds does not end it. */
bool redis_fault_is_of_writes(enum redis_fault fault);

/* True if the error reply says so: "NOSCRIPT No matching script...". Redis before 7 wraps the error
 * of a command that a script called in a text of its own, so it need not stand first. */
bool redis_error_is(const char *text, size_t length, const char *word);

#endif
