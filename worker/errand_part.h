/* What the files of errands share: errand.c (beginning, end, sending) and errand_hear.c (what comes
 * back). Nobody else includes this. */
#ifndef HOLDFAST_WORKER_ERRAND_PART_H
#define HOLDFAST_WORKER_ERRAND_PART_H

#include "worker/download.h"
#include "worker/errand.h"
#include "worker/target.h"
#include "worker/upload.h"

struct errand {
    struct timer timer; /* the first member: the wheel gives it back */
    struct errand *next;
    struct errand **link;
    struct coap_peer peer;
    struct errand_request request;    /* its views are of what follows */
    uint8_t token[ERRAND_TOKEN_SIZE]; /* of the message under way */
    uint8_t target[TARGET_MAX];
    uint8_t *body;  /* owned */
    uint8_t *space; /* for the response in blocks; owned */
    struct upload upload;
    struct download download;
    bool is_uploading, is_downloading;
    bool has_given_token;
    bool is_sent; /* and neither acknowledged nor answered */
    bool has_response;
    bool has_observe;
    uint32_t observe;
    uint16_t message_id;
    uint8_t echo_length; /* 0: no challenge yet */
    uint8_t echo[MESSAGE_ECHO_MAX];
};

static inline uint64_t errand_key(const uint8_t token[ERRAND_TOKEN_SIZE])
{
    struct cursor cursor = cursor_over(token, ERRAND_TOKEN_SIZE);
    return cursor_u64(&cursor);
}

static inline uint64_t errand_hash(const struct errands *errands, const uint8_t *token)
{
    return hash_bytes(&errands->hash_key, token, ERRAND_TOKEN_SIZE);
}

/* errand.c */

/* It is gone when its owner is told, who may begin the next. */
enum coap_heard errand_finish(struct errands *errands, struct errand *errand,
                              struct errand_result *result);
void errand_fail(struct errands *errands, struct errand *errand, enum errand_outcome outcome);
void errand_stop_repeating(struct errands *errands, const struct errand *errand);
/* The next message, with a message id and token of its own; or with the token that it has. */
void errand_send_next(struct errands *errands, struct errand *errand);
void errand_send_again(struct errands *errands, struct errand *errand);

#endif
