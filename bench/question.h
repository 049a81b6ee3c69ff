/* What devices ask, as CoAP messages (RFC 7252), and how much of an answer matters to them. Only
 * what a load generator needs; the server's codec is worker/message.h. */
#ifndef HOLDFAST_BENCH_QUESTION_H
#define HOLDFAST_BENCH_QUESTION_H

#include "shared/cursor.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define QUESTION_TOKEN_MAX 8
#define QUESTION_PATH_MAX 255 /* octets of a path with its slashes */

enum question_type { QUESTION_CON = 0, QUESTION_NON = 1, QUESTION_ACK = 2, QUESTION_RST = 3 };

#define QUESTION_GET 1
#define QUESTION_POST 2
#define QUESTION_PUT 3
#define QUESTION_CONTENT 0x45            /* 2.05 */
#define QUESTION_METHOD_NOT_ALLOWED 0x85 /* 4.05 */

/* Values of the Observe option in a request (RFC 7641 section 2). */
#define QUESTION_REGISTER 0
#define QUESTION_DEREGISTER 1
#define QUESTION_NUMBER_MAX 0xffffff /* of a notification: 24 bits */

struct question {
    enum question_type type; /* CON, by default */
    uint8_t code;
    uint16_t message_id;
    bool has_observe;
    uint32_t observe;
    const char *path; /* segments with slashes between, no query; NULL: a response has none */
    const uint8_t *token;
    size_t token_length;
    const uint8_t *payload;
    size_t payload_length;
};

/* A request, or a response. Does not fit, or a path segment beyond 255 octets: the writer fails. */
void question_write(struct writer *writer, const struct question *question);
/* An empty message: CON is a ping, and ACK and RST what answers the server's own messages. */
void question_write_empty(struct writer *writer, enum question_type type, uint16_t message_id);

struct answer {
    enum question_type type;
    uint8_t code; /* 0: empty */
    uint16_t message_id;
    const uint8_t *token; /* in the message, as is the payload */
    size_t token_length;
    bool has_observe;
    uint32_t observe;
    const uint8_t *payload;
    size_t payload_length;
};

/* The class of a code: 2 in 2.04. */
static inline unsigned answer_class(uint8_t code)
{
    return code >> 5;
}

/* False: not a CoAP message. A request reads as one, too. */
bool answer_read(struct answer *answer, const uint8_t *bytes, size_t length);

#endif
