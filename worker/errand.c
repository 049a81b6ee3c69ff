#include "worker/errand_part.h"

#include "shared/keys.h"

#include <stdlib.h>
#include <string.h>

#define TARGET_BESIDE_LARGE 128 /* octets of a target that still fits beside a block of 1,024 */

static bool match(const void *object, const void *key)
{
    const struct errand *errand = object;
    return memcmp(errand->token, key, ERRAND_TOKEN_SIZE) == 0;
}

static uint64_t hash_stored(const void *context, const void *object)
{
    const struct errand *errand = object;
    return errand_hash(context, errand->token);
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
    table_remove(&errands->by_token, errand_hash(errands, errand->token), errand);
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

void errand_stop_repeating(struct errands *errands, const struct errand *errand)
{
    if (errand->is_sent)
        (void)transmission_cancel(&errands->coap->transmissions, &errand->peer,
                                  TRANSMISSION_REQUEST, errand_key(errand->token),
                                  coap_clock(errands->coap).ms);
}

/* Its repetitions end with it; it is gone when its owner is told, who may begin the next. */
enum coap_heard errand_finish(struct errands *errands, struct errand *errand,
                              struct errand_result *result)
{
    struct errand_request request = errand->request;
    struct coap_peer peer = errand->peer;
    uint8_t *space = errand->space;
    result->peer = &peer;
    result->has_observe = errand->has_observe;
    result->observe = errand->observe;
    result->message_id = errand->message_id;
    errand_stop_repeating(errands, errand);
    errand->space = NULL; /* the result may show it */
    free_errand(errands, errand);
    enum coap_heard heard = request.done(request.owner, request.tag, result);
    free(space);
    return heard;
}

void errand_fail(struct errands *errands, struct errand *errand, enum errand_outcome outcome)
{
    struct errand_result result = {.outcome = outcome};
    (void)errand_finish(errands, errand, &result);
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
    uint64_t hash = errand_hash(errands, errand->token);
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
                             errand_key(errand->token),
                             (struct octets){errands->message, writer_length(&writer)},
                             coap_clock(errands->coap).ms) != TRANSMISSION_REFUSED;
}

static bool renew_token(struct errands *errands, struct errand *errand)
{
    table_remove(&errands->by_token, errand_hash(errands, errand->token), errand);
    return take_token(errands, errand, NULL);
}

void errand_send_again(struct errands *errands, struct errand *errand)
{
    if (send_request(errands, errand))
        return;
    errand->is_sent = false;
    errand_fail(errands, errand, ERRAND_NO_ROOM);
}

/* The next message of the errand, with a message id and token of its own. */
void errand_send_next(struct errands *errands, struct errand *errand)
{
    if (renew_token(errands, errand))
        errand_send_again(errands, errand);
    else
        errand_fail(errands, errand, ERRAND_NO_ROOM);
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
    errand->has_given_token = request->token != NULL;
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
    errand_stop_repeating(errands, errand);
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
        errand_fail(errands, errand, ERRAND_CANCELLED);
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
        errand_fail(errands, (struct errand *)timer, ERRAND_TIMED_OUT);
}
