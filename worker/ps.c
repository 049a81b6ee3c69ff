#include "worker/ps_request.h"

#include "worker/target.h"

#include <stdlib.h>
#include <string.h>

enum status ps_new(struct ps **ps, const struct ps_options *options)
{
    struct ps *made = calloc(1, sizeof(*made));
    if (!made)
        return STATUS_NO_MEMORY;
    made->options = *options;
    enum status status = pool_init(&made->requests, sizeof(struct ps_request), PS_REQUESTS_MAX);
    if (status != STATUS_OK) {
        free(made);
        return status;
    }
    options->coap->ps = made;
    *ps = made;
    return STATUS_OK;
}

void ps_free(struct ps *ps)
{
    if (!ps)
        return;
    ps->options.coap->ps = NULL;
    pool_free(&ps->requests);
    free(ps);
}

/* --- a request's way --- */

struct ps *ps_of(const struct resource_call *call, uint32_t format, struct resource_reply *reply)
{
    const struct message_option *accept = call->request->accept;
    struct ps *ps = call->coap->ps;
    if (!ps)
        resource_fail(reply, CODE_NOT_FOUND, "");
    else if (accept && format != PS_ANY_FORMAT && message_option_number(accept) != format)
        resource_fail(reply, CODE_NOT_ACCEPTABLE, "");
    else
        return ps;
    return NULL;
}

static bool is_allowed(const struct permissions *permissions, const struct coap_peer *peer,
                       struct octets topic)
{
    struct octets identity = {.length = 0};
    if (peer->session)
        identity.bytes = session_identity(peer->session, &identity.length);
    return permissions_allow(permissions, identity, topic);
}

struct ps_request *ps_begin(const struct resource_call *call, struct octets name,
                            const struct permissions *permissions, struct resource_reply *reply)
{
    struct ps *ps = call->coap->ps;
    /* What we render for observers has been allowed to each of them. */
    if (permissions && !call->is_rendering && !is_allowed(permissions, call->peer, name)) {
        resource_fail(reply, CODE_FORBIDDEN, "");
        return NULL;
    }
    struct ps_request *request = pool_get(&ps->requests);
    if (!request) {
        coap_count(call->coap, WORKER_PS_REFUSED);
        resource_fail(reply, CODE_UNAVAILABLE, "");
        return NULL;
    }
    request->ps = ps;
    request->ticket = call->ticket;
    request->name_length = (uint16_t)name.length;
    if (name.length > 0)
        memcpy(request->name, name.bytes, name.length);
    return request;
}

struct ps_request *ps_begin_topic(const struct resource_call *call,
                                  const struct permissions *permissions,
                                  struct resource_reply *reply)
{
    uint8_t name[STORE_TOPIC_NAME_MAX];
    struct writer writer = writer_over(name, sizeof(name));
    if (topic_name_write(&writer, &call->rest))
        return ps_begin(call, (struct octets){name, writer_length(&writer)}, permissions, reply);
    resource_fail(reply, CODE_NOT_FOUND, "no name of a topic");
    return NULL;
}

enum resource_outcome ps_asked(struct ps_request *request, enum status status,
                               struct resource_reply *reply)
{
    if (status == STATUS_OK)
        return RESOURCE_LATER;
    pool_put(&request->ps->requests, request);
    resource_fail(reply, CODE_UNAVAILABLE, "");
    return RESOURCE_DONE;
}

struct resource_reply ps_reply(struct ps_request *request, uint8_t code)
{
    struct resource_reply reply;
    coap_begin_reply(request->ps->options.coap, &reply);
    reply.code = code;
    return reply;
}

void ps_finish(struct ps_request *request, struct resource_reply *reply)
{
    struct coap *coap = request->ps->options.coap;
    coap_answer(coap, request->ticket, coap_clock(coap), reply);
    pool_put(&request->ps->requests, request);
}

void ps_fail(struct ps_request *request, uint8_t code, const char *diagnostic)
{
    struct resource_reply reply = ps_reply(request, code);
    resource_fail(&reply, code, diagnostic);
    ps_finish(request, &reply);
}

void ps_fail_as(struct ps_request *request, const struct store_answer *answer)
{
    switch (answer->outcome) {
    case STORE_NOT_FOUND:
        ps_fail(request, CODE_NOT_FOUND, "");
        return;
    case STORE_OK:
    case STORE_EXISTS:
    case STORE_STALE:
    case STORE_UNAVAILABLE:
        break;
    }
    ps_fail(request, CODE_UNAVAILABLE, answer->is_full ? "too many topics" : "");
}

bool ps_take_value(struct ps_request *request, struct octets octets, struct topic_value *value)
{
    if (topic_value_read(value, octets) == STATUS_OK)
        return true;
    coap_count(request->ps->options.coap, WORKER_STORED_FORMAT);
    ps_fail(request, CODE_INTERNAL_ERROR, "");
    return false;
}

void ps_write_path(struct writer *writer, struct octets name)
{
    struct octets segments[TOPIC_SEGMENTS_MAX];
    size_t count = topic_name_split(name, segments);
    writer_bytes(writer, PS_COLLECTION, strlen(PS_COLLECTION));
    for (size_t i = 0; i < count; i++)
        target_write_segment(writer, segments[i]);
}

/* --- reading a topic --- */

static void topic_read(void *owner, const struct store_answer *answer)
{
    struct ps_request *request = owner;
    struct topic_value value;
    if (answer->outcome != STORE_OK) {
        ps_fail_as(request, answer);
        return;
    }
    if (!ps_take_value(request, answer->value, &value))
        return;
    /* "a GET request sent to the topic-data resource URI before initial data publication would
     * result in a 4.04 (Not Found) response" (draft-ietf-core-coap-pubsub, "Publish and Subscribe")
     */
    if (!value.has_data) {
        ps_fail(request, CODE_NOT_FOUND, "nothing published yet");
        return;
    }
    struct resource_reply reply = ps_reply(request, CODE_CONTENT);
    reply.version = answer->first;
    reply.has_format = value.has_format;
    reply.format = value.format;
    writer_bytes(&reply.payload, value.data.bytes, value.data.length);
    if (request->has_format && (!value.has_format || value.format != request->format))
        resource_fail(&reply, CODE_NOT_ACCEPTABLE, "");
    ps_finish(request, &reply);
}

enum resource_outcome ps_read(const struct resource_call *call, struct resource_reply *reply)
{
    struct ps *ps = ps_of(call, PS_ANY_FORMAT, reply);
    if (!ps)
        return RESOURCE_DONE;
    struct ps_request *request = ps_begin_topic(call, &ps->options.subscribers, reply);
    if (!request)
        return RESOURCE_DONE;
    if (call->request->accept) {
        request->has_format = true;
        request->format = (uint16_t)message_option_number(call->request->accept);
    }
    const struct store_waiter waiter = {.answer = topic_read, .owner = request};
    return ps_asked(request, store_get_topic(ps->options.store, ps_name(request), &waiter), reply);
}

/* --- the collection --- */

/* As many links as there is room for: the next question goes on behind the last. */
static void write_links(struct writer *writer, const struct store_answer *answer)
{
    struct cursor cursor = cursor_over(answer->value.bytes, answer->value.length);
    for (uint64_t i = 0; i < answer->count; i++) {
        struct octets name = {.length = cursor_u8(&cursor)};
        name.bytes = cursor_bytes(&cursor, name.length);
        if (!cursor_ok(&cursor) || writer_left(writer) < PS_PATH_MAX + 4)
            return;
        if (!topic_name_is_valid(name))
            continue;
        writer_bytes(writer, ",<", writer_length(writer) > 0 ? 2 : 0);
        if (writer_length(writer) == 0)
            writer_u8(writer, '<');
        ps_write_path(writer, name);
        writer_u8(writer, '>');
    }
}

static void topics_listed(void *owner, const struct store_answer *answer)
{
    struct ps_request *request = owner;
    if (answer->outcome != STORE_OK) {
        ps_fail_as(request, answer);
        return;
    }
    struct resource_reply reply = ps_reply(request, CODE_CONTENT);
    reply.has_format = true;
    reply.format = FORMAT_LINK;
    write_links(&reply.payload, answer);
    ps_finish(request, &reply);
}

/* "It is also possible to discover a list of topic-data resources, by sending a request to the
 * collection resource with a query parameter rt=core.ps.data [...]. Every topic collection resource
 * MUST support this query." (draft-ietf-core-coap-pubsub, "Topic-Data Discovery") Ours are their
 * topics' resources as well. False: a query that nothing here matches. */
static bool read_queries(const struct request *request, struct octets *after, bool *is_all)
{
    *after = (struct octets){.length = 0};
    *is_all = true;
    for (size_t i = 0; i < request->queries.count; i++) {
        const struct message_option *query = &request->queries.first[i];
        const char *value;
        size_t length;
        if (request_query_value(query, "after", &value, &length))
            *after = (struct octets){(const uint8_t *)value, length};
        else if (request_query_value(query, "rt", &value, &length))
            *is_all = (length == 12 && (memcmp(value, "core.ps.data", 12) == 0 ||
                                        memcmp(value, "core.ps.conf", 12) == 0));
        else
            return false;
    }
    return after->length <= STORE_TOPIC_NAME_MAX;
}

enum resource_outcome ps_list(const struct resource_call *call, struct resource_reply *reply)
{
    struct ps *ps = ps_of(call, FORMAT_LINK, reply);
    struct octets after;
    bool is_all;
    if (!ps)
        return RESOURCE_DONE;
    if (!read_queries(call->request, &after, &is_all)) {
        resource_fail(reply, CODE_BAD_REQUEST, "want rt=core.ps.data or after=NAME");
        return RESOURCE_DONE;
    }
    if (!is_all) {
        reply->code = CODE_CONTENT;
        reply->has_format = true;
        reply->format = FORMAT_LINK;
        return RESOURCE_DONE;
    }
    struct ps_request *request = ps_begin(call, (struct octets){.length = 0}, NULL, reply);
    if (!request)
        return RESOURCE_DONE;
    const struct store_waiter waiter = {.answer = topics_listed, .owner = request};
    return ps_asked(request, store_list_topics(ps->options.store, after, &waiter), reply);
}
