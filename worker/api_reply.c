#include "worker/api_reply.h"

#include "worker/api.h"
#include "worker/api_format.h"

#include <stdio.h>

void api_reply_problem(struct http_reply *reply, int status, const char *title, const char *detail,
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

enum http_outcome api_reply_refuse(struct http_reply *reply, int status, const char *title,
                                   const char *detail)
{
    api_reply_problem(reply, status, title, detail, 0);
    return HTTP_DONE;
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
        api_reply_problem(reply, reply->status, "the device refuses", NULL, response->code);
        return;
    }
    reply->content_type = has_body ? content_type_of(response) : NULL;
    text_append(&reply->body, result->body.bytes, result->body.length);
}

void api_reply_errand(struct http_reply *reply, const struct errand_result *result)
{
    switch (result->outcome) {
    case ERRAND_ANSWERED:
        set_device_answer(reply, result);
        break;
    case ERRAND_TIMED_OUT:
        api_reply_problem(reply, 504, "no answer", "the device does not answer", 0);
        break;
    case ERRAND_RESET:
        api_reply_problem(reply, 502, "reset", "the device rejects the message", 0);
        break;
    case ERRAND_REJECTED:
        api_reply_problem(reply, 502, "not understood", "the answer cannot be understood", 0);
        break;
    case ERRAND_TOO_LARGE:
        api_reply_problem(reply, 502, "too large", "the answer is too large", 0);
        break;
    case ERRAND_CANCELLED:
        api_reply_problem(reply, 503, "session gone", "ask again", 0);
        break;
    case ERRAND_NO_ROOM:
        api_reply_problem(reply, 503, "no room", "ask again", 0);
        break;
    }
}

static void set_begun(struct http_reply *reply, const struct cid *cid, uint8_t slot)
{
    char text[2 * CID_LENGTH_MAX + 1] = "";
    for (size_t i = 0; i < cid->length; i++)
        snprintf(text + 2 * i, 3, "%02x", cid->bytes[i]);
    reply->status = 201;
    reply->content_type = "application/json";
    text_add(&reply->location, API_SESSIONS "%s/observations/%u", text, slot);
    text_add(&reply->body, "{\"id\":%u}\n", slot);
}

void api_reply_observation(struct http_reply *reply, const struct cid *cid,
                           const struct observation_result *result)
{
    switch (result->outcome) {
    case OBSERVATION_BEGUN:
        set_begun(reply, cid, result->slot);
        break;
    case OBSERVATION_CANCELLED:
        reply->status = 204;
        break;
    case OBSERVATION_REFUSED:
        api_reply_problem(reply, api_format_status(result->code, true), "the device refuses", NULL,
                          result->code);
        break;
    case OBSERVATION_NOT_OBSERVABLE:
        api_reply_problem(reply, 422, "not observable", "the device answers, and observes nothing",
                          result->code);
        break;
    case OBSERVATION_TOO_LARGE:
        api_reply_problem(reply, 422, "too large", "a notification would not fit an event", 0);
        break;
    case OBSERVATION_UNREACHED:
        api_reply_problem(reply, 504, "no answer", "the device does not answer", 0);
        break;
    case OBSERVATION_NOT_STORED:
        api_reply_problem(reply, 503, "not stored", "the store is away", 0);
        break;
    case OBSERVATION_GONE:
        api_reply_problem(reply, 503, "session gone", "ask again", 0);
        break;
    }
}

static void add_escaped(struct text *text, const char *of)
{
    for (; *of; of++)
        text_add(text, *of == '"' || *of == '\\' ? "\\%c" : "%c", *of);
}

void api_reply_list(struct http_reply *reply, const struct client *client, uint64_t session_id)
{
    const char *separator = "";
    char space[API_FORMAT_TEXT_MAX];
    reply->content_type = "application/json";
    text_add(&reply->body, "[");
    for (uint8_t slot = OBSERVATION_SLOT_FIRST; slot < RELATIONS_PER_SESSION_MAX; slot++) {
        const struct observation *observation =
            observation_find(&client->observations, session_id, slot);
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

void api_reply_not_begun(struct http_reply *reply, enum status status)
{
    if (status == STATUS_EXISTS)
        api_reply_problem(reply, 409, "observed already", "this session's list has it", 0);
    else if (status == STATUS_NOT_FOUND)
        api_reply_problem(reply, 404, "no such observation", NULL, 0);
    else
        api_reply_problem(reply, 503, "no room", "ask again", 0);
}
