#include "worker/api_wish.h"

#include "worker/api.h"
#include "worker/api_format.h"
#include "worker/api_reply.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

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
                                       struct api_wish *wish, struct http_reply *reply)
{
    wish->kind = API_RESOURCE;
    wish->method = api_format_method(request->method);
    wish->target = octets_of(*path ? path : "/");
    wish->body = request->body;
    if (!target_is_valid(wish->target))
        return api_reply_refuse(reply, 400, "bad path", "want a path of at most 255 octets");
    if (request->content_type && request->body.length > 0) {
        wish->has_format = api_format_find(request->content_type, &wish->format);
        if (!wish->has_format)
            return api_reply_refuse(reply, 415, "unknown type",
                                    "no Content-Format has this media type");
    }
    wish->has_accept = request->accept && api_format_find(request->accept, &wish->accept);
    return HTTP_LATER;
}

/* {"path": "/temp", "accept": "application/json"}; the path is copied to `space`. */
static enum http_outcome read_observation(const struct http_request *request, struct api_wish *wish,
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
        return api_reply_refuse(reply, 400, "bad request",
                                "want an object with path, a string from / on");
    return HTTP_LATER;
}

static enum http_outcome read_observations(const struct http_request *request, const char *rest,
                                           struct api_wish *wish, char space[TARGET_MAX + 1],
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
        return api_reply_refuse(reply, 404, "no such path", NULL);
    reply->allow = is_one ? "DELETE" : "GET, POST";
    return api_reply_refuse(reply, 405, "method not allowed", NULL);
}

enum http_outcome api_wish_read(const struct http_request *request, struct api_wish *wish,
                                char space[TARGET_MAX + 1], struct http_reply *reply)
{
    static const char resources[] = "/resources", observations[] = "/observations";
    const char *rest = NULL;
    if (strncmp(request->target, API_SESSIONS, strlen(API_SESSIONS)) == 0)
        rest = read_cid(request->target + strlen(API_SESSIONS), &wish->cid);
    if (rest && strncmp(rest, resources, strlen(resources)) == 0) {
        rest += strlen(resources);
        if (*rest == '\0' || *rest == '/')
            return read_resource(request, rest, wish, reply);
    } else if (rest && strncmp(rest, observations, strlen(observations)) == 0) {
        return read_observations(request, rest + strlen(observations), wish, space, reply);
    }
    return api_reply_refuse(reply, 404, "no such path", NULL);
}
