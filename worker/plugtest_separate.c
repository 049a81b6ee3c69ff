/* What is not served at once, "and which therefore is not acknowledged in a piggybacked way"
 * (TD_COAP_CORE_09). */
#include "worker/coap_endpoint.h"
#include "worker/plugtest.h"

#include <string.h>

_Static_assert(PLUGTEST_SEPARATE_MS > COAP_SEPARATE_MS, "the empty ACK goes first");
_Static_assert(PLUGTEST_SEPARATE_MS < COAP_DEFERRED_MS, "somebody still waits");

enum resource_outcome plugtest_separate(const struct resource_call *call,
                                        struct resource_reply *reply)
{
    struct plugtest *plugtest = call->coap->plugtest;
    if (plugtest->wait_count == PLUGTEST_WAITS_MAX) {
        resource_fail(reply, CODE_UNAVAILABLE, "");
        return RESOURCE_DONE;
    }
    size_t last = (plugtest->wait_first + plugtest->wait_count++) % PLUGTEST_WAITS_MAX;
    plugtest->waits[last] = (struct plugtest_wait){
        .ticket = call->ticket,
        .due_ms = call->now.ms + PLUGTEST_SEPARATE_MS,
        .large = strcmp(call->resource->path, "/large-separate") == 0,
    };
    return RESOURCE_LATER;
}

static void answer(struct coap *coap, const struct plugtest_wait *wait, struct coap_now now)
{
    static const char text[] = "what took a while";
    struct resource_reply reply;
    coap_begin_reply(coap, &reply);
    reply.code = CODE_CONTENT;
    reply.has_format = true;
    reply.format = FORMAT_TEXT;
    if (wait->large)
        plugtest_write_large(&reply.payload);
    else
        writer_bytes(&reply.payload, text, sizeof text - 1);
    /* Its session may be gone by now. */
    (void)coap_answer(coap, wait->ticket, now, &reply);
}

void plugtest_answer(struct plugtest *plugtest, struct coap *coap, struct coap_now now)
{
    while (plugtest_answer_ms(plugtest) <= now.ms) {
        const struct plugtest_wait wait = plugtest->waits[plugtest->wait_first];
        plugtest->wait_first = (plugtest->wait_first + 1) % PLUGTEST_WAITS_MAX;
        plugtest->wait_count--;
        answer(coap, &wait, now);
    }
}

uint64_t plugtest_answer_ms(const struct plugtest *plugtest)
{
    return plugtest->wait_count > 0 ? plugtest->waits[plugtest->wait_first].due_ms : UINT64_MAX;
}
