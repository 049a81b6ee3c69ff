/* /echo: POST gives the payload back, with its Content-Format, as 2.04. `?rlen=N` asks for a reply
 * of N octets, 0 to ECHO_REPLY_MAX: the payload over and over, or "x" if there is none. */
#ifndef HOLDFAST_WORKER_ECHO_H
#define HOLDFAST_WORKER_ECHO_H

#include "worker/resource.h"

enum resource_outcome echo_post(const struct resource_call *call, struct resource_reply *reply);

#endif
