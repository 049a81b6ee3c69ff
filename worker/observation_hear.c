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

/* What a response says, whether it came by an errand or for itself. */
struct notification {
    const struct message *message;
    struct octets body;
    bool has_observe;
    uint32_t observe;
    uint16_t message_id;
    bool acknowledges;
};

/* "An incoming notification was sent more recently than the freshest notification so far when one
 * of the following conditions is met: (V1 < V2 and V2 - V1 < 2^23) or (V1 > V2 and V1 - V2 > 2^23)
 * or (T2 > T1 + 128 seconds)" (RFC 7641 section 3.4) */
static bool is_newer(const struct observation *observation, uint32_t v2, uint64_t t2)
{
    uint32_t v1 = observation->number;
    if (!observation->has_number)
        return true;
    return (v1 < v2 && v2 - v1 < NUMBER_HALF) || (v1 > v2 && v1 - v2 > NUMBER_HALF) ||
           t2 > observation->heard_ms + REORDERING_MS;
}

static size_t write_event(const struct observation *observation,
                          const struct notification *notification, uint64_t unix_ms,
                          uint8_t space[STORE_EVENT_MAX])
{
    const struct session *session = observation->peer->peer.session;
    const struct message_option *format = find_option(notification->message, OPTION_CONTENT_FORMAT);
    struct writer writer = writer_over(space, STORE_EVENT_MAX);
    struct event event = {
        .unix_ms = unix_ms,
        .path = observation->target,
        .cid = {session->own_cid.bytes, session->own_cid.length},
        .payload = notification->body,
        .message_id = notification->message_id,
        .has_format = format && format->length <= 2,
        .has_observe = notification->has_observe,
        .observe = notification->observe,
        .slot = observation->slot,
    };
    event.identity.bytes = session_identity(session, &event.identity.length);
    if (event.has_format)
        event.format = (uint16_t)message_option_number(format);
    event_write(&writer, &event);
    return writer_ok(&writer) ? writer_length(&writer) : 0;
}

static void take_state(struct observations *observations, struct observation *observation,
                       const struct notification *notification)
{
    struct coap_now now = observation_now(observations);
    const struct message_option *max_age = find_option(notification->message, OPTION_MAX_AGE);
    uint64_t age_s =
        max_age && max_age->length <= 4 ? message_option_number(max_age) : MAX_AGE_DEFAULT_S;
    observation->heard_ms = now.ms;
    observation->heard_unix_ms = now.unix_ms;
    observation->expires_unix_ms = now.unix_ms + age_s * 1000;
    observation->failures = 0;
    if (notification->has_observe) {
        observation->number = notification->observe;
        observation->has_number = true;
    }
}

/* False: the store was not even asked. */
static bool keep(struct observations *observations, struct observation *observation,
                 const struct notification *notification, enum save_kind kind)
{
    uint8_t event[STORE_EVENT_MAX];
    const struct save save = {
        .number = notification->observe,
        .message_id = notification->message_id,
        .kind = (uint8_t)kind,
        .has_number = notification->has_observe,
        .acknowledges = notification->acknowledges,
    };
    take_state(observations, observation, notification);
    size_t length = write_event(observation, notification, observation->heard_unix_ms, event);
    if (length > 0 &&
        observation_save(observations, observation, &save, (struct octets){event, length}))
        return true;
    observation_note_number(observation, &save, false);
    observation_count(observations, WORKER_HEARD_NOT_STORED);
    return false;
}

/* The relation ends at the device; the store forgets it, if it can be asked, else an heir finds out
 * by its next registration. */
static void end_by_device(struct observations *observations, struct observation *observation)
{
    const struct save save = {.kind = SAVE_REMOVAL};
    observation_count(observations, WORKER_OBSERVATIONS_ENDED);
    (void)observation_save(observations, observation, &save, (struct octets){0});
    observation_drop(observations, observation);
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

static enum coap_heard take_notification(struct observations *observations,
                                         struct observation *observation,
                                         const struct message *response)
{
    const struct message_option *observe = find_option(response, OPTION_OBSERVE);
    struct notification notification = {
        .message = response,
        .body = {response->payload, response->payload_length},
        .has_observe = observe && observe->length <= 3,
        .message_id = response->id,
        .acknowledges = true,
    };
    if (notification.has_observe)
        notification.observe = message_option_number(observe);
    /* RFC 7641 section 3.2: an error ends the relation at the device. */
    if (MESSAGE_CODE_CLASS(response->code) != 2) {
        end_by_device(observations, observation);
        return COAP_HEARD;
    }
    if (notification.has_observe &&
        !is_newer(observation, notification.observe, observation_now(observations).ms)) {
        observation_count(observations, WORKER_HEARD_REORDERED);
        return COAP_HEARD;
    }
    struct block block;
    if (response->payload_length > EVENT_PAYLOAD_MAX ||
        (block_read(&block, response, OPTION_BLOCK2) == BLOCK_FOUND && block.more)) {
        observation_count(observations, WORKER_HEARD_TOO_LARGE);
        end_by_device(observations, observation);
        return COAP_HEARD_REJECTED;
    }
    if (observation->peer->saves >= OBSERVATION_SAVES_MAX) {
        observation_count(observations, WORKER_HEARD_STORM);
        return COAP_HEARD_DROPPED;
    }
    if (!keep(observations, observation, &notification, SAVE_NOTIFICATION))
        return COAP_HEARD_DROPPED;
    if (!observation->is_renewing)
        observation_set_renewal(observations, observation);
    return COAP_HEARD_LATER;
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

static uint64_t tag_of(const struct observation *observation)
{
    struct cursor cursor = cursor_over(observation->token, ERRAND_TOKEN_SIZE);
    return cursor_u64(&cursor);
}

/* The device has answered a registration as one that keeps the relation. */
static enum coap_heard take_registration(struct observations *observations,
                                         struct observation *observation,
                                         const struct errand_result *result)
{
    bool is_first = observation->state == OBSERVATION_REGISTERING;
    bool is_separate = result->response->type != MESSAGE_ACK;
    const struct notification notification = {
        .message = result->response,
        .body = result->body,
        .has_observe = true,
        .observe = result->observe,
        .message_id = result->response->id,
        .acknowledges = is_separate,
    };
    if (result->body.length > EVENT_PAYLOAD_MAX) {
        observation_count(observations, WORKER_HEARD_TOO_LARGE);
        observation_deregister(observations, result->peer, observation);
        if (is_first)
            observation_end(observations, observation, OBSERVATION_TOO_LARGE, 0);
        else
            end_by_device(observations, observation);
        return COAP_HEARD;
    }
    if (is_first)
        observation->state = OBSERVATION_SAVING;
    else
        observation_set_renewal(observations, observation);
    if (!is_first && !is_newer(observation, result->observe, observation_now(observations).ms)) {
        observation_count(observations, WORKER_HEARD_REORDERED);
        return COAP_HEARD;
    }
    if (keep(observations, observation, &notification, is_first ? SAVE_FIRST : SAVE_NOTIFICATION)) {
        if (!is_first)
            observation_set_renewal(observations, observation);
        return is_separate ? COAP_HEARD_LATER : COAP_HEARD;
    }
    if (is_first) {
        observation_deregister(observations, result->peer, observation);
        observation_end(observations, observation, OBSERVATION_NOT_STORED, 0);
    }
    return is_separate ? COAP_HEARD_DROPPED : COAP_HEARD;
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
        end_by_device(observations, observation);
    else
        observation_set_retry(observations, observation);
}

static enum coap_heard registered(void *owner, uint64_t tag, const struct errand_result *result)
{
    struct observations *observations = owner;
    struct observation *observation =
        observation_locate(observations, result->peer->session_id, (uint8_t)(tag >> 56));
    if (!observation || tag_of(observation) != tag || observation->state == OBSERVATION_LEAVING)
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
        .done = registered,
        .owner = observations,
        .tag = tag_of(observation),
    };
    return errand_begin(observations->options.errands, &observation->peer->peer, &request);
}
