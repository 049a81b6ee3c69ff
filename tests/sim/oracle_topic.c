#include "tests/sim/oracle.h"

#include "tests/sim/sim.h"
#include "worker/topic.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

/* --- what topics have said, in the order of the store --- */

void oracle_published(struct sim *sim, const struct question *question)
{
    struct oracle *oracle = &sim->oracle;
    struct topic_value value;
    enum status status = topic_value_read(&value, question->second);
    assert(status == STATUS_OK && question->first.length == 2);
    oracle->changes =
        backend_append(oracle->changes, &oracle->change_count, sizeof(*oracle->changes));
    struct change *change = &oracle->changes[oracle->change_count - 1];
    change->topic = (size_t)(question->first.bytes[1] - '0');
    change->number = question->answer.first;
    assert(change->topic < SIM_TOPICS && value.data.length < sizeof(change->payload));
    memcpy(change->payload, value.data.bytes, value.data.length);
    change->length = value.data.length;
}

static bool says(const struct change *change, size_t topic, struct octets payload)
{
    return change->topic == topic && change->length == payload.length &&
           memcmp(change->payload, payload.bytes, payload.length) == 0;
}

/* The newest that says so: a change may be made twice (worker/ps.h is asked again by a copy). */
static const struct change *find_change(const struct oracle *oracle, size_t topic,
                                        struct octets payload, const uint32_t *number)
{
    for (size_t i = oracle->change_count; i-- > 0;) {
        const struct change *change = &oracle->changes[i];
        if (says(change, topic, payload) && (!number || change->number == *number))
            return change;
    }
    return NULL;
}

bool oracle_told(struct sim *sim, const struct device *device, const struct interest *interest,
                 uint32_t number, struct octets payload, size_t *at)
{
    const struct oracle *oracle = &sim->oracle;
    const struct change *change = find_change(oracle, interest->topic, payload, &number);
    if (!change) {
        sim_violated(sim, INVARIANT_ORDER, "device %zu: number %u of topic %zu was not \"%.*s\"",
                     device->index, number, interest->topic, (int)payload.length,
                     (const char *)payload.bytes);
        return false;
    }
    *at = (size_t)(change - oracle->changes);
    return true;
}

size_t oracle_newest_change(const struct sim *sim, size_t topic)
{
    size_t at = sim->oracle.change_count;
    while (at-- > 0 && sim->oracle.changes[at].topic != topic)
        ;
    return at;
}

void oracle_confirmed(struct sim *sim, size_t topic, const char *payload)
{
    const struct octets octets = {(const uint8_t *)payload, strlen(payload)};
    if (!find_change(&sim->oracle, topic, octets, NULL))
        sim_violated(sim, INVARIANT_COMMIT, "\"%s\" is confirmed as published and is not stored",
                     payload);
}

void oracle_end_topics(struct sim *sim)
{
    for (size_t i = 0; i < sim->device_count; i++) {
        const struct device *device = &sim->devices[i];
        for (size_t j = 0; j < device->interest_count; j++) {
            const struct interest *interest = &device->interests[j];
            size_t newest = oracle_newest_change(sim, interest->topic);
            if (interest->stage == INTEREST_LIVE && interest->change != newest &&
                !device_is_deaf(device))
                sim_violated(
                    sim, INVARIANT_OWED, "device %zu (%s, %s) knows %u of topic %zu, not %llu", i,
                    device->has_cid ? "CID" : "no CID", device->is_quiet ? "silent" : "talks",
                    interest->number, interest->topic,
                    (unsigned long long)sim->oracle.changes[newest].number);
        }
    }
}

/* --- registrations as one worker knows them --- */

static struct ended *find_ended(struct oracle *oracle, const struct node *node,
                                const struct session *session, const struct message *message)
{
    for (size_t i = 0; i < oracle->ended_count; i++) {
        struct ended *ended = &oracle->ended[i];
        if (ended->life == node->life && ended->session_id == session->id &&
            memcmp(ended->token, message->token, INTEREST_TOKEN_LENGTH) == 0)
            return ended;
    }
    return NULL;
}

static struct wish *find_wish(struct oracle *oracle, const struct node *node,
                              const struct session *session, const struct message *message)
{
    for (size_t i = 0; i < oracle->wish_count; i++) {
        struct wish *wish = &oracle->wishes[i];
        if (wish->life == node->life && wish->session_id == session->id &&
            memcmp(wish->token, message->token, INTEREST_TOKEN_LENGTH) == 0)
            return wish;
    }
    return NULL;
}

static void note_wish(struct oracle *oracle, const struct node *node, const struct session *session,
                      const struct message *message, bool registers)
{
    struct wish *wish = find_wish(oracle, node, session, message);
    if (!wish) {
        oracle->wishes =
            backend_append(oracle->wishes, &oracle->wish_count, sizeof(*oracle->wishes));
        wish = &oracle->wishes[oracle->wish_count - 1];
        *wish = (struct wish){.life = node->life, .session_id = session->id};
        memcpy(wish->token, message->token, INTEREST_TOKEN_LENGTH);
    }
    wish->registers = registers;
    wish->message_id = message->id;
}

/* A reply without Observe tells of an end, unless the observer has registered since (a late copy
 * does so, too), and it is not the reply to that. */
static bool tells_of_end(struct oracle *oracle, const struct node *node,
                         const struct session *session, const struct message *message)
{
    const struct wish *wish = find_wish(oracle, node, session, message);
    return !wish || !wish->registers ||
           (message->type == MESSAGE_ACK && message->id == wish->message_id);
}

/* Its Observe option: 0, 1, a number; UINT32_MAX without one. */
static uint32_t observe_of(const struct message *message)
{
    for (size_t i = 0; i < message->option_count; i++) {
        if (message->options[i].number == OPTION_OBSERVE)
            return message_option_number(&message->options[i]);
    }
    return UINT32_MAX;
}

void oracle_asked(struct sim *sim, const struct node *node, const struct session *session,
                  const uint8_t *bytes, size_t length)
{
    struct message message;
    if (message_parse(&message, bytes, length) != MESSAGE_OK || message.code != CODE_GET ||
        message.token_length != INTEREST_TOKEN_LENGTH)
        return;
    struct ended *ended = find_ended(&sim->oracle, node, session, &message);
    if (observe_of(&message) <= 1)
        note_wish(&sim->oracle, node, session, &message, observe_of(&message) == 0);
    if (observe_of(&message) == 0 && ended)
        *ended = sim->oracle.ended[--sim->oracle.ended_count];
}

/* False: it has been said before. */
static bool note_told(struct oracle *oracle, const struct node *node, const struct session *session,
                      const struct message *message)
{
    for (size_t i = 0; i < oracle->told_count; i++) {
        const struct told *told = &oracle->told[i];
        if (told->life == node->life && told->session_id == session->id &&
            told->message_id == message->id)
            return false;
    }
    oracle->told = backend_append(oracle->told, &oracle->told_count, sizeof(*oracle->told));
    oracle->told[oracle->told_count - 1] = (struct told){node->life, session->id, message->id};
    return true;
}

void oracle_said(struct sim *sim, const struct node *node, const struct session *session,
                 const uint8_t *bytes, size_t length)
{
    struct oracle *oracle = &sim->oracle;
    struct message message;
    if (message_parse(&message, bytes, length) != MESSAGE_OK || message.code != CODE_CONTENT ||
        message.token_length != INTEREST_TOKEN_LENGTH)
        return;
    const struct ended *ended = find_ended(oracle, node, session, &message);
    if (observe_of(&message) != UINT32_MAX) {
        if (note_told(oracle, node, session, &message) && ended)
            sim_violated(sim, INVARIANT_CANCEL,
                         "worker %zu tells %s of what it has been asked to end", node->index,
                         sim_name(&session->own_cid));
        return;
    }
    if (ended || !tells_of_end(oracle, node, session, &message))
        return;
    oracle->ended = backend_append(oracle->ended, &oracle->ended_count, sizeof(*oracle->ended));
    struct ended *added = &oracle->ended[oracle->ended_count - 1];
    *added = (struct ended){.life = node->life, .session_id = session->id};
    memcpy(added->token, message.token, INTEREST_TOKEN_LENGTH);
}
