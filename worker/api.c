#include "worker/api.h"

#include "worker/api_format.h"
#include "worker/target.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SESSIONS API_PREFIX "v1/sessions/"

enum api_kind { API_RESOURCE, API_OBSERVE, API_LIST, API_CANCEL };

/* A request that is understood. Its views are of the struct http_request, or of the call's copy. */
struct wish {
    enum api_kind kind;
    struct cid cid;
    uint8_t method;
    struct octets target; /* of the device's resource; may be "/" */
    uint8_t slot;         /* API_CANCEL */
    bool has_format, has_accept;
    uint16_t format, accept;
    struct octets body;
};

/* One that waits: for a claim, for the device, for the store. */
struct api_call {
    struct api *api;
    struct api_call *next;
    struct api_call **link;
    struct http_pending *pending;
    struct wish wish;
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

/* RFC 9457. `detail` is a text of ours without quotes. */
static void set_problem(struct http_reply *reply, int status, const char *title, const char *detail,
                        uint8_t code)
{
    reply->status = status;
    reply->content_type = "application/problem+json";
    text_add(&reply->body, "{\"title\":\"%s\",\"status\":%d", title, status);
    if (detail)
        text_add(&reply->body, ",\"detail\":\"%s\"", detail);
    if (code > 0)
        text_add(&reply->body, ",\"coap_code\":\"%u.%02u\"", MESSAGE_CODE_CLASS(code),
                 MESSAGE_CODE_DETAIL(code));
    text_add(&reply->body, "}\n");
}

static enum http_outcome refuse(struct http_reply *reply, int status, const char *title,
                                const char *detail)
{
    set_problem(reply, status, title, detail, 0);
    return HTTP_DONE;
}

static void answer_call(struct api_call *call, struct http_reply *reply)
{
    struct http *http = call->api->options.http;
    struct http_pending *pending = call->pending;
    free_call(call);
    http_answer(http, pending, reply);
}

static const struct message_option *find_option(const struct message *message, uint16_t number)
{
    for (size_t i = 0; i < message->option_count; i++) {
        if (message->options[i].number == number)
            return &message->options[i];
    }
    return NULL;
}

static const char *content_type_of(const struct message *response)
{
    const struct message_option *format = find_option(response, OPTION_CONTENT_FORMAT);
    const char *text = NULL;
    if (format && format->length <= 2)
        text = api_format_known((uint16_t)message_option_number(format));
    return text ? text : "application/octet-stream";
}

static void set_device_answer(struct http_reply *reply, const struct errand_result *result)
{
    const struct message *response = result->response;
    bool has_body = result->body.length > 0;
    reply->status = api_format_status(response->code, has_body);
    if (MESSAGE_CODE_CLASS(response->code) != 2) {
        set_problem(reply, reply->status, "the device refuses", NULL, response->code);
        return;
    }
    reply->content_type = has_body ? content_type_of(response) : NULL;
    text_append(&reply->body, result->body.bytes, result->body.length);
}

static enum coap_heard take_answer(void *owner, uint64_t tag, const struct errand_result *result)
{
    struct api_call *call = owner;
    struct http_reply reply = {.status = 200};
    (void)tag;
    switch (result->outcome) {
    case ERRAND_ANSWERED:
        set_device_answer(&reply, result);
        break;
    case ERRAND_TIMED_OUT:
        set_problem(&reply, 504, "no answer", "the device does not answer", 0);
        break;
    case ERRAND_RESET:
        set_problem(&reply, 502, "reset", "the device rejects the message", 0);
        break;
    case ERRAND_REJECTED:
        set_problem(&reply, 502, "not understood", "the answer cannot be understood", 0);
        break;
    case ERRAND_TOO_LARGE:
        set_problem(&reply, 502, "too large", "the answer is too large", 0);
        break;
    case ERRAND_CANCELLED:
        set_problem(&reply, 503, "session gone", "ask again", 0);
        break;
    case ERRAND_NO_ROOM:
        set_problem(&reply, 503, "no room", "ask again", 0);
        break;
    }
    answer_call(call, &reply);
    return COAP_HEARD;
}

static void set_begun(struct http_reply *reply, const struct api_call *call, uint8_t slot)
{
    char cid[2 * CID_LENGTH_MAX + 1] = "";
    for (size_t i = 0; i < call->wish.cid.length; i++)
        snprintf(cid + 2 * i, 3, "%02x", call->wish.cid.bytes[i]);
    reply->status = 201;
    reply->content_type = "application/json";
    text_add(&reply->location, SESSIONS "%s/observations/%u", cid, slot);
    text_add(&reply->body, "{\"id\":%u}\n", slot);
}

static void take_observation(void *owner, uint64_t tag, const struct observation_result *result)
{
    struct api_call *call = owner;
    struct http_reply reply = {.status = 200};
    (void)tag;
    switch (result->outcome) {
    case OBSERVATION_BEGUN:
        set_begun(&reply, call, result->slot);
        break;
    case OBSERVATION_CANCELLED:
        reply.status = 204;
        break;
    case OBSERVATION_REFUSED:
        set_problem(&reply, api_format_status(result->code, true), "the device refuses", NULL,
                    result->code);
        break;
    case OBSERVATION_NOT_OBSERVABLE:
        set_problem(&reply, 422, "not observable", "the device answers, and observes nothing",
                    result->code);
        break;
    case OBSERVATION_TOO_LARGE:
        set_problem(&reply, 422, "too large", "a notification would not fit an event", 0);
        break;
    case OBSERVATION_UNREACHED:
        set_problem(&reply, 504, "no answer", "the device does not answer", 0);
        break;
    case OBSERVATION_NOT_STORED:
        set_problem(&reply, 503, "not stored", "the store is away", 0);
        break;
    case OBSERVATION_GONE:
        set_problem(&reply, 503, "session gone", "ask again", 0);
        break;
    }
    answer_call(call, &reply);
}

/* --- what is asked for --- */

static void add_escaped(struct text *text, const char *of)
{
    for (; *of; of++)
        text_add(text, *of == '"' || *of == '\\' ? "\\%c" : "%c", *of);
}

static void list(const struct api *api, const struct coap_peer *peer, struct http_reply *reply)
{
    const char *separator = "";
    char space[API_FORMAT_TEXT_MAX];
    reply->content_type = "application/json";
    text_add(&reply->body, "[");
    for (uint8_t slot = OBSERVATION_SLOT_FIRST; slot < RELATIONS_PER_SESSION_MAX; slot++) {
        const struct observation *observation =
            observation_find(&api->options.client->observations, peer->session_id, slot);
        if (!observation || observation->state != OBSERVATION_HELD)
            continue;
        text_add(&reply->body, "%s{\"id\":%u,\"path\":\"", separator, slot);
        add_escaped(&reply->body, observation->target);
        text_add(&reply->body, "\"");
        if (observation->has_format)
            text_add(&reply->body, ",\"accept\":\"%s\"",
                     api_format_text(observation->format, space));
        if (observation->has_number)
            text_add(&reply->body, ",\"observe\":%u", observation->number);
        text_add(&reply->body, ",\"heard_unix_ms\":%llu,\"expires_unix_ms\":%llu}",
                 (unsigned long long)observation->heard_unix_ms,
                 (unsigned long long)observation->expires_unix_ms);
        separator = ",";
    }
    text_add(&reply->body, "]\n");
}

static struct api_call *new_call(struct api *api, struct http_pending *pending,
                                 const struct wish *wish)
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
    const struct wish *wish = &call->wish;
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

static void set_refusal(struct http_reply *reply, enum status status)
{
    if (status == STATUS_EXISTS)
        set_problem(reply, 409, "observed already", "this session's list has it", 0);
    else if (status == STATUS_NOT_FOUND)
        set_problem(reply, 404, "no such observation", NULL, 0);
    else
        set_problem(reply, 503, "no room", "ask again", 0);
}

/* The session is here: what was asked for is begun, or answered at once. */
static enum http_outcome proceed(struct api *api, const struct coap_peer *peer,
                                 struct http_pending *pending, const struct wish *wish,
                                 struct http_reply *reply)
{
    if (wish->kind == API_LIST) {
        list(api, peer, reply);
        return HTTP_DONE;
    }
    struct api_call *call = new_call(api, pending, wish);
    enum status status = call ? begin(call, peer) : STATUS_FULL;
    if (status == STATUS_OK)
        return HTTP_LATER;
    if (call)
        free_call(call);
    set_refusal(reply, status);
    return HTTP_DONE;
}

/* --- whose session it is --- */

static enum http_outcome claim(struct api *api, struct http_pending *pending,
                               const struct wish *wish, struct http_reply *reply)
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
    return refuse(reply, 503, "no room", "ask again");
}

static void take_claim(struct api *api, struct api_call *call, enum store_outcome outcome)
{
    struct http_reply reply = {.status = 200};
    struct coap_peer peer;
    enum status status = STATUS_OK;
    if (api->options.find(api->options.owner, &call->wish.cid, &peer)) {
        if (call->wish.kind == API_LIST)
            list(api, &peer, &reply);
        else if ((status = begin(call, &peer)) == STATUS_OK)
            return;
        else
            set_refusal(&reply, status);
    } else if (outcome == STORE_NOT_FOUND) {
        set_problem(&reply, 404, "no such session", NULL, 0);
    } else {
        set_problem(&reply, 503, "not taken over", "ask again", 0);
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
        return refuse(reply, 503, "no worker", "nobody can have this session now");
    text_add(&reply->location, "http://%s%s", address_format(http, text), request->target);
    set_problem(reply, 307, "elsewhere", "another worker has this session", 0);
    return HTTP_DONE;
}

/* --- reading requests --- */

static int hex_value(char digit)
{
    if (digit >= '0' && digit <= '9')
        return digit - '0';
    if (digit >= 'a' && digit <= 'f')
        return digit - 'a' + 10;
    return -1;
}

/* Its end; NULL: no CID. */
static const char *read_cid(const char *text, struct cid *cid)
{
    *cid = (struct cid){0};
    while (hex_value(text[0]) >= 0 && hex_value(text[1]) >= 0 && cid->length < CID_LENGTH_MAX) {
        cid->bytes[cid->length++] = (uint8_t)(hex_value(text[0]) << 4 | hex_value(text[1]));
        text += 2;
    }
    return cid->length > 0 && *text == '/' ? text : NULL;
}

static struct octets octets_of(const char *text)
{
    return (struct octets){(const uint8_t *)text, strlen(text)};
}

static enum http_outcome read_resource(const struct http_request *request, const char *path,
                                       struct wish *wish, struct http_reply *reply)
{
    wish->kind = API_RESOURCE;
    wish->method = api_format_method(request->method);
    wish->target = octets_of(*path ? path : "/");
    wish->body = request->body;
    if (!target_is_valid(wish->target))
        return refuse(reply, 400, "bad path", "want a path of at most 255 octets");
    if (request->content_type && request->body.length > 0) {
        wish->has_format = api_format_find(request->content_type, &wish->format);
        if (!wish->has_format)
            return refuse(reply, 415, "unknown type", "no Content-Format has this media type");
    }
    wish->has_accept = request->accept && api_format_find(request->accept, &wish->accept);
    return HTTP_LATER;
}

/* {"path": "/temp", "accept": "application/json"}; the path is copied to `space`. */
static enum http_outcome read_observation(const struct http_request *request, struct wish *wish,
                                          char space[TARGET_MAX + 1], struct http_reply *reply)
{
    json_t *json = json_loadb((const char *)request->body.bytes, request->body.length, 0, NULL);
    const char *path = json_string_value(json_object_get(json, "path"));
    const char *accept = json_string_value(json_object_get(json, "accept"));
    bool is_good = path && strlen(path) <= TARGET_MAX && target_is_valid(octets_of(path));
    if (is_good)
        snprintf(space, TARGET_MAX + 1, "%s", path);
    if (is_good && json_object_get(json, "accept")) {
        wish->has_accept = accept && api_format_find(accept, &wish->accept);
        is_good = wish->has_accept;
    }
    json_decref(json);
    wish->kind = API_OBSERVE;
    wish->target = octets_of(space);
    if (!is_good)
        return refuse(reply, 400, "bad request", "want an object with path, a string from / on");
    return HTTP_LATER;
}

static enum http_outcome read_observations(const struct http_request *request, const char *rest,
                                           struct wish *wish, char space[TARGET_MAX + 1],
                                           struct http_reply *reply)
{
    unsigned slot;
    char end;
    if (*rest == '\0' && request->method == HTTP_POST)
        return read_observation(request, wish, space, reply);
    if (*rest == '\0' && request->method == HTTP_GET) {
        wish->kind = API_LIST;
        return HTTP_LATER;
    }
    bool is_one = sscanf(rest, "/%3u%c", &slot, &end) == 1 && slot <= UINT8_MAX;
    if (is_one && request->method == HTTP_DELETE) {
        wish->kind = API_CANCEL;
        wish->slot = (uint8_t)slot;
        return HTTP_LATER;
    }
    if (*rest != '\0' && !is_one)
        return refuse(reply, 404, "no such path", NULL);
    reply->allow = is_one ? "DELETE" : "GET, POST";
    return refuse(reply, 405, "method not allowed", NULL);
}

/* HTTP_LATER: `wish` is to be granted. */
static enum http_outcome read_request(const struct http_request *request, struct wish *wish,
                                      char space[TARGET_MAX + 1], struct http_reply *reply)
{
    static const char resources[] = "/resources", observations[] = "/observations";
    const char *rest = NULL;
    if (strncmp(request->target, SESSIONS, strlen(SESSIONS)) == 0)
        rest = read_cid(request->target + strlen(SESSIONS), &wish->cid);
    if (rest && strncmp(rest, resources, strlen(resources)) == 0) {
        rest += strlen(resources);
        if (*rest == '\0' || *rest == '/')
            return read_resource(request, rest, wish, reply);
    } else if (rest && strncmp(rest, observations, strlen(observations)) == 0) {
        return read_observations(request, rest + strlen(observations), wish, space, reply);
    }
    return refuse(reply, 404, "no such path", NULL);
}

enum http_outcome api_serve(void *owner, const struct http_request *request,
                            struct http_reply *reply)
{
    struct api *api = owner;
    struct wish wish = {0};
    struct coap_peer peer;
    char space[TARGET_MAX + 1] = "";
    if (read_request(request, &wish, space, reply) == HTTP_DONE)
        return HTTP_DONE;
    if (api->options.find(api->options.owner, &wish.cid, &peer))
        return proceed(api, &peer, request->pending, &wish, reply);
    uint16_t route = heirs_route(api->options.heirs, &wish.cid);
    if (route == 0)
        return refuse(reply, 404, "no such session", NULL);
    if (route != api->options.worker_id)
        return send_on(api, route, request, reply);
    return claim(api, request->pending, &wish, reply);
}
