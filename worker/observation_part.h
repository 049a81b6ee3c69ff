/* What the files of observations share: observation.c (which there are), observation_hear.c (what
 * devices say, and what they are asked), observation_fetch.c (the rest of what comes in blocks),
 * observation_save.c (what the store knows of them). Nobody else includes this. */
#ifndef HOLDFAST_WORKER_OBSERVATION_PART_H
#define HOLDFAST_WORKER_OBSERVATION_PART_H

#include "worker/download.h"
#include "worker/observation.h"

struct observation_peer {
    struct coap_peer peer;
    struct observation *slots[OBSERVATIONS_PER_SESSION_MAX];
    uint64_t filled_ms;
    uint32_t level; /* thousandths of a notification that it may still send */
    uint8_t saves;  /* of its notifications on their way to the store */
    uint8_t count;
};

/* What a device says of the resource, whether it came as a response, for itself, or in blocks. */
struct notification {
    struct coap_now heard;
    struct octets body;
    uint64_t max_age_s;
    uint32_t observe;
    uint16_t message_id;
    uint16_t format;
    bool has_observe;
    bool has_format;
    bool acknowledges; /* coap_acknowledge when the store has it */
};

/* A notification whose first block has come. */
struct observation_fetch {
    uint32_t id;                      /* of this worker, not reused for long */
    struct notification notification; /* body: none yet */
    struct download download;
    uint8_t space[COAP_BODY_MAX];
};

enum save_kind {
    SAVE_FIRST,
    SAVE_NOTIFICATION,
    SAVE_NOTE, /* that something is fetched, which the log is to have */
    SAVE_REMOVAL,
};

/* A question to the store. */
struct save {
    struct observations *observations;
    uint64_t session_id;
    uint32_t number;
    uint32_t fetch; /* SAVE_NOTE: whose */
    uint16_t message_id;
    uint8_t slot;
    uint8_t kind;
    bool has_number;
    bool was_due;      /* before this event */
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
/* When the device is to be asked again: after Max-Age, or at once if something is due; after a
 * failure. While something is fetched, not at all. */
void observation_set_renewal(struct observations *observations, struct observation *observation);
void observation_set_retry(struct observations *observations, struct observation *observation);

/* The device is asked again now, or after a failure. */
void observation_renew(struct observations *observations, struct observation *observation);

/* observation_hear.c */

static inline uint64_t observation_tag(const struct observation *observation)
{
    struct cursor cursor = cursor_over(observation->token, ERRAND_TOKEN_SIZE);
    return cursor_u64(&cursor);
}
/* All but `acknowledges`. */
void observation_read(const struct observations *observations, const struct message *message,
                      struct notification *notification);
/* Asks the store to keep it as an event, with the relation. False: it was not even asked. */
bool observation_keep(struct observations *observations, struct observation *observation,
                      const struct notification *notification, enum save_kind kind);
/* The relation ends at the device; the store forgets it, if it can be asked, else an heir finds out
 * by its next registration. Whoever waits is told this. */
void observation_end_by_device(struct observations *observations, struct observation *observation,
                               enum observation_outcome outcome, uint8_t code);

/* Registers with the device, or again. As errand_begin. */
MUST_USE enum status observation_register(struct observations *observations,
                                          struct observation *observation);
/* Tells it that it may forget the relation; nobody waits for that. */
void observation_deregister(struct observations *observations, const struct coap_peer *peer,
                            const struct observation *observation);

/* observation_fetch.c */

/* `first` is block zero of what `notification` says, with more to come: it is noted and fetched.
 * COAP_HEARD_LATER, COAP_HEARD; COAP_HEARD_DROPPED: there is no room, and what was fetched before
 * goes on; COAP_HEARD_REJECTED: it is no such block. */
enum coap_heard observation_fetch(struct observations *observations,
                                  struct observation *observation, const struct message *first,
                                  const struct notification *notification);
/* What is fetched is not wanted any more. */
void observation_drop_fetch(struct observations *observations, struct observation *observation);
/* The note of SAVE_NOTE is stored, or is not. */
void observation_noted(struct observations *observations, struct observation *observation,
                       const struct save *save, bool is_stored);
/* It takes too long. */
void observation_fetch_lapsed(struct observations *observations, struct observation *observation);

/* observation_save.c */

/* Asks the store to keep the relation, or with SAVE_REMOVAL to forget it. False: not even asked. */
bool observation_save(struct observations *observations, struct observation *observation,
                      const struct save *save, struct octets event);
/* What was not stored may come again, and is then as new as it was. */
void observation_note_number(struct observation *observation, const struct save *save,
                             bool is_stored);

#endif
