/* What comes back to errands: responses, and what became of messages. */
#include "worker/errand_part.h"

#include <stdlib.h>
#include <string.h>

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
    return errand_finish(errands, errand, &result);
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
            errand_fail(errands, errand, ERRAND_NO_ROOM);
            return COAP_HEARD;
        }
        download_begin(&errand->download, errand->space, COAP_BODY_MAX);
        errand->is_downloading = true;
    }
    switch (download_take(&errand->download, response)) {
    case DOWNLOAD_MORE:
        errand_send_next(errands, errand);
        break;
    case DOWNLOAD_WHOLE:
        return answer(
            errands, errand, response,
            (struct octets){errand->download.body.start, writer_length(&errand->download.body)});
    case DOWNLOAD_TOO_LARGE:
        errand_fail(errands, errand, ERRAND_TOO_LARGE);
        break;
    case DOWNLOAD_BROKEN:
        errand_fail(errands, errand, ERRAND_REJECTED);
        break;
    }
    return COAP_HEARD;
}

static enum coap_heard take_response(struct errands *errands, struct errand *errand,
                                     const struct message *response)
{
    if (is_challenged(errand, response)) {
        /* A registration's token is the relation's, whenever the device makes one of it. */
        if (errand->has_given_token && !errand->is_downloading)
            errand_send_again(errands, errand);
        else
            errand_send_next(errands, errand);
        return COAP_HEARD;
    }
    remember_first(errand, response);
    if (errand->is_uploading && !errand->is_downloading) {
        switch (upload_take(&errand->upload, response)) {
        case UPLOAD_MORE:
            errand->has_response = false;
            errand_send_next(errands, errand);
            return COAP_HEARD;
        case UPLOAD_BROKEN:
            errand_fail(errands, errand, ERRAND_REJECTED);
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
        table_find(&errands->by_token, errand_hash(errands, response->token), response->token);
    if (!errand || !coap_peer_equal(&errand->peer, peer))
        return COAP_HEARD_UNKNOWN;
    if (!is_understood(response)) {
        errand_fail(errands, errand, ERRAND_REJECTED);
        return COAP_HEARD_REJECTED;
    }
    errand->peer = *peer; /* it may have moved */
    errand_stop_repeating(errands, errand);
    errand->is_sent = false;
    return take_response(errands, errand, response);
}

void errand_settled(struct errands *errands, const struct transmission_report *report)
{
    uint8_t token[ERRAND_TOKEN_SIZE];
    struct writer writer = writer_over(token, sizeof(token));
    writer_u64(&writer, report->key);
    struct errand *errand = table_find(&errands->by_token, errand_hash(errands, token), token);
    if (!errand || !coap_peer_equal(&errand->peer, &report->peer))
        return;
    errand->is_sent = false;
    switch (report->outcome) {
    case TRANSMISSION_ACKED: /* the response comes with it, or for itself */
        wheel_set(&errands->wheel, &errand->timer, report->now_ms + ERRAND_RESPONSE_MS);
        break;
    case TRANSMISSION_RESET:
        errand_fail(errands, errand, ERRAND_RESET);
        break;
    case TRANSMISSION_TIMED_OUT:
    case TRANSMISSION_OUTDATED: /* never: a request is repeated as it is */
        errand_fail(errands, errand, ERRAND_TIMED_OUT);
        break;
    case TRANSMISSION_CANCELLED:
        errand_fail(errands, errand, ERRAND_CANCELLED);
        break;
    }
}
