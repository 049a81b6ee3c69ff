/* /.well-known/core: the resources that the asker could use, in CoRE Link Format (RFC 6690), with
 * the filters of its section 4.1: `?rt=`, `?href=`, `?ct=`; several must all match. */
#ifndef HOLDFAST_WORKER_CORE_LINK_H
#define HOLDFAST_WORKER_CORE_LINK_H

#include "worker/resource.h"

enum resource_outcome core_link_get(const struct resource_call *call, struct resource_reply *reply);

#endif
