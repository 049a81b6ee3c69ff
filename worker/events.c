#include "worker/events.h"

#include "worker/event.h"
#include "worker/session.h"

enum resource_outcome events_post(const struct resource_call *call, struct resource_reply *reply)
{
    const struct request *request = call->request;
    const struct message *message = request->message;
    const struct session *session = call->peer->session;
    if (request->queries.count > 0) {
        resource_fail(reply, CODE_BAD_REQUEST, "no query here");
        return RESOURCE_DONE;
    }
    struct event event = {
        .unix_ms = call->now.unix_ms,
        .path = call->resource->path,
        .cid = {session->own_cid.bytes, session->own_cid.length},
        .payload = call->body,
        .message_id = message->id,
        .slot = call->slot,
    };
    event.identity.bytes = session_identity(session, &event.identity.length);
    if (request->content_format) {
        event.has_format = true;
        event.format = (uint16_t)message_option_number(request->content_format);
    }
    event_write(&reply->event, &event);
    reply->code = CODE_CHANGED;
    return RESOURCE_DONE;
}
