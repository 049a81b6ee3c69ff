#include "worker/observation_part.h"

#include "worker/block.h"
#include "worker/event.h"

#include <string.h>

#define REORDERING_MS 128000 /* RFC 7641 section 3.4 */
#define NUMBER_HALF (UINT32_C(1) << 23)
#define MAX_AGE_DEFAULT_S 60 /* RFC 7252 section 5.10.5 */

static const struct message_option *find_option(const struct message *message, uint16_t number)
{
    for (size_t i = 0; i < message->option_count; i++) {
        if (message->options[i].number == number)
            return &message->options[i];
    }
    return NULL;
}

void observation_read(const struct observations *observations, const struct message *message,
                      struct notification *notification)
{
    const struct message_option *observe = find_option(message, OPTION_OBSERVE);
    const struct message_option *format = find_option(message, OPTION_CONTENT_FORMAT);
    const struct message_option *max_age = find_option(message, OPTION_MAX_AGE);
    *notification = (struct notification){
        .heard = observation_now(observations),
        .body = {message->payload, message->payload_length},
        .max_age_s = MAX_AGE_DEFAULT_S,
        .message_id = message->id,
        .has_observe = observe && observe->length <= 3,
        .has_format = format && format->length <= 2,
    };
    if (notification->has_observe)
        notification->observe = message_option_number(observe);
    if (notification->has_format)
        notification->format = (uint16_t)message_option_number(format);
    if (max_age && max_age->length <= 4)
        notification->max_age_s = message_option_number(max_age);
}

/* "An incoming notification was sent more recently than the freshest notification so far when one
 * of the following conditions is met: (V1 < V2 and V2 - V1 < 2^23) or (V1 > V2 and V1 - V2 > 2^23)
 * or (T2 > T1 + 128 seconds)" (RFC 7641 section 3.4) */
static bool is_newer(const struct observation *observation, uint32_t v2, uint64_t t2)
{
    const struct observation_fetch *fetch = observation->fetch;
    uint32_t v1 = fetch ? fetch->notification.observe : observation->number;
    uint64_t t1 = fetch ? fetch->notification.heard.ms : observation->heard_ms;
    if (fetch ? !fetch->notification.has_observe : !observation->has_number)
        return true;
    return (v1 < v2 && v2 - v1 < NUMBER_HALF) || (v1 > v2 && v1 - v2 > NUMBER_HALF) ||
           t2 > t1 + REORDERING_MS;
}

static size_t write_event(struct observations *observations, const struct observation *observation,
                          const struct notification *notification)
{
    const struct session *session = observation->peer->peer.session;
    struct writer writer = writer_over(observations->event, sizeof(observations->event));
    struct event event = {
        .unix_ms = notification->heard.unix_ms,
        .path = observation->target,
        .cid = {session->own_cid.bytes, session->own_cid.length},
        .payload = notification->body,
        .message_id = notification->message_id,
        .format = notification->format,
        .has_format = notification->has_format,
        .has_observe = notification->has_observe,
        .observe = notification->observe,
        .slot = observation->slot,
    };
    event.identity.bytes = session_identity(session, &event.identity.length);
    event_write(&writer, &event);
    return writer_ok(&writer) ? writer_length(&writer) : 0;
}

static void take_state(struct observations *observations, struct observation *observation,
                       const struct notification *notification)
{
    observation->heard_ms = notification->heard.ms;
    observation->heard_unix_ms = notification->heard.unix_ms;
    observation->expires_unix_ms =
        observation_now(observations).unix_ms + notification->max_age_s * 1000;
    observation->failures = 0;
    if (notification->has_observe) {
        observation->number = notification->observe;
        observation->has_number = true;
    }
}

bool observation_keep(struct observations *observations, struct observation *observation,
                      const struct notification *notification, enum save_kind kind)
{
    const struct save save = {
        .number = notification->observe,
        .message_id = notification->message_id,
        .kind = (uint8_t)kind,
        .has_number = notification->has_observe,
        .was_due = observation->is_due,
        .acknowledges = notification->acknowledges,
    };
    take_state(observations, observation, notification);
    const struct octets event = {observations->event,
                                 write_event(observations, observation, notification)};
    if (event.length > 0 && observation_save(observations, observation, &save, event)) {
        observation->is_due = false;
        return true;
    }
    observation_note_number(observation, &save, false);
    observation_count(observations, WORKER_HEARD_NOT_STORED);
    return false;
}

void observation_end_by_device(struct observations *observations, struct observation *observation,
                               enum observation_outcome outcome, uint8_t code)
{
    const struct save save = {.kind = SAVE_REMOVAL};
    observation_count(observations, WORKER_OBSERVATIONS_ENDED);
    (void)observation_save(observations, observation, &save, (struct octets){0});
    observation_end(observations, observation, outcome, code);
}

/* False: the session has sent more than its share. */
static bool take_from_share(struct observations *observations, struct observation_peer *peer)
{
    uint64_t now_ms = observation_now(observations).ms;
    uint64_t level = peer->level + (now_ms - peer->filled_ms) * OBSERVATION_RATE;
    peer->level = level > OBSERVATION_BURST * 1000 ? OBSERVATION_BURST * 1000 : (uint32_t)level;
    peer->filled_ms = now_ms;
    if (peer->level < 1000)
        return false;
    peer->level -= 1000;
    return true;
}

enum extent { EXTENT_WHOLE, EXTENT_FIRST_BLOCK, EXTENT_NONSENSE };

/* "the server only sends the first block" (RFC 7959 section 2.6), whose number is 0. */
static enum extent extent_of(const struct message *message)
{
    struct block block;
    switch (block_read(&block, message, OPTION_BLOCK2)) {
    case BLOCK_NONE:
        return EXTENT_WHOLE;
    case BLOCK_FOUND:
        break;
    case BLOCK_RESERVED:
        return EXTENT_NONSENSE;
    }
    if (block.number > 0)
        return EXTENT_NONSENSE;
    return block.more ? EXTENT_FIRST_BLOCK : EXTENT_WHOLE;
}

/* All of a newer state is here, by itself or as the answer to a registration. */
static enum coap_heard take_whole(struct observations *observations,
                                  struct observation *observation,
                                  const struct notification *notification)
{
    bool is_first = observation->state == OBSERVATION_REGISTERING;
    if (!observation_keep(observations, observation, notification,
                          is_first ? SAVE_FIRST : SAVE_NOTIFICATION))
        return COAP_HEARD_DROPPED;
    if (is_first)
        observation->state = OBSERVATION_SAVING;
    if (observation->fetch)
        observation_count(observations, WORKER_FETCHES_SUPERSEDED);
    observation_drop_fetch(observations, observation);
    if (!is_first && !observation->is_renewing)
        observation_set_renewal(observations, observation);
    return COAP_HEARD_LATER;
}

static enum coap_heard take_newer(struct observations *observations,
                                  struct observation *observation, const struct message *message,
                                  const struct notification *notification)
{
    enum coap_heard heard = COAP_HEARD_REJECTED;
    switch (extent_of(message)) {
    case EXTENT_WHOLE:
        heard = take_whole(observations, observation, notification);
        break;
    case EXTENT_FIRST_BLOCK:
        heard = observation_fetch(observations, observation, message, notification);
        break;
    case EXTENT_NONSENSE:
        break;
    }
    if (heard == COAP_HEARD_REJECTED)
        observation_count(observations, WORKER_HEARD_MALFORMED);
    return heard;
}

static enum coap_heard take_notification(struct observations *observations,
                                         struct observation *observation,
                                         const struct message *response)
{
    struct notification notification;
    observation_read(observations, response, &notification);
    notification.acknowledges = true;
    /* RFC 7641 section 3.2: an error ends the relation at the device. */
    if (MESSAGE_CODE_CLASS(response->code) != 2) {
        observation_end_by_device(observations, observation, OBSERVATION_REFUSED, response->code);
        return COAP_HEARD;
    }
    if (notification.has_observe &&
        !is_newer(observation, notification.observe, notification.heard.ms)) {
        observation_count(observations, WORKER_HEARD_REORDERED);
        return COAP_HEARD;
    }
    if (observation->peer->saves >= OBSERVATION_SAVES_MAX) {
        observation_count(observations, WORKER_HEARD_STORM);
        return COAP_HEARD_DROPPED;
    }
    enum coap_heard heard = take_newer(observations, observation, response, &notification);
    if (heard == COAP_HEARD_REJECTED)
        observation_end_by_device(observations, observation, OBSERVATION_UNREACHED, 0);
    return heard;
}

enum coap_heard observation_hear(struct observations *observations, const struct coap_peer *peer,
                                 const struct message *response)
{
    struct observation *observation = NULL;
    if (response->token_length == ERRAND_TOKEN_SIZE && peer->session)
        observation = observation_locate(observations, peer->session_id, response->token[0]);
    if (!observation || observation->state == OBSERVATION_LEAVING ||
        memcmp(observation->token, response->token, ERRAND_TOKEN_SIZE) != 0) {
        if (find_option(response, OPTION_OBSERVE))
            observation_count(observations, WORKER_HEARD_UNKNOWN);
        return COAP_HEARD_UNKNOWN;
    }
    observation->peer->peer = *peer; /* it may have moved */
    /* A confirmable one comes again, the later the more often it has come. */
    if (!take_from_share(observations, observation->peer)) {
        observation_count(observations, WORKER_HEARD_STORM);
        return COAP_HEARD_DROPPED;
    }
    return take_notification(observations, observation, response);
}

/* --- registering --- */

static enum coap_heard ignore_answer(void *owner, uint64_t tag, const struct errand_result *result)
{
    (void)owner;
    (void)tag;
    (void)result;
    return COAP_HEARD;
}

/* RFC 7641 section 3.6: a client may simply forget the observation, and reject what still comes. To
 * spare the device that, it is told. */
void observation_deregister(struct observations *observations, const struct coap_peer *peer,
                            const struct observation *observation)
{
    const struct errand_request request = {
        .method = CODE_GET,
        .target = {(const uint8_t *)observation->target, strlen(observation->target)},
        .token = observation->token,
        .has_observe = true,
        .observe = 1,
        .has_accept = observation->has_format,
        .accept = observation->format,
        .done = ignore_answer,
    };
    (void)!errand_begin(observations->options.errands, peer, &request);
}

/* What was answered cannot be taken. */
static void give_up_registration(struct observations *observations,
                                 struct observation *observation, enum coap_heard heard)
{
    bool is_first = observation->state == OBSERVATION_REGISTERING;
    if (!is_first && heard == COAP_HEARD_DROPPED) {
        observation_set_retry(observations, observation);
        return;
    }
    observation_deregister(observations, &observation->peer->peer, observation);
    if (!is_first)
        observation_end_by_device(observations, observation, OBSERVATION_UNREACHED, 0);
    else
        observation_end(observations, observation,
                        heard == COAP_HEARD_DROPPED ? OBSERVATION_NOT_STORED
                                                    : OBSERVATION_UNREACHED,
                        0);
}

/* The device has answered a registration as one that keeps the relation. What was asked for because
 * a notification is due is taken whatever its number: it is newer than the question. */
static enum coap_heard take_registration(struct observations *observations,
                                         struct observation *observation,
                                         const struct errand_result *result)
{
    bool is_separate = result->response->type != MESSAGE_ACK;
    struct notification notification;
    observation_read(observations, result->response, &notification);
    notification.acknowledges = is_separate;
    bool is_awaited = observation->state == OBSERVATION_REGISTERING ||
                      (observation->is_due && !observation->fetch);
    if (!is_awaited && !is_newer(observation, notification.observe, notification.heard.ms)) {
        observation_count(observations, WORKER_HEARD_REORDERED);
        observation_set_renewal(observations, observation);
        return COAP_HEARD;
    }
    enum coap_heard heard = take_newer(observations, observation, result->response, &notification);
    if (heard == COAP_HEARD_DROPPED || heard == COAP_HEARD_REJECTED)
        give_up_registration(observations, observation, heard);
    return is_separate || heard != COAP_HEARD_LATER ? heard : COAP_HEARD;
}

/* It has answered otherwise, or not at all. What is held is given up only where the device says
 * that there is nothing to observe. */
static void take_refusal(struct observations *observations, struct observation *observation,
                         const struct errand_result *result)
{
    bool is_answer = result->outcome == ERRAND_ANSWERED;
    uint8_t code = is_answer ? result->response->code : 0;
    enum observation_outcome outcome = OBSERVATION_UNREACHED;
    if (is_answer)
        outcome = MESSAGE_CODE_CLASS(code) == 2 ? OBSERVATION_NOT_OBSERVABLE : OBSERVATION_REFUSED;
    if (observation->state == OBSERVATION_REGISTERING)
        observation_end(observations, observation, outcome, code);
    else if (is_answer && MESSAGE_CODE_CLASS(code) != 5)
        observation_end_by_device(observations, observation, outcome, code);
    else
        observation_set_retry(observations, observation);
}

static enum coap_heard registered(void *owner, uint64_t tag, const struct errand_result *result)
{
    struct observations *observations = owner;
    struct observation *observation =
        observation_locate(observations, result->peer->session_id, (uint8_t)(tag >> 56));
    if (!observation || observation_tag(observation) != tag || observation->state == OBSERVATION_LEAVING)
        return COAP_HEARD;
    observation->is_renewing = false;
    if (result->response)
        observation->peer->peer = *result->peer;
    if (result->outcome == ERRAND_ANSWERED && result->has_observe &&
        MESSAGE_CODE_CLASS(result->response->code) == 2)
        return take_registration(observations, observation, result);
    take_refusal(observations, observation, result);
    return COAP_HEARD;
}

enum status observation_register(struct observations *observations, struct observation *observation)
{
    const struct errand_request request = {
        .method = CODE_GET,
        .target = {(const uint8_t *)observation->target, strlen(observation->target)},
        .token = observation->token,
        .has_observe = true,
        .observe = 0,
        .has_accept = observation->has_format,
        .accept = observation->format,
        .is_first_only = true,
        .done = registered,
        .owner = observations,
        .tag = observation_tag(observation),
    };
    return errand_begin(observations->options.errands, &observation->peer->peer, &request);
}
