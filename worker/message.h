/* One CoAP message (RFC 7252 section 3): parsing into a view over the datagram, and building. No
 * allocation, nothing copied. */
#ifndef HOLDFAST_WORKER_MESSAGE_H
#define HOLDFAST_WORKER_MESSAGE_H

#include "shared/cursor.h"
#include "shared/limits.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MESSAGE_VERSION 1
#define MESSAGE_HEADER_SIZE 4
#define MESSAGE_TOKEN_LENGTH_MAX 8

enum message_type { /* RFC 7252 section 3, field T */
                    MESSAGE_CON = 0,
                    MESSAGE_NON = 1,
                    MESSAGE_ACK = 2,
                    MESSAGE_RST = 3,
};

/* A code is class ‖ detail, 3 and 5 bits: c.dd. */
#define MESSAGE_CODE(class, detail) ((uint8_t)((class) << 5 | (detail)))
#define MESSAGE_CODE_CLASS(code) ((code) >> 5)
#define MESSAGE_CODE_DETAIL(code) ((code)&0x1f)

enum message_code { /* RFC 7252 section 12.1, RFC 7959 section 6, RFC 8132 section 6, RFC 8516 */
                    CODE_EMPTY = MESSAGE_CODE(0, 0),
                    CODE_GET = MESSAGE_CODE(0, 1),
                    CODE_POST = MESSAGE_CODE(0, 2),
                    CODE_PUT = MESSAGE_CODE(0, 3),
                    CODE_DELETE = MESSAGE_CODE(0, 4),
                    CODE_FETCH = MESSAGE_CODE(0, 5),
                    CODE_PATCH = MESSAGE_CODE(0, 6),
                    CODE_IPATCH = MESSAGE_CODE(0, 7),
                    CODE_CREATED = MESSAGE_CODE(2, 1),
                    CODE_DELETED = MESSAGE_CODE(2, 2),
                    CODE_VALID = MESSAGE_CODE(2, 3),
                    CODE_CHANGED = MESSAGE_CODE(2, 4),
                    CODE_CONTENT = MESSAGE_CODE(2, 5),
                    CODE_CONTINUE = MESSAGE_CODE(2, 31),
                    CODE_BAD_REQUEST = MESSAGE_CODE(4, 0),
                    CODE_UNAUTHORIZED = MESSAGE_CODE(4, 1),
                    CODE_BAD_OPTION = MESSAGE_CODE(4, 2),
                    CODE_FORBIDDEN = MESSAGE_CODE(4, 3),
                    CODE_NOT_FOUND = MESSAGE_CODE(4, 4),
                    CODE_METHOD_NOT_ALLOWED = MESSAGE_CODE(4, 5),
                    CODE_NOT_ACCEPTABLE = MESSAGE_CODE(4, 6),
                    CODE_INCOMPLETE = MESSAGE_CODE(4, 8),
                    CODE_CONFLICT = MESSAGE_CODE(4, 9),
                    CODE_PRECONDITION_FAILED = MESSAGE_CODE(4, 12),
                    CODE_TOO_LARGE = MESSAGE_CODE(4, 13),
                    CODE_UNSUPPORTED_FORMAT = MESSAGE_CODE(4, 15),
                    CODE_UNPROCESSABLE = MESSAGE_CODE(4, 22),
                    CODE_TOO_MANY_REQUESTS = MESSAGE_CODE(4, 29),
                    CODE_INTERNAL_ERROR = MESSAGE_CODE(5, 0),
                    CODE_NOT_IMPLEMENTED = MESSAGE_CODE(5, 1),
                    CODE_BAD_GATEWAY = MESSAGE_CODE(5, 2),
                    CODE_UNAVAILABLE = MESSAGE_CODE(5, 3),
                    CODE_GATEWAY_TIMEOUT = MESSAGE_CODE(5, 4),
                    CODE_PROXYING_NOT_SUPPORTED = MESSAGE_CODE(5, 5),
};

/* The options that we know by name. Checked against libcoap's constants in message.c. */
enum message_option_number {
    OPTION_IF_MATCH = 1,
    OPTION_URI_HOST = 3,
    OPTION_ETAG = 4,
    OPTION_IF_NONE_MATCH = 5,
    OPTION_OBSERVE = 6, /* RFC 7641 */
    OPTION_URI_PORT = 7,
    OPTION_LOCATION_PATH = 8,
    OPTION_URI_PATH = 11,
    OPTION_CONTENT_FORMAT = 12,
    OPTION_MAX_AGE = 14,
    OPTION_URI_QUERY = 15,
    OPTION_HOP_LIMIT = 16, /* RFC 8768 */
    OPTION_ACCEPT = 17,
    OPTION_LOCATION_QUERY = 20,
    OPTION_BLOCK2 = 23, /* RFC 7959: blocks and sizes */
    OPTION_BLOCK1 = 27,
    OPTION_SIZE2 = 28,
    OPTION_PROXY_URI = 35,
    OPTION_PROXY_SCHEME = 39,
    OPTION_SIZE1 = 60,
    OPTION_ECHO = 252,        /* RFC 9175 */
    OPTION_NO_RESPONSE = 258, /* RFC 7967 */
    OPTION_REQUEST_TAG = 292, /* RFC 9175 */
};

#define MESSAGE_ETAG_MAX 8  /* RFC 7252 section 5.10.6: 1 to 8 octets */
#define MESSAGE_ECHO_MAX 40 /* RFC 9175 section 2.2.1: 1 to 40 octets */

enum message_format { /* RFC 7252 section 12.3, RFC 8949 section 9.3 */
                      FORMAT_TEXT = 0,
                      FORMAT_LINK = 40,
                      FORMAT_XML = 41,
                      FORMAT_OCTETS = 42,
                      FORMAT_JSON = 50,
                      FORMAT_CBOR = 60,
                      FORMAT_PUBSUB_CBOR = 606, /* draft-ietf-core-coap-pubsub, to be assigned */
};

struct message_option {
    uint16_t number;
    uint16_t length;
    const uint8_t *value; /* in the datagram */
};

struct message {
    enum message_type type;
    uint8_t code;
    uint16_t id;
    uint8_t token_length;
    const uint8_t *token;
    size_t option_count;
    struct message_option options[COAP_OPTIONS_MAX]; /* numbers ascend */
    const uint8_t *payload;                          /* NULL without one */
    size_t payload_length;
    size_t length; /* of the whole message */
};

enum message_outcome {
    MESSAGE_OK,
    MESSAGE_SHORT_HEADER, /* fewer than 4 octets: not even a message id */
    MESSAGE_BAD_VERSION,
    MESSAGE_BAD_TOKEN_LENGTH, /* 9 to 15 */
    MESSAGE_SHORT_TOKEN,
    MESSAGE_BAD_OPTION,       /* truncated, a reserved nibble, a number above 65535 */
    MESSAGE_TOO_MANY_OPTIONS, /* more than COAP_OPTIONS_MAX */
    MESSAGE_BARE_MARKER,      /* a payload marker without payload */
    MESSAGE_NOT_EMPTY,        /* code 0.00 with anything behind the header */
    MESSAGE_OUTCOMES
};

/* Whatever the outcome, type, code and id are set unless it is MESSAGE_SHORT_HEADER or
 * MESSAGE_BAD_VERSION. Codes of reserved classes parse: what to do depends on the type too. */
enum message_outcome message_parse(struct message *message, const uint8_t *bytes, size_t length);

/* An empty message, or a GET or FETCH that neither begins nor ends an observation (RFC 7641 section
 * 2): to take it twice does nothing twice. False of what does not parse. */
bool message_is_safe(const uint8_t *bytes, size_t length);

/* An option's value as an unsigned integer (RFC 7252 section 3.2); length at most 4. */
uint32_t message_option_number(const struct message_option *option);

/* Building, in this order: begin, options by ascending number, payload. Errors stick to the
 * writer. */
struct message_builder {
    struct writer *writer;
    uint16_t last_option;
};
void message_begin(struct message_builder *builder, struct writer *writer, enum message_type type,
                   uint8_t code, uint16_t id, const uint8_t *token, size_t token_length);
void message_add_option(struct message_builder *builder, uint16_t number, const uint8_t *value,
                        size_t length);
/* In as few octets as it takes: 0 has none (RFC 7252 section 3.2). */
void message_add_number(struct message_builder *builder, uint16_t number, uint32_t value);
/* Nothing at all for a length of 0. */
void message_add_payload(struct message_builder *builder, const uint8_t *payload, size_t length);

/* An empty message: 4 octets. */
void message_write_empty(struct writer *writer, enum message_type type, uint16_t id);

#endif
