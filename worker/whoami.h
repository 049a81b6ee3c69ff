/* /whoami: what the worker knows of the session that asks. A map of, in this order: identity (as
 * authenticated), cipher_suite, server_cid (on what the client sends) and client_cid (on what the
 * client gets), each left out when there is none, worker (its id), address, previous_address (left
 * out before the first change), address_changes. Text is a line `key=value` each. */
#ifndef HOLDFAST_WORKER_WHOAMI_H
#define HOLDFAST_WORKER_WHOAMI_H

#include "worker/resource.h"

enum resource_outcome whoami_get(const struct resource_call *call, struct resource_reply *reply);

#endif
