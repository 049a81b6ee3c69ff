/* What the files of the CoAP endpoint share: coap.c (which kind of message is it, beginning and
 * end), coap_serve.c (requests), coap_commit.c (replies that waited for the store), coap_body.c
 * (requests in blocks), coap_deferral.c (requests that are answered later), coap_hear.c (responses
 * to requests of ours), coap_observe.c (observers; coap_observe.h), resources.c (the table); and
 * what parts that start messages of their own join it by. The worker around it includes coap.h
 * only. */
#ifndef HOLDFAST_WORKER_COAP_ENDPOINT_H
#define HOLDFAST_WORKER_COAP_ENDPOINT_H

#include "worker/body.h"
#include "worker/coap.h"
#include "worker/deferral.h"
#include "worker/echo_value.h"
#include "worker/exchange.h"
#include "worker/message.h"
#include "worker/metrics.h"
#include "worker/observer.h"
#include "worker/plugtest.h"
#include "worker/proven.h"
#include "worker/rate.h"
#include "worker/resource.h"
#include "worker/response.h"
#include "worker/session.h"
#include "worker/transmission.h"

/* --- who starts messages --- */

/* What a response is to the one who may have asked for it. */
enum coap_heard {
    COAP_HEARD_UNKNOWN,  /* nobody here waits for its token */
    COAP_HEARD,          /* taken; a confirmable one is acknowledged at once */
    COAP_HEARD_LATER,    /* taken; the ACK waits for coap_acknowledge */
    COAP_HEARD_DROPPED,  /* not taken, as if it had not come: a confirmable one comes again */
    COAP_HEARD_REJECTED, /* a critical option that is not recognized, or nobody wants it any more:
                            RST, unless it came in an ACK */
};

/* One that starts messages of the kind by whose number it joins, or hears responses. NULL: does not
 * apply. */
struct coap_party {
    void *owner;
    /* What became of a confirmable message of the kind. For a response in an ACK before `hear`. */
    void (*settled)(void *owner, const struct transmission_report *report);
    /* A response over this peer that parsed; its repetitions do not come here. `response` is valid
     * during the call. */
    enum coap_heard (*hear)(void *owner, const struct coap_peer *peer, struct coap_now now,
                            const struct message *response);
    /* RST for a message id that no confirmable message under way has. Whether it was for one of its
     * non-confirmable ones. */
    bool (*reset)(void *owner, const struct coap_peer *peer, uint16_t message_id);
    /* A confirmable message of the kind is about to be repeated, which transmission_renew may put
     * another in the place of. */
    void (*repeats)(void *owner, const struct coap_peer *peer, uint64_t key, uint64_t now_ms);
};

struct coap {
    struct coap_options options;
    /* Apart, so that no flood from addresses that anybody can write makes us forget what an
     * authenticated peer has sent; and no storm of responses what its requests were answered. */
    struct exchanges secured;
    struct exchanges plain;
    struct exchanges heard;       /* responses of both, by their message ids */
    struct bodies secured_bodies; /* in blocks; apart for the same reason */
    struct bodies plain_bodies;
    struct transmissions transmissions;
    struct deferrals deferrals;
    struct rate rate;
    struct proven proven;
    struct observers observers;
    struct ps *ps;             /* of the resources below /ps; not owned */
    struct plugtest *plugtest; /* NULL without */
    struct coap_party parties[TRANSMISSION_KINDS];
    struct coap_now now; /* of the turn or call under way */
    uint64_t last_ticket;
    uint16_t next_message_id; /* of what we start over plain CoAP */
    /* What struct coap_commit shows. */
    uint8_t value[EXCHANGE_VALUE_MAX];
    uint8_t event[STORE_EVENT_MAX];
    uint8_t message[COAP_MESSAGE_SIZE_MAX]; /* on its way to `send` */
    uint8_t body[COAP_BODY_MAX];            /* what a handler writes */
    uint8_t rendered[COAP_BODY_MAX];        /* what one writes for observers */
    uint8_t gathered[COAP_BODY_MAX];        /* what it reads, if it came in blocks */
    uint8_t echo[ECHO_VALUE_SIZE];          /* of a challenge */
};

/* Replaces the party of that kind. */
void coap_join(struct coap *coap, enum transmission_kind kind, const struct coap_party *party);

/* A message id for a message of ours to the peer: "The same Message ID MUST NOT be reused (in
 * communicating with the same endpoint) within the EXCHANGE_LIFETIME" (RFC 7252 section 4.4). */
uint16_t coap_message_id(struct coap *coap, const struct coap_peer *peer);

/* The response of COAP_HEARD_LATER with this id is stored, or is not: then it is as if it had not
 * come, and its repetition is heard anew. */
void coap_acknowledge(struct coap *coap, const struct coap_peer *peer, uint16_t message_id,
                      enum coap_saved saved);

/* --- who answers later --- */

/* An empty reply over the endpoint's buffers, code 0; one at a time. */
static inline void coap_begin_reply(struct coap *coap, struct resource_reply *reply)
{
    resource_begin_reply(reply, writer_over(coap->body, sizeof coap->body),
                         writer_over(coap->event, sizeof coap->event));
}

/* The reply to a request whose handler gave RESOURCE_LATER: it leaves now, in the ACK or, if that
 * has gone, as a message of its own. Never from within the handler. False: nobody waits for it any
 * more (the session is gone, or it took longer than COAP_DEFERRED_MS and got a 5.03). */
bool coap_answer(struct coap *coap, uint64_t ticket, struct coap_now now,
                 struct resource_reply *reply);

/* --- between the files --- */

static inline void coap_count(struct coap *coap, enum worker_metric metric)
{
    metrics_add(coap->options.metrics, 0, metric, 1);
}

static inline struct exchanges *coap_exchanges(struct coap *coap, const struct coap_peer *peer)
{
    return peer->session_id ? &coap->secured : &coap->plain;
}

static inline struct exchange_endpoint coap_exchange_endpoint(const struct coap_peer *peer)
{
    return (struct exchange_endpoint){peer->session_id, peer->path.address};
}

static inline void coap_send(struct coap *coap, const struct coap_peer *peer,
                             const struct writer *message)
{
    coap->options.send(coap->options.owner, peer, message->start, writer_length(message));
}

/* coap_serve.c */

/* A message that came before: "The recipient SHOULD acknowledge each duplicate copy of a
 * Confirmable message using the same Acknowledgement or Reset message but SHOULD process any
 * request or response in the message only once." and for non-confirmable ones "the recipient SHOULD
 * silently ignore any duplicated Non-confirmable message" (RFC 7252 section 4.5) */
enum coap_outcome coap_repeat(struct coap *coap, const struct message *message,
                              const struct exchange *exchange, struct writer *reply);
bool coap_address_is_proven(struct coap *coap, const struct coap_peer *peer,
                            const struct request *request);
/* Whether the peer has shown that it gets what is sent to its address. */
static inline bool coap_is_proven(struct coap *coap, const struct coap_peer *peer,
                                  const struct request *request)
{
    return peer->session_id != 0 || coap_address_is_proven(coap, peer, request);
}

/* What the next request of a peer that is restless lets us send, if it is like this one: such a
 * peer never proves an address, and a longer reply would wait for that in vain. In coap_body.c. */
uint16_t coap_room(const struct coap_peer *peer, const struct message *request);
/* A piggybacked response for a confirmable request (RFC 7252 section 5.2.1), a non-confirmable one
 * for a non-confirmable request (section 5.2.3). After an empty ACK, "When it is desired that this
 * message is not lost, it is sent as a Confirmable message" (section 5.2.2); to an address that is
 * not proven, its repetitions would multiply what a stranger gets. */
static inline struct response_envelope coap_envelope(struct coap *coap,
                                                     const struct coap_peer *peer, bool proven,
                                                     const struct message *request,
                                                     bool acknowledged)
{
    bool is_confirmable = request->type == MESSAGE_CON;
    uint16_t room = peer->session && peer->session->restless ? coap_room(peer, request) : 0;
    if (is_confirmable && !acknowledged)
        return (struct response_envelope){MESSAGE_ACK, request->id, room};
    return (struct response_envelope){is_confirmable && proven ? MESSAGE_CON : MESSAGE_NON,
                                      coap_message_id(coap, peer), room};
}

/* Makes it 4.01 with an Echo. */
void coap_challenge(struct coap *coap, const struct coap_peer *peer, struct resource_reply *reply);
/* To an address that is not proven: the response, or an Echo in its place. */
void coap_write_challenge(struct coap *coap, const struct coap_peer *peer,
                          const struct response_envelope *envelope, const struct message *request,
                          struct resource_reply *reply, struct writer *writer);
/* `reply` has been written, with a block of `body`: keeps it for those to come, if the handler must
 * not run for each of them. In coap_body.c. */
void coap_keep(struct coap *coap, const struct coap_peer *peer, const struct message *request,
               const struct resource_reply *reply, struct octets body);
/* Writes the response to a request whose options have been judged. */
static inline void coap_write_response(struct coap *coap, const struct coap_peer *peer, bool proven,
                                       const struct response_envelope *envelope,
                                       const struct message *request, struct resource_reply *reply,
                                       struct writer *writer)
{
    const struct octets body = {reply->payload.start, writer_length(&reply->payload)};
    if (proven)
        response_write(writer, envelope, request, reply, NULL);
    else
        coap_write_challenge(coap, peer, envelope, request, reply, writer);
    if (reply->has_block2)
        coap_keep(coap, peer, request, reply, body);
}

/* Runs the handler for a request whose options have been judged, without remembering it. */
enum resource_outcome coap_ask(struct coap *coap, const struct coap_peer *peer,
                               const struct message *message, uint64_t ticket,
                               struct resource_reply *reply);
enum coap_outcome coap_serve(struct coap *coap, const struct coap_peer *peer, struct coap_now now,
                             const struct message *message, struct writer *reply,
                             struct coap_commit *commit);

/* coap_body.c */

/* Puts the body of a request for call->resource in place of its payload. False: `reply` is the
 * answer to this block. */
bool coap_gather(struct coap *coap, struct resource_call *call, bool proven,
                 struct resource_reply *reply);
/* The whole reply whose next block the request asks for, from memory: the handler has run. Or that
 * this is not there any more; false: the handler is to run. */
bool coap_resume(struct coap *coap, const struct resource_call *call, struct resource_reply *reply);
void coap_show_bodies(struct coap *coap);

/* coap_deferral.c */

/* Whether one more request can be answered later. */
bool coap_can_defer(const struct coap *coap);
/* The handler of this request has said so, or it is a registration that waits for the store;
 * `exchange` remembers it. coap_can_defer was asked. */
void coap_defer(struct coap *coap, const struct coap_peer *peer, const struct request *request,
                uint64_t ticket, bool observing, struct exchange *exchange);
/* Empty ACKs that are due, and 5.03 for what nobody has answered. */
void coap_run_deferrals(struct coap *coap);

/* coap_hear.c */

enum coap_outcome coap_hear(struct coap *coap, const struct coap_peer *peer, struct coap_now now,
                            const struct message *response, struct writer *reply);

/* resources.c */

extern const struct resource coap_resources[];
extern const size_t coap_resource_count;

#endif
