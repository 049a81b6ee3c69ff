#include "worker/observer_list.h"

#include "worker/session.h"

#include <assert.h>

#define CONFIRMED_MASK 0x1ffff

/* --- what goes to whom --- */

static bool is_last(const struct subject *subject)
{
    return MESSAGE_CODE_CLASS(subject->code) != 2;
}

static uint32_t age_s(const struct observers *observers, const struct observer *observer)
{
    return ((uint32_t)(observers->now.ms / 1000) - observer->confirmed_s) & CONFIRMED_MASK;
}

/* "A server that transmits notifications mostly in non-confirmable messages MUST send a
 * notification in a confirmable message instead of a non-confirmable message at least every 24
 * hours." (RFC 7641 section 4.5) */
static bool is_confirmation_due(const struct observers *observers, const struct observer *observer)
{
    return age_s(observers, observer) >= observers->options.confirm_s;
}

/* Besides that: as often as is configured; to an address that anybody could have written; what must
 * not get lost since no other follows; and to find out how long a round trip to a peer takes that
 * is told less than there is to tell. */
static bool is_confirmable(const struct observers *observers, const struct observer *observer)
{
    const struct observer_peer *peer = observer->peer;
    uint8_t every = observers->options.confirm_every;
    if (peer->is_plain && (every == 0 || every > OBSERVE_PLAIN_CONFIRM_EVERY))
        every = OBSERVE_PLAIN_CONFIRM_EVERY;
    return observer->doubtful || is_last(observer->subject) || peer->waited ||
           (every > 0 && observer->unconfirmed + 1 >= every) ||
           is_confirmation_due(observers, observer);
}

/* "Each such notification response (including the initial response) MUST echo the token specified
 * by the client in the GET request." (RFC 7641 section 4.2) */
static size_t write_message(struct observers *observers, const struct observer *observer,
                            enum message_type type, uint16_t message_id)
{
    const struct subject *subject = observer->subject;
    struct writer writer = writer_over(observers->message, sizeof(observers->message));
    struct message_builder builder;
    message_begin(&builder, &writer, type, subject->code, message_id, observer->token,
                  observer->token_length);
    writer_bytes(&writer, subject->state, subject->state_length);
    assert(writer_ok(&writer));
    return writer_length(&writer);
}

/* Whoever was served waits longest for the next turn. */
static void move_to_end(struct observer *observer)
{
    struct observer **link = &observer->peer->first;
    while (*link != observer)
        link = &(*link)->peer_next;
    *link = observer->peer_next;
    while (*link)
        link = &(*link)->peer_next;
    *link = observer;
    observer->peer_next = NULL;
}

static void confirm(struct observers *observers, struct observer *observer,
                    const struct coap_peer *who)
{
    struct observer_peer *peer = observer->peer;
    size_t length = write_message(observers, observer, MESSAGE_CON, observer->message_id);
    if (!observers->options.confirm(observers->options.owner, who, (uint8_t)observer->slot,
                                    observers->message, length)) {
        observer->owed = true;
        peer->free_ms = (uint32_t)observers->now.ms + OBSERVE_RETRY_MS;
        return;
    }
    observer->confirming = true;
    observer->leaving = is_last(observer->subject);
    peer->confirming = true;
    peer->waited = false;
    observer_count_as(observers, WORKER_NOTIFICATIONS_CON);
}

/* "The server SHOULD NOT send more than one non-confirmable notification per round-trip time (RTT)
 * to a client on average. If the server cannot maintain an RTT estimate for a client, it SHOULD NOT
 * send more than one non-confirmable notification every 3 seconds" (RFC 7641 section 4.5.1) */
static void notify(struct observers *observers, struct observer *observer,
                   const struct coap_peer *who)
{
    struct observer_peer *peer = observer->peer;
    size_t length = write_message(observers, observer, MESSAGE_NON, observer->message_id);
    if (observer->unconfirmed < UINT8_MAX)
        observer->unconfirmed++;
    uint32_t rtt_ms = observers->options.rtt_ms(observers->options.owner, who);
    peer->free_ms = (uint32_t)observers->now.ms + (rtt_ms > 0 ? rtt_ms : OBSERVE_PACE_MS);
    peer->knows_rtt = rtt_ms > 0;
    observers->options.notify(observers->options.owner, who, observers->message, length);
    observer_count_as(observers, WORKER_NOTIFICATIONS_NON);
}

static void note_told(struct observer *observer, uint16_t message_id)
{
    observer->owed = false;
    observer->told = true;
    observer->generation = observer->subject->generation % OBSERVER_GENERATIONS;
    observer->message_id = message_id;
}

static void tell(struct observers *observers, struct observer *observer)
{
    const struct coap_peer who = observer_peer_who(observer->peer);
    move_to_end(observer);
    note_told(observer, observers->options.message_id(observers->options.owner, &who));
    if (is_confirmable(observers, observer))
        confirm(observers, observer, &who);
    else
        notify(observers, observer, &who);
}

/* --- when --- */

static bool may_be_told(const struct observer *observer)
{
    return observer->joining == 0 && !observer->leaving;
}

static bool can_be_told(const struct observer *observer)
{
    return may_be_told(observer) && observer->subject->state;
}

static struct observer *next_owed(const struct observer_peer *peer)
{
    struct observer *observer = peer->first;
    while (observer && !(observer->owed && can_be_told(observer)))
        observer = observer->peer_next;
    return observer;
}

static int32_t wait_ms(const struct observers *observers, const struct observer_peer *peer)
{
    int32_t left_ms = (int32_t)(peer->free_ms - (uint32_t)observers->now.ms);
    return left_ms > 0 ? left_ms : 0;
}

/* For the next confirmation of any of its entries. */
static uint64_t confirmation_ms(const struct observers *observers, const struct observer_peer *peer)
{
    uint64_t soonest_ms = UINT64_MAX;
    for (const struct observer *observer = peer->first; observer; observer = observer->peer_next) {
        uint32_t age = age_s(observers, observer);
        uint32_t left_s =
            age < observers->options.confirm_s ? observers->options.confirm_s - age : 1;
        uint64_t due_ms = observers->now.ms + (uint64_t)left_s * 1000;
        if (due_ms < soonest_ms)
            soonest_ms = due_ms;
    }
    return soonest_ms;
}

void notification_plan(struct observers *observers, struct observer_peer *peer)
{
    uint64_t deadline_ms = next_owed(peer) ? observers->now.ms + (uint64_t)wait_ms(observers, peer)
                                           : confirmation_ms(observers, peer);
    /* One that is early finds nothing to do and sets itself again. */
    if (!wheel_is_set(&peer->timer) || peer->timer.deadline_ms > deadline_ms)
        wheel_set(&observers->wheel, &peer->timer, deadline_ms);
}

/* An estimate may be of a time when all was slower: of the moment, say, when ten thousand were told
 * at once for the first time. Whoever is held up by an old one is told confirmably, which brings
 * another. */
static bool has_old_estimate(const struct observers *observers, const struct observer_peer *peer)
{
    uint8_t now_s = (uint8_t)(observers->now.ms / 1000);
    return !peer->knows_rtt || (uint8_t)(now_s - peer->measured_s) >= OBSERVE_ESTIMATE_S;
}

/* "servers MUST strictly limit the number of simultaneous outstanding notifications/responses that
 * they transmit to a given client to NSTART (1 by default [...])." (RFC 7641 section 4.5.1) */
void notification_serve(struct observers *observers, struct observer_peer *peer)
{
    if (peer->confirming)
        return;
    struct observer *observer = next_owed(peer);
    if (observer && wait_ms(observers, peer) == 0)
        tell(observers, observer);
    else if (observer && has_old_estimate(observers, peer))
        peer->waited = true;
    if (!peer->confirming)
        notification_plan(observers, peer);
}

/* The few bits of its generation say so for sure only as long as it cannot have missed so many. */
static bool was_told(const struct observer *observer)
{
    const struct subject *subject = observer->subject;
    return !observer->owed && subject->behind < OBSERVER_GENERATIONS - 1 &&
           observer->generation == subject->generation % OBSERVER_GENERATIONS;
}

void notification_owe(struct observers *observers, struct observer *observer)
{
    if (was_told(observer))
        return;
    if (observer->owed)
        observer_count_as(observers, WORKER_NOTIFICATIONS_SKIPPED);
    observer->owed = true;
}

/* A state that has not changed since it was registered for has not been rendered either. */
static void want_missing(struct observers *observers, struct subject *subject)
{
    if (!subject->state && !subject->rendering && !wheel_is_set(&subject->retry))
        round_want(observers, subject);
}

void notification_wake(struct observers *observers, struct observer_peer *peer)
{
    for (struct observer *observer = peer->first; observer; observer = observer->peer_next) {
        /* One that is outstanding is the confirmation. */
        if (!may_be_told(observer) || observer->confirming ||
            !is_confirmation_due(observers, observer))
            continue;
        observer->owed = true;
        want_missing(observers, observer->subject);
    }
    notification_serve(observers, peer);
}

/* --- what peers answer --- */

/* Who has registered again since, and has not got the answer, is interested: what it said, or did
 * not say, was to what it had been sent before. Nothing is told while a registration is joining. */
static bool is_renewed(const struct observers *observers, const struct observer *observer,
                       const struct coap_peer *who, uint16_t message_id)
{
    const struct observers_options *options = &observers->options;
    uint16_t reply_id;
    if (observer->joining > 0)
        return true;
    return options->is_replying(options->owner, who, (uint8_t)observer->slot, &reply_id) &&
           (int16_t)(reply_id - message_id) > 0;
}

static void end_unless_renewed(struct observers *observers, struct observer *observer,
                               const struct coap_peer *who, uint16_t message_id,
                               enum observer_end why)
{
    if (is_renewed(observers, observer, who, message_id))
        observer->leaving = false;
    else
        observer_remove(observers, observer, why);
}

bool observer_reset(struct observers *observers, const struct coap_peer *who, uint16_t message_id,
                    struct coap_now now)
{
    observers->now = now;
    struct observer_peer *peer = observer_peer_find(observers, who);
    struct observer *observer = peer ? peer->first : NULL;
    while (observer && !(observer->told && observer->message_id == message_id))
        observer = observer->peer_next;
    if (!observer)
        return false;
    /* "When the server then sends the next notification, the client will not recognize the token in
     * the message and thus will return a Reset message. This causes the server to remove the
     * associated entry from the list of observers." (RFC 7641 section 3.6) */
    end_unless_renewed(observers, observer, who, message_id, OBSERVER_RESET);
    return true;
}

/* Its message is under way. */
static struct observer *find_confirming(const struct observers *observers,
                                        const struct coap_peer *who, uint8_t slot)
{
    const struct observer_peer *peer = observer_peer_find(observers, who);
    struct observer *observer = peer ? peer->first : NULL;
    while (observer && !(observer->confirming && observer->slot == slot))
        observer = observer->peer_next;
    return observer;
}

/* "it is desirable for the server to stop working towards getting the representation of the old
 * resource state to the client and to start transmitting the current representation to the client
 * instead [...] the server MAY optimize the transmission process by aborting the transmission of
 * the old notification (but not before the current transmission attempt is completed) and starting
 * a new transmission for the new notification (but with the retransmission timer and counter of the
 * aborted transmission retained)." (RFC 7641 section 4.5.2) */
void observer_repeats(struct observers *observers, const struct coap_peer *who, uint8_t slot,
                      struct coap_now now)
{
    observers->now = now;
    struct observer *observer = find_confirming(observers, who, slot);
    if (!observer || !can_be_told(observer) || was_told(observer))
        return;
    uint16_t message_id = observers->options.message_id(observers->options.owner, who);
    size_t length = write_message(observers, observer, MESSAGE_CON, message_id);
    if (!observers->options.renew(observers->options.owner, who, observers->message, length))
        return;
    note_told(observer, message_id);
    observer->leaving = is_last(observer->subject);
    observer_count_as(observers, WORKER_NOTIFICATIONS_CON);
}

static void take_outcome(struct observers *observers, struct observer *observer,
                         const struct coap_peer *who, enum observer_outcome outcome)
{
    struct observer_peer *peer = observer->peer;
    observer->confirming = false;
    peer->confirming = false;
    switch (outcome) {
    case OBSERVER_ACKNOWLEDGED:
        observer->confirmed_s = (uint32_t)(observers->now.ms / 1000) & CONFIRMED_MASK;
        observer->unconfirmed = 0;
        observer->doubtful = false;
        peer->free_ms = (uint32_t)observers->now.ms;
        peer->measured_s = (uint8_t)(observers->now.ms / 1000);
        if (observer->leaving)
            observer_remove(observers, observer, OBSERVER_GONE);
        return;
    case OBSERVER_REJECTED:
        end_unless_renewed(observers, observer, who, observer->message_id, OBSERVER_RESET);
        return;
    case OBSERVER_UNANSWERED:
        /* "if the server does not receive an acknowledgement in reply to a confirmable
         * notification, it will assume that the client is no longer interested and will eventually
         * remove the associated entry from the list of observers." (RFC 7641 section 1.2) */
        end_unless_renewed(observers, observer, who, observer->message_id, OBSERVER_TIMED_OUT);
        return;
    case OBSERVER_OUTDATED:
        /* "Even though this does not signal consistency, it is valuable in that it signals the
         * client's further interest in the resource. The server therefore should avoid
         * inadvertently removing the associated entry from the list of observers." (RFC 7641
         * section 4.5.2) The newest state begins anew, with a timeout and a counter of its own. */
        observer->confirmed_s = (uint32_t)(observers->now.ms / 1000) & CONFIRMED_MASK;
        observer->doubtful = true;
        observer->owed = true;
        observer->leaving = false;
        peer->free_ms = (uint32_t)observers->now.ms;
        return;
    case OBSERVER_UNSENT:
        observer->owed = true;
        observer->leaving = false;
        peer->free_ms = (uint32_t)observers->now.ms + OBSERVE_RETRY_MS;
        return;
    }
}

void observer_confirmed(struct observers *observers, const struct coap_peer *who, uint8_t slot,
                        enum observer_outcome outcome, struct coap_now now)
{
    observers->now = now;
    struct observer *observer = find_confirming(observers, who, slot);
    if (!observer)
        return;
    take_outcome(observers, observer, who, outcome);
    struct observer_peer *peer = observer_peer_find(observers, who);
    if (peer)
        notification_serve(observers, peer);
}

void observer_replied(struct observers *observers, const struct coap_peer *who, uint8_t slot,
                      uint16_t message_id, enum observer_outcome outcome, struct coap_now now)
{
    observers->now = now;
    struct observer_peer *peer = observer_peer_find(observers, who);
    struct observer *observer = peer ? peer->first : NULL;
    while (observer && observer->slot != slot)
        observer = observer->peer_next;
    if (!observer)
        return;
    switch (outcome) {
    case OBSERVER_REJECTED:
        end_unless_renewed(observers, observer, who, message_id, OBSERVER_RESET);
        break;
    case OBSERVER_UNANSWERED:
        end_unless_renewed(observers, observer, who, message_id, OBSERVER_TIMED_OUT);
        break;
    case OBSERVER_ACKNOWLEDGED:
    case OBSERVER_OUTDATED:
    case OBSERVER_UNSENT:
        break;
    }
}
