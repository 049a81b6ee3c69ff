#include "tests/sim/interest.h"

#include "tests/sim/sim.h"

#include <assert.h>

#define TOKEN_MARK 0xa5

void interest_token(const struct device *device, size_t interest,
                    uint8_t token[INTEREST_TOKEN_LENGTH])
{
    token[0] = TOKEN_MARK;
    token[1] = (uint8_t)device->index;
    token[2] = (uint8_t)interest;
}

struct interest *interest_of(struct device *device, const struct message *message)
{
    if (message->token_length != INTEREST_TOKEN_LENGTH || message->token[0] != TOKEN_MARK ||
        message->token[1] != device->index || message->token[2] >= device->interest_count)
        return NULL;
    return &device->interests[message->token[2]];
}

static const struct message_option *find_observe(const struct message *message)
{
    for (size_t i = 0; i < message->option_count; i++) {
        if (message->options[i].number == OPTION_OBSERVE)
            return &message->options[i];
    }
    return NULL;
}

bool interest_observes(const struct message *message)
{
    return find_observe(message) != NULL;
}

/* "(V1 < V2 and V2 - V1 < 2^23) or (V1 > V2 and V1 - V2 > 2^23) or (T2 > T1 + 128 seconds)" (RFC
 * 7641 section 3.4) */
static bool is_newer(const struct interest *interest, uint32_t number, uint64_t now_ms)
{
    uint32_t known = interest->number;
    return !interest->has_number || (known < number && number - known < UINT32_C(1) << 23) ||
           (known > number && known - number > UINT32_C(1) << 23) ||
           now_ms > interest->heard_ms + 128000;
}

static void take_state(struct device *device, struct interest *interest,
                       const struct message *message, uint32_t number)
{
    struct sim *sim = device->sim;
    size_t change;
    trace_line(&sim->trace, sim->now_ms, "device %zu: hears of topic %zu, number %u: \"%.*s\"",
               device->index, interest->topic, number, (int)message->payload_length,
               (const char *)message->payload);
    if (!oracle_told(sim, device, interest, number,
                     (struct octets){message->payload, message->payload_length}, &change) ||
        !is_newer(interest, number, sim->now_ms))
        return;
    if (interest->has_number && change < interest->change)
        sim_violated(sim, INVARIANT_ORDER,
                     "device %zu believes %u of topic %zu newer than %u, and it is older",
                     device->index, number, interest->topic, interest->number);
    interest->has_number = true;
    interest->number = number;
    interest->heard_ms = sim->now_ms;
    interest->change = change;
    sim->result.states++;
}

/* "The client [...] will not recognize the token in the message and thus will return a Reset" (RFC
 * 7641 section 3.6): that arrives in calm weather, so each worker can err once, and whoever adopts
 * the session meanwhile. */
static void note_stray(struct device *device, struct interest *interest,
                       const struct message *message)
{
    struct sim *sim = device->sim;
    if (!sim->is_calm || (interest->strays > 0 && interest->stray_id == message->id))
        return;
    uint64_t fence = oracle_fence(sim, device);
    if (interest->strays == 0)
        interest->stray_fence = fence;
    interest->stray_id = message->id;
    if (++interest->strays > SIM_NODES + fence - interest->stray_fence)
        sim_violated(sim, INVARIANT_CANCEL, "device %zu is told of topic %zu again and again",
                     device->index, interest->topic);
}

bool interest_take(struct device *device, struct interest *interest, const struct message *message)
{
    const struct message_option *observe = find_observe(message);
    if (interest->stage == INTEREST_OVER) {
        if (message->type != MESSAGE_ACK)
            note_stray(device, interest, message);
        return false;
    }
    if (message->code == CODE_CONTENT && observe)
        take_state(device, interest, message, message_option_number(observe));
    return true;
}

void interest_answered(struct interest *interest, const struct message *message)
{
    bool is_listed = message->code == CODE_CONTENT && interest_observes(message);
    switch (interest->stage) {
    case INTEREST_ASKED:
    case INTEREST_LIVE:
        interest->stage = is_listed ? INTEREST_LIVE : INTEREST_OVER;
        break;
    case INTEREST_LEAVING:
        if (message->code == CODE_CONTENT && !is_listed)
            interest->stage = INTEREST_OVER;
        break;
    case INTEREST_OVER:
        break;
    }
}

static bool is_wanted(const struct device *device, size_t topic)
{
    if (!(device->topics >> topic & 1))
        return false;
    for (size_t i = 0; i < device->interest_count; i++) {
        const struct interest *interest = &device->interests[i];
        if (interest->topic == topic && interest->stage != INTEREST_OVER)
            return false;
    }
    return true;
}

size_t interest_wanted(struct device *device)
{
    size_t topic = 0;
    while (topic < SIM_TOPICS && !is_wanted(device, topic))
        topic++;
    return device->interest_count < INTERESTS_MAX ? topic : SIM_TOPICS;
}

size_t interest_begin(struct device *device, size_t topic)
{
    assert(device->interest_count < INTERESTS_MAX);
    device->interests[device->interest_count] = (struct interest){.topic = topic};
    return device->interest_count++;
}

size_t interest_in(const struct device *device, enum interest_stage stage)
{
    size_t at = 0;
    while (at < device->interest_count && device->interests[at].stage != stage)
        at++;
    return at;
}

bool interest_is_current(const struct device *device)
{
    for (size_t i = 0; i < device->interest_count; i++) {
        const struct interest *interest = &device->interests[i];
        if (interest->stage == INTEREST_LIVE &&
            interest->change != oracle_newest_change(device->sim, interest->topic))
            return false;
    }
    return true;
}
