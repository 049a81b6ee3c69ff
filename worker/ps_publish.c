#include "worker/ps_request.h"

#include <string.h>

/* --- publishing --- */

static void publish(struct ps_request *request);

static void topic_put(void *owner, const struct store_answer *answer)
{
    struct ps_request *request = owner;
    struct ps *ps = request->ps;
    struct resource_reply reply;
    switch (answer->outcome) {
    case STORE_OK:
        reply = ps_reply(request, request->created ? CODE_CREATED : CODE_CHANGED);
        coap_count(ps->options.coap, WORKER_PS_PUBLISHED);
        coap_answer(ps->options.coap, request->ticket, coap_clock(ps->options.coap), &reply);
        ps_tell_observers(ps, ps_name(request));
        pool_put(&ps->requests, request);
        return;
    case STORE_EXISTS:
    case STORE_NOT_FOUND:
        publish(request); /* another was quicker since we looked */
        return;
    case STORE_STALE:
    case STORE_UNAVAILABLE:
        break;
    }
    ps_fail_as(request, answer);
}

static void put(struct ps_request *request, enum store_topic_mode mode)
{
    struct ps *ps = request->ps;
    const struct topic_value value = {
        .has_data = true,
        .has_format = request->has_format,
        .format = request->format,
        .data = {request->data, request->data_length},
    };
    const struct store_waiter waiter = {.answer = topic_put, .owner = request};
    struct writer writer = writer_over(ps->value, sizeof(ps->value));
    topic_value_write(&writer, &value);
    if (request->allowed != STORE_TOPIC_EITHER && request->allowed != mode)
        ps_fail(request, CODE_PRECONDITION_FAILED, "");
    else if (store_put_topic(ps->options.store, ps_name(request), mode,
                             (struct octets){ps->value, writer_length(&writer)},
                             &waiter) != STATUS_OK)
        ps_fail(request, CODE_UNAVAILABLE, "");
}

/* "The Content-Format used in a notification MUST be the same as the one used in the initial
 * response to the GET request." (RFC 7641 section 4.2): a topic keeps the one of its creation, or
 * of its first data. */
static bool fits(const struct ps_request *request, const struct topic_value *known)
{
    return (!known->has_data && !known->has_format) ||
           (known->has_format == request->has_format && known->format == request->format);
}

static void topic_found(void *owner, const struct store_answer *answer)
{
    struct ps_request *request = owner;
    struct topic_value known;
    if (answer->outcome == STORE_NOT_FOUND) {
        request->created = true;
        put(request, STORE_TOPIC_CREATE);
        return;
    }
    if (answer->outcome != STORE_OK) {
        ps_fail_as(request, answer);
        return;
    }
    if (!ps_take_value(request, answer->value, &known))
        return;
    if (!fits(request, &known)) {
        ps_fail(request, CODE_UNSUPPORTED_FORMAT, "");
        return;
    }
    request->created = !known.has_data;
    put(request, STORE_TOPIC_UPDATE);
}

static void publish(struct ps_request *request)
{
    struct ps *ps = request->ps;
    const struct store_waiter waiter = {.answer = topic_found, .owner = request};
    if (request->attempts++ == PS_ATTEMPTS_MAX ||
        store_get_topic(ps->options.store, ps_name(request), &waiter) != STATUS_OK)
        ps_fail(request, CODE_UNAVAILABLE, "");
}

/* Topics have no ETags: the only If-Match that can hold is the empty one, for whatever is there
 * (RFC 7252 section 5.10.8.1). */
static bool read_conditions(const struct request *request, enum store_topic_mode *allowed)
{
    *allowed = STORE_TOPIC_EITHER;
    if (request->if_none_match)
        *allowed = STORE_TOPIC_CREATE;
    if (request->if_match.count == 0)
        return true;
    *allowed = STORE_TOPIC_UPDATE;
    return !request->if_none_match && request_span_has(&request->if_match, NULL, 0);
}

enum resource_outcome ps_publish(const struct resource_call *call, struct resource_reply *reply)
{
    struct ps *ps = ps_of(call, PS_ANY_FORMAT, reply);
    enum store_topic_mode allowed;
    if (!ps)
        return RESOURCE_DONE;
    if (call->body.length > TOPIC_DATA_MAX) {
        resource_fail(reply, CODE_TOO_LARGE, "");
        return RESOURCE_DONE;
    }
    if (!read_conditions(call->request, &allowed)) {
        resource_fail(reply, CODE_PRECONDITION_FAILED, "");
        return RESOURCE_DONE;
    }
    struct ps_request *request = ps_begin_topic(call, &ps->options.publishers, reply);
    if (!request)
        return RESOURCE_DONE;
    request->allowed = allowed;
    request->attempts = 1;
    request->has_format = call->request->content_format != NULL;
    if (request->has_format)
        request->format = (uint16_t)message_option_number(call->request->content_format);
    request->data_length = (uint16_t)call->body.length;
    if (call->body.length > 0)
        memcpy(request->data, call->body.bytes, call->body.length);
    const struct store_waiter waiter = {.answer = topic_found, .owner = request};
    return ps_asked(request, store_get_topic(ps->options.store, ps_name(request), &waiter), reply);
}

/* --- removing --- */

static void topic_removed(void *owner, const struct store_answer *answer)
{
    struct ps_request *request = owner;
    struct ps *ps = request->ps;
    if (answer->outcome != STORE_OK) {
        ps_fail_as(request, answer);
        return;
    }
    struct resource_reply reply = ps_reply(request, CODE_DELETED);
    coap_answer(ps->options.coap, request->ticket, coap_clock(ps->options.coap), &reply);
    ps_tell_observers(ps, ps_name(request));
    pool_put(&ps->requests, request);
}

enum resource_outcome ps_remove(const struct resource_call *call, struct resource_reply *reply)
{
    struct ps *ps = ps_of(call, PS_ANY_FORMAT, reply);
    if (!ps)
        return RESOURCE_DONE;
    struct ps_request *request = ps_begin_topic(call, &ps->options.publishers, reply);
    if (!request)
        return RESOURCE_DONE;
    const struct store_waiter waiter = {.answer = topic_removed, .owner = request};
    return ps_asked(request, store_remove_topic(ps->options.store, ps_name(request), &waiter),
                    reply);
}

/* --- creating --- */

static void topic_created(void *owner, const struct store_answer *answer)
{
    struct ps_request *request = owner;
    if (answer->outcome == STORE_EXISTS) {
        ps_fail(request, CODE_BAD_REQUEST, "the topic is there already");
        return;
    }
    if (answer->outcome != STORE_OK) {
        ps_fail_as(request, answer);
        return;
    }
    uint8_t path[PS_PATH_MAX];
    struct writer writer = writer_over(path, sizeof(path));
    struct resource_reply reply = ps_reply(request, CODE_CREATED);
    const struct topic_properties properties = {
        .name = ps_name(request),
        .has_format = request->has_format,
        .format = request->format,
    };
    reply.location_path[0] =
        (struct octets){(const uint8_t *)PS_COLLECTION + 1, strlen(PS_COLLECTION) - 1};
    reply.location_path_count =
        (uint8_t)(1 + topic_name_split(properties.name, &reply.location_path[1]));
    reply.has_format = true;
    reply.format = FORMAT_PUBSUB_CBOR;
    ps_write_path(&writer, properties.name);
    topic_properties_write(&reply.payload, &properties,
                           (struct octets){path, writer_length(&writer)});
    ps_finish(request, &reply);
}

_Static_assert(1 + TOPIC_SEGMENTS_MAX <= RESOURCE_LOCATION_MAX, "a topic's place can be told");

enum resource_outcome ps_create(const struct resource_call *call, struct resource_reply *reply)
{
    struct ps *ps = ps_of(call, FORMAT_PUBSUB_CBOR, reply);
    struct topic_properties properties;
    if (!ps)
        return RESOURCE_DONE;
    enum status status = topic_properties_read(&properties, call->body);
    if (status != STATUS_OK) {
        resource_fail(reply, CODE_BAD_REQUEST,
                      status == STATUS_UNSUPPORTED ? "a property that is not known here"
                                                   : "want topic-name and resource-type");
        return RESOURCE_DONE;
    }
    struct ps_request *request = ps_begin(call, properties.name, &ps->options.publishers, reply);
    if (!request)
        return RESOURCE_DONE;
    request->has_format = properties.has_format;
    request->format = properties.format;
    const struct topic_value value = {
        .has_data = properties.has_data,
        .has_format = properties.has_format,
        .format = properties.format,
        .data = properties.data,
    };
    const struct store_waiter waiter = {.answer = topic_created, .owner = request};
    struct writer writer = writer_over(ps->value, sizeof(ps->value));
    topic_value_write(&writer, &value);
    return ps_asked(request,
                    store_put_topic(ps->options.store, ps_name(request), STORE_TOPIC_CREATE,
                                    (struct octets){ps->value, writer_length(&writer)}, &waiter),
                    reply);
}
