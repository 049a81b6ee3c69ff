#include "worker/ps_request.h"

#include "shared/store.h"

#include <string.h>

/* Each worker tells its own observers, of what others have published when it hears of that: it asks
 * for all changes behind the newest that it has told.
 *
 *   IDLE --somebody observes--> FIRST --where changes stand is known--> GOING
 *     └──────────────────── nobody does any more ────────────────────────┘
 *
 * What changed before FIRST was answered is looked up once, all of it, as after a gap. */

void ps_tell_observers(struct ps *ps, struct octets name)
{
    uint8_t path[PS_PATH_MAX];
    struct writer writer = writer_over(path, sizeof(path));
    if (!topic_name_is_valid(name))
        return;
    ps_write_path(&writer, name);
    coap_changed(ps->options.coap, (struct octets){path, writer_length(&writer)});
}

static void tell_everybody(struct ps *ps)
{
    coap_changed_below(ps->options.coap,
                       (struct octets){(const uint8_t *)PS_COLLECTION, strlen(PS_COLLECTION)});
}

/* The last change that is known of after this. */
static uint64_t tell_changes(struct ps *ps, const struct store_answer *answer)
{
    struct cursor cursor = cursor_over(answer->value.bytes, answer->value.length);
    uint64_t last = ps->after;
    for (uint64_t i = 0; i < answer->count; i++) {
        uint64_t number = cursor_u64(&cursor);
        struct octets name = {.length = cursor_u8(&cursor)};
        name.bytes = cursor_bytes(&cursor, name.length);
        if (!cursor_ok(&cursor))
            return last;
        ps_tell_observers(ps, name);
        last = number;
    }
    return answer->count < STORE_LIST_MAX ? answer->first : last;
}

static void changes_listed(void *owner, const struct store_answer *answer)
{
    struct ps *ps = owner;
    ps->polling = false;
    if (answer->outcome != STORE_OK)
        return; /* asked again in time */
    switch (ps->poll) {
    case PS_POLL_IDLE:
        return;
    case PS_POLL_FIRST:
        ps->poll = PS_POLL_GOING;
        ps->after = answer->first;
        tell_everybody(ps);
        return;
    case PS_POLL_GOING:
        break;
    }
    if (answer->has_gap) {
        ps->poll = PS_POLL_FIRST;
        ps->poll_ms = 0;
        return;
    }
    ps->after = tell_changes(ps, answer);
    if (answer->count == STORE_LIST_MAX)
        ps->poll_ms = 0;
}

static void ask(struct ps *ps, uint64_t now_ms)
{
    const struct store_waiter waiter = {.answer = changes_listed, .owner = ps};
    uint64_t after = ps->poll == PS_POLL_FIRST ? UINT64_MAX : ps->after;
    ps->poll_ms = now_ms + PS_POLL_MS;
    ps->polling = store_list_changes(ps->options.store, after, &waiter) == STATUS_OK;
}

void ps_run(struct ps *ps, uint64_t now_ms)
{
    if (!coap_is_observed(ps->options.coap)) {
        ps->poll = PS_POLL_IDLE;
        return;
    }
    if (ps->poll == PS_POLL_IDLE) {
        ps->poll = PS_POLL_FIRST;
        ps->poll_ms = now_ms;
    }
    if (!ps->polling && now_ms >= ps->poll_ms)
        ask(ps, now_ms);
}

uint64_t ps_next_ms(const struct ps *ps)
{
    if (ps->polling || !coap_is_observed(ps->options.coap))
        return UINT64_MAX;
    return ps->poll == PS_POLL_IDLE ? 0 : ps->poll_ms;
}
