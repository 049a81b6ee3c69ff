/* The response to a request: one message, within what the peer may be sent. */
#ifndef HOLDFAST_WORKER_RESPONSE_H
#define HOLDFAST_WORKER_RESPONSE_H

#include "worker/coap.h"
#include "worker/message.h"
#include "worker/resource.h"

/* Writes the response. One that does not fit becomes 5.00, and one that would amplify what came
 * over plain CoAP 4.01: `reply` then is that. A 5.03 says when to try again. */
void response_write(struct writer *writer, const struct coap_peer *peer,
                    const struct message *request, struct resource_reply *reply);

/* Writes 5.03 in place of `response`, which has not been sent: same type, message id and token. */
void response_write_unavailable(struct writer *writer, const struct message *response);

#endif
