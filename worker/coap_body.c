/* Bodies that go in blocks (RFC 7959), for coap_serve.c and coap_deferral.c: requests until they
 * are whole, replies until they have left. */
#include "worker/coap_endpoint.h"
#include "worker/session.h"

#include <stdio.h>

static struct bodies *bodies_of(struct coap *coap, const struct coap_peer *peer)
{
    return peer->session_id ? &coap->secured_bodies : &coap->plain_bodies;
}

static uint64_t request_key(const struct coap *coap, const struct message *request)
{
    return block_request_key(&coap->options.hash_key, request);
}

void coap_show_bodies(struct coap *coap)
{
    static const enum worker_metric rows[BODY_LOSSES] = {
        [BODY_LOST_TIME] = WORKER_COAP_LOST_TIME,
        [BODY_LOST_ROOM] = WORKER_COAP_LOST_ROOM,
        [BODY_LOST_RESTARTED] = WORKER_COAP_LOST_RESTARTED,
        [BODY_LOST_PEER] = WORKER_COAP_LOST_PEER,
    };
    for (size_t i = 0; i < BODY_LOSSES; i++)
        metrics_set(coap->options.metrics, 0, rows[i],
                    coap->secured_bodies.lost[i] + coap->plain_bodies.lost[i]);
    metrics_set(coap->options.metrics, 0, WORKER_COAP_TRANSFERS,
                body_count(&coap->secured_bodies) + body_count(&coap->plain_bodies));
}

/* --- requests --- */

static void refuse_size(struct resource_reply *reply, size_t limit)
{
    char diagnostic[48];
    snprintf(diagnostic, sizeof diagnostic, "at most %zu octets", limit);
    resource_fail(reply, CODE_TOO_LARGE, diagnostic);
    /* "The response SHOULD include a Size1 Option (Section 5.10.9) to indicate the maximum size of
     * request entity the server is able and willing to handle" (RFC 7252 section 5.9.2.9) */
    reply->size1 = (uint32_t)limit;
}

static bool take(struct coap *coap, struct resource_call *call, size_t limit,
                 struct resource_reply *reply)
{
    const struct message *message = call->request->message;
    const struct message_option *announced = call->request->size1;
    struct writer whole = writer_over(coap->gathered, sizeof coap->gathered);
    struct body_part part = {
        .endpoint = coap_exchange_endpoint(call->peer),
        .request = request_key(coap, message),
        .payload = {message->payload, message->payload_length},
        .announced = announced ? message_option_number(announced) : 0,
        .limit = limit,
    };
    (void)block_read(&part.block, message, OPTION_BLOCK1); /* judged before */
    switch (body_take(bodies_of(coap, call->peer), &part, call->now.ms, &whole)) {
    case BODY_CONTINUE:
        reply->code = CODE_CONTINUE;
        return false;
    case BODY_WHOLE:
        call->body = (struct octets){coap->gathered, writer_length(&whole)};
        if (part.block.number > 0)
            coap_count(coap, WORKER_COAP_BODIES_IN);
        return true;
    case BODY_MISSIZED:
        resource_fail(reply, CODE_BAD_REQUEST, "not as long as its Block1 says");
        coap_count(coap, WORKER_COAP_BLOCKS_MISSIZED);
        return false;
    case BODY_INCOMPLETE:
        resource_fail(reply, CODE_INCOMPLETE, "begin with block 0");
        coap_count(coap, WORKER_COAP_BLOCKS_INCOMPLETE);
        return false;
    case BODY_TOO_LARGE:
        refuse_size(reply, limit);
        coap_count(coap, WORKER_COAP_BLOCKS_TOO_LARGE);
        return false;
    case BODY_NO_ROOM:
        break;
    }
    resource_fail(reply, CODE_UNAVAILABLE, "");
    coap_count(coap, WORKER_COAP_BLOCKS_NO_ROOM);
    return false;
}

bool coap_gather(struct coap *coap, struct resource_call *call, bool proven,
                 struct resource_reply *reply)
{
    const struct request *request = call->request;
    size_t limit = call->resource->body_max ? call->resource->body_max : COAP_BODY_MAX;
    struct block block;
    if (request->block1 && block_read(&block, request->message, OPTION_BLOCK1) == BLOCK_FOUND) {
        if (proven || block.number > 0 || !block.more)
            return take(coap, call, limit, reply);
        /* Nothing is kept for an address that anybody may have written. */
        coap_challenge(coap, call->peer, reply);
        return false;
    }
    if (call->body.length <= limit)
        return true;
    refuse_size(reply, limit);
    return false;
}

/* --- replies --- */

uint16_t coap_room(const struct coap_peer *peer, const struct message *request)
{
    const struct session *session = peer->session;
    size_t overhead =
        protect_overhead(session_suite(session), session->uses_cid ? session->peer_cid.length : 0);
    size_t request_length = request->length - request->payload_length;
    return (uint16_t)(AMPLIFICATION_FACTOR * (request_length + overhead) - overhead);
}

bool coap_resume(struct coap *coap, const struct resource_call *call, struct resource_reply *reply)
{
    const struct message *message = call->request->message;
    const struct exchange_endpoint endpoint = coap_exchange_endpoint(call->peer);
    struct block block;
    if (call->request->block1 || block_read(&block, message, OPTION_BLOCK2) != BLOCK_FOUND ||
        block.number == 0)
        return false;
    const struct body_head *head =
        body_find(bodies_of(coap, call->peer), &endpoint, request_key(coap, message), call->now.ms,
                  &reply->payload);
    if (head) {
        reply->code = head->code;
        reply->has_format = head->has_format;
        reply->format = head->format;
        reply->etag_length = head->etag_length;
        memcpy(reply->etag, head->etag, head->etag_length);
        return true;
    }
    /* A GET, and a FETCH with its payload, can be run again: the ETag tells whether the result is
     * the same. */
    if (message->code == CODE_GET || (message->code == CODE_FETCH && message->payload_length > 0))
        return false;
    resource_fail(reply, CODE_INCOMPLETE, "begin with block 0");
    coap_count(coap, WORKER_COAP_BLOCKS_INCOMPLETE);
    return true;
}

void coap_keep(struct coap *coap, const struct coap_peer *peer, const struct message *request,
               const struct resource_reply *reply, struct octets body)
{
    const struct exchange_endpoint endpoint = coap_exchange_endpoint(peer);
    struct bodies *bodies = bodies_of(coap, peer);
    if (reply->block2.number > 0 && !reply->block2.more) {
        coap_count(coap, WORKER_COAP_BODIES_OUT);
        /* A confirmable request whose reply is lost is repeated, and gets it from its exchange. */
        if (request->code != CODE_GET && request->type == MESSAGE_CON)
            body_drop(bodies, &endpoint, request_key(coap, request));
        return;
    }
    if ((request->code == CODE_GET && !reply->varies) || reply->block2.number > 0 ||
        !reply->block2.more)
        return;
    struct body_head head = {
        .code = reply->code,
        .has_format = reply->has_format,
        .format = reply->format,
        .etag_length = reply->etag_length,
    };
    memcpy(head.etag, reply->etag, reply->etag_length);
    if (!body_keep(bodies, &endpoint, request_key(coap, request), &head, body, coap->now.ms))
        coap_count(coap, WORKER_COAP_BLOCKS_NO_ROOM);
}
