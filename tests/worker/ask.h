/* CoAP requests for tests, spelled as a table row, and calling a resource's handler with one. */
#ifndef HOLDFAST_TESTS_WORKER_ASK_H
#define HOLDFAST_TESTS_WORKER_ASK_H

#include "worker/message.h"
#include "worker/resource.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ASK_OPTIONS_MAX 16

struct ask {
    enum message_type type; /* MESSAGE_CON if left out */
    uint8_t code;           /* CODE_GET if left out */
    uint16_t id;
    const char *token; /* NULL: none */
    const char *uri;   /* "/echo?rlen=3&x=y"; NULL: neither Uri-Path nor Uri-Query */
    bool has_accept, has_format;
    uint16_t accept, format;
    struct message_option options[ASK_OPTIONS_MAX]; /* others, as far as `number` is not 0 */
    const void *payload;
    size_t payload_length; /* 0: payload is a string */
};

/* The message's octets; returns their number. */
size_t ask_write(const struct ask *ask, uint8_t *space, size_t size);

/* A reply, readable after the call. */
struct answer {
    struct resource_reply reply;
    char payload[COAP_MESSAGE_SIZE_MAX + 1]; /* NUL-terminated */
    size_t payload_length;
    uint8_t event[STORE_EVENT_MAX];
    bool fits;
};

/* What `handler` makes of it; call: all but `request`, which is filled in. */
void ask_handler(const struct ask *ask, struct resource_call *call, resource_handler *handler,
                 struct answer *answer);

#endif
