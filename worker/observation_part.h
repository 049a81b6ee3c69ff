/* What the files of observations share: observation.c (which there are), observation_hear.c (what
 * devices say, and what they are asked), observation_save.c (what the store knows of them). Nobody
 * else includes this. */
#ifndef HOLDFAST_WORKER_OBSERVATION_PART_H
#define HOLDFAST_WORKER_OBSERVATION_PART_H

#include "worker/observation.h"

struct observation_peer {
    struct coap_peer peer;
    struct observation *slots[OBSERVATIONS_PER_SESSION_MAX];
    uint64_t filled_ms;
    uint32_t level; /* thousandths of a notification that it may still send */
    uint8_t saves;  /* of its notifications on their way to the store */
    uint8_t count;
};

enum save_kind { SAVE_FIRST, SAVE_NOTIFICATION, SAVE_REMOVAL };

/* A question to the store. */
struct save {
    struct observations *observations;
    uint64_t session_id;
    uint32_t number;
    uint16_t message_id;
    uint8_t slot;
    uint8_t kind;
    bool has_number;
    bool acknowledges; /* coap_acknowledge waits for it */
    uint8_t token[ERRAND_TOKEN_SIZE];
};

static inline void observation_count(const struct observations *observations,
                                     enum worker_metric metric)
{
    coap_count(observations->options.coap, metric);
}

static inline struct coap_now observation_now(const struct observations *observations)
{
    return coap_clock(observations->options.coap);
}

/* observation.c */

/* NULL: the session has none. */
struct observation_peer *observation_find_peer(const struct observations *observations,
                                               uint64_t session_id);
/* Where the slot's is; NULL: there is no such slot. */
struct observation **observation_place(struct observation_peer *peer, uint8_t slot);
struct observation *observation_locate(const struct observations *observations, uint64_t session_id,
                                       uint8_t slot);
/* Out of memory; with the last of its session goes the session's part. */
void observation_drop(struct observations *observations, struct observation *observation);
/* Whoever waits is told. */
void observation_tell(struct observation *observation, enum observation_outcome outcome,
                      uint8_t code);
/* Both. */
void observation_end(struct observations *observations, struct observation *observation,
                     enum observation_outcome outcome, uint8_t code);
/* When the device is to be asked again: after Max-Age, after a failure. */
void observation_set_renewal(struct observations *observations, struct observation *observation);
void observation_set_retry(struct observations *observations, struct observation *observation);

/* observation_hear.c */

/* Registers with the device, or again. As errand_begin. */
MUST_USE enum status observation_register(struct observations *observations,
                                          struct observation *observation);
/* Tells it that it may forget the relation; nobody waits for that. */
void observation_deregister(struct observations *observations, const struct coap_peer *peer,
                            const struct observation *observation);

/* observation_save.c */

/* Asks the store to keep the relation, or with SAVE_REMOVAL to forget it. False: not even asked. */
bool observation_save(struct observations *observations, struct observation *observation,
                      const struct save *save, struct octets event);
/* What was not stored may come again, and is then as new as it was. */
void observation_note_number(struct observation *observation, const struct save *save,
                             bool is_stored);

#endif
