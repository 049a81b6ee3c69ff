/* The response to a request: one message, within what the peer may be sent. */
#ifndef HOLDFAST_WORKER_RESPONSE_H
#define HOLDFAST_WORKER_RESPONSE_H

#include "worker/coap.h"
#include "worker/message.h"
#include "worker/resource.h"

/* What the response travels in: an ACK with the request's message id (piggybacked), or a message of
 * its own with an id of ours. */
struct response_envelope {
    enum message_type type;
    uint16_t message_id;
    uint16_t room; /* octets that a block and its options should keep to; 0: as many as there are */
};

/* Writes the response; of a long payload, or where the request asks for a block, one block alone:
 * reply->has_block2 and reply->payload tell of that then (RFC 7959 section 2.4). reply->has_block1
 * tells of the request's. One that does not fit becomes 5.00, and one that would amplify what came
 * for a peer at an unproven address 4.01 with `echo`: `reply` then is that. A 5.03 says when to try
 * again. echo: NULL for a proven address, that of a session or of a request with a fresh Echo;
 * otherwise this is a piggybacked or non-confirmable response. */
void response_write(struct writer *writer, const struct response_envelope *envelope,
                    const struct message *request, struct resource_reply *reply,
                    const struct octets *echo);

/* Writes 5.03 in place of `response`, which has not been sent: same type, message id and token. */
void response_write_unavailable(struct writer *writer, const struct message *response);

#endif
