#include "worker/observation_part.h"

#include "shared/keys.h"
#include "worker/target.h"

#include <stdlib.h>
#include <string.h>

static void count_all(const struct observations *observations)
{
    metrics_set(observations->options.coap->options.metrics, 0, WORKER_OBSERVATIONS,
                observations->pool.in_use);
}

/* --- finding --- */

static uint64_t hash_session(const struct observations *observations, uint64_t session_id)
{
    return hash_bytes(&observations->options.hash_key, &session_id, sizeof(session_id));
}

static bool match(const void *object, const void *key)
{
    const struct observation_peer *peer = object;
    return peer->peer.session_id == *(const uint64_t *)key;
}

static uint64_t hash_stored(const void *context, const void *object)
{
    const struct observation_peer *peer = object;
    return hash_session(context, peer->peer.session_id);
}

struct observation_peer *observation_find_peer(const struct observations *observations,
                                               uint64_t session_id)
{
    return table_find(&observations->peers, hash_session(observations, session_id), &session_id);
}

struct observation **observation_place(struct observation_peer *peer, uint8_t slot)
{
    if (slot < OBSERVATION_SLOT_FIRST || slot >= RELATIONS_PER_SESSION_MAX)
        return NULL;
    return &peer->slots[slot - OBSERVATION_SLOT_FIRST];
}

struct observation *observation_locate(const struct observations *observations, uint64_t session_id,
                                       uint8_t slot)
{
    struct observation_peer *peer = observation_find_peer(observations, session_id);
    struct observation **at = peer ? observation_place(peer, slot) : NULL;
    return at ? *at : NULL;
}

const struct observation *observation_find(const struct observations *observations,
                                           uint64_t session_id, uint8_t slot)
{
    return observation_locate(observations, session_id, slot);
}

bool observation_has(const struct observations *observations, uint64_t session_id)
{
    return observation_find_peer(observations, session_id) != NULL;
}

/* --- beginning and end --- */

enum status observations_init(struct observations *observations,
                              const struct observations_options *options, uint64_t now_ms)
{
    *observations = (struct observations){.options = *options, .random = options->seed | 1};
    wheel_init(&observations->wheel, now_ms);
    enum status status =
        pool_init(&observations->pool, sizeof(struct observation), OBSERVATIONS_MAX);
    if (status == STATUS_OK)
        status =
            pool_init(&observations->peer_pool, sizeof(struct observation_peer), OBSERVATIONS_MAX);
    if (status == STATUS_OK)
        status = pool_init(&observations->saves, sizeof(struct save), STORE_QUESTIONS_MAX);
    if (status == STATUS_OK)
        status =
            table_init(&observations->peers, OBSERVATIONS_MAX, match, hash_stored, observations);
    return status;
}

static void free_peer(struct observations *observations, struct observation_peer *peer)
{
    table_remove(&observations->peers, hash_session(observations, peer->peer.session_id), peer);
    pool_put(&observations->peer_pool, peer);
}

void observation_drop(struct observations *observations, struct observation *observation)
{
    struct observation_peer *peer = observation->peer;
    observation_drop_fetch(observations, observation);
    wheel_cancel(&observations->wheel, &observation->timer);
    free(observation->target);
    *observation_place(peer, observation->slot) = NULL;
    pool_put(&observations->pool, observation);
    if (--peer->count == 0)
        free_peer(observations, peer);
    count_all(observations);
}

void observations_free(struct observations *observations)
{
    size_t cursor = 0;
    struct observation_peer *peer;
    while (observations->peers.slots && (peer = table_next(&observations->peers, &cursor))) {
        for (size_t i = 0; i < OBSERVATIONS_PER_SESSION_MAX; i++) {
            if (!peer->slots[i])
                continue;
            free(peer->slots[i]->fetch);
            free(peer->slots[i]->target);
        }
    }
    table_free(&observations->peers);
    pool_free(&observations->saves);
    pool_free(&observations->peer_pool);
    pool_free(&observations->pool);
}

void observation_tell(struct observation *observation, enum observation_outcome outcome,
                      uint8_t code)
{
    const struct observation_waiter waiter = observation->waiter;
    const struct observation_result result = {outcome, observation->slot, code};
    observation->waiter.done = NULL;
    if (waiter.done)
        waiter.done(waiter.owner, waiter.tag, &result);
}

void observation_end(struct observations *observations, struct observation *observation,
                     enum observation_outcome outcome, uint8_t code)
{
    uint64_t session_id = observation->peer->peer.session_id;
    uint8_t slot = observation->slot;
    observation_tell(observation, outcome, code);
    if (observation_locate(observations, session_id, slot) == observation)
        observation_drop(observations, observation);
}

static struct observation_peer *take_peer(struct observations *observations,
                                          const struct coap_peer *peer)
{
    struct observation_peer *taken = observation_find_peer(observations, peer->session_id);
    if (taken)
        return taken;
    taken = pool_get(&observations->peer_pool);
    if (!taken)
        return NULL;
    taken->peer = *peer;
    taken->level = OBSERVATION_BURST * 1000;
    taken->filled_ms = observation_now(observations).ms;
    if (table_insert(&observations->peers, hash_session(observations, peer->session_id), taken) ==
        STATUS_OK)
        return taken;
    pool_put(&observations->peer_pool, taken);
    return NULL;
}

/* NULL: no room, or no memory. */
static struct observation *add(struct observations *observations, const struct coap_peer *peer,
                               uint8_t slot, struct octets target)
{
    struct observation_peer *of = take_peer(observations, peer);
    struct observation *observation = of ? pool_get(&observations->pool) : NULL;
    if (observation)
        observation->target = malloc(target.length + 1);
    if (!observation || !observation->target) {
        pool_put(&observations->pool, observation);
        if (of && of->count == 0)
            free_peer(observations, of);
        return NULL;
    }
    memcpy(observation->target, target.bytes, target.length);
    observation->target[target.length] = '\0';
    observation->peer = of;
    observation->slot = slot;
    *observation_place(of, slot) = observation;
    of->count++;
    count_all(observations);
    return observation;
}

/* --- time --- */

static uint64_t draw(struct observations *observations, uint64_t below)
{
    uint64_t random = observations->random;
    random ^= random << 13;
    random ^= random >> 7;
    random ^= random << 17;
    observations->random = random;
    return random % below;
}

/* After Max-Age, and a while that differs from device to device: RFC 7641 section 3.3.1 wants no
 * registration while the newest notification is fresh, nor all of them at once. */
void observation_set_renewal(struct observations *observations, struct observation *observation)
{
    struct coap_now now = observation_now(observations);
    uint64_t fresh_ms =
        observation->expires_unix_ms > now.unix_ms ? observation->expires_unix_ms - now.unix_ms : 0;
    if (observation->fetch)
        return;
    if (observation->is_due) {
        wheel_set(&observations->wheel, &observation->timer, now.ms);
        return;
    }
    wheel_set(&observations->wheel, &observation->timer,
              now.ms + fresh_ms + OBSERVATION_MARGIN_MS +
                  draw(observations, OBSERVATION_SPREAD_MS + 1));
}

void observation_set_retry(struct observations *observations, struct observation *observation)
{
    uint64_t delay_ms = OBSERVATION_RETRY_MS;
    for (uint8_t i = 0; i < observation->failures && delay_ms < OBSERVATION_RETRY_MAX_MS; i++)
        delay_ms *= 2;
    if (delay_ms > OBSERVATION_RETRY_MAX_MS)
        delay_ms = OBSERVATION_RETRY_MAX_MS;
    if (observation->failures < UINT8_MAX)
        observation->failures++;
    wheel_set(&observations->wheel, &observation->timer,
              observation_now(observations).ms + delay_ms +
                  draw(observations, OBSERVATION_SPREAD_MS + 1));
}

/* --- what the worker asks for --- */

static bool is_same(const struct observation *observation, const struct observation_wish *wish)
{
    return strlen(observation->target) == wish->target.length &&
           memcmp(observation->target, wish->target.bytes, wish->target.length) == 0 &&
           observation->has_format == wish->has_format &&
           (!wish->has_format || observation->format == wish->format);
}

/* A free slot of the session. STATUS_EXISTS, STATUS_FULL. */
static enum status choose_slot(const struct observations *observations, uint64_t session_id,
                               const struct observation_wish *wish, uint8_t *slot)
{
    struct observation_peer *peer = observation_find_peer(observations, session_id);
    *slot = 0;
    for (uint8_t i = 0; i < OBSERVATIONS_PER_SESSION_MAX; i++) {
        const struct observation *observation = peer ? peer->slots[i] : NULL;
        if (observation && is_same(observation, wish))
            return STATUS_EXISTS;
        if (!observation && *slot == 0)
            *slot = (uint8_t)(OBSERVATION_SLOT_FIRST + i);
    }
    return *slot > 0 ? STATUS_OK : STATUS_FULL;
}

enum status observation_begin(struct observations *observations, const struct coap_peer *peer,
                              const struct observation_wish *wish,
                              const struct observation_waiter *waiter)
{
    uint8_t slot;
    struct observation *observation = NULL;
    enum status status = choose_slot(observations, peer->session_id, wish, &slot);
    if (status == STATUS_EXISTS)
        return status;
    if (status == STATUS_OK) {
        observation = add(observations, peer, slot, wish->target);
        status = observation ? STATUS_OK : STATUS_NO_MEMORY;
    }
    if (status == STATUS_OK) {
        observation->has_format = wish->has_format;
        observation->format = wish->has_format ? wish->format : 0;
        status = keys_random(observation->token, ERRAND_TOKEN_SIZE);
        observation->token[0] = slot;
    }
    if (status == STATUS_OK)
        status = observation_register(observations, observation);
    if (status == STATUS_OK) {
        observation->waiter = *waiter;
        return STATUS_OK;
    }
    observation_count(observations, WORKER_OBSERVATIONS_REFUSED);
    if (observation)
        observation_drop(observations, observation);
    return status;
}

enum status observation_cancel(struct observations *observations, uint64_t session_id, uint8_t slot,
                               const struct observation_waiter *waiter)
{
    const struct save save = {.kind = SAVE_REMOVAL};
    struct observation *observation = observation_locate(observations, session_id, slot);
    if (!observation || observation->state != OBSERVATION_HELD)
        return STATUS_NOT_FOUND;
    if (!observation_save(observations, observation, &save, (struct octets){0}))
        return STATUS_FULL;
    observation_drop_fetch(observations, observation);
    observation->state = OBSERVATION_LEAVING;
    observation->waiter = *waiter;
    wheel_cancel(&observations->wheel, &observation->timer);
    return STATUS_OK;
}

/* --- coming from the store, and going --- */

enum status observation_restore(struct observations *observations, const struct coap_peer *peer,
                                uint8_t slot, const struct relation_value *value)
{
    struct coap_now now = observation_now(observations);
    if (slot < OBSERVATION_SLOT_FIRST || slot >= RELATIONS_PER_SESSION_MAX ||
        value->token_length != ERRAND_TOKEN_SIZE || value->token[0] != slot ||
        !target_is_valid(value->target) || observation_locate(observations, peer->session_id, slot))
        return STATUS_MALFORMED;
    struct observation *observation = add(observations, peer, slot, value->target);
    if (!observation) {
        observation_count(observations, WORKER_OBSERVATIONS_REFUSED);
        return STATUS_NO_MEMORY;
    }
    uint64_t age_ms = now.unix_ms > value->heard_unix_ms ? now.unix_ms - value->heard_unix_ms : 0;
    memcpy(observation->token, value->token, ERRAND_TOKEN_SIZE);
    observation->state = OBSERVATION_HELD;
    observation->has_format = value->has_format;
    observation->format = value->format;
    observation->has_number = observation->has_stored = value->has_number;
    observation->number = observation->stored = value->number;
    observation->heard_unix_ms = value->heard_unix_ms;
    observation->heard_ms = age_ms < now.ms ? now.ms - age_ms : 0;
    observation->expires_unix_ms = value->expires_unix_ms;
    observation->is_due = value->expires_unix_ms == 0;
    observation_set_renewal(observations, observation);
    return STATUS_OK;
}

void observation_forget(struct observations *observations, uint64_t session_id)
{
    for (uint8_t slot = OBSERVATION_SLOT_FIRST; slot < RELATIONS_PER_SESSION_MAX; slot++) {
        struct observation *observation = observation_locate(observations, session_id, slot);
        if (observation)
            observation_end(observations, observation, OBSERVATION_GONE, 0);
    }
}

uint64_t observation_next_ms(const struct observations *observations)
{
    return wheel_next_ms(&observations->wheel);
}

void observation_renew(struct observations *observations, struct observation *observation)
{
    if (observation_register(observations, observation) == STATUS_OK) {
        observation->is_renewing = true;
        observation_count(observations, WORKER_OBSERVATIONS_RENEWED);
    } else {
        observation_set_retry(observations, observation);
    }
}

void observation_run(struct observations *observations, uint64_t now_ms)
{
    struct timer *timer;
    while ((timer = wheel_expire(&observations->wheel, now_ms))) {
        struct observation *observation = (struct observation *)timer;
        if (observation->fetch)
            observation_fetch_lapsed(observations, observation);
        else if (observation->state == OBSERVATION_HELD && !observation->is_renewing)
            observation_renew(observations, observation);
    }
}
