#include "bench/workload.h"

#include <stdio.h>
#include <string.h>

const char *const workload_names[] = {
    [WORKLOAD_HANDSHAKE] = "handshake", [WORKLOAD_GET] = "get",
    [WORKLOAD_POST] = "post",           [WORKLOAD_ECHO] = "echo",
    [WORKLOAD_EVENTS] = "events",       [WORKLOAD_REBIND] = "rebind",
    [WORKLOAD_RECONNECT] = "reconnect", [WORKLOAD_MIX] = "mix",
    [WORKLOAD_OBSERVE] = "observe",     [WORKLOAD_NOTIFY] = "notify",
    [WORKLOAD_DATAGRAM] = "datagram",   [WORKLOADS] = NULL,
};

/* Of ten requests of a device: mostly telemetry, as fleets do. */
static const enum operation mix[] = {
    OPERATION_EVENT, OPERATION_ECHO, OPERATION_GET,   OPERATION_EVENT, OPERATION_POST,
    OPERATION_EVENT, OPERATION_ECHO, OPERATION_EVENT, OPERATION_GET,   OPERATION_EVENT,
};
#define MIX_COUNT (sizeof(mix) / sizeof(mix[0]))
#define MIX_REBIND_EVERY 20

#define STAMP_LENGTH 16
static const char digits[] = "0123456789abcdef";

enum operation workload_operation(enum workload workload, uint32_t device, uint32_t number)
{
    switch (workload) {
    case WORKLOAD_GET:
        return OPERATION_GET;
    case WORKLOAD_POST:
        return OPERATION_POST;
    case WORKLOAD_EVENTS:
        return OPERATION_EVENT;
    case WORKLOAD_MIX:
        /* Devices are out of step, so that the mix is the same at any moment. */
        return mix[((uint64_t)device + number) % MIX_COUNT];
    case WORKLOAD_OBSERVE: /* once it observes */
        return OPERATION_PUBLISH;
    case WORKLOAD_NOTIFY:
        return OPERATION_NOTIFY;
    case WORKLOAD_DATAGRAM:
        return OPERATION_DATAGRAM;
    case WORKLOAD_HANDSHAKE:
    case WORKLOAD_ECHO:
    case WORKLOAD_REBIND:
    case WORKLOAD_RECONNECT:
    case WORKLOADS:
        break;
    }
    return OPERATION_ECHO;
}

const char *workload_path(enum operation operation)
{
    switch (operation) {
    case OPERATION_GET:
        return "tstun";
    case OPERATION_EVENT:
        return "events";
    case OPERATION_REGISTER:
    case OPERATION_PUBLISH:
        return "time";
    case OPERATION_NOTIFY: /* what the server is to observe */
        return "temp";
    case OPERATION_DATAGRAM:
        return NULL;
    case OPERATION_POST:
    case OPERATION_ECHO:
        break;
    }
    return "echo";
}

bool workload_rebinds(enum workload workload, uint32_t device, uint32_t number, uint64_t every)
{
    if (workload != WORKLOAD_REBIND && workload != WORKLOAD_MIX)
        return false;
    if (every == 0)
        every = workload == WORKLOAD_MIX ? MIX_REBIND_EVERY : 1;
    return number > 0 && ((uint64_t)device + number) % every == 0;
}

size_t workload_payload(enum operation operation, uint64_t run, uint32_t device, uint32_t number,
                        size_t length, uint8_t space[WORKLOAD_PAYLOAD_MAX])
{
    char name[WORKLOAD_EVENT_MIN + 2];
    switch (operation) {
    case OPERATION_GET:
    case OPERATION_REGISTER:
        return 0;
    case OPERATION_POST:
    case OPERATION_ECHO:
    case OPERATION_PUBLISH:
    case OPERATION_NOTIFY:
    case OPERATION_DATAGRAM:
        /* Differs from one request to the next: a reply to another one shows. */
        for (size_t i = 0; i < length; i++)
            space[i] = (uint8_t)('a' + (device + number + i) % 26);
        return length;
    case OPERATION_EVENT:
        break;
    }
    (void)snprintf(name, sizeof(name), "%016llx-%08x-%07x", (unsigned long long)run, device,
                   number & 0xfffffff);
    if (length < WORKLOAD_EVENT_MIN)
        length = WORKLOAD_EVENT_MIN;
    memset(space, '.', length);
    memcpy(space, name, WORKLOAD_EVENT_MIN);
    return length;
}

size_t workload_stamp(uint64_t us, size_t length, uint8_t space[WORKLOAD_PAYLOAD_MAX])
{
    char text[STAMP_LENGTH + 1];
    (void)snprintf(text, sizeof(text), "%016llx", (unsigned long long)us);
    if (length < STAMP_LENGTH)
        length = STAMP_LENGTH;
    memset(space, '.', length);
    memcpy(space, text, STAMP_LENGTH);
    return length;
}

bool workload_read_stamp(const uint8_t *payload, size_t length, uint64_t *us)
{
    if (length < STAMP_LENGTH)
        return false;
    *us = 0;
    for (size_t i = 0; i < STAMP_LENGTH; i++) {
        const char *digit = memchr(digits, payload[i], sizeof(digits) - 1);
        if (!digit)
            return false;
        *us = *us << 4 | (uint64_t)(digit - digits);
    }
    return true;
}

uint64_t pace_due_us(const struct pace *pace)
{
    if (pace->rate == 0)
        return UINT64_MAX;
    return pace->start_us + pace->taken / pace->rate * 1000000 +
           pace->taken % pace->rate * 1000000 / pace->rate;
}

bool pace_take(struct pace *pace, uint64_t now_us, uint64_t *due_us)
{
    uint64_t next_us = pace_due_us(pace);
    if (next_us > now_us)
        return false;
    pace->taken++;
    *due_us = next_us;
    return true;
}
