/* /tstun: the reflexive transport address, as the load balancer saw it. Text is the address alone,
 * "203.0.113.7:4711" or "[2001:db8::1]:4711"; JSON and CBOR a map {"ip": text, "port": number,
 * "family": 4 or 6}. IPv4-mapped addresses are IPv4. */
#ifndef HOLDFAST_WORKER_TSTUN_H
#define HOLDFAST_WORKER_TSTUN_H

#include "worker/resource.h"

enum resource_outcome tstun_get(const struct resource_call *call, struct resource_reply *reply);

#endif
