/* What ps.c (requests), ps_publish.c (those that change a topic) and ps_poll.c (what others have
 * published) share; theirs alone. */
#ifndef HOLDFAST_WORKER_PS_REQUEST_H
#define HOLDFAST_WORKER_PS_REQUEST_H

#include "worker/coap_observe.h"
#include "worker/ps.h"
#include "worker/topic.h"

#define PS_COLLECTION "/ps"
#define PS_PATH_MAX (sizeof(PS_COLLECTION) + TOPIC_SEGMENTS_MAX + 3 * STORE_TOPIC_NAME_MAX)

/* A request that waits for the store: the owner of its question, which is answered once. */
struct ps_request {
    struct ps *ps;
    uint64_t ticket;
    enum store_topic_mode allowed; /* by its conditions */
    uint8_t attempts;
    bool created; /* these are the topic's first data */
    bool has_format;
    uint16_t format;
    uint16_t name_length;
    uint16_t data_length;
    uint8_t name[STORE_TOPIC_NAME_MAX];
    uint8_t data[TOPIC_DATA_MAX];
};

/* What others publish. */
enum ps_poll {
    PS_POLL_IDLE,  /* nobody observes anything here */
    PS_POLL_FIRST, /* where the changes stand has to be found out */
    PS_POLL_GOING,
};

struct ps {
    struct ps_options options;
    struct pool requests;
    enum ps_poll poll;
    bool polling;     /* a question is unanswered */
    uint64_t poll_ms; /* when the next one is due */
    uint64_t after;   /* the newest change that has been told */
    uint8_t value[STORE_TOPIC_MAX];
};

/* The broker, whose handler answers in this format, or PS_ANY_FORMAT. NULL: there is none, or the
 * client wants another; `reply` is the error. */
#define PS_ANY_FORMAT UINT32_MAX
struct ps *ps_of(const struct resource_call *call, uint32_t format, struct resource_reply *reply);

/* One for this request, about this topic (length 0: about none), if its peer is among those that
 * may (NULL: everybody). NULL: `reply` is the error. */
struct ps_request *ps_begin(const struct resource_call *call, struct octets name,
                            const struct permissions *permissions, struct resource_reply *reply);
/* The topic is that of the path. */
struct ps_request *ps_begin_topic(const struct resource_call *call,
                                  const struct permissions *permissions,
                                  struct resource_reply *reply);
/* What the handler returns: its question was taken, or was not. */
enum resource_outcome ps_asked(struct ps_request *request, enum status status,
                               struct resource_reply *reply);

/* Answers and ends the request. */
struct resource_reply ps_reply(struct ps_request *request, uint8_t code);
void ps_finish(struct ps_request *request, struct resource_reply *reply);
void ps_fail(struct ps_request *request, uint8_t code, const char *diagnostic);
/* As the store's answer, which is not STORE_OK, says. */
void ps_fail_as(struct ps_request *request, const struct store_answer *answer);
/* The topic's value; false: it is unusable, and the request has ended so. */
bool ps_take_value(struct ps_request *request, struct octets octets, struct topic_value *value);

static inline struct octets ps_name(const struct ps_request *request)
{
    return (struct octets){request->name, request->name_length};
}

/* The path that observers know the topic by. */
void ps_write_path(struct writer *writer, struct octets name);
/* The topic, of this name, has changed. */
void ps_tell_observers(struct ps *ps, struct octets name);

#endif
