#include "worker/api.h"

#include "worker/api_reply.h"
#include "worker/api_wish.h"

#include <stdlib.h>
#include <string.h>

/* One that waits: for a claim, for the device, for the store. */
struct api_call {
    struct api *api;
    struct api_call *next;
    struct api_call **link;
    struct http_pending *pending;
    struct api_wish wish;
    bool is_claiming;
    bool claims; /* and was the first to */
    uint8_t target[TARGET_MAX];
    uint8_t *body; /* owned; only while it is claimed */
};

void api_init(struct api *api, const struct api_options *options)
{
    *api = (struct api){.options = *options};
}

static void free_call(struct api_call *call)
{
    *call->link = call->next;
    if (call->next)
        call->next->link = call->link;
    call->api->waiting--;
    free(call->body);
    free(call);
}

void api_free(struct api *api)
{
    while (api->calls)
        free_call(api->calls);
}

/* --- replies --- */

static void answer_call(struct api_call *call, struct http_reply *reply)
{
    struct http *http = call->api->options.http;
    struct http_pending *pending = call->pending;
    free_call(call);
    http_answer(http, pending, reply);
}

static enum coap_heard take_answer(void *owner, uint64_t tag, const struct errand_result *result)
{
    struct api_call *call = owner;
    struct http_reply reply = {.status = 200};
    (void)tag;
    api_reply_errand(&reply, result);
    answer_call(call, &reply);
    return COAP_HEARD;
}

static void take_observation(void *owner, uint64_t tag, const struct observation_result *result)
{
    struct api_call *call = owner;
    struct http_reply reply = {.status = 200};
    (void)tag;
    api_reply_observation(&reply, &call->wish.cid, result);
    answer_call(call, &reply);
}

/* --- what is asked for --- */

static struct api_call *new_call(struct api *api, struct http_pending *pending,
                                 const struct api_wish *wish)
{
    struct api_call *call = NULL;
    if (api->waiting < API_WAITING_MAX)
        call = calloc(1, sizeof(*call));
    if (!call) {
        metrics_add(api->options.metrics, 0, WORKER_API_REFUSED, 1);
        return NULL;
    }
    *call = (struct api_call){
        .api = api, .next = api->calls, .link = &api->calls, .pending = pending, .wish = *wish};
    if (call->next)
        call->next->link = &call->next;
    api->calls = call;
    api->waiting++;
    if (wish->target.length > 0)
        memcpy(call->target, wish->target.bytes, wish->target.length);
    call->wish.target.bytes = call->target;
    return call;
}

/* Begins what the call is about. STATUS_OK: its answer comes later. */
static enum status begin(struct api_call *call, const struct coap_peer *peer)
{
    struct client *client = call->api->options.client;
    const struct api_wish *wish = &call->wish;
    const struct observation_waiter waiter = {.done = take_observation, .owner = call};
    const struct observation_wish observation = {
        .target = wish->target, .has_format = wish->has_accept, .format = wish->accept};
    const struct errand_request request = {
        .method = wish->method,
        .target = wish->target,
        .has_format = wish->has_format,
        .has_accept = wish->has_accept,
        .format = wish->format,
        .accept = wish->accept,
        .body = wish->body,
        .done = take_answer,
        .owner = call,
    };
    switch (wish->kind) {
    case API_RESOURCE:
        return errand_begin(&client->errands, peer, &request);
    case API_OBSERVE:
        return observation_begin(&client->observations, peer, &observation, &waiter);
    case API_CANCEL:
        return observation_cancel(&client->observations, peer->session_id, wish->slot, &waiter);
    case API_LIST:
        break;
    }
    return STATUS_UNSUPPORTED;
}

/* The session is here: what was asked for is begun, or answered at once. */
static enum http_outcome proceed(struct api *api, const struct coap_peer *peer,
                                 struct http_pending *pending, const struct api_wish *wish,
                                 struct http_reply *reply)
{
    if (wish->kind == API_LIST) {
        api_reply_list(reply, api->options.client, peer->session_id);
        return HTTP_DONE;
    }
    struct api_call *call = new_call(api, pending, wish);
    enum status status = call ? begin(call, peer) : STATUS_FULL;
    if (status == STATUS_OK)
        return HTTP_LATER;
    if (call)
        free_call(call);
    api_reply_not_begun(reply, status);
    return HTTP_DONE;
}

/* --- whose session it is --- */

static enum http_outcome claim(struct api *api, struct http_pending *pending,
                               const struct api_wish *wish, struct http_reply *reply)
{
    struct api_call *call = new_call(api, pending, wish);
    if (call && wish->body.length > 0) {
        call->body = malloc(wish->body.length);
        if (call->body)
            memcpy(call->body, wish->body.bytes, wish->body.length);
        call->wish.body.bytes = call->body;
    }
    enum status status = STATUS_FULL;
    if (call && (call->body || wish->body.length == 0))
        status = api->options.claim(api->options.owner, &wish->cid);
    if (status == STATUS_OK || status == STATUS_EXISTS) {
        call->is_claiming = true;
        call->claims = status == STATUS_OK;
        return HTTP_LATER;
    }
    if (call)
        free_call(call);
    return api_reply_refuse(reply, 503, "no room", "ask again");
}

static void take_claim(struct api *api, struct api_call *call, enum store_outcome outcome)
{
    struct http_reply reply = {.status = 200};
    struct coap_peer peer;
    enum status status = STATUS_OK;
    if (api->options.find(api->options.owner, &call->wish.cid, &peer)) {
        if (call->wish.kind == API_LIST)
            api_reply_list(&reply, api->options.client, peer.session_id);
        else if ((status = begin(call, &peer)) == STATUS_OK)
            return;
        else
            api_reply_not_begun(&reply, status);
    } else if (outcome == STORE_NOT_FOUND) {
        api_reply_problem(&reply, 404, "no such session", NULL, 0);
    } else {
        api_reply_problem(&reply, 503, "not taken over", "ask again", 0);
    }
    answer_call(call, &reply);
}

bool api_claimed(struct api *api, const struct cid *cid, enum store_outcome outcome)
{
    bool is_ours = false;
    for (struct api_call *call = api->calls, *next; call; call = next) {
        next = call->next;
        if (!call->is_claiming || !cid_equal(&call->wish.cid, cid))
            continue;
        is_ours = is_ours || call->claims;
        call->is_claiming = false;
        take_claim(api, call, outcome);
    }
    return is_ours;
}

static enum http_outcome send_on(const struct api *api, uint16_t worker_id,
                                 const struct http_request *request, struct http_reply *reply)
{
    const struct address *http = heirs_http(api->options.heirs, worker_id);
    char text[ADDRESS_TEXT_MAX];
    if (!http)
        return api_reply_refuse(reply, 503, "no worker", "nobody can have this session now");
    text_add(&reply->location, "http://%s%s", address_format(http, text), request->target);
    api_reply_problem(reply, 307, "elsewhere", "another worker has this session", 0);
    return HTTP_DONE;
}

enum http_outcome api_serve(void *owner, const struct http_request *request,
                            struct http_reply *reply)
{
    struct api *api = owner;
    struct api_wish wish = {0};
    struct coap_peer peer;
    char space[TARGET_MAX + 1] = "";
    if (api_wish_read(request, &wish, space, reply) == HTTP_DONE)
        return HTTP_DONE;
    if (api->options.find(api->options.owner, &wish.cid, &peer))
        return proceed(api, &peer, request->pending, &wish, reply);
    uint16_t route = heirs_route(api->options.heirs, &wish.cid);
    if (route == 0)
        return api_reply_refuse(reply, 404, "no such session", NULL);
    if (route != api->options.worker_id)
        return send_on(api, route, request, reply);
    return claim(api, request->pending, &wish, reply);
}
