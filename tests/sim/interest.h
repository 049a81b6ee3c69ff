/* What a device observes (RFC 7641): it registers once in a session, says "no more" perhaps, and
 * believes what counts as newer.
 *
 *   ASKED ──reply with Observe──> LIVE ──it asks to end it──> LEAVING ──reply──> OVER
 *     └──any other reply, or none─────────────────────────────────────────────────┘
 *
 * Each registration has a token of its own, so that what is left of a former one shows. */
#ifndef HOLDFAST_TESTS_SIM_INTEREST_H
#define HOLDFAST_TESTS_SIM_INTEREST_H

#include "worker/message.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define INTERESTS_MAX 10 /* registrations of a session */
#define INTEREST_TOKEN_LENGTH 3

struct device;

enum interest_stage { INTEREST_ASKED, INTEREST_LIVE, INTEREST_LEAVING, INTEREST_OVER };

struct interest {
    enum interest_stage stage;
    size_t topic;
    bool has_number;
    uint32_t number; /* of what counts as newest, and when it came */
    uint64_t heard_ms;
    size_t change; /* which change that was (oracle_topic.c) */
    size_t strays; /* messages in calm weather though it is over */
    uint16_t stray_id;
    uint64_t stray_fence; /* of the first */
};

void interest_token(const struct device *device, size_t interest,
                    uint8_t token[INTEREST_TOKEN_LENGTH]);
/* The one that a message has the token of; NULL: none. */
struct interest *interest_of(struct device *device, const struct message *message);
/* What a message says, of whatever type. False: nobody waits for it (any more). */
bool interest_take(struct device *device, struct interest *interest, const struct message *message);
/* Whether it has an Observe option. */
bool interest_observes(const struct message *message);
/* The reply to the request under way. */
void interest_answered(struct interest *interest, const struct message *message);

/* Which topic to observe next; SIM_TOPICS: none. */
size_t interest_wanted(struct device *device);
/* One more, ASKED; its index. */
size_t interest_begin(struct device *device, size_t topic);
/* Of those that are in this stage any; interest_count: none is. */
size_t interest_in(const struct device *device, enum interest_stage stage);
/* It has registered for what it wants, and knows the newest states. */
bool interest_is_current(const struct device *device);

#endif
