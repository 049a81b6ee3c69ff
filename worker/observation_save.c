#include "worker/observation_part.h"

#include <string.h>

static struct relation_value value_of(const struct observation *observation, enum save_kind kind)
{
    struct relation_value value = {
        .role = RELATION_OBSERVATION,
        .token_length = ERRAND_TOKEN_SIZE,
        .has_format = observation->has_format,
        .has_number = observation->has_number,
        .format = observation->format,
        .block_exponent = RELATION_BLOCK_NONE,
        .number = observation->number,
        .heard_unix_ms = observation->heard_unix_ms,
        .expires_unix_ms = kind == SAVE_NOTE ? 0 : observation->expires_unix_ms,
        .target = {(const uint8_t *)observation->target, strlen(observation->target)},
    };
    memcpy(value.token, observation->token, ERRAND_TOKEN_SIZE);
    return value;
}

/* What is in the log, or is not, settles what was due before; a note that follows comes later. */
static void event_saved(struct observations *observations, struct observation *observation,
                        const struct save *save, bool is_stored)
{
    observation->is_due = !is_stored && (observation->is_due || save->was_due);
    if (observation->is_due && !observation->fetch && !observation->is_renewing &&
        observation->state == OBSERVATION_HELD)
        observation_set_retry(observations, observation);
}

static void saved(void *owner, const struct store_answer *answer);

bool observation_save(struct observations *observations, struct observation *observation,
                      const struct save *save, struct octets event)
{
    const struct session *session = observation->peer->peer.session;
    uint8_t space[RELATION_VALUE_MAX];
    struct writer writer = writer_over(space, sizeof(space));
    struct save *asked = pool_get(&observations->saves);
    if (!asked)
        return false;
    *asked = *save;
    asked->observations = observations;
    asked->session_id = observation->peer->peer.session_id;
    asked->slot = observation->slot;
    memcpy(asked->token, observation->token, ERRAND_TOKEN_SIZE);
    if (save->kind != SAVE_REMOVAL) {
        const struct relation_value value = value_of(observation, (enum save_kind)save->kind);
        relation_value_write(&writer, &value);
    }
    const struct store_relation relation = {observation->slot, {space, writer_length(&writer)}};
    const struct store_waiter waiter = {saved, asked, session->own_cid, 0};
    if (writer_ok(&writer) && store_save_relation(observations->options.store, session->fence,
                                                  &relation, event, &waiter) == STATUS_OK) {
        observation->peer->saves++;
        return true;
    }
    pool_put(&observations->saves, asked);
    return false;
}

static void first_saved(struct observations *observations, struct observation *observation,
                        bool is_stored)
{
    if (observation->state != OBSERVATION_SAVING)
        return;
    if (is_stored) {
        observation->state = OBSERVATION_HELD;
        observation_set_renewal(observations, observation);
        observation_tell(observation, OBSERVATION_BEGUN, CODE_CONTENT);
    } else {
        observation_deregister(observations, &observation->peer->peer, observation);
        observation_end(observations, observation, OBSERVATION_NOT_STORED, 0);
    }
}

static void removal_saved(struct observations *observations, struct observation *observation,
                          bool is_stored)
{
    if (is_stored) {
        observation_deregister(observations, &observation->peer->peer, observation);
        observation_end(observations, observation, OBSERVATION_CANCELLED, 0);
    } else {
        observation->state = OBSERVATION_HELD;
        observation_set_renewal(observations, observation);
        observation_tell(observation, OBSERVATION_NOT_STORED, 0);
    }
}

void observation_note_number(struct observation *observation, const struct save *save,
                             bool is_stored)
{
    if (!save->has_number)
        return;
    if (is_stored) {
        observation->stored = save->number;
        observation->has_stored = true;
    } else if (observation->has_number && observation->number == save->number) {
        observation->number = observation->stored;
        observation->has_number = observation->has_stored;
    }
}

static void saved(void *owner, const struct store_answer *answer)
{
    struct save save = *(struct save *)owner;
    struct observations *observations = save.observations;
    pool_put(&observations->saves, owner);
    struct observation_peer *peer = observation_find_peer(observations, save.session_id);
    bool is_stored = answer->outcome == STORE_OK;
    if (peer)
        peer->saves--;
    if (answer->outcome == STORE_STALE || answer->outcome == STORE_NOT_FOUND) {
        observations->options.lose(observations->options.owner, &answer->subject);
        return; /* its new owner takes what comes again */
    }
    if (save.kind == SAVE_NOTIFICATION || save.kind == SAVE_FIRST)
        observation_count(observations, is_stored ? WORKER_HEARD_STORED : WORKER_HEARD_NOT_STORED);
    if (!peer)
        return;
    if (save.acknowledges)
        coap_acknowledge(observations->options.coap, &peer->peer, save.message_id,
                         is_stored ? COAP_STORED : COAP_NOT_STORED);
    struct observation *observation = *observation_place(peer, save.slot);
    if (!observation || memcmp(observation->token, save.token, ERRAND_TOKEN_SIZE) != 0)
        return;
    observation_note_number(observation, &save, is_stored);
    switch ((enum save_kind)save.kind) {
    case SAVE_FIRST:
        first_saved(observations, observation, is_stored);
        break;
    case SAVE_REMOVAL:
        removal_saved(observations, observation, is_stored);
        break;
    case SAVE_NOTIFICATION:
        event_saved(observations, observation, &save, is_stored);
        break;
    case SAVE_NOTE:
        observation_noted(observations, observation, &save, is_stored);
        break;
    }
}
