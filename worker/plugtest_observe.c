/* What changes of itself, every PLUGTEST_TICK_MS, and when it is written (TD_COAP_OBS). */
#include "worker/coap_observe.h"
#include "worker/plugtest.h"

#include <stdio.h>
#include <string.h>

static const struct {
    const char *path;
    enum plugtest_name name;
} observed[] = {
    {"/obs", PLUGTEST_OBS},
    {"/obs-non", PLUGTEST_OBS_NON},
    {"/obs-large", PLUGTEST_OBS_LARGE},
    {"/obs-pumping", PLUGTEST_OBS_PUMPING},
};
#define OBSERVED (sizeof observed / sizeof *observed)

static void tell(struct coap *coap, const char *path)
{
    coap_changed(coap, (struct octets){(const uint8_t *)path, strlen(path)});
}

/* "the Content-Format used in a 2.xx notification MUST be the same as the one used in the initial
 * response to the GET request.  If the server is unable to continue sending notifications in this
 * format, it SHOULD send a notification with a 4.06 (Not Acceptable) response code and subsequently
 * MUST remove the associated entry from the list of observers of the resource." (RFC 7641 section
 * 4.2) Whoever has registered has done so in the format before. */
enum resource_outcome plugtest_observed(const struct resource_call *call,
                                        struct resource_reply *reply)
{
    const struct plugtest_value *value = plugtest_value_of(call);
    if (call->is_rendering && value->exists && value->has_turned) {
        resource_fail(reply, CODE_NOT_ACCEPTABLE, "");
        return RESOURCE_DONE;
    }
    plugtest_get(call, reply);
    reply->has_max_age = reply->code == CODE_CONTENT;
    reply->max_age_s = PLUGTEST_TICK_MS / 1000;
    return RESOURCE_DONE;
}

enum resource_outcome plugtest_observed_put(const struct resource_call *call,
                                            struct resource_reply *reply)
{
    struct plugtest_value *value = plugtest_value_of(call);
    uint16_t format = value->format;
    plugtest_put(call, reply);
    if (MESSAGE_CODE_CLASS(reply->code) == 2) {
        value->has_turned = value->format != format;
        tell(call->coap, call->resource->path);
    }
    return RESOURCE_DONE;
}

enum resource_outcome plugtest_observed_delete(const struct resource_call *call,
                                               struct resource_reply *reply)
{
    plugtest_delete(call, reply);
    tell(call->coap, call->resource->path);
    return RESOURCE_DONE;
}

enum resource_outcome plugtest_forget(const struct resource_call *call,
                                      struct resource_reply *reply)
{
    subject_abandon(&call->coap->observers, (struct octets){(const uint8_t *)"/obs", 4});
    reply->code = CODE_CHANGED;
    return RESOURCE_DONE;
}

/* /obs-pumping has "varying sizes some of which require a Block2 option and others that do not"
 * (TD_COAP_OBS_14): it is large when it was small. */
static bool becomes_large(enum plugtest_name name, const struct plugtest_value *value)
{
    return name == PLUGTEST_OBS_LARGE ||
           (name == PLUGTEST_OBS_PUMPING && value->length < PLUGTEST_LARGE_SIZE);
}

void plugtest_tick(struct plugtest *plugtest, struct coap *coap)
{
    plugtest->ticks++;
    for (size_t i = 0; i < OBSERVED; i++) {
        struct plugtest_value *value = &plugtest->values[observed[i].name];
        struct writer writer = writer_over(value->bytes, sizeof value->bytes);
        char text[32];
        int length = snprintf(text, sizeof text, "tick %u\n", plugtest->ticks);
        writer_bytes(&writer, text, (size_t)length);
        if (becomes_large(observed[i].name, value))
            plugtest_write_large(&writer);
        value->has_turned = value->exists && value->format != FORMAT_TEXT;
        value->exists = true;
        value->format = FORMAT_TEXT;
        value->length = writer_length(&writer);
        tell(coap, observed[i].path);
    }
}
