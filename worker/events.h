/* /events: POST appends the payload to the event log (worker/event.h), whatever it is. 2.04 once
 * the store has it; 4.13 for more than EVENT_PAYLOAD_MAX octets. Authenticated sessions only. */
#ifndef HOLDFAST_WORKER_EVENTS_H
#define HOLDFAST_WORKER_EVENTS_H

#include "worker/resource.h"

enum resource_outcome events_post(const struct resource_call *call, struct resource_reply *reply);

#endif
