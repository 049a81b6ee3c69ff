#include "worker/errand.h"

#include "shared/keys.h"
#include "worker/download.h"
#include "worker/target.h"
#include "worker/upload.h"

#include <stdlib.h>
#include <string.h>

#define TARGET_BESIDE_LARGE 128 /* octets of a target that still fits beside a block of 1,024 */

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
    bool is_sent; /* and neither acknowledged nor answered */
    bool has_response;
    bool has_observe;
    uint32_t observe;
    uint16_t message_id;
    uint8_t echo_length; /* 0: no challenge yet */
    uint8_t echo[MESSAGE_ECHO_MAX];
};

static uint64_t key_of(const uint8_t token[ERRAND_TOKEN_SIZE])
{
    struct cursor cursor = cursor_over(token, ERRAND_TOKEN_SIZE);
    return cursor_u64(&cursor);
}

static uint64_t hash_of(const struct errands *errands, const uint8_t *token)
{
    return hash_bytes(&errands->hash_key, token, ERRAND_TOKEN_SIZE);
}

static bool match(const void *object, const void *key)
{
    const struct errand *errand = object;
    return memcmp(errand->token, key, ERRAND_TOKEN_SIZE) == 0;
}

static uint64_t hash_stored(const void *context, const void *object)
{
    const struct errand *errand = object;
    return hash_of(context, errand->token);
}

enum status errands_init(struct errands *errands, struct coap *coap,
                         const struct hash_key *hash_key, uint64_t now_ms)
{
    *errands = (struct errands){.coap = coap, .hash_key = *hash_key};
    wheel_init(&errands->wheel, now_ms);
    enum status status = pool_init(&errands->pool, sizeof(struct errand), ERRANDS_MAX);
    if (status == STATUS_OK)
        status = table_init(&errands->by_token, ERRANDS_MAX, match, hash_stored, errands);
    return status;
}

/* --- beginning and end --- */

static void free_errand(struct errands *errands, struct errand *errand)
{
    *errand->link = errand->next;
    if (errand->next)
        errand->next->link = errand->link;
    wheel_cancel(&errands->wheel, &errand->timer);
    table_remove(&errands->by_token, hash_of(errands, errand->token), errand);
    free(errand->body);
    free(errand->space);
    pool_put(&errands->pool, errand);
}

void errands_free(struct errands *errands)
{
    while (errands->first)
        free_errand(errands, errands->first);
    table_free(&errands->by_token);
    pool_free(&errands->pool);
}

static void stop_repeating(struct errands *errands, const struct errand *errand)
{
    if (errand->is_sent)
        (void)transmission_cancel(&errands->coap->transmissions, &errand->peer,
                                  TRANSMISSION_REQUEST, key_of(errand->token),
                                  coap_clock(errands->coap).ms);
}

/* Its repetitions end with it; it is gone when its owner is told, who may begin the next. */
static enum coap_heard finish(struct errands *errands, struct errand *errand,
                              struct errand_result *result)
{
    struct errand_request request = errand->request;
    struct coap_peer peer = errand->peer;
    uint8_t *space = errand->space;
    result->peer = &peer;
    result->has_observe = errand->has_observe;
    result->observe = errand->observe;
    result->message_id = errand->message_id;
    stop_repeating(errands, errand);
    errand->space = NULL; /* the result may show it */
    free_errand(errands, errand);
    enum coap_heard heard = request.done(request.owner, request.tag, result);
    free(space);
    return heard;
}

static void fail(struct errands *errands, struct errand *errand, enum errand_outcome outcome)
{
    struct errand_result result = {.outcome = outcome};
    (void)finish(errands, errand, &result);
}

static size_t count_of(const struct errands *errands, const struct coap_peer *peer)
{
    size_t count = 0;
    for (const struct errand *errand = errands->first; errand; errand = errand->next)
        count += coap_peer_equal(&errand->peer, peer);
    return count;
}

/* In no use yet. False: the system has no randomness, or no room is left. */
static bool take_token(struct errands *errands, struct errand *errand, const uint8_t *given)
{
    if (given)
        memcpy(errand->token, given, ERRAND_TOKEN_SIZE);
    else if (keys_random(errand->token, ERRAND_TOKEN_SIZE) != STATUS_OK)
        return false;
    else
        errand->token[0] |= ERRAND_TOKEN_FIRST;
    uint64_t hash = hash_of(errands, errand->token);
    return !table_find(&errands->by_token, hash, errand->token) &&
           table_insert(&errands->by_token, hash, errand) == STATUS_OK;
}

/* --- sending --- */

static void write_request(const struct errand *errand, struct writer *writer, uint16_t message_id)
{
    const struct errand_request *request = &errand->request;
    struct message_builder builder;
    struct block block1 = {0}, block2 = {0};
    struct octets part = errand->upload.body;
    message_begin(&builder, writer, MESSAGE_CON, request->method, message_id, errand->token,
                  ERRAND_TOKEN_SIZE);
    if (request->has_observe && !errand->is_downloading)
        message_add_number(&builder, OPTION_OBSERVE, request->observe);
    target_add_path(&builder, request->target);
    if (request->has_format && !errand->is_downloading)
        message_add_number(&builder, OPTION_CONTENT_FORMAT, request->format);
    target_add_query(&builder, request->target);
    if (request->has_accept)
        message_add_number(&builder, OPTION_ACCEPT, request->accept);
    if (errand->is_downloading) {
        block2 = download_next(&errand->download);
        part = (struct octets){0};
        message_add_number(&builder, OPTION_BLOCK2, block_value(&block2));
    } else if (errand->is_uploading) {
        part = upload_next(&errand->upload, &block1);
        message_add_number(&builder, OPTION_BLOCK1, block_value(&block1));
        if (block1.number == 0)
            message_add_number(&builder, OPTION_SIZE1, (uint32_t)errand->upload.body.length);
    }
    if (errand->echo_length > 0)
        message_add_option(&builder, OPTION_ECHO, errand->echo, errand->echo_length);
    message_add_payload(&builder, part.bytes, part.length);
}

static bool send_request(struct errands *errands, struct errand *errand)
{
    struct writer writer = writer_over(errands->message, sizeof(errands->message));
    write_request(errand, &writer, coap_message_id(errands->coap, &errand->peer));
    if (!writer_ok(&writer))
        return false;
    errand->is_sent = true;
    wheel_cancel(&errands->wheel, &errand->timer);
    return transmission_send(&errands->coap->transmissions, &errand->peer, TRANSMISSION_REQUEST,
                             key_of(errand->token),
                             (struct octets){errands->message, writer_length(&writer)},
                             coap_clock(errands->coap).ms) != TRANSMISSION_REFUSED;
}

/* The next message of the errand, with a message id and token of its own. */
static void send_next(struct errands *errands, struct errand *errand)
{
    table_remove(&errands->by_token, hash_of(errands, errand->token), errand);
    if (!take_token(errands, errand, NULL) || !send_request(errands, errand)) {
        errand->is_sent = false;
        fail(errands, errand, ERRAND_NO_ROOM);
    }
}

/* --- responses --- */

static const struct message_option *find_option(const struct message *message, uint16_t number)
{
    for (size_t i = 0; i < message->option_count; i++) {
        if (message->options[i].number == number)
            return &message->options[i];
    }
    return NULL;
}

/* "Unrecognized options of class "critical" that occur in a Confirmable response, or piggybacked
 * in an Acknowledgement, MUST cause the response to be rejected (Section 4.2)." (RFC 7252 section
 * 5.4.1). Critical are those of odd number; blocks are all that a response has of them. */
static bool is_understood(const struct message *response)
{
    for (size_t i = 0; i < response->option_count; i++) {
        uint16_t number = response->options[i].number;
        if (number % 2 == 1 && number != OPTION_BLOCK1 && number != OPTION_BLOCK2)
            return false;
    }
    return true;
}

/* RFC 9175 section 2.3: the request again, now with the Echo option; once, so that nobody keeps us
 * busy with it. */
static bool is_challenged(struct errand *errand, const struct message *response)
{
    const struct message_option *echo = find_option(response, OPTION_ECHO);
    if (response->code != CODE_UNAUTHORIZED || !echo || errand->echo_length > 0 ||
        echo->length == 0 || echo->length > MESSAGE_ECHO_MAX)
        return false;
    memcpy(errand->echo, echo->value, echo->length);
    errand->echo_length = (uint8_t)echo->length;
    return true;
}

static void remember_first(struct errand *errand, const struct message *response)
{
    const struct message_option *observe = find_option(response, OPTION_OBSERVE);
    if (errand->has_response)
        return;
    errand->has_response = true;
    errand->message_id = response->id;
    errand->has_observe = observe && observe->length <= 3;
    if (errand->has_observe)
        errand->observe = message_option_number(observe);
}

static enum coap_heard answer(struct errands *errands, struct errand *errand,
                              const struct message *response, struct octets body)
{
    struct errand_result result = {.outcome = ERRAND_ANSWERED, .response = response, .body = body};
    return finish(errands, errand, &result);
}

/* Does the body go on after this response, or before it? */
static bool is_in_blocks(const struct message *response)
{
    struct block block;
    return MESSAGE_CODE_CLASS(response->code) == 2 &&
           block_read(&block, response, OPTION_BLOCK2) == BLOCK_FOUND &&
           (block.more || block.number > 0);
}

static enum coap_heard take_body(struct errands *errands, struct errand *errand,
                                 const struct message *response)
{
    if (!errand->is_downloading && (errand->request.is_first_only || !is_in_blocks(response))) {
        return answer(errands, errand, response,
                      (struct octets){response->payload, response->payload_length});
    }
    if (!errand->is_downloading) {
        errand->space = malloc(COAP_BODY_MAX);
        if (!errand->space) {
            fail(errands, errand, ERRAND_NO_ROOM);
            return COAP_HEARD;
        }
        download_begin(&errand->download, errand->space, COAP_BODY_MAX);
        errand->is_downloading = true;
    }
    switch (download_take(&errand->download, response)) {
    case DOWNLOAD_MORE:
        send_next(errands, errand);
        break;
    case DOWNLOAD_WHOLE:
        return answer(errands, errand, response,
                      (struct octets){errand->download.body.start,
                                      writer_length(&errand->download.body)});
    case DOWNLOAD_TOO_LARGE:
        fail(errands, errand, ERRAND_TOO_LARGE);
        break;
    case DOWNLOAD_BROKEN:
        fail(errands, errand, ERRAND_REJECTED);
        break;
    }
    return COAP_HEARD;
}

static enum coap_heard take_response(struct errands *errands, struct errand *errand,
                                     const struct message *response)
{
    if (is_challenged(errand, response)) {
        send_next(errands, errand);
        return COAP_HEARD;
    }
    remember_first(errand, response);
    if (errand->is_uploading && !errand->is_downloading) {
        switch (upload_take(&errand->upload, response)) {
        case UPLOAD_MORE:
            errand->has_response = false;
            send_next(errands, errand);
            return COAP_HEARD;
        case UPLOAD_BROKEN:
            fail(errands, errand, ERRAND_REJECTED);
            return COAP_HEARD;
        case UPLOAD_DONE:
            break;
        }
    }
    return take_body(errands, errand, response);
}

enum coap_heard errand_hear(struct errands *errands, const struct coap_peer *peer,
                            const struct message *response)
{
    if (response->token_length != ERRAND_TOKEN_SIZE)
        return COAP_HEARD_UNKNOWN;
    struct errand *errand =
        table_find(&errands->by_token, hash_of(errands, response->token), response->token);
    if (!errand || !coap_peer_equal(&errand->peer, peer))
        return COAP_HEARD_UNKNOWN;
    if (!is_understood(response)) {
        fail(errands, errand, ERRAND_REJECTED);
        return COAP_HEARD_REJECTED;
    }
    errand->peer = *peer; /* it may have moved */
    stop_repeating(errands, errand);
    errand->is_sent = false;
    return take_response(errands, errand, response);
}

void errand_settled(struct errands *errands, const struct transmission_report *report)
{
    uint8_t token[ERRAND_TOKEN_SIZE];
    struct writer writer = writer_over(token, sizeof(token));
    writer_u64(&writer, report->key);
    struct errand *errand = table_find(&errands->by_token, hash_of(errands, token), token);
    if (!errand || !coap_peer_equal(&errand->peer, &report->peer))
        return;
    errand->is_sent = false;
    switch (report->outcome) {
    case TRANSMISSION_ACKED: /* the response comes with it, or for itself */
        wheel_set(&errands->wheel, &errand->timer, report->now_ms + ERRAND_RESPONSE_MS);
        break;
    case TRANSMISSION_RESET:
        fail(errands, errand, ERRAND_RESET);
        break;
    case TRANSMISSION_TIMED_OUT:
    case TRANSMISSION_OUTDATED: /* never: a request is repeated as it is */
        fail(errands, errand, ERRAND_TIMED_OUT);
        break;
    case TRANSMISSION_CANCELLED:
        fail(errands, errand, ERRAND_CANCELLED);
        break;
    }
}

/* --- what the worker asks for --- */

static struct errand *new_errand(struct errands *errands, const struct coap_peer *peer,
                                 const struct errand_request *request)
{
    struct errand *errand = pool_get(&errands->pool);
    if (!errand)
        return NULL;
    errand->peer = *peer;
    errand->request = *request;
    errand->request.token = NULL;
    memcpy(errand->target, request->target.bytes, request->target.length);
    errand->request.target.bytes = errand->target;
    errand->request.begun = NULL;
    errand->is_downloading = request->begun != NULL;
    if (request->begun)
        errand->download = *request->begun;
    errand->next = errands->first;
    errand->link = &errands->first;
    if (errand->next)
        errand->next->link = &errand->next;
    errands->first = errand;
    return errand;
}

static bool take_request_body(struct errand *errand, struct octets body)
{
    uint8_t szx =
        errand->request.target.length > TARGET_BESIDE_LARGE ? BLOCK_SZX_MAX - 1 : BLOCK_SZX_MAX;
    errand->request.body = (struct octets){0};
    if (body.length == 0)
        return true;
    errand->body = malloc(body.length);
    if (!errand->body)
        return false;
    memcpy(errand->body, body.bytes, body.length);
    upload_begin(&errand->upload, (struct octets){errand->body, body.length}, szx);
    errand->is_uploading = body.length > block_size(szx);
    return true;
}

enum status errand_begin(struct errands *errands, const struct coap_peer *peer,
                         const struct errand_request *request)
{
    if (request->target.length > TARGET_MAX || request->body.length > COAP_BODY_MAX)
        return STATUS_TOO_LONG;
    struct errand *errand = NULL;
    if (count_of(errands, peer) < ERRANDS_PER_PEER_MAX)
        errand = new_errand(errands, peer, request);
    if (!errand) {
        coap_count(errands->coap, WORKER_ERRANDS_REFUSED);
        return STATUS_FULL;
    }
    enum status status = STATUS_OK;
    if (!take_request_body(errand, request->body))
        status = STATUS_NO_MEMORY;
    else if (!take_token(errands, errand, request->token) || !send_request(errands, errand))
        status = STATUS_FULL;
    if (status != STATUS_OK) {
        coap_count(errands->coap, WORKER_ERRANDS_REFUSED);
        free_errand(errands, errand);
        return status;
    }
    coap_count(errands->coap, WORKER_ERRANDS);
    return STATUS_OK;
}

bool errand_cancel(struct errands *errands, errand_done_fn *done, const void *owner, uint64_t tag)
{
    struct errand *errand = errands->first;
    while (errand && (errand->request.done != done || errand->request.owner != owner ||
                      errand->request.tag != tag))
        errand = errand->next;
    if (!errand)
        return false;
    stop_repeating(errands, errand);
    free_errand(errands, errand);
    return true;
}

void errand_forget(struct errands *errands, uint64_t session_id)
{
    for (struct errand *errand = errands->first, *next; errand; errand = next) {
        next = errand->next;
        if (errand->peer.session_id != session_id)
            continue;
        errand->is_sent = false; /* coap_forget ends its repetitions */
        fail(errands, errand, ERRAND_CANCELLED);
        next = errands->first; /* who was told may have begun or ended others */
    }
}

uint64_t errand_next_ms(const struct errands *errands)
{
    return wheel_next_ms(&errands->wheel);
}

void errand_run(struct errands *errands, uint64_t now_ms)
{
    struct timer *timer;
    while ((timer = wheel_expire(&errands->wheel, now_ms)))
        fail(errands, (struct errand *)timer, ERRAND_TIMED_OUT);
}
