/* Notifications in blocks: "the server only sends the first block", and the client asks for the
 * rest as if it had got that as a response (RFC 7959 section 2.6): by GETs without Observe, with
 * tokens of their own.
 *
 *   first block ─> SAVE_NOTE ── stored ──> ACK, GETs ─> SAVE_NOTIFICATION
 *                                            └── failed ──> registered anew
 *
 * The device must have its ACK before it answers our GETs (NSTART is 1), so the store cannot have
 * the whole by then. What it has is a note that something is due: whoever holds the relation from
 * then on does not rest before the log has this state or a newer one. A registration that is not
 * stored yet promises nothing, and needs no note. */
#include "worker/observation_part.h"

#include <stdlib.h>
#include <string.h>

static size_t count_fetches(const struct observation_peer *peer)
{
    size_t count = 0;
    for (size_t i = 0; i < OBSERVATIONS_PER_SESSION_MAX; i++)
        count += peer->slots[i] && peer->slots[i]->fetch;
    return count;
}

static struct observation_fetch *new_fetch(struct observations *observations,
                                           const struct observation *observation)
{
    struct observation_fetch *fetch = NULL;
    size_t replaced = observation->fetch != NULL;
    if (observations->fetches - replaced < OBSERVATION_FETCHES_MAX &&
        count_fetches(observation->peer) - replaced < OBSERVATION_FETCHES_PER_SESSION_MAX)
        fetch = malloc(sizeof(*fetch));
    if (!fetch)
        observation_count(observations, WORKER_FETCHES_REFUSED);
    else
        fetch->id = ++observations->last_fetch;
    return fetch;
}

static enum coap_heard fetched(void *owner, uint64_t tag, const struct errand_result *result);

void observation_drop_fetch(struct observations *observations, struct observation *observation)
{
    if (!observation->fetch)
        return;
    (void)errand_cancel(observations->options.errands, fetched, observations,
                        observation_tag(observation));
    free(observation->fetch);
    observation->fetch = NULL;
    observations->fetches--;
    wheel_cancel(&observations->wheel, &observation->timer);
}

static enum status ask_for_rest(struct observations *observations, struct observation *observation)
{
    const struct errand_request request = {
        .method = CODE_GET,
        .target = {(const uint8_t *)observation->target, strlen(observation->target)},
        .has_accept = observation->has_format,
        .accept = observation->format,
        .begun = &observation->fetch->download,
        .done = fetched,
        .owner = observations,
        .tag = observation_tag(observation),
    };
    return errand_begin(observations->options.errands, &observation->peer->peer, &request);
}

/* It is the newest state from now on, in place of one that is being fetched. */
static void take_over(struct observations *observations, struct observation *observation,
                      struct observation_fetch *fetch)
{
    if (observation->fetch)
        observation_count(observations, WORKER_FETCHES_SUPERSEDED);
    observation_drop_fetch(observations, observation);
    observation->fetch = fetch;
    observations->fetches++;
    wheel_set(&observations->wheel, &observation->timer,
              observation_now(observations).ms + COAP_BODY_LIFETIME_MS);
}

enum coap_heard observation_fetch(struct observations *observations,
                                  struct observation *observation, const struct message *first,
                                  const struct notification *notification)
{
    bool is_noted = observation->state != OBSERVATION_REGISTERING;
    struct observation_fetch *fetch = new_fetch(observations, observation);
    if (!fetch)
        return COAP_HEARD_DROPPED;
    fetch->notification = *notification;
    fetch->notification.body = (struct octets){0};
    download_begin(&fetch->download, fetch->space, sizeof(fetch->space));
    if (download_take(&fetch->download, first) != DOWNLOAD_MORE) {
        free(fetch);
        return COAP_HEARD_REJECTED;
    }
    const struct save save = {
        .message_id = notification->message_id,
        .kind = SAVE_NOTE,
        .fetch = fetch->id,
        .acknowledges = notification->acknowledges,
    };
    if (is_noted && !observation_save(observations, observation, &save, (struct octets){0})) {
        observation_count(observations, WORKER_HEARD_NOT_STORED);
        free(fetch);
        return COAP_HEARD_DROPPED;
    }
    take_over(observations, observation, fetch);
    if (is_noted)
        return COAP_HEARD_LATER;
    if (ask_for_rest(observations, observation) == STATUS_OK)
        return COAP_HEARD;
    observation_drop_fetch(observations, observation);
    return COAP_HEARD_DROPPED;
}

/* It is not had, and is due: the first time at once, then ever less often. */
static void begin_anew(struct observations *observations, struct observation *observation,
                       bool is_at_once)
{
    observation_count(observations, WORKER_FETCHES_FAILED);
    observation_drop_fetch(observations, observation);
    if (observation->is_renewing || observation->state != OBSERVATION_HELD)
        return;
    if (!is_at_once || observation->failures > 0) {
        observation_set_retry(observations, observation);
        return;
    }
    observation->failures++;
    observation_renew(observations, observation);
}

void observation_noted(struct observations *observations, struct observation *observation,
                       const struct save *save, bool is_stored)
{
    const struct observation_fetch *fetch = observation->fetch;
    bool is_wanted = fetch && fetch->id == save->fetch;
    observation->is_due |= is_stored;
    if (!is_wanted)
        return;
    if (is_stored) {
        if (ask_for_rest(observations, observation) != STATUS_OK)
            begin_anew(observations, observation, false);
        return;
    }
    /* It comes again, if it is confirmable. */
    observation_count(observations, WORKER_HEARD_NOT_STORED);
    observation_drop_fetch(observations, observation);
    if (observation->is_due)
        observation_set_retry(observations, observation);
    else if (!observation->is_renewing)
        observation_set_renewal(observations, observation);
}

void observation_fetch_lapsed(struct observations *observations, struct observation *observation)
{
    if (observation->state != OBSERVATION_REGISTERING) {
        begin_anew(observations, observation, false);
        return;
    }
    observation_deregister(observations, &observation->peer->peer, observation);
    observation_end(observations, observation, OBSERVATION_UNREACHED, 0);
}

static enum coap_heard take_body(struct observations *observations, struct observation *observation,
                                 const struct errand_result *result)
{
    bool is_first = observation->state == OBSERVATION_REGISTERING;
    const struct notification *first = &observation->fetch->notification;
    struct notification whole;
    observation_read(observations, result->response, &whole);
    whole.heard = first->heard;
    whole.body = result->body;
    whole.has_observe = first->has_observe;
    whole.observe = first->observe;
    whole.message_id = first->message_id;
    if (!whole.has_format) {
        whole.has_format = first->has_format;
        whole.format = first->format;
    }
    observation_count(observations, WORKER_FETCHES_WHOLE);
    bool is_asked = observation_keep(observations, observation, &whole,
                                     is_first ? SAVE_FIRST : SAVE_NOTIFICATION);
    observation_drop_fetch(observations, observation);
    if (is_first && is_asked) {
        observation->state = OBSERVATION_SAVING;
    } else if (is_first) {
        observation_deregister(observations, result->peer, observation);
        observation_end(observations, observation, OBSERVATION_NOT_STORED, 0);
    } else if (!is_asked) {
        observation_set_retry(observations, observation);
    } else if (!observation->is_renewing) {
        observation_set_renewal(observations, observation);
    }
    return COAP_HEARD;
}

static void end_as_too_large(struct observations *observations, struct observation *observation)
{
    observation_count(observations, WORKER_HEARD_TOO_LARGE);
    observation_deregister(observations, &observation->peer->peer, observation);
    observation_end_by_device(observations, observation, OBSERVATION_TOO_LARGE, 0);
}

/* A registration that has not been stored ends with this; what is held goes on. */
static void take_failure(struct observations *observations, struct observation *observation,
                         const struct errand_result *result)
{
    bool is_answer = result->outcome == ERRAND_ANSWERED;
    bool is_silence = result->outcome == ERRAND_TIMED_OUT || result->outcome == ERRAND_NO_ROOM;
    if (observation->state != OBSERVATION_REGISTERING) {
        begin_anew(observations, observation, !is_silence);
        return;
    }
    observation_count(observations, WORKER_FETCHES_FAILED);
    observation_deregister(observations, &observation->peer->peer, observation);
    observation_end(observations, observation,
                    is_answer ? OBSERVATION_REFUSED : OBSERVATION_UNREACHED,
                    is_answer ? result->response->code : 0);
}

static enum coap_heard fetched(void *owner, uint64_t tag, const struct errand_result *result)
{
    struct observations *observations = owner;
    struct observation *observation =
        observation_locate(observations, result->peer->session_id, (uint8_t)(tag >> 56));
    if (!observation || !observation->fetch || observation_tag(observation) != tag)
        return COAP_HEARD;
    if (result->response)
        observation->peer->peer = *result->peer;
    if (result->outcome == ERRAND_ANSWERED && MESSAGE_CODE_CLASS(result->response->code) == 2)
        return take_body(observations, observation, result);
    if (result->outcome == ERRAND_TOO_LARGE)
        end_as_too_large(observations, observation);
    else
        take_failure(observations, observation, result);
    return COAP_HEARD;
}
