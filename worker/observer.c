#include "worker/observer_list.h"

#include "worker/session.h"

#include <string.h>

#define SLOTS_ALL ((UINT32_C(1) << OBSERVERS_PER_PEER_MAX) - 1)
#define JOINING_MAX 7

static const enum worker_metric ends[OBSERVER_ENDS] = {
    [OBSERVER_DEREGISTERED] = WORKER_OBSERVERS_ENDED_DEREGISTERED,
    [OBSERVER_RESET] = WORKER_OBSERVERS_ENDED_RESET,
    [OBSERVER_TIMED_OUT] = WORKER_OBSERVERS_ENDED_TIMEOUT,
    [OBSERVER_GONE] = WORKER_OBSERVERS_ENDED_GONE,
    [OBSERVER_NOT_STORED] = WORKER_OBSERVERS_ENDED_NOT_STORED,
};

/* --- peers --- */

struct coap_peer observer_peer_who(const struct observer_peer *peer)
{
    if (peer->is_plain)
        return *(const struct coap_peer *)peer->who;
    struct session *session = peer->who;
    return (struct coap_peer){
        .session_id = session->id,
        .session = session,
        .path = session->path,
    };
}

static uint64_t hash_peer(const void *context, const void *object)
{
    const struct coap_peer who = observer_peer_who(object);
    return coap_peer_hash(context, &who);
}

static bool match_peer(const void *object, const void *key)
{
    const struct coap_peer who = observer_peer_who(object);
    return coap_peer_equal(&who, key);
}

struct observer_peer *observer_peer_find(const struct observers *observers,
                                         const struct coap_peer *peer)
{
    return table_find(&observers->peers, coap_peer_hash(&observers->options.hash_key, peer), peer);
}

static void *keep_who(struct observers *observers, const struct coap_peer *who)
{
    if (who->session_id != 0)
        return who->session;
    struct coap_peer *plain = pool_get(&observers->plain_pool);
    if (plain)
        *plain = *who;
    return plain;
}

static struct observer_peer *get_peer(struct observers *observers, const struct coap_peer *who)
{
    struct observer_peer *peer = observer_peer_find(observers, who);
    if (peer)
        return peer;
    peer = pool_get(&observers->peer_pool);
    if (!peer)
        return NULL;
    peer->is_plain = who->session_id == 0;
    peer->who = keep_who(observers, who);
    peer->free_ms = (uint32_t)observers->now.ms;
    peer->measured_s = (uint8_t)(observers->now.ms / 1000);
    if (!peer->who)
        goto out;
    if (table_insert(&observers->peers, coap_peer_hash(&observers->options.hash_key, who), peer) ==
        STATUS_OK)
        return peer;
    if (peer->is_plain)
        pool_put(&observers->plain_pool, peer->who);
out:
    pool_put(&observers->peer_pool, peer);
    return NULL;
}

static void release_peer(struct observers *observers, struct observer_peer *peer)
{
    wheel_cancel(&observers->wheel, &peer->timer);
    table_remove(&observers->peers, hash_peer(&observers->options.hash_key, peer), peer);
    if (peer->is_plain)
        pool_put(&observers->plain_pool, peer->who);
    pool_put(&observers->peer_pool, peer);
}

/* --- entries --- */

void observer_count_as(struct observers *observers, enum worker_metric metric)
{
    metrics_add(observers->options.metrics, 0, metric, 1);
}

static void show_count(struct observers *observers)
{
    metrics_set(observers->options.metrics, 0, WORKER_OBSERVERS, observers->pool.in_use);
}

static void link_to_subject(struct subject *subject, struct observer *observer)
{
    observer->subject = subject;
    observer->next = subject->observers;
    observer->link = &subject->observers;
    if (observer->next)
        observer->next->link = &observer->next;
    subject->observers = observer;
    subject->observer_count++;
}

static void unlink_from_subject(struct observer *observer)
{
    struct subject *subject = observer->subject;
    if (subject->next_told == observer)
        subject->next_told = observer->next;
    *observer->link = observer->next;
    if (observer->next)
        observer->next->link = observer->link;
    subject->observer_count--;
}

static struct observer *find_in(const struct observer_peer *peer, struct octets token)
{
    struct observer *observer = peer->first;
    while (observer && (observer->token_length != token.length ||
                        memcmp(observer->token, token.bytes, token.length) != 0))
        observer = observer->peer_next;
    return observer;
}

struct observer *observer_find(const struct observers *observers, const struct coap_peer *peer,
                               struct octets token)
{
    const struct observer_peer *found = observer_peer_find(observers, peer);
    return found ? find_in(found, token) : NULL;
}

static uint32_t free_slots(const struct observer_peer *peer)
{
    uint32_t taken = 0;
    for (const struct observer *observer = peer->first; observer; observer = observer->peer_next)
        taken |= UINT32_C(1) << observer->slot;
    return SLOTS_ALL & ~taken;
}

/* NULL: no room. */
static struct observer *new_observer(struct observers *observers, struct observer_peer *peer,
                                     struct octets token, uint32_t slot, struct subject *subject)
{
    struct observer *observer = pool_get(&observers->pool);
    if (!observer)
        return NULL;
    observer->peer = peer;
    observer->slot = slot & 31;
    observer->token_length = (uint8_t)(token.length & 15);
    if (token.length > 0)
        memcpy(observer->token, token.bytes, token.length);
    observer->confirmed_s = (uint32_t)(observers->now.ms / 1000) & 0x1ffff;
    observer->doubtful = peer->is_plain;
    observer->peer_next = peer->first;
    peer->first = observer;
    link_to_subject(subject, observer);
    show_count(observers);
    return observer;
}

static void free_observer(struct observers *observers, struct observer *observer)
{
    struct observer_peer *peer = observer->peer;
    struct subject *subject = observer->subject;
    struct observer **link = &peer->first;
    while (*link != observer)
        link = &(*link)->peer_next;
    *link = observer->peer_next;
    unlink_from_subject(observer);
    pool_put(&observers->pool, observer);
    round_release(observers, subject);
    show_count(observers);
}

void observer_remove(struct observers *observers, struct observer *observer, enum observer_end why)
{
    struct observer_peer *peer = observer->peer;
    const struct observers_options *options = &observers->options;
    const struct coap_peer who = observer_peer_who(peer);
    bool was_waited_for = observer->confirming;
    options->unconfirm(options->owner, &who, (uint8_t)observer->slot);
    if (was_waited_for)
        peer->confirming = false;
    if (!peer->is_plain)
        options->ended(options->owner, &who, (uint8_t)observer->slot);
    observer_count_as(observers, ends[why]);
    free_observer(observers, observer);
    if (!peer->first)
        release_peer(observers, peer);
    else if (was_waited_for)
        notification_plan(observers, peer);
}

/* "If an entry with a matching endpoint/token pair is already present in the list (which, for
 * example, happens when the client wishes to reinforce its interest in a resource), the server MUST
 * NOT add a new entry but MUST replace or update the existing one." (RFC 7641 section 4.1) */
static struct observer *update(struct observers *observers, struct observer *observer,
                               struct subject *subject)
{
    struct subject *before = observer->subject;
    if (observer->joining == JOINING_MAX)
        return NULL;
    if (before != subject) {
        unlink_from_subject(observer);
        link_to_subject(subject, observer);
        round_release(observers, before);
        observer->listed = false;
    }
    observer->owed = false;
    return observer;
}

static struct observer *add(struct observers *observers, struct observer_peer *peer,
                            struct octets token, struct subject *subject)
{
    struct observer *observer = find_in(peer, token);
    if (observer)
        return update(observers, observer, subject);
    uint32_t slots = free_slots(peer);
    if (slots == 0)
        return NULL;
    return new_observer(observers, peer, token, (uint32_t)__builtin_ctz(slots), subject);
}

/* "A server that is unable or unwilling to add a new entry to the list of observers of a resource
 * MAY silently ignore the registration request and process the GET request as usual. The resulting
 * response MUST NOT include an Observe Option" (RFC 7641 section 4.1) */
struct observer *observer_add(struct observers *observers, const struct coap_peer *who,
                              struct octets token, const struct subject_key *key,
                              struct coap_now now)
{
    observers->now = now;
    struct subject *subject = subject_get(&observers->subjects, key);
    struct observer_peer *peer = subject ? get_peer(observers, who) : NULL;
    struct observer *observer = peer ? add(observers, peer, token, subject) : NULL;
    if (observer) {
        observer->joining++;
        return observer;
    }
    observer_count_as(observers, WORKER_OBSERVERS_REFUSED);
    if (peer && !peer->first)
        release_peer(observers, peer);
    if (subject)
        round_release(observers, subject);
    return NULL;
}

uint32_t observer_number(struct observers *observers, struct observer *observer, uint64_t version)
{
    struct subject *subject = observer->subject;
    uint32_t number = version ? (uint32_t)version & RELATION_NUMBER_MAX
                              : subject_next_number(subject, 0, observers->now.unix_ms);
    bool is_newer = !subject->has_number || subject_number_follows(number, subject->number);
    /* Who knows more by now than the reply says tells it at once. */
    observer->owed = !is_newer && number != subject->number;
    if (is_newer && version && subject->has_number && subject->observer_count > 1) {
        round_want(observers, subject); /* what the others have yet to hear */
    } else if (is_newer) {
        subject->number = number;
        subject->has_number = true;
    }
    observer->generation =
        (subject->generation - (number != subject->number)) % OBSERVER_GENERATIONS;
    return number;
}

void observer_joined(struct observers *observers, const struct coap_peer *peer, struct octets token,
                     struct coap_now now)
{
    observers->now = now;
    struct observer *observer = observer_find(observers, peer, token);
    if (!observer || observer->joining == 0)
        return;
    observer->joining--;
    observer->listed = true;
    notification_serve(observers, observer->peer);
}

void observer_cancel(struct observers *observers, const struct coap_peer *peer, struct octets token,
                     enum observer_end why, struct coap_now now)
{
    observers->now = now;
    struct observer *observer = observer_find(observers, peer, token);
    if (observer)
        observer_remove(observers, observer, why);
}

void subject_abandon(struct observers *observers, struct octets path)
{
    struct subject *subject = subject_by_path(&observers->subjects, path);
    while (subject) {
        if (!subject->observers) {
            subject = subject->same_path;
            continue;
        }
        observer_remove(observers, subject->observers, OBSERVER_DEREGISTERED);
        /* The last one may have taken the subject along. */
        subject = subject_by_path(&observers->subjects, path);
    }
}

/* Whoever held it has told it of changes that we cannot know of, and not of the last perhaps. */
static void resume(struct observers *observers, struct observer *observer,
                   const struct relation_value *value)
{
    struct subject *subject = observer->subject;
    if (!subject->has_number) {
        subject->number = value->number;
        subject->has_number = value->has_number;
    }
    observer->owed = !value->has_number || value->number != subject->number;
    observer->doubtful = true;
    observer->listed = true;
    if (!subject->state)
        round_want(observers, subject);
    /* Who is owed nothing has to confirm some time all the same. */
    notification_serve(observers, observer->peer);
}

enum status observer_restore(struct observers *observers, const struct coap_peer *who, uint8_t slot,
                             const struct relation_value *value, struct coap_now now)
{
    const struct octets token = {value->token, value->token_length};
    const struct subject_key key = {value->target, value->has_format, value->format,
                                    value->block_exponent};
    observers->now = now;
    struct subject *subject = subject_get(&observers->subjects, &key);
    struct observer_peer *peer = subject ? get_peer(observers, who) : NULL;
    struct observer *observer = NULL;
    if (peer && slot < OBSERVERS_PER_PEER_MAX && free_slots(peer) & UINT32_C(1) << slot &&
        !find_in(peer, token))
        observer = new_observer(observers, peer, token, slot, subject);
    if (observer) {
        resume(observers, observer, value);
        return STATUS_OK;
    }
    if (peer && !peer->first)
        release_peer(observers, peer);
    if (subject)
        round_release(observers, subject);
    return STATUS_FULL;
}

void observer_describe(const struct observer *observer, struct coap_now now,
                       struct relation_value *value)
{
    const struct subject *subject = observer->subject;
    *value = (struct relation_value){
        .role = RELATION_OBSERVER,
        .token_length = observer->token_length,
        .has_format = subject->has_format,
        .format = subject->format,
        .block_exponent = subject->block_exponent,
        .has_number = subject->has_number,
        .number = subject->has_number ? subject->number : 0,
        .heard_unix_ms = now.unix_ms,
        .target = {subject->target, subject->target_length},
    };
    memcpy(value->token, observer->token, observer->token_length);
}

void observers_forget(struct observers *observers, const struct coap_peer *who)
{
    struct observer_peer *peer = observer_peer_find(observers, who);
    if (!peer)
        return;
    while (peer->first)
        free_observer(observers, peer->first);
    release_peer(observers, peer);
}

bool observers_has_peer(const struct observers *observers, const struct coap_peer *peer)
{
    return observer_peer_find(observers, peer) != NULL;
}

bool observers_has_slot(const struct observers *observers, const struct coap_peer *peer,
                        uint8_t slot)
{
    const struct observer_peer *found = observer_peer_find(observers, peer);
    return found && !(free_slots(found) & UINT32_C(1) << slot);
}

size_t observers_count(const struct observers *observers)
{
    return observers->pool.in_use;
}

/* --- beginning and end --- */

enum status observers_init(struct observers *observers, const struct observers_options *options,
                           uint64_t now_ms)
{
    size_t max = options->observers_max;
    memset(observers, 0, sizeof(*observers));
    observers->options = *options;
    observers->now.ms = now_ms;
    wheel_init(&observers->wheel, now_ms);
    wheel_init(&observers->retries, now_ms);
    enum status status =
        table_init(&observers->peers, max, match_peer, hash_peer, &observers->options.hash_key);
    if (status == STATUS_OK)
        status = subjects_init(&observers->subjects, options->subjects_max, options->hash_key);
    if (status == STATUS_OK)
        status = pool_init(&observers->peer_pool, sizeof(struct observer_peer), max);
    if (status == STATUS_OK)
        status = pool_init(&observers->plain_pool, sizeof(struct coap_peer), OBSERVERS_PLAIN_MAX);
    if (status == STATUS_OK)
        status = pool_init(&observers->pool, sizeof(struct observer), max);
    if (status != STATUS_OK)
        observers_free(observers);
    return status;
}

void observers_free(struct observers *observers)
{
    pool_free(&observers->pool);
    pool_free(&observers->plain_pool);
    pool_free(&observers->peer_pool);
    subjects_free(&observers->subjects);
    table_free(&observers->peers);
}
