#include "worker/coap_observe.h"

#include "worker/block.h"
#include "worker/target.h"

#include <string.h>

static const struct coap_peer rendering = {.session_id = COAP_RENDERING_SESSION};

static struct octets token_of(const struct message *message)
{
    return (struct octets){message->token, message->token_length};
}

/* --- what leaves --- */

static uint16_t next_message_id(void *owner, const struct coap_peer *peer)
{
    return coap_message_id(owner, peer);
}

static uint32_t rtt_ms(void *owner, const struct coap_peer *peer)
{
    (void)owner;
    return transmission_rtt_ms(peer);
}

static void notify(void *owner, const struct coap_peer *peer, const uint8_t *message, size_t length)
{
    struct coap *coap = owner;
    coap->options.send(coap->options.owner, peer, message, length);
}

static bool confirm(void *owner, const struct coap_peer *peer, uint8_t slot, const uint8_t *message,
                    size_t length)
{
    struct coap *coap = owner;
    switch (transmission_send(&coap->transmissions, peer, TRANSMISSION_NOTIFICATION, slot,
                              (struct octets){message, length}, coap->now.ms)) {
    case TRANSMISSION_SENT:
    case TRANSMISSION_QUEUED:
        return true;
    case TRANSMISSION_REFUSED:
        break;
    }
    return false;
}

static bool renew(void *owner, const struct coap_peer *peer, const uint8_t *message, size_t length)
{
    struct coap *coap = owner;
    return transmission_renew(&coap->transmissions, peer, (struct octets){message, length});
}

/* The replies to its registrations are not to leave either, if they wait for their turn or are
 * repeated: their Observe option would say that it is on the list. Whoever asked for the end has
 * the answer to that under the same token: "a client may explicitly deregister by issuing a GET
 * request that has the Token field set to the token of the observation to be cancelled" (RFC 7641
 * section 3.6), so it cannot expect two. */
static void unconfirm(void *owner, const struct coap_peer *peer, uint8_t slot)
{
    struct coap *coap = owner;
    transmission_cancel(&coap->transmissions, peer, TRANSMISSION_NOTIFICATION, slot, coap->now.ms);
    while (transmission_cancel(&coap->transmissions, peer, TRANSMISSION_REGISTERED, slot,
                               coap->now.ms))
        ;
}

static bool is_replying(void *owner, const struct coap_peer *peer, uint8_t slot,
                        uint16_t *message_id)
{
    const struct coap *coap = owner;
    return transmission_find(&coap->transmissions, peer, TRANSMISSION_REGISTERED, slot, message_id);
}

static void ended(void *owner, const struct coap_peer *peer, uint8_t slot)
{
    struct coap *coap = owner;
    coap->options.unsave(coap->options.owner, peer, slot);
}

/* --- what comes back --- */

static const enum observer_outcome outcomes[] = {
    [TRANSMISSION_ACKED] = OBSERVER_ACKNOWLEDGED,   [TRANSMISSION_RESET] = OBSERVER_REJECTED,
    [TRANSMISSION_TIMED_OUT] = OBSERVER_UNANSWERED, [TRANSMISSION_OUTDATED] = OBSERVER_OUTDATED,
    [TRANSMISSION_CANCELLED] = OBSERVER_UNSENT, /* the session has gone */
};

static void settled(void *owner, const struct transmission_report *report)
{
    struct coap *coap = owner;
    observer_confirmed(&coap->observers, &report->peer, (uint8_t)report->key,
                       outcomes[report->outcome],
                       (struct coap_now){report->now_ms, coap->now.unix_ms});
}

static void repeats(void *owner, const struct coap_peer *peer, uint64_t key, uint64_t now_ms)
{
    struct coap *coap = owner;
    observer_repeats(&coap->observers, peer, (uint8_t)key,
                     (struct coap_now){now_ms, coap->now.unix_ms});
}

static void reply_settled(void *owner, const struct transmission_report *report)
{
    struct coap *coap = owner;
    observer_replied(&coap->observers, &report->peer, (uint8_t)report->key, report->message_id,
                     outcomes[report->outcome],
                     (struct coap_now){report->now_ms, coap->now.unix_ms});
}

static bool reset(void *owner, const struct coap_peer *peer, uint16_t message_id)
{
    struct coap *coap = owner;
    return observer_reset(&coap->observers, peer, message_id, coap->now);
}

/* --- registrations --- */

/* The target is what struct relation_value says, so that every worker spells it the same. */
static bool read_key(const struct request *request, uint8_t space[RELATION_TARGET_MAX],
                     struct subject_key *key)
{
    struct writer writer = writer_over(space, RELATION_TARGET_MAX);
    struct block block;
    target_write(&writer, &request->path, &request->queries);
    *key = (struct subject_key){
        .target = {space, writer_length(&writer)},
        .has_format = request->accept != NULL,
        .format = request->accept ? (uint16_t)message_option_number(request->accept) : 0,
        .block_exponent = RELATION_BLOCK_NONE,
    };
    if (block_read(&block, request->message, OPTION_BLOCK2) == BLOCK_FOUND)
        key->block_exponent = block.szx;
    return writer_ok(&writer) && target_is_valid(key->target);
}

/* RFC 7641 section 2: a GET with 0 registers, with 1 deregisters. Blocks behind the first one are
 * of a notification's body: "the client [...] MUST NOT include an Observe Option" there (RFC 7959
 * section 2.6). */
enum coap_interest coap_interest_of(const struct resource_call *call)
{
    const struct request *request = call->request;
    struct block block;
    if (!request->observe || !call->resource->observable || request->message->code != CODE_GET)
        return COAP_INTEREST_NONE;
    if (block_read(&block, request->message, OPTION_BLOCK2) == BLOCK_FOUND && block.number > 0)
        return COAP_INTEREST_NONE;
    switch (message_option_number(request->observe)) {
    case 0:
        return COAP_INTEREST_REGISTER;
    case 1:
        return COAP_INTEREST_DEREGISTER;
    default:
        return COAP_INTEREST_NONE;
    }
}

bool coap_register(const struct resource_call *call)
{
    uint8_t space[RELATION_TARGET_MAX];
    struct subject_key key;
    if (!read_key(call->request, space, &key)) {
        coap_count(call->coap, WORKER_OBSERVERS_REFUSED);
        return false;
    }
    return observer_add(&call->coap->observers, call->peer, token_of(call->request->message), &key,
                        call->now) != NULL;
}

void coap_register_commit(const struct resource_call *call, struct coap_commit *commit)
{
    struct coap *coap = call->coap;
    struct relation_value value;
    const struct observer *observer =
        observer_find(&coap->observers, call->peer, token_of(call->request->message));
    struct writer writer = writer_over(coap->value, sizeof(coap->value));
    observer_describe(observer, call->now, &value);
    relation_value_write(&writer, &value);
    *commit = (struct coap_commit){
        .ticket = call->ticket,
        .slot = (uint8_t)observer->slot,
        .value = {coap->value, writer_length(&writer)},
    };
}

void coap_deregister(const struct resource_call *call)
{
    observer_cancel(&call->coap->observers, call->peer, token_of(call->request->message),
                    OBSERVER_DEREGISTERED, call->now);
}

/* A notification comes at least so often, changed or not; until then the state is fresh. */
static void put_observe(const struct coap *coap, struct resource_reply *reply, uint32_t number)
{
    reply->has_observe = true;
    reply->observe = number;
    if (!reply->has_max_age)
        reply->max_age_s = coap->options.observe.confirm_s + COAP_EXCHANGE_LIFETIME_MS / 1000;
    reply->has_max_age = true;
}

/* What an earlier registration with this token began outlives one that fails for want of the store:
 * this may be a late copy of the request, to which nobody listens any more. Who does listen, and
 * takes it for the end, has the next notification reset. */
static bool stays(const struct observer *observer, uint8_t code)
{
    return observer->listed && MESSAGE_CODE_CLASS(code) == 5;
}

void coap_observe_reply(struct coap *coap, const struct coap_peer *peer,
                        const struct message *request, struct resource_reply *reply)
{
    struct observer *observer = observer_find(&coap->observers, peer, token_of(request));
    if (!observer)
        return; /* it has deregistered meanwhile, or the store would not have it */
    if (MESSAGE_CODE_CLASS(reply->code) == 2)
        put_observe(coap, reply, observer_number(&coap->observers, observer, reply->version));
    else if (!stays(observer, reply->code))
        observer_cancel(&coap->observers, peer, token_of(request), OBSERVER_GONE, coap->now);
}

enum transmission_kind coap_observe_kind(struct coap *coap, const struct coap_peer *peer,
                                         const struct message *request, uint64_t *key)
{
    const struct observer *observer = observer_find(&coap->observers, peer, token_of(request));
    if (!observer)
        return TRANSMISSION_SEPARATE;
    *key = observer->slot;
    return TRANSMISSION_REGISTERED;
}

void coap_observe_replied(struct coap *coap, const struct coap_peer *peer,
                          const struct message *request, uint8_t code)
{
    const struct observer *observer = observer_find(&coap->observers, peer, token_of(request));
    if (MESSAGE_CODE_CLASS(code) == 2 || (observer && stays(observer, code)))
        observer_joined(&coap->observers, peer, token_of(request), coap->now);
    else
        observer_cancel(&coap->observers, peer, token_of(request), OBSERVER_GONE, coap->now);
}

void coap_registered(struct coap *coap, uint64_t ticket, enum coap_saved saved)
{
    struct deferral *deferral = deferral_find(&coap->deferrals, ticket);
    if (!deferral)
        return; /* it has had its 5.03 */
    struct message message;
    deferral_request(deferral, &message);
    const struct observer *observer =
        observer_find(&coap->observers, &deferral->peer, token_of(&message));
    switch (saved) {
    case COAP_STORED:
        break;
    case COAP_NOT_STORED:
        /* One that is listed is in the store already, the same. */
        if (observer && !observer->listed)
            observer_cancel(&coap->observers, &deferral->peer, token_of(&message),
                            OBSERVER_NOT_STORED, coap->now);
        break;
    }
    struct resource_reply reply;
    coap_begin_reply(coap, &reply);
    if (coap_ask(coap, &deferral->peer, &message, ticket, &reply) == RESOURCE_DONE)
        coap_answer(coap, ticket, coap->now, &reply);
}

enum status coap_restore_observer(struct coap *coap, const struct coap_peer *peer, uint8_t slot,
                                  const struct relation_value *value, struct coap_now now)
{
    coap->now = now;
    if (!target_is_valid(value->target))
        return STATUS_MALFORMED;
    return observer_restore(&coap->observers, peer, slot, value, now);
}

bool coap_has_observer(const struct coap *coap, const struct coap_peer *peer)
{
    return observers_has_peer(&coap->observers, peer);
}

bool coap_has_observer_in(const struct coap *coap, const struct coap_peer *peer, uint8_t slot)
{
    return observers_has_slot(&coap->observers, peer, slot);
}

/* --- states --- */

/* The request that an observer of the subject would make. */
static bool write_request(struct writer *writer, const struct subject *subject)
{
    const struct octets target = {subject->target, subject->target_length};
    struct message_builder builder;
    message_begin(&builder, writer, MESSAGE_NON, CODE_GET, 0, NULL, 0);
    target_add_path(&builder, target);
    target_add_query(&builder, target);
    if (subject->has_format)
        message_add_number(&builder, OPTION_ACCEPT, subject->format);
    if (subject->block_exponent != RELATION_BLOCK_NONE)
        message_add_number(&builder, OPTION_BLOCK2, subject->block_exponent);
    return writer_ok(writer);
}

static bool defer_rendering(struct coap *coap, const struct message *request, uint64_t ticket)
{
    const struct deferral_due due = {UINT64_MAX, coap->now.ms + COAP_DEFERRED_MS};
    struct deferral *deferral = deferral_open(&coap->deferrals, &rendering, request, ticket, &due);
    if (!deferral)
        return false;
    deferral->rendering = true;
    return true;
}

static void take_state(struct coap *coap, struct subject *subject, const struct message *request,
                       struct resource_reply *reply)
{
    struct writer writer = writer_over(coap->message, MESSAGE_HEADER_SIZE + SUBJECT_STATE_MAX);
    const struct response_envelope envelope = {.type = MESSAGE_NON};
    uint32_t number = subject_next_number(subject, reply->version, coap->now.unix_ms);
    if (MESSAGE_CODE_CLASS(reply->code) == 2)
        put_observe(coap, reply, number);
    coap_write_response(coap, &rendering, true, &envelope, request, reply, &writer);
    /* What cannot be had now is no reason to send an observer away; what is not there is. */
    if (MESSAGE_CODE_CLASS(reply->code) == 5)
        subject_not_rendered(&coap->observers, subject, coap->now);
    else
        subject_rendered(&coap->observers, subject, reply->code, number, reply->version != 0,
                         (struct octets){coap->message + MESSAGE_HEADER_SIZE,
                                         writer_length(&writer) - MESSAGE_HEADER_SIZE},
                         coap->now);
}

static void render(void *owner, struct subject *subject)
{
    struct coap *coap = owner;
    uint8_t space[MESSAGE_HEADER_SIZE + 2 * RELATION_TARGET_MAX + 16];
    struct writer writer = writer_over(space, sizeof(space));
    struct message message;
    uint64_t ticket = ++coap->last_ticket;
    if (!write_request(&writer, subject) ||
        message_parse(&message, space, writer_length(&writer)) != MESSAGE_OK ||
        !coap_can_defer(coap)) {
        subject_not_rendered(&coap->observers, subject, coap->now);
        return;
    }
    /* Not coap_reply: another may be in the making, by whoever has changed something. */
    struct resource_reply reply;
    resource_begin_reply(&reply, writer_over(coap->rendered, sizeof(coap->rendered)),
                         writer_over(coap->rendered, 0));
    switch (coap_ask(coap, &rendering, &message, ticket, &reply)) {
    case RESOURCE_DONE:
        take_state(coap, subject, &message, &reply);
        return;
    case RESOURCE_LATER:
        if (!defer_rendering(coap, &message, ticket))
            subject_not_rendered(&coap->observers, subject, coap->now);
        return;
    }
}

void coap_rendered(struct coap *coap, const struct request *request, struct resource_reply *reply)
{
    uint8_t space[RELATION_TARGET_MAX];
    struct subject_key key;
    struct subject *subject = NULL;
    if (read_key(request, space, &key))
        subject = subject_find(&coap->observers.subjects, &key);
    if (subject && subject->rendering)
        take_state(coap, subject, request->message, reply);
}

void coap_changed(struct coap *coap, struct octets path)
{
    subject_changed(&coap->observers, path, coap->now);
}

void coap_changed_below(struct coap *coap, struct octets path)
{
    subjects_changed(&coap->observers, path, coap->now);
}

bool coap_is_observed(const struct coap *coap)
{
    return coap->observers.subjects.pool.in_use > 0;
}

/* --- beginning and end --- */

enum status coap_observe_init(struct coap *coap)
{
    const struct observers_options options = {
        .hash_key = coap->options.hash_key,
        .observers_max = OBSERVERS_MAX,
        .subjects_max = SUBJECTS_MAX,
        .confirm_s = coap->options.observe.confirm_s,
        .confirm_every = coap->options.observe.confirm_every,
        .metrics = coap->options.metrics,
        .message_id = next_message_id,
        .rtt_ms = rtt_ms,
        .notify = notify,
        .confirm = confirm,
        .renew = renew,
        .unconfirm = unconfirm,
        .is_replying = is_replying,
        .render = render,
        .ended = ended,
        .owner = coap,
    };
    const struct coap_party party = {
        .owner = coap, .settled = settled, .reset = reset, .repeats = repeats};
    const struct coap_party replies = {.owner = coap, .settled = reply_settled};
    coap_join(coap, TRANSMISSION_NOTIFICATION, &party);
    coap_join(coap, TRANSMISSION_REGISTERED, &replies);
    return observers_init(&coap->observers, &options, coap->now.ms);
}

void coap_observe_free(struct coap *coap)
{
    observers_free(&coap->observers);
}
